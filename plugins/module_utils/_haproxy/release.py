# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bring a HAProxy configuration live, or leave the old one serving. PRIVATE to the collection.

A release is a directory whose name is a hash of its content; the link `current` names the one that is live. The
configuration carries the same hash in its `description`, so the running process tells which release it has loaded.
Certificates and keys lie in the release too, so a way back brings back those that belong to it.
"""

from __future__ import annotations

import os
import time
import typing as t
from dataclasses import dataclass

from . import files, host
from .container import unit_text
from .files import CONFIG, Settings
from .host import Listener, ReleaseError
from .parse import Master, Server, count_servers, limit_line, loaded_release, pem_problem, refusal
from .plan import (
    Limit,
    Plan,
    State,
    drop_in_text,
    files_needed,
    lost_server,
    make_plan,
    out_of_files,
    outage,
    release_id,
    reload_failed,
    rounded_up,
)
from .states import Intent, StateError, parse_states, with_states

MARK = "@release@"
PLACE = "@directory@"


@dataclass(frozen=True)
class File:
    """A file that lies beside the configuration in a release."""

    name: str
    source: str  # on this host
    option: str  # what a user calls it
    holds: tuple[str, ...] = ()  # certificate, key; nothing is looked for where it is empty


@dataclass(frozen=True)
class Wanted:
    """What the caller asks for."""

    content: str
    inputs: tuple[str, ...]
    maxconn: int | None
    reserve: int
    listeners: tuple[Listener, ...]
    keep: int
    shares: int = 1  # how many times maxconn has to fit
    files: tuple[File, ...] = ()


@dataclass(frozen=True)
class Release:
    """What is wanted, with everything that is known of it before the host is looked at."""

    name: str
    text: str
    beside: t.Mapping[str, bytes]
    sources: t.Mapping[str, str]  # where those files come from
    states: t.Mapping[str, Intent]
    missing: tuple[str, ...] = ()  # sentences on files that are not there; check mode may come before they do

    @property
    def down(self) -> set[str]:
        """The servers that are not meant to take clients."""
        return {name for name, intent in self.states.items() if intent.state != "ready" or intent.weight == 0}


def read_file(file: File) -> bytes | None:
    """The content of a file; None where it is missing. What can't be read or is no PEM is told."""
    try:
        data = files.read_bytes(file.source)
    except OSError as error:
        raise ReleaseError(
            f"{file.option} {file.source}, which can't be read: {error.strerror}; nothing was changed."
        ) from error
    problem = None if data is None else pem_problem(data, file.holds)
    if problem:
        raise ReleaseError(f"{file.option} {file.source}, {problem}; nothing was changed.")
    return data


def read_states(settings: Settings) -> dict[str, Intent]:
    try:
        return parse_states(files.read(settings.server_state), settings.server_state)
    except StateError as error:
        raise ReleaseError(str(error)) from error


def prepare(settings: Settings, wanted: Wanted) -> Release:
    """Name the release by all that it consists of, and put the states of servers into its configuration."""
    if MARK not in wanted.content:
        raise ReleaseError(f"The configuration lacks the mark {MARK}, by which a running process tells its release.")
    found = {file: read_file(file) for file in wanted.files}
    missing = [f"{file.option} {file.source}, which is not there" for file, data in found.items() if data is None]
    inputs = {path: files.read_bytes(path) for path in wanted.inputs}
    name = release_id(wanted.content, {**inputs, **{file.name: data for file, data in found.items()}})
    states = read_states(settings)
    text = wanted.content.replace(MARK, name).replace(PLACE, settings.place(name))
    beside = {file.name: data for file, data in found.items() if data is not None}
    sources = {file.name: file.source for file in wanted.files}
    return Release(name, with_states(text, states), beside, sources, states, tuple(missing))


