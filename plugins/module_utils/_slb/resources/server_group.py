# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""vServer groups and the servers in them.

A member is an ECS instance and a port. Its weight and description change in place; whose it is, its description says.
"""

from __future__ import annotations

import dataclasses
import json
import typing as t

from ..client import Client
from ..document import BACKENDS_PER_CALL, OWNER_TAG, Backend, FrontEnd, LoadBalancer, ServerGroup, marked, unmarked
from ..errors import ApiError, DocumentError, LookupFailed, Verdict, quoted
from ..state import CloudState, Observed, Ref, Server, Step
from . import load_balancer
from .tags import wrapped, written

DEFAULT_WEIGHT = 100
Key = t.Tuple[t.Optional[str], int]


def fetch(
    client: Client, load_balancer_id: str, wanted: t.Callable[[str, str | None], bool]
) -> list[Observed[ServerGroup]]:
    """All groups of an instance, the oldest first; the members are read only of those that are wanted(name, owner)."""
    answer = client.slb("DescribeVServerGroups", {"LoadBalancerId": load_balancer_id, "IncludeListener": True})
    groups = []
    for entry in answer["VServerGroups"]["VServerGroup"]:
        tags = wrapped(entry)
        name, owner = entry["VServerGroupName"], tags.get(OWNER_TAG)
        backends: tuple[Backend, ...] | None = None
        if wanted(name, owner):
            members = _members(client, entry["VServerGroupId"])
            if members is None:
                continue
            backends = members
        users = (entry.get("AssociatedObjects") or {}).get("Listeners") or {}
        groups.append(
            Observed(
                ServerGroup(name, backends),
                id=entry["VServerGroupId"],
                owner=owner,
                created=entry.get("CreateTime") or "",
                facts={
                    "listeners": sorted(f"{user['Protocol']}/{user['Port']}" for user in users.get("Listener") or ())
                },
            )
        )
    return sorted(groups, key=lambda group: (group.created, group.id or ""))


def _members(client: Client, group_id: str) -> tuple[Backend, ...] | None:
    """The members of a group; None if it went away since it was listed."""
    try:
        answer = client.slb("DescribeVServerGroupAttribute", {"VServerGroupId": group_id})
    except ApiError as error:
        if error.verdict is Verdict.ABSENT:
            return None
        raise
    return tuple(sorted((_member(entry) for entry in answer["BackendServers"]["BackendServer"]), key=_order))


def _member(entry: t.Mapping[str, t.Any]) -> Backend:
    return Backend(
        port=int(entry["Port"]),
        server_id=entry["ServerId"],
        private_ip=entry.get("ServerIp") or None,
        weight=int(entry["Weight"]),
        description=entry.get("Description") or "",
    )


def with_addresses(group: Observed[ServerGroup], servers: t.Sequence[Server]) -> Observed[ServerGroup]:
    """A group whose members have their addresses, which the API tells of network interfaces only."""
    if group.config.backends is None:
        return group
    addresses = {server.id: server.private_ips[0] for server in servers if server.private_ips}
    backends = tuple(
        dataclasses.replace(member, private_ip=member.private_ip or addresses.get(member.server_id or ""))
        for member in group.config.backends
    )
    return dataclasses.replace(group, config=dataclasses.replace(group.config, backends=backends))


def _order(backend: Backend) -> tuple[str, int]:
    return backend.server_id or "", backend.port


def _key(backend: Backend) -> Key:
    return backend.server_id, backend.port


def resolve(
    group: ServerGroup, servers: t.Sequence[Server], instance: LoadBalancer, members: t.Collection[Key] = ()
) -> tuple[Backend, ...]:
    """Every backend with the id of its server, after checking that the instance can reach it.

    members are there already: one that is stopped just now is no reason to change nothing.
    Raises LookupFailed for an address of no server or of several, DocumentError for a server that cannot serve.
    """
    where = f"server_groups[{group.name}].backends"
    resolved = tuple(_resolved(backend, where, servers, instance, members) for backend in group.backends or ())
    double = next(
        (backend for backend in resolved if [_key(other) for other in resolved].count(_key(backend)) > 1), None
    )
    if double is not None:
        raise DocumentError(
            f"{where} has {double.server_id}:{double.port} more than once, by its id and by its address"
        )
    return resolved


def _resolved(
    backend: Backend, where: str, servers: t.Sequence[Server], instance: LoadBalancer, members: t.Collection[Key]
) -> Backend:
    vpc_id = instance.vpc_id
    if backend.server_id is not None:
        found = [server for server in servers if server.id == backend.server_id]
    else:
        found = [server for server in servers if backend.private_ip in server.private_ips]
    wanted = f"private_ip {backend.private_ip}" if backend.private_ip else f"server_id {backend.server_id}"
    here = [server for server in found if vpc_id is None or server.vpc_id in (None, vpc_id)]
    if not found:
        raise LookupFailed(
            f"{where}: {wanted} matches no ECS instance of this region; check the address, the region and that the instance exists"
        )
    if not here:
        elsewhere = quoted(f"{server.id} in {server.vpc_id}" for server in found)
        raise DocumentError(
            f"{where}: {wanted} is {elsewhere}, but the load balancer {instance.name or instance.id} is in {vpc_id};"
            " a load balancer reaches only servers of its own VPC"
        )
    if len(here) > 1:
        raise LookupFailed(
            f"{where}: {wanted} matches {len(here)} instances, {quoted(f'{server.id} in {server.vpc_id}' for server in here)};"
            " give server_id instead"
        )
    server = here[0]
    if server.status != "Running" and (server.id, backend.port) not in members:
        raise DocumentError(
            f"{where}: {wanted} is {server.id}, which is {server.status}; only a running server can be added"
        )
    # the first one is what the load balancer connects to, whichever address led here
    address = server.private_ips[0] if server.private_ips else None
    return dataclasses.replace(backend, server_id=server.id, private_ip=address)


def plan(
    document: FrontEnd, current: CloudState, instance: Observed[LoadBalancer]
) -> tuple[list[Step], tuple[Observed[ServerGroup], ...]]:
    """Steps that make the groups of a document as they are wanted, and all groups that there are then."""
    steps: list[Step] = []
    groups = list(current.server_groups)
    for desired in document.server_groups:
        twins = [group for group in current.server_groups if group.config.name == desired.name]
        has = _choose(document, desired, twins)
        if desired.state == "absent":
            steps.extend(_delete(document, group) for group in twins)
            groups = [group for group in groups if group.config.name != desired.name]
            continue
        members = [_key(member) for member in has.config.backends or ()] if has else []
        backends = None if desired.backends is None else resolve(desired, current.servers, instance.config, members)
        wanted = dataclasses.replace(desired, backends=backends)
        if has is None:
            more, made = _create(document, wanted, instance)
            groups.append(made)
        else:
            more, made = _update(document, wanted, has)
            younger = [group for group in twins if group is not has]
            more.extend(_delete(document, group) for group in younger)
            groups = [made if group is has else group for group in groups if group not in younger]
        steps.extend(more)
    return steps, tuple(groups)


def _choose(
    document: FrontEnd, desired: ServerGroup, twins: t.Sequence[Observed[ServerGroup]]
) -> Observed[ServerGroup] | None:
    """The group that is meant. Of several that this owner made, two runs at once made them: the used one stays, else the oldest."""
    twins = sorted(twins, key=lambda group: not group.facts.get("listeners"))
    ours = all(group.owner == document.owner for group in twins)
    if len(twins) > 1 and not (ours and not any(group.facts.get("listeners") for group in twins[1:])):
        raise LookupFailed(
            f"server_groups: the name '{desired.name}' fits {len(twins)} groups, {quoted(str(group.id) for group in twins)};"
            " rename or remove all but one"
        )
    return twins[0] if twins else None


def _create(
    document: FrontEnd, desired: ServerGroup, instance: Observed[LoadBalancer]
) -> tuple[list[Step], Observed[ServerGroup]]:
    backends = tuple(sorted((_new_member(document, backend) for backend in desired.backends or ()), key=_order))
    first, rest = backends[:BACKENDS_PER_CALL], backends[BACKENDS_PER_CALL:]
    create = Step(
        desired.symbol,
        "create",
        "CreateVServerGroup",
        {
            "LoadBalancerId": load_balancer.reference(instance),
            "VServerGroupName": desired.name,
            "BackendServers": _wire(first) if first else None,
            "Tag": written({OWNER_TAG: document.owner}),
        },
        f"create the server group {desired.name} with {_count(backends)}",
        yields="VServerGroupId",
    )
    steps = [create, *_batches(desired.symbol, Ref(desired.symbol), "add", rest)]
    return steps, Observed(ServerGroup(desired.name, backends), owner=document.owner, facts={"listeners": []})


def _new_member(document: FrontEnd, backend: Backend) -> Backend:
    return dataclasses.replace(
        backend,
        weight=DEFAULT_WEIGHT if backend.weight is None else backend.weight,
        description=marked(document.owner, backend.description),
    )


def _update(
    document: FrontEnd, desired: ServerGroup, has: Observed[ServerGroup]
) -> tuple[list[Step], Observed[ServerGroup]]:
    if desired.backends is None:
        return [], has
    members = {_key(member): member for member in has.config.backends or ()}
    added, changed, after = [], [], {}
    for backend in desired.backends:
        member = members.get(_key(backend))
        if member is None:
            after[_key(backend)] = _new_member(document, backend)
            added.append(after[_key(backend)])
            continue
        after[_key(backend)] = dataclasses.replace(
            member,
            weight=member.weight if backend.weight is None else backend.weight,
            description=(
                member.description if backend.description is None else marked(document.owner, backend.description)
            ),
        )
        if after[_key(backend)] != member:
            changed.append(after[_key(backend)])
    surplus = [member for key, member in members.items() if key not in after]
    removed = [member for member in surplus if _purged(document, desired.purge, member)]
    after.update({_key(member): member for member in surplus if member not in removed})
    target = has.id or Ref(desired.symbol)
    # new servers first, so that a full exchange never leaves the group empty
    steps = [
        *_batches(desired.symbol, target, "add", added),
        *_batches(desired.symbol, target, "change", changed),
        *_batches(desired.symbol, target, "remove", removed),
    ]
    config = ServerGroup(desired.name, tuple(sorted(after.values(), key=_order)))
    return steps, dataclasses.replace(has, config=config)


def _purged(document: FrontEnd, purge: str, member: Backend) -> bool:
    return purge == "all" or (purge == "owned" and unmarked(member.description)[0] == document.owner)


BATCH_OPERATIONS = {
    "add": "AddVServerGroupBackendServers",
    "change": "SetVServerGroupAttribute",
    "remove": "RemoveVServerGroupBackendServers",
}


def _batches(symbol: str, target: t.Any, verb: str, backends: t.Sequence[Backend]) -> list[Step]:
    """As few calls as the API's limit of servers per call allows."""
    chunks = [backends[start : start + BACKENDS_PER_CALL] for start in range(0, len(backends), BACKENDS_PER_CALL)]
    return [
        Step(
            symbol,
            verb,
            BATCH_OPERATIONS[verb],
            {"VServerGroupId": target, "BackendServers": _wire(chunk)},
            f"{verb} {_count(chunk)}: {quoted(backend.label for backend in chunk)}",
        )
        for chunk in chunks
    ]


def _count(backends: t.Sequence[Backend]) -> str:
    return "1 server" if len(backends) == 1 else f"{len(backends)} servers"


def _wire(backends: t.Sequence[Backend]) -> str:
    """The API takes a JSON string here; a Python list would be sent in another form without any error."""
    return json.dumps(
        [
            {
                "ServerId": backend.server_id,
                "Port": str(backend.port),
                "Weight": str(backend.weight),
                "Type": "ecs",
                "Description": backend.description,
            }
            for backend in backends
        ],
        ensure_ascii=False,
    )


def _delete(document: FrontEnd, group: Observed[ServerGroup]) -> Step:
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
    for group in current.server_groups:
        name = group.config.name
        members = group.config.backends or ()
        ours = [member for member in members if unmarked(member.description)[0] == document.owner]
        foreign = [member for member in members if member not in ours]
        if group.owner == document.owner and not foreign and name not in still_used:
            steps.append(_delete(document, group))
            continue
        steps.extend(_batches(group.config.symbol, group.id, "remove", ours))
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
