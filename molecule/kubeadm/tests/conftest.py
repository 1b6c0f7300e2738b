# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of the scenario."""

from __future__ import annotations

import collections.abc

import pytest
from cluster import bring_kubectl, restored


@pytest.fixture(scope="session", autouse=True)
def client() -> None:
    bring_kubectl()


@pytest.fixture
def lab_restored() -> collections.abc.Iterator[None]:
    yield
    restored()
