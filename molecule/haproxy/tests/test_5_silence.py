# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server goes silent: its cable is out, and nobody tells anybody."""

from __future__ import annotations

import time

from balancers import ALL, LAN
from lab import failures
from lan import FREED, RECOVERY, SLOW, unplugged


def test_silent_server() -> None:
    short = {name: LAN.traffic(name, 18, 10) for name in ALL}
    held = {name: LAN.streams(name, 1, 6, 16) for name in ALL}
    # watches that say nothing of their own accord
    watches = {name: LAN.traffic(name, 1, 6, 80, "/watch?seconds=16", "--timeout", "30") for name in ALL}
    time.sleep(3)
    with unplugged("web-2"):
        dead = time.monotonic()
        requests = {name: load.requests() for name, load in short.items()}
        streams = {name: held[name].requests() + watches[name].requests() for name in ALL}
    for name in ALL:
        late = [request for request in requests[name] if request["start"] > dead + RECOVERY]
        slowest = max(request["seconds"] for request in late)
        bad = failures(requests[name])
        healthy = [stream for stream in streams[name] if stream["server"] != "web-2"]
        freed = [stream["start"] + stream["seconds"] - dead for stream in streams[name] if stream["server"] == "web-2"]
        print(
            f"{name}: {len(bad)} of {len(requests[name])} requests failed, the slowest after {RECOVERY:g}s took {slowest:.3f}s; "
            f"{len(failures(healthy))} of {len(healthy)} healthy streams cut; {len(freed)} dead ones freed after {min(freed):.1f}-{max(freed):.1f}s"
        )
        assert len(late) > 50 and not failures(late) and slowest < SLOW
        assert len(healthy) >= 6 and not failures(healthy), failures(healthy)
        assert freed and max(freed) <= FREED
