# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Primary/secondary groups. The API has no call that changes one: another one is made, and the listener led to it."""

from __future__ import annotations

import dataclasses
import json
import typing as t

from ..client import Client
from ..document import OWNER_TAG, Backend, FailoverGroup, FrontEnd, LoadBalancer
from ..errors import ApiError, DocumentError, Immutable, Verdict
from ..lookup import resolve
from ..state import CloudState, Observed, Server, Step, names_by_id
from . import load_balancer, members
from .server_group import choose
from .tags import wrapped, written

#: How the API calls the two.
SERVER_TYPES = {"primary": "Master", "standby": "Slave"}
SIDES = tuple(SERVER_TYPES)


def fetch(client: Client, load_balancer_id: str, wanted: t.Callable[[str], bool]) -> list[Observed[FailoverGroup]]:
    """All groups of an instance, the oldest first; the servers are read only of those that are wanted(name)."""
    parameters = {"LoadBalancerId": load_balancer_id, "IncludeListener": True}
    answer = client.slb("DescribeMasterSlaveServerGroups", parameters)
    groups = []
    for entry in answer["MasterSlaveServerGroups"]["MasterSlaveServerGroup"]:
        group_id, name = entry["MasterSlaveServerGroupId"], entry["MasterSlaveServerGroupName"]
        sides = _sides(client, group_id) if wanted(name) else {}
        if sides is None:
            continue
        users = ((entry.get("AssociatedObjects") or {}).get("Listeners") or {}).get("Listener") or ()
        groups.append(
            Observed(
                FailoverGroup(name, **sides),
                id=group_id,
                owner=wrapped(entry).get(OWNER_TAG),
                created=entry.get("CreateTime") or "",
                facts={"listeners": sorted(f"{user['Protocol']}/{user['Port']}" for user in users)},
            )
        )
    return sorted(groups, key=lambda group: (group.created, group.id or ""))


def named(client: Client, load_balancer_id: str, name: str) -> list[Observed[FailoverGroup]]:
    """The groups of one name, without their servers, the oldest first."""
    return [group for group in fetch(client, load_balancer_id, lambda name: False) if group.config.name == name]


def _sides(client: Client, group_id: str) -> dict[str, t.Any] | None:
    """The two servers of a group; None if it went away since it was listed."""
    try:
        answer = client.slb("DescribeMasterSlaveServerGroupAttribute", {"MasterSlaveServerGroupId": group_id})
    except ApiError as error:
        if error.verdict is Verdict.ABSENT:
            return None
        raise
    names = {kind: name for name, kind in SERVER_TYPES.items()}
    entries = answer["MasterSlaveBackendServers"]["MasterSlaveBackendServer"]
    return {names[entry["ServerType"]]: _as_told(members.observed([entry])[0]) for entry in entries}


def _as_told(side: Backend) -> Backend:
    """A server as the API tells it: weights mean nothing here, and the address of an interface is not told."""
    return dataclasses.replace(
        side,
        weight=None,
        type=side.type or "ecs",
        private_ip=side.private_ip if side.is_ecs else None,
        description=side.description or "",
    )


def with_addresses(group: Observed[FailoverGroup], servers: t.Sequence[Server]) -> Observed[FailoverGroup]:
    """A group whose instances have their addresses."""
    sides = {name: getattr(group.config, name) for name in SIDES}
    told: dict[str, t.Any] = {
        name: _as_told(members.with_addresses([side], servers)[0]) for name, side in sides.items() if side
    }
    return dataclasses.replace(group, config=dataclasses.replace(group.config, **told))


def plan(
    document: FrontEnd, current: CloudState, instance: Observed[LoadBalancer]
) -> tuple[list[Step], tuple[Observed[FailoverGroup], ...]]:
    """Steps that make the groups of a document, or take them away, and all groups that there are then."""
    steps: list[Step] = []
    groups = list(current.failover_groups)
    for desired in document.failover_groups:
        twins = [group for group in current.failover_groups if group.config.name == desired.name]
        if desired.state == "absent":
            steps.extend(away(group) for group in twins)
            groups = [group for group in groups if group not in twins]
            continue
        has = choose("failover_groups", document, desired.name, twins)
        if has is None:
            step, made = _create(document, desired, current, instance)
            steps.append(step)
            groups.append(made)
            continue
        _refuse_changes(desired, has, _resolved(desired, has.config, current, instance))
        younger = [group for group in twins if group is not has]
        steps.extend(away(group) for group in younger)
        groups = [group for group in groups if group not in younger]
    return steps, tuple(groups)


