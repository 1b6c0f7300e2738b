# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an operation works on: the state and everything that looks after it."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from .errors import ApiError, missing_failover_group, missing_group
from .lifecycle import Clock, Lifecycle
from .parameters import Parameters
from .quotas import Quotas
from .store import AccessList, FailoverGroup, Listener, LoadBalancer, ServerGroup, State, Store
from .switches import Switches

Answer = dict[str, Any]


@dataclass(frozen=True)
class Health:
    """The checker's verdict on one server of one listener."""

    state: str
    since: float


@dataclass
class Cloud:
    store: Store
    switches: Switches
    quotas: Quotas
    lifecycle: Lifecycle
    health: Callable[[str], Health]
    clock: Clock = time.time
    sandbox: str = "cfha"
    past: State | None = None  # what a late read sees in the place of the state

    @property
    def state(self) -> State:
        return self.past or self.store.state

    def new_id(self, prefix: str) -> str:
        """Ids look like the cloud's, and are the same in each run of the same calls."""
        self.state.sequence += 1
        digest = hashlib.sha256(f"{self.sandbox} {self.state.sequence}".encode()).hexdigest()
        return f"{prefix}-cfha{digest[:16]}"

    def busy_until(self) -> float:
        """When what is changed now can be changed again."""
        return self.clock() + self.switches.seconds("transition_seconds")

    def now_text(self) -> str:
        return datetime.fromtimestamp(self.clock(), timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True)
class Call:
    """One request after all that is the same for every operation has been looked at."""

    action: str
    region: str
    parameters: Parameters
    fields: Mapping[str, Any] = field(default_factory=dict)  # the table of the answer

    def answer(self, *sources: Mapping[str, Any]) -> Answer:
        """Those values that the operation's answer has a field for."""
        return {name: value for source in sources for name, value in source.items() if name in self.fields}


def find_balancer(cloud: Cloud, call: Call, name: str = "LoadBalancerId") -> LoadBalancer:
    balancer = cloud.state.load_balancers.get(call.parameters.needed(name))
    if balancer is None or balancer.region != call.region:
        raise ApiError("InvalidLoadBalancerId.NotFound")
    if balancer.pending and not call.action.startswith("Describe"):
        raise ApiError(
            "ActionNotAllowed", "The instance is locked for an operate reason: its charge type is being changed."
        )
    return balancer


def find_group(cloud: Cloud, call: Call) -> ServerGroup:
    group = cloud.state.server_groups.get(call.parameters.needed("VServerGroupId"))
    if group is None or group.region != call.region:
        raise missing_group()
    return group


def find_failover_group(cloud: Cloud, call: Call) -> FailoverGroup:
    group = cloud.state.failover_groups.get(call.parameters.needed("MasterSlaveServerGroupId"))
    if group is None or group.region != call.region:
        raise missing_failover_group()
    return group


def find_access_list(cloud: Cloud, call: Call) -> AccessList:
    found = cloud.state.access_lists.get(call.parameters.needed("AclId"))
    if found is None or found.region != call.region:
        raise ApiError("AclNotExist")
    return found


def find_listener(cloud: Cloud, call: Call) -> tuple[LoadBalancer, Listener]:
    """By port, and by protocol where two listeners share the port."""
    balancer = find_balancer(cloud, call)
    port = call.parameters.port("ListenerPort")
    protocol = call.parameters.choice("ListenerProtocol", ("tcp", "udp", "http", "https"))
    found = [
        listener
        for listener in balancer.listeners.values()
        if listener.port == port and protocol in ("", listener.protocol)
    ]
    if not found:
        raise ApiError("ListenerNotFound")
    if len(found) > 1:
        raise ApiError("TooManyListeners")
    return balancer, found[0]


def groups_of(cloud: Cloud, balancer: LoadBalancer) -> list[ServerGroup]:
    return [group for group in cloud.state.server_groups.values() if group.load_balancer == balancer.id]


def failover_groups_of(cloud: Cloud, balancer: LoadBalancer) -> list[FailoverGroup]:
    return [group for group in cloud.state.failover_groups.values() if group.load_balancer == balancer.id]


def in_region(cloud: Cloud, region: str) -> Iterable[LoadBalancer]:
    return (balancer for balancer in cloud.state.load_balancers.values() if balancer.region == region)
