# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two zones: what happens to machines and instances when one goes down, and when it comes back."""

from __future__ import annotations

import json
import threading
import time
import urllib.error
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from emulator_harness import PORT, Emulator, Network, Slb, inventory, missing_for_namespaces
from machines import Machine

SANDBOX = "cfha-utz"
PRIMARY, STANDBY, ALONE = "cn-hangzhou-i", "cn-hangzhou-h", "cn-wuhan-lr-a"
NAMES = {"web-i": "192.0.2.11", "web-h": "192.0.2.12", "client-h": "192.0.2.31"}
FAILOVER = 1.5  # seconds


def two_zones() -> dict[str, Any]:
    given = inventory(NAMES, name="two", nat_address="203.0.113.2")
    given["vpcs"][0]["vswitches"] = [
        {"vswitch_id": "vsw-ut-i", "zone_id": PRIMARY, "cidr": "192.0.2.128/26"},
        {"vswitch_id": "vsw-ut-h", "zone_id": STANDBY, "cidr": "192.0.2.192/26"},
    ]
    for machine in given["machines"]:
        machine["vswitch_id"] = f"vsw-ut-{machine['name'][-1]}"
    alone = inventory({"web-a": "192.0.2.11", "client-a": "192.0.2.31"}, name="alone")
    alone["vpcs"][0]["vswitches"][0]["zone_id"] = ALONE
    return {kind: given[kind] + alone[kind] for kind in given}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    reason = missing_for_namespaces()
    if reason:
        pytest.skip(f"NOT TESTED: {reason}")
    emulator = Emulator(tmp_path_factory.mktemp("zones"), data_plane="nft", sandbox=SANDBOX)
    try:
        emulator.start()
        emulator.control("PUT", "inventory", two_zones())
        yield emulator
    finally:
        emulator.remove()


@pytest.fixture
def network(lab: Emulator) -> Iterator[Network]:
    lab.control("PUT", "switches", {"zone_failover_seconds": FAILOVER})
    made = Network(lab)
    try:
        yield made
    finally:
        made.kill_all()
        for zone in (PRIMARY, STANDBY, ALONE):
            zone_is(lab, zone, up=True)
        lab.control("POST", "reset")


@pytest.fixture
def client(network: Network) -> Iterator[Machine]:
    made = Machine("client-h", sandbox=SANDBOX)
    yield made
    made.close()


def zone_is(emulator: Emulator, zone: str, up: bool) -> bool:
    return bool(emulator.control("PUT", f"zones/{zone}", {"up": up})["changed"])


def zones_of(slb: Slb, balancer: str) -> tuple[str, str]:
    shown = slb("DescribeLoadBalancerAttribute", LoadBalancerId=balancer)
    return shown["MasterZoneId"], shown["SlaveZoneId"]


def front(network: Network, **place: Any) -> tuple[str, str]:
    """Id and address of an instance whose backends are in both zones."""
    options = {"InstanceChargeType": "PayByCLCU", "MasterZoneId": PRIMARY, "SlaveZoneId": STANDBY}
    made = network.slb("CreateLoadBalancer", **options, **place)
    target = {"LoadBalancerId": made["LoadBalancerId"]}
    servers = [{"ServerId": f"i-ut-web-{zone}"} for zone in "ih"]
    network.slb("AddBackendServers", BackendServers=json.dumps(servers), **target)
    network.slb(
        "CreateLoadBalancerTCPListener",
        ListenerPort=PORT,
        Bandwidth=-1,
        BackendServerPort=8080,
        healthCheckInterval=1,
        HealthCheckConnectTimeout=1,
        HealthyThreshold=2,
        UnhealthyThreshold=2,
        **target,
    )
    network.slb("StartLoadBalancerListener", ListenerPort=PORT, **target)
    network.emulator.wait()
    network.balancer = made["LoadBalancerId"]
    network.until(lambda: "unavailable" not in network.health().values(), 5)
    network.emulator.wait()
    return made["LoadBalancerId"], made["Address"]


