# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Layer 7 by HAProxy in the namespace of a VPC. It outlives the emulator's process, as the rules of layer 4 do.

A change is a reload by the master's own command line: a signal that comes before the master is ready ends it. New
workers get the sockets of the old ones, which end what they have begun, so that no request is lost.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from ..forwarding import Website
from ..network import Namespace
from .haproxy_config import Configuration, configuration

log = logging.getLogger(__name__)

PATIENCE = 10.0  # seconds for a start or a reload


class Proxy:
    """The HAProxy of one VPC."""

    def __init__(self, directory: Path, router: Callable[[], Namespace], source: str) -> None:
        self._directory = directory
        self._router = router
        self._source = source
        self._served: Configuration | None = None

    @property
    def _master(self) -> Path:
        return self._directory / "master.sock"

    def serve(self, websites: Sequence[Website]) -> None:
        """Exactly these; OSError where HAProxy is missing or does not take them."""
        if not websites and not self._directory.exists():
            return
        wanted = configuration(websites, self._directory, self._source)
        if wanted == self._served and self._pid() is not None:
            return
        self._served = None
        if not websites:
            self.stop()
            return
        self._write(wanted)
        self._check()
        if self._pid() is None:
            self._start()
        else:
            self._reload()
        self._served = wanted

    def stop(self) -> None:
        self._served = None
        pid = self._pid()
        if pid is not None:
            for number in (signal.SIGTERM, signal.SIGKILL):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
                deadline = time.monotonic() + PATIENCE / 2
                while self._pid() is not None and time.monotonic() < deadline:
                    time.sleep(0.02)
        shutil.rmtree(self._directory, ignore_errors=True)

    def _write(self, wanted: Configuration) -> None:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name, text in {**wanted.files, "haproxy.cfg": wanted.text}.items():
            path = self._directory / name
            if path.exists() and path.read_text(encoding="utf-8") == text:
                continue
            # keys are among them, and an old worker may read what is replaced
            descriptor = os.open(f"{path}.new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with open(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
            os.replace(f"{path}.new", path)
        known = {*wanted.files, "haproxy.cfg", "master.sock", "stats.sock", "master.pid", "haproxy.log"}
        for path in self._directory.iterdir():
            if path.name not in known and not path.name.endswith((".tmp", ".bak")):
                path.unlink(missing_ok=True)

    def _command(self, *arguments: str) -> list[str]:
        program = shutil.which("haproxy", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
        if program is None:
            raise OSError("listeners of HTTP and HTTPS need the program haproxy on this machine")
        return [program, "-f", str(self._directory / "haproxy.cfg"), *arguments]

    def _check(self) -> None:
        command = self._command("-c", "-q")
        done = self._router().call(lambda: subprocess.run(command, capture_output=True, text=True, check=False))
        if done.returncode:
            raise OSError(f"HAProxy does not take what it is told: {done.stderr.strip()[-600:]}")

    def _start(self) -> None:
        command = self._command("-W", "-S", f"{self._master},mode,600", "-p", str(self._directory / "master.pid"))
        self._master.unlink(missing_ok=True)
        with open(self._directory / "haproxy.log", "ab") as output:
            done = self._router().call(
                lambda: subprocess.run(
                    [*command, "-D"],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                    check=False,
                )
            )
        if done.returncode:
            raise OSError(f"HAProxy did not start: {self._said()}")
        self._await(0)

    def _reload(self) -> None:
        before = self._workers()
        self._ask("reload")
        self._await(max(before, default=0))

    def _await(self, last: int) -> None:
        """Wait for a worker that is younger than those before."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                workers = self._workers()
                if workers and (not last or last not in workers):
                    return
            time.sleep(0.02)
        raise OSError(f"HAProxy did not take the new configuration in time: {self._said()}")

    def _said(self) -> str:
        return (self._directory / "haproxy.log").read_text(encoding="utf-8", errors="replace")[-600:].strip()

    def _workers(self) -> list[int]:
        """The process ids of the workers that take new connections."""
        current = self._ask("show proc").partition("# old workers")[0]
        return [int(pid) for pid in re.findall(r"^(\d+)\s+worker", current, re.MULTILINE)]

    def _ask(self, command: str) -> str:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(PATIENCE)
            connection.connect(str(self._master))
            connection.sendall(f"{command}\n".encode())
            # without an end of what is asked, the answer has none either
            connection.shutdown(socket.SHUT_WR)
            received = b""
            with contextlib.suppress(ConnectionResetError):
                while part := connection.recv(65536):
                    received += part
        return received.decode("utf-8", "replace")

    def _pid(self) -> int | None:
        """The master, where it lives: a process that was started with this directory's configuration."""
        try:
            pid = int((self._directory / "master.pid").read_text(encoding="utf-8").split()[0])
            command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            # one that has ended and that nobody waits for has no command line
            return pid if str(self._directory / "haproxy.cfg").encode() in command else None
        except (OSError, ValueError, IndexError):
            return None
