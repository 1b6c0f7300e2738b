# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Servers as members of vServer groups, of the default pool and of primary/secondary groups.

A member's weight and description change in place; whose it is, its description says.
"""

from __future__ import annotations

import dataclasses
import json
import typing as t

from ..document import BACKENDS_PER_CALL, DESCRIPTION_LIMIT, Backend, FrontEnd, LoadBalancer, marked, unmarked
from ..errors import DocumentError, quoted
from ..lookup import members_meant, resolve
from ..state import Server, Step

DEFAULT_WEIGHT = 100


def observed(entries: t.Iterable[t.Mapping[str, t.Any]]) -> tuple[Backend, ...]:
    """Members as the API tells them, in one order."""
    return ordered(
        Backend(
            port=int(entry["Port"]) if entry.get("Port") else None,
            server_id=entry["ServerId"],
            private_ip=entry.get("ServerIp") or None,
            weight=int(entry["Weight"]),
            description=entry.get("Description") or "",
            type=entry.get("Type") or "ecs",
        )
        for entry in entries
    )


def ordered(backends: t.Iterable[Backend]) -> tuple[Backend, ...]:
    return tuple(
        sorted(backends, key=lambda member: (member.server_id or "", member.identity[1] or "", member.port or 0))
    )


def with_addresses(members: t.Iterable[Backend], servers: t.Sequence[Server]) -> tuple[Backend, ...]:
    """Members with their addresses, which the API tells of network interfaces only."""
    addresses = {server.id: server.private_ips[0] for server in servers if server.private_ips}
    return tuple(
        dataclasses.replace(member, private_ip=member.private_ip or addresses.get(member.server_id or ""))
        for member in members
    )


def by_id(member: Backend) -> Backend:
    """A member as a document names it without a doubt. Only an interface is one with its address."""
    if member.type == "eni":
        return Backend(port=member.port, eni_id=member.server_id, private_ip=member.private_ip)
    return Backend(port=member.port, server_id=member.server_id)


def refuse_mixture(members: t.Iterable[Backend], servers: t.Sequence[Server], instance: LoadBalancer) -> None:
    """A public load balancer has no VPC of its own, but all its servers are in one."""
    ids = {member.server_id for member in members}
    places = {server.vpc_id: server.id for server in servers if server.id in ids and server.vpc_id}
    if len(places) > 1:
        raise DocumentError(
            f"{quoted(f'{server} is in {vpc}' for vpc, server in sorted(places.items()))}; the load balancer"
            f" {instance.name or instance.id} takes servers of one VPC only"
        )


@dataclasses.dataclass(frozen=True)
class Changes:
    """What is done to a list of members, and what it is then."""

    added: tuple[Backend, ...] = ()
    changed: tuple[Backend, ...] = ()
    removed: tuple[Backend, ...] = ()
    after: tuple[Backend, ...] = ()


def compare(
    document: FrontEnd,
    where: str,
    wanted: t.Iterable[Backend],
    purge: str,
    has: t.Sequence[Backend],
    servers: t.Sequence[Server],
    instance: LoadBalancer,
) -> Changes:
    """From the members that there are to those that are wanted. Raises the errors of lookup.resolve."""
    wanted = tuple(wanted)
    absent = [backend for backend in wanted if backend.state == "absent"]
    resolved = resolve(where, (backend for backend in wanted if backend.state == "present"), servers, instance, has)
    both = members_meant(where, absent, servers, resolved)
    if both:
        raise DocumentError(
            f"{where} has {both[0].label} ({both[0].server_id}) as present and as absent; leave one out"
        )
    members = {member.identity: member for member in has}
    after: dict[t.Any, Backend] = {}
    for backend in resolved:
        member = members.get(backend.identity)
        after[backend.identity] = (
            made(document, backend) if member is None else _updated(document, where, backend, member)
        )
    gone = {member.identity for member in members_meant(where, absent, servers, has)}
    surplus = {key: member for key, member in members.items() if key not in after}
    removed = [member for key, member in surplus.items() if key in gone or _purged(document, purge, member)]
    kept = [member for key, member in surplus.items() if not (key in gone or _purged(document, purge, member))]
    return Changes(
        added=tuple(backend for key, backend in after.items() if key not in members),
        changed=tuple(backend for key, backend in after.items() if key in members and backend != members[key]),
        removed=tuple(removed),
        after=ordered([*after.values(), *kept]),
    )


def made(document: FrontEnd, backend: Backend) -> Backend:
    """A server as a new member of this owner."""
    return dataclasses.replace(
        backend,
        weight=DEFAULT_WEIGHT if backend.weight is None else backend.weight,
        description=marked(document.owner, backend.description),
    )


def _updated(document: FrontEnd, where: str, backend: Backend, member: Backend) -> Backend:
    return dataclasses.replace(
        member,
        weight=member.weight if backend.weight is None else backend.weight,
        description=_description(document, where, member, backend.description),
    )


def _description(document: FrontEnd, where: str, member: Backend, wanted: str | None) -> str | None:
    """A member's description. The same text on a member that somebody else added is no reason to make it ours."""
    owner, text = unmarked(member.description)
    adopted = document.adopt and owner is None
    if wanted in (None, text) and not adopted:
        return member.description
    description = marked(document.owner, text if wanted is None else wanted)
    if len(description) > DESCRIPTION_LIMIT:
        raise DocumentError(
            f"{where}[{member.label}] has a description of {len(text)} characters, which has no room beside the mark of"
            f" {document.owner}; to adopt it, give it a shorter description"
        )
    return description


