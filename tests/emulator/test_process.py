# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plain process in the background, and its end."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from emulator_harness import KEY, PACKAGE, Slb


class Background:
    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.configure(port=0)

    def configure(self, **values: object) -> None:
        config = {"directory": str(self.directory), "sandbox": "cfha-utp", "access_keys": [KEY], **values}
        (self.directory / "config.json").write_text(json.dumps(config))

    def __call__(self, command: str) -> str:
        done = subprocess.run(
            [sys.executable, "-B", "-m", "slb_emulator", "--config", str(self.directory / "config.json"), command],
            cwd=PACKAGE,
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
        return (done.stdout + done.stderr).strip()

    @property
    def pid(self) -> int:
        return int(json.loads((self.directory / "pid.json").read_text())["pid"])

    @property
    def address(self) -> str:
        return (self.directory / "output.log").read_text().splitlines()[-1].removeprefix("listening on ")


@pytest.fixture
def background(tmp_path: Path) -> Iterator[Background]:
    made = Background(tmp_path)
    try:
        yield made
    finally:
        made("remove")


def test_start_and_stop(background: Background) -> None:
    assert background("start") == "started"
    first, before = background.pid, background.address
    # It answers as soon as the command has ended.
    assert Slb(background.address)("DescribeRegions")
    assert (background("start"), background.pid) == ("already running", first)
    background.configure(port=0, verify_signatures=False)
    assert background("start") == "started anew"
    assert background.pid != first
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(before.split(":"))
    assert (background("stop"), background("stop")) == ("stopped", "not running")


def test_a_process_that_is_not_ours_is_left_alone(background: Background) -> None:
    other = subprocess.Popen(["sleep", "60"])
    try:
        (background.directory / "pid.json").write_text(json.dumps({"pid": other.pid, "started_at": "1"}))
        assert background("stop") == "not running"
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_a_port_that_is_taken_is_said(background: Background) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        background.configure(port=taken.getsockname()[1])
        assert "output.log says why" in background("start")
        assert "Address already in use" in background("run")
    assert background("stop") == "not running"
