# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several VPCs and instances at once, the public side between them, and the ways out to it."""

from __future__ import annotations

import json
import socket
import urllib.error
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from emulator_harness import Emulator, Network, Slb, inventory, missing_for_namespaces
from machines import Machine

SANDBOX = "cfha-uti"
ONE = {"one-a": "192.0.2.11", "one-b": "192.0.2.12", "one-c": "192.0.2.31"}
TWO = {"two-a": "192.0.2.11", "two-b": "192.0.2.12", "two-c": "192.0.2.31"}  # the same addresses
BARE = {"bare-c": "198.51.100.31"}  # no NAT
NAT = {"one": "203.0.113.2", "two": "203.0.113.3"}
EIP = "203.0.113.9"


def clouds() -> dict[str, Any]:
    parts = [
        inventory(ONE, name="one", nat_address=NAT["one"]),
        inventory(TWO, name="two", nat_address=NAT["two"]),
        inventory(BARE, name="bare", cidr="198.51.100.0/24", gateway="198.51.100.253"),
    ]
    parts[2]["vpcs"][0]["vswitches"][0]["cidr"] = "198.51.100.0/24"
    return {name: [entry for part in parts for entry in part[name]] for name in parts[0]}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    reason = missing_for_namespaces()
    if reason:
        pytest.skip(f"NOT TESTED: {reason}")
    emulator = Emulator(tmp_path_factory.mktemp("public"), data_plane="nft", sandbox=SANDBOX)
    try:
        emulator.start()
        yield emulator
    finally:
        emulator.remove()


@pytest.fixture
def network(lab: Emulator) -> Iterator[Network]:
    lab.control("POST", "reset")
    lab.control("PUT", "inventory", clouds())
    made = Network(lab)
    try:
        yield made
    finally:
        made.kill_all()


@pytest.fixture
def machines(network: Network) -> Iterator[dict[str, Machine]]:
    made = {name: Machine(name, sandbox=SANDBOX) for name in (*ONE, *TWO, *BARE)}
    yield made
    for machine in made.values():
        machine.close()


def instance(slb: Slb, servers: list[str], vpc: str = "", port: int = 80, **listener: Any) -> tuple[str, str]:
    """Id and address of an instance that runs, private where a VPC is named."""
    place = {"VSwitchId": f"vsw-ut-{vpc}"} if vpc else {"AddressType": "internet"}
    made = slb("CreateLoadBalancer", InstanceChargeType="PayByCLCU", **place)
    target = {"LoadBalancerId": made["LoadBalancerId"]}
    if servers:
        slb(
            "AddBackendServers", BackendServers=json.dumps([{"ServerId": f"i-ut-{name}"} for name in servers]), **target
        )
    options = {"Bandwidth": -1, "BackendServerPort": 8080, "HealthCheckSwitch": "off", **listener}
    slb("CreateLoadBalancerTCPListener", ListenerPort=port, **options, **target)
    slb("StartLoadBalancerListener", ListenerPort=port, **target)
    return made["LoadBalancerId"], made["Address"]


def counted(machine: Machine, address: str, number: int = 40, port: int = 80) -> Counter[tuple[str, str]]:
    """Who answered and whom it saw, of so many connections."""
    return Counter(machine.ask(address, port) for dummy in range(number))


def test_two_vpcs_of_the_same_addresses_never_meet(network: Network, machines: dict[str, Machine]) -> None:
    for name in ("one-a", "one-b", "two-a", "two-b"):
        network.serve(name)
    # one address for both, and two instances more
    for vpc in ("one", "two"):
        addresses = [instance(network.slb, [f"{vpc}-a", f"{vpc}-b"], vpc)[1] for dummy in range(2)]
    network.emulator.wait()
    assert addresses == ["192.0.2.100", "192.0.2.101"]
    for vpc in ("one", "two"):
        for address in addresses:
            seen = counted(machines[f"{vpc}-c"], address)
            assert seen == {(f"{vpc}-a", "192.0.2.31"): 20, (f"{vpc}-b", "192.0.2.31"): 20}
        # past the instances too
        assert counted(machines[f"{vpc}-c"], "192.0.2.11", 5, 8080) == {(f"{vpc}-a", "192.0.2.31"): 5}
    network.serve("bare-c")
    assert machines["bare-c"].outcome("192.0.2.100", 80) == machines["one-c"].outcome("198.51.100.31", 8080)
    assert machines["one-c"].outcome("198.51.100.31", 8080) == "unreachable"


