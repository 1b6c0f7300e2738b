# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What rules can't do: put a PROXY header before the data, and lead from IPv6 clients to IPv4 servers.

One thread for each VPC, which lives in the router's namespace. It listens on the address of the instance itself, and
opens the onward connection from the client's own address, so that servers see the client; rules and a route of the
namespace bring the answers back to it. An IPv6 client has no such address: it gets one of 100.64.0.0/10, always the
same, so that hashes and persistence still tell clients apart.
"""

from __future__ import annotations

import asyncio
import bisect
import errno
import hashlib
import ipaddress
import itertools
import logging
import socket
import struct
import threading
import time
import zlib
from collections.abc import Collection
from contextlib import suppress

from .. import network
from ..forwarding import Forward
from .ruleset import RELAY_MARK, Server, turn

log = logging.getLogger(__name__)

CONNECT_TIMEOUT = 5.0  # seconds
STAND_INS = ipaddress.IPv4Network("100.112.0.0/12")  # a part of the cloud's own 100.64.0.0/10
_IP_TRANSPARENT = 19  # linux/in.h; the socket module has no name for it before Python 3.13
_SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"  # of PROXY protocol version 2
_TAKEN = (errno.EADDRINUSE, errno.EADDRNOTAVAIL)
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)

Address = tuple[str, int]


def header(protocol: str, source: Address, destination: Address) -> bytes:
    """The PROXY header, version 2: who called, and whom. haproxy.org, proxy-protocol.txt, 2.2."""
    addresses = [ipaddress.ip_address(place[0]) for place in (source, destination)]
    family = 0x20 if addresses[0].version == 6 else 0x10
    body = b"".join(address.packed for address in addresses) + struct.pack("!HH", source[1], destination[1])
    return _SIGNATURE + struct.pack("!BBH", 0x21, family | (1 if protocol == "tcp" else 2), len(body)) + body


def seen_from(client: str) -> str:
    """The address from which servers are called for a client."""
    if ":" not in client:
        return client
    digest = hashlib.sha256(ipaddress.ip_address(client).packed).digest()
    return str(STAND_INS[int.from_bytes(digest[:4], "big") % STAND_INS.num_addresses])


def connection_id(data: bytes) -> bytes:
    """The first eight bytes of a QUIC packet's connection ID, long header or short."""
    return data[6:14] if data[:1] >= b"\x80" else data[1:9]


class Picker:
    """The choice of a server, as the rules of other listeners make it."""

    def __init__(self) -> None:
        self._count = itertools.count()
        self._stuck: dict[str, tuple[Server, float]] = {}
        self._forward: Forward | None = None
        self._servers: list[Server] = []
        self._ends: list[int] = []

    def _use(self, forward: Forward) -> None:
        self._forward = forward
        runs = turn(forward.members, forward.scheduler == "rr") if forward.members else []
        self._servers = [run.server for run in runs]
        self._ends = list(itertools.accumulate(run.length for run in runs))

    def pick(self, forward: Forward, client: Address, data: bytes = b"") -> Server | None:
        if forward is not self._forward:
            self._use(forward)
        if not self._servers:
            return None
        now = time.monotonic()
        server, until = self._stuck.get(client[0], (None, 0.0))
        if server not in self._servers or until < now:
            place = self._place(forward.scheduler, client, data) % self._ends[-1]
            server = self._servers[bisect.bisect_right(self._ends, place)]
        if forward.persistence:
            self._stuck[client[0]] = server, now + forward.persistence
        return server

    def _place(self, scheduler: str, client: Address, data: bytes) -> int:
        if scheduler == "sch":
            return zlib.crc32(client[0].encode())
        if scheduler == "tch":
            return zlib.crc32(f"{client[0]} {client[1]}".encode())
        if scheduler == "qch":
            return zlib.crc32(connection_id(data))
        return next(self._count)


