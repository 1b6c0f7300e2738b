# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connection drain: who left a listener, and when the connections to it are cut. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple

from .forwarding import Forward

# How long a server stays known after its cut: the longest that a silent connection is remembered.
REMEMBERED = 900.0

Memory = Mapping[str, "float | None"]  # a server of a listener: when its time to drain ends; None while it serves


class Step(NamedTuple):
    memory: dict[str, float | None]
    forwards: tuple[Forward, ...]  # with those servers whose connections are cut
    due: float | None  # when the next step is to be taken


def _listener(forward: Forward) -> str:
    return f"{forward.vpc} {forward.protocol} {forward.address} {forward.port} "


def _left(memory: Memory, forward: Forward, serving: Mapping[str, None], now: float) -> Iterator[tuple[str, float]]:
    """Servers that left the listener, each with the end of its time."""
    prefix = _listener(forward)
    for key, until in memory.items():
        if key.startswith(prefix) and key not in serving:
            until = now + (forward.drain or 0.0) if until is None else until
            if now < until + REMEMBERED:
                yield key, until


def step(memory: Memory, forwards: Iterable[Forward], now: float) -> Step:
    """A server that comes back in time goes on as if it had not left. Listeners that stop cut nothing."""
    kept: dict[str, float | None] = {}
    changed = []
    for forward in forwards:
        if forward.drain is None:
            changed.append(forward)
            continue
        prefix = _listener(forward)
        serving = dict.fromkeys(f"{prefix}{member.address} {member.port}" for member in forward.members)
        left = dict(_left(memory, forward, serving, now))
        kept.update({**serving, **left})
        over = (key.split(" ")[-2:] for key, until in left.items() if until <= now)
        changed.append(replace(forward, cut=tuple((address, int(port)) for address, port in over)))
    times = (time for until in kept.values() if until is not None for time in (until, until + REMEMBERED))
    return Step(kept, tuple(changed), min((time for time in times if time > now), default=None))
