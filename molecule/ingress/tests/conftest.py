# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of the scenario."""

from __future__ import annotations

import collections.abc
import pathlib
import sys

import pytest
from lab import failures, machine, until

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from edge import APPLICATIONS, NODES, traffic  # noqa: E402


@pytest.fixture
def services_restored() -> collections.abc.Iterator[None]:
    """Whatever a test stops: every node and every application serves afterwards."""
    yield
    for name in NODES:
        machine(name).run("systemctl start nginx")
    for name in APPLICATIONS:
        machine(name).run("rm -f /run/app-sick; systemctl start app")
    # a balancer avoids for a while whom it met in vain
    until(lambda: not failures(traffic(1, 20).requests()), "answers to all requests")
