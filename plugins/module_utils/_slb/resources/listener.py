# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Listeners, of every protocol that has a table of options."""

from __future__ import annotations

import dataclasses
import ipaddress
import typing as t

from ..client import Client
from ..document import (
    OWNER_TAG,
    Access,
    AccessList,
    FailoverGroup,
    FrontEnd,
    HealthCheck,
    Listener,
    LoadBalancer,
    ServerGroup,
    differences,
    merged,
)
from ..errors import DocumentError, Immutable, LookupFailed, quoted
from ..protocols import PROTOCOLS, Field, fields, is_on
from ..state import CloudState, Joined, Observed, Ref, Step, Told, names_by_id
from . import load_balancer
from .tags import has_tags, listed, parted, predicted_tags, refuse, tag_steps, written

HASH_SCHEDULERS = ("sch", "tch", "qch")
RUNNING = ("running", "starting", "configuring")
#: States that end by themselves; what the listener is then, only another look tells.
PASSING = ("starting", "configuring", "stopping")
PASSING_PAUSE = 0.5


HTTP_ONLY = ("domain", "uri", "http_codes")
#: A group of somebody else has an id only, and a Set call wants it back.
CARRIED = ("MasterSlaveServerGroupId",)


def fetch(
    client: Client, load_balancer_id: str, group_names: t.Mapping[str, str], settled: t.Collection[str] = ()
) -> list[Observed[Listener]]:
    """All listeners of an instance in the order of their ports. group_names leads from a group's id to its name.

    Those whose symbols are in settled are read again until they are neither on their way up nor down.
    """
    deadline = client.clock() + client.timeout
    while True:
        pages = client.token_pages(client.slb, "DescribeLoadBalancerListeners", {"LoadBalancerId": [load_balancer_id]})
        found = [observe(entry, group_names) for page in pages for entry in page.get("Listeners") or ()]
        passing = any(entry.status in PASSING and entry.config.symbol in settled for entry in found)
        if not passing or client.clock() > deadline:
            return sorted(found, key=_order)
        client.sleep(PASSING_PAUSE)


def _order(entry: Observed[Listener]) -> tuple[int, str]:
    return entry.config.port, entry.config.protocol


def used_instances(client: Client, ids: t.Sequence[str]) -> set[str]:
    """Which of some instances have a listener."""
    pages = client.token_pages(client.slb, "DescribeLoadBalancerListeners", {"LoadBalancerId": list(ids)})
    return {entry["LoadBalancerId"] for page in pages for entry in page.get("Listeners") or ()}


def observe(entry: t.Mapping[str, t.Any], group_names: t.Mapping[str, str]) -> Observed[Listener]:
    """A listener as DescribeLoadBalancerListeners tells it: common fields at the top, the protocol's own below."""
    protocol = str(entry["ListenerProtocol"]).lower()
    values = {**entry, **(entry.get(f"{protocol.upper()}ListenerConfig") or {})}
    owner, tags = parted(listed(entry.get("Tags")))
    settings, checks = fields(protocol)
    group_id, pair_id = entry.get("VServerGroupId") or None, values.get("MasterSlaveServerGroupId") or None
    grouped = group_id or pair_id
    config = Listener(
        port=int(entry["ListenerPort"]),
        protocol=protocol,
        # a group of another document has an id only
        server_group=group_names.get(group_id, group_id) if group_id else None,
        failover_group=group_names.get(pair_id, pair_id) if pair_id else None,
        backend_port=int(entry["BackendServerPort"]) if entry.get("BackendServerPort") and not grouped else None,
        health_check=HealthCheck(**_read(checks, values)),
        access_list=_access(values),
        enabled=str(entry.get("Status")).lower() in RUNNING,
        tags=tags,
        **_read(settings, values),
    )
    return Observed(
        normalised(config),
        id=f"{protocol}/{config.port}",
        owner=owner,
        status=str(entry.get("Status")).lower(),
        # what a check that is off, or of another type, still remembers
        facts={"health_check": config.health_check},
        carried={name: values[name] for name in CARRIED if values.get(name)},
    )


