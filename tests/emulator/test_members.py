# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Network interfaces as servers, and primary/secondary groups: the API by the official client, and who serves."""

from __future__ import annotations

import json
import socket
import urllib.error
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from emulator_harness import MACHINES, SANDBOX, Emulator, Network, Slb, inventory

from slb_emulator.network import Namespace

NEW = {"VSwitchId": "vsw-ut-lab", "InstanceChargeType": "PayByCLCU"}
ENI = {"ServerId": "eni-ut-second", "Type": "eni", "Port": 80}


def interfaces() -> dict[str, Any]:
    known = inventory(MACHINES)
    known["machines"][0].update(
        secondary_ips=["192.0.2.111"],
        interfaces=[{"eni_id": "eni-ut-second", "private_ip": "192.0.2.211", "secondary_ips": ["192.0.2.212"]}],
    )
    return known


@pytest.fixture
def emulator(emulator: Emulator) -> Emulator:
    emulator.control("PUT", "inventory", interfaces())
    return emulator


@pytest.fixture
def lb(slb: Slb) -> str:
    return str(slb("CreateLoadBalancer", **NEW)["LoadBalancerId"])


@pytest.fixture
def group(slb: Slb, lb: str) -> str:
    return str(slb("CreateVServerGroup", LoadBalancerId=lb)["VServerGroupId"])


def sides(primary: str = "web-1", standby: str = "web-2", **values: Any) -> str:
    servers = zip(("Slave", "Master"), (standby, primary))
    return json.dumps(
        [{"ServerId": f"i-ut-{name}", "Port": 80, "ServerType": kind, **values} for kind, name in servers]
    )


@pytest.fixture
def pair(slb: Slb, lb: str) -> str:
    made = slb(
        "CreateMasterSlaveServerGroup",
        LoadBalancerId=lb,
        MasterSlaveServerGroupName="p",
        MasterSlaveBackendServers=sides(),
    )
    return str(made["MasterSlaveServerGroupId"])


def members(answer: dict[str, Any]) -> list[dict[str, Any]]:
    return list(answer["BackendServers"]["BackendServer"])


# ECS


def test_describe_network_interfaces(emulator: Emulator, slb: Slb) -> None:
    def found(**query: Any) -> list[str]:
        told = slb.ecs("DescribeNetworkInterfaces", **{name.replace("__", "."): value for name, value in query.items()})
        return [entry["NetworkInterfaceId"] for entry in told["NetworkInterfaceSets"]["NetworkInterfaceSet"]]

    assert found() == ["eni-ut-web-1", "eni-ut-second", "eni-ut-web-2", "eni-ut-web-3", "eni-ut-client-1"]
    assert found(PrivateIpAddress__1="192.0.2.12", PrivateIpAddress__2="192.0.2.212") == [
        "eni-ut-second",
        "eni-ut-web-2",
    ]
    assert found(PrivateIpAddress__1="192.0.2.99") == found(Status="Available") == found(VpcId="vpc-other") == []
    assert found(NetworkInterfaceId__1="eni-ut-web-3", NetworkInterfaceId__2="eni-none") == ["eni-ut-web-3"]
    assert (
        found(InstanceId="i-ut-web-1")
        == ["eni-ut-web-1", "eni-ut-second"]
        == found(InstanceId="i-ut-web-1", Status="InUse")
    )
    assert found(Type="Secondary") == found(PrimaryIpAddress="192.0.2.211") == ["eni-ut-second"]
    (told,) = slb.ecs("DescribeNetworkInterfaces", PrimaryIpAddress="192.0.2.211")["NetworkInterfaceSets"][
        "NetworkInterfaceSet"
    ]
    assert (told["VpcId"], told["VSwitchId"], told["InstanceId"]) == ("vpc-ut-lab", "vsw-ut-lab", "i-ut-web-1")
    assert told["PrivateIpSets"]["PrivateIpSet"] == [
        {"PrivateIpAddress": "192.0.2.211", "Primary": True},
        {"PrivateIpAddress": "192.0.2.212", "Primary": False},
    ]
    instance = slb.ecs(InstanceName="web-1")["Instances"]["Instance"][0]
    assert instance["VpcAttributes"]["PrivateIpAddress"]["IpAddress"] == ["192.0.2.11"]
    assert [entry["Type"] for entry in instance["NetworkInterfaces"]["NetworkInterface"]] == ["Primary", "Secondary"]


