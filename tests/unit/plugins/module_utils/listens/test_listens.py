# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Listens: what is made of them, and what can't work."""

from __future__ import annotations

import pytest

from ansible_collections.clusterfront.ha.plugins.module_utils._listens.labels import plan_labels
from ansible_collections.clusterfront.ha.plugins.module_utils._listens.listens import Inventory, files, resolve
from ansible_collections.clusterfront.ha.plugins.module_utils._listens.problems import port_problems, problems

HOSTS = {
    "node-1": {"private_ip": "192.0.2.11", "facts": {"v6": {"address": "2001:db8::11"}}},
    "node-2": {"private_ip": "192.0.2.12", "facts": {}},
    "node-3": {"private_ip": ""},
}
GROUPS = {"all": list(HOSTS), "ungrouped": [], "nodes": ["node-1", "node-2"], "half": ["node-1", "node-3"], "empty": []}
INVENTORY = Inventory(GROUPS, HOSTS, "private_ip")
DEFAULTS = {
    "balance": "leastconn",
    "slowstart": "30s",
    "shutdown_on_down": False,
    "max_connections": "4000",
    "ca_bundle": "/bundle.pem",
    "health_check": {"interval": "2s", "fall": 2},
    "timeouts": {"connect": "1s", "idle": "1h", "tunnel": "1h", "queue": "10s", "request": "10s"},
    "client_keepalive": {},
    "server_keepalive": {},
}
SERVER = {"name": "a", "address": "192.0.2.1", "port": 80}
LISTEN = {"name": "web", "bind": [{"port": 80}], "backends": [SERVER]}
HTTP = {**LISTEN, "mode": "http"}


def resolved(**options):
    return resolve({**LISTEN, **options}, INVENTORY, DEFAULTS)


def told(*listens, taken=()):
    return problems(listens, "haproxy_listens", INVENTORY, taken)


def test_what_nobody_says_is_the_default():
    listen = resolved(tls=None, send_proxy=None, timeouts={"idle": None})
    assert listen["pool"] == "web" and listen["mode"] == "tcp" and listen["balance"] == "leastconn"
    assert listen["tls"] is None and listen["backend_tls"] is None and listen["stickiness"] is None
    assert listen["send_proxy"] == "none" and listen["max_connections"] == 4000 and listen["ready"] is True
    assert listen["timeouts"] == DEFAULTS["timeouts"]
    assert listen["health_check"]["type"] == "tcp" and listen["health_check"]["interval"] == "2s"
    assert listen["forwarded_headers"] is False and resolved(mode="http")["forwarded_headers"] is True
    assert listen["backends"] == [{**SERVER, "weight": None, "backup": False}]
    assert files(listen) == []


def test_what_somebody_says_wins():
    listen = resolved(
        pool="p", timeouts={"idle": "5m"}, max_connections="9", shutdown_on_down=True, ready=False,
        tls={"certificate": "/c", "key": "/k", "client_ca": "/a"}, backend_tls={"server_name": "x"},
        health_check={"fall": 3, "port": "81"}, stickiness={"type": "source"},
    )  # fmt: skip
    assert listen["timeouts"]["tunnel"] == "5m" and listen["timeouts"]["queue"] == "10s"
    assert (listen["max_connections"], listen["shutdown_on_down"], listen["ready"]) == (9, True, False)
    assert listen["health_check"]["fall"] == 3 and listen["health_check"]["port"] == 81
    assert listen["stickiness"] == {"type": "source", "timeout": "30m", "cookie": "SERVER"}
    assert {file["name"]: file["source"] for file in files(listen)} == {
        "web.pem": "/c", "web.pem.key": "/k", "web-clients.pem": "/a", "p-servers.pem": "/bundle.pem",
    }  # fmt: skip
    assert resolved(timeouts={"idle": "5m", "tunnel": "1m"})["timeouts"]["tunnel"] == "1m"


def test_servers_that_are_not_verified_need_no_ca():
    assert files(resolved(backend_tls={"verify": False})) == []


