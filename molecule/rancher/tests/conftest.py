# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of the scenario."""

from __future__ import annotations

import collections.abc
import pathlib
import sys

import pytest
from lab import link

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from front_end import NODES  # noqa: E402


@pytest.fixture
def links_restored() -> collections.abc.Iterator[None]:
    """Whatever a test takes away: every node has its link afterwards."""
    yield
    for name in NODES:
        link(name, up=True)
