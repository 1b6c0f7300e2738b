# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which function answers which operation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..cloud import Answer, Call, Cloud
from ..tables import SLB

Handler = Callable[[Cloud, Call], Answer]


@dataclass(frozen=True)
class Operation:
    handler: Handler
    writes: bool
    regional: bool  # needs a RegionId that exists


_OPERATIONS: dict[tuple[str, str], Operation] = {}


def is_write(action: str) -> bool:
    return not action.startswith(("Describe", "List"))


def operation(action: str, version: str = SLB, regional: bool = True) -> Callable[[Handler], Handler]:
    def register(handler: Handler) -> Handler:
        _OPERATIONS[version, action] = Operation(handler, is_write(action), regional)
        return handler

    return register


def find(version: str, action: str) -> Operation | None:
    return _OPERATIONS.get((version, action))