def _access(values: t.Mapping[str, t.Any]) -> Access:
    """Lists by their ids; what a switched-off control still remembers is nothing."""
    ids = [name for name in str(values.get("AclId") or "").split(",") if name]
    if not is_on(values.get("AclStatus")) or not ids:
        return Access(lists=())
    return Access(tuple(sorted(ids)), values.get("AclType"))


def with_list_names(
    entries: t.Sequence[Observed[Listener]], lists: t.Sequence[Observed[AccessList]]
) -> list[Observed[Listener]]:
    """Listeners whose access lists have names instead of ids."""
    names = {has.id: has.config.label for has in lists if has.id}
    return [_with_lists(entry, names) for entry in entries]


def _with_lists(entry: Observed[Listener], names: t.Mapping[str, str]) -> Observed[Listener]:
    return dataclasses.replace(entry, config=_by_list_name(entry.config, names))


def _by_list_name(config: Listener, names: t.Mapping[str, str]) -> Listener:
    if not config.access_list.lists:
        return config
    named = tuple(sorted({names.get(name, name) for name in config.access_list.lists}))
    return dataclasses.replace(config, access_list=dataclasses.replace(config.access_list, lists=named))


def search(
    entries: t.Iterable[Observed[Listener]],
    *,
    port: int | None = None,
    protocol: str | None = None,
    description: str | None = None,
    tags: t.Mapping[str, str] | None = None,
) -> list[Observed[Listener]]:
    """Those listeners that have all that is given; the owner's mark is one of the tags."""
    return [
        entry
        for entry in entries
        if port in (None, entry.config.port)
        and protocol in (None, entry.config.protocol)
        and description in (None, entry.config.description)
        and has_tags(entry, tags)
    ]


