# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What happens to clients while the front end is changed, and while a Rancher node is lost."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest
from front_end import NODES, deployed, refused
from lab import CLIENT, RECOVERY, Traffic, failures, inside, link, machine, until, vip

HOLD = "import ssl,sys,http.client; c=http.client.HTTPSConnection(sys.argv[1], 443, context=ssl._create_unverified_context()); "
HOLD += "c.request('GET', '/watch?seconds=' + sys.argv[2]); print(c.getresponse().read().decode())"


def held(seconds: float) -> subprocess.Popen[str]:
    """A stream that is silent for so long."""
    return subprocess.Popen(
        inside(CLIENT, sys.executable, "-SBc", HOLD, vip("prod-rancher"), str(seconds)),
        stdout=subprocess.PIPE,
        text=True,
    )


def test_two_more_ports_under_load() -> None:
    before = machine("balancer-1").file("/etc/nginx/current").linked_to
    traffic = Traffic(120, CLIENT, 20, vip("prod-rancher"), "443", "/")
    stream = held(25)
    try:
        run = deployed(rancher_rke2=True)
    finally:
        requests = traffic.stop()
    print(f"both balancers changed: {len(failures(requests))} of {len(requests)} requests failed")
    assert run.changed > 0 and machine("balancer-1").file("/etc/nginx/current").linked_to != before
    assert len(requests) > 100 and not failures(requests), failures(requests)[:5]
    # an old worker serves its streams to their end
    assert stream.communicate(timeout=60)[0].strip() == "12"
    until(lambda: not failures(Traffic(0.5, CLIENT, 10, vip("prod-rancher"), "9345", "/").requests()), "port 9345")


def test_what_is_broken_does_not_go_live() -> None:
    before = machine("balancer-1").file("/etc/nginx/current").linked_to
    traffic = Traffic(120, CLIENT, 20, vip("prod-rancher"), "443", "/")
    refused("no_such_directive", rancher_rke2=True, nginx_extra_stream="no_such_directive on;")
    requests = traffic.stop()
    assert not failures(requests), failures(requests)[:5]
    assert machine("balancer-1").file("/etc/nginx/current").linked_to == before


@pytest.mark.thorough
def test_a_node_goes_silent(links_restored) -> None:
    traffic = Traffic(16, CLIENT, 20, vip("prod-rancher"), "443", "/")
    time.sleep(2)
    link(NODES[0], up=False)
    silent = time.monotonic()
    requests = traffic.requests()
    # who was in the midst of a request with that node can't be helped
    since = [request for request in requests if request["start"] > silent]
    late = [request for request in requests if request["start"] > silent + RECOVERY]
    slowest = max(request["seconds"] for request in since)
    print(
        f"{NODES[0]} silent: {len(failures(requests))} of {len(requests)} failed; slowest {slowest:.2f}s, later {max(r['seconds'] for r in late):.2f}s"
    )
    # nginx tries another node after its connect timeout, and then avoids the silent one
    assert not failures(since), failures(since)[:5]
    assert len(failures(requests)) <= 1 and slowest < 4
