# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""HAProxy as something that is brought live. The configuration carries the name of its release in its `description`, so the
running process tells which one it has loaded."""

from __future__ import annotations

import time
import typing as t
from dataclasses import dataclass

from .._proxy.container import Container, Job
from .._proxy.host import run, wait_for
from .._proxy.parse import Bind, Server
from .._proxy.proxy import Loaded, Proxy, ReleaseError, Wanted
from .._proxy.release import MARK
from .._proxy.states import Count, Intent
from . import host
from .parse import Master, count_servers, loaded_release, parse_binds, refusal, started_from
from .plan import drop_in_text, files_needed, out_of_files, reload_failed
from .states import Runtime, commands, parse_session_ids, server_lines, with_states, without_states

SOCKETS = "/run/haproxy"
RELOADED = 20.0  # seconds that a reload for single servers may take


@dataclass(frozen=True)
class HAProxy(Proxy):
    """Where things are on this host."""

    directory: str
    binary: str
    unit: str
    unit_directory: str
    pid_file: str
    stats_socket: str
    master_socket: str
    timeout: float
    container: Container | None = None

    TITLE: t.ClassVar[str] = "HAProxy"
    ROLE: t.ClassVar[str] = "haproxy"
    CONFIG: t.ClassVar[str] = "haproxy.cfg"

    def lacks(self, content: str) -> str | None:
        if MARK in content:
            return None
        return f"The configuration lacks the mark {MARK}, by which a running process tells its release."

    def check_arguments(self, config: str) -> list[str]:
        return ["-c", "-f", config]

    def refusal(self, text: str, output: str) -> str:
        return refusal(text, output)

    def binds(self, text: str) -> list[Bind]:
        return parse_binds(text)

    def with_states(self, text: str, states: t.Mapping[str, Intent]) -> str:
        return with_states(text, states)

    def without_states(self, text: str) -> str:
        return without_states(text)

    def files_needed(self, wanted: Wanted, text: str) -> int | None:
        if wanted.maxconn is None:
            return None
        return files_needed(wanted.maxconn * wanted.shares + wanted.reserve, count_servers(text), host.threads())

    def out_of_files(self, wanted: Wanted, text: str, limit: int) -> str:
        return out_of_files(
            wanted.maxconn or 0, wanted.shares, wanted.reserve, count_servers(text), host.threads(), limit
        )

    def drop_in_text(self, limit: int | None) -> str:
        return drop_in_text(self.binary, self.config, self.pid_file, self.master_socket, limit)

    def job(self, container: Container) -> Job:
        # The label is shared, which means nothing without SELinux.
        mounts = (f"{self.directory}:{self.directory}:ro,z", f"{SOCKETS}:{SOCKETS}:z", *container.mounts)
        return Job(
            title=self.TITLE,
            role=self.ROLE,
            program="haproxy",
            arguments=("-W", "-db", "-f", self.config, "-S", self.master_socket),
            check=("-c", "-q", "-f", self.config),
            signal="USR2",
            directory=self.directory,
            runtime_directory="haproxy",
            mounts=mounts,
            facts=(container.engine, container.image, *mounts, self.config, self.master_socket),
        )

    def started_as_ours(self, arguments: t.Sequence[str]) -> bool:
        return started_from(arguments, self.config, self.master_socket)

    def loaded(self, pid: int) -> Loaded:
        return Loaded(loaded_release(host.info(self)))

    def servers(self) -> dict[str, Server]:
        return host.servers(self)

    def not_loaded(self, release: str) -> str | None:
        """None once a new worker runs this release and the master counts it as its own."""
        info, master = host.info(self), host.master(self)
        if loaded_release(info) == release and master and int(info.get("pid", "0")) in master.workers:
            return None
        return f"the process has not loaded release {release}"

    def drive(self, process: str, release: str) -> None:
        """Start, restart or reload, and wait until the process runs the release."""
        since = time.time()

        def problem() -> str | None:
            found = self.not_loaded(release)
            now = host.master(self)
            if found and now and reload_failed(before, now, time.time() - since):
                raise ReleaseError(host.complaint(self.unit, since) or "the new worker did not start")
            return found

        before = Master((), 0)
        if process == "reload":
            # A signal that comes before the master is ready again is lost, so wait for its answer.
            wait_for(lambda: None if host.master(self) else "not ready", self.timeout)
            before = host.master(self) or before
        else:
            run("systemctl", "reset-failed", self.unit)
        code, output = run("systemctl", process, self.unit)
        found = wait_for(problem, self.timeout) if code == 0 else " ".join(output.split())
        if found:
            raise ReleaseError(host.complaint(self.unit, since) or found)

    def server_weights(self, text: str) -> dict[str, int]:
        return {name: line.weight for name, line in server_lines(text).items()}

    def runtime(self) -> dict[str, Runtime]:
        return host.runtime(self)

    def orders(
        self, names: t.Sequence[str], states: t.Mapping[str, Intent], weights: t.Mapping[str, int], changed: bool
    ) -> list[str]:
        runtime = self.runtime()
        told = []
        for name in [name for name in names if name in runtime and name in weights]:
            told += commands(name, runtime[name], states[name], weights[name])
        return told

    def obey(self, orders: t.Sequence[str], names: t.Sequence[str], states: t.Mapping[str, Intent]) -> None:
        refused = [answer for answer in map(self.tell, orders) if answer]
        if not refused:
            return
        # A backend whose spreading is a fixed table takes no weights at run time; what it reads when it loads, it does.
        code, output = run("systemctl", "reload", self.unit)
        found = wait_for(lambda: self.differs(names, states), RELOADED) if code == 0 else " ".join(output.split())
        if found:
            raise ReleaseError(
                f"HAProxy refuses to do it at once ({refused[0]}), and a reload did not do it either: {found}; it will be "
                "so with its next start."
            )

    def tell(self, command: str) -> str:
        """A command to the running process; what it answers is a complaint."""
        return " ".join((host.ask(self.stats_socket, command) or "").split())

    def differs(self, names: t.Iterable[str], states: t.Mapping[str, Intent]) -> str | None:
        """The first server that the running process does not have as it is meant."""
        runtime = self.runtime()
        for name in names:
            now, meant = runtime.get(name), states[name]
            if now is None or now.state != ("drain" if meant == Intent("ready", 0) else meant.state):
                return f"server {name} is {now.state if now else 'missing'}"
        return None

    def count(self, names: t.Iterable[str]) -> dict[str, Count]:
        runtime, old = self.runtime(), host.old_sessions(self)
        return {name: Count(runtime[name].sessions if name in runtime else 0, old.get(name, 0)) for name in names}

    def cut(self, names: t.Iterable[str]) -> None:
        """End the sessions that are left, in every process.

        One that was replaced holds its proxies to be disabled and ends no sessions of a server, so its are ended one by one.
        """
        master = host.master(self)
        for name in names:
            host.ask(self.stats_socket, f"shutdown sessions server {name}")
            for pid in master.old if master else ():
                for session in parse_session_ids(host.ask(self.master_socket, f"@!{pid} show sess") or "", name):
                    host.ask(self.master_socket, f"@!{pid} shutdown session {session}")
