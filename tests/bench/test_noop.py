# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a second run costs: each module that calls the cloud, against an empty task and the SDK's bare import, in one run."""

from __future__ import annotations

import subprocess
import sys
import time
import typing as t

import catalogue
import pytest
from example_cloud import World

ROUNDS = 3
TRIES = 4
EMPTY = "empty task"
BARE_IMPORT = "import alibabacloud_slb20140515.client"
#: Noise that the fastest of some rounds still has on a shared machine, in seconds; whatever else runs only ever adds to a time.
NOISE = 0.05


#: What Ansible packs comes to the module as source, so that each task compiles the engine anew; this prints the seconds for it.
COMPILES = """
import pathlib, sys, time
texts = [path.read_text() for path in pathlib.Path(sys.argv[1]).rglob("*.py")]
begin = time.perf_counter()
for text in texts:
    compile(text, "engine", "exec")
print(time.perf_counter() - begin)
"""


def compiling() -> float:
    """The time to compile the engine."""
    command = [sys.executable, "-c", COMPILES, str(catalogue.ROOT / "plugins/module_utils/_slb")]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def seconds(command: str) -> float:
    """The time of a Python process."""
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-c", command], check=True)
    return time.perf_counter() - begin


#: The bare SDK in a fresh process, whose first call sets up TLS and a session; it prints the seconds that its calls take.
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


def api_calls(connection: dict[str, str], count: int) -> float:
    """The time of so many calls, as the bare SDK makes them."""
    config = {
        "access_key_id": connection["access_key_id"],
        "access_key_secret": connection["access_key_secret"],
        "region_id": connection["region"],
        "endpoint": connection["slb_endpoint"].removeprefix("http://"),
        "protocol": "http",
    }
    script = CALLS.format(config=", ".join(f"{name}={value!r}" for name, value in config.items()), count=count)
    shown = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    return float(shown.stdout)


LOOK = [name for name in catalogue.CLOUD_MODULES if name.endswith("_info")]
CHANGE = [name for name in catalogue.CLOUD_MODULES if name not in LOOK]


@pytest.mark.parametrize(
    "names", [pytest.param(CHANGE, id="change"), pytest.param(LOOK, id="look", marks=pytest.mark.thorough)]
)
def test_noop_costs_little_more_than_the_import(names: list[str], cloud: t.Any, play: t.Any) -> None:
    world = World(cloud)
    slow = []
    print()
    for name in names:
        # the examples of two modules may want one group to be two things, so each module has a cloud of its own
        world.prepare(name)
        example = {**catalogue.module_examples(name)[0][f"clusterfront.ha.{name}"], **world.connection}
        assert not world.call(name, world.with_ids([example])[0]).get("failed")
        options = world.with_ids([example])[0]
        world.forget()
        again = world.call(name, options)
        assert not again["changed"], f"{name}: {again['diff']}"
        count = sum(cloud.control("GET", "requests")["counts"].values())
        # what is slow once had a neighbour; what is slow each time does too much
        slow += [name] if all(takes_too_long(name, options, count, play) for dummy in range(TRIES)) else []
    assert not slow, "they do more than they have to: look at what they import, and at their calls"


def takes_too_long(name: str, options: dict[str, t.Any], count: int, play: t.Any) -> bool:
    """Time a module that finds nothing to do, beside all that it cannot do without."""
    round_of = [
        {"name": f"({EMPTY})", "ansible.builtin.ping": {}},
        {"name": f"({name})", f"clusterfront.ha.{name}": options},
    ]
    # the first one of each is not counted: what it compiles is there afterwards
    times = play(round_of * (ROUNDS + 1))
    empty, fastest = (min([value for task, value in times if f"({wanted})" in task][1:]) for wanted in (EMPTY, name))
    bare = min(seconds(BARE_IMPORT) for dummy in range(ROUNDS)) - min(seconds("pass") for dummy in range(ROUNDS))
    calls = min(api_calls(options, count) for dummy in range(ROUNDS))
    compiled = min(compiling() for dummy in range(ROUNDS))
    allowed = empty + 1.1 * bare + calls + compiled
    print(
        f"{name:<24} {fastest:.3f}s with {count} calls, {fastest / empty:.1f} empty tasks ({empty:.3f}s); the SDK's import"
        f" {bare:.3f}s, the engine's compilation {compiled:.3f}s; allowed {allowed:.3f}s ({fastest / allowed:.2f} of it)"
    )
    return fastest > allowed + NOISE
