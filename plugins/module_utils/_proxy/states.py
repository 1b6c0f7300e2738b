# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which servers are drained. Pure.

A process forgets what it was told as soon as it is reloaded. So the state of servers lies in a file, and is put onto the
lines of the servers whenever a configuration is written. It is no part of a release's name: a server that is drained does
not make a release another one.
"""

from __future__ import annotations

import json
import typing as t
from dataclasses import dataclass, replace

STATES = ("ready", "drain", "maint")


class StateError(Exception):
    """One sentence for the user."""


@dataclass(frozen=True)
class Intent:
    """What a server is meant to be; a weight of None is the configuration's."""

    state: str = "ready"
    weight: int | None = None


def parse_states(text: str | None, path: str) -> dict[str, Intent]:
    """The state file; a missing one is an empty one."""
    if not text:
        return {}
    try:
        entries = json.loads(text)
        found = {name: Intent(entry.get("state", "ready"), entry.get("weight")) for name, entry in entries.items()}
    except (ValueError, AttributeError) as error:
        raise StateError(
            f"{path} holds no states of servers ({error}); repair it, or remove it to forget them all."
        ) from error
    strange = [name for name, intent in found.items() if intent.state not in STATES]
    if strange:
        raise StateError(
            f"{path} has the state '{found[strange[0]].state}' for {strange[0]}; it has to be one of {', '.join(STATES)}."
        )
    return found


def dump_states(states: t.Mapping[str, Intent]) -> str:
    """The text of the state file; who is as the configuration says has no entry."""
    entries = {
        name: {"state": intent.state, **({} if intent.weight is None else {"weight": intent.weight})}
        for name, intent in states.items()
        if intent != Intent()
    }
    return json.dumps(entries, indent=2, sort_keys=True) + "\n"


def choose(known: t.Collection[str], server: str | None, backend: str | None) -> list[str]:
    """The servers that are meant: those of a name, or all, in one backend or in all of them."""
    found = sorted(
        name
        for name in known
        for its_backend, dummy, its_name in [name.partition("/")]
        if backend in (None, its_backend) and server in (None, its_name)
    )
    if not found:
        what = f"server {server}" if server else "server"
        where = f"backend {backend} has no {what}" if backend else f"no backend has a {what}"
        raise StateError(f"{where[0].upper()}{where[1:]}; there are {', '.join(sorted(known)) or 'none'}.")
    return found


def merge(intent: Intent, state: str | None, weight: str | None) -> Intent:
    """What is meant after a request; what it does not name stays."""
    merged = intent if state is None else replace(intent, state=state)
    if weight is None:
        return merged
    if weight == "configured":
        return replace(merged, weight=None)
    if not weight.isdigit() or int(weight) > 256:
        raise StateError(f"weight is '{weight}'; it has to be a number from 0 to 256, or configured.")
    return replace(merged, weight=int(weight))


class Served(t.Protocol):
    """A server as the running process has it."""

    @property
    def serves(self) -> bool:
        """Whether it takes new clients."""

    @property
    def status(self) -> str:
        """What the process says of it."""

    @property
    def weight(self) -> int:
        """Its share."""


@dataclass(frozen=True)
class Count:
    """The sessions of a server."""

    current: int  # of the process that takes new clients
    old: int  # of processes that were replaced

    @property
    def all(self) -> int:
        return self.current + self.old


def emptied(names: t.Collection[str], after: t.Mapping[str, Intent], runtime: t.Mapping[str, Served]) -> str | None:
    """The first backend that would be left without a server that takes new clients."""
    for backend in sorted({name.split("/")[0] for name in names}):
        serving = [name for name, server in runtime.items() if name.startswith(f"{backend}/") and server.serves]
        left = [
            name for name in serving if name not in names or after[name].state == "ready" and after[name].weight != 0
        ]
        if serving and not left:
            return backend
    return None
