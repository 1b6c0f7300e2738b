# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults on request: a cloud that is slow, throttles, fails, takes a call and never answers it, or knows it late."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from .operations.registry import is_write
from .parameters import json_list

# Parameters that hold a batch in JSON. The other batches are lists of resources: ResourceId.1, ResourceId.2 ...
BATCHES = ("AclEntrys", "BackendServers", "NewBackendServers", "OldBackendServers", "RuleIds", "RuleList")
_RESOURCE = re.compile(r"ResourceId\.\d+")


@dataclass
class Fault:
    """What happens to the next calls of an action.

    Without code, body and drop a fault only delays. With after, the call takes effect first: that finds callers who
    repeat what is not to be repeated. With partial, the first elements of a batch take effect first; only batches that
    are longer are hit. With stale_seconds or stale_writes, the answer is that of an older state; only reads are hit.
    """

    action: str = "*"
    skip: int = 0  # so many calls go well first
    count: int = 1  # so many calls are hit; 0 is every call until the faults are deleted
    delay: float = 0.0  # seconds
    after: bool = False
    code: str = ""
    message: str = ""
    status: int = 400
    body: str = ""  # an answer that is no JSON, such as a gateway's page
    drop: bool = False  # the connection is closed without an answer
    retry_after: int = 0  # milliseconds, in the header that the SDK looks at
    rate: float = 0.0  # calls per second that are let through; the others are throttled
    burst: int = 1
    partial: int = 0  # so many elements of a batch take effect
    stale_seconds: float = 0.0
    stale_writes: int = 0

    @property
    def stale(self) -> bool:
        return bool(self.stale_seconds or self.stale_writes)

    @property
    def takes_effect(self) -> bool:
        """Whether the call is carried out, in part at least, before the caller gets something else than its answer."""
        return self.after or bool(self.partial)

    def hits(self, action: str, wire: Mapping[str, str]) -> bool:
        if self.action not in ("*", action) or (self.stale and is_write(action)):
            return False
        return not self.partial or _batch_length(wire) > self.partial

    @property
    def answers(self) -> bool:
        """Whether the caller gets something else than the call's own answer."""
        return bool(self.code or self.body or self.drop)


KINDS = {field.name: field.type for field in fields(Fault)}


def parse(given: Any) -> list[Fault]:
    """Faults from the control interface. Raises ValueError that names what is wrong."""
    if not isinstance(given, list) or not all(isinstance(entry, Mapping) for entry in given):
        raise ValueError("faults must be a list of objects")
    return [_fault(entry) for entry in given]


def _fault(entry: Mapping[str, Any]) -> Fault:
    unknown = sorted(set(entry) - set(KINDS))
    if unknown:
        raise ValueError(f"a fault has no {', '.join(unknown)}; it has {', '.join(KINDS)}")
    for name, value in entry.items():
        good = {"str": (str,), "int": (int,), "float": (int, float), "bool": (bool,)}[str(KINDS[name])]
        if not isinstance(value, good) or (isinstance(value, bool) and bool not in good):
            raise ValueError(f"{name} of a fault is {value!r}; it has to be of the type {KINDS[name]}")
        if isinstance(value, (int, float)) and value < 0:
            raise ValueError(f"{name} of a fault is {value!r}; it can't be negative")
    fault = Fault(**entry)
    if fault.partial and not fault.answers:
        raise ValueError("a fault with partial needs code, body or drop: what the caller sees of the rest")
    return fault


def _batch_length(wire: Mapping[str, str]) -> int:
    """Elements of the longest batch of a call."""
    texts = (json_list(wire[name]) or [] for name in BATCHES if name in wire)
    return max([len(found) for found in texts] + [sum(1 for name in wire if _RESOURCE.fullmatch(name))])


def cut(wire: Mapping[str, str], length: int) -> dict[str, str]:
    """The parameters with the first so many elements of their batches."""
    resources = [name for name in wire if _RESOURCE.fullmatch(name)]
    resources.sort(key=lambda name: int(name.split(".")[1]))
    kept = {name: text for name, text in wire.items() if name not in resources[length:]}
    batches = {name: json_list(kept[name]) for name in BATCHES if name in kept}
    return {**kept, **{name: json.dumps(found[:length]) for name, found in batches.items() if found is not None}}


class Bucket:
    """A token bucket: burst calls at once, then rate calls per second."""

    def __init__(self, rate: float, burst: int, now: float) -> None:
        self._rate, self._burst = rate, burst
        self._tokens, self._at = float(burst), now

    def take(self, now: float) -> bool:
        """Whether one more call may pass."""
        self._tokens = min(float(self._burst), self._tokens + (now - self._at) * self._rate)
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class Faults:
    """The faults that wait for their calls, in the order in which they were given."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._waiting: list[Fault] = []
        self._buckets: dict[int, Bucket] = {}

    def plain(self) -> list[dict[str, Any]]:
        return [asdict(fault) for fault in self._waiting]

    def set(self, faults: list[Fault]) -> None:
        """Replace all faults."""
        self._waiting = faults
        now = self._clock()
        self._buckets = {id(fault): Bucket(fault.rate, fault.burst, now) for fault in faults if fault.rate}

    def take(self, action: str, wire: Mapping[str, str]) -> Fault | None:
        """The fault that hits this call; it is used up when its count is."""
        for fault in self._waiting:
            if not fault.hits(action, wire):
                continue
            if fault.rate:
                if self._buckets[id(fault)].take(self._clock()):
                    continue
                return Fault(code=fault.code or "Throttling.User", status=fault.status, retry_after=fault.retry_after)
            if fault.skip:
                fault.skip -= 1
                continue
            if fault.count == 1:
                self._waiting.remove(fault)
            elif fault.count > 1:
                fault.count -= 1
            return fault
        return None
