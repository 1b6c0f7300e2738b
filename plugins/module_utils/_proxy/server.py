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
from .host import wait_for
from .proxy import Proxy, ReleaseError
from .release import read_states
from .states import Intent, Served, StateError, choose, dump_states, emptied, merge

POLL = 0.5  # seconds between two looks at the sessions


@dataclass(frozen=True)
class Wish:
    """What the caller asks for; None leaves as it is. Whoever only looks may mean all servers, with None."""

    server: str | None
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
    orders: list[str]
    runtime: t.Mapping[str, Served]

    @property
    def needed(self) -> bool:
        return self.write_states or self.live != self.wanted or bool(self.orders)

    @property
    def write_states(self) -> bool:
        return (self.before or dump_states({})) != self.after


def plan(proxy: Proxy, wish: Wish) -> Change:
    """Look, and compare with what is wished."""
    live = files.read(proxy.config)
    if live is None:
        raise ReleaseError(
            f"{proxy.config} is not there, so there is no server; the role {proxy.ROLE} has to run first."
        )
    states = read_states(proxy)
    plain = proxy.without_states(live)
    weights = proxy.server_weights(plain)
    try:
        # A server that has left the configuration can still be forgotten.
        gone = states if wish.state == "ready" else {}
        names = choose({**gone, **weights}, wish.server, wish.backend)
        after = {**states, **{name: merge(states.get(name, Intent()), wish.state, wish.weight) for name in names}}
    except StateError as error:
        raise ReleaseError(str(error)) from error
    runtime = proxy.runtime()
    before = files.read(proxy.server_state)
    if wish.state is None and wish.weight is None:
        return Change(names, after, before, before or dump_states({}), live, live, [], runtime)
    backend = None if wish.allow_empty else emptied(names, after, runtime)
    if backend:
        raise ReleaseError(
            f"{wish.server} is the last server of backend {backend} that takes clients, so this would be an outage; "
            "bring another one up first, or set allow_empty to true."
        )
    wanted = proxy.with_states(plain, after)
    orders = proxy.orders(names, after, weights, live != wanted)
    text = before if before and after == states else dump_states(after)
    return Change(names, after, before, text, live, wanted, orders, runtime)


def write_config(proxy: Proxy, text: str) -> None:
    """Put a configuration in the place of the live one of the same release, once the real binary has taken it."""
    with files.aside({}) as directory:
        trial = os.path.join(directory, proxy.CONFIG)
        files.write(trial, text, 0o600)
        code, output = host.check(proxy, trial)
    if code != 0:
        raise ReleaseError(f"{proxy.refusal(text, output)}; nothing was changed.")
    release = files.linked_release(proxy)
    if release is None:
        raise ReleaseError(f"{proxy.link} is no link to a release; the role {proxy.ROLE} has to run first.")
    files.put_config(proxy, release, text)


def apply(proxy: Proxy, change: Change) -> None:
    """The file, the configuration, the process."""
    if change.write_states:
        files.write(proxy.server_state, change.after, 0o644)
    if change.live != change.wanted:
        write_config(proxy, change.wanted)
    if change.orders:
        proxy.obey(change.orders, change.names, change.states)


def busy(proxy: Proxy, names: t.Sequence[str], most: int) -> str | None:
    """One sentence while a server has more sessions than it may."""
    for name, found in proxy.count(names).items():
        if found.all > most:
            old = f", {found.old} of them in processes that a reload has replaced" if found.old else ""
            return f"server {name} still has {found.all} session{'s' if found.all != 1 else ''}{old}"
    return None


def wait(proxy: Proxy, names: t.Sequence[str], most: int, timeout: float, on_timeout: str) -> float:
    """Wait until every server has at most so many sessions; how many seconds that took."""
    begun = time.monotonic()
    found = wait_for(lambda: busy(proxy, names, most), timeout, POLL)
    if found and on_timeout == "fail":
        raise ReleaseError(f"After {timeout:g} seconds {found}; its state stays as it is now.")
    if found and on_timeout == "cut":
        proxy.cut(names)
        left = wait_for(lambda: busy(proxy, names, most), 5.0, POLL)
        if left:
            raise ReleaseError(f"The sessions were cut, and {left}.")
    return time.monotonic() - begun


def describe(proxy: Proxy, change: Change) -> list[dict[str, t.Any]]:
    """The servers as they are now, for whoever reads the result."""
    runtime, counts = proxy.runtime(), proxy.count(change.names)
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


def serve(proxy: Proxy, wish: Wish, check_mode: bool) -> Change:
    """Do what is wished, unless this is check mode; the lock keeps a run of the role out meanwhile."""
    if check_mode or not os.path.isdir(proxy.releases):
        return plan(proxy, wish)
    with files.lock(proxy):
        change = plan(proxy, wish)
        if change.needed:
            apply(proxy, change)
    return change
