# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a host's containers wish for x what an SLB instance has -> the document of the entries that this host owns.

A host owns the entries with its mark, and only those are ever in a document that changes or removes. The engine plans the calls.
Pure: no network, no clock, no Ansible.
"""

from __future__ import annotations

import dataclasses
import typing as t

from .._slb.document import Backend, DefaultPool, FrontEnd, Listener, LoadBalancer, ServerGroup, check, unmarked
from .._slb.errors import quoted
from .._slb.resources import members
from .._slb.state import CloudState, Observed
from .containers import Port
from .labels import TRANSPORT, LabelError, ListenerMeant, Problem, Wish


class Place(t.NamedTuple):
    """Where a server can be an entry: a group and a port, or the default pool, which has no port."""

    group: str | None = None
    port: int | None = None

    def __str__(self) -> str:
        return "the default pool" if self.group is None else f"group {self.group}, port {self.port}"


@dataclasses.dataclass(frozen=True)
class Want:
    """An entry that containers want."""

    place: Place
    weight: int
    ready: bool
    containers: tuple[str, ...]
    #: Why it is not ready.
    state: str = "ready"


@dataclasses.dataclass(frozen=True)
class Entry:
    """An entry of this host, or one that is not made yet, as the status tells it."""

    load_balancer: str
    place: Place
    #: registered, draining, waiting (for its container to be ready), out (weight 0, for it is not) or by others.
    state: str
    weight: int | None = None
    containers: tuple[str, ...] = ()
    why: str = ""


@dataclasses.dataclass(frozen=True)
class Mine:
    """Who asks: the owner's mark, and the server that this host is, as the cloud knows it."""

    owner: str
    server: Backend

    def is_ours(self, member: Backend) -> bool:
        return unmarked(member.description)[0] == self.owner

    def is_here(self, member: Backend) -> bool:
        """Whether a member is this host."""
        return dataclasses.replace(member, port=None).identity == dataclasses.replace(self.server, port=None).identity


def places(wish: Wish, state: CloudState) -> list[Place]:
    """Where a wish is granted. Raises LabelError: there is no listener that leads to such a place."""
    name = wish.load_balancer
    if wish.server_group is not None:
        group = _group(wish.server_group, state, name)
        return [Place(group, port.number) for port in wish.ports]
    if wish.listener is not None:
        return _by_listener(wish, wish.listener, state)
    found = [place for port in wish.ports for place in _by_port(port, state)]
    if wish.ports and not found:
        raise LabelError(_no_listener(wish, state))
    return found


def _group(wanted: str, state: CloudState, load_balancer: str) -> str:
    """The name of the group that a label names by its name or id."""
    fit = [group for group in state.server_groups if wanted in (group.id, group.config.name)]
    if not fit:
        raise LabelError(f"{load_balancer} has no server group '{wanted}'; make it first, or correct the label")
    group = fit[0]
    if not (group.facts.get("listeners") or group.facts.get("rules")):
        raise LabelError(
            f"no listener and no rule of {load_balancer} leads to the server group '{wanted}'; give one to it first"
        )
    return _only_name(group, state, load_balancer)


def _only_name(group: Observed[ServerGroup], state: CloudState, load_balancer: str) -> str:
    name = group.config.name
    twins = [str(other.id) for other in state.server_groups if other.config.name == name]
    if len(twins) > 1:
        raise LabelError(
            f"{load_balancer} has {len(twins)} server groups of the name '{name}', {quoted(twins)}; rename all but one"
        )
    return name


def _serving(state: CloudState, port: Port) -> list[Listener]:
    """The listeners that take what a port serves. One that redirects, or that has a primary/secondary group, takes no servers."""
    return [
        entry.config
        for entry in state.listeners
        if TRANSPORT[entry.config.protocol] == port.protocol
        and not (entry.config.forward_port or entry.config.failover_group)
    ]


def _by_port(port: Port, state: CloudState) -> list[Place]:
    """The listener of the port decides: its group is the place where it has one, else the default pool."""
    found = []
    for entry in _serving(state, port):
        if entry.server_group is None and entry.backend_port == port.number:
            found.append(Place())
        elif entry.server_group is not None and entry.port == port.number:
            found.append(Place(entry.server_group, port.number))
    return list(dict.fromkeys(found))


