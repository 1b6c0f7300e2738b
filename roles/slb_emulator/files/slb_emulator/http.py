# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The API over HTTP, as the official SDK speaks it."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web

from . import control, metadata
from .cloud import Call
from .errors import ApiError, missing
from .faults import Fault, cut
from .operations import find
from .operations.registry import Operation, is_write
from .parameters import Parameters
from .regions import REGIONS
from .service import Service
from .tables import ECS, SLB, Table, answer_table, deviations, request_table
from .vpc_services import API, METADATA, Applications

log = logging.getLogger(__name__)

Pairs = Sequence[tuple[str, str]]
# Parameters of the older signature, which are nobody's business in a log.
_NOT_LOGGED = (
    "PrivateKey",
    "AccessKeyId",
    "Action",
    "Format",
    "SecurityToken",
    "Signature",
    "SignatureMethod",
    "SignatureNonce",
    "SignatureVersion",
    "Timestamp",
    "Version",
)
_LARGEST = 4 * 2**20  # bytes of a request
_HOSTS = {SLB: "slb.aliyuncs.com", ECS: "ecs.aliyuncs.com"}


def _operation(version: str, action: str) -> tuple[Operation, Table]:
    """An operation that is not built here answers like one that does not exist: never with a false success."""
    if version not in _HOSTS:
        raise ApiError("InvalidVersion")
    found, table = find(version, action), request_table(version, action)
    if found is None or table is None:
        raise ApiError("InvalidApi.NotFound")
    return found, table


def _region(operation: Operation, wire: Mapping[str, str]) -> str:
    region = wire.get("RegionId", "")
    if not operation.regional:
        return region
    if not region:
        raise missing("RegionId")
    if region not in REGIONS:
        raise ApiError("InvalidRegionId.NotFound")
    return region


def execute(
    service: Service, version: str, action: str, wire: Mapping[str, str], fault: Fault | None = None
) -> dict[str, Any]:
    """One call, already authenticated. Of a fault it knows what changes the call's work, not what hides its answer."""
    operation, table = _operation(version, action)
    region = _region(operation, wire)
    fields = answer_table(version, action)
    part = cut(wire, fault.partial) if fault is not None and fault.partial else wire
    call = Call(action, region, Parameters(part, table), fields or {})
    service.settle()
    cloud = service.seen_late(fault) if fault is not None and fault.stale else service.cloud
    answer = operation.handler(cloud, call)
    if operation.writes:
        service.written()
    wrong = deviations(answer, fields) if fields is not None else []
    if wrong:
        raise RuntimeError(f"the answer of {action} is not what the SDK expects: {'; '.join(wrong)}")
    return answer


def _error(error: ApiError, version: str, request_id: str) -> web.Response:
    return web.json_response(
        {
            "RequestId": request_id,
            "HostId": _HOSTS.get(version, _HOSTS[SLB]),
            "Code": error.code,
            "Message": error.message,
            "Recommend": f"https://error-center.aliyun.com/status/search?Keyword={error.code}&source=PopGw",
        },
        status=error.status,
        headers={"x-acs-request-id": request_id},
    )


def _faulty(fault: Fault, request: web.Request, entry: dict[str, Any], version: str) -> web.Response:
    """What a fault lets the caller see, and what the log says of it."""
    entry.update({"status": fault.status, "code": fault.code or "fault"})
    if fault.drop:
        entry["status"] = 0
        if request.transport is not None:
            request.transport.abort()
        return web.Response()
    if fault.body:
        return web.Response(text=fault.body, status=fault.status, content_type="text/html")
    response = _error(ApiError(fault.code, fault.message, fault.status), version, entry["request_id"])
    if fault.retry_after:
        response.headers["x-acs-retry-after"] = str(fault.retry_after)
    return response


class Api:
    def __init__(self, service: Service) -> None:
        self._service = service

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.read()
        path, dummy, query_text = request.raw_path.partition("?")
        query = parse_qsl(query_text, keep_blank_values=True)
        form: Pairs = []
        if request.content_type == "application/x-www-form-urlencoded":
            form = parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True)
        wire = dict([*query, *form])
        action = request.headers.get("x-acs-action") or wire.get("Action", "")
        version = request.headers.get("x-acs-version") or wire.get("Version", "")
        request_id = str(uuid.uuid4()).upper()
        entry: dict[str, Any] = {
            "action": action,
            "version": version,
            "status": 200,
            "code": "",
            "request_id": request_id,
            "parameters": {name: value for name, value in wire.items() if name not in _NOT_LOGGED},
        }
        try:
            if request.method not in ("GET", "POST"):
                raise ApiError("UnsupportedHTTPMethod")
            if self._service.config.verify_signatures:
                headers = {name.lower(): value for name, value in request.headers.items()}
                self._service.verifier.verify(request.method, path, query, form, headers, body, self._service.clock())
            fault = self._service.faults.take(action, wire)
            if fault is not None:
                await asyncio.sleep(fault.delay)
            if fault is not None and fault.answers and not fault.takes_effect:
                return _faulty(fault, request, entry, version)
            answer = execute(self._service, version, action, wire, fault)
            if fault is not None and fault.answers:
                return _faulty(fault, request, entry, version)
            return web.json_response({"RequestId": request_id, **answer}, headers={"x-acs-request-id": request_id})
        except ApiError as error:
            entry.update({"status": error.status, "code": error.code})
            return _error(error, version, request_id)
        except Exception:
            log.exception("%s failed (request %s)", action, request_id)
            entry.update({"status": 500, "code": "InternalError"})
            return _error(ApiError("InternalError"), version, request_id)
        finally:
            log.info("%s %s %s", action, entry["status"], entry["code"])
            self._service.requests.add(entry, bool(action) and is_write(action))


def inside(service: Service, vpc: str) -> Applications:
    """What answers in a VPC. The control interface does not."""
    api = web.Application(client_max_size=_LARGEST)
    api.router.add_route("*", "/", Api(service).handle)
    return {API: api, METADATA: metadata.application(service, vpc)}


def application(service: Service, shutdown: control.Shutdown) -> web.Application:
    app = web.Application(client_max_size=_LARGEST)
    control.add_routes(app, service, shutdown)
    app.router.add_route("*", "/", Api(service).handle)
    return app
