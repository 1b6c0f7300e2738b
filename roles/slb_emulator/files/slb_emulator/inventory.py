# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The machines and VPCs that exist beside the load balancers: what ECS knows, and what the data plane wires up."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

PUBLIC = ipaddress.IPv4Network("203.0.113.0/24")  # the public side: RFC 5737
HEALTH_CHECKS = "100.64.0.0/10"  # where the cloud's health checks and its layer 7 come from
STATUSES = ("Running", "Stopped", "Starting", "Stopping", "Pending")


@dataclass(frozen=True)
class VSwitch:
    vswitch_id: str
    zone_id: str
    cidr: str


@dataclass(frozen=True)
class Vpc:
    name: str
    vpc_id: str
    cidr: str
    gateway: str
    vswitches: tuple[VSwitch, ...] = ()
    region_id: str = ""  # empty: the region of the first vSwitch's zone
    nat_address: str = ""  # public address of those machines that have none of their own; empty: they have no way out

    @property
    def region(self) -> str:
        if self.region_id or not self.vswitches:
            return self.region_id
        # cn-hangzhou-i and us-east-1a are zones of cn-hangzhou and us-east-1.
        return self.vswitches[0].zone_id[:-1].rstrip("-")


@dataclass(frozen=True)
class SecurityRule:
    """A rule with the values of the API: ports as first/last, a source that is a network, a group or a prefix list."""

    source_cidr: str = ""
    source_group: str = ""
    source_prefix_list: str = ""
    direction: str = "ingress"
    protocol: str = "ALL"
    ports: str = "-1/-1"
    policy: str = "Accept"
    priority: int = 1


@dataclass(frozen=True)
class SecurityGroup:
    security_group_id: str
    vpc: str
    name: str = ""
    inner_access: bool = True
    rules: tuple[SecurityRule, ...] = ()


@dataclass(frozen=True)
class Interface:
    """A network interface. The data plane has all addresses of a machine on its one link."""

    eni_id: str
    private_ip: str
    secondary_ips: tuple[str, ...] = ()

    @property
    def addresses(self) -> tuple[str, ...]:
        return (self.private_ip, *self.secondary_ips)


@dataclass(frozen=True)
class Machine:
    name: str
    instance_id: str
    private_ip: str
    vpc: str
    vswitch_id: str = ""
    status: str = "Running"
    tags: dict[str, str] = field(default_factory=dict)
    attached: bool = True
    secondary_ips: tuple[str, ...] = ()  # of the primary interface
    interfaces: tuple[Interface, ...] = ()  # beside the primary one
    eip: str = ""  # public address of its own
    ram_role: str = ""  # whose keys it gets from the metadata service
    security_group_ids: tuple[str, ...] = ()  # of all its interfaces; empty: the default group of its VPC

    @property
    def all_interfaces(self) -> tuple[Interface, ...]:
        """The primary one first."""
        return (
            Interface(self.instance_id.replace("i-", "eni-", 1), self.private_ip, self.secondary_ips),
            *self.interfaces,
        )

    @property
    def addresses(self) -> tuple[str, ...]:
        return tuple(address for interface in self.all_interfaces for address in interface.addresses)


