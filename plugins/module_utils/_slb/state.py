# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the cloud has, and the steps that change it: the words that plans are made of. Objects are referred to by symbol.

Pure: no network, no clock, no Ansible.
"""

from __future__ import annotations

import dataclasses
import typing as t

from .document import AccessList, Listener, LoadBalancer, ServerGroup

C = t.TypeVar("C")
LOAD_BALANCER = "load_balancer"


@dataclasses.dataclass(frozen=True)
class Ref:
    """The id of an object that may only come into being while the plan is applied."""

    symbol: str


@dataclasses.dataclass(frozen=True)
class Joined:
    """Several ids in one text with commas, each of which may be a Ref."""

    parts: tuple[t.Any, ...]


@dataclasses.dataclass(frozen=True)
class Token:
    """A ClientToken: made once, the same in every try of the call."""


@dataclasses.dataclass(frozen=True)
class Observed(t.Generic[C]):
    """An object of the cloud, or one that a plan is going to make (id None)."""

    config: C
    id: str | None = None
    owner: str | None = None
    created: str = ""
    status: str | None = None
    #: What is shown to users but never compared.
    facts: t.Mapping[str, t.Any] = dataclasses.field(default_factory=dict)
    #: What the API wants back unchanged in a Set call, by its names on the wire.
    carried: t.Mapping[str, t.Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Server:
    """An ECS instance that a backend may be."""

    id: str
    private_ips: tuple[str, ...]
    vpc_id: str | None
    status: str


@dataclasses.dataclass(frozen=True)
class CloudState:
    """What the cloud has of a document. Lists are ordered by age, the oldest first."""

    load_balancer: Observed[LoadBalancer] | None = None
    #: Younger instances of the same name and owner that nothing uses: two runs at once made them.
    twins: tuple[Observed[LoadBalancer], ...] = ()
    server_groups: tuple[Observed[ServerGroup], ...] = ()
    listeners: tuple[Observed[Listener], ...] = ()
    access_lists: tuple[Observed[AccessList], ...] = ()
    servers: tuple[Server, ...] = ()
    #: Servers in the default pool, which no document manages yet.
    default_pool: tuple[str, ...] = ()

    def group(self, name: str) -> Observed[ServerGroup] | None:
        """The oldest group of a name."""
        return next((group for group in self.server_groups if group.config.name == name), None)

    def listener(self, symbol: str) -> Observed[Listener] | None:
        return next((entry for entry in self.listeners if entry.config.symbol == symbol), None)


@dataclasses.dataclass(frozen=True)
class Step:
    """One call of the API. parameters may hold Ref and Token; yields names the answer's field with the new id."""

    symbol: str
    verb: str
    operation: str
    parameters: t.Mapping[str, t.Any]
    reason: str
    yields: str | None = None
    #: The waiter whose state has to be reached before the next step.
    wait: str | None = None
    #: Nothing of the instance can be changed after it: it comes at the end of the plan.
    last: bool = False
    #: A sentence where the cloud accepts the call now and shows its effect much later.
    later: str | None = None

    def to_result(self) -> dict[str, str]:
        return {"object": self.symbol, "verb": self.verb, "operation": self.operation, "reason": self.reason}
