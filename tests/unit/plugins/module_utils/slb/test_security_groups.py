# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whom the rules of security groups let in."""

from __future__ import annotations

import ipaddress

import pytest

from ansible_collections.clusterfront.ha.plugins.module_utils._slb.security_groups import (
    Access,
    Source,
    group,
    judge,
    table,
)

SERVER = "192.0.2.21"
CHECKS = "100.64.0.0/10"


def permission(source="", number=1, **changes):
    """A rule as the API tells it: texts, and empty ones for what it does not have."""
    return {
        "SecurityGroupRuleId": f"sgr-{number}",
        "Direction": "ingress",
        "IpProtocol": "TCP",
        "PortRange": "6443/6443",
        "SourcePortRange": "",
        "SourceCidrIp": source,
        "SourceGroupId": "",
        "SourcePrefixListId": "",
        "DestCidrIp": "",
        "Policy": "Accept",
        "Priority": "1",
        **changes,
    }


def security_group(*permissions, name="sg-a", inner="Accept"):
    return group({"SecurityGroupId": name, "SecurityGroupName": "prod", "InnerAccessPolicy": inner}, permissions)


def source(network, *groups):
    return Source(ipaddress.ip_network(network), frozenset(groups))


def allowed(*permissions, by=CHECKS, port=6443, protocol="tcp", member=()):
    return judge(SERVER, [security_group(*permissions)], source(by, *member), port, protocol).allowed


def test_a_group_is_read():
    read = security_group(permission("192.0.2.0/24"), permission(CHECKS, Direction="egress"), inner="Drop")
    assert (read.id, read.name, read.inner_access, len(read.rules)) == ("sg-a", "prod", False, 1)
    (rule,) = read.rules
    assert (rule.policy, rule.priority, rule.protocol, rule.ports) == ("accept", 1, "tcp", (6443, 6443))
    assert rule.words == "the rule sgr-1 of sg-a (priority 1, accept tcp 6443/6443 from 192.0.2.0/24)"
    every = security_group(permission("0.0.0.0/0", SecurityGroupRuleId=None, IpProtocol="ALL", PortRange="-1/-1"))
    assert every.rules[0].words == "the rule without an id of sg-a (priority 1, accept all from 0.0.0.0/0)"


@pytest.mark.parametrize(
    ("permissions", "is_allowed"),
    [
        ([], False),
        ([permission(CHECKS)], True),
        ([permission("0.0.0.0/0")], True),
        ([permission(CHECKS, IpProtocol="ALL", PortRange="-1/-1")], True),
        ([permission(CHECKS, PortRange="6000/7000")], True),
        ([permission(CHECKS, PortRange="6444/7000")], False),
        ([permission(CHECKS, IpProtocol="UDP")], False),
        ([permission("::/0"), permission("", Ipv6SourceCidrIp="::/0")], False),
        # a half is not the whole, two halves are
        ([permission("100.64.0.0/11")], False),
        ([permission("100.64.0.0/11"), permission("100.96.0.0/11")], True),
        # the smaller number counts first, and a drop before an accept of the same
        ([permission(CHECKS, Priority="2"), permission("0.0.0.0/0", Policy="Drop", Priority="3")], True),
        ([permission(CHECKS, Priority="2"), permission("0.0.0.0/0", Policy="Drop", Priority="2")], False),
        ([permission(CHECKS), permission("100.64.0.0/16", Policy="Drop")], False),
        ([permission(CHECKS), permission("100.64.0.0/16", Policy="Drop", Priority="9")], True),
        ([permission(CHECKS), permission("192.0.2.0/24", Policy="Drop")], True),
        # of members of another group an address is none, nor is a network
        ([permission(SourceGroupId="sg-b")], False),
        ([permission(CHECKS, DestCidrIp="192.0.2.0/24")], True),
        ([permission(CHECKS, DestCidrIp="192.0.2.22/32")], False),
    ],
)
def test_rules_in_their_order(permissions, is_allowed):
    assert allowed(*permissions) is is_allowed


def test_all_groups_of_a_server_count_together():
    first = security_group(permission(CHECKS, Priority="5"))
    second = security_group(permission("0.0.0.0/0", 2, Policy="Drop", Priority="4"), name="sg-b")
    assert judge(SERVER, [first], source(CHECKS), 6443).allowed is True
    verdict = judge(SERVER, [first, second], source(CHECKS), 6443)
    assert (verdict.allowed, verdict.by) == (False, "sgr-2")


