# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Layer 4 by nftables: the namespace of a VPC is its router and its load balancer at once.

Every machine hangs off that namespace by a link of its own, so whatever goes between two machines passes through it.
That is why connections can be forwarded by translating only their destination: the answers come back through the
translation by themselves, backends see the client's own address, and a backend that is given its own connection can't
answer it, as in the cloud.
"""

from __future__ import annotations

import functools
import math
import socket
import time
from collections.abc import Collection, Iterator, Sequence

from .. import network
from ..config import Config
from ..forwarding import Desired, Forward, Member
from ..inventory import Inventory, Machine, Vpc
from ..network import Namespace

REWIRE_PAUSES = (0.05, 0.1, 0.2, 0.4)  # seconds
CHECKER = "100.64.0.1"  # the cloud's checks come from 100.64.0.0/10

# The router answers ARP for everyone, does not tell machines of shorter ways (there are none), and takes any source.
_ROUTER = {
    "ipv4/ip_forward": "1",
    **{
        f"ipv4/conf/{which}/{name}": value
        for which in ("all", "default")
        for name, value in (
            ("rp_filter", "0"),
            ("send_redirects", "0"),
            ("proxy_arp", "1"),
            ("proxy_arp_pvlan", "1"),
            ("arp_ignore", "0"),
            ("arp_filter", "0"),
        )
    },
    "ipv6/conf/all/disable_ipv6": "1",
    "ipv6/conf/default/disable_ipv6": "1",
}


def slots(members: Sequence[Member]) -> list[Member]:
    """The order of a smooth weighted round robin: 30 and 90 give b a b b, not ninety of b in a row."""
    divisor = math.gcd(*(member.weight for member in members))
    weights = [member.weight // divisor for member in members]
    current = [0] * len(members)
    order = []
    for dummy in range(sum(weights)):
        current = [value + weight for value, weight in zip(current, weights)]
        chosen = current.index(max(current))
        current[chosen] -= sum(weights)
        order.append(members[chosen])
    return order


def _spread(forward: Forward) -> str:
    """Which of so many slots a new connection takes."""
    return {"sch": "jhash ip saddr", "tch": "jhash ip saddr . th sport"}.get(forward.scheduler, "numgen inc")


def _guard(forward: Forward) -> Iterator[str]:
    """Access lists: whoever is not let in gets nothing at all, not even a refusal."""
    # Only new connections come here at all. But a namespace tracks none, and asks no nat chain, until a rule needs it to.
    if forward.allowed == () or "0.0.0.0/0" in forward.denied:
        yield "ct state new drop"
    elif forward.allowed is not None and "0.0.0.0/0" not in forward.allowed:
        yield f"ct state new ip saddr != {{ {', '.join(forward.allowed)} }} drop"
    elif forward.denied:
        yield f"ct state new ip saddr {{ {', '.join(forward.denied)} }} drop"


@functools.lru_cache(maxsize=4096)
def rules(forward: Forward) -> tuple[str, ...]:
    """The rules of one listener. They see the first packet of a connection only, so they never break one."""
    guard = tuple(_guard(forward))
    if not forward.members:
        return (*guard, "meta l4proto tcp reject with tcp reset")
    members = forward.members
    if forward.scheduler == "rr":
        members = tuple(Member(member.address, member.port, 1) for member in members)
    order = slots(members)
    if len(order) == 1:
        target = f"{order[0].address}:{order[0].port}"
    else:
        places = ", ".join(f"{index} : {member.address} . {member.port}" for index, member in enumerate(order))
        target = f"{_spread(forward)} mod {len(order)} map {{ {places} }}"
    shut_out = (f"ip saddr {{ {', '.join(forward.shut_out)} }} drop",) if forward.shut_out else ()
    return (*guard, *shut_out, f"meta l4proto {forward.protocol} dnat ip to {target}")


def _chain(forward: Forward) -> str:
    return f"{forward.protocol}_{forward.address.replace('.', '_')}_{forward.port}"


def _element(forward: Forward) -> str:
    return f"{forward.address} . {forward.protocol} . {forward.port}"


_TABLE = """\
add table ip slb
delete table ip slb
add table ip slb
add map ip slb listeners { type ipv4_addr . inet_proto . inet_service : verdict ; }
add chain ip slb pre { type nat hook prerouting priority dstnat ; policy accept ; }
add rule ip slb pre ip daddr . ip protocol . th dport vmap @listeners
"""


def transaction(old: Collection[Forward] | None, new: Collection[Forward]) -> str:
    """The commands from the one set of listeners to the other; None: whatever is there is replaced."""
    before = {_chain(forward): forward for forward in old or ()}
    after = {_chain(forward): forward for forward in new}
    lines = []
    for name, forward in before.items():
        if name not in after:
            lines += [
                f"delete element ip slb listeners {{ {_element(forward)} }}",
                f"flush chain ip slb {name}",
                f"delete chain ip slb {name}",
            ]
    for name, forward in after.items():
        if name in before and rules(before[name]) == rules(forward):
            continue  # left alone, so that its turn goes on where it is
        lines.append(f"flush chain ip slb {name}" if name in before else f"add chain ip slb {name}")
        lines += [f"add rule ip slb {name} {rule}" for rule in rules(forward)]
        if name not in before:
            lines.append(f"add element ip slb listeners {{ {_element(forward)} : goto {name} }}")
    return (_TABLE if old is None else "") + "".join(f"{line}\n" for line in lines)


def silence(links: Collection[str]) -> str:
    """Packets of these links vanish; an interface that is down would make the router answer for them instead."""
    lines = [
        "add table ip links",
        "delete table ip links",
        "add table ip links",
        "add chain ip links in { type filter hook prerouting priority raw ; policy accept ; }",
        "add chain ip links out { type filter hook postrouting priority 300 ; policy accept ; }",
    ]
    if links:
        names = ", ".join(f'"{name}"' for name in sorted(links))
        lines += [
            f"add rule ip links in iifname {{ {names} }} drop",
            f"add rule ip links out oifname {{ {names} }} drop",
        ]
    return "".join(f"{line}\n" for line in lines)


class NftDataPlane:
    checks = True

    def __init__(self, config: Config) -> None:
        self._config = config
        self._inventory = Inventory()
        self._routers: dict[str, Namespace] = {}
        self._addresses: dict[str, set[str]] = {}  # of the instances, by VPC
        self._forwards: dict[str, set[Forward]] = {}

    # Names

    def _router_name(self, vpc: Vpc) -> str:
        return f"{self._config.prefix}vpc-{vpc.name}"

    def _machine_name(self, machine: Machine) -> str:
        return f"{self._config.prefix}{machine.name}"

    def _link(self, machine: Machine) -> str:
        return network.link_name(self._config.sandbox, machine.name)

    # The network

    def attach(self, inventory: Inventory, links_down: Collection[str]) -> bool:
        old, self._inventory = self._inventory, inventory
        changed = self._detach(old, inventory)
        for vpc in inventory.vpcs:
            changed |= self._router(vpc)
        for machine in inventory.machines:
            if machine.attached:
                changed |= self._wire(machine, inventory.vpc(machine.vpc))
        self.set_links(links_down)
        return changed

    def _router(self, vpc: Vpc) -> bool:
        name = self._router_name(vpc)
        made = network.create(name)
        if made or vpc.name not in self._routers:
            if vpc.name in self._routers:  # somebody deleted the namespace: its thread is in a dead one
                self._routers.pop(vpc.name).close()
            self._routers[vpc.name] = Namespace(name)
            self._addresses.pop(vpc.name, None)
            self._forwards.pop(vpc.name, None)
        router = self._routers[vpc.name]
        router.sysctl(_ROUTER)
        router.ip("link set lo up", f"address replace {vpc.gateway}/32 dev lo", f"address replace {CHECKER}/32 dev lo")
        if not _has_link(router, "void"):
            # Addresses of the VPC that nobody has are silence too: a link to nowhere, which asks nobody for a way.
            router.ip(
                "link add void type veth peer name void-end",
                "link set void arp off up",
                "link set void-end up",
                f"route replace {vpc.cidr} dev void",
            )
        return made

    def _wire(self, machine: Machine, vpc: Vpc) -> bool:
        """A link between machine and router. One that is not as it should be is made anew."""
        made = network.create(self._machine_name(machine))
        space = Namespace(self._machine_name(machine))
        try:
            if not made and self._wired(space, machine, vpc):
                return False
            self._rewire_patiently(space, machine, vpc)
        finally:
            space.close()
        return True

    def _rewire_patiently(self, space: Namespace, machine: Machine, vpc: Vpc) -> None:
        """A namespace that somebody deleted goes in the background, and its ends of links vanish while they are looked at."""
        for pause in REWIRE_PAUSES:
            try:
                self._rewire(space, machine, vpc)
                return
            except OSError:
                time.sleep(pause)
        self._rewire(space, machine, vpc)

    def _wired(self, space: Namespace, machine: Machine, vpc: Vpc) -> bool:
        router, link = self._routers[vpc.name], self._link(machine)
        inside = {
            (address["local"], address["prefixlen"])
            for interface in space.ip_json("-4", "address", "show", "up")
            if interface.get("ifname") == "eth0"
            for address in interface["addr_info"]
        }
        gateways = {route.get("gateway") for route in space.ip_json("route", "show", "default")}
        ways = {route.get("dev") for route in router.ip_json("route", "show", machine.private_ip)}
        return inside == {(machine.private_ip, _length(vpc))} and gateways == {vpc.gateway} and ways == {link}

    def _rewire(self, space: Namespace, machine: Machine, vpc: Vpc) -> None:
        router, link, name = self._routers[vpc.name], self._link(machine), self._machine_name(machine)
        _delete_link(router, link)
        _delete_link(space, "eth0")
        outside_mac, inside_mac = network.mac_address(name, "router"), network.mac_address(name, "eth0")
        router.ip(
            f"link add {link} address {outside_mac} type veth peer name eth0 address {inside_mac} netns {name}",
            f"link set {link} up",
            f"route replace {machine.private_ip}/32 dev {link}",
            # Nobody is ever asked for: a machine that went silent is silence for its peers, not "unreachable".
            f"neighbour replace {machine.private_ip} lladdr {inside_mac} dev {link} nud permanent",
        )
        router.sysctl({f"ipv4/neigh/{link}/proxy_delay": "0"})
        space.ip(
            "link set lo up",
            f"address replace {machine.private_ip}/{_length(vpc)} dev eth0",
            "link set eth0 up",
            f"neighbour replace {vpc.gateway} lladdr {outside_mac} dev eth0 nud permanent",
            f"route replace default via {vpc.gateway} dev eth0",
        )

    def _detach(self, old: Inventory, new: Inventory) -> bool:
        """Take away what is no longer in the inventory."""
        kept_machines = {(machine.name, machine.vpc) for machine in new.machines if machine.attached}
        kept_vpcs = {vpc.name for vpc in new.vpcs}
        changed = False
        for machine in old.machines:
            if machine.attached and (machine.name, machine.vpc) not in kept_machines:
                self._remove_machine(old, machine)
                changed = True
        for vpc in old.vpcs:
            if vpc.name not in kept_vpcs:
                self._remove_router(vpc)
                changed = True
        return changed

    def _remove_machine(self, inventory: Inventory, machine: Machine) -> None:
        router = self._routers.get(machine.vpc)
        if router is None and network.exists(self._router_name(inventory.vpc(machine.vpc))):
            router = self._routers[machine.vpc] = Namespace(self._router_name(inventory.vpc(machine.vpc)))
        if router is not None:
            # A namespace goes when its last process has ended; its link goes now.
            _delete_link(router, self._link(machine))
        network.delete(self._machine_name(machine))

    def _remove_router(self, vpc: Vpc) -> None:
        router = self._routers.pop(vpc.name, None)
        if router is not None:
            router.close()
        self._addresses.pop(vpc.name, None)
        self._forwards.pop(vpc.name, None)
        network.delete(self._router_name(vpc))

    def remove(self, inventory: Inventory) -> None:
        self._detach(inventory, Inventory())
        self._inventory = Inventory()

    def set_links(self, links_down: Collection[str]) -> None:
        for vpc in self._inventory.vpcs:
            down = [
                self._link(machine)
                for machine in self._inventory.machines
                if machine.vpc == vpc.name and machine.attached and machine.name in links_down
            ]
            self._routers[vpc.name].nft(silence(down))

    def open_socket(self, vpc: str) -> socket.socket:
        router = self._routers.get(vpc)
        if router is None:
            raise OSError(f"VPC {vpc} has no network")
        return router.tcp_socket(CHECKER)

    # The load balancers

    def apply(self, desired: Desired) -> None:
        for vpc in self._inventory.vpcs:
            addresses = {address for name, address in desired.addresses if name == vpc.name}
            self._apply(vpc, addresses, {forward for forward in desired.forwards if forward.vpc == vpc.name})

    def _apply(self, vpc: Vpc, addresses: set[str], forwards: set[Forward]) -> None:
        router = self._routers[vpc.name]
        present = self._addresses.get(vpc.name)
        if present is None:
            present = set(_local_addresses(router)) - {vpc.gateway, CHECKER}
        new, gone = addresses - present, present - addresses
        # Addresses come before the rules and go after them: in between a listener would be an unknown address.
        if new:
            router.ip(*(f"address replace {address}/32 dev lo" for address in sorted(new)))
        before = self._forwards.get(vpc.name)
        text = transaction(before, sorted(forwards, key=_chain))
        # What is known is only known while the last step went well.
        self._forwards.pop(vpc.name, None)
        self._addresses.pop(vpc.name, None)
        if text:
            router.nft(text)
        if gone:
            router.ip(*(f"address delete {address}/32 dev lo" for address in sorted(gone)))
        self._forwards[vpc.name], self._addresses[vpc.name] = forwards, addresses


def _length(vpc: Vpc) -> int:
    return int(vpc.cidr.split("/")[1])


def _local_addresses(router: Namespace) -> Iterator[str]:
    for interface in router.ip_json("-4", "address", "show", "dev", "lo"):
        yield from (entry["local"] for entry in interface["addr_info"] if entry["prefixlen"] == 32)


def _has_link(space: Namespace, name: str) -> bool:
    return any(link.get("ifname") == name for link in space.ip_json("link", "show"))


def _delete_link(space: Namespace, name: str) -> None:
    if _has_link(space, name):
        space.ip(f"link delete {name}")
