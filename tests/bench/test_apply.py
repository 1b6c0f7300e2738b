# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What it costs to bring the emulator's data plane to a state: 200 backends, 50 listeners and 1,000 entries, and less."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from emulator_harness import PACKAGE, missing_for_namespaces

sys.path.insert(0, str(PACKAGE))
sys.dont_write_bytecode = True

from slb_emulator import forwarding  # noqa: E402
from slb_emulator.config import Config  # noqa: E402
from slb_emulator.dataplane import ruleset  # noqa: E402
from slb_emulator.dataplane.nft import NftDataPlane  # noqa: E402
from slb_emulator.inventory import Inventory, Machine, Vpc  # noqa: E402
from slb_emulator.network import Namespace  # noqa: E402
from slb_emulator.store import AccessList, Listener, LoadBalancer, Server, ServerGroup, State  # noqa: E402
from slb_emulator.switches import Switches  # noqa: E402

reason = missing_for_namespaces()
pytestmark = pytest.mark.skipif(bool(reason), reason=f"NOT TESTED: {reason}")

ROUNDS = 3
BACKENDS, LISTENERS, ENTRIES = (10, 50, 200), (1, 10, 50), (0, 250, 1000)
LISTS = 4
#: Cost above the share of the larger number that noise of a shared machine may cause, and seconds that do not count.
TOLERANCE, NOISE = 1.5, 0.05
VPC = Vpc("bench", "vpc-bench", "198.51.100.0/24", "198.51.100.254")
INVENTORY = Inventory(
    (VPC,),
    tuple(
        # Names only: no namespaces are made for them.
        Machine(f"m-{number}", f"i-{number}", f"198.51.100.{number + 1}", VPC.name, attached=False)
        for number in range(max(BACKENDS))
    ),
)


def state(backends: int, listeners: int, entries: int, one_group: bool = False) -> State:
    """Listeners with lists, each with a group of its own and with weights that no other has, or all with one group."""
    # Every second address, so that none of them melt into larger networks.
    networks = [f"203.0.{number // 128}.{number % 128 * 2}/32" for number in range(entries)]
    lists = {
        f"acl-{part}": AccessList(
            f"acl-{part}", "", "", "ipv4", "", "", entries=dict.fromkeys(networks[part::LISTS], "comment")
        )
        for part in range(LISTS)
    }
    groups = {
        f"rsp-{number}": ServerGroup(
            f"rsp-{number}",
            "",
            "lb-1",
            "",
            "",
            [Server(f"i-{index}", 8080, (index * 37 + number) % 97 + 3) for index in range(backends)],
        )
        for number in range(1 if one_group else listeners)
    }
    settings = {"Scheduler": "wrr", "HealthCheck": "off", "AclStatus": "on" if entries else "off", "AclType": "white"}
    made = {
        f"tcp_{1000 + number}": Listener(
            1000 + number,
            "tcp",
            {**settings, "AclId": ",".join(lists), "VServerGroupId": f"rsp-{0 if one_group else number}"},
            "running",
        )
        for number in range(listeners)
    }
    attributes = {
        "Address": "198.51.100.253",
        "AddressIPVersion": "ipv4",
        "AddressType": "intranet",
        "MasterZoneId": "cn-hangzhou-i",
        "SlaveZoneId": "cn-hangzhou-i",
        "LoadBalancerStatus": "active",
        "VpcId": VPC.vpc_id,
    }
    balancer = LoadBalancer("lb-1", "", attributes, listeners=made)
    return State({"lb-1": balancer}, groups, access_lists=lists, inventory=INVENTORY)


class Plane:
    """The data plane by itself, and the number of transactions that it loads."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.plane = NftDataPlane(Config(directory, sandbox="cfha-bench", data_plane="nft"))
        self.switches = Switches({})
        self.transactions: list[int] = []
        load = Namespace.nft

        def counted(space: Namespace, text: str) -> None:
            self.transactions.append(text.count("\n"))
            load(space, text)

        monkeypatch.setattr(Namespace, "nft", counted)
        self.plane.attach(INVENTORY, ())
        self.plane.apply(forwarding.Desired())

    def seconds(self, wanted: State) -> float:
        """From a state to the rules that are loaded, from nothing: the median of some."""
        times = []
        for dummy in range(ROUNDS):
            for cache in (forwarding._merged, ruleset._places):
                cache.cache_clear()
            self.transactions.clear()
            begin = time.perf_counter()
            self.plane.apply(forwarding.desired(wanted, self.switches, lambda dummy: forwarding.NORMAL, now=0.0))
            times.append(time.perf_counter() - begin)
            assert len(self.transactions) == 1, "it was more than one transaction"
            self.plane.apply(forwarding.Desired())
        return statistics.median(times)


@pytest.fixture
def plane(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Plane]:
    made = Plane(tmp_path, monkeypatch)
    try:
        yield made
    finally:
        made.plane.remove(INVENTORY)


def grown(times: dict[int, float], size: int, smaller: int) -> str:
    """A sentence where the time grew by more than the number did."""
    allowed = (times[smaller] + NOISE) * max(size, 1) / max(smaller, 1) * TOLERANCE
    return "" if times[size] <= allowed else f"{size} take {times[size]:.3f}s; {smaller} allow {allowed:.3f}s"


def test_apply_grows_with_the_number(plane: Plane) -> None:
    full = {"backends": max(BACKENDS), "listeners": max(LISTENERS), "entries": max(ENTRIES)}
    complaints = []
    print()
    for name, sizes in (("backends", BACKENDS), ("listeners", LISTENERS), ("entries", ENTRIES)):
        times = {size: plane.seconds(state(**{**full, name: size})) for size in sizes}
        print(f"{name:9}", *(f"{size:5}: {seconds:.3f}s" for size, seconds in times.items()), sep="  ")
        complaints += [grown(times, size, smaller) for smaller, size in zip(sizes, sizes[1:]) if smaller]
    shared = plane.seconds(state(**full, one_group=True))
    print(f"all, with one group for all listeners: {shared:.3f}s")
    assert [complaint for complaint in complaints if complaint] == []
    assert shared < plane.seconds(state(**full)) / 2, "listeners with the same servers do not share their turn"
