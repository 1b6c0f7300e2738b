# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Health checks, as the cloud does them: a TCP connect, an HTTP request or a datagram, from the checker's address."""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Any

from .cloud import Health
from .forwarding import ABNORMAL, NORMAL, UNAVAILABLE, Target

log = logging.getLogger(__name__)

OpenSocket = Callable[[str, socket.SocketKind], Awaitable[socket.socket]]
# An end by RST: what was connected only to see whether it can be needs no farewell.
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


async def probe(target: Target, open_socket: OpenSocket) -> bool:
    """One check; every error is a failed one, for a check that ends in another way would never be made again."""
    try:
        return await asyncio.wait_for(_probe(target, open_socket), target.timeout)
    except asyncio.TimeoutError:
        # Documented: a UDP server is well unless its machine says that the port is unreachable, which is an OSError.
        return target.check == "udp" and not target.expected
    except OSError:
        return False
    except Exception:
        log.exception("the check of %s failed for no reason of its own", target.key)
        return False


async def _probe(target: Target, open_socket: OpenSocket) -> bool:
    if target.check == "udp":
        return await _probe_udp(target, open_socket)
    loop = asyncio.get_running_loop()
    with await open_socket(target.vpc, socket.SOCK_STREAM) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        await loop.sock_connect(connection, (target.address, target.check_port))
        if target.check == "tcp":
            return True
        request = f"{target.method} {target.uri} HTTP/1.0\r\nHost: {target.host}\r\nUser-Agent: SLBHealthCheck\r\n\r\n"
        await loop.sock_sendall(connection, request.encode("ascii"))
        received = b""
        while b"\n" not in received and len(received) < 4096:
            part = await loop.sock_recv(connection, 1024)
            if not part:
                break
            received += part
        return _accepted(received, target.codes)


async def _probe_udp(target: Target, open_socket: OpenSocket) -> bool:
    loop = asyncio.get_running_loop()
    with await open_socket(target.vpc, socket.SOCK_DGRAM) as connection:
        await loop.sock_connect(connection, (target.address, target.check_port))
        with suppress(PermissionError):  # how the system tells that its own rules made a link silent
            connection.send(target.request.encode("ascii"))
        answer = await loop.sock_recv(connection, 2048)
        return target.expected in ("", answer.decode("ascii", "replace"))


def _accepted(received: bytes, codes: str) -> bool:
    """Whether "HTTP/1.0 200 OK" is one of "http_2xx,http_3xx"."""
    words = received.split(b"\r\n", 1)[0].split()
    if len(words) < 2 or not words[0].startswith(b"HTTP/"):
        return False
    return f"http_{words[1][:1].decode('ascii', 'replace')}xx" in codes.split(",")


class Checker:
    """Checks each target in a task of its own and keeps the verdicts."""

    def __init__(
        self, open_socket: OpenSocket | None, verdicts: dict[str, dict[str, Any]], changed: Callable[[], None]
    ) -> None:
        self._open_socket = open_socket  # None: there is no network, and everything counts as healthy
        self._verdicts = verdicts  # a part of the state, so that a restart goes on with it
        self._changed = changed
        self._tasks: dict[str, tuple[Target, asyncio.Task[None]]] = {}
        self._waiting: set[str] = set()

    def use(self, verdicts: dict[str, dict[str, Any]]) -> None:
        """The state was exchanged under us (a reset)."""
        self._verdicts = verdicts

    def health(self, key: str) -> Health:
        if self._open_socket is None:
            return Health(NORMAL, 0.0)
        verdict = self._verdicts.get(key)
        return Health(verdict["state"], verdict["since"]) if verdict else Health(UNAVAILABLE, 0.0)

    @property
    def all_judged(self) -> bool:
        """Whether every target had its first check."""
        return not self._waiting

    def targets(self) -> list[Target]:
        return [target for target, dummy in self._tasks.values()]

    def sync(self, targets: Iterable[Target]) -> None:
        """Check these and no others. A target that stays keeps its verdict, also when its settings changed."""
        if self._open_socket is None:
            return
        wanted = {target.key: target for target in targets}
        for key, (target, task) in list(self._tasks.items()):
            if wanted.get(key) != target:
                task.cancel()
                del self._tasks[key]
        for key in [key for key in self._verdicts if key not in wanted]:
            del self._verdicts[key]
        self._waiting &= set(wanted)
        for key, target in wanted.items():
            if key not in self._tasks:
                if key not in self._verdicts:
                    self._waiting.add(key)
                self._tasks[key] = target, asyncio.create_task(self._watch(target, self._open_socket))

    async def first_results(self, timeout: float) -> None:
        """Wait until nothing is without a verdict, so that a change goes live with its new servers."""
        deadline = time.monotonic() + timeout
        while self._waiting and time.monotonic() < deadline:
            await asyncio.sleep(0.002)

    async def stop(self) -> None:
        tasks = [task for dummy, task in self._tasks.values()]
        self._tasks.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _watch(self, target: Target, open_socket: OpenSocket) -> None:
        first, streak, last = True, 0, False
        while True:
            good = await probe(target, open_socket)
            streak = streak + 1 if good == last and not first else 1
            first, last = False, good
            self._judge(target, good, streak)
            # From the end of one check to the start of the next: the window that the documentation gives for a
            # failure, timeout x threshold + interval x (threshold - 1), follows from it.
            await asyncio.sleep(target.interval)

    def _judge(self, target: Target, good: bool, streak: int) -> None:
        state = NORMAL if good else ABNORMAL
        verdict = self._verdicts.get(target.key)
        threshold = target.healthy_threshold if good else target.unhealthy_threshold
        # The first result counts at once.
        if verdict is None or (verdict["state"] != state and streak >= threshold):
            self._verdicts[target.key] = {"state": state, "since": time.time()}
            self._waiting.discard(target.key)
            self._changed()