def test_a_public_instance_is_reached_from_every_vpc(network: Network, machines: dict[str, Machine]) -> None:
    for name in ("one-a", "one-b", "two-a"):
        network.serve(name)
    dummy, first = instance(network.slb, ["one-a", "one-b"])
    dummy, second = instance(network.slb, ["two-a"])
    network.emulator.wait()
    for client, nat in (("one-c", NAT["one"]), ("two-c", NAT["two"])):
        assert counted(machines[client], first) == {("one-a", nat): 20, ("one-b", nat): 20}
        assert counted(machines[client], second, 10) == {("two-a", nat): 10}


def test_a_public_instance_has_no_hairpin(network: Network, machines: dict[str, Machine]) -> None:
    network.serve("one-a")
    network.serve("one-b")
    dummy, public = instance(network.slb, ["one-a", "one-b"])
    dummy, private = instance(network.slb, ["one-a", "one-b"], "one")
    network.emulator.wait()
    # on the private one a backend gets no answer; on the public one it is a client, also of itself
    assert {machines["one-a"].outcome(private, 80) for dummy in range(4)} == {"timed out"}
    assert counted(machines["one-a"], public) == {("one-a", NAT["one"]): 20, ("one-b", NAT["one"]): 20}


def test_without_nat_and_public_address_there_is_no_way_out(network: Network, machines: dict[str, Machine]) -> None:
    network.serve("one-a")
    dummy, address = instance(network.slb, ["one-a"])
    network.emulator.wait()
    assert machines["bare-c"].outcome(address, 80) == "timed out"
    given = clouds()
    machine = next(machine for machine in given["machines"] if machine["name"] == "bare-c")
    machine["eip"] = EIP
    assert network.emulator.control("PUT", "inventory", given) == {"changed": True}
    assert machines["bare-c"].ask(address, 80) == ("one-a", EIP)


def test_a_machine_with_an_address_of_its_own(network: Network, machines: dict[str, Machine]) -> None:
    network.serve("one-a")
    network.serve("two-a")
    given = clouds()
    next(machine for machine in given["machines"] if machine["name"] == "one-a")["eip"] = EIP
    network.emulator.control("PUT", "inventory", given)
    dummy, address = instance(network.slb, ["two-a"])
    network.emulator.wait()
    # out by it, while the others go by the NAT; and in by it, from another VPC and from its own
    assert machines["one-a"].ask(address, 80) == ("two-a", EIP)
    assert machines["one-b"].ask(address, 80) == ("two-a", NAT["one"])
    assert machines["two-c"].ask(EIP, 8080) == ("one-a", NAT["two"])
    assert machines["one-c"].ask(EIP, 8080) == ("one-a", NAT["one"])
    # ECS shows it
    shown = network.slb.ecs(InstanceIds='["i-ut-one-a"]')["Instances"]["Instance"][0]
    assert shown["EipAddress"]["IpAddress"] == EIP
    # a NAT lets nobody in
    assert machines["two-c"].outcome(NAT["one"], 8080) == "timed out"
    # an address that is taken away leads nowhere
    network.emulator.control("PUT", "inventory", clouds())
    assert machines["two-c"].outcome(EIP, 8080) == "timed out"


def test_access_lists_of_a_public_instance_see_public_addresses(network: Network, machines: dict[str, Machine]) -> None:
    network.serve("one-a")
    acl = network.slb("CreateAccessControlList", AclName="callers")["AclId"]
    entries = [{"entry": f"{NAT['two']}/32"}, {"entry": "192.0.2.0/24"}]
    network.slb("AddAccessControlListEntry", AclId=acl, AclEntrys=json.dumps(entries))
    dummy, address = instance(network.slb, ["one-a"], AclStatus="on", AclType="white", AclId=acl)
    network.emulator.wait()
    assert machines["two-c"].ask(address, 80) == ("one-a", NAT["two"])
    # its private address is on the list, and nobody sees it
    assert machines["one-c"].outcome(address, 80) == "timed out"


