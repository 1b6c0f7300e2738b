# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the cloud answers inside every VPC: the metadata service and the API."""

from __future__ import annotations

import socket
from collections.abc import Callable, Hashable, Mapping

from aiohttp import web

METADATA = "100.100.100.200"
API = "100.100.0.80"  # the cloud's own names lead into 100.64.0.0/10 inside a VPC, too
ADDRESSES = (METADATA, API)
PORT = 80

Applications = Mapping[str, web.Application]  # by address


class VpcServices:
    """Keeps the services of each VPC running in the namespace that is its router now."""

    def __init__(self, applications: Callable[[str], Applications]) -> None:
        self._applications = applications
        self._running: dict[str, tuple[Hashable, list[web.AppRunner]]] = {}

    async def sync(self, spaces: Mapping[str, Hashable], listen: Callable[[str, str], socket.socket]) -> None:
        """Serve these VPCs and no others; a VPC whose network is another one now gets new sockets."""
        for vpc in [vpc for vpc, (space, dummy) in self._running.items() if spaces.get(vpc) is not space]:
            await self._end(vpc)
        for vpc in [vpc for vpc in spaces if vpc not in self._running]:
            self._running[vpc] = spaces[vpc], []
            try:
                await self._start(vpc, listen)
            except OSError:
                await self._end(vpc)
                raise

    async def _start(self, vpc: str, listen: Callable[[str, str], socket.socket]) -> None:
        for address, app in self._applications(vpc).items():
            runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
            self._running[vpc][1].append(runner)
            await runner.setup()
            await web.SockSite(runner, listen(vpc, address)).start()

    async def _end(self, vpc: str) -> None:
        for runner in self._running.pop(vpc)[1]:
            await runner.cleanup()

    async def stop(self) -> None:
        for vpc in list(self._running):
            await self._end(vpc)
