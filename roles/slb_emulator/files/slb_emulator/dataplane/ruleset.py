# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The text of the rules that forward connections. Pure: who loads it, and where, is no matter of this file.

Every listener has a chain, which sees the first packet of a connection only, so that a change never breaks one. It
picks a server by its number; the map `servers` leads from numbers to addresses. Lists of turns and of networks are
named by what is in them, so that listeners that have the same share one.
"""

from __future__ import annotations

import functools
import hashlib
import math
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from ..forwarding import Forward, Member

LONGEST_TURN = 1024  # places; more do not make a turn smoother, only slower to load
RELAY_MARK = 0x51B  # connections that the relay opens; numbers of servers are above
ANSWER_MARK = 0x51D  # packets of these connections that come back
_LEAST_BURST = 131_072  # bytes; less would not let a packet through that is as large as the kernel makes them
_CUT = 0x51C  # connections whose client was told of their end
_FIRST_NUMBER = 0x10000

Server = tuple[str, int]  # address and port


class Run(NamedTuple):
    """So many new connections in a row for one server."""

    server: Server
    length: int


def turn(members: Sequence[Member], equal: bool = False) -> list[Run]:
    """One full turn of a weighted round robin, spread out: 30 and 90 give one of each four, not ninety in a row.

    The places of a member lie evenly over the turn, and those of several with the same weight beside each other. Where
    they would be more than LONGEST_TURN, a place is worth several connections; over a full turn the weights are met
    exactly in any case.
    """
    weights = [1 if equal else member.weight for member in members]
    divisor = math.gcd(*weights)
    weights = [weight // divisor for weight in weights]
    size = math.ceil(sum(weights) / LONGEST_TURN)
    places = []
    for index, weight in enumerate(weights):
        phase = (index + 0.5) / len(weights)
        for start in range(0, weight, size):
            length = min(size, weight - start)
            places.append(((start + phase * length) / weight, index, length))
    return [Run((members[index].address, members[index].port), length) for dummy, index, length in sorted(places)]


def numbers(servers: Collection[Server]) -> dict[Server, int]:
    """A number for each server that does not depend on the others, but for two that would have the same."""
    found: dict[Server, int] = {}
    taken: set[int] = set()
    for server in sorted(servers):
        number = max(zlib.crc32(f"{server[0]}:{server[1]}".encode()), _FIRST_NUMBER)
        while number in taken:
            number = number + 1 if number < 0xFFFFFFFF else _FIRST_NUMBER
        taken.add(number)
        found[server] = number
    return found


@dataclass
class Table:
    """What a table has to hold beside its fixed part; each of them by its name."""

    objects: dict[str, str] = field(default_factory=dict)  # "set acl_1": "{ type ... }"
    chains: dict[str, tuple[str, ...]] = field(default_factory=dict)
    listeners: dict[str, str] = field(default_factory=dict)  # "address . protocol . port": chain
    servers: dict[int, str] = field(default_factory=dict)  # number: "address . port"

    def shared(self, kind: str, prefix: str, definition: str) -> str:
        """The name of an object that all share who need the same; it is there once."""
        name = f"{prefix}_{hashlib.sha256(definition.encode()).hexdigest()[:16]}"
        self.objects[f"{kind} {name}"] = definition
        return name


def chain_name(forward: Forward) -> str:
    return f"{forward.protocol}_{forward.address.replace('.', '_').replace(':', '_')}_{forward.port}"


def _element(forward: Forward) -> str:
    return f"{forward.address} . {forward.protocol} . {forward.port}"


_EVERYBODY = ("0.0.0.0/0", "::/0")
# A connection ID stands behind the first byte of a short header, and behind version and length in a long one. Its
# length is known only to the servers; eight bytes are what most of them use, and the least for a client's first one.
_SHORT_ID, _LONG_ID = "@th,72,64", "@th,112,64"
_HASHED = {"sch": "ip saddr", "tch": "ip saddr . th sport"}
_SEED = "seed 0x51b"  # without one the kernel takes another each time, and a change of anything would move everybody


def _guard(forward: Forward, table: Table) -> Iterator[str]:
    """Access lists: whoever is not let in gets nothing at all, not even a refusal."""
    family, kind = ("ip6", "ipv6_addr") if forward.ipv6 else ("ip", "ipv4_addr")

    def networks(which: Sequence[str]) -> str:
        elements = f"{{ type {kind} ; flags interval ; elements = {{ {', '.join(which)} }} ; }}"
        return "@" + table.shared("set", "acl", elements)

    # Only new connections come here at all. But a namespace tracks none, and asks no nat chain, until a rule needs it to.
    if forward.allowed == () or any(network in forward.denied for network in _EVERYBODY):
        yield "ct state new drop"
    elif forward.allowed is not None and not any(network in forward.allowed for network in _EVERYBODY):
        yield f"ct state new {family} saddr != {networks(forward.allowed)} drop"
    elif forward.denied:
        yield f"ct state new {family} saddr {networks(forward.denied)} drop"


def _refusal(forward: Forward) -> str:
    if forward.protocol == "tcp":
        return "meta l4proto tcp reject with tcp reset"
    return f"reject with {'icmpv6' if forward.ipv6 else 'icmp'} type port-unreachable"


def _idle(forward: Forward, table: Table) -> Iterator[str]:
    """When a connection without packets is forgotten. What comes after that is refused, not begun in its middle."""
    if forward.protocol == "tcp":
        yield "tcp flags & (fin | syn | rst | ack) != syn reject with tcp reset"
    if forward.idle:
        seconds = round(forward.idle)
        states = ("established",) if forward.protocol == "tcp" else ("unreplied", "replied")
        policy = ", ".join(f"{state} : {seconds}" for state in states)
        name = f"{forward.protocol}_{seconds}"
        table.objects[f"ct timeout {name}"] = (
            f"{{ protocol {forward.protocol} ; l3proto ip ; policy = {{ {policy} }} ; }}"
        )
        yield f'ct timeout set "{name}"'


def _spreads(scheduler: str, length: int) -> Iterator[tuple[str, str]]:
    """Which place of the turn a new connection takes: conditions, each with what gives the place."""
    if scheduler == "qch":
        yield "@th,64,1 1 ", f"jhash {_LONG_ID} mod {length} {_SEED}"
        yield "@th,64,1 0 ", f"jhash {_SHORT_ID} mod {length} {_SEED}"
    elif scheduler in _HASHED:
        yield "", f"jhash {_HASHED[scheduler]} mod {length} {_SEED}"
    else:
        yield "", f"numgen inc mod {length}"


def _balance(forward: Forward, table: Table, number: Mapping[Server, int]) -> Iterator[str]:
    """The choice of a server; ct mark is its number."""
    own = tuple(number[member.address, member.port] for member in forward.members)
    places, length = _places(forward.members, own, forward.scheduler == "rr")
    order = table.shared(
        "map", "turn", f"{{ typeof numgen inc mod 2 : ct mark ; flags interval ; elements = {places} ; }}"
    )
    to_server = f"meta l4proto {forward.protocol} dnat ip to ct mark map @servers"
    picks = tuple(
        f"{condition}ct mark set {place} map @{order}" for condition, place in _spreads(forward.scheduler, length)
    )
    if not forward.persistence:
        yield from picks
        yield to_server
        return
    stuck = f"stuck_{chain_name(forward)}"
    table.objects[f"map {stuck}"] = "{ type ipv4_addr : mark ; flags dynamic,timeout ; size 65535 ; }"
    alive = ", ".join(map(str, sorted(set(own))))
    living = table.shared("set", "alive", f"{{ type mark ; elements = {{ {alive} }} ; }}")
    keep = f"update @{stuck} {{ ip saddr timeout {forward.persistence}s : ct mark }}"
    yield f"ct mark set ip saddr map @{stuck}"
    yield f"ct mark @{living} {keep} {to_server}"
    # An update does not change what an element leads to.
    yield f"delete @{stuck} {{ ip saddr : ct mark }}"
    yield from picks
    yield keep
    yield to_server


@functools.lru_cache(maxsize=256)
def _places(members: tuple[Member, ...], number: tuple[int, ...], equal: bool) -> tuple[str, int]:
    """The elements of a map from places to servers' numbers, and how many connections a full turn is."""
    by_server = {(member.address, member.port): value for member, value in zip(members, number)}
    elements = []
    end = 0
    for server, length in turn(members, equal):
        place = str(end) if length == 1 else f"{end}-{end + length - 1}"
        elements.append(f"{place} : {by_server[server]}")
        end += length
    return f"{{ {', '.join(elements)} }}", end


