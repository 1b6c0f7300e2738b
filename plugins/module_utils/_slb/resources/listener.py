# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Listeners: one table says how each option is called on the wire, in which calls, and what the API makes of its absence."""

from __future__ import annotations

import dataclasses
import ipaddress
import typing as t

from ..client import Client
from ..document import (
    OWNER_TAG,
    Access,
    AccessList,
    FrontEnd,
    HealthCheck,
    Listener,
    LoadBalancer,
    ServerGroup,
    differences,
    merged,
)
from ..errors import DocumentError, Immutable
from ..state import CloudState, Joined, Observed, Ref, Step
from . import load_balancer
from .tags import listed, written

HASH_SCHEDULERS = ("sch", "tch", "qch")
RUNNING = ("running", "starting", "configuring")
#: States that end by themselves; what the listener is then, only another look tells.
PASSING = ("starting", "configuring", "stopping")
PASSING_PAUSE = 0.5


def _switch(value: bool) -> str:
    return "on" if value else "off"


def _is_on(value: t.Any) -> bool:
    return str(value).lower() in ("on", "true")


def _codes(value: tuple[str, ...]) -> str:
    return ",".join(value)


def _code_set(value: t.Any) -> tuple[str, ...]:
    return tuple(sorted(code for code in str(value).split(",") if code))


def _same(value: t.Any) -> t.Any:
    return value


@dataclasses.dataclass(frozen=True)
class Field:
    """An option of a listener on the wire. default is what the API does where the option is absent at creation."""

    option: str
    wire: str
    default: t.Any = None
    write: t.Callable[[t.Any], t.Any] = _same
    read: t.Callable[[t.Any], t.Any] = _same
    #: Names that differ in one of the calls.
    create: str | None = None
    answer: str | None = None


#: Options of a TCP listener, by section 2.2 of the notes on the API.
TCP_FIELDS = (
    Field("scheduler", "Scheduler", "wrr"),
    Field("bandwidth", "Bandwidth", -1, read=int),
    Field("description", "Description", ""),
    Field("persistence_timeout", "PersistenceTimeout", 0, read=int),
    Field("established_timeout", "EstablishedTimeout", 900, read=int),
    Field("connection_drain", "ConnectionDrain", False, _switch, _is_on),
    Field("connection_drain_timeout", "ConnectionDrainTimeout", None, read=int),
    Field("proxy_protocol_v2", "ProxyProtocolV2Enabled", False, read=_is_on),
)
TCP_HEALTH_FIELDS = (
    Field("enabled", "HealthCheckSwitch", True, _switch, _is_on, answer="HealthCheck"),
    Field("type", "HealthCheckType", "tcp"),
    Field("connect_port", "HealthCheckConnectPort", None, read=lambda value: int(value) if int(value) > 0 else None),
    Field("timeout", "HealthCheckConnectTimeout", 5, read=int),
    Field("interval", "HealthCheckInterval", 2, read=int, create="healthCheckInterval"),
    Field("healthy_threshold", "HealthyThreshold", 3, read=int),
    Field("unhealthy_threshold", "UnhealthyThreshold", 3, read=int),
    Field("domain", "HealthCheckDomain", ""),
    Field("uri", "HealthCheckURI", "/"),
    Field("http_codes", "HealthCheckHttpCode", ("http_2xx",), _codes, _code_set),
)
HTTP_ONLY = ("domain", "uri", "http_codes")
#: Not managed here, but a Set call that leaves them out might reset them.
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
    tags = listed(entry.get("Tags"))
    group_id = entry.get("VServerGroupId") or None
    config = Listener(
        port=int(entry["ListenerPort"]),
        protocol=protocol,
        # a group of another document has an id only
        server_group=group_names.get(group_id, group_id) if group_id else None,
        backend_port=int(entry["BackendServerPort"]) if entry.get("BackendServerPort") and not group_id else None,
        health_check=HealthCheck(**_read(TCP_HEALTH_FIELDS, values)),
        access_list=_access(values),
        enabled=str(entry.get("Status")).lower() in RUNNING,
        **_read(TCP_FIELDS, values),
    )
    return Observed(
        normalised(config),
        id=f"{protocol}/{config.port}",
        owner=tags.get(OWNER_TAG),
        status=str(entry.get("Status")).lower(),
        carried={name: values[name] for name in CARRIED if values.get(name)},
    )


def _access(values: t.Mapping[str, t.Any]) -> Access:
    """Lists by their ids; what a switched-off control still remembers is nothing."""
    ids = [name for name in str(values.get("AclId") or "").split(",") if name]
    if not _is_on(values.get("AclStatus")) or not ids:
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


