# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The balancers of the scenario."""

from __future__ import annotations

import collections.abc
import sys
import pathlib

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from balancers import ALL, well  # noqa: E402
from lab import until  # noqa: E402


@pytest.fixture(autouse=True)
def all_well() -> collections.abc.Iterator[None]:
    """Every test begins with three servers up behind every balancer."""
    until(lambda: all(map(well, ALL)), "health of all")
    yield
