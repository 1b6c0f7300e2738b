# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The balancers of the scenario."""

from __future__ import annotations

import json
import typing as t

from lan import Scenario, on

LAN = Scenario("nginx")
SEEDS = ("seed-1", "seed-2")
CONTAINERS = LAN.there("lb-4", "lb-5")
ALL = LAN.there("lb-1", "lb-3", *CONTAINERS)
RUNTIME = {"engine": "/usr/bin/podman", "name": "clusterfront-nginx", "image": "localhost/balancers:trixie"}
STATUS = "cat /run/clusterfront-nginx/flags/status.json"


def checked(name: str) -> dict[str, t.Any]:
    """What the checks of a balancer say of its servers."""
    found: dict[str, t.Any] = json.loads(on(name, STATUS, check=False) or "{}")
    return found


def well(name: str) -> bool:
    """Whether a balancer finds all servers up, in both upstreams."""
    found = checked(name)
    return len(found) >= 6 and all(server["up"] for server in found.values())
