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
    Rule,
    ServerGroup,
    REDIRECT_HAS,
    differences,
    merged,
    refuse_beside_redirect,
)
from ..errors import DocumentError, Immutable, LookupFailed, quoted
from ..protocols import PROTOCOLS, TLS_POLICIES, Field, fields, is_on
from ..state import CloudState, Joined, Observed, Ref, Step, Told, names_by_id
from . import certificate, domain_extension, load_balancer, references, rule
from .tags import has_tags, listed, parted, predicted_tags, refuse, tag_steps, written

HASH_SCHEDULERS = ("sch", "tch", "qch")
RUNNING = ("running", "starting", "configuring")
#: States that end by themselves; what the listener is then, only another look tells.
PASSING = ("starting", "configuring", "stopping")
PASSING_PAUSE = 0.5


HTTP_ONLY = ("domain", "uri", "http_codes")
LAYER_7 = ("http", "https")
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
    if not is_on(values.get("ListenerForward")):
        values["ForwardPort"] = None
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


def with_names(
    document: FrontEnd, entries: t.Sequence[Observed[Listener]], region: CloudState
) -> list[Observed[Listener]]:
    """Listeners that call what is the region's by its name instead of its id."""
    names = {has.id: has.config.label for has in region.access_lists if has.id}
    called = _labels(document, region)
    return [
        dataclasses.replace(named, config=_relabelled(named.config, called))
        for named in (_with_lists(entry, names) for entry in entries)
    ]


#: The option of a listener, what it refers to, and a label for each id or each older label.
Labels = t.Mapping[str, t.Mapping[str, str]]


def _labels(document: FrontEnd, region: CloudState) -> Labels:
    return {
        option: references.labels(document, option, references.observed_of(region, option))
        for option in references.OPTIONS
    }


def _relabelled(config: Listener, called: Labels) -> Listener:
    """A listener, and its further domains, with other words for what they refer to."""
    words = {
        name: called[option].get(getattr(config, name) or "", getattr(config, name))
        for option, name in references.OPTIONS.items()
    }
    domains = config.domain_extensions
    if domains is not None:
        certificates = called["certificates"]
        domains = tuple(
            dataclasses.replace(entry, certificate=certificates.get(entry.certificate or "", entry.certificate))
            for entry in domains
        )
    return dataclasses.replace(config, domain_extensions=domains, **words)


def reads_parts(document: FrontEnd, symbol: str) -> bool:
    """Whether rules and further domains of a listener are looked at: where they are meant, or where a group may go."""
    if document.state == "absent" or any(group.state == "absent" for group in document.server_groups):
        return True
    meant = (entry for entry in document.listeners if entry.symbol == symbol)
    return any((entry.rules, entry.domain_extensions) != (None, None) for entry in meant)


