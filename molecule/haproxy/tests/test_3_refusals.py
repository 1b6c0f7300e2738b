# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can't work is refused in one sentence before it is live, and the old configuration serves."""

from __future__ import annotations

import typing as t

import pytest
from balancers import LAN
from lan import Broken, on

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


@pytest.fixture(autouse=True)
def taker() -> t.Iterator[None]:
    """Somebody has port 9100."""
    for name in LAN.there("lb-2", "lb-4"):
        on(name, "systemd-run --unit=taker python3 -m http.server 9100")
    yield
    for name in LAN.there("lb-2", "lb-4"):
        on(name, "systemctl stop taker")


def test_refused() -> None:
    LAN.refused({"lb-1": CERTIFICATE, "lb-2": PORT, "lb-5": DIRECTIVE})


@pytest.mark.thorough
def test_refused_too() -> None:
    LAN.refused({"lb-1": TWICE, "lb-2": NOWHERE, "lb-3": CONNECTIONS, "lb-4": PORT})
