# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The API, as the official client sees it; no data plane."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from emulator_harness import MACHINES, PACKAGE, Emulator, Slb, inventory

NEW = {"VSwitchId": "vsw-ut-lab", "InstanceChargeType": "PayByCLCU"}
CHECK = {"healthCheckInterval": 5, "HealthCheckType": "http", "HealthCheckURI": "/readyz"}


def servers(*names: str, **values: Any) -> str:
    return json.dumps([{"ServerId": f"i-ut-{name}", "Port": 80, **values} for name in names])


@pytest.fixture
def lb(slb: Slb) -> str:
    return str(slb("CreateLoadBalancer", **NEW)["LoadBalancerId"])


@pytest.fixture
def group(slb: Slb, lb: str) -> str:
    return str(
        slb("CreateVServerGroup", LoadBalancerId=lb, VServerGroupName="g", BackendServers=servers("web-1"))[
            "VServerGroupId"
        ]
    )


@pytest.fixture
def listener(slb: Slb, lb: str, group: str) -> dict[str, Any]:
    slb(
        "CreateLoadBalancerTCPListener", LoadBalancerId=lb, ListenerPort=80, Bandwidth=-1, VServerGroupId=group, **CHECK
    )
    return {"LoadBalancerId": lb, "ListenerPort": 80}


def members(answer: dict[str, Any]) -> list[dict[str, Any]]:
    return list(answer["BackendServers"]["BackendServer"])


# Instances


def test_intranet_instance(slb: Slb) -> None:
    made = slb(
        "CreateLoadBalancer",
        LoadBalancerName="api",
        DeleteProtection="on",
        Tag=[{"Key": "k", "Value": "v"}],
        ModificationProtectionStatus="ConsoleProtection",
        ModificationProtectionReason="mine",
        **NEW,
    )
    assert (made["Address"], made["NetworkType"], made["VpcId"]) == ("192.0.2.100", "vpc", "vpc-ut-lab")
    seen = slb("DescribeLoadBalancerAttribute", LoadBalancerId=made["LoadBalancerId"])
    assert (
        seen.items()
        >= {
            "LoadBalancerName": "api",
            "LoadBalancerStatus": "active",
            "AddressType": "intranet",
            "InternetChargeType": "paybytraffic",
            "LoadBalancerSpec": "slb.lcu.elastic",
            "DeleteProtection": "on",
            "ModificationProtectionStatus": "ConsoleProtection",
            "MasterZoneId": "cn-hangzhou-i",
            "Tags": {"Tag": [{"TagKey": "k", "TagValue": "v"}]},
            "EndTime": "2999-09-08T16:00:00Z",
        }.items()
    )
    listed = slb("DescribeLoadBalancers", LoadBalancerName="api")["LoadBalancers"]["LoadBalancer"][0]
    assert (listed["InternetChargeType"], listed["InternetChargeTypeAlias"]) == ("4", "paybytraffic")


def test_internet_instance(slb: Slb) -> None:
    made = slb(
        "CreateLoadBalancer",
        InstanceChargeType="PayBySpec",
        LoadBalancerSpec="slb.s1.small",
        InternetChargeType="paybybandwidth",
        Bandwidth=7,
    )
    assert (made["NetworkType"], made["VpcId"], made["Address"].startswith("203.0.113.")) == ("classic", "", True)
    one = {"LoadBalancerId": made["LoadBalancerId"]}
    assert slb("DescribeLoadBalancerAttribute", **one)["Bandwidth"] == 7
    slb("ModifyLoadBalancerInternetSpec", Bandwidth=9, **one)
    slb("ModifyLoadBalancerInstanceSpec", LoadBalancerSpec="slb.s3.small", **one)
    seen = slb("DescribeLoadBalancerAttribute", **one)
    assert (seen["Bandwidth"], seen["LoadBalancerSpec"]) == (9, "slb.s3.small")
    slb("ModifyLoadBalancerInstanceChargeType", InstanceChargeType="PayByCLCU", **one)
    seen = slb("DescribeLoadBalancerAttribute", **one)
    assert (seen["InstanceChargeType"], seen["InternetChargeType"]) == ("PayByCLCU", "paybytraffic")
    assert slb.code("ModifyLoadBalancerInstanceSpec", LoadBalancerSpec="slb.s3.small", **one) == (
        "UnsupportedOperation",
        400,
    )


def test_instance_settings_and_end(slb: Slb, lb: str) -> None:
    one = {"LoadBalancerId": lb}
    slb("SetLoadBalancerName", LoadBalancerName="other", **one)
    slb("SetLoadBalancerStatus", LoadBalancerStatus="inactive", **one)
    slb(
        "SetLoadBalancerModificationProtection",
        ModificationProtectionStatus="ConsoleProtection",
        ModificationProtectionReason="why",
        **one,
    )
    slb("SetLoadBalancerDeleteProtection", DeleteProtection="on", **one)
    seen = slb("DescribeLoadBalancerAttribute", **one)
    assert (seen["LoadBalancerName"], seen["LoadBalancerStatus"], seen["ModificationProtectionReason"]) == (
        "other",
        "inactive",
        "why",
    )
    assert slb.code("DeleteLoadBalancer", **one) == ("OperationDenied.DeleteProtectionIsOn", 400)
    slb("SetLoadBalancerDeleteProtection", DeleteProtection="off", **one)
    slb("DeleteLoadBalancer", **one)
    assert slb.code("DescribeLoadBalancerAttribute", **one) == ("InvalidLoadBalancerId.NotFound", 404)


def test_protection_without_a_reason_forgets_the_old_one(slb: Slb, lb: str) -> None:
    one = {"LoadBalancerId": lb}
    for reason, seen in (({"ModificationProtectionReason": "why"}, "why"), ({}, "")):
        slb("SetLoadBalancerModificationProtection", ModificationProtectionStatus="ConsoleProtection", **one, **reason)
        assert slb("DescribeLoadBalancerAttribute", **one)["ModificationProtectionReason"] == seen
    off = {"ModificationProtectionStatus": "NonProtection", "ModificationProtectionReason": "why"}
    assert slb.code("SetLoadBalancerModificationProtection", **one, **off) == ("InvalidParameter", 400)


