# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine is lost and comes back with nothing, and runs are killed: the next run ends with three masters and no remnants."""

from __future__ import annotations

import pytest
from cluster import EMPTY, NODES, emptied, etcd_members, killed_at, on, play, ready_nodes
from lab import MASTERS, until


def whole() -> None:
    until(lambda: ready_nodes() == sorted(NODES), "four nodes that are ready", 90)
    assert etcd_members("master-2") == sorted(MASTERS)
    for name in NODES:
        assert "hosts_init" not in on(name, "cat /etc/hosts")


@pytest.mark.parametrize("name", ["master-1", pytest.param("worker-1", marks=pytest.mark.thorough)])
def test_a_machine_that_was_made_anew_joins_again(name) -> None:
    # the first master is none that is special: it joins like any other
    emptied([name])
    run = play("deploy_kube_apiserver")
    assert run.code == 0, run.output
    whole()
    assert "join" in on(name, "cat /var/lib/clusterfront/kubeadm.json")


@pytest.mark.thorough
def test_a_join_that_was_cut_off_is_begun_again() -> None:
    """As after a power cut in the middle: kubeadm has begun, and what there is of it is not whole."""
    on(
        "master-3",
        f"{EMPTY}; mkdir -p /var/lib/clusterfront /etc/kubernetes/manifests; touch /etc/kubernetes/manifests/etcd.yaml",
    )
    on("master-3", "echo '{\"doing\": \"join\"}' > /var/lib/clusterfront/kubeadm.json")
    run = play("deploy_kube_apiserver")
    assert run.code == 0, run.output
    whole()


@pytest.mark.thorough
@pytest.mark.parametrize("seconds", [0.5, 4.0])
def test_a_run_that_was_killed_is_completed(seconds) -> None:
    """Where it hurts most; test_6_killed has every point."""
    emptied(["master-3"])
    assert killed_at("join | Run kubeadm join", 1, seconds)
    run = play("deploy_kube_apiserver")
    assert run.code == 0, run.output
    whole()
