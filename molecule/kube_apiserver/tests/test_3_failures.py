# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A HAProxy node or a master dies under load, by reset and by silence: four seconds later nobody notices any more."""

from __future__ import annotations

import pytest
from lab import RECOVERY, Traffic, all_well, death_under, failures, kill, silence, until


@pytest.mark.parametrize("die", [kill, silence])
@pytest.mark.parametrize("name", ["haproxy-1", "master-1"])
def test_dies_under_load(name, die, lab_restored) -> None:
    until(all_well, "health of all")
    requests, dead = death_under(Traffic(seconds=14), name, die)
    assert len(requests) == 280
    assert not failures(requests, since=dead + RECOVERY), failures(requests)
