# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of the scenario."""

from __future__ import annotations

import collections.abc

import pytest
from lab import link


@pytest.fixture
def links_restored() -> collections.abc.Iterator[None]:
    """Whatever a test takes away: every machine has its link afterwards."""
    yield
    for name in ("rancher-1", "rancher-2", "rancher-3"):
        link(name, up=True)
