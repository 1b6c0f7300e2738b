# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every way to the apiservers: init, two masters and a worker join through the endpoint, and the machine that is no node sees them all."""

from __future__ import annotations

import typing as t

import pytest
from cluster import NODES, Kubernetes, bring_kubectl, emptied, etcd_members, lost_under_load, play, ready_nodes, timed
from lab import CLIENT, MASTERS, kill, on, silence, until, vip

pytestmark = pytest.mark.thorough

#: Machines of the VPC reach a public SLB from the VPC's own address; the client does, too.
EGRESS = "203.0.113.2/32"
TOPOLOGIES: dict[str, dict[str, t.Any]] = {
    "public": {
        "kube_apiserver_topology": "public",
        "kube_apiserver_allow": [EGRESS],
        "kube_apiserver_load_balancer": {},
    },
    "node_local": {"kube_apiserver_topology": "node_local", "kube_apiserver_endpoint_port": 7443},
    "node_local_nginx": {
        "kube_apiserver_topology": "node_local",
        "kube_apiserver_node_proxy": "nginx",
        "kube_apiserver_endpoint_port": 7443,
    },
    "existing": {"kube_apiserver_topology": "existing"},
    "redirect_watch": {"kube_apiserver_topology": "private_direct", "kube_apiserver_hairpin_cure": "redirect_watch"},
    "hosts_init": {"kube_apiserver_topology": "private_direct", "kube_apiserver_hairpin_cure": "hosts_init"},
}


@pytest.fixture(scope="module", params=TOPOLOGIES)
def cluster(request) -> t.Iterator[Kubernetes]:
    """Machines and cloud without a cluster, and then with one."""
    wanted = {**TOPOLOGIES[request.param], "kube_apiserver_name": f"prod-{request.param.replace('_', '-')}"}
    emptied()
    # the front end of the cluster that was, whose balancers know its CA, would never be well again
    gone = play("remove_frontend")
    assert gone.code == 0, gone.output
    if request.param == "existing":
        # what somebody else runs: a front end without a cluster
        others = play("deploy_kube_apiserver", kube_apiserver_run_kubeadm=False)
        assert others.code == 0, others.output
        wanted.update(kube_apiserver_endpoint_address=vip(), kube_apiserver_name="prod-api")
    run, seconds = timed(lambda: play("deploy_kube_apiserver", **wanted))
    assert run.code == 0, run.output
    print(f"{request.param}: init, two masters and a worker in {seconds:.0f}s")
    yield Kubernetes(wanted)
    theirs = {"kube_apiserver_topology": "private_haproxy"} if request.param == "existing" else {}
    removed = play("remove_frontend", **{**wanted, **theirs})
    assert removed.code == 0, removed.output


def test_the_machine_that_is_no_node_sees_all(cluster) -> None:
    bring_kubectl()
    until(lambda: ready_nodes() == sorted(NODES), "four nodes that are ready", 90)
    assert etcd_members("master-1") == sorted(MASTERS)


def test_every_node_uses_the_endpoint(cluster) -> None:
    port = cluster.port
    # this cure leads masters home while kubeadm runs, and no longer
    for name in NODES if cluster.variables.get("kube_apiserver_hairpin_cure") != "hosts_init" else ("worker-1",):
        asked = f"curl -s -m 5 --cacert /etc/kubernetes/pki/ca.crt https://{cluster.endpoint}:{port}/readyz"
        assert on(name, asked) == "ok", name


def test_a_second_run_changes_nothing(cluster) -> None:
    run = play("deploy_kube_apiserver", **cluster.variables, kube_apiserver_trust_last_run=False)
    assert run.code == 0 and run.changed == 0, run.output
    run = play("deploy_kube_apiserver", **cluster.variables)
    assert run.code == 0 and run.changed == 0 and "so nothing was done" in run.output, run.output


def test_a_report_finds_it_well(cluster, tmp_path) -> None:
    path = str(tmp_path / "report.json")

    def well() -> bool:
        run = play("report_frontend", **cluster.variables, report_frontend_path=path)
        return run.code == 0 and "Healthy: yes" in run.output and CLIENT in run.output

    until(well, "a report that finds it well", 120)


@pytest.mark.parametrize("die", [kill, silence])
def test_a_master_is_lost(cluster, die, lab_restored) -> None:
    lost_under_load("master-1", die, CLIENT, *cluster.target)


def test_a_node_with_a_proxy_of_its_own_loses_a_master(cluster, lab_restored) -> None:
    if cluster.variables["kube_apiserver_topology"] != "node_local":
        pytest.skip("only node_local has proxies on nodes")
    lost_under_load("master-2", silence, "worker-1", "127.0.0.1", str(cluster.port), "/version")
