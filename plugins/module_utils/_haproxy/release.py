# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bring a HAProxy configuration live, or leave the old one serving. PRIVATE to the collection.

A release is a directory whose name is a hash of its content; the link `current` names the one that is live. The
configuration carries the same hash in its `description`, so the running process tells which release it has loaded.
"""

from __future__ import annotations

import time
import typing as t
from dataclasses import dataclass

from . import files, host
from .files import Settings
from .host import Listener, ReleaseError
from .parse import Master, Server, count_servers, limit_line, loaded_release, refusal
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
)

MARK = "@release@"


@dataclass(frozen=True)
class Wanted:
    """What the caller asks for."""

    content: str
    inputs: tuple[str, ...]
    maxconn: int | None
    reserve: int
    listeners: tuple[Listener, ...]
    keep: int


def find_limit(properties: t.Mapping[str, str], drop_in: str | None, maxconn: int, reserve: int, servers: int) -> Limit:
    """Look whether the connections fit into what a process of the unit gets, and whether more can be had."""
    threads = host.threads()
    needed = files_needed(maxconn + reserve, servers, threads)
    limit = host.unit_limit(properties)
    if limit >= needed:
        return Limit(limit_line(drop_in), None)
    possible = host.transient_limit(str(needed))
    if possible >= needed:
        return Limit(needed, needed)
    raise ReleaseError(out_of_files(maxconn, reserve, servers, threads, max(limit, possible)))


def look(settings: Settings, wanted: Wanted, name: str, text: str) -> tuple[State, Plan]:
    """What is there, and what is to be done about it."""
    properties = host.unit_properties(settings.unit)
    state = host.read_state(settings, properties, name)
    limit = Limit(limit_line(state.drop_in), None)
    if wanted.maxconn is not None:
        limit = find_limit(properties, state.drop_in, wanted.maxconn, wanted.reserve, count_servers(text))
    drop_in = drop_in_text(settings.binary, settings.config, settings.pid_file, settings.master_socket, limit.stated)
    return state, make_plan(state, name, text, drop_in, limit.raise_to, wanted.keep)


def validate(settings: Settings, config: str, text: str) -> None:
    """Let the real binary read the configuration as a whole, then look whether its ports are free."""
    code, output = host.run(settings.binary, "-c", "-f", config)
    problem = refusal(text, output) if code != 0 else host.refused_bind(text)
    if problem:
        raise ReleaseError(f"{problem}; nothing was changed.")


def predict(settings: Settings, plan: Plan) -> None:
    """What check mode can find out: whether the binary, where there is one, takes the configuration."""
    if plan.stage and host.installed(settings):
        with files.aside(plan.text) as config:
            validate(settings, config, plan.text)


def stage(settings: Settings, plan: Plan) -> None:
    """Write the release beside the live one; it gets its name only after HAProxy has taken it."""
    with files.staged(settings, plan.text) as config:
        validate(settings, config, plan.text)
        files.name_release(settings, config, plan.release)


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


def verify(settings: Settings, listeners: t.Sequence[Listener], before: t.Mapping[str, Server]) -> None:
    """Listeners answer, and no server is lost that was up."""

    def problem() -> str | None:
        silent = [found for found in map(host.answers, listeners) if found]
        if silent:
            return silent[0]
        after = host.servers(settings)
        dead = outage(before, after)
        if dead:
            # No time to wait: clients are turned away already.
            raise ReleaseError(dead)
        return lost_server(before, after)

    found = wait_for(problem, settings.timeout)
    if found:
        raise ReleaseError(found)


def roll_back(settings: Settings, state: State, plan: Plan) -> str:
    """Bring back what served before, and say what came of it."""
    if plan.write_drop_in:
        files.put_drop_in(settings, state.drop_in)
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


def apply(settings: Settings, state: State, plan: Plan, listeners: t.Sequence[Listener]) -> None:
    """Do what the plan says; whatever fails after the release is staged is taken back."""
    before = host.servers(settings) if state.active else {}
    if plan.stage:
        stage(settings, plan)
    try:
        if plan.write_drop_in:
            files.put_drop_in(settings, plan.drop_in)
        if plan.daemon_reload:
            host.run("systemctl", "daemon-reload")
        if plan.raise_to is not None:
            host.raise_running_limit(state.pid, plan.raise_to)
        if plan.flip:
            files.flip(settings, plan.release)
        if plan.process != "none":
            drive(settings, plan.process, plan.release)
            verify(settings, listeners, before)
    except (ReleaseError, OSError) as error:
        try:
            outcome = roll_back(settings, state, plan)
        except (ReleaseError, OSError) as second:
            outcome = f"going back failed too: {second}"
        raise ReleaseError(f"The new configuration did not come up: {str(error).rstrip('.')}; {outcome}.") from error
    files.prune(settings, plan.prune)


def release(settings: Settings, wanted: Wanted, check_mode: bool) -> tuple[State, Plan]:
    """The whole way: look, plan, and do it unless this is check mode."""
    if MARK not in wanted.content:
        raise ReleaseError(f"The configuration lacks the mark {MARK}, by which a running process tells its release.")
    name = release_id(wanted.content, {path: files.read_bytes(path) for path in wanted.inputs})
    text = wanted.content.replace(MARK, name)
    if check_mode:
        state, plan = look(settings, wanted, name, text)
        predict(settings, plan)
        return state, plan
    with files.lock(settings):
        state, plan = look(settings, wanted, name, text)
        apply(settings, state, plan, wanted.listeners)
    return state, plan
