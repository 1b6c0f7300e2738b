# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Argument specs that modules share. No option that can be updated has a default, but for ``enabled`` of a listener."""

from __future__ import annotations

import typing as t

Spec = t.Dict[str, t.Dict[str, t.Any]]

CONNECTION: Spec = {
    "access_key_id": {"type": "str", "no_log": False},
    "access_key_secret": {"type": "str", "no_log": True},
    "security_token": {"type": "str", "no_log": True},
    "profile": {"type": "str"},
    "ecs_ram_role": {"type": "str"},
    "region": {"type": "str", "required": True},
    "slb_endpoint": {"type": "str"},
    "ecs_endpoint": {"type": "str"},
    "timeout": {"type": "float", "default": 300.0},
}

HEALTH_CHECK: Spec = {
    "enabled": {"type": "bool"},
    "type": {"type": "str", "choices": ["tcp", "http"]},
    "connect_port": {"type": "int"},
    "timeout": {"type": "int"},
    "interval": {"type": "int"},
    "healthy_threshold": {"type": "int"},
    "unhealthy_threshold": {"type": "int"},
    "domain": {"type": "str"},
    "uri": {"type": "str"},
    "http_codes": {"type": "list", "elements": "str", "choices": ["http_2xx", "http_3xx", "http_4xx", "http_5xx"]},
    "method": {"type": "str", "choices": ["head", "get"]},
    "request": {"type": "str"},
    "expected": {"type": "str"},
}

#: The access lists of a listener.
ACCESS: Spec = {"lists": {"type": "list", "elements": "str"}, "type": {"type": "str", "choices": ["white", "black"]}}

#: How a client keeps its server by a cookie.
STICKINESS: Spec = {
    "sticky_session": {"type": "bool"},
    "sticky_session_type": {"type": "str", "choices": ["insert", "server"]},
    "cookie": {"type": "str"},
    "cookie_timeout": {"type": "int"},
}

#: What a check of TCP or UDP has, and a rule has not.
NOT_OF_RULES = ("type", "method", "request", "expected")

RULE: Spec = {
    "domain": {"type": "str"},
    "url": {"type": "str"},
    "name": {"type": "str"},
    "server_group": {"type": "str"},
    "listener_sync": {"type": "bool"},
    "scheduler": {"type": "str", "choices": ["wrr", "rr"]},
    **STICKINESS,
    "health_check": {
        "type": "dict",
        "options": {name: option for name, option in HEALTH_CHECK.items() if name not in NOT_OF_RULES},
    },
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
}

DOMAIN_EXTENSION: Spec = {
    "domain": {"type": "str", "required": True},
    "certificate": {"type": "str"},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
}

LISTENER: Spec = {
    "port": {"type": "int", "required": True},
    "protocol": {"type": "str", "choices": ["tcp", "udp", "http", "https"], "required": True},
    "server_group": {"type": "str"},
    "failover_group": {"type": "str"},
    "backend_port": {"type": "int"},
    "scheduler": {"type": "str", "choices": ["wrr", "rr", "sch", "tch", "qch"]},
    "bandwidth": {"type": "int"},
    "persistence_timeout": {"type": "int"},
    "established_timeout": {"type": "int"},
    "connection_drain": {"type": "bool"},
    "connection_drain_timeout": {"type": "int"},
    "proxy_protocol_v2": {"type": "bool"},
    **STICKINESS,
    "x_forwarded_for": {"type": "bool"},
    "x_forwarded_for_proto": {"type": "bool"},
    "x_forwarded_for_slb_id": {"type": "bool"},
    "x_forwarded_for_slb_ip": {"type": "bool"},
    "x_forwarded_for_slb_port": {"type": "bool"},
    "x_forwarded_for_client_src_port": {"type": "bool"},
    "gzip": {"type": "bool"},
    "http2": {"type": "bool"},
    "idle_timeout": {"type": "int"},
    "request_timeout": {"type": "int"},
    "forward_port": {"type": "int"},
    "certificate": {"type": "str"},
    "ca_certificate": {"type": "str"},
    "tls_policy": {"type": "str"},
    "description": {"type": "str"},
    "health_check": {"type": "dict", "options": HEALTH_CHECK},
    "access_list": {"type": "dict", "options": ACCESS},
    "rules": {"type": "list", "elements": "dict", "options": RULE},
    "purge_rules": {"type": "bool", "default": False},
    "domain_extensions": {"type": "list", "elements": "dict", "options": DOMAIN_EXTENSION},
    "purge_domain_extensions": {"type": "bool", "default": False},
    "enabled": {"type": "bool", "default": True},
    "tags": {"type": "dict"},
    "purge_tags": {"type": "bool", "default": False},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
}

#: The ways to name a server.
SERVER: Spec = {
    "server_id": {"type": "str"},
    "server_name": {"type": "str"},
    "server_tags": {"type": "dict"},
    "private_ip": {"type": "str"},
    "eni_id": {"type": "str"},
}

#: A server of the default pool, which has no port of its own.
POOL_BACKEND: Spec = {
    **SERVER,
    "weight": {"type": "int"},
    "description": {"type": "str"},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
}

BACKEND: Spec = {**POOL_BACKEND, "port": {"type": "int", "required": True}}

DEFAULT_POOL: Spec = {
    "backends": {"type": "list", "elements": "dict", "options": POOL_BACKEND},
    "purge": {"type": "str", "choices": ["none", "owned", "all"], "default": "owned"},
}

