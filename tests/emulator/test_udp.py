# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""UDP listeners: datagrams through the data plane, and checks of their servers."""

from __future__ import annotations

import time
from collections import Counter

import pytest
from emulator_harness import MACHINES, PORT, Network
from machines import Machine

BOTH = {"web-1": 100, "web-2": 100}
UNCHECKED = {"HealthCheck": "off"}


def serve(network: Network, *names: str) -> None:
    for name in names:
        network.serve(name, 8080, "udp")


def test_weights_and_the_client_itself(network: Network, client: Machine) -> None:
    serve(network, "web-1", "web-2")
    address = network.plant("udp", {"web-1": 30, "web-2": 90}, **UNCHECKED)
    answers = [client.tell(address) for dummy in range(200)]
    assert Counter(answer[0] for answer in answers) == {"web-1": 50, "web-2": 150}
    assert {answer[1] for answer in answers} == {MACHINES["client-1"]}


def test_round_robin(network: Network, client: Machine) -> None:
    serve(network, "web-1", "web-2")
    address = network.plant("udp", {"web-1": 1, "web-2": 100}, Scheduler="rr", **UNCHECKED)
    assert Counter(client.told(address) for dummy in range(40)) == {"web-1": 20, "web-2": 20}


def test_a_flow_stays_and_ends_by_its_timeout(network: Network, client: Machine) -> None:
    serve(network, "web-1", "web-2")
    network.emulator.control("PUT", "switches", {"udp_session_seconds": 2})
    address = network.plant("udp", {"web-1": 1, "web-2": 0}, **UNCHECKED)
    with client.datagrams() as flow:
        flow.connect((address, PORT))

        def told() -> str:
            flow.send(b"x")
            return flow.recv(100).decode().split()[0]

        assert told() == "web-1"
        network.weigh(web_1=0, web_2=1)
        # Longer than the timeout, but never silent for so long.
        for dummy in range(4):
            assert told() == "web-1"
            time.sleep(0.8)
        assert client.told(address) == "web-2"
        time.sleep(2.6)
        assert told() == "web-2"


def test_source_hash(network: Network, client: Machine) -> None:
    serve(network, "web-1", "web-2", "web-3")
    address = network.plant("udp", {**BOTH, "web-3": 100}, Scheduler="sch", **UNCHECKED)
    found = {client.told(address) for dummy in range(12)}
    assert len(found) == 1 and found < {*BOTH, "web-3"}


def test_four_tuple_hash(network: Network, client: Machine) -> None:
    serve(network, "web-1", "web-2")
    network.emulator.control("PUT", "switches", {"udp_session_seconds": 1})
    address = network.plant("udp", BOTH, Scheduler="tch", **UNCHECKED)

    def told(port: int) -> str:
        with client.datagrams(port) as flow:
            flow.connect((address, PORT))
            flow.send(b"x")
            return flow.recv(100).decode().split()[0]

    first = {port: told(port) for port in range(40000, 40060)}
    counted = Counter(first.values())
    assert set(counted) == set(BOTH) and min(counted.values()) >= 12, counted
    # The sessions are forgotten, and all rules are new; the hash is the same.
    network.emulator.stop()
    time.sleep(1.6)
    network.emulator.start()
    network.emulator.wait()
    assert {port: told(port) for port in first} == first


def quic(connection: bytes, long: bool = False) -> bytes:
    """The beginning of a QUIC packet; RFC 9000, 17.2 and 17.3."""
    if long:
        return b"\xc3\x00\x00\x00\x01" + bytes([len(connection)]) + connection + b"\x00" * 20
    return b"\x43" + connection + b"\x00" * 20


def test_quic_connection_ids(network: Network, client: Machine) -> None:
    serve(network, "web-1", "web-2")
    address = network.plant("udp", BOTH, Scheduler="qch", **UNCHECKED)
    ids = [bytes([number]) * 8 for number in range(60)]
    # Each datagram comes from a port of its own, as after a change of the client's network.
    first = {connection: client.told(address, quic(connection)) for connection in ids}
    counted = Counter(first.values())
    assert set(counted) == set(BOTH) and min(counted.values()) >= 12, counted
    assert {connection: client.told(address, quic(connection)) for connection in ids} == first
    assert {connection: client.told(address, quic(connection, long=True)) for connection in ids} == first


