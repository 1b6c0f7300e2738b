# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A master or a HAProxy node dies while requests and a watch run: etcd keeps its quorum, and requests find another way."""

from __future__ import annotations

import subprocess
import time

import pytest
from cluster import lost_under_load
from lab import CLIENT, SANDBOX, Traffic, failures, kill, on, silence

#: When the apiserver of a machine has begun.
APISERVER_BEGAN = "stat -c %Y /proc/$(pgrep -xo kube-apiserver)"


@pytest.mark.parametrize(
    ("name", "die"),
    [
        ("master-1", kill),
        pytest.param("master-1", silence, marks=pytest.mark.thorough),
        pytest.param("haproxy-1", kill, marks=pytest.mark.thorough),
        ("haproxy-1", silence),
    ],
)
def test_dies_under_load(name, die, lab_restored) -> None:
    lost_under_load(name, die)


#: Seconds that an apiserver takes to go (it serves on for 15, so that balancers see it) and to come back.
ROLL = 60
WATCHES = 9


def test_an_apiserver_rolls_under_watches() -> None:
    """As by a change of its manifest: new requests go elsewhere before it stops, and watches end as they would at their time."""
    command = ["podman", "exec", f"{SANDBOX}-{CLIENT}", "kubectl", "--kubeconfig", "/etc/admin.conf", "get", "--raw"]
    watches = [
        subprocess.Popen(
            [*command, f"/api/v1/nodes?watch=1&timeoutSeconds={ROLL - 5}"],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )
        for dummy in range(WATCHES)
    ]  # fmt: skip
    traffic = Traffic(seconds=ROLL, rate=10)
    time.sleep(2)
    before = on("master-1", APISERVER_BEGAN)
    on(
        "master-1",
        "sed -i 's/^  annotations:/&\\n    example.com\\/rolled: \"1\"/' /etc/kubernetes/manifests/kube-apiserver.yaml",
    )
    early = 0
    began = time.monotonic()
    while time.monotonic() - began < ROLL - 15:
        early = sum(watch.poll() is not None for watch in watches)
        time.sleep(0.5)
    requests = traffic.requests()
    said = [watch.communicate(timeout=60)[1] for watch in watches]
    print(
        f"{len(failures(requests))} of {len(requests)} requests failed, {early} of {WATCHES} watches ended before their time"
    )
    assert on("master-1", APISERVER_BEGAN) != before
    assert early and all(watch.returncode == 0 for watch in watches), said
    assert not failures(requests)
