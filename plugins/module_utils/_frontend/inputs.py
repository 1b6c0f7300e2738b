# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Typed values of what a user wrote, by a role's argument specification.

Text is read as Ansible modules read it, for an ini inventory and -e have nothing but text. A value that nobody knows yet is
UNKNOWN, and never the default: it may follow from facts that nobody has gathered.
"""

from __future__ import annotations

import dataclasses
import difflib
import os
import typing as t

Spec = t.Mapping[str, t.Mapping[str, t.Any]]

#: The words that Ansible's modules take for a boolean.
TRUE = frozenset({"y", "yes", "on", "1", "true", "t"})
FALSE = frozenset({"n", "no", "off", "0", "false", "f"})
#: How much alike two names have to be behind their prefix for one to be a slip of the other; names of other roles are less alike.
ALIKE = 0.75


class Unknown:
    """The value of an option that cannot be known yet; because says why."""

    def __init__(self, because: str = "") -> None:
        self.because = because

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Unknown)

    def __hash__(self) -> int:
        return hash(Unknown)

    def __repr__(self) -> str:
        return f"Unknown({self.because!r})"


@dataclasses.dataclass(frozen=True)
class Read:
    """Values by the names of their options, defaults among them, and what is wrong or strange, a sentence each."""

    values: t.Dict[str, t.Any]
    problems: t.List[str]
    warnings: t.List[str]


class _Wrong(ValueError):
    """The end of a sentence that begins with the option and its value."""


def read(spec: Spec, given: t.Mapping[str, t.Any], prefix: str, known_names: t.Collection[str] = ()) -> Read:
    """Read what a user gave. known_names are other names with the prefix that are no options of this role and are right."""
    values = {name: option.get("default") for name, option in spec.items()}
    problems: t.List[str] = []
    warnings: t.List[str] = []
    for name, value in given.items():
        if name in spec:
            values[name], found = _option(name, value, spec[name])
            problems += found
        elif name.startswith(prefix) and name not in known_names:
            nearest = nearest_name(name, spec, prefix)
            if nearest:
                problems.append(f"{name} is no variable of this collection; {nearest} is meant, as it seems.")
            else:
                warnings.append(f"{name} is no variable of this collection, so nothing reads it.")
    return Read(values, problems, warnings)


def nearest_name(name: str, names: t.Iterable[str], prefix: str = "") -> str:
    """The name that somebody meant who wrote another one; empty where none is near."""
    rests = {other[len(prefix) :]: other for other in names}
    near = difflib.get_close_matches(name[len(prefix) :], rests, n=1, cutoff=ALIKE)
    return rests[near[0]] if near else ""


def _option(name: str, value: t.Any, option: t.Mapping[str, t.Any]) -> t.Tuple[t.Any, t.List[str]]:
    """The typed value of one option, and what is wrong with it."""
    if isinstance(value, Unknown):
        return value, []
    try:
        typed = _typed(value, option)
    except _Wrong as wrong:
        return option.get("default"), [f"{name} is {_shown(value)}, but {wrong}."]
    choices = option.get("choices")
    for entry in typed if isinstance(typed, list) else [typed]:
        if choices and entry not in choices:
            wanted = ", ".join(map(str, choices))
            return option.get("default"), [f"{name} is {_shown(entry)}, but it has to be one of {wanted}."]
    return _inner(name, typed, option)


def _inner(name: str, typed: t.Any, option: t.Mapping[str, t.Any]) -> t.Tuple[t.Any, t.List[str]]:
    """A dictionary, or a list of them, with its own options."""
    inner = option.get("options")
    if not inner or not isinstance(typed, (dict, list)):
        return typed, []
    problems: t.List[str] = []
    read_entries = []
    for number, entry in enumerate(typed if isinstance(typed, list) else [typed]):
        place = f"{name}[{number}]" if isinstance(typed, list) else name
        values = {key: sub.get("default") for key, sub in inner.items() if key in entry or "default" in sub}
        for key, value in entry.items():
            if key in inner:
                values[key], found = _option(f"{place}.{key}", value, inner[key])
                problems += found
            else:
                near = nearest_name(key, inner)
                meant = f"{near} is meant, as it seems" if near else f"it takes {', '.join(sorted(inner))}"
                problems.append(f"{place} has {key!r}, which it does not take; {meant}.")
        problems += [
            f"{place} lacks {key!r}." for key, sub in inner.items() if sub.get("required") and key not in entry
        ]
        read_entries.append(values)
    return (read_entries if isinstance(typed, list) else read_entries[0]), problems


def _typed(value: t.Any, option: t.Mapping[str, t.Any]) -> t.Any:
    kind = option.get("type", "str")
    if value is None:
        # a variable that is written without a value is not given
        return option.get("default")
    if kind == "list":
        entries = _listed(value)
        return [_typed(entry, {"type": option.get("elements", "raw")}) for entry in entries]
    return _READERS[kind](value)


def _listed(value: t.Any) -> t.List[t.Any]:
    if isinstance(value, (list, tuple)):
        return list(value)
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    if isinstance(value, (dict, bool)):
        raise _Wrong("it has to be a list")
    return [value]


def _text(value: t.Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        raise _Wrong("it has to be text: YAML reads 1.30 as the number 1.3, so write it in quotes")
    if isinstance(value, bool):
        raise _Wrong("it has to be text, so write it in quotes")
    if isinstance(value, int):
        return str(value)
    raise _Wrong("it has to be text")


def _number(value: t.Any) -> int:
    if isinstance(value, bool):
        raise _Wrong("it has to be a whole number")
    if isinstance(value, float) and value.is_integer():
        return int(value)
    try:
        return int(value) if isinstance(value, (int, str)) else _refuse("it has to be a whole number")
    except ValueError:
        raise _Wrong("it has to be a whole number") from None


def _decimal(value: t.Any) -> float:
    try:
        return float(value) if not isinstance(value, bool) else _refuse("it has to be a number")
    except (TypeError, ValueError):
        raise _Wrong("it has to be a number") from None


def _boolean(value: t.Any) -> bool:
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower()
    if isinstance(value, (int, float, str)) and word in TRUE | FALSE | {"1.0", "0.0"}:
        return word in TRUE or word == "1.0"
    raise _Wrong("it has to be true or false")


def _mapping(value: t.Any) -> t.Dict[str, t.Any]:
    if isinstance(value, dict):
        return dict(value)
    raise _Wrong("it has to be a dictionary of names and values")


def _refuse(wrong: str) -> t.Any:
    raise _Wrong(wrong)


_READERS: t.Dict[str, t.Callable[[t.Any], t.Any]] = {
    "str": _text,
    "path": lambda value: os.path.expanduser(os.path.expandvars(_text(value))),
    "int": _number,
    "float": _decimal,
    "bool": _boolean,
    "dict": _mapping,
    "raw": lambda value: value,
}


def _shown(value: t.Any) -> str:
    """A value as a sentence quotes it, not longer than anybody reads."""
    text = repr(value) if isinstance(value, (str, list, dict, tuple)) else str(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def agreed(spec: Spec, given: t.Mapping[str, t.Mapping[str, t.Any]]) -> t.Tuple[t.Dict[str, t.Any], t.List[str]]:
    """One value of each option for the whole front end, from those that machines have; an option that nobody has is not given.

    given are the variables by machine. A value that differs is refused with two machines that differ; text and number are the
    same where the option reads them so. A value that is known on one machine stands for those on which it is not.
    """
    values: t.Dict[str, t.Any] = {}
    problems = []
    for name in {name: None for variables in given.values() for name in variables}:
        had = [(machine, variables[name]) for machine, variables in given.items() if name in variables]
        known = [(machine, value) for machine, value in had if not isinstance(value, Unknown)]
        first, values[name] = (known or had)[0]
        option = spec.get(name, {"type": "raw"})
        meant = _option(name, values[name], option)[0]
        other = next(((machine, value) for machine, value in known if _option(name, value, option)[0] != meant), None)
        if other:
            problems.append(
                f"{name} is {_shown(values[name])} on {first} and {_shown(other[1])} on {other[0]}, but it is the front end's, so"
                " write it once for all of them, such as in group_vars/all."
            )
    return values, problems