def test_the_relay_of_a_public_instance_serves_its_own_vpc_too(network: Network, machines: dict[str, Machine]) -> None:
    network.serve("one-a")
    dummy, address = instance(network.slb, ["one-a"], ProxyProtocolV2Enabled=True)
    network.emulator.wait()
    for client, nat in (("one-a", NAT["one"]), ("one-c", NAT["one"]), ("two-c", NAT["two"])):
        with machines[client].connect(address, 80) as connection:
            stream = connection.makefile("rb")
            assert stream.readline().split() == [b"one-a", nat.encode()]
            # the server gives back the header that it got: who called, and whom
            header = stream.read(28)
        assert header.startswith(b"\r\n\r\n\x00\r\nQUIT\n")
        assert header[16:24] == socket.inet_aton(nat) + socket.inet_aton(address)


def test_ports_of_public_instances_without_a_listener_refuse(network: Network, machines: dict[str, Machine]) -> None:
    network.serve("one-a")
    balancer, address = instance(network.slb, ["one-a"])
    dummy, empty = instance(network.slb, [])
    network.emulator.wait()
    for client in ("one-c", "two-c"):
        assert machines[client].outcome(address, 81) == "refused"
        assert machines[client].outcome(empty, 80) == "refused"
    network.slb("DeleteLoadBalancer", LoadBalancerId=balancer)
    network.emulator.wait()
    # nobody has the address any more
    assert machines["one-c"].outcome(address, 80) == "timed out"


def test_public_addresses_go_on_over_a_restart(network: Network, machines: dict[str, Machine]) -> None:
    network.serve("one-a")
    dummy, address = instance(network.slb, ["one-a"])
    network.emulator.wait()
    with machines["two-c"].connect(address, 80) as open_connection:
        stream = open_connection.makefile("rw")
        assert stream.readline().split() == ["one-a", NAT["two"]]
        network.emulator.stop()
        assert machines["two-c"].ask(address, 80) == ("one-a", NAT["two"])
        network.emulator.start()
        network.emulator.wait()
        assert machines["two-c"].ask(address, 80) == ("one-a", NAT["two"])
        stream.write("still there\n")
        stream.flush()
        assert stream.readline() == "still there\n"


@pytest.mark.parametrize(
    ("vpc", "machine", "sentence"),
    [
        ({"nat_address": "192.0.2.2"}, {}, "public address 192.0.2.2 is not in 203.0.113.0/24"),
        ({"nat_address": EIP}, {"eip": EIP}, f"public address {EIP} is there twice"),
        ({"cidr": "203.0.113.0/25", "gateway": "203.0.113.1"}, {}, "overlaps 203.0.113.0/24"),
        ({}, {"name": "internet"}, "a machine can't be named internet"),
        ({}, {"eip": "203.0.113.100"}, "public address 203.0.113.100 is that of instance lb-"),
    ],
)
def test_what_no_public_address_is(
    emulator: Emulator, slb: Slb, vpc: dict[str, str], machine: dict[str, str], sentence: str
) -> None:
    slb("CreateLoadBalancer", InstanceChargeType="PayByCLCU")
    given = inventory(ONE)
    given["vpcs"][0].update(vpc)
    given["machines"][0].update(machine)
    with pytest.raises(urllib.error.HTTPError) as caught:
        emulator.control("PUT", "inventory", given)
    assert caught.value.code == 400 and sentence in caught.value.read().decode()


def test_instances_leave_the_addresses_of_machines_alone(emulator: Emulator, slb: Slb) -> None:
    given = inventory(ONE, nat_address="203.0.113.100")
    given["machines"][0]["eip"] = "203.0.113.101"
    emulator.control("PUT", "inventory", given)
    assert slb("CreateLoadBalancer", InstanceChargeType="PayByCLCU")["Address"] == "203.0.113.102"
