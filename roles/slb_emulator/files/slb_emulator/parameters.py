# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Parameters as they come over the wire, turned into what an operation's table says they are."""

from __future__ import annotations

import ast
import contextlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from .errors import ApiError, invalid, missing
from .tables import Field, Table

Tags = dict[str, str]

_BOOLEANS = {"true": True, "false": False}


def _scalar(name: str, text: str, kind: str) -> Any:
    if kind == "int":
        try:
            return int(text)
        except ValueError:
            raise invalid(f"The specified parameter {name} is not valid: {text!r} is not a number.") from None
    if kind == "bool":
        if text.lower() not in _BOOLEANS:
            raise invalid(f"The specified parameter {name} is not valid: {text!r} is neither true nor false.")
        return _BOOLEANS[text.lower()]
    return text


def _list(name: str, item: Field, wire: Mapping[str, str]) -> list[Any]:
    """X.1, X.2 ... or X.1.Key, X.1.Value ..., in the order of their numbers."""
    elements: dict[int, Any] = {}
    for key, text in wire.items():
        found = re.fullmatch(rf"{re.escape(name)}\.(\d+)(?:\.(\w+))?", key)
        if found is None:
            continue
        index, part = int(found[1]), found[2]
        if part is None:
            elements[index] = _scalar(key, text, item.kind)
        elif part in item.fields:
            elements.setdefault(index, {})[part] = _scalar(key, text, item.fields[part].kind)
    return [elements[index] for index in sorted(elements)]


class Parameters:
    """The known parameters of a request, with checks that answer as the API does."""

    def __init__(self, wire: Mapping[str, str], table: Table) -> None:
        self.values: dict[str, Any] = {}
        for name, kind in table.items():
            if kind.kind == "list" and kind.item is not None:
                elements = _list(name, kind.item, wire)
                if elements:
                    self.values[name] = elements
            elif name in wire and (wire[name] != "" or kind.kind == "str"):
                # An empty text is a value (it clears a field); an empty number says nothing.
                self.values[name] = _scalar(name, wire[name], kind.kind)
        # RegionId is looked at for every operation alike, before this.
        for name, kind in table.items():
            if kind.required and name != "RegionId" and self.values.get(name) in (None, ""):
                raise missing(name)

    def __contains__(self, name: str) -> bool:
        return name in self.values

    def text(self, name: str, default: str = "") -> str:
        return str(self.values.get(name, default))

    def needed(self, name: str) -> str:
        if not self.text(name):
            raise missing(name)
        return self.text(name)

    def flag(self, name: str) -> bool:
        return bool(self.values.get(name, False))

    def integer(self, name: str, low: int, high: int, default: int, also: Sequence[int] = ()) -> int:
        value = int(self.values.get(name, default))
        if not low <= value <= high and value not in also and name in self.values:
            raise invalid(f"The specified {name} is invalid, as it should be in [{low}, {high}].")
        return value

    def port(self, name: str) -> int:
        if name not in self.values:
            raise missing(name)
        return self.integer(name, 1, 65535, 0)

    def choice(self, name: str, allowed: Sequence[str], default: str = "") -> str:
        value = self.text(name, default)
        if name in self.values and value not in allowed:
            raise invalid(f"The specified parameter {name} is not valid: {value!r} is none of {', '.join(allowed)}.")
        return value

    def matching(self, name: str, pattern: str, default: str = "") -> str:
        value = self.text(name, default)
        if value and not re.fullmatch(pattern, value):
            raise invalid(f"The specified parameter {name} is not valid: {value!r}.")
        return value

    def texts(self, name: str, limit: int = 0) -> list[str]:
        found = [str(value) for value in self.values.get(name, [])]
        if limit and len(found) > limit:
            raise invalid(f"At most {limit} values of {name} can be given.")
        return found

    def names(self, name: str, limit: int) -> list[str]:
        """A comma separated list."""
        found = [part.strip() for part in self.text(name).split(",") if part.strip()]
        if len(found) > limit:
            raise invalid(f"At most {limit} values of {name} can be given.")
        return found

    def tag_filter(self) -> list[tuple[str, str | None]]:
        """Keys, with values where only one will do. Tags is the older way: a list in JSON, of at most ten."""
        legacy = self.json_list("Tags", "InvalidParameter") if self.text("Tags") else []
        if len(legacy) > 10 or not all(isinstance(tag, dict) for tag in legacy):
            raise invalid("The specified parameter Tags is not a JSON array of at most ten tags.")
        found = [(str(tag.get("TagKey", "")), tag.get("TagValue")) for tag in legacy]
        return found + [(str(tag.get("Key", "")), tag.get("Value")) for tag in self.values.get("Tag", [])]

    def tags(self) -> Tags:
        return checked_tags({str(tag.get("Key", "")): str(tag.get("Value", "")) for tag in self.values.get("Tag", [])})

    def json_list(self, name: str, error: str) -> list[Any]:
        found = json_list(self.text(name))
        if found is None:
            raise ApiError(error)
        return found


def json_list(text: str) -> list[Any] | None:
    """A list in JSON, or None; single quotes are taken too, as the service takes them."""
    found = None
    try:
        found = json.loads(text)
    except ValueError:
        with contextlib.suppress(ValueError, SyntaxError):
            found = ast.literal_eval(text)
    return found if isinstance(found, list) else None


def checked_tags(tags: Tags) -> Tags:
    if len(tags) > 20:
        raise ApiError("TagCountLimit")
    for key, value in tags.items():
        for name, text, longest in (("TagKey", key, 64), ("TagValue", value, 128)):
            if len(text) > longest or text.startswith(("aliyun", "acs:")) or re.search("https?://", text):
                raise ApiError(f"Invalid{name}.Malformed", f"The specified {name} {text!r} is not valid.")
        if not key:
            raise ApiError("InvalidTagKey.Malformed", "A tag key must not be empty.")
    return tags


def has_tags(tags: Tags, wanted: Sequence[tuple[str, str | None]]) -> bool:
    return all(key in tags and value in (None, "", tags[key]) for key, value in wanted)


def tag_list(tags: Tags) -> list[dict[str, str]]:
    return [{"TagKey": key, "TagValue": value} for key, value in tags.items()]