def _read(table: t.Sequence[Field], values: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    found = {}
    for field in table:
        value = values.get(field.answer or field.wire)
        found[field.option] = field.default if value is None else field.read(value)
    return found


def normalised(config: Listener) -> Listener:
    """Without the options that mean nothing beside the others, so that both sides compare alike."""
    check = config.health_check
    if check.enabled is False:
        check = HealthCheck(enabled=False)
    elif check.type == "tcp":
        check = dataclasses.replace(check, **dict.fromkeys(HTTP_ONLY))
    return dataclasses.replace(
        config,
        health_check=check,
        access_list=(
            config.access_list if config.access_list.lists else dataclasses.replace(config.access_list, type=None)
        ),
        connection_drain_timeout=config.connection_drain_timeout if config.connection_drain else None,
    )


def defaults(protocol: str, port: int) -> Listener:
    """What the API makes of a listener of which nothing else is said."""
    settings, checks = fields(protocol)
    return Listener(
        port=port,
        protocol=protocol,
        health_check=HealthCheck(**{field.option: field.default for field in checks}),
        access_list=Access(lists=()),
        tags={},
        **{field.option: field.default for field in settings},
    )


def plan(
    document: FrontEnd,
    current: CloudState,
    instance: Observed[LoadBalancer],
    groups: t.Sequence[Observed[ServerGroup]],
    lists: t.Sequence[Observed[AccessList]] = (),
    pairs: t.Sequence[Observed[FailoverGroup]] = (),
) -> tuple[list[Step], tuple[Observed[Listener], ...]]:
    """Steps that make the listeners of a document as they are wanted, and all listeners that there are then."""
    removals: list[Step] = []
    releases: list[Step] = []
    steps: list[Step] = []
    # a list that is renamed is the same list
    renamed = {old.config.label: new.config.label for old in current.access_lists for new in lists if old.id == new.id}
    # of groups of one name that two runs made at once, one is left
    called = names_by_id(groups, pairs)
    listeners = {entry.config.symbol: _with_groups(_with_lists(entry, renamed), called) for entry in current.listeners}
    ids = {has.id: has.config.label for has in lists if has.id}
    for entry in document.listeners:
        has = listeners.get(entry.symbol)
        desired = _by_list_name(_by_group_name(entry, groups, pairs, has), ids)
        if desired.state == "absent":
            if has is not None:
                removals.append(_delete(has, instance))
                del listeners[desired.symbol]
            continue
        if has is None:
            more, made = _create(document, desired, instance, groups, lists, pairs)
        else:
            more, made = _update(desired, has, instance, groups, lists, pairs)
        was_guarded = has is not None and guarded(has.config, current.access_lists)
        if (has is None or was_guarded) and not guarded(made.config, lists):
            _refuse_public(document, desired, instance, opens=was_guarded)
        # what gives bandwidth back comes first, so that the sum fits at every moment
        gives_back = has is not None and _reserved([made]) < _reserved([has])
        (releases if gives_back else steps).extend(more)
        listeners[desired.symbol] = made
    after = tuple(sorted(listeners.values(), key=_order))
    _check_bandwidth(current, instance, after)
    return [*removals, *releases, *steps], after


def _check_bandwidth(
    current: CloudState, instance: Observed[LoadBalancer], listeners: t.Sequence[Observed[Listener]]
) -> None:
    """What listeners reserve has to fit into an instance that is paid by its bandwidth; looked at where a change is made to it."""
    limit = instance.config.bandwidth
    if instance.config.internet_charge_type != "paybybandwidth" or limit is None:
        return
    reserved = _reserved(listeners)
    has = current.load_balancer.config.bandwidth if current.load_balancer else None
    if reserved <= limit or (reserved <= _reserved(current.listeners) and has is not None and limit >= has):
        return
    shares = [
        f"{entry.config.bandwidth} of {entry.config.protocol}/{entry.config.port}"
        for entry in listeners
        if (entry.config.bandwidth or 0) > 0
    ]
    raise DocumentError(
        f"the bandwidth of the listeners of {instance.config.name} would be {quoted(shares)}, {reserved} Mbit/s in all, but"
        f" load_balancer.bandwidth is {limit}; give them no more than that together, or -1 for a share of what is left"
    )


def _reserved(listeners: t.Iterable[Observed[Listener]]) -> int:
    """Mbit/s; -1 reserves nothing."""
    return sum(max(entry.config.bandwidth or 0, 0) for entry in listeners)


def _with_groups(entry: Observed[Listener], called: t.Mapping[str, str]) -> Observed[Listener]:
    config = entry.config
    return dataclasses.replace(
        entry,
        config=dataclasses.replace(
            config,
            server_group=called.get(config.server_group or "", config.server_group),
            failover_group=called.get(config.failover_group or "", config.failover_group),
        ),
    )


def _by_group_name(
    desired: Listener,
    groups: t.Sequence[Observed[ServerGroup]],
    pairs: t.Sequence[Observed[FailoverGroup]],
    has: Observed[Listener] | None,
) -> Listener:
    """A group may be given by its id; it is compared by what listeners call it."""
    used = (has.config.server_group, has.config.failover_group) if has else (None, None)
    return dataclasses.replace(
        desired,
        server_group=_called(desired.server_group, groups, used[0]),
        failover_group=_called(desired.failover_group, pairs, used[1]),
    )


def _called(name: str | None, groups: t.Sequence[Observed[t.Any]], used: str | None) -> str | None:
    """What listeners call the group of a name or an id. Of several of one name, the one that is used."""
    ids = [group.id for group in _named(name, groups) if group.id]
    if len(ids) > 1 and used in ids:
        return used
    return names_by_id(groups)[ids[0]] if len(ids) == 1 else name


def _named(name: str | None, groups: t.Sequence[Observed[t.Any]]) -> list[Observed[t.Any]]:
    """The groups that a listener may mean: of an id one, of a name all that have it."""
    return [group for group in groups if name is not None and name in (group.id, group.config.name)]


def guarded(config: Listener, lists: t.Sequence[Observed[AccessList]]) -> bool:
    """Whether an allow list keeps somebody out. What an empty one does is not sure, and a whole address space is no guard."""
    access = config.access_list
    entries = [has.config.entries for has in lists if has.config.label in (access.lists or ())]
    if access.type != "white" or not access.lists:
        return False
    # a list that was not read is one that somebody else looks after
    known: list[t.Any] = [ipaddress.ip_network(entry.cidr) for found in entries for entry in found or ()]
    whole = any(network.prefixlen == 0 for network in ipaddress.collapse_addresses(known))
    return (bool(known) or None in entries) and not whole


def _refuse_public(document: FrontEnd, desired: Listener, instance: Observed[LoadBalancer], *, opens: bool) -> None:
    if instance.config.address_type != "internet" or document.allow_public:
        return
    happens = "would lose the allow list that guards it, and" if opens else "would"
    raise DocumentError(
        f"{_where(desired)} {happens} be open to the whole internet on {instance.config.name}; set allow_public to true if that"
        " is meant, or give it an access_list of type 'white' with entries, or take a load balancer with address_type 'intranet'"
    )


def _list_references(
    desired: Listener, instance: Observed[LoadBalancer], lists: t.Sequence[Observed[AccessList]]
) -> dict[str, t.Any]:
    """What the API wants to be told of the access lists of a listener."""
    access, where = desired.access_list, f"{_where(desired)}.access_list"
    if not access.lists:
        return {"AclStatus": "off"}
    if access.type is None:
        raise DocumentError(
            f"{where} has lists, but no type; it needs 'white' to let them in, or 'black' to keep them out"
        )
    references = []
    version = instance.config.address_ip_version or "ipv4"
    for name in access.lists:
        has = next((has for has in lists if name == has.config.label), None)
        if has is None:
            raise DocumentError(
                f"{where}.lists has '{name}', but neither this document nor the region has an access list of that name or id"
            )
        if has.config.address_ip_version != version:
            raise DocumentError(
                f"{where}.lists has '{name}', which is for {has.config.address_ip_version}, but the load balancer"
                f" {instance.config.name} is {version}; take a list with address_ip_version '{version}'"
            )
        references.append(has.id or Ref(has.config.symbol))
    return {"AclStatus": "on", "AclType": access.type, "AclId": Joined(tuple(references))}


def _where(desired: Listener) -> str:
    return f"listeners[{desired.protocol}/{desired.port}]"


def _target(desired: Listener, instance: Observed[LoadBalancer], protocol: bool = True) -> dict[str, t.Any]:
    target = {"LoadBalancerId": load_balancer.reference(instance), "ListenerPort": desired.port}
    return {**target, "ListenerProtocol": desired.protocol} if protocol else target


def _create(
    document: FrontEnd,
    desired: Listener,
    instance: Observed[LoadBalancer],
    groups: t.Sequence[Observed[ServerGroup]],
    lists: t.Sequence[Observed[AccessList]],
    pairs: t.Sequence[Observed[FailoverGroup]],
) -> tuple[list[Step], Observed[Listener]]:
    if (desired.server_group is None) == (desired.backend_port is None) and desired.failover_group is None:
        raise DocumentError(
            f"{_where(desired)} needs server_group, failover_group, or backend_port for the default pool, one of them"
        )
    _refuse_type_alone(desired, ())
    config = normalised(merged(desired, defaults(desired.protocol, desired.port)))
    config = dataclasses.replace(config, purge_tags=None)
    _refuse_halves(desired, config)
    refuse(f"{_where(desired)}.tags", desired.tags, {}, config.tags or {})
    steps = [
        Step(
            desired.symbol,
            "create",
            PROTOCOLS[desired.protocol].create,
            {
                **_target(desired, instance, protocol=False),
                **_written(config, None),
                **(_list_references(config, instance, lists) if config.access_list.lists else {}),
                "BackendServerPort": config.backend_port,
                "VServerGroupId": _group_reference(desired, groups),
                "MasterSlaveServerGroupId": _pair_reference(desired, pairs),
                "Tag": written({**(config.tags or {}), OWNER_TAG: document.owner}),
            },
            f"create the listener {desired.protocol}/{desired.port}",
            # the listener has no id of its own; what waits for it is known by its port
            wait="listener_settled",
        )
    ]
    if config.enabled:
        steps.append(_start(desired, instance))
    status = "running" if config.enabled else "stopped"
    return steps, Observed(config, id=f"{desired.protocol}/{desired.port}", owner=document.owner, status=status)


def _group_reference(desired: Listener, groups: t.Sequence[Observed[ServerGroup]]) -> t.Any:
    return _reference(desired, "server_group", "group", groups)


def _pair_reference(desired: Listener, pairs: t.Sequence[Observed[FailoverGroup]], carried: t.Any = None) -> t.Any:
    """The primary/secondary group of a listener; carried is the id of one that is in use and was not asked for."""
    if carried is not None and carried == desired.failover_group:
        return carried
    return _reference(desired, "failover_group", "primary/secondary group", pairs)


def _reference(desired: Listener, option: str, kind: str, groups: t.Sequence[Observed[t.Any]]) -> t.Any:
    name = getattr(desired, option)
    if name is None:
        return None
    found = _named(name, groups)
    if not found:
        raise DocumentError(
            f"{_where(desired)}.{option} is '{name}', but neither this document nor the load balancer has a {kind} of that name"
        )
    if len(found) > 1:
        raise LookupFailed(
            f"{_where(desired)}.{option} is '{name}', a name that {len(found)} groups have,"
            f" {quoted(str(group.id) for group in found)}; give the id of the one that is meant"
        )
    return found[0].id or Ref(found[0].config.symbol)


def _update(
    desired: Listener,
    has: Observed[Listener],
    instance: Observed[LoadBalancer],
    groups: t.Sequence[Observed[ServerGroup]],
    lists: t.Sequence[Observed[AccessList]],
    pairs: t.Sequence[Observed[FailoverGroup]],
) -> tuple[list[Step], Observed[Listener]]:
    _refuse_type_alone(desired, has.config.access_list.lists or ())
    wanted = dataclasses.replace(desired, state=has.config.state)
    # a check that is turned on, or changes its type, has what the cloud remembers of it, and else what a new one has
    remembered = merged(has.config.health_check, has.facts.get("health_check") or HealthCheck())
    base = dataclasses.replace(
        has.config,
        health_check=merged(remembered, defaults(desired.protocol, desired.port).health_check),
        # a listener has one of the three; the port of the default pool means nothing once there is a group
        server_group=None if desired.failover_group else has.config.server_group,
        failover_group=None if desired.server_group else has.config.failover_group,
        backend_port=None if desired.server_group or desired.failover_group else has.config.backend_port,
    )
    config = normalised(merged(wanted, base))
    tags = predicted_tags(desired.tags, has.config.tags, desired.purge_tags)
    config = dataclasses.replace(config, tags=tags, purge_tags=None)
    changes = differences(dataclasses.replace(config, tags=None), has.config)
    _refuse_immutable(desired, changes)
    _refuse_halves(desired, config)
    refuse(f"{_where(desired)}.tags", desired.tags, has.config.tags or {}, tags)
    protocol = PROTOCOLS[desired.protocol]
    steps = []
    settings = [change for change in changes if change[0] != "enabled"]
    if settings:
        group = _group_reference(config, groups)
        pair = _pair_reference(config, pairs, has.carried.get("MasterSlaveServerGroupId"))
        steps.append(
            Step(
                desired.symbol,
                "update",
                protocol.change,
                {
                    **_target(desired, instance, protocol=False),
                    **_unlisted(desired, instance),
                    **_written(config, dataclasses.replace(has.config, health_check=remembered)),
                    **_list_references(config, instance, lists),
                    **({"VServerGroup": "on", "VServerGroupId": group} if group else {}),
                    **({"MasterSlaveServerGroup": "on", "MasterSlaveServerGroupId": pair} if pair else {}),
                },
                "; ".join(f"change {option} from {old} to {new}" for option, old, new in settings),
                wait="listener_settled",
            )
        )
    resource = f"{instance.id}_{desired.protocol}_{desired.port}"
    steps.extend(tag_steps(desired.symbol, "listener", resource, has.config.tags, tags))
    if desired.enabled is True and has.status != "running":
        steps.append(_start(desired, instance))
    elif desired.enabled is False and has.config.enabled:
        steps.append(
            Step(
                desired.symbol,
                "stop",
                "StopLoadBalancerListener",
                _target(desired, instance),
                f"stop the listener {desired.protocol}/{desired.port}",
                wait="listener_stopped",
            )
        )
    return steps, dataclasses.replace(has, config=config, status="running" if config.enabled else "stopped")


def _unlisted(desired: Listener, instance: Observed[LoadBalancer]) -> dict[str, t.Any]:
    """Settings that the list of listeners does not tell: read when the call is made, to be sent back as they are."""
    protocol = PROTOCOLS[desired.protocol]
    target = _target(desired, instance, protocol=False)
    return {name: Told(protocol.describe, target, name) for name in protocol.unlisted if protocol.describe}


def _refuse_halves(desired: Listener, config: Listener) -> None:
    """Refuse one option of a pair; config is the whole, for the other one may be there already."""
    if config.connection_drain and config.connection_drain_timeout is None:
        raise DocumentError(
            f"{_where(desired)}.connection_drain is true, which needs connection_drain_timeout (10 to 900 seconds)"
        )
    check, where = config.health_check, f"{_where(desired)}.health_check"
    for option, other in (("request", "expected"), ("expected", "request")):
        if getattr(check, option) and not getattr(check, other):
            raise DocumentError(
                f"{where}.{option} is '{getattr(check, option)}', but there is no {where}.{other}; a check by request and answer"
                " needs both, and one without them has both empty"
            )


def _refuse_type_alone(desired: Listener, present: t.Sequence[str]) -> None:
    access = desired.access_list
    if access.type is not None and not (present if access.lists is None else access.lists):
        raise DocumentError(
            f"{_where(desired)}.access_list.type is '{access.type}', but there are no lists; give access_list.lists too, or leave"
            " the type out"
        )


def _refuse_immutable(desired: Listener, changes: t.Sequence[tuple[str, t.Any, t.Any]]) -> None:
    for option, old, new in changes:
        if option == "backend_port":
            raise Immutable(
                f"{_where(desired)}.backend_port is {old} and cannot become {new}: it is fixed when the listener is made; use a"
                " server_group, or remove the listener first"
            )
        if option == "scheduler" and (old in HASH_SCHEDULERS) != (new in HASH_SCHEDULERS):
            raise Immutable(
                f"{_where(desired)}.scheduler is '{old}' and cannot become '{new}': wrr and rr do not change into a hash or back;"
                " remove the listener first"
            )


def _written(config: Listener, has: Listener | None) -> dict[str, t.Any]:
    """Every option on the wire: Set calls may reset what they are not told. has is None where the listener is made."""
    sent = {}
    settings, checks = fields(config.protocol)
    for table, holder, before in (
        (settings, config, has),
        (checks, config.health_check, has.health_check if has else None),
    ):
        for field in table:
            value = getattr(holder, field.option)
            # what takes a setting away is said only where there is one
            if value is None or (value == field.nothing and getattr(before, field.option, None) in (None, value)):
                continue
            sent[field.create if has is None and field.create else field.wire] = field.write(value)
    return sent


def _start(desired: Listener, instance: Observed[LoadBalancer]) -> Step:
    return Step(
        desired.symbol,
        "start",
        "StartLoadBalancerListener",
        _target(desired, instance),
        f"start the listener {desired.protocol}/{desired.port}",
        wait="listener_running",
    )


def _delete(has: Observed[Listener], instance: Observed[LoadBalancer]) -> Step:
    return Step(
        has.config.symbol,
        "delete",
        "DeleteLoadBalancerListener",
        _target(has.config, instance),
        f"delete the listener {has.config.protocol}/{has.config.port}",
        wait="listener_gone",
    )


def plan_removal(
    document: FrontEnd, current: CloudState, instance: Observed[LoadBalancer]
) -> tuple[list[Step], tuple[Observed[Listener], ...], list[str]]:
    """Delete this owner's listeners; those of others stay."""
    ours = [entry for entry in current.listeners if entry.owner == document.owner]
    foreign = tuple(entry for entry in current.listeners if entry.owner != document.owner)
    steps = [_delete(entry, instance) for entry in ours]
    kept = [
        f"listener {entry.config.protocol}/{entry.config.port} stays: this front end did not make it"
        for entry in foreign
    ]
    return steps, foreign, kept
