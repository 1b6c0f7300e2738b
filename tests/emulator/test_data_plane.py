# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connections through the data plane, from real sockets in real namespaces."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter

import pytest
from emulator_harness import MACHINES, NAT, PORT, Network
from machines import Machine


def test_weights(network: Network, client: Machine) -> None:
    network.serve("web-1")
    network.serve("web-2")
    address = network.front({"web-1": 30, "web-2": 90})
    names = [client.ask(address)[0] for dummy in range(400)]
    assert Counter(names) == {"web-1": 100, "web-2": 300}
    assert all(Counter(names[start : start + 4]) == {"web-1": 1, "web-2": 3} for start in range(397))


def test_round_robin_takes_no_notice_of_weights(network: Network, client: Machine) -> None:
    network.serve("web-1")
    network.serve("web-2")
    network.serve("web-3")
    address = network.front({"web-1": 1, "web-2": 100, "web-3": 0}, Scheduler="rr")
    assert Counter(client.ask(address)[0] for dummy in range(40)) == {"web-1": 20, "web-2": 20}


def test_backends_see_the_client_itself(network: Network, client: Machine) -> None:
    network.serve("web-1")
    address = network.front({"web-1": 100})
    assert client.ask(address) == ("web-1", MACHINES["client-1"])


def test_hairpin_backends(network: Network, client: Machine, backend: Machine) -> None:
    network.serve("web-1")
    network.serve("web-2")
    address = network.front({"web-1": 100, "web-2": 100})
    assert {backend.outcome(address) for dummy in range(4)} == {"timed out"}
    assert {client.outcome(address) for dummy in range(4)} == {"web-1", "web-2"}


def test_hairpin_self(network: Network, backend: Machine) -> None:
    network.emulator.control("PUT", "switches", {"hairpin": "self"})
    network.serve("web-1")
    network.serve("web-2")
    address = network.front({"web-1": 100, "web-2": 100})
    assert Counter(backend.outcome(address) for dummy in range(4)) == {"timed out": 2, "web-2": 2}


@pytest.mark.parametrize("setting", ["refuse", "forward"])
def test_no_healthy_backend(network: Network, client: Machine, setting: str) -> None:
    network.emulator.control("PUT", "switches", {"no_healthy_backend": setting})
    # The check looks at a port where nobody is; the backend itself answers.
    network.serve("web-1")
    address = network.front({"web-1": 100}, HealthCheckConnectPort=9)
    assert network.health() == {"web-1": "abnormal"}
    assert client.outcome(address) == {"refuse": "refused", "forward": "web-1"}[setting]


@pytest.mark.parametrize("setting", ["refuse", "forward"])
@pytest.mark.parametrize("machine", ["client-1", "web-3"])
def test_before_anything_runs_it_is_refused(network: Network, setting: str, machine: str) -> None:
    network.emulator.control("PUT", "switches", {"no_healthy_backend": setting})
    address = network.front({"web-1": 100, "web-2": 100})
    asking = Machine(machine)
    assert {asking.outcome(address) for dummy in range(4)} == {"refused"}
    asking.close()


def test_failover_by_health_check(network: Network, client: Machine) -> None:
    network.serve("web-1")
    network.serve("web-2")
    address = network.front({"web-1": 100, "web-2": 100})
    assert network.health() == {"web-1": "normal", "web-2": "normal"}
    network.kill("web-1")
    # The second failed check in a row, one interval after the first.
    assert network.until(lambda: network.health()["web-1"] == "abnormal", 4) < 3
    network.emulator.wait()
    assert {client.outcome(address) for dummy in range(10)} == {"web-2"}
    network.serve("web-1")
    assert network.until(lambda: network.health()["web-1"] == "normal", 4) < 3
    network.emulator.wait()
    assert {client.outcome(address) for dummy in range(10)} == {"web-1", "web-2"}
    assert {entry["state"] for entry in network.emulator.control("GET", "health")} == {"normal"}


@pytest.mark.parametrize(
    ("status", "codes", "state"),
    [("200", "http_2xx", "normal"), ("503", "http_2xx", "abnormal"), ("404", "http_2xx,http_4xx", "normal")],
)
def test_http_check(network: Network, status: str, codes: str, state: str) -> None:
    network.serve("web-1", 8080, "http", status)
    network.front({"web-1": 100}, HealthCheckType="http", HealthCheckURI="/readyz", HealthCheckHttpCode=codes)
    assert network.health() == {"web-1": state}


@pytest.mark.parametrize(("method", "state"), [("head", "normal"), ("get", "abnormal")])
def test_http_check_by_head_or_get(network: Network, method: str, state: str) -> None:
    network.serve("web-1", 8080, "http", "200", "HEAD")
    network.emulator.control("PUT", "switches", {"http_check_method": method})
    try:
        network.front({"web-1": 100}, HealthCheckType="http")
        assert network.health() == {"web-1": state}
    finally:
        network.emulator.control("PUT", "switches", {"http_check_method": "head"})


