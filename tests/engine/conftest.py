# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The engine and the emulated cloud, and a wire between them that can be cut."""

from __future__ import annotations

import copy
import dataclasses
import pathlib
import sys
import time
import typing as t
import uuid
from collections.abc import Iterator

import pytest

from ansible_collections.clusterfront.ha.plugins.module_utils._slb import view
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.client import Client, Settings
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.document import FrontEnd, front_end, partial
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.reconcile import Outcome, reconcile
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.reconcile import inventory as inventory_of

HERE = pathlib.Path(__file__).parent
sys.path[:0] = [
    str(HERE),
    str(HERE.parent / "emulator"),
    str(HERE.parent / "tools"),
    str(HERE.parents[1] / "roles" / "slb_emulator" / "files"),
]

from emulator_harness import KEY, REGION, Emulator, Slb, inventory  # noqa: E402
from simulation import Simulation  # noqa: E402

MACHINES = {"master-1": "192.0.2.11", "haproxy-1": "192.0.2.21", "haproxy-2": "192.0.2.22", "haproxy-3": "192.0.2.23"}
OTHER_VPC: dict[str, t.Any] = {
    "name": "other",
    "cidr": "198.51.100.0/24",
    "gateway": "198.51.100.253",
    "vswitches": [{"vswitch_id": "vsw-ut-other", "zone_id": "cn-hangzhou-i", "cidr": "198.51.100.0/24"}],
}


@dataclasses.dataclass
class Run:
    """One run of the engine, as a user sees it."""

    outcome: Outcome
    document: FrontEnd

    @property
    def changed(self) -> bool:
        return self.outcome.plan.changed

    @property
    def steps(self) -> list[dict[str, str]]:
        return [step.to_result() for step in self.outcome.plan.steps]

    @property
    def operations(self) -> list[str]:
        return [step.operation for step in self.outcome.plan.steps]

    @property
    def kept(self) -> tuple[str, ...]:
        return self.outcome.plan.kept

    @property
    def diff(self) -> dict[str, t.Any]:
        before, after = (view.difference(self.document, state) for state in (self.outcome.before, self.outcome.after))
        return {"before": before, "after": after}

    @property
    def shown(self) -> dict[str, t.Any]:
        return view.front_end(self.document, self.outcome.after) or {}


