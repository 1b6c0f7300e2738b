# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""nginx on the host: its workers, their connections, and what was noted of the release that they have loaded.

nginx does not tell what it has loaded. So what a reload has brought is noted in a file below /run with the numbers of the
processes that came of it: other processes, and nobody knows. A master process that began after the configuration was put
there has loaded that one.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import time
import typing as t

from .._proxy import files
from .._proxy.host import family
from .._proxy.states import Count
from .config import Line
from .parse import parse_connections, parse_workers


def workers(master: int) -> tuple[set[int], set[int]]:
    """The workers that take new clients, and those that only serve to the end."""
    titles = {pid: (files.read(f"/proc/{pid}/cmdline") or "").rstrip("\0 ") for pid in family(master)}
    return parse_workers(titles)


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def note(path: str, master: int, release: str, text: str) -> None:
    """Note what the workers of a master process have loaded."""
    os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
    noted = {"release": release, "text": digest(text), "master": master, "workers": sorted(workers(master)[0])}
    files.write(path, json.dumps(noted) + "\n", 0o644)


def noted(path: str, master: int) -> tuple[str, str] | None:
    """The release, and the digest of its configuration, that the workers of a master process have loaded."""
    try:
        found = json.loads(files.read(path) or "")
        if found["master"] != master or found["workers"] != sorted(workers(master)[0]):
            return None
        return found["release"], found["text"]
    except (ValueError, KeyError, TypeError):
        return None


def started(pid: int) -> float | None:
    """When a process began, in seconds of the clock that files have."""
    fields = (files.read(f"/proc/{pid}/stat") or "").rpartition(")")[2].split()
    if len(fields) < 20:
        return None
    age = time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / os.sysconf("SC_CLK_TCK")
    return time.time() - age


def began_after(pid: int, paths: t.Iterable[str]) -> bool:
    """Whether a process began after these were put where they are."""
    begin = started(pid)
    # the clocks of files and of processes may differ by a tick
    return begin is not None and all(begin > os.lstat(path).st_ctime + 0.05 for path in paths if os.path.lexists(path))


def addresses(host: str) -> set[str]:
    """The addresses of a server, which may be a name."""
    try:
        return {str(entry[4][0]) for entry in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    except OSError:
        return set()


def sockets(pid: int) -> set[str]:
    """The sockets that a process holds, by their numbers."""
    found = set()
    try:
        for handle in os.scandir(f"/proc/{pid}/fd"):
            target = os.readlink(handle.path)
            if target.startswith("socket:["):
                found.add(target[8:-1])
    except OSError:
        pass  # it has ended meanwhile
    return found


def count(master: int, lines: t.Mapping[str, Line]) -> dict[str, Count]:
    """The connections that the workers of a master process hold to servers."""
    if not master:
        return {name: Count(0, 0) for name in lines}
    new, old = workers(master)
    # a container may have a network of its own, whose connections its processes see
    connections = [
        connection
        for version in ("tcp", "tcp6")
        for connection in parse_connections(files.read(f"/proc/{master}/net/{version}") or "")
    ]
    held = [{inode for pid in pids for inode in sockets(pid)} for pids in (new, old)]
    found = {}
    for name, line in lines.items():
        where = addresses(line.address)
        inodes = {entry.inode for entry in connections if entry.port == line.port and entry.remote in where}
        found[name] = Count(len(inodes & held[0]), len(inodes & held[1]))
    return found