def test_a_link_that_is_down_is_silence(network: Network, client: Machine) -> None:
    network.serve("web-1")
    network.serve("web-2")
    address = network.front({"web-1": 100, "web-2": 100})
    open_connection = client.connect(address)
    lines = open_connection.makefile("rw")
    name = lines.readline().split()[0]
    assert network.emulator.control("PUT", "machines/web-1/link", {"up": False}) == {"changed": True}
    assert network.emulator.control("PUT", "machines/web-1/link", {"up": False}) == {"changed": False}
    assert client.outcome(MACHINES["web-1"], 8080) == "timed out"
    assert client.outcome(MACHINES["web-2"], 8080) == "web-2"
    cut_off = Machine("web-1")
    assert cut_off.outcome(MACHINES["web-2"], 8080) == "timed out"
    cut_off.close()
    # timeout x 2 + interval, from the first check that fails
    assert network.until(lambda: network.health()["web-1"] == "abnormal", 6) < 4.2
    network.emulator.wait()
    assert {client.outcome(address) for dummy in range(6)} == {"web-2"}
    network.emulator.control("PUT", "machines/web-1/link", {"up": True})
    assert client.outcome(MACHINES["web-1"], 8080) == "web-1"
    network.until(lambda: network.health()["web-1"] == "normal", 4)
    network.emulator.wait()
    assert {client.outcome(address) for dummy in range(6)} == {"web-1", "web-2"}
    # What was connected before goes on.
    open_connection.settimeout(5)
    lines.write("still there\n")
    lines.flush()
    assert (name, lines.readline()) == (name, "still there\n")
    open_connection.close()


def test_changes_under_load_lose_nothing(network: Network, client: Machine) -> None:
    for name in ("web-1", "web-2", "web-3"):
        network.serve(name)
    address = network.front({"web-1": 100, "web-2": 100})
    lasting = [client.connect(address) for dummy in range(4)]
    streams = [connection.makefile("rw") for connection in lasting]
    greetings = [stream.readline() for stream in streams]
    outcomes: Counter[str] = Counter()
    stop = threading.Event()

    def load() -> None:
        while not stop.is_set():
            outcomes[client.outcome(address, timeout=2)] += 1

    thread = threading.Thread(target=load)
    thread.start()
    member = {"ServerId": "i-ut-web-3", "Port": 8080}
    slb, group = network.slb, network.group
    for weight in (1, 37, 100):
        slb(
            "SetVServerGroupAttribute",
            VServerGroupId=group,
            BackendServers=json.dumps([{"ServerId": "i-ut-web-1", "Port": 8080, "Weight": weight}]),
        )
        slb("AddVServerGroupBackendServers", VServerGroupId=group, BackendServers=json.dumps([member]))
        network.emulator.wait()
        slb("RemoveVServerGroupBackendServers", VServerGroupId=group, BackendServers=json.dumps([member]))
        network.emulator.wait()
    other = slb("CreateVServerGroup", LoadBalancerId=network.balancer, BackendServers=json.dumps([member]))
    slb(
        "SetLoadBalancerTCPListenerAttribute",
        LoadBalancerId=network.balancer,
        ListenerPort=PORT,
        VServerGroup="on",
        VServerGroupId=other["VServerGroupId"],
    )
    network.emulator.wait()
    time.sleep(0.1)
    stop.set()
    thread.join()
    assert set(outcomes) == {"web-1", "web-2", "web-3"}, outcomes
    assert client.ask(address)[0] == "web-3"
    for stream, greeting in zip(streams, greetings):
        assert greeting.startswith("web-")
        stream.write("on\n")
        stream.flush()
        assert stream.readline() == "on\n"
    for connection in lasting:
        connection.close()


@pytest.mark.parametrize("relayed", [False, True])
def test_weights_change_under_load(network: Network, client: Machine, relayed: bool) -> None:
    for name in ("web-1", "web-2"):
        network.serve(name, 8080, *(["raw"] if relayed else []))
    address = network.front({"web-1": 30, "web-2": 90}, ProxyProtocolV2Enabled=relayed)
    outcomes: Counter[str] = Counter()
    stop = threading.Event()
    other = Machine("web-3")

    def load() -> None:
        while not stop.is_set():
            outcomes[other.outcome(address, timeout=2)] += 1

    thread = threading.Thread(target=load)
    thread.start()
    try:
        for first in (1, 99, 50, 7, 100, 3, 90):
            network.weigh(web_1=first, web_2=30)
            time.sleep(0.05)
    finally:
        stop.set()
        thread.join()
        other.close()
    assert set(outcomes) == {"web-1", "web-2"} and outcomes.total() > 50, outcomes
    assert Counter(client.outcome(address) for dummy in range(120)) == {"web-1": 90, "web-2": 30}


def test_a_change_is_live_soon(network: Network, client: Machine) -> None:
    network.serve("web-1")
    network.serve("web-2")
    address = network.front({"web-1": 100, "web-2": 0})
    assert client.ask(address)[0] == "web-1"
    network.slb(
        "SetVServerGroupAttribute",
        VServerGroupId=network.group,
        BackendServers=json.dumps(
            [
                {"ServerId": "i-ut-web-1", "Port": 8080, "Weight": 0},
                {"ServerId": "i-ut-web-2", "Port": 8080, "Weight": 1},
            ]
        ),
    )
    assert network.until(lambda: client.ask(address)[0] == "web-2", 2) < 0.3


