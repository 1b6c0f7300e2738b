# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The document that says what a load balancer is: applied, it changes nothing, whoever made the parts.

The argument spec of slb_frontend decides what can be said: an option is exported as soon as the spec and the classes of a
document have it. What the console shows is there, defaults of the API included; what is empty there, and defaults of
the spec, are left out. What cannot be said is left out with a sentence, and stays on the cloud as it is.

Pure: no network, no clock, no Ansible.
"""

from __future__ import annotations

import dataclasses
import typing as t

from . import protocols
from .document import (
    KEPT_TAGS,
    NAME,
    OWNER,
    AccessList,
    Backend,
    DefaultPool,
    FailoverGroup,
    FrontEnd,
    Listener,
    LoadBalancer,
    ServerGroup,
    check_owner,
    description_room,
    front_end,
    unmarked,
)
from .errors import DocumentError, quoted
from .lookup import Known
from .plan import build
from .resources import listener
from .state import CloudState, Observed

#: An argument spec.
Spec = t.Mapping[str, t.Mapping[str, t.Any]]
#: What begins a template where a document stands in a playbook.
TEMPLATES = ("{{", "{%", "{#")
#: What of the address of a public instance the cloud alone decides.
NOT_PUBLIC = ("address", "vpc_id", "vswitch_id")


@dataclasses.dataclass(frozen=True)
class Export:
    """The options of slb_frontend, one sentence for each thing that they do not say, and one for each that is to be known."""

    document: dict[str, t.Any]
    left_out: tuple[str, ...]
    warnings: tuple[str, ...]


def export(question: FrontEnd, state: CloudState, spec: Spec, owner: str | None = None) -> Export:
    """The document of a load balancer that was found as the question says. Its owner is who it belongs to if nothing is said.

    Raises DocumentError where a name cannot be that of an owner.
    """
    instance = state.load_balancer
    if instance is None:
        raise DocumentError("there is no load balancer to export")
    name = owner or _owner(instance)
    check_owner(name, {})
    left_out: list[str] = []
    whole = FrontEnd(
        owner=name,
        load_balancer=_load_balancer(question, instance, name),
        server_groups=tuple(_server_groups(state, name, left_out)),
        failover_groups=tuple(_failover_groups(state, left_out)),
        default_pool=DefaultPool(_backends(state.default_pool or (), "the default pool", state, name, left_out)),
        listeners=tuple(map(_listener, state.listeners)),
        access_lists=tuple(_access_list(has, name) for has in sorted(state.access_lists, key=_by_name)),
    )
    document = {"name": name, **(_said(spec, whole, "", left_out) or {})}
    warnings = (*_foreign(state, name), *_open(state), *_shared(state), *_proof(document, state))
    return Export(document, tuple(left_out), warnings)


def _owner(instance: Observed[LoadBalancer]) -> str:
    """Who made the instance, else its own name, else its id: names may be longer than an owner's mark."""
    candidates = (instance.owner, instance.config.name, instance.id)
    return next(text for text in candidates if text and OWNER.fullmatch(text))


def _by_name(has: Observed[t.Any]) -> tuple[str, str]:
    """What is made in one second has no order of age."""
    return str(has.config.name), str(has.id)


def _load_balancer(question: FrontEnd, has: Observed[LoadBalancer], owner: str) -> LoadBalancer:
    """By its id, unless it is the owner's and was found by its name: only then a lost one is to be made anew."""
    config = has.config
    public = dict.fromkeys(NOT_PUBLIC if config.address_type == "internet" else ())
    protection = config.modification_protection
    return dataclasses.replace(
        config,
        **public,
        id=None if has.owner == owner and question.load_balancer.id is None else config.id,
        # older names and reasons follow older rules
        name=_named(config.name),
        modification_protection=dataclasses.replace(protection, reason=_named(protection.reason)),
        tags=_tags(config.tags),
    )


def _named(text: str | None) -> str | None:
    return text if text and NAME.fullmatch(text) else None


def _tags(tags: t.Mapping[str, str] | None) -> dict[str, str]:
    """The user's own: those of the cloud and of this collection are never set by a document."""
    return {key: value for key, value in sorted((tags or {}).items()) if not key.startswith(KEPT_TAGS)}


