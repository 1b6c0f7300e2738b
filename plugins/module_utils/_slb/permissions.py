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
READ_CERTIFICATES = ("slb:DescribeServerCertificates",)
READ_CA_CERTIFICATES = ("slb:DescribeCACertificates",)
READ_POLICIES = ("slb:ListTLSCipherPolicies",)
READ_SECURITY = (*READ_CERTIFICATES, *READ_CA_CERTIFICATES, *READ_POLICIES)
#: Whoever uses a certificate or a policy is looked for before it is deleted.
USES = ("slb:DescribeDomainExtensions", "slb:DescribeLoadBalancerListeners")
CERTIFICATE = (
    *READ_CERTIFICATES,
    *USES,
    "slb:DeleteServerCertificate",
    "slb:SetServerCertificateName",
    "slb:TagResources",
    "slb:UploadServerCertificate",
)
CA_CERTIFICATE = (
    *READ_CA_CERTIFICATES,
    *USES,
    "slb:DeleteCACertificate",
    "slb:SetCACertificateName",
    "slb:TagResources",
    "slb:UploadCACertificate",
)
TLS_POLICY = (
    *READ_POLICIES,
    *USES,
    "slb:CreateTLSCipherPolicy",
    "slb:DeleteTLSCipherPolicy",
    "slb:SetTLSCipherPolicyAttribute",
)
RULE = ("slb:CreateRules", "slb:DeleteRules", "slb:DescribeRules", "slb:SetRule")
READ_PARTS = ("slb:DescribeDomainExtensions", "slb:DescribeRules")
DOMAIN_EXTENSION = (
    "slb:CreateDomainExtension",
    "slb:DeleteDomainExtension",
    "slb:DescribeDomainExtensions",
    "slb:SetDomainExtensionAttribute",
)
LISTENER = (
    "slb:CreateLoadBalancerHTTPListener",
    "slb:CreateLoadBalancerHTTPSListener",
    "slb:CreateLoadBalancerTCPListener",
    "slb:CreateLoadBalancerUDPListener",
    "slb:DeleteLoadBalancerListener",
    "slb:DescribeLoadBalancerTCPListenerAttribute",
    "slb:SetLoadBalancerHTTPListenerAttribute",
    "slb:SetLoadBalancerHTTPSListenerAttribute",
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
    "slb_ca_certificate": (*CA_CERTIFICATE, "slb:DescribeRegions"),
    "slb_ca_certificate_info": (*READ_CA_CERTIFICATES, "slb:DescribeRegions"),
    "slb_certificate": (*CERTIFICATE, "slb:DescribeRegions"),
    "slb_certificate_info": (*READ_CERTIFICATES, "slb:DescribeRegions"),
    "slb_domain_extension": (
        *FIND,
        *GROUPS,
        *READ_PAIRS,
        *READ_LISTS,
        *READ_SECURITY,
        *DOMAIN_EXTENSION,
        "slb:DescribeRules",
    ),
    "slb_domain_extension_info": (*FIND, *GROUPS, *READ_PAIRS, *READ_LISTS, *READ_SECURITY, *READ_PARTS),
    "slb_failover_group": (*FIND, *FAILOVER_GROUP),
    "slb_failover_group_info": (*FIND, *READ_PAIRS),
    "slb_frontend": (
        *FIND,
        *GROUPS,
        *INSTANCE,
        *SERVER_GROUP,
        *DEFAULT_POOL,
        *FAILOVER_GROUP,
        *LISTENER,
        *ACCESS_LIST,
        *CERTIFICATE,
        *CA_CERTIFICATE,
        *TLS_POLICY,
        *RULE,
        *DOMAIN_EXTENSION,
    ),
    "slb_frontend_info": (
        *FIND,
        *GROUPS,
        *READ_LISTS,
        *READ_PAIRS,
        *READ_SECURITY,
        *READ_PARTS,
        *SERVERS,
        "slb:DescribeLoadBalancerAttribute",
    ),
    "slb_health_info": (*FIND, "slb:DescribeHealthStatus"),
    "slb_instance": (
        *FIND,
        *GROUPS,
        *INSTANCE,
        *READ_LISTS,
        *READ_PAIRS,
        *READ_SECURITY,
        *READ_PARTS,
        "slb:DeleteLoadBalancerListener",
        "slb:DeleteMasterSlaveServerGroup",
        "slb:DeleteVServerGroup",
        "slb:RemoveBackendServers",
        "slb:RemoveVServerGroupBackendServers",
    ),
    "slb_instance_info": FIND,
    "slb_listener": (*FIND, *GROUPS, *READ_PAIRS, *LISTENER, *READ_LISTS, *READ_SECURITY),
    "slb_listener_info": (*FIND, *GROUPS, *READ_PAIRS, *READ_LISTS, *READ_SECURITY),
    "slb_registration": (*FIND, *GROUPS, *MEMBERS, *DEFAULT_POOL, "slb:DescribeHealthStatus"),
    "slb_rule": (*FIND, *GROUPS, *READ_PAIRS, *READ_LISTS, *READ_SECURITY, *RULE, "slb:DescribeDomainExtensions"),
    "slb_rule_info": (*FIND, *GROUPS, *READ_PAIRS, *READ_LISTS, *READ_SECURITY, *READ_PARTS),
    "slb_security_group_info": (*SERVERS, "ecs:DescribeSecurityGroupAttribute", "slb:DescribeRegions"),
    "slb_server_group": (*FIND, *GROUPS, *SERVER_GROUP),
    "slb_server_group_info": (*FIND, *GROUPS),
    "slb_tls_policy": (*TLS_POLICY, "slb:DescribeRegions"),
    "slb_tls_policy_info": (*READ_POLICIES, "slb:DescribeRegions"),
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
