# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of the scenario."""

from __future__ import annotations

import collections.abc
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import containers_lab as lab  # noqa: E402


@pytest.fixture(autouse=True)
def nothing_foreign_touched() -> collections.abc.Iterator[None]:
    """Whatever a test does: what was added by hand is as it was, and the cloud never fails afterwards."""
    lab.add_by_hand()
    yield
    lab.throttle(None)
    assert lab.pool()[lab.BY_HAND] == (0, "by hand")


@pytest.fixture
def both() -> collections.abc.Iterator[None]:
    """A container on each host, registered; nothing is left of it, or of others, afterwards."""
    for host in lab.HOSTS:
        lab.run(host, "web", "8888:80", lab.ENDPOINT)
    lab.registered(*lab.HOSTS)
    yield
    for host in lab.HOSTS:
        lab.remove_all(host)
    lab.registered()
