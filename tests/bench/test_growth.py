# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What grows with a front end: its calls by the API's limits, and the time of its plan no faster than its size."""

from __future__ import annotations

import collections
import itertools
import math
import subprocess
import sys
import time
import typing as t
import uuid

import certificates
import pytest
from emulator_harness import inventory

from ansible_collections.clusterfront.ha.plugins.module_utils._slb.client import Client, Settings
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.document import (
    ACL_ENTRIES_PER_CALL,
    BACKENDS_PER_CALL,
    FrontEnd,
    front_end,
)
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.errors import DocumentError
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.plan import build
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.reconcile import Outcome, fetch, reconcile
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.state import CloudState

#: A list has at most 300 entries, so that 1000 are four lists.
LIST = 250
#: How much more than in proportion a plan may take; sorting and the noise of a shared machine are in it.
ABOUT_LINEAR = 1.8
#: The share of the SDK's bare import that the largest plan may take.
SHARE = 0.05
#: How often a plan is made to find its shortest time, and how often what was too slow is timed again.
ROUNDS = 40
TRIES = 4


def document(name: str, backends: int = 0, entries: int = 0, listeners: int = 0) -> dict[str, t.Any]:
    """A front end of a size; addresses of servers are from 192.0.2.1 on."""
    members = [{"private_ip": f"192.0.2.{number}", "port": 8888} for number in range(1, backends + 1)]
    lists = [
        {"name": f"{name}-{start}", "entries": [{"cidr": f"198.51.{start}.{number}"} for number in range(LIST)]}
        for start in range(entries // LIST)
    ]
    return {
        "name": name,
        "load_balancer": {"address_type": "intranet", "vpc_id": "vpc-ut-lab", "vswitch_id": "vsw-ut-lab"},
        "server_groups": [{"name": "all", "backends": members}],
        "listeners": [
            {"port": 1000 + number, "protocol": "tcp", "server_group": "all", "enabled": True}
            for number in range(listeners)
        ],
        "access_lists": [{**entry, "purge_entries": True} for entry in lists],
    }


@pytest.fixture(scope="module")
def client(cloud: t.Any) -> t.Callable[[], Client]:
    """Makes clients of a cloud with 200 servers; the pauses of a wait are short."""
    machines = {f"machine-{number}": f"192.0.2.{number}" for number in range(1, 201)}
    cloud.control("PUT", "inventory", inventory(machines))
    endpoint = f"http://{cloud.address}"
    settings = Settings("cn-hangzhou", "ut-key", "ut-secret", slb_endpoint=endpoint, ecs_endpoint=endpoint)
    return lambda: Client(settings, sleep=lambda seconds: time.sleep(min(seconds, 0.01)))


def applied(client: Client, options: dict[str, t.Any]) -> tuple[FrontEnd, Outcome, collections.Counter[str]]:
    """A front end that was made, and how often its plan calls each operation."""
    wanted = front_end(options)
    outcome = reconcile(client, wanted, check_mode=False, token=lambda: str(uuid.uuid4()))
    return wanted, outcome, collections.Counter(step.operation for step in outcome.plan.steps)


@pytest.mark.parametrize("backends", [1, 20, 21, 45, 200])
def test_calls_for_servers_are_as_few_as_the_limit_allows(client: t.Callable[[], Client], backends: int) -> None:
    dummy, outcome, calls = applied(client(), document(f"servers-{backends}", backends=backends))
    wanted = math.ceil(backends / BACKENDS_PER_CALL)
    assert calls["CreateVServerGroup"] + calls["AddVServerGroupBackendServers"] == wanted
    # and the instance itself
    assert outcome.writes == wanted + 1
    group = outcome.after.group("all")
    assert group is not None and len(group.config.backends or ()) == backends


@pytest.mark.parametrize("entries", [250, 1000])
def test_calls_for_access_lists_are_as_few_as_the_limit_allows(client: t.Callable[[], Client], entries: int) -> None:
    dummy, outcome, calls = applied(client(), document(f"entries-{entries}", entries=entries))
    assert calls["CreateAccessControlList"] == entries // LIST
    assert calls["AddAccessControlListEntry"] == math.ceil(entries / ACL_ENTRIES_PER_CALL)
    # and the instance and its group
    assert outcome.writes == sum(calls[name] for name in calls if "AccessControlList" in name) + 2


@pytest.mark.parametrize("listeners", [1, 50])
def test_calls_for_listeners_are_two_for_each(client: t.Callable[[], Client], listeners: int) -> None:
    wanted, outcome, calls = applied(client(), document(f"listeners-{listeners}", listeners=listeners))
    assert calls["CreateLoadBalancerTCPListener"] == calls["StartLoadBalancerListener"] == listeners
    again = reconcile(client(), wanted, check_mode=False, token=lambda: "never")
    # reading is by pages, not by listeners
    assert not again.plan.changed and (again.reads, again.writes) == (4, 0)


def web(name: str, rules: t.Sequence[int] = (), domains: t.Sequence[int] = ()) -> dict[str, t.Any]:
    """A front end with an HTTPS listener for each number, which has so many rules and further domains."""
    numbers = itertools.zip_longest(rules, domains, fillvalue=0)
    return {
        **document(name, backends=1),
        "certificates": [{"name": name, **certificates.pair("www.example.com", name)}],
        "listeners": [
            {
                "port": 1000 + port,
                "protocol": "https",
                "server_group": "all",
                "certificate": name,
                "enabled": True,
                "rules": [
                    {"domain": f"r{rule}.example.com", "url": "/api", "server_group": "all"} for rule in range(count)
                ],
                "domain_extensions": [
                    {"domain": f"d{domain}.example.com", "certificate": name} for domain in range(further)
                ],
            }
            for port, (count, further) in enumerate(numbers)
        ],
    }


@pytest.mark.parametrize(
    ("rules", "domains", "operation", "calls"),
    [((40, 30, 30), (), "CreateRules", 10), ((11,), (), "CreateRules", 2), ((), (3,) * 5, "CreateDomainExtension", 15)],
    ids=["100 rules", "11 rules", "15 domains"],
)
def test_calls_for_rules_are_as_few_as_the_limit_allows(
    client: t.Callable[[], Client], rules: t.Sequence[int], domains: t.Sequence[int], operation: str, calls: int
) -> None:
    listeners = max(len(rules), len(domains))
    name = f"web-{sum(rules)}-{sum(domains)}"
    wanted, outcome, counts = applied(client(), web(name, rules, domains))
    assert counts[operation] == calls
    # and the instance, its group, its certificate, and two for each listener
    assert outcome.writes == calls + 3 + 2 * listeners
    again = reconcile(client(), wanted, check_mode=False, token=lambda: "never")
    assert not again.plan.changed and again.writes == 0
    # rules and domains are told listener by listener
    assert again.reads <= 8 + 2 * listeners
    for more in ({"rules": (41,)}, {"domains": (11,)}):
        reader = client()
        with pytest.raises(DocumentError, match="would have (41 forwarding rules|11 additional domains)"):
            reconcile(reader, front_end(web(name, **more)), check_mode=False, token=lambda: "never")
        assert reader.writes == 0


def plan_times(plans: t.Sequence[tuple[FrontEnd, CloudState]]) -> list[float]:
    """The processor's time of the shortest of several rounds, in seconds: what is longer was disturbed.

    A round has each plan once, so that a machine that slows down slows all of them.
    """
    rounds: list[list[float]] = [[] for dummy in plans]
    for dummy in range(ROUNDS):
        for times, (wanted, state) in zip(rounds, plans):
            begin = time.process_time()
            build(wanted, state)
            times.append(time.process_time() - begin)
    return [min(times) for times in rounds]


def bare_import() -> float:
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import alibabacloud_slb20140515.client"], check=True)
    return time.perf_counter() - begin


@pytest.mark.parametrize("what", ["backends", "entries", "rules"])
def test_plans_take_about_as_much_longer_as_they_are_larger(client: t.Callable[[], Client], what: str) -> None:
    sizes = {"backends": (10, 50, 200), "entries": (0, 250, 1000), "rules": (3, 30, 100)}[what]
    first, again, spent = [], [], []
    for size in sizes:
        name = f"plan-{what}-{size}"
        # over three listeners, none of which can have more than 40
        shares = (size - 2 * (size // 3), size // 3, size // 3)
        options = web(name, shares) if what == "rules" else document(name, **{what: size})
        begin = time.perf_counter()
        wanted, outcome, dummy = applied(client(), options)
        spent.append(time.perf_counter() - begin)
        state = fetch(client(), wanted)
        assert outcome.plan.changed and not build(wanted, state).changed
        first.append((wanted, outcome.before))
        again.append((wanted, state))
    print(f"\napplied by {what}: {', '.join(f'{size}: {seconds:.2f} s' for size, seconds in zip(sizes, spent))}")
    limit = min(bare_import() for dummy in range(3)) * SHARE
    for title, plans in (("first", first), ("no-op", again)):
        for dummy in range(TRIES):
            times = plan_times(plans)
            shown = ", ".join(f"{size}: {seconds * 1000:.2f} ms" for size, seconds in zip(sizes, times))
            print(f"\n{title} plan by {what}: {shown}; the SDK's import is {limit / SHARE * 1000:.0f} ms")
            linear = times[2] / times[1] <= sizes[2] / sizes[1] * ABOUT_LINEAR
            if linear and times[2] <= limit:
                break
        assert linear, f"the {title} plan grows faster than its size"
        assert times[2] <= limit, f"the {title} plan takes too large a share of the task"
