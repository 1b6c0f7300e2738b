# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The states that there were, for reads that are late."""

from __future__ import annotations

from collections import deque

from .store import State, restored

LENGTH = 200  # states; a read that is later than that sees the oldest


class History:
    """One state for each writing call, as the text that is on disk anyway."""

    def __init__(self) -> None:
        self._states: deque[tuple[float, str]] = deque(maxlen=LENGTH)

    def clear(self) -> None:
        self._states.clear()

    def add(self, now: float, text: str) -> None:
        """The state after a write, at this time."""
        self._states.append((now, text))

    def writes_ago(self, number: int) -> State:
        """The state without the last so many writes, or the oldest."""
        return restored(self._states[max(-len(self._states), -1 - number)][1])

    def at(self, moment: float) -> State:
        """The state as it was at a time, or the oldest."""
        before = [text for at, text in self._states if at <= moment]
        return restored(before[-1] if before else self._states[0][1])
