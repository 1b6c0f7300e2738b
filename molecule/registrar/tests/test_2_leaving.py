# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Containers leave, and what of them goes on: drained by hand first, or stopped at once."""

from __future__ import annotations

import time

import pytest

import containers_lab as lab
from lab import failures, until

pytestmark = pytest.mark.usefixtures("both")


def test_no_request_fails_while_a_container_drains_and_stops() -> None:
    slow = lab.traffic(3, 2, "/slow", "--timeout", "20")
    requests = lab.traffic(60)
    time.sleep(3)
    began = time.monotonic()
    lab.on("container-1", "registrar drain web")
    took = time.monotonic() - began
    held = slow.requests()
    lab.on("container-1", "podman stop --time 5 web")
    until(lambda: lab.weights() == {"container-2": 100}, "container-1 out")
    lab.on("container-1", "podman start web")
    lab.registered(*lab.HOSTS)
    time.sleep(3)
    done = requests.stop()
    print(f"drained in {took:.1f} s: {len(failures(done))} of {len(done)} requests failed, {len(failures(held))} of {len(held)} slow ones"
          f" of {max(one['seconds'] for one in held):.1f} s")  # fmt: skip
    assert took >= 4 and len(done) > 100 and {one["server"] for one in held} == set(lab.HOSTS)
    assert not failures(done) and not failures(held), (failures(done) + failures(held))[:5]
    # started again it is in service without another word
    assert lab.on("container-1", "ls /var/lib/clusterfront-registrar/drained") == ""


def test_a_container_that_is_drained_can_come_back() -> None:
    lab.on("container-1", "registrar drain web")
    (entry,) = lab.status("container-1")["entries"]
    assert (entry["state"], entry["why"]) == ("out", "drained") and lab.weights()["container-1"] == 0
    lab.on("container-1", "registrar ready web")
    lab.registered(*lab.HOSTS)
    assert "has no entry" in lab.on("container-1", "registrar drain nobody 2>&1", check=False)


def test_a_container_is_stopped_without_a_word() -> None:
    requests = lab.traffic(60)
    time.sleep(1)
    lab.on("container-1", "podman stop --time 5 web")
    stopped = time.monotonic()
    until(lambda: lab.weights() == {"container-1": 0, "container-2": 100}, "weight 0", 10)
    print(f"weight 0 after {time.monotonic() - stopped:.1f} s", end="")
    until(lambda: lab.weights() == {"container-2": 100}, "container-1 out", 15)
    print(f", out after {time.monotonic() - stopped:.1f} s", end="")
    done = requests.stop()
    print(f"; {len(failures(done))} of {len(done)} requests failed")
    # the SLB tries another server where one refuses
    assert not failures(done, stopped + 2)


def test_another_container_keeps_the_entry_without_a_port() -> None:
    lab.run("container-1", "other", "8889:80", "clusterfront.slb.load_balancer={id}", "clusterfront.slb.port=8889")
    until(lambda: "other" in lab.problems("container-1"), "no listener yet")
    lab.on("container-1", "podman stop --time 1 web")
    time.sleep(8)
    assert lab.weights()["container-1"] == 100
    lab.on("container-1", "podman rm --force --time 1 other")
    until(lambda: lab.weights() == {"container-2": 100}, "container-1 out", 15)
