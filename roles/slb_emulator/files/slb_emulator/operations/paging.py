# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pages: by number, and by a token that says where the next one begins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from ..errors import ApiError, invalid
from ..parameters import Parameters

T = TypeVar("T")


def numbered(parameters: Parameters, found: Sequence[T], default: int) -> tuple[Sequence[T], int, int]:
    """The page, its number and its size."""
    if "PageSize" in parameters and "PageNumber" not in parameters:
        raise ApiError("MissingParameter", "PageNumber must be given together with PageSize.")
    size = parameters.integer("PageSize", 1, 100, default)
    number = parameters.integer("PageNumber", 1, 2**31 - 1, 1)
    return found[(number - 1) * size : number * size], number, size


def by_token(parameters: Parameters, found: Sequence[T], size: int) -> tuple[Sequence[T], str]:
    """The page and the token of the next; the token is empty after the last."""
    token = parameters.text("NextToken")
    if token and not (token.startswith("next-") and token[5:].isdigit()):
        raise invalid("The specified parameter NextToken is not valid.")
    start = int(token[5:]) if token else 0
    end = start + size
    return found[start:end], f"next-{end}" if end < len(found) else ""