def test_pages_of_network_interfaces(emulator: Emulator, slb: Slb) -> None:
    emulator.control("PUT", "inventory", inventory({f"node-{number}": f"192.0.2.{number}" for number in range(1, 15)}))
    first = slb.ecs("DescribeNetworkInterfaces")
    rest = slb.ecs("DescribeNetworkInterfaces", NextToken=first["NextToken"])
    sizes = [len(page["NetworkInterfaceSets"]["NetworkInterfaceSet"]) for page in (first, rest)]
    assert sizes == [10, 4] and rest["NextToken"] == ""
    assert (
        len(slb.ecs("DescribeNetworkInterfaces", MaxResults="100")["NetworkInterfaceSets"]["NetworkInterfaceSet"]) == 14
    )


def test_only_an_asterisk_is_special_in_a_name(emulator: Emulator, slb: Slb) -> None:
    names = [entry["InstanceName"] for entry in slb.ecs(InstanceName="*b-*")["Instances"]["Instance"]]
    assert names == ["web-1", "web-2", "web-3"]
    assert slb.ecs(InstanceName="web-[123]")["Instances"]["Instance"] == []
    assert slb.ecs(InstanceName="web-?")["Instances"]["Instance"] == []


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"secondary_ips": ["192.0.2.12"]}, "192.0.2.12 is there twice"),
        ({"secondary_ips": ["198.51.100.1"]}, "address 198.51.100.1 of machine web-1 is not in its VPC"),
        (
            {"interfaces": [{"eni_id": "eni-ut-web-2", "private_ip": "192.0.2.50"}]},
            "interface eni-ut-web-2 is there twice",
        ),
        ({"interfaces": [{"eni": "eni-1"}]}, "the inventory does not have the shape that is expected"),
    ],
)
def test_interfaces_that_cannot_be(emulator: Emulator, change: dict[str, Any], sentence: str) -> None:
    known = inventory(MACHINES)
    known["machines"][0].update(change)
    with pytest.raises(urllib.error.HTTPError) as caught:
        emulator.control("PUT", "inventory", known)
    assert sentence in json.load(caught.value)["error"]


# Servers


def test_an_interface_is_known_by_its_address_too(slb: Slb, group: str) -> None:
    one = {"VServerGroupId": group}
    slb("AddVServerGroupBackendServers", BackendServers=json.dumps([ENI, {**ENI, "ServerIp": "192.0.2.212"}]), **one)
    told = members(slb("DescribeVServerGroupAttribute", **one))
    # one without an address has the primary one
    assert [(entry["Type"], entry["ServerIp"]) for entry in told] == [("eni", "192.0.2.211"), ("eni", "192.0.2.212")]
    weight = json.dumps([{**ENI, "ServerIp": "192.0.2.212", "Weight": 5}])
    slb("SetVServerGroupAttribute", BackendServers=weight, **one)
    assert [entry["Weight"] for entry in members(slb("DescribeVServerGroupAttribute", **one))] == [100, 5]
    slb("RemoveVServerGroupBackendServers", BackendServers=json.dumps([{**ENI, "ServerIp": "192.0.2.211"}]), **one)
    assert [entry["Weight"] for entry in members(slb("DescribeVServerGroupAttribute", **one))] == [5]


