# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A HAProxy node or a master dies under load, by reset and by silence: four seconds later nobody notices any more."""

from __future__ import annotations

import time

import pytest
from lab import RECOVERY, SANDBOX, Traffic, all_well, failures, link, podman, until


def kill(name: str) -> None:
    """Its processes are killed: peers get a reset."""
    podman("kill", f"{SANDBOX}-{name}")


def silence(name: str) -> None:
    """Its link goes down: peers get nothing."""
    link(name, up=False)


@pytest.mark.parametrize("die", [kill, silence])
@pytest.mark.parametrize("name", ["haproxy-1", "master-1"])
def test_dies_under_load(name, die, lab_restored) -> None:
    until(all_well, "health of all")
    traffic = Traffic(seconds=14)
    time.sleep(2)
    die(name)
    dead = time.monotonic()
    requests = traffic.requests()
    failed = failures(requests)
    last = max((request["start"] - dead for request in failed), default=0.0)
    slowest = max(request["seconds"] for request in requests)
    print(
        f"{name} by {die.__name__}: {len(failed)} of {len(requests)} failed, the last of them started {last:.2f}s after; slowest {slowest:.2f}s"
    )
    assert len(requests) == 280
    assert not failures(requests, since=dead + RECOVERY), failed
