# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs that are killed before and after any call, reads included, and calls whose answer is lost: the next run, or the
same, ends well, and nothing is there twice."""

from __future__ import annotations

import itertools

import pytest

from documents import SCENARIOS
from simulation import Cut


@pytest.fixture(params=SCENARIOS)
def scene(request, simulation):
    """Leads a document through all calls of an undisturbed run: (what is wanted, those calls, back to the start, the end)."""
    before, wanted = SCENARIOS[request.param]
    if before:
        simulation.run(before).done
    start = simulation.remember()
    calls = simulation.run(wanted).calls
    return wanted, calls, lambda: simulation.restore(start), simulation.picture()


def settled(simulation, wanted, end):
    """One more run does nothing, and there is what there should be, once."""
    again = simulation.run(wanted)
    assert not again.done.changed and not again.writes
    assert simulation.picture() == end


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_run_that_was_killed_is_taken_up_by_the_next(simulation, scene, moment):
    wanted, calls, start_again, end = scene
    for number in itertools.count(1):
        start_again()
        killed = simulation.run(wanted, cut=Cut(number, moment))
        if not killed.killed:
            break
        assert killed.calls == calls[:number]
        predicted = simulation.run(wanted, check_mode=True).done if moment == "after" else None
        taken_up = simulation.run(wanted).done
        assert predicted is None or (taken_up.steps, taken_up.diff) == (predicted.steps, predicted.diff)
        settled(simulation, wanted, end)
    assert number == len(calls) + 1


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_lost_answer_is_looked_into_by_the_same_run(simulation, scene, moment):
    wanted, calls, start_again, end = scene
    for number, call in enumerate(calls, 1):
        if call.startswith(("Describe", "List")):
            continue  # reads are tried again by the client; test_faults has them
        start_again()
        run = simulation.run(wanted, cut=Cut(number, moment, kills=False))
        # only an instance can be made again without another one: its call carries a token
        twice = moment == "before" and call == "CreateVServerGroup"
        assert run.calls.count("CreateVServerGroup") == run.done.steps_of("CreateVServerGroup") + twice
        settled(simulation, wanted, end)