def find_limit(
    settings: Settings, properties: t.Mapping[str, str], state: State, wanted: Wanted, servers: int
) -> Limit:
    """Look whether the connections fit into what a process of the unit gets, and whether more can be had."""
    if wanted.maxconn is None:
        return Limit(limit_line(state.unit_file), None)
    threads = host.threads()
    needed = files_needed(wanted.maxconn * wanted.shares + wanted.reserve, servers, threads)
    limit = host.unit_limit(properties, state.pid)
    # What an engine gives to a container depends on its own settings, so a container always states what it needs.
    if limit >= needed and settings.container is None:
        return Limit(limit_line(state.unit_file), None)
    if limit >= needed and state.pid:
        return Limit(max(needed, limit_line(state.unit_file) or 0), None)
    roomy = rounded_up(needed)
    possible = host.transient_limit(str(roomy))
    if possible >= needed:
        return Limit(min(roomy, possible), min(roomy, possible))
    raise ReleaseError(
        out_of_files(wanted.maxconn, wanted.shares, wanted.reserve, servers, threads, max(limit, possible))
    )


def unit_file_text(settings: Settings, limit: int | None) -> str:
    """What the unit has to say so that it runs from the link."""
    if settings.container is None:
        return drop_in_text(settings.binary, settings.config, settings.pid_file, settings.master_socket, limit)
    return unit_text(settings.container, settings.directory, settings.config, settings.master_socket, limit)


def look(settings: Settings, wanted: Wanted, new: Release) -> tuple[State, Plan]:
    """What is there, and what is to be done about it."""
    properties = host.unit_properties(settings.unit)
    state = host.read_state(settings, properties, new.name, new.beside)
    limit = find_limit(settings, properties, state, wanted, count_servers(new.text))
    unit_file = unit_file_text(settings, limit.stated)
    return state, make_plan(state, new.name, new.text, unit_file, limit.raise_to, wanted.keep)


def validate(settings: Settings, directory: str, new: Release, pid: int) -> None:
    """Let the real binary read the release in a directory as a whole, then look whether its ports are free."""
    config = os.path.join(directory, CONFIG)
    # Files that the configuration reads lie beside it, and not yet where they will.
    files.write(config, new.text.replace(settings.place(new.name), directory), 0o640)
    code, output = host.check(settings, config)
    files.write(config, new.text, 0o640)
    for name, source in new.sources.items():
        # What a user knows is the file that is copied.
        output = output.replace(os.path.join(directory, name), source)
    problem = refusal(new.text, output) if code != 0 else host.refused_bind(new.text, pid)
    if problem:
        raise ReleaseError(f"{problem}; nothing was changed.")


def predict(settings: Settings, state: State, plan: Plan, new: Release) -> None:
    """What check mode can find out: whether the binary, where there is one, takes the configuration."""
    if plan.stage and not new.missing and host.installed(settings):
        with files.aside(new.beside) as directory:
            validate(settings, directory, new, state.pid)


def stage(settings: Settings, state: State, new: Release) -> None:
    """Write the release beside the live one; it gets its name only after HAProxy has taken it."""
    with files.staged(settings, new.beside) as directory:
        validate(settings, directory, new, state.pid)
        files.name_release(settings, directory, new.name)


def wait_for(problem: t.Callable[[], str | None], timeout: float, pause: float = 0.1) -> str | None:
    """Ask until there is no problem; the last one when time is up."""
    deadline = time.monotonic() + timeout
    while True:
        found = problem()
        if found is None or time.monotonic() >= deadline:
            return found
        time.sleep(pause)


def not_loaded(settings: Settings, release: str) -> str | None:
    """None once a new worker runs this release and the master counts it as its own."""
    info, master = host.info(settings), host.master(settings)
    if loaded_release(info) == release and master and int(info.get("pid", "0")) in master.workers:
        return None
    return f"the process has not loaded release {release}"


