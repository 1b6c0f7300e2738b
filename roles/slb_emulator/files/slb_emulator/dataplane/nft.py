# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Layer 4 by nftables, and HAProxy for layer 7: the namespace of a VPC is its router and its load balancer at once.

Every machine hangs off that namespace by a link of its own, so whatever goes between two machines passes through it.
That is why connections can be forwarded by translating only their destination: the answers come back through the
translation by themselves, backends see the client's own address, and a backend that is given its own connection can't
answer it, as in the cloud.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Collection, Iterator
from typing import Any

from .. import network, vpc_services
from ..config import Config
from ..forwarding import Desired, Forward, Website
from ..inventory import PUBLIC, Inventory, Machine, Vpc
from ..network import Namespace
from . import ipv6
from .egress import LINK, egress
from .haproxy import Proxy
from .relay import Relay
from .ruleset import ANSWER_MARK, Table, chain_name, silence, tables, transaction
from .zoning import zoning

REWIRE_PAUSES = (0.05, 0.1, 0.2, 0.4)  # seconds
CHECKER = "100.64.0.1"  # the cloud's checks come from 100.64.0.0/10
PUBLIC_SIDE = ""  # its name among the VPCs
OUTWARD = 203  # the routing table for the public side
NEIGHBOUR = "169.254.0.1"  # the other end of a link between a VPC and the public side; no packet has it

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
}
_NO_IPV6 = {"ipv6/conf/all/disable_ipv6": "1", "ipv6/conf/default/disable_ipv6": "1"}