@pytest.mark.parametrize(
    ("server", "code"),
    [
        ({**ENI, "ServerIp": "192.0.2.11"}, "InvalidBackendServers.ServerIpConflict"),
        ({**ENI, "ServerId": "eni-none"}, "ObtainIpFail"),
        ({**ENI, "ServerId": "i-ut-web-1"}, "ObtainIpFail"),
        ({**ENI, "Type": "ecs"}, "ObtainIpFail"),
        ({**ENI, "Type": "eci"}, "ObtainIpFail"),
        ({"ServerId": "i-ut-web-1", "Port": 80, "ServerIp": "192.0.2.111"}, "InvalidBackendServers.ServerIpConflict"),
    ],
)
def test_servers_that_are_refused(slb: Slb, group: str, server: dict[str, Any], code: str) -> None:
    given = json.dumps([server])
    assert slb.code("AddVServerGroupBackendServers", VServerGroupId=group, BackendServers=given)[0] == code


def test_interfaces_in_the_default_pool(slb: Slb, lb: str) -> None:
    one = {"LoadBalancerId": lb}
    added = slb("AddBackendServers", BackendServers=json.dumps([ENI, {**ENI, "ServerIp": "192.0.2.212"}]), **one)
    assert members(added)[0] == {"ServerId": "eni-ut-second", "Weight": "100", "Type": "eni", "Description": ""}
    told = members(slb("DescribeLoadBalancerAttribute", **one))
    assert [entry["ServerIp"] for entry in told] == ["192.0.2.211", "192.0.2.212"]
    many = json.dumps([{"ServerId": f"i-{number}"} for number in range(21)])
    for action in ("AddBackendServers", "SetBackendServers", "RemoveBackendServers"):
        assert slb.code(action, BackendServers=many, **one) == ("TooManyBackendServers", 400)
    assert slb.code("SetBackendServers", BackendServers=json.dumps([{"ServerId": "i-ut-web-2"}]), **one)[1] == 400
    found = slb("DescribeLoadBalancers", ServerIntranetAddress="192.0.2.212", PageNumber=1, PageSize=10)
    assert found["TotalCount"] == 1


@pytest.mark.parametrize(("switch", "left"), [("leave", 0), ("stay", 1)])
def test_a_released_server(emulator: Emulator, slb: Slb, group: str, switch: str, left: int) -> None:
    emulator.control("PUT", "switches", {"released_server": switch})
    slb("AddVServerGroupBackendServers", VServerGroupId=group, BackendServers=json.dumps([ENI]))
    emulator.control("PUT", "inventory", inventory({"web-2": "192.0.2.12"}))
    assert len(members(slb("DescribeVServerGroupAttribute", VServerGroupId=group))) == left
    gone = json.dumps([{**ENI, "ServerIp": "192.0.2.211"}])
    slb("RemoveVServerGroupBackendServers", VServerGroupId=group, BackendServers=gone)
    assert members(slb("DescribeVServerGroupAttribute", VServerGroupId=group)) == []


# Primary/secondary groups


def test_pair_life(slb: Slb, lb: str, pair: str) -> None:
    one = {"MasterSlaveServerGroupId": pair}
    told = slb("DescribeMasterSlaveServerGroupAttribute", **one)
    assert (told["MasterSlaveServerGroupName"], told["LoadBalancerId"]) == ("p", lb)
    # the primary first, whatever the order of the request; and never an address
    assert told["MasterSlaveBackendServers"]["MasterSlaveBackendServer"] == [
        {"ServerId": f"i-ut-{name}", "Port": 80, "Weight": 100, "Type": "ecs", "Description": "", "ServerType": kind}
        for name, kind in (("web-1", "Master"), ("web-2", "Slave"))
    ]
    tags = {"ResourceType": "masterslaveservergroup", "ResourceId": [pair]}
    slb("TagResources", Tag=[{"Key": "a", "Value": "1"}], **tags)
    listener = {"LoadBalancerId": lb, "ListenerPort": 80}
    slb("CreateLoadBalancerTCPListener", Bandwidth=-1, **one, **listener)
    (listed,) = slb("DescribeMasterSlaveServerGroups", LoadBalancerId=lb, IncludeListener=True)[
        "MasterSlaveServerGroups"
    ]["MasterSlaveServerGroup"]
    assert listed["AssociatedObjects"]["Listeners"]["Listener"] == [{"Port": 80, "Protocol": "tcp"}]
    assert listed["Tags"]["Tag"] == [{"TagKey": "a", "TagValue": "1"}]
    other = slb("DescribeMasterSlaveServerGroups", LoadBalancerId=lb, Tag=[{"Key": "a", "Value": "2"}])
    assert other["MasterSlaveServerGroups"]["MasterSlaveServerGroup"] == []
    (shown,) = slb("DescribeLoadBalancerListeners", LoadBalancerId=[lb])["Listeners"]
    assert shown["TCPListenerConfig"]["MasterSlaveServerGroupId"] == pair and not shown.get("BackendServerPort")
    assert slb.code("DeleteMasterSlaveServerGroup", **one) == ("RspoolVipExist", 400)
    slb("DeleteLoadBalancerListener", ListenerProtocol="tcp", **listener)
    slb("DeleteMasterSlaveServerGroup", **one)
    assert slb.code("DescribeMasterSlaveServerGroupAttribute", **one) == ("InvalidParameter", 404)


