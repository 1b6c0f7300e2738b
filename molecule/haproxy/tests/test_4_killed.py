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


def killed(name: str) -> dict[str, list[str]]:
    """The steps at which a run was killed, and what went wrong; the programs are those of the changes before."""
    programs = on(name, "ls /root/haproxy_release-*.py").split()[-2:]
    podman("cp", f"{LAN.directory}/files/killed_everywhere.py", f"{SANDBOX}-{name}:/root/killed_everywhere.py")
    found: dict[str, list[str]] = json.loads(on(name, f"python3 /root/killed_everywhere.py {' '.join(programs)}"))
    return found


def test_killed_between_any_two_steps() -> None:
    names = ("lb-3", "lb-5")
    with unnoticed(dict.fromkeys(names, 80)), concurrent.futures.ThreadPoolExecutor() as pool:
        results = dict(zip(names, pool.map(killed, names)))
    for name, result in results.items():
        print(f"{name}: killed at {len(result['steps'])} steps, {len(result['wrong'])} went wrong; live is {release(name)}")
        assert not result["wrong"], result["wrong"]
        assert len(result["steps"]) > 10