def _onward(kind: socket.SocketKind, client: Address, port: int) -> socket.socket:
    """A socket that calls from the client's address."""
    made = socket.socket(socket.AF_INET, kind)
    try:
        made.setblocking(False)
        made.setsockopt(socket.SOL_IP, _IP_TRANSPARENT, 1)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, RELAY_MARK)
        made.bind((seen_from(client[0]), port))
    except OSError:
        made.close()
        raise
    return made


class _Listener:
    """One listener; its forward changes under it, what is connected stays."""

    def __init__(self, forward: Forward) -> None:
        self.forward = forward
        self.picker = Picker()

    def update(self, forward: Forward) -> None:
        if forward != self.forward:
            self.forward = forward
            self.cut(forward.cut)

    @property
    def here(self) -> Address:
        return self.forward.address, self.forward.port

    async def start(self) -> None:
        raise NotImplementedError

    def stop(self) -> None:
        raise NotImplementedError

    def cut(self, servers: Collection[Server]) -> None:
        raise NotImplementedError


class _Pipes:
    """Both directions of one connection."""

    def __init__(self, *writers: asyncio.StreamWriter) -> None:
        self._writers = writers
        self.last = time.monotonic()

    def abort(self) -> None:
        for writer in self._writers:
            made = writer.get_extra_info("socket")
            with suppress(OSError):
                made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            writer.transport.abort()

    async def copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            self.last = time.monotonic()
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()


