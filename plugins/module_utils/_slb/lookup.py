# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From what users know (names, tags, private addresses, ids) to what the cloud knows, and a sentence where it does not."""

from __future__ import annotations

import ipaddress
import json
import typing as t

from .client import PAGE_SIZE, Client
from .document import Backend, LoadBalancer
from .errors import DocumentError, LookupFailed, quoted
from .resources.tags import wrapped
from .security_groups import Network, SecurityGroup, group
from .state import Server

ECS, ENI = "ecs", "eni"
#: The status in which a server can be added, by its type.
USABLE = {ECS: "Running", ENI: "InUse"}
#: An id or an address, and a port.
Key = t.Tuple[t.Optional[str], t.Optional[int]]
KINDS = {ECS: "ECS instance", ENI: "network interface"}


def servers(client: Client, backends: t.Iterable[Backend], vpc_id: str | None) -> tuple[Server, ...]:
    """The servers that backends may mean, of every VPC of the region.

    One kind of call for each way to name them, 100 of them in each. Network interfaces are asked for only where a backend
    gives one, or an address that no instance of the VPC (None: of any) has as its primary one.
    """
    # what is to go is known by its id among the members
    wanted = [
        backend for backend in backends if backend.state == "present" or not (backend.server_id or backend.eni_id)
    ]
    addresses = {backend.private_ip for backend in wanted if backend.private_ip and not backend.eni_id}
    found: dict[str, Server] = {}
    for filters in _instance_filters(wanted, sorted(addresses)):
        for page in client.token_pages(client.ecs, "DescribeInstances", filters):
            found.update({entry["InstanceId"]: _instance(entry) for entry in page["Instances"]["Instance"]})
    known = {address for server in found.values() if vpc_id in (None, server.vpc_id) for address in server.private_ips}
    for filters in _interface_filters(wanted, sorted(addresses - known)):
        for page in client.token_pages(client.ecs, "DescribeNetworkInterfaces", filters):
            sets = page["NetworkInterfaceSets"]["NetworkInterfaceSet"]
            found.update({entry["NetworkInterfaceId"]: _interface(entry) for entry in sets})
    return tuple(found.values())


def _instance_filters(wanted: t.Sequence[Backend], addresses: t.Sequence[str]) -> t.Iterator[dict[str, str]]:
    # without the network type the API does not look at private addresses
    network = {"InstanceNetworkType": "vpc"}
    ids = sorted({backend.server_id for backend in wanted if backend.server_id})
    for key, values in (("PrivateIpAddresses", addresses), ("InstanceIds", ids)):
        yield from ({key: json.dumps(chunk), **network} for chunk in _chunks(values))
    for name in sorted({backend.server_name for backend in wanted if backend.server_name is not None}):
        yield {"InstanceName": name, **network}
    for tags in sorted({tuple(sorted(backend.server_tags.items())) for backend in wanted if backend.server_tags}):
        numbered = enumerate(tags, 1)
        yield {
            f"Tag.{number}.{part}": text for number, tag in numbered for part, text in zip(("Key", "Value"), tag)
        } | network


def _interface_filters(wanted: t.Sequence[Backend], addresses: t.Sequence[str]) -> t.Iterator[dict[str, str]]:
    ids = sorted({backend.eni_id for backend in wanted if backend.eni_id})
    for key, values in (("PrivateIpAddress", addresses), ("NetworkInterfaceId", ids)):
        yield from ({f"{key}.{number}": value for number, value in enumerate(chunk, 1)} for chunk in _chunks(values))


def _chunks(values: t.Sequence[str]) -> t.Iterator[t.Sequence[str]]:
    return (values[start : start + PAGE_SIZE] for start in range(0, len(values), PAGE_SIZE))


def _instance(entry: t.Mapping[str, t.Any]) -> Server:
    attributes = entry.get("VpcAttributes") or {}
    return Server(
        id=entry["InstanceId"],
        private_ips=tuple((attributes.get("PrivateIpAddress") or {}).get("IpAddress") or ()),
        vpc_id=attributes.get("VpcId") or None,
        status=str(entry.get("Status")),
        name=entry.get("InstanceName") or "",
        tags=wrapped(entry),
        security_groups=_groups(entry),
    )


def _groups(entry: t.Mapping[str, t.Any]) -> tuple[str, ...]:
    return tuple((entry.get("SecurityGroupIds") or {}).get("SecurityGroupId") or ())


def _interface(entry: t.Mapping[str, t.Any]) -> Server:
    primary = entry.get("PrivateIpAddress")
    sets = (entry.get("PrivateIpSets") or {}).get("PrivateIpSet") or ()
    addresses = [primary, *(address["PrivateIpAddress"] for address in sets)]
    return Server(
        id=entry["NetworkInterfaceId"],
        private_ips=tuple(dict.fromkeys(address for address in addresses if address)),
        vpc_id=entry.get("VpcId") or None,
        status=str(entry.get("Status")),
        type=ENI,
        security_groups=_groups(entry),
    )


