# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Three masters and a worker have joined through the front end, and nothing of the way there is left."""

from __future__ import annotations

import pytest
from cluster import KUBECONFIG, NODES, etcd_members, kubectl, ready_nodes
from lab import ENDPOINT, MASTERS, PROXIES, on, until


def test_the_sixth_machine_sees_all_nodes() -> None:
    until(lambda: ready_nodes() == sorted(NODES), "four nodes that are ready", 60)
    shown = kubectl("get nodes --no-headers")
    print(shown)
    assert sum("control-plane" in line for line in shown.splitlines()) == len(MASTERS)
    assert f"server: https://{ENDPOINT}:6443" in KUBECONFIG.read_text()
    assert KUBECONFIG.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", MASTERS)
def test_every_master_is_a_member_of_etcd_and_nobody_else(name) -> None:
    assert etcd_members(name) == sorted(MASTERS)


@pytest.mark.parametrize("name", NODES)
def test_nothing_of_the_way_is_left(name) -> None:
    assert on(name, "ls /run/clusterfront") == ""
    assert "hosts_init" not in on(name, "cat /etc/hosts")
    assert "doing" not in on(name, "cat /var/lib/clusterfront/kubeadm.json")


@pytest.mark.parametrize("name", PROXIES)
def test_haproxy_verifies_who_answers_its_checks(name) -> None:
    config = on(name, "cat /etc/haproxy/current/haproxy.cfg")
    assert "verify required" in config and "verifyhost kubernetes" in config


@pytest.mark.parametrize("kubeadm", ["kubeadm", pytest.param("kubeadm-1.33.4", marks=pytest.mark.thorough)])
def test_the_configuration_is_one_for_every_kubeadm_that_knows_the_format(kubeadm) -> None:
    on("master-1", f"/opt/kubernetes/{kubeadm} config validate --config /etc/kubernetes/kubeadm-config.yaml")


@pytest.mark.thorough
def test_an_older_kubeadm_says_which_format_it_does_not_know() -> None:
    said = on(
        "master-1",
        "/opt/kubernetes/kubeadm-1.30.4 config validate --config /etc/kubernetes/kubeadm-config.yaml 2>&1",
        check=False,
    )
    assert "v1beta4" in said and "not allowed" in said
