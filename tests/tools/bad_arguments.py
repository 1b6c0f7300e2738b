# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Values for every option of an argument spec, right and wrong, as strategies of hypothesis. They come from the spec alone."""

from __future__ import annotations

import copy
import re
import typing as t

from catalogue import Spec
from hypothesis import strategies as st

Path = t.Tuple[str, ...]

#: Text that trips programs: nothing, blanks, control characters, other scripts, marks that shells, JSON and YAML know.
TEXTS = (
    "",
    " ",
    "-",
    "0",
    "-1",
    "None",
    "true",
    "a b",
    "a\nb",
    "a\tb\x00c",
    "\u540d\u5b57",
    "\u202eabc",
    "\U0001f600",
    "'",
    '"',
    "{'a': 1}",
    "[1",
    "http://x",
    "192.0.2.300",
    "2001:db8::1",
    "192.0.2.0/33",
    "lb-none",
    "acs:x",
    "clusterfront:owner",
    "x" * 81,
    "x" * 5000,
    "x y " * 2000,
)
NUMBERS = (-(10**30), -(2**31), -2, -1, 0, 1, 2, 79, 80, 300, 65535, 65536, 2**31, 2**63, 10**30)
#: Not a sentence's end, so that a test can count those of a message.
text = st.one_of(
    st.sampled_from(TEXTS), st.text(max_size=20).filter(lambda value: not re.search(r"[.!?](\s|$)", value))
)
number = st.one_of(st.sampled_from(NUMBERS), st.integers(-100, 100_000))
real = st.one_of(number, st.floats(), st.sampled_from([0.5, 1e308]))
scalar = st.one_of(st.none(), st.booleans(), number, st.floats(), text)
#: Any data that YAML can hold.
anything = st.recursive(
    scalar, lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(text, inner, max_size=3)), max_leaves=5
)


def of(option: t.Mapping[str, t.Any]) -> st.SearchStrategy[t.Any]:
    """Values of an option's own type, in its range or not."""
    kind = option.get("type", "str")
    if option.get("choices"):
        return st.sampled_from(option["choices"])
    if kind == "list":
        element = of({**option, "type": option.get("elements", "str")})
        return st.one_of(st.lists(element, max_size=4), element.map(lambda value: [value] * 320))
    if kind == "dict" and option.get("options"):
        parts = {name: of(part) for name, part in option["options"].items()}
        needed = {name: parts.pop(name) for name, part in option["options"].items() if part.get("required")}
        return st.fixed_dictionaries(needed, optional=parts)
    if kind == "dict":
        return st.dictionaries(text, scalar, max_size=25)
    return {"int": number, "float": real, "bool": st.booleans()}.get(kind, text)


def plausible(option: t.Mapping[str, t.Any]) -> t.Any:
    """One right value of an option, as far as its spec tells."""
    kind = option.get("type", "str")
    if option.get("choices"):
        value = option["choices"][0]
    elif kind == "dict":
        value = {name: plausible(part) for name, part in (option.get("options") or {}).items() if part.get("required")}
    else:
        value = {"int": 80, "float": 1.0, "bool": True}.get(kind, "192.0.2.21")
    return [value] if kind == "list" else value


def paths(spec: Spec, prefix: Path = ()) -> list[Path]:
    """Every option of a spec, at every depth."""
    found = []
    for name, option in spec.items():
        found.append((*prefix, name))
        found.extend(paths(option.get("options") or {}, (*prefix, name)))
    return found


def option_at(spec: Spec, path: Path) -> dict[str, t.Any]:
    """What the spec says of an option."""
    first, *rest = path
    return option_at(spec[first]["options"], tuple(rest)) if rest else spec[first]


def put(options: t.Mapping[str, t.Any], spec: Spec, path: Path, value: t.Any) -> dict[str, t.Any]:
    """The options with another value at a path; a part that is not there is made of plausible values."""
    first, *rest = path
    changed = copy.deepcopy(dict(options))
    if not rest:
        changed[first] = value
        return changed
    part, inner = spec[first], tuple(rest)
    if part["type"] == "list":
        elements = changed.get(first) or [
            {name: plausible(one) for name, one in part["options"].items() if one.get("required")}
        ]
        if isinstance(elements, list) and isinstance(elements[0], dict):
            changed[first] = [put(elements[0], part["options"], inner, value), *elements[1:]]
    elif isinstance(changed.get(first) or {}, dict):
        changed[first] = put(changed.get(first) or {}, part["options"], inner, value)
    return changed


def without(options: t.Mapping[str, t.Any], path: Path) -> dict[str, t.Any]:
    """The options without what is at a path; the part that it is of stays."""
    first, *rest = path
    changed = copy.deepcopy(dict(options))
    inner = changed.get(first)
    if not rest:
        changed.pop(first, None)
    elif isinstance(inner, list) and inner and isinstance(inner[0], dict):
        changed[first] = [without(inner[0], tuple(rest)), *inner[1:]]
    elif isinstance(inner, dict):
        changed[first] = without(inner, tuple(rest))
    return changed
