# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One front end that uses every kind of object, and what becomes of it: made, changed, removed."""

from __future__ import annotations

import typing as t

import certificates

Options = t.Dict[str, t.Any]

LAB = {"address_type": "intranet", "vpc_id": "vpc-ut-lab", "vswitch_id": "vsw-ut-lab"}


def group(name: str, *backends: Options, **options: t.Any) -> Options:
    return {"name": name, "purge": "owned", "state": "present", "backends": list(backends), **options}


def server(number: int, port: int = 8888, **options: t.Any) -> Options:
    return {"private_ip": f"192.0.2.2{number}", "port": port, **options}


def listener(port: int, server_group: str | None, protocol: str = "tcp", **options: t.Any) -> Options:
    return {"port": port, "protocol": protocol, "server_group": server_group, "enabled": True, **options}


def access_list(name: str, entries: t.Mapping[int, str], **options: t.Any) -> Options:
    """A list of single addresses, each with its comment."""
    cidrs = [{"cidr": f"198.51.100.{host}", "comment": comment} for host, comment in entries.items()]
    return {"name": name, "entries": cidrs, "purge_entries": True, "state": "present", **options}


#: 21 servers and 60 entries take two calls each.
MADE: Options = {
    "name": "prod-api",
    "load_balancer": LAB,
    "server_groups": [
        group("haproxy", *({"server_id": "i-ut-haproxy-1", "port": port} for port in range(8001, 8022))),
        group("ingress", server(1), server(2)),
    ],
    "listeners": [
        listener(6443, "haproxy", access_list={"lists": ["office"], "type": "white"}),
        listener(80, "ingress"),
        listener(443, "ingress", "udp"),
    ],
    "access_lists": [access_list("office", dict.fromkeys(range(60), ""))],
}
#: Every operation on what is there: added, changed in place, taken away, stopped, exchanged.
CHANGED: Options = {
    "name": "prod-api",
    "load_balancer": {**LAB, "tags": {"stage": "live"}, "modification_protection": {"enabled": True, "reason": "ours"}},
    "server_groups": [
        group("haproxy", {"server_id": "i-ut-haproxy-1", "port": 8001, "weight": 30}, server(2), server(3)),
        group("web", server(3)),
        group("ingress", state="absent"),
    ],
    "listeners": [
        listener(6443, "haproxy", access_list={"lists": ["office"], "type": "black"}, persistence_timeout=600),
        listener(80, "web", enabled=False),
        listener(443, "ingress", "udp", state="absent"),
        listener(8443, "web"),
    ],
    "access_lists": [
        access_list("office", {**dict.fromkeys(range(50, 60), "new"), **dict.fromkeys(range(60, 120), "")})
    ],
}
REMOVED: Options = {"name": "prod-api", "state": "absent"}

BY_SIZE: Options = {
    "name": "prod-api",
    "load_balancer": {
        "address_type": "internet",
        "instance_charge_type": "PayBySpec",
        "spec": "slb.s1.small",
        "internet_charge_type": "paybybandwidth",
        "bandwidth": 5,
        "tags": {"team": "one", "stage": "test"},
        "enabled": False,
    },
}
BY_USE: Options = {
    "name": "prod-api",
    "load_balancer": {
        "instance_charge_type": "PayByCLCU",
        "resource_group_id": "rg-two",
        "delete_protection": True,
        "modification_protection": {"enabled": True, "reason": "mine"},
        "enabled": True,
        "tags": {"team": "two"},
        "purge_tags": True,
    },
}

DATAGRAMS: Options = {
    "name": "prod-api",
    "load_balancer": LAB,
    "server_groups": [group("dns", server(1, 53))],
    "listeners": [listener(53, "dns"), listener(53, "dns", "udp", tags={"team": "one", "stage": "test"})],
}
OTHER_DATAGRAMS: Options = {
    **DATAGRAMS,
    "listeners": [
        listener(53, "dns", state="absent"),
        listener(
            53,
            "dns",
            "udp",
            health_check={"request": "ping", "expected": "pong"},
            tags={"team": "two"},
            purge_tags=True,
            enabled=False,
        ),
    ],
}


def pooled(*numbers: int, weight: int | None = None) -> Options:
    """A document whose listener serves so many servers of the default pool."""
    return {
        "name": "prod-api",
        "load_balancer": LAB,
        "default_pool": {
            "backends": [{"private_ip": f"192.0.2.2{number}", "weight": weight} for number in numbers],
            "purge": "owned",
        },
        "listeners": [{"port": 80, "protocol": "tcp", "backend_port": 8080, "enabled": True}],
    }