class _TcpListener(_Listener):
    def __init__(self, forward: Forward) -> None:
        super().__init__(forward)
        self._server: asyncio.Server | None = None
        self._open: dict[_Pipes, Server] = {}

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, *self.here, backlog=512)

    def stop(self) -> None:
        if self._server is not None:
            self._server.close()

    def cut(self, servers: Collection[Server]) -> None:
        for pipes, server in list(self._open.items()):
            if server in servers:
                pipes.abort()

    async def _connect(self, client: Address, server: Server) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        try:
            return await self._connect_from(client, client[1], server)
        except OSError as error:
            if error.errno not in _TAKEN:
                raise
        return await self._connect_from(client, 0, server)

    @staticmethod
    async def _connect_from(
        client: Address, port: int, server: Server
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        made = _onward(socket.SOCK_STREAM, client, port)
        try:
            await asyncio.wait_for(asyncio.get_running_loop().sock_connect(made, server), CONNECT_TIMEOUT)
            return await asyncio.open_connection(sock=made)
        except BaseException:
            made.close()
            raise

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = writer.get_extra_info("peername")[:2]
        pipes = _Pipes(writer)
        try:
            server = self.picker.pick(self.forward, client)
            if server is None:
                raise ConnectionRefusedError
            onward = await self._connect(client, server)
        except (OSError, asyncio.TimeoutError):
            pipes.abort()
            return
        if self.forward.proxy_protocol:
            onward[1].write(header("tcp", client, self.here))
        pipes = _Pipes(writer, onward[1])
        self._open[pipes] = server
        try:
            await self._copy(pipes, (reader, onward[1]), (onward[0], writer))
        finally:
            del self._open[pipes]

    async def _copy(self, pipes: _Pipes, *ways: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> None:
        both = asyncio.gather(*(pipes.copy(*way) for way in ways))
        try:
            while not both.done():
                left = pipes.last + self.forward.idle - time.monotonic() if self.forward.idle else None
                if left is not None and left <= 0:
                    raise TimeoutError
                await asyncio.wait([both], timeout=left)
            both.result()
        except (OSError, asyncio.CancelledError):
            both.cancel()
            pipes.abort()
        else:
            for dummy, writer in ways:
                writer.close()


class _Session:
    """What one UDP client says, and what its server answers."""

    def __init__(self, made: socket.socket, server: Server) -> None:
        self.socket = made
        self.server = server
        self.last = time.monotonic()
        self.begun = False


class _UdpListener(_Listener, asyncio.DatagramProtocol):
    def __init__(self, forward: Forward) -> None:
        super().__init__(forward)
        self._transport: asyncio.DatagramTransport | None = None
        self._sessions: dict[Address, _Session] = {}

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._transport, dummy = await loop.create_datagram_endpoint(lambda: self, local_addr=self.here)

    def stop(self) -> None:
        for client in list(self._sessions):
            self._end(client)
        if self._transport is not None:
            self._transport.close()

    def cut(self, servers: Collection[Server]) -> None:
        for client, session in list(self._sessions.items()):
            if session.server in servers:
                self._end(client)

    def datagram_received(self, data: bytes, addr: tuple[str | int, ...]) -> None:
        client = str(addr[0]), int(addr[1])
        try:
            session = self._sessions.get(client) or self._begin(client, data)
            forward = self.forward
            if forward.proxy_protocol == "every" or (forward.proxy_protocol and not session.begun):
                data = header("udp", client, self.here) + data
            session.begun = True
            session.last = time.monotonic()
            session.socket.send(data)
        except OSError:
            pass  # a datagram may be lost, and a port that is closed says so later

    def _begin(self, client: Address, data: bytes) -> _Session:
        server = self.picker.pick(self.forward, client, data)
        if server is None:
            raise ConnectionRefusedError
        try:
            made = _onward(socket.SOCK_DGRAM, client, client[1])
        except OSError:
            made = _onward(socket.SOCK_DGRAM, client, 0)
        made.connect(server)
        session = self._sessions[client] = _Session(made, server)
        loop = asyncio.get_running_loop()
        loop.add_reader(made, self._answer, client, session)
        self._expire(client, session)
        return session

    def _answer(self, client: Address, session: _Session) -> None:
        with suppress(OSError):
            data = session.socket.recv(65535)
            session.last = time.monotonic()
            if self._transport is not None:
                self._transport.sendto(data, client)

    def _expire(self, client: Address, session: _Session) -> None:
        if self._sessions.get(client) is not session or not self.forward.idle:
            return
        left = session.last + self.forward.idle - time.monotonic()
        if left <= 0:
            self._end(client)
        else:
            asyncio.get_running_loop().call_later(left, self._expire, client, session)

    def _end(self, client: Address) -> None:
        session = self._sessions.pop(client)
        asyncio.get_running_loop().remove_reader(session.socket)
        session.socket.close()


class Relay:
    """All relayed listeners of one VPC."""

    def __init__(self, namespace: str) -> None:
        self._listeners: dict[tuple[str, str, int], _Listener] = {}
        self._loop = asyncio.new_event_loop()
        entered: list[OSError] = []
        ready = threading.Event()

        def run() -> None:
            try:
                network.enter(namespace)
            except OSError as error:
                entered.append(error)
                return
            finally:
                ready.set()
            self._loop.run_forever()
            self._loop.close()

        # A daemon: the end of the process waits for nobody's connection.
        self._thread = threading.Thread(target=run, name=f"relay-{namespace}", daemon=True)
        self._thread.start()
        ready.wait()
        if entered:
            raise entered[0]

    def serve(self, forwards: Collection[Forward]) -> None:
        """Exactly these; OSError where one of them can't listen."""
        asyncio.run_coroutine_threadsafe(self._serve(forwards), self._loop).result()

    async def _serve(self, forwards: Collection[Forward]) -> None:
        wanted = {(forward.protocol, forward.address, forward.port): forward for forward in forwards}
        for key in [key for key in self._listeners if key not in wanted]:
            self._listeners.pop(key).stop()
        for key, forward in wanted.items():
            if key in self._listeners:
                self._listeners[key].update(forward)
            else:
                made = _TcpListener(forward) if forward.protocol == "tcp" else _UdpListener(forward)
                await made.start()
                self._listeners[key] = made

    def close(self) -> None:
        self.serve(())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
