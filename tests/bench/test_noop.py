# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a second run costs: the whole front end as one task, against an empty task and the SDK's bare import, in one run."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

ROUNDS = 9
EMPTY, NOOP = "empty task", "front end"
BARE_IMPORT = "import alibabacloud_slb20140515.client"
#: Noise that a median of nine still has on a shared machine, in seconds.
NOISE = 0.05


def seconds(command: str) -> float:
    """The time of a Python process."""
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-c", command], check=True)
    return time.perf_counter() - begin


#: The bare SDK in a fresh process, whose first call sets up TLS and a session; it prints the seconds that the calls took.
CALLS = """
import time
from alibabacloud_slb20140515 import client, models
from alibabacloud_tea_openapi.utils_models import Config
begin = time.perf_counter()
sdk = client.Client(Config({config}))
for dummy in range(5):
    sdk.describe_regions(models.DescribeRegionsRequest())
print(time.perf_counter() - begin)
"""


def api_calls(connection: dict[str, str]) -> float:
    """The time of five calls as the bare SDK makes them."""
    config = {
        "access_key_id": connection["access_key_id"],
        "access_key_secret": connection["access_key_secret"],
        "region_id": connection["region"],
        "endpoint": connection["slb_endpoint"].removeprefix("http://"),
        "protocol": "http",
    }
    script = CALLS.format(config=", ".join(f"{name}={value!r}" for name, value in config.items()))
    shown = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    return float(shown.stdout)


def test_noop_costs_little_more_than_the_import(play, connection) -> None:
    document = {
        **connection,
        "name": "bench",
        "load_balancer": {"address_type": "intranet", "vpc_id": "vpc-ut-lab", "vswitch_id": "vsw-ut-lab"},
        "server_groups": [
            {"name": "haproxy", "backends": [{"private_ip": f"192.0.2.2{number}", "port": 8888} for number in (1, 2)]}
        ],
        "listeners": [
            {
                "port": 6443,
                "protocol": "tcp",
                "server_group": "haproxy",
                "health_check": {"uri": "/readyz", "type": "http"},
            }
        ],
    }
    front_end = {"clusterfront.ha.slb_frontend": document}
    rounds = [
        task
        for dummy in range(ROUNDS)
        for task in ({"name": EMPTY, "ansible.builtin.ping": {}}, {"name": NOOP, **front_end})
    ]
    check = [
        {"name": "again", **front_end, "register": "again"},
        {
            "name": "nothing changed",
            "ansible.builtin.assert": {
                "that": ["again is not changed", "again.api_calls == {'reads': 5, 'writes': 0}"]
            },
        },
    ]
    times = play([{"name": "create", **front_end}, {"name": "warm", "ansible.builtin.ping": {}}, *check, *rounds])
    empty, noop = (statistics.median(value for name, value in times if wanted in name) for wanted in (EMPTY, NOOP))
    bare = statistics.median(seconds(BARE_IMPORT) - seconds("pass") for dummy in range(ROUNDS))
    calls = statistics.median(api_calls(connection) for dummy in range(ROUNDS))
    allowed = empty + 1.1 * bare + calls
    print(
        f"\nno-op {noop:.3f}s; empty task {empty:.3f}s; SDK import {bare:.3f}s; 5 calls {calls:.3f}s; allowed {allowed:.3f}s"
        f" ({noop / allowed:.2f} of it)"
    )
    assert len([name for name, dummy in times if NOOP in name]) == ROUNDS
    assert noop <= allowed + NOISE, "the module does more than it has to: look at what it imports, and at its calls"
