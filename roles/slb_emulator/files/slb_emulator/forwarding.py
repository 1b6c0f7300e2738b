# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the state to what the data plane has to do and what has to be checked. Pure functions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network, collapse_addresses
from typing import NamedTuple

from .inventory import Machine, Vpc
from .store import Listener, LoadBalancer, Server, State
from .switches import Switches

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
    check: str  # tcp or http
    check_port: int
    timeout: float
    interval: float
    healthy_threshold: int
    unhealthy_threshold: int
    method: str = "HEAD"
    host: str = ""
    uri: str = "/"
    codes: str = "http_2xx"


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


@dataclass(frozen=True)
class Desired:
    """What the data plane has to look like."""

    addresses: frozenset[tuple[str, str]] = frozenset()  # (VPC, address of an instance)
    forwards: tuple[Forward, ...] = ()


def check_key(balancer: LoadBalancer, listener: Listener, server: Server, port: int) -> str:
    return "/".join([balancer.id, listener.key, server.server_id, str(port)])


def _serving(state: State) -> Iterator[tuple[LoadBalancer, Listener]]:
    for balancer in state.load_balancers.values():
        if balancer.active and not balancer.ipv6:
            yield from ((balancer, listener) for listener in balancer.listeners.values() if listener.serving)


class _Reached(NamedTuple):
    """A server of a listener, with the machine that it is."""

    server: Server
    port: int
    machine: Machine
    vpc: Vpc


def _reached(state: State, balancer: LoadBalancer, listener: Listener) -> Iterator[_Reached]:
    for server, port in state.members(balancer, listener):
        machine = state.inventory.server(server.server_id)
        if machine is not None:
            yield _Reached(server, port, machine, state.inventory.vpc(machine.vpc))


def targets(state: State, switches: Switches) -> list[Target]:
    """Every server of every listener that serves and has a health check; also those of weight 0."""
    found = []
    for balancer, listener in _serving(state):
        settings = listener.settings
        if settings["HealthCheck"] != "on":
            continue
        interval = float(settings["HealthCheckInterval"])
        for server, port, machine, vpc in _reached(state, balancer, listener):
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
                    address=machine.private_ip,
                    check=settings["HealthCheckType"],
                    check_port=settings.get("HealthCheckConnectPort", port),
                    # Documented: a timeout below the interval is not used, the interval is.
                    timeout=max(float(settings["HealthCheckConnectTimeout"]), interval),
                    interval=interval,
                    healthy_threshold=settings["HealthyThreshold"],
                    unhealthy_threshold=settings["UnhealthyThreshold"],
                    method=switches["http_check_method"].upper(),
                    host=host if host not in ("", "$_ip") else machine.private_ip,
                    uri=settings.get("HealthCheckURI", "/"),
                    codes=settings.get("HealthCheckHttpCode", "http_2xx"),
                )
            )
    return found


def _access(state: State, switches: Switches, listener: Listener) -> tuple[tuple[str, ...] | None, tuple[str, ...]]:
    """Networks that alone are let in (None: all are), and networks that are kept out."""
    networks = [
        IPv4Network(entry)
        for list_id in listener.access_lists
        for entry in state.access_lists[list_id].entries
        if state.access_lists[list_id].version == "ipv4"
    ]
    merged = tuple(str(network) for network in collapse_addresses(networks))
    if listener.settings.get("AclType") == "black":
        return None, merged
    if not listener.access_lists or (not merged and switches["empty_allow_list"] == "forward"):
        return None, ()
    return merged, ()


def _forwards(
    state: State, switches: Switches, health: Callable[[str], str], balancer: LoadBalancer, listener: Listener
) -> Iterator[Forward]:
    reached = list(_reached(state, balancer, listener))
    own = state.inventory.vpc_by_id(balancer.vpc_id)
    # A public instance has no VPC of its own: it is reached from the VPC of its backends.
    vpc_names = {own.name} if own is not None else {entry.vpc.name for entry in reached}
    weighted = [entry for entry in reached if entry.server.weight > 0]
    checked = listener.settings["HealthCheck"] == "on"
    healthy = [
        entry
        for entry in weighted
        if not checked or health(check_key(balancer, listener, entry.server, entry.port)) == NORMAL
    ]
    if not healthy and switches["no_healthy_backend"] == "forward":
        healthy = weighted
    allowed, denied = _access(state, switches, listener)
    for name in sorted(vpc_names):
        yield Forward(
            vpc=name,
            address=balancer.attributes["Address"],
            port=listener.port,
            protocol=listener.protocol,
            scheduler=listener.settings["Scheduler"],
            members=tuple(Member(entry.machine.private_ip, entry.port, entry.server.weight) for entry in healthy),
            shut_out=(
                tuple(sorted({entry.machine.private_ip for entry in reached}))
                if switches["hairpin"] == "backends"
                else ()
            ),
            allowed=allowed,
            denied=denied,
        )


def _addresses(state: State) -> Iterator[tuple[str, str]]:
    for balancer in state.load_balancers.values():
        own = state.inventory.vpc_by_id(balancer.vpc_id)
        if own is not None and not balancer.ipv6:
            yield own.name, balancer.attributes["Address"]


def desired(state: State, switches: Switches, health: Callable[[str], str]) -> Desired:
    forwards = tuple(
        forward
        for balancer, listener in _serving(state)
        for forward in _forwards(state, switches, health, balancer, listener)
    )
    addresses = {*_addresses(state), *((forward.vpc, forward.address) for forward in forwards)}
    return Desired(frozenset(addresses), forwards)
