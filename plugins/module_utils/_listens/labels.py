# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""SELinux: which ports need a label, and whether a boolean has to help. Pure."""

from __future__ import annotations

import typing as t

#: What whole ranges are called that belong to nobody.
WIDE = ("reserved_port_t", "hi_reserved_port_t", "unreserved_port_t", "ephemeral_port_t")


def parse_labels(listing: str) -> list[tuple[str, int, int]]:
    """The TCP ports in what `semanage port --list --noheading` prints: type, first port, last port."""
    found = []
    for line in listing.splitlines():
        fields = line.split(None, 2)
        if len(fields) != 3 or fields[1] != "tcp":
            continue
        for text in fields[2].split(","):
            first, dash, last = text.strip().partition("-")
            if first.isdigit():
                found.append((fields[0], int(first), int(last or first)))
    return found


def label_of(labels: t.Sequence[tuple[str, int, int]], port: int) -> str | None:
    """The type of a port: the narrowest range that holds it, as the kernel has it; None where only the wide ones do."""
    fitting = [(last - first, kind) for kind, first, last in labels if first <= port <= last and kind not in WIDE]
    return min(fitting)[1] if fitting else None


def plan_labels(ports: t.Iterable[int], listing: str, allowed: t.Collection[str], label: str) -> dict[str, t.Any]:
    """What SELinux needs so that a proxy may use these ports.

    A port that no policy names gets the label. One that belongs to another service keeps its own, for other programs
    rely on it; there the boolean has to help.
    """
    labels = parse_labels(listing)
    kinds = {port: label_of(labels, int(port)) for port in sorted(set(map(int, ports)))}
    foreign = {port: kind for port, kind in kinds.items() if kind is not None and kind not in allowed}
    return {
        "label": [port for port, kind in kinds.items() if kind is None],
        "type": label,
        "foreign": foreign,
        "boolean": bool(foreign),
    }
