# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Policies of TLS versions and cipher suites."""

from __future__ import annotations

from typing import Any

from ..cloud import Answer, Call, Cloud
from ..errors import ApiError, invalid, missing, missing_resource
from ..store import TlsPolicy
from .paging import by_token
from .registry import operation

NAME = r"[A-Za-z][A-Za-z0-9._-]{1,199}"
MOST_CIPHERS = 32
PAGE, LARGEST_PAGE = 20, 100
_OLD = {
    *("ECDHE-ECDSA-AES128-SHA", "ECDHE-ECDSA-AES256-SHA", "ECDHE-RSA-AES128-SHA", "ECDHE-RSA-AES256-SHA"),
    *("AES128-SHA", "AES256-SHA", "DES-CBC3-SHA"),
}
# By the comments of the SDK's model.
CIPHERS = {
    "TLSv1.0": _OLD,
    "TLSv1.1": _OLD,
    "TLSv1.2": {
        *_OLD,
        *("ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-AES128-SHA256"),
        *("ECDHE-ECDSA-AES256-SHA384", "ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-AES256-GCM-SHA384"),
        *("ECDHE-RSA-AES128-SHA256", "ECDHE-RSA-AES256-SHA384", "AES128-GCM-SHA256", "AES256-GCM-SHA384"),
        *("AES128-SHA256", "AES256-SHA256"),
    },
    "TLSv1.3": {
        *("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"),
        *("TLS_AES_128_CCM_SHA256", "TLS_AES_128_CCM_8_SHA256"),
    },
}


def _found(cloud: Cloud, call: Call) -> TlsPolicy:
    found = cloud.state.tls_policies.get(call.parameters.needed("TLSCipherPolicyId"))
    if found is None or found.region != call.region:
        raise missing_resource()  # the code is not documented
    return found


def _changing(cloud: Cloud, call: Call) -> TlsPolicy:
    found = _found(cloud, call)
    if cloud.clock() < found.busy_until:
        raise ApiError("ServiceIsConfiguring")
    return found


def _given(call: Call) -> tuple[str, list[str], list[str]]:
    parameters = call.parameters
    parameters.needed("Name")
    name = parameters.matching("Name", NAME)
    versions, ciphers = parameters.texts("TLSVersions", len(CIPHERS)), parameters.texts("Ciphers", MOST_CIPHERS)
    for option, values in (("TLSVersions", versions), ("Ciphers", ciphers)):
        if not values:
            raise missing(option)
    if not set(versions) <= set(CIPHERS):
        raise invalid("The specified TLSVersions is invalid.")
    known = set().union(*(CIPHERS[version] for version in versions))
    if not set(ciphers) <= known:
        raise invalid("The specified Ciphers is invalid.")
    return name, versions, ciphers


@operation("CreateTLSCipherPolicy")
def create(cloud: Cloud, call: Call) -> Answer:
    policy_id = cloud.new_id("tls")
    cloud.state.tls_policies[policy_id] = TlsPolicy(
        policy_id, call.region, *_given(call), cloud.clock(), cloud.busy_until()
    )
    return {"TLSCipherPolicyId": policy_id}


@operation("SetTLSCipherPolicyAttribute")
def set_attribute(cloud: Cloud, call: Call) -> Answer:
    found = _changing(cloud, call)
    found.name, found.versions, found.ciphers = _given(call)
    found.busy_until = cloud.busy_until()
    return {"TaskId": cloud.new_id("task")}


def _users(cloud: Cloud, policy_id: str) -> list[dict[str, Any]]:
    return [
        {"LoadBalancerId": balancer.id, "Port": listener.port, "Protocol": listener.protocol}
        for balancer in cloud.state.load_balancers.values()
        for listener in balancer.listeners.values()
        if listener.settings.get("TLSCipherPolicy") == policy_id
    ]


@operation("DeleteTLSCipherPolicy")
def delete(cloud: Cloud, call: Call) -> Answer:
    found = _changing(cloud, call)
    if _users(cloud, found.id):
        raise invalid("The specified TLSCipherPolicyId is used by a listener.")  # the code is not documented
    del cloud.state.tls_policies[found.id]
    return {}


@operation("ListTLSCipherPolicies")
def describe_all(cloud: Cloud, call: Call) -> Answer:
    parameters = call.parameters
    size = parameters.integer("MaxItems", 1, LARGEST_PAGE, PAGE)
    found = [
        policy
        for policy in cloud.state.tls_policies.values()
        if policy.region == call.region
        and parameters.text("TLSCipherPolicyId") in ("", policy.id)
        and parameters.text("Name") in ("", policy.name)
    ]
    page, token = by_token(parameters, found, size)
    return {
        "TLSCipherPolicies": [
            {
                "InstanceId": policy.id,
                "Name": policy.name,
                "TLSVersions": policy.versions,
                "Ciphers": policy.ciphers,
                "CreateTime": int(policy.created * 1000),
                "Status": "configuring" if cloud.clock() < policy.busy_until else "normal",
                **({"RelateListeners": _users(cloud, policy.id)} if parameters.flag("IncludeListener") else {}),
            }
            for policy in page
        ],
        "IsTruncated": bool(token),
        "NextToken": token,
        "TotalCount": len(found),
    }
