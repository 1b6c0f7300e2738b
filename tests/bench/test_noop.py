# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a second run costs: each module that calls the cloud, against an empty task and the SDK's bare import, in one run."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
import typing as t

import catalogue
from example_cloud import World

ROUNDS = 5
EMPTY = "empty task"
BARE_IMPORT = "import alibabacloud_slb20140515.client"
#: Noise that a median still has on a shared machine, in seconds.
NOISE = 0.05


def seconds(command: str) -> float:
    """The time of a Python process."""
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-c", command], check=True)
    return time.perf_counter() - begin


#: The bare SDK in a fresh process, whose first call sets up TLS and a session; it prints the seconds after each of its calls.
CALLS = """
import time
from alibabacloud_slb20140515 import client, models
from alibabacloud_tea_openapi.utils_models import Config
begin = time.perf_counter()
sdk = client.Client(Config({config}))
for dummy in range({count}):
    sdk.describe_regions(models.DescribeRegionsRequest())
    print(time.perf_counter() - begin)
"""


def api_calls(connection: dict[str, str], count: int) -> list[float]:
    """The time of one call, of two, and so on, as the bare SDK makes them."""
    config = {
        "access_key_id": connection["access_key_id"],
        "access_key_secret": connection["access_key_secret"],
        "region_id": connection["region"],
        "endpoint": connection["slb_endpoint"].removeprefix("http://"),
        "protocol": "http",
    }
    script = CALLS.format(config=", ".join(f"{name}={value!r}" for name, value in config.items()), count=count)
    shown = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    return [float(line) for line in shown.stdout.split()]


def test_noop_costs_little_more_than_the_import(cloud: t.Any, play: t.Any) -> None:
    world = World(cloud)
    world.prepare("")
    tasks = {}
    for name in catalogue.CLOUD_MODULES:
        options = {**catalogue.module_examples(name)[0][f"clusterfront.ha.{name}"], **world.connection}
        # what a first example makes is there when the time is taken
        assert not world.call(name, world.with_ids([options])[0]).get("failed")
        tasks[name] = world.with_ids([options])[0]
    counts = {}
    for name, options in tasks.items():
        world.forget()
        assert not world.call(name, options)["changed"]
        counts[name] = sum(cloud.control("GET", "requests")["counts"].values())
    round_of = [{"name": f"({EMPTY})", "ansible.builtin.ping": {}}] + [
        {"name": f"({name})", f"clusterfront.ha.{name}": options} for name, options in tasks.items()
    ]
    # the first one of each is not counted: what it compiles is there afterwards
    times = play(round_of * (ROUNDS + 1))
    medians = {
        wanted: statistics.median([value for name, value in times if f"({wanted})" in name][1:])
        for wanted in (EMPTY, *tasks)
    }
    bare = statistics.median(seconds(BARE_IMPORT) - seconds("pass") for dummy in range(ROUNDS))
    rounds = [api_calls(world.connection, max(counts.values())) for dummy in range(ROUNDS)]
    calls = {name: statistics.median(line[count - 1] for line in rounds) for name, count in counts.items()}
    print(f"\nempty task {medians[EMPTY]:.3f}s; SDK import {bare:.3f}s")
    slow = []
    for name in tasks:
        allowed = medians[EMPTY] + 1.1 * bare + calls[name]
        print(
            f"{name:<24} {medians[name]:.3f}s with {counts[name]} calls, {medians[name] / medians[EMPTY]:.1f} empty tasks;"
            f" allowed {allowed:.3f}s ({medians[name] / allowed:.2f} of it)"
        )
        slow += [name] if medians[name] > allowed + NOISE else []
    assert not slow, "they do more than they have to: look at what they import, and at their calls"