def _by_listener(wish: Wish, meant: ListenerMeant, state: CloudState) -> list[Place]:
    name = wish.load_balancer
    found = []
    for port in wish.ports:
        for entry in _serving(state, port):
            if entry.port != meant.port or meant.protocol not in (None, entry.protocol):
                continue
            if entry.server_group is not None:
                found.append(Place(entry.server_group, port.number))
            elif entry.backend_port == port.number:
                found.append(Place())
    if wish.ports and not found:
        ends = [entry for entry in state.listeners if entry.config.port == meant.port]
        if ends and ends[0].config.backend_port:
            raise LabelError(
                f"listener {meant} of {name} calls port {ends[0].config.backend_port} of its servers, not {_ports(wish)}; publish that"
                " one, or give the listener a server group"
            )
        raise LabelError(
            f"{name} has no listener {meant} that servers can be given to; make it first, or correct the label"
        )
    return found


def _no_listener(wish: Wish, state: CloudState) -> str:
    """The seed's own message, and what is there instead."""
    near = [
        f"listener {entry.id} calls port {entry.config.backend_port}"
        for entry in state.listeners
        if entry.config.port in {port.number for port in wish.ports} and entry.config.backend_port
    ]
    return f"refresh failed: {wish.load_balancer} has no listener for port {_ports(wish)}" + (
        f"; {near[0]} of its servers" if near else "; add one with this backend_port, or publish another port"
    )


def _ports(wish: Wish) -> str:
    return " or ".join(str(port.number) for port in wish.ports)


@dataclasses.dataclass(frozen=True)
class Decision:
    """What this host does about one SLB instance now."""

    document: FrontEnd
    entries: tuple[Entry, ...]
    problems: tuple[Problem, ...]
    #: Own entries at weight 0 that nobody wants any more; they go when their time has come.
    draining: tuple[Place, ...] = ()

    @property
    def touches(self) -> bool:
        return bool(self.document.server_groups or self.document.default_pool)


@dataclasses.dataclass(frozen=True)
class Gone:
    """An entry of another host that is gone for good."""

    place: Place
    member: Backend


def decide(
    mine: Mine,
    wishes: t.Sequence[Wish],
    state: CloudState,
    over: t.Container[Place],
    *,
    keep: bool = False,
    gone: t.Sequence[Gone] = (),
) -> Decision:
    """The document of this host's entries at the instance of state.

    over: places whose time to drain is over. keep: take nothing away, for not all containers are known. gone: entries of
    hosts that do not exist any more.
    """
    wants, problems, held = _wants(wishes, state)
    has = list(members_read(state))
    here = {place: member for place, member in has if mine.is_here(member)}
    lists: dict[str | None, list[Backend]] = {}
    entries: list[Entry] = []
    draining: list[Place] = []
    label = wishes[0].load_balancer if wishes else _label(state)

    def put(group: str | None, backend: Backend) -> None:
        lists.setdefault(group, []).append(backend)

    for want in wants.values():
        member = here.get(want.place)
        if member is None and not want.ready:
            entries.append(Entry(label, want.place, "waiting", None, want.containers, want.state))
        elif member is not None and not mine.is_ours(member):
            theirs = unmarked(member.description)[0]
            why = f"added by {theirs}" if theirs else "added by hand"
            entries.append(Entry(label, want.place, "by others", member.weight, want.containers, why))
        else:
            weight = want.weight if want.ready else 0
            put(want.place.group, _backend(mine.server, want.place, weight))
            entries.append(
                Entry(
                    label,
                    want.place,
                    "registered" if want.ready else "out",
                    weight,
                    want.containers,
                    "" if want.ready else want.state,
                )
            )
    for place, member in has:
        if not mine.is_ours(member) or (place in wants and mine.is_here(member)):
            continue
        lists.setdefault(place.group, [])
        if keep:
            entries.append(Entry(label, place, "kept", member.weight, (), "not all containers are known now"))
        elif mine.is_here(member) and place.port in held:
            put(place.group, members.by_id(member))
            entries.append(Entry(label, place, "kept", member.weight, (), "its container has a problem"))
        elif mine.is_here(member) and place not in over:
            put(place.group, _backend(mine.server, place, 0))
            entries.append(Entry(label, place, "draining", 0))
            draining.append(place)
    for one in gone:
        put(one.place.group, dataclasses.replace(members.by_id(one.member), state="absent"))
    purge = "none" if keep else "owned"
    document = FrontEnd(
        owner=mine.owner,
        load_balancer=LoadBalancer(id=state.load_balancer.id if state.load_balancer else None),
        load_balancer_exists=True,
        server_groups=tuple(
            ServerGroup(group, tuple(backends), purge, exists=True)
            for group, backends in lists.items()
            if group is not None
        ),
        default_pool=DefaultPool(tuple(lists[None]), purge) if None in lists else None,
    )
    check(document)
    return Decision(document, tuple(entries), tuple(problems), tuple(draining))


