# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The inputs of an SLB in front of ingress nodes: what is refused, the document that they make, and what a controller is told."""

from __future__ import annotations

import json

import pytest
from templates import told_by_role

HOSTS = {
    "ingress": {"ingress-1": "192.0.2.61", "ingress-2": "192.0.2.62"},
    "clients": {"client-1": "192.0.2.31"},
    "nothing": {},
}
SITE = {"name": "echo", "hosts": ["echo.example.com"], "group": "clients", "backend_port": 8080}
NGINX = {
    "ingress_frontend_controller": "nginx",
    "ingress_frontend_sites": [SITE],
    "ingress_frontend_certificate": "/etc/ssl/ingress.pem",
}
LAYER_7 = {"ingress_frontend_layer": 7, "ingress_frontend_certificate": "/etc/ssl/front.pem"}
OTHER = {
    "ingress_frontend_controller": "other",
    "ingress_frontend_health_port": 9000,
    "ingress_frontend_health_path": "/ready",
}
RENDERED = {"ingress_frontend_manifests_path": "/nonexistent/manifests.yml"}
BASE = {"ingress_frontend_name": "prod/ingress", "ingress_frontend_hostname": "echo.example.com"}
WELL = {
    "traefik": {"ingress_frontend_class": "nginx-1"},
    "traefik_layer_7": LAYER_7,
    "ingress_nginx": {"ingress_frontend_controller": "ingress_nginx", "ingress_frontend_layer": 4},
    "ingress_nginx_layer_7": {"ingress_frontend_controller": "ingress_nginx", **LAYER_7},
    "other": OTHER,
    "nginx": {**NGINX, "ingress_frontend_drained": ["ingress-2"]},
    "nginx_layer_7": {**NGINX, **LAYER_7},
    "guarded": {"ingress_frontend_load_balancer": {"address_type": "internet"}, "ingress_frontend_allow": ["198.51.100.0/24"]},
}  # fmt: skip
REFUSED = {
    "name": ({"ingress_frontend_name": ""}, "ingress_frontend_name is ''; it has to be 1 to 40 letters,"),
    "hostname": (
        {"ingress_frontend_hostname": "https://x"},
        "ingress_frontend_hostname is 'https://x'; it has to be a name such as www.example.com, without https:// and port.",
    ),
    "nobody": (
        {"ingress_frontend_nodes_group": "nothing"},
        "The group 'nothing' (ingress_frontend_nodes_group) has no hosts; it has to hold the ingress nodes.",
    ),
    "address": (
        {"ingress_frontend_address_variable": "public_ip"},
        "ingress-1, ingress-2, client-1 has no variable public_ip (ingress_frontend_address_variable) in the inventory",
    ),
    "port": (
        {"ingress_frontend_https_port": 0},
        "ingress_frontend_https_port is 0; a port is a number from 1 to 65535.",
    ),
    "drained": (
        {"ingress_frontend_drained": ["ingress-9"]},
        "ingress_frontend_drained has ingress-9, which the group 'ingress' lacks; it has ingress-1, ingress-2.",
    ),
    "all_drained": (
        {"ingress_frontend_drained": ["ingress-1", "ingress-2"]},
        "ingress_frontend_drained has all nodes, and nobody would be left to serve; drain some of them.",
    ),
    "patience": (
        {"ingress_frontend_drain_timeout": 5},
        "ingress_frontend_drain_timeout is 5; it has to be 10 to 900 seconds, as the cloud has it.",
    ),
    "certificate_at_the_slb": (
        {"ingress_frontend_layer": 7},
        "ingress_frontend_certificate is empty, but with ingress_frontend_layer 7 TLS ends at the SLB; give it a file on the controller.",
    ),
    "certificate_on_nodes": (
        {**NGINX, "ingress_frontend_certificate": ""},
        "ingress_frontend_certificate is empty, but nginx ends TLS on the nodes; give it a file on them.",
    ),
    "no_sites": (
        {**NGINX, "ingress_frontend_sites": []},
        "ingress_frontend_sites is empty, so nginx has nothing to serve; give it a list of name, hosts and servers.",
    ),
    "sites_for_a_controller": (
        {"ingress_frontend_sites": [SITE]},
        "ingress_frontend_sites are given, but ingress_frontend_controller is traefik, which reads objects of kind Ingress",
    ),
    "a_site": (
        {**NGINX, "ingress_frontend_sites": [{**SITE, "hosts": []}]},
        "ingress_frontend_sites: 'echo' has no hosts; give the names that clients ask for.",
    ),
    "a_listen": (
        {**NGINX, "ingress_frontend_sites": [{**SITE, "limit_rate": "fast"}]},
        "ingress_frontend_sites: 'echo' has limit_rate 'fast'; it has to be bytes a second, such as 512k or 2m.",
    ),
    "what_nginx_lacks": (
        {**NGINX, "ingress_frontend_sites": [{**SITE, "slowstart": "5s"}]},
        "ingress_frontend_sites: 'echo' has slowstart, which nginx has in its commercial version only; leave it out.",
    ),
    "no_image": (
        {"ingress_frontend_controller": "ingress_nginx", **RENDERED},
        "ingress_frontend_image is empty; give the image of ingress_nginx from a registry of yours, for nobody mends the retired one.",
    ),
    "no_class_controller": (
        {**OTHER, **RENDERED, "ingress_frontend_image": "example.com/x:1"},
        "ingress_frontend_class_controller is empty; give what the controller wants to be called in an IngressClass",
    ),
    "no_health": (
        {"ingress_frontend_controller": "other"},
        "ingress_frontend_health_port and ingress_frontend_health_path are not both given; ingress_frontend_controller other needs them",
    ),
    "manifests_of_nginx": (
        {**NGINX, **RENDERED},
        "ingress_frontend_manifests_path or ingress_frontend_apply is given, but ingress_frontend_controller is nginx, which needs no Kubernetes",
    ),
    "node_name": (
        {"ingress_frontend_node_name_variable": "node_name"},
        "ingress-1, ingress-2 has no variable node_name (ingress_frontend_node_name_variable) in the inventory",
    ),
}
SHOWN = {
    "document": "{{ __ingress_frontend_document }}",
    "front_end": "{{ __ingress_frontend_frontend }}",
    "arguments": "{{ __ingress_frontend_arguments[ingress_frontend_controller] | default([]) }}",
    "settings": "{{ __ingress_frontend_settings }}",
    "listens": "{{ __ingress_frontend_listens if ingress_frontend_sites else [] }}",
}


