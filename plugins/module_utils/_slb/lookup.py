# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From what users know (private addresses, ids, a region's name) to what the cloud knows, and a sentence where it does not."""

from __future__ import annotations

import json
import typing as t

from .client import PAGE_SIZE, Client
from .state import Server


def servers(client: Client, private_ips: t.Iterable[str], ids: t.Iterable[str]) -> tuple[Server, ...]:
    """The ECS instances with one of the private addresses or ids, of every VPC of the region."""
    found: dict[str, Server] = {}
    for key, values in (("PrivateIpAddresses", sorted(set(private_ips))), ("InstanceIds", sorted(set(ids)))):
        for start in range(0, len(values), PAGE_SIZE):
            # without the network type the API does not look at private addresses
            filters = {key: json.dumps(values[start : start + PAGE_SIZE]), "InstanceNetworkType": "vpc"}
            for page in client.token_pages(client.ecs, "DescribeInstances", filters):
                for entry in page["Instances"]["Instance"]:
                    found[entry["InstanceId"]] = _server(entry)
    return tuple(found.values())


def _server(entry: t.Mapping[str, t.Any]) -> Server:
    attributes = entry.get("VpcAttributes") or {}
    return Server(
        id=entry["InstanceId"],
        private_ips=tuple((attributes.get("PrivateIpAddress") or {}).get("IpAddress") or ()),
        vpc_id=attributes.get("VpcId") or None,
        status=str(entry.get("Status")),
    )
