# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The front end as it was deployed: every way through it, and what is refused before anything is changed."""

from __future__ import annotations

import collections
import subprocess

import pytest
from front_end import BALANCERS, NODES, deployed, refused, reported
from lab import CLIENT, Traffic, failures, finding, inside, machine, met, until, vip


def test_everything_is_reached(tmp_path) -> None:
    until(lambda: reported(tmp_path / "report.json")["healthy"], "a healthy report")
    report = reported(tmp_path / "report.json")
    for name in (*NODES, CLIENT):
        assert met(report, name)["http_status"] == 200
    # the balancers are the SLB's own backends
    assert finding(report, "hairpin_of_proxies")["nodes"] == list(BALANCERS)
    assert {entry["ready"] for entry in report["load_balancers"]} == {True}


@pytest.mark.parametrize(("port", "options"), [("443", ()), ("80", ("--plain",))])
def test_every_node_gets_its_share(port, options) -> None:
    requests = Traffic(3, CLIENT, 40, vip("prod-rancher"), port, "/", *options).requests()
    assert not failures(requests), failures(requests)[:3]
    shares = collections.Counter(request["body"] for request in requests)
    assert set(shares) == set(NODES) and min(shares.values()) >= 20, shares


def test_a_rancher_node_is_no_balancer() -> None:
    refused(
        "rancher-1, rancher-2, rancher-3 is in both groups, 'rancher' and 'rancher'; the ingress of a Rancher node has the ports of the"
        " balancer already",
        rancher_lb_group="rancher",
    )


def test_a_port_that_somebody_has_is_named() -> None:
    taker = subprocess.Popen(
        inside("balancer-1", "python3", "-SBm", "http.server", "9345"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until(lambda: machine("balancer-1").socket("tcp://0.0.0.0:9345").is_listening, "the foreign server")
        before = machine("balancer-2").file("/etc/nginx/current").linked_to
        refused("port 9345 is in use by", rancher_rke2=True)
        # the other one comes after it, and was not touched
        assert machine("balancer-2").file("/etc/nginx/current").linked_to == before
    finally:
        taker.kill()
        taker.wait()
    assert deployed().changed == 0
    requests = Traffic(1, CLIENT, 20, vip("prod-rancher"), "443", "/").requests()
    assert not failures(requests)
