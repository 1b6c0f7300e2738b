# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of the scenario."""

from __future__ import annotations

import collections.abc

import pytest
from cluster import NODES, bring_kubectl, ready_nodes
from lab import MASTERS, PROXIES, SANDBOX, all_well, link, podman, until


@pytest.fixture(scope="session", autouse=True)
def client() -> None:
    bring_kubectl()


@pytest.fixture
def lab_restored() -> collections.abc.Iterator[None]:
    """Whatever a test breaks: every machine runs with its link, and everything is well again, without a hand on the cluster."""
    yield
    for name in (*MASTERS, *PROXIES):
        link(name, up=True)
        podman("start", f"{SANDBOX}-{name}")
    until(lambda: all_well() and ready_nodes() == sorted(NODES), "recovery", 180)
