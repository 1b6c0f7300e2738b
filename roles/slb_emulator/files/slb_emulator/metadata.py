# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The metadata service of ECS, as a machine of a VPC meets it at 100.100.100.200.

Items, token mode and statuses are those of the page on instance metadata of ECS; the answer to a role's key is what
the official credentials library reads.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from aiohttp import web

from . import network
from .inventory import Inventory, Machine
from .role_keys import RoleKey
from .service import Service

LONGEST_TOKEN = 21600  # seconds
_TTL, _TOKEN = "X-aliyun-ecs-metadata-token-ttl-seconds", "X-aliyun-ecs-metadata-token"
_OWNER = "1000000000000001"
_ROLES = "meta-data/ram/security-credentials"


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def items(inventory: Inventory, machine: Machine, mac: str) -> dict[str, str]:
    """What there is to know about a machine, by path."""
    vpc = inventory.vpc(machine.vpc)
    primary = machine.all_interfaces[0]
    vswitch = next((found for found in vpc.vswitches if found.vswitch_id == machine.vswitch_id), None)
    vswitch_cidr = vswitch.cidr if vswitch is not None else vpc.cidr
    own = {
        "hostname": machine.name,
        "instance-id": machine.instance_id,
        "instance/instance-name": machine.name,
        "mac": mac,
        "network-type": "vpc",
        "owner-account-id": _OWNER,
        "private-ipv4": machine.private_ip,
        "region-id": vpc.region,
        "vpc-cidr-block": vpc.cidr,
        "vpc-id": vpc.vpc_id,
        "vswitch-cidr-block": vswitch_cidr,
        "vswitch-id": machine.vswitch_id,
        "zone-id": inventory.zone(machine),
    }
    interface = {
        "gateway": vpc.gateway,
        "netmask": str(ipaddress.ip_network(vpc.cidr).netmask),
        "network-interface-id": primary.eni_id,
        "primary-ip-address": machine.private_ip,
        "private-ipv4s": json.dumps(primary.addresses),
        "vpc-cidr-block": vpc.cidr,
        "vpc-id": vpc.vpc_id,
        "vswitch-cidr-block": vswitch_cidr,
        "vswitch-id": machine.vswitch_id,
    }
    identity = ("instance-id", "mac", "owner-account-id", "private-ipv4", "region-id", "zone-id")
    found = {
        **{f"meta-data/{name}": text for name, text in own.items()},
        **{f"meta-data/network/interfaces/macs/{mac}/{name}": text for name, text in interface.items()},
        "dynamic/instance-identity/document": json.dumps({name: own[name] for name in identity}),
    }
    if machine.eip:
        found["meta-data/eipv4"] = machine.eip
    return found


def listed(found: Mapping[str, str], path: str) -> str | None:
    """The text of an item, or the names below a path; None where there is nothing."""
    if path in found:
        return found[path]
    start = f"{path}/" if path else ""
    below = (name.removeprefix(start) for name in found if name.startswith(start))
    names = sorted({f"{first}/" if rest else first for first, dummy, rest in (name.partition("/") for name in below)})
    return "\n".join(names) or None


def role_answer(issued: RoleKey) -> str:
    return json.dumps(
        {
            "AccessKeyId": issued.key.access_key_id,
            "AccessKeySecret": issued.key.access_key_secret,
            "Expiration": _time(issued.expires_at),
            "SecurityToken": issued.key.security_token,
            "LastUpdated": _time(issued.issued_at),
            "Code": "Success",
        }
    )


def _refused(status: int, reason: str) -> web.Response:
    text = f"<html><head><title>{status} - {reason}</title></head><body><h1>{status} - {reason}</h1></body></html>\n"
    return web.Response(text=text, status=status, content_type="text/html")


class Metadata:
    """The service in one VPC: who asks is known by the address."""

    def __init__(self, service: Service, vpc: str) -> None:
        self._service = service
        self._vpc = vpc

    def _machine(self, request: web.Request) -> Machine | None:
        machines = self._service.store.state.inventory.machines
        return next(
            (machine for machine in machines if machine.vpc == self._vpc and machine.private_ip == request.remote), None
        )

    async def token(self, request: web.Request) -> web.Response:
        machine, text = self._machine(request), request.headers.get(_TTL, "")
        if machine is None:
            return _refused(404, "Not Found")
        if "X-Forwarded-For" in request.headers:
            return _refused(403, "Forbidden")
        if not text.isdecimal() or not 1 <= int(text) <= LONGEST_TOKEN:
            return _refused(400, "Missing or Invalid Parameters")
        now = self._service.clock()
        return web.Response(text=self._service.role_keys.metadata_token(machine.instance_id, int(text), now))

    async def get(self, request: web.Request) -> web.Response:
        machine = self._machine(request)
        if machine is None:
            return _refused(404, "Not Found")
        service, token = self._service, request.headers.get(_TOKEN)
        if token is None and service.switches["metadata_tokens"] == "required":
            return _refused(403, "Forbidden")
        if token is not None and not service.role_keys.is_metadata_token(token, machine.instance_id, service.clock()):
            return _refused(401, "Unauthorized")
        text = listed(self._items(machine), request.match_info["path"].strip("/"))
        return _refused(404, "Not Found") if text is None else web.Response(text=text)

    def _items(self, machine: Machine) -> dict[str, str]:
        service = self._service
        mac = network.mac_address(service.config.space(machine.name), "eth0")
        found = items(service.store.state.inventory, machine, mac)
        if machine.ram_role:
            lifetime = service.switches.seconds("role_key_seconds")
            issued = service.role_keys.issue(machine.ram_role, machine.instance_id, lifetime, service.clock())
            found[f"{_ROLES}/{machine.ram_role}"] = role_answer(issued)
        return found


def application(service: Service, vpc: str) -> web.Application:
    metadata = Metadata(service, vpc)
    app = web.Application()
    routes: list[Any] = [web.put("/latest/api/token", metadata.token), web.get("/latest{path:(/.*)?}", metadata.get)]
    app.router.add_routes(routes)
    return app
