# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Listeners in the API beside the first road: UDP, two protocols on one port, tags, shared bandwidth; no data plane."""

from __future__ import annotations

from typing import Any

import pytest
from emulator_harness import Emulator, Slb

NEW = {"VSwitchId": "vsw-ut-lab", "InstanceChargeType": "PayByCLCU"}


@pytest.fixture
def lb(slb: Slb) -> str:
    return str(slb("CreateLoadBalancer", **NEW)["LoadBalancerId"])


@pytest.fixture
def listener(slb: Slb, lb: str) -> dict[str, Any]:
    """One for UDP with all that it can be told at first."""
    slb(
        "CreateLoadBalancerUDPListener",
        LoadBalancerId=lb,
        ListenerPort=53,
        BackendServerPort=5353,
        Bandwidth=-1,
        Scheduler="qch",
        Description="dns",
        ProxyProtocolV2Enabled=True,
        healthCheckInterval=7,
        HealthCheckConnectTimeout=8,
        HealthCheckConnectPort=5300,
        healthCheckReq="ping",
        healthCheckExp="pong",
        Tag=[{"Key": "k", "Value": "v"}],
    )
    return {"LoadBalancerId": lb, "ListenerPort": 53}


def test_udp_defaults_and_shape(slb: Slb, lb: str) -> None:
    slb("CreateLoadBalancerUDPListener", LoadBalancerId=lb, ListenerPort=53, BackendServerPort=5353, Bandwidth=-1)
    seen = slb("DescribeLoadBalancerUDPListenerAttribute", LoadBalancerId=lb, ListenerPort=53)
    del seen["RequestId"]
    assert seen == {
        "LoadBalancerId": lb,
        "ListenerPort": 53,
        "BackendServerPort": 5353,
        "Status": "stopped",
        "Bandwidth": -1,
        "Scheduler": "wrr",
        "Description": "",
        "AclStatus": "off",
        "ProxyProtocolV2Enabled": False,
        "HealthCheck": "on",
        "HealthCheckConnectTimeout": 10,
        "HealthCheckInterval": 5,
        "HealthyThreshold": 3,
        "UnhealthyThreshold": 3,
        "HealthCheckReq": "",
        "HealthCheckExp": "",
        "Tags": {"Tag": []},
    }


def test_udp_settings_in_both_answers(slb: Slb, listener: dict[str, Any]) -> None:
    seen = slb("DescribeLoadBalancerUDPListenerAttribute", **listener)
    expected = {
        "HealthCheckInterval": 7,
        "HealthCheckConnectTimeout": 8,
        "HealthCheckConnectPort": 5300,
        "HealthCheckReq": "ping",
        "HealthCheckExp": "pong",
    }
    assert seen.items() >= {**expected, "Scheduler": "qch", "ProxyProtocolV2Enabled": True}.items()
    (listed,) = slb("DescribeLoadBalancerListeners", LoadBalancerId=[listener["LoadBalancerId"]])["Listeners"]
    assert listed["UDPListenerConfig"].items() >= {**expected, "ProxyProtocolV2Enabled": "true"}.items()
    assert "TCPListenerConfig" not in listed and "ConnectionDrainTimeout" not in listed["UDPListenerConfig"]
    assert (listed["ListenerProtocol"], listed["Scheduler"], listed["Tags"]) == (
        "udp",
        "qch",
        [{"TagKey": "k", "TagValue": "v"}],
    )


def test_set_udp_keeps_or_resets_what_is_not_sent(
    emulator: Emulator, slb: Slb, lb: str, listener: dict[str, Any]
) -> None:
    def settings() -> dict[str, Any]:
        seen = slb("DescribeLoadBalancerUDPListenerAttribute", **listener)
        return {name: value for name, value in seen.items() if name != "RequestId"}

    before = settings()
    slb("SetLoadBalancerUDPListenerAttribute", HealthCheckInterval=9, **listener)
    assert settings() == {**before, "HealthCheckInterval": 9}
    slb("SetLoadBalancerUDPListenerAttribute", healthCheckReq="", healthCheckExp="", **listener)
    assert (settings()["HealthCheckReq"], settings()["HealthCheckExp"]) == ("", "")
    emulator.control("PUT", "switches", {"set_omission": "reset_health_check"})
    slb("SetLoadBalancerUDPListenerAttribute", Scheduler="tch", **listener)
    assert (settings()["HealthCheckInterval"], settings()["Description"]) == (5, "dns")
    emulator.control("PUT", "switches", {"set_omission": "reset_all"})
    slb("SetLoadBalancerUDPListenerAttribute", HealthCheckInterval=9, **listener)
    slb("CreateLoadBalancerUDPListener", LoadBalancerId=lb, ListenerPort=54, BackendServerPort=5353, Bandwidth=-1)
    fresh = slb("DescribeLoadBalancerUDPListenerAttribute", LoadBalancerId=lb, ListenerPort=54)
    same = ("ListenerPort", "RequestId", "Tags")
    assert {name: value for name, value in settings().items() if name not in same} == {
        **{name: value for name, value in fresh.items() if name not in same},
        "HealthCheckInterval": 9,
    }


