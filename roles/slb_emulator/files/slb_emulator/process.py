# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A plain process in the background, for machines without systemd."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

GRACE = 10.0  # seconds between the request to end and the end by force


def _started_at(pid: int) -> str | None:
    """The start time of a process in ticks since boot; with the id it names a process for good."""
    try:
        # The name of the program is in brackets and may hold anything; the fields are counted from behind it.
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[19]
    except (OSError, IndexError):
        return None


def _alive(pid: int, started_at: str) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    with contextlib.suppress(OSError):
        return _started_at(pid) == started_at and stat.read_text(encoding="utf-8").rsplit(")", 1)[1].split()[0] != "Z"
    return False


def fingerprint(config: Path) -> str:
    """What a process is made of: interpreter, program and configuration."""
    digest = hashlib.sha256(sys.executable.encode())
    for path in [*sorted(Path(__file__).parent.rglob("*.py")), config]:
        digest.update(f"{path.name} ".encode() + path.read_bytes())
    return digest.hexdigest()


def running(directory: Path) -> tuple[int, str] | None:
    """Our process, by the id in the file and its start time: an id that was given out again is somebody else."""
    try:
        known = json.loads((directory / "pid.json").read_text(encoding="utf-8"))
        pid, started_at = int(known["pid"]), str(known["started_at"])
    except (OSError, ValueError, KeyError):
        return None
    return (pid, started_at) if _alive(pid, started_at) else None


def notify_systemd() -> None:
    """Tell systemd, where it started us, that we answer (sd_notify(3))."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notification:
            notification.sendto(b"READY=1", address.replace("@", "\0", 1) if address[0] == "@" else address)


def start(directory: Path, made_of: str, body: Callable[[Callable[[], None]], None]) -> str:
    """Run body in a process that outlives this one, and wait until it says that it is ready.

    A process that was made of something else is replaced.
    """
    was_there = running(directory) is not None
    if was_there and json.loads((directory / "pid.json").read_text(encoding="utf-8")).get("made_of") == made_of:
        return "already running"
    stop(directory)
    hear, tell = os.pipe()
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        os.close(tell)
        if not os.read(hear, 1):
            raise RuntimeError(f"the emulator did not start; {directory / 'output.log'} says why")
        os.close(hear)
        return "started anew" if was_there else "started"
    os.setsid()
    if os.fork():
        os._exit(0)
    os.chdir("/")
    output = os.open(directory / "output.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, number in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(source, number)
    temporary = directory / "pid.json.new"
    own = {"pid": os.getpid(), "started_at": _started_at(os.getpid()), "made_of": made_of}
    temporary.write_text(json.dumps(own), encoding="utf-8")
    os.replace(temporary, directory / "pid.json")

    def ready() -> None:
        os.write(tell, b"1")
        os.close(tell)

    code = 1
    try:
        body(ready)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        (directory / "pid.json").unlink(missing_ok=True)
        os._exit(code)


def stop(directory: Path) -> bool:
    """End our process; says whether there was one."""
    found = running(directory)
    if found is None:
        return False
    pid, started_at = found
    for number, grace in ((signal.SIGTERM, GRACE), (signal.SIGKILL, GRACE)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        deadline = time.monotonic() + grace
        while time.monotonic() < deadline:
            if not _alive(pid, started_at):
                return True
            time.sleep(0.02)
    raise RuntimeError(f"process {pid} did not end")
