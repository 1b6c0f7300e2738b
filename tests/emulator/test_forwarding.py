# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the state to what is forwarded and checked, without a network."""

from __future__ import annotations

from typing import Any

import pytest
from emulator_harness import MACHINES, inventory

from slb_emulator import inventory as inventories
from slb_emulator.forwarding import ABNORMAL, NORMAL, Forward, desired, targets
from slb_emulator.store import AccessList, Listener, LoadBalancer, Server, ServerGroup, State
from slb_emulator.switches import Switches

CHECK = {
    "HealthCheck": "on",
    "HealthCheckInterval": 2,
    "HealthCheckConnectTimeout": 5,
    "HealthyThreshold": 3,
    "UnhealthyThreshold": 3,
}
PRIMARY = [Server("i-ut-web-1", 8080, 100, server_type="Master"), Server("i-ut-web-2", 8080, 100, server_type="Slave")]


def state(servers: list[Server], protocol: str = "tcp", address: str = "192.0.2.100", **settings: Any) -> State:
    """One instance with one running listener."""
    attributes = {
        "Address": address,
        "AddressType": "intranet",
        "AddressIPVersion": "ipv6" if ":" in address else "ipv4",
        "LoadBalancerStatus": "active",
        "VpcId": "vpc-ut-lab",
        "MasterZoneId": "cn-hangzhou-i",
        "SlaveZoneId": "cn-hangzhou-j",
    }
    listener = Listener(80, protocol, {"Scheduler": "wrr", "VServerGroupId": "rsp-1", **CHECK, **settings}, "running")
    balancer = LoadBalancer("lb-1", "", attributes, listeners={listener.key: listener})
    group = ServerGroup("rsp-1", "", "lb-1", "", "", servers)
    return State({"lb-1": balancer}, {"rsp-1": group}, inventory=inventories.parse(inventory(MACHINES)))


def forward(given: State, *abnormal: str, **switches: str) -> Forward:
    """The one listener, while the checks of these servers fail."""

    def health(key: str) -> str:
        return ABNORMAL if any(name in key for name in abnormal) else NORMAL

    (found,) = desired(given, Switches(switches), health, 0.0).forwards
    return found


def served(given: State, *abnormal: str, **switches: str) -> list[str]:
    names = {address: name for name, address in MACHINES.items()}
    return [names[member.address] for member in forward(given, *abnormal, **switches).members]


@pytest.mark.parametrize(
    ("abnormal", "serving"), [([], ["web-1"]), (["web-2"], ["web-1"]), (["web-1"], ["web-2"]), (["web-1", "web-2"], [])]
)
def test_the_primary_server_and_its_standby(abnormal: list[str], serving: list[str]) -> None:
    group = state(PRIMARY)
    assert served(group, *abnormal) == serving
    assert served(group) == ["web-1"]  # back when it is well again
    # The standby is checked all the time, or it could not be known to be well.
    assert [target.server_id for target in targets(group, Switches({}))] == ["i-ut-web-1", "i-ut-web-2"]


def test_both_lost_and_forwarded_all_the_same_is_the_primary() -> None:
    assert served(state(PRIMARY), "web-1", "web-2", no_healthy_backend="forward") == ["web-1"]


def test_other_groups_know_no_primary() -> None:
    servers = [Server(f"i-ut-web-{number}", 8080, 10) for number in (1, 2)]
    assert served(state(servers)) == ["web-1", "web-2"]


ONE = [Server("i-ut-web-1", 8080, 100)]


@pytest.mark.parametrize(
    ("protocol", "settings", "field", "value"),
    [
        ("tcp", {"PersistenceTimeout": 30}, "persistence", 30),
        ("udp", {"PersistenceTimeout": 30}, "persistence", 0),
        ("tcp", {"EstablishedTimeout": 10}, "idle", 10.0),
        ("udp", {}, "idle", 300.0),
        ("tcp", {"ConnectionDrain": "on", "ConnectionDrainTimeout": 15}, "drain", 15.0),
        ("tcp", {"ConnectionDrain": "off"}, "drain", None),
        ("udp", {"ConnectionDrain": "on", "ConnectionDrainTimeout": 15}, "drain", None),
        ("tcp", {"ProxyProtocolV2Enabled": True}, "relayed", True),
        ("tcp", {"ProxyProtocolV2Enabled": False}, "relayed", False),
    ],
)
def test_settings(protocol: str, settings: dict[str, Any], field: str, value: Any) -> None:
    assert getattr(forward(state(ONE, protocol, **settings)), field) == value


def test_drain_that_is_off_by_the_switch() -> None:
    assert forward(state(ONE), drain_off="cut").drain == 0.0


def test_lists_of_the_other_family_do_not_count() -> None:
    for address, version, network in (
        ("192.0.2.100", "ipv4", "198.51.100.0/24"),
        ("2001:db8::1", "ipv6", "2001:db8:1::/48"),
    ):
        given = state(ONE, address=address, AclStatus="on", AclType="white", AclId="acl-1,acl-2")
        other = "ipv4" if version == "ipv6" else "ipv6"
        given.access_lists = {
            "acl-1": AccessList("acl-1", "", "", version, "", "", {network: ""}),
            "acl-2": AccessList("acl-2", "", "", other, "", "", {"::/0" if other == "ipv6" else "0.0.0.0/0": ""}),
        }
        found = forward(given)
        assert (found.allowed, found.ipv6, found.relayed) == ((network,), version == "ipv6", version == "ipv6")


def test_udp_targets() -> None:
    given = state(ONE, "udp", HealthCheckReq="ping", HealthCheckExp="pong", HealthCheckConnectPort=9)
    (target,) = targets(given, Switches({}))
    assert (target.check, target.check_port, target.request, target.expected) == ("udp", 9, "ping", "pong")
