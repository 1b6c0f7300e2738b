# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PROXY protocol and IPv6 instances: what the relay does, with real connections."""

from __future__ import annotations

import ipaddress
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from emulator_harness import MACHINES, PORT, Network
from machines import Machine

from slb_emulator.dataplane.relay import STAND_INS, Picker, connection_id, header, seen_from
from slb_emulator.forwarding import Forward, Member

PROXY = {"ProxyProtocolV2Enabled": True}
UNCHECKED = {"HealthCheck": "off"}
BOTH = {"web-1": 100, "web-2": 100}


class Seen(NamedTuple):
    """What a server saw of its caller, and what the PROXY header told it."""

    name: str
    client: str
    port: int
    source: tuple[str, int]
    destination: tuple[str, int]
    kind: int
    data: bytes


def parsed(words: list[str]) -> Seen:
    """From the answer of a raw server; the header by its specification, 2.2, and not by the code under test."""
    name, client, port, text = words
    data = bytes.fromhex(text)
    assert data[:12] == bytes.fromhex("0d0a0d0a000d0a515549540a")
    assert data[12] == 0x21  # version 2, PROXY
    (length,) = struct.unpack("!H", data[14:16])
    body, rest = data[16 : 16 + length], data[16 + length :]
    size = {1: 4, 2: 16}[data[13] >> 4]
    assert length == 2 * size + 4
    places = [str(ipaddress.ip_address(body[start : start + size])) for start in (0, size)]
    ports = struct.unpack("!HH", body[2 * size :])
    return Seen(name, client, int(port), (places[0], ports[0]), (places[1], ports[1]), data[13], rest)


def ask(client: Machine, address: str) -> tuple[Seen, int]:
    """What the server saw of a TCP connection, and the connection's own port."""
    with client.connect(address) as connection:
        connection.sendall(b"hello")
        return parsed(connection.makefile().readline().split()), connection.getsockname()[1]


@pytest.fixture
def client6(network: Network) -> Iterator[Machine]:
    made = Machine("client-1", ipv6=True)
    yield made
    made.close()


def serve(network: Network, mode: str = "raw") -> None:
    for name in BOTH:
        network.serve(name, 8080, mode)


# PROXY protocol


def test_tcp_servers_get_the_header_and_see_the_client(network: Network, client: Machine) -> None:
    serve(network)
    address = network.front({"web-1": 30, "web-2": 90}, ProxyProtocolV2Enabled=True)
    found = [ask(client, address) for dummy in range(40)]
    for seen, port in found:
        assert seen.source == (MACHINES["client-1"], port)
        assert seen.destination == (address, PORT)
        assert (seen.client, seen.port) == (MACHINES["client-1"], port)
        assert (seen.kind, seen.data) in ((0x11, b"hello"), (0x11, b""))  # TCP over IPv4
    assert Counter(seen.name for seen, dummy in found) == {"web-1": 10, "web-2": 30}


def test_bytes_pass_both_ways_and_the_end_too(network: Network, client: Machine) -> None:
    network.serve("web-1", 8080, "raw")
    address = network.front({"web-1": 100}, ProxyProtocolV2Enabled=True)
    data = bytes(range(256)) * 4000
    with client.connect(address, timeout=10) as connection:
        stream = connection.makefile("rb")
        first = threading.Thread(target=connection.sendall, args=(data,))
        first.start()
        seen = parsed(stream.readline().decode().split()).data
        first.join()
        connection.shutdown(socket.SHUT_WR)
        assert seen + stream.read() == data


def test_udp_servers_get_the_header(network: Network, client: Machine) -> None:
    serve(network, "udp")
    address = network.plant("udp", BOTH, **PROXY, **UNCHECKED)
    names = Counter()
    for dummy in range(20):
        with client.datagrams() as flow:
            flow.connect((address, PORT))
            for text in (b"one", b"two"):
                flow.send(text)
                seen = parsed(flow.recv(1000).decode().split())
                assert seen.source == (MACHINES["client-1"], flow.getsockname()[1]) == (seen.client, seen.port)
                assert (seen.kind, seen.data, seen.destination) == (0x12, text, (address, PORT))
                names[seen.name] += 1
    assert names == {"web-1": 20, "web-2": 20}  # both datagrams of a flow at one server


def test_udp_header_before_the_first_datagram_alone(network: Network, client: Machine) -> None:
    serve(network, "udp")
    network.emulator.control("PUT", "switches", {"proxy_protocol_udp": "first"})
    address = network.plant("udp", BOTH, **PROXY, **UNCHECKED)
    with client.datagrams() as flow:
        flow.connect((address, PORT))
        flow.send(b"one")
        assert parsed(flow.recv(1000).decode().split()).data == b"one"
        flow.send(b"two")
        assert flow.recv(1000).decode().split()[3] == b"two".hex()


