# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which servers are drained, and how that gets into a configuration and into a process. Pure.

A process forgets what it was told as soon as it is reloaded. So the state of servers lies in a file, and is put onto the
lines of the servers whenever a configuration is written. It is no part of a release's name: a server that is drained does
not make a release another one.
"""

from __future__ import annotations

import csv
import json
import typing as t
from dataclasses import dataclass, replace

#: Bits of srv_admin_state, from HAProxy's management guide ("show servers state").
FORCED_MAINT, FORCED_DRAIN = 0x01, 0x08
ANY_MAINT = 0x01 | 0x02 | 0x20 | 0x40
MARK = " # haproxy_server: "
STATES = ("ready", "drain", "maint")
#: What a line begins with that begins a section, from HAProxy's configuration manual.
SECTIONS = (
    "backend", "cache", "crt-store", "defaults", "fcgi-app", "frontend", "global", "http-errors", "listen", "log-forward",
    "log-profile", "mailers", "peers", "program", "resolvers", "ring", "traces", "userlist",
)  # fmt: skip


class StateError(Exception):
    """One sentence for the user."""


@dataclass(frozen=True)
class Intent:
    """What a server is meant to be; a weight of None is the configuration's."""

    state: str = "ready"
    weight: int | None = None

    @property
    def words(self) -> str:
        """What the line of the server says in the configuration: no weight takes no new client, as drain does."""
        weight = 0 if self.state == "drain" else self.weight
        words = [] if weight is None else [f"weight {weight}"]
        return " ".join(words + (["disabled"] if self.state == "maint" else []))


@dataclass(frozen=True)
class Line:
    """A server in the configuration."""

    number: int  # counted from 0
    weight: int


@dataclass(frozen=True)
class Runtime:
    """A server as the running process has it."""

    admin: int
    weight: int
    status: str = ""
    sessions: int = 0

    @property
    def state(self) -> str:
        if self.admin & ANY_MAINT:
            return "maint"
        return "drain" if self.admin & FORCED_DRAIN or self.weight == 0 else "ready"

    @property
    def serves(self) -> bool:
        """Whether it takes new clients."""
        return self.state == "ready" and self.status.startswith(("UP", "no check"))


def parse_states(text: str | None, path: str) -> dict[str, Intent]:
    """The state file; a missing one is an empty one."""
    if not text:
        return {}
    try:
        entries = json.loads(text)
        found = {name: Intent(entry.get("state", "ready"), entry.get("weight")) for name, entry in entries.items()}
    except (ValueError, AttributeError) as error:
        raise StateError(
            f"{path} holds no states of servers ({error}); repair it, or remove it to forget them all."
        ) from error
    strange = [name for name, intent in found.items() if intent.state not in STATES]
    if strange:
        raise StateError(
            f"{path} has the state '{found[strange[0]].state}' for {strange[0]}; it has to be one of {', '.join(STATES)}."
        )
    return found


def dump_states(states: t.Mapping[str, Intent]) -> str:
    """The text of the state file; who is as the configuration says has no entry."""
    entries = {
        name: {"state": intent.state, **({} if intent.weight is None else {"weight": intent.weight})}
        for name, intent in states.items()
        if intent != Intent()
    }
    return json.dumps(entries, indent=2, sort_keys=True) + "\n"


def strip(line: str) -> str:
    """A line without what was put onto it."""
    head, mark, tail = line.partition(MARK)
    if not mark:
        return line
    words, comment, rest = tail.partition(" #")
    return head[: -len(words) - 1] + comment + rest if head.endswith(f" {words}") else line


def without_states(text: str) -> str:
    """A configuration as it was before states were put into it."""
    return "\n".join(strip(line) for line in text.split("\n"))


def server_lines(text: str) -> dict[str, Line]:
    """The servers of all backends, by backend/server, with the weight that the configuration gives them.

    A weight comes from the server's line, else from default-server of its backend, else from that of defaults, else it is 1.
    """
    found = {}
    section, inherited, common, default = "", False, 1, 1
    for number, line in enumerate(text.split("\n")):
        words = line.partition("#")[0].split()
        if not words:
            continue
        if words[0] in SECTIONS:
            section = words[1] if words[0] in ("backend", "listen") and len(words) > 1 else ""
            common = 1 if words[0] == "defaults" else common
            default = common
            inherited = words[0] == "defaults"
            continue
        stated = [int(value) for key, value in zip(words, words[1:]) if key == "weight" and value.isdigit()]
        if words[0] == "default-server" and stated:
            default = stated[-1]
            common = default if inherited else common
        elif words[0] == "server" and len(words) > 2 and section:
            found[f"{section}/{words[1]}"] = Line(number, (stated or [default])[-1])
    return found