def test_a_tcp_listener_that_is_reset_loses_all_but_its_backends(emulator: Emulator, slb: Slb, lb: str) -> None:
    target = {"LoadBalancerId": lb, "ListenerPort": 80}
    slb(
        "CreateLoadBalancerTCPListener", BackendServerPort=8080, Bandwidth=5, Scheduler="sch", Description="x", **target
    )
    slb("SetLoadBalancerTCPListenerAttribute", SynProxy="enable", **target)
    emulator.control("PUT", "switches", {"set_omission": "reset_all"})
    slb("SetLoadBalancerTCPListenerAttribute", PersistenceTimeout=60, **target)
    seen = slb("DescribeLoadBalancerTCPListenerAttribute", **target)
    assert [seen[name] for name in ("Scheduler", "Bandwidth", "Description", "SynProxy", "PersistenceTimeout")] == [
        "wrr",
        -1,
        "",
        "disable",
        60,
    ]
    assert seen["BackendServerPort"] == 8080


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({"ListenerPort": 53}, "ListenerAlreadyExists"),
        ({"ListenerPort": 65536}, "InvalidParameter"),
        ({"Bandwidth": None}, "MissingBandwidth"),
        ({"BackendServerPort": None}, "MissingBackendServerPort"),
        ({"Scheduler": "wlc"}, "InvalidParameter"),
        ({"healthCheckInterval": 51}, "InvalidParameter"),
        ({"HealthCheckConnectTimeout": 0}, "InvalidParameter"),
        ({"UnhealthyThreshold": 1}, "InvalidParameter"),
        ({"HealthCheckConnectPort": 65536}, "InvalidParameter"),
        ({"healthCheckReq": "ping"}, "InvalidParameter"),
        ({"healthCheckExp": "pong"}, "InvalidParameter"),
        ({"healthCheckReq": "ping 1", "healthCheckExp": "pong"}, "InvalidParameter"),
        ({"healthCheckReq": "ping", "healthCheckExp": "x" * 65}, "InvalidParameter"),
        ({"Description": "x" * 257}, "InvalidParameter"),
        ({"AclStatus": "on", "AclType": "white"}, "MissingAclId"),
    ],
)
def test_udp_listeners_that_are_refused(
    slb: Slb, listener: dict[str, Any], parameters: dict[str, Any], code: str
) -> None:
    wanted = {
        "LoadBalancerId": listener["LoadBalancerId"],
        "ListenerPort": 54,
        "Bandwidth": -1,
        "BackendServerPort": 53,
        **parameters,
    }
    given = {name: value for name, value in wanted.items() if value is not None}
    assert slb.code("CreateLoadBalancerUDPListener", **given)[0] == code
    assert slb("DescribeLoadBalancerListeners")["TotalCount"] == 1


def test_changes_of_udp_listeners_that_are_refused(slb: Slb, listener: dict[str, Any]) -> None:
    refused = "SetLoadBalancerUDPListenerAttribute"
    assert slb.code(refused, Scheduler="rr", **listener) == ("InvalidParameter", 400)
    assert slb.code(refused, healthCheckReq="", **listener) == ("InvalidParameter", 400)
    assert slb.code(refused, DryRun=True, **listener) == ("DryRunOperation", 400)
    assert slb.code(refused, **{**listener, "ListenerPort": 54}) == ("ListenerNotFound", 404)
    # a listener of the other protocol is another listener
    assert slb.code("SetLoadBalancerTCPListenerAttribute", **listener) == ("ListenerNotFound", 404)
    assert slb.code("DescribeLoadBalancerTCPListenerAttribute", **listener) == ("InvalidParameter", 400)
    assert slb("DescribeLoadBalancerUDPListenerAttribute", **listener)["Scheduler"] == "qch"


def test_qch_is_for_udp_only(slb: Slb, lb: str) -> None:
    assert slb.code(
        "CreateLoadBalancerTCPListener",
        LoadBalancerId=lb,
        ListenerPort=80,
        BackendServerPort=80,
        Bandwidth=-1,
        Scheduler="qch",
    ) == ("InvalidParameter", 400)


