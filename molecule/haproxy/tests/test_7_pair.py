# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An address that moves between two balancers: when the proxy dies, and when the node does."""

from __future__ import annotations

import contextlib
import time
import typing as t

import pytest
from balancers import LAN, PAIR
from lab import failures, until
from lan import SLOW, VIP, on, unplugged

#: Seconds until the address has moved: two checks a second apart, or three announcements that did not come, and one to spare.
MOVED = 5.0


def holder() -> str | None:
    """Who has the address."""
    found = [name for name in PAIR if f" {VIP}/" in on(name, "ip -o -4 address show dev eth0")]
    return found[0] if len(found) == 1 else None


@contextlib.contextmanager
def proxy_dead(name: str) -> t.Iterator[None]:
    """Its HAProxy is killed, and does not come back by itself."""
    on(name, "systemctl mask --runtime haproxy && systemctl kill --signal=KILL haproxy; systemctl stop haproxy")
    try:
        yield
    finally:
        on(name, "systemctl unmask --runtime haproxy && systemctl start haproxy")


@pytest.mark.parametrize("die", [proxy_dead, unplugged])
def test_address_moves(die) -> None:
    until(lambda: holder() is not None, "one holder")
    first = holder()
    assert first is not None
    (second,) = set(PAIR) - {first}
    load = LAN.traffic(VIP, 14, 20, 80, "/", "--timeout", "2")
    time.sleep(2)
    dead = time.monotonic()
    with die(first):
        requests = load.requests()
        moved = f" {VIP}/" in on(second, "ip -o -4 address show dev eth0")
    bad = failures(requests)
    late = [request for request in requests if request["start"] > dead + MOVED]
    last = max((request["start"] - dead for request in bad), default=0.0)
    print(
        f"{first} by {die.__name__}: {len(bad)} of {len(requests)} failed, the last of them started {last:.2f}s after"
    )
    assert moved
    assert bad, "what died has served nobody"
    assert len(bad) <= MOVED * 20
    assert len(late) > 80 and not failures(late) and max(request["seconds"] for request in late) < SLOW
    # the first one is back, and nobody takes the address from who has it
    until(lambda: holder() == second, "the second as the only holder")
    assert LAN.traffic(VIP, 1, 20).requests()[-1].get("body")