def test_an_instance_moves_to_another_resource_group(slb: Slb, lb: str) -> None:
    move = {"ResourceType": "loadbalancer", "ResourceId": lb, "NewResourceGroupId": "rg-other"}
    slb("MoveResourceGroup", **move)
    assert slb("DescribeLoadBalancerAttribute", LoadBalancerId=lb)["ResourceGroupId"] == "rg-other"
    found = slb("DescribeLoadBalancers", ResourceGroupId="rg-other", PageNumber=1, PageSize=10)
    assert found["TotalCount"] == 1
    for wrong, code in (
        ({"ResourceType": "instance"}, ("InvalidParameter", 400)),
        ({"NewResourceGroupId": "other"}, ("InvalidParameter", 400)),
        ({"NewResourceGroupId": ""}, ("MissingNewResourceGroupId", 400)),
        ({"ResourceId": "lb-none"}, ("InvalidLoadBalancerId.NotFound", 404)),
    ):
        assert slb.code("MoveResourceGroup", **{**move, **wrong}) == code


def test_an_ipv6_instance_is_known_to_the_api(slb: Slb) -> None:
    one, two = (slb("CreateLoadBalancer", **NEW, AddressIPVersion="ipv6") for dummy in range(2))
    assert (one["AddressIPVersion"], one["Address"].startswith("2001:db8::")) == ("ipv6", True)
    assert one["Address"] != two["Address"]
    found = slb("DescribeLoadBalancers", AddressIPVersion="ipv6", PageNumber=1, PageSize=10)
    assert found["TotalCount"] == 2
    wrong = {**NEW, "AddressIPVersion": "ipv6", "Address": "192.0.2.140"}
    assert slb.code("CreateLoadBalancer", **wrong) == ("UnsupportedParameter", 400)


def test_a_charge_type_that_changes_the_next_day_locks_the_instance(emulator: Emulator, slb: Slb) -> None:
    emulator.control("PUT", "switches", {"charge_type_change": "next_day"})
    made = slb(
        "CreateLoadBalancer",
        InstanceChargeType="PayBySpec",
        LoadBalancerSpec="slb.s1.small",
        InternetChargeType="paybybandwidth",
        Bandwidth=7,
    )
    one = {"LoadBalancerId": made["LoadBalancerId"]}
    slb("ModifyLoadBalancerInternetSpec", InternetChargeType="paybybandwidth", Bandwidth=9, **one)
    slb("ModifyLoadBalancerInternetSpec", InternetChargeType="paybytraffic", **one)
    seen = slb("DescribeLoadBalancerAttribute", **one)
    assert (seen["InternetChargeType"], seen["Bandwidth"]) == ("paybybandwidth", 9)
    for action, parameters in (
        ("ModifyLoadBalancerInternetSpec", {"Bandwidth": 8}),
        ("SetLoadBalancerName", {"LoadBalancerName": "other"}),
        ("DeleteLoadBalancer", {}),
    ):
        assert slb.code(action, **one, **parameters) == ("ActionNotAllowed", 400)


def test_midnight_ends_the_lock() -> None:
    import sys

    sys.path.insert(0, str(PACKAGE))
    try:
        from slb_emulator.lifecycle import Lifecycle
        from slb_emulator.operations.load_balancers import _midnight
        from slb_emulator.store import LoadBalancer
        from slb_emulator.switches import Switches
    finally:
        sys.path.remove(str(PACKAGE))
    now = 1767258000.0  # 2026-01-01 09:00 UTC, 17:00 in China
    assert _midnight(now) == now + 7 * 3600
    assert _midnight(_midnight(now)) == now + 31 * 3600
    balancer = LoadBalancer("lb-1", "r", {"Bandwidth": 1}, pending={"Bandwidth": 2}, pending_at=_midnight(now))
    lifecycle = Lifecycle(Switches({}), lambda: now)
    assert lifecycle.settle([balancer]) == now + 7 * 3600 and balancer.attributes["Bandwidth"] == 1
    now += 7 * 3600
    assert lifecycle.settle(iter([balancer])) is None
    assert (balancer.attributes["Bandwidth"], balancer.pending) == (2, {})


def test_deleting_takes_everything_along(slb: Slb, lb: str, group: str, listener: dict[str, Any]) -> None:
    slb("DeleteLoadBalancer", LoadBalancerId=lb)
    assert slb.code("DescribeVServerGroupAttribute", VServerGroupId=group) == ("InvalidParameter", 404)
    assert slb("DescribeLoadBalancerListeners")["TotalCount"] == 0


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({"InstanceChargeType": "PayBySpec"}, "ShareSlbHaltSales"),
        ({"LoadBalancerName": "1st"}, "InvalidParameter"),
        ({"LoadBalancerName": "x" * 81}, "InvalidParameter"),
        ({"VSwitchId": "vsw-other"}, "ServiceUnavailable"),
        ({"VpcId": "vpc-other"}, "ServiceUnavailable"),
        ({"VSwitchId": "", "AddressType": "intranet"}, "MissingParameter"),
        ({"AddressType": "public"}, "InvalidParameter"),
        ({"Address": "198.51.100.1"}, "InvalidParameter"),
        ({"Address": "192.0.2.11"}, "InvalidParameter"),
        ({"MasterZoneId": "cn-hangzhou-z"}, "PRODUCT.NOT_AVAILABLE_IZ"),
        ({"InternetChargeType": "paybybandwidth"}, "InvalidParameter"),
        ({"DeleteProtection": "yes"}, "InvalidParameter"),
        ({"ModificationProtectionReason": "why"}, "InvalidParameter"),
        ({"PayType": "PrePay"}, "UnsupportedOperation"),
        ({"Tag": [{"Key": f"k{number}", "Value": ""} for number in range(21)]}, "TagCountLimit"),
        ({"Tag": [{"Key": "acs:x", "Value": ""}]}, "InvalidTagKey.Malformed"),
        ({"RegionId": "cn-hangzhuo"}, "InvalidRegionId.NotFound"),
        ({"RegionId": ""}, "MissingRegionId"),
    ],
)
def test_instances_that_are_refused(slb: Slb, parameters: dict[str, Any], code: str) -> None:
    assert slb.code("CreateLoadBalancer", **{**NEW, **parameters})[0] == code
    assert slb("DescribeLoadBalancers")["TotalCount"] == 0


