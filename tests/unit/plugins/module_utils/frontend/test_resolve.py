# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Front ends of an inventory: wherever variables stand, whatever the limit is, one of them or several."""

from __future__ import annotations

import pytest
from front_ends import ADDRESSES, DIRECT, FRESH, GROUPS, KUBEADM, NEEDED, SPECS, found

from ansible_collections.clusterfront.ha.plugins.module_utils._frontend import topologies
from ansible_collections.clusterfront.ha.plugins.module_utils._frontend.inputs import Unknown
from ansible_collections.clusterfront.ha.plugins.module_utils._frontend.run import Run, notes, refusals


def front_end(**options):
    resolved = found(**options)
    assert resolved.problems == [] and resolved.warnings == [] and resolved.unknown == []
    return resolved.front_ends[0]


def problems(**options):
    return found(**options).problems


def only(given, *names):
    """The variables of some machines, each the same."""
    return dict.fromkeys(names, given)


@pytest.mark.parametrize(
    "options",
    [
        {"play": NEEDED},
        {"play": {}, "everywhere": NEEDED},
        {"play": {}, **only(NEEDED, "m1", "m2", "m3")},
        {"play": {}, **only(NEEDED, "localhost")},
        {"play": {}, "everywhere": NEEDED, **only({"kube_apiserver_port": 6443}, "m1", "m2", "m3")},
    ],
    ids=["extra variables", "group_vars/all", "group_vars/masters", "host_vars/localhost", "two places"],
)
def test_variables_may_stand_anywhere(options):
    one = front_end(**options)
    assert [machine.name for machine in one.machines] == ["m1", "m2", "m3", "lb1", "lb2", "w1", "c1"]
    assert one.document() == front_end().document()


def test_topology_counts_wherever_it_is_written():
    written = {"kube_apiserver_topology": "node_local", "kube_apiserver_endpoint_port": "7443"}
    for options in ({"everywhere": written}, only(written, "m1", "m2", "m3"), {"play": {**NEEDED, **written}}):
        one = front_end(**options)
        assert [machine.name for machine in one.proxies] == ["m1", "m2", "m3", "w1"]
        assert one.document()["listeners"][0]["port"] == 7443


def test_a_value_that_differs_between_machines_is_refused():
    assert problems(m1={"kube_apiserver_port": 6443}, m2={"kube_apiserver_port": "6444"}) == [
        "kube_apiserver_port is 6443 on m1 and '6444' on m2, but it is the front end's, so write it once for all of them, such as in"
        " group_vars/all."
    ]
    # a machine of no front end has no say
    assert (
        front_end(everywhere=NEEDED, play={}, groups={**GROUPS, "clients": []}, c1={"kube_apiserver_port": 1})["port"]
        == 6443
    )


def test_what_the_play_says_wins():
    assert front_end(play={**NEEDED, "kube_apiserver_port": 7000}, m1={"kube_apiserver_port": 1})["port"] == 7000


def test_a_slip_is_refused_and_a_strange_name_is_told():
    assert problems(everywhere={"kube_apiserver_alow": []}) == [
        "kube_apiserver_alow is no variable of this collection; kube_apiserver_allow is meant, as it seems."
    ]
    assert problems(lb1={"haproxy_maxcon": 1}) == [
        "haproxy_maxcon is no variable of this collection; haproxy_maxconn is meant, as it seems."
    ]
    strange = {"haproxy_of_another_role": 1}
    assert found(lb1=strange, lb2=strange).warnings == [
        "haproxy_of_another_role is no variable of this collection, so nothing reads it."
    ]
    for declared in (["haproxy_of_another_role"], "haproxy_of_another_role"):
        front_end(lb1=strange, everywhere={"clusterfront_foreign_variables": declared})
    # a machine without HAProxy may have what it likes, and what a role has told in this run is its own
    front_end(m1={**strange, "kubeadm_endpoint_node": {"role": "fresh"}})


def test_a_name_has_to_be_given():
    assert problems(play={}) == [
        "kube_apiserver_name is not given; it names the front end, with 1 to 40 letters, digits, '.', '_', '/' or '-'."
    ]
    assert found(play={}, everywhere={"kube_apiserver_name": ""}).front_ends == []