@pytest.mark.parametrize(
    ("given", "code"),
    [
        (json.dumps(json.loads(sides())[:1]), "InvalidParameter"),
        (sides(ServerType="Master"), "InvalidParameter"),
        (sides(ServerType=""), "InvalidParameter"),
        (sides("web-1", "web-1"), "InvalidParameter"),
        (sides(Port=0), "InvalidParameter"),
        (sides(Weight=101), "InvalidWeight.Malformed"),
        (sides("web-1", "none"), "ObtainIpFail"),
        ("[1, 2]", "BackendServersMalformed"),
        ("{}", "BackendServersMalformed"),
    ],
)
def test_pairs_that_are_refused(slb: Slb, lb: str, given: str, code: str) -> None:
    assert slb.code("CreateMasterSlaveServerGroup", LoadBalancerId=lb, MasterSlaveBackendServers=given)[0] == code


def test_a_listener_goes_over(slb: Slb, lb: str, pair: str, group: str) -> None:
    listener = {"LoadBalancerId": lb, "ListenerPort": 80}
    slb("CreateLoadBalancerTCPListener", Bandwidth=-1, BackendServerPort=8080, **listener)

    def change(**parameters: Any) -> tuple[Any, ...]:
        slb("SetLoadBalancerTCPListenerAttribute", **parameters, **listener)
        told = slb("DescribeLoadBalancerTCPListenerAttribute", **listener)
        return tuple(told.get(name) for name in ("VServerGroupId", "MasterSlaveServerGroupId", "BackendServerPort"))

    to_pair = {"MasterSlaveServerGroup": "on", "MasterSlaveServerGroupId": pair}
    to_group = {"VServerGroup": "on", "VServerGroupId": group}
    assert change(MasterSlaveServerGroupId=pair) == (None, None, 8080)
    assert change(**to_pair) == (None, pair, None)
    assert change(Description="x") == (None, pair, None)
    assert change(**to_group) == (group, None, None)
    assert change(**to_pair, VServerGroup="off") == (None, pair, None)
    assert change(MasterSlaveServerGroup="off") == (None, None, 8080)
    for parameters, code in (
        ({**to_pair, **to_group}, "Abs.VServerGroupIdAndMasterSlaveServerGroupId.MissMatch"),
        ({**to_pair, "MasterSlaveServerGroupId": group}, "InvalidParameter"),
        ({"MasterSlaveServerGroup": "on"}, "MissingMasterSlaveServerGroupId"),
    ):
        assert slb.code("SetLoadBalancerTCPListenerAttribute", **parameters, **listener)[0] == code
    slb("SetLoadBalancerTCPListenerAttribute", **to_pair, **listener)
    second = {"LoadBalancerId": lb, "ListenerPort": 81}
    slb("CreateLoadBalancerTCPListener", Bandwidth=-1, MasterSlaveServerGroupId=pair, **second)
    assert (
        slb.code("SetLoadBalancerTCPListenerAttribute", MasterSlaveServerGroup="off", **second)[0] == "InvalidParameter"
    )


