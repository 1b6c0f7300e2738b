# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The document of a front end: what a user asks for, and what the cloud has, in one shape.

None always means "not given": leave it as it is. Both sides are normalised to these classes before they are compared.
Pure: no network, no clock, no Ansible.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import re
import typing as t

from .errors import DocumentError

#: The mark of the owner: a tag's key on instances, groups and listeners, a prefix in a backend's description.
OWNER_TAG = "clusterfront:owner"
OWNER_PREFIX = "clusterfront:"
DESCRIPTION_LIMIT = 80
#: Tags of these keys are the cloud's or ours: never set and never purged for a user.
KEPT_TAGS = ("acs:", "aliyun", OWNER_PREFIX)
TAGS_LIMIT = 20
#: What the cloud calls the spec of an instance that is paid by use.
LCU_SPEC = "slb.lcu.elastic"
#: What the API takes in one Add, Remove or Set call of backends.
BACKENDS_PER_CALL = 20

#: What the API takes in one Add or Remove call of an access list's entries, and in one list.
ACL_ENTRIES_PER_CALL = 50
ACL_ENTRIES = 300

# Letters of every script: a range of Chinese characters would cost each task 5 ms to compile, and \w has them.
NAME = re.compile(r"[^\W\d_][\w./-]{0,79}")
OWNER = re.compile(r"[^\W_][\w./-]{0,39}")

RANGES: dict[str, tuple[int, int]] = {
    "port": (1, 65535),
    "backend_port": (1, 65535),
    "weight": (0, 100),
    "persistence_timeout": (0, 3600),
    "established_timeout": (10, 900),
    "connection_drain_timeout": (10, 900),
    "health_check.connect_port": (1, 65535),
    "health_check.timeout": (1, 300),
    "health_check.interval": (1, 50),
    "health_check.healthy_threshold": (2, 10),
    "health_check.unhealthy_threshold": (2, 10),
}


@dataclasses.dataclass(frozen=True)
class ModificationProtection:
    """Whether the console refuses to change an instance, and the reason that it shows. Calls of the API are never refused."""

    enabled: bool | None = None
    reason: str | None = None


@dataclasses.dataclass(frozen=True)
class LoadBalancer:
    """An SLB instance. Identified by id, else by its name."""

    id: str | None = None
    name: str | None = None
    address_type: str | None = None
    vpc_id: str | None = None
    vswitch_id: str | None = None
    address: str | None = None
    address_ip_version: str | None = None
    master_zone_id: str | None = None
    slave_zone_id: str | None = None
    resource_group_id: str | None = None
    bandwidth: int | None = None
    internet_charge_type: str | None = None
    instance_charge_type: str | None = None
    spec: str | None = None
    delete_protection: bool | None = None
    modification_protection: ModificationProtection = ModificationProtection()
    enabled: bool | None = None
    tags: t.Mapping[str, str] | None = None
    #: What to do about tags that are not listed; no part of what the cloud has.
    purge_tags: bool | None = None


@dataclasses.dataclass(frozen=True)
class Backend:
    """A server in a group: an ECS instance by its id, or by a private IP that leads to one."""

    port: int
    server_id: str | None = None
    private_ip: str | None = None
    weight: int | None = None
    description: str | None = None

    @property
    def label(self) -> str:
        """How a sentence names it."""
        return f"{self.private_ip or self.server_id}:{self.port}"


@dataclasses.dataclass(frozen=True)
class ServerGroup:
    """A vServer group. ``backends`` is the whole list under ``purge``."""

    name: str
    backends: tuple[Backend, ...] | None = None
    purge: str = "owned"
    state: str = "present"

    @property
    def symbol(self) -> str:
        return f"server_group:{self.name}"


@dataclasses.dataclass(frozen=True)
class AclEntry:
    """A network in an access list."""

    cidr: str
    comment: str | None = None


@dataclasses.dataclass(frozen=True)
class AccessList:
    """An access control list of the region. Found by its id, else by its name. ``entries`` is the whole list unless told otherwise."""

    id: str | None = None
    name: str | None = None
    address_ip_version: str | None = None
    entries: tuple[AclEntry, ...] | None = None
    purge_entries: bool = True
    tags: t.Mapping[str, str] | None = None
    #: Networks that have to get through; never compared, only warned about.
    caller_cidrs: tuple[str, ...] | None = None
    state: str = "present"

    @property
    def label(self) -> str:
        """How a sentence and a symbol name it."""
        return self.name or self.id or ""

    @property
    def symbol(self) -> str:
        return f"access_list:{self.label}"