def test_two_protocols_on_one_port(slb: Slb, lb: str, listener: dict[str, Any]) -> None:
    slb("CreateLoadBalancerTCPListener", LoadBalancerId=lb, ListenerPort=53, BackendServerPort=53, Bandwidth=-1)
    for action in ("StartLoadBalancerListener", "StopLoadBalancerListener", "DeleteLoadBalancerListener"):
        assert slb.code(action, **listener) == ("TooManyListeners", 400)
    assert slb.code("DescribeHealthStatus", **listener) == ("TooManyListeners", 400)
    slb("StartLoadBalancerListener", ListenerProtocol="udp", **listener)

    def status() -> dict[str, str]:
        found = slb("DescribeLoadBalancerListeners", ListenerPort=53)["Listeners"]
        return {entry["ListenerProtocol"]: entry["Status"] for entry in found}

    assert status() == {"udp": "running", "tcp": "stopped"}
    ports = slb("DescribeLoadBalancerAttribute", LoadBalancerId=lb)["ListenerPortsAndProtocol"]
    assert {entry["ListenerProtocol"] for entry in ports["ListenerPortAndProtocol"]} == {"tcp", "udp"}
    slb("DeleteLoadBalancerListener", ListenerProtocol="tcp", **listener)
    assert status() == {"udp": "running"}
    slb("StopLoadBalancerListener", **listener)


def test_tags_of_udp_listeners(slb: Slb, lb: str, listener: dict[str, Any]) -> None:
    one = {"ResourceType": "listener", "ResourceId": [f"{lb}_udp_53"]}
    slb("TagResources", Tag=[{"Key": "a", "Value": "1"}], **one)
    slb("UntagResources", TagKey=["k"], **one)
    (tag,) = slb("ListTagResources", **one)["TagResources"]["TagResource"]
    assert (tag["ResourceId"], tag["TagKey"], tag["TagValue"]) == (f"{lb}_udp_53", "a", "1")
    assert slb("DescribeLoadBalancerListeners", Tag=[{"Key": "a", "Value": "1"}])["TotalCount"] == 1
    assert slb("DescribeLoadBalancerListeners", Tag=[{"Key": "k"}])["TotalCount"] == 0
    assert slb("DescribeLoadBalancerListeners", ListenerProtocol="tcp")["TotalCount"] == 0
    assert slb.code("TagResources", **{**one, "ResourceId": [f"{lb}_tcp_53"]}, Tag=[{"Key": "a", "Value": "1"}]) == (
        "InvalidResourceId.NotFound",
        404,
    )


def test_health_of_a_udp_listener(slb: Slb, lb: str) -> None:
    group = slb(
        "CreateVServerGroup",
        LoadBalancerId=lb,
        BackendServers='[{"ServerId": "i-ut-web-1", "Port": 53, "Weight": 100}]',
    )["VServerGroupId"]
    target = {"LoadBalancerId": lb, "ListenerPort": 53}
    slb("CreateLoadBalancerUDPListener", VServerGroupId=group, Bandwidth=-1, **target)
    slb("StartLoadBalancerListener", ListenerProtocol="udp", **target)
    (backend,) = slb("DescribeHealthStatus", ListenerProtocol="udp", **target)["BackendServers"]["BackendServer"]
    assert (backend["Protocol"], backend["ListenerPort"], backend["ServerHealthStatus"]) == ("udp", 53, "normal")
    assert slb.code("DescribeHealthStatus", ListenerProtocol="tcp", **target) == ("CheckedListenerNotFound", 404)


def test_listeners_share_the_bandwidth_that_is_paid_for(slb: Slb) -> None:
    lb = slb(
        "CreateLoadBalancer",
        AddressType="internet",
        InstanceChargeType="PayBySpec",
        LoadBalancerSpec="slb.s1.small",
        InternetChargeType="paybybandwidth",
        Bandwidth=10,
    )["LoadBalancerId"]
    first = {"LoadBalancerId": lb, "ListenerPort": 80}
    second = {"LoadBalancerId": lb, "ListenerPort": 53}
    slb("CreateLoadBalancerTCPListener", BackendServerPort=80, Bandwidth=6, **first)
    assert slb.code("CreateLoadBalancerUDPListener", BackendServerPort=53, Bandwidth=5, **second) == (
        "InvalidParameter",
        400,
    )
    slb("CreateLoadBalancerUDPListener", BackendServerPort=53, Bandwidth=4, **second)
    assert slb.code("SetLoadBalancerUDPListenerAttribute", Bandwidth=5, **second) == ("InvalidParameter", 400)
    slb("SetLoadBalancerTCPListenerAttribute", Bandwidth=-1, **first)
    slb("SetLoadBalancerUDPListenerAttribute", Bandwidth=10, **second)