def with_states(text: str, states: t.Mapping[str, Intent]) -> str:
    """A configuration with the states on the lines of their servers. Later words of a line win over earlier ones."""
    lines = without_states(text).split("\n")
    for name, line in server_lines("\n".join(lines)).items():
        words = states.get(name, Intent()).words
        if words:
            head, comment, rest = lines[line.number].partition(" #")
            lines[line.number] = f"{head} {words}{MARK}{words}{comment}{rest}"
    return "\n".join(lines)


def parse_runtime(servers_state: str, stat: str) -> dict[str, Runtime]:
    """`show servers state` and `show stat`, by backend/server."""
    rows = csv.DictReader(stat.lstrip("# ").splitlines())
    seen = {f"{row['pxname']}/{row['svname']}": row for row in rows}
    names: list[str] = []
    found = {}
    for line in servers_state.splitlines():
        if line.startswith("#"):
            names = line.lstrip("# ").split()
            continue
        entry = dict(zip(names, line.split()))
        if "srv_name" not in entry:
            continue
        name = f"{entry['be_name']}/{entry['srv_name']}"
        row = seen.get(name, {})
        found[name] = Runtime(
            int(entry["srv_admin_state"]), int(entry["srv_uweight"]), row.get("status") or "", int(row.get("scur") or 0)
        )
    return found


def parse_sessions(stat: str) -> dict[str, int]:
    """How many sessions every server has, by backend/server."""
    rows = csv.DictReader(stat.lstrip("# ").splitlines())
    return {f"{row['pxname']}/{row['svname']}": int(row.get("scur") or 0) for row in rows}


def parse_session_ids(text: str, name: str) -> list[str]:
    """The sessions of a server in `show sess`."""
    backend, dummy, server = name.partition("/")
    wanted = {f"be={backend}", f"srv={server}"}
    return [line.split(":")[0] for line in text.splitlines() if line.startswith("0x") and wanted <= set(line.split())]


def choose(known: t.Collection[str], server: str, backend: str | None) -> list[str]:
    """The servers that are meant: one, or those of that name in all backends."""
    found = sorted(
        name for name in known if name == f"{backend}/{server}" or (backend is None and name.endswith(f"/{server}"))
    )
    if not found:
        where = f"backend {backend} has no server {server}" if backend else f"no backend has a server {server}"
        raise StateError(f"{where[0].upper()}{where[1:]}; there are {', '.join(sorted(known)) or 'none'}.")
    return found


def merge(intent: Intent, state: str | None, weight: str | None) -> Intent:
    """What is meant after a request; what it does not name stays."""
    merged = intent if state is None else replace(intent, state=state)
    if weight is None:
        return merged
    if weight == "configured":
        return replace(merged, weight=None)
    if not weight.isdigit() or int(weight) > 256:
        raise StateError(f"weight is '{weight}'; it has to be a number from 0 to 256, or configured.")
    return replace(merged, weight=int(weight))


def commands(name: str, now: Runtime, wanted: Intent, configured: int) -> list[str]:
    """What to tell the running process."""
    found = []
    if wanted.state == "ready" and now.admin & (FORCED_MAINT | FORCED_DRAIN):
        found.append(f"set server {name} state ready")
    elif wanted.state == "drain" and (now.admin & FORCED_MAINT or not (now.admin & FORCED_DRAIN or now.weight == 0)):
        found.append(f"set server {name} state drain")
    elif wanted.state == "maint" and not now.admin & FORCED_MAINT:
        found.append(f"set server {name} state maint")
    weight = configured if wanted.weight is None else wanted.weight
    # A server that is drained by its weight keeps that until it is ready again.
    if wanted.state != "drain" and now.weight != weight:
        found.append(f"set server {name} weight {weight}")
    return found


def emptied(names: t.Collection[str], after: t.Mapping[str, Intent], runtime: t.Mapping[str, Runtime]) -> str | None:
    """The first backend that would be left without a server that takes new clients."""
    for backend in sorted({name.split("/")[0] for name in names}):
        serving = [name for name, server in runtime.items() if name.startswith(f"{backend}/") and server.serves]
        left = [
            name for name in serving if name not in names or after[name].state == "ready" and after[name].weight != 0
        ]
        if serving and not left:
            return backend
    return None
