# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Look whether servers answer, and keep files that say which listens can serve.

nginx without a subscription checks no servers by itself. This program does, as a service: it reads what to check from the
live release, and which servers are out of service from the state file. nginx's health port looks at the files that it keeps:
`ready` while every listen that counts has a server that takes clients, and `ready.<listen>` for each. A module uses the same
functions to look once. Nothing but the host's Python is needed.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import socket
import ssl
import threading
import time
import typing as t

FLAGS = "flags"
STATUS = "status.json"
UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
Check = t.Dict[str, t.Any]


def seconds(text: str) -> float:
    """A time as a configuration has it."""
    match = re.fullmatch(r"(\d+)(ms|s|m|h|d)", text)
    return int(match.group(1)) * UNITS[match.group(2)] if match else 2.0


def accepted(status: int, wanted: str) -> bool:
    """Whether a status is one of 200,401 or of 200-399."""
    ranges = [part.partition("-") for part in wanted.split(",")]
    return any(int(first) <= status <= int(last or first) for first, dummy, last in ranges)


def request(check: Check) -> bytes:
    version = "1.1" if check["host"] else "1.0"
    name = f"Host: {check['host']}\r\n" if check["host"] else ""
    return f"{check['method']} {check['path']} HTTP/{version}\r\n{name}Connection: close\r\n\r\n".encode()


def wrapped(connection: socket.socket, check: Check) -> socket.socket:
    """TLS, verified where there is a CA."""
    context = ssl.create_default_context(cafile=check["ca"] or None)
    if not check["ca"]:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context.wrap_socket(connection, server_hostname=check["server_name"] or None)


def problem(check: Check) -> str | None:
    """None where a server answers as it has to, else what it does."""
    try:
        with socket.create_connection((check["address"], check["port"]), timeout=seconds(check["timeout"])) as raw:
            if check["proxy"]:
                raw.sendall(b"PROXY UNKNOWN\r\n")
            if check["type"] == "tcp":
                return None
            connection = wrapped(raw, check) if check["type"] == "https" else raw
            connection.sendall(request(check))
            words = connection.recv(64).split(b" ")
    except (OSError, ValueError) as error:
        return str(error) or type(error).__name__
    status = words[1][:3] if len(words) > 1 else b""
    if not status.isdigit():
        return "no answer of HTTP"
    return None if accepted(int(status), check["status"]) else f"status {status.decode()}"


def read_checks(text: str) -> dict[str, Check]:
    """What to check, by pool/server."""
    return {
        f"{pool['pool']}/{server['name']}": {**pool["check"], **server}
        for pool in json.loads(text)
        for server in pool["servers"]
    }


def look(text: str) -> dict[str, tuple[bool, str]]:
    """Check every server once, all at the same time: whether it is up, and why not."""
    found: dict[str, tuple[bool, str]] = {}

    def ask(name: str, check: Check) -> None:
        reason = problem(check)
        found[name] = (reason is None, reason or "")

    asked = [
        threading.Thread(target=ask, args=(name, check))
        for name, check in read_checks(text).items()
        if check["type"] != "none"
    ]
    for one in asked:
        one.start()
    for one in asked:
        one.join()
    return found


class Health:
    """What is known of a server: None until it was checked."""

    def __init__(self, check: Check) -> None:
        self.up: bool | None = True if check["type"] == "none" else None
        self.reason = ""
        self.row = 0  # checks in a row that say otherwise

    def learn(self, reason: str | None, check: Check) -> None:
        """Take a result; the first one decides, others have to come as often as fall or rise says."""
        if self.up is None or (reason is None) == self.up:
            self.up, self.row = reason is None, 0
        else:
            self.row += 1
            if self.row >= (check["fall"] if self.up else check["rise"]):
                self.up, self.row = not self.up, 0
        self.reason = reason or ""

    def pause(self, check: Check) -> float:
        key = "fast_interval" if self.row else "interval" if self.up else "down_interval"
        return seconds(check[key])


