# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backend servers, as groups and default pools take them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from ..cloud import Call, Cloud
from ..errors import ApiError, invalid
from ..inventory import Machine
from ..store import LoadBalancer, Server

BATCH = 20  # servers of one call
TYPES = ("ecs", "eni", "eci")
Identity = tuple[str, ...]


def identity(server: Server) -> Identity:
    if server.type == "ecs":
        return (server.server_id, str(server.port))
    return (server.server_id, server.server_ip, str(server.port))


def _number(entry: dict[str, Any], name: str, default: int, low: int, high: int, error: ApiError) -> int:
    try:
        value = int(entry.get(name, default))
    except (TypeError, ValueError):
        raise error from None
    if not low <= value <= high:
        raise error
    return value


def _server(entry: Any, with_port: bool) -> Server:
    if not isinstance(entry, dict):
        raise ApiError("BackendServersMalformed")
    if not entry.get("ServerId"):
        raise ApiError("BackendServer.ServerIdEmpty")
    kind = str(entry.get("Type") or "ecs")
    if kind not in TYPES:
        raise invalid(f"The specified BackendServers is invalid, as the Type {kind!r} is none of {', '.join(TYPES)}.")
    description = str(entry.get("Description") or "")
    if len(description) > 80:
        raise invalid("The specified BackendServers is invalid, as the Description has more than 80 characters.")
    bad_port = invalid("The specified BackendServers is invalid, as the Port value should be in [1, 65535].")
    return Server(
        server_id=str(entry["ServerId"]),
        port=_number(entry, "Port", 0, 1, 65535, bad_port) if with_port else 0,
        weight=_number(entry, "Weight", 100, 0, 100, ApiError("InvalidWeight.Malformed")),
        description=description,
        type=kind,
        server_ip=str(entry.get("ServerIp") or ""),
    )


def _first_of_each(servers: Iterable[Server]) -> list[Server]:
    found: dict[Identity, Server] = {}
    for server in servers:
        found.setdefault(identity(server), server)
    return list(found.values())


def given(call: Call, with_port: bool, name: str = "BackendServers") -> list[Server]:
    """The servers of a request; of the same one twice the first counts."""
    entries = call.parameters.json_list(name, "BackendServersMalformed")
    if len(entries) > BATCH:
        raise ApiError("TooManyBackendServers")
    return _first_of_each(_server(entry, with_port) for entry in entries)


def _machine(cloud: Cloud, server: Server) -> Machine:
    """The running machine that a server is, or is an interface of; an interface without an address gets its primary one."""
    inventory = cloud.state.inventory
    if server.type == "eni":
        found = inventory.interface(server.server_id)
        machine, addresses = (found[0], found[1].addresses) if found else (None, ())
    else:
        machine = inventory.server(server.server_id) if server.type == "ecs" else None  # containers there are none
        addresses = (machine.private_ip,) if machine else ()
    if machine is None or machine.status != "Running":
        raise ApiError("ObtainIpFail")
    if server.server_ip and server.server_ip not in addresses:
        raise ApiError(
            "InvalidBackendServers.ServerIpConflict",
            f"The ServerIp {server.server_ip} is not an address of {server.server_id}.",
        )
    if server.type == "eni":
        server.server_ip = server.server_ip or addresses[0]
    return machine


def check_places(cloud: Cloud, balancer: LoadBalancer, servers: Sequence[Server]) -> None:
    """Servers must run, and be in the instance's VPC (or all in one, where it is public)."""
    vpcs = set()
    for server in servers:
        machine = _machine(cloud, server)
        vpc = cloud.state.inventory.vpc(machine.vpc)
        if vpc.region != balancer.region:
            raise ApiError("ObtainIpFail")
        if balancer.vpc_id and vpc.vpc_id != balancer.vpc_id:
            raise invalid("The specified load balancer does not support the network type of the ECS instance.")
        vpcs.add(vpc.vpc_id)
    for server in cloud.state.servers(balancer):
        place = cloud.state.inventory.place(server.server_id)
        if place is not None:
            vpcs.add(cloud.state.inventory.vpc(place[0].vpc).vpc_id)
    if len(vpcs) > 1:
        raise ApiError("InvalidBackendServers.Inconsistent", "The backend servers are in different VPCs.")


def add(cloud: Cloud, balancer: LoadBalancer, pool: list[Server], new: Sequence[Server]) -> None:
    check_places(cloud, balancer, new)
    new = _first_of_each(new)
    known = {identity(server) for server in pool}
    for server in new:
        if identity(server) in known:
            raise ApiError(
                "InvalidBackendServers.ServerIpConflict", f"The backend server {server.server_id} is already there."
            )
    check_room(cloud, balancer, new)
    pool.extend(new)


def check_room(cloud: Cloud, balancer: LoadBalancer, new: Sequence[Server]) -> None:
    most = cloud.quotas["servers"]
    if len(cloud.state.servers(balancer)) + len(new) > most:
        raise ApiError(
            "InstanceBackendServerNumberOverLimit", f"A load balancer can have at most {most} backend servers."
        )
    most = cloud.quotas["instances_of_server"]
    others = (other for other in cloud.state.load_balancers.values() if other is not balancer)
    joined = Counter(
        server_id for other in others for server_id in {server.server_id for server in cloud.state.servers(other)}
    )
    for server in new:
        if joined[server.server_id] >= most:
            raise invalid(
                f"The specified BackendServers is invalid: {server.server_id} is in {most} load balancers already."
            )


def remove(pool: list[Server], gone: Sequence[Server]) -> None:
    """Servers that are not there are ignored, as the service ignores them."""
    identities = {identity(server) for server in gone}
    pool[:] = [server for server in pool if identity(server) not in identities]


def update(call: Call, pool: list[Server], with_port: bool) -> None:
    """Weight and description of members; whoever is no member is an error, and then nothing changes."""
    entries = call.parameters.json_list("BackendServers", "BackendServersMalformed")
    wanted = given(call, with_port)
    known = {identity(server): server for server in pool}
    for server in wanted:
        if identity(server) not in known:
            raise invalid(f"The specified BackendServers is invalid: {server.server_id} is not a member.")
    fields = {identity(_server(entry, with_port)): set(entry) for entry in reversed(entries)}
    for server in wanted:
        member = known[identity(server)]
        if "Weight" in fields[identity(server)]:
            member.weight = server.weight
        if "Description" in fields[identity(server)]:
            member.description = server.description
