# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a configuration of nginx says: its listeners, its servers, and the states that are put onto their lines. Pure.

A server is called what the comment at the end of its line says, or by its address where there is none.
"""

from __future__ import annotations

import ipaddress
import re
import typing as t
from dataclasses import dataclass

from .._proxy.parse import Bind
from .._proxy.states import Intent

MARK = " # nginx_server: "
SERVER = re.compile(r"\s*server\s+([^\s;#]+)([^;#]*);(?:\s*#\s*(\S+))?")


@dataclass(frozen=True)
class Line:
    """A server in the configuration."""

    number: int  # counted from 0
    address: str
    port: int
    weight: int
    down: bool


def words_of(intent: Intent) -> str:
    """What the line of a server says: nginx knows no weight of 0, and does not check servers by itself."""
    words = [f"weight={intent.weight}"] if intent.weight else []
    return " ".join(words + (["down"] if intent.state != "ready" or intent.weight == 0 else []))


def split_address(text: str) -> tuple[str, int]:
    """Address and port, as nginx writes them."""
    match = re.fullmatch(r"(?:\[(.+)\]|([^:]*))(?::(\d+))?", text)
    if not match:
        return text, 0
    return match.group(1) or match.group(2), int(match.group(3) or 80)


def server_lines(text: str) -> dict[str, Line]:
    """The servers of all upstreams, by upstream/server."""
    found = {}
    upstream = ""
    for number, line in enumerate(text.split("\n")):
        begins = re.match(r"\s*upstream\s+(\S+)\s*\{", line)
        if begins:
            upstream = begins.group(1)
        elif re.match(r"\s*\}", line):
            upstream = ""
        server = SERVER.match(line.partition(MARK)[0]) if upstream else None
        if server:
            address, port = split_address(server.group(1))
            options = server.group(2).split()
            weights = [int(option[7:]) for option in options if re.fullmatch(r"weight=\d+", option)]
            found[f"{upstream}/{server.group(3) or address}"] = Line(
                number, address, port, (weights or [1])[-1], "down" in options
            )
    return found


def strip(line: str) -> str:
    """A line without what was put onto it."""
    head, mark, words = line.partition(MARK)
    return head.replace(f" {words};", ";", 1) if mark else line


def without_states(text: str) -> str:
    """A configuration as it was before states were put into it."""
    return "\n".join(strip(line) for line in text.split("\n"))


def with_states(text: str, states: t.Mapping[str, Intent]) -> str:
    """A configuration with the states on the lines of their servers. Later words of a line win over earlier ones."""
    lines = without_states(text).split("\n")
    for name, line in server_lines("\n".join(lines)).items():
        words = words_of(states.get(name, Intent()))
        if words:
            lines[line.number] = f"{lines[line.number].replace(';', f' {words};', 1)}{MARK}{words}"
    return "\n".join(lines)


def parse_binds(text: str) -> list[Bind]:
    """The TCP addresses of all listeners; names and sockets are left to nginx."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        match = re.match(r"\s*listen\s+([^\s;]+)([^;]*);", line)
        if not match or "udp" in match.group(2).split():
            continue
        place, port = match.group(1), 0
        if place.isdigit():
            address, port = "0.0.0.0", int(place)
        else:
            address, port = split_address(place)
            address = "0.0.0.0" if address == "*" else address
        try:
            ipaddress.ip_address(address)
        except ValueError:
            continue
        found.append(Bind(number, address, port, tuple(match.group(2).split())))
    return found


def number_of(text: str, directive: str) -> int | None:
    """The value of a directive that is a number."""
    match = re.search(rf"^\s*{directive}\s+(\d+)\s*;", text, re.MULTILINE)
    return int(match.group(1)) if match else None
