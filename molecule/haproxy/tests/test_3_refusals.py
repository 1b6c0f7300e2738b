# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can't work is refused in one sentence before it is live, and the old configuration serves."""

from __future__ import annotations

import typing as t

from balancers import LAN, release, unnoticed
from lan import on, said

Broken = tuple[dict[str, t.Any], str]

DIRECTIVE: Broken = (
    {"haproxy_extra_config": "backend broken\n    balanse roundrobin\n"},
    "of the configuration, 'balanse roundrobin': unknown keyword 'balanse' in 'backend' section",
)
LISTEN = {"name": "third", "backends": [{"name": "web-1", "address": "198.51.100.11"}], "backend_port": 8080}
PORT: Broken = (
    {"extra_listens": [{**LISTEN, "bind": [{"port": 9100}]}]},
    "of the configuration, 'bind :9100': port 9100 is in use by python3 (process ",
)
CERTIFICATE: Broken = (
    {"extra_listens": [{**LISTEN, "bind": [{"port": 9443}], "tls": {"certificate": "/etc/ssl/nowhere.pem"}}]},
    "'third' has tls.certificate /etc/ssl/nowhere.pem, which is not there; nothing was changed.",
)
CONNECTIONS: Broken = ({"haproxy_maxconn": 20000}, "haproxy_maxconn is 20000 for each of 2 listens, which needs ")
TWICE: Broken = (
    {"extra_listens": [{**LISTEN, "bind": [{"port": 443}]}]},
    "haproxy_listens: port 443 is bound by 'secure' and 'third'; give every listen a port of its own.",
)
NOWHERE: Broken = (
    {"extra_listens": [{**LISTEN, "bind": [{"port": 9100}], "backends": [{"name": "web-9", "address": ""}]}]},
    "has server 'web-9' without an address",
)


def refused(broken: dict[str, Broken]) -> None:
    """A run that is refused on every host, each for a reason of its own."""
    before = {name: release(name) for name in broken}
    with unnoticed(dict.fromkeys(broken, 80)):
        run = LAN.role({name: variables for name, (variables, dummy) in broken.items()})
    assert run.code != 0
    for name, (dummy, sentence) in broken.items():
        message = said(run, name)
        print(f"{name}: {message}")
        assert sentence in message
        assert "\n" not in message and message.endswith(".")
    assert {name: release(name) for name in broken} == before
    assert all(on(name, "ls -A /etc/haproxy/releases | grep staged; true") == "" for name in broken)


def test_refused() -> None:
    for name in ("lb-2", "lb-4"):
        on(name, "systemd-run --unit=taker python3 -m http.server 9100")
    refused({"lb-1": DIRECTIVE, "lb-2": PORT, "lb-3": CERTIFICATE, "lb-5": DIRECTIVE})


def test_refused_too() -> None:
    refused({"lb-1": TWICE, "lb-2": NOWHERE, "lb-3": CONNECTIONS, "lb-4": PORT})
    for name in ("lb-2", "lb-4"):
        on(name, "systemctl stop taker")
