# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server for a machine of the lab: machine_server.py NAME PORT [http STATUS [METHOD]].

Without more it greets with its name and the client's address and then sends back what it receives. With http it
answers any request with the status; with a method after it, only requests of that method, and others with 405.
"""

from __future__ import annotations

import asyncio
import sys


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    client = writer.get_extra_info("peername")[0]
    try:
        writer.write(f"{sys.argv[1]} {client}\n".encode())
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
        status = sys.argv[4] if len(sys.argv) == 5 or method == sys.argv[5] else "405"
        writer.write(f"HTTP/1.0 {status} X\r\nContent-Length: 0\r\n\r\n".encode())
        await writer.drain()
    except (OSError, IndexError):
        pass
    finally:
        writer.close()


async def main() -> None:
    handler = http if "http" in sys.argv[3:4] else echo
    server = await asyncio.start_server(handler, "0.0.0.0", int(sys.argv[2]), backlog=512)
    print("ready", flush=True)
    await server.serve_forever()


asyncio.run(main())