def _chain(forward: Forward, table: Table, number: Mapping[Server, int]) -> Iterator[str]:
    """The rules of one listener."""
    yield from _guard(forward, table)
    if not forward.members and not forward.website:
        yield _refusal(forward)
        return
    if forward.shut_out and not forward.ipv6:
        closed = table.shared("set", "out", f"{{ type ipv4_addr ; elements = {{ {', '.join(forward.shut_out)} }} ; }}")
        yield f"ip saddr @{closed} drop"
    if forward.relayed:
        yield "accept"  # the relay, or the proxy of layer 7, listens in the namespace itself
        return
    yield from _idle(forward, table)
    yield from _balance(forward, table, number)
    # A packet that meets these rules and already the next state of the maps finds no server. It is lost, and sent again.
    yield "drop"


def _cuts(forwards: Collection[Forward]) -> Iterator[str]:
    """Ends connections to servers whose time to drain is over, as soon as either side sends a packet.

    A refusal goes only to who sent. So the first packet of a server becomes the end of the connection for its client,
    and the next one is refused; a client that only reads would wait for ever otherwise.
    """
    for forward in forwards:
        for address, port in forward.cut if not forward.relayed else ():
            connection = (
                f"meta l4proto {forward.protocol} ct original ip daddr {forward.address} "
                f"ct original proto-dst {forward.port} ct reply ip saddr {address} ct reply proto-src {port}"
            )
            yield f"{connection} ct direction reply ct mark != {_CUT} ct mark set {_CUT} tcp flags set rst accept"
            yield f"{connection} reject with tcp reset"


