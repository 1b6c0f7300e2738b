# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server goes silent: its cable is out, and nobody tells anybody."""

from __future__ import annotations

import time

from balancers import ALL, LAN
from lab import failures
from lan import FREED, SLOW, unplugged

#: Seconds that nginx waits for a connection, and a little for a busy machine.
CONNECT = 2.0 + 0.5
#: Requests of two seconds that meet the silent server at ten a second, and one each fail_timeout that asks for it again.
STALLED = 20 + 2


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
        after = [request for request in requests[name] if request["start"] > dead]
        slow = [request for request in after if request["seconds"] > SLOW]
        bad = failures(requests[name])
        healthy = [stream for stream in streams[name] if stream["server"] != "web-2"]
        freed = [stream["start"] + stream["seconds"] - dead for stream in streams[name] if stream["server"] == "web-2"]
        print(
            f"{name}: {len(bad)} of {len(requests[name])} requests failed, {len(slow)} of {len(after)} stalled, the slowest for "
            f"{max(request['seconds'] for request in after):.2f}s, the last of them {max(request['start'] for request in slow) - dead:.1f}s after; "
            f"{len(failures(healthy))} of {len(healthy)} healthy streams cut; {len(freed)} dead ones freed after {min(freed):.1f}-{max(freed):.1f}s"
        )
        assert not bad, bad[:5]
        assert 0 < len(slow) <= STALLED and max(request["seconds"] for request in slow) < CONNECT
        assert len(healthy) >= 6 and not failures(healthy), failures(healthy)
        assert freed and max(freed) <= FREED
