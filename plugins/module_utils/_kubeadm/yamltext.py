# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plain data as YAML that people can read. Hosts have no YAML library, and JSON in one line is nothing to review."""

from __future__ import annotations

import json
import re
import typing as t

PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9._/-]*$")
#: Words that YAML takes for something else than text.
WORDS = {"true", "false", "yes", "no", "on", "off", "null", "y", "n"}


def scalar(value: t.Any) -> str:
    """One value. Text that could be taken for anything else is quoted."""
    if isinstance(value, str) and PLAIN.match(value) and value.lower() not in WORDS:
        return value
    return json.dumps(value)


def lines(value: t.Any, depth: int = 0) -> t.List[str]:
    """A mapping or a list as lines."""
    pad = "  " * depth
    found: t.List[str] = []
    if isinstance(value, dict):
        for key, entry in value.items():
            if isinstance(entry, (dict, list)) and entry:
                found.append(f"{pad}{scalar(key)}:")
                found += lines(entry, depth + 1)
            else:
                found.append(f"{pad}{scalar(key)}: {scalar(entry)}")
        return found
    for entry in value:
        if isinstance(entry, (dict, list)) and entry:
            first, *rest = lines(entry, depth + 1)
            found += [f"{pad}- {first.strip()}", *rest]
        else:
            found.append(f"{pad}- {scalar(entry)}")
    return found


def text(documents: t.Iterable[t.Mapping[str, t.Any]]) -> str:
    """Documents of one file."""
    return "".join("---\n" + "\n".join(lines(dict(document))) + "\n" for document in documents)
