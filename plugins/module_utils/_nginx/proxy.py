# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""nginx as something that is brought live."""

from __future__ import annotations

import json
import os
import time
import typing as t
from dataclasses import dataclass

from .._proxy import files
from .._proxy import host as common
from .._proxy.container import Container, Job
from .._proxy.host import run, wait_for
from .._proxy.parse import Bind, Server
from .._proxy.proxy import Loaded, Proxy, ReleaseError, Wanted
from .._proxy.states import Count, Intent
from . import check, host
from .config import number_of, parse_binds, server_lines, with_states, without_states
from .parse import complaints, refusal, started_from
from .unit import drop_in_text, out_of_files

#: Where the checks write what they found, and where it is noted which release runs.
RUN = "/run/clusterfront-nginx"
CHECKS = "checks.json"


@dataclass(frozen=True)
class Runtime:
    """A server as the live configuration and the checks have it."""

    status: str
    weight: int
    down: bool

    @property
    def serves(self) -> bool:
        return not self.down and self.status != "DOWN"


@dataclass(frozen=True)
class Nginx(Proxy):
    """Where things are on this host."""

    directory: str
    binary: str
    unit: str
    unit_directory: str
    run_directory: str
    timeout: float
    globals: str  # directives that don't stand in the file
    place_of_file: str | None = None  # where the configuration lies as a file of its own
    ports: tuple[str, ...] = ()  # that a container publishes
    container: Container | None = None

    TITLE: t.ClassVar[str] = "nginx"
    ROLE: t.ClassVar[str] = "nginx"
    CONFIG: t.ClassVar[str] = "nginx.conf"

    @property
    def usual_place(self) -> str | None:
        return self.place_of_file

    @property
    def config(self) -> str:
        return self.place_of_file or os.path.join(self.link, self.CONFIG)

    @property
    def noted(self) -> str:
        return os.path.join(self.run_directory, "loaded.json")

    @property
    def own_network(self) -> bool:
        return bool(self.container and self.ports)

    @property
    def arguments(self) -> list[str]:
        """How nginx is started."""
        return ["-g", f"daemon off; {self.globals}".strip(), "-c", self.config]

    def lacks(self, content: str) -> str | None:
        return None

    def check_arguments(self, config: str) -> list[str]:
        return ["-t", "-g", f"daemon off; {self.globals}".strip(), "-c", config]

    def refusal(self, text: str, output: str) -> str:
        return refusal(text, output)

    def binds(self, text: str) -> list[Bind]:
        return parse_binds(text)

    def with_states(self, text: str, states: t.Mapping[str, Intent]) -> str:
        return with_states(text, states)

    def without_states(self, text: str) -> str:
        return without_states(text)

    def files_needed(self, wanted: Wanted, text: str) -> int | None:
        return number_of(text, "worker_rlimit_nofile")

    def out_of_files(self, wanted: Wanted, text: str, limit: int) -> str:
        return out_of_files(wanted.maxconn, self.files_needed(wanted, text) or 0, limit)

    def drop_in_text(self, limit: int | None) -> str:
        check_command = [self.binary, *self.check_arguments(self.config), "-q"]
        return drop_in_text([self.binary, *self.arguments], check_command, limit)

    def job(self, container: Container) -> Job:
        mounts = (
            f"{self.directory}:{self.directory}:ro,z",
            f"{self.run_directory}:{self.run_directory}:z",
            # the journal, which is where the log of requests goes
            "/run/systemd/journal/dev-log:/dev/log",
            *container.mounts,
        )
        arguments = tuple(self.arguments)
        return Job(
            title=self.TITLE,
            role=self.ROLE,
            program="nginx",
            arguments=arguments,
            check=(*self.check_arguments(self.config), "-q"),
            signal="HUP",
            directory=self.directory,
            runtime_directory=os.path.basename(self.run_directory),
            mounts=mounts,
            facts=(container.engine, container.image, *mounts, *arguments, *self.ports),
            ports=self.ports,
        )

    def started_as_ours(self, arguments: t.Sequence[str]) -> bool:
        return started_from(arguments, [self.binary, *self.arguments])

    def pid(self) -> int:
        """The master process; 0 where none runs."""
        return common.process(self, common.unit_properties(self.unit))[0]

    def loaded(self, pid: int) -> Loaded:
        noted = host.noted(self.noted, pid) if pid else None
        if noted is not None:
            return Loaded(noted[0], noted[1] != host.digest(files.read(self.config) or ""))
        release = files.linked_release(self)
        if pid and release and host.began_after(pid, (self.link, self.config)):
            return Loaded(release)
        return Loaded(None)

    def servers(self) -> dict[str, Server]:
        found = check.look(files.read(os.path.join(self.link, CHECKS)) or "[]")
        return {name: Server("UP" if up else "DOWN", "check", reason) for name, (up, reason) in found.items()}

    def drive(self, process: str, release: str) -> None:
        since = time.time()
        before: set[int] = set()
        asked = since

        def problem() -> str | None:
            nonlocal asked
            pid = self.pid()
            new = host.workers(pid)[0] if pid else set()
            if new and not new & before:
                return None
            if time.time() - asked > 1:
                asked = time.time()
                found = self.complaint(since)
                # it tries for 2.5 seconds to get a port
                if found and ("bind()" not in found or "still could not bind" in found):
                    raise ReleaseError(found)
            return f"nginx has no worker that has loaded release {release}"

        if process == "reload":
            before = host.workers(self.pid())[0]
        else:
            run("systemctl", "reset-failed", self.unit)
        code, output = run("systemctl", process, self.unit)
        found = wait_for(problem, self.timeout) if code == 0 else " ".join(output.split())
        if found:
            raise ReleaseError(self.complaint(since) or found)
        host.note(self.noted, self.pid(), release, files.read(self.config) or "")

    def complaint(self, since: float) -> str:
        """What nginx complained of in the journal since then, as one line."""
        messages = [found.message.rstrip(" .") for found in complaints(common.journal(self.unit, since))]
        return "; ".join(list(dict.fromkeys(messages))[-3:])

    def server_weights(self, text: str) -> dict[str, int]:
        return {name: line.weight for name, line in server_lines(text).items()}

    def runtime(self) -> dict[str, Runtime]:
        if not self.pid():
            return {}
        try:
            seen = json.loads(files.read(os.path.join(self.run_directory, check.FLAGS, check.STATUS)) or "{}")
        except ValueError:
            seen = {}
        words = {True: "UP", False: "DOWN"}
        return {
            name: Runtime(words.get(seen.get(name, {}).get("up"), "no check"), line.weight, line.down)
            for name, line in server_lines(files.read(self.config) or "").items()
        }

    def orders(
        self, names: t.Sequence[str], states: t.Mapping[str, Intent], weights: t.Mapping[str, int], changed: bool
    ) -> list[str]:
        pid = self.pid()
        return ["reload"] if pid and (changed or self.loaded(pid).stale) else []

    def obey(self, orders: t.Sequence[str], names: t.Sequence[str], states: t.Mapping[str, Intent]) -> None:
        self.drive("reload", files.linked_release(self) or "")

    def count(self, names: t.Iterable[str]) -> dict[str, Count]:
        lines = server_lines(files.read(self.config) or "")
        found = host.count(self.pid(), {name: line for name, line in lines.items() if name in names})
        return {name: found.get(name, Count(0, 0)) for name in names}

    def cut(self, names: t.Iterable[str]) -> None:
        raise ReleaseError("nginx can't end the connections of single servers.")
