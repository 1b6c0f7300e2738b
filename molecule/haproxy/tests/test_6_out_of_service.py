# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Servers out of service: drained, waited for, kept so, and brought back; and what the readiness port tells."""

from __future__ import annotations

import time
import typing as t

import pytest
from balancers import ALL, KINDS, LAN, LEFT, RUNTIME
from lab import failures, until
from lan import HELD, SERVERS, on, said

REST = {"web-2", "web-3"}


def server(**options: t.Any) -> list[dict[str, t.Any]]:
    """The task that a user writes, for whatever kind the host is."""
    contained = "(inventory_hostname in groups['lan_containers'])"
    found = {
        "unit": f"{{{{ {contained} | ternary('clusterfront-haproxy.service', 'haproxy.service') }}}}",
        "container": f"{{{{ {contained} | ternary({RUNTIME!r}, omit) }}}}",
    }
    return [{"clusterfront.ha.haproxy_server": {"server": "web-1", **options, **found}}]


def nobody_meets_it() -> None:
    """The others answer; connections that are held decide who of them gets the next."""
    met = {name: LAN.answered(name) for name in KINDS}
    assert all(found <= REST for found in met.values()), met


def test_drained_server() -> None:
    held = {name: LAN.streams(name, 1, 6, 14) for name in KINDS}
    time.sleep(2)
    begun = time.monotonic()
    early = LAN.tasks(KINDS, server(state="drain", sessions=0, timeout=1))
    assert early.code != 0
    for name in KINDS:
        assert said(early, name).startswith("After 1 seconds server "), said(early, name)
        assert "its state stays as it is now" in said(early, name)
    waited = LAN.tasks(KINDS, server(state="drain", sessions=0, timeout=60))
    took = time.monotonic() - begun
    streams = {name: load.requests() for name, load in held.items()}
    assert waited.code == 0, waited.output
    # it was drained already: the wait alone is no change
    assert waited.changed == 0, waited.output
    for name in KINDS:
        ours = [stream for stream in streams[name] if stream["server"] == "web-1"]
        last = max(stream["start"] + stream["seconds"] for stream in ours) - begun
        print(
            f"{name}: {len(ours)} streams of the drained server, the last ended after {last:.1f}s; the wait returned after {took:.1f}s"
        )
        assert ours and not failures(streams[name])
        assert last < took

    with LAN.unnoticed(dict.fromkeys(KINDS, 80)):
        nobody_meets_it()
        for name in KINDS:
            on(name, f"systemctl reload {LAN.unit(name)}")
        time.sleep(1)
        nobody_meets_it()
        run = LAN.converged({name: LEFT.get(name, {}) for name in KINDS})
        assert run.changed == 0, run.output
        nobody_meets_it()
    for name in KINDS:
        on(name, f"systemctl restart {LAN.unit(name)}")
    until(lambda: all(LAN.status(name) == "200" for name in KINDS), "the restart")
    nobody_meets_it()
    back = LAN.tasks(KINDS, server(state="ready"))
    assert back.code == 0 and back.changed == len(KINDS), back.output
    until(lambda: all("web-1" in LAN.answered(name) for name in KINDS), "the return")


@pytest.mark.thorough
def test_sessions_are_cut_when_that_is_asked_for() -> None:
    held = LAN.streams("lb-2", 1, 6, HELD * 3)
    time.sleep(2)
    cut = LAN.tasks(["lb-2"], server(state="drain", sessions=0, timeout=1, on_timeout="cut"))
    assert cut.code == 0, cut.output
    streams = held.requests()
    assert {stream["server"] for stream in failures(streams)} == {"web-1"}, streams
    assert LAN.tasks(["lb-2"], server(state="ready")).code == 0


def test_readiness() -> None:
    # HAProxy may miss the first server before the last one is stopped
    since = int(time.time())
    for name in SERVERS:
        on(name, "systemctl stop web")
    stopped, turned = time.time(), {}
    while len(turned) < len(ALL) and time.time() < stopped + 15:
        for name in set(ALL) - set(turned):
            if LAN.status(name) == "503":
                turned[name] = time.time()
    for name in SERVERS:
        on(name, "systemctl start web")
    for name in ALL:
        log = f"journalctl -u {LAN.unit(name)} --since @{since} -o short-unix --no-pager | grep -E 'is DOWN.* 0 active and 0 backup'"
        # a listen without a server is enough; HAProxy tells it once or twice, by its standard error and by syslog
        red = min(float(line.split()[0]) for line in on(name, log).splitlines())
        print(
            f"{name}: 503 {turned[name] - stopped:.2f}s after the servers went, {turned[name] - red:+.2f}s after a listen had none that was well"
        )
        # one check interval, and an interval of two seconds varies by a twentieth
        assert turned[name] - red < 2.1
        assert LAN.status(name, "/livez") == "200"
    until(lambda: all(LAN.status(name) == "200" for name in ALL), "readiness")