@dataclasses.dataclass(frozen=True)
class Access:
    """Whom a listener serves: the names of its access lists (none: everybody), and whether they let in or keep out."""

    lists: tuple[str, ...] | None = None
    type: str | None = None


@dataclasses.dataclass(frozen=True)
class HealthCheck:
    """How the cloud checks the backends of a listener. Times in seconds."""

    enabled: bool | None = None
    type: str | None = None
    connect_port: int | None = None
    timeout: int | None = None
    interval: int | None = None
    healthy_threshold: int | None = None
    unhealthy_threshold: int | None = None
    domain: str | None = None
    uri: str | None = None
    http_codes: tuple[str, ...] | None = None


@dataclasses.dataclass(frozen=True)
class Listener:
    """A listener. Times in seconds; bandwidth in Mbit/s, -1 for no limit."""

    port: int
    protocol: str
    server_group: str | None = None
    backend_port: int | None = None
    scheduler: str | None = None
    bandwidth: int | None = None
    persistence_timeout: int | None = None
    established_timeout: int | None = None
    connection_drain: bool | None = None
    connection_drain_timeout: int | None = None
    proxy_protocol_v2: bool | None = None
    description: str | None = None
    health_check: HealthCheck = HealthCheck()
    access_list: Access = Access()
    enabled: bool | None = True
    state: str = "present"

    @property
    def symbol(self) -> str:
        return f"listener:{self.protocol}/{self.port}"


@dataclasses.dataclass(frozen=True)
class FrontEnd:
    """The whole document. ``owner`` marks what is ours on the cloud."""

    owner: str
    load_balancer: LoadBalancer
    server_groups: tuple[ServerGroup, ...] = ()
    listeners: tuple[Listener, ...] = ()
    access_lists: tuple[AccessList, ...] = ()
    state: str = "present"
    allow_public: bool = False
    #: The load balancer has to exist already: a module that manages only a part of it.
    load_balancer_exists: bool = False
    #: Only access lists are meant: they belong to the region, and no load balancer is looked at.
    without_load_balancer: bool = False
    #: A removal leaves access lists alone: a list of the same name has the same owner by chance.
    keeps_access_lists: bool = False

    @property
    def only_removes(self) -> bool:
        """Whether nothing is wanted to be there, so that a load balancer which is gone is no reason to fail."""
        parts: list[ServerGroup | Listener] = [*self.server_groups, *self.listeners]
        return self.state == "absent" or (
            self.load_balancer_exists and bool(parts) and all(part.state == "absent" for part in parts)
        )


def front_end(options: t.Mapping[str, t.Any]) -> FrontEnd:
    """Make the document from a module's options and check it.

    Raises DocumentError with one sentence that names the option, the value and what would be right.
    """
    document = FrontEnd(
        owner=options["name"],
        load_balancer=load_balancer(options.get("load_balancer") or {}),
        server_groups=tuple(server_group(group) for group in options.get("server_groups") or ()),
        listeners=tuple(listener(entry) for entry in options.get("listeners") or ()),
        access_lists=tuple(access_list(entry) for entry in options.get("access_lists") or ()),
        state=options.get("state") or "present",
        allow_public=bool(options.get("allow_public")),
        keeps_access_lists=bool(options.get("keeps_access_lists")),
    )
    if document.load_balancer.id is None and document.load_balancer.name is None:
        document = dataclasses.replace(
            document, load_balancer=dataclasses.replace(document.load_balancer, name=document.owner)
        )
    check(document)
    return document


def partial(options: t.Mapping[str, t.Any]) -> FrontEnd:
    """The document of a module that manages a part of a load balancer, which has to exist already."""
    return dataclasses.replace(front_end(options), load_balancer_exists=True)


def load_balancer(options: t.Mapping[str, t.Any]) -> LoadBalancer:
    """An instance from its options. A tag's value is text on the cloud, whatever YAML makes of it."""
    instance = _given(
        LoadBalancer, {key: value for key, value in options.items() if key not in ("modification_protection", "tags")}
    )
    tags = options.get("tags")
    return dataclasses.replace(
        instance,
        modification_protection=_given(ModificationProtection, options.get("modification_protection") or {}),
        tags=None if tags is None else {str(key): "" if value is None else str(value) for key, value in tags.items()},
    )


