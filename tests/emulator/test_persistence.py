# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who stays with a server, and for how long: persistence by source, hashes, and connections without packets."""

from __future__ import annotations

import socket
import time
from collections import Counter

import pytest
from emulator_harness import PORT, Network
from machines import Machine

from slb_emulator.dataplane.ruleset import numbers

THREE = {"web-1": 100, "web-2": 100, "web-3": 100}


def serve(network: Network) -> None:
    for name in THREE:
        network.serve(name)


def many(client: Machine, address: str, times: int = 12) -> Counter[str]:
    return Counter(client.outcome(address) for dummy in range(times))


def test_a_source_stays_until_the_timeout(network: Network, client: Machine) -> None:
    serve(network)
    address = network.front(THREE, PersistenceTimeout=2)
    other = Machine("web-1")
    network.emulator.control("PUT", "switches", {"hairpin": "self"})
    network.emulator.wait()
    (name,) = many(client, address)
    # Every new connection begins the time anew: longer than the timeout, but never a pause of it.
    for dummy in range(4):
        time.sleep(0.8)
        assert set(many(client, address, 3)) == {name}
    time.sleep(2.6)
    # Forgotten: the next connection is balanced, and the turn has moved on.
    seen = set()
    for dummy in range(3):
        seen |= set(many(client, address, 2))
        time.sleep(2.4)
    assert len(seen) > 1
    other.close()


def test_sources_are_balanced_by_weights(network: Network) -> None:
    serve(network)
    address = network.front({"web-1": 30, "web-2": 90}, PersistenceTimeout=600)
    network.emulator.control("PUT", "switches", {"hairpin": "self"})
    network.emulator.wait()
    clients = [Machine(name) for name in ("client-1", "web-3")]
    try:
        # Two sources, each at one server, and not both of them at the light one.
        found = [many(machine, address) for machine in clients]
        assert [len(counted) for counted in found] == [1, 1]
        assert {name for counted in found for name in counted} & {"web-2"}
    finally:
        for machine in clients:
            machine.close()


@pytest.mark.parametrize("how", ["removed", "weight 0", "unhealthy"])
def test_a_server_that_leaves_loses_its_sources_at_once(network: Network, client: Machine, how: str) -> None:
    serve(network)
    address = network.front(THREE, PersistenceTimeout=600)
    (name,) = many(client, address)
    if how == "removed":
        network.leave(name)
    elif how == "weight 0":
        network.weigh(**{name.replace("-", "_"): 0})
    else:
        network.kill(name)
        network.healthy(*(THREE.keys() - {name}))
    (other,) = many(client, address)
    assert other in THREE.keys() - {name}
    # And stays there, when another change is made and the first one is taken back.
    network.weigh(**{other.replace("-", "_"): 50})
    if how == "weight 0":
        network.weigh(**{name.replace("-", "_"): 100})
    assert set(many(client, address)) == {other}


def test_persistence_survives_changes_of_others(network: Network, client: Machine) -> None:
    serve(network)
    address = network.front({"web-1": 100, "web-2": 100}, PersistenceTimeout=600)
    (name,) = many(client, address)
    for weight in (1, 50, 99):
        network.weigh(**{name.replace("-", "_"): weight})
        assert set(many(client, address)) == {name}


@pytest.mark.parametrize("scheduler", ["sch", "tch"])
def test_hashes(network: Network, client: Machine, scheduler: str) -> None:
    serve(network)
    address = network.front({"web-1": 100, "web-2": 100}, Scheduler=scheduler)

    def ask(port: int) -> str:
        with client.connect(address, source=port) as connection:
            # The next connection from this port is to be a new one, not one that lingers.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            return connection.makefile().readline().split()[0]

    # below the ports that other connections of the machine take by chance
    first = {port: ask(port) for port in range(15000, 15060)}
    assert {port: ask(port) for port in first} == first
    counted = Counter(first.values())
    if scheduler == "sch":
        assert len(counted) == 1
    else:
        assert min(counted["web-1"], counted["web-2"]) >= 12, counted
    # A change that has nothing to do with the servers moves nobody.
    network.emulator.control("PUT", "switches", {"hairpin": "self"})
    network.emulator.wait()
    assert {port: ask(port) for port in first} == first


def test_sources_spread_by_hash(network: Network) -> None:
    """Sixty addresses of one machine: each has its server, and both servers have their share."""
    serve(network)
    address = network.front({"web-1": 100, "web-2": 100}, Scheduler="sch")
    clients = Machine("client-1")
    sources = [f"192.0.2.{number}" for number in range(101, 161)]
    with clients.more_addresses(sources):
        first = {source: clients.ask(address, source=source) for source in sources}
        assert {source: clients.ask(address, source=source) for source in sources} == first
    clients.close()
    assert all(client == source for source, (dummy, client) in first.items())
    counted = Counter(name for name, dummy in first.values())
    assert set(counted) == {"web-1", "web-2"} and min(counted.values()) >= 12, counted


def test_a_connection_without_packets_is_forgotten(network: Network, client: Machine) -> None:
    serve(network)
    address = network.front(THREE, EstablishedTimeout=10)
    network.slb(
        "CreateLoadBalancerTCPListener",
        LoadBalancerId=network.balancer,
        ListenerPort=80,
        Bandwidth=-1,
        VServerGroupId=network.group,
        HealthCheckSwitch="off",
    )
    network.slb("StartLoadBalancerListener", LoadBalancerId=network.balancer, ListenerPort=80)
    network.emulator.wait()
    silent, busy, patient = client.connect(address), client.connect(address), client.connect(address, 80)
    for connection in (silent, busy, patient):
        connection.recv(100)
    for dummy in range(6):
        time.sleep(2)
        busy.sendall(b"on")
        assert busy.recv(10) == b"on"
    # The other listener's own timeout is 900 seconds.
    patient.sendall(b"on")
    assert patient.recv(10) == b"on"
    with pytest.raises(ConnectionResetError):
        silent.sendall(b"on")
        silent.recv(10)
    for connection in (silent, busy, patient):
        connection.close()
    assert client.outcome(address, PORT) in THREE


def test_numbers_of_servers() -> None:
    servers = [(f"192.0.2.{host}", port) for host in range(200) for port in (80, 443)]
    found = numbers(servers)
    assert len(set(found.values())) == len(servers) and min(found.values()) >= 0x10000
    assert numbers(servers[:7]) == {server: found[server] for server in servers[:7]}


def test_two_servers_of_one_number_get_two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("slb_emulator.dataplane.ruleset.zlib.crc32", lambda dummy: 0xFFFFFFFF)
    assert numbers([("192.0.2.2", 80), ("192.0.2.1", 80), ("192.0.2.3", 80)]) == {
        ("192.0.2.1", 80): 0xFFFFFFFF,
        ("192.0.2.2", 80): 0x10000,
        ("192.0.2.3", 80): 0x10001,
    }