def test_what_nobody_knows_yet_is_unknown_and_says_what_to_gather():
    one = found(m1={"private_ip": Unknown("no facts")})
    assert one.unknown == ["m1"] and one.front_ends == []
    assert one.problems == ["m1 has an address in private_ip that follows from facts nobody could gather."]
    two = found(everywhere={"kube_apiserver_endpoint_port": Unknown("'facts' is undefined")})
    assert two.unknown == ["m1", "m2", "m3", "lb1", "lb2", "w1", "c1"]
    assert two.problems == ["kube_apiserver_endpoint_port is not known yet: 'facts' is undefined."]
    # known somewhere is known
    assert front_end(everywhere=NEEDED, play={}, m1={"kube_apiserver_name": Unknown()}).name == "prod-api"


CLUSTERS = {"alpha_masters": ["m1"], "alpha_lb": ["lb1", "lb2"], "beta_masters": ["m2"], "beta_lb": ["c1", "w1"]}


def cluster(name):
    return {
        "kube_apiserver_name": name,
        "kube_apiserver_endpoint_name": f"{name}.example.com",
        "kube_apiserver_masters_group": f"{name}_masters",
        "kube_apiserver_lb_group": f"{name}_lb",
    }


def test_two_clusters_in_one_inventory():
    alpha, beta = only(cluster("alpha"), "m1", "lb1", "lb2"), only(cluster("beta"), "m2", "w1", "c1")
    both = found(play={}, groups=CLUSTERS, **alpha, **beta)
    assert both.problems == []
    assert [(one.name, [machine.name for machine in one.machines]) for one in both.front_ends] == [
        ("alpha", ["m1", "lb1", "lb2"]),
        ("beta", ["m2", "c1", "w1"]),
    ]
    shared = found(play={}, groups={**CLUSTERS, "beta_lb": ["lb2", "w1"]}, **alpha, **beta)
    assert shared.problems == [
        "lb2 is in a group of the front end beta, but its kube_apiserver_name is alpha; a machine is in one of them."
    ]


PUBLIC = {**NEEDED, "kube_apiserver_topology": "public"}


@pytest.mark.parametrize(
    ("given", "groups", "sentence"),
    [
        ({"kube_apiserver_endpoint_name": ""}, {}, "both have to be given"),
        ({"kube_apiserver_name": "a b"}, {}, "kube_apiserver_name is 'a b'"),
        ({"kube_apiserver_endpoint_name": "API.example.com:6443"}, {}, "it has to be a DNS name in lower case"),
        ({"kube_apiserver_endpoint_name": "2001:db8::10:6443"}, {}, "which ends like kube_apiserver_endpoint_port"),
        ({"kube_apiserver_kubernetes_version": "1.33"}, {}, "it has to be a whole version from 1.22.0 on"),
        ({"kube_apiserver_kubernetes_version": "1.21.3"}, {}, "it has to be a whole version from 1.22.0 on"),
        ({"kube_apiserver_kubernetes_version": 1.3}, {}, "so write it in quotes"),
        ({"kube_apiserver_gone": ["m9"]}, {}, "kube_apiserver_gone has m9, which the inventory does not have"),
        ({}, {"masters": ["m1", "m2"]}, "The group 'masters' has 2 hosts; etcd needs an odd number"),
        ({}, {"masters": []}, "The group 'masters' has 0 hosts; etcd needs an odd number"),
        ({}, {"load_balancers": ["lb1"]}, "The group 'load_balancers' has 1 hosts; the topology private_haproxy needs 2"),
        ({}, {"load_balancers": ["m1", "lb1"]}, "m1 is in both groups, 'masters' and 'load_balancers'"),
        ({"kube_apiserver_address_variable": "vpc_ip"}, {}, "m1, m2, m3, lb1, lb2, w1, c1 has no variable vpc_ip"),
        (PUBLIC, {}, "kube_apiserver_topology is public, but kube_apiserver_allow is empty"),
        ({"kube_apiserver_hairpin_cure": "hosts_init"}, {}, "which only the topology private_direct takes"),
        ({"kube_apiserver_topology": "node_local"}, {}, "so take another one, such as 7443"),
        ({"kube_apiserver_port": 70000}, {}, "kube_apiserver_port is 70000; a port is a number from 1 to 65535."),
    ],
)  # fmt: skip
def test_what_cannot_work_is_refused_before_anything_is_changed(given, groups, sentence):
    told = problems(play={**NEEDED, **given}, groups={**GROUPS, **groups})
    assert len(told) == 1 and sentence in told[0], told


