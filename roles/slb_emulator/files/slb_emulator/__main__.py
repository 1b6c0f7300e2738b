# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""python -m slb_emulator --config FILE [run|start|stop|remove]"""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import socket
import sys
from collections.abc import Callable
from logging.handlers import RotatingFileHandler
from pathlib import Path

from aiohttp import web

from . import process
from .config import Config, load
from .http import application, inside
from .service import Service


async def serve(config: Config, ready: Callable[[], None]) -> None:
    """Answer until a signal or the control interface ends it. The network stays: the next start goes on with it."""
    # The port comes first: whoever has it already is not to meet a second hand in the same network.
    listener = socket.create_server((config.host, config.port))
    service = Service(config, inside=inside)
    end = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end.set)

    def end_soon() -> None:
        loop.call_later(0.05, end.set)  # the answer to the request has to get out first

    app = application(service, end_soon)
    await service.start()
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.SockSite(runner, listener).start()
        print(f"listening on {config.host}:{listener.getsockname()[1]}", flush=True)
        ready()
        await end.wait()
    finally:
        await runner.cleanup()
        await service.stop()


async def remove(config: Config) -> None:
    """Take away what an ended process left behind."""
    await Service(config).remove()


def run(config: Config, ready: Callable[[], None] = process.notify_systemd) -> None:
    logging.basicConfig(
        level=logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
        handlers=[RotatingFileHandler(config.directory / "emulator.log", maxBytes=10 * 2**20, backupCount=1)],
    )
    asyncio.run(serve(config, ready))


def execute(command: str, config: Config, config_file: Path) -> str:
    """What a command did, in a word or two."""
    if command == "start":
        made_of = process.fingerprint(config_file)
        return process.start(config.directory, made_of, lambda ready: run(config, ready))
    if command == "stop":
        return "stopped" if process.stop(config.directory) else "not running"
    process.stop(config.directory)
    asyncio.run(remove(config))
    return "removed"


def main() -> int:
    parser = argparse.ArgumentParser(prog="slb_emulator", description=__doc__)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("command", nargs="?", default="run", choices=["run", "start", "stop", "remove"])
    arguments = parser.parse_args()
    try:
        config = load(arguments.config)
        config.directory.mkdir(mode=0o755, parents=True, exist_ok=True)
        if arguments.command == "run":
            run(config)
        else:
            print(execute(arguments.command, config, arguments.config))
    except (OSError, ValueError, RuntimeError) as error:
        print(f"slb_emulator: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