def _read(fields: t.Sequence[Field], values: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    found = {}
    for field in fields:
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
    return Listener(
        port=port,
        protocol=protocol,
        health_check=HealthCheck(**{field.option: field.default for field in TCP_HEALTH_FIELDS}),
        access_list=Access(lists=()),
        **{field.option: field.default for field in TCP_FIELDS},
    )


def plan(
    document: FrontEnd,
    current: CloudState,
    instance: Observed[LoadBalancer],
    groups: t.Sequence[Observed[ServerGroup]],
    lists: t.Sequence[Observed[AccessList]] = (),
) -> tuple[list[Step], tuple[Observed[Listener], ...]]:
    """Steps that make the listeners of a document as they are wanted, and all listeners that there are then."""
    steps: list[Step] = []
    # a list that is renamed is the same list
    renamed = {old.config.label: new.config.label for old in current.access_lists for new in lists if old.id == new.id}
    listeners = {entry.config.symbol: _with_lists(entry, renamed) for entry in current.listeners}
    ids = {has.id: has.config.label for has in lists if has.id}
    for entry in document.listeners:
        desired = _by_list_name(_by_group_name(entry, groups), ids)
        has = listeners.get(desired.symbol)
        if desired.state == "absent":
            if has is not None:
                steps.append(_delete(has, instance))
                del listeners[desired.symbol]
            continue
        if has is None:
            more, made = _create(document, desired, instance, groups, lists)
        else:
            more, made = _update(desired, has, instance, groups, lists)
        guarded = has is not None and _guarded(has.config, current.access_lists)
        if (has is None or guarded) and not _guarded(made.config, lists):
            _refuse_public(document, desired, instance, opens=guarded)
        steps.extend(more)
        listeners[desired.symbol] = made
    return steps, tuple(sorted(listeners.values(), key=_order))


def _by_group_name(desired: Listener, groups: t.Sequence[Observed[ServerGroup]]) -> Listener:
    """A group may be given by its id; it is compared by its name."""
    name = next((group.config.name for group in groups if group.id and group.id == desired.server_group), None)
    return desired if name is None else dataclasses.replace(desired, server_group=name)


def _guarded(config: Listener, lists: t.Sequence[Observed[AccessList]]) -> bool:
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
) -> tuple[list[Step], Observed[Listener]]:
    if (desired.server_group is None) == (desired.backend_port is None):
        raise DocumentError(
            f"{_where(desired)} needs server_group, or backend_port for the default pool, one of the two"
        )
    _refuse_type_alone(desired, ())
    config = normalised(merged(desired, defaults(desired.protocol, desired.port)))
    steps = [
        Step(
            desired.symbol,
            "create",
            "CreateLoadBalancerTCPListener",
            {
                **_target(desired, instance, protocol=False),
                **_written(config, None),
                **(_list_references(config, instance, lists) if config.access_list.lists else {}),
                "BackendServerPort": config.backend_port,
                "VServerGroupId": _group_reference(desired, groups),
                "Tag": written({OWNER_TAG: document.owner}),
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
    if desired.server_group is None:
        return None
    group = next((group for group in groups if group.config.name == desired.server_group), None)
    if group is None:
        raise DocumentError(
            f"{_where(desired)}.server_group is '{desired.server_group}', but neither this document nor the load balancer has a"
            " group of that name"
        )
    return group.id or Ref(group.config.symbol)


def _update(
    desired: Listener,
    has: Observed[Listener],
    instance: Observed[LoadBalancer],
    groups: t.Sequence[Observed[ServerGroup]],
    lists: t.Sequence[Observed[AccessList]],
) -> tuple[list[Step], Observed[Listener]]:
    _refuse_type_alone(desired, has.config.access_list.lists or ())
    wanted = dataclasses.replace(desired, state=has.config.state)
    # a check that is turned on, or changes its type, needs the fields that were not there before
    base = dataclasses.replace(
        has.config,
        health_check=merged(has.config.health_check, defaults(desired.protocol, desired.port).health_check),
        # the port of the default pool means nothing once there is a group
        backend_port=None if desired.server_group else has.config.backend_port,
    )
    config = normalised(merged(wanted, base))
    changes = differences(config, has.config)
    _refuse_immutable(desired, changes)
    steps = []
    settings = [change for change in changes if change[0] != "enabled"]
    if settings:
        group = _group_reference(config, groups)
        steps.append(
            Step(
                desired.symbol,
                "update",
                "SetLoadBalancerTCPListenerAttribute",
                {
                    **_target(desired, instance, protocol=False),
                    **has.carried,
                    **_written(config, has.config),
                    **_list_references(config, instance, lists),
                    **({"VServerGroup": "on", "VServerGroupId": group} if group else {}),
                    **(
                        {"MasterSlaveServerGroup": "on"}
                        if "MasterSlaveServerGroupId" in has.carried and not group
                        else {}
                    ),
                },
                "; ".join(f"change {option} from {old} to {new}" for option, old, new in settings),
                wait="listener_settled",
            )
        )
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
    written = {}
    for fields, holder, before in (
        (TCP_FIELDS, config, has),
        (TCP_HEALTH_FIELDS, config.health_check, has.health_check if has else None),
    ):
        for field in fields:
            value = getattr(holder, field.option)
            # an empty text takes one away; where there is none, the API wants no text rather than an empty one
            if value is None or (value == "" and not getattr(before, field.option, None)):
                continue
            written[field.create if has is None and field.create else field.wire] = field.write(value)
    return written


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
