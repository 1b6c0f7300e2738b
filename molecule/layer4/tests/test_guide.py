# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guide's tasks in their order: each is foretold by check mode, changes what it says, and then nothing; and traffic shows it."""

from __future__ import annotations

import collections
import hashlib
import os
import subprocess
import sys
import time

import pytest
from guide import apply, run, sections
from lab import CLIENT, Traffic, control, failures, inside, link, until, vip

SECTIONS = sections()
FIRST, SECOND = "master-1", "master-2"
#: Seconds in which a server's death is noticed by the guide's health check, and half a second for the change itself.
NOTICED = 3.5


def served(count: int, port: int = 80, source: str = CLIENT, rate: float = 100.0) -> collections.Counter[str]:
    """Which server answered how many of so many requests; what failed is counted by its error."""
    requests = Traffic(count / rate, source, rate, vip("web"), str(port), "/", "--plain").requests()
    assert len(requests) == count
    return collections.Counter(str(request.get("body") or request["error"]) for request in requests)


def health(port: int = 80) -> dict[str, str]:
    """The cloud's own view of the servers of a listener."""
    return {
        entry["server_id"].removeprefix("i-cfha-"): entry["state"]
        for entry in control("GET", "health")
        if entry["port"] == port
    }


class Download:
    """A download of eight seconds from the server that the SLB chooses."""

    def __init__(self) -> None:
        code = (
            "import hashlib, sys, urllib.request\n"
            f"with urllib.request.urlopen('http://{vip('web')}/download', timeout=20) as answer:\n"
            "    print(answer.headers['X-Server'], flush=True)\n"
            "    print(hashlib.sha256(answer.read()).hexdigest())\n"
        )
        self._process = subprocess.Popen(
            inside(CLIENT, sys.executable, "-SBc", code),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={"PATH": os.environ["PATH"]},
        )
        assert self._process.stdout is not None
        self.server = self._process.stdout.readline().strip()

    @property
    def whole(self) -> bool:
        """Whether all bytes came, when it has ended."""
        output, dummy = self._process.communicate(timeout=30)
        return output.strip() == hashlib.sha256(b"." * 2_000_000).hexdigest()

    def stop(self) -> None:
        self._process.kill()
        self._process.communicate()


def test_01_the_instance() -> None:
    (block,) = SECTIONS[1]
    apply(block)


def test_02_the_servers() -> None:
    (block,) = SECTIONS[2]
    apply(block)


def test_03_the_listener() -> None:
    (block,) = SECTIONS[3]
    apply(block)


def test_04_equal_weights_take_turns() -> None:
    (block,) = SECTIONS[4]
    apply(block, changes=0)
    assert served(100) == {FIRST: 50, SECOND: 50}


def test_05_weights_change_under_load() -> None:
    (block,) = SECTIONS[5]
    load = Traffic(9, CLIENT, 50.0, vip("web"), "80", "/", "--plain")
    apply(block)
    requests = load.requests()
    assert (len(requests), failures(requests)) == (450, [])
    assert served(400) == {FIRST: 100, SECOND: 300}


def test_06_a_client_stays_and_is_let_go() -> None:
    on, off = SECTIONS[6]
    apply(on)
    (stuck,) = served(60)
    assert stuck in (FIRST, SECOND)
    # the guide's ten minutes are not waited for: the same with two seconds
    short = on.replace("600", "2")
    apply(short)
    seen = set()
    for dummy in range(12):
        (server,) = served(5)
        seen.add(server)
        if len(seen) == 2:
            break
        time.sleep(2.5)
    assert seen == {FIRST, SECOND}
    apply(off)
    assert served(400) == {FIRST: 100, SECOND: 300}


@pytest.mark.usefixtures("links_restored")
def test_07_a_dead_server_is_left_out_and_comes_back() -> None:
    load = Traffic(12, CLIENT, 20.0, vip("web"), "80", "/", "--plain", "--timeout", "2")
    time.sleep(1)
    link(FIRST, up=False)
    dead = time.monotonic()
    until(lambda: health()[FIRST] == "abnormal", "the cloud's notice")
    requests = load.requests()
    print(f"{len(failures(requests))} of {len(requests)} failed")
    assert failures(requests)
    assert not failures(requests, since=dead + NOTICED)
    told = run("- clusterfront.ha.slb_health_info: {load_balancer: web, port: 80, wait_for: all, wait_timeout: 2}\n")
    assert told.code != 0
    assert "192.0.2.11:80 (abnormal for " in told.output and "1 of 2 backends well" in told.output, told.output
    link(FIRST, up=True)
    until(lambda: health()[FIRST] == "normal", "the recovery")
    assert served(400) == {FIRST: 100, SECOND: 300}