def test_the_header_comes_and_goes_with_the_option(network: Network, client: Machine) -> None:
    network.serve("web-1", 8080, "raw")
    address = network.front({"web-1": 100})
    listener = {"LoadBalancerId": network.balancer, "ListenerPort": PORT}
    for enabled in (True, False, True):
        network.slb("SetLoadBalancerTCPListenerAttribute", ProxyProtocolV2Enabled=enabled, **listener)
        network.emulator.wait()
        with client.connect(address) as connection:
            connection.sendall(b"hello")
            words = connection.makefile().readline().split()
        assert words[1] == MACHINES["client-1"]
        assert (words[3] != b"hello".hex()) == enabled


def test_access_lists_hairpin_and_no_server(network: Network, client: Machine, backend: Machine) -> None:
    serve(network)
    acl = network.slb("CreateAccessControlList", AclName="list")["AclId"]
    lists = {"AclStatus": "on", "AclType": "black", "AclId": acl}
    address = network.front(BOTH, ProxyProtocolV2Enabled=True, **lists)
    assert ask(client, address)[0].name in BOTH
    with pytest.raises(TimeoutError):
        backend.connect(address, timeout=0.4)
    entry = f'[{{"entry": "{MACHINES["client-1"]}/32"}}]'
    network.slb("AddAccessControlListEntry", AclId=acl, AclEntrys=entry)
    network.emulator.wait()
    with pytest.raises(TimeoutError):
        client.connect(address, timeout=0.4)
    network.slb("RemoveAccessControlListEntry", AclId=acl, AclEntrys=entry)
    network.weigh(web_1=0, web_2=0)
    with pytest.raises(ConnectionRefusedError):
        client.connect(address, timeout=0.4)


def test_persistence_and_a_dead_server(network: Network, client: Machine) -> None:
    serve(network)
    address = network.front(BOTH, ProxyProtocolV2Enabled=True, PersistenceTimeout=600)
    (name,) = {ask(client, address)[0].name for dummy in range(6)}
    network.kill(name)
    # Until its check fails the relay finds nobody there, and ends the connection that it had taken.
    assert client.outcome(address) == "reset"
    network.healthy(*(BOTH.keys() - {name}))
    assert {ask(client, address)[0].name for dummy in range(6)} == BOTH.keys() - {name}


def test_drain_and_silence(network: Network, client: Machine) -> None:
    for name in BOTH:
        network.serve(name)
    options = {"ConnectionDrain": "on", "ConnectionDrainTimeout": 10, "EstablishedTimeout": 10}
    address = network.front(BOTH, ProxyProtocolV2Enabled=True, **options)
    lasting = [client.connect(address, timeout=20) for dummy in range(3)]
    names = []
    for connection in lasting:
        greeting = b""
        while len(greeting.partition(b"\n")[2]) < 28:  # and the header, which this server sends back
            greeting += connection.recv(1000)
        names.append(greeting.split()[0].decode())
    # The first of them goes on at a server that left, the second at one that stayed, the third says nothing.
    leaving, staying, silent = lasting
    assert names[0] == names[2] != names[1]
    began = time.monotonic()
    network.leave(names[0])
    ends = {}
    while len(ends) < 2 and time.monotonic() - began < 15:
        for connection in {leaving, staying} - ends.keys():
            try:
                connection.sendall(b"on")
                assert connection.recv(10) == b"on"
            except OSError:
                ends[connection] = time.monotonic() - began
        if silent not in ends:
            silent.settimeout(0.01)
            try:
                assert silent.recv(10) == b""
                ends[silent] = time.monotonic() - began
            except TimeoutError:
                pass
            except ConnectionResetError:
                ends[silent] = time.monotonic() - began
        time.sleep(0.5)
    assert set(ends) == {leaving, silent}
    assert 9 < ends[leaving] < 12 and 8 < ends[silent] < 12
    for connection in lasting:
        connection.close()


def test_a_restart_serves_the_same_listeners(network: Network, client: Machine) -> None:
    serve(network)
    address = network.front(BOTH, ProxyProtocolV2Enabled=True)
    network.emulator.stop(kill=True)
    network.emulator.start()
    network.emulator.wait()
    assert {ask(client, address)[0].name for dummy in range(4)} == set(BOTH)
    network.slb = type(network.slb)(network.emulator.address)


# IPv6 instances


