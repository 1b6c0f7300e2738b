# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the state to what the data plane has to do and what has to be checked. Pure functions."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, collapse_addresses
from typing import NamedTuple

from .inventory import Machine, Vpc
from .store import Listener, LoadBalancer, Server, State
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

    @property
    def ipv6(self) -> bool:
        return ":" in self.address

    @property
    def relayed(self) -> bool:
        """Rules alone can't do it: they neither insert bytes, nor lead from IPv6 to IPv4."""
        return self.ipv6 or bool(self.proxy_protocol)


@dataclass(frozen=True)
class Desired:
    """What the data plane has to look like."""

    addresses: frozenset[tuple[str, str]] = frozenset()  # (VPC, address of an instance)
    public: frozenset[tuple[str, str]] = frozenset()  # those of IPv4 on the public side; without servers in no VPC
    dark: frozenset[tuple[str, str]] = frozenset()  # those that no zone serves
    standby: frozenset[tuple[str, str]] = frozenset()  # and those that are served from their standby zone
    forwards: tuple[Forward, ...] = ()


def check_key(balancer: LoadBalancer, listener: Listener, server: Server, port: int) -> str:
    address = [] if server.type == "ecs" else [server.server_ip]
    return "/".join([balancer.id, listener.key, server.server_id, *address, str(port)])


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


def _reached(state: State, balancer: LoadBalancer, listener: Listener) -> Iterator[_Reached]:
    for server, port in state.members(balancer, listener):
        place = state.inventory.place(server.server_id, server.server_ip)
        if place is not None:
            machine, address = place
            yield _Reached(server, port, machine, state.inventory.vpc(machine.vpc), address)


def targets(state: State, switches: Switches) -> list[Target]:
    """Every server of every listener that serves and has a health check; also those of weight 0."""
    found = []
    for balancer, listener in _serving(state):
        settings = listener.settings
        if settings["HealthCheck"] != "on":
            continue
        interval = float(settings["HealthCheckInterval"])
        for server, port, dummy, vpc, address in _reached(state, balancer, listener):
            host = settings.get("HealthCheckDomain", "")
            found.append(
                Target(
                    key=check_key(balancer, listener, server, port),
                    load_balancer=balancer.id,
                    listener_port=listener.port,
                    protocol=listener.protocol,
                    server_id=server.server_id,
                    backend_port=port,
                    vpc=vpc.name,
                    address=address,
                    check=settings.get("HealthCheckType", listener.protocol),
                    check_port=settings.get("HealthCheckConnectPort", port),
                    # Documented: a timeout below the interval is not used, the interval is.
                    timeout=max(float(settings["HealthCheckConnectTimeout"]), interval),
                    interval=interval,
                    healthy_threshold=settings["HealthyThreshold"],
                    unhealthy_threshold=settings["UnhealthyThreshold"],
                    method=switches["http_check_method"].upper(),
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

    forwards = (_forward(state, switches, health, balancer, listener) for balancer, listener in _serving(state))
    return Desired(
        addresses=placed(lambda balancer: bool(places[balancer.id][0])),
        public=placed(lambda balancer: balancer.public and not balancer.ipv6),
        dark=placed(lambda balancer: zones[balancer.id] == NOWHERE),
        standby=placed(lambda balancer: zones[balancer.id] not in (NOWHERE, balancer.attributes["MasterZoneId"])),
        forwards=tuple(forward for forward in forwards if forward.vpc),
    )
