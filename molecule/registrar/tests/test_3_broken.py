# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What breaks: the engine, the registrar, a host, the cloud. Nothing is lost, and nothing is there twice."""

from __future__ import annotations

import time

import pytest

import containers_lab as lab
from lab import SANDBOX, control, failures, podman, until

pytestmark = pytest.mark.usefixtures("both")


def writes(host: str) -> int:
    return int(lab.status(host)["totals"]["writes"])


def test_the_engine_is_restarted() -> None:
    before = writes("container-1")
    requests = lab.traffic(12)
    lab.on("container-1", "systemctl stop podman.socket podman.service")
    until(lambda: lab.status("container-1")["engines"]["podman"] != "", "a silent engine")
    assert "gives no answer" in lab.status("container-1")["engines"]["podman"]
    assert lab.weights() == dict.fromkeys(lab.HOSTS, 100)
    lab.on("container-1", "systemctl start podman.socket")
    until(lambda: lab.status("container-1")["engines"]["podman"] == "", "the engine")
    done = requests.requests()
    assert not failures(done), failures(done)[:3]
    assert writes("container-1") == before and lab.weights() == dict.fromkeys(lab.HOSTS, 100)
    # what changes after it is seen again
    lab.on("container-1", "podman stop --time 1 web")
    until(lambda: lab.weights() == {"container-2": 100}, "container-1 out", 15)


def test_the_registrar_is_killed_while_it_works() -> None:
    for moment in (0.0, 0.3, 0.8, 1.5):
        lab.on("container-1", "podman stop --time 1 web")
        time.sleep(moment)
        old = lab.pid("container-1")
        lab.on("container-1", f"kill -9 {old}")
        until(lambda: lab.pid("container-1") not in ("0", old), "another registrar")
        until(lambda: lab.weights() == {"container-2": 100}, f"container-1 out, killed after {moment} s", 30)
        lab.on("container-1", "podman start web")
        time.sleep(moment)
        lab.on("container-1", f"kill -9 {lab.pid('container-1')}")
        lab.registered(*lab.HOSTS)


def test_containers_change_while_the_registrar_is_down() -> None:
    lab.on("container-1", f"systemctl stop {lab.UNIT}")
    lab.on("container-1", "podman stop --time 1 web")
    assert lab.weights() == dict.fromkeys(lab.HOSTS, 100)
    # even what it remembered is gone
    lab.on("container-1", "rm -f /var/lib/clusterfront-registrar/status.json")
    lab.on("container-1", f"systemctl start {lab.UNIT}")
    until(lambda: lab.weights() == {"container-2": 100}, "container-1 out", 30)


def test_the_cloud_is_slow() -> None:
    lab.throttle(1.0)
    lab.on("container-1", "podman stop --time 1 web")
    until(lambda: lab.weights() == {"container-2": 100}, "container-1 out", 120)
    lab.on("container-1", "podman start web")
    until(lambda: lab.weights() == dict.fromkeys(lab.HOSTS, 100), "both", 120)
    # what the test leaves is taken out at the usual pace
    lab.throttle(None)


def test_a_host_dies_and_another_takes_its_entries_out() -> None:
    run = lab.role("container-1", registrar_take_over_gone=True, registrar_grace_time=5, registrar_interval=2)
    assert run.code == 0, run.output
    requests = lab.traffic(60)
    inventory = control("GET", "inventory")
    podman("kill", f"{SANDBOX}-container-2")
    died = time.monotonic()
    try:
        # abnormal alone is no reason: the machine still runs, as ECS has it
        time.sleep(12)
        assert lab.weights() == dict.fromkeys(lab.HOSTS, 100)
        stopped = [
            {**one, "status": "Stopped"} if one["name"] == "container-2" else one for one in inventory["machines"]
        ]
        control("PUT", "inventory", {**inventory, "machines": stopped})
        until(lambda: lab.weights() == {"container-1": 100}, "container-2 out", 30)
        assert "was abnormal and did not run for 5 seconds" in lab.journal("container-1")
    finally:
        control("PUT", "inventory", inventory)
        podman("start", f"{SANDBOX}-container-2")
    done = requests.stop()
    print(f"host killed: {len(failures(done))} of {len(done)} requests failed")
    # the health check needs two failures, a second each
    assert not failures(done, died + 6), failures(done, died + 6)[:3]
    until(lambda: lab.on("container-2", f"systemctl is-active {lab.UNIT}", check=False) == "active", "the host")
    assert lab.weights() == {"container-1": 100}
    lab.on("container-2", "podman start web")
    lab.registered(*lab.HOSTS)
    assert lab.role("container-1").code == 0
