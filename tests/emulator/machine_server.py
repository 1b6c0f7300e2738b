# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server for a machine of the lab: machine_server.py NAME PORT [http STATUS [METHOD] | raw | udp [ANSWER] | flow BYTES SECONDS | web].

Without more it greets with its name and the client's address and then sends back what it receives. With http it
answers any request with the status; with a method after it, only requests of that method, and others with 405. With raw
it tells name, client and port, and in hex what it got first, and then goes on as an echo. With udp it answers each
datagram in the same way, or with ANSWER. With flow it sends so many bytes, evenly over so many seconds. With web it answers
requests with what it saw of them, in JSON; /slow/N after so many seconds, /bytes/N with so many bytes, /long with a long
text, /login with a cookie, /broken with 500, and /only/NAME with 404 where that is not its name.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import cast

NAME, PORT, *OPTIONS = sys.argv[1:]
MODE = OPTIONS[0] if OPTIONS else "echo"


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    client, port = writer.get_extra_info("peername")
    try:
        if MODE == "raw":
            first = await reader.read(65536)
            writer.write(f"{NAME} {client} {port} {first.hex()}\n".encode())
        else:
            writer.write(f"{NAME} {client}\n".encode())
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


async def http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        method = (await reader.readline()).decode().split()[0]
        status = OPTIONS[1] if len(OPTIONS) == 2 or method == OPTIONS[2] else "405"
        writer.write(f"HTTP/1.0 {status} X\r\nContent-Length: 0\r\n\r\n".encode())
        await writer.drain()
    except (OSError, IndexError):
        pass
    finally:
        writer.close()


async def flow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    parts = round(float(OPTIONS[2]) * 20)
    try:
        writer.write(f"{NAME}\n".encode())
        for dummy in range(parts):
            writer.write(b"x" * (int(OPTIONS[1]) // parts))
            await writer.drain()
            await asyncio.sleep(0.05)
    except OSError:
        pass
    finally:
        writer.close()


async def web(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    client = writer.get_extra_info("peername")[0]
    try:
        while line := await reader.readline():
            method, path = line.decode().split()[:2]
            headers = {}
            while (line := await reader.readline()).strip():
                name, dummy, value = line.decode().partition(":")
                headers[name.lower()] = value.strip()
            body = json.dumps({"name": NAME, "client": client, "path": path, "headers": headers}).encode()
            status, more, kind = "200 OK", "", "application/json"
            dummy, what, argument = (*path.split("/"), "")[:3]
            if what == "slow":
                await asyncio.sleep(float(argument))
            elif what == "bytes":
                body, kind = b"x" * int(argument), "application/octet-stream"
            elif what == "long":
                body, kind = b"x" * 5000, "text/plain"
            elif what == "login":
                more = f"Set-Cookie: session={NAME}; Path=/\r\n"
            elif what == "broken":
                status = "500 Broken"
            elif what == "only" and argument != NAME:
                status = "404 Not Found"
            head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n{more}\r\n"
            writer.write(head.encode() + (b"" if method == "HEAD" else body))
            await writer.drain()
    except (OSError, ValueError, IndexError):
        pass
    finally:
        writer.close()


class Datagrams(asyncio.DatagramProtocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str | int, ...]) -> None:
        answer = OPTIONS[1] if len(OPTIONS) == 2 else f"{NAME} {addr[0]} {addr[1]} {data.hex()}"
        self.transport.sendto(answer.encode(), addr)


async def main() -> None:
    if MODE == "udp":
        await asyncio.get_running_loop().create_datagram_endpoint(Datagrams, local_addr=("0.0.0.0", int(PORT)))
        print("ready", flush=True)
        await asyncio.Event().wait()
    handler = {"http": http, "flow": flow, "web": web}.get(MODE, echo)
    server = await asyncio.start_server(handler, "0.0.0.0", int(PORT), backlog=512)
    print("ready", flush=True)
    await server.serve_forever()


asyncio.run(main())
