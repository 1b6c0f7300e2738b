# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tags as the API spells them."""

from __future__ import annotations

import typing as t


def listed(tags: t.Iterable[t.Mapping[str, str]] | None) -> dict[str, str]:
    """Tags of an answer, given as a bare list."""
    return {tag["TagKey"]: tag["TagValue"] for tag in tags or ()}


def wrapped(entry: t.Mapping[str, t.Any]) -> dict[str, str]:
    """Tags of an object of an answer, in the wrapper that most operations put around the list."""
    return listed((entry.get("Tags") or {}).get("Tag"))


def written(tags: t.Mapping[str, str]) -> list[dict[str, str]]:
    """Tags as a call takes them."""
    return [{"Key": key, "Value": value} for key, value in sorted(tags.items())]
