# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Security groups as ECS tells them."""

from __future__ import annotations

import json
import urllib.error
from typing import Any

import pytest
from Tea.exceptions import TeaException

from emulator_harness import Emulator, Slb, inventory


def told(slb: Slb, identifier: str, **query: Any) -> dict[str, Any]:
    return slb.ecs("DescribeSecurityGroupAttribute", SecurityGroupId=identifier, **query)


def permissions(answer: dict[str, Any]) -> list[dict[str, Any]]:
    return list(answer["Permissions"]["Permission"])


def groups_of(slb: Slb, name: str) -> list[str]:
    (instance,) = slb.ecs(InstanceName=name)["Instances"]["Instance"]
    (interface,) = slb.ecs("DescribeNetworkInterfaces", InstanceId=instance["InstanceId"])["NetworkInterfaceSets"][
        "NetworkInterfaceSet"
    ]
    assert interface["SecurityGroupIds"] == instance["SecurityGroupIds"]
    return list(instance["SecurityGroupIds"]["SecurityGroupId"])


def with_groups(*groups: dict[str, Any], members: tuple[str, ...] = ()) -> dict[str, Any]:
    made = inventory({"web-1": "192.0.2.11", "web-2": "192.0.2.12"})
    made["machines"][0]["security_group_ids"] = list(members)
    return {**made, "security_groups": list(groups)}


GROUP: dict[str, Any] = {
    "security_group_id": "sg-own",
    "vpc": "lab",
    "name": "own",
    "inner_access": False,
    "rules": [
        {"source_cidr": "100.64.0.0/10", "protocol": "TCP", "ports": "6443/6443", "policy": "Drop", "priority": 5},
        {"source_group": "sg-ut-lab"},
        {"source_prefix_list": "pl-ut", "direction": "egress"},
    ],
}


def test_machines_are_in_the_default_group_of_their_vpc(emulator: Emulator, slb: Slb) -> None:
    emulator.control("PUT", "inventory", with_groups())
    assert groups_of(slb, "web-2") == ["sg-ut-lab"]
    answer = told(slb, "sg-ut-lab")
    assert (answer["VpcId"], answer["InnerAccessPolicy"], answer["NextToken"]) == ("vpc-ut-lab", "Accept", "")
    assert [(rule["SourceCidrIp"], rule["Policy"], rule["PortRange"]) for rule in permissions(answer)] == [
        (network, "Accept", "-1/-1") for network in ("192.0.2.0/24", "100.64.0.0/10", "203.0.113.0/24")
    ]


def test_groups_and_rules_are_set_by_the_inventory(emulator: Emulator, slb: Slb) -> None:
    given = with_groups(GROUP, members=("sg-own", "sg-ut-lab"))
    assert emulator.control("PUT", "inventory", given) == {"changed": True}
    assert emulator.control("PUT", "inventory", given) == {"changed": False}
    assert groups_of(slb, "web-1") == ["sg-own", "sg-ut-lab"] and groups_of(slb, "web-2") == ["sg-ut-lab"]
    answer = told(slb, "sg-own")
    assert (answer["SecurityGroupName"], answer["InnerAccessPolicy"]) == ("own", "Drop")
    first, second, third = permissions(answer)
    assert first == {
        "SecurityGroupRuleId": "sgr-own-1",
        "Direction": "ingress",
        "IpProtocol": "TCP",
        "PortRange": "6443/6443",
        "SourcePortRange": "",
        "SourceCidrIp": "100.64.0.0/10",
        "SourceGroupId": "",
        "SourcePrefixListId": "",
        "DestCidrIp": "",
        "Policy": "Drop",
        "Priority": "5",
        "NicType": "intranet",
        "Description": "",
    }
    assert (second["SourceGroupId"], second["IpProtocol"]) == ("sg-ut-lab", "ALL")
    assert (third["SourcePrefixListId"], third["Direction"]) == ("pl-ut", "egress")
    assert permissions(told(slb, "sg-own", Direction="egress")) == [third]
    assert permissions(told(slb, "sg-own", Direction="ingress")) == [first, second]


def test_pages_of_rules(emulator: Emulator, slb: Slb) -> None:
    rules = [{"source_cidr": f"192.0.2.{number}/32"} for number in range(12)]
    emulator.control("PUT", "inventory", with_groups({**GROUP, "rules": rules}))
    first = told(slb, "sg-own", MaxResults="10")
    rest = told(slb, "sg-own", MaxResults="10", NextToken=first["NextToken"])
    assert [len(permissions(page)) for page in (first, rest)] == [10, 2] and rest["NextToken"] == ""


@pytest.mark.parametrize(("identifier", "region"), [("sg-none", "cn-hangzhou"), ("sg-ut-lab", "cn-shanghai")])
def test_a_group_that_is_not_there(emulator: Emulator, identifier: str, region: str) -> None:
    with pytest.raises(TeaException) as caught:
        told(Slb(emulator.address, region=region), identifier)
    assert (caught.value.code, caught.value.status_code) == ("InvalidSecurityGroupId.NotFound", 404)


@pytest.mark.parametrize(
    ("groups", "members", "sentence"),
    [
        ([GROUP, GROUP], (), "security group sg-own is there twice"),
        ([{**GROUP, "vpc": "other"}], (), "sg-own is in VPC other, which is not in the inventory"),
        ([], ("sg-none",), "machine web-1 is in security group sg-none, which its VPC does not have"),
        ([{**GROUP, "rules": [{}]}], (), "needs one of source_cidr, source_group and source_prefix_list"),
        ([{**GROUP, "rules": [{"source_group": "sg-a", "ports": "80"}]}], (), "ports 80 of a rule of"),
        ([{**GROUP, "rules": [{"source_group": "sg-a", "policy": "No"}]}], (), "has policy No and direction ingress"),
        ([{**GROUP, "rules": [{"source_group": "sg-a", "priority": 0}]}], (), "priority 0 of a rule"),
        ([{**GROUP, "rules": [{"source_cidr": "192.0.2.1/24"}]}], (), "192.0.2.1/24 has host bits set"),
    ],
)
def test_groups_that_cannot_be(
    emulator: Emulator, groups: list[dict[str, Any]], members: tuple[str, ...], sentence: str
) -> None:
    with pytest.raises(urllib.error.HTTPError) as caught:
        emulator.control("PUT", "inventory", with_groups(*groups, members=members))
    assert sentence in json.load(caught.value)["error"]
