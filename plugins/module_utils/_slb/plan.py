# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is to be done: steps that refer to objects by symbol, and the plan that they make.

Pure: no network, no clock, no Ansible. One plan decides changed, the diff, the prediction of check mode and the work.
"""

from __future__ import annotations

import dataclasses
import typing as t

from .document import AccessList, FrontEnd, Listener, LoadBalancer, ServerGroup

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


@dataclasses.dataclass(frozen=True)
class Plan:
    """Steps in the order of their dependencies, and the state that they lead to."""

    steps: tuple[Step, ...]
    predicted: CloudState
    #: One sentence for each thing of others that stays.
    kept: tuple[str, ...] = ()
    #: One sentence for each thing that works, but is hardly meant.
    warnings: tuple[str, ...] = ()

    @property
    def changed(self) -> bool:
        return bool(self.steps)

    @property
    def later(self) -> tuple[str, ...]:
        """One sentence for each change whose effect shows much later."""
        return tuple(step.later for step in self.steps if step.later)


def build(document: FrontEnd, current: CloudState) -> Plan:
    """Compare a document with the cloud.

    Raises DocumentError (and its kinds) with one sentence for what cannot be done; nothing was written then.
    """
    from .resources import access_list, listener, load_balancer, server_group

    if document.without_load_balancer:
        return _build_lists(document, current)
    if document.state == "absent":
        return _remove(document, current)
    if document.only_removes and current.load_balancer is None:
        return Plan(steps=(), predicted=current)
    instance_steps, instance = load_balancer.plan(document, current)
    group_steps, groups = server_group.plan(document, current, instance)
    list_steps, lists = access_list.plan(document, current)
    listener_steps, listeners = listener.plan(document, current, instance, groups, lists)
    list_removals = access_list.plan_absent(document, current, instance, listeners)
    removals = [step for step in listener_steps if step.verb == "delete"]
    changes = [step for step in listener_steps if step.verb != "delete"]
    group_removals = [step for step in group_steps if step.verb == "delete"]
    group_changes = [step for step in group_steps if step.verb != "delete"]
    first = [step for step in instance_steps if not step.last]
    last = [step for step in instance_steps if step.last]
    # A listener needs its group and its lists when it is made, and those can only go when no listener needs them.
    return Plan(
        steps=(*first, *removals, *group_changes, *list_steps, *changes, *group_removals, *list_removals, *last),
        predicted=dataclasses.replace(
            current, load_balancer=instance, twins=(), server_groups=groups, listeners=listeners, access_lists=lists
        ),
        warnings=tuple(access_list.warnings(document, current, lists, instance, listeners)),
    )


def _build_lists(document: FrontEnd, current: CloudState) -> Plan:
    """The plan of a document about access lists alone."""
    from .resources import access_list

    steps, lists = access_list.plan(document, current)
    return Plan(
        steps=(*steps, *access_list.plan_absent(document, current)),
        predicted=dataclasses.replace(current, access_lists=lists),
        warnings=tuple(access_list.warnings(document, current, lists)),
    )


def _remove(document: FrontEnd, current: CloudState) -> Plan:
    """Take away what this owner made, and say what of others keeps a part of it in place."""
    from .resources import access_list, listener, load_balancer, server_group

    has = current.load_balancer
    if has is None:
        list_steps, lists, lists_kept = access_list.plan_removal(document, current)
        return Plan(steps=tuple(list_steps), predicted=CloudState(access_lists=lists), kept=tuple(lists_kept))
    listener_steps, listeners, listeners_kept = listener.plan_removal(document, current, has)
    group_steps, groups, groups_kept = server_group.plan_removal(document, current, listeners)
    steps, instance, kept = load_balancer.plan_removal(document, current, has, listeners, groups)
    list_steps, lists, lists_kept = access_list.plan_removal(document, current, has, listeners)
    return Plan(
        steps=(*listener_steps, *group_steps, *steps, *list_steps),
        predicted=CloudState(load_balancer=instance, server_groups=groups, listeners=listeners, access_lists=lists),
        kept=(*listeners_kept, *groups_kept, *kept, *lists_kept),
    )
