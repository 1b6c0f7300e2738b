# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What runs of each module really call is in the policy of that module."""

from __future__ import annotations

import certificates
import pytest

from ansible_collections.clusterfront.ha.plugins.module_utils._slb.document import front_end, partial, region_only
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.permissions import policy

LAB = {"address_type": "intranet", "vpc_id": "vpc-ut-lab", "vswitch_id": "vsw-ut-lab"}
HEAD = {"name": "prod-api", "load_balancer": {"name": "prod-api"}}
GROUP = {"name": "haproxy", "purge": "owned", "state": "present"}
LISTENER = {"port": 6443, "protocol": "tcp", "server_group": "haproxy", "enabled": True, "state": "present"}


def backends(*numbers, **options):
    return [{"private_ip": f"192.0.2.2{number}", "port": 8888, **options} for number in numbers]


ECS = ("DescribeInstances", "DescribeNetworkInterfaces")


INSTANCE = [
    {"name": "prod-api", "load_balancer": LAB},
    {"name": "prod-api", "load_balancer": {"enabled": False, "tags": {"a": "1"}, "resource_group_id": "rg-two"}},
]
GROUPS = [{**HEAD, "server_groups": [{**GROUP, "backends": found}]} for found in (backends(1), backends(2, weight=5))]
LISTENERS = [
    {**HEAD, "listeners": [{**LISTENER, **options}]}
    for options in (
        {},
        {"persistence_timeout": 60},
        {"enabled": False},
        {"state": "absent"},
        {},
        {"protocol": "udp", "tags": {"a": "1"}},
        {"protocol": "udp", "tags": {"b": "1"}, "purge_tags": True, "bandwidth": 5},
    )
]
SINGLE = {"name": "haproxy", "purge": "none", "exists": True}
SINGLES = [
    {**HEAD, "server_groups": [{**SINGLE, "backends": found}]}
    for found in (backends(1), backends(1, weight=5), backends(1, state="absent"))
]
POOLS = [
    {**HEAD, "default_pool": {"purge": "none", "backends": [{"eni_id": "eni-ut-haproxy-1", **options}]}}
    for options in ({}, {"weight": 5}, {"state": "absent"}, {})
]
PAIR = {"name": "pair", **dict(zip(("primary", "standby"), backends(1, 2)))}
PAIRS = [{**HEAD, "failover_groups": [{**PAIR, "state": state}]} for state in ("present", "absent", "present")]
PAIR_LISTENERS = [
    {**HEAD, "listeners": [{"port": 80, "protocol": "tcp", "failover_group": "pair", "enabled": True}]},
    {**HEAD, "listeners": [{"port": 80, "protocol": "tcp", "server_group": "haproxy", "enabled": True}]},
]
REMOVAL = [{"name": "prod-api", "state": "absent", "keeps_region": True}]
OLD, NEW = (certificates.pair("www.example.com", key) for key in ("old", "new"))
AUTHORITY = {"name": "clients", "certificate": certificates.authority()}
POLICY = {"name": "strict", "tls_versions": ["TLSv1.2"], "ciphers": ["ECDHE-RSA-AES128-GCM-SHA256"]}


def of_region(option, *entries):
    return [{"name": "prod-api", option: [entry]} for entry in entries]


CERTIFICATES = of_region("certificates", {"name": "www", **OLD, "tags": {"a": "1"}}, {"name": "shop", **OLD})
ROTATION = of_region("certificates", {"name": "shop", **NEW, "keep_old": 0.0}, {"name": "shop", **OLD})
AUTHORITIES = of_region("ca_certificates", AUTHORITY, {**AUTHORITY, "name": "others"}, {**AUTHORITY, "state": "absent"})
POLICIES = of_region(
    "tls_policies",
    POLICY,
    {**POLICY, "tls_versions": ["TLSv1.1", "TLSv1.2"], "ciphers": [*POLICY["ciphers"], "AES128-SHA"]},
)
HTTPS = {"port": 443, "protocol": "https", "server_group": "haproxy", "certificate": "shop", "enabled": True}
WEBS = [
    {**HEAD, "listeners": [{**HTTPS, "tls_policy": "strict"}]},
    {**HEAD, "listeners": [{**HTTPS, "http2": False}]},
    {**HEAD, "listeners": [{"port": 8080, "protocol": "http", "forward_port": 443, "enabled": True}]},
]
PART = {"port": 443, "protocol": "https", "exists": True}
RULES = [
    {**HEAD, "listeners": [{**PART, "rules": found, "purge_rules": True}]}
    for found in ([{"url": "/a", "server_group": "haproxy"}], [{"url": "/a", "scheduler": "rr"}], [])
]
DOMAINS = [
    {**HEAD, "listeners": [{**PART, "domain_extensions": found, "purge_domain_extensions": True}]}
    for found in ([{"domain": "a.example.com", "certificate": "shop"}], [])
]

#: One module after the other on what the one before left.
ROAD = [
    ("slb_instance", front_end, INSTANCE),
    ("slb_server_group", partial, GROUPS),
    ("slb_backend", partial, SINGLES),
    ("slb_backend", partial, POOLS),
    ("slb_failover_group", partial, PAIRS),
    ("slb_listener", partial, LISTENERS),
    ("slb_listener", partial, PAIR_LISTENERS),
    ("slb_certificate", region_only, CERTIFICATES),
    ("slb_certificate", region_only, ROTATION),
    ("slb_ca_certificate", region_only, AUTHORITIES),
    ("slb_tls_policy", region_only, POLICIES),
    ("slb_listener", partial, WEBS),
    ("slb_rule", partial, RULES),
    ("slb_domain_extension", partial, DOMAINS),
    ("slb_instance", front_end, REMOVAL),
    ("slb_tls_policy", region_only, of_region("tls_policies", {"name": "strict", "state": "absent"})),
]


@pytest.mark.parametrize("check_mode", [True, False], ids=["check mode", "run"])
def test_runs_call_nothing_that_the_policy_does_not_allow(cloud, check_mode):
    for module, make, documents in ROAD:
        (statement,) = policy([module], read_only=check_mode)["Statement"]
        for document in documents:
            cloud.forget()
            cloud.run(document, make=make, check_mode=check_mode)
            called = {f"{'ecs' if action in ECS else 'slb'}:{action}" for action in cloud.counts}
            assert called <= set(statement["Action"])
            if check_mode:
                # the next one has to find what this one would have made
                cloud.run(document, make=make)