def with_parts(
    client: Client, load_balancer_id: str, entry: Observed[Listener], group_names: t.Mapping[str, str]
) -> Observed[Listener]:
    """A listener with its rules and its further domains."""
    config, facts = entry.config, dict(entry.facts)
    if config.protocol in LAYER_7 and config.forward_port is None:
        rules, facts["rule_ids"] = rule.read(client, load_balancer_id, config, group_names)
        config = dataclasses.replace(config, rules=rules)
    if config.protocol == "https":
        domains, facts["domain_ids"] = domain_extension.read(client, load_balancer_id, config.port)
        config = dataclasses.replace(config, domain_extensions=domains)
    return dataclasses.replace(entry, config=config, facts=facts)


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
    if config.forward_port is not None:
        empty = Listener(config.port, config.protocol)
        others = (field.name for field in dataclasses.fields(config) if field.name not in REDIRECT_HAS)
        return dataclasses.replace(config, **{name: getattr(empty, name) for name in others})
    if config.protocol in LAYER_7:
        config = rule.sticky(config)
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
    region: CloudState,
    pairs: t.Sequence[Observed[FailoverGroup]] = (),
) -> tuple[list[Step], tuple[Observed[Listener], ...]]:
    """Steps that make the listeners of a document as they are wanted, and all listeners that there are then.

    region has the access lists, certificates and policies as they are going to be.
    """
    lists = region.access_lists
    removals: list[Step] = []
    releases: list[Step] = []
    steps: list[Step] = []
    redirects: list[Step] = []
    # a list that is renamed is the same list
    renamed = {old.config.label: new.config.label for old in current.access_lists for new in lists if old.id == new.id}
    # of groups of one name that two runs made at once, one is left
    called = names_by_id(groups, pairs)
    relabelled = _moved(_labels(document, current), _labels(document, region))
    listeners = {
        entry.config.symbol: _with_groups(
            _with_lists(dataclasses.replace(entry, config=_relabelled(entry.config, relabelled)), renamed), called
        )
        for entry in current.listeners
    }
    ids = {has.id: has.config.label for has in lists if has.id}
    around = _Around(document, instance, groups, region, pairs, called)
    # what redirects goes before its target, and comes after it
    for entry in sorted(document.listeners, key=lambda entry: not _redirects(listeners.get(entry.symbol))):
        has = listeners.get(entry.symbol)
        if entry.state == "absent":
            if has is not None:
                removals.append(_delete(has, instance))
                del listeners[entry.symbol]
            continue
        if has is None and entry.exists:
            _refuse_missing(entry, instance)
            continue
        desired = _by_list_name(_by_group_name(entry, groups, pairs, has), ids)
        desired, named = around.named(desired)
        if has is None:
            more, made = _create(around, desired, named)
        else:
            more, made = _update(around, desired, has, named)
        first, later, made = _parts(around, entry, has, made)
        removals.extend(first)
        was_guarded = has is not None and guarded(has.config, current.access_lists)
        if (has is None or was_guarded) and not guarded(made.config, lists):
            _refuse_public(document, desired, instance, opens=was_guarded)
        # what gives bandwidth back comes first, so that the sum fits at every moment
        gives_back = has is not None and _reserved([made]) < _reserved([has])
        (redirects if _redirects(made) else releases if gives_back else steps).extend(more)
        steps.extend(later)
        listeners[desired.symbol] = made
    after = tuple(sorted(listeners.values(), key=_order))
    _check_bandwidth(current, instance, after)
    _check_redirects(current, after)
    _check_ports(current, after)
    return [*removals, *releases, *steps, *redirects], after


def _redirects(entry: Observed[Listener] | None) -> bool:
    return entry is not None and entry.config.forward_port is not None


def _moved(before: Labels, after: Labels) -> Labels:
    """From what listeners call something to what they are going to call it."""
    return {
        option: {label: after[option].get(name, name) for name, label in called.items()}
        for option, called in before.items()
    }


def _refuse_missing(desired: Listener, instance: Observed[LoadBalancer]) -> None:
    """Of a listener that is not there, rules and domains can only be taken away."""
    parts: list[t.Any] = [*(desired.rules or ()), *(desired.domain_extensions or ())]
    if any(part.state == "present" for part in parts):
        raise LookupFailed(
            f"{_where(desired)} does not exist on the load balancer {instance.config.name}; make it by"
            " clusterfront.ha.slb_listener first, or correct port and protocol"
        )


def _check_ports(current: CloudState, listeners: t.Sequence[Observed[Listener]]) -> None:
    """Only UDP may share a port; looked at where a listener is made."""
    takers = {entry.config.port: entry.config for entry in listeners if entry.config.protocol != "udp"}
    for entry in listeners:
        other = takers.get(entry.config.port, entry.config)
        if "udp" in (entry.config.protocol, other.protocol) or other.protocol == entry.config.protocol:
            continue
        both = sorted((entry.config, other), key=lambda config: current.listener(config.symbol) is None)
        raise DocumentError(
            f"{_where(both[1])} has the port of the listener {both[0].protocol}/{both[0].port}; only udp may share one, so take"
            " another port, or remove that listener"
        )


def _check_redirects(current: CloudState, listeners: t.Sequence[Observed[Listener]]) -> None:
    """A redirect leads to an HTTPS listener; looked at where either of the two comes or goes."""
    targets = {entry.config.port for entry in listeners if entry.config.protocol == "https"}
    for entry in listeners:
        port = entry.config.forward_port
        if port is None or port in targets:
            continue
        if current.listener(entry.config.symbol) is None:
            raise DocumentError(
                f"{_where(entry.config)}.forward_port is {port}, but there is no https listener of that port to redirect to; give"
                " one too"
            )
        if current.listener(f"listener:https/{port}") is not None:
            raise DocumentError(
                f"listeners[https/{port}].state is 'absent', but listener https/{port} cannot be deleted, because"
                f" {entry.config.protocol}/{entry.config.port} redirects to it;"
                " remove that one too"
            )