def lists_only(options: t.Mapping[str, t.Any]) -> FrontEnd:
    """The document of a module that manages access lists, which need no load balancer."""
    return dataclasses.replace(front_end(options), without_load_balancer=True)


def access_list(options: t.Mapping[str, t.Any]) -> AccessList:
    """An access list from its options, its networks in one spelling."""
    desired = _given(AccessList, {key: value for key, value in options.items() if key != "entries"})
    where = f"access_lists[{desired.label}]"
    entries, callers = options.get("entries"), desired.caller_cidrs
    if entries is not None:
        entries = tuple(AclEntry(network(f"{where}.entries", entry["cidr"]), entry.get("comment")) for entry in entries)
    if callers is not None:
        callers = tuple(network(f"{where}.caller_cidrs", caller) for caller in callers)
    return dataclasses.replace(desired, entries=entries, caller_cidrs=callers)


def network(option: str, value: str) -> str:
    """A network as the cloud spells it; a bare address is a network of one."""
    try:
        return str(ipaddress.ip_network(value))
    except ValueError:
        pass
    try:
        meant = ipaddress.ip_network(value, strict=False)
    except ValueError:
        raise DocumentError(
            f"{option} has '{value}', which is no network; write one as 192.0.2.0/24, or an address as 192.0.2.1"
        ) from None
    raise DocumentError(f"{option} has '{value}', which is an address inside of a network; the network is {meant}")


def server_group(options: t.Mapping[str, t.Any]) -> ServerGroup:
    """A group from its options."""
    backends = options.get("backends")
    group = _given(ServerGroup, {key: value for key, value in options.items() if key != "backends"})
    if backends is None:
        return group
    return dataclasses.replace(group, backends=tuple(_given(Backend, entry) for entry in backends))


def listener(options: t.Mapping[str, t.Any]) -> Listener:
    """A listener from its options."""
    health_check = dict(options.get("health_check") or {})
    if health_check.get("http_codes") is not None:
        health_check["http_codes"] = tuple(sorted(health_check["http_codes"]))
    access = dict(options.get("access_list") or {})
    if access.get("lists") is not None:
        access["lists"] = tuple(sorted(set(access["lists"])))
    entry = _given(
        Listener, {key: value for key, value in options.items() if key not in ("health_check", "access_list")}
    )
    return dataclasses.replace(
        entry, health_check=_given(HealthCheck, health_check), access_list=_given(Access, access)
    )


T = t.TypeVar("T")