def test_client_token(slb: Slb) -> None:
    first = slb("CreateLoadBalancer", ClientToken="t1", **NEW)
    again = slb("CreateLoadBalancer", ClientToken="t1", **NEW)
    assert first["LoadBalancerId"] == again["LoadBalancerId"] and first["RequestId"] != again["RequestId"]
    assert slb.code("CreateLoadBalancer", ClientToken="t1", LoadBalancerName="x", **NEW) == (
        "LX_REQUEST_TOKEN_CONFLICT",
        400,
    )
    slb("CreateLoadBalancer", ClientToken="t2", **NEW)
    assert slb("DescribeLoadBalancers")["TotalCount"] == 2


def test_addresses(slb: Slb) -> None:
    made = [slb("CreateLoadBalancer", **NEW) for dummy in range(3)]
    assert [one["Address"] for one in made] == ["192.0.2.100", "192.0.2.101", "192.0.2.102"]
    assert slb("CreateLoadBalancer", Address="192.0.2.200", **NEW)["Address"] == "192.0.2.200"
    assert slb.code("CreateLoadBalancer", Address="192.0.2.200", **NEW) == ("InvalidParameter", 400)
    slb("DeleteLoadBalancer", LoadBalancerId=made[1]["LoadBalancerId"])
    assert slb("CreateLoadBalancer", **NEW)["Address"] == "192.0.2.101"


def test_pages_and_filters(emulator: Emulator, slb: Slb) -> None:
    ids = [
        slb(
            "CreateLoadBalancer",
            LoadBalancerName=f"lb-{number}",
            Tag=[{"Key": "half", "Value": str(number % 2)}],
            **NEW,
        )["LoadBalancerId"]
        for number in range(7)
    ]

    def found(**filters: Any) -> list[str]:
        listed = slb("DescribeLoadBalancers", **filters)["LoadBalancers"]["LoadBalancer"]
        return [balancer["LoadBalancerId"] for balancer in listed]

    pages = [slb("DescribeLoadBalancers", PageNumber=number, PageSize=3) for number in (1, 2, 3, 4)]
    assert [len(page["LoadBalancers"]["LoadBalancer"]) for page in pages] == [3, 3, 1, 0]
    assert {page["TotalCount"] for page in pages} == {7}
    assert slb.code("DescribeLoadBalancers", PageSize=10) == ("MissingParameter", 400)
    assert slb.code("DescribeLoadBalancers", PageNumber=1, PageSize=101) == ("InvalidParameter", 400)
    assert found(LoadBalancerId=f"{ids[0]},{ids[6]}") == [ids[0], ids[6]]
    assert slb.code("DescribeLoadBalancers", LoadBalancerId=",".join(["lb-x"] * 11)) == ("InvalidParameter", 400)
    assert found(LoadBalancerName="lb-1") == [ids[1]]
    assert found(LoadBalancerName="lb") == []
    emulator.control("PUT", "switches", {"name_filter": "contains"})
    assert found(LoadBalancerName="lb") == ids
    assert found(Tag=[{"Key": "half", "Value": "1"}]) == ids[1::2]
    assert found(Address="192.0.2.104") == [ids[4]]
    assert found(AddressType="internet") == []
    assert found(VpcId="vpc-ut-lab", LoadBalancerStatus="active") == ids
    slb("AddBackendServers", LoadBalancerId=ids[2], BackendServers=servers("web-1"))
    slb("CreateVServerGroup", LoadBalancerId=ids[3], BackendServers=servers("web-2"))
    assert (found(ServerId="i-ut-web-1"), found(ServerIntranetAddress="192.0.2.12")) == ([ids[2]], [ids[3]])


def test_regions(emulator: Emulator, slb: Slb, lb: str) -> None:
    regions = [region["RegionId"] for region in slb("DescribeRegions")["Regions"]["Region"]]
    assert "cn-hangzhou" in regions and len(regions) > 20
    zones = slb("DescribeZones")["Zones"]["Zone"]
    assert "cn-hangzhou-i" in [zone["ZoneId"] for zone in zones] and zones[0]["SlaveZones"]["SlaveZone"]
    elsewhere = Slb(emulator.address, region="cn-beijing")
    assert elsewhere("DescribeLoadBalancers")["TotalCount"] == 0
    assert elsewhere.code("DescribeLoadBalancerAttribute", LoadBalancerId=lb) == ("InvalidLoadBalancerId.NotFound", 404)
    assert elsewhere.code("CreateLoadBalancer", **NEW) == ("ServiceUnavailable", 400)
    assert Slb(emulator.address, region="nowhere").code("DescribeLoadBalancers") == ("InvalidRegionId.NotFound", 404)


def test_quota(slb: Slb) -> None:
    for dummy in range(60):
        slb("CreateLoadBalancer", **NEW)
    assert slb.code("CreateLoadBalancer", **NEW) == ("OverQuota", 400)


# Listeners


