# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Facts to decisions: what is there, what is wanted, and so what is to be done, with the sentences on it. Pure."""

from __future__ import annotations

import hashlib
import typing as t
from dataclasses import dataclass

from .parse import Server

LIMIT_STEP = 4096  # limits of open files are multiples of this


@dataclass(frozen=True)
class Limit:
    """Open files: what the drop-in has to state, and what the running process has to be raised to."""

    stated: int | None
    raise_to: int | None
    warning: str | None = None


@dataclass(frozen=True)
class State:
    """What is there before the run."""

    linked: str | None  # the release that the link names
    text: str | None  # its configuration
    staged: str | None  # the configuration of the wanted release, where it is there already
    loaded: str | None  # the release that the running process has loaded
    stale: bool  # and not as its configuration is now
    releases: tuple[str, ...]  # the newest first
    leftovers: tuple[str, ...]  # staged by a run that was killed
    active: bool
    ours: bool  # the process was started from the link
    pid: int  # of the master process; 0 where none runs
    unit_file: str | None  # what is ours of the unit: a drop-in, or all of it
    stale_unit: bool  # systemd has not read the unit files that are on disk
    apart: bool = False  # what is live lies at a place of its own, and not behind the link


@dataclass(frozen=True)
class Plan:
    """What a run does; it decides `changed`, the diff and the work."""

    release: str
    text: str
    unit_file: str
    stage: bool
    write_unit: bool
    daemon_reload: bool
    flip: bool
    raise_to: int | None
    process: str  # none | start | restart | reload
    prune: tuple[str, ...]
    previous: str | None  # what to go back to
    warning: str | None = None  # what has to be lived with

    @property
    def steps(self) -> list[str]:
        wanted = {
            "stage": self.stage,
            "write_unit": self.write_unit,
            "daemon_reload": self.daemon_reload,
            "raise_limit": self.raise_to is not None,
            "flip": self.flip,
            self.process: self.process != "none",
            "prune": bool(self.prune),
        }
        return [name for name, needed in wanted.items() if needed]


def rounded_up(needed: int) -> int:
    """A limit with room: one server more must not need another one, which a running process may be refused."""
    return -(-needed // LIMIT_STEP) * LIMIT_STEP


def make_plan(state: State, release: str, text: str, unit_file: str, limit: Limit, keep: int) -> Plan:
    """Compare what is wanted with what is there."""
    # Texts are compared too: somebody may have edited the file of a release by hand.
    same = state.linked == release and state.text == text
    if not state.active:
        process = "start"
    elif not state.ours:
        process = "restart"
    elif not same or state.loaded != release or state.stale:
        process = "reload"
    else:
        process = "none"
    # After a crash between flip and reload the process still runs the release before: that one is known to work.
    candidates = [name for name in (state.loaded, state.linked) if name in state.releases and name != release]
    previous = candidates[0] if candidates else None
    rest = [name for name in state.releases if name not in (release, previous)]
    kept = [name for name in (release, previous) if name]
    return Plan(
        release=release,
        text=text,
        unit_file=unit_file,
        stage=state.staged != text,
        write_unit=state.unit_file != unit_file,
        daemon_reload=state.stale_unit or state.unit_file != unit_file,
        flip=state.linked != release or (state.apart and state.text != text),
        raise_to=limit.raise_to if process in ("none", "reload") else None,
        process=process,
        prune=tuple(rest[max(0, keep - len(kept)) :]) + state.leftovers,
        previous=previous,
        warning=limit.warning,
    )


def release_id(content: str, inputs: t.Mapping[str, bytes | None]) -> str:
    """The name of a release: it changes with the configuration and with the files that the configuration reads."""
    digest = hashlib.sha256(content.encode())
    for path in sorted(inputs):
        data = inputs[path]
        digest.update(f"\0{path}\0{'missing' if data is None else hashlib.sha256(data).hexdigest()}".encode())
    return digest.hexdigest()[:12]


def outage(before: t.Mapping[str, Server], after: t.Mapping[str, Server], meant: t.Collection[str] = ()) -> str | None:
    """The first backend that had a server and has none any more, with the reasons; `meant` are servers to be down."""
    before = {name: server for name, server in before.items() if name not in meant}
    had = {name.split("/")[0] for name, server in before.items() if server.up}
    there = {name.split("/")[0] for name in after}
    have = {name.split("/")[0] for name, server in after.items() if server.up}
    dead = sorted((had & there) - have)
    if not dead:
        return None
    reasons = {server.reason for name, server in after.items() if name.split("/")[0] == dead[0]}
    return f"backend {dead[0]} lost all its servers ({', '.join(sorted(reasons))})"


def lost_server(
    before: t.Mapping[str, Server], after: t.Mapping[str, Server], meant: t.Collection[str] = ()
) -> str | None:
    """The first server that was up and is not, or is not known to be.

    One that left the configuration is not lost, nor one that is meant to be down.
    """
    kept = [name for name, server in before.items() if server.up and name in after and name not in meant]
    for name in kept:
        server = after[name]
        if not server.up:
            return f"server {name} was up before and is {server.status} now ({server.check} {server.reason})"
    # A new worker takes every server to be up until the first check has ended, so wait for that.
    waiting = [name for name in kept if not after[name].checked]
    return f"server {waiting[0]} was up before and has not been checked since" if waiting else None
