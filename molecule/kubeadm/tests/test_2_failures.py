# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A master or a HAProxy node dies while requests and a watch run: etcd keeps its quorum, and requests find another way."""

from __future__ import annotations

import subprocess
import time

import pytest
from cluster import kubectl, ready_nodes
from lab import CLIENT, RECOVERY, SANDBOX, Traffic, failures, link, podman, until


def kill(name: str) -> None:
    """Its processes are killed: peers get a reset."""
    podman("kill", f"{SANDBOX}-{name}")


def silence(name: str) -> None:
    """Its link goes down: peers get nothing."""
    link(name, up=False)


@pytest.mark.parametrize("die", [kill, silence])
@pytest.mark.parametrize("name", ["master-1", "haproxy-1"])
def test_dies_under_load(name, die, lab_restored) -> None:
    watch = subprocess.Popen(
        [
            "podman",
            "exec",
            f"{SANDBOX}-{CLIENT}",
            "kubectl",
            "--kubeconfig",
            "/etc/admin.conf",
            "get",
            "nodes",
            "--watch",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    traffic = Traffic(seconds=20, rate=10)
    time.sleep(2)
    die(name)
    dead = time.monotonic()
    requests = traffic.requests()
    failed = failures(requests)
    last = max((request["start"] - dead for request in failed), default=0.0)
    print(
        f"{name} by {die.__name__}: {len(failed)} of {len(requests)} failed, the last of them started {last:.2f}s after"
    )
    watch.terminate()
    watch.wait()
    assert not failures(requests, dead + RECOVERY)
    # a write needs etcd's quorum
    until(lambda: "probe" in kubectl("create configmap probe --dry-run=server -o name", may_fail=True), "a write", 30)
    assert len(ready_nodes()) >= 3
