# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the data plane makes on the machine, and that nothing of it stays."""

from __future__ import annotations

import json
import math
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from emulator_harness import SANDBOX, Emulator, Network, inventory, missing_for_namespaces

from slb_emulator.dataplane.ruleset import LONGEST_TURN, turn
from slb_emulator.forwarding import Member
from slb_emulator.network import Namespace

reason = missing_for_namespaces()
needs_network = pytest.mark.skipif(bool(reason), reason=f"NOT TESTED: {reason}")
FEW = {"web-1": "192.0.2.11", "client-1": "192.0.2.31"}


def machine_view() -> dict[str, Any]:
    """What the machine itself has, without what others may be doing in namespaces of their own."""
    namespaces = subprocess.run(["ip", "netns"], capture_output=True, text=True, check=True).stdout
    links = json.loads(subprocess.run(["ip", "-j", "link"], capture_output=True, text=True, check=True).stdout)
    rules = subprocess.run(["nft", "list", "ruleset"], capture_output=True, text=True, check=True).stdout
    return {
        "namespaces": sorted(line.split()[0] for line in namespaces.splitlines() if line.startswith("cfha-utn-")),
        "links": sorted(link["ifname"] for link in links if not link["ifname"].startswith("veth")),
        "rules": rules,
    }


@pytest.fixture
def emulator_of_its_own(own_emulator: Callable[..., Emulator]) -> Iterator[Emulator]:
    yield own_emulator(sandbox="cfha-utn", data_plane="nft")


def connect(name: str, address: str, port: int) -> str:
    import socket

    def ask() -> str:
        try:
            with socket.create_connection((address, port), 2) as connection:
                return connection.makefile().readline().split()[0]
        except ConnectionRefusedError:
            return "refused"

    space = Namespace(name)
    try:
        return space.call(ask)
    finally:
        space.close()


@needs_network
@pytest.mark.parametrize("how", ["control", "command"])
def test_remove_leaves_nothing(own_emulator: Callable[..., Emulator], how: str) -> None:
    before = machine_view()
    emulator = own_emulator(sandbox="cfha-utn", data_plane="nft")
    assert emulator.control("PUT", "inventory", inventory(FEW)) == {"changed": True}
    network = Network(emulator)
    network.front({"web-1": 100})
    during = machine_view()
    assert during["namespaces"] == ["cfha-utn-client-1", "cfha-utn-internet", "cfha-utn-vpc-lab", "cfha-utn-web-1"]
    # The machine's own network is not touched.
    assert (during["links"], during["rules"]) == (before["links"], before["rules"])
    if how == "control":
        emulator.control("POST", "shutdown", {"remove": True})
        assert emulator.ended() == 0
    else:
        emulator.remove()
    assert machine_view() == before
    assert not (emulator.directory / "state.json").exists()


@needs_network
def test_inventory_grows_shrinks_and_repairs(emulator_of_its_own: Emulator) -> None:
    emulator = emulator_of_its_own
    assert emulator.control("PUT", "inventory", inventory(FEW)) == {"changed": True}
    assert emulator.control("PUT", "inventory", inventory(FEW)) == {"changed": False}
    more = inventory({**FEW, "web-2": "192.0.2.12"})
    more["machines"][2]["attached"] = False
    assert emulator.control("PUT", "inventory", more) == {"changed": True}
    assert "cfha-utn-web-2" not in machine_view()["namespaces"]
    assert emulator.control("PUT", "inventory", inventory({"web-1": "192.0.2.11"})) == {"changed": True}
    assert machine_view()["namespaces"] == ["cfha-utn-internet", "cfha-utn-vpc-lab", "cfha-utn-web-1"]
    subprocess.run(["ip", "-n", "cfha-utn-web-1", "route", "delete", "default"], check=True)
    assert emulator.control("PUT", "inventory", inventory({"web-1": "192.0.2.11"})) == {"changed": True}
    # An address that changes is another link.
    assert emulator.control("PUT", "inventory", inventory({"web-1": "192.0.2.15"})) == {"changed": True}
    shown = subprocess.run(
        ["ip", "-n", "cfha-utn-web-1", "-br", "-4", "address"], capture_output=True, text=True, check=True
    )
    assert "192.0.2.15/24" in shown.stdout and "192.0.2.11" not in shown.stdout