def test_listener_defaults_and_shape(slb: Slb, lb: str, group: str) -> None:
    slb(
        "CreateLoadBalancerTCPListener",
        LoadBalancerId=lb,
        ListenerPort=6443,
        BackendServerPort=8888,
        Bandwidth=-1,
        Tag=[{"Key": "k", "Value": "v"}],
        Description="api",
    )
    seen = slb("DescribeLoadBalancerTCPListenerAttribute", LoadBalancerId=lb, ListenerPort=6443)
    del seen["RequestId"]
    assert seen == {
        "LoadBalancerId": lb,
        "ListenerPort": 6443,
        "BackendServerPort": 8888,
        "Status": "stopped",
        "Bandwidth": -1,
        "Scheduler": "wrr",
        "Description": "api",
        "AclStatus": "off",
        "PersistenceTimeout": 0,
        "EstablishedTimeout": 900,
        "ConnectionDrain": "off",
        "ProxyProtocolV2Enabled": False,
        "SynProxy": "disable",
        "HealthCheck": "on",
        "HealthCheckType": "tcp",
        "HealthCheckConnectTimeout": 5,
        "HealthCheckInterval": 2,
        "HealthyThreshold": 3,
        "UnhealthyThreshold": 3,
        "Tags": {"Tag": [{"TagKey": "k", "TagValue": "v"}]},
    }
    assert slb("DescribeLoadBalancerAttribute", LoadBalancerId=lb)["ListenerPortsAndProtocol"] == {
        "ListenerPortAndProtocol": [{"ListenerPort": 6443, "ListenerProtocol": "tcp", "Description": "api"}]
    }


def test_listener_with_a_group(slb: Slb, listener: dict[str, Any], group: str) -> None:
    seen = slb("DescribeLoadBalancerTCPListenerAttribute", **listener)
    assert "BackendServerPort" not in seen
    assert (
        seen.items()
        >= {
            "VServerGroupId": group,
            "HealthCheckInterval": 5,
            "HealthCheckType": "http",
            "HealthCheckURI": "/readyz",
            "HealthCheckHttpCode": "http_2xx",
            "HealthCheckMethod": "head",
            "HealthCheckDomain": "",
        }.items()
    )
    listed = slb("DescribeLoadBalancerListeners", LoadBalancerId=[listener["LoadBalancerId"]])["Listeners"][0]
    assert listed["TCPListenerConfig"]["ProxyProtocolV2Enabled"] == "false"
    assert listed["TCPListenerConfig"]["HealthCheckInterval"] == 5 and listed["VServerGroupId"] == group
    groups = slb("DescribeVServerGroups", LoadBalancerId=listener["LoadBalancerId"], IncludeListener=True)
    assert groups["VServerGroups"]["VServerGroup"][0]["AssociatedObjects"]["Listeners"] == {
        "Listener": [{"Port": 80, "Protocol": "tcp"}]
    }
    assert slb.code("DeleteVServerGroup", VServerGroupId=group) == ("RspoolVipExist", 400)


def test_listener_life(slb: Slb, listener: dict[str, Any]) -> None:
    slb("StartLoadBalancerListener", **listener)
    assert slb("DescribeLoadBalancerTCPListenerAttribute", **listener)["Status"] == "running"
    assert slb.code("StartLoadBalancerListener", **listener) == ("Operation.NotAllowed", 400)
    slb("StopLoadBalancerListener", ListenerProtocol="tcp", **listener)
    assert slb("DescribeLoadBalancerTCPListenerAttribute", **listener)["Status"] == "stopped"
    slb("DeleteLoadBalancerListener", **listener)
    for action in (
        "StartLoadBalancerListener",
        "StopLoadBalancerListener",
        "DeleteLoadBalancerListener",
        "SetLoadBalancerTCPListenerAttribute",
    ):
        assert slb.code(action, **listener) == ("ListenerNotFound", 404)
    assert slb.code("DescribeLoadBalancerTCPListenerAttribute", **listener) == ("InvalidParameter", 400)


def test_transitions_take_time(emulator: Emulator, slb: Slb, listener: dict[str, Any]) -> None:
    emulator.control("PUT", "switches", {"transition_seconds": 0.3})

    def status() -> str:
        return str(slb("DescribeLoadBalancerTCPListenerAttribute", **listener)["Status"])

    slb("StartLoadBalancerListener", **listener)
    assert status() == "starting"
    assert slb.code("SetLoadBalancerTCPListenerAttribute", Description="x", **listener) == ("ServiceIsConfiguring", 400)
    assert slb.code("DeleteLoadBalancerListener", **listener)[0] == "OperationFailed.ListenerStatusNotSupport"
    time.sleep(0.35)
    assert status() == "running"
    slb("SetLoadBalancerTCPListenerAttribute", Description="x", **listener)
    assert (status(), slb.code("StartLoadBalancerListener", **listener)[0]) == ("configuring", "Operation.Deny")
    time.sleep(0.35)
    slb("StopLoadBalancerListener", **listener)
    assert (status(), slb.code("StartLoadBalancerListener", **listener)) == ("stopping", ("ServiceIsStopping", 409))
    time.sleep(0.35)
    assert status() == "stopped"


def test_set_keeps_or_resets_what_is_not_sent(emulator: Emulator, slb: Slb, listener: dict[str, Any]) -> None:
    slb(
        "SetLoadBalancerTCPListenerAttribute",
        Scheduler="rr",
        PersistenceTimeout=60,
        ConnectionDrain="on",
        ConnectionDrainTimeout=30,
        HealthCheckInterval=7,
        HealthCheckConnectPort=8889,
        **listener,
    )
    before = slb("DescribeLoadBalancerTCPListenerAttribute", **listener)
    slb("SetLoadBalancerTCPListenerAttribute", Description="new", **listener)
    after = slb("DescribeLoadBalancerTCPListenerAttribute", **listener)
    assert {name for name in after if after[name] != before[name]} == {"Description", "RequestId"}
    kept = ("HealthCheckInterval", "HealthCheckConnectPort", "ConnectionDrainTimeout")
    assert [after[name] for name in kept] == [7, 8889, 30]
    slb("SetLoadBalancerTCPListenerAttribute", HealthCheckConnectPort=-520, **listener)
    assert "HealthCheckConnectPort" not in slb("DescribeLoadBalancerTCPListenerAttribute", **listener)
    emulator.control("PUT", "switches", {"set_omission": "reset_health_check"})
    slb("SetLoadBalancerTCPListenerAttribute", Description="newer", **listener)
    reset = slb("DescribeLoadBalancerTCPListenerAttribute", **listener)
    assert (reset["HealthCheckType"], reset["HealthCheckInterval"], reset["Scheduler"]) == ("tcp", 2, "rr")