def _resolved(
    desired: FailoverGroup, has: FailoverGroup | None, current: CloudState, instance: Observed[LoadBalancer]
) -> dict[str, Backend]:
    """The servers that are given, as the cloud knows them."""
    found = {}
    for name in SIDES:
        side, there = getattr(desired, name), getattr(has, name, None)
        if side is not None:
            where = f"failover_groups[{desired.name}].{name}"
            (found[name],) = resolve(where, [side], current.servers, instance.config, [there] if there else [])
    return found


def _create(
    document: FrontEnd, desired: FailoverGroup, current: CloudState, instance: Observed[LoadBalancer]
) -> tuple[Step, Observed[FailoverGroup]]:
    where = f"failover_groups[{desired.name}]"
    missing = [name for name in SIDES if getattr(desired, name) is None]
    if missing:
        raise DocumentError(
            f"{where} does not exist, and {' and '.join(missing)} is not given; a primary/secondary group is made of exactly two"
            " servers, primary and standby"
        )
    sides = _resolved(desired, None, current, instance)
    if sides["primary"].identity == sides["standby"].identity:
        raise DocumentError(
            f"{where} has {sides['primary'].label} ({sides['primary'].server_id}) as primary and as standby; the two have to differ"
        )
    entries = [
        {**members.wire(dataclasses.replace(sides[name], weight=members.DEFAULT_WEIGHT)), "ServerType": kind}
        for name, kind in SERVER_TYPES.items()
    ]
    step = Step(
        desired.symbol,
        "create",
        "CreateMasterSlaveServerGroup",
        {
            "LoadBalancerId": load_balancer.reference(instance),
            "MasterSlaveServerGroupName": desired.name,
            "MasterSlaveBackendServers": json.dumps(entries, ensure_ascii=False),
            "Tag": written({OWNER_TAG: document.owner}),
        },
        f"create the primary/secondary group {desired.name} with {sides['primary'].label} and {sides['standby'].label}",
        yields="MasterSlaveServerGroupId",
    )
    config = FailoverGroup(desired.name, _as_told(sides["primary"]), _as_told(sides["standby"]))
    return step, Observed(config, owner=document.owner, facts={"listeners": []})


def _refuse_changes(desired: FailoverGroup, has: Observed[FailoverGroup], sides: t.Mapping[str, Backend]) -> None:
    for name, wanted in sides.items():
        there = getattr(has.config, name) or Backend()
        for option, old, new in (
            ("server", there.server_id, wanted.server_id),
            ("port", there.port, wanted.port),
            ("description", there.description, wanted.description),
        ):
            if new is not None and new != old:
                raise Immutable(
                    f"failover_groups[{desired.name}].{name}: the {option} is '{old}' and cannot become '{new}', for a"
                    " primary/secondary group is fixed when it is made; give the new one another name and lead the listener's"
                    " failover_group to it, which changes over in one call, then remove this one with state absent"
                )


def away(group: Observed[FailoverGroup]) -> Step:
    return Step(
        f"{group.config.symbol}:{group.id}",
        "delete",
        "DeleteMasterSlaveServerGroup",
        {"MasterSlaveServerGroupId": group.id},
        f"delete the primary/secondary group {group.config.name} ({group.id})",
    )


def plan_removal(
    document: FrontEnd, current: CloudState, listeners: t.Sequence[t.Any]
) -> tuple[list[Step], tuple[Observed[FailoverGroup], ...], list[str]]:
    """Delete this owner's groups; one that others use stays."""
    steps: list[Step] = []
    left: list[Observed[FailoverGroup]] = []
    kept: list[str] = []
    still_used = {entry.config.failover_group for entry in listeners}
    called = names_by_id(current.failover_groups)
    for group in current.failover_groups:
        name = group.config.name
        if group.owner == document.owner and called.get(group.id or "", name) not in still_used:
            steps.append(away(group))
            continue
        left.append(group)
        why = (
            "a listener that others made uses it" if group.owner == document.owner else "this front end did not make it"
        )
        kept.append(f"primary/secondary group {name} ({group.id}) stays: {why}")
    return steps, tuple(left), kept
