# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the state to what the data plane has to do and what has to be checked. Pure functions."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, collapse_addresses
from typing import NamedTuple

from .inventory import Machine, Vpc
from .store import Listener, LoadBalancer, Rule, Server, State
from .switches import Switches
from .zones import NOWHERE, serving_zone

NORMAL, ABNORMAL, UNAVAILABLE = "normal", "abnormal", "unavailable"


@dataclass(frozen=True)
class Target:
    """One server of one listener, as the health checker sees it."""

    key: str
    load_balancer: str
    listener_port: int
    protocol: str
    server_id: str
    backend_port: int
    vpc: str
    address: str
    check: str  # tcp, http or udp
    check_port: int
    timeout: float
    interval: float
    healthy_threshold: int
    unhealthy_threshold: int
    method: str = "HEAD"
    host: str = ""
    uri: str = "/"
    codes: str = "http_2xx"
    request: str = ""  # of a UDP check; with the answer that it must get
    expected: str = ""


@dataclass(frozen=True)
class Member:
    address: str
    port: int
    weight: int


@dataclass(frozen=True)
class Forward:
    """One listener in one VPC. Without members its connections are refused."""

    vpc: str
    address: str
    port: int
    protocol: str
    scheduler: str
    members: tuple[Member, ...]
    shut_out: tuple[str, ...]  # sources that get no answer, while there is a member to send them to
    allowed: tuple[str, ...] | None = None  # networks beside which no source gets an answer; None: all do
    denied: tuple[str, ...] = ()  # networks that get no answer
    persistence: int = 0  # seconds for which a source stays with its server; 0: not at all
    idle: float = 0.0  # seconds without a packet after which a connection is forgotten; 0: the system's own
    drain: float | None = None  # seconds that connections to a server that left have; None: as long as they like
    cut: tuple[tuple[str, int], ...] = ()  # servers that left, whose seconds are over
    proxy_protocol: str = ""  # which packets of UDP carry the header, first or every; TCP begins with it; empty: none
    bandwidth: int = 0  # Mbit/s in each direction; 0: no limit
    website: bool = False  # a proxy of layer 7 answers; without members it says so itself

    @property
    def ipv6(self) -> bool:
        return ":" in self.address

    @property
    def relayed(self) -> bool:
        """Rules alone can't do it: they neither insert bytes, nor lead from IPv6 to IPv4."""
        return self.ipv6 or bool(self.proxy_protocol) or self.website


@dataclass(frozen=True)
class Pool:
    """Where the requests of a rule, or all others, go."""

    members: tuple[Member, ...]
    scheduler: str
    sticky: str = ""  # insert or server; empty: not at all
    cookie: str = ""
    cookie_timeout: int = 0


@dataclass(frozen=True)
class Route:
    domain: str  # empty: any
    url: str  # what the path begins with; empty: any
    pool: Pool


@dataclass(frozen=True)
class Tls:
    certificate: str  # PEM with its key
    domains: tuple[tuple[str, str], ...] = ()  # further ones, each with its own
    authority: str = ""  # who has to have signed the certificates of clients; empty: they need none
    versions: tuple[str, ...] = ()
    ciphers: tuple[str, ...] = ()
    http2: bool = True


@dataclass(frozen=True)
class Website:
    """One listener of layer 7 in one VPC."""

    vpc: str
    load_balancer: str
    address: str
    port: int
    pool: Pool
    routes: tuple[Route, ...] = ()  # the first that fits counts
    redirect: int = 0  # the port to which everything is redirected
    headers: frozenset[str] = frozenset()  # by the names of the API's answers
    gzip: bool = False
    idle: int = 15
    request: int = 60
    tls: Tls | None = field(default=None, repr=False)  # with keys, which no log is to have


@dataclass(frozen=True)
class Desired:
    """What the data plane has to look like."""

    addresses: frozenset[tuple[str, str]] = frozenset()  # (VPC, address of an instance)
    public: frozenset[tuple[str, str]] = frozenset()  # those of IPv4 on the public side; without servers in no VPC
    dark: frozenset[tuple[str, str]] = frozenset()  # those that no zone serves
    standby: frozenset[tuple[str, str]] = frozenset()  # and those that are served from their standby zone
    forwards: tuple[Forward, ...] = ()
    websites: tuple[Website, ...] = ()


def check_key(balancer: LoadBalancer, listener: Listener, server: Server, port: int, rule: str = "") -> str:
    """rule is the id of one that has its servers checked in a way of its own."""
    address = [] if server.type == "ecs" else [server.server_ip]
    return "/".join([balancer.id, listener.key, *filter(None, [rule]), server.server_id, *address, str(port)])


