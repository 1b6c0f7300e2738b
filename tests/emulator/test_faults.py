# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults on request, as the official SDK meets them."""

from __future__ import annotations

import json
import time
import urllib.error
from typing import Any

import pytest
from emulator_harness import Emulator, Slb
from Tea.exceptions import TeaException

CREATE = {
    "LoadBalancerName": "faulty",
    "AddressType": "intranet",
    "VpcId": "vpc-ut-lab",
    "VSwitchId": "vsw-ut-lab",
    "InstanceChargeType": "PayByCLCU",
}


def faults(emulator: Emulator, *given: dict[str, Any]) -> None:
    emulator.control("PUT", "faults", {"faults": list(given)})


def balancers(slb: Slb) -> int:
    return int(slb("DescribeLoadBalancers")["TotalCount"])


def test_a_code_hits_so_many_calls_of_one_action(emulator: Emulator, slb: Slb) -> None:
    faults(emulator, {"action": "DescribeLoadBalancers", "code": "SystemBusy", "status": 449, "count": 2, "skip": 1})
    assert balancers(slb) == 0
    for dummy in range(2):
        with pytest.raises(TeaException) as caught:
            slb("DescribeLoadBalancers")
        assert (caught.value.code, caught.value.status_code) == ("SystemBusy", 449)
        assert slb("DescribeRegions")["Regions"]["Region"]
    assert balancers(slb) == 0
    assert emulator.control("GET", "faults") == {"faults": []}


@pytest.mark.parametrize(("after", "made"), [(False, 0), (True, 1)])
def test_a_dropped_answer_before_and_after_the_write(emulator: Emulator, slb: Slb, after: bool, made: int) -> None:
    faults(emulator, {"action": "CreateLoadBalancer", "drop": True, "after": after})
    with pytest.raises(TeaException) as caught:
        slb("CreateLoadBalancer", **CREATE)
    assert getattr(caught.value, "code", None) is None
    assert balancers(slb) == made


def test_the_same_token_makes_no_second_one(emulator: Emulator, slb: Slb) -> None:
    faults(emulator, {"action": "CreateLoadBalancer", "drop": True, "after": True})
    with pytest.raises(TeaException):
        slb("CreateLoadBalancer", **CREATE, ClientToken="once")
    slb("CreateLoadBalancer", **CREATE, ClientToken="once")
    assert balancers(slb) == 1


def test_a_gateway_s_page(emulator: Emulator, slb: Slb) -> None:
    faults(emulator, {"status": 502, "body": "<html>Bad Gateway</html>"})
    with pytest.raises(TeaException) as caught:
        slb("DescribeRegions")
    assert getattr(caught.value, "code", None) is None


def test_throttling_by_rate(emulator: Emulator, slb: Slb) -> None:
    faults(emulator, {"action": "DescribeRegions", "rate": 5.0, "burst": 2, "retry_after": 200})
    codes = []
    for dummy in range(4):
        try:
            slb("DescribeRegions")
            codes.append("")
        except TeaException as error:
            codes.append(error.code)
            assert getattr(error, "retry_after", None) == 200
    assert codes[:2] == ["", ""] and "Throttling.User" in codes[2:]
    time.sleep(0.25)
    assert slb("DescribeRegions")["Regions"]["Region"]


