# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Text to facts: what HAProxy and its sockets print, and what a configuration says. Pure."""

from __future__ import annotations

import csv
import ipaddress
import re
import typing as t
from dataclasses import dataclass

from .._proxy.parse import Bind, Server


@dataclass(frozen=True)
class Complaint:
    """One message of `haproxy -c`; the line is missing where HAProxy names none."""

    line: int | None
    message: str


@dataclass(frozen=True)
class Master:
    """What the master process says of its workers."""

    workers: tuple[int, ...]
    failed_reloads: int
    old: tuple[int, ...] = ()  # workers of configurations before, which end with their last connection


def complaints(output: str) -> list[Complaint]:
    """The alerts in what HAProxy prints, from 2.2 to 3.x."""
    found = []
    for text in output.splitlines():
        match = re.match(r"\[ALERT\]\s*(?:\S+\s+)?\(\d+\)\s*:\s*(?:config\s*:\s*)?(.*)", text.strip())
        # Neither summaries nor what HAProxy lives with.
        if not match or re.search(r"atal errors found|rror\(s\) found in|Continuing\.$", match.group(1)):
            continue
        placed = re.match(r"(?:parsing\s+)?\[[^\]]*:(\d+)\]\s*:\s*(.*)", match.group(1))
        found.append(Complaint(int(placed.group(1)), placed.group(2)) if placed else Complaint(None, match.group(1)))
    return found


def refusal(content: str, output: str) -> str:
    """One sentence on a configuration that HAProxy does not take, with the first line at fault."""
    found = complaints(output)
    placed = [complaint for complaint in found if complaint.line is not None]
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    lines = content.splitlines()
    for complaint in placed:
        if complaint.line is not None and 0 < complaint.line <= len(lines):
            quoted = lines[complaint.line - 1].strip()
            message = complaint.message.rstrip(" .")
            return f"HAProxy refuses line {complaint.line} of the configuration, '{quoted}': {message}{more}"
    if found:
        return f"HAProxy refuses the configuration: {found[0].message.rstrip(' .')}{more}"
    return f"HAProxy refuses the configuration: {' '.join(output.split()) or 'it says nothing about the reason'}"


def parse_info(text: str) -> dict[str, str]:
    """`show info` as a dictionary with lower-case keys."""
    pairs = (line.partition(":") for line in text.splitlines())
    return {key.strip().lower(): value.strip() for key, colon, value in pairs if colon}


def parse_servers(text: str) -> dict[str, Server]:
    """The servers in `show stat`, by backend/server."""
    rows = csv.DictReader(text.lstrip("# ").splitlines())
    return {
        f"{row['pxname']}/{row['svname']}": Server(
            row.get("status") or "", row.get("check_status") or "", row.get("last_chk") or row.get("check_desc") or ""
        )
        for row in rows
        if row.get("svname") not in (None, "FRONTEND", "BACKEND")
    }


def parse_master(text: str) -> Master:
    """`show proc` of the master socket: workers by their configuration, and how many reloads failed since the newest."""
    workers: dict[str, list[int]] = {"workers": [], "old workers": []}
    section, failed = "", 0
    for line in text.splitlines():
        if line.startswith("# "):
            section = line[2:].strip()
            continue
        fields = line.split()
        if len(fields) < 2 or not fields[0].isdigit():
            continue
        if fields[1] == "master":
            match = re.search(r"\[failed: (\d+)\]", line)
            failed = int(match.group(1)) if match else 0
        elif fields[1] == "worker" and section in workers:
            workers[section].append(int(fields[0]))
    return Master(tuple(workers["workers"]), failed, tuple(workers["old workers"]))


def parse_binds(text: str) -> list[Bind]:
    """The TCP addresses of all bind lines; names, ranges, sockets and inherited files are left to HAProxy."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split("#")[0].split()
        if len(words) < 2 or words[0] != "bind":
            continue
        for place in words[1].split(","):
            address, colon, port = place.rpartition(":")
            address = address.strip("[]") if address not in ("", "*") else "0.0.0.0"
            try:
                ipaddress.ip_address(address)
            except ValueError:
                continue
            if colon and port.isdigit():
                found.append(Bind(number, address, int(port), tuple(words[2:])))
    return found


def count_servers(text: str) -> int:
    """How many servers a configuration has."""
    return len(re.findall(r"^\s*server\s", text, re.MULTILINE))


def loaded_release(info: t.Mapping[str, str]) -> str | None:
    """The release that a process says it runs: the last word of its description."""
    words = info.get("description", "").split()
    return words[-1] if words else None


def started_from(arguments: t.Sequence[str], config: str, master_socket: str) -> bool:
    """Whether a master process was started with our file and our socket; if not, a reload can't make it ours."""
    pairs = list(zip(arguments, arguments[1:]))
    return ("-f", config) in pairs and ("-S", master_socket) in pairs
