# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs a module predicted, done and once more, and compares the three with what the emulated cloud has before and after."""

from __future__ import annotations

import json
import pathlib
import re
import typing as t

from ansible.errors import AnsibleActionFail
from ansible.module_utils.urls import open_url
from ansible.plugins.action import ActionBase

#: What of the emulator's state is no load balancer: its counters and its surroundings.
SURROUNDINGS = ("sequence", "client_tokens", "health", "drains", "links_down", "switches", "inventory")
#: What the emulator notes of transitions that are over.
CLOCKWORK = ("next_status", "next_at", "busy_until", "servers_busy_until", "domains_busy_until")
#: Any value, and all that is below a path.
ANYTHING = "*"

Leaves = t.Dict[str, t.Any]


class ActionModule(ActionBase):  # type: ignore[misc]
    """One row of a table of options."""

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Fails with a sentence for everything that is not as the row says."""
        super().run(tmp, task_vars)
        dummy, row = self.validate_argument_spec(
            argument_spec={
                "module": {"type": "str", "required": True},
                "options": {"type": "dict", "required": True},
                "emulator": {"type": "str", "required": True},
                "state_file": {"type": "path", "required": True},
                "object": {"type": "str", "default": ""},
                "made": {"type": "dict"},
                "becomes": {"type": "dict"},
                "gone": {"type": "bool"},
                "refused": {"type": "str"},
                "warned": {"type": "str"},
            },
            required_one_of=[("made", "becomes", "gone", "refused")],
            mutually_exclusive=[("made", "becomes", "gone", "refused")],
        )
        state = pathlib.Path(row["state_file"])
        requests = f"{row['emulator']}/_emu/requests"
        before = read(state)
        runs = []
        for name in ("predicted", "done") if row["refused"] else ("predicted", "done", "again"):
            open_url(requests, method="DELETE", use_proxy=False)
            result = self._run_module(row["module"], row["options"], name == "predicted", task_vars)
            writes = json.load(open_url(requests, use_proxy=False))["writes"]
            runs.append(Run(name, result, writes, read(state)))
        wrong = list(refusal(row, before, runs) if row["refused"] else success(row, before, runs))
        if wrong:
            raise AnsibleActionFail("; ".join(wrong))
        return {"changed": bool(runs[1].result.get("changed"))}

    def _run_module(
        self, name: str, options: dict[str, t.Any], check_mode: bool, task_vars: dict[str, t.Any] | None
    ) -> dict[str, t.Any]:
        """The module as a task of its own would run it."""
        mode, self._task.check_mode = self._task.check_mode, check_mode
        try:
            return t.cast(
                "dict[str, t.Any]", self._execute_module(module_name=name, module_args=options, task_vars=task_vars)
            )
        finally:
            self._task.check_mode = mode


class Run(t.NamedTuple):
    """What a module said, how many calls of it wrote, and what the cloud was then."""

    name: str
    result: dict[str, t.Any]
    writes: int
    cloud: Leaves


def read(path: pathlib.Path) -> Leaves:
    """Every value that the emulator knows of load balancers and what belongs to them, by its path."""
    state = json.loads(path.read_text(encoding="utf-8"))
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


def refusal(row: dict[str, t.Any], before: Leaves, runs: t.Sequence[Run]) -> t.Iterator[str]:
    """What is wrong with a row that has to be refused, in one sentence and before anything is written."""
    for run in runs:
        sentence = str(run.result.get("msg"))
        if not run.result.get("failed") or not re.search(row["refused"], sentence):
            yield f"{run.name}: refused by {row['refused']!r} is expected, but it is {sentence!r}"
        if run.writes or run.cloud != before:
            yield f"{run.name}: refused after {run.writes} calls that write"


def success(row: dict[str, t.Any], before: Leaves, runs: t.Sequence[Run]) -> t.Iterator[str]:
    """What is wrong with a row that has to change the cloud as it says, and nothing else."""
    for run in runs:
        if run.result.get("failed"):
            yield f"{run.name}: {run.result.get('msg')}"
            return
    predicted, done, again = runs
    changed = row["becomes"] != {}
    if [run.result["changed"] for run in runs] != [changed, changed, False]:
        yield f"changed is {[run.result['changed'] for run in runs]} where {[changed, changed, False]} is expected"
    for name in ("steps", "kept", "diff"):
        if predicted.result[name] != done.result[name]:
            yield f"{name}: {predicted.result[name]} is predicted, and {done.result[name]} is done"
    for run in runs:
        diff = run.result["diff"]
        if (diff["before"] != diff["after"]) != run.result["changed"]:
            yield f"{run.name}: the diff is {diff} where changed is {run.result['changed']}"
        silent = row["warned"] is None or run is again
        warned = "|".join(filter(None, ["^$" if silent else None, row["warned"]]))
        if not re.search(warned, " ".join(map(str, run.result.get("warnings") or ()))):
            yield f"{run.name}: the warnings are {run.result.get('warnings')}"
    expected = [0, len(done.result["steps"]), 0]
    if [run.writes for run in runs] != expected or [run.result["api_calls"]["writes"] for run in runs] != expected:
        yield f"{[run.writes for run in runs]} calls write where {expected} are expected"
    if predicted.cloud != before or again.cloud != done.cloud:
        yield "the cloud is another one after check mode, or after the second run"
    yield from difference(row, before, done.cloud)


def difference(row: dict[str, t.Any], before: Leaves, after: Leaves) -> t.Iterator[str]:
    """What of the cloud changed beside what the row says, or did not."""
    found = changes(before, after)
    allowed: tuple[str, ...] = ()
    place = pattern(f"{row['object']}.") if row["object"] else ""
    if row["made"] or row["gone"]:
        new, old = objects(row["object"], after), objects(row["object"], before)
        whole = sorted(new - old if row["made"] else old - new)
        if len(whole) != 1:
            yield f"{whole} came or went where one {row['object']} is expected"
            return
        place = re.escape(f"{whole[0]}.")
        allowed = (f"{whole[0]}.",)
    for path, value in (row["made"] or row["becomes"] or {}).items():
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