def _given(kind: type[T], options: t.Mapping[str, t.Any]) -> T:
    """An object of a kind from the options that are given; others are none of its business."""
    names = {field.name for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    return kind(**{key: value for key, value in options.items() if key in names and value is not None})


def merged(desired: T, current: T) -> T:
    """The desired object, with everything that it does not say taken from the current one."""
    changes = {
        field.name: _merged_value(getattr(desired, field.name), getattr(current, field.name))
        for field in dataclasses.fields(desired)  # type: ignore[arg-type]
    }
    return dataclasses.replace(desired, **changes)  # type: ignore[type-var]


def _merged_value(desired: t.Any, current: t.Any) -> t.Any:
    if dataclasses.is_dataclass(desired) and dataclasses.is_dataclass(current):
        return merged(desired, current)
    return current if desired is None else desired


def differences(desired: t.Any, current: t.Any, prefix: str = "") -> list[tuple[str, t.Any, t.Any]]:
    """(option, current value, desired value) of every given option that the current object does not have."""
    found: list[tuple[str, t.Any, t.Any]] = []
    for field in dataclasses.fields(desired):
        wanted, has = getattr(desired, field.name), getattr(current, field.name)
        if dataclasses.is_dataclass(wanted):
            found.extend(differences(wanted, has, f"{prefix}{field.name}."))
        elif wanted is not None and wanted != has:
            found.append((prefix + field.name, has, wanted))
    return found


def marked(owner: str, text: str | None) -> str:
    """A backend's description on the cloud: the owner's mark and, after a blank, the user's own text."""
    return f"{OWNER_PREFIX}{owner} {text}" if text else f"{OWNER_PREFIX}{owner}"


def unmarked(description: str | None) -> tuple[str | None, str]:
    """The owner (None: somebody else's) and the user's own text of a backend's description."""
    if not description or not description.startswith(OWNER_PREFIX):
        return None, description or ""
    owner, dummy, text = description[len(OWNER_PREFIX) :].partition(" ")
    return owner, text


def check(document: FrontEnd) -> None:
    """Refuse what can never work, before anything is asked of the cloud."""
    if not OWNER.fullmatch(document.owner):
        raise DocumentError(
            f"name is '{document.owner}', but it has to be 1 to 40 letters, digits, '-', '.', '_' or '/',"
            " for it marks what this front end owns"
        )
    _check_load_balancer(document.load_balancer)
    _unique("server_groups", [group.name for group in document.server_groups], "name")
    _unique("listeners", [entry.symbol.partition(":")[2] for entry in document.listeners], "protocol and port")
    for group in document.server_groups:
        _check_server_group(group, document.owner)
    for entry in document.listeners:
        _check_listener(entry)
    _unique("access_lists", [desired.label for desired in document.access_lists], "name")
    for desired in document.access_lists:
        _check_access_list(desired)


def _unique(option: str, values: t.Sequence[str], what: str) -> None:
    double = sorted({value for value in values if values.count(value) > 1})
    if double:
        raise DocumentError(f"{option} has {double[0]} more than once; every {what} may be there once")


def _check_load_balancer(desired: LoadBalancer) -> None:
    if desired.name is not None and not NAME.fullmatch(desired.name):
        raise DocumentError(
            f"load_balancer.name is '{desired.name}', but it has to begin with a letter or a Chinese character and have"
            " 1 to 80 letters, digits, '-', '/', '.' or '_'"
        )
    for option in ("vpc_id", "vswitch_id"):
        value = getattr(desired, option)
        if desired.address_type == "internet" and value:
            raise DocumentError(
                f"load_balancer.address_type is 'internet' while load_balancer.{option} is '{value}'; a VPC and its vSwitch belong to"
                " address_type 'intranet' only"
            )
    if desired.address is not None:
        _check_address("load_balancer.address", desired.address)
        version = f"ipv{ipaddress.ip_address(desired.address).version}"
        if desired.address_ip_version not in (None, version):
            raise DocumentError(
                f"load_balancer.address is '{desired.address}' while load_balancer.address_ip_version is"
                f" '{desired.address_ip_version}'; the two have to fit"
            )
    if desired.bandwidth is not None and not 1 <= desired.bandwidth <= 5120:
        raise DocumentError(f"load_balancer.bandwidth is {desired.bandwidth}; 1 to 5120 Mbit/s are possible")
    _check_contradictions(desired)
    _check_protection(desired.modification_protection)
    _check_tags(desired.tags or {})


#: (option, value; None is any) and what does not go with it, and why. The first column is the more general choice.
CONTRADICTIONS: tuple[tuple[str, str, str, t.Any, str], ...] = (
    ("address_type", "intranet", "bandwidth", None, "only an internet instance has a bandwidth of its own"),
    ("address_type", "intranet", "internet_charge_type", None, "only an internet instance is paid by its traffic"),
    ("instance_charge_type", "PayByCLCU", "internet_charge_type", "paybybandwidth", "it takes 'paybytraffic' only"),
    ("instance_charge_type", "PayByCLCU", "bandwidth", None, "only an instance that is paid by bandwidth has one"),
    ("internet_charge_type", "paybytraffic", "bandwidth", None, "only 'paybybandwidth' takes one"),
)


def _check_contradictions(desired: LoadBalancer) -> None:
    for option, value, other, wrong, why in CONTRADICTIONS:
        has = getattr(desired, other)
        if getattr(desired, option) == value and has is not None and wrong in (None, has):
            raise DocumentError(
                f"load_balancer.{option} is '{value}' while load_balancer.{other} is '{has}'; {why}, so leave one out"
            )
    if desired.spec is not None and desired.instance_charge_type is not None:
        if (desired.instance_charge_type == "PayByCLCU") != (desired.spec == LCU_SPEC):
            raise DocumentError(
                f"load_balancer.instance_charge_type is '{desired.instance_charge_type}' while load_balancer.spec is"
                f" '{desired.spec}'; PayByCLCU has no spec but '{LCU_SPEC}', and PayBySpec has any other"
            )


def _check_protection(desired: ModificationProtection) -> None:
    where = "load_balancer.modification_protection"
    if desired.reason is None:
        return
    if desired.enabled is False:
        raise DocumentError(
            f"{where}.reason is '{desired.reason}' while {where}.enabled is false; leave the reason out"
        )
    if not NAME.fullmatch(desired.reason):
        raise DocumentError(
            f"{where}.reason is '{desired.reason}', but it has to begin with a letter or a Chinese character and have"
            " 1 to 80 letters, digits, '-', '/', '.' or '_'"
        )


def _check_tags(tags: t.Mapping[str, str]) -> None:
    for key, value in tags.items():
        where = f"load_balancer.tags[{key}]"
        if not 1 <= len(key) <= 64:
            raise DocumentError(f"{where} has a key of {len(key)} characters; 1 to 64 are possible")
        if len(value) > 128:
            raise DocumentError(f"{where} has a value of {len(value)} characters; at most 128 are possible")
        if any(word in text for word in ("http://", "https://") for text in (key, value)):
            raise DocumentError(f"{where} has 'http://' or 'https://' in it, which the cloud does not take in tags")


def _check_address(option: str, value: str) -> None:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        raise DocumentError(f"{option} is '{value}', which is not an IP address") from None


def _check_server_group(group: ServerGroup, owner: str) -> None:
    where = f"server_groups[{group.name}]"
    if not 1 <= len(group.name) <= 80:
        raise DocumentError(f"{where}.name has {len(group.name)} characters; 1 to 80 are possible")
    for backend in group.backends or ():
        at = f"{where}.backends[{backend.label}]"
        if (backend.server_id is None) == (backend.private_ip is None):
            raise DocumentError(f"{at} needs either server_id or private_ip, one of the two")
        if backend.private_ip is not None:
            _check_address(f"{at}.private_ip", backend.private_ip)
        _in_range(f"{at}.port", "port", backend.port)
        _in_range(f"{at}.weight", "weight", backend.weight)
        room = DESCRIPTION_LIMIT - len(marked(owner, "x")) + 1
        if backend.description is not None and len(backend.description) > room:
            raise DocumentError(
                f"{at}.description has {len(backend.description)} characters; beside the owner's mark {room} are possible"
            )
    _unique(f"{where}.backends", [backend.label for backend in group.backends or ()], "server and port")


def _check_access_list(desired: AccessList) -> None:
    where = f"access_lists[{desired.label}]"
    if desired.id is None and desired.name is None:
        raise DocumentError("access_lists has an entry with neither name nor id; one of the two is needed")
    if desired.name is not None and not NAME.fullmatch(desired.name):
        raise DocumentError(
            f"{where}.name is '{desired.name}', but it has to begin with a letter or a Chinese character and have"
            " 1 to 80 letters, digits, '-', '/', '.' or '_'"
        )
    entries = desired.entries or ()
    _unique(f"{where}.entries", [entry.cidr for entry in entries], "network")
    if len(entries) > ACL_ENTRIES:
        raise DocumentError(
            f"{where}.entries has {len(entries)} networks; at most {ACL_ENTRIES} are possible in a list"
        )


def _check_listener(entry: Listener) -> None:
    where = f"listeners[{entry.protocol}/{entry.port}]"
    for name in ("port", "backend_port", "persistence_timeout", "established_timeout", "connection_drain_timeout"):
        _in_range(f"{where}.{name}", name, getattr(entry, name))
    if entry.bandwidth is not None and entry.bandwidth != -1 and not 1 <= entry.bandwidth <= 5120:
        raise DocumentError(f"{where}.bandwidth is {entry.bandwidth}; -1 (no limit) or 1 to 5120 Mbit/s are possible")
    if entry.connection_drain and entry.connection_drain_timeout is None:
        raise DocumentError(
            f"{where}.connection_drain is true, which needs connection_drain_timeout (10 to 900 seconds)"
        )
    for name in ("connect_port", "timeout", "interval", "healthy_threshold", "unhealthy_threshold"):
        key = f"health_check.{name}"
        _in_range(f"{where}.{key}", key, getattr(entry.health_check, name))
    uri = entry.health_check.uri
    if uri is not None and not (uri.startswith("/") and len(uri) <= 80):
        raise DocumentError(
            f"{where}.health_check.uri is '{uri}'; it has to begin with '/' and have at most 80 characters"
        )


def _in_range(where: str, name: str, value: int | None) -> None:
    low, high = RANGES[name]
    if value is not None and not low <= value <= high:
        raise DocumentError(f"{where} is {value}; {low} to {high} are possible")