def _label(state: CloudState) -> str:
    """How an instance is called that no container names any more."""
    return str(state.load_balancer.config.name or state.load_balancer.id) if state.load_balancer else ""


def _named_groups(state: CloudState) -> dict[str, Observed[ServerGroup]]:
    """Groups by name, those left out whose name does not tell which one is meant."""
    names = [group.config.name for group in state.server_groups]
    return {group.config.name: group for group in state.server_groups if names.count(group.config.name) == 1}


def _wants(wishes: t.Sequence[Wish], state: CloudState) -> tuple[dict[Place, Want], list[Problem], set[int | None]]:
    """What is wanted by place, what can't be, and the ports (None: the default pool) whose entries stay as they are for that."""
    wants: dict[Place, Want] = {}
    problems: list[Problem] = []
    held: set[int | None] = set()
    for wish in wishes:
        try:
            found = places(wish, state)
            for group in {place.group for place in found if place.group is not None}:
                _group(group, state, wish.load_balancer)
        except LabelError as error:
            problems.append(Problem(wish.container, wish.load_balancer, str(error)))
            held |= {port.number for port in wish.ports} | ({None} if wish.server_group is None else set())
            continue
        if not wish.ports and wish.server_group is None:
            # it is about to come or to go: the entry without a port stays for whoever names the instance
            found = [Place()]
        for place in found:
            wants[place] = _joined(
                wants.get(place), Want(place, wish.weight, wish.ready, (wish.container,), wish.state)
            )
    return wants, problems, held


def _joined(one: Want | None, other: Want) -> Want:
    """Two containers at one place: it is ready where one of them is, with the largest weight of those that are."""
    if one is None:
        return other
    best = max((one, other), key=lambda want: (want.ready, want.weight))
    return dataclasses.replace(best, containers=tuple(dict.fromkeys((*one.containers, *other.containers))))


def _backend(server: Backend, place: Place, weight: int) -> Backend:
    """This host as a document names it at a place."""
    return dataclasses.replace(members.by_id(dataclasses.replace(server, port=place.port)), weight=weight)


def wanted_groups(wishes: t.Iterable[Wish], state: CloudState) -> set[str]:
    """The groups whose members have to be known for these wishes."""
    found: set[str] = set()
    for wish in wishes:
        try:
            found |= {place.group for place in places(wish, state) if place.group is not None}
        except LabelError:
            # said when it is decided
            continue
    return found


def members_read(state: CloudState) -> t.Iterator[tuple[Place, Backend]]:
    """All members that were read, each with its place; those of groups whose name does not tell which one is meant are left out."""
    for name, group in _named_groups(state).items():
        for member in group.config.backends or ():
            yield Place(name, member.port), member
    for member in state.default_pool or ():
        yield Place(), member


def shown(mine: Mine, state: CloudState) -> dict[str, int | None]:
    """One side of a diff: the weights of this host's entries by place, as far as members were read."""
    return {str(place): member.weight for place, member in members_read(state) if mine.is_ours(member)}


def own_places(mine: Mine, state: CloudState) -> set[Place]:
    """Where this host has entries of its own, as far as members were read."""
    return {place for place, member in members_read(state) if mine.is_ours(member)}


def others(mine: Mine, state: CloudState) -> list[Gone]:
    """The entries of other registrars, known by the part of the owner's mark before the host."""
    family = f"{mine.owner.rpartition('/')[0]}/"
    found = [
        Gone(place, member)
        for place, member in members_read(state)
        if (unmarked(member.description)[0] or "").startswith(family) and not mine.is_ours(member) and member.is_ecs
    ]
    # the default pool first
    return sorted(found, key=lambda one: one.place.group is not None)
