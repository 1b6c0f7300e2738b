# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The inputs of a front end for Rancher: what is refused, and the document that they make."""

from __future__ import annotations

import json

import pytest
from templates import told_by_role

HOSTS = {
    "rancher": {"rancher-1": "192.0.2.11", "rancher-2": "192.0.2.12", "rancher-3": "192.0.2.13"},
    "load_balancers": {"balancer-1": "192.0.2.21", "balancer-2": "192.0.2.22"},
    "clients": {"client-1": "192.0.2.31"},
    "mixed": {"balancer-1": "192.0.2.21", "rancher-1": "192.0.2.11"},
    "nothing": {},
    "one": {"balancer-1": "192.0.2.21"},
}
BASE = {"rancher_name": "prod-rancher", "rancher_hostname": "rancher.example.com"}
WELL = {
    "balancers": {},
    "layer_7": {"rancher_layer": 7, "rancher_certificate": "/etc/ssl/rancher.pem"},
    "rke2": {"rancher_rke2": True},
    "slb": {"rancher_topology": "slb", "rancher_ingress": "traefik"},
    "slb_unknown_ingress": {"rancher_topology": "slb"},
    "slb_layer_7": {
        "rancher_topology": "slb",
        "rancher_layer": 7,
        "rancher_certificate": "/etc/ssl/rancher.pem",
        "rancher_allow": ["192.0.2.0/24"],
    },
    "public": {
        "rancher_load_balancer": {"address_type": "internet"},
        "rancher_allow": ["192.0.2.0/24", "198.51.100.7/32"],
    },
    "alone": {"rancher_topology": "balancers", "rancher_lb_group": "one", "rancher_vip": {"address": "192.0.2.100/24"}},
}
REFUSED = {
    "name": ({"rancher_name": ""}, "rancher_name is ''; it has to be 1 to 40 letters, digits, '.', '_', '/' or '-'."),
    "hostname": (
        {"rancher_hostname": "https://rancher.example.com"},
        "rancher_hostname is 'https://rancher.example.com'; it has to be a name such as rancher.example.com, without https:// and port.",
    ),
    "nobody": ({"rancher_nodes_group": "nothing"}, "The group 'nothing' (rancher_nodes_group) has no hosts"),
    "no_balancer": (
        {"rancher_lb_group": "nothing"},
        "The group 'nothing' (rancher_lb_group) has no hosts; rancher_topology slb_balancers needs a balancer",
    ),
    "node_as_balancer": (
        {"rancher_lb_group": "mixed"},
        "rancher-1 is in both groups, 'rancher' and 'mixed'; the ingress of a Rancher node has the ports of the balancer already",
    ),
    "no_address": (
        {"rancher_address_variable": "public_ip"},
        "rancher-1, rancher-2, rancher-3, balancer-1, balancer-2, client-1 has no variable public_ip (rancher_address_variable)",
    ),
    "no_certificate_at_the_slb": (
        {"rancher_layer": 7, "rancher_topology": "slb"},
        "rancher_certificate is empty, but with rancher_layer 7 TLS ends at the SLB; give it a file on the controller.",
    ),
    "no_certificate": (
        {"rancher_layer": 7},
        "rancher_certificate is empty, but with rancher_layer 7 TLS ends at the balancers",
    ),
    "address_and_slb": (
        {"rancher_vip": {"address": "192.0.2.100/24"}},
        "rancher_vip is given, but rancher_topology is slb_balancers",
    ),
}


SHOWN = {
    "document": "{{ __rancher_document }}",
    "front_end": "{{ __rancher_frontend }}",
    "presets": "{{ __rancher_presets }}",
}


@pytest.fixture(scope="module")
def made(collections_path, tmp_path_factory):
    """What the role says for each case: its document and its front end, or the sentence that refuses."""
    changes = {**WELL, **{name: change for name, (change, dummy) in REFUSED.items()}}
    cases = {name: {**BASE, **change} for name, change in changes.items()}
    return told_by_role(collections_path, tmp_path_factory.mktemp("rancher"), "rancher", HOSTS, cases, SHOWN)


