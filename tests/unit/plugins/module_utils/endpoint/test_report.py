# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The report of a front end, as data and as lines."""

from __future__ import annotations

import copy

import pytest

from ansible_collections.clusterfront.ha.plugins.filter.frontend_report import FilterModule
from ansible_collections.clusterfront.ha.plugins.module_utils._endpoint import report

ENDPOINT = "k8s-api.example.com:6443"
CLOUD = {
    "load_balancer": {"id": "lb-1", "address": "192.0.2.100", "status": "active"},
    "listeners": [{"protocol": "tcp", "port": 6443, "status": "running"}],
    "backends": [
        {"server_id": "i-1", "private_ip": "192.0.2.21", "backend_port": 8888, "status": "normal"},
        {"server_id": "i-9", "private_ip": None, "backend_port": 8888, "status": "normal"},
    ],
}


def met(name, result="open", http_status=200, **facts):
    return {"name": name, "result": result, "http_status": http_status, "seconds": 0.01, "error": None, **facts}


def nodes():
    probes = [met("endpoint"), met("haproxy-1/ready"), met("master-1", tls={"version": "TLSv1.3"})]
    return [
        {
            "name": "haproxy-1",
            "address": "192.0.2.21",
            "roles": ["load_balancer"],
            "backend": True,
            "probes": [met("endpoint", "timed_out", None), met("haproxy-1/ready", "refused", None), met("master-1")],
        },
        {"name": "master-1", "address": "192.0.2.11", "roles": ["server"], "backend": False, "probes": probes},
        {
            "name": "client-1",
            "address": "192.0.2.31",
            "roles": ["other"],
            "backend": False,
            "probes": copy.deepcopy(probes[:2]),
        },
    ]


def codes(made):
    return [finding["code"] for finding in made["findings"]]


def test_a_front_end_that_is_well():
    made = report.build("prod", ENDPOINT, CLOUD, nodes())
    assert made["healthy"] and codes(made) == ["hairpin_of_proxies", "servers_ready", "endpoint_reached"]
    assert [backend["node"] for backend in made["slb"]["backends"]] == ["haproxy-1", None]
    # what a proxy says of itself does not count
    assert made["load_balancers"] == [{"name": "haproxy-1", "address": "192.0.2.21", "result": "open", "ready": True}]
    assert made["servers"] == [
        {
            "name": "master-1",
            "address": "192.0.2.11",
            "result": "open",
            "http_status": 200,
            "ready": True,
            "tls_version": "TLSv1.3",
            "certificate": {"not_after": None, "subject_alt_names": None, "days_left": None},
            "control_plane": None,
        }
    ]
    assert made["matrix"][0] == {
        "node": "haproxy-1",
        "target": "endpoint",
        "result": "timed_out",
        "http_status": None,
        "seconds": 0.01,
        "error": None,
    }
    assert len(made["matrix"]) == 8


CLOUDS = {
    "missing": (
        {"load_balancer": None, "listeners": [], "backends": []},
        "no_load_balancer",
        "The cloud has no load balancer prod",
    ),
    "inactive": (
        {**CLOUD, "load_balancer": {**CLOUD["load_balancer"], "status": "inactive"}},
        "load_balancer_inactive",
        "is inactive",
    ),
    "stopped": (
        {**CLOUD, "listeners": [{"protocol": "tcp", "port": 6443, "status": "stopped"}]},
        "listener_stopped",
        "tcp/6443 is stopped",
    ),
    "sick": (
        {**CLOUD, "backends": [CLOUD["backends"][0], {**CLOUD["backends"][1], "status": "abnormal"}]},
        "backend_abnormal",
        "i-9:8888",
    ),
}


@pytest.mark.parametrize(("cloud", "code", "words"), CLOUDS.values(), ids=CLOUDS)
def test_what_the_cloud_says(cloud, code, words):
    made = report.build("prod", ENDPOINT, cloud, nodes())
    assert codes(made)[0] == code and words in made["findings"][0]["message"] and not made["healthy"]


def test_backends_that_are_all_sick_are_for_the_matrix_to_explain():
    cloud = {**CLOUD, "backends": [{**backend, "status": "abnormal"} for backend in CLOUD["backends"]]}
    assert "backend_abnormal" not in codes(report.build("prod", ENDPOINT, cloud, nodes()))


def test_a_node_that_could_not_be_reached():
    matrix = nodes()
    matrix[1]["probes"] = None
    made = report.build("prod", ENDPOINT, CLOUD, matrix)
    assert codes(made)[0] == "node_unreached" and made["findings"][0]["nodes"] == ["master-1"] and not made["healthy"]
    assert made["servers"][0]["ready"] is False


def test_before_the_first_apiserver_nothing_is_wrong_and_nothing_is_well():
    matrix = nodes()
    for node in matrix:
        node["probes"] = [met("endpoint", "refused", None), met("master-1", "refused", None)]
    made = report.build("prod", ENDPOINT, CLOUD, matrix)
    assert codes(made) == ["no_server", "endpoint_waits"] and not made["healthy"]