def _rates(forwards: Collection[Forward], direction: str) -> Iterator[str]:
    """What is more than a listener's bandwidth is lost, as at the limit of the cloud; TCP slows down by it."""
    for forward in forwards:
        if forward.bandwidth:
            family = "ip6" if forward.ipv6 else "ip"
            each_second = forward.bandwidth * 125_000
            burst = max(_LEAST_BURST, each_second // 20)
            yield (
                f"meta l4proto {forward.protocol} ct direction {direction} "
                f"ct original {family} daddr {forward.address} ct original proto-dst {forward.port} "
                f"limit rate over {each_second} bytes/second burst {burst} bytes drop"
            )


def tables(forwards: Collection[Forward]) -> dict[str, Table]:
    """What has to be there for these listeners, by family."""
    found = {"ip": Table(), "ip6": Table()}
    number = numbers(
        {(member.address, member.port) for forward in forwards if not forward.relayed for member in forward.members}
    )
    found["ip"].servers = {value: f"{server[0]} . {server[1]}" for server, value in number.items()}
    found["ip"].chains["cut"] = tuple(_cuts(forwards))
    for family, table in found.items():
        own = [forward for forward in forwards if forward.ipv6 == (family == "ip6")]
        table.chains["rate_in"] = tuple(_rates(own, "original"))
        table.chains["rate_out"] = tuple(_rates(own, "reply"))
    for forward in forwards:
        table, name = found["ip6" if forward.ipv6 else "ip"], chain_name(forward)
        table.chains[name] = tuple(_chain(forward, table, number))
        table.listeners[_element(forward)] = name
    return found


# Whoever calls a public instance from inside goes out first, and comes back from a public address.
_FIXED = {
    "ip": f"""\
add table ip slb
delete table ip slb
add table ip slb
add map ip slb listeners {{ type ipv4_addr . inet_proto . inet_service : verdict ; }}
add map ip slb servers {{ type mark : ipv4_addr . inet_service ; }}
add chain ip slb cut {{ type filter hook prerouting priority mangle ; policy accept ; }}
add chain ip slb pre {{ type nat hook prerouting priority dstnat ; policy accept ; }}
add rule ip slb pre iifname != "internet" ip daddr 203.0.113.0/24 accept
add rule ip slb pre ip daddr . ip protocol . th dport vmap @listeners
add chain ip slb rate_in {{ type filter hook prerouting priority filter ; policy accept ; }}
add chain ip slb rate_out {{ type filter hook postrouting priority filter ; policy accept ; }}
add chain ip slb relay_out {{ type filter hook output priority mangle ; policy accept ; }}
add rule ip slb relay_out meta mark {RELAY_MARK} ct mark set meta mark
add chain ip slb relay_in {{ type filter hook prerouting priority mangle ; policy accept ; }}
add rule ip slb relay_in ct mark {RELAY_MARK} meta mark set {ANSWER_MARK}
""",
    "ip6": """\
add table ip6 slb
delete table ip6 slb
add table ip6 slb
add map ip6 slb listeners { type ipv6_addr . inet_proto . inet_service : verdict ; }
add chain ip6 slb pre { type filter hook prerouting priority dstnat ; policy accept ; }
add chain ip6 slb rate_in { type filter hook prerouting priority filter ; policy accept ; }
add chain ip6 slb rate_out { type filter hook postrouting priority filter ; policy accept ; }
add rule ip6 slb pre ct state new ip6 daddr . meta l4proto . th dport vmap @listeners
""",
}


def _elements(family: str, verb: str, name: str, entries: Collection[str]) -> Iterator[str]:
    if entries:
        yield f"{verb} element {family} slb {name} {{ {', '.join(entries)} }}"


def _difference(family: str, before: Table, after: Table) -> Iterator[str]:
    """Chains let go of objects before these are deleted, and objects are there before chains need them."""
    gone = [element for element in before.listeners if element not in after.listeners]
    yield from _elements(family, "delete", "listeners", gone)
    changed = {name: rules for name, rules in after.chains.items() if rules != before.chains.get(name)}
    for name in before.chains:
        if name in changed or name not in after.chains:
            yield f"flush chain {family} slb {name}"
    for name in before.chains:
        if name not in after.chains:
            yield f"delete chain {family} slb {name}"
    for name in before.objects:
        if name not in after.objects:
            kind, dummy, own = name.rpartition(" ")
            yield f"delete {kind} {family} slb {own}"
    left = [str(number) for number, place in before.servers.items() if after.servers.get(number) != place]
    come = [f"{number} : {place}" for number, place in after.servers.items() if before.servers.get(number) != place]
    yield from _elements(family, "delete", "servers", left)
    yield from _elements(family, "add", "servers", come)
    for name, definition in after.objects.items():
        if name not in before.objects:
            kind, dummy, own = name.rpartition(" ")
            yield f"add {kind} {family} slb {own} {definition}"
    for name, rules in changed.items():
        if name not in before.chains:
            yield f"add chain {family} slb {name}"
        yield from (f"add rule {family} slb {name} {rule}" for rule in rules)
    new = [f"{element} : goto {name}" for element, name in after.listeners.items() if element not in before.listeners]
    yield from _elements(family, "add", "listeners", new)


def transaction(old: Mapping[str, Table] | None, new: Mapping[str, Table]) -> str:
    """The commands from the one state of the tables to the other; None: whatever is there is replaced."""
    before = tables(()) if old is None else old
    text = []
    for family, after in new.items():
        text.append(_FIXED[family] if old is None else "")
        text += [f"{line}\n" for line in _difference(family, before[family], after)]
    return "".join(text)


def silence(links: Collection[str]) -> str:
    """Packets of these links vanish; an interface that is down would make the router answer for them instead."""
    lines = [
        "add table inet links",
        "delete table inet links",
        "add table inet links",
        "add chain inet links in { type filter hook prerouting priority raw ; policy accept ; }",
        "add chain inet links out { type filter hook postrouting priority 300 ; policy accept ; }",
    ]
    if links:
        names = ", ".join(f'"{name}"' for name in sorted(links))
        lines += [
            f"add rule inet links in iifname {{ {names} }} drop",
            f"add rule inet links out oifname {{ {names} }} drop",
        ]
    return "".join(f"{line}\n" for line in lines)