# What the answers call the time of a check, of layer 4 and of layer 7.
_TIMEOUT = {False: "HealthCheckConnectTimeout", True: "HealthCheckTimeout"}


def _serving(state: State) -> Iterator[tuple[LoadBalancer, Listener]]:
    for balancer in state.load_balancers.values():
        if balancer.active:
            yield from ((balancer, listener) for listener in balancer.listeners.values() if listener.serving)


class _Reached(NamedTuple):
    """A server of a listener, with the machine that it is."""

    server: Server
    port: int
    machine: Machine
    vpc: Vpc
    address: str


def _reached(state: State, balancer: LoadBalancer, listener: Listener, rule: Rule | None = None) -> Iterator[_Reached]:
    """The servers of a listener, or of one of its rules."""
    group = state.server_groups.get(rule.group) if rule else None
    members = [(server, server.port) for server in group.servers] if group else []
    for server, port in members if rule else state.members(balancer, listener):
        place = state.inventory.place(server.server_id, server.server_ip)
        if place is not None:
            machine, address = place
            yield _Reached(server, port, machine, state.inventory.vpc(machine.vpc), address)


def targets(state: State, switches: Switches) -> list[Target]:
    """Every server of every listener that serves and has a health check; also those of weight 0."""
    found: dict[str, Target] = {}
    for balancer, listener in _serving(state):
        for rule in (None, *listener.rules):
            found.update({target.key: target for target in _targets(state, switches, balancer, listener, rule)})
    return list(found.values())


def _targets(
    state: State, switches: Switches, balancer: LoadBalancer, listener: Listener, rule: Rule | None
) -> list[Target]:
    own = rule is not None and bool(rule.settings)
    settings = {**listener.settings, **(rule.settings if rule else {})}
    found = []
    if settings["HealthCheck"] == "on":
        interval = float(settings["HealthCheckInterval"])
        for server, port, dummy, vpc, address in _reached(state, balancer, listener, rule):
            host = settings.get("HealthCheckDomain", "")
            found.append(
                Target(
                    key=check_key(balancer, listener, server, port, rule.id if rule and own else ""),
                    load_balancer=balancer.id,
                    listener_port=listener.port,
                    protocol=listener.protocol,
                    server_id=server.server_id,
                    backend_port=port,
                    vpc=vpc.name,
                    address=address,
                    check="http" if listener.layer_7 else settings.get("HealthCheckType", listener.protocol),
                    check_port=settings.get("HealthCheckConnectPort", port),
                    # Documented: a timeout below the interval is not used, the interval is.
                    timeout=max(float(settings[_TIMEOUT[listener.layer_7]]), interval),
                    interval=interval,
                    healthy_threshold=settings["HealthyThreshold"],
                    unhealthy_threshold=settings["UnhealthyThreshold"],
                    method=str(settings.get("HealthCheckMethod", switches["http_check_method"])).upper(),
                    host=host if host not in ("", "$_ip") else address,
                    uri=settings.get("HealthCheckURI", "/"),
                    codes=settings.get("HealthCheckHttpCode", "http_2xx"),
                    request=settings.get("HealthCheckReq", ""),
                    expected=settings.get("HealthCheckExp", ""),
                )
            )
    return found


@functools.lru_cache(maxsize=256)
def _merged(networks: tuple[str, ...], ipv6: bool) -> tuple[str, ...]:
    """The same addresses in as few networks as can be."""
    if ipv6:
        return tuple(str(network) for network in collapse_addresses(map(IPv6Network, networks)))
    return tuple(str(network) for network in collapse_addresses(map(IPv4Network, networks)))


def _access(
    state: State, switches: Switches, balancer: LoadBalancer, listener: Listener
) -> tuple[tuple[str, ...] | None, tuple[str, ...]]:
    """Networks that alone are let in (None: all are), and networks that are kept out."""
    merged = _merged(
        tuple(
            entry
            for list_id in listener.access_lists
            for entry in state.access_lists[list_id].entries
            if (state.access_lists[list_id].version == "ipv6") == balancer.ipv6
        ),
        balancer.ipv6,
    )
    if listener.settings.get("AclType") == "black":
        return None, merged
    if not listener.access_lists or (not merged and switches["empty_allow_list"] == "forward"):
        return None, ()
    return merged, ()


def _in_service(healthy: Sequence[_Reached]) -> Sequence[_Reached]:
    """Who of them gets connections: of a primary/secondary group the primary server, and the other only without it."""
    return [entry for entry in healthy if entry.server.server_type == "Master"] or healthy


def _idle(switches: Switches, listener: Listener) -> float:
    if listener.protocol == "udp":
        return switches.seconds("udp_session_seconds")
    return float(listener.settings.get("EstablishedTimeout", 0))


