# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""vServer groups and the servers in them."""

from __future__ import annotations

import dataclasses
import typing as t

from ..client import Client
from ..document import (
    BACKENDS_PER_CALL,
    OWNER_TAG,
    Backend,
    FailoverGroup,
    FrontEnd,
    Listener,
    LoadBalancer,
    ServerGroup,
)
from ..errors import ApiError, DocumentError, LookupFailed, Verdict, quoted
from ..state import CloudState, Observed, Ref, Server, Step, names_by_id
from . import load_balancer, members
from .tags import wrapped, written

#: What changes the members of a group.
OPERATIONS = {
    "add": "AddVServerGroupBackendServers",
    "change": "SetVServerGroupAttribute",
    "remove": "RemoveVServerGroupBackendServers",
}


def fetch(
    client: Client, load_balancer_id: str, wanted: t.Callable[[str, str | None], bool]
) -> list[Observed[ServerGroup]]:
    """All groups of an instance, the oldest first; the members are read only of those that are wanted(name, owner)."""
    answer = client.slb(
        "DescribeVServerGroups", {"LoadBalancerId": load_balancer_id, "IncludeListener": True, "IncludeRule": True}
    )
    groups = []
    for entry in answer["VServerGroups"]["VServerGroup"]:
        tags = wrapped(entry)
        name, owner = entry["VServerGroupName"], tags.get(OWNER_TAG)
        backends: tuple[Backend, ...] | None = None
        if wanted(name, owner):
            backends = _members(client, entry["VServerGroupId"])
            if backends is None:
                continue
        objects = entry.get("AssociatedObjects") or {}
        users, rules = objects.get("Listeners") or {}, objects.get("Rules") or {}
        groups.append(
            Observed(
                ServerGroup(name, backends),
                id=entry["VServerGroupId"],
                owner=owner,
                created=entry.get("CreateTime") or "",
                facts={
                    "listeners": sorted(f"{user['Protocol']}/{user['Port']}" for user in users.get("Listener") or ()),
                    # by the id: the answer does not say of which listener
                    "rules": {
                        rule["RuleId"]: f"{rule.get('Domain') or ''}{rule.get('Url') or ''}"
                        for rule in rules.get("Rule") or ()
                    },
                    "servers": entry.get("ServerCount"),
                },
            )
        )
    return sorted(groups, key=lambda group: (group.created, group.id or ""))


def named(client: Client, load_balancer_id: str, name: str) -> list[Observed[ServerGroup]]:
    """The groups of one name, without their members, the oldest first."""
    found = fetch(client, load_balancer_id, lambda name, owner: False)
    return [group for group in found if group.config.name == name]


def _members(client: Client, group_id: str) -> tuple[Backend, ...] | None:
    """The members of a group; None if it went away since it was listed."""
    try:
        answer = client.slb("DescribeVServerGroupAttribute", {"VServerGroupId": group_id})
    except ApiError as error:
        if error.verdict is Verdict.ABSENT:
            return None
        raise
    return members.observed(answer["BackendServers"]["BackendServer"])


def with_addresses(group: Observed[ServerGroup], servers: t.Sequence[Server]) -> Observed[ServerGroup]:
    """A group whose members have their addresses."""
    if group.config.backends is None:
        return group
    backends = members.with_addresses(group.config.backends, servers)
    return dataclasses.replace(group, config=dataclasses.replace(group.config, backends=backends))


def plan(
    document: FrontEnd, current: CloudState, instance: Observed[LoadBalancer]
) -> tuple[list[Step], tuple[Observed[ServerGroup], ...]]:
    """Steps that make the groups of a document as they are wanted, and all groups that there are then."""
    steps: list[Step] = []
    groups = list(current.server_groups)
    for desired in document.server_groups:
        twins = [group for group in current.server_groups if group.config.name == desired.name]
        has = choose("server_groups", document, desired.name, twins)
        if desired.state == "absent":
            steps.extend(away(group) for group in twins)
            groups = [group for group in groups if group.config.name != desired.name]
            continue
        if has is None and desired.exists:
            _refuse_missing(desired, instance)
            continue
        if has is None:
            more, made = _create(document, desired, current, instance)
            groups.append(made)
        else:
            more, made = _update(document, desired, has, current, instance)
            younger = [group for group in twins if group is not has and not desired.exists]
            more.extend(away(group) for group in younger)
            groups = [made if group is has else group for group in groups if group not in younger]
        steps.extend(more)
    return steps, tuple(groups)


def _refuse_missing(desired: ServerGroup, instance: Observed[LoadBalancer]) -> None:
    """Of a group that is not there, members can only be taken away."""
    if any(backend.state == "present" for backend in desired.backends or ()):
        raise LookupFailed(
            f"server_group '{desired.name}' does not exist on the load balancer {instance.config.name}; make it by"
            " clusterfront.ha.slb_server_group first, or correct the name"
        )


G = t.TypeVar("G", ServerGroup, FailoverGroup)


def choose(option: str, document: FrontEnd, name: str, twins: t.Sequence[Observed[G]]) -> Observed[G] | None:
    """The group that is meant. Of several that this owner made, two runs at once made them: one stays, the others go.

    That is the one that others have a part in, else one that is used, else the oldest.
    """
    twins = sorted(
        twins,
        key=lambda group: (
            not _shared(document, group),
            not (group.facts.get("listeners") or group.facts.get("rules")),
        ),
    )
    ours = all(group.owner == document.owner for group in twins)
    if len(twins) > 1 and not (ours and not any(_shared(document, group) for group in twins[1:])):
        raise LookupFailed(
            f"{option}: the name '{name}' fits {len(twins)} groups, {quoted(str(group.id) for group in twins)};"
            " rename or remove all but one"
        )
    return twins[0] if twins else None