@pytest.mark.parametrize("name", REFUSED)
def test_what_can_t_work_is_told(made, name):
    assert made[name].startswith(REFUSED[name][1])


def well(made, name):
    return json.loads(made[name])


def test_balancers_behind_a_private_slb(made):
    found = well(made, "balancers")
    document = found["document"]
    assert document["load_balancer"] == {"address_type": "intranet"} and "access_lists" not in document
    assert found["presets"] == ["rancher_l4"]
    assert [group["name"] for group in document["server_groups"]] == ["rancher_http", "rancher_https"]
    assert document["server_groups"][1]["backends"] == [
        {"private_ip": "192.0.2.21", "port": 443},
        {"private_ip": "192.0.2.22", "port": 443},
    ]
    https = document["listeners"][1]
    assert (https["port"], https["protocol"], https["server_group"]) == (443, "tcp", "rancher_https")
    # the balancers know more of the nodes than a connection tells
    assert https["health_check"]["uri"] == "/readyz/rancher_https" and https["health_check"]["connect_port"] == 8889
    assert "access_list" not in https


def test_who_ends_tls(made):
    found = well(made, "layer_7")
    assert found["presets"] == ["rancher_l7"]
    assert [entry["health_check"]["uri"] for entry in found["document"]["listeners"]] == ["/livez", "/readyz/rancher"]
    # behind TLS that ended, nodes are asked in plain HTTP
    node = found["front_end"]["targets"][-1]
    assert node["port"] == 80 and "tls" not in node and node["server_name"] == "rancher.example.com"


def test_the_ports_of_rke2(made):
    found = well(made, "rke2")
    assert found["presets"] == ["rancher_l4", "rke2"]
    assert [entry["port"] for entry in found["document"]["listeners"]] == [80, 443, 9345, 6443]


def test_an_slb_alone_asks_the_ingress(made):
    checks = [entry["health_check"] for entry in well(made, "slb")["document"]["listeners"]]
    assert {(check["type"], check["connect_port"], check["uri"]) for check in checks} == {("http", 80, "/ping")}
    group = well(made, "slb")["document"]["server_groups"][0]
    assert [backend["private_ip"] for backend in group["backends"]] == list(HOSTS["rancher"].values())
    assert {entry["health_check"]["type"] for entry in well(made, "slb_unknown_ingress")["document"]["listeners"]} == {
        "tcp"
    }


def test_an_slb_alone_ends_tls(made):
    document = well(made, "slb_layer_7")["document"]
    assert document["certificates"] == [
        {"name": "prod-rancher", "certificate_path": "/etc/ssl/rancher.pem", "private_key_path": "/etc/ssl/rancher.pem"}
    ]
    redirect, https = document["listeners"]
    # nothing else is possible for a redirect, not even a list
    assert redirect == {"port": 80, "protocol": "http", "forward_port": 443}
    assert (https["protocol"], https["certificate"], https["health_check"]["uri"]) == ("https", "prod-rancher", "/ping")
    assert https["access_list"]["lists"] == ["prod-rancher-clients"]
    (group,) = document["server_groups"]
    assert group["name"] == https["server_group"] and {entry["port"] for entry in group["backends"]} == {80}


def test_a_public_one_is_guarded(made):
    document = well(made, "public")["document"]
    assert document["access_lists"] == [
        {"name": "prod-rancher-clients", "entries": [{"cidr": "192.0.2.0/24"}, {"cidr": "198.51.100.7/32"}]}
    ]
    assert {json.dumps(entry["access_list"]) for entry in document["listeners"]} == {
        json.dumps({"lists": ["prod-rancher-clients"], "type": "white"})
    }
    assert document["allow_public"] is False


def test_balancers_alone_have_nothing_on_the_cloud(made):
    front_end = well(made, "alone")["front_end"]
    assert front_end["slb"] is False and front_end["backends"] == []
    assert front_end["nodes"] == ["rancher-1", "rancher-2", "rancher-3", "balancer-1", "client-1"]
    assert [target["name"] for target in front_end["targets"]] == [
        "endpoint", "balancer-1", "balancer-1/ready", "rancher-1", "rancher-2", "rancher-3",
    ]  # fmt: skip
