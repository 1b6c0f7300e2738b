# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run that is killed at any of its steps: nginx serves all the time, and the next run completes it."""

from __future__ import annotations

import pytest
from balancers import LAN

#: HAProxy shows the same in less time.
pytestmark = pytest.mark.thorough


def test_killed_between_any_two_steps() -> None:
    # a container differs in few steps
    LAN.killed_everywhere({"lb-1": (1, 2), "lb-3": (2, 2), "lb-5": (2, 3)})
