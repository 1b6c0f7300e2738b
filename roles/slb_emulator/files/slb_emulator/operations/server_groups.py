# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""VServer groups, and the default pool of an instance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..cloud import Answer, Call, Cloud, find_balancer, find_group
from ..errors import ApiError, invalid
from ..parameters import has_tags, tag_list
from ..store import LoadBalancer, Server, ServerGroup
from . import servers
from .registry import operation

# Descriptions on the way in are not limited to the letters of the documentation: the service takes blanks and colons.
NAME = r".{1,80}"


def _members(group: ServerGroup, *left_out: str) -> Answer:
    """The whole group after the change; the address is never in these answers."""
    entries: list[dict[str, Any]] = [
        {
            "ServerId": server.server_id,
            "Port": server.port,
            "Weight": server.weight,
            "Type": server.type,
            "Description": server.description,
        }
        for server in group.servers
    ]
    for entry in entries:
        for name in left_out:
            del entry[name]
    return {"VServerGroupId": group.id, "BackendServers": {"BackendServer": entries}}


def _changing(cloud: Cloud, call: Call) -> ServerGroup:
    """The group, which no earlier change keeps busy any more."""
    group = find_group(cloud, call)
    if cloud.clock() < group.busy_until:
        raise ApiError("VServerGroupProcessing")
    return group


def _changing_pool(cloud: Cloud, call: Call) -> LoadBalancer:
    """The instance, whose default pool no earlier change keeps busy any more."""
    balancer = find_balancer(cloud, call)
    if cloud.clock() < balancer.servers_busy_until:
        raise ApiError("BackendServer.configuring")
    return balancer


@operation("CreateVServerGroup")
def create(cloud: Cloud, call: Call) -> Answer:
    balancer = find_balancer(cloud, call)
    name = call.parameters.matching("VServerGroupName", NAME)
    tags = call.parameters.tags()
    new = servers.given(call, True) if call.parameters.text("BackendServers") else []
    members: list[Server] = []
    servers.add(cloud, balancer, members, new)
    group_id = cloud.new_id("rsp")
    group = ServerGroup(group_id, call.region, balancer.id, name or group_id, cloud.now_text(), members, tags)
    cloud.state.server_groups[group_id] = group
    return _members(group)


@operation("SetVServerGroupAttribute")
def set_attribute(cloud: Cloud, call: Call) -> Answer:
    group = _changing(cloud, call)
    name = call.parameters.matching("VServerGroupName", NAME)
    if call.parameters.text("BackendServers"):
        servers.update(call, group.servers, True)
    group.name = name or group.name
    group.busy_until = cloud.busy_until()
    return {**_members(group), "VServerGroupName": group.name}


@operation("AddVServerGroupBackendServers")
def add_servers(cloud: Cloud, call: Call) -> Answer:
    group = _changing(cloud, call)
    servers.add(cloud, cloud.state.load_balancers[group.load_balancer], group.servers, servers.given(call, True))
    group.busy_until = cloud.busy_until()
    return _members(group)


@operation("RemoveVServerGroupBackendServers")
def remove_servers(cloud: Cloud, call: Call) -> Answer:
    group = _changing(cloud, call)
    servers.remove(group.servers, servers.given(call, True))
    group.busy_until = cloud.busy_until()
    return _members(group, "Description")


@operation("ModifyVServerGroupBackendServers")
def modify_servers(cloud: Cloud, call: Call) -> Answer:
    group = _changing(cloud, call)
    old = servers.given(call, True, "OldBackendServers")
    new = servers.given(call, True, "NewBackendServers")
    known = {servers.identity(server) for server in group.servers}
    for server in old:
        if servers.identity(server) not in known:
            raise invalid(f"The specified OldBackendServers is invalid: {server.server_id} is not a member.")
    before = list(group.servers)
    servers.remove(group.servers, old)
    try:
        servers.add(cloud, cloud.state.load_balancers[group.load_balancer], group.servers, new)
    except ApiError:
        group.servers = before
        raise
    group.busy_until = cloud.busy_until()
    return _members(group)


