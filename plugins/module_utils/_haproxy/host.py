# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the running HAProxy says by its sockets and in the journal."""

from __future__ import annotations

import os
import socket
import typing as t

from .._proxy.host import journal
from .._proxy.parse import Server
from .parse import Master, complaints, parse_info, parse_master, parse_servers
from .states import Runtime, parse_runtime, parse_sessions


class Places(t.Protocol):
    """Where its sockets are."""

    @property
    def stats_socket(self) -> str:
        """The one for statistics and commands."""

    @property
    def master_socket(self) -> str:
        """The one of the master process."""


def ask(path: str, command: str) -> str | None:
    """One command through a runtime socket; None where nobody answers."""
    parts = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(5)
        try:
            connection.connect(path)
            connection.sendall(command.encode() + b"\n")
            # The master's socket waits for more commands until it sees the end.
            connection.shutdown(socket.SHUT_WR)
            while True:
                part = connection.recv(65536)
                if not part:
                    break
                parts.append(part)
        except OSError:
            return None
    return b"".join(parts).decode(errors="replace")


def info(proxy: Places) -> dict[str, str]:
    """What the running process says of itself."""
    return parse_info(ask(proxy.stats_socket, "show info") or "")


def servers(proxy: Places) -> dict[str, Server]:
    """The servers as the running process sees them."""
    return parse_servers(ask(proxy.stats_socket, "show stat") or "")


def runtime(proxy: Places) -> dict[str, Runtime]:
    """What the running process makes of its servers; empty where none runs."""
    state = ask(proxy.stats_socket, "show servers state") or ""
    return parse_runtime(state, ask(proxy.stats_socket, "show stat") or "")


def old_sessions(proxy: Places) -> dict[str, int]:
    """The sessions of workers that were replaced, by backend/server: they hold theirs to the end."""
    found: dict[str, int] = {}
    current = master(proxy)
    for pid in current.old if current else ():
        for name, count in parse_sessions(ask(proxy.master_socket, f"@!{pid} show stat") or "").items():
            found[name] = found.get(name, 0) + count
    return found


def master(proxy: Places) -> Master | None:
    """The master process; None while it does not answer."""
    text = ask(proxy.master_socket, "show proc")
    return parse_master(text) if text else None


def threads() -> int:
    """How many threads HAProxy starts where its configuration names no number."""
    return min(os.cpu_count() or 1, 64)


def complaint(unit: str, since: float) -> str:
    """What HAProxy complained of in the journal since then, as one line."""
    messages = [found.message.rstrip(" .") for found in complaints(journal(unit, since))]
    # The end of a worker that was told to end is no complaint.
    found = dict.fromkeys(message for message in messages if "exited with code" not in message)
    return "; ".join(list(found)[:3])
