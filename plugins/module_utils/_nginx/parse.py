# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Text to facts: what nginx prints, and what the kernel says of its processes and their connections. Pure."""

from __future__ import annotations

import ipaddress
import re
import sys
import typing as t
from dataclasses import dataclass

WORKER = "nginx: worker process"
MASTER = "nginx: master process"


@dataclass(frozen=True)
class Complaint:
    """One message of nginx; the line is missing where nginx names none."""

    line: int | None
    message: str


@dataclass(frozen=True)
class Connection:
    """A TCP connection, as the kernel has it."""

    remote: str
    port: int
    inode: str


def complaints(output: str) -> list[Complaint]:
    """What nginx can't live with, as it prints it and as it logs it."""
    found = []
    for text in output.splitlines():
        match = re.search(r"\[(?:emerg|crit)\]\s*(?:\d+#\d+:\s*)?(.*)", text)
        if match:
            placed = re.match(r"(.*?) in \S+\.conf:(\d+)$", match.group(1))
            found.append(
                Complaint(int(placed.group(2)), placed.group(1)) if placed else Complaint(None, match.group(1))
            )
    return found


def refusal(content: str, output: str) -> str:
    """One sentence on a configuration that nginx does not take, with the line at fault."""
    found = complaints(output)
    lines = content.splitlines()
    if not found:
        return f"nginx refuses the configuration: {' '.join(output.split()) or 'it says nothing about the reason'}"
    first = found[0]
    if first.line is not None and 0 < first.line <= len(lines):
        quoted = lines[first.line - 1].strip()
        return f"nginx refuses line {first.line} of the configuration, '{quoted}': {first.message.rstrip(' .')}"
    return f"nginx refuses the configuration: {first.message.rstrip(' .')}"


def started_from(arguments: t.Sequence[str], command: t.Sequence[str]) -> bool:
    """Whether a master process was started by this command; nginx writes it into its title, with blanks between words."""
    return " ".join(arguments).strip() == f"{MASTER} {' '.join(command)}"


def parse_workers(titles: t.Mapping[int, str]) -> tuple[set[int], set[int]]:
    """Which processes of a family take new clients, and which only serve to the end."""
    new = {pid for pid, title in titles.items() if title == WORKER}
    return new, {pid for pid, title in titles.items() if title.startswith(WORKER)} - new


def parse_connections(text: str) -> list[Connection]:
    """The connections in /proc/net/tcp or tcp6, but for those that are not made yet and listeners.

    Addresses are there as words of 32 bits in the byte order of the machine.
    """
    found = []
    for line in text.splitlines()[1:]:
        fields = line.split()
        if len(fields) < 10 or fields[3] in ("02", "0A"):
            continue
        address, dummy, port = fields[2].rpartition(":")
        words = [bytes.fromhex(address[at : at + 8]) for at in range(0, len(address), 8)]
        data = b"".join(word[::-1] if sys.byteorder == "little" else word for word in words)
        remote = ipaddress.ip_address(data)
        mapped = remote.ipv4_mapped if isinstance(remote, ipaddress.IPv6Address) else None
        found.append(Connection(str(mapped or remote), int(port, 16), fields[9]))
    return found
