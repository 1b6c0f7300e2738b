# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""IPv6 in a VPC, for the clients of IPv6 instances. Made only where there is such an instance: hosts notice it."""

from __future__ import annotations

from .. import network
from ..network import Namespace

GATEWAY = "fe80::1"
ON = {"ipv6/conf/all/disable_ipv6": "0", "ipv6/conf/default/disable_ipv6": "0"}


def machine_address(private_ip: str) -> str:
    """The IPv6 address of a machine; RFC 3849."""
    return f"2001:db8:ffff::{private_ip}"


def enable(router: Namespace) -> None:
    router.sysctl({**ON, "ipv6/conf/all/forwarding": "1"})


def wire(router: Namespace, link: str, name: str, private_ip: str) -> None:
    """An address for the machine, and the ways between it and the router."""
    address = machine_address(private_ip)
    router.ip(
        f"route replace {address}/128 dev {link}",
        f"neighbour replace {address} lladdr {network.mac_address(name, 'eth0')} dev {link} nud permanent",
    )
    space = Namespace(name)
    try:
        space.sysctl(ON)
        space.ip(
            f"address replace {address}/128 dev eth0 nodad",
            f"neighbour replace {GATEWAY} lladdr {network.mac_address(name, 'router')} dev eth0 nud permanent",
            f"route replace default via {GATEWAY} dev eth0 onlink",
        )
    finally:
        space.close()