@pytest.fixture(scope="module")
def made(collections_path, tmp_path_factory):
    """What the role says for each case, or the sentence that refuses."""
    changes = {**WELL, **{name: change for name, (change, dummy) in REFUSED.items()}}
    cases = {name: {**BASE, **change} for name, change in changes.items()}
    directory = tmp_path_factory.mktemp("ingress_frontend")
    return told_by_role(collections_path, directory, "ingress_frontend", HOSTS, cases, SHOWN)


@pytest.mark.parametrize("name", REFUSED)
def test_what_can_t_work_is_told(made, name):
    assert made[name].startswith(REFUSED[name][1]), made[name]


def well(made, name):
    return json.loads(made[name])


@pytest.mark.parametrize(
    ("name", "port", "path"),
    [
        ("traefik", 8080, "/ping"),
        ("ingress_nginx", 10254, "/healthz"),
        ("other", 9000, "/ready"),
        ("nginx", 8889, "/livez"),
    ],
)
def test_connections_are_passed_on(made, name, port, path):
    document = well(made, name)["document"]
    assert document["load_balancer"] == {"address_type": "intranet"} and "certificates" not in document
    assert [(entry["port"], entry["protocol"], entry["server_group"]) for entry in document["listeners"]] == [
        (80, "tcp", "ingress_http"),
        (443, "tcp", "ingress_https"),
    ]
    for listener in document["listeners"]:
        check = listener["health_check"]
        assert (check["type"], check["connect_port"], check["uri"]) == ("http", port, path)
        assert listener["connection_drain"] and listener["connection_drain_timeout"] == 300


def test_a_node_that_is_drained_stays_without_a_share(made):
    for group in well(made, "nginx")["document"]["server_groups"]:
        assert [(entry["private_ip"], entry["weight"]) for entry in group["backends"]] == [
            ("192.0.2.61", 100),
            ("192.0.2.62", 0),
        ]


@pytest.mark.parametrize("name", ["traefik_layer_7", "ingress_nginx_layer_7", "nginx_layer_7"])
def test_tls_ends_at_the_slb(made, name):
    document = well(made, name)["document"]
    assert document["certificates"] == [
        {"name": "prod-ingress", "certificate_path": "/etc/ssl/front.pem", "private_key_path": "/etc/ssl/front.pem"}
    ]
    redirect, https = document["listeners"]
    assert redirect == {"port": 80, "protocol": "http", "forward_port": 443}
    assert (https["port"], https["protocol"], https["server_group"]) == (443, "https", "ingress_http")
    (group,) = document["server_groups"]
    assert {entry["port"] for entry in group["backends"]} == {80}


def test_whom_a_controller_believes(made):
    believed = "--entrypoints.web.forwardedheaders.trustedips=100.64.0.0/10"
    assert believed in well(made, "traefik_layer_7")["arguments"]
    arguments = well(made, "traefik")["arguments"]
    assert believed not in arguments and "--entrypoints.web.http.redirections.entrypoint.to=:443" in arguments
    assert "--providers.kubernetesingress.ingressclass=nginx-1" in arguments
    assert well(made, "ingress_nginx_layer_7")["settings"]["proxy-real-ip-cidr"] == "100.64.0.0/10"
    assert well(made, "ingress_nginx")["settings"] == {"worker-shutdown-timeout": "300s"}
    listens = well(made, "nginx_layer_7")["listens"]
    assert listens[1]["trusted_proxies"] == ["100.64.0.0/10"] and "tls" not in listens[1]
    assert [listen["name"] for listen in well(made, "nginx")["listens"]] == [
        "nobody_http",
        "nobody_https",
        "echo",
        "echo_http",
    ]


def test_a_public_one_is_guarded(made):
    document = well(made, "guarded")["document"]
    assert document["access_lists"] == [{"name": "prod-ingress-clients", "entries": [{"cidr": "198.51.100.0/24"}]}]
    assert {json.dumps(entry["access_list"]) for entry in document["listeners"]} == {
        json.dumps({"lists": ["prod-ingress-clients"], "type": "white"})
    }


def test_what_a_report_asks(made):
    front_end = well(made, "nginx")["front_end"]
    assert front_end["backends"] == front_end["servers"] == ["ingress-1", "ingress-2"]
    assert front_end["nodes"] == ["ingress-1", "ingress-2", "client-1"]
    assert front_end["lock_directory"].endswith("/.ansible/clusterfront")
    assert front_end["targets"][1:] == [
        {"name": f"ingress-{number}", "host": f"192.0.2.6{number}", "port": 8889, "path": "/livez"} for number in (1, 2)
    ]
