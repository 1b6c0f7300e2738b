# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The command: the service, one pass of it, and what people ask and tell it."""

# a command of its own, and no module: it prints and has an exit status
# pylint: disable=ansible-bad-function

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import pathlib
import signal
import sys
import threading
import time
import typing as t
import uuid

from .._slb.client import Client
from .._slb.errors import SlbError
from . import config as files
from . import status
from .config import Config
from .engines import Engine, EngineError
from .service import Registrar
from .status import Status

#: Engines tell several events at once; seconds that are waited for the others.
GATHER = 0.2
#: Seconds after which a silent engine is asked for its events again.
AGAIN = 1.0
#: Seconds between two looks of a command that waits.
TICK = 0.2


def log(text: str) -> None:
    """A line for the journal."""
    print(text, flush=True)


def main(arguments: t.Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    options = _parser().parse_args(arguments)
    try:
        config = files.read(options.config)
        if options.command == "status":
            return show(config, options.json)
        if options.command == "drain":
            return drain(config, options.container, options.timeout)
        if options.command == "ready":
            return make_ready(config, options.container)
        if options.command == "leave":
            return once(config, dry_run=options.dry_run, engines=[])
        if options.once:
            return once(config, dry_run=options.dry_run)
        return serve(config)
    except SlbError as error:
        print(f"registrar: {error}.", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="registrar", description="Registers the labelled containers of this host with SLB."
    )
    parser.add_argument("--config", default=files.CONFIG, help="the configuration (default: %(default)s)")
    parser.add_argument(
        "--once", action="store_true", help="compare once, wait until what has to go has drained, and end"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="with --once or leave: show what would be done, and do nothing"
    )
    commands = parser.add_subparsers(dest="command")
    shown = commands.add_parser("status", help="what is registered, and why something is not")
    shown.add_argument("--json", action="store_true", help="as JSON")
    out = commands.add_parser("drain", help="take a container out of service, and wait until it may be stopped")
    out.add_argument("container")
    out.add_argument("--timeout", type=float, default=120.0, help="seconds to wait for (default: %(default)s)")
    back = commands.add_parser("ready", help="take a container that was drained into service again")
    back.add_argument("container")
    leaving = commands.add_parser("leave", help="take out all entries of this host; stop the service first")
    leaving.add_argument("--dry-run", action="store_true", help=argparse.SUPPRESS)
    return parser


def made(config: Config, engines: t.Sequence[Engine], *, dry_run: bool = False) -> Registrar:
    """A registrar with the world's clock. Raises CredentialsMissing and SdkMissing."""
    client = Client(config.settings)
    return Registrar(
        config.rules,
        client,
        engines,
        token=lambda: str(uuid.uuid4()),
        log=log,
        drained=lambda: drained(config),
        forget=lambda name: (config.drained / name).unlink(missing_ok=True),
        remembered=remembered(config),
        dry_run=dry_run,
    )


def engines_of(config: Config) -> list[Engine]:
    return [Engine(name, path) for name, path in sorted(config.engines.items())]


def drained(config: Config) -> frozenset[str]:
    """The containers that somebody took out of service."""
    return frozenset(os.listdir(config.drained)) if config.drained.is_dir() else frozenset()


def remembered(config: Config) -> tuple[str, ...]:
    """The instances that the registrar knew in its earlier life. Losing them is no harm: the cloud is asked too."""
    with contextlib.suppress(OSError, ValueError, KeyError):
        return tuple(json.loads(config.status.read_text(encoding="utf-8"))["load_balancers"])
    return ()


def tell(config: Config, found: Status) -> None:
    """Write the status and the metrics."""
    plain = dataclasses.replace(found, pid=os.getpid()).to_plain()
    files.write(config.status, json.dumps(plain, indent=1) + "\n")
    if config.metrics is not None:
        files.write(config.metrics, status.metrics(plain))


def serve(config: Config) -> int:
    """Keep in step until SIGTERM. SIGHUP, and every event of a container, is a reason to look."""
    wake, end = threading.Event(), threading.Event()

    def ended(*dummy: t.Any) -> None:
        end.set()
        wake.set()

    signal.signal(signal.SIGTERM, ended)
    signal.signal(signal.SIGINT, ended)
    signal.signal(signal.SIGHUP, lambda *dummy: wake.set())
    engines = engines_of(config)
    for engine in engines:
        threading.Thread(target=watch, args=(engine, wake, end), daemon=True).start()
    registrar = _made_at_last(config, engines, end)
    while registrar is not None and not end.is_set():
        wake.clear()
        tell(config, registrar.run_pass())
        if wake.wait(max(0.0, registrar.due - registrar.client.clock())):
            end.wait(GATHER)
    return 0


def _made_at_last(config: Config, engines: t.Sequence[Engine], end: threading.Event) -> Registrar | None:
    """A registrar as soon as there are credentials: an instance's role may come after the instance."""
    said = ""
    while not end.is_set():
        try:
            return made(config, engines)
        except SlbError as error:
            if str(error) != said:
                log(f"problem: {error}")
            said = str(error)
            end.wait(config.rules.interval / 4)
    return None


def watch(engine: Engine, wake: threading.Event, end: threading.Event) -> None:
    """Wake the service whenever an engine has news, for as long as it lives."""
    while not end.is_set():
        with contextlib.suppress(EngineError):
            engine.watch(wake.set)
        # what happened meanwhile was not told
        wake.set()
        end.wait(AGAIN)


def once(config: Config, *, dry_run: bool, engines: t.Sequence[Engine] | None = None) -> int:
    """One pass, and more until what has to go has gone. The exit status tells whether all is well."""
    registrar = made(config, engines_of(config) if engines is None else engines, dry_run=dry_run)
    found = registrar.run_pass()
    while registrar.draining and not dry_run:
        time.sleep(max(TICK, registrar.due - registrar.client.clock()))
        found = registrar.run_pass()
    plain = found.to_plain()
    print("\n".join(status.lines(plain, time.time())))
    return 1 if plain["problems"] or any(plain["engines"].values()) else 0


def read_status(config: Config) -> dict[str, t.Any]:
    """The status that the service wrote last. Raises SlbError."""
    try:
        told: dict[str, t.Any] = json.loads(config.status.read_text(encoding="utf-8"))
        return told
    except (OSError, ValueError):
        raise SlbError(
            f"the service has written no status to {config.status} yet; start clusterfront-registrar.service"
        ) from None


def show(config: Config, as_json: bool) -> int:
    """Print the status. The exit status is 1 where something is wrong, or the service has not looked for three intervals."""
    plain = read_status(config)
    late = time.time() - plain["time"] > 3 * config.rules.interval + config.settings.timeout
    print(json.dumps(plain, indent=1) if as_json else "\n".join(status.lines(plain, time.time())))
    if late:
        print(
            "registrar: the service has not looked for a long time; is clusterfront-registrar.service running?",
            file=sys.stderr,
        )
    return 1 if late or plain["problems"] or any(plain["engines"].values()) else 0


def _wake(plain: t.Mapping[str, t.Any]) -> None:
    try:
        os.kill(int(plain["pid"]), signal.SIGHUP)
    except (OSError, TypeError):
        raise SlbError("the service does not run; start clusterfront-registrar.service") from None


def _entries(plain: t.Mapping[str, t.Any], container: str) -> list[dict[str, t.Any]]:
    return [entry for entry in plain["entries"] if container in entry["containers"]]


def drain(config: Config, container: str, timeout: float) -> int:
    """Take a container out, and wait until its entries had weight 0 for the drain time."""
    plain = read_status(config)
    if "/" in container or not _entries(plain, container):
        raise SlbError(f"container '{container}' has no entry; registrar status shows those that have")
    config.drained.mkdir(exist_ok=True)
    (config.drained / container).touch()
    _wake(plain)
    began = time.monotonic()
    out_since: float | None = None
    while time.monotonic() < began + timeout + config.rules.drain_time:
        entries = _entries(read_status(config), container)
        # an entry without a port may be another container's, too
        if all(entry["weight"] in (0, None) or len(entry["containers"]) > 1 for entry in entries):
            out_since = out_since or time.monotonic()
            if time.monotonic() >= out_since + config.rules.drain_time:
                print(f"{container} is out of service; stop it now, or take it back by: registrar ready {container}")
                return 0
        elif time.monotonic() > began + timeout:
            break
        else:
            out_since = None
        time.sleep(TICK)
    raise SlbError(f"container '{container}' still gets clients after {timeout:g} seconds; registrar status says why")


def make_ready(config: Config, container: str) -> int:
    """Take a container back into service."""
    path = config.drained / pathlib.PurePath(container).name
    if not path.exists():
        raise SlbError(f"container '{container}' was not drained")
    path.unlink()
    _wake(read_status(config))
    return 0


if __name__ == "__main__":
    sys.exit(main())