def test_listener_changes_its_group(slb: Slb, lb: str, listener: dict[str, Any], group: str) -> None:
    other = slb("CreateVServerGroup", LoadBalancerId=lb)["VServerGroupId"]
    slb("SetLoadBalancerTCPListenerAttribute", VServerGroupId=other, **listener)
    assert slb("DescribeLoadBalancerTCPListenerAttribute", **listener)["VServerGroupId"] == group
    slb("SetLoadBalancerTCPListenerAttribute", VServerGroup="on", VServerGroupId=other, **listener)
    assert slb("DescribeLoadBalancerTCPListenerAttribute", **listener)["VServerGroupId"] == other
    slb("DeleteVServerGroup", VServerGroupId=group)
    assert slb.code("SetLoadBalancerTCPListenerAttribute", VServerGroup="off", **listener) == ("InvalidParameter", 400)
    slb("CreateLoadBalancerTCPListener", LoadBalancerId=lb, ListenerPort=81, Bandwidth=-1, BackendServerPort=8080)
    second = {"LoadBalancerId": lb, "ListenerPort": 81}
    slb("SetLoadBalancerTCPListenerAttribute", VServerGroup="on", VServerGroupId=other, **second)
    assert "BackendServerPort" not in slb("DescribeLoadBalancerTCPListenerAttribute", **second)
    slb("SetLoadBalancerTCPListenerAttribute", VServerGroup="off", **second)
    assert slb("DescribeLoadBalancerTCPListenerAttribute", **second)["BackendServerPort"] == 8080


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({"ListenerPort": 80}, "ListenerAlreadyExists"),
        ({"ListenerPort": 0}, "InvalidParameter"),
        ({"ListenerPort": 65536}, "InvalidParameter"),
        ({"ListenerPort": None}, "MissingListenerPort"),
        ({"Bandwidth": None}, "MissingBandwidth"),
        ({"Bandwidth": 5121}, "InvalidParameter"),
        ({"VServerGroupId": None}, "MissingBackendServerPort"),
        ({"VServerGroupId": "rsp-none"}, "InvalidParameter"),
        ({"MasterSlaveServerGroupId": "rsp-none"}, "Abs.VServerGroupIdAndMasterSlaveServerGroupId.MissMatch"),
        ({"Scheduler": "wlc"}, "InvalidParameter"),
        ({"healthCheckInterval": 51}, "InvalidParameter"),
        ({"HealthCheckConnectTimeout": 301}, "InvalidParameter"),
        ({"HealthyThreshold": 1}, "InvalidParameter"),
        ({"UnhealthyThreshold": 11}, "InvalidParameter"),
        ({"HealthCheckType": "http", "HealthCheckURI": "readyz"}, "InvalidParameter"),
        ({"HealthCheckType": "http", "HealthCheckHttpCode": "200"}, "InvalidParameter"),
        ({"PersistenceTimeout": 3601}, "InvalidParameter"),
        ({"EstablishedTimeout": 9}, "InvalidParameter"),
        ({"ConnectionDrain": "on"}, "MissingConnectionDrainTimeout"),
        ({"AclStatus": "on"}, "MissingAclId"),
        ({"AclStatus": "on", "AclType": "white", "AclId": "acl-none"}, "AclNotExist"),
    ],
)
def test_listeners_that_are_refused(
    slb: Slb, listener: dict[str, Any], group: str, parameters: dict[str, Any], code: str
) -> None:
    wanted = {
        "LoadBalancerId": listener["LoadBalancerId"],
        "ListenerPort": 81,
        "Bandwidth": -1,
        "VServerGroupId": group,
        **parameters,
    }
    given = {name: value for name, value in wanted.items() if value is not None}
    assert slb.code("CreateLoadBalancerTCPListener", **given)[0] == code
    assert slb("DescribeLoadBalancerListeners")["TotalCount"] == 1


def test_hash_schedulers_are_a_family(slb: Slb, lb: str, listener: dict[str, Any]) -> None:
    assert slb.code("SetLoadBalancerTCPListenerAttribute", Scheduler="sch", **listener) == ("InvalidParameter", 400)
    slb(
        "CreateLoadBalancerTCPListener",
        LoadBalancerId=lb,
        ListenerPort=81,
        Bandwidth=-1,
        BackendServerPort=80,
        Scheduler="sch",
    )
    slb("SetLoadBalancerTCPListenerAttribute", LoadBalancerId=lb, ListenerPort=81, Scheduler="tch")


def test_listener_pages_and_quota(slb: Slb, lb: str) -> None:
    for port in range(1, 51):
        slb("CreateLoadBalancerTCPListener", LoadBalancerId=lb, ListenerPort=port, Bandwidth=-1, BackendServerPort=80)
    assert slb.code(
        "CreateLoadBalancerTCPListener", LoadBalancerId=lb, ListenerPort=51, Bandwidth=-1, BackendServerPort=80
    ) == ("ListenerNumberOverLimit", 400)
    ports, token, sizes = [], "", []
    while True:
        page = slb("DescribeLoadBalancerListeners", LoadBalancerId=[lb], **({"NextToken": token} if token else {}))
        sizes.append(len(page["Listeners"]))
        ports += [listener["ListenerPort"] for listener in page["Listeners"]]
        token = page["NextToken"]
        if not token:
            break
    assert (sizes, ports) == ([20, 20, 10], list(range(1, 51)))
    assert len(slb("DescribeLoadBalancerListeners", MaxResults=100, ListenerPort=7)["Listeners"]) == 1
    assert slb.code("DescribeLoadBalancerListeners", MaxResults=101) == ("InvalidParameter", 400)
    assert slb.code("DescribeLoadBalancerListeners", NextToken="x") == ("InvalidParameter", 400)


