# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nodes that are worked on, that leave, and that come: clients notice nothing."""

from __future__ import annotations

import concurrent.futures
import time
import typing as t

import pytest
from edge import NODES, all_well, deployed, run, states, traffic
from lab import control, failures, machine, until

FIRST, SECOND = NODES


def served_by(name: str, since: str) -> int:
    """Requests for the application that a node has logged since a time."""
    log = machine(name).run(f"journalctl -t nginx --since '{since}' --no-pager -q")
    return sum('"GET / ' in line for line in log.stdout.splitlines())


def now(name: str) -> str:
    return str(machine(name).run("date '+%F %T'").stdout.strip())


@pytest.fixture(autouse=True)
def whole() -> t.Iterator[None]:
    """Every test begins and ends with both nodes well."""
    until(all_well, "health of all nodes")
    yield
    machine(SECOND).run("systemctl start nginx")
    if not all_well() or "weight=0" in str(states()):
        deployed()


def test_a_node_is_drained_and_stopped_under_load(services_restored) -> None:
    load = traffic(600)
    held = traffic(3, 4, "/hold?seconds=12", "--timeout", "30")
    time.sleep(3)
    begin = time.monotonic()
    run_ = deployed(ingress_frontend_drained=[SECOND])
    took = time.monotonic() - begin
    since = now(SECOND)
    time.sleep(3)
    silent = served_by(SECOND, since)
    machine(SECOND).run("systemctl stop nginx")
    time.sleep(5)
    machine(SECOND).run("systemctl start nginx")
    assert run_.changed == 1 and deployed(ingress_frontend_drained=[SECOND]).changed == 0
    deployed()
    since = now(SECOND)
    time.sleep(3)
    back = served_by(SECOND, since)
    requests, streams = load.stop(), held.requests()
    print(f"{SECOND} drained in {took:.0f}s, stopped, started and back: {len(failures(requests))} of {len(requests)} requests failed, "
          f"{len(failures(streams))} of {len(streams)} streams were cut; it served {silent} while drained, {back} afterwards")  # fmt: skip
    assert len(requests) > 300 and not failures(requests), failures(requests)[:5]
    assert streams and not failures(streams), failures(streams)[:5]
    assert silent == 0 and back > 0


def test_a_node_leaves_and_comes_back_under_load() -> None:
    load = traffic(600)
    held = traffic(2, 4, "/hold?seconds=10", "--timeout", "30")
    time.sleep(2)
    predicted = run("deploy_ingress_frontend", ingress_frontend_nodes_group="remaining")
    assert predicted.code == 0, predicted.output
    assert set(states()) == {FIRST}
    # nobody is there any more whom it could fail
    machine(SECOND).run("systemctl stop nginx")
    time.sleep(3)
    machine(SECOND).run("systemctl start nginx")
    deployed()
    until(all_well, "health of all nodes")
    requests, streams = load.stop(), held.requests()
    print(
        f"{SECOND} left and came back: {len(failures(requests))} of {len(requests)} requests failed,"
        f" {len(failures(streams))} of {len(streams)} streams were cut"
    )
    assert len(requests) > 300 and not failures(requests), failures(requests)[:5]
    assert streams and not failures(streams), failures(streams)[:5]


@pytest.mark.thorough
def test_whoever_stays_too_long_is_told_of() -> None:
    with concurrent.futures.ThreadPoolExecutor() as pool:
        held = pool.submit(traffic(3, 6, "/hold?seconds=60", "--timeout", "90").requests)
        time.sleep(3)
        late = run("deploy_ingress_frontend", ingress_frontend_drained=[SECOND], ingress_frontend_drain_timeout=10)
        assert (
            late.code != 0 and f"{SECOND} still has connections on port 443 after 10 seconds" in late.output
        ), late.output
        # nothing came of it but that it gets no new ones
        shown = control("GET", "health")
        assert {entry["server_id"].removeprefix("i-cfha-") for entry in shown} >= set(NODES)
        cut = run(
            "deploy_ingress_frontend",
            ingress_frontend_drained=[SECOND],
            ingress_frontend_drain_timeout=10,
            ingress_frontend_on_drain_timeout="cut",
        )
        assert cut.code == 0, cut.output
        assert held.result()
    deployed()