@dataclasses.dataclass(frozen=True)
class _Around:
    """What a listener may refer to, as it is going to be."""

    document: FrontEnd
    instance: Observed[LoadBalancer]
    groups: t.Sequence[Observed[ServerGroup]]
    region: CloudState
    pairs: t.Sequence[Observed[FailoverGroup]]
    called: t.Mapping[str, str]

    def refer(self, option: str, where: str, name: str) -> tuple[str, t.Any]:
        """What a listener calls an object of the region, and its id, or a Ref to it."""
        found = references.observed_of(self.region, option)
        has = references.find(self.document, option, found, name)
        if has is None:
            raise DocumentError(
                f"{where} is '{name}', but neither this document nor the region has a {references.WORDS[option]} of that name or id"
            )
        if has.id is not None:
            return references.labels(self.document, option, found)[has.id], has.id
        prefix = "tls_policy" if option == "tls_policies" else certificate.KINDS[option].symbol
        return str(has.config.label), Ref(f"{prefix}:{has.config.label}")

    def named(self, desired: Listener) -> tuple[Listener, dict[str, t.Any]]:
        """A listener that calls everything by its label, and the ids by the options that they are for."""
        ids: dict[str, t.Any] = {}
        for option, name in references.OPTIONS.items():
            value = getattr(desired, name)
            if not value or (option == "tls_policies" and value in TLS_POLICIES):
                continue
            label, ids[name] = self.refer(option, f"{_where(desired)}.{name}", value)
            words: dict[str, t.Any] = {name: label}
            desired = dataclasses.replace(desired, **words)
        return desired, ids

    def group(self, name: str, where: str | None) -> t.Any:
        return _group_of(f"{where}.server_group", name, "group", self.groups)


def _parts(
    around: _Around, desired: Listener, has: Observed[Listener] | None, made: Observed[Listener]
) -> tuple[list[Step], list[Step], Observed[Listener]]:
    """Rules and further domains of a listener: what goes first, what comes later, and the listener with them."""
    reference = load_balancer.reference(around.instance)
    by_name = None if desired.rules is None else tuple(_rule_by_group(around, entry) for entry in desired.rules)
    planned = rule.plan(dataclasses.replace(desired, rules=by_name), has, reference, around.group, around.called)
    removals, steps, domains = domain_extension.plan(
        desired, has, reference, lambda where, name: around.refer("certificates", f"{where}.certificate", name)
    )
    before = {entry.domain for entry in (has.config.domain_extensions or ())} if has else set()
    for gone in sorted(before - {entry.domain for entry in domains or ()}):
        users = [entry.label for entry in planned.after or () if entry.domain == gone]
        if users:
            raise DocumentError(
                f"the domain {gone} of {desired.protocol}/{desired.port} cannot be deleted, because it is used by the rule"
                f" {quoted(users)}; let that be absent too"
            )
    after = planned.after
    if has is None and reads_parts(around.document, desired.symbol) and desired.forward_port is None:
        after = after or (() if desired.protocol in LAYER_7 else None)
        domains = domains or (() if desired.protocol == "https" else None)
    config = dataclasses.replace(made.config, rules=after, domain_extensions=domains)
    return [*planned.removals, *removals], [*steps, *planned.steps], dataclasses.replace(made, config=config)


def _rule_by_group(around: _Around, entry: Rule) -> Rule:
    return dataclasses.replace(entry, server_group=_called(entry.server_group, around.groups, None))


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


