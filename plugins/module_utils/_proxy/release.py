# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bring a configuration live, or leave the old one serving. PRIVATE to the collection.

A release is a directory whose name is a hash of its content; the link `current` names the one that is live. Certificates and
keys lie in the release too, so a way back brings back those that belong to it. What differs between programs is a `Proxy`.
"""

from __future__ import annotations

import os
import typing as t
from dataclasses import dataclass

from . import files, host
from .container import unit_text
from .host import wait_for
from .parse import Server, limit_line, pem_problem
from .plan import Limit, Plan, State, lost_server, make_plan, outage, release_id, rounded_up
from .proxy import File, Listener, Proxy, ReleaseError, Wanted
from .states import Intent, StateError, parse_states

MARK = "@release@"
PLACE = "@directory@"


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


def read_file(file: File, title: str) -> bytes | None:
    """The content of a file; None where it is missing. What can't be read or is no PEM is told."""
    try:
        data = files.read_bytes(file.source)
    except OSError as error:
        raise ReleaseError(
            f"{file.option} {file.source}, which can't be read: {error.strerror}; nothing was changed."
        ) from error
    problem = None if data is None else pem_problem(data, file.holds, title)
    if problem:
        raise ReleaseError(f"{file.option} {file.source}, {problem}; nothing was changed.")
    return data


def read_states(proxy: Proxy) -> dict[str, Intent]:
    try:
        return parse_states(files.read(proxy.server_state), proxy.server_state)
    except StateError as error:
        raise ReleaseError(str(error)) from error


def prepare(proxy: Proxy, wanted: Wanted) -> Release:
    """Name the release by all that it consists of, and put the states of servers into its configuration."""
    lacking = proxy.lacks(wanted.content)
    if lacking:
        raise ReleaseError(lacking)
    found = {file: read_file(file, proxy.TITLE) for file in wanted.files}
    texts = {name: text.encode() for name, text in wanted.texts}
    missing = [f"{file.option} {file.source}, which is not there" for file, data in found.items() if data is None]
    inputs = {path: files.read_bytes(path) for path in wanted.inputs}
    release = release_id(wanted.content, {**inputs, **texts, **{file.name: data for file, data in found.items()}})
    states = read_states(proxy)
    text = wanted.content.replace(MARK, release).replace(PLACE, proxy.place(release))
    beside = {name: data.replace(PLACE.encode(), proxy.place(release).encode()) for name, data in texts.items()}
    beside.update({file.name: data for file, data in found.items() if data is not None})
    sources = {file.name: file.source for file in wanted.files}
    return Release(release, proxy.with_states(text, states), beside, sources, states, tuple(missing))


def find_limit(proxy: Proxy, properties: t.Mapping[str, str], state: State, wanted: Wanted, text: str) -> Limit:
    """Look whether the connections fit into what a process of the unit gets, and whether more can be had."""
    needed = proxy.files_needed(wanted, text)
    if needed is None:
        return Limit(limit_line(state.unit_file), None)
    limit = host.unit_limit(properties, state.pid)
    # What an engine gives to a container depends on its own settings, so a container always states what it needs.
    if limit >= needed and proxy.container is None:
        return Limit(limit_line(state.unit_file), None)
    if limit >= needed and state.pid:
        return Limit(max(needed, limit_line(state.unit_file) or 0), None)
    roomy = rounded_up(needed)
    possible = host.transient_limit(str(roomy))
    if possible >= needed:
        return Limit(min(roomy, possible), min(roomy, possible))
    sentence = proxy.out_of_files(wanted, text, max(limit, possible))
    if not wanted.lenient:
        raise ReleaseError(sentence)
    return Limit(limit_line(state.unit_file), None, sentence)


def unit_file_text(proxy: Proxy, limit: int | None) -> str:
    """What the unit has to say so that it runs what is live."""
    if proxy.container is None:
        return proxy.drop_in_text(limit)
    return unit_text(proxy.container, proxy.job(proxy.container), limit)


def look(proxy: Proxy, wanted: Wanted, new: Release) -> tuple[State, Plan]:
    """What is there, and what is to be done about it."""
    properties = host.unit_properties(proxy.unit)
    state = host.read_state(proxy, properties, new.name, new.beside)
    limit = find_limit(proxy, properties, state, wanted, new.text)
    unit_file = unit_file_text(proxy, limit.stated)
    return state, make_plan(state, new.name, new.text, unit_file, limit, wanted.keep)