def test_lines():
    shown = report.lines(report.build("prod", ENDPOINT, CLOUD, nodes()))
    assert shown[0] == f"Front end prod: {ENDPOINT} -> 192.0.2.100 (lb-1, active)"
    assert shown[1:4] == [
        "  SLB listener tcp/6443: running",
        "    backend haproxy-1 192.0.2.21:8888: normal",
        "    backend i-9 i-9:8888: normal",
    ]
    assert shown[4:6] == [
        "  balancer haproxy-1: ready",
        "  master master-1: ready; certificates: not known; etcd: not known",
    ]
    assert shown[7:11] == [
        "  from \\ to  endpoint   haproxy-1/ready  master-1",
        "  haproxy-1  timed_out  refused          200",
        "  master-1   200        200              200",
        "  client-1   200        200              -",
    ]
    assert shown[-1] == "Healthy: yes" and "  ok        All 1 apiservers are ready." in shown
    assert all(len(line) <= 120 for line in shown[:12])


NOW = 1800000000.0  # 2027-01-15


def deeper():
    """The same with what the deeper layers tell."""
    matrix = nodes()
    served = {"version": "TLSv1.3", "not_after": "2027-02-01T08:00:00Z", "subject_alt_names": ["k8s-api.example.com"]}
    for node in matrix:
        for probe in node["probes"]:
            if probe["name"] == "master-1":
                probe["tls"] = served
    matrix[0]["servers"] = [
        {"backend": backend, "server": server, "sessions": count}
        for backend, server, count in (("a", "master-1", 3), ("b", "master-1", 1), ("a", "master-2", 0))
    ]
    matrix[1]["control_plane"] = {
        "apiserver": {"livez": 200, "readyz": 500, "failed_checks": ["etcd"], "version": "v1.33.13", "error": ""},
        "certificates": [],
        "etcd": None,
        "nodes": [],
    }
    return matrix


def test_the_deeper_layers():
    made = report.build("prod", ENDPOINT, CLOUD, deeper(), now=NOW)
    assert codes(made) == [
        "apiserver_checks_fail",
        "hairpin_of_proxies",
        "certificate_ends",
        "servers_ready",
        "endpoint_reached",
    ]
    assert not made["healthy"]
    assert made["servers"][0]["certificate"]["days_left"] == 17
    assert made["servers"][0]["control_plane"]["apiserver"]["failed_checks"] == ["etcd"]
    shown = report.lines(made)
    assert shown[4:6] == [
        "  balancer haproxy-1: ready; sessions: master-1 4, master-2 0",
        "  master master-1: ready; v1.33.13; failed checks: etcd; certificates: 17 days (the one that it serves); etcd: not known",
    ]
    made = report.build("prod", ENDPOINT, CLOUD, deeper(), now=NOW, certificate_days=10)
    assert "certificate_ends" not in codes(made)


def test_sessions_that_nobody_can_tell():
    matrix = deeper()
    matrix[0]["servers"] = None
    shown = report.lines(report.build("prod", ENDPOINT, CLOUD, matrix))
    assert "  balancer haproxy-1: ready; sessions: not known" in shown
    matrix[0]["servers"] = []
    shown = report.lines(report.build("prod", ENDPOINT, CLOUD, matrix))
    assert "  balancer haproxy-1: ready; sessions: no servers" in shown


def test_other_servers_have_no_control_plane():
    made = report.build("prod", ENDPOINT, CLOUD, deeper(), kind="rancher", now=NOW)
    assert "control_plane" not in made["servers"][0] and "apiserver_checks_fail" not in codes(made)
    assert not any(line.startswith("  master ") for line in report.lines(made))


def test_lines_of_nothing():
    shown = report.lines(report.build("prod", ENDPOINT, CLOUDS["missing"][0], []))
    assert shown[0] == f"Front end prod: {ENDPOINT}" and shown[-1] == "Healthy: no"
    assert "  nothing to say" in report.lines({**report.build("prod", ENDPOINT, CLOUD, []), "findings": []})


def test_the_filters():
    filters = FilterModule().filters()
    made = filters["frontend_report"](nodes(), name="prod", endpoint=ENDPOINT, cloud=CLOUD)
    assert (
        codes(made) == codes(report.build("prod", ENDPOINT, CLOUD, nodes()))
        and filters["report_lines"](made)[-1] == "Healthy: yes"
    )


def test_what_the_user_has_chosen_is_no_problem():
    matrix = deeper()
    for node in matrix:
        if "server" in node["roles"]:
            node["backend"] = True
            node["probes"][0].update(result="timed_out", http_status=None)
    made = report.build("prod", ENDPOINT, CLOUD, matrix, now=NOW)
    assert not made["healthy"] and severity(made, "hairpin") == "problem"
    made = report.build("prod", ENDPOINT, CLOUD, matrix, now=NOW, accepted=["hairpin"])
    assert severity(made, "hairpin") == "expected"


def severity(made, code):
    return next(finding["severity"] for finding in made["findings"] if finding["code"] == code)