def test_dry_run_changes_nothing(slb: Slb, listener: dict[str, Any]) -> None:
    assert slb.code("SetLoadBalancerTCPListenerAttribute", Description="x", DryRun=True, **listener) == (
        "DryRunOperation",
        400,
    )
    assert slb("DescribeLoadBalancerTCPListenerAttribute", **listener)["Description"] == ""


# Groups and pools


def test_group_life(slb: Slb, lb: str, group: str) -> None:
    one = {"VServerGroupId": group}
    given = servers("web-2", Weight="30", Description="x y:z")
    added = slb("AddVServerGroupBackendServers", BackendServers=given, **one)
    assert members(added)[1] == {
        "ServerId": "i-ut-web-2",
        "Port": 80,
        "Weight": 30,
        "Type": "ecs",
        "Description": "x y:z",
    }
    # The same server with another port is another member.
    slb("AddVServerGroupBackendServers", BackendServers=servers("web-2", Port=81), **one)
    slb("SetVServerGroupAttribute", VServerGroupName="new", BackendServers=servers("web-2", Weight=0), **one)
    slb(
        "ModifyVServerGroupBackendServers",
        OldBackendServers=servers("web-2", Port=81),
        NewBackendServers=servers("web-3", Port=82),
        **one,
    )
    seen = slb("DescribeVServerGroupAttribute", **one)
    fields = ("ServerId", "Port", "Weight", "Description")
    assert [tuple(member[name] for name in fields) for member in members(seen)] == [
        ("i-ut-web-1", 80, 100, ""),
        ("i-ut-web-2", 80, 0, "x y:z"),
        ("i-ut-web-3", 82, 100, ""),
    ]
    assert (seen["VServerGroupName"], seen["LoadBalancerId"]) == ("new", lb)
    listed = slb("DescribeVServerGroups", LoadBalancerId=lb)["VServerGroups"]["VServerGroup"]
    assert listed[0]["ServerCount"] == 3 and "AssociatedObjects" not in listed[0]
    removed = slb("RemoveVServerGroupBackendServers", BackendServers=servers("web-2", "client-1"), **one)
    assert [member["ServerId"] for member in members(removed)] == ["i-ut-web-1", "i-ut-web-3"]
    slb("DeleteVServerGroup", **one)
    assert slb.code("DeleteVServerGroup", **one) == ("InvalidParameter", 404)


def test_single_quotes_are_taken(slb: Slb, group: str) -> None:
    added = slb(
        "AddVServerGroupBackendServers",
        VServerGroupId=group,
        BackendServers="[{'ServerId':'i-ut-web-2','Port':'80','Weight':'100'}]",
    )
    assert len(members(added)) == 2


def test_of_the_same_server_twice_the_first_counts(slb: Slb, group: str) -> None:
    added = slb(
        "AddVServerGroupBackendServers",
        VServerGroupId=group,
        BackendServers=json.dumps([{"ServerId": "i-ut-web-2", "Port": 80, "Weight": weight} for weight in (1, 2)]),
    )
    assert [member["Weight"] for member in members(added)] == [100, 1]


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ("nonsense", "BackendServersMalformed"),
        ("{}", "BackendServersMalformed"),
        ("[1]", "BackendServersMalformed"),
        (servers("web-2", ServerId=""), "BackendServer.ServerIdEmpty"),
        (servers("web-2", Port=0), "InvalidParameter"),
        (servers("web-2", Port="x"), "InvalidParameter"),
        (servers("web-2", Weight=101), "InvalidWeight.Malformed"),
        (servers("web-2", Description="x" * 81), "InvalidParameter"),
        (servers("web-2", Type="ip"), "InvalidParameter"),
        (servers("web-1"), "InvalidBackendServers.ServerIpConflict"),
        (servers("nobody"), "ObtainIpFail"),
        (servers("stopped"), "ObtainIpFail"),
        (servers("far-away"), "InvalidParameter"),
        (json.dumps([{"ServerId": "i-ut-web-2", "Port": port} for port in range(1, 22)]), "TooManyBackendServers"),
    ],
)
def test_servers_that_are_refused(emulator: Emulator, slb: Slb, group: str, given: str, code: str) -> None:
    machines = inventory({**MACHINES, "stopped": "192.0.2.14"})
    other = inventory({"far-away": "198.51.100.1"}, name="b", cidr="198.51.100.0/24", gateway="198.51.100.253")
    machines["machines"][-1]["status"] = "Stopped"
    emulator.control("PUT", "inventory", {name: machines[name] + other[name] for name in machines})
    assert slb.code("AddVServerGroupBackendServers", VServerGroupId=group, BackendServers=given)[0] == code
    assert len(members(slb("DescribeVServerGroupAttribute", VServerGroupId=group))) == 1


def test_public_instance_takes_servers_of_one_vpc(emulator: Emulator, slb: Slb) -> None:
    machines, other = inventory(MACHINES), inventory(
        {"far-away": "198.51.100.1"}, name="b", cidr="198.51.100.0/24", gateway="198.51.100.253"
    )
    emulator.control("PUT", "inventory", {name: machines[name] + other[name] for name in machines})
    lb = slb("CreateLoadBalancer", InstanceChargeType="PayByCLCU")["LoadBalancerId"]
    slb("AddBackendServers", LoadBalancerId=lb, BackendServers=servers("web-1"))
    assert slb.code("CreateVServerGroup", LoadBalancerId=lb, BackendServers=servers("far-away")) == (
        "InvalidBackendServers.Inconsistent",
        400,
    )


def test_only_members_can_be_set(slb: Slb, group: str) -> None:
    both = json.dumps([{"ServerId": "i-ut-web-1", "Port": 80, "Weight": 1}, {"ServerId": "i-ut-web-2", "Port": 80}])
    assert slb.code("SetVServerGroupAttribute", VServerGroupId=group, BackendServers=both) == ("InvalidParameter", 400)
    assert members(slb("DescribeVServerGroupAttribute", VServerGroupId=group))[0]["Weight"] == 100


