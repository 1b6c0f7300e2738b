# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Removal takes what the playbook made, and nothing that others made."""

from __future__ import annotations

import json
import typing as t

from lab import client as console
from lab import playbook


def instances(client: t.Any) -> list[dict[str, t.Any]]:
    answer = client.slb("DescribeLoadBalancers", {"LoadBalancerName": "prod-api", "PageNumber": 1, "PageSize": 10})
    return list(answer["LoadBalancers"]["LoadBalancer"])


def test_others_things_stay_and_are_named() -> None:
    client = console()
    instance = instances(client)[0]["LoadBalancerId"]
    groups = client.slb("DescribeVServerGroups", {"LoadBalancerId": instance})["VServerGroups"]["VServerGroup"]
    group = next(entry["VServerGroupId"] for entry in groups if entry["VServerGroupName"] == "haproxy")
    server = json.dumps([{"ServerId": "i-cfha-client-1", "Port": "8888", "Weight": "0"}])
    client.slb("AddVServerGroupBackendServers", {"VServerGroupId": group, "BackendServers": server})
    client.slb(
        "CreateLoadBalancerTCPListener",
        {
            "LoadBalancerId": instance,
            "ListenerPort": 7000,
            "Bandwidth": -1,
            "BackendServerPort": 7000,
            "HealthCheckSwitch": "off",
        },
    )

    run = playbook("remove_frontend")
    assert run.code == 0, run.output
    assert (
        "listener tcp/7000 stays" in run.output and "i-cfha-client-1:8888 in it was added by others" in run.output
    ), run.output
    listeners = client.slb("DescribeLoadBalancerListeners", {"LoadBalancerId": [instance]})["Listeners"]
    assert [entry["ListenerPort"] for entry in listeners] == [7000]
    members = client.slb("DescribeVServerGroupAttribute", {"VServerGroupId": group})["BackendServers"]["BackendServer"]
    assert [member["ServerId"] for member in members] == ["i-cfha-client-1"]

    client.slb(
        "DeleteLoadBalancerListener", {"LoadBalancerId": instance, "ListenerPort": 7000, "ListenerProtocol": "tcp"}
    )
    client.slb("RemoveVServerGroupBackendServers", {"VServerGroupId": group, "BackendServers": server})
    assert playbook("remove_frontend").code == 0
    assert instances(client) == []
