# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the cloud has, and the steps that change it: the words that plans are made of. Objects are referred to by symbol.

Pure: no network, no clock, no Ansible.
"""

from __future__ import annotations

import dataclasses
import typing as t

from .document import AccessList, Backend, Certificate, FailoverGroup, Listener, LoadBalancer, ServerGroup, TlsPolicy

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
class Json:
    """A list of objects that goes over the wire as JSON; their values may be a Ref each."""

    entries: tuple[t.Mapping[str, t.Any], ...]


@dataclasses.dataclass(frozen=True)
class Token:
    """A ClientToken: made once, the same in every try of the call."""


@dataclasses.dataclass(frozen=True)
class Told:
    """What a read tells just before the call, for the call to send it back; None where it tells nothing."""

    operation: str
    parameters: t.Mapping[str, t.Any]
    name: str


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


def names_by_id(*kinds: t.Iterable[Observed[t.Any]]) -> dict[str, str]:
    """From an id to what listeners call it: its name, or the id where several of its kind have that name.

    Ids of several kinds never are the same.
    """
    found: dict[str, str] = {}
    for kind in map(list, kinds):
        known = [has.config.name for has in kind]
        found.update(
            {has.id: has.config.name if known.count(has.config.name) == 1 else has.id for has in kind if has.id}
        )
    return found


@dataclasses.dataclass(frozen=True)
class Server:
    """An ECS instance or a network interface that a backend may be. The first address is its primary one."""

    id: str
    private_ips: tuple[str, ...]
    vpc_id: str | None
    status: str
    type: str = "ecs"
    name: str = ""
    tags: t.Mapping[str, str] = dataclasses.field(default_factory=dict)
    security_groups: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Stock:
    """What is asked where a load balancer is to be made: how many the region has, and its zones with those that can stand by."""

    load_balancers: int
    #: None where the document names no zone.
    zones: t.Mapping[str, t.Sequence[str]] | None = None


@dataclasses.dataclass(frozen=True)
class Use:
    """A listener, or one of its further domains, that uses a certificate or a policy."""

    load_balancer: str
    #: Of the listener: protocol/port.
    listener: str
    domain: str | None = None

    def __str__(self) -> str:
        return f"{f'{self.domain} of ' if self.domain else ''}{self.listener} of {self.load_balancer}"


@dataclasses.dataclass(frozen=True)
class CloudState:
    """What the cloud has of a document. Lists are ordered by age, the oldest first."""

    load_balancer: Observed[LoadBalancer] | None = None
    #: Younger instances of the same name and owner that nothing uses: two runs at once made them.
    twins: tuple[Observed[LoadBalancer], ...] = ()
    server_groups: tuple[Observed[ServerGroup], ...] = ()
    failover_groups: tuple[Observed[FailoverGroup], ...] = ()
    listeners: tuple[Observed[Listener], ...] = ()
    access_lists: tuple[Observed[AccessList], ...] = ()
    servers: tuple[Server, ...] = ()
    #: The servers of the default pool; None where nobody asked for them.
    default_pool: tuple[Backend, ...] | None = None
    stock: Stock | None = None
    certificates: tuple[Observed[Certificate], ...] = ()
    ca_certificates: tuple[Observed[Certificate], ...] = ()
    tls_policies: tuple[Observed[TlsPolicy], ...] = ()
    #: Who in the region uses a certificate or a policy, by its id; only looked at where one of them may go.
    uses: t.Mapping[str, tuple[Use, ...]] = dataclasses.field(default_factory=dict)
    #: The time in seconds since 1970, where certificates are looked at.
    now: float = 0.0

    @property
    def members(self) -> tuple[Backend, ...]:
        """Every place that a server is known to have."""
        found = [member for group in self.server_groups for member in group.config.backends or ()]
        pairs = [side for group in self.failover_groups for side in (group.config.primary, group.config.standby)]
        return (*found, *(side for side in pairs if side is not None), *(self.default_pool or ()))

    def group(self, name: str) -> Observed[ServerGroup] | None:
        """The oldest group of a name."""
        return next((group for group in self.server_groups if group.config.name == name), None)

    def failover_group(self, name: str) -> Observed[FailoverGroup] | None:
        """The oldest primary/secondary group of a name."""
        return next((group for group in self.failover_groups if group.config.name == name), None)

    def listener(self, symbol: str) -> Observed[Listener] | None:
        return next((entry for entry in self.listeners if entry.config.symbol == symbol), None)


@dataclasses.dataclass(frozen=True)
class Each:
    """The ids of several objects that one answer tells: where its list is, and what its elements call name and id."""

    path: tuple[str, ...]
    name: str
    id: str
    #: From a name to the symbol that it is known by.
    symbols: t.Mapping[str, str]

    def ids(self, answer: t.Any) -> dict[str, str]:
        for key in self.path:
            answer = answer[key]
        return {self.symbols[entry[self.name]]: entry[self.id] for entry in answer if entry[self.name] in self.symbols}


@dataclasses.dataclass(frozen=True)
class Step:
    """One call of the API. parameters may hold Ref, Joined, Json, Token and Told; yields names the answer's field with the new id."""

    symbol: str
    verb: str
    operation: str
    parameters: t.Mapping[str, t.Any]
    reason: str
    yields: str | None = None
    #: The same for a call that makes several objects, which are known by their own names.
    each: Each | None = None
    #: The waiter whose state has to be reached before the next step.
    wait: str | None = None
    #: Nothing of the instance can be changed after it: it comes at the end of the plan.
    last: bool = False
    #: A sentence where the cloud accepts the call now and shows its effect much later.
    later: str | None = None

    def to_result(self) -> dict[str, str]:
        return {"object": self.symbol, "verb": self.verb, "operation": self.operation, "reason": self.reason}