class Load:
    """Requests in the background, counted by phase and by what came of them."""

    def __init__(self, client: Machine, address: str) -> None:
        self.counts: dict[str, Counter[str]] = {}
        self.phase = "before"
        self._client, self._address = client, address
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(self, *dummy: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            phase, outcome = self.phase, self._client.outcome(self._address, timeout=0.2)
            if phase == self.phase:  # one that saw the change belongs to neither
                self.counts.setdefault(phase, Counter())[outcome] += 1
            time.sleep(0.01)


@pytest.mark.parametrize("place", [{"VSwitchId": "vsw-ut-i"}, {"AddressType": "internet"}], ids=["private", "public"])
def test_the_standby_serves_while_the_primary_is_down(network: Network, client: Machine, place: dict[str, str]) -> None:
    network.serve("web-i")
    network.serve("web-h")
    balancer, address = front(network, **place)
    emulator = network.emulator

    def serving() -> str:
        return str(emulator.control("GET", "zones")["serving"][balancer])

    with Load(client, address) as load:
        time.sleep(0.5)
        assert serving() == PRIMARY
        assert zone_is(emulator, PRIMARY, up=False) and not zone_is(emulator, PRIMARY, up=False)
        load.phase = "failover"
        network.until(lambda: serving() == STANDBY, FAILOVER + 1)
        load.phase = "takeover"  # the check finds the backend of the lost zone
        network.until(lambda: network.health() == {"web-i": "abnormal", "web-h": "normal"}, 5)
        emulator.wait()
        load.phase = "standby"
        time.sleep(0.5)
        assert zones_of(network.slb, balancer) == (PRIMARY, STANDBY)
        assert zone_is(emulator, PRIMARY, up=True)
        emulator.wait()
        load.phase = "back"
        assert serving() == PRIMARY
        network.until(lambda: network.health() == {"web-i": "normal", "web-h": "normal"}, 5)
        emulator.wait()
        load.phase = "after"
        time.sleep(0.5)
    print(load.counts)
    assert set(load.counts["before"]) == set(load.counts["after"]) == {"web-i", "web-h"}
    assert set(load.counts["failover"]) == {"timed out"}
    assert set(load.counts["standby"]) == {"web-h"}
    # the second as soon as its check says so; what is under way at the change ends, and nothing else
    lost = load.counts["back"] - Counter({name: load.counts["back"][name] for name in ("web-h", "web-i")})
    assert set(lost) <= {"refused", "closed"} and sum(lost.values()) <= 3
    assert load.counts["back"]["web-h"] > 10 * sum(lost.values())
    assert all(sum(load.counts[phase].values()) >= 4 for phase in ("before", "failover", "standby", "after"))


def test_connections_do_not_survive_a_change_of_the_zone(network: Network, client: Machine) -> None:
    network.serve("web-h")
    dummy, address = front(network, VSwitchId="vsw-ut-i")

    def echo(stream: Any) -> str:
        stream.write("hello\n")
        stream.flush()
        return str(stream.readline())

    past = client.connect("192.0.2.12", 8080).makefile("rw")  # beside the instance
    first = client.connect(address).makefile("rw")
    assert (past.readline()[:5], first.readline()[:5], echo(first)) == ("web-h", "web-h", "hello\n")
    zone_is(network.emulator, PRIMARY, up=False)
    network.emulator.wait()
    assert client.outcome(address) == "timed out"
    network.until(lambda: client.outcome(address) == "web-h", FAILOVER + 2)
    with pytest.raises(ConnectionResetError):
        echo(first)
    second = client.connect(address).makefile("rw")
    assert (second.readline()[:5], echo(second)) == ("web-h", "hello\n")
    zone_is(network.emulator, PRIMARY, up=True)
    network.emulator.wait()
    with pytest.raises(ConnectionResetError):
        echo(second)
    assert client.outcome(address) == "web-h"
    assert echo(past) == "hello\n"


def test_machines_of_a_zone_that_is_down_are_silent(network: Network, client: Machine) -> None:
    network.serve("web-i")
    zone_is(network.emulator, PRIMARY, up=False)
    assert client.outcome(NAMES["web-i"], 8080) == "timed out"
    # a link that is cut stays cut when the zone is back, and a restart changes nothing
    network.emulator.control("PUT", "machines/web-i/link", {"up": False})
    network.emulator.stop()
    network.emulator.start()
    zone_is(network.emulator, PRIMARY, up=True)
    assert client.outcome(NAMES["web-i"], 8080) == "timed out"
    network.emulator.control("PUT", "machines/web-i/link", {"up": True})
    assert client.outcome(NAMES["web-i"], 8080) == "web-i"


def test_both_zones_down_is_darkness(network: Network, client: Machine) -> None:
    network.serve("web-h")
    balancer, address = front(network, VSwitchId="vsw-ut-i")
    network.emulator.control("PUT", "switches", {"zone_failover_seconds": 0})
    for zone in (PRIMARY, STANDBY):
        zone_is(network.emulator, zone, up=False)
    assert network.emulator.control("GET", "zones")["serving"] == {balancer: ""}
    zone_is(network.emulator, STANDBY, up=True)
    network.emulator.wait()
    assert network.emulator.control("GET", "zones")["serving"] == {balancer: STANDBY}
    network.until(lambda: client.outcome(address) == "web-h", 5)


def test_an_instance_without_a_standby_stays_dark(network: Network) -> None:
    network.serve("web-a")
    client = Machine("client-a", sandbox=SANDBOX)
    slb = Slb(network.emulator.address, "cn-wuhan-lr")
    made = slb("CreateLoadBalancer", InstanceChargeType="PayByCLCU", VSwitchId="vsw-ut-alone")
    target = {"LoadBalancerId": made["LoadBalancerId"], "ListenerPort": PORT}
    assert zones_of(slb, made["LoadBalancerId"]) == (ALONE, "")
    slb("AddBackendServers", BackendServers='[{"ServerId": "i-ut-web-a"}]', LoadBalancerId=made["LoadBalancerId"])
    slb("CreateLoadBalancerTCPListener", Bandwidth=-1, BackendServerPort=8080, HealthCheckSwitch="off", **target)
    slb("StartLoadBalancerListener", **target)
    network.emulator.wait()
    assert client.outcome(made["Address"]) == "web-a"
    zone_is(network.emulator, ALONE, up=False)
    time.sleep(FAILOVER + 0.5)
    assert network.emulator.control("GET", "zones")["serving"] == {made["LoadBalancerId"]: ""}
    assert client.outcome(made["Address"]) == "timed out"
    zone_is(network.emulator, ALONE, up=True)
    network.emulator.wait()
    assert client.outcome(made["Address"]) == "web-a"
    client.close()


def test_a_zone_that_does_not_exist(emulator: Emulator) -> None:
    with pytest.raises(urllib.error.HTTPError) as caught:
        zone_is(emulator, "cn-hangzhou-z", up=False)
    assert caught.value.code == 404 and "there is no zone cn-hangzhou-z" in caught.value.read().decode()


@pytest.mark.parametrize("region", ["cn-hangzhou", "us-east-1", "cn-wuhan-lr"])
def test_the_pairs_of_zones_agree(emulator: Emulator, region: str) -> None:
    slb = Slb(emulator.address, region)
    zones = slb("DescribeZones")["Zones"]["Zone"]
    pairs = {
        (zone["ZoneId"], standby)
        for zone in zones
        for standby in [found["ZoneId"] for found in zone["SlaveZones"]["SlaveZone"]] or [""]
    }
    shown = slb("DescribeAvailableResource")["AvailableResources"]["AvailableResource"]
    assert {(pair["MasterZoneId"], pair["SlaveZoneId"]) for pair in shown} == pairs
    assert all(primary != standby for primary, standby in pairs)
    # each is taken, and nothing else is
    for primary, standby in sorted(pairs)[:3]:
        options = {"MasterZoneId": primary, **({"SlaveZoneId": standby} if standby else {})}
        made = slb("CreateLoadBalancer", InstanceChargeType="PayByCLCU", **options)
        assert zones_of(slb, made["LoadBalancerId"]) == (primary, standby)
    primary = zones[0]["ZoneId"]
    for wrong in ({"SlaveZoneId": primary}, {"SlaveZoneId": "cn-nowhere-a"}, {"MasterZoneId": "cn-nowhere-a"}):
        options = {"MasterZoneId": primary, **wrong}
        code = slb.code("CreateLoadBalancer", InstanceChargeType="PayByCLCU", **options)
        assert code == ("PRODUCT.NOT_AVAILABLE_IZ", 400)


def test_what_a_pair_of_zones_supports(emulator: Emulator, slb: Slb) -> None:
    def supported(**wanted: str) -> list[dict[str, str]]:
        found = slb("DescribeAvailableResource", **wanted)["AvailableResources"]["AvailableResource"]
        return list(found[0]["SupportResources"]["SupportResource"]) if found else []

    assert supported(AddressType="vpc", AddressIPVersion="ipv6") == [{"AddressType": "vpc", "AddressIPVersion": "ipv6"}]
    assert len(supported()) == 4
    assert supported(AddressType="classic_intranet") == []  # no longer sold