def _drain(switches: Switches, listener: Listener) -> float | None:
    if listener.protocol == "udp":
        return None
    if listener.settings.get("ConnectionDrain") == "on":
        return float(listener.settings["ConnectionDrainTimeout"])
    return 0.0 if switches["drain_off"] == "cut" else None


def _forward(
    state: State, switches: Switches, health: Callable[[str], str], balancer: LoadBalancer, listener: Listener
) -> Forward:
    reached = list(_reached(state, balancer, listener))
    weighted = [entry for entry in reached if entry.server.weight > 0]
    checked = listener.settings["HealthCheck"] == "on"
    healthy = [
        entry
        for entry in weighted
        if not checked or health(check_key(balancer, listener, entry.server, entry.port)) == NORMAL
    ]
    if not healthy and switches["no_healthy_backend"] == "forward":
        healthy = weighted
    allowed, denied = _access(state, switches, balancer, listener)
    return Forward(
        vpc=_home(state, balancer),
        address=balancer.attributes["Address"],
        port=listener.port,
        protocol=listener.protocol,
        scheduler=listener.settings["Scheduler"],
        members=tuple(Member(entry.address, entry.port, entry.server.weight) for entry in _in_service(healthy)),
        # A backend that calls a public instance comes from a public address, and is a client like any other.
        shut_out=(
            tuple(sorted({entry.machine.private_ip for entry in reached}))
            if switches["hairpin"] == "backends" and not balancer.public
            else ()
        ),
        allowed=allowed,
        denied=denied,
        persistence=int(listener.settings.get("PersistenceTimeout", 0)) if listener.protocol == "tcp" else 0,
        idle=_idle(switches, listener),
        drain=_drain(switches, listener),
        proxy_protocol=(switches["proxy_protocol_udp"] if listener.settings.get("ProxyProtocolV2Enabled") else ""),
        bandwidth=max(0, int(listener.settings.get("Bandwidth", -1))),
    )


def _door(state: State, switches: Switches, balancer: LoadBalancer, listener: Listener) -> Forward:
    """Who gets to a listener of layer 7, and how fast; whatever else there is, its proxy does."""
    allowed, denied = _access(state, switches, balancer, listener)
    return Forward(
        vpc=_home(state, balancer),
        address=balancer.attributes["Address"],
        port=listener.port,
        protocol="tcp",
        scheduler=listener.settings["Scheduler"],
        members=(),
        shut_out=(),
        allowed=allowed,
        denied=denied,
        bandwidth=max(0, int(listener.settings.get("Bandwidth", -1))),
        website=True,
    )


def _pool(
    state: State,
    switches: Switches,
    health: Callable[[str], str],
    balancer: LoadBalancer,
    listener: Listener,
    rule: Rule | None = None,
) -> Pool:
    own = rule.id if rule is not None and rule.settings else ""
    settings = {**listener.settings, **(rule.settings if rule else {})}
    weighted = [entry for entry in _reached(state, balancer, listener, rule) if entry.server.weight > 0]
    checked = settings["HealthCheck"] == "on"
    healthy = [
        entry
        for entry in weighted
        if not checked or health(check_key(balancer, listener, entry.server, entry.port, own)) == NORMAL
    ]
    if not healthy and switches["no_healthy_backend"] == "forward":
        healthy = weighted
    sticky = settings["StickySessionType"] if settings.get("StickySession") == "on" else ""
    return Pool(
        tuple(Member(entry.address, entry.port, entry.server.weight) for entry in healthy),
        settings["Scheduler"],
        sticky,
        str(settings.get("Cookie", "")) if sticky == "server" else "",
        int(settings.get("CookieTimeout", 0)) if sticky == "insert" else 0,
    )


def _precedence(rule: Rule) -> tuple[int, int, int]:
    """An exact domain before one with a star, the longest star before others, any before none; then the longest URL."""
    kind = 2 if not rule.domain else 1 if rule.domain.startswith("*") else 0
    return kind, -len(rule.domain), -len(rule.url)


