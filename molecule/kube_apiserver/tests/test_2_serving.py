# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Once apiservers run: who gets through, who cannot, and how connections are spread."""

from __future__ import annotations

import collections
import json
import os
import subprocess
import sys

from lab import (
    CLIENT,
    EXAMPLE,
    MASTERS,
    PROXIES,
    ROOT,
    SANDBOX,
    Traffic,
    all_well,
    control,
    failures,
    finding,
    haproxy_rows,
    inside,
    machine,
    met,
    playbook,
    reported,
    until,
    vip,
)


def test_every_node_gets_through_but_the_backends(tmp_path) -> None:
    assert playbook("start_sandbox_apiservers").code == 0
    until(all_well, "health of all")
    report = reported(tmp_path / "report.json")
    assert {name: met(report, name)["http_status"] for name in (*MASTERS, CLIENT)} == dict.fromkeys(
        (*MASTERS, CLIENT), 200
    )
    assert {name: met(report, name)["result"] for name in PROXIES} == dict.fromkeys(PROXIES, "timed_out")
    why = finding(report, "hairpin_of_proxies")
    assert why["severity"] == "expected" and "backends" in why["message"] and set(why["nodes"]) == set(PROXIES)
    assert report["healthy"] is True, report["findings"]
    assert [backend["status"] for backend in report["slb"]["backends"]] == ["normal", "normal"]


def weigh(first: int, second: int) -> None:
    """Set the weights of the two HAProxy nodes by the module that a user would take."""
    options = {
        "load_balancer": "prod-api",
        "name": "haproxy",
        "backends": [
            {"private_ip": f"192.0.2.2{number}", "port": 8888, "weight": weight}
            for number, weight in ((1, first), (2, second))
        ],
    }
    ansible = os.path.join(os.path.dirname(sys.executable), "ansible")
    subprocess.run(
        [ansible, "localhost", "-m", "clusterfront.ha.slb_server_group", "-a", json.dumps(options)],
        check=True,
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "ANSIBLE_INVENTORY": str(EXAMPLE / "inventory.yml")},
    )
    control("POST", "wait", {"timeout": 10})


def connections(name: str) -> int:
    """How many connections the frontend of a HAProxy node has taken."""
    return sum(int(row["stot"]) for row in haproxy_rows(name) if row["svname"] == "FRONTEND" and row["mode"] == "tcp")


CONNECT = "import socket, sys\nfor dummy in range(400):\n    socket.create_connection((sys.argv[1], 6443), 3).close()\n"


def test_weights_30_and_90() -> None:
    weigh(30, 90)
    before = {name: connections(name) for name in PROXIES}
    subprocess.run(
        ["ip", "netns", "exec", f"{SANDBOX}-{CLIENT}", sys.executable, "-c", CONNECT, vip()], check=True, timeout=120
    )
    until(lambda: sum(connections(name) - before[name] for name in PROXIES) >= 400, "400 connections")
    spread = {name: connections(name) - before[name] for name in PROXIES}
    print(f"400 connections at weights 30 and 90: {spread}")
    assert spread == {"haproxy-1": 100, "haproxy-2": 300}
    weigh(100, 100)


def test_masters_share_the_load() -> None:
    requests = Traffic(seconds=3, rate=40).requests()
    assert len(requests) == 120 and not failures(requests)
    served = collections.Counter(json.loads(request["body"])["host"] for request in requests)
    assert set(served) == set(MASTERS), served


HOLD = """
import socket, ssl, sys, time
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
held = [context.wrap_socket(socket.create_connection((sys.argv[1], 6443), 5)) for dummy in range(4)]
for connection in held:
    connection.sendall(b"GET /watch?seconds=300 HTTP/1.1\\r\\nHost: kubernetes\\r\\n\\r\\n")
    connection.recv(1)
print("held", flush=True)
time.sleep(300)
"""
NOT_READY = "/run/stand-in-apiserver/not-ready"


def test_the_report_counts_sessions_and_names_failed_checks(tmp_path) -> None:
    until(all_well, "health of all")
    watches = subprocess.Popen(inside(CLIENT, sys.executable, "-c", HOLD, vip()), stdout=subprocess.PIPE, text=True)
    try:
        assert watches.stdout is not None and watches.stdout.readline() == "held\n"
        machine("master-1").run_test(f"touch {NOT_READY}")
        report = reported(tmp_path / "report.json")
    finally:
        watches.kill()
        machine("master-1").run_test(f"rm -f {NOT_READY}")
    counted = [entry["sessions"] for balancer in report["load_balancers"] for entry in balancer["servers"]]
    assert len(counted) == len(PROXIES) * len(MASTERS) and sum(counted) == 4
    assert finding(report, "apiserver_checks_fail")["message"] == (
        "The apiserver of master-1 fails its own checks: shutdown."
    )
    assert report["healthy"] is False
    until(all_well, "health of all")


def test_what_a_stand_in_does_not_know_is_no_finding(tmp_path) -> None:
    report = reported(tmp_path / "report.json", "-e", "report_frontend_certificate_days=3000")
    for server in report["servers"]:
        layers = server["control_plane"]
        assert (layers["apiserver"]["livez"], layers["apiserver"]["readyz"]) == (200, 200)
        assert layers["apiserver"]["version"].startswith("v1.")
        assert (layers["etcd"], layers["certificates"], layers["nodes"]) == (None, [], [])
        assert server["certificate"]["days_left"] > 3000
    assert report["healthy"] is True, report["findings"]


def test_the_report_finds_certificates_that_end_and_names_that_are_missing(tmp_path) -> None:
    arguments = ("-e", "report_frontend_certificate_days=4000", "-e", "kube_apiserver_endpoint_name=other.example.com")
    report = reported(tmp_path / "report.json", *arguments)
    ending = [entry for entry in report["findings"] if entry["code"] == "certificate_ends"]
    assert [entry["nodes"] for entry in ending] == [[name] for name in MASTERS]
    assert {entry["severity"] for entry in ending} == {"expected"}
    missing = finding(report, "certificate_lacks_name")
    assert "does not have the name other.example.com" in missing["message"] and missing["nodes"] == list(MASTERS)
