# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a node met before kubeadm runs, and what is said of it."""

from __future__ import annotations

import dataclasses

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.clusterfront.ha.plugins.filter.preflight_verdicts import FilterModule
from ansible_collections.clusterfront.ha.plugins.module_utils._endpoint.preflight import (
    Node,
    Way,
    differing_names,
    verdicts,
)

NAME, ADDRESS = "api.example.com", "192.0.2.100"
ENDPOINT = Way("endpoint", NAME, 6443)
MASTER = Way("apiserver", "192.0.2.11", 6443, "master-1")
PROXY = Way("load_balancer", "192.0.2.21", 8888, "haproxy-1")
PLAIN = Node("worker-1", NAME, ADDRESS)
BACKEND = dataclasses.replace(PLAIN, name="master-1", backend=True)
STOOD_IN = dataclasses.replace(PLAIN, stood_in=True)


def met(result="open", **facts):
    probe = {"result": result, "stage": "connect", "error": None, "address": ADDRESS, "http_status": None, "tls": None}
    return {**probe, "clock_skew": None, **facts}


def verdict(node, way, probe):
    (found,) = verdicts(node, [way], [probe])
    return found


def well(**facts):
    return met(http_status=200, tls={"subject_alt_names": [NAME]}, **facts)


RIGHT = {
    "refused": (PLAIN, MASTER, met("refused"), "no apiserver is ready yet"),
    "no proxy": (PLAIN, PROXY, met("refused"), "no proxy listens there yet"),
    "closed": (PLAIN, ENDPOINT, met("closed"), "closes at once"),
    "open": (PLAIN, ENDPOINT, well(), "answers with status 200"),
    "no HTTP": (PLAIN, PROXY, met(), "is open for worker-1."),
    "cured": (dataclasses.replace(BACKEND, cure="hosts_init"), ENDPOINT, met("timed_out"), "is hosts_init"),
    "forced": (dataclasses.replace(BACKEND, forced=True, stood_in=True), ENDPOINT, met("timed_out"), "the hairpin"),
    "elsewhere": (
        dataclasses.replace(PLAIN, local_address="127.0.0.1"),
        dataclasses.replace(ENDPOINT, host=ADDRESS),
        met("timed_out"),
        "uses 127.0.0.1 instead",
    ),
    "clocks": (PLAIN, MASTER, well(clock_skew=-30.0), "status 200"),
    "stand-in": (STOOD_IN, ENDPOINT, met(http_status=200, tls={"subject_alt_names": []}), "status 200"),
}


@pytest.mark.parametrize("case", RIGHT)
def test_as_it_has_to_be(case):
    node, way, probe, words = RIGHT[case]
    found = verdict(node, way, probe)
    assert found.right and words in found.text


WRONG = {
    "master silent": (PLAIN, MASTER, met("timed_out"), "let worker-1 in on TCP port 6443"),
    "no route": (PLAIN, PROXY, met("unreachable", error="No route to host"), "(No route to host): check that haproxy-1 runs"),
    "endpoint silent": (PLAIN, ENDPOINT, met("timed_out"), "check the listener"),
    "hairpin": (BACKEND, ENDPOINT, met("timed_out"), "hairpin. master-1 is a server of that load balancer"),
    "no name": (PLAIN, ENDPOINT, met("unreachable", stage="resolve"), "the name api.example.com does not resolve"),
    "firewall": (STOOD_IN, MASTER, met("refused"), "a firewall on master-1 rejects TCP port 6443"),
    "proxy without masters": (STOOD_IN, PROXY, met("closed"), "finds no master that answers"),
    "own proxy": (
        dataclasses.replace(STOOD_IN, local_address="127.0.0.1"), ENDPOINT, met("refused", address="127.0.0.1"),
        "is refused, though apiservers are stood in for",
    ),
    "unhealthy": (STOOD_IN, ENDPOINT, met("closed"), "health checks from 100.64.0.0/10"),
    "elsewhere": (PLAIN, ENDPOINT, well(address="198.51.100.1"), "leads to 198.51.100.1, but the endpoint has the address 192.0.2.100"),
    "certificate": (PLAIN, ENDPOINT, met(http_status=200, tls={"subject_alt_names": ["kubernetes"]}), "does not name api.example.com"),
    "ahead": (PLAIN, MASTER, met(http_status=200, clock_skew=400.0), "is 400 seconds ahead of that of master-1"),
    "behind": (PLAIN, MASTER, met(http_status=200, clock_skew=-31.0), "is 31 seconds behind that of master-1"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_wrong(case):
    node, way, probe, words = WRONG[case]
    found = verdict(node, way, probe)
    assert not found.right and words in found.text


def test_a_name_is_one_for_all_nodes():
    leads = {"master-1": ADDRESS, "master-2": "198.51.100.1", "worker-1": ADDRESS, "haproxy-1": "127.0.0.1", "dead": ""}
    assert "192.0.2.100 on master-1, worker-1; 198.51.100.1 on master-2" in differing_names(NAME, leads)
    assert differing_names(NAME, {**leads, "master-2": ADDRESS, "haproxy-2": "::1"}) == ""


def test_filters():
    filters = FilterModule().filters()
    ways = [dataclasses.asdict(ENDPOINT), dataclasses.asdict(MASTER)]
    targets = filters["preflight_targets"](ways, NAME)
    assert [target["name"] for target in targets] == ["endpoint", "apiserver master-1"]
    assert [target["server_name"] for target in targets] == [NAME, "192.0.2.11"]
    node = {"name": "worker-1", "endpoint_name": NAME, "stood_in": True}
    found, dummy = filters["preflight_verdicts"]([well(), met("refused")], ways, node)
    assert found == {"name": "endpoint", "result": "open", "right": True, "text": found["text"]}
    assert filters["differing_names"]({"a": "192.0.2.1", "b": "192.0.2.2"}, NAME)
    with pytest.raises(AnsibleFilterError, match="take their own words only"):
        filters["preflight_verdicts"]([well()], ways, {"name": "worker-1", "wrong": 1})
