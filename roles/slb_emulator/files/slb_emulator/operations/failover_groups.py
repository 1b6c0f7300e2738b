# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Primary/secondary groups. There is no operation that changes one, not even its name."""

from __future__ import annotations

from typing import Any

from ..cloud import Answer, Call, Cloud, failover_groups_of, find_balancer, find_failover_group
from ..errors import ApiError, invalid
from ..parameters import has_tags, tag_list
from ..store import FailoverGroup
from . import servers
from .registry import operation

NAME = r".{1,80}"
KINDS = ("Master", "Slave")  # in the order in which a group keeps them


def _members(group: FailoverGroup) -> Answer:
    """Both servers; the address is never in these answers."""
    return {
        "MasterSlaveServerGroupId": group.id,
        "MasterSlaveBackendServers": {
            "MasterSlaveBackendServer": [
                {
                    "ServerId": server.server_id,
                    "Port": server.port,
                    "Weight": server.weight,
                    "Type": server.type,
                    "Description": server.description,
                    "ServerType": server.server_type,
                }
                for server in group.servers
            ]
        },
    }


def _kinds(call: Call) -> list[str]:
    entries = call.parameters.json_list("MasterSlaveBackendServers", "BackendServersMalformed")
    return [str(entry.get("ServerType", "")) if isinstance(entry, dict) else "" for entry in entries]


@operation("CreateMasterSlaveServerGroup")
def create(cloud: Cloud, call: Call) -> Answer:
    balancer = find_balancer(cloud, call)
    name = call.parameters.matching("MasterSlaveServerGroupName", NAME)
    tags = call.parameters.tags()
    call.parameters.needed("MasterSlaveBackendServers")
    kinds, given = _kinds(call), servers.given(call, True, "MasterSlaveBackendServers")
    if sorted(kinds) != sorted(KINDS) or len(given) != len(KINDS):
        raise invalid(
            "The specified MasterSlaveBackendServers is invalid: it takes one Master and one other server as Slave."
        )
    for server, kind in zip(given, kinds):
        server.server_type = kind
    pair = sorted(given, key=lambda server: KINDS.index(server.server_type))
    servers.check_places(cloud, balancer, pair)
    servers.check_room(cloud, balancer, pair)
    group_id = cloud.new_id("rsp")
    group = FailoverGroup(group_id, call.region, balancer.id, name or group_id, cloud.now_text(), pair, tags)
    cloud.state.failover_groups[group_id] = group
    return _members(group)


def _users(cloud: Cloud, group: FailoverGroup) -> list[dict[str, Any]]:
    balancer = cloud.state.load_balancers[group.load_balancer]
    return [
        {"Port": listener.port, "Protocol": listener.protocol}
        for listener in balancer.listeners.values()
        if listener.failover_group == group.id
    ]


@operation("DescribeMasterSlaveServerGroups")
def describe_all(cloud: Cloud, call: Call) -> Answer:
    found = []
    for group in failover_groups_of(cloud, find_balancer(cloud, call)):
        if not has_tags(group.tags, call.parameters.tag_filter()):
            continue
        entry: dict[str, Any] = {
            "MasterSlaveServerGroupId": group.id,
            "MasterSlaveServerGroupName": group.name,
            "CreateTime": group.created,
            "Tags": {"Tag": tag_list(group.tags)},
        }
        if call.parameters.flag("IncludeListener"):
            entry["AssociatedObjects"] = {"Listeners": {"Listener": _users(cloud, group)}}
        found.append(entry)
    return {"MasterSlaveServerGroups": {"MasterSlaveServerGroup": found}}


@operation("DescribeMasterSlaveServerGroupAttribute")
def describe(cloud: Cloud, call: Call) -> Answer:
    group = find_failover_group(cloud, call)
    return {
        **_members(group),
        "MasterSlaveServerGroupName": group.name,
        "LoadBalancerId": group.load_balancer,
        "CreateTime": group.created,
        "Tags": {"Tag": tag_list(group.tags)},
    }


@operation("DeleteMasterSlaveServerGroup")
def delete(cloud: Cloud, call: Call) -> Answer:
    group = find_failover_group(cloud, call)
    if _users(cloud, group):
        raise ApiError("RspoolVipExist")
    del cloud.state.failover_groups[group.id]
    return {}