def security_groups(client: Client, ids: t.Iterable[str]) -> dict[str, SecurityGroup]:
    """The security groups of these ids with their rules; one call for each 100 rules."""
    found = {}
    for identifier in sorted(set(ids)):
        wanted = {"SecurityGroupId": identifier, "Direction": "ingress"}
        pages = list(client.token_pages(client.ecs, "DescribeSecurityGroupAttribute", wanted))
        found[identifier] = group(pages[0], (one for page in pages for one in page["Permissions"]["Permission"]))
    return found


def named_server(where: str, name: str, known: Known, vpc_id: str | None) -> Server:
    """The one server of an id or an address. Raises LookupFailed for none and for several."""
    backend = naming(where, name)
    fit = [server for server in known.fitting(backend) if vpc_id in (None, server.vpc_id)]
    here = _instances_first(fit)
    if len(here) == 1:
        return here[0]
    if not here:
        raise LookupFailed(
            f"{where} has {name}, which is no {KINDS[ECS]} and no {KINDS[ENI]} of this region"
            + ("" if vpc_id is None else f" with vpc_id '{vpc_id}'")
        )
    raise LookupFailed(
        f"{where} has {name}, which is {quoted(f'{server.id} in {server.vpc_id}' for server in here)}; give vpc_id, or the id instead"
    )


def address_of(server: Server, name: str) -> str:
    """The address by which a user calls a server, else its first one. Raises LookupFailed for a server without any."""
    if not server.private_ips:
        raise LookupFailed(f"{name} has no private address; it is {server.status}")
    return name if name in server.private_ips else server.private_ips[0]


def groups_of(source: Network, known: Known, vpcs: t.Container[str | None]) -> frozenset[str]:
    """The security groups of the server in one of these VPCs whose address a source is; none for a network of several."""
    found = known.by_address.get(str(source.network_address), []) if source.num_addresses == 1 else []
    return frozenset(one for server in found if server.vpc_id in vpcs for one in server.security_groups)


def naming(where: str, name: str) -> Backend:
    """A server by what a user calls it: the id of an instance or of an interface, else an address. Raises DocumentError."""
    if name.startswith("i-"):
        return Backend(server_id=name)
    if name.startswith("eni-"):
        return Backend(eni_id=name)
    try:
        return Backend(private_ip=str(ipaddress.ip_address(name)))
    except ValueError:
        raise DocumentError(
            f"{where} has '{name}'; a private address is possible, or the id of an instance (i-...) or of a network interface (eni-...)"
        ) from None


class Known:
    """Servers that were found, by the words that backends name them with: hundreds of backends are not compared with each."""

    def __init__(self, found: t.Iterable[Server]) -> None:
        self.by_id: dict[str, Server] = {}
        self.by_address: dict[str, list[Server]] = {}
        for server in found:
            self.by_id[server.id] = server
            for address in server.private_ips:
                self.by_address.setdefault(address, []).append(server)

    def fitting(self, backend: Backend) -> list[Server]:
        """The servers that a backend's words fit, wherever they are and however they are."""
        if backend.eni_id or backend.server_id:
            server = self.by_id.get(backend.eni_id or backend.server_id or "")
            return [server] if server else []
        if backend.private_ip is not None:
            return self.by_address.get(backend.private_ip, [])
        instances = [server for server in self.by_id.values() if server.type == ECS]
        if backend.server_name is not None:
            # the API takes the name for a pattern
            return [server for server in instances if server.name == backend.server_name]
        return [server for server in instances if (backend.server_tags or {}).items() <= server.tags.items()]


def members_meant(
    where: str, backends: t.Iterable[Backend], found: t.Sequence[Server], members: t.Sequence[Backend]
) -> list[Backend]:
    """Those members that backends mean, as what is to go: one that is no member, or no server any more, is no error.

    Raises LookupFailed where it is not clear which one is meant.
    """
    meant = []
    known = Known(found)
    for backend in backends:
        ids = {server.id for server in known.fitting(backend)} | {backend.server_id, backend.eni_id} - {None}
        here = [member for member in members if member.port == backend.port and _means(backend, member, ids)]
        if len(here) > 1 and backend.server_name is not None:
            raise LookupFailed(
                f"{where}: {backend.naming} fits {quoted(str(member.server_id) for member in here)}; give server_id instead"
            )
        meant += here
    return meant


def _means(backend: Backend, member: Backend, ids: t.Collection[str | None]) -> bool:
    if backend.private_ip is not None and not member.is_ecs:
        return member.private_ip == backend.private_ip and backend.eni_id in (None, member.server_id)
    return member.server_id in ids


