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
