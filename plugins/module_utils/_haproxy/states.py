# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How the states of servers get into a configuration of HAProxy and into its process. Pure."""

from __future__ import annotations

import csv
import typing as t
from dataclasses import dataclass

from .._proxy.states import Intent

#: Bits of srv_admin_state, from HAProxy's management guide ("show servers state").
FORCED_MAINT, FORCED_DRAIN = 0x01, 0x08
ANY_MAINT = 0x01 | 0x02 | 0x20 | 0x40
MARK = " # haproxy_server: "
#: What a line begins with that begins a section, from HAProxy's configuration manual.
SECTIONS = (
    "backend", "cache", "crt-store", "defaults", "fcgi-app", "frontend", "global", "http-errors", "listen", "log-forward",
    "log-profile", "mailers", "peers", "program", "resolvers", "ring", "traces", "userlist",
)  # fmt: skip


def words_of(intent: Intent) -> str:
    """What the line of a server says in the configuration: no weight takes no new client, as drain does."""
    weight = 0 if intent.state == "drain" else intent.weight
    words = [] if weight is None else [f"weight {weight}"]
    return " ".join(words + (["disabled"] if intent.state == "maint" else []))


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
        words = words_of(states.get(name, Intent()))
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