def drive(settings: Settings, process: str, release: str) -> None:
    """Start, restart or reload, and wait until the process runs the release."""
    since = time.time()

    def problem() -> str | None:
        found = not_loaded(settings, release)
        now = host.master(settings)
        if found and now and reload_failed(before, now, time.time() - since):
            raise ReleaseError(host.journal(settings.unit, since) or "the new worker did not start")
        return found

    before = Master((), 0)
    if process == "reload":
        # A signal that comes before the master is ready again is lost, so wait for its answer.
        wait_for(lambda: None if host.master(settings) else "not ready", settings.timeout)
        before = host.master(settings) or before
    else:
        host.run("systemctl", "reset-failed", settings.unit)
    code, output = host.run("systemctl", process, settings.unit)
    found = wait_for(problem, settings.timeout) if code == 0 else " ".join(output.split())
    if found:
        raise ReleaseError(host.journal(settings.unit, since) or found)


def verify(
    settings: Settings, listeners: t.Sequence[Listener], before: t.Mapping[str, Server], down: t.Collection[str]
) -> None:
    """Listeners answer, and no server of any backend is lost that was up, but those that are meant to be down."""

    def problem() -> str | None:
        silent = [found for found in map(host.answers, listeners) if found]
        if silent:
            return silent[0]
        after = host.servers(settings)
        dead = outage(before, after, down)
        if dead:
            # No time to wait: clients are turned away already.
            raise ReleaseError(dead)
        return lost_server(before, after, down)

    found = wait_for(problem, settings.timeout)
    if found:
        raise ReleaseError(found)


def roll_back(settings: Settings, state: State, plan: Plan) -> str:
    """Bring back what served before, and say what came of it."""
    if plan.write_unit:
        files.put_unit_file(settings, state.unit_file)
        host.run("systemctl", "daemon-reload")
    keep_link = plan.previous is None and state.linked == plan.release
    if not keep_link:
        files.flip(settings, plan.previous)
    if plan.stage and plan.release not in state.releases:
        files.discard(settings, plan.release)
    if plan.previous is not None:
        try:
            drive(settings, "reload" if plan.process == "reload" else "restart", plan.previous)
        except ReleaseError as error:
            return f"going back to release {plan.previous} failed too: {error}"
        return f"release {plan.previous} serves {'again' if state.active else 'instead'}"
    if state.active and not state.ours:
        # Nobody but the package's unit knows what served before.
        code, output = host.run("systemctl", "restart", settings.unit)
        return "what ran before serves again" if code == 0 else f"what ran before did not come back: {output.strip()}"
    if not state.active:
        host.run("systemctl", "stop", settings.unit)
        host.run("systemctl", "reset-failed", settings.unit)
        return "the service is stopped, as it was"
    return "there is no other release to go back to"


def apply(settings: Settings, state: State, plan: Plan, new: Release, listeners: t.Sequence[Listener]) -> None:
    """Do what the plan says; whatever fails after the release is staged is taken back."""
    before = host.servers(settings) if state.active else {}
    if plan.stage:
        stage(settings, state, new)
    try:
        if plan.write_unit:
            files.put_unit_file(settings, plan.unit_file)
        if plan.daemon_reload:
            host.run("systemctl", "daemon-reload")
        if plan.raise_to is not None:
            host.raise_running_limit(state.pid, plan.raise_to)
        if plan.flip:
            files.flip(settings, plan.release)
        if plan.process != "none":
            drive(settings, plan.process, plan.release)
            verify(settings, listeners, before, new.down)
    except (ReleaseError, OSError) as error:
        try:
            outcome = roll_back(settings, state, plan)
        except (ReleaseError, OSError) as second:
            outcome = f"going back failed too: {second}"
        raise ReleaseError(f"The new configuration did not come up: {str(error).rstrip('.')}; {outcome}.") from error
    files.prune(settings, plan.prune)


def release(settings: Settings, wanted: Wanted, check_mode: bool) -> tuple[State, Plan, Release]:
    """The whole way: look, plan, and do it unless this is check mode."""
    if check_mode:
        new = prepare(settings, wanted)
        state, plan = look(settings, wanted, new)
        predict(settings, state, plan, new)
        return state, plan, new
    with files.lock(settings):
        new = prepare(settings, wanted)
        if new.missing:
            raise ReleaseError(f"{new.missing[0]}; nothing was changed.")
        state, plan = look(settings, wanted, new)
        apply(settings, state, plan, new, wanted.listeners)
    return state, plan, new