def test_members_of_a_group_reach_each_other_before_any_rule():
    drop = permission("0.0.0.0/0", Policy="Drop")
    assert judge(SERVER, [security_group(drop)], source("192.0.2.11", "sg-a"), 6443).by == "sg-a"
    assert judge(SERVER, [security_group(drop)], source("192.0.2.11", "sg-b"), 6443).allowed is False
    isolated = security_group(inner="Drop")
    assert judge(SERVER, [isolated], source("192.0.2.11", "sg-a"), 6443).allowed is False
    accept = security_group(permission(SourceGroupId="sg-b"), inner="Drop")
    assert judge(SERVER, [accept], source("192.0.2.11", "sg-b"), 6443).by == "sgr-1"


def test_a_server_reaches_itself():
    assert judge(SERVER, [security_group()], source(SERVER), 6443).allowed is True


UNCLEAR = [{"SourcePrefixListId": "pl-1"}, {"SourcePortRange": "1/1023"}, {"PortRangeListId": "prl-1", "PortRange": ""}]


@pytest.mark.parametrize("what", UNCLEAR)
def test_what_the_api_does_not_spell_out_is_not_known(what):
    early, late = {**what, "Priority": "1"}, {**what, "Priority": "9"}
    assert allowed(permission(number=7, **early)) is None
    assert allowed(permission(CHECKS, Priority="5"), permission(number=7, **early)) is True
    assert allowed(permission(CHECKS, Priority="5"), permission(number=7, Policy="Drop", **early)) is None
    assert allowed(permission(CHECKS, Priority="5"), permission(number=7, Policy="Drop", **late)) is True
    assert allowed(permission(CHECKS, Priority="5", Policy="Drop"), permission(number=7, **early)) is None
    assert allowed(permission(CHECKS, Priority="5", Policy="Drop"), permission(number=7, **late)) is False


def test_a_server_without_groups_is_not_known():
    assert judge(SERVER, [], source(CHECKS), 6443).allowed is None


def test_the_table_and_its_sentences():
    groups = (security_group(permission("192.0.2.0/24"), permission("100.64.0.0/11", 2, Policy="Drop")),)
    servers = [Access(SERVER, "i-1", SERVER, groups), Access("i-2", "i-2", "192.0.2.22", ())]
    made = table(servers, [6443], "tcp", [source(CHECKS), source("192.0.2.31")])
    assert made["access"] == [
        {
            "server": SERVER,
            "port": 6443,
            "source": CHECKS,
            "allowed": False,
            "reason": "the rule sgr-2 of sg-a (priority 1, drop tcp 6443/6443 from 100.64.0.0/11) refuses it",
            "by": "sgr-2",
        },
        {
            "server": SERVER,
            "port": 6443,
            "source": "192.0.2.31",
            "allowed": True,
            "reason": "the rule sgr-1 of sg-a (priority 1, accept tcp 6443/6443 from 192.0.2.0/24) lets it in",
            "by": "sgr-1",
        },
        *(
            {
                "server": "i-2",
                "port": 6443,
                "source": caller,
                "allowed": None,
                "reason": "the API tells of no security group of this server",
                "by": None,
            }
            for caller in (CHECKS, "192.0.2.31")
        ),
    ]
    assert made["problems"] == [
        "100.64.0.0/10 is kept out of port 6443/tcp of 192.0.2.21 (i-1): the rule sgr-2 of sg-a (priority 1, drop tcp 6443/6443 from"
        " 100.64.0.0/11) refuses it; let tcp 6443/6443 in from 100.64.0.0/10 there."
    ]
    assert made["unclear"][0] == (
        "Whether 100.64.0.0/10 reaches port 6443/tcp of i-2 cannot be told: the API tells of no security group of this server."
    )


def test_the_part_that_nobody_lets_in_is_named():
    groups = [security_group(permission("100.64.0.0/11")), security_group(name="sg-b")]
    verdict = judge(SERVER, groups, source(CHECKS), 6443)
    assert verdict.reason == "no rule of sg-a, sg-b lets 100.96.0.0/11 in"
    assert judge(SERVER, groups[1:], source(CHECKS), 6443).reason == "no rule of sg-b lets it in"
