# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The document of a front end: what a user asks for, and what the cloud has, in one shape.

None always means "not given": leave it as it is. Both sides are normalised to these classes before they are compared.
Pure: no network, no clock, no Ansible.
"""

from __future__ import annotations

import collections
import dataclasses
import ipaddress
import re
import typing as t

from . import pem, protocols
from .errors import DocumentError, quoted

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
CHINESE = ("\u4e00", "\u9fff")
#: A day, in seconds.
LONGEST_WAIT = 86_400
#: A hundred years: no certificate lasts longer.
LONGEST_LIFE = 36_525 * LONGEST_WAIT
OWNER = re.compile(r"[^\W_][\w./-]{0,39}")

RANGES: dict[str, tuple[int, int]] = {"port": (1, 65535), "backend_port": (1, 65535), "weight": (0, 100)}


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


#: The ways to name a server, of which each backend takes one. Only eni_id takes private_ip beside it.
NAMINGS = ("server_id", "server_name", "server_tags", "private_ip", "eni_id")


@dataclasses.dataclass(frozen=True)
class Backend:
    """A server in a group or in the default pool (without a port there), as a user names it or as the cloud knows it.

    On the cloud it is known by server_id and port; a network interface or a container by its private_ip too.
    """

    port: int | None = None
    server_id: str | None = None
    private_ip: str | None = None
    weight: int | None = None
    description: str | None = None
    server_name: str | None = None
    server_tags: t.Mapping[str, str] | None = None
    eni_id: str | None = None
    #: What the cloud says that it is: ecs (as None is), eni or eci.
    type: str | None = None
    state: str = "present"

    @property
    def is_ecs(self) -> bool:
        return self.type in (None, "ecs")

    @property
    def identity(self) -> tuple[str | None, str | None, int | None]:
        """What tells two members apart. An ECS instance has one address that counts, so it is no part of it."""
        return self.server_id, None if self.is_ecs else self.private_ip, self.port

    @property
    def naming(self) -> str:
        """The option and the value that name it."""
        option = next((name for name in reversed(NAMINGS) if getattr(self, name) is not None), "server_id")
        return f"{option} {self._words(option)}"

    @property
    def label(self) -> str:
        """How a sentence names it."""
        options = ("private_ip", "server_id", "eni_id", "server_name", "server_tags")
        option = next((name for name in options if getattr(self, name) is not None), "server_id")
        return self._words(option) if self.port is None else f"{self._words(option)}:{self.port}"

    def _words(self, option: str) -> str:
        if option == "server_tags":
            return ",".join(f"{key}={value}" for key, value in sorted((self.server_tags or {}).items()))
        return str(getattr(self, option))


@dataclasses.dataclass(frozen=True)
class ServerGroup:
    """A vServer group. ``backends`` is the whole list under ``purge``."""

    name: str
    backends: tuple[Backend, ...] | None = None
    purge: str = "owned"
    state: str = "present"
    #: The group has to exist already: only members of it are meant.
    exists: bool = False

    @property
    def symbol(self) -> str:
        return f"server_group:{self.name}"


@dataclasses.dataclass(frozen=True)
class DefaultPool:
    """The servers of an instance that listeners without a group use. ``backends`` is the whole list under ``purge``."""

    backends: tuple[Backend, ...] | None = None
    purge: str = "owned"


@dataclasses.dataclass(frozen=True)
class FailoverGroup:
    """A primary/secondary group: the standby serves while the primary is not healthy. Nothing of it ever changes."""

    name: str
    primary: Backend | None = None
    standby: Backend | None = None
    state: str = "present"

    @property
    def symbol(self) -> str:
        return f"failover_group:{self.name}"


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
    method: str | None = None
    request: str | None = None
    expected: str | None = None


@dataclasses.dataclass(frozen=True)
class Rule:
    """A forwarding rule of a listener. Known by its domain and its URL, neither of which ever changes.

    What is its own means nothing while it goes with its listener.
    """

    domain: str = ""
    url: str = ""
    name: str | None = None
    server_group: str | None = None
    listener_sync: bool | None = None
    scheduler: str | None = None
    sticky_session: bool | None = None
    sticky_session_type: str | None = None
    cookie: str | None = None
    cookie_timeout: int | None = None
    health_check: HealthCheck = HealthCheck()
    state: str = "present"

    @property
    def label(self) -> str:
        """How a sentence and a symbol name it."""
        return f"{self.domain}{self.url}"

    @property
    def has_own(self) -> bool:
        """Whether it says anything that its listener says too."""
        own = ("scheduler", "sticky_session", "sticky_session_type", "cookie", "cookie_timeout")
        return any(getattr(self, name) is not None for name in own) or self.health_check != HealthCheck()


@dataclasses.dataclass(frozen=True)
class DomainExtension:
    """Another domain of an HTTPS listener, with a certificate of its own."""

    domain: str
    certificate: str | None = None
    state: str = "present"

    @property
    def label(self) -> str:
        return self.domain


@dataclasses.dataclass(frozen=True)
class Certificate:
    """A certificate of the region: of a server with its key, or of a CA. Known by its fingerprint, else by its id or its name."""

    id: str | None = None
    name: str | None = None
    #: PEM, the server's own first, then each one's issuer.
    certificate: str | None = dataclasses.field(default=None, repr=False, compare=False)
    private_key: str | None = dataclasses.field(default=None, repr=False, compare=False)
    fingerprint: str | None = None
    common_name: str | None = None
    subject_alt_names: tuple[str, ...] | None = None
    #: In seconds since 1970: its own end, and that of the first in its chain to end.
    expires: int | None = None
    chain_expires: int | None = dataclasses.field(default=None, compare=False)
    tags: t.Mapping[str, str] | None = None
    #: Seconds for which a predecessor of the same name stays after this one was uploaded; None: for ever.
    keep_old: float | None = None
    state: str = "present"

    @property
    def label(self) -> str:
        """How a sentence and a symbol name it."""
        return self.name or self.id or self.fingerprint or ""


@dataclasses.dataclass(frozen=True)
class TlsPolicy:
    """Versions of TLS and cipher suites that an HTTPS listener takes. Found by its id, else by its name."""

    id: str | None = None
    name: str | None = None
    tls_versions: tuple[str, ...] | None = None
    ciphers: tuple[str, ...] | None = None
    state: str = "present"

    @property
    def label(self) -> str:
        """How a sentence and a symbol name it."""
        return self.name or self.id or ""

    @property
    def symbol(self) -> str:
        return f"tls_policy:{self.label}"


@dataclasses.dataclass(frozen=True)
class Listener:
    """A listener. Times in seconds; bandwidth in Mbit/s, -1 for no limit. What its protocol does not have is None."""

    port: int
    protocol: str
    server_group: str | None = None
    failover_group: str | None = None
    backend_port: int | None = None
    scheduler: str | None = None
    bandwidth: int | None = None
    persistence_timeout: int | None = None
    established_timeout: int | None = None
    connection_drain: bool | None = None
    connection_drain_timeout: int | None = None
    proxy_protocol_v2: bool | None = None
    sticky_session: bool | None = None
    sticky_session_type: str | None = None
    cookie: str | None = None
    cookie_timeout: int | None = None
    x_forwarded_for: bool | None = None
    x_forwarded_for_proto: bool | None = None
    x_forwarded_for_slb_id: bool | None = None
    x_forwarded_for_slb_ip: bool | None = None
    x_forwarded_for_slb_port: bool | None = None
    x_forwarded_for_client_src_port: bool | None = None
    gzip: bool | None = None
    http2: bool | None = None
    idle_timeout: int | None = None
    request_timeout: int | None = None
    forward_port: int | None = None
    certificate: str | None = None
    ca_certificate: str | None = None
    tls_policy: str | None = None
    description: str | None = None
    health_check: HealthCheck = HealthCheck()
    access_list: Access = Access()
    #: Of the cloud's: None where nobody asked for them.
    rules: tuple[Rule, ...] | None = None
    purge_rules: bool | None = None
    domain_extensions: tuple[DomainExtension, ...] | None = None
    purge_domain_extensions: bool | None = None
    enabled: bool | None = True
    tags: t.Mapping[str, str] | None = None
    #: What to do about tags that are not listed; no part of what the cloud has.
    purge_tags: bool | None = None
    state: str = "present"
    #: The listener has to exist already: only rules or domains of it are meant.
    exists: bool = False

    @property
    def symbol(self) -> str:
        return f"listener:{self.protocol}/{self.port}"


@dataclasses.dataclass(frozen=True)
class FrontEnd:
    """The whole document. ``owner`` marks what is ours on the cloud."""

    owner: str
    load_balancer: LoadBalancer
    server_groups: tuple[ServerGroup, ...] = ()
    failover_groups: tuple[FailoverGroup, ...] = ()
    default_pool: DefaultPool | None = None
    listeners: tuple[Listener, ...] = ()
    access_lists: tuple[AccessList, ...] = ()
    certificates: tuple[Certificate, ...] = ()
    ca_certificates: tuple[Certificate, ...] = ()
    tls_policies: tuple[TlsPolicy, ...] = ()
    state: str = "present"
    allow_public: bool = False
    #: What is listed and nobody's becomes the owner's.
    adopt: bool = False
    #: Numbers of the account's quotas where they are not those of the cloud's documents.
    quotas: t.Mapping[str, int] | None = None
    #: The load balancer has to exist already: a module that manages only a part of it.
    load_balancer_exists: bool = False
    #: Only access lists, certificates and policies are meant: they are the region's, and no load balancer is looked at.
    without_load_balancer: bool = False
    #: A removal leaves what is the region's alone: a list of the same name has the same owner by chance.
    keeps_region: bool = False

    @property
    def only_removes(self) -> bool:
        """Whether nothing is wanted to be there, so that a load balancer which is gone is no reason to fail."""
        parts: list[t.Any] = list(self.failover_groups)
        for entry in self.listeners:
            parts.extend((*(entry.rules or ()), *(entry.domain_extensions or ())) if entry.exists else [entry])
        for group in self.server_groups:
            # of a group that has to exist, only the members are meant
            parts.extend((group.backends or ()) if group.exists else [group])
        if self.default_pool is not None:
            parts.extend(self.default_pool.backends or ())
        return self.state == "absent" or (
            self.load_balancer_exists and bool(parts) and all(part.state == "absent" for part in parts)
        )

    @property
    def backends(self) -> tuple[Backend, ...]:
        """Every backend that it names in what is to be there."""
        groups = [group for group in self.server_groups if group.state == "present"]
        found = [backend for group in groups for backend in group.backends or ()]
        pairs = [group for group in self.failover_groups if group.state == "present"]
        found += [side for group in pairs for side in (group.primary, group.standby) if side is not None]
        return (*found, *((self.default_pool.backends or ()) if self.default_pool else ()))


def front_end(options: t.Mapping[str, t.Any]) -> FrontEnd:
    """Make the document from a module's options and check it.

    Raises DocumentError with one sentence that names the option, the value and what would be right.
    """
    document = FrontEnd(
        owner=options["name"],
        load_balancer=load_balancer(options.get("load_balancer") or {}),
        server_groups=tuple(server_group(group) for group in options.get("server_groups") or ()),
        failover_groups=tuple(failover_group(group) for group in options.get("failover_groups") or ()),
        default_pool=default_pool(options["default_pool"]) if options.get("default_pool") is not None else None,
        listeners=tuple(listener(entry) for entry in options.get("listeners") or ()),
        access_lists=tuple(access_list(entry) for entry in options.get("access_lists") or ()),
        certificates=tuple(certificate(entry) for entry in options.get("certificates") or ()),
        ca_certificates=tuple(certificate(entry, ca=True) for entry in options.get("ca_certificates") or ()),
        tls_policies=tuple(tls_policy(entry) for entry in options.get("tls_policies") or ()),
        state=options.get("state") or "present",
        allow_public=bool(options.get("allow_public")),
        adopt=bool(options.get("adopt")),
        keeps_region=bool(options.get("keeps_region")),
        quotas={name: value for name, value in (options.get("quotas") or {}).items() if value is not None} or None,
        without_load_balancer=bool(options.get("without_load_balancer")),
    )
    nameless = document.load_balancer.id is None and document.load_balancer.name is None
    if nameless and not document.without_load_balancer:
        document = dataclasses.replace(
            document, load_balancer=dataclasses.replace(document.load_balancer, name=document.owner)
        )
    check_owner(document.owner, options)
    check(document)
    return document


def partial(options: t.Mapping[str, t.Any]) -> FrontEnd:
    """The document of a module that manages a part of a load balancer, which has to exist already."""
    return dataclasses.replace(front_end(options), load_balancer_exists=True)


def question(load_balancer: t.Mapping[str, str]) -> FrontEnd:
    """What a load balancer that has to exist is asked by its id or its name: as nobody, to whom two of one name are alike."""
    return FrontEnd(owner="", load_balancer=_given(LoadBalancer, load_balancer), load_balancer_exists=True)


def load_balancer(options: t.Mapping[str, t.Any]) -> LoadBalancer:
    """An instance from its options."""
    instance = _given(
        LoadBalancer, {key: value for key, value in options.items() if key not in ("modification_protection", "tags")}
    )
    return dataclasses.replace(
        instance,
        modification_protection=_given(ModificationProtection, options.get("modification_protection") or {}),
        tags=text_tags(options.get("tags")),
    )


def text_tags(tags: t.Mapping[t.Any, t.Any] | None) -> dict[str, str] | None:
    """Tags from options: they are text on the cloud, whatever YAML makes of them."""
    return None if tags is None else {str(key): "" if value is None else str(value) for key, value in tags.items()}


def filters(options: t.Mapping[str, t.Any]) -> LoadBalancer:
    """What instances have to be like that are looked for."""
    wanted = load_balancer(options)
    _check_load_balancer(wanted)
    return wanted


def region_only(options: t.Mapping[str, t.Any]) -> FrontEnd:
    """The document of a module that manages what is the region's, and needs no load balancer."""
    return front_end({**options, "without_load_balancer": True})