def test_servers_of_a_group():
    listen = resolved(backends=[], group="nodes", backend_port="8080")
    assert [(server["name"], server["address"], server["port"]) for server in listen["backends"]] == [
        ("node-1", "192.0.2.11", 8080),
        ("node-2", "192.0.2.12", 8080),
    ]


def test_an_address_from_facts():
    assert INVENTORY.address("node-1", "facts.v6.address") == "2001:db8::11"
    assert INVENTORY.address("node-2", "facts.v6.address") is None
    assert INVENTORY.address("node-1", "private_ip.none") is None


GOOD = [
    LISTEN,
    {**LISTEN, "name": "v6", "bind": [{"address": "::", "port": 80}, {"address": "2001:db8::1", "port": 81}]},
    {**HTTP, "name": "cookie", "bind": [{"port": "82"}], "stickiness": {"type": "cookie", "cookie": "S"},
     "health_check": {"type": "http", "path": "/healthz", "status": "200,300-399"}},
    {**LISTEN, "name": "servers", "bind": [{"port": 79}],
     "backends": [{**SERVER, "address": "2001:db8::1"}, {**SERVER, "name": "b", "address": "web-1.example.com"}]},
    {"name": "group", "bind": [{"port": 83}], "group": "nodes", "backend_port": 1, "allow": ["192.0.2.0/24"], "deny": ["2001:db8::1"]},
    {"name": "redirect", "mode": "http", "bind": [{"port": 84}], "redirect_https": True, "backends": [], "group": ""},
    {**LISTEN, "name": "two", "bind": [{"address": "127.0.0.1", "port": 85}, {"address": "192.0.2.9", "port": 85}],
     "backend_tls": {"server_name": "x"}, "tls": {"certificate": "/c"}, "timeouts": {"idle": "90s"}, "max_connections": 1},
]  # fmt: skip


def test_what_is_right_is_not_refused():
    assert told(*GOOD, taken=[{"name": "haproxy_health_port", "address": "", "port": "8889"}]) == []


def but(**options):
    return {**LISTEN, **options}