def test_a_pair_belongs_to_its_instance_and_goes_with_it(slb: Slb, lb: str, pair: str) -> None:
    other = slb("CreateLoadBalancer", **NEW)["LoadBalancerId"]
    wanted = {"LoadBalancerId": other, "ListenerPort": 80, "Bandwidth": -1, "MasterSlaveServerGroupId": pair}
    assert slb.code("CreateLoadBalancerTCPListener", **wanted) == ("InvalidParameter", 404)
    slb("DeleteLoadBalancer", LoadBalancerId=lb)
    assert slb.code("DescribeMasterSlaveServerGroupAttribute", MasterSlaveServerGroupId=pair)[1] == 404


def test_pairs_survive_a_restart(tmp_path: Any, own_emulator: Any) -> None:
    emulator = own_emulator()
    emulator.control("PUT", "inventory", interfaces())
    slb = Slb(emulator.address)
    balancer = slb("CreateLoadBalancer", **NEW)["LoadBalancerId"]
    slb("CreateMasterSlaveServerGroup", LoadBalancerId=balancer, MasterSlaveBackendServers=sides())
    emulator.stop(kill=True)
    emulator.start()
    slb = Slb(emulator.address)
    listed = slb("DescribeMasterSlaveServerGroups", LoadBalancerId=balancer)["MasterSlaveServerGroups"]
    assert len(listed["MasterSlaveServerGroup"]) == 1
    assert emulator.control("GET", "inventory")["machines"][0]["secondary_ips"] == ["192.0.2.111"]


# Who serves


def answers(address: str, times: int) -> dict[str, int]:
    """Who answers a machine that is no backend, and how often."""
    space = Namespace(f"{SANDBOX}-client-1")

    def ask() -> str:
        with socket.create_connection((address, 6443), 2) as connection:
            return connection.makefile().readline().split()[0]

    try:
        return Counter(space.call(ask) for dummy in range(times))
    finally:
        space.close()


@pytest.fixture
def wired(network: Network) -> Iterator[Network]:
    network.emulator.control("PUT", "inventory", interfaces())
    yield network
    network.emulator.control("PUT", "inventory", inventory(MACHINES))


def test_the_standby_serves_while_the_primary_is_not_healthy(wired: Network) -> None:
    address = wired.front({"web-3": 100})
    pair = wired.slb(
        "CreateMasterSlaveServerGroup",
        LoadBalancerId=wired.balancer,
        MasterSlaveBackendServers=sides("web-1", "web-2", Port=8080),
    )["MasterSlaveServerGroupId"]
    for name in ("web-1", "web-2"):
        wired.serve(name)
    wired.slb(
        "SetLoadBalancerTCPListenerAttribute",
        LoadBalancerId=wired.balancer,
        ListenerPort=6443,
        MasterSlaveServerGroup="on",
        MasterSlaveServerGroupId=pair,
    )
    wired.emulator.wait()
    assert answers(address, 6) == {"web-1": 6}
    wired.kill("web-1")
    wired.until(lambda: wired.health()["web-1"] == "abnormal", 10)
    wired.emulator.wait()
    assert answers(address, 6) == {"web-2": 6}
    wired.serve("web-1")
    wired.until(lambda: wired.health()["web-1"] == "normal", 10)
    wired.emulator.wait()
    assert answers(address, 6) == {"web-1": 6}


def test_an_interface_is_called_on_its_own_address(wired: Network) -> None:
    address = wired.front({"web-3": 0})
    slb, group = wired.slb, wired.group
    wired.serve("web-1")
    server = {**ENI, "ServerIp": "192.0.2.212", "Port": 8080}
    slb("AddVServerGroupBackendServers", VServerGroupId=group, BackendServers=json.dumps([server]))
    wired.until(lambda: "normal" in wired.health().values(), 10)
    wired.emulator.wait()
    assert answers(address, 3) == {"web-1": 3}
    told = {entry["ServerIp"] for entry in members(slb("DescribeHealthStatus", LoadBalancerId=wired.balancer))}
    assert told == {"192.0.2.13", "192.0.2.212"}