def access_list(options: t.Mapping[str, t.Any]) -> AccessList:
    """An access list from its options, its networks in one spelling."""
    desired = _given(AccessList, {key: value for key, value in options.items() if key not in ("entries", "tags")})
    where = f"access_lists[{desired.label}]"
    entries, callers = options.get("entries"), desired.caller_cidrs
    if entries is not None:
        entries = tuple(
            AclEntry(network(f"{where}.entries[].cidr", entry["cidr"]), entry.get("comment")) for entry in entries
        )
    if callers is not None:
        callers = tuple(network(f"{where}.caller_cidrs", caller) for caller in callers)
    return dataclasses.replace(desired, entries=entries, caller_cidrs=callers, tags=text_tags(options.get("tags")))


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
    group = _given(ServerGroup, {key: value for key, value in options.items() if key != "backends"})
    return dataclasses.replace(group, backends=_backends(options))


def default_pool(options: t.Mapping[str, t.Any]) -> DefaultPool:
    """The default pool from its options."""
    return dataclasses.replace(_given(DefaultPool, {"purge": options.get("purge")}), backends=_backends(options))


def failover_group(options: t.Mapping[str, t.Any]) -> FailoverGroup:
    """A primary/secondary group from its options."""
    sides = {name: backend(options[name]) for name in ("primary", "standby") if options.get(name) is not None}
    return _given(FailoverGroup, {**options, **dict.fromkeys(("primary", "standby")), **sides})


