# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The balancers of the scenario, and load that must not notice what is done to them."""

from __future__ import annotations

import contextlib
import typing as t

from lab import Traffic, failures
from lan import Scenario, on
from lab import haproxy_rows

LAN = Scenario("haproxy")
PAIR = ("lb-1", "lb-2")
CONTAINERS = ("lb-4", "lb-5")
ALL = (*PAIR, "lb-3", *CONTAINERS)
RUNTIME = {"engine": "/usr/bin/podman", "image": "localhost/haproxy:3.0"}
UNIT = {name: "clusterfront-haproxy.service" if name in CONTAINERS else "haproxy.service" for name in ALL}
#: Held streams last so long.
HELD = 6.0


def well(name: str) -> bool:
    """Whether a balancer finds all servers up, in both backends."""
    rows = [row for row in haproxy_rows(name) if row["svname"].startswith("web-")]
    return len(rows) >= 6 and all(row["status"].startswith("UP") for row in rows)


def release(name: str) -> str:
    """The release that a balancer's link names."""
    return on(name, "readlink /etc/haproxy/current")


def configuration(name: str) -> str:
    return on(name, "cat /etc/haproxy/current/haproxy.cfg")


@contextlib.contextmanager
def unnoticed(ports: t.Mapping[str, int]) -> t.Iterator[None]:
    """Short requests and held streams to balancers or addresses at their ports, none of which may fail or be cut."""
    loads: dict[str, list[Traffic]] = {
        name: [
            LAN.traffic(name, 120, 10, port),
            LAN.traffic(name, 120, 1, port, f"/hold?seconds={HELD}", "--timeout", "30"),
        ]
        for name, port in ports.items()
    }
    try:
        yield
    finally:
        met = {name: [load.stop() for load in both] for name, both in loads.items()}
    for name, (short, held) in met.items():
        print(
            f"{name}: {len(failures(short))} of {len(short)} requests failed, {len(failures(held))} of {len(held)} streams were cut"
        )
        assert short and held
        assert not failures([*short, *held]), (name, failures([*short, *held])[:5])