def _users(cloud: Cloud, group: ServerGroup) -> list[dict[str, Any]]:
    balancer = cloud.state.load_balancers[group.load_balancer]
    return [
        {"Port": listener.port, "Protocol": listener.protocol}
        for listener in balancer.listeners.values()
        if listener.group == group.id
    ]


def _rules(cloud: Cloud, group: ServerGroup) -> list[dict[str, Any]]:
    balancer = cloud.state.load_balancers[group.load_balancer]
    return [
        {"RuleId": rule.id, "RuleName": rule.name, "Domain": rule.domain, "Url": rule.url}
        for listener in balancer.listeners.values()
        for rule in listener.rules
        if rule.group == group.id
    ]


@operation("DescribeVServerGroups")
def describe_all(cloud: Cloud, call: Call) -> Answer:
    balancer = find_balancer(cloud, call)
    found = []
    for group in cloud.state.server_groups.values():
        if group.load_balancer != balancer.id or not has_tags(group.tags, call.parameters.tag_filter()):
            continue
        entry = {
            "VServerGroupId": group.id,
            "VServerGroupName": group.name,
            "ServerCount": len(group.servers),
            "CreateTime": group.created,
            "Tags": {"Tag": tag_list(group.tags)},
        }
        users: dict[str, Any] = {}
        if call.parameters.flag("IncludeListener"):
            users["Listeners"] = {"Listener": _users(cloud, group)}
        if call.parameters.flag("IncludeRule"):
            users["Rules"] = {"Rule": _rules(cloud, group)}
        if users:
            entry["AssociatedObjects"] = users
        found.append(entry)
    return {"VServerGroups": {"VServerGroup": found}}


@operation("DescribeVServerGroupAttribute")
def describe(cloud: Cloud, call: Call) -> Answer:
    group = find_group(cloud, call)
    answer = _members(group)
    for entry, server in zip(answer["BackendServers"]["BackendServer"], group.servers):
        entry["ServerIp"] = server.server_ip
    return {
        **answer,
        "VServerGroupName": group.name,
        "LoadBalancerId": group.load_balancer,
        "CreateTime": group.created,
        "Tags": {"Tag": tag_list(group.tags)},
    }


@operation("DeleteVServerGroup")
def delete(cloud: Cloud, call: Call) -> Answer:
    group = _changing(cloud, call)
    if _users(cloud, group):
        raise ApiError("RspoolVipExist")
    if _rules(cloud, group):
        raise ApiError("RspoolRuleExist")
    del cloud.state.server_groups[group.id]
    return {}


def _pool(call: Call, pool: Sequence[Server], text_weights: bool) -> Answer:
    return {
        "LoadBalancerId": call.parameters.text("LoadBalancerId"),
        "BackendServers": {
            "BackendServer": [
                {
                    "ServerId": server.server_id,
                    "Type": server.type,
                    "Description": server.description,
                    # A text in the answers of Add and Set, a number in that of Remove.
                    "Weight": str(server.weight) if text_weights else server.weight,
                }
                for server in pool
            ]
        },
    }


@operation("AddBackendServers")
def add_to_pool(cloud: Cloud, call: Call) -> Answer:
    balancer = _changing_pool(cloud, call)
    servers.add(cloud, balancer, balancer.servers, servers.given(call, False))
    balancer.servers_busy_until = cloud.busy_until()
    return _pool(call, balancer.servers, True)


@operation("SetBackendServers")
def set_pool(cloud: Cloud, call: Call) -> Answer:
    balancer = _changing_pool(cloud, call)
    servers.update(call, balancer.servers, False)
    balancer.servers_busy_until = cloud.busy_until()
    return _pool(call, balancer.servers, True)


@operation("RemoveBackendServers")
def remove_from_pool(cloud: Cloud, call: Call) -> Answer:
    balancer = _changing_pool(cloud, call)
    servers.remove(balancer.servers, servers.given(call, False))
    balancer.servers_busy_until = cloud.busy_until()
    return _pool(call, balancer.servers, False)