_OLD_CIPHERS = (
    *("ECDHE-ECDSA-AES128-SHA", "ECDHE-ECDSA-AES256-SHA", "ECDHE-RSA-AES128-SHA", "ECDHE-RSA-AES256-SHA"),
    *("AES128-SHA", "AES256-SHA", "DES-CBC3-SHA"),
)
_STRICT_CIPHERS = (
    *("ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-AES128-SHA256"),
    *("ECDHE-ECDSA-AES256-SHA384", "ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-AES256-GCM-SHA384"),
    *("ECDHE-RSA-AES128-SHA256", "ECDHE-RSA-AES256-SHA384"),
)
_CIPHERS = (*_STRICT_CIPHERS, "AES128-GCM-SHA256", "AES256-GCM-SHA384", "AES128-SHA256", "AES256-SHA256", *_OLD_CIPHERS)
_TLS_1_3_CIPHERS = ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")
_POLICIES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "tls_cipher_policy_1_0": (("TLSv1.0", "TLSv1.1", "TLSv1.2"), _CIPHERS),
    "tls_cipher_policy_1_1": (("TLSv1.1", "TLSv1.2"), _CIPHERS),
    "tls_cipher_policy_1_2": (("TLSv1.2",), _CIPHERS),
    "tls_cipher_policy_1_2_strict": (("TLSv1.2",), (*_STRICT_CIPHERS, *_OLD_CIPHERS[:4])),
    "tls_cipher_policy_1_2_strict_with_1_3": (
        ("TLSv1.2", "TLSv1.3"),
        (*_TLS_1_3_CIPHERS, *_STRICT_CIPHERS, *_OLD_CIPHERS[:4]),
    ),
}


def _tls(state: State, listener: Listener) -> Tls | None:
    if listener.protocol != "https":
        return None

    def whole(certificate: str) -> str:
        found = state.certificates[certificate]
        return f"{found.pem.rstrip()}\n{found.key.rstrip()}\n"

    settings = listener.settings
    policy = state.tls_policies.get(settings["TLSCipherPolicy"])
    versions, ciphers = (
        (tuple(policy.versions), tuple(policy.ciphers)) if policy else _POLICIES[settings["TLSCipherPolicy"]]
    )
    return Tls(
        whole(settings["ServerCertificateId"]),
        tuple((entry.domain, whole(entry.certificate)) for entry in listener.domain_extensions),
        state.certificates[settings["CACertificateId"]].pem if settings.get("CACertificateId") else "",
        versions,
        ciphers,
        settings["EnableHttp2"] == "on",
    )


def _website(
    state: State, switches: Switches, health: Callable[[str], str], balancer: LoadBalancer, listener: Listener
) -> Website:
    settings, place = listener.settings, (_home(state, balancer), balancer.id, str(balancer.attributes["Address"]))
    if listener.redirects:
        return Website(*place, listener.port, Pool((), "wrr"), redirect=int(settings["ForwardPort"]))
    return Website(
        *place,
        listener.port,
        _pool(state, switches, health, balancer, listener),
        tuple(
            Route(rule.domain, rule.url, _pool(state, switches, health, balancer, listener, rule))
            for rule in sorted(listener.rules, key=_precedence)
        ),
        headers=frozenset(name for name in settings if name.startswith("XForwardedFor") and settings[name] == "on"),
        gzip=settings["Gzip"] == "on",
        idle=int(settings["IdleTimeout"]),
        request=int(settings["RequestTimeout"]),
        tls=_tls(state, listener),
    )


def _home(state: State, balancer: LoadBalancer) -> str:
    """The VPC in which an instance forwards: its own, or that of its servers; empty where there is none."""
    if not balancer.public:
        own = state.inventory.vpc_by_id(balancer.vpc_id)
        return own.name if own is not None else ""
    found = (state.inventory.place(server.server_id) for server in state.servers(balancer))
    return next((place[0].vpc for place in found if place is not None), "")


def desired(state: State, switches: Switches, health: Callable[[str], str], now: float) -> Desired:
    balancers = state.load_balancers.values()
    places = {balancer.id: (_home(state, balancer), str(balancer.attributes["Address"])) for balancer in balancers}
    failover = switches.seconds("zone_failover_seconds")
    zones = {balancer.id: serving_zone(balancer, state.zones_down, failover, now) for balancer in balancers}

    def placed(which: Callable[[LoadBalancer], bool]) -> frozenset[tuple[str, str]]:
        return frozenset(places[balancer.id] for balancer in balancers if which(balancer))

    forwards = (
        (
            _door(state, switches, balancer, listener)
            if listener.layer_7
            else _forward(state, switches, health, balancer, listener)
        )
        for balancer, listener in _serving(state)
    )
    websites = (
        _website(state, switches, health, balancer, listener)
        for balancer, listener in _serving(state)
        if listener.layer_7
    )
    return Desired(
        addresses=placed(lambda balancer: bool(places[balancer.id][0])),
        public=placed(lambda balancer: balancer.public and not balancer.ipv6),
        dark=placed(lambda balancer: zones[balancer.id] == NOWHERE),
        standby=placed(lambda balancer: zones[balancer.id] not in (NOWHERE, balancer.attributes["MasterZoneId"])),
        forwards=tuple(forward for forward in forwards if forward.vpc),
        websites=tuple(website for website in websites if website.vpc),
    )
