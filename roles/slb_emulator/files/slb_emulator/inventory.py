# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The machines and VPCs that exist beside the load balancers: what ECS knows, and what the data plane wires up."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

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

    @property
    def region(self) -> str:
        if self.region_id or not self.vswitches:
            return self.region_id
        # cn-hangzhou-i and us-east-1a are zones of cn-hangzhou and us-east-1.
        return self.vswitches[0].zone_id[:-1].rstrip("-")


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


@dataclass(frozen=True)
class Inventory:
    vpcs: tuple[Vpc, ...] = ()
    machines: tuple[Machine, ...] = ()

    def vpc(self, name: str) -> Vpc:
        return next(vpc for vpc in self.vpcs if vpc.name == name)

    def vpc_by_id(self, vpc_id: str) -> Vpc | None:
        return next((vpc for vpc in self.vpcs if vpc.vpc_id == vpc_id), None)

    def vswitch(self, vswitch_id: str) -> tuple[Vpc, VSwitch] | None:
        pairs = ((vpc, vswitch) for vpc in self.vpcs for vswitch in vpc.vswitches)
        return next((pair for pair in pairs if pair[1].vswitch_id == vswitch_id), None)

    def server(self, instance_id: str) -> Machine | None:
        return next((machine for machine in self.machines if machine.instance_id == instance_id), None)

    def machine(self, name: str) -> Machine | None:
        return next((machine for machine in self.machines if machine.name == name), None)

    def in_region(self, region: str) -> Iterator[tuple[Machine, Vpc]]:
        for machine in self.machines:
            vpc = self.vpc(machine.vpc)
            if vpc.region == region:
                yield machine, vpc

    def plain(self) -> dict[str, Any]:
        return asdict(self)


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
        machines = tuple(Machine(**machine) for machine in given.get("machines", []))
    except TypeError as error:
        raise ValueError(f"the inventory does not have the shape that is expected: {error}") from None
    inventory = Inventory(vpcs, machines)
    _check(inventory)
    return inventory


def _check(inventory: Inventory) -> None:
    _unique("VPC", [vpc.name for vpc in inventory.vpcs])
    _unique("VPC", [vpc.vpc_id for vpc in inventory.vpcs])
    _unique("machine", [machine.name for machine in inventory.machines])
    _unique("instance", [machine.instance_id for machine in inventory.machines])
    names = {vpc.name: vpc for vpc in inventory.vpcs}
    for vpc in inventory.vpcs:
        network = ipaddress.ip_network(vpc.cidr)
        if ipaddress.ip_address(vpc.gateway) not in network:
            raise ValueError(f"gateway {vpc.gateway} of VPC {vpc.name} is not in {vpc.cidr}")
        _unique(
            f"address in VPC {vpc.name}",
            [vpc.gateway, *(machine.private_ip for machine in inventory.machines if machine.vpc == vpc.name)],
        )
    for machine in inventory.machines:
        if machine.vpc not in names:
            raise ValueError(f"machine {machine.name} is in VPC {machine.vpc}, which is not in the inventory")
        if ipaddress.ip_address(machine.private_ip) not in ipaddress.ip_network(names[machine.vpc].cidr):
            raise ValueError(f"address {machine.private_ip} of machine {machine.name} is not in its VPC")
        if machine.status not in STATUSES:
            raise ValueError(f"status {machine.status} of machine {machine.name} is none of {', '.join(STATUSES)}")
