# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every kind of change, on every kind of host, under load of short requests and of held streams."""

from __future__ import annotations

import re

import pytest
from balancers import ALL, CONTAINERS, LAN
from lan import new_certificate

THREE = [{"name": f"web-{number}", "address": f"198.51.100.1{number}"} for number in (1, 2, 3)]
MORE = {"web_servers": [*THREE, {"name": "web-4", "address": "198.51.100.11"}]}
FEWER = {"web_servers": THREE[:2]}
WEIGHTED = {"web_servers": [{**THREE[0], "weight": 50}, *THREE[1:]]}
WAITING = {"nginx_timeout_connect": "3s"}
#: Takes the place of the interpreter, and keeps the programs that Ansible runs, which are killed later on.
KEPT = {"ansible_python_interpreter": "/usr/local/bin/keeping-python"}


def servers(name: str) -> dict[str, int]:
    """The servers of the upstream web in the live configuration, and their weights."""
    block = LAN.configuration(name).partition("upstream web {")[2].partition("}")[0]
    lines = re.findall(r"^ *server (.*); # (\S+)$", block, re.M)
    return {server: int((re.findall(r"weight=(\d+)", line) or ["1"])[0]) for line, server in lines}


def test_changes_go_unnoticed() -> None:
    before, boxes = {name: LAN.release(name) for name in ALL}, LAN.boxes()
    renewed = LAN.there("lb-1", "lb-4")
    for name in renewed:
        new_certificate(name, "second.example.com")
    # one more server on packages, other weights in containers, another certificate on both
    changes = LAN.those_there({"lb-1": MORE, "lb-3": MORE, "lb-4": WEIGHTED, "lb-5": WEIGHTED})
    with LAN.unnoticed({name: 443 if name in renewed else 80 for name in changes}):
        run = LAN.converged(changes)
    assert run.changed == len(ALL), run.output
    assert all(LAN.release(name) != before[name] for name in ALL)
    assert {LAN.certificate(name) for name in renewed} == {"second.example.com"}
    assert all("web-4" in servers(name) for name in LAN.there("lb-1", "lb-3"))
    assert all(servers(name) == {"web-1": 50, "web-2": 1, "web-3": 1} for name in CONTAINERS)
    with LAN.unnoticed(dict.fromkeys(ALL, 80)):
        LAN.converged(dict.fromkeys(ALL, {}))
    assert "web-4" not in servers("lb-1") and servers("lb-4")["web-1"] == 1
    assert LAN.boxes() == boxes


@pytest.mark.thorough
def test_and_so_do_those_that_follow() -> None:
    boxes = LAN.boxes()
    new_certificate("lb-4", "second.example.com")
    changes = {"lb-1": FEWER, "lb-3": WAITING, "lb-4": WAITING, "lb-5": MORE}
    with LAN.unnoticed({"lb-1": 80, "lb-3": 80, "lb-4": 443, "lb-5": 80}):
        LAN.converged({name: {**variables, **KEPT} for name, variables in changes.items()})
        assert list(servers("lb-1")) == ["web-1", "web-2"]
        assert "web-4" not in servers("lb-3") and "proxy_connect_timeout 3s;" in LAN.configuration("lb-3")
        assert LAN.certificate("lb-4") == "second.example.com"
        assert "web-4" in servers("lb-5")
        LAN.converged(dict.fromkeys(ALL, KEPT))
    assert list(servers("lb-1")) == list(servers("lb-5")) == ["web-1", "web-2", "web-3"]
    assert LAN.boxes() == boxes