@pytest.mark.parametrize(
    ("listen", "sentence"),
    [
        (but(name="1st"), "'1st' is no name; take letters, digits, '_' and '-', and begin with a letter"),
        (but(name="a b"), "'a b' is no name; take letters, digits, '_' and '-', and begin with a letter"),
        (but(name="health"), "the name 'health' is the role's own; take another"),
        (but(bind=[]), "'web' has no bind; give it at least one port"),
        (but(bind=[{"port": 70000}]), "'web' binds a port that is 70000; a port is a number from 1 to 65535"),
        (but(bind=[{"port": "https"}]), "'web' binds a port that is https; a port is a number from 1 to 65535"),
        (but(bind=[{"address": "[::1]", "port": 1}]), "'web' binds '[::1]': write ::1"),
        (
            but(bind=[{"address": "eth0", "port": 1}]),
            "'web' binds 'eth0': it has to be an IP address of the host, or empty",
        ),
        (
            but(bind=[{"port": 80}, {"port": 80}]),
            "port 80 is bound by 'web' twice; give every listen a port of its own",
        ),
        (but(backends=[]), "'web' has no servers: give backends or a group"),
        (but(group="nodes"), "'web' has backends and a group; give one of them"),
        (
            but(backends=[], group="nods"),
            "'web' names the group 'nods', which the inventory lacks; it has empty, half, nodes",
        ),
        (but(backends=[], group="empty"), "'web' has no servers: the group 'empty' is empty"),
        (
            but(backends=[], group="half", backend_port=1),
            "'web' has server 'node-3' without an address: host node-3 of group 'half' has no variable private_ip",
        ),
        (but(backends=[{"name": "a", "port": 1}]), "'web' has server 'a' without an address"),
        (
            but(backends=[{**SERVER, "address": "192.0.2.1:80"}]),
            "'web' has server 'a' whose address '192.0.2.1:80' holds a port: write address '192.0.2.1' and port 80",
        ),
        (
            but(backends=[{**SERVER, "address": "[2001:db8::1]"}]),
            "'web' has server 'a' whose address '[2001:db8::1]' is an IPv6 address in brackets: write 2001:db8::1",
        ),
        (
            but(backends=[{**SERVER, "address": "192.0.2.256"}]),
            "'web' has server 'a' whose address '192.0.2.256' is neither an IP address nor a name",
        ),
        (
            but(backends=[{**SERVER, "address": "a b"}]),
            "'web' has server 'a' whose address 'a b' is neither an IP address nor a name",
        ),
        (
            but(backends=[{"name": "a", "address": "192.0.2.1"}]),
            "'web' has server 'a' without a port; give it one, or give backend_port",
        ),
        (
            but(backends=[{**SERVER, "port": 0}]),
            "'web' has server 'a' whose port is 0; a port is a number from 1 to 65535",
        ),
        (
            but(backends=[{**SERVER, "weight": 300}]),
            "'web' has server 'a' with weight 300; a weight is a number from 0 to 256",
        ),
        (but(backends=[SERVER, SERVER]), "'web' has two servers named 'a'; every server needs a name of its own"),
        (
            but(backends=[{**SERVER, "name": "a b"}]),
            "'web' has a server named 'a b'; take letters, digits, '.', '_' and '-'",
        ),
        (
            but(backends=[{**SERVER, "backup": True}]),
            "'web' has nothing but backup servers; at least one has to be none",
        ),
        (but(tls={}), "'web' has tls without a certificate; give tls.certificate a file on the host"),
        (but(tls={"key": "/k"}), "'web' has tls without a certificate; give tls.certificate a file on the host"),
        (
            but(tls={"certificate": "c.pem"}),
            "'web' has tls.certificate 'c.pem'; it has to be the whole path of a file on the host",
        ),
        (
            but(backend_tls={}),
            "'web' has backend_tls without server_name; give the DNS name that the servers' certificates hold, or "
            "verify: false",
        ),
        (
            but(health_check={"type": "https", "ca": "/ca"}),
            "'web' has health_check.ca without health_check.server_name; give the DNS name that the certificates hold",
        ),
        (
            but(health_check={"type": "https", "ca": "/ca", "server_name": "x"}, backend_tls={"server_name": "x"}),
            "'web' has health_check.ca and backend_tls; leave the first out, for the check verifies what backend_tls does",
        ),
        (
            but(health_check={"path": "/x"}),
            "'web' has health_check.path with a check of type tcp; take type http or https, or leave it out",
        ),
        (
            but(health_check={"type": "http", "ca": "/x", "server_name": "x"}),
            "'web' has health_check.ca with a check of type http; take type https, or leave it out",
        ),
        (
            but(health_check={"type": "http", "path": "x y"}),
            "'web' has health_check.path 'x y'; it has to begin with '/' and hold no blanks or quotes",
        ),
        (
            but(health_check={"type": "http", "host": 'a"b'}),
            "'web' has health_check.host 'a\"b', which may hold no blanks or quotes",
        ),
        (
            but(health_check={"type": "http", "status": "2xx"}),
            "'web' has health_check.status '2xx'; take something like 200, 200,401 or 200-399",
        ),
        (but(health_check={"port": 0}), "'web' has health_check.port, which is 0; a port is a number from 1 to 65535"),
        (but(health_check={"fall": 0}), "'web' has health_check.fall 0; it has to be 1 or more"),
        (
            but(health_check={"interval": "2"}),
            "'web' has health_check.interval '2'; a time is a number and its unit, such as 500ms, 2s or 1h",
        ),
        (but(redirect_https=True, backends=[]), "'web' has redirect_https, which needs mode http"),
        (but(trusted_proxies=["192.0.2.0/24"]), "'web' has trusted_proxies, which needs mode http"),
        (but(stickiness={"type": "cookie"}), "'web' has stickiness by cookie, which needs mode http; take type source"),
        (but(timeouts={"request": "1s"}), "'web' has timeouts.request, which needs mode http"),
        (
            {**HTTP, "redirect_https": True, "backends": [], "tls": {"certificate": "/c"}},
            "'web' has redirect_https and tls; it would redirect to itself",
        ),
        ({**HTTP, "redirect_https": True}, "'web' has redirect_https and servers; a redirect needs none"),
        (
            {**HTTP, "forwarded_headers": False, "trusted_proxies": ["192.0.2.1"]},
            "'web' has trusted_proxies, which mean nothing without forwarded_headers",
        ),
        (
            {**HTTP, "stickiness": {"type": "cookie", "cookie": "a;b"}},
            "'web' has stickiness.cookie 'a;b'; take letters, digits, '_' and '-'",
        ),
        (
            but(allow=["192.0.2.1/24"]),
            "'web' has allow '192.0.2.1/24', which is no network: 192.0.2.1/24 has host bits set",
        ),
    ],
)
def test_what_is_wrong_is_one_sentence(listen, sentence):
    assert told(listen) == [f"haproxy_listens: {sentence}."]


