# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Compares a module that ran predicted, done and once more with the row of a table, by what the emulated cloud had before and after."""

from __future__ import annotations

import re
import typing as t

#: What of the emulator's state is no load balancer: its counters and its surroundings.
SURROUNDINGS = ("sequence", "client_tokens", "health", "drains", "links_down", "switches", "inventory")
#: What the emulator notes of transitions that are over.
CLOCKWORK = ("next_status", "next_at", "busy_until", "servers_busy_until", "domains_busy_until")
#: Any value, and all that is below a path.
ANYTHING = "*"

Row = t.Dict[str, t.Any]
Leaves = t.Dict[str, t.Any]


class Run(t.NamedTuple):
    """What a module said, how many calls of it wrote, and what the cloud was then."""

    name: str
    result: dict[str, t.Any]
    writes: int
    cloud: Leaves


def of_state(state: t.Mapping[str, t.Any]) -> Leaves:
    """Every value that the emulator's state has of load balancers and what belongs to them, by its path."""
    return dict(leaves({name: value for name, value in state.items() if name not in SURROUNDINGS}))


def leaves(value: t.Any, path: str = "") -> t.Iterator[tuple[str, t.Any]]:
    """Values by their paths. What is in a list is known by what it is called, for its place says nothing."""
    if isinstance(value, list):
        if not all(isinstance(entry, dict) for entry in value):
            yield path, " ".join(sorted(value))
            return
        value = {called(entry): entry for entry in value}
    if not isinstance(value, dict):
        yield path, value
        return
    for name, inner in value.items():
        if name not in CLOCKWORK:
            yield from leaves(inner, f"{path}.{name}" if path else name)


def called(entry: t.Mapping[str, t.Any]) -> str:
    """A server by its id and port, a rule by its domain and URL, a further domain by itself."""
    return (
        f"{entry['server_id']}:{entry['port']}" if "server_id" in entry else f"{entry['domain']}{entry.get('url', '')}"
    )


def changes(before: Leaves, after: Leaves) -> Leaves:
    """Every value that is another one now; None for one that is gone."""
    return {path: after.get(path) for path in {**before, **after} if before.get(path) != after.get(path)}


def refusal(row: Row, before: Leaves, runs: t.Sequence[Run]) -> t.Iterator[str]:
    """What is wrong with a row that has to be refused, in one sentence and before anything is written."""
    for run in runs:
        sentence = str(run.result.get("msg"))
        if not run.result.get("failed") or not re.search(row["refused"], sentence):
            yield f"{run.name}: refused by {row['refused']!r} is expected, but it is {sentence!r}"
        if run.writes or run.cloud != before:
            yield f"{run.name}: refused after {run.writes} calls that write"


def success(row: Row, before: Leaves, runs: t.Sequence[Run]) -> t.Iterator[str]:
    """What is wrong with a row that has to change the cloud as it says, and nothing else."""
    for run in runs:
        if run.result.get("failed"):
            yield f"{run.name}: {run.result.get('msg')}"
            return
    predicted, done, again = runs
    changed = row.get("becomes") != {}
    if [run.result["changed"] for run in runs] != [changed, changed, False]:
        yield f"changed is {[run.result['changed'] for run in runs]} where {[changed, changed, False]} is expected"
    for name in ("steps", "kept", "diff"):
        if predicted.result[name] != done.result[name]:
            yield f"{name}: {predicted.result[name]} is predicted, and {done.result[name]} is done"
    for run in runs:
        diff = run.result["diff"]
        if (diff["before"] != diff["after"]) != run.result["changed"]:
            yield f"{run.name}: the diff is {diff} where changed is {run.result['changed']}"
        silent = row.get("warned") is None or run is again
        warned = "|".join(filter(None, ["^$" if silent else None, row.get("warned")]))
        if not re.search(warned, " ".join(map(str, run.result.get("warnings") or ()))):
            yield f"{run.name}: the warnings are {run.result.get('warnings')}"
    expected = [0, len(done.result["steps"]), 0]
    if [run.writes for run in runs] != expected or [run.result["api_calls"]["writes"] for run in runs] != expected:
        yield f"{[run.writes for run in runs]} calls write where {expected} are expected"
    if predicted.cloud != before or again.cloud != done.cloud:
        yield "the cloud is another one after check mode, or after the second run"
    yield from difference(row, before, done.cloud)


def difference(row: Row, before: Leaves, after: Leaves) -> t.Iterator[str]:
    """What of the cloud changed beside what the row says, or did not."""
    found = changes(before, after)
    allowed: tuple[str, ...] = ()
    place = pattern(f"{row['object']}.") if row["object"] else ""
    if row.get("made") or row.get("gone"):
        new, old = objects(row["object"], after), objects(row["object"], before)
        whole = sorted(new - old if row.get("made") else old - new)
        if len(whole) != 1:
            yield f"{whole} came or went where one {row['object']} is expected"
            return
        place = re.escape(f"{whole[0]}.")
        allowed = (f"{whole[0]}.",)
    for path, value in (row.get("made") or row.get("becomes") or {}).items():
        values = [found.pop(name) for name in list(found) if re.match(rf"{place}{pattern(path)}(\.|$)", name)]
        right = any(has is not None for has in values) if value == ANYTHING else all(has == value for has in values)
        if not (values and right):
            yield f"{path} became {values} where {value!r} is expected"
    strange = {path: value for path, value in found.items() if not path.startswith(allowed)}
    if strange:
        yield f"{strange} changed as well"


def objects(named: str, cloud: Leaves) -> set[str]:
    """The paths of all objects that there are of a pattern."""
    found = (re.match(rf"{pattern(named)}(?=\.)", path) for path in cloud)
    return {match.group() for match in found if match}


def pattern(path: str) -> str:
    """A path in which a star stands for an id."""
    return re.escape(path).replace(r"\*", "[^.]+")