def test_a_machine_that_is_gone_is_left_out_everywhere():
    one = front_end(play={**DIRECT, "kube_apiserver_gone": "m3"})
    assert [machine.name for machine in one.masters] == ["m1", "m2"]
    assert "192.0.2.13" not in str(one.document()) + str(one.endpoint_inputs()) + str(one.report())
    # nor is it asked for its address
    front_end(play={}, everywhere={**DIRECT, "kube_apiserver_gone": ["m3"]}, m3={"private_ip": Unknown()})


def test_the_document_of_each_topology():
    allow = {"kube_apiserver_allow": ["192.0.2.0/24"]}
    tier = front_end(play={**NEEDED, **allow, "kube_apiserver_health_check": {"interval": 3}}).document()
    assert tier["load_balancer"] == {"address_type": "intranet"}
    assert tier["server_groups"] == [
        {"name": "haproxy", "backends": [{"private_ip": f"192.0.2.{number}", "port": 8888} for number in (21, 22)]}
    ]
    assert tier["listeners"] == [
        {
            "port": 6443,
            "protocol": "tcp",
            "server_group": "haproxy",
            "access_list": {"lists": ["prod-api-clients"], "type": "white"},
            "health_check": {
                "enabled": True,
                "type": "http",
                "interval": 3,
                "timeout": 1,
                "healthy_threshold": 2,
                "unhealthy_threshold": 2,
                "connect_port": 8889,
                "uri": "/readyz",
                "http_codes": ["http_2xx"],
            },
        }
    ]
    assert tier["access_lists"] == [{"name": "prod-api-clients", "entries": [{"cidr": "192.0.2.0/24"}]}]
    direct = front_end(play=DIRECT).document()
    assert [backend["port"] for backend in direct["server_groups"][0]["backends"]] == [6443, 6443, 6443]
    assert direct["listeners"][0]["health_check"]["type"] == "tcp" and direct["access_lists"] == []
    assert front_end(play={**PUBLIC, **allow}).document()["load_balancer"] == {"address_type": "internet"}
    assert front_end(play={**NEEDED, "kube_apiserver_topology": "existing"}).document() is None


def test_openings_are_those_of_health_checks_and_clients():
    masters = ["192.0.2.11", "192.0.2.12", "192.0.2.13"]
    tier, behind = front_end().openings()
    assert tier["ports"] == [8888, 8889] and tier["sources"] == ["100.64.0.0/10", *masters, "192.0.2.31", "192.0.2.41"]
    assert behind == {"servers": masters, "ports": [6443], "sources": ["192.0.2.21", "192.0.2.22"]}
    assert len(front_end(play=DIRECT).openings()) == 1
    assert front_end(play={**NEEDED, "kube_apiserver_topology": "existing"}).openings() == []


def test_each_machine_has_its_part():
    one = front_end()
    assert one.part("m1") == {
        "front_end": "prod-api", "own_address": "192.0.2.11", "master": True, "node": True, "proxy": False, "asks": True,
        "local_address": "",
    }  # fmt: skip
    assert one.part("lb1")["proxy"] and not one.part("lb1")["asks"] and not one.part("c1")["node"]
    assert one.proxy()["program"] == "haproxy" and one.proxy()["bind_port"] == 8888
    local = {
        "kube_apiserver_topology": "node_local",
        "kube_apiserver_endpoint_port": 7443,
        "kube_apiserver_node_proxy": "nginx",
    }
    nodes = front_end(play={**NEEDED, **local})
    assert nodes.part("w1")["local_address"] == "127.0.0.1" and nodes.part("c1")["local_address"] == ""
    assert nodes.proxy()["ca_path"] == "/etc/nginx/kubernetes-ca.crt" and nodes.proxy()["bind_address"] == "127.0.0.1"
    assert nodes.roles_on("w1") == ["kubeadm_endpoint", "nginx"] and nodes.roles_on("c1") == ["kubeadm_endpoint"]
    assert front_end(play=DIRECT).program == ""


