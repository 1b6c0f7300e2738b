# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The rules that turn a matrix of probes into findings."""

from __future__ import annotations

import pytest

from ansible_collections.clusterfront.ha.plugins.module_utils._endpoint.diagnosis import (
    EXPECTED,
    OK,
    PROBLEM,
    SERVICES,
    Node,
    diagnose,
)

ENDPOINT = "k8s-api.example.com:6443"


def masters(endpoint="open", local="open", endpoint_status=200, local_status=200, backend=False):
    return [
        Node(
            f"master-{number}",
            endpoint,
            endpoint_status if endpoint == "open" else None,
            local,
            local_status if local == "open" else None,
            backend,
        )
        for number in (1, 2, 3)
    ]


def proxies(endpoint="timed_out", status=None):
    return [Node(f"haproxy-{number}", endpoint, status, backend=True) for number in (1, 2)]


CLIENT = Node("client-1", "open", 200)

MATRICES = {
    "all is well": ([*masters(), CLIENT], [("servers_ready", OK), ("endpoint_reached", OK)]),
    "proxies are backends, so they time out": (
        [*masters(), *proxies(), CLIENT],
        [("hairpin_of_proxies", EXPECTED), ("servers_ready", OK), ("endpoint_reached", OK)],
    ),
    "before init, refused": (
        [*masters("refused", "refused"), Node("client-1", "refused")],
        [("no_server", EXPECTED), ("endpoint_waits", EXPECTED)],
    ),
    "before init, closed, and proxies that time out": (
        [*masters("closed", "refused"), *proxies()],
        [("no_server", EXPECTED), ("hairpin_of_proxies", EXPECTED), ("endpoint_waits", EXPECTED)],
    ),
    "before init, the port is filtered": (
        [*masters("timed_out", "refused"), Node("client-1", "timed_out")],
        [("endpoint_timed_out", PROBLEM), ("no_server", EXPECTED)],
    ),
    "hairpin of the masters": (
        [*masters("timed_out", backend=True), CLIENT],
        [("hairpin", PROBLEM), ("servers_ready", OK), ("endpoint_reached", OK)],
    ),
    "one node that is no backend is shut out": (
        [*masters(), Node("worker-1", "timed_out")],
        [("endpoint_timed_out", PROBLEM), ("servers_ready", OK)],
    ),
    "the name does not resolve": (
        [*masters(), Node("worker-1", "unreachable")],
        [("endpoint_unreachable", PROBLEM), ("servers_ready", OK)],
    ),
    "apiservers are ready, but the endpoint refuses": (
        [*masters("refused"), Node("client-1", "open", 503)],
        [("endpoint_fails", PROBLEM), ("servers_ready", OK)],
    ),
    "something else answers": (
        [*masters(), Node("client-1", "open")],
        [("endpoint_fails", PROBLEM), ("servers_ready", OK)],
    ),
    "all apiservers run, none is ready": (
        masters("closed", "open", local_status=500),
        [("server_not_ready", PROBLEM), ("endpoint_waits", EXPECTED)],
    ),
    "one apiserver is down": (
        [*masters()[:2], Node("master-3", "open", 200, "refused")],
        [("server_not_ready", PROBLEM), ("endpoint_reached", OK)],
    ),
    "no masters": ([CLIENT], [("endpoint_reached", OK)]),
    "nobody": ([], []),
}


@pytest.mark.parametrize(("nodes", "expected"), MATRICES.values(), ids=MATRICES)
def test_matrices(nodes, expected):
    assert [
        (finding.code, finding.severity) for finding in diagnose(nodes, ENDPOINT, SERVICES["kube_apiserver"])
    ] == expected


def finding(name, code):
    return next(
        found for found in diagnose(MATRICES[name][0], ENDPOINT, SERVICES["kube_apiserver"]) if found.code == code
    )


def test_the_hairpin_is_one_sentence_with_its_cures():
    found = finding("hairpin of the masters", "hairpin")
    assert found.nodes == ("master-1", "master-2", "master-3")
    for word in ("Hairpin", ENDPOINT, "private_haproxy", "node_local", "public", "hosts_init", "redirect_watch"):
        assert word in found.message
    assert found.message.count(". ") == 0 and found.message.endswith(".")


def test_a_silent_endpoint_names_what_to_check():
    found = finding("before init, the port is filtered", "endpoint_timed_out")
    assert found.message.startswith(f"Every node times out on {ENDPOINT}") and "100.64.0.0/10" in found.message
    assert finding("one node that is no backend is shut out", "endpoint_timed_out").message.startswith(
        "worker-1 times out"
    )


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (
            "apiservers are ready, but the endpoint refuses",
            "master-1: refused; master-2: refused; master-3: refused; client-1: answers 503",
        ),
        ("something else answers", "client-1: answers something that is not HTTP"),
    ],
)
def test_what_an_endpoint_that_fails_does_instead(name, words):
    assert words in finding(name, "endpoint_fails").message


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("all apiservers run, none is ready", "3 of 3 apiservers are not ready (master-1: answers 500;"),
        ("one apiserver is down", "1 of 3 apiservers are not ready (master-3: port refused)"),
    ],
)
def test_apiservers_that_are_not_ready(name, words):
    assert words in finding(name, "server_not_ready").message