def test_a_delay_only_delays(emulator: Emulator, slb: Slb) -> None:
    faults(emulator, {"delay": 0.3})
    begin = time.monotonic()
    assert slb("DescribeRegions")["Regions"]["Region"]
    assert time.monotonic() - begin >= 0.3


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"actoin": "*"}, "a fault has no actoin"),
        ({"count": "2"}, "count of a fault is '2'"),
        ({"drop": 1}, "drop of a fault is 1"),
        ({"stale_writes": -1}, "stale_writes of a fault is -1; it can't be negative"),
        ({"partial": 2}, "a fault with partial needs code, body or drop"),
    ],
)
def test_what_no_fault_is(emulator: Emulator, given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(urllib.error.HTTPError) as caught:
        faults(emulator, given)
    assert caught.value.code == 400 and sentence in caught.value.read().decode()


def servers(*names: str) -> str:
    return json.dumps([{"ServerId": f"i-ut-{name}", "Port": 80} for name in names])


def members(slb: Slb, group: str) -> list[str]:
    found = slb("DescribeVServerGroupAttribute", VServerGroupId=group)["BackendServers"]["BackendServer"]
    return [entry["ServerId"].removeprefix("i-ut-") for entry in found]


def test_a_read_without_the_last_writes(emulator: Emulator, slb: Slb) -> None:
    balancer = slb("CreateLoadBalancer", **CREATE)["LoadBalancerId"]
    group = slb("CreateVServerGroup", LoadBalancerId=balancer)["VServerGroupId"]
    slb("AddVServerGroupBackendServers", VServerGroupId=group, BackendServers=servers("web-1"))
    slb("AddVServerGroupBackendServers", VServerGroupId=group, BackendServers=servers("web-2"))
    faults(emulator, *({"action": "DescribeVServerGroupAttribute", "stale_writes": number} for number in (2, 1)))
    assert [members(slb, group) for dummy in range(3)] == [[], ["web-1"], ["web-1", "web-2"]]
    # before the group was made, and before anything was
    faults(emulator, {"action": "DescribeVServerGroupAttribute", "stale_writes": 3}, {"stale_writes": 99, "count": 2})
    assert slb.code("DescribeVServerGroupAttribute", VServerGroupId=group) == ("InvalidParameter", 404)
    assert balancers(slb) == 0
    # machines are another service's
    assert slb.ecs()["TotalCount"] == 4
    assert members(slb, group) == ["web-1", "web-2"]


def test_a_read_that_is_seconds_late(emulator: Emulator, slb: Slb) -> None:
    balancer = slb("CreateLoadBalancer", **CREATE)["LoadBalancerId"]
    slb("SetLoadBalancerName", LoadBalancerId=balancer, LoadBalancerName="second")
    faults(emulator, {"action": "*", "stale_seconds": 2.0, "count": 0})
    assert balancers(slb) == 0
    # writes work on what there is
    slb("SetLoadBalancerName", LoadBalancerId=balancer, LoadBalancerName="third")
    time.sleep(2.01)
    assert slb("DescribeLoadBalancerAttribute", LoadBalancerId=balancer)["LoadBalancerName"] == "third"
    slb("DeleteLoadBalancer", LoadBalancerId=balancer)
    assert balancers(slb) == 1
    faults(emulator)
    assert balancers(slb) == 0


def test_a_status_that_is_late(emulator: Emulator, slb: Slb) -> None:
    balancer = slb("CreateLoadBalancer", **CREATE)["LoadBalancerId"]
    listener = {"LoadBalancerId": balancer, "ListenerPort": 80}
    slb("CreateLoadBalancerTCPListener", **listener, Bandwidth=-1, BackendServerPort=80)
    emulator.control("PUT", "switches", {"transition_seconds": 0.5})
    slb("StartLoadBalancerListener", **listener)
    time.sleep(0.6)
    faults(emulator, {"stale_seconds": 0.4})
    statuses = [slb("DescribeLoadBalancerTCPListenerAttribute", **listener)["Status"] for dummy in range(2)]
    assert statuses == ["starting", "running"]


@pytest.mark.parametrize("how", [{"code": "SystemBusy", "status": 449}, {"drop": True}])
def test_a_batch_that_breaks_off(emulator: Emulator, slb: Slb, how: dict[str, Any]) -> None:
    balancer = slb("CreateLoadBalancer", **CREATE)["LoadBalancerId"]
    group = slb("CreateVServerGroup", LoadBalancerId=balancer)["VServerGroupId"]
    faults(emulator, {"action": "*", "partial": 2, **how})
    # not more than two: not hit
    slb("AddVServerGroupBackendServers", VServerGroupId=group, BackendServers=servers("web-1"))
    with pytest.raises(TeaException) as caught:
        given = servers("web-2", "web-3", "client-1")
        slb("AddVServerGroupBackendServers", VServerGroupId=group, BackendServers=given)
    assert getattr(caught.value, "code", None) == how.get("code")
    assert members(slb, group) == ["web-1", "web-2", "web-3"]
    slb("RemoveVServerGroupBackendServers", VServerGroupId=group, BackendServers=given)
    assert members(slb, group) == ["web-1"]


def test_a_batch_of_entries_and_one_of_tags_that_break_off(emulator: Emulator, slb: Slb) -> None:
    lists = [slb("CreateAccessControlList", AclName=f"list-{number}")["AclId"] for number in range(12)]
    faults(emulator, *({"partial": number, "code": "InternalError", "status": 500} for number in (1, 10)))
    entries = json.dumps([{"entry": f"198.51.100.{number}/32"} for number in range(3)])
    assert slb.code("AddAccessControlListEntry", AclId=lists[0], AclEntrys=entries) == ("InternalError", 500)
    assert slb("DescribeAccessControlListAttribute", AclId=lists[0])["TotalAclEntry"] == 1
    tag = {"ResourceType": "acl", "Tag": [{"Key": "k", "Value": "v"}]}
    assert slb.code("TagResources", ResourceId=lists, **tag) == ("InternalError", 500)
    tagged = slb("ListTagResources", ResourceId=lists, **tag)["TagResources"]["TagResource"]
    assert [entry["ResourceId"] for entry in tagged] == lists[:10]


def test_a_reset_forgets_them(emulator: Emulator) -> None:
    faults(emulator, {"code": "InternalError", "status": 500, "count": 0})
    emulator.control("POST", "reset")
    assert emulator.control("GET", "faults") == {"faults": []}
