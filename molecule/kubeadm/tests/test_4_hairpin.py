# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The private SLB straight to the masters, by a kubeadm whose init needs the endpoint: named before, explained after, and cured."""

from __future__ import annotations

import collections.abc

import pytest
from cluster import NODES, bring_kubectl, emptied, etcd_members, play, ready_nodes, timed
from lab import ENDPOINT, MASTERS, on, switch, until

# the older kubeadm is built for thorough runs alone
pytestmark = pytest.mark.thorough

#: An older patch level over the components of the newer one; its health check gives up sooner than after four minutes.
NAME = "prod-direct"
OLD = {
    "kube_apiserver_name": NAME,
    "kube_apiserver_topology": "private_direct",
    "kubeadm_endpoint_kubeadm": "/opt/kubernetes/kubeadm-1.33.4",
    "kubeadm_endpoint_ignore_preflight_errors": ["HTTPProxyCIDR", "HTTPProxy"],
    "kubeadm_endpoint_timeouts": {"control_plane_component_health_check": "25s"},
}


@pytest.fixture(scope="module", autouse=True)
def anew() -> collections.abc.Iterator[None]:
    """Machines without a cluster, and a front end of its own."""
    emptied()
    yield
    switch(hairpin="backends")
    removed = play("remove_frontend", **OLD)
    assert removed.code == 0, removed.output


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


#: One whose init needs nothing but the own apiserver, forced past the test of the ways.
NEW = {
    "kube_apiserver_name": NAME,
    "kube_apiserver_topology": "private_direct",
    "kubeadm_endpoint_accept_hairpin": True,
    "kubeadm_endpoint_timeouts": {"discovery": "20s"},
}
ASKED = 30


def answered(name: str) -> int:
    """How many of so many connections from a machine to the endpoint get an answer."""
    ask = f"curl -sk -m 2 -o /dev/null -w '%{{http_code}}\\n' https://{ENDPOINT}:6443/readyz"
    shown = on(name, f"for n in $(seq {ASKED}); do {ask}; done", check=False)
    return shown.split().count("200")


def test_a_newer_kubeadm_where_a_server_misses_itself_alone() -> None:
    """Init and joins pass; what masters ask of the endpoint later is lost whenever the SLB gives them themselves."""
    switch(hairpin="self")
    emptied()
    run, seconds = timed(lambda: play("deploy_kube_apiserver", **NEW))
    assert run.code == 0, run.output
    counts = {name: answered(name) for name in NODES}
    print(f"hairpin self: init and joins in {seconds:.0f}s; of {ASKED} connections answered: {counts}")
    assert counts["worker-1"] == ASKED
    assert all(0 < counts[name] < ASKED for name in MASTERS)


def test_a_newer_kubeadm_where_no_server_gets_an_answer() -> None:
    """Init passes; no other master can join, for it is a server as well, and the reason is said."""
    switch(hairpin="backends")
    emptied()
    run, seconds = timed(lambda: play("deploy_kube_apiserver", **NEW))
    assert run.code != 0
    assert on("master-1", "curl -sk https://192.0.2.11:6443/readyz") == "ok"
    assert "192.0.2.12" not in on(
        "master-1",
        "kubectl --kubeconfig /etc/kubernetes/super-admin.conf --server https://192.0.2.11:6443 get nodes -o wide",
    )
    assert "kubeadm join failed" in run.output and "hairpin" in run.output, run.output
    print(
        f"hairpin backends: init passes, join of the second master fails after {seconds:.0f}s in all; {answered('master-1')} answers"
    )
    assert answered("master-1") == 0
