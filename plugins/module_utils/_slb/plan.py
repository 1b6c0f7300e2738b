# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is to be done: a document and the cloud's state, compared, make one plan.

Pure: no network, no clock, no Ansible. One plan decides changed, the diff, the prediction of check mode and the work.
"""

from __future__ import annotations

import dataclasses
import typing as t

from . import adoption, limits
from .document import FrontEnd
from .resources import (
    access_list,
    certificate,
    default_pool,
    failover_group,
    listener,
    load_balancer,
    members,
    server_group,
    tls_policy,
)
from .document import LoadBalancer, Listener
from .state import CloudState, Observed, Step


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
        return _build_region(document, current)
    if document.state == "absent":
        return _remove(document, current)
    if document.only_removes and current.load_balancer is None:
        return Plan(steps=(), predicted=current)
    instance_steps, instance = load_balancer.plan(document, current)
    group_steps, groups = server_group.plan(document, current, instance)
    pair_steps, pairs = failover_group.plan(document, current, instance)
    pool_steps, pool = default_pool.plan(document, current, instance)
    region_steps, region = _region(document, current)
    listener_steps, listeners = listener.plan(document, current, instance, groups, region, pairs)
    server_group.refuse_used(document, current, listeners)
    region_removals, region, kept = _leaving(document, current, region, instance, listeners)
    removals = [step for step in listener_steps if step.verb == "delete"]
    changes = [step for step in listener_steps if step.verb != "delete"]
    member_steps = [*group_steps, *pair_steps, *pool_steps]
    member_removals = [step for step in member_steps if _after_listeners(step)]
    member_changes = [step for step in member_steps if not _after_listeners(step)]
    first = [step for step in instance_steps if not step.last]
    last = [step for step in instance_steps if step.last]
    predicted = dataclasses.replace(
        region,
        load_balancer=instance,
        twins=(),
        server_groups=groups,
        failover_groups=pairs,
        default_pool=pool,
        listeners=listeners,
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
            *region_steps,
            *changes,
            *member_removals,
            *region_removals,
            *marks,
            *last,
        ),
        predicted=predicted,
        warnings=(
            *theirs,
            *kept,
            *_region_warnings(document, current, predicted, instance, listeners),
            *limits.check(document, current, predicted),
        ),
    )


def _after_listeners(step: Step) -> bool:
    """Whether a step has to wait for the listeners: groups that they leave, and servers of the pool that one goes over from."""
    return step.verb == "delete" or (step.symbol == default_pool.SYMBOL and step.verb == "remove")


def _region(document: FrontEnd, current: CloudState) -> tuple[list[Step], CloudState]:
    """What is the region's, made as it is wanted; a listener needs it when it is made."""
    list_steps, lists = access_list.plan(document, current)
    steps = [*list_steps]
    certificates = {}
    for option in certificate.KINDS:
        more, certificates[option] = certificate.plan(option, document, current)
        steps += more
    policy_steps, policies = tls_policy.plan(document, current)
    return [*steps, *policy_steps], dataclasses.replace(
        current,
        access_lists=lists,
        certificates=certificates["certificates"],
        ca_certificates=certificates["ca_certificates"],
        tls_policies=policies,
    )


def _leaving(
    document: FrontEnd,
    current: CloudState,
    region: CloudState,
    instance: Observed[LoadBalancer] | None = None,
    listeners: t.Sequence[Observed[Listener]] = (),
) -> tuple[list[Step], CloudState, list[str]]:
    """What of the region's goes once no listener needs it, what is left, and a sentence for each thing that has to stay."""
    steps = list(access_list.plan_absent(document, current, instance, listeners))
    kept: list[str] = []
    left: dict[str, t.Any] = {}
    for option in certificate.KINDS:
        found = getattr(region, option)
        more, left[option], words = certificate.plan_absent(option, document, current, found, instance, listeners)
        steps += more
        kept += words
    more, left["tls_policies"], words = tls_policy.plan_absent(
        document, current, region.tls_policies, instance, listeners
    )
    return [*steps, *more], dataclasses.replace(region, **left), [*kept, *words]


def _region_warnings(
    document: FrontEnd,
    current: CloudState,
    predicted: CloudState,
    instance: Observed[LoadBalancer] | None = None,
    listeners: t.Sequence[Observed[Listener]] = (),
) -> t.Iterator[str]:
    yield from access_list.warnings(document, current, predicted.access_lists, instance, listeners)
    for option in certificate.KINDS:
        yield from certificate.warnings(option, document, current)


def _build_region(document: FrontEnd, current: CloudState) -> Plan:
    """The plan of a document about what is the region's alone."""
    steps, region = _region(document, current)
    removals, predicted, kept = _leaving(document, current, region)
    return Plan(
        steps=(*steps, *removals),
        predicted=predicted,
        warnings=(*kept, *_region_warnings(document, current, predicted), *limits.check(document, current, predicted)),
    )


def _remove(document: FrontEnd, current: CloudState) -> Plan:
    """Take away what this owner made, and say what of others keeps a part of it in place."""
    has = current.load_balancer
    if has is None:
        steps, region, kept = _region_removal(document, current)
        return Plan(steps=tuple(steps), predicted=region, kept=tuple(kept))
    listener_steps, listeners, listeners_kept = listener.plan_removal(document, current, has)
    group_steps, groups, groups_kept = server_group.plan_removal(document, current, listeners)
    pair_steps, pairs, pairs_kept = failover_group.plan_removal(document, current, listeners)
    pool_steps, pool = default_pool.plan_removal(document, current, has)
    steps, instance, kept = load_balancer.plan_removal(document, current, has, listeners, (*groups, *pairs), pool)
    region_steps, region, region_kept = _region_removal(document, current, has, listeners)
    return Plan(
        steps=(*listener_steps, *group_steps, *pair_steps, *pool_steps, *steps, *region_steps),
        predicted=dataclasses.replace(
            region,
            load_balancer=instance,
            server_groups=groups,
            failover_groups=pairs,
            default_pool=pool if instance else None,
            listeners=listeners,
        ),
        kept=(*listeners_kept, *groups_kept, *pairs_kept, *kept, *region_kept),
    )


def _region_removal(
    document: FrontEnd,
    current: CloudState,
    instance: Observed[LoadBalancer] | None = None,
    listeners: t.Sequence[Observed[Listener]] = (),
) -> tuple[list[Step], CloudState, list[str]]:
    """Take away what of the region's is this owner's and nobody uses."""
    list_steps, lists, kept = access_list.plan_removal(document, current, instance, listeners)
    # lists were looked at above
    others = dataclasses.replace(document, access_lists=())
    steps, region, words = _leaving(others, current, current, instance, listeners)
    left = CloudState(
        access_lists=lists,
        certificates=region.certificates,
        ca_certificates=region.ca_certificates,
        tls_policies=region.tls_policies,
    )
    return [*list_steps, *steps], left, [*kept, *words]
