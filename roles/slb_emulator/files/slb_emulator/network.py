# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Network namespaces and links, made with the machine's own ip and nft.

Work inside a namespace is done by a thread that has entered it (setns): programs that it starts, files that it opens
under /proc/sys/net and sockets that it makes belong to the namespace, while the process itself stays where it is.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import socket
import subprocess
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

_NAMED = Path("/run/netns")
_CLONE_NEWNET = 0x40000000
_LIBC = ctypes.CDLL(None, use_errno=True)


def _run(command: list[str], text: str | None = None) -> str:
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"{' '.join(command)} failed: {done.stderr.strip()}")
    return done.stdout


def enter(name: str) -> None:
    """Move this thread, and no other, into the namespace."""
    path = str(_NAMED / name)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        if _LIBC.setns(descriptor, _CLONE_NEWNET):  # os.setns comes with Python 3.12
            error = ctypes.get_errno()
            raise OSError(error, f"setns {path}: {os.strerror(error)}")
    finally:
        os.close(descriptor)


def exists(name: str) -> bool:
    return (_NAMED / name).exists()


def create(name: str) -> bool:
    """Make a namespace; says whether it had to be made."""
    if exists(name):
        return False
    _run(["ip", "netns", "add", name])
    return True


def delete(name: str) -> None:
    if exists(name):
        _run(["ip", "netns", "delete", name])


def link_name(*parts: str) -> str:
    """At most 15 characters, and the same each time."""
    return "cfha-" + hashlib.sha256("/".join(parts).encode()).hexdigest()[:8]


def mac_address(*parts: str) -> str:
    digest = hashlib.sha256("/".join(parts).encode()).hexdigest()
    return ":".join(["02", *(digest[index : index + 2] for index in range(0, 10, 2))])


class Namespace:
    """One named namespace, and the thread that works in it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._thread = ThreadPoolExecutor(1, f"netns-{name}", enter, (name,))

    def close(self) -> None:
        self._thread.shutdown()

    def call(self, function: Callable[..., T], *arguments: Any) -> T:
        return self._thread.submit(function, *arguments).result()

    def ip(self, *lines: str) -> None:
        """Several ip commands by one process."""
        self.call(_run, ["ip", "-batch", "-"], "\n".join(lines) + "\n")

    def ip_json(self, *arguments: str) -> list[dict[str, Any]]:
        return list(json.loads(self.call(_run, ["ip", "-json", *arguments]) or "[]"))

    def nft(self, text: str) -> None:
        """One transaction: all of it or nothing."""
        self.call(_run, ["nft", "-f", "-"], text)

    def sysctl(self, settings: Mapping[str, str]) -> None:
        for name, value in settings.items():
            self.call(Path("/proc/sys/net", name).write_text, value)

    def socket(self, source: str, kind: socket.SocketKind) -> socket.socket:
        return self.call(_socket, source, kind)


def _socket(source: str, kind: socket.SocketKind) -> socket.socket:
    made = socket.socket(socket.AF_INET, kind)
    try:
        made.bind((source, 0))
        made.setblocking(False)
    except OSError:
        made.close()
        raise
    return made
