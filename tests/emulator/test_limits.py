# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Quotas, sizes of pages, filters by tags, and operations that meet a change that is still going on."""

from __future__ import annotations

import json
import time
import urllib.error
from typing import Any

import pytest
from emulator_harness import Emulator, Slb

PAY = {"InstanceChargeType": "PayByCLCU"}


def quotas(emulator: Emulator, **wanted: Any) -> bool:
    return bool(emulator.control("PUT", "quotas", wanted)["changed"])


def instance(slb: Slb, **options: Any) -> str:
    return str(slb("CreateLoadBalancer", VSwitchId="vsw-ut-lab", **PAY, **options)["LoadBalancerId"])


def servers(*names: str, port: int = 80) -> str:
    return json.dumps([{"ServerId": f"i-ut-{name}", "Port": port} for name in names])


def test_quotas_are_those_of_the_documentation(emulator: Emulator) -> None:
    shown = emulator.control("GET", "quotas")
    assert {name: quota["value"] for name, quota in shown.items()} == {
        "instances": 60,
        "listeners": 50,
        "servers": 200,
        "instances_of_server": 50,
        "access_lists": 200,
        "access_list_entries": 300,
        "rules": 40,
        "domain_extensions": 3,
        "certificates": 100,
        "ca_certificates": 100,
        "listeners_of_access_list": 50,
    }
    assert all(quota["source"] and quota["default"] == quota["value"] for quota in shown.values())


def test_instances_of_an_account(emulator: Emulator, slb: Slb) -> None:
    assert quotas(emulator, instances=2) and not quotas(emulator, instances=2)
    made = [instance(slb) for dummy in range(2)]
    # of all regions together
    elsewhere = Slb(emulator.address, "cn-beijing")
    assert slb.code("CreateLoadBalancer", **PAY) == elsewhere.code("CreateLoadBalancer", **PAY) == ("OverQuota", 400)
    slb("DeleteLoadBalancer", LoadBalancerId=made[0])
    elsewhere("CreateLoadBalancer", **PAY)


def test_listeners_and_servers_of_an_instance(emulator: Emulator, slb: Slb) -> None:
    quotas(emulator, listeners=2, servers=3)
    target = {"LoadBalancerId": instance(slb)}
    create = {"Bandwidth": -1, "BackendServerPort": 80, **target}
    for port in (1, 2):
        slb("CreateLoadBalancerTCPListener", ListenerPort=port, **create)
    over = slb.code("CreateLoadBalancerTCPListener", ListenerPort=3, **create)
    assert over == ("ListenerNumberOverLimit", 400)
    # the default pool and all groups count together
    slb("AddBackendServers", BackendServers=servers("web-1", "web-2"), **target)
    group = slb("CreateVServerGroup", BackendServers=servers("web-1"), **target)["VServerGroupId"]
    limit = ("InstanceBackendServerNumberOverLimit", 400)
    assert slb.code("AddVServerGroupBackendServers", VServerGroupId=group, BackendServers=servers("web-2")) == limit
    assert slb.code("AddBackendServers", BackendServers=servers("web-3"), **target) == limit
    assert slb.code("CreateVServerGroup", BackendServers=servers("web-3"), **target) == limit


def test_instances_that_a_server_joins(emulator: Emulator, slb: Slb) -> None:
    quotas(emulator, instances_of_server=2)
    made = [instance(slb) for dummy in range(3)]
    for balancer in made[:2]:
        slb("AddBackendServers", LoadBalancerId=balancer, BackendServers=servers("web-1"))
    third = {"LoadBalancerId": made[2], "BackendServers": servers("web-2", "web-1")}
    assert (
        slb.code("AddBackendServers", **third) == slb.code("CreateVServerGroup", **third) == ("InvalidParameter", 400)
    )
    # once more in an instance in which it is already is no matter
    slb("CreateVServerGroup", LoadBalancerId=made[0], BackendServers=servers("web-1"))