def test_ipv6_clients_reach_ipv4_servers(network: Network, client6: Machine) -> None:
    for name in BOTH:
        network.serve(name)
    address = network.plant("tcp", {"web-1": 30, "web-2": 90}, ip="ipv6")
    assert ipaddress.ip_address(address) in ipaddress.ip_network("2001:db8::/32")
    answers = [client6.ask(address) for dummy in range(40)]
    assert Counter(name for name, dummy in answers) == {"web-1": 10, "web-2": 30}
    # Servers see an address of the cloud's own, the same for each connection of a client.
    (seen,) = {client for dummy, client in answers}
    assert ipaddress.ip_address(seen) in ipaddress.ip_network("100.64.0.0/10")
    network.kill("web-1")
    network.healthy("web-2")
    assert {client6.outcome(address) for dummy in range(6)} == {"web-2"}
    network.kill("web-2")
    network.healthy()
    assert client6.outcome(address) == "refused"


def test_ipv6_clients_by_the_header(network: Network, client6: Machine) -> None:
    serve(network)
    address = network.plant("tcp", BOTH, ip="ipv6", **PROXY)
    seen, port = ask(client6, address)
    assert (seen.source, seen.destination) == (("2001:db8:ffff::c000:21f", port), (address, PORT))
    assert seen.kind == 0x21 and seen.client != seen.source[0]


def test_ipv6_udp(network: Network, client6: Machine) -> None:
    serve(network, "udp")
    address = network.plant("udp", BOTH, ip="ipv6", **UNCHECKED)
    answers = [client6.tell(address) for dummy in range(10)]
    assert Counter(answer[0] for answer in answers) == {"web-1": 5, "web-2": 5}
    assert all(ipaddress.ip_address(answer[1]) in STAND_INS for answer in answers)
    network.weigh(web_1=0, web_2=0)
    assert client6.told(address) == "refused"


@pytest.mark.parametrize(
    ("kind", "cidr", "client", "other"),
    [
        ("white", "2001:db8:ffff::c000:21f/128", "served", "timed out"),
        ("white", "2001:db8:1::/48", "timed out", "timed out"),
        ("black", "2001:db8:ffff::c000:21f/128", "timed out", "served"),
        ("black", "2001:db8:1::/48", "served", "served"),
    ],
)
def test_ipv6_access_lists(network: Network, client6: Machine, kind: str, cidr: str, client: str, other: str) -> None:
    network.serve("web-1")
    acl = network.slb("CreateAccessControlList", AclName="list", AddressIPVersion="ipv6")["AclId"]
    network.slb("AddAccessControlListEntry", AclId=acl, AclEntrys=f'[{{"entry": "{cidr}"}}]')
    lists = {"AclStatus": "on", "AclType": kind, "AclId": acl}
    address = network.plant("tcp", {"web-1": 100}, ip="ipv6", **lists)
    second = Machine("web-3", ipv6=True)
    found = [machine.outcome(address).replace("web-1", "served") for machine in (client6, second)]
    second.close()
    assert found == [client, other]


def test_ipv6_survives_a_new_machine(network: Network, client6: Machine) -> None:
    network.serve("web-1")
    address = network.plant("tcp", {"web-1": 100}, ip="ipv6")
    network.emulator.control("PUT", "inventory", network.emulator.control("GET", "inventory"))
    network.emulator.wait()
    assert client6.outcome(address) == "web-1"


# Parts without a network


def test_header_as_the_specification_has_it() -> None:
    assert header("tcp", ("192.0.2.1", 4660), ("192.0.2.100", 443)).hex() == (
        "0d0a0d0a000d0a515549540a" "2111000c" "c0000201" "c0000264" "1234" "01bb"
    )
    assert header("udp", ("2001:db8::1", 1), ("2001:db8::2", 2))[12:16].hex() == "21220024"


def test_every_ipv6_client_has_a_stand_in() -> None:
    seen = {seen_from(f"2001:db8::{number:x}") for number in range(100)}
    assert len(seen) == 100 and all(ipaddress.ip_address(address) in STAND_INS for address in seen)
    assert seen_from("192.0.2.1") == "192.0.2.1"


def test_connection_ids_of_both_headers() -> None:
    own = b"12345678"
    assert connection_id(b"\x40" + own + b"more") == connection_id(b"\xc0\0\0\0\1\x08" + own + b"more") == own


def test_the_picker_picks_as_rules_do() -> None:
    members = (Member("a", 80, 1), Member("b", 80, 3))
    forward = Forward("lab", "192.0.2.100", 80, "tcp", "wrr", members, ())
    client = ("192.0.2.1", 1)
    picker = Picker()
    assert Counter(picker.pick(forward, client) for dummy in range(8)) == {("a", 80): 2, ("b", 80): 6}
    for scheduler, spreads in (("sch", False), ("tch", True), ("qch", False)):
        hashed = Forward("lab", "192.0.2.100", 80, "udp", scheduler, members, ())
        found = {picker.pick(hashed, ("192.0.2.1", port), b"\x4012345678") for port in range(100)}
        assert (len(found) == 2) == spreads
    assert Picker().pick(Forward("lab", "192.0.2.100", 80, "tcp", "wrr", (), ()), client) is None