def _told_apart(kind: str, groups: t.Iterable[Observed[t.Any]], left_out: list[str]) -> t.Iterator[Observed[t.Any]]:
    """The groups that have a name of their own."""
    groups = sorted(groups, key=_by_name)
    names = [group.config.name for group in groups]
    for group in groups:
        name = group.config.name
        if names.count(name) == 1:
            yield group
            continue
        left_out.append(
            f"{kind} {name} ({group.id}) is one of {names.count(name)} of that name, which a document cannot tell apart;"
            " it stays as it is, and listeners name it by its id"
        )


def _server_groups(state: CloudState, owner: str, left_out: list[str]) -> t.Iterator[ServerGroup]:
    for group in _told_apart("server group", state.server_groups, left_out):
        where = f"server group {group.config.name}"
        yield dataclasses.replace(
            group.config, backends=_backends(group.config.backends or (), where, state, owner, left_out)
        )


def _failover_groups(state: CloudState, left_out: list[str]) -> t.Iterator[FailoverGroup]:
    for group in _told_apart("primary/secondary group", state.failover_groups, left_out):
        where = f"primary/secondary group {group.config.name}"
        sides = {side: getattr(group.config, side) for side in ("primary", "standby")}
        yield dataclasses.replace(
            group.config, **{side: has and _server(has, where, state, left_out) for side, has in sides.items()}
        )


def _backends(
    members: t.Iterable[Backend], where: str, state: CloudState, owner: str, left_out: list[str]
) -> tuple[Backend, ...]:
    """Members that a document can name, each with its own text."""
    found = []
    for member in members:
        server = _server(member, where, state, left_out)
        if server is None:
            continue
        text = unmarked(member.description)[1]
        if len(text) > description_room(owner):
            left_out.append(
                f"{_place(member, where)} has a description that has no room beside an owner's mark; it stays as it is"
            )
            text = ""
        found.append(dataclasses.replace(server, description=text))
    return tuple(found)


def _place(member: Backend, where: str) -> str:
    return f"{member.server_id}{f':{member.port}' if member.port else ''} in {where}"


def _server(member: Backend, where: str, state: CloudState, left_out: list[str]) -> Backend | None:
    """An instance by its address where that leads to it alone, as it does within a VPC, else by its id; an interface by its own."""
    if not any(server.id == member.server_id for server in state.servers):
        left_out.append(
            f"{_place(member, where)} is no ECS instance or network interface of this region, or not any more; it stays as it is"
        )
        return None
    if not member.is_ecs:
        return dataclasses.replace(member, server_id=None, eni_id=member.server_id)
    private = state.load_balancer is not None and state.load_balancer.config.vpc_id is not None
    if (
        not private
        or not member.private_ip
        or len(Known(state.servers).fitting(Backend(private_ip=member.private_ip))) != 1
    ):
        return dataclasses.replace(member, private_ip=None)
    return dataclasses.replace(member, server_id=None)


def _listener(has: Observed[Listener]) -> Listener:
    config = has.config
    nothing = {
        field.option: None
        for field in protocols.fields(config.protocol)[1]
        if field.nothing is not None and getattr(config.health_check, field.option) == field.nothing
    }
    return dataclasses.replace(
        config, tags=_tags(config.tags), health_check=dataclasses.replace(config.health_check, **nothing)
    )


def _access_list(has: Observed[AccessList], owner: str) -> AccessList:
    """Entries that others add to their own list are theirs."""
    config, name = has.config, _named(has.config.name)
    return dataclasses.replace(
        config, id=None if name else config.id, name=name, purge_entries=has.owner == owner, tags=_tags(config.tags)
    )