@dataclass(frozen=True)
class Inventory:
    vpcs: tuple[Vpc, ...] = ()
    machines: tuple[Machine, ...] = ()
    security_groups: tuple[SecurityGroup, ...] = ()

    def groups_of(self, machine: Machine) -> tuple[str, ...]:
        return machine.security_group_ids or (default_group(self.vpc(machine.vpc)).security_group_id,)

    def security_group(self, security_group_id: str) -> tuple[SecurityGroup, Vpc] | None:
        groups = (*self.security_groups, *map(default_group, self.vpcs))
        found = next((group for group in groups if group.security_group_id == security_group_id), None)
        return (found, self.vpc(found.vpc)) if found else None

    def vpc(self, name: str) -> Vpc:
        return next(vpc for vpc in self.vpcs if vpc.name == name)

    def vpc_by_id(self, vpc_id: str) -> Vpc | None:
        return next((vpc for vpc in self.vpcs if vpc.vpc_id == vpc_id), None)

    def vswitch(self, vswitch_id: str) -> tuple[Vpc, VSwitch] | None:
        pairs = ((vpc, vswitch) for vpc in self.vpcs for vswitch in vpc.vswitches)
        return next((pair for pair in pairs if pair[1].vswitch_id == vswitch_id), None)

    def server(self, instance_id: str) -> Machine | None:
        return next((machine for machine in self.machines if machine.instance_id == instance_id), None)

    def interface(self, eni_id: str) -> tuple[Machine, Interface] | None:
        pairs = ((machine, interface) for machine in self.machines for interface in machine.all_interfaces)
        return next((pair for pair in pairs if pair[1].eni_id == eni_id), None)

    def place(self, server_id: str, server_ip: str = "") -> tuple[Machine, str] | None:
        """The machine that a backend is, and the address on which it is called; None where there is none of that id."""
        machine = self.server(server_id)
        if machine is not None:
            return machine, machine.private_ip
        found = self.interface(server_id)
        return (found[0], server_ip or found[1].private_ip) if found else None

    def machine(self, name: str) -> Machine | None:
        return next((machine for machine in self.machines if machine.name == name), None)

    def zone(self, machine: Machine) -> str:
        """The zone of a machine: that of its vSwitch, or of the VPC's first."""
        zones = {vswitch.vswitch_id: vswitch.zone_id for vswitch in self.vpc(machine.vpc).vswitches}
        return zones.get(machine.vswitch_id) or next(iter(zones.values()), "")

    def in_region(self, region: str) -> Iterator[tuple[Machine, Vpc]]:
        for machine in self.machines:
            vpc = self.vpc(machine.vpc)
            if vpc.region == region:
                yield machine, vpc

    def public_addresses(self) -> Iterator[tuple[str, str]]:
        """Addresses of the public side, each with the VPC to which it leads."""
        yield from ((vpc.nat_address, vpc.name) for vpc in self.vpcs if vpc.nat_address)
        yield from ((machine.eip, machine.vpc) for machine in self.machines if machine.eip)

    def plain(self) -> dict[str, Any]:
        return asdict(self)


def default_group(vpc: Vpc) -> SecurityGroup:
    """The group of machines that name none: it keeps nobody out who can call at all."""
    rules = tuple(SecurityRule(source_cidr=cidr) for cidr in (vpc.cidr, HEALTH_CHECKS, str(PUBLIC)))
    return SecurityGroup(f"sg-{vpc.vpc_id.removeprefix('vpc-')}", vpc.name, "default", rules=rules)


def _unique(what: str, values: Sequence[str]) -> None:
    for value in values:
        if values.count(value) > 1:
            raise ValueError(f"{what} {value} is there twice")


def parse(given: Mapping[str, Any]) -> Inventory:
    """An inventory from plain data; ValueError says in a sentence what is wrong with it."""
    try:
        vpcs = tuple(
            Vpc(**{**vpc, "vswitches": tuple(VSwitch(**vswitch) for vswitch in vpc.get("vswitches", []))})
            for vpc in given.get("vpcs", [])
        )
        machines = tuple(_machine(machine) for machine in given.get("machines", []))
        groups = tuple(
            SecurityGroup(**{**group, "rules": tuple(SecurityRule(**rule) for rule in group.get("rules", []))})
            for group in given.get("security_groups", [])
        )
    except TypeError as error:
        raise ValueError(f"the inventory does not have the shape that is expected: {error}") from None
    inventory = Inventory(vpcs, machines, groups)
    _check(inventory)
    return inventory