def _backends(options: t.Mapping[str, t.Any]) -> tuple[Backend, ...] | None:
    given = options.get("backends")
    return None if given is None else tuple(backend(entry) for entry in given)


def backend(options: t.Mapping[str, t.Any]) -> Backend:
    """A backend from its options. What the cloud alone says of one is none of them."""
    known = {key: value for key, value in options.items() if key not in ("type", "server_tags")}
    return dataclasses.replace(_given(Backend, known), server_tags=text_tags(options.get("server_tags")))


def health_check(options: t.Mapping[str, t.Any] | None) -> HealthCheck:
    """A health check from its options."""
    given = dict(options or {})
    if given.get("http_codes") is not None:
        given["http_codes"] = tuple(sorted(set(given["http_codes"])))
    if given.get("domain") is not None:
        given["domain"] = protocols.domain(given["domain"])
    return _given(HealthCheck, given)


def rule(options: t.Mapping[str, t.Any]) -> Rule:
    """A rule from its options. What it has of its own parts it from its listener."""
    made = _given(Rule, {key: value for key, value in options.items() if key != "health_check"})
    made = dataclasses.replace(made, domain=made.domain.lower(), health_check=health_check(options.get("health_check")))
    return dataclasses.replace(
        made, listener_sync=False if made.has_own and made.listener_sync is None else made.listener_sync
    )