class NftDataPlane:
    checks = True

    def __init__(self, config: Config) -> None:
        self._config = config
        self._inventory = Inventory()
        self._routers: dict[str, Namespace] = {}
        self._addresses: dict[str, set[str]] = {}  # of the instances, by VPC
        self._tables: dict[str, dict[str, Table]] = {}
        self._relays: dict[str, tuple[Namespace, Relay]] = {}
        self._proxies: dict[str, Proxy] = {}
        self._ipv6: set[str] = set()  # VPCs in which machines have IPv6 addresses
        self._zoning: dict[str, str] = {}  # the rules in force, by VPC
        # Public instances and the VPC of each; None: not known, so nothing about the public side is changed.
        self._instances: Collection[tuple[str, str]] | None = None

    # Names

    def _router_name(self, vpc: Vpc) -> str:
        return f"{self._config.prefix}vpc-{vpc.name}"

    def _machine_name(self, machine: Machine) -> str:
        return self._config.space(machine.name)

    def _link(self, machine: Machine) -> str:
        return network.link_name(self._config.sandbox, machine.name)

    @property
    def _internet_name(self) -> str:
        return f"{self._config.prefix}internet"

    def _way_in(self, vpc: str) -> str:
        """The public side's end of its link to a VPC."""
        return network.link_name(self._config.sandbox, "vpc", vpc)

    # The network

    def attach(self, inventory: Inventory, links_down: Collection[str]) -> bool:
        old, self._inventory = self._inventory, inventory
        changed = self._detach(old, inventory)
        if inventory.vpcs:
            changed |= self._internet()
        for vpc in inventory.vpcs:
            changed |= self._router(vpc)
        for machine in inventory.machines:
            if machine.attached:
                changed |= self._wire(machine, inventory.vpc(machine.vpc))
        if self._instances is not None and inventory.vpcs:
            self._lead_in(self._instances)
        self.set_links(links_down)
        if changed:
            self._ipv6.clear()
        return changed

    def _space(self, vpc: str, name: str) -> bool:
        """The namespace of a VPC, or of the public side, as a router; says whether it had to be made."""
        made = network.create(name)
        if made and vpc != PUBLIC_SIDE:
            self._proxy(vpc).stop()  # it served in a namespace that is gone
        if made or vpc not in self._routers:
            if vpc in self._routers:  # somebody deleted the namespace: its thread is in a dead one
                self._routers.pop(vpc).close()
            self._routers[vpc] = Namespace(name)
            self._forget(vpc)
        self._routers[vpc].sysctl({**_ROUTER, **(_NO_IPV6 if made else {})})
        self._routers[vpc].ip("link set lo up")
        return made

    def _internet(self) -> bool:
        """The public side: a router between the VPCs, and nothing else."""
        made = self._space(PUBLIC_SIDE, self._internet_name)
        _void(self._routers[PUBLIC_SIDE], str(PUBLIC))
        return made

    def _router(self, vpc: Vpc) -> bool:
        made = self._space(vpc.name, self._router_name(vpc))
        router = self._routers[vpc.name]
        router.ip(
            *(f"address replace {address}/32 dev lo" for address in (vpc.gateway, CHECKER, *vpc_services.ADDRESSES))
        )
        _void(router, vpc.cidr)
        machines = (machine for machine in self._inventory.machines if machine.vpc == vpc.name and machine.eip)
        router.nft(egress({machine.private_ip: machine.eip for machine in machines}, vpc.nat_address))
        return self._way_out(vpc) or made

    def _way_out(self, vpc: Vpc) -> bool:
        """The link between a VPC and the public side; says whether it had to be made."""
        router, internet = self._routers[vpc.name], self._routers[PUBLIC_SIDE]
        if _has_link(router, LINK) and _has_link(internet, self._way_in(vpc.name)):
            return False
        _patiently(self._link_out, router, internet, vpc)
        return True

    def _link_out(self, router: Namespace, internet: Namespace, vpc: Vpc) -> None:
        way_in = self._way_in(vpc.name)
        _delete_link(router, LINK)
        _delete_link(internet, way_in)
        inside, outside = network.mac_address(way_in, "inside"), network.mac_address(way_in, "outside")
        internet.ip(
            f"link add {way_in} address {outside} type veth"
            f" peer name {LINK} address {inside} netns {self._router_name(vpc)}",
            f"link set {way_in} up",
            f"neighbour replace {NEIGHBOUR} lladdr {inside} dev {way_in} nud permanent",
        )
        router.ip(
            f"link set {LINK} up",
            f"neighbour replace {NEIGHBOUR} lladdr {outside} dev {LINK} nud permanent",
            f"route replace {PUBLIC} via {NEIGHBOUR} dev {LINK} onlink table {OUTWARD}",
        )
        # A public instance is the router's own for those who come from the public side, and beyond it for all others.
        if not any(rule["table"] == str(OUTWARD) for rule in router.ip_json("rule", "show")):
            router.ip(
                f"rule add pref 1 iif {LINK} lookup local",
                f"rule add pref 2 to {PUBLIC} lookup {OUTWARD}",
                "rule add pref 3 lookup local",
                "rule delete pref 0",
            )

    def _lead_in(self, instances: Collection[tuple[str, str]]) -> None:
        """Let each public address lead to its VPC; an instance without servers is in none, and refuses by itself."""
        self._instances = None  # what is known is only known while the last step went well
        places = {address: vpc for vpc, address in instances}
        places.update(self._inventory.public_addresses())
        internet = self._routers[PUBLIC_SIDE]
        wanted = {address: self._way_in(vpc) for address, vpc in places.items() if vpc != PUBLIC_SIDE}
        routes = internet.ip_json("-4", "route", "show")
        present = {route["dst"]: route["dev"] for route in routes if route["dst"] != str(PUBLIC)}
        local, held = places.keys() - wanted.keys(), set(_local_addresses(internet))
        lines = [
            *(
                f"route replace {address}/32 via {NEIGHBOUR} dev {link} onlink"
                for address, link in wanted.items()
                if present.get(address) != link
            ),
            *(f"route delete {address}/32" for address in present.keys() - wanted.keys()),
            *(f"address replace {address}/32 dev lo" for address in local - held),
            *(f"address delete {address}/32 dev lo" for address in held - local),
        ]
        if lines:
            internet.ip(*lines)
        self._instances = instances

    def _wire(self, machine: Machine, vpc: Vpc) -> bool:
        """A link between machine and router. One that is not as it should be is made anew."""
        made = network.create(self._machine_name(machine))
        space = Namespace(self._machine_name(machine))
        try:
            if not made and self._wired(space, machine, vpc):
                return False
            _patiently(self._rewire, space, machine, vpc)
        finally:
            space.close()
        return True

    def _wired(self, space: Namespace, machine: Machine, vpc: Vpc) -> bool:
        router, link = self._routers[vpc.name], self._link(machine)
        inside = {
            (address["local"], address["prefixlen"])
            for interface in space.ip_json("-4", "address", "show", "up")
            if interface.get("ifname") == "eth0"
            for address in interface["addr_info"]
        }
        gateways = {route.get("gateway") for route in space.ip_json("route", "show", "default")}
        ways = {route.get("dev") for address in machine.addresses for route in router.ip_json("route", "show", address)}
        return (
            inside == {(address, _length(vpc)) for address in machine.addresses}
            and gateways == {vpc.gateway}
            and ways == {link}
        )

    def _rewire(self, space: Namespace, machine: Machine, vpc: Vpc) -> None:
        router, link, name = self._routers[vpc.name], self._link(machine), self._machine_name(machine)
        _delete_link(router, link)
        _delete_link(space, "eth0")
        outside_mac, inside_mac = network.mac_address(name, "router"), network.mac_address(name, "eth0")
        router.ip(
            f"link add {link} address {outside_mac} type veth peer name eth0 address {inside_mac} netns {name}",
            f"link set {link} up",
            *(f"route replace {address}/32 dev {link}" for address in machine.addresses),
            # Nobody is ever asked for: a machine that went silent is silence for its peers, not "unreachable".
            *(
                f"neighbour replace {address} lladdr {inside_mac} dev {link} nud permanent"
                for address in machine.addresses
            ),
        )
        router.sysctl({f"ipv4/neigh/{link}/proxy_delay": "0"})
        space.ip(
            "link set lo up",
            *(f"address replace {address}/{_length(vpc)} dev eth0" for address in machine.addresses),
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
                self._remove_space(vpc.name, self._router_name(vpc))
                changed = True
        if old.vpcs and not new.vpcs:
            self._remove_space(PUBLIC_SIDE, self._internet_name)
        return changed

    def _remove_machine(self, inventory: Inventory, machine: Machine) -> None:
        router = self._routers.get(machine.vpc)
        if router is None and network.exists(self._router_name(inventory.vpc(machine.vpc))):
            router = self._routers[machine.vpc] = Namespace(self._router_name(inventory.vpc(machine.vpc)))
        if router is not None:
            # A namespace goes when its last process has ended; its link goes now.
            _delete_link(router, self._link(machine))
        network.delete(self._machine_name(machine))

    def _remove_space(self, vpc: str, name: str) -> None:
        self._stop_relay(vpc)
        if vpc != PUBLIC_SIDE:
            self._proxy(vpc).stop()
            del self._proxies[vpc]
        router = self._routers.pop(vpc, None)
        if router is not None:
            router.close()
        self._forget(vpc)
        network.delete(name)

    def remove(self, inventory: Inventory) -> None:
        self._detach(inventory, Inventory())
        self._inventory = Inventory()

    def _forget(self, vpc: str) -> None:
        self._addresses.pop(vpc, None)
        self._tables.pop(vpc, None)
        self._zoning.pop(vpc, None)

    def set_links(self, links_down: Collection[str]) -> None:
        for vpc in self._inventory.vpcs:
            down = [
                self._link(machine)
                for machine in self._inventory.machines
                if machine.vpc == vpc.name and machine.attached and machine.name in links_down
            ]
            self._routers[vpc.name].nft(silence(down))

    def open_socket(self, vpc: str, kind: socket.SocketKind) -> socket.socket:
        router = self._routers.get(vpc)
        if router is None:
            raise OSError(f"VPC {vpc} has no network")
        return router.socket(CHECKER, kind)

    def spaces(self) -> dict[str, Namespace]:
        return {vpc.name: self._routers[vpc.name] for vpc in self._inventory.vpcs}

    def listen(self, vpc: str, address: str) -> socket.socket:
        return self._routers[vpc].call(socket.create_server, (address, vpc_services.PORT))

    # The load balancers

    def apply(self, desired: Desired) -> None:
        for vpc in self._inventory.vpcs:
            addresses = {address for name, address in desired.addresses if name == vpc.name}
            self._zone(vpc, desired)
            websites = [website for website in desired.websites if website.vpc == vpc.name]
            self._apply(vpc, addresses, [forward for forward in desired.forwards if forward.vpc == vpc.name], websites)
        # The way to an instance comes after its rules.
        if desired.public != self._instances:
            self._lead_in(desired.public)

    def _zone(self, vpc: Vpc, desired: Desired) -> None:
        dark, standby = (
            [address for name, address in places if name == vpc.name] for places in (desired.dark, desired.standby)
        )
        text = zoning(dark, standby)
        if self._zoning.pop(vpc.name, "") != text:
            self._routers[vpc.name].nft(text)
        self._zoning[vpc.name] = text

    def _apply(self, vpc: Vpc, addresses: set[str], forwards: list[Forward], websites: list[Website]) -> None:
        router = self._routers[vpc.name]
        present = self._addresses.get(vpc.name)
        if present is None:
            present = set(_local_addresses(router)) - {vpc.gateway, CHECKER, *vpc_services.ADDRESSES}
        new, gone = addresses - present, present - addresses
        if vpc.name not in self._ipv6 and any(":" in address for address in addresses):
            self._enable_ipv6(vpc)
        # Addresses come before the rules and go after them: in between a listener would be an unknown address.
        if new:
            router.ip(*(f"address replace {_on_lo(address)}" for address in sorted(new)))
        self._relay(vpc, [forward for forward in forwards if forward.relayed and not forward.website])
        self._proxy(vpc.name).serve(websites)
        wanted = tables(sorted(forwards, key=chain_name))
        text = transaction(self._tables.get(vpc.name), wanted)
        # What is known is only known while the last step went well.
        self._tables.pop(vpc.name, None)
        self._addresses.pop(vpc.name, None)
        if text:
            router.nft(text)
        if gone:
            router.ip(*(f"address delete {_on_lo(address)}" for address in sorted(gone)))
        self._tables[vpc.name], self._addresses[vpc.name] = wanted, addresses

    def _enable_ipv6(self, vpc: Vpc) -> None:
        router = self._routers[vpc.name]
        ipv6.enable(router)
        for machine in self._inventory.machines:
            if machine.attached and machine.vpc == vpc.name:
                ipv6.wire(router, self._link(machine), self._machine_name(machine), machine.private_ip)
        self._ipv6.add(vpc.name)

    def _relay(self, vpc: Vpc, forwards: list[Forward]) -> None:
        """A thread for those VPCs that need one, in the namespace that is their router now."""
        router, relay = self._relays.get(vpc.name, (None, None))
        if relay is not None and router is not self._routers[vpc.name]:
            self._stop_relay(vpc.name)
            relay = None
        if relay is None and forwards:
            router = self._routers[vpc.name]
            _route_answers_back(router)
            relay = Relay(router.name)
            self._relays[vpc.name] = router, relay
        if relay is not None:
            relay.serve(forwards)

    def _proxy(self, vpc: str) -> Proxy:
        """Who serves layer 7 in a VPC. A proxy that an ended process left behind goes on."""
        if vpc not in self._proxies:
            self._proxies[vpc] = Proxy(self._config.directory / "layer7" / vpc, lambda: self._routers[vpc], CHECKER)
        return self._proxies[vpc]

    def _stop_relay(self, vpc: str) -> None:
        if vpc in self._relays:
            self._relays.pop(vpc)[1].close()


def _route_answers_back(router: Namespace) -> None:
    """Answers to clients for whom the relay called are for the router itself."""
    if not any(rule.get("fwmark") == hex(ANSWER_MARK) for rule in router.ip_json("rule", "show")):
        router.ip(f"rule add fwmark {ANSWER_MARK} lookup {ANSWER_MARK}")
    router.ip(f"route replace local default dev lo table {ANSWER_MARK}")


def _patiently(make: Callable[..., None], *arguments: Any) -> None:
    """A namespace that somebody deleted goes in the background, and its ends of links vanish while they are looked at."""
    for pause in REWIRE_PAUSES:
        try:
            make(*arguments)
            return
        except OSError:
            time.sleep(pause)
    make(*arguments)


def _length(vpc: Vpc) -> int:
    return int(vpc.cidr.split("/")[1])


def _on_lo(address: str) -> str:
    return f"{address}/128 dev lo nodad" if ":" in address else f"{address}/32 dev lo"


def _local_addresses(router: Namespace) -> Iterator[str]:
    for interface in router.ip_json("address", "show", "dev", "lo"):
        for entry in interface["addr_info"]:
            if entry["prefixlen"] == {"inet": 32, "inet6": 128}[entry["family"]] and entry["local"] != "::1":
                yield entry["local"]


def _void(space: Namespace, cidr: str) -> None:
    """Addresses that nobody has are silence: a link to nowhere, which asks nobody for a way."""
    if not _has_link(space, "void"):
        space.ip(
            "link add void type veth peer name void-end",
            "link set void arp off up",
            "link set void-end up",
            f"route replace {cidr} dev void",
        )


def _has_link(space: Namespace, name: str) -> bool:
    return any(link.get("ifname") == name for link in space.ip_json("link", "show"))


def _delete_link(space: Namespace, name: str) -> None:
    if _has_link(space, name):
        space.ip(f"link delete {name}")