@pytest.mark.parametrize(("setting", "outcome"), [("refuse", "refused"), ("forward", "web-1")])
def test_no_healthy_backend(network: Network, client: Machine, setting: str, outcome: str) -> None:
    network.emulator.control("PUT", "switches", {"no_healthy_backend": setting})
    serve(network, "web-1")
    # The check looks at a port where nobody is; the backend itself answers.
    address = network.plant("udp", {"web-1": 100}, HealthCheckConnectPort=9)
    assert network.health() == {"web-1": "abnormal"}
    assert client.told(address) == outcome


def test_a_closed_port_is_abnormal_and_silence_is_normal(network: Network, client: Machine) -> None:
    serve(network, "web-1", "web-2")
    address = network.plant("udp", {**BOTH, "web-3": 100})
    # web-3 has no server, and its machine says so.
    network.healthy("web-1", "web-2")
    assert {client.told(address) for dummy in range(9)} == {"web-1", "web-2"}
    network.kill("web-1")
    network.healthy("web-2")
    assert {client.told(address) for dummy in range(9)} == {"web-2"}
    # A machine from which nothing comes looks well, as documented.
    network.emulator.control("PUT", "machines/web-2/link", {"up": False})
    time.sleep(3)
    assert network.health()["web-2"] == "normal"
    network.emulator.control("PUT", "machines/web-2/link", {"up": True})
    serve(network, "web-1")
    network.healthy("web-1", "web-2")


def test_a_request_and_the_answer_that_is_expected(network: Network, client: Machine) -> None:
    network.serve("web-1", 8080, "udp", "pong")
    network.serve("web-2", 8080, "udp", "wrong")
    network.serve("web-3", 9000, "udp", "pong")  # nobody is at its port: refused
    address = network.plant("udp", {**BOTH, "web-3": 100}, HealthCheckReq="ping", HealthCheckExp="pong")
    network.until(lambda: "unavailable" not in network.health().values(), 4)
    assert network.health() == {"web-1": "normal", "web-2": "abnormal", "web-3": "abnormal"}
    network.emulator.wait()
    assert {client.told(address) for dummy in range(6)} == {"pong"}
    # With a pair, silence is a failure.
    network.emulator.control("PUT", "machines/web-1/link", {"up": False})
    network.until(lambda: network.health()["web-1"] == "abnormal", 6)


def test_tcp_and_udp_share_a_port(network: Network, client: Machine) -> None:
    network.serve("web-1")
    network.serve("web-2", 8080, "udp")
    address = network.front({"web-1": 100, "web-2": 0})
    network.add("udp", **UNCHECKED)
    network.weigh(web_1=100, web_2=100)
    assert {client.outcome(address) for dummy in range(6)} == {"web-1"}  # by its checks
    # TCP's checks know nothing of UDP's servers.
    assert Counter(client.told(address) for dummy in range(8)) == {"web-2": 4, "refused": 4}
    network.slb("StopLoadBalancerListener", LoadBalancerId=network.balancer, ListenerPort=PORT, ListenerProtocol="tcp")
    network.emulator.wait()
    assert client.outcome(address) == "refused"
    assert "web-2" in {client.told(address) for dummy in range(2)}


def test_access_lists(network: Network, client: Machine) -> None:
    serve(network, "web-1")
    acl = network.slb("CreateAccessControlList", AclName="list")["AclId"]
    lists = {"AclStatus": "on", "AclType": "black", "AclId": acl}
    address = network.plant("udp", {"web-1": 100}, **lists, **UNCHECKED)
    assert client.told(address) == "web-1"
    entry = f'[{{"entry": "{MACHINES["client-1"]}/32"}}]'
    network.slb("AddAccessControlListEntry", AclId=acl, AclEntrys=entry)
    network.emulator.wait()
    assert client.told(address) == "timed out"
    other = Machine("web-2")
    assert other.told(address) == "web-1"
    other.close()


def test_hairpin(network: Network, client: Machine, backend: Machine) -> None:
    serve(network, "web-1", "web-2")
    address = network.plant("udp", BOTH, **UNCHECKED)
    assert {backend.told(address) for dummy in range(4)} == {"timed out"}
    assert {client.told(address) for dummy in range(4)} == set(BOTH)