def test_access_lists(emulator: Emulator, slb: Slb) -> None:
    quotas(emulator, access_lists=2, access_list_entries=2, listeners_of_access_list=1)
    first, dummy = (slb("CreateAccessControlList", AclName=name)["AclId"] for name in ("a", "b"))
    assert slb.code("CreateAccessControlList", AclName="c") == ("InvalidParameter", 400)
    entries = json.dumps([{"entry": f"192.0.2.{number}/32"} for number in range(3)])
    assert slb.code("AddAccessControlListEntry", AclId=first, AclEntrys=entries) == ("AclEntryExceedLimit", 400)
    create = {"LoadBalancerId": instance(slb), "Bandwidth": -1, "BackendServerPort": 80}
    listed = {"AclStatus": "on", "AclType": "white", "AclId": first}
    slb("CreateLoadBalancerTCPListener", ListenerPort=1, **create, **listed)
    assert slb.code("CreateLoadBalancerTCPListener", ListenerPort=2, **create, **listed) == ("InvalidParameter", 400)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"instance": 1}, "quota instance is unknown; there are instances, "),
        ({"instances": -1}, "quota instances is -1; it takes a number that is not negative"),
        ({"instances": True}, "quota instances is True"),
    ],
)
def test_what_no_quota_is(emulator: Emulator, given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(urllib.error.HTTPError) as caught:
        quotas(emulator, **given)
    assert caught.value.code == 400 and sentence in json.load(caught.value)["error"]
    assert emulator.control("GET", "quotas")["instances"]["value"] == 60


def test_quotas_survive_a_restart(own_emulator: Any) -> None:
    emulator = own_emulator()
    quotas(emulator, instances=1)
    emulator.stop()
    emulator.start()
    assert emulator.control("GET", "quotas")["instances"]["value"] == 1
    slb = Slb(emulator.address)
    slb("CreateLoadBalancer", **PAY)
    assert slb.code("CreateLoadBalancer", **PAY) == ("OverQuota", 400)


@pytest.mark.parametrize(
    ("action", "parameters"),
    [
        ("DescribeLoadBalancers", {"PageNumber": 1, "PageSize": 101}),
        ("DescribeLoadBalancers", {"PageNumber": 0, "PageSize": 10}),
        ("DescribeLoadBalancers", {"LoadBalancerId": ",".join(f"lb-{number}" for number in range(11))}),
        ("DescribeLoadBalancers", {"LoadBalancerName": ",".join(f"name-{number}" for number in range(11))}),
        ("DescribeLoadBalancers", {"Tags": json.dumps([{"TagKey": f"k{number}"} for number in range(11)])}),
        ("DescribeLoadBalancers", {"Tags": "x"}),
        ("DescribeLoadBalancerListeners", {"MaxResults": 101}),
        ("DescribeLoadBalancerListeners", {"NextToken": "x"}),
        ("DescribeLoadBalancerListeners", {"LoadBalancerId": [f"lb-{number}" for number in range(11)]}),
        ("DescribeAccessControlLists", {"PageNumber": 1, "PageSize": 51}),
        ("ListTagResources", {"ResourceType": "instance", "ResourceId": [f"lb-{number}" for number in range(21)]}),
    ],
)
def test_pages_and_filters_have_limits(slb: Slb, action: str, parameters: dict[str, Any]) -> None:
    assert slb.code(action, **parameters) == ("InvalidParameter", 400)


def test_filters_by_tags_of_both_kinds(slb: Slb) -> None:
    one = instance(slb, Tag=[{"Key": "team", "Value": "a"}, {"Key": "site", "Value": "x"}])
    two = instance(slb, Tag=[{"Key": "team", "Value": "b"}])

    def found(**wanted: Any) -> set[str]:
        page = slb("DescribeLoadBalancers", **wanted)["LoadBalancers"]["LoadBalancer"]
        return {entry["LoadBalancerId"] for entry in page}

    assert found(Tag=[{"Key": "team"}]) == found(Tags='[{"TagKey": "team"}]') == {one, two}
    assert found(Tag=[{"Key": "team", "Value": "b"}]) == found(Tags="[{'TagKey':'team','TagValue':'b'}]") == {two}
    assert found(Tag=[{"Key": "team"}, {"Key": "site"}]) == {one}
    assert found(Tag=[{"Key": "team", "Value": "b"}], Tags='[{"TagKey": "site"}]') == set()


def test_groups_and_pools_that_are_busy(emulator: Emulator, slb: Slb) -> None:
    target = {"LoadBalancerId": instance(slb)}
    groups = [slb("CreateVServerGroup", **target)["VServerGroupId"] for dummy in range(2)]
    emulator.control("PUT", "switches", {"transition_seconds": 0.5})
    group = {"VServerGroupId": groups[0]}
    slb("AddVServerGroupBackendServers", BackendServers=servers("web-1"), **group)
    for action, parameters in (
        ("AddVServerGroupBackendServers", {"BackendServers": servers("web-2")}),
        ("RemoveVServerGroupBackendServers", {"BackendServers": servers("web-1")}),
        ("SetVServerGroupAttribute", {"VServerGroupName": "other"}),
        ("ModifyVServerGroupBackendServers", {"OldBackendServers": servers("web-1"), "NewBackendServers": "[]"}),
        ("DeleteVServerGroup", {}),
    ):
        assert slb.code(action, **group, **parameters) == ("VServerGroupProcessing", 400)
    # reads, and changes of another group, are not held up
    assert len(slb("DescribeVServerGroupAttribute", **group)["BackendServers"]["BackendServer"]) == 1
    slb("AddVServerGroupBackendServers", VServerGroupId=groups[1], BackendServers=servers("web-2"))
    slb("AddBackendServers", BackendServers=servers("web-1"), **target)
    for action in ("AddBackendServers", "SetBackendServers", "RemoveBackendServers"):
        code = slb.code(action, BackendServers=servers("web-1"), **target)
        assert code == ("BackendServer.configuring", 409)
    time.sleep(0.55)
    slb("SetVServerGroupAttribute", VServerGroupName="other", **group)
    slb("RemoveBackendServers", BackendServers=servers("web-1"), **target)