def test_servers_per_instance(slb: Slb, lb: str) -> None:
    group = slb("CreateVServerGroup", LoadBalancerId=lb)["VServerGroupId"]
    for start in range(1, 201, 20):
        slb(
            "AddVServerGroupBackendServers",
            VServerGroupId=group,
            BackendServers=json.dumps([{"ServerId": "i-ut-web-1", "Port": port} for port in range(start, start + 20)]),
        )
    assert slb.code("AddVServerGroupBackendServers", VServerGroupId=group, BackendServers=servers("web-2")) == (
        "InstanceBackendServerNumberOverLimit",
        400,
    )


def test_a_group_belongs_to_its_instance(slb: Slb, group: str) -> None:
    other = slb("CreateLoadBalancer", **NEW)["LoadBalancerId"]
    assert slb.code(
        "CreateLoadBalancerTCPListener", LoadBalancerId=other, ListenerPort=80, Bandwidth=-1, VServerGroupId=group
    ) == ("InvalidParameter", 404)


def test_default_pool(slb: Slb, lb: str) -> None:
    one = {"LoadBalancerId": lb}
    added = slb("AddBackendServers", BackendServers=servers("web-1", "web-2", Weight=30), **one)
    assert members(added)[0] == {"ServerId": "i-ut-web-1", "Weight": "30", "Type": "ecs", "Description": ""}
    assert members(slb("SetBackendServers", BackendServers=servers("web-1", Weight=90), **one))[0]["Weight"] == "90"
    assert slb.code("AddBackendServers", BackendServers=servers("web-1"), **one)[1] == 400
    removed = slb("RemoveBackendServers", BackendServers=servers("web-2", "web-3"), **one)
    assert members(removed) == [{"ServerId": "i-ut-web-1", "Weight": 90, "Type": "ecs", "Description": ""}]
    assert members(slb("DescribeLoadBalancerAttribute", **one))[0]["Weight"] == 90


def test_health_without_a_network(slb: Slb, lb: str, listener: dict[str, Any]) -> None:
    def health(**parameters: Any) -> list[str]:
        return [
            member["ServerHealthStatus"]
            for member in members(slb("DescribeHealthStatus", LoadBalancerId=lb, **parameters))
        ]

    assert health() == ["unavailable"]
    slb("StartLoadBalancerListener", **listener)
    assert health(ListenerPort=80, ListenerProtocol="tcp") == ["normal"]
    slb("SetLoadBalancerTCPListenerAttribute", HealthCheckSwitch="off", **listener)
    assert health() == ["unavailable"]
    assert slb.code("DescribeHealthStatus", LoadBalancerId=lb, ListenerPort=81) == ("CheckedListenerNotFound", 404)


def test_a_server_that_is_released_leaves_its_pools(emulator: Emulator, slb: Slb, group: str) -> None:
    emulator.control("PUT", "inventory", inventory({"web-2": "192.0.2.12"}))
    assert members(slb("DescribeVServerGroupAttribute", VServerGroupId=group)) == []


# Tags


def test_tags(slb: Slb, lb: str, group: str, listener: dict[str, Any]) -> None:
    for kind, resource in (("instance", lb), ("vservergroup", group), ("listener", f"{lb}_tcp_80")):
        one = {"ResourceType": kind, "ResourceId": [resource]}
        slb("TagResources", Tag=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}], **one)
        slb("TagResources", Tag=[{"Key": "a", "Value": "3"}], **one)
        found = slb("ListTagResources", **one)["TagResources"]["TagResource"]
        assert [(tag["ResourceId"], tag["TagKey"], tag["TagValue"]) for tag in found] == [
            (resource, "a", "3"),
            (resource, "b", "2"),
        ]
        slb("UntagResources", TagKey=["a", "nothing"], **one)
        assert len(slb("ListTagResources", **one)["TagResources"]["TagResource"]) == 1
        by_tag = slb("ListTagResources", ResourceType=kind, Tag=[{"Key": "b", "Value": "2"}])
        assert by_tag["TagResources"]["TagResource"][0]["ResourceId"] == resource
        slb("UntagResources", All=True, **one)
        assert slb("ListTagResources", **one)["TagResources"]["TagResource"] == []


def test_tag_pages_and_limits(slb: Slb) -> None:
    ids = [slb("CreateLoadBalancer", **NEW)["LoadBalancerId"] for dummy in range(3)]
    tags = [{"Key": f"k{number:02}", "Value": ""} for number in range(20)]
    slb("TagResources", ResourceType="instance", ResourceId=ids, Tag=tags)
    first = slb("ListTagResources", ResourceType="instance", ResourceId=ids)
    rest = slb("ListTagResources", ResourceType="instance", ResourceId=ids, NextToken=first["NextToken"])
    assert [len(page["TagResources"]["TagResource"]) for page in (first, rest)] == [50, 10]
    assert rest["NextToken"] == ""
    new = {"ResourceType": "instance", "ResourceId": ids, "Tag": [{"Key": "one-more", "Value": ""}]}
    assert slb.code("TagResources", **new) == ("TagCountLimit", 400)
    assert slb.code("TagResources", **{**new, "ResourceId": ["lb-none"]}) == ("InvalidResourceId.NotFound", 404)
    assert slb.code("TagResources", **{**new, "ResourceId": ids * 7}) == ("InvalidParameter", 400)
    assert slb.code("ListTagResources", ResourceType="instance") == ("MissingParameter", 400)
    assert slb.code("UntagResources", ResourceType="instance", ResourceId=ids) == ("MissingParameter", 400)


# ECS


