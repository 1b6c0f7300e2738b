# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is to be done: a document and the cloud's state, compared, make one plan.

Pure: no network, no clock, no Ansible. One plan decides changed, the diff, the prediction of check mode and the work.
"""

from __future__ import annotations

import dataclasses

from . import adoption, limits
from .document import FrontEnd
from .resources import access_list, default_pool, failover_group, listener, load_balancer, members, server_group
from .state import CloudState, Step


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
    if document.without_load_balancer:
        return _build_lists(document, current)
    if document.state == "absent":
        return _remove(document, current)
    if document.only_removes and current.load_balancer is None:
        return Plan(steps=(), predicted=current)
    instance_steps, instance = load_balancer.plan(document, current)
    group_steps, groups = server_group.plan(document, current, instance)
    pair_steps, pairs = failover_group.plan(document, current, instance)
    pool_steps, pool = default_pool.plan(document, current, instance)
    list_steps, lists = access_list.plan(document, current)
    listener_steps, listeners = listener.plan(document, current, instance, groups, lists, pairs)
    list_removals = access_list.plan_absent(document, current, instance, listeners)
    removals = [step for step in listener_steps if step.verb == "delete"]
    changes = [step for step in listener_steps if step.verb != "delete"]
    member_steps = [*group_steps, *pair_steps, *pool_steps]
    member_removals = [step for step in member_steps if _after_listeners(step)]
    member_changes = [step for step in member_steps if not _after_listeners(step)]
    first = [step for step in instance_steps if not step.last]
    last = [step for step in instance_steps if step.last]
    predicted = dataclasses.replace(
        current,
        load_balancer=instance,
        twins=(),
        server_groups=groups,
        failover_groups=pairs,
        default_pool=pool,
        listeners=listeners,
        access_lists=lists,
    )
    if any(step.verb in ("create", "add") for step in member_steps):
        members.refuse_mixture(predicted.members, current.servers, instance.config)
    marks, predicted, theirs = adoption.plan(document, predicted)
    # A listener needs its group and its lists when it is made, and those can only go when no listener needs them.
    return Plan(
        steps=(
            *first,
            *removals,
            *member_changes,
            *list_steps,
            *changes,
            *member_removals,
            *list_removals,
            *marks,
            *last,
        ),
        predicted=predicted,
        warnings=(
            *theirs,
            *access_list.warnings(document, current, lists, instance, listeners),
            *limits.check(document, current, predicted),
        ),
    )


def _after_listeners(step: Step) -> bool:
    """Whether a step has to wait for the listeners: groups that they leave, and servers of the pool that one goes over from."""
    return step.verb == "delete" or (step.symbol == default_pool.SYMBOL and step.verb == "remove")


def _build_lists(document: FrontEnd, current: CloudState) -> Plan:
    """The plan of a document about access lists alone."""
    steps, lists = access_list.plan(document, current)
    predicted = dataclasses.replace(current, access_lists=lists)
    return Plan(
        steps=(*steps, *access_list.plan_absent(document, current)),
        predicted=predicted,
        warnings=(*access_list.warnings(document, current, lists), *limits.check(document, current, predicted)),
    )


def _remove(document: FrontEnd, current: CloudState) -> Plan:
    """Take away what this owner made, and say what of others keeps a part of it in place."""
    has = current.load_balancer
    if has is None:
        list_steps, lists, lists_kept = access_list.plan_removal(document, current)
        return Plan(steps=tuple(list_steps), predicted=CloudState(access_lists=lists), kept=tuple(lists_kept))
    listener_steps, listeners, listeners_kept = listener.plan_removal(document, current, has)
    group_steps, groups, groups_kept = server_group.plan_removal(document, current, listeners)
    pair_steps, pairs, pairs_kept = failover_group.plan_removal(document, current, listeners)
    pool_steps, pool = default_pool.plan_removal(document, current, has)
    steps, instance, kept = load_balancer.plan_removal(document, current, has, listeners, (*groups, *pairs), pool)
    list_steps, lists, lists_kept = access_list.plan_removal(document, current, has, listeners)
    return Plan(
        steps=(*listener_steps, *group_steps, *pair_steps, *pool_steps, *steps, *list_steps),
        predicted=CloudState(
            load_balancer=instance,
            server_groups=groups,
            failover_groups=pairs,
            default_pool=pool if instance else None,
            listeners=listeners,
            access_lists=lists,
        ),
        kept=(*listeners_kept, *groups_kept, *pairs_kept, *kept, *lists_kept),
    )
