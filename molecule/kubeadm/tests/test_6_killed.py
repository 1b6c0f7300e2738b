# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run is killed at any point of its way to a cluster: the next one ends with three masters, and nothing is left of the first."""

from __future__ import annotations

import pytest
from cluster import NODES, bring_kubectl, emptied, etcd_members, killed_at, play, ready_nodes
from lab import MASTERS, on, until

#: A task, the how manieth of its name, and the seconds that it has run.
POINTS = [
    ("rules | Look what this machine is", 1, 0.0),
    ("Bring the configuration live", 1, 0.5),
    ("config | Write the configuration", 1, 0.5),
    ("stand_in | Answer in place of the apiserver", 1, 1.0),
    ("measure | Ask every target", 1, 0.0),
    ("measure | Make room for the apiserver", 1, 0.3),
    ("init | Run kubeadm init", 1, 0.0),
    ("init | Run kubeadm init", 1, 1.5),
    ("init | Run kubeadm init", 1, 4.0),
    ("init | Run kubeadm init", 1, 8.0),
    ("init | Look what this machine is now", 1, 0.0),
    ("Wait for the health of one backend", 1, 0.0),
    ("ticket | Make what others join by", 1, 0.5),
    ("join | Run kubeadm join", 1, 1.5),
    ("join | Run kubeadm join", 1, 5.0),
    ("join | Look what this machine is now", 1, 0.0),
    ("join | Run kubeadm join", 2, 3.0),
    ("join | Run kubeadm join", 3, 0.5),
    ("join | Run kubeadm join", 3, 2.5),
    ("serving | Ask for the apiserver through the endpoint", 1, 0.0),
    ("Record how the machine is", 1, 0.3),
]


@pytest.mark.thorough
@pytest.mark.parametrize(("task", "time", "seconds"), POINTS)
def test_killed(task, time, seconds) -> None:
    emptied()
    assert killed_at(task, time, seconds), f"the run ended before {task}"
    run = play("deploy_kube_apiserver")
    assert run.code == 0, run.output
    # each of them is a cluster of its own
    bring_kubectl()
    until(lambda: ready_nodes() == sorted(NODES), "four nodes that are ready", 90)
    for name in MASTERS:
        assert etcd_members(name) == sorted(MASTERS)
    for name in NODES:
        assert "hosts_init" not in on(name, "cat /etc/hosts")
        assert (
            on(name, "systemctl is-active clusterfront-stand-in clusterfront-kubeadm", check=False)
            == "inactive\ninactive"
        )
        assert on(name, "cat /run/clusterfront/* 2>/dev/null", check=False) == ""
