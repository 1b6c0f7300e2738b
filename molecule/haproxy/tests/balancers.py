# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The balancers of the scenario."""

from __future__ import annotations

from lab import haproxy_rows
from lan import Scenario

LAN = Scenario("haproxy")
PAIR = ("lb-1", "lb-2")
CONTAINERS = LAN.containers
ALL = LAN.there(*PAIR, "lb-3", *CONTAINERS)
#: A package, which of the pair may be changed alone, and containers: a plain unit and a quadlet.
KINDS = ("lb-2", *CONTAINERS)
WAITING = {"haproxy_timeout_queue": "11s"}
#: The variables that the tests of changes leave hosts with.
LEFT = dict.fromkeys(PAIR, WAITING)
RUNTIME = {"engine": "/usr/bin/podman", "image": "localhost/balancers:trixie"}


def well(name: str) -> bool:
    """Whether a balancer finds all servers up, in both backends."""
    rows = [row for row in haproxy_rows(name) if row["svname"].startswith("web-")]
    return len(rows) >= 6 and all(row["status"].startswith("UP") for row in rows)