def validate(proxy: Proxy, directory: str, new: Release, pid: int) -> None:
    """Let the real binary read the release in a directory as a whole, then look whether its ports are free."""
    config = os.path.join(directory, proxy.CONFIG)
    # Files that the configuration reads lie beside it, and not yet where they will.
    files.write(config, new.text.replace(proxy.place(new.name), directory), 0o640)
    code, output = host.check(proxy, config)
    files.write(config, new.text, 0o640)
    for name, source in new.sources.items():
        # What a user knows is the file that is copied.
        output = output.replace(os.path.join(directory, name), source)
    problem = proxy.refusal(new.text, output) if code != 0 else host.refused_bind(proxy, new.text, pid)
    if problem:
        raise ReleaseError(f"{problem}; nothing was changed.")


def predict(proxy: Proxy, state: State, plan: Plan, new: Release) -> None:
    """What check mode can find out: whether the binary, where there is one, takes the configuration."""
    if plan.stage and not new.missing and host.installed(proxy):
        with files.aside(new.beside) as directory:
            validate(proxy, directory, new, state.pid)


def stage(proxy: Proxy, state: State, new: Release) -> None:
    """Write the release beside the live one; it gets its name only after the program has taken it."""
    with files.staged(proxy, new.beside) as directory:
        validate(proxy, directory, new, state.pid)
        files.name_release(proxy, directory, new.name)


def verify(
    proxy: Proxy, listeners: t.Sequence[Listener], before: t.Mapping[str, Server], down: t.Collection[str]
) -> None:
    """Listeners answer, and no server of any backend is lost that was up, but those that are meant to be down."""

    def problem() -> str | None:
        silent = [found for found in map(host.answers, listeners) if found]
        if silent:
            return silent[0]
        after = proxy.servers()
        dead = outage(before, after, down)
        if dead:
            # No time to wait: clients are turned away already.
            raise ReleaseError(dead)
        return lost_server(before, after, down)

    found = wait_for(problem, proxy.timeout)
    if found:
        raise ReleaseError(found)


def roll_back(proxy: Proxy, state: State, plan: Plan) -> str:
    """Bring back what served before, and say what came of it."""
    if plan.write_unit:
        files.put_unit_file(proxy, state.unit_file)
        host.run("systemctl", "daemon-reload")
    keep_link = plan.previous is None and state.linked == plan.release
    if not keep_link:
        files.flip(proxy, plan.previous)
    if plan.stage and plan.release not in state.releases:
        files.discard(proxy, plan.release)
    if plan.previous is not None:
        try:
            proxy.drive("reload" if plan.process == "reload" else "restart", plan.previous)
        except ReleaseError as error:
            return f"going back to release {plan.previous} failed too: {error}"
        return f"release {plan.previous} serves {'again' if state.active else 'instead'}"
    if state.active and not state.ours:
        # Nobody but the package's unit knows what served before.
        code, output = host.run("systemctl", "restart", proxy.unit)
        return "what ran before serves again" if code == 0 else f"what ran before did not come back: {output.strip()}"
    if not state.active:
        host.run("systemctl", "stop", proxy.unit)
        host.run("systemctl", "reset-failed", proxy.unit)
        return "the service is stopped, as it was"
    return "there is no other release to go back to"


def apply(proxy: Proxy, state: State, plan: Plan, new: Release, listeners: t.Sequence[Listener]) -> None:
    """Do what the plan says; whatever fails after the release is staged is taken back."""
    before = proxy.servers() if state.active else {}
    if plan.stage:
        stage(proxy, state, new)
    try:
        if plan.write_unit:
            files.put_unit_file(proxy, plan.unit_file)
        if plan.daemon_reload:
            host.run("systemctl", "daemon-reload")
        if plan.raise_to is not None:
            host.raise_running_limit(state.pid, plan.raise_to, proxy.TITLE)
        if plan.flip:
            files.flip(proxy, plan.release)
        if plan.process != "none":
            proxy.drive(plan.process, plan.release)
            verify(proxy, listeners, before, new.down)
    except (ReleaseError, OSError) as error:
        try:
            outcome = roll_back(proxy, state, plan)
        except (ReleaseError, OSError) as second:
            outcome = f"going back failed too: {second}"
        raise ReleaseError(f"The new configuration did not come up: {str(error).rstrip('.')}; {outcome}.") from error
    files.prune(proxy, plan.prune)


def release(proxy: Proxy, wanted: Wanted, check_mode: bool) -> tuple[State, Plan, Release]:
    """The whole way: look, plan, and do it unless this is check mode."""
    if check_mode:
        new = prepare(proxy, wanted)
        state, plan = look(proxy, wanted, new)
        predict(proxy, state, plan, new)
        return state, plan, new
    with files.lock(proxy):
        new = prepare(proxy, wanted)
        if new.missing:
            raise ReleaseError(f"{new.missing[0]}; nothing was changed.")
        state, plan = look(proxy, wanted, new)
        apply(proxy, state, plan, new, wanted.listeners)
    return state, plan, new