def test_the_address_of_the_endpoint_is_known_or_it_is_not():
    assert front_end().address("192.0.2.100") == "192.0.2.100"
    assert front_end().address("") is None and front_end().address(None) is None
    existing = {**NEEDED, "kube_apiserver_topology": "existing"}
    assert front_end(play=existing).address(None) == ""
    assert front_end(play={**existing, "kube_apiserver_endpoint_address": "192.0.2.9"}).address(None) == "192.0.2.9"
    assert front_end(play={**existing, "kube_apiserver_endpoint_name": "192.0.2.9"}).endpoint == "192.0.2.9:6443"


def test_what_a_report_sees():
    report = front_end(
        play={
            **DIRECT,
            "kube_apiserver_hairpin_cure": "hosts_init",
            "kube_apiserver_load_balancer": {"id": "lb-1", "spec": "s"},
        }
    ).report()
    assert report["accepted"] == ["hairpin"] and report["load_balancer"] == {"id": "lb-1"} and report["haproxies"] == []
    assert [target["name"] for target in front_end().report()["targets"]] == [
        "endpoint", "lb1", "lb1/ready", "lb2", "lb2/ready", "m1", "m2", "m3",
    ]  # fmt: skip


def test_every_topology_that_users_may_name_is_a_row():
    spec = SPECS["kube_apiserver"]
    assert set(spec["kube_apiserver_topology"]["choices"]) == set(topologies.TOPOLOGIES)
    assert tuple(spec["kube_apiserver_hairpin_cure"]["choices"]) == topologies.CURES


# Limited runs, and machines that do not answer


def run(machines=None, silent=(), controller=True, roles=None, differs=False):
    machines = list(ADDRESSES) if machines is None else machines
    return Run(machines, [name for name in machines if name not in silent], controller, roles or {}, differs)


#: A kubeadm whose init needs the endpoint.
OLD = {**DIRECT, "kube_apiserver_kubernetes_version": "1.33.4"}


@pytest.mark.parametrize(
    ("play", "found_by", "sentence"),
    [
        (NEEDED, run(), ""),
        (NEEDED, run(["lb1"]), ""),
        (NEEDED, run(silent=["m3"]), ""),
        (NEEDED, run(silent=["m2", "m3"]), "m2 and m3 of the masters do not answer, so the others are no quorum of etcd"),
        (NEEDED, run(silent=["lb1"]), ""),
        (NEEDED, run(silent=["lb1", "lb2"]), "lb1 and lb2 do not answer, which are all balancers of prod-api"),
        (KUBEADM, run(roles=FRESH), ""),
        (KUBEADM, run(silent=["m3"], roles={"m1": "fresh", "m2": "fresh"}), "m3 could not be asked, so kubeadm init might make a second"),
        (KUBEADM, run(silent=["m3"], roles={"m1": "control_plane", "m2": "fresh"}), ""),
        (KUBEADM, run(["m1"], roles=FRESH), ""),
        (OLD, run(), "Hairpin: the masters are the servers of the private SLB api.example.com:6443"),
        (OLD, run(roles={"m1": "control_plane"}), ""),
        ({**OLD, "kubeadm_endpoint_accept_hairpin": "yes"}, run(), ""),
        ({**OLD, "kube_apiserver_hairpin_cure": "hosts_init"}, run(), ""),
        (DIRECT, run(), ""),
    ],
)  # fmt: skip
def test_a_run_goes_on_where_that_is_safe(play, found_by, sentence):
    told = refusals(front_end(play=play), found_by)
    assert (len(told) == 1 and sentence in told[0]) if sentence else told == []


def test_a_run_says_who_does_not_answer_and_what_it_leaves():
    one = front_end()
    assert notes(one, run()) == []
    assert notes(one, run(silent=["m3"])) == [
        "m3 does not answer. The run goes on with the others, leaves it as it is, and ends with an error; what is dead for good is declared"
        " by kube_apiserver_gone."
    ]
    assert notes(one, run(silent=["m3", "w1"]))[0].startswith(
        "m3 and w1 do not answer. The run goes on with the others, leaves them as they are,"
    )
    assert notes(front_end(play=DIRECT), run())[0].startswith(
        "Warning: On masters nobody gets an answer from api.example.com:6443"
    )
    assert notes(one, run(["m1"], controller=False, differs=True)) == [
        "The limit leaves out m2, m3, lb1, lb2, w1 and c1; nothing is changed there.",
        "The load balancer of prod-api differs from what is wanted and stays as it is, because the limit leaves out localhost; run this with"
        " --limit localhost to change it.",
    ]
