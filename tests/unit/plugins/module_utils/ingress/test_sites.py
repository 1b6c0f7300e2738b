# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The sites of an ingress front end as listens of nginx, and who leaves a front end."""

from __future__ import annotations

from ansible_collections.clusterfront.ha.plugins.module_utils._ingress import sites

SERVERS = {"backends": [{"name": "a", "address": "192.0.2.1", "port": 80}]}
ECHO = {"name": "echo", "hosts": ["echo.example.com"], **SERVERS}
OPTIONS = {
    "layer": 4, "http_port": 80, "https_port": 443, "certificate": "/c.pem", "key": "/k.pem", "min_version": "TLSv1.2", "status": 404,
    "body": "nobody", "trusted_proxies": ["100.64.0.0/10"],
}  # fmt: skip
TLS = {"certificate": "/c.pem", "key": "/k.pem", "min_version": "TLSv1.2"}
HTTP, HTTPS = {"mode": "http", "bind": [{"port": 80}]}, {"mode": "http", "bind": [{"port": 443}]}
NOBODY = {"respond": {"status": 404, "body": "nobody"}}


def test_tls_ends_at_the_node():
    assert sites.listens([ECHO], OPTIONS) == [
        {"name": "nobody_http", **HTTP, **NOBODY},
        {"name": "nobody_https", **HTTPS, "tls": TLS, **NOBODY},
        {**ECHO, **HTTPS, "tls": TLS},
        {"name": "echo_http", **HTTP, "hosts": ["echo.example.com"], "redirect_https": True},
    ]


def test_a_site_with_its_own_certificate_and_plain_http():
    own = {"certificate": "/own.pem", "key": "", "min_version": "TLSv1.3"}
    made = sites.listens([{**ECHO, "tls": own, "redirect": False, "ready": True}], OPTIONS)
    # one port speaks the same versions for all names
    assert made[2]["tls"] == {**own, "min_version": "TLSv1.2"} and made[2]["ready"] is True
    assert made[3] == {**ECHO, "name": "echo_http", **HTTP, "ready": False}


def test_tls_ends_at_the_slb():
    proxied = {"trusted_proxies": ["100.64.0.0/10"], "forwarded_clients": True}
    assert sites.listens([{**ECHO, "tls": {"certificate": "/own.pem"}}], {**OPTIONS, "layer": 7}) == [
        {"name": "nobody_http", **HTTP, **NOBODY},
        {**ECHO, **HTTP, **proxied},
    ]


def test_what_can_t_work():
    assert sites.problems([ECHO], "sites") == []
    assert sites.problems([{**SERVERS}, {**ECHO, "bind": [], "mode": "tcp"}], "sites") == [
        "sites has a site without a name; give it one.",
        "sites: '' has no hosts; give the names that clients ask for.",
        "sites: 'echo' has bind, which the front end says for all; leave it out.",
        "sites: 'echo' has mode, which the front end says for all; leave it out.",
    ]


def member(number, **more):
    return {"server_id": f"i-{number}", "eni_id": None, "port": 80, "weight": 100, "owner": "front", **more}


def test_who_leaves():
    interface = member(5, server_id=None, eni_id="eni-5")
    now = [
        {
            "name": "web",
            "backends": [
                member(1),
                member(2),
                member(3, owner=None),
                member(4, weight=0),
                interface,
                member(6, weight=0),
            ],
        },
        {"name": "gone", "backends": [member(1)]},
        {"name": "same", "backends": [member(1)]},
    ]
    planned = [
        {"name": "web", "backends": [member(1), member(2, weight=0), member(3, owner=None), member(6)]},
        {"name": "same", "backends": [member(1)]},
    ]
    assert sites.departures(now, planned, "front") == {
        "groups": [
            {
                "name": "web",
                "backends": [
                    {"server_id": "i-2", "port": 80, "weight": 0},
                    {"eni_id": "eni-5", "port": 80, "weight": 0},
                ],
            },
            {"name": "gone", "backends": [{"server_id": "i-1", "port": 80, "weight": 0}]},
        ],
        "server_ids": ["i-2", "i-4", "eni-5", "i-1"],
    }