def test_two_of_a_name():
    second = but(bind=[{"port": 81}])
    assert told(LISTEN, second) == [
        "haproxy_listens: the name 'web' comes twice; every listen needs one of its own.",
        "haproxy_listens: the pool 'web' comes twice; every listen needs one of its own.",
    ]
    assert told(LISTEN, {**second, "name": "other", "pool": "web"}) == [
        "haproxy_listens: the pool 'web' comes twice; every listen needs one of its own."
    ]


@pytest.mark.parametrize(
    ("first", "second", "where"),
    [
        ("", "", ""),
        ("", "192.0.2.9", " of 192.0.2.9"),
        ("192.0.2.9", "*", " of *"),
        ("::", "2001:db8::1", " of 2001:db8::1"),
        ("", "::", None),
        ("192.0.2.9", "192.0.2.8", None),
    ],
)
def test_two_on_a_port(first, second, where):
    listens = (but(bind=[{"address": first, "port": 443}]), but(name="b", bind=[{"address": second, "port": "443"}]))
    wanted = f"haproxy_listens: port 443{where} is bound by 'web' and 'b'; give every listen a port of its own."
    assert told(*listens) == ([wanted] if where is not None else [])


def test_a_port_of_the_role():
    assert told(LISTEN, taken=[{"name": "haproxy_health_port", "port": "80"}]) == [
        "haproxy_listens: port 80 is bound by haproxy_health_port and 'web'; give every listen a port of its own."
    ]


def test_an_inventory_without_groups():
    assert problems([but(backends=[], group="x")], "v", Inventory({"all": []}, {}, "a")) == [
        "v: 'web' names the group 'x', which the inventory lacks; it has none."
    ]


def test_ports_that_are_none():
    assert port_problems({"a": 1, "b": "65536", "c": "x", "d": True, "e": "80"}) == [
        "b is 65536; a port is a number from 1 to 65535.",
        "c is x; a port is a number from 1 to 65535.",
        "d is True; a port is a number from 1 to 65535.",
    ]


LISTING = """\
http_cache_port_t              tcp      8080, 8118, 8123, 10001-10010
http_port_t                    tcp      80, 81, 443, 488, 8008, 8009, 8443, 9000
kubernetes_port_t              tcp      10250
ephemeral_port_t               tcp      32768-60999
unreserved_port_t              tcp      61000-65535, 1024-32767
reserved_port_t                tcp      1-511
dns_port_t                     udp      53
hi_reserved_port_t             tcp      512-1023
nonsense
"""


def test_labels_of_ports():
    found = plan_labels(
        ["80", 443, 8888, 10250, 10005, 53], LISTING, ("http_port_t", "http_cache_port_t"), "http_port_t"
    )
    assert found == {
        "label": [53, 8888],
        "type": "http_port_t",
        "foreign": {10250: "kubernetes_port_t"},
        "boolean": True,
    }
    assert plan_labels([80], LISTING, ("http_port_t",), "http_port_t")["boolean"] is False