def _purged(document: FrontEnd, purge: str, member: Backend) -> bool:
    return purge == "all" or (purge == "owned" and is_ours(document, member))


def is_ours(document: FrontEnd, member: Backend) -> bool:
    return unmarked(member.description)[0] == document.owner


def steps(symbol: str, target: t.Mapping[str, t.Any], operations: t.Mapping[str, str], changes: Changes) -> list[Step]:
    """New servers first, so that a full exchange never leaves the list empty; then changes, then removals."""
    return [
        *batches(symbol, target, operations, "add", changes.added),
        *batches(symbol, target, operations, "change", changes.changed),
        *batches(symbol, target, operations, "remove", changes.removed),
    ]


def batches(
    symbol: str,
    target: t.Mapping[str, t.Any],
    operations: t.Mapping[str, str],
    verb: str,
    backends: t.Sequence[Backend],
) -> list[Step]:
    """As few calls as the API's limit of servers per call allows."""
    chunks = [backends[start : start + BACKENDS_PER_CALL] for start in range(0, len(backends), BACKENDS_PER_CALL)]
    return [
        Step(
            symbol,
            verb,
            operations[verb],
            {**target, "BackendServers": written(chunk)},
            f"{verb} {count(chunk)}: {quoted(backend.label for backend in chunk)}",
        )
        for chunk in chunks
    ]


def count(backends: t.Sequence[Backend]) -> str:
    return "1 server" if len(backends) == 1 else f"{len(backends)} servers"


def written(backends: t.Iterable[Backend]) -> str:
    """The API takes a JSON string here; a Python list would be sent in another form without any error."""
    return json.dumps([wire(backend) for backend in backends], ensure_ascii=False)


def wire(backend: Backend) -> dict[str, str]:
    """A member as calls take it: without a port in the default pool, with its address where that is part of its identity."""
    return {
        "ServerId": backend.server_id or "",
        **({} if backend.port is None else {"Port": str(backend.port)}),
        "Weight": str(backend.weight),
        "Type": backend.type or "ecs",
        **({} if backend.is_ecs or not backend.private_ip else {"ServerIp": backend.private_ip}),
        "Description": backend.description or "",
    }