def test_08_a_server_is_drained_and_put_back() -> None:
    drain, weight, remove, back = SECTIONS[7]
    apply(drain)
    downloads: list[Download] = []
    try:
        # one of four goes to the first server
        while not any(download.server == FIRST for download in downloads):
            downloads.append(Download())
            assert len(downloads) <= 4
        apply(weight)
        assert served(40) == {SECOND: 40}
        apply(remove)
        assert served(40) == {SECOND: 40}
        assert all(download.whole for download in downloads)
    finally:
        for download in downloads:
            download.stop()
    apply(back)
    until(lambda: health().get(FIRST) == "normal", "the first server's return")
    assert served(400) == {FIRST: 100, SECOND: 300}


def test_09_only_the_office_comes_in() -> None:
    entries, bind = SECTIONS[8]
    apply(entries)
    apply(bind)
    assert served(40) == {FIRST: 10, SECOND: 30}
    (error,) = served(2, source="haproxy-1")
    assert error.startswith("TimeoutError")


def test_10_the_default_group() -> None:
    servers, listener = SECTIONS[9]
    apply(servers)
    apply(listener)
    until(lambda: list(health(8080).values()) == ["normal"] * 2, "health of the pool")
    assert served(100, port=8080) == {FIRST: 50, SECOND: 50}


@pytest.mark.usefixtures("links_restored")
def test_11_a_standby() -> None:
    pair, listener = SECTIONS[10]
    apply(pair)
    apply(listener)
    until(lambda: list(health(8081).values()) == ["normal"] * 2, "health of the pair")
    assert served(50, port=8081) == {FIRST: 50}
    link(FIRST, up=False)
    until(lambda: health(8081)[FIRST] == "abnormal", "the cloud's notice")
    control("POST", "wait", {"timeout": 10})
    assert served(50, port=8081) == {SECOND: 50}
    link(FIRST, up=True)
    until(lambda: health(8081)[FIRST] == "normal", "the recovery")
    control("POST", "wait", {"timeout": 10})
    assert served(50, port=8081) == {FIRST: 50}


def asked(source: str) -> collections.Counter[str]:
    """Which resolver answered ten questions from one address, each from a port of its own."""
    code = (
        "import socket, sys\n"
        "for dummy in range(10):\n"
        "    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as connection:\n"
        "        connection.settimeout(3)\n"
        "        connection.sendto(b'who', (sys.argv[1], 53))\n"
        "        print(connection.recv(100).decode())\n"
    )
    done = subprocess.run(
        inside(source, sys.executable, "-SBc", code, vip("web")), capture_output=True, text=True, check=True, timeout=60
    )
    return collections.Counter(done.stdout.split())


def test_12_udp_by_source() -> None:
    servers, listener = SECTIONS[11]
    apply(servers)
    apply(listener)
    until(lambda: list(health(53).values()) == ["normal"] * 2, "health of the resolvers")
    answers = [asked(source) for source in (CLIENT, "haproxy-1", "haproxy-2", "master-3")]
    assert all(list(answer.values()) == [10] for answer in answers), answers


def test_13_one_document_finds_it_all_as_it_is() -> None:
    (block,) = SECTIONS[12]
    apply(block, changes=0)


def test_14_an_export_changes_nothing() -> None:
    (block,) = SECTIONS[13]
    done = run(block)
    assert (done.code, done.changed) == (0, 0), done.output


def test_15_nothing_is_left() -> None:
    (block,) = SECTIONS[14]
    done = run(block)
    assert (done.code, done.changed) == (0, 3), done.output
    # without its first task, which wants the instance to be there
    again = run("- name: Remove" + block.split("- name: Remove", 1)[1])
    assert (again.code, again.changed) == (0, 0), again.output
    with pytest.raises(IndexError):
        vip("web")