def domain_extension(options: t.Mapping[str, t.Any]) -> DomainExtension:
    """Another domain from its options."""
    return _given(DomainExtension, {**options, "domain": options["domain"].lower()})


def certificate(options: t.Mapping[str, t.Any], *, ca: bool = False) -> Certificate:
    """A certificate from its options, with all that its PEM says of it."""
    desired = _given(Certificate, {key: value for key, value in options.items() if key != "tags"})
    desired = dataclasses.replace(desired, tags=text_tags(options.get("tags")))
    where = f"{'ca_certificates' if ca else 'certificates'}[{desired.label}]"
    if desired.certificate is None:
        if desired.private_key is not None:
            raise DocumentError(
                f"{where} has a private_key, but no certificate; a key is uploaded with its certificate only"
            )
        return desired
    chain = pem.chain(f"{where}.certificate", desired.certificate, whole=not ca)
    if not ca and desired.private_key is not None:
        pem.refuse_other_key(where, chain[0], desired.private_key)
    told = pem.facts(chain)
    return dataclasses.replace(
        desired,
        fingerprint=told.fingerprint,
        common_name=told.common_name,
        subject_alt_names=told.subject_alt_names,
        expires=told.expires,
        chain_expires=told.chain_expires,
    )


def tls_policy(options: t.Mapping[str, t.Any]) -> TlsPolicy:
    """A policy from its options."""
    sets = {
        name: tuple(sorted(set(options[name]))) for name in ("tls_versions", "ciphers") if options.get(name) is not None
    }
    return _given(TlsPolicy, {**options, **sets})


