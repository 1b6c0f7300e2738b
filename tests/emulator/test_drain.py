# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connection drain: what is open goes on for a while, and what is new goes elsewhere."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from emulator_harness import SANDBOX, Network
from machines import Machine

from slb_emulator.drains import REMEMBERED, step
from slb_emulator.forwarding import Forward, Member
from slb_emulator.network import Namespace

DRAIN = {"ConnectionDrain": "on", "ConnectionDrainTimeout": 10}  # the shortest that the API takes
SIZE = 400_000


class Download(threading.Thread):
    """One connection that is read to its end."""

    def __init__(self, client: Machine, address: str) -> None:
        super().__init__()
        self.connection = client.connect(address, timeout=20)
        self.stream = self.connection.makefile("rb")
        self.server = self.stream.readline().decode().strip()
        self.size = 0
        self.ended = ""

    def run(self) -> None:
        try:
            while part := self.stream.read1(65536):
                self.size += len(part)
            self.ended = "whole" if self.size == SIZE else "short"
        except ConnectionResetError:
            self.ended = "cut"
        except TimeoutError:
            self.ended = "silence"
        self.at = time.monotonic()
        self.connection.close()


def downloads(client: Machine, address: str) -> dict[str, Download]:
    """One from each of web-1 and web-2."""
    found: dict[str, Download] = {}
    for dummy in range(2):
        made = Download(client, address)
        found[made.server] = made
        made.start()
    assert set(found) == {"web-1", "web-2"}
    return found


def established(machine: str) -> int:
    """Open connections of the server at port 8080."""
    space = Namespace(f"{SANDBOX}-{machine}")
    try:
        lines = space.call(Path("/proc/thread-self/net/tcp").read_text).splitlines()[1:]
    finally:
        space.close()
    return sum(line.split()[1].endswith(f":{8080:04X}") and line.split()[3] == "01" for line in lines)


@pytest.fixture
def servers(network: Network) -> None:
    network.serve("web-1", 8080, "flow", str(SIZE), "4")
    network.serve("web-2", 8080, "flow", str(SIZE), "25")


@pytest.mark.usefixtures("servers")
@pytest.mark.parametrize("how", ["removed", "weight 0"])
def test_downloads_on_servers_that_leave(network: Network, client: Machine, how: str) -> None:
    address = network.front({"web-1": 100, "web-2": 100}, **DRAIN)
    running = downloads(client, address)
    assert established("web-2") == 1
    network.serve("web-3")
    network.slb(
        "AddVServerGroupBackendServers",
        VServerGroupId=network.group,
        BackendServers='[{"ServerId": "i-ut-web-3", "Port": 8080}]',
    )
    network.healthy("web-1", "web-2", "web-3")
    began = time.monotonic()
    if how == "removed":
        network.leave("web-1")
        network.leave("web-2")
    else:
        network.weigh(web_1=0, web_2=0)
    assert Counter(client.outcome(address) for dummy in range(12)) == {"web-3": 12}
    for download in running.values():
        download.join(20)
    assert {name: download.ended for name, download in running.items()} == {"web-1": "whole", "web-2": "cut"}
    assert 9.5 < running["web-2"].at - began < 11.5
    assert SIZE * 0.3 < running["web-2"].size < SIZE * 0.6
    # The server is told too, and not only its client.
    network.until(lambda: not established("web-2"), 3)
    if how == "weight 0":
        # A server that comes back begins anew.
        network.weigh(web_1=1, web_2=0, web_3=0)
        again = Download(client, address)
        again.start()
        again.join(20)
        assert (again.server, again.ended) == ("web-1", "whole")


@pytest.mark.usefixtures("servers")
def test_an_unhealthy_server_drains_across_a_restart(network: Network, client: Machine) -> None:
    """Its check fails, while it goes on to serve what is open."""
    network.serve("web-1", 9000)
    network.serve("web-2", 9000)
    address = network.front({"web-1": 100, "web-2": 100}, HealthCheckConnectPort=9000, **DRAIN)
    running = downloads(client, address)
    began = time.monotonic()
    network.kill("web-2", 9000)
    network.healthy("web-1")
    network.emulator.stop()
    network.emulator.start()
    network.slb = type(network.slb)(network.emulator.address)
    network.emulator.wait()
    for download in running.values():
        download.join(20)
    assert {name: download.ended for name, download in running.items()} == {"web-1": "whole", "web-2": "cut"}
    # It is abnormal after two failed checks, and drained 10 seconds later.
    assert 10.5 < running["web-2"].at - began < 14.5


@pytest.mark.usefixtures("servers")
@pytest.mark.parametrize(("setting", "ended"), [("keep", "whole"), ("cut", "cut")])
def test_without_drain_a_switch_decides(network: Network, client: Machine, setting: str, ended: str) -> None:
    network.emulator.control("PUT", "switches", {"drain_off": setting})
    address = network.front({"web-1": 100, "web-2": 0})
    network.emulator.wait()
    download = Download(client, address)
    began = time.monotonic()
    download.start()
    network.leave("web-1")
    download.join(10)
    assert (download.server, download.ended) == ("web-1", ended)
    assert (download.at - began < 2) == (ended == "cut")


# The steps of the clock


LISTENER = Forward("lab", "192.0.2.100", 80, "tcp", "wrr", (), (), drain=10.0)
ONE, TWO = Member("192.0.2.11", 80, 100), Member("192.0.2.12", 80, 100)
KEY = "lab tcp 192.0.2.100 80 192.0.2.11 80"


def steps(
    *given: tuple[float, tuple[Member, ...]], **options: Any
) -> list[tuple[tuple[tuple[str, int], ...], float | None]]:
    """What is cut, and when the next step is due, after each of these."""
    memory: dict[str, float | None] = {}
    found = []
    for now, members in given:
        made = step(memory, [dataclasses.replace(LISTENER, members=members, **options)], now)
        memory = made.memory
        found.append((made.forwards[0].cut, made.due))
    return found


def test_who_leaves_is_cut_when_its_time_is_over() -> None:
    gone = (("192.0.2.11", 80),)
    assert steps((0, (ONE, TWO)), (1, (TWO,)), (10.9, (TWO,)), (11, (TWO,)), (11 + REMEMBERED, (TWO,))) == [
        ((), None),
        ((), 11),
        ((), 11),
        (gone, 11 + REMEMBERED),
        ((), None),
    ]


def test_who_comes_back_is_not_cut() -> None:
    assert steps((0, (ONE,)), (1, ()), (5, (ONE,)), (30, (ONE,))) == [((), None), ((), 11), ((), None), ((), None)]
    # and has all of its time when it leaves again
    assert steps((0, (ONE,)), (1, ()), (5, (ONE,)), (6, ()))[-1] == ((), 16)


def test_without_drain_nothing_is_remembered() -> None:
    assert steps((0, (ONE,)), (1, ()), (50, ()), drain=None) == [((), None)] * 3
    assert steps((0, (ONE,)), (1, ()), drain=0.0)[-1] == ((("192.0.2.11", 80),), 1 + REMEMBERED)


def test_a_listener_that_stops_cuts_nothing() -> None:
    assert step({KEY: 5.0, "lab tcp 192.0.2.100 8080 192.0.2.11 80": None}, [LISTENER], 1).memory == {KEY: 5.0}
    assert step({KEY: 5.0}, [], 7) == ({}, (), None)