class Cloud:
    """The emulated cloud with its machines, and ways to look at it beside the engine."""

    def __init__(self, emulator: Emulator) -> None:
        self.emulator = emulator
        self.slb = Slb(emulator.address)

    def run(
        self,
        options: dict[str, t.Any],
        *,
        check_mode: bool = False,
        address: str | None = None,
        timeout: float = 20.0,
        make: t.Callable[[dict[str, t.Any]], FrontEnd] = front_end,
        kind: type[Client] = Client,
        **settings: t.Any,
    ) -> Run:
        """Run the engine. Pauses are short: what is waited for is there at once."""
        endpoint = f"http://{address or self.emulator.address}"
        wanted = make(copy.deepcopy(options))
        client = kind(
            Settings(
                **{
                    "region": REGION,
                    **KEY,
                    "slb_endpoint": endpoint,
                    "ecs_endpoint": endpoint,
                    "timeout": timeout,
                    **settings,
                }
            ),
            sleep=lambda seconds: time.sleep(min(seconds, 0.02)),
        )
        return Run(reconcile(client, wanted, check_mode=check_mode, token=lambda: str(uuid.uuid4())), wanted)

    def everything(self, name: str) -> dict[str, t.Any]:
        """All that a load balancer has, whoever made it, as _info modules show it."""
        endpoint = f"http://{self.emulator.address}"
        client = Client(Settings(REGION, **KEY, slb_endpoint=endpoint, ecs_endpoint=endpoint))
        state = inventory_of(client, partial({"name": name}))
        assert state.load_balancer is not None
        return {
            "load_balancer": view.load_balancer(state.load_balancer),
            "server_groups": [view.server_group(group) for group in state.server_groups],
            "failover_groups": [view.failover_group(group) for group in state.failover_groups],
            "default_pool": view.default_pool(state.default_pool or ()),
            "listeners": [view.listener(entry) for entry in state.listeners],
        }

    def forget(self) -> None:
        self.emulator.control("DELETE", "requests")

    @property
    def counts(self) -> dict[str, int]:
        """Calls by action since the last forget()."""
        return t.cast("dict[str, int]", self.emulator.control("GET", "requests")["counts"])

    @property
    def writes(self) -> int:
        return int(self.emulator.control("GET", "requests")["writes"])

    def switch(self, **values: t.Any) -> None:
        self.emulator.control("PUT", "switches", values)

    def picture(self) -> list[t.Any]:
        """All that there is, without ids and times."""
        found = []
        for balancer in self.slb("DescribeLoadBalancers", PageNumber=1, PageSize=100)["LoadBalancers"]["LoadBalancer"]:
            target = balancer["LoadBalancerId"]
            groups = {
                group["VServerGroupId"]: group["VServerGroupName"]
                for group in self.slb("DescribeVServerGroups", LoadBalancerId=target)["VServerGroups"]["VServerGroup"]
            }
            members = [
                (
                    name,
                    sorted(
                        (entry["ServerId"], int(entry["Port"]), int(entry["Weight"]), entry["Description"])
                        for entry in self.slb("DescribeVServerGroupAttribute", VServerGroupId=group)["BackendServers"][
                            "BackendServer"
                        ]
                    ),
                )
                for group, name in groups.items()
            ]
            pairs = self.pairs(target)
            groups |= {group: entry[0] for group, entry in pairs.items()}
            listeners = self.slb("DescribeLoadBalancerListeners", LoadBalancerId=[target], MaxResults=100)["Listeners"]
            found.append(
                (
                    balancer["LoadBalancerName"],
                    sorted(members),
                    sorted(
                        (entry["ListenerPort"], entry["Status"], groups.get(_group_of(entry))) for entry in listeners
                    ),
                    # what few tests have
                    *filter(None, [sorted(pairs.values()), self.pool(target)]),
                )
            )
        return sorted(found) + self.access_lists()

    def pairs(self, balancer: str) -> dict[str, tuple[str, list[t.Any]]]:
        """Name and servers of every primary/secondary group, by its id."""
        found = {}
        told = self.slb("DescribeMasterSlaveServerGroups", LoadBalancerId=balancer)["MasterSlaveServerGroups"]
        for entry in told["MasterSlaveServerGroup"]:
            group = entry["MasterSlaveServerGroupId"]
            whole = self.slb("DescribeMasterSlaveServerGroupAttribute", MasterSlaveServerGroupId=group)
            servers = whole["MasterSlaveBackendServers"]["MasterSlaveBackendServer"]
            sides = [(server["ServerType"], server["ServerId"], server["Port"]) for server in servers]
            found[group] = (entry["MasterSlaveServerGroupName"], sides)
        return found

    def pool(self, balancer: str) -> list[t.Any]:
        """The servers of the default pool."""
        told = self.slb("DescribeLoadBalancerAttribute", LoadBalancerId=balancer)["BackendServers"]["BackendServer"]
        return sorted((entry["ServerId"], entry["Weight"], entry["Description"]) for entry in told)

    def access_lists(self) -> list[t.Any]:
        """Name, entries and users of every access list, without ids."""
        found = []
        for entry in self.slb("DescribeAccessControlLists", PageNumber=1, PageSize=50)["Acls"]["Acl"]:
            entries: dict[str, str] = {}
            total = page = 1
            while len(entries) < total and page < 8:
                told = self.slb("DescribeAccessControlListAttribute", AclId=entry["AclId"], Page=page, PageSize=50)
                entries |= {one["AclEntryIP"]: one["AclEntryComment"] for one in told["AclEntrys"]["AclEntry"]}
                total, page = told["TotalAclEntry"], page + 1
            users = [(user["ListenerPort"], user["AclType"]) for user in told["RelatedListeners"]["RelatedListener"]]
            found.append((entry["AclName"], sorted(entries.items()), sorted(users)))
        return sorted(found)


def _group_of(listener: dict[str, t.Any]) -> str | None:
    pair: str | None = (listener.get("TCPListenerConfig") or {}).get("MasterSlaveServerGroupId")
    return listener.get("VServerGroupId") or pair


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    process = Emulator(tmp_path_factory.mktemp("emulator"), sandbox="cfha-engine")
    try:
        process.start()
        yield process
    finally:
        process.remove()


@pytest.fixture
def cloud(emulator: Emulator) -> Iterator[Cloud]:
    """An empty cloud with two VPCs and their machines."""
    emulator.control("POST", "reset")
    here, other = inventory(MACHINES), inventory({"far-1": "198.51.100.11"}, **OTHER_VPC)
    emulator.control("PUT", "inventory", {key: here[key] + other[key] for key in here})
    emulator.control("DELETE", "requests")
    made = Cloud(emulator)
    yield made
    made.switch(
        transition_seconds=0,
        set_omission="keep",
        name_filter="exact",
        charge_type_change="at_once",
        released_server="leave",
    )


@pytest.fixture(scope="session")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulation]:
    made = Simulation(tmp_path_factory.mktemp("simulation"), inventory(MACHINES))
    yield made
    made.close()


@pytest.fixture
def simulation(simulated: Simulation) -> Simulation:
    """An empty cloud in this process, at a time of its own."""
    simulated.reset()
    return simulated