def listener(options: t.Mapping[str, t.Any]) -> Listener:
    """A listener from its options."""
    access = dict(options.get("access_list") or {})
    if access.get("lists") is not None:
        access["lists"] = tuple(sorted(set(access["lists"])))
    parts = ("health_check", "access_list", "tags", "rules", "domain_extensions")
    entry = _given(Listener, {key: value for key, value in options.items() if key not in parts})
    rules, domains = options.get("rules"), options.get("domain_extensions")
    return dataclasses.replace(
        entry,
        # a listener of which only parts are meant is neither started nor stopped
        enabled=None if entry.exists else entry.enabled,
        rules=None if rules is None else tuple(map(rule, rules)),
        domain_extensions=None if domains is None else tuple(map(domain_extension, domains)),
        health_check=health_check(options.get("health_check")),
        access_list=_given(Access, access),
        tags=text_tags(options.get("tags")),
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


def description_room(owner: str) -> int:
    """How many characters of a user's own text fit beside the owner's mark."""
    return DESCRIPTION_LIMIT - len(marked(owner, "x")) + 1


def unmarked(description: str | None) -> tuple[str | None, str]:
    """The owner (None: somebody else's) and the user's own text of a backend's description."""
    if not description or not description.startswith(OWNER_PREFIX):
        return None, description or ""
    owner, dummy, text = description[len(OWNER_PREFIX) :].partition(" ")
    return owner, text


def check(document: FrontEnd) -> None:
    """Refuse what can never work, before anything is asked of the cloud."""
    _check_load_balancer(document.load_balancer)
    _unique("server_groups", [group.name for group in document.server_groups], "name")
    _unique("listeners", [entry.symbol.partition(":")[2] for entry in document.listeners], "protocol and port")
    _unique("failover_groups", [group.name for group in document.failover_groups], "name")
    for group in document.server_groups:
        _check_server_group(group, document.owner)
    for pair in document.failover_groups:
        _check_failover_group(pair)
    if document.default_pool is not None:
        _check_backends("default_pool.backends", document.default_pool.backends or (), document.owner, ports=False)
    for wanted in document.listeners:
        _check_listener(wanted)
    _unique("access_lists", [desired.label for desired in document.access_lists], "name")
    for desired in document.access_lists:
        _check_access_list(desired)
    for option, kind in (("certificates", document.certificates), ("ca_certificates", document.ca_certificates)):
        _unique(option, [desired.label for desired in kind], "name")
        for entry in kind:
            _check_certificate(option, entry)
        _check_fingerprints(option, kind)
    _unique("tls_policies", [policy.label for policy in document.tls_policies], "name")
    for policy in document.tls_policies:
        _check_tls_policy(policy)
    for name, value in (document.quotas or {}).items():
        if value < 1:
            raise DocumentError(f"quotas.{name} is {value}; it is a number of 1 or more")


def check_owner(owner: str, options: t.Mapping[str, t.Any]) -> None:
    """The owner's mark comes of the name, or of the option that ``marked_by`` names (None: nothing is going to be marked)."""
    option = options.get("marked_by", "name")
    if option is not None and not OWNER.fullmatch(owner):
        instead = " where owner is not given" if options.get("marked_by", "owner") != "owner" else ""
        raise DocumentError(
            f"{option} is '{owner}', but it has to be 1 to 40 letters, digits, '-', '.', '_' or '/',"
            f" for it marks what this front end owns{instead}"
        )


def _unique(option: str, values: t.Sequence[str], what: str) -> None:
    double = sorted(value for value, count in collections.Counter(values).items() if count > 1)
    if double:
        raise DocumentError(f"{option} has {double[0]} more than once; every {what} may be there once")


def _check_load_balancer(desired: LoadBalancer) -> None:
    _check_not_empty("load_balancer", desired)
    _check_name("load_balancer.name", desired.name)
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
    _check_tags("load_balancer.tags", desired.tags or {})


def _check_name(option: str, value: str | None) -> None:
    if value is not None and not (
        NAME.fullmatch(value) and all(letter.isascii() or CHINESE[0] <= letter <= CHINESE[1] for letter in value)
    ):
        raise DocumentError(
            f"{option} is '{value}', but it has to begin with a letter or a Chinese character and have"
            " 1 to 80 letters, digits, '-', '/', '.' or '_'"
        )


def _check_not_empty(where: str, desired: LoadBalancer | AccessList | Certificate | TlsPolicy) -> None:
    """Text that would name nothing, as a variable without a value leaves it behind."""
    empty = [name for name, value in vars(desired).items() if isinstance(value, str) and not value.strip()]
    if empty:
        raise DocumentError(f"{where}.{empty[0]} is an empty text; give it a value, or leave the option out")


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
    _check_name(f"{where}.reason", desired.reason)


def _check_tags(option: str, tags: t.Mapping[str, str]) -> None:
    for key, value in tags.items():
        where = f"{option}[{key}]"
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
    # a group that has to be there is named by an option of slb_backend
    _check_group_name("server_group" if group.exists else f"{where}.name", group.name)
    _check_backends(f"{where}.backends", group.backends or (), owner, ports=True)


def _check_group_name(option: str, name: str) -> None:
    if not 1 <= len(name) <= 80:
        raise DocumentError(f"{option} has {len(name)} characters; 1 to 80 are possible")
    _check_printable(option, name)


def _check_backends(where: str, backends: t.Sequence[Backend], owner: str, *, ports: bool) -> None:
    room = description_room(owner)
    for backend in backends:
        at = f"{where}[{backend.label}]"
        _check_backend(at, backend, ports=ports)
        if backend.description is not None and len(backend.description) > room:
            raise DocumentError(
                f"{at}.description has {len(backend.description)} characters; beside the owner's mark {room} are possible"
            )
    _unique(where, [backend.label for backend in backends], "server and port" if ports else "server")


def _check_backend(at: str, backend: Backend, *, ports: bool) -> None:
    given = [name for name in NAMINGS if getattr(backend, name) is not None]
    if len(given) != 1 and given != ["private_ip", "eni_id"]:
        raise DocumentError(
            f"{at} names its server by {' and '.join(given) or 'nothing'}; exactly one of {', '.join(NAMINGS)} is needed, and"
            " private_ip may stand beside eni_id"
        )
    if (backend.server_id or "").startswith("eni-"):
        raise DocumentError(f"{at}.server_id is '{backend.server_id}', which is a network interface; give it as eni_id")
    if backend.server_tags == {}:
        raise DocumentError(f"{at}.server_tags has no tag, which would mean every server; give one at least")
    if backend.private_ip is not None:
        _check_address(f"{at}.private_ip", backend.private_ip)
    if ports and backend.port is None:
        raise DocumentError(f"{at}.port is missing; with a server_group every server needs the port that it serves")
    if not ports and backend.port is not None:
        raise DocumentError(
            f"{at}.port is {backend.port}, but a server of the default pool is called on the backend_port of each listener; leave"
            " the port out, or give a server_group"
        )
    _in_range(f"{at}.port", "port", backend.port)
    _in_range(f"{at}.weight", "weight", backend.weight)


def _check_failover_group(group: FailoverGroup) -> None:
    where = f"failover_groups[{group.name}]"
    _check_group_name(f"{where}.name", group.name)
    for name in ("primary", "standby"):
        side: Backend | None = getattr(group, name)
        if side is None:
            continue
        _check_backend(f"{where}.{name}", side, ports=True)
        if side.server_tags is not None:
            raise DocumentError(
                f"{where}.{name} has server_tags, which may fit several servers; name the one that is meant"
            )
        if side.description is not None and len(side.description) > DESCRIPTION_LIMIT:
            raise DocumentError(
                f"{where}.{name}.description has {len(side.description)} characters; {DESCRIPTION_LIMIT} are possible"
            )


def _check_access_list(desired: AccessList) -> None:
    where = f"access_lists[{desired.label}]"
    if desired.id is None and desired.name is None:
        raise DocumentError("access_lists has an entry with neither name nor id; one of the two is needed")
    _check_not_empty(where, desired)
    _check_name(f"{where}.name", desired.name)
    entries = desired.entries or ()
    _unique(f"{where}.entries", [entry.cidr for entry in entries], "network")
    if len(entries) > ACL_ENTRIES:
        raise DocumentError(
            f"{where}.entries has {len(entries)} networks; at most {ACL_ENTRIES} are possible in a list"
        )
    _check_tags(f"{where}.tags", desired.tags or {})


#: The API's characters for names of certificates and policies.
CERTIFICATE_NAME = r"[A-Za-z][\w.-]{0,79}"
POLICY_NAME = r"[A-Za-z][\w.-]{1,199}"


def _check_certificate(option: str, desired: Certificate) -> None:
    where = f"{option}[{desired.label}]"
    if desired.id is None and desired.name is None:
        raise DocumentError(f"{option} has an entry with neither name nor id; one of the two is needed")
    _check_not_empty(where, desired)
    if desired.name is not None and not re.fullmatch(CERTIFICATE_NAME, desired.name, re.ASCII):
        raise DocumentError(
            f"{where}.name is '{desired.name}', but it has to begin with a letter and have 1 to 80 letters, digits, '.', '_' or '-'"
        )
    if desired.keep_old is not None:
        check_seconds(f"{where}.keep_old", desired.keep_old, LONGEST_LIFE)
    _check_tags(f"{where}.tags", desired.tags or {})


def _check_fingerprints(option: str, kind: t.Sequence[Certificate]) -> None:
    """A certificate is known by its fingerprint, so that two names of one would take it from each other."""
    labels: dict[str, str] = {}
    for desired in kind:
        if desired.fingerprint is None:
            continue
        other = labels.setdefault(desired.fingerprint, desired.label)
        if other != desired.label:
            raise DocumentError(
                f"{option} has {desired.fingerprint} as {other} and as {desired.label}; every certificate may be there once,"
                " and any number of listeners and domains can use it"
            )


#: By the texts of the SDK's models: the cipher suites of each version of TLS.
OLD_CIPHERS = (
    "ECDHE-ECDSA-AES128-SHA",
    "ECDHE-ECDSA-AES256-SHA",
    "ECDHE-RSA-AES128-SHA",
    "ECDHE-RSA-AES256-SHA",
    "AES128-SHA",
    "AES256-SHA",
    "DES-CBC3-SHA",
)
CIPHERS: dict[str, tuple[str, ...]] = {
    "TLSv1.0": OLD_CIPHERS,
    "TLSv1.1": OLD_CIPHERS,
    "TLSv1.2": (
        *OLD_CIPHERS,
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        "ECDHE-ECDSA-AES128-SHA256",
        "ECDHE-ECDSA-AES256-SHA384",
        "ECDHE-RSA-AES128-GCM-SHA256",
        "ECDHE-RSA-AES256-GCM-SHA384",
        "ECDHE-RSA-AES128-SHA256",
        "ECDHE-RSA-AES256-SHA384",
        "AES128-GCM-SHA256",
        "AES256-GCM-SHA384",
        "AES128-SHA256",
        "AES256-SHA256",
    ),
    "TLSv1.3": (
        "TLS_AES_128_GCM_SHA256",
        "TLS_AES_256_GCM_SHA384",
        "TLS_CHACHA20_POLY1305_SHA256",
        "TLS_AES_128_CCM_SHA256",
        "TLS_AES_128_CCM_8_SHA256",
    ),
}
CIPHERS_LIMIT = 32


def _check_tls_policy(policy: TlsPolicy) -> None:
    where = f"tls_policies[{policy.label}]"
    if policy.id is None and policy.name is None:
        raise DocumentError("tls_policies has an entry with neither name nor id; one of the two is needed")
    _check_not_empty(where, policy)
    if policy.name is not None and not re.fullmatch(POLICY_NAME, policy.name, re.ASCII):
        raise DocumentError(
            f"{where}.name is '{policy.name}', but it has to begin with a letter and have 2 to 200 letters, digits, '.', '_' or '-'"
        )
    if policy.name in protocols.TLS_POLICIES:
        raise DocumentError(f"{where}.name is that of a policy which the cloud brings along; take another one")
    known = {cipher for ciphers in CIPHERS.values() for cipher in ciphers}
    for option, values, right in (
        ("tls_versions", policy.tls_versions, set(CIPHERS)),
        ("ciphers", policy.ciphers, known),
    ):
        if values == ():
            raise DocumentError(f"{where}.{option} is empty; one at least is needed")
        wrong = sorted(set(values or ()) - right)
        if wrong:
            raise DocumentError(f"{where}.{option} has '{wrong[0]}'; {quoted(sorted(right))} are possible")
    if len(policy.ciphers or ()) > CIPHERS_LIMIT:
        raise DocumentError(
            f"{where}.ciphers has {len(policy.ciphers or ())} cipher suites; at most {CIPHERS_LIMIT} are possible"
        )


def check_ciphers(where: str, policy: TlsPolicy) -> None:
    """Refuse a policy, whole as it is going to be, of which a version has no cipher suite or a cipher suite no version."""
    versions, ciphers = policy.tls_versions or (), policy.ciphers or ()
    for version in versions:
        if not set(CIPHERS[version]) & set(ciphers):
            raise DocumentError(
                f"{where}.tls_versions has '{version}', but none of its cipher suites is in ciphers; add one of"
                f" {quoted(CIPHERS[version])}"
            )
    for cipher in ciphers:
        if not any(cipher in CIPHERS[version] for version in versions):
            raise DocumentError(
                f"{where}.ciphers has '{cipher}', which belongs to none of {quoted(versions)}; leave it out, or add its version"
            )


DOMAIN_NAME = r"(\*\.)?[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*"
RULE_NAME = r"[\w./-]{1,40}"
RULE_URL = r"/[\w/.%?#&=-]{1,79}"


def _check_domain(where: str, domain: str) -> None:
    if len(domain) > 80 or not re.fullmatch(DOMAIN_NAME, domain, re.ASCII):
        raise DocumentError(
            f"{where} is '{domain}', which is no domain; write one as www.example.com, or *.example.com for all below it"
        )


def _check_rule(where: str, rule: Rule) -> None:
    at = f"{where}[{rule.label}]"
    if not rule.label:
        raise DocumentError(f"{where} has an entry with neither domain nor url; one of the two is needed")
    if rule.domain:
        _check_domain(f"{at}.domain", rule.domain)
    if rule.url and not re.fullmatch(RULE_URL, rule.url, re.ASCII):
        raise DocumentError(
            f"{at}.url is '{rule.url}'; it has to begin with '/', be more than that, and have at most 80 characters, which are"
            " letters, digits or one of /.%?#&=_-"
        )
    if rule.name is not None and not re.fullmatch(RULE_NAME, rule.name, re.ASCII):
        raise DocumentError(f"{at}.name is '{rule.name}'; 1 to 40 letters, digits, '-', '/', '.' or '_' are possible")
    if rule.listener_sync and rule.has_own:
        raise DocumentError(
            f"{at}.listener_sync is true, but the rule has settings of its own; leave them out, or let listener_sync be false"
        )
    for holder, table, place in (
        (rule, protocols.RULE[0], at),
        (rule.health_check, protocols.RULE[1], f"{at}.health_check"),
    ):
        _check_table(place, holder, table)


def _check_table(where: str, holder: t.Any, table: t.Sequence[protocols.Field]) -> None:
    for field in table:
        value = getattr(holder, field.option)
        right = None if value is None else field.rule(value)
        if right is not None:
            raise DocumentError(f"{where}.{field.option} is {_shown(value)}; {right}")


def _check_layer_7(where: str, entry: Listener) -> None:
    """What only listeners of HTTP and HTTPS have: rules, domains, and nothing else where they redirect."""
    for option, protocols_of in (("rules", protocols.LAYER_7_PROTOCOLS), ("domain_extensions", ("https",))):
        if getattr(entry, option) and entry.protocol not in protocols_of:
            raise DocumentError(
                f"{where}.{option} has {getattr(entry, option)[0].label}, but only a listener of {quoted(protocols_of)} has that"
                " option; leave it out"
            )
    if entry.failover_group is not None and entry.protocol in protocols.LAYER_7_PROTOCOLS:
        raise DocumentError(
            f"{where}.failover_group is '{entry.failover_group}', but only a listener of tcp and udp has that option; leave it out"
        )
    if entry.forward_port is not None:
        refuse_beside_redirect(where, entry, entry.forward_port)
    _unique(f"{where}.rules", [rule.label for rule in entry.rules or ()], "domain and url")
    _unique(
        f"{where}.rules", [rule.name for rule in entry.rules or () if rule.name and rule.state == "present"], "name"
    )
    for rule in entry.rules or ():
        _check_rule(f"{where}.rules", rule)
    _unique(f"{where}.domain_extensions", [other.domain for other in entry.domain_extensions or ()], "domain")
    for other in entry.domain_extensions or ():
        _check_domain(f"{where}.domain_extensions[{other.domain}].domain", other.domain)


#: What a listener that only redirects has beside its port.
REDIRECT_HAS = (
    *("port", "protocol", "forward_port", "enabled", "tags", "purge_tags", "purge_rules", "purge_domain_extensions"),
    *("state", "exists"),
)


def refuse_beside_redirect(where: str, entry: Listener, to: int) -> None:
    """The API takes nothing else of a listener that redirects."""
    empty = Listener(entry.port, entry.protocol)
    for field in dataclasses.fields(entry):
        value = getattr(entry, field.name)
        if field.name not in REDIRECT_HAS and value not in (getattr(empty, field.name), ()):
            raise DocumentError(
                f"{where} redirects to port {to} and takes nothing else, but {field.name} is given; leave that out"
            )


def _check_listener(entry: Listener) -> None:
    where = f"listeners[{entry.protocol}/{entry.port}]"
    if entry.protocol not in protocols.PROTOCOLS:
        raise DocumentError(f"{where}.protocol is '{entry.protocol}'; {quoted(protocols.PROTOCOLS)} are possible")
    for name in ("port", "backend_port"):
        _in_range(f"{where}.{name}", name, getattr(entry, name))
    _check_fields(where, entry.protocol, entry)
    _check_fields(f"{where}.health_check", entry.protocol, entry.health_check)
    _check_tags(f"{where}.tags", entry.tags or {})
    _check_layer_7(where, entry)
    if entry.failover_group is not None:
        other = next((name for name in ("server_group", "backend_port") if getattr(entry, name) is not None), None)
        if other is not None:
            raise DocumentError(
                f"{where} has failover_group '{entry.failover_group}' and {other} '{getattr(entry, other)}'; a listener has one"
                " of the two"
            )


def _check_fields(where: str, protocol: str, holder: Listener | HealthCheck) -> None:
    """Every given option has to be one of the protocol, and to have a value that it takes."""
    of_check = isinstance(holder, HealthCheck)
    known = {field.option: field for field in protocols.fields(protocol)[of_check]}
    for option in (field.name for field in dataclasses.fields(holder)):
        value = getattr(holder, option)
        others = protocols.having(option, health_check=of_check)
        if value is None or not others:
            continue
        if option not in known:
            raise DocumentError(
                f"{where}.{option} is {_shown(value)}, but only a listener of {quoted(others)} has that option; leave it out"
            )
        right = known[option].rule(value)
        if right is not None:
            raise DocumentError(f"{where}.{option} is {_shown(value)}; {right}")


def _shown(value: t.Any) -> str:
    """A value as a user writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"'{value}'" if isinstance(value, str) else quoted(value) if isinstance(value, tuple) else str(value)


def _check_printable(option: str, text: str) -> None:
    if not text.isprintable():
        raise DocumentError(f"{option} is '{text}', which has a control character in it; leave that out")


def check_seconds(option: str, seconds: float, longest: int = LONGEST_WAIT) -> None:
    """Refuse what never ends, is over before it begins, or is no number at all."""
    if not 0 <= seconds <= longest:
        raise DocumentError(f"{option} is {seconds:g}; 0 to {longest} seconds are possible")


def check_port(port: int | None, where: str = "port") -> None:
    """Refuse what is no port, for modules that look for one."""
    _in_range(where, "port", port)


def _in_range(where: str, name: str, value: int | None) -> None:
    low, high = RANGES[name]
    if value is not None and not low <= value <= high:
        raise DocumentError(f"{where} is {value}; {low} to {high} are possible")