@needs_network
def test_a_router_that_vanished_is_made_again(emulator_of_its_own: Emulator) -> None:
    emulator = emulator_of_its_own
    emulator.control("PUT", "inventory", inventory(FEW))
    address = Network(emulator).front({"web-1": 100})
    subprocess.run(["ip", "netns", "delete", "cfha-utn-vpc-lab"], check=True)
    assert emulator.control("PUT", "inventory", inventory(FEW)) == {"changed": True}
    emulator.wait()
    assert connect("cfha-utn-client-1", address, 6443) == "refused"
    assert connect("cfha-utn-client-1", FEW["web-1"], 9) == "refused"


@needs_network
def test_vpcs_are_strangers_to_each_other(emulator_of_its_own: Emulator) -> None:
    emulator = emulator_of_its_own
    one, two = inventory(FEW), inventory({"web-2": "192.0.2.11"}, name="other")
    emulator.control("PUT", "inventory", {name: one[name] + two[name] for name in one})
    slb = Network(emulator).slb
    for vswitch in ("vsw-ut-lab", "vsw-ut-other"):
        slb("CreateLoadBalancer", VSwitchId=vswitch, InstanceChargeType="PayByCLCU", Address="192.0.2.100")
    emulator.wait()
    shown = [
        subprocess.run(
            ["ip", "-n", f"cfha-utn-vpc-{name}", "-br", "-4", "address", "show", "lo"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for name in ("lab", "other")
    ]
    assert all("192.0.2.100/32" in addresses for addresses in shown)


@needs_network
@pytest.mark.parametrize("kill", [False, True])
def test_a_restart_does_not_disturb_traffic(network: Network, kill: bool) -> None:
    network.serve("web-1")
    network.serve("web-2")
    address = network.front({"web-1": 100, "web-2": 100})
    network.emulator.control("PUT", "machines/web-3/link", {"up": False})
    outcomes: Counter[str] = Counter()
    stop = threading.Event()

    def load() -> None:
        while not stop.is_set():
            outcomes[connect(f"{SANDBOX}-client-1", address, 6443)] += 1

    thread = threading.Thread(target=load)
    thread.start()
    try:
        network.emulator.stop(kill)
        network.emulator.start()
        network.slb = type(network.slb)(network.emulator.address)
        network.emulator.wait()
        assert network.health() == {"web-1": "normal", "web-2": "normal"}
        # What the switch of the link was set to is remembered too.
        assert network.emulator.control("PUT", "machines/web-3/link", {"up": False}) == {"changed": False}
    finally:
        stop.set()
        thread.join()
    assert set(outcomes) == {"web-1", "web-2"}, outcomes


@pytest.mark.parametrize(
    ("weights", "order"),
    [([30, 90], "abbb"), ([100, 100], "ab"), ([5, 1, 1], "aaabaac"), ([7], "a"), ([1, 1, 4], "accbcc")],
)
def test_a_turn_is_a_smooth_round_robin(weights: list[int], order: str) -> None:
    members = [Member(name, 80, weight) for name, weight in zip("abc", weights)]
    runs = turn(members)
    found = "".join(run.server[0] * run.length for run in runs)
    assert Counter(found) == Counter({name: weight // math.gcd(*weights) for name, weight in zip("abc", weights)})
    assert found == order


def test_a_long_turn_is_exact_too() -> None:
    weights = [number % 97 + 3 for number in range(200)]
    runs = turn([Member(str(number), 80, weight) for number, weight in enumerate(weights)])
    counted: Counter[str] = Counter()
    for run in runs:
        counted[run.server[0]] += run.length
    assert counted == {str(number): weight for number, weight in enumerate(weights)}
    assert max(run.length for run in runs) == math.ceil(sum(weights) / LONGEST_TURN) == 10
    assert len(runs) < LONGEST_TURN + len(weights)
