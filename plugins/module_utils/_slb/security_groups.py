# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whom the security groups of a server let in, and why not. Pure: groups come in as the API tells them.

The rules are those of the pages AuthorizeSecurityGroup and ModifySecurityGroupPolicy of ECS: all groups of a server count together, the
smallest priority first, a drop before an accept of the same priority; members of a group reach each other before any rule is
looked at where its InnerAccessPolicy is Accept; and what no rule accepts is refused.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import typing as t

Network = t.Union[ipaddress.IPv4Network, ipaddress.IPv6Network]

ACCEPT, DROP = "accept", "drop"
ALL = "all"
EVERY_PORT = (1, 65535)


@dataclasses.dataclass(frozen=True)
class Rule:
    """An ingress rule. It is for a network, for the members of a group, or for those that only unclear names."""

    id: str
    security_group: str
    policy: str
    priority: int
    protocol: str
    ports: tuple[int, int] = EVERY_PORT
    source: Network | None = None
    source_group: str = ""
    destination: Network | None = None
    #: What of it the API does not spell out: a list of networks or ports, or ports that it has to come from.
    unclear: str = ""

    @property
    def words(self) -> str:
        """How a sentence calls it."""
        ports = "" if self.ports == EVERY_PORT else f" {self.ports[0]}/{self.ports[1]}"
        source = self.source_group or str(self.source or self.unclear)
        return (
            f"the rule {self.id or 'without an id'} of {self.security_group} (priority {self.priority}, {self.policy}"
            f" {self.protocol}{ports} from {source})"
        )


@dataclasses.dataclass(frozen=True)
class SecurityGroup:
    """A security group. inner_access is whether its members reach each other, whatever the rules say."""

    id: str
    name: str
    inner_access: bool
    rules: tuple[Rule, ...] = ()


@dataclasses.dataclass(frozen=True)
class Source:
    """Who calls: a network, or a single server with the ids of its groups."""

    network: Network
    groups: frozenset[str] = frozenset()

    @property
    def words(self) -> str:
        single = self.network.num_addresses == 1
        return str(self.network.network_address if single else self.network)


@dataclasses.dataclass(frozen=True)
class Verdict:
    """Whether all of a source is let in; None where the API does not say enough. by is the id of the rule or group that decides."""

    allowed: bool | None
    reason: str
    by: str | None = None


def group(answer: t.Mapping[str, t.Any], permissions: t.Iterable[t.Mapping[str, t.Any]]) -> SecurityGroup:
    """A group as DescribeSecurityGroupAttribute tells it, with the permissions of all pages."""
    identifier = str(answer["SecurityGroupId"])
    return SecurityGroup(
        identifier,
        str(answer.get("SecurityGroupName") or ""),
        str(answer.get("InnerAccessPolicy") or "").lower() == ACCEPT,
        tuple(_rule(identifier, one) for one in permissions if one.get("Direction") == "ingress"),
    )


def _rule(security_group: str, told: t.Mapping[str, t.Any]) -> Rule:
    cidr = told.get("SourceCidrIp") or told.get("Ipv6SourceCidrIp")
    to = told.get("DestCidrIp") or told.get("Ipv6DestCidrIp")
    unclear = [
        f"{what} {told[key]}"
        for key, what, every in (
            ("SourcePrefixListId", "the prefix list", ""),
            ("PortRangeListId", "the port list", ""),
            ("SourcePortRange", "source ports", "-1/-1"),
        )
        if told.get(key) and told[key] != every
    ]
    return Rule(
        id=str(told.get("SecurityGroupRuleId") or ""),
        security_group=security_group,
        policy=str(told["Policy"]).lower(),
        priority=int(told.get("Priority") or 1),
        protocol=str(told["IpProtocol"]).lower(),
        ports=_ports(str(told.get("PortRange") or "")),
        source=ipaddress.ip_network(cidr, strict=False) if cidr else None,
        source_group=str(told.get("SourceGroupId") or ""),
        destination=ipaddress.ip_network(to, strict=False) if to else None,
        unclear=" and ".join(unclear),
    )


def _ports(text: str) -> tuple[int, int]:
    """80/90 as two numbers; -1/-1 is every port, and so is what a list of ports says in its place."""
    first, dummy, last = text.partition("/")
    if not (first.isdecimal() and last.isdecimal()):
        return EVERY_PORT
    return int(first), int(last)


