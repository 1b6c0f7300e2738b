# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every kind of change, on every kind of host, under load of short requests and of held streams."""

from __future__ import annotations

import re
import time

import pytest
from balancers import ALL, LAN, PAIR, WAITING
from lab import haproxy_rows
from lan import VIP, new_certificate, on, said

FOUR = [{"name": f"web-{number}", "address": f"198.51.100.1{number}"} for number in (1, 2, 3)]
MORE = {"web_servers": [*FOUR, {"name": "web-4", "address": "198.51.100.11"}]}
WEIGHTED = {"web_servers": [{**FOUR[0], "weight": 50}, *FOUR[1:]]}


def servers(name: str) -> dict[str, str]:
    """The servers of the backend web, and their weights."""
    return {
        row["svname"]: row["weight"]
        for row in haproxy_rows(name)
        if row["pxname"] == "web" and row["svname"].startswith("web-")
    }


def test_changes_go_unnoticed() -> None:
    before, boxes = {name: LAN.release(name) for name in ALL}, LAN.boxes()
    for name in ("lb-1", "lb-5"):
        new_certificate(name, "second.example.com")
    # one more server and other weights on packages and in containers, and another certificate on both
    changes = LAN.those_there({"lb-1": {}, "lb-2": MORE, "lb-3": WAITING, "lb-4": WEIGHTED, "lb-5": WEIGHTED})
    with LAN.unnoticed({name: 443 if name in ("lb-1", "lb-5") else 80 for name in changes}):
        run = LAN.converged(changes)
    assert run.changed == len(ALL), run.output
    assert all(LAN.release(name) != before[name] for name in ALL)
    assert [LAN.certificate(name) for name in ("lb-1", "lb-5")] == ["second.example.com"] * 2
    assert "web-4" in servers("lb-2")
    assert all("timeout queue 11s" in LAN.configuration(name) for name in LAN.there("lb-3"))
    assert all(servers(name) == {"web-1": "50", "web-2": "1", "web-3": "1"} for name in LAN.containers)
    back = LAN.there("lb-2", "lb-3", "lb-4", "lb-5")
    with LAN.unnoticed(dict.fromkeys(back, 80)):
        LAN.converged(dict.fromkeys(back, {}))
    assert "web-4" not in servers("lb-2") and all(servers(name)["web-1"] == "1" for name in LAN.containers)
    assert LAN.boxes() == boxes


@pytest.mark.thorough
def test_and_so_do_those_that_follow() -> None:
    boxes = LAN.boxes()
    new_certificate("lb-4", "second.example.com")
    # the programs that Ansible runs for these are killed later on
    kept = {"ansible_python_interpreter": "/usr/local/bin/keeping-python"}
    changes = {"lb-1": WAITING, "lb-2": {}, "lb-3": WEIGHTED, "lb-4": WAITING, "lb-5": MORE}
    with LAN.unnoticed({"lb-1": 80, "lb-2": 80, "lb-3": 80, "lb-4": 443, "lb-5": 80}):
        LAN.converged({name: {**variables, **kept} for name, variables in changes.items()})
        assert "timeout queue 11s" in LAN.configuration("lb-1")
        assert "web-4" not in servers("lb-2")
        assert servers("lb-3")["web-1"] == "50"
        assert LAN.certificate("lb-4") == "second.example.com"
        assert "web-4" in servers("lb-5")
        LAN.converged(dict.fromkeys(("lb-1", "lb-3", "lb-4", "lb-5"), kept))
    assert "web-4" not in servers("lb-5")
    assert LAN.boxes() == boxes


def test_one_node_after_the_other() -> None:
    broken = {"haproxy_extra_config": "backend broken\n    balanse roundrobin\n"}
    before = [LAN.release(name) for name in PAIR]
    with LAN.unnoticed({VIP: 80}):
        run = LAN.role({name: broken for name in PAIR}, "-e", "at_once=1")
        assert "balanse roundrobin" in said(run, "lb-1")
        assert not re.search(r"^(ok|fatal|changed): \[lb-2\]", run.output, re.M), run.output
        assert [LAN.release(name) for name in PAIR] == before
        begun = time.time()
        LAN.converged({name: WAITING for name in PAIR}, "-e", "at_once=1")
    # a release is touched when the link is set to it
    first, second = (float(on(name, "find -L /etc/haproxy/current -maxdepth 0 -printf %T@")) for name in PAIR)
    assert begun < first < second
