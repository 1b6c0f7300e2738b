# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a RAM user has to be allowed for a module: the engine's own operations, as data.

An operation's RAM action is its name behind the product's code. A test compares the table with the code.
"""

from __future__ import annotations

import typing as t

from .errors import DocumentError, quoted

FIND = ("slb:DescribeLoadBalancerListeners", "slb:DescribeLoadBalancers", "slb:DescribeRegions")
GROUPS = ("slb:DescribeVServerGroupAttribute", "slb:DescribeVServerGroups")
INSTANCE = (
    "slb:CreateLoadBalancer",
    "slb:DeleteLoadBalancer",
    "slb:DescribeLoadBalancerAttribute",
    "slb:DescribeZones",
    "slb:ModifyLoadBalancerInstanceChargeType",
    "slb:ModifyLoadBalancerInstanceSpec",
    "slb:ModifyLoadBalancerInternetSpec",
    "slb:MoveResourceGroup",
    "slb:SetLoadBalancerDeleteProtection",
    "slb:SetLoadBalancerModificationProtection",
    "slb:SetLoadBalancerName",
    "slb:SetLoadBalancerStatus",
    "slb:TagResources",
    "slb:UntagResources",
)
SERVERS = ("ecs:DescribeInstances", "ecs:DescribeNetworkInterfaces")
MEMBERS = (
    *SERVERS,
    "slb:AddVServerGroupBackendServers",
    "slb:RemoveVServerGroupBackendServers",
    "slb:SetVServerGroupAttribute",
)
SERVER_GROUP = (*MEMBERS, "slb:CreateVServerGroup", "slb:DeleteVServerGroup")
DEFAULT_POOL = (
    *SERVERS,
    "slb:AddBackendServers",
    "slb:DescribeLoadBalancerAttribute",
    "slb:RemoveBackendServers",
    "slb:SetBackendServers",
)
READ_PAIRS = ("slb:DescribeMasterSlaveServerGroupAttribute", "slb:DescribeMasterSlaveServerGroups")
FAILOVER_GROUP = (*SERVERS, *READ_PAIRS, "slb:CreateMasterSlaveServerGroup", "slb:DeleteMasterSlaveServerGroup")
LISTENER = (
    "slb:CreateLoadBalancerTCPListener",
    "slb:CreateLoadBalancerUDPListener",
    "slb:DeleteLoadBalancerListener",
    "slb:DescribeLoadBalancerTCPListenerAttribute",
    "slb:SetLoadBalancerTCPListenerAttribute",
    "slb:SetLoadBalancerUDPListenerAttribute",
    "slb:StartLoadBalancerListener",
    "slb:StopLoadBalancerListener",
    "slb:TagResources",
    "slb:UntagResources",
)

READ_LISTS = ("slb:DescribeAccessControlListAttribute", "slb:DescribeAccessControlLists")
ACCESS_LIST = (
    *READ_LISTS,
    "slb:AddAccessControlListEntry",
    "slb:CreateAccessControlList",
    "slb:DeleteAccessControlList",
    "slb:RemoveAccessControlListEntry",
    "slb:SetAccessControlListAttribute",
)

#: module -> the actions that it may need. Removing an instance takes its owner's listeners and groups along.
MODULES: dict[str, tuple[str, ...]] = {
    "slb_acl": (*ACCESS_LIST, "slb:DescribeRegions", "slb:TagResources"),
    "slb_acl_info": (*READ_LISTS, "slb:DescribeRegions"),
    "slb_backend": (*FIND, *GROUPS, *MEMBERS, *DEFAULT_POOL),
    "slb_failover_group": (*FIND, *FAILOVER_GROUP),
    "slb_failover_group_info": (*FIND, *READ_PAIRS),
    "slb_frontend": (*FIND, *GROUPS, *INSTANCE, *SERVER_GROUP, *DEFAULT_POOL, *FAILOVER_GROUP, *LISTENER, *ACCESS_LIST),
    "slb_frontend_info": (*FIND, *GROUPS, *READ_LISTS, *READ_PAIRS, *SERVERS, "slb:DescribeLoadBalancerAttribute"),
    "slb_health_info": (*FIND, "slb:DescribeHealthStatus"),
    "slb_instance": (
        *FIND,
        *GROUPS,
        *INSTANCE,
        *READ_LISTS,
        *READ_PAIRS,
        "slb:DeleteLoadBalancerListener",
        "slb:DeleteMasterSlaveServerGroup",
        "slb:DeleteVServerGroup",
        "slb:RemoveBackendServers",
        "slb:RemoveVServerGroupBackendServers",
    ),
    "slb_instance_info": FIND,
    "slb_listener": (*FIND, *GROUPS, *READ_PAIRS, *LISTENER, *READ_LISTS),
    "slb_listener_info": (*FIND, *GROUPS, *READ_PAIRS, *READ_LISTS),
    "slb_server_group": (*FIND, *GROUPS, *SERVER_GROUP),
    "slb_server_group_info": (*FIND, *GROUPS),
}


def reads_only(action: str) -> bool:
    return action.partition(":")[2].startswith(("Describe", "List"))


def policy(modules: t.Iterable[str], *, read_only: bool = False) -> dict[str, t.Any]:
    """The RAM policy that modules need, or what is enough for their check mode."""
    names = [name.removeprefix("clusterfront.ha.") for name in modules]
    unknown = sorted(set(names) - set(MODULES))
    if unknown or not names:
        raise DocumentError(f"{quoted(unknown)} is not among the modules that call the cloud: {quoted(MODULES)}")
    actions = {action for name in names for action in MODULES[name] if not read_only or reads_only(action)}
    return {"Version": "1", "Statement": [{"Effect": "Allow", "Action": sorted(actions), "Resource": "*"}]}
