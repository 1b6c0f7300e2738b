# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The cloud's own view of the backends."""

from __future__ import annotations

import typing as t

from .client import Client


def fetch(client: Client, load_balancer_id: str, port: int | None = None) -> list[dict[str, t.Any]]:
    """One entry for each backend of each listener, in the order of ports and addresses."""
    answer = client.slb("DescribeHealthStatus", {"LoadBalancerId": load_balancer_id, "ListenerPort": port})
    found = [
        {
            "protocol": str(entry.get("Protocol") or "").lower() or None,
            "port": int(entry["ListenerPort"]),
            "server_id": entry["ServerId"],
            "private_ip": entry.get("ServerIp") or None,
            "backend_port": int(entry["Port"]),
            "status": entry["ServerHealthStatus"],
        }
        for entry in answer["BackendServers"]["BackendServer"]
    ]
    return sorted(found, key=lambda entry: (entry["port"], entry["server_id"], entry["backend_port"]))