def failing_over(*names: str) -> Options:
    """A document whose listener serves the last of these primary/secondary groups, and where the others are not to be."""
    sides = {"primary": server(1), "standby": server(2)}
    return {
        "name": "prod-api",
        "load_balancer": LAB,
        "failover_groups": [
            {"name": name, "state": "present" if name == names[-1] else "absent", **sides} for name in names
        ],
        "listeners": [{"port": 5432, "protocol": "tcp", "failover_group": names[-1], "enabled": True}],
    }


def web(*listeners: Options, **options: t.Any) -> Options:
    """A front end of layer 7."""
    return {
        "name": "prod-web",
        "load_balancer": LAB,
        "server_groups": [group("web", server(1)), group("api", server(2))],
        "listeners": list(listeners),
        **options,
    }


def secured(**options: t.Any) -> Options:
    return {"port": 443, "protocol": "https", "server_group": "web", "enabled": True, "certificate": "www", **options}


REDIRECT: Options = {"port": 80, "protocol": "http", "forward_port": 443, "enabled": True}
OLD_PAIR, NEW_PAIR, API_PAIR = (
    certificates.pair(name, key)
    for name, key in (("www.example.com", "old"), ("www.example.com", "new"), ("api.example.com", "api"))
)
#: Eleven rules take two calls, and one of them has settings of its own.
WEB_MADE = web(
    REDIRECT,
    secured(
        rules=[
            *({"url": f"/part{number}", "server_group": "api"} for number in range(10)),
            {"domain": "api.example.com", "server_group": "api", "scheduler": "rr"},
        ],
        domain_extensions=[
            {"domain": "api.example.com", "certificate": "api"},
            {"domain": "old.example.com", "certificate": "api"},
        ],
        ca_certificate="clients",
        tls_policy="strict",
    ),
    certificates=[{"name": "www", **OLD_PAIR}, {"name": "api", **API_PAIR}],
    ca_certificates=[{"name": "clients", "certificate": certificates.authority()}],
    tls_policies=[{"name": "strict", "tls_versions": ["TLSv1.2"], "ciphers": ["ECDHE-RSA-AES128-GCM-SHA256"]}],
)
#: A rotated certificate, rules that come, change and go, what is no longer used, and a redirect that goes.
WEB_CHANGED = web(
    {"port": 80, "protocol": "http", "state": "absent"},
    secured(
        rules=[
            {"url": "/part0", "server_group": "web"},
            {
                "domain": "api.example.com",
                "server_group": "api",
                "sticky_session": True,
                **dict(sticky_session_type="insert", cookie_timeout=60),
            },
            {"domain": "*.shop.example.com", "server_group": "web"},
        ],
        purge_rules=True,
        domain_extensions=[
            {"domain": "api.example.com", "certificate": "www"},
            {"domain": "shop.example.com", "certificate": "www"},
        ],
        purge_domain_extensions=True,
        ca_certificate="",
        tls_policy="tls_cipher_policy_1_2",
    ),
    certificates=[{"name": "www", **NEW_PAIR, "keep_old": 0}, {"name": "api", "state": "absent"}],
    ca_certificates=[{"name": "clients", "state": "absent"}],
    tls_policies=[{"name": "strict", "state": "absent"}],
)
WEB_REMOVED: Options = {"name": "prod-web", "state": "absent", "tls_policies": WEB_MADE["tls_policies"]}


#: scenario -> (what is there before, what is wanted)
SCENARIOS: dict[str, tuple[Options | None, Options]] = {
    "make": (None, MADE),
    "change": (MADE, CHANGED),
    "remove": (CHANGED, REMOVED),
    "make an instance": (None, BY_SIZE),
    "change an instance": (BY_SIZE, BY_USE),
    "datagrams": (DATAGRAMS, OTHER_DATAGRAMS),
    "pool": (None, pooled(1, 2)),
    "other pool": (pooled(1, 2), pooled(2, 3, weight=5)),
    "remove pool": (pooled(1, 2), REMOVED),
    "pair": (None, failing_over("database")),
    "other pair": (failing_over("database"), failing_over("database", "newer")),
    "remove pair": (failing_over("database"), REMOVED),
    "make a web": (None, WEB_MADE),
    "change a web": (WEB_MADE, WEB_CHANGED),
    "remove a web": (WEB_MADE, WEB_REMOVED),
}
