# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine is lost and comes back with nothing, and runs are killed: the next run ends with three masters and no remnants."""

from __future__ import annotations

import pytest
from cluster import EMPTY, NODES, emptied, etcd_members, killed_at, play, ready_nodes, timed
from lab import MASTERS, on, until


def whole() -> None:
    until(lambda: ready_nodes() == sorted(NODES), "four nodes that are ready", 90)
    assert etcd_members("master-2") == sorted(MASTERS)
    for name in NODES:
        assert "hosts_init" not in on(name, "cat /etc/hosts")


def test_a_run_with_nothing_to_do_ends_early() -> None:
    assert play("deploy_kube_apiserver").code == 0
    run = play("deploy_kube_apiserver")
    assert run.code == 0 and run.changed == 0 and "so nothing was done" in run.output, run.output


# it measures, and in the gate other stages have the machine as well
@pytest.mark.thorough
def test_a_run_with_nothing_to_do_costs_three_looks_at_most(tmp_path) -> None:
    """Against a play that gathers the facts of the same machines, each at its best: others use the machine too."""
    gather = tmp_path / "gather.yml"
    gather.write_text("- hosts: all\n  gather_facts: true\n")
    looks, runs = [], []
    while len(runs) < 6 and (len(runs) < 2 or min(runs) > 3 * min(looks)):
        run, seconds = timed(lambda: play(gather))
        assert run.code == 0, run.output
        looks.append(seconds)
        run, seconds = timed(lambda: play("deploy_kube_apiserver"))
        assert run.code == 0 and run.changed == 0 and "so nothing was done" in run.output, run.output
        runs.append(seconds)
    best, look = min(runs), min(looks)
    print(f"nothing to do: {best:.1f} s, which is {best / look:.1f} times the {look:.1f} s of gathering facts")
    assert best <= 3 * look


@pytest.mark.thorough
def test_an_apiserver_that_hangs_makes_a_run_a_whole_one() -> None:
    """No file and no unit is different, and still not all is well."""
    on("master-3", "pkill -STOP -x kube-apiserver")
    try:
        run = play("deploy_kube_apiserver")
    finally:
        on("master-3", "pkill -CONT -x kube-apiserver")
    assert run.code != 0 and "so nothing was done" not in run.output, run.output
    assert "master-3 is control_plane, its apiserver is not ready" in run.output
    until(lambda: play("deploy_kube_apiserver").code == 0, "a run that goes well", 120)


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