def resolve(
    where: str,
    backends: t.Iterable[Backend],
    found: t.Sequence[Server],
    instance: LoadBalancer,
    members: t.Sequence[Backend] = (),
) -> tuple[Backend, ...]:
    """Every backend as the cloud knows it, after checking that the instance can reach it; tags may lead to several.

    members are there already: one that is stopped just now is no reason to change nothing. Raises LookupFailed for words that
    fit no server or too many, DocumentError for a server that cannot serve, and for one that is named twice.
    """
    resolved: dict[t.Any, tuple[Backend, Backend]] = {}
    places: dict[str, str] = {}
    known = Known(found)
    keys = {(member.server_id, member.port) for member in members}
    interfaces = {(member.private_ip, member.port): member for member in members if not member.is_ecs}
    for backend in backends:
        for server, made in _resolved(where, backend, known, instance, keys, interfaces):
            other = resolved.setdefault(made.identity, (backend, made))[0]
            if other is not backend:
                raise DocumentError(
                    f"{where} has {made.label} ({made.server_id}) more than once, as {other.naming} and as {backend.naming}"
                )
            if server is not None and server.vpc_id:
                places.setdefault(server.vpc_id, server.id)
    if len(places) > 1:
        raise DocumentError(
            f"{where}: {quoted(f'{server} is in {vpc}' for vpc, server in places.items())}; a load balancer takes servers of one"
            " VPC only"
        )
    return tuple(made for dummy, made in resolved.values())


def _resolved(
    where: str,
    backend: Backend,
    known: Known,
    instance: LoadBalancer,
    keys: t.Collection[Key],
    interfaces: t.Mapping[Key, Backend],
) -> t.Iterator[tuple[Server | None, Backend]]:
    """The servers of one backend, each with what it is as a member. A member that was not looked up has no server."""
    if backend.private_ip is not None and backend.eni_id is None:
        # whoever added that interface: its address is served already, and the cloud takes it only once
        there = interfaces.get((backend.private_ip, backend.port))
        if there:
            yield None, _member(backend, there.server_id, there.private_ip, there.type)
            return
    for server in _chosen(where, backend, known, instance, keys):
        # the first address is what the load balancer connects to, unless another one of an interface is asked for
        address = server.private_ips[0] if server.private_ips else None
        if server.type == ENI:
            _check_interface(where, backend, server, instance)
            address = backend.private_ip or address
        yield server, _member(backend, server.id, address, server.type)


def _member(backend: Backend, server_id: str | None, address: str | None, kind: str | None) -> Backend:
    return Backend(backend.port, server_id, address, backend.weight, backend.description, type=kind)


def _chosen(
    where: str, backend: Backend, known: Known, instance: LoadBalancer, members: t.Collection[Key]
) -> list[Server]:
    """The one server that a backend means, or all that its tags fit, which can be reached and can serve."""
    fit = known.fitting(backend)
    if not fit:
        kind = KINDS[ENI if backend.eni_id else ECS]
        also = f" and no {KINDS[ENI]}" if backend.private_ip and not backend.eni_id else ""
        raise LookupFailed(
            f"{where}: {backend.naming} matches no {kind}{also} of this region; check what it says, the region and that the server"
            " exists"
        )
    vpc_id = instance.vpc_id
    here = [server for server in fit if vpc_id is None or server.vpc_id in (None, vpc_id)]
    if not here:
        elsewhere = quoted(f"{server.id} in {server.vpc_id}" for server in _instances_first(fit))
        raise DocumentError(
            f"{where}: {backend.naming} is {elsewhere}, but the load balancer {instance.name or instance.id} is in {vpc_id};"
            " a load balancer reaches only servers of its own VPC"
        )
    ready = [s for s in here if s.status == USABLE[s.type] or (s.id, backend.port) in members]
    if backend.server_tags is not None:
        if not ready:
            raise LookupFailed(
                f"{where}: {backend.naming} matches {quoted(f'{s.id}, which is {s.status}' for s in here)}; only a running server can"
                " be added"
            )
        return sorted(ready, key=lambda server: server.id)
    here = _instances_first(here)
    if len(here) > 1:
        raise LookupFailed(
            f"{where}: {backend.naming} matches {len(here)} servers, {quoted(f'{s.id} in {s.vpc_id}' for s in here)}; give"
            f" {'server_id' if here[0].type == ECS else 'eni_id'} instead"
        )
    if here[0] not in ready:
        can = "a running server" if here[0].type == ECS else "a network interface that is InUse"
        raise DocumentError(
            f"{where}: {backend.naming} is {here[0].id}, which is {here[0].status}; only {can} can be added"
        )
    return here


def _instances_first(found: list[Server]) -> list[Server]:
    """An instance is rather taken than the interface that it has."""
    return [server for server in found if server.type == ECS] or found


def _check_interface(where: str, backend: Backend, server: Server, instance: LoadBalancer) -> None:
    if instance.instance_charge_type == "PayBySpec" and instance.spec is None:
        raise DocumentError(
            f"{where}: {backend.naming} is the network interface {server.id}, but the load balancer {instance.name or instance.id}"
            " is a shared one, which takes ECS instances only; set load_balancer.instance_charge_type to 'PayByCLCU' first"
        )
    if backend.private_ip is not None and backend.private_ip not in server.private_ips:
        raise LookupFailed(
            f"{where}: private_ip {backend.private_ip} is no address of eni_id {server.id}, which has"
            f" {quoted(server.private_ips)}"
        )