def _said(spec: Spec, value: t.Any, where: str, left_out: list[str]) -> dict[str, t.Any] | None:
    """What the options of a spec say of an object; None where it cannot be said without one of them."""
    said: dict[str, t.Any] = {}
    for option, rule in spec.items():
        has, at = getattr(value, option, None), f"{where}.{option}" if where else option
        if has is None or has == rule.get("default") or has in ("", (), {}):
            continue
        if "options" in rule:
            found = _part(rule, has, at, left_out)
            said.update({option: found} if found else {})
            continue
        why = _unsaid(rule, has)
        if why is None:
            said[option] = dict(has) if isinstance(has, t.Mapping) else list(has) if isinstance(has, tuple) else has
            continue
        left_out.append(f"{where if rule.get('required') else at} is left out and stays as it is: {why}")
        if rule.get("required"):
            return None
    return said


def _part(rule: t.Mapping[str, t.Any], has: t.Any, at: str, left_out: list[str]) -> t.Any:
    """A dict of options, or a list of them."""
    if not isinstance(has, tuple):
        return _said(rule["options"], has, at, left_out)
    elements = (_said(rule["options"], element, f"{at}[{_label(element)}]", left_out) for element in has)
    return [element for element in elements if element is not None]


def _label(element: t.Any) -> str:
    """How sentences name an element of a list."""
    if isinstance(element, Listener):
        return element.symbol.partition(":")[2]
    return str(next(getattr(element, name) for name in ("label", "cidr", "name") if hasattr(element, name)))


def _unsaid(rule: t.Mapping[str, t.Any], has: t.Any) -> str | None:
    """Why a value cannot stand in a document; None if it can."""
    values = [*has, *has.values()] if isinstance(has, t.Mapping) else has if isinstance(has, tuple) else (has,)
    unknown = [repr(value) for value in values if "choices" in rule and value not in rule["choices"]]
    if unknown:
        return f"{quoted(unknown)} is not among {quoted(repr(choice) for choice in rule['choices'])}"
    template = [repr(value) for value in values if isinstance(value, str) and any(word in value for word in TEMPLATES)]
    return f"Ansible would take {quoted(template)} for a template" if template else None


def _foreign(state: CloudState, owner: str) -> t.Iterator[str]:
    """What applying the document does not make the owner's."""
    everything: list[tuple[str, Observed[t.Any] | None]] = [("load balancer", state.load_balancer)]
    everything += [(f"server group {group.config.name}", group) for group in state.server_groups]
    everything += [(f"primary/secondary group {group.config.name}", group) for group in state.failover_groups]
    everything += [(f"listener {entry.id}", entry) for entry in state.listeners]
    everything += [(f"access list {has.config.name}", has) for has in state.access_lists]
    foreign = [name for name, has in everything if has is not None and has.owner != owner]
    if foreign:
        yield (
            f"{quoted(foreign)} {'does' if len(foreign) == 1 else 'do'} not have the mark of {owner}, and applying the document"
            " sets none: state 'absent' leaves them"
        )


def _open(state: CloudState) -> t.Iterator[str]:
    """Listeners that could not be made anew without a word on who may reach them."""
    if state.load_balancer is None or state.load_balancer.config.address_type != "internet":
        return
    open_ones = [str(entry.id) for entry in state.listeners if not listener.guarded(entry.config, state.access_lists)]
    if open_ones:
        yield (
            f"{quoted(open_ones)} of this public load balancer {'is' if len(open_ones) == 1 else 'are'} open to everybody; to make"
            " such a listener anew, allow_public has to be true, which the document leaves to you"
        )


def _shared(state: CloudState) -> t.Iterator[str]:
    """Lists whose change is felt elsewhere."""
    own = state.load_balancer.id if state.load_balancer else None
    for has in state.access_lists:
        others = [user for user in has.facts.get("listeners") or () if user["load_balancer"] != own]
        if others:
            users = quoted(f"{user['protocol']}/{user['port']} of {user['load_balancer']}" for user in others)
            yield f"access list {has.config.name} ({has.id}) is also used by {users}: what the document says of it counts there too"


def _proof(document: t.Mapping[str, t.Any], state: CloudState) -> t.Iterator[str]:
    """What applying the document would do, which should be nothing."""
    try:
        steps = build(front_end(document), state).steps
    except DocumentError as error:
        yield f"applied as it is, the document is refused: {error}"
        return
    for step in steps:
        yield f"applied as it is, the document would do this: {step.reason}"
