# Copyright (c) clusterfront.ha contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A network without a cloud: one switch, and every machine at a port of it, each in a namespace of its own.

It is an ordinary Ethernet, so addresses may move from one machine to another, which they can't in a VPC.
"""

from __future__ import annotations

import ipaddress
import json
from dataclasses import dataclass
from pathlib import Path

from lab_common import LabError, run

SWITCH = "switch"
LINK = "eth0"


@dataclass(frozen=True)
class Port:
    """A machine at the switch."""

    machine: str
    address: str


@dataclass(frozen=True)
class Network:
    """The switch is a bridge in a namespace; a port has the name of its machine."""

    sandbox: str
    cidr: ipaddress.IPv4Network

    @property
    def namespace(self) -> str:
        return f"{self.sandbox}-lan"

    @property
    def gateway(self) -> str:
        """The switch itself: where it leads to there is nothing, but machines have a default route as elsewhere."""
        return str(self.cidr.broadcast_address - 1)

    def machine_namespace(self, machine: str) -> str:
        return f"{self.sandbox}-{machine}"


def exists(namespace: str) -> bool:
    return Path("/run/netns", namespace).exists()


def ports(sandbox: str) -> list[str]:
    """The machines that are at the switch."""
    if not exists(f"{sandbox}-lan"):
        return []
    shown = run("ip", "-n", f"{sandbox}-lan", "-json", "link", "show", "type", "veth").stdout
    return [link["ifname"] for link in json.loads(shown or "[]") if link]  # ip leaves holes where others are


def checked(network: Network, machines: list[Port]) -> None:
    """Refuse addresses that can't be."""
    taken: dict[str, str] = {}
    for port in machines:
        if len(port.machine) > 15:
            raise LabError(
                f"The machine {port.machine} has a name of more than 15 characters, which a link can't have."
            )
        try:
            inside = ipaddress.ip_address(port.address) in network.cidr
        except ValueError:
            inside = False
        if not inside or port.address == network.gateway:
            raise LabError(
                f"The machine {port.machine} has the private_ip '{port.address}'; it has to be an address of "
                f"lab_hosts_network {network.cidr} other than {network.gateway}."
            )
        if port.address in taken:
            raise LabError(
                f"The machines {taken[port.address]} and {port.machine} have the same private_ip {port.address}."
            )
        taken[port.address] = port.machine


def missing(network: Network, machines: list[Port]) -> list[Port]:
    """The machines that are not at the switch with their address."""
    there = ports(network.sandbox)
    return [
        port for port in machines if port.machine not in there or port.address not in addresses(network, port.machine)
    ]


def addresses(network: Network, machine: str) -> list[str]:
    shown = run(
        "ip", "-n", network.machine_namespace(machine), "-json", "-4", "address", "show", LINK, may_fail=True
    ).stdout
    return [entry["local"] for link in json.loads(shown or "[]") for entry in link.get("addr_info", [])]


def connect(network: Network, wanted: list[Port]) -> None:
    """Bring machines to the switch, and make the switch where it is missing."""
    lines = []
    if not exists(network.namespace):
        run("ip", "netns", "add", network.namespace)
        lines += [
            f"link add {SWITCH} type bridge",
            f"address add {network.gateway}/{network.cidr.prefixlen} dev {SWITCH}",
            f"link set {SWITCH} up",
        ]
    there = ports(network.sandbox)
    for port in wanted:
        namespace = network.machine_namespace(port.machine)
        if not exists(namespace):
            run("ip", "netns", "add", namespace)
        if port.machine in there:
            lines.append(f"link delete {port.machine}")
        lines += [
            f"link add {port.machine} type veth peer name {LINK} netns {namespace}",
            f"link set {port.machine} master {SWITCH} up",
        ]
    run("ip", "-n", network.namespace, "-batch", "-", stdin="\n".join(lines) + "\n")
    for port in wanted:
        inside = [
            "link set lo up",
            f"address add {port.address}/{network.cidr.prefixlen} dev {LINK}",
            f"link set {LINK} up",
            f"route replace default via {network.gateway}",
        ]
        run("ip", "-n", network.machine_namespace(port.machine), "-batch", "-", stdin="\n".join(inside) + "\n")


def disconnect(sandbox: str, named: set[str], check: bool) -> list[str]:
    """Remove the namespaces of machines at the switch, all or those that are named, and the switch when nobody is left."""
    there = ports(sandbox)
    gone = [machine for machine in there if not named or machine in named]
    namespaces = [f"{sandbox}-{machine}" for machine in gone]
    if exists(f"{sandbox}-lan") and len(gone) == len(there):
        namespaces.append(f"{sandbox}-lan")
    for namespace in namespaces if not check else []:
        run("ip", "netns", "delete", namespace)
    return namespaces
