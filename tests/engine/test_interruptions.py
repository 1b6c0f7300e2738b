# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs that end between any two calls, and calls whose answer is lost: the next run, or the same, ends well."""

from __future__ import annotations

import pytest

from ansible_collections.clusterfront.ha.plugins.module_utils._slb.errors import ApiError

LAB = {"address_type": "intranet", "vpc_id": "vpc-ut-lab", "vswitch_id": "vsw-ut-lab"}


def servers(*numbers, **options):
    return [{"private_ip": f"192.0.2.2{number}", "port": 8888, **options} for number in numbers]


def document(backends, *listeners):
    return {
        "name": "prod-api",
        "load_balancer": LAB,
        "server_groups": [{"name": "haproxy", "purge": "owned", "backends": backends}],
        "listeners": [{"protocol": "tcp", "server_group": "haproxy", "enabled": True, **entry} for entry in listeners],
    }


MANY = [{"server_id": "i-ut-haproxy-1", "port": port} for port in range(8001, 8022)]
FIRST = document(MANY, {"port": 6443}, {"port": 9443})
BEFORE = document(servers(1, 2), {"port": 6443}, {"port": 9443})
AFTER = document(
    servers(1, weight=30) + servers(3),
    {"port": 6443, "persistence_timeout": 600},
    {"port": 9443, "state": "absent"},
    {"port": 80},
)
REMOVAL = {"name": "prod-api", "state": "absent"}


def guarded(entries, *listeners, **access):
    """A document with an access list of so many networks on its first listener."""
    made = document(servers(1), *listeners)
    made["listeners"][0]["access_list"] = access
    cidrs = [{"cidr": f"198.51.100.{host}", "comment": comment} for host, comment in entries.items()]
    return {**made, "access_lists": [{"name": "office", "entries": cidrs, "purge_entries": True, "state": "present"}]}


GUARDED = guarded(dict.fromkeys(range(60), ""), {"port": 6443}, lists=["office"], type="white")
OTHERS = guarded(
    {**dict.fromkeys(range(50, 60), "new"), **dict.fromkeys(range(60, 120), "")},
    {"port": 6443},
    lists=["office"],
    type="black",
)
BARE = {**guarded({}, {"port": 6443}, lists=[]), "access_lists": [{"name": "office", "state": "absent"}]}

#: scenario -> (what is there before, what is wanted, how many writes that takes)
SCENARIOS = {
    "make": (None, FIRST, 7),
    "change": (BEFORE, AFTER, 7),
    "remove": (BEFORE, REMOVAL, 4),
    "guard": (None, GUARDED, 7),
    "other-guard": (GUARDED, OTHERS, 6),
    "no-guard": (GUARDED, BARE, 2),
    "remove-guarded": (GUARDED, REMOVAL, 4),
}
CASES = [
    pytest.param(name, write, applied, id=f"{name}-{write}-{'applied' if applied else 'lost'}")
    for name, (before, wanted, writes) in SCENARIOS.items()
    for write in range(1, writes + 1)
    for applied in (False, True)
]


@pytest.fixture(scope="module")
def expected():
    """What each wanted state looks like when nothing goes wrong, as the first test finds it."""
    return {}


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_scenarios_take_as_many_writes_as_they_say(cloud, expected, name):
    before, wanted, writes = SCENARIOS[name]
    if before:
        cloud.run(before)
    assert cloud.run(wanted).outcome.writes == writes
    expected[name] = cloud.picture()
    assert bool(expected[name]) == (wanted != REMOVAL)


@pytest.mark.parametrize(("name", "write", "applied"), CASES)
def test_a_run_that_was_killed_is_taken_up_by_the_next(cloud, wire, expected, name, write, applied):
    before, wanted, dummy = SCENARIOS[name]
    if before:
        cloud.run(before)
    wire.lose(write, applied=applied, for_good=True)
    with pytest.raises(ApiError, match="gave no usable answer"):
        cloud.run(wanted, address=wire.address)
    assert wire.writes == write
    predicted = cloud.run(wanted, check_mode=True)
    taken_up = cloud.run(wanted)
    assert (taken_up.steps, taken_up.diff) == (predicted.steps, predicted.diff)
    assert cloud.picture() == expected[name]
    assert not cloud.run(wanted).changed


@pytest.mark.parametrize(("name", "write", "applied"), CASES)
def test_a_lost_answer_is_looked_into_by_the_same_run(cloud, wire, expected, name, write, applied):
    before, wanted, dummy = SCENARIOS[name]
    if before:
        cloud.run(before)
    wire.lose(write, applied=applied, for_good=False)
    cloud.run(wanted, address=wire.address)
    assert cloud.picture() == expected[name]
    assert not cloud.run(wanted).changed
