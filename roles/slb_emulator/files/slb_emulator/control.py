# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The control interface under /_emu/, for who runs the sandbox. It is no part of the cloud."""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from . import __version__, faults, inventory, regions
from .service import Service

log = logging.getLogger(__name__)

Shutdown = Callable[[], None]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def _loopback_only(request: web.Request, handler: Handler) -> web.StreamResponse:
    if request.path.startswith("/_emu/") and not ipaddress.ip_address(request.remote or "0.0.0.0").is_loopback:
        return web.json_response({"error": "the control interface answers only on loopback"}, status=403)
    try:
        return await handler(request)
    except ValueError as error:  # also what a body that is no JSON raises
        if not request.path.startswith("/_emu/"):
            raise
        return web.json_response({"error": str(error)}, status=400)
    except OSError as error:  # the network could not be made
        log.exception("%s %s failed", request.method, request.path)
        return web.json_response({"error": str(error)}, status=500)


async def _body(request: web.Request) -> dict[str, Any]:
    given = await request.json() if request.can_read_body else {}
    if not isinstance(given, dict):
        raise ValueError("the body must be a JSON object")
    return given


def _up(body: dict[str, Any]) -> bool:
    up = body.get("up")
    if not isinstance(up, bool):
        raise ValueError("up must be true or false")
    return up


class Control:
    def __init__(self, service: Service, shutdown: Shutdown) -> None:
        self._service = service
        self._shutdown = shutdown

    async def status(self, request: web.Request) -> web.Response:
        service = self._service
        return web.json_response(
            {
                "ready": True,
                "data_plane": service.config.data_plane,
                "applied": service.applied,
                "error": service.error,
                "version": __version__,
                "sandbox": service.config.sandbox,
            }
        )

    async def get_inventory(self, request: web.Request) -> web.Response:
        return web.json_response(self._service.store.state.inventory.plain())

    async def put_inventory(self, request: web.Request) -> web.Response:
        changed = await self._service.set_inventory(inventory.parse(await _body(request)))
        return web.json_response({"changed": changed})

    async def get_requests(self, request: web.Request) -> web.Response:
        requests = self._service.requests
        return web.json_response(
            {"counts": dict(requests.counts), "writes": requests.writes, "log": list(requests.entries)}
        )

    async def delete_requests(self, request: web.Request) -> web.Response:
        self._service.requests.clear()
        return web.json_response({})

    async def get_switches(self, request: web.Request) -> web.Response:
        return web.json_response(self._service.switches.describe())

    async def put_switches(self, request: web.Request) -> web.Response:
        return web.json_response({"changed": self._service.set_switches(await _body(request))})

    async def get_quotas(self, request: web.Request) -> web.Response:
        return web.json_response(self._service.quotas.describe())

    async def put_quotas(self, request: web.Request) -> web.Response:
        return web.json_response({"changed": self._service.set_quotas(await _body(request))})

    async def get_faults(self, request: web.Request) -> web.Response:
        return web.json_response({"faults": self._service.faults.plain()})

    async def put_faults(self, request: web.Request) -> web.Response:
        self._service.faults.set(faults.parse((await _body(request)).get("faults", [])))
        return web.json_response({})

    async def put_link(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        up = _up(await _body(request))
        if self._service.store.state.inventory.machine(name) is None:
            return web.json_response({"error": f"there is no machine {name}"}, status=404)
        return web.json_response({"changed": await self._service.set_link(name, up)})

    async def get_zones(self, request: web.Request) -> web.Response:
        service = self._service
        return web.json_response({"down": service.store.state.zones_down, "serving": service.serving_zones()})

    async def put_zone(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if not any(name in regions.zones(region) for region in regions.REGIONS):
            return web.json_response({"error": f"there is no zone {name}"}, status=404)
        return web.json_response({"changed": await self._service.set_zone(name, _up(await _body(request)))})

    async def reset(self, request: web.Request) -> web.Response:
        self._service.reset()
        await self._service.wait(10)
        return web.json_response({})

    async def wait(self, request: web.Request) -> web.Response:
        applied = await self._service.wait(float((await _body(request)).get("timeout", 10)))
        return web.json_response({"applied": applied}, status=200 if applied else 504)

    async def health(self, request: web.Request) -> web.Response:
        checker = self._service.checker
        verdicts = [(target, checker.health(target.key)) for target in checker.targets()]
        return web.json_response(
            [
                {
                    "load_balancer": target.load_balancer,
                    "port": target.listener_port,
                    "protocol": target.protocol,
                    "server_id": target.server_id,
                    "backend_port": target.backend_port,
                    "state": verdict.state,
                    "since": verdict.since,
                }
                for target, verdict in verdicts
            ]
        )

    async def shutdown(self, request: web.Request) -> web.Response:
        remove = bool((await _body(request)).get("remove", False))
        if remove:
            # Done before the answer, so that the caller knows that nothing is left.
            await self._service.remove()
        self._shutdown()
        return web.json_response({})


def add_routes(app: web.Application, service: Service, shutdown: Shutdown) -> None:
    control = Control(service, shutdown)
    app.middlewares.append(_loopback_only)
    app.router.add_routes(
        [
            web.get("/_emu/status", control.status),
            web.get("/_emu/inventory", control.get_inventory),
            web.put("/_emu/inventory", control.put_inventory),
            web.get("/_emu/requests", control.get_requests),
            web.delete("/_emu/requests", control.delete_requests),
            web.get("/_emu/switches", control.get_switches),
            web.put("/_emu/switches", control.put_switches),
            web.get("/_emu/quotas", control.get_quotas),
            web.put("/_emu/quotas", control.put_quotas),
            web.get("/_emu/faults", control.get_faults),
            web.put("/_emu/faults", control.put_faults),
            web.put("/_emu/machines/{name}/link", control.put_link),
            web.get("/_emu/zones", control.get_zones),
            web.put("/_emu/zones/{name}", control.put_zone),
            web.post("/_emu/reset", control.reset),
            web.post("/_emu/wait", control.wait),
            web.get("/_emu/health", control.health),
            web.post("/_emu/shutdown", control.shutdown),
        ]
    )