def _machine(given: Mapping[str, Any]) -> Machine:
    interfaces = tuple(
        Interface(**{**interface, "secondary_ips": tuple(interface.get("secondary_ips", []))})
        for interface in given.get("interfaces", [])
    )
    lists = {name: tuple(given.get(name, [])) for name in ("secondary_ips", "security_group_ids")}
    return Machine(**{**given, **lists, "interfaces": interfaces})


def _check(inventory: Inventory) -> None:
    _unique("VPC", [vpc.name for vpc in inventory.vpcs])
    _unique("VPC", [vpc.vpc_id for vpc in inventory.vpcs])
    _unique("machine", [machine.name for machine in inventory.machines])
    _unique("instance", [machine.instance_id for machine in inventory.machines])
    _unique("network interface", [one.eni_id for machine in inventory.machines for one in machine.all_interfaces])
    names = {vpc.name: vpc for vpc in inventory.vpcs}
    for vpc in inventory.vpcs:
        network = ipaddress.ip_network(vpc.cidr)
        if network.overlaps(PUBLIC):
            raise ValueError(f"block {vpc.cidr} of VPC {vpc.name} overlaps {PUBLIC}, which is the public side")
        if ipaddress.ip_address(vpc.gateway) not in network:
            raise ValueError(f"gateway {vpc.gateway} of VPC {vpc.name} is not in {vpc.cidr}")
        _unique(
            f"address in VPC {vpc.name}",
            [
                vpc.gateway,
                *(ip for machine in inventory.machines if machine.vpc == vpc.name for ip in machine.addresses),
            ],
        )
    public = [address for address, dummy in inventory.public_addresses()]
    _unique("public address", public)
    for address in public:
        if ipaddress.ip_address(address) not in PUBLIC:
            raise ValueError(f"public address {address} is not in {PUBLIC}, which is the public side")
    _unique("security group", [group.security_group_id for group in inventory.security_groups])
    for group in inventory.security_groups:
        _check_group(group, names)
    for machine in inventory.machines:
        if machine.vpc not in names:
            raise ValueError(f"machine {machine.name} is in VPC {machine.vpc}, which is not in the inventory")
        for address in machine.addresses:
            if ipaddress.ip_address(address) not in ipaddress.ip_network(names[machine.vpc].cidr):
                raise ValueError(f"address {address} of machine {machine.name} is not in its VPC")
        for identifier in machine.security_group_ids:
            found = inventory.security_group(identifier)
            if found is None or found[0].vpc != machine.vpc:
                raise ValueError(
                    f"machine {machine.name} is in security group {identifier}, which its VPC does not have"
                )
        if machine.name == "internet":
            raise ValueError("a machine can't be named internet: the namespace of the public side is")
        if machine.status not in STATUSES:
            raise ValueError(f"status {machine.status} of machine {machine.name} is none of {', '.join(STATUSES)}")


def _check_group(group: SecurityGroup, vpcs: Mapping[str, Vpc]) -> None:
    where = f"security group {group.security_group_id}"
    if group.vpc not in vpcs:
        raise ValueError(f"{where} is in VPC {group.vpc}, which is not in the inventory")
    for rule in group.rules:
        sources = [rule.source_cidr, rule.source_group, rule.source_prefix_list]
        if sum(map(bool, sources)) != 1:
            raise ValueError(f"a rule of {where} needs one of source_cidr, source_group and source_prefix_list")
        if rule.source_cidr:
            ipaddress.ip_network(rule.source_cidr)
        if not re.fullmatch(r"-1/-1|\d{1,5}/\d{1,5}", rule.ports):
            raise ValueError(f"ports {rule.ports} of a rule of {where} are not first/last, nor -1/-1 for all")
        if rule.policy not in ("Accept", "Drop") or rule.direction not in ("ingress", "egress"):
            raise ValueError(f"a rule of {where} has policy {rule.policy} and direction {rule.direction}")
        if not 1 <= rule.priority <= 100:
            raise ValueError(f"priority {rule.priority} of a rule of {where} is not in 1 to 100")
