# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Take servers out of service and back, and wait for their sessions. PRIVATE to the collection.

What is meant lies in the state file first, then in the live configuration, then the running process is told. A run that is
killed in between is completed by the next one, which compares all three; a reload in between brings what the file says.
"""

from __future__ import annotations

import os
import time
import typing as t
from dataclasses import dataclass

from . import files, host
from .files import CONFIG, Settings
from .host import ReleaseError
from .parse import refusal
from .release import read_states, wait_for
from .states import (
    Intent,
    Runtime,
    StateError,
    choose,
    commands,
    dump_states,
    emptied,
    merge,
    parse_session_ids,
    server_lines,
    with_states,
    without_states,
)

POLL = 0.5  # seconds between two looks at the sessions
RELOADED = 20.0  # seconds that a reload may take


@dataclass(frozen=True)
class Wish:
    """What the caller asks for; None leaves as it is."""

    server: str
    backend: str | None
    state: str | None
    weight: str | None
    allow_empty: bool


@dataclass(frozen=True)
class Change:
    """What there is, and what it has to become."""

    names: list[str]
    states: dict[str, Intent]
    before: str | None  # the state file
    after: str
    live: str  # the configuration
    wanted: str
    commands: list[str]
    runtime: dict[str, Runtime]

    @property
    def needed(self) -> bool:
        return self.write_states or self.live != self.wanted or bool(self.commands)

    @property
    def write_states(self) -> bool:
        return (self.before or dump_states({})) != self.after


def plan(settings: Settings, wish: Wish) -> Change:
    """Look, and compare with what is wished."""
    live = files.read(settings.config)
    if live is None:
        raise ReleaseError(f"{settings.config} is not there, so there is no server; the role haproxy has to run first.")
    states = read_states(settings)
    plain = without_states(live)
    lines = server_lines(plain)
    try:
        # A server that has left the configuration can still be forgotten.
        gone = states if wish.state == "ready" else {}
        names = choose({**gone, **lines}, wish.server, wish.backend)
        after = {**states, **{name: merge(states.get(name, Intent()), wish.state, wish.weight) for name in names}}
    except StateError as error:
        raise ReleaseError(str(error)) from error
    runtime = host.runtime(settings)
    before = files.read(settings.server_state)
    if wish.state is None and wish.weight is None:
        return Change(names, after, before, before or dump_states({}), live, live, [], runtime)
    backend = None if wish.allow_empty else emptied(names, after, runtime)
    if backend:
        raise ReleaseError(
            f"{wish.server} is the last server of backend {backend} that takes clients, so this would be an outage; "
            "bring another one up first, or set allow_empty to true."
        )
    told = []
    for name in [name for name in names if name in runtime and name in lines]:
        told += commands(name, runtime[name], after[name], lines[name].weight)
    text = before if before and after == states else dump_states(after)
    return Change(names, after, before, text, live, with_states(plain, after), told, runtime)


def write_config(settings: Settings, text: str) -> None:
    """Put a configuration in the place of the live one of the same release, once the real binary has taken it."""
    with files.aside({}) as directory:
        trial = os.path.join(directory, CONFIG)
        files.write(trial, text, 0o600)
        code, output = host.check(settings, trial)
    if code != 0:
        raise ReleaseError(f"{refusal(text, output)}; nothing was changed.")
    release = files.linked_release(settings)
    if release is None:
        raise ReleaseError(f"{settings.link} is no link to a release; the role haproxy has to run first.")
    files.write(os.path.join(settings.place(release), CONFIG), text, 0o640)


def apply(settings: Settings, change: Change) -> None:
    """The file, the configuration, the process."""
    if change.write_states:
        files.write(settings.server_state, change.after, 0o644)
    if change.live != change.wanted:
        write_config(settings, change.wanted)
    refused = [answer for answer in (tell(settings, command) for command in change.commands) if answer]
    if refused:
        # A backend whose spreading is a fixed table takes no weights at run time; what it reads when it loads, it does.
        code, output = host.run("systemctl", "reload", settings.unit)
        found = wait_for(lambda: differs(settings, change), RELOADED) if code == 0 else " ".join(output.split())
        if found:
            raise ReleaseError(
                f"HAProxy refuses to do it at once ({refused[0]}), and a reload did not do it either: {found}; it will be "
                "so with its next start."
            )


def tell(settings: Settings, command: str) -> str:
    """A command to the running process; what it answers is a complaint."""
    return " ".join((host.ask(settings.stats_socket, command) or "").split())


def differs(settings: Settings, change: Change) -> str | None:
    """The first server that the running process does not have as it is meant."""
    runtime = host.runtime(settings)
    for name in change.names:
        now, meant = runtime.get(name), change.states[name]
        if now is None or now.state != ("drain" if meant == Intent("ready", 0) else meant.state):
            return f"server {name} is {now.state if now else 'missing'}"
    return None


@dataclass(frozen=True)
class Count:
    """The sessions of a server."""

    current: int  # of the process that takes new clients
    old: int  # of processes that were replaced

    @property
    def all(self) -> int:
        return self.current + self.old


def count(settings: Settings, names: t.Iterable[str]) -> dict[str, Count]:
    runtime, old = host.runtime(settings), host.old_sessions(settings)
    return {name: Count(runtime[name].sessions if name in runtime else 0, old.get(name, 0)) for name in names}


def busy(settings: Settings, names: t.Sequence[str], most: int) -> str | None:
    """One sentence while a server has more sessions than it may."""
    for name, found in count(settings, names).items():
        if found.all > most:
            old = f", {found.old} of them in processes that a reload has replaced" if found.old else ""
            return f"server {name} still has {found.all} session{'s' if found.all != 1 else ''}{old}"
    return None


def cut(settings: Settings, names: t.Iterable[str]) -> None:
    """End what is left, in every process.

    One that was replaced holds its proxies to be disabled and ends no sessions of a server, so its are ended one by one.
    """
    master = host.master(settings)
    for name in names:
        host.ask(settings.stats_socket, f"shutdown sessions server {name}")
        for pid in master.old if master else ():
            for session in parse_session_ids(host.ask(settings.master_socket, f"@!{pid} show sess") or "", name):
                host.ask(settings.master_socket, f"@!{pid} shutdown session {session}")


def wait(settings: Settings, names: t.Sequence[str], most: int, timeout: float, on_timeout: str) -> float:
    """Wait until every server has at most so many sessions; how many seconds that took."""
    begun = time.monotonic()
    found = wait_for(lambda: busy(settings, names, most), timeout, POLL)
    if found and on_timeout == "fail":
        raise ReleaseError(f"After {timeout:g} seconds {found}; its state stays as it is now.")
    if found and on_timeout == "cut":
        cut(settings, names)
        left = wait_for(lambda: busy(settings, names, most), 5.0, POLL)
        if left:
            raise ReleaseError(f"The sessions were cut, and {left}.")
    return time.monotonic() - begun


def describe(settings: Settings, change: Change) -> list[dict[str, t.Any]]:
    """The servers as they are now, for whoever reads the result."""
    runtime, counts = host.runtime(settings), count(settings, change.names)
    return [
        {
            "backend": name.split("/")[0],
            "server": name.split("/")[1],
            "state": change.states.get(name, Intent()).state,
            "weight": change.states.get(name, Intent()).weight,
            "status": runtime[name].status if name in runtime else "",
            "effective_weight": runtime[name].weight if name in runtime else None,
            "sessions": counts[name].all,
            "old_sessions": counts[name].old,
        }
        for name in change.names
    ]


def serve(settings: Settings, wish: Wish, check_mode: bool) -> Change:
    """Do what is wished, unless this is check mode; the lock keeps a run of the role out meanwhile."""
    if check_mode or not os.path.isdir(settings.releases):
        return plan(settings, wish)
    with files.lock(settings):
        change = plan(settings, wish)
        if change.needed:
            apply(settings, change)
    return change
