# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The program that answers in place of an apiserver, without the unit around it: that is for hosts with systemd."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time

import pytest

from ansible_collections.clusterfront.ha.plugins.module_utils._endpoint.probe import Target, probe
from ansible_collections.clusterfront.ha.plugins.module_utils._endpoint.stand_in import PROGRAM, answers


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@pytest.fixture
def port(tmp_path):
    port = free_port()
    environment = {**os.environ, "RUNTIME_DIRECTORY": str(tmp_path)}
    process = subprocess.Popen(
        [sys.executable, "-B", "-c", PROGRAM, str(port)], env=environment, stderr=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + 10
        while not answers(port):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
        yield port
    finally:
        process.kill()
        process.wait()


def test_it_answers_as_a_health_check_wants(port):
    met = probe(Target("127.0.0.1", port, tls=True, path="/readyz"), 2)
    assert (met.http_status, met.body) == (200, "ok")
    assert met.tls["subject_alt_names"] == [] and met.clock_skew == 0.0
    assert probe(Target("127.0.0.1", port, tls=True, path="/api"), 2).http_status == 404


def test_checks_that_only_connect_hold_up_nobody(port):
    with contextlib.ExitStack() as stack:
        for dummy in range(20):
            stack.enter_context(socket.create_connection(("127.0.0.1", port), 2))
        assert answers(port)


def test_nothing_answers_where_there_is_none():
    assert not answers(free_port())
