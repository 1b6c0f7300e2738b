# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def role() -> Path:
    """The role lab_hosts."""
    return Path(__file__).resolve().parents[2] / "roles" / "lab_hosts"