class Watch(threading.Thread):
    """Checks one server until it is told to end."""

    def __init__(self, check: Check, changed: t.Callable[[], None]) -> None:
        super().__init__(daemon=True)
        self.check, self.changed = check, changed
        self.health = Health(check)
        self.end = threading.Event()

    def run(self) -> None:
        while not self.end.is_set() and self.check["type"] != "none":
            self.health.learn(problem(self.check), self.check)
            self.changed()
            self.end.wait(self.health.pause(self.check))


def serves(
    pool: t.Mapping[str, t.Any], health: t.Mapping[str, bool | None], states: t.Mapping[str, t.Any]
) -> bool | None:
    """Whether a pool has a server that takes clients; None while that is not known yet."""
    names = [f"{pool['pool']}/{server['name']}" for server in pool["servers"] if server["takes"]]
    meant = [
        name
        for name in names
        if states.get(name, {}).get("state", "ready") == "ready" and states.get(name, {}).get("weight") != 0
    ]
    if any(health.get(name) for name in meant):
        return True
    return None if any(health.get(name) is None for name in meant) else False


class Keeper:
    """Keeps the watches and the files in step with the live release."""

    def __init__(self, directory: str, flags: str) -> None:
        self.directory, self.flags = directory, flags
        self.text = "[]"
        self.states: dict[str, t.Any] = {}
        self.watches: dict[str, Watch] = {}
        self.ready: dict[str, bool] = {}
        self.lock = threading.Lock()

    def read(self, name: str, otherwise: str) -> str:
        try:
            with open(os.path.join(self.directory, name), encoding="utf-8") as file:
                return file.read()
        except OSError:
            return otherwise

    def update(self) -> None:
        """Read anew what is live. Who is checked as before keeps what is known."""
        text = self.read("current/checks.json", self.text)
        try:
            checks, states = read_checks(text), json.loads(self.read("server-state.json", "{}"))
        except ValueError:
            return
        with self.lock:
            self.text, self.states = text, states
            for name, watch in list(self.watches.items()):
                if checks.get(name) != watch.check:
                    watch.end.set()
                    del self.watches[name]
            fresh = {name: Watch(check, self.write) for name, check in checks.items() if name not in self.watches}
            self.watches.update(fresh)
        for watch in fresh.values():
            watch.start()
        self.write()

    def write(self) -> None:
        """Bring the files up to date."""
        with self.lock:
            health = {name: watch.health.up for name, watch in self.watches.items()}
            pools = json.loads(self.text)
            for pool in pools:
                found = serves(pool, health, self.states)
                if found is not None:
                    self.ready[pool["listen"]] = found
            counted = [pool["listen"] for pool in pools if pool["ready"]]
            wanted = {f"ready.{pool['listen']}" for pool in pools if self.ready.get(pool["listen"])}
            if all(self.ready.get(listen) for listen in counted):
                wanted.add("ready")
            status = {
                name: {"up": watch.health.up, "reason": watch.health.reason} for name, watch in self.watches.items()
            }
            there = {name for name in os.listdir(self.flags) if name.startswith("ready")}
            for name in there - wanted:
                os.unlink(os.path.join(self.flags, name))
            for name in wanted - there:
                with open(os.path.join(self.flags, name), "w", encoding="utf-8"):
                    pass
            trial = os.path.join(self.flags, ".status")
            with open(trial, "w", encoding="utf-8") as file:
                json.dump(status, file, indent=1, sort_keys=True)
            os.replace(trial, os.path.join(self.flags, STATUS))


def tell_systemd(words: str) -> None:
    """That the service is there and well."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if path:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as connection:
            connection.connect(path.replace("@", "\0", 1) if path.startswith("@") else path)
            connection.sendall(words.encode())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--directory", required=True, help="where the link to the live release is")
    parser.add_argument("--flags", required=True, help="where the files are kept that say which listens can serve")
    options = parser.parse_args()
    keeper = Keeper(options.directory, options.flags)
    keeper.update()
    tell_systemd("READY=1")
    while True:
        time.sleep(0.5)
        keeper.update()
        tell_systemd("WATCHDOG=1")


if __name__ == "__main__":
    main()
