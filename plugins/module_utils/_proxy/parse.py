# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Text to facts: what systemd and the kernel print, and what files hold. Pure."""

from __future__ import annotations

import ipaddress
import re
import sys
import typing as t
from dataclasses import dataclass


@dataclass(frozen=True)
class Server:
    """One server as somebody sees it who checks it."""

    status: str
    check: str
    reason: str

    @property
    def up(self) -> bool:
        return self.status.startswith("UP")

    @property
    def checked(self) -> bool:
        """False until the first health check has ended: until then a server is taken to be up."""
        return self.check.replace("* ", "") not in ("", "INI")


@dataclass(frozen=True)
class Listening:
    """A socket that listens, as the kernel has it."""

    address: str
    inode: str


@dataclass(frozen=True)
class Bind:
    """An address that a line of the configuration listens on."""

    line: int
    address: str
    port: int
    options: tuple[str, ...]


def parse_limit(text: str) -> int | None:
    """The hard limit of open files in a /proc/<pid>/limits."""
    match = re.search(r"^Max open files\s+\S+\s+(\S+)", text, re.MULTILINE)
    if not match:
        return None
    return 2**30 if match.group(1) == "unlimited" else int(match.group(1))


def parse_properties(text: str) -> dict[str, str]:
    """What `systemctl show` prints as a dictionary."""
    pairs = (line.partition("=") for line in text.splitlines())
    return {key: value for key, sign, value in pairs if sign}


def parse_listening(text: str, port: int) -> list[Listening]:
    """The sockets that listen on a port, from /proc/net/tcp and tcp6.

    Addresses are there as words of 32 bits in the byte order of the machine, which is the little end first on all that
    systemd's distributions are built for but s390x.
    """
    found = []
    for line in text.splitlines():
        fields = line.split()
        if len(fields) < 10 or fields[3] != "0A":
            continue
        address, colon, number = fields[1].rpartition(":")
        if colon and int(number, 16) == port:
            words = [bytes.fromhex(address[at : at + 8]) for at in range(0, len(address), 8)]
            data = b"".join(word[::-1] if sys.byteorder == "little" else word for word in words)
            found.append(Listening(str(ipaddress.ip_address(data)), fields[9]))
    return found


def limit_line(text: str | None) -> int | None:
    """The LimitNOFILE of a drop-in that was written before."""
    match = re.search(r"^LimitNOFILE=(\d+)$", text or "", re.MULTILINE)
    return int(match.group(1)) if match else None


def pem_problem(data: bytes, holds: t.Collection[str], title: str) -> str | None:
    """What is wrong with a file that has to hold certificates, a key, or both."""
    if "key" in holds and b"ENCRYPTED" in data:
        return f"whose key is protected by a password, which nobody can enter when {title} starts"
    for what, mark in (
        ("certificate", rb"-----BEGIN (TRUSTED )?CERTIFICATE-----"),
        ("key", rb"-----BEGIN ([A-Z]+ )?PRIVATE KEY-----"),
    ):
        if what in holds and not re.search(mark, data):
            return f"which holds no {what} in PEM form"
    return None
