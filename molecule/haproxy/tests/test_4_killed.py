# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run that is killed at any of its steps: HAProxy serves all the time, and the next run completes it."""

from __future__ import annotations

import concurrent.futures
import json

from balancers import LAN, release, unnoticed
from lab import SANDBOX, podman
from lan import on

#: The first step that a host's run is killed at, and the stride to the next. A container differs in few of them.
STEPS = {"lb-1": (1, 2), "lb-3": (2, 2), "lb-5": (2, 3)}


def killed(name: str) -> dict[str, list[str]]:
    """The steps at which a run was killed, and what went wrong; the programs are those of the changes before."""
    programs = on(name, "ls /opt/haproxy_release-*.py").split()[-2:]
    podman("cp", f"{LAN.directory}/files/killed_everywhere.py", f"{SANDBOX}-{name}:/opt/killed_everywhere.py")
    told = on(name, f"python3 /opt/killed_everywhere.py {' '.join(programs)} {' '.join(map(str, STEPS[name]))}")
    found: dict[str, list[str]] = json.loads(told)
    return found


def test_killed_between_any_two_steps() -> None:
    with unnoticed(dict.fromkeys(STEPS, 80)), concurrent.futures.ThreadPoolExecutor() as pool:
        results = dict(zip(STEPS, pool.map(killed, STEPS)))
    for name, result in results.items():
        print(
            f"{name}: killed at {len(result['steps'])} steps, {len(result['wrong'])} went wrong; live is {release(name)}"
        )
        assert not result["wrong"], result["wrong"]
        assert len(result["steps"]) > 8