def test_what_is_stopped_forwards_nothing(network: Network, client: Machine) -> None:
    network.serve("web-1")
    address = network.front({"web-1": 100})
    target = {"LoadBalancerId": network.balancer}
    for off, on in (
        (("StopLoadBalancerListener", {"ListenerPort": PORT}), ("StartLoadBalancerListener", {"ListenerPort": PORT})),
        (
            ("SetLoadBalancerStatus", {"LoadBalancerStatus": "inactive"}),
            ("SetLoadBalancerStatus", {"LoadBalancerStatus": "active"}),
        ),
    ):
        network.slb(off[0], **target, **off[1])
        network.emulator.wait()
        assert client.outcome(address) == "refused"
        assert network.health() == {"web-1": "unavailable"}
        network.slb(on[0], **target, **on[1])
        network.emulator.wait()
        assert client.outcome(address) == "web-1"


def test_an_ipv6_instance_beside_another(network: Network, client: Machine) -> None:
    network.serve("web-1")
    made = network.slb(
        "CreateLoadBalancer", VSwitchId="vsw-ut-lab", InstanceChargeType="PayByCLCU", AddressIPVersion="ipv6"
    )
    front = {"LoadBalancerId": made["LoadBalancerId"]}
    network.slb("AddBackendServers", BackendServers=json.dumps([{"ServerId": "i-ut-web-1"}]), **front)
    network.slb("CreateLoadBalancerTCPListener", ListenerPort=80, Bandwidth=-1, BackendServerPort=8080, **front)
    network.slb("StartLoadBalancerListener", ListenerPort=80, **front)
    address = network.front({"web-1": 100})
    assert (client.outcome(address), client.outcome(made["Address"], 80)) == ("web-1", "web-1")
    # A link that is down is silence for this family too.
    network.emulator.control("PUT", "machines/client-1/link", {"up": False})
    assert client.outcome(made["Address"], 80) == "timed out"
    network.emulator.control("PUT", "machines/client-1/link", {"up": True})
    assert client.outcome(made["Address"], 80) == "web-1"
    network.slb("DeleteLoadBalancer", **front)
    network.emulator.wait()
    assert client.outcome(made["Address"], 80) != "web-1"
    assert client.outcome(address) == "web-1"


def test_default_pool_and_two_listeners(network: Network, client: Machine) -> None:
    network.serve("web-1")
    network.serve("web-2", 8081)
    address = network.front({"web-1": 100})
    network.slb(
        "AddBackendServers", LoadBalancerId=network.balancer, BackendServers=json.dumps([{"ServerId": "i-ut-web-2"}])
    )
    network.slb(
        "CreateLoadBalancerTCPListener",
        LoadBalancerId=network.balancer,
        ListenerPort=80,
        Bandwidth=-1,
        BackendServerPort=8081,
        HealthCheckSwitch="off",
    )
    network.slb("StartLoadBalancerListener", LoadBalancerId=network.balancer, ListenerPort=80)
    network.emulator.wait()
    assert (client.outcome(address), client.outcome(address, 80)) == ("web-1", "web-2")
    network.slb("DeleteLoadBalancerListener", LoadBalancerId=network.balancer, ListenerPort=PORT)
    network.emulator.wait()
    assert (client.outcome(address), client.outcome(address, 80)) == ("refused", "web-2")


def test_a_public_instance_is_reached_through_the_nat_of_a_vpc(network: Network, client: Machine) -> None:
    network.serve("web-1")
    made = network.slb("CreateLoadBalancer", AddressType="internet", InstanceChargeType="PayByCLCU")
    network.slb(
        "AddBackendServers",
        LoadBalancerId=made["LoadBalancerId"],
        BackendServers=json.dumps([{"ServerId": "i-ut-web-1"}]),
    )
    network.slb(
        "CreateLoadBalancerTCPListener",
        LoadBalancerId=made["LoadBalancerId"],
        ListenerPort=80,
        Bandwidth=-1,
        BackendServerPort=8080,
    )
    network.slb("StartLoadBalancerListener", LoadBalancerId=made["LoadBalancerId"], ListenerPort=80)
    network.emulator.wait()
    assert made["Address"].startswith("203.0.113.")
    assert client.ask(made["Address"], 80) == ("web-1", NAT)


def test_addresses_of_the_vpc_that_nobody_has_are_silence(network: Network, client: Machine) -> None:
    assert client.outcome("192.0.2.77") == "timed out"
    address = network.front({"web-1": 100})
    assert client.outcome(address) == "refused"
    network.slb("DeleteLoadBalancer", LoadBalancerId=network.balancer)
    network.emulator.wait()
    assert client.outcome(address) == "timed out"


def test_source_hash_keeps_a_client_with_one_backend(network: Network, client: Machine) -> None:
    for name in ("web-1", "web-2", "web-3"):
        network.serve(name)
    address = network.front({"web-1": 100, "web-2": 100, "web-3": 100}, Scheduler="sch")
    assert len({client.ask(address)[0] for dummy in range(12)}) == 1