def _shared(document: FrontEnd, group: Observed[G]) -> bool:
    """Whether a listener that the document does not lead elsewhere uses the group, or others added servers to it."""
    led = {
        f"{entry.protocol}/{entry.port}"
        for entry in document.listeners
        if entry.server_group or entry.failover_group or entry.state == "absent"
    }
    # the two servers of a primary/secondary group never change hands
    backends = group.config.backends or () if isinstance(group.config, ServerGroup) else ()
    strangers = any(not members.is_ours(document, member) for member in backends)
    return not led.issuperset(group.facts.get("listeners") or ()) or strangers or bool(group.facts.get("rules"))


def refuse_used(document: FrontEnd, current: CloudState, listeners: t.Sequence[Observed[Listener]]) -> None:
    """Refuse to delete a group that a listener or a rule still uses once the listeners are as they are going to be."""
    # where the listeners were read, they know better: that was later
    told = not document.listeners
    for desired in document.server_groups:
        for group in current.server_groups if desired.state == "absent" else ():
            if group.config.name != desired.name:
                continue
            users = list(group.facts.get("listeners") or ()) if told else []
            users += [f"the rule {label}" for label in (group.facts.get("rules") or {}).values()] if told else []
            for entry in listeners:
                if entry.config.server_group in (group.id, desired.name):
                    users.append(str(entry.id))
                users += [
                    f"the rule {rule.label} of {entry.id}"
                    for rule in entry.config.rules or ()
                    if rule.server_group in (group.id, desired.name)
                ]
            if users:
                raise DocumentError(
                    f"server_groups[{desired.name}].state is 'absent', but server group {desired.name} ({group.id}) cannot be"
                    f" deleted, because it is used by {quoted(users)}; give them another one first"
                )


def _compare(
    document: FrontEnd,
    desired: ServerGroup,
    has: t.Sequence[Backend],
    current: CloudState,
    instance: Observed[LoadBalancer],
) -> members.Changes:
    where = f"server_groups[{desired.name}].backends"
    return members.compare(
        document, where, desired.backends or (), desired.purge, has, current.servers, instance.config
    )


def _create(
    document: FrontEnd, desired: ServerGroup, current: CloudState, instance: Observed[LoadBalancer]
) -> tuple[list[Step], Observed[ServerGroup]]:
    backends = _compare(document, desired, (), current, instance).after
    first, rest = backends[:BACKENDS_PER_CALL], backends[BACKENDS_PER_CALL:]
    create = Step(
        desired.symbol,
        "create",
        "CreateVServerGroup",
        {
            "LoadBalancerId": load_balancer.reference(instance),
            "VServerGroupName": desired.name,
            "BackendServers": members.written(first) if first else None,
            "Tag": written({OWNER_TAG: document.owner}),
        },
        f"create the server group {desired.name} with {members.count(backends)}",
        yields="VServerGroupId",
    )
    target = {"VServerGroupId": Ref(desired.symbol)}
    steps = [create, *members.batches(desired.symbol, target, OPERATIONS, "add", rest)]
    return steps, Observed(ServerGroup(desired.name, backends), owner=document.owner, facts={"listeners": []})


def _update(
    document: FrontEnd,
    desired: ServerGroup,
    has: Observed[ServerGroup],
    current: CloudState,
    instance: Observed[LoadBalancer],
) -> tuple[list[Step], Observed[ServerGroup]]:
    if desired.backends is None:
        return [], has
    changes = _compare(document, desired, has.config.backends or (), current, instance)
    target = {"VServerGroupId": has.id or Ref(desired.symbol)}
    steps = members.steps(desired.symbol, target, OPERATIONS, changes)
    return steps, dataclasses.replace(has, config=ServerGroup(desired.name, changes.after))


def away(group: Observed[ServerGroup]) -> Step:
    return Step(
        f"{group.config.symbol}:{group.id}",
        "delete",
        "DeleteVServerGroup",
        {"VServerGroupId": group.id},
        f"delete the server group {group.config.name} ({group.id})",
    )


def plan_removal(
    document: FrontEnd, current: CloudState, listeners: t.Sequence[t.Any]
) -> tuple[list[Step], tuple[Observed[ServerGroup], ...], list[str]]:
    """Delete this owner's groups; one that others use stays with their servers."""
    steps: list[Step] = []
    left: list[Observed[ServerGroup]] = []
    kept: list[str] = []
    still_used = {entry.config.server_group for entry in listeners}
    still_used |= {rule.server_group for entry in listeners for rule in entry.config.rules or ()}
    called = names_by_id(current.server_groups)
    for group in current.server_groups:
        name = group.config.name
        backends = group.config.backends or ()
        ours = [member for member in backends if members.is_ours(document, member)]
        foreign = [member for member in backends if member not in ours]
        if group.owner == document.owner and not foreign and called.get(group.id or "", name) not in still_used:
            steps.append(away(group))
            continue
        target = {"VServerGroupId": group.id}
        steps.extend(members.batches(group.config.symbol, target, OPERATIONS, "remove", ours))
        left.append(
            dataclasses.replace(
                group, config=ServerGroup(name, tuple(foreign) if group.config.backends is not None else None)
            )
        )
        if group.owner != document.owner:
            kept.append(f"server group {name} ({group.id}) stays: this front end did not make it")
        elif foreign:
            labels = quoted(f"{member.server_id}:{member.port}" for member in foreign)
            kept.append(f"server group {name} ({group.id}) stays: {labels} in it was added by others")
        else:
            kept.append(f"server group {name} ({group.id}) stays: a listener that others made uses it")
    return steps, tuple(left), kept
