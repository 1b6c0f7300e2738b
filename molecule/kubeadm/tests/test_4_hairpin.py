# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The private SLB straight to the masters, by a kubeadm whose init needs the endpoint: named before, explained after, and cured."""

from __future__ import annotations

import pytest
from cluster import NODES, bring_kubectl, etcd_members, on, play, ready_nodes, timed
from lab import MASTERS, until

#: An older patch level over the components of the newer one; its health check gives up sooner than after four minutes.
OLD = {
    "kube_apiserver_topology": "private_direct",
    "kubeadm_endpoint_kubeadm": "/opt/kubernetes/kubeadm-1.33.4",
    "kubeadm_endpoint_ignore_preflight_errors": ["HTTPProxyCIDR", "HTTPProxy"],
    "kubeadm_endpoint_timeouts": {"control_plane_component_health_check": "25s"},
}


@pytest.fixture(scope="module", autouse=True)
def anew() -> None:
    """Machines and cloud from nothing."""
    assert play("stop_sandbox").code == 0
    assert play("start_sandbox").code == 0


def test_the_hairpin_is_named_before_init() -> None:
    run = play("deploy_kube_apiserver", **OLD)
    assert run.code != 0
    assert (
        "Hairpin: the masters are the servers of the private SLB" in run.output and "wait-control-plane" in run.output
    )
    assert on("master-1", "ls /etc/kubernetes/manifests") == ""


def test_forced_past_it_init_fails_and_the_reason_is_said() -> None:
    run, seconds = timed(lambda: play("deploy_kube_apiserver", **OLD, kubeadm_endpoint_accept_hairpin=True))
    assert run.code != 0
    print(f"init behind the hairpin fails after {seconds:.0f}s, preparation included")
    # kubeadm names the local address, and means the endpoint
    assert "https://192.0.2.11:6443/livez" in run.output
    assert "times out from here: hairpin" in run.output
    assert on("master-1", "curl -sk https://192.0.2.11:6443/readyz") == "ok"


def test_the_cure_leads_the_name_home_while_kubeadm_runs() -> None:
    run, seconds = timed(lambda: play("deploy_kube_apiserver", **OLD, kube_apiserver_hairpin_cure="hosts_init"))
    assert run.code == 0, run.output
    print(f"private_direct with hosts_init: {seconds:.0f}s")
    bring_kubectl()
    until(lambda: ready_nodes() == sorted(NODES), "four nodes that are ready", 90)
    for name in NODES:
        assert "hosts_init" not in on(name, "cat /etc/hosts")
    assert etcd_members("master-1") == sorted(MASTERS)