#: One of the two of a primary/secondary group.
FAILOVER_SERVER: Spec = {
    **{name: option for name, option in SERVER.items() if name != "server_tags"},
    "port": {"type": "int", "required": True},
    "description": {"type": "str"},
}

FAILOVER_GROUP: Spec = {
    "name": {"type": "str", "required": True},
    "primary": {"type": "dict", "options": FAILOVER_SERVER},
    "standby": {"type": "dict", "options": FAILOVER_SERVER},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
}

SERVER_GROUP: Spec = {
    "name": {"type": "str", "required": True},
    "backends": {"type": "list", "elements": "dict", "options": BACKEND},
    "purge": {"type": "str", "choices": ["none", "owned", "all"], "default": "owned"},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
}

MODIFICATION_PROTECTION: Spec = {"enabled": {"type": "bool"}, "reason": {"type": "str"}}

SPECS = [
    "slb.s1.small",
    "slb.s2.small",
    "slb.s2.medium",
    "slb.s3.small",
    "slb.s3.medium",
    "slb.s3.large",
    "slb.s4.large",
    "slb.lcu.elastic",
]

ACL_ENTRY: Spec = {"cidr": {"type": "str", "required": True}, "comment": {"type": "str"}}

ACCESS_LIST: Spec = {
    "id": {"type": "str"},
    "name": {"type": "str"},
    "address_ip_version": {"type": "str", "choices": ["ipv4", "ipv6"]},
    "entries": {"type": "list", "elements": "dict", "options": ACL_ENTRY},
    "purge_entries": {"type": "bool", "default": True},
    "tags": {"type": "dict"},
    "caller_cidrs": {"type": "list", "elements": "str"},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
}

CA_CERTIFICATE: Spec = {
    "id": {"type": "str"},
    "name": {"type": "str"},
    "certificate": {"type": "str"},
    "certificate_path": {"type": "path"},
    "keep_old": {"type": "float"},
    "tags": {"type": "dict"},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
}

CERTIFICATE: Spec = {
    **CA_CERTIFICATE,
    "private_key": {"type": "str", "no_log": True},
    "private_key_path": {"type": "path", "no_log": False},
}

TLS_POLICY: Spec = {
    "id": {"type": "str"},
    "name": {"type": "str"},
    "tls_versions": {"type": "list", "elements": "str", "choices": ["TLSv1.0", "TLSv1.1", "TLSv1.2", "TLSv1.3"]},
    "ciphers": {"type": "list", "elements": "str"},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
}

LOAD_BALANCER: Spec = {
    "id": {"type": "str"},
    "name": {"type": "str"},
    "address_type": {"type": "str", "choices": ["intranet", "internet"]},
    "vpc_id": {"type": "str"},
    "vswitch_id": {"type": "str"},
    "address": {"type": "str"},
    "address_ip_version": {"type": "str", "choices": ["ipv4", "ipv6"]},
    "master_zone_id": {"type": "str"},
    "slave_zone_id": {"type": "str"},
    "resource_group_id": {"type": "str"},
    "bandwidth": {"type": "int"},
    "internet_charge_type": {"type": "str", "choices": ["paybytraffic", "paybybandwidth"]},
    "instance_charge_type": {"type": "str", "choices": ["PayByCLCU", "PayBySpec"]},
    "spec": {"type": "str", "choices": SPECS},
    "delete_protection": {"type": "bool"},
    "modification_protection": {"type": "dict", "options": MODIFICATION_PROTECTION},
    "enabled": {"type": "bool"},
    "tags": {"type": "dict"},
    "purge_tags": {"type": "bool", "default": False},
}

#: Names of ``limits.QUOTAS``.
QUOTAS: Spec = {
    "quotas": {
        "type": "dict",
        "options": {
            "load_balancers": {"type": "int"},
            "listeners_per_load_balancer": {"type": "int"},
            "backends_per_load_balancer": {"type": "int"},
            "access_lists": {"type": "int"},
            "access_lists_per_listener": {"type": "int"},
            "listeners_per_access_list": {"type": "int"},
            "domain_extensions_per_listener": {"type": "int"},
            "certificates": {"type": "int"},
            "ca_certificates": {"type": "int"},
        },
    }
}

FRONT_END: Spec = {
    "name": {"type": "str", "required": True},
    "load_balancer": {"type": "dict", "options": LOAD_BALANCER},
    "server_groups": {"type": "list", "elements": "dict", "options": SERVER_GROUP},
    "failover_groups": {"type": "list", "elements": "dict", "options": FAILOVER_GROUP},
    "default_pool": {"type": "dict", "options": DEFAULT_POOL},
    "listeners": {"type": "list", "elements": "dict", "options": LISTENER},
    "access_lists": {"type": "list", "elements": "dict", "options": ACCESS_LIST},
    "certificates": {"type": "list", "elements": "dict", "options": CERTIFICATE},
    "ca_certificates": {"type": "list", "elements": "dict", "options": CA_CERTIFICATE},
    "tls_policies": {"type": "list", "elements": "dict", "options": TLS_POLICY},
    "allow_public": {"type": "bool", "default": False},
    "adopt": {"type": "bool", "default": False},
    **QUOTAS,
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
}

#: What the modules of one part have beside the options of that part.
PART_OF: Spec = {"load_balancer": {"type": "str", "required": True}, "owner": {"type": "str"}, **QUOTAS}
