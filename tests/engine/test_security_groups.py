# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Security groups are found by the servers that are in them, in few calls."""

from __future__ import annotations

import ipaddress

import pytest
from emulator_harness import KEY, REGION, inventory

from ansible_collections.clusterfront.ha.plugins.module_utils._slb import lookup
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.client import Client, Settings
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.errors import DocumentError, LookupFailed
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.permissions import policy

RULES = [{"source_cidr": f"192.0.2.{number}/32", "protocol": "TCP", "ports": "6443/6443"} for number in range(150)]


@pytest.fixture
def client(cloud):
    """A cloud in which one address is there in two VPCs, and some machines have a group of their own."""
    here = inventory({"master-1": "192.0.2.11", "haproxy-1": "192.0.2.21", "twin": "192.0.2.99"})
    other = inventory({"twin-b": "192.0.2.99"}, name="other")
    here["machines"][0]["security_group_ids"] = ["sg-own", "sg-ut-lab"]
    here["machines"][0]["interfaces"] = [{"eni_id": "eni-ut-second", "private_ip": "192.0.2.211"}]
    groups = [{"security_group_id": "sg-own", "vpc": "lab", "inner_access": False, "rules": RULES}]
    given = {"vpcs": here["vpcs"] + other["vpcs"], "machines": here["machines"] + other["machines"]}
    cloud.emulator.control("PUT", "inventory", {**given, "security_groups": groups})
    endpoint = f"http://{cloud.emulator.address}"
    return Client(Settings(REGION, **KEY, slb_endpoint=endpoint, ecs_endpoint=endpoint))


def known(client, *names):
    return lookup.Known(lookup.servers(client, [lookup.naming("servers", name) for name in names], None))


@pytest.mark.parametrize(
    ("name", "groups"),
    [
        ("192.0.2.11", ("sg-own", "sg-ut-lab")),
        ("i-ut-master-1", ("sg-own", "sg-ut-lab")),
        ("eni-ut-second", ("sg-own", "sg-ut-lab")),
        ("192.0.2.211", ("sg-own", "sg-ut-lab")),
        ("192.0.2.21", ("sg-ut-lab",)),
    ],
)
def test_groups_are_those_of_the_server_that_is_named(client, name, groups):
    assert lookup.named_server("servers", name, known(client, name), None).security_groups == groups


def test_rules_of_all_pages_are_read(client, cloud):
    cloud.forget()
    found = lookup.security_groups(client, ["sg-own", "sg-ut-lab", "sg-own"])
    assert [len(found[name].rules) for name in ("sg-own", "sg-ut-lab")] == [150, 3]
    assert (found["sg-own"].inner_access, found["sg-ut-lab"].inner_access) == (False, True)
    assert cloud.counts == {"DescribeSecurityGroupAttribute": 3}
    (statement,) = policy(["slb_security_group_info"])["Statement"]
    assert "ecs:DescribeSecurityGroupAttribute" in statement["Action"]


def test_a_source_is_a_member_of_the_groups_of_its_server(client):
    servers = known(client, "192.0.2.11", "192.0.2.99")
    vpc = {"vpc-ut-lab"}
    assert lookup.groups_of(ipaddress.ip_network("192.0.2.11"), servers, vpc) == {"sg-own", "sg-ut-lab"}
    # the same address in another VPC is somebody else
    assert lookup.groups_of(ipaddress.ip_network("192.0.2.99"), servers, vpc) == {"sg-ut-lab"}
    for nobody in ("192.0.2.11/31", "192.0.2.250"):
        assert lookup.groups_of(ipaddress.ip_network(nobody, strict=False), servers, vpc) == frozenset()


@pytest.mark.parametrize(
    ("name", "vpc_id", "kind", "sentence"),
    [
        ("web-1", None, DocumentError, "servers has 'web-1'; a private address is possible, or the id of an instance"),
        ("192.0.2.77", None, LookupFailed, "servers has 192.0.2.77, which is no ECS instance and no network interface"),
        ("i-none", "vpc-ut-lab", LookupFailed, "of this region with vpc_id 'vpc-ut-lab'"),
        ("192.0.2.99", None, LookupFailed, "i-ut-twin in vpc-ut-lab and i-ut-twin-b in vpc-ut-other; give vpc_id"),
    ],
)
def test_servers_that_cannot_be_told(client, name, vpc_id, kind, sentence):
    with pytest.raises(kind) as caught:
        lookup.named_server("servers", name, known(client, *([] if name == "web-1" else [name])), vpc_id)
    assert sentence in str(caught.value)


def test_a_vpc_tells_twins_apart(client):
    servers = known(client, "192.0.2.99")
    assert lookup.named_server("servers", "192.0.2.99", servers, "vpc-ut-other").id == "i-ut-twin-b"
