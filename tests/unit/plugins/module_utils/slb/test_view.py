# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a state is shown, in results and in diffs."""

from __future__ import annotations

import dataclasses

import pytest

from ansible_collections.clusterfront.ha.plugins.module_utils._slb import view
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.document import (
    Backend,
    HealthCheck,
    Listener,
    LoadBalancer,
    ServerGroup,
    front_end,
)
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.state import CloudState, Observed

STATE = CloudState(
    load_balancer=Observed(
        LoadBalancer(
            id="lb-1", name="prod", address_type="intranet", address="192.0.2.100", master_zone_id="z-i", tags={}
        ),
        id="lb-1",
        owner="prod",
        status="active",
        facts={"region": "cn-hangzhou", "spec": None},
    ),
    server_groups=(
        Observed(
            ServerGroup("haproxy", (Backend(8888, "i-1", "192.0.2.21", 100, "clusterfront:prod first"),)),
            id="rsp-1",
            owner="prod",
        ),
        Observed(ServerGroup("other"), id="rsp-2"),
    ),
    listeners=(
        Observed(
            Listener(
                6443, "tcp", server_group="haproxy", health_check=HealthCheck(type="http", http_codes=("http_2xx",))
            ),
            id="tcp/6443",
            owner="prod",
            status="running",
        ),
        Observed(Listener(80, "tcp"), id="tcp/80", status="stopped"),
    ),
)
LISTED = {"name": "prod", "server_groups": [{"name": "haproxy"}], "listeners": [{"port": 6443, "protocol": "tcp"}]}


def test_nothing():
    document = front_end(LISTED)
    assert view.front_end(document, CloudState()) is None
    assert view.difference(document, CloudState()) == {}


def test_only_what_the_document_lists_is_shown():
    shown = view.front_end(front_end(LISTED), STATE)
    assert [group["id"] for group in shown["server_groups"]] == ["rsp-1"]
    assert [entry["port"] for entry in shown["listeners"]] == [6443]
    assert shown["load_balancer"]["id"] == "lb-1" and shown["load_balancer"]["owner"] == "prod"


def test_groups_are_shown_by_name():
    shown = view.front_end(
        front_end({"name": "prod", "server_groups": [{"name": "other"}, {"name": "haproxy"}]}),
        dataclasses.replace(STATE, server_groups=STATE.server_groups[::-1]),
    )
    assert [group["name"] for group in shown["server_groups"]] == ["haproxy", "other"]


def test_a_removal_shows_all():
    shown = view.front_end(front_end({"name": "prod", "state": "absent"}), STATE)
    assert [group["id"] for group in shown["server_groups"]] == ["rsp-1", "rsp-2"]
    assert len(shown["listeners"]) == 2


def test_the_owner_is_told_apart_from_the_text():
    assert view.server_group(STATE.server_groups[0])["backends"] == [
        {
            "server_id": "i-1",
            "eni_id": None,
            "private_ip": "192.0.2.21",
            "type": "ecs",
            "port": 8888,
            "weight": 100,
            "description": "first",
            "owner": "prod",
        }
    ]
    assert view.server_group(STATE.server_groups[1])["backends"] == []


def test_a_listener_has_lists_and_no_state():
    shown = view.listener(STATE.listeners[0])
    assert shown["health_check"]["http_codes"] == ["http_2xx"] and not {"state", "purge_tags"} & set(shown)
    assert (shown["owner"], shown["status"]) == ("prod", "running")
    assert view.listener(STATE.listeners[1])["health_check"]["http_codes"] is None


@pytest.mark.parametrize(("port", "shown"), [(-520, None), (8889, 8889), (None, None)])
def test_a_check_of_the_backends_own_port_shows_none(port, shown):
    checked = Observed(Listener(53, "udp", health_check=HealthCheck(connect_port=port)))
    assert view.listener(checked)["health_check"]["connect_port"] == shown


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ({}, set()),
        ({"address": "192.0.2.100"}, {"address"}),
        ({"id": "lb-1", "master_zone_id": "z-i"}, {"master_zone_id"}),
    ],
)
def test_a_diff_has_only_what_a_plan_can_foresee(given, shown):
    sides = [
        view.difference(front_end({**LISTED, "load_balancer": given}), state)
        for state in (
            STATE,
            dataclasses.replace(STATE, load_balancer=dataclasses.replace(STATE.load_balancer, status="inactive")),
        )
    ]
    assert sides[0] == sides[1]
    assert {"id", "status", "address", "master_zone_id", "region"} & set(sides[0]["load_balancer"]) == shown
    assert not {"spec", "enabled", "purge_tags"} & set(sides[0]["load_balancer"])
    assert "id" not in sides[0]["server_groups"][0] and "status" not in sides[0]["listeners"][0]
