# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a registrar tells of itself: a status for people and programs, and metrics in the text format of node_exporter.

Pure: no network, no clock, no Ansible.
"""

from __future__ import annotations

import collections
import dataclasses
import typing as t

from .labels import Problem
from .plan import Entry

PREFIX = "clusterfront_registrar_"


@dataclasses.dataclass
class Totals:
    """What was counted since the registrar started."""

    passes: int = 0
    failures: int = 0
    reads: int = 0
    writes: int = 0


@dataclasses.dataclass(frozen=True)
class Status:
    """What is registered, and why something is not. Times in seconds since 1970."""

    owner: str
    time: float
    entries: tuple[Entry, ...] = ()
    problems: tuple[Problem, ...] = ()
    #: engine -> what is wrong with it; empty where it answers.
    engines: t.Mapping[str, str] = dataclasses.field(default_factory=dict)
    totals: Totals = dataclasses.field(default_factory=Totals)
    #: When everything was well the last time.
    well: float | None = None
    pid: int | None = None
    #: The ids of the instances that were looked at; the next life of the registrar begins with them.
    load_balancers: tuple[str, ...] = ()

    def to_plain(self) -> dict[str, t.Any]:
        """The status as JSON has it."""
        return {
            "owner": self.owner,
            "time": round(self.time, 3),
            "well": None if self.well is None else round(self.well, 3),
            "pid": self.pid,
            "load_balancers": list(self.load_balancers),
            "engines": dict(self.engines),
            "entries": [
                {
                    "load_balancer": entry.load_balancer,
                    "server_group": entry.place.group,
                    "port": entry.place.port,
                    "state": entry.state,
                    "weight": entry.weight,
                    "containers": list(entry.containers),
                    "why": entry.why,
                }
                for entry in self.entries
            ],
            "problems": [dataclasses.asdict(problem) for problem in self.problems],
            "totals": dataclasses.asdict(self.totals),
        }


def lines(plain: t.Mapping[str, t.Any], now: float) -> list[str]:
    """The status as a person reads it."""
    totals = plain["totals"]
    found = [
        f"{plain['owner']}: looked {now - plain['time']:.0f} s ago, {totals['passes']} times in all, {totals['failures']} times with a"
        f" problem, {totals['reads']} calls that read and {totals['writes']} that write"
    ]
    found += [f"engine {name}: {why or 'answers'}" for name, why in plain["engines"].items()]
    found += map(entry_line, plain["entries"])
    found += [f"problem: {problem_line(problem)}" for problem in plain["problems"]]
    return found


def entry_line(entry: t.Mapping[str, t.Any]) -> str:
    """One entry in one line."""
    where = "default pool" if entry["server_group"] is None else f"{entry['server_group']}:{entry['port']}"
    weight = "" if entry["weight"] is None else f", weight {entry['weight']}"
    by = f" for {', '.join(entry['containers'])}" if entry["containers"] else ""
    why = f" ({entry['why']})" if entry["why"] else ""
    return f"{entry['load_balancer']} {where}: {entry['state']}{weight}{by}{why}"


def problem_line(problem: t.Mapping[str, t.Any]) -> str:
    """One problem in one line."""
    where = " at ".join(filter(None, (problem["container"], problem["load_balancer"])))
    return f"{where}: {problem['sentence']}" if where else str(problem["sentence"])


def _quoted(value: t.Any) -> str:
    return str(value).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def metrics(plain: t.Mapping[str, t.Any]) -> str:
    """The status as node_exporter reads it from a file."""
    entries = collections.Counter((entry["load_balancer"], entry["state"]) for entry in plain["entries"])
    problems = collections.Counter(problem["load_balancer"] or "" for problem in plain["problems"])
    totals = plain["totals"]
    families: list[tuple[str, str, str, list[tuple[dict[str, t.Any], t.Any]]]] = [
        ("entries", "gauge", "Entries of this host by SLB instance and state.",
         [({"load_balancer": name, "state": state}, count) for (name, state), count in sorted(entries.items())]),
        ("problems", "gauge", "Labels that can not be granted now.",
         [({"load_balancer": name}, count) for name, count in sorted(problems.items())] or [({}, 0)]),
        ("engine_up", "gauge", "Whether a container engine answers.",
         [({"engine": name}, int(not why)) for name, why in sorted(plain["engines"].items())]),
        ("passes_total", "counter", "How often everything was compared.", [({}, totals["passes"])]),
        ("failures_total", "counter", "How many of these ended with a problem.", [({}, totals["failures"])]),
        ("api_calls_total", "counter", "Calls of the cloud.",
         [({"kind": "read"}, totals["reads"]), ({"kind": "write"}, totals["writes"])]),
        ("last_pass_timestamp_seconds", "gauge", "When everything was compared last.", [({}, plain["time"])]),
        ("last_success_timestamp_seconds", "gauge", "When everything was well last.", [({}, plain["well"] or 0)]),
    ]  # fmt: skip
    found = []
    for name, kind, help_text, samples in families:
        found += [f"# HELP {PREFIX}{name} {help_text}", f"# TYPE {PREFIX}{name} {kind}"]
        for labels, value in samples:
            shown = ",".join(f'{key}="{_quoted(text)}"' for key, text in labels.items())
            found.append(f"{PREFIX}{name}{{{shown}}} {value}" if shown else f"{PREFIX}{name} {value}")
    return "\n".join(found) + "\n"
