# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The status machine of listeners.

starting -> running, stopping -> stopped, and configuring -> what it was. An operation that meets a listener on its
way is answered with the busy code that the documentation gives for it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from .errors import ApiError
from .store import Listener, LoadBalancer
from .switches import Switches

Clock = Callable[[], float]

_BUSY = {
    "start": {"starting": "ServiceIsConfiguring", "configuring": "Operation.Deny", "stopping": "ServiceIsStopping"},
    "delete": {
        "starting": "OperationFailed.ListenerStatusNotSupport",
        "configuring": "OperationFailed.ListenerStatusNotSupport",
        "stopping": "ServiceIsStopping",
    },
    "rule": {
        "starting": "OperationFailed.ListenerStatusNotSupport",
        "configuring": "OperationFailed.ListenerStatusNotSupport",
        "stopping": "OperationFailed.ListenerStatusNotSupport",
    },
}
_BUSY_ELSE = {
    "starting": "ServiceIsConfiguring",
    "configuring": "ServiceIsConfiguring",
    "stopping": "ServiceIsStopping",
}


class Lifecycle:
    def __init__(self, switches: Switches, clock: Clock = time.time) -> None:
        self._switches = switches
        self._clock = clock

    def ready(self, listener: Listener, operation: str) -> None:
        """Refuse an operation on a listener that is between two statuses."""
        if listener.next_status:
            raise ApiError(_BUSY.get(operation, _BUSY_ELSE)[listener.status])

    def go(self, listener: Listener, via: str, to: str) -> None:
        seconds = self._switches.seconds("transition_seconds")
        if seconds:
            listener.status, listener.next_status, listener.next_at = via, to, self._clock() + seconds
        else:
            listener.status = to

    def configure(self, listener: Listener) -> None:
        self.go(listener, "configuring", listener.status)

    def settle(self, balancers: Iterable[LoadBalancer]) -> float | None:
        """End the transitions whose time has come; says when the next one ends."""
        now = self._clock()
        waiting: list[float] = []
        balancers = list(balancers)
        for balancer in balancers:
            if balancer.pending and balancer.pending_at <= now:
                balancer.attributes.update(balancer.pending)
                balancer.pending = {}
            elif balancer.pending:
                waiting.append(balancer.pending_at)
        for listener in (listener for balancer in balancers for listener in balancer.listeners.values()):
            if listener.next_status and listener.next_at <= now:
                listener.status, listener.next_status, listener.next_at = listener.next_status, "", 0.0
            elif listener.next_status:
                waiting.append(listener.next_at)
        return min(waiting, default=None)
