# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs at the same time, in many orders of their calls: one result, nothing twice, no trace of an error."""

from __future__ import annotations

import random

import pytest

from documents import BY_SIZE, CHANGED, LAB, MADE, REMOVED, SCENARIOS, group, listener, server
from simulation import LATENCY, Cut, Job

SEEDS = range(12)
#: How long a call takes at most, and how long the cloud is busy after a write, in seconds.
PACES = [pytest.param(0.0, 0.0, id="at once"), pytest.param(0.4, 0.0, id="quick"), pytest.param(1.5, 2.0, id="slow")]
PROTECTED = {**MADE, "load_balancer": {**LAB, "delete_protection": True}}
CASES = {
    "make": SCENARIOS["make"],
    "make with protection": (None, PROTECTED),
    "make an instance": (None, BY_SIZE),
    "change": SCENARIOS["change"],
    "remove": SCENARIOS["remove"],
    "other pool": SCENARIOS["other pool"],
    "pair": SCENARIOS["pair"],
    "other pair": SCENARIOS["other pair"],
    "make a web": SCENARIOS["make a web"],
    "change a web": SCENARIOS["change a web"],
    "remove a web": SCENARIOS["remove a web"],
}


@pytest.fixture
def scene(simulation, request):
    """(what is wanted, back to the start, the end)."""
    before, wanted = request.param
    if before:
        simulation.run(before).done
        simulation.pause(60)
    start = simulation.remember()
    simulation.run(wanted).done
    return wanted, lambda: simulation.restore(start), simulation.picture()


def settled(simulation, wanted, end):
    """There is what there should be, once, and a run does nothing."""
    simulation.transitions(0)
    simulation.misbehave()
    simulation.pause(60)
    assert simulation.picture() == end
    run = simulation.run(wanted)
    assert not run.done.changed and not run.writes


@pytest.mark.parametrize(("slowest", "busy"), PACES)
@pytest.mark.parametrize("scene", CASES.values(), ids=CASES, indirect=True)
def test_two_runs_of_one_document(simulation, scene, slowest, busy):
    wanted, start_again, end = scene
    for seed in SEEDS:
        start_again()
        simulation.transitions(busy)
        for run in simulation.together(Job(wanted), Job(wanted), seed=seed, slowest=slowest):
            assert run.done.changed, seed
        settled(simulation, wanted, end)


@pytest.mark.parametrize("scene", [SCENARIOS["make"]], ids=["make"], indirect=True)
def test_three_runs_of_one_document(simulation, scene):
    wanted, start_again, end = scene
    for seed in SEEDS:
        start_again()
        simulation.transitions(0.5)
        for run in simulation.together(Job(wanted), Job(wanted), Job(wanted), seed=seed, slowest=0.5):
            assert run.done, seed
        settled(simulation, wanted, end)


@pytest.mark.parametrize("late", [0.5, 5.0])
@pytest.mark.parametrize("scene", [SCENARIOS["make"], SCENARIOS["change"]], ids=["make", "change"], indirect=True)
def test_two_runs_and_late_reads(simulation, scene, late):
    wanted, start_again, end = scene
    for seed in SEEDS:
        start_again()
        simulation.misbehave({"stale_seconds": late, "count": 0})
        for run in simulation.together(Job(wanted), Job(wanted), seed=seed, slowest=0.5):
            assert run.done.changed, seed
        settled(simulation, wanted, end)


@pytest.mark.parametrize("scene", [SCENARIOS["make"], SCENARIOS["change"]], ids=["make", "change"], indirect=True)
def test_the_last_call_of_a_killed_run_arrives_while_the_next_run_works(simulation, scene):
    wanted, start_again, end = scene
    start_again()
    calls = simulation.run(wanted).calls
    for number in (place for place, call in enumerate(calls, 1) if not call.startswith("Describe")):
        start_again()
        soon = random.Random(number).uniform(0.0, 1.0) * number
        killed = Job(wanted, cut=Cut(number, "on the way"))
        dead, run = simulation.together(killed, Job(wanted, start=soon), seed=number, slowest=1.0)
        assert dead.killed and run.done, number
        settled(simulation, wanted, end)


def part(owner, number):
    """A group and a listener of one owner on an instance that both use."""
    return {
        "name": owner,
        "load_balancer": {**LAB, "name": "shared"},
        "server_groups": [group(owner, server(number))],
        "listeners": [listener(6440 + number, owner)],
    }


@pytest.mark.parametrize("there", [True, False], ids=["there", "not there"])
def test_two_owners_on_one_instance(simulation, there):
    for seed in SEEDS:
        simulation.reset()
        if there:
            simulation.run({"name": "shared", "load_balancer": LAB}).done
            simulation.pause(60)
        documents = part("one", 1), part("two", 2)
        for run in simulation.together(*map(Job, documents), seed=seed, slowest=0.5):
            assert run.done.changed, seed
        (balancer,) = simulation.picture()["load_balancers"]
        assert [entry[0] for entry in balancer["groups"]] == ["one", "two"]
        assert [entry[:2] for entry in balancer["listeners"]] == [("tcp_6441", "running"), ("tcp_6442", "running")]
        for document in documents:
            assert not simulation.run(document).done.changed


@pytest.mark.parametrize("other", [CHANGED, REMOVED], ids=["changed", "removed"])
def test_two_runs_that_want_different_things(simulation, other):
    """One of them may end with a sentence; what the last one wants is there after its next run."""
    simulation.run(MADE).done
    simulation.pause(60)
    start = simulation.remember()
    simulation.run(other).done
    end = simulation.picture()
    for seed in SEEDS:
        simulation.restore(start)
        first, second = simulation.together(Job(MADE), Job(other), seed=seed, slowest=0.5)
        for run in (first, second):
            assert run.result.trace is None
        simulation.pause(60)
        simulation.run(MADE).done
        simulation.run(other).done
        settled(simulation, other, end)


def test_what_another_run_undid_meanwhile_is_done_again(simulation):
    simulation.run(MADE).done
    simulation.pause(60)
    calls = simulation.run(CHANGED).calls
    end = simulation.picture()
    simulation.reset()
    simulation.run(MADE).done
    simulation.pause(60)
    member = {**CHANGED["server_groups"][0]["backends"][0], "weight": 90}
    other = {"name": "prod-api", "server_groups": [group("haproxy", member, purge="none")]}
    # the other one comes after the weight was changed, and is done before the listeners are
    began = 2 * LATENCY * (calls.index("SetVServerGroupAttribute") + 1)
    first, second = simulation.together(Job(CHANGED), Job(other, start=began))
    assert second.writes == ["SetVServerGroupAttribute"] and second.done.changed
    assert first.writes.count("SetVServerGroupAttribute") == 2 and first.done.changed
    settled(simulation, CHANGED, end)