def _create(around: _Around, desired: Listener, ids: t.Mapping[str, t.Any]) -> tuple[list[Step], Observed[Listener]]:
    document, instance, lists = around.document, around.instance, around.region.access_lists
    backends = (desired.server_group is None) != (desired.backend_port is None) or desired.failover_group is not None
    if not backends and desired.forward_port is None:
        raise DocumentError(
            f"{_where(desired)} needs server_group, failover_group, or backend_port for the default pool, one of them"
            if desired.protocol not in LAYER_7
            else f"{_where(desired)} needs server_group, or backend_port for the default pool, one of them"
        )
    if desired.protocol == "https" and desired.certificate is None:
        raise DocumentError(f"{_where(desired)} needs a certificate: the name or the id of one")
    _refuse_type_alone(desired, ())
    config = normalised(merged(desired, defaults(desired.protocol, desired.port)))
    config = _bare(config)
    _refuse_halves(desired, config)
    refuse(f"{_where(desired)}.tags", desired.tags, {}, config.tags or {})
    steps = [
        Step(
            desired.symbol,
            "create",
            PROTOCOLS[desired.protocol].create,
            {
                **_target(desired, instance, protocol=False),
                **(_redirect(config.forward_port) if config.forward_port else _written(config, None)),
                **_security(config, None, ids),
                **(_list_references(config, instance, lists) if config.access_list.lists else {}),
                "BackendServerPort": config.backend_port,
                "VServerGroupId": _group_reference(desired, around.groups),
                "MasterSlaveServerGroupId": _pair_reference(desired, around.pairs),
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


def _bare(config: Listener) -> Listener:
    """Without what is said of purging only; rules and domains are planned by themselves."""
    return dataclasses.replace(
        config,
        purge_tags=None,
        purge_rules=None,
        purge_domain_extensions=None,
        rules=None,
        domain_extensions=None,
        exists=False,
    )


def _redirect(port: int) -> dict[str, t.Any]:
    """All that a call says of a listener that redirects; the two switches are wanted of every listener of HTTP."""
    return {"ListenerForward": "on", "ForwardPort": port, "HealthCheck": "off", "StickySession": "off"}


def _security(config: Listener, has: Listener | None, ids: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """Certificates and policy on the wire. ids has those that are not the cloud's own."""
    sent = {}
    for field in fields(config.protocol)[0]:
        value = getattr(config, field.option) if field.refers else None
        if value is None or (value == "" and not getattr(has, field.option, None)):
            continue
        sent[field.wire] = ids.get(field.option, value)
    return sent


def _group_reference(desired: Listener, groups: t.Sequence[Observed[ServerGroup]]) -> t.Any:
    return _reference(desired, "server_group", "group", groups)


def _pair_reference(desired: Listener, pairs: t.Sequence[Observed[FailoverGroup]], carried: t.Any = None) -> t.Any:
    """The primary/secondary group of a listener; carried is the id of one that is in use and was not asked for."""
    if carried is not None and carried == desired.failover_group:
        return carried
    return _reference(desired, "failover_group", "primary/secondary group", pairs)


def _reference(desired: Listener, option: str, kind: str, groups: t.Sequence[Observed[t.Any]]) -> t.Any:
    name = getattr(desired, option)
    return None if name is None else _group_of(f"{_where(desired)}.{option}", name, kind, groups)


def _group_of(where: str, name: str, kind: str, groups: t.Sequence[Observed[t.Any]]) -> t.Any:
    found = _named(name, groups)
    if not found:
        raise DocumentError(
            f"{where} is '{name}', but neither this document nor the load balancer has a {kind} of that name"
        )
    if len(found) > 1:
        raise LookupFailed(
            f"{where} is '{name}', a name that {len(found)} groups have,"
            f" {quoted(str(group.id) for group in found)}; give the id of the one that is meant"
        )
    return found[0].id or Ref(found[0].config.symbol)


def _update(
    around: _Around, desired: Listener, has: Observed[Listener], ids: t.Mapping[str, t.Any]
) -> tuple[list[Step], Observed[Listener]]:
    instance, groups, lists, pairs = around.instance, around.groups, around.region.access_lists, around.pairs
    if has.config.forward_port is not None:
        refuse_beside_redirect(_where(desired), desired, has.config.forward_port)
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
    config = _bare(dataclasses.replace(config, tags=tags))
    changes = differences(dataclasses.replace(config, tags=None, exists=has.config.exists), has.config)
    _refuse_immutable(desired, changes)
    _refuse_halves(desired, config)
    refuse(f"{_where(desired)}.tags", desired.tags, has.config.tags or {}, tags)
    protocol = PROTOCOLS[desired.protocol]
    steps = []
    settings = [change for change in changes if change[0] != "enabled"]
    if settings:
        ids = {**around.named(config)[1], **ids}
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
                    **_security(config, has.config, ids),
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
    rule.refuse_halves(_where(desired), config)
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
        if option == "forward_port":
            raise Immutable(
                f"{_where(desired)}.forward_port is {old} and cannot become {new}: whether a listener redirects, and to where, is fixed"
                " when it is made; remove the listener first"
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
            value = None if field.refers else getattr(holder, field.option)
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
    targets = {entry.config.forward_port for entry in foreign if entry.config.forward_port is not None}
    held = [entry for entry in ours if entry.config.protocol == "https" and entry.config.port in targets]
    ours = [entry for entry in ours if entry not in held]
    steps = [_delete(entry, instance) for entry in sorted(ours, key=lambda entry: not _redirects(entry))]
    kept = [
        f"listener {entry.config.protocol}/{entry.config.port} stays: this front end did not make it"
        for entry in foreign
    ]
    kept += [f"listener https/{entry.config.port} stays: a listener that others made redirects to it" for entry in held]
    return steps, tuple(sorted((*foreign, *held), key=_order)), kept