def judge(address: str, groups: t.Sequence[SecurityGroup], source: Source, port: int, protocol: str = "tcp") -> Verdict:
    """Whether a source reaches a port of a server with an address in these groups."""
    if str(source.network.network_address) == address and source.network.num_addresses == 1:
        return Verdict(True, "it is the server itself")
    if not groups:
        return Verdict(None, "the API tells of no security group of this server")
    for one in groups:
        if one.inner_access and one.id in source.groups:
            return Verdict(True, f"both are members of {one.id}, whose members reach each other", one.id)
    left: list[Network] = [source.network]
    unclear: list[Rule] = []
    last = None
    for rule in _in_order(groups, address, port, protocol):
        if rule.unclear:
            unclear.append(rule)
            continue
        covered, rest = _split(left, rule, source)
        if not covered:
            continue
        if rule.policy == DROP:
            return _unless(unclear, ACCEPT, Verdict(False, f"{rule.words} refuses it", rule.id))
        left, last = rest, rule
        if not left:
            return _unless(unclear, DROP, Verdict(True, f"{rule.words} lets it in", rule.id))
    whole = last is None
    part = "it" if whole else ", ".join(map(str, ipaddress.collapse_addresses(left)))  # type: ignore[type-var]
    names = ", ".join(one.id for one in groups)
    return _unless(unclear, ACCEPT, Verdict(False, f"no rule of {names} lets {part} in"))


def _in_order(groups: t.Sequence[SecurityGroup], address: str, port: int, protocol: str) -> list[Rule]:
    """The rules that are about a port of a server, in the order in which they count."""
    own = ipaddress.ip_address(address)
    found = [
        rule
        for one in groups
        for rule in one.rules
        if rule.protocol in (ALL, protocol)
        and rule.ports[0] <= port <= rule.ports[1]
        and (rule.destination is None or own in rule.destination)
    ]
    return sorted(found, key=lambda rule: (rule.priority, rule.policy != DROP))


def _split(networks: t.Sequence[Network], rule: Rule, source: Source) -> tuple[bool, list[Network]]:
    """Whether a rule is about some of these networks, and those that it is not about."""
    if rule.source is None:
        about = bool(rule.source_group) and rule.source_group in source.groups
        return about, [] if about else list(networks)
    rest: list[Network] = []
    for network in networks:
        if network.version != rule.source.version or not network.overlaps(rule.source):
            rest.append(network)
        elif not network.subnet_of(rule.source):  # type: ignore[arg-type]
            rest += network.address_exclude(rule.source)  # type: ignore[arg-type]
    return rest != list(networks), rest


def _unless(unclear: t.Sequence[Rule], policy: str, verdict: Verdict) -> Verdict:
    """The verdict, or none where a rule came before that might say the opposite."""
    other = next((rule for rule in unclear if rule.policy == policy), None)
    if other is None:
        return verdict
    return Verdict(None, f"that depends on {other.unclear} of {other.words}", other.id)


@dataclasses.dataclass(frozen=True)
class Access:
    """A server as a user calls it, its id and its address, and its groups."""

    name: str
    id: str
    address: str
    groups: tuple[SecurityGroup, ...]

    @property
    def words(self) -> str:
        return self.name if self.name == self.id else f"{self.name} ({self.id})"


def table(
    servers: t.Sequence[Access], ports: t.Sequence[int], protocol: str, sources: t.Sequence[Source]
) -> dict[str, t.Any]:
    """Every server, port and source with its verdict, and the sentences on those that are not let in."""
    access, problems, unclear = [], [], []
    for server in servers:
        for port in ports:
            for source in sources:
                verdict = judge(server.address, server.groups, source, port, protocol)
                access.append(
                    {"server": server.name, "port": port, "source": source.words, **dataclasses.asdict(verdict)}
                )
                where = f"port {port}/{protocol} of {server.words}"
                if verdict.allowed is None:
                    unclear.append(f"Whether {source.words} reaches {where} cannot be told: {verdict.reason}.")
                elif not verdict.allowed:
                    problems.append(
                        f"{source.words} is kept out of {where}: {verdict.reason}; let {protocol} {port}/{port} in from"
                        f" {source.words} there."
                    )
    return {"access": access, "problems": problems, "unclear": unclear}