def test_describe_instances(emulator: Emulator, slb: Slb) -> None:
    machines = inventory({f"node-{number:02}": f"192.0.2.{number}" for number in range(1, 26)})
    machines["machines"][0].update(status="Stopped", tags={"role": "first"})
    machines["machines"][4].update(eip="203.0.113.9")
    emulator.control("PUT", "inventory", machines)

    def found(**query: Any) -> list[str]:
        return [machine["InstanceName"] for machine in slb.ecs(**query)["Instances"]["Instance"]]

    assert len(found()) == len(found(MaxResults="5")) == 10
    first = slb.ecs(MaxResults="20")
    assert (len(first["Instances"]["Instance"]), len(found(MaxResults="20", NextToken=first["NextToken"]))) == (20, 5)
    assert slb.ecs(MaxResults="100")["NextToken"] == ""
    two = json.dumps(["192.0.2.3", "192.0.2.4", "198.51.100.1"])
    assert found(PrivateIpAddresses=two, InstanceNetworkType="vpc", VpcId="vpc-ut-lab") == ["node-03", "node-04"]
    assert len(found(PrivateIpAddresses=two)) == 10
    assert found(EipAddresses=json.dumps(["203.0.113.9"]), InstanceNetworkType="vpc") == ["node-05"]
    assert found(VpcId="vpc-other") == []
    assert found(InstanceIds=json.dumps(["i-ut-node-07", "i-none"])) == ["node-07"]
    assert found(InstanceName="node-2*") == ["node-20", "node-21", "node-22", "node-23", "node-24", "node-25"]
    assert found(Status="Stopped") == found(**{"Tag.1.Key": "role", "Tag.1.Value": "first"}) == ["node-01"]
    one = slb.ecs(InstanceName="node-02")["Instances"]["Instance"][0]
    assert one["VpcAttributes"]["PrivateIpAddress"]["IpAddress"] == ["192.0.2.2"]
    assert (one["VpcAttributes"]["VpcId"], one["ZoneId"], one["Status"]) == ("vpc-ut-lab", "cn-hangzhou-i", "Running")
    assert slb.ecs(PageNumber="3", PageSize="10")["TotalCount"] == 25


# The gateway, the state and the control interface


def test_unknown_operations_are_never_a_success(slb: Slb, lb: str) -> None:
    assert slb.code(
        "SetListenerAccessControlStatus", LoadBalancerId=lb, ListenerPort=80, AccessControlStatus="close"
    ) == ("InvalidApi.NotFound", 404)


@pytest.mark.parametrize("kill", [False, True])
def test_state_survives_a_restart(own_emulator: Callable[..., Emulator], kill: bool) -> None:
    emulator = own_emulator()
    emulator.control("PUT", "inventory", inventory(MACHINES))
    emulator.control("PUT", "switches", {"hairpin": "self"})
    slb = Slb(emulator.address)
    lb = slb("CreateLoadBalancer", ClientToken="t", **NEW)["LoadBalancerId"]
    group = slb("CreateVServerGroup", LoadBalancerId=lb, BackendServers=servers("web-1"))["VServerGroupId"]
    slb(
        "CreateLoadBalancerTCPListener",
        LoadBalancerId=lb,
        ListenerPort=80,
        Bandwidth=-1,
        VServerGroupId=group,
        Tag=[{"Key": "k", "Value": "v"}],
    )
    reads: list[tuple[str, dict[str, Any]]] = [
        ("DescribeLoadBalancerAttribute", {"LoadBalancerId": lb}),
        ("DescribeLoadBalancerListeners", {}),
        ("DescribeVServerGroupAttribute", {"VServerGroupId": group}),
    ]
    before = [{**slb(action, **parameters), "RequestId": ""} for action, parameters in reads]
    emulator.stop(kill)
    emulator.start()
    slb = Slb(emulator.address)
    assert [{**slb(action, **parameters), "RequestId": ""} for action, parameters in reads] == before
    assert slb("CreateLoadBalancer", ClientToken="t", **NEW)["LoadBalancerId"] == lb
    assert slb("CreateLoadBalancer", **NEW)["LoadBalancerId"] != lb
    assert emulator.control("GET", "switches")["hairpin"]["value"] == "self"
    assert len(emulator.control("GET", "inventory")["machines"]) == 4


def test_request_log(emulator: Emulator, slb: Slb) -> None:
    emulator.control("DELETE", "requests")
    lb = slb("CreateLoadBalancer", **NEW)["LoadBalancerId"]
    slb("DescribeLoadBalancers")
    slb.code("DeleteLoadBalancer", LoadBalancerId="lb-none")
    seen = emulator.control("GET", "requests")
    assert seen["counts"] == {"CreateLoadBalancer": 1, "DescribeLoadBalancers": 1, "DeleteLoadBalancer": 1}
    assert seen["writes"] == 2
    assert [(entry["action"], entry["status"], entry["code"]) for entry in seen["log"]] == [
        ("CreateLoadBalancer", 200, ""),
        ("DescribeLoadBalancers", 200, ""),
        ("DeleteLoadBalancer", 404, "InvalidLoadBalancerId.NotFound"),
    ]
    assert seen["log"][0]["parameters"] == {"RegionId": "cn-hangzhou", **NEW}
    emulator.control("POST", "reset")
    assert emulator.control("GET", "requests")["writes"] == 0
    assert slb.code("DescribeLoadBalancerAttribute", LoadBalancerId=lb)[1] == 404


def test_control_interface_refuses_nonsense(emulator: Emulator) -> None:
    import urllib.error

    for method, path, body in (
        ("PUT", "switches", {"hairpin": "maybe"}),
        ("PUT", "switches", {"unknown": "x"}),
        ("PUT", "switches", {"transition_seconds": -1}),
        ("PUT", "inventory", {"machines": [{"name": "x"}]}),
        ("PUT", "inventory", inventory({"a": "192.0.2.1", "b": "192.0.2.1"})),
        ("PUT", "inventory", inventory({"a": "198.51.100.1"})),
        ("PUT", "machines/web-1/link", {"up": "no"}),
    ):
        with pytest.raises(urllib.error.HTTPError) as caught:
            emulator.control(method, path, body)
        assert (caught.value.code, bool(json.load(caught.value)["error"])) == (400, True)
    assert emulator.control("GET", "status").items() >= {"ready": True, "data_plane": "none", "error": None}.items()
    assert set(emulator.control("GET", "switches")["hairpin"]) == {"value", "default", "allowed", "source"}
