# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is there and what is wanted, and what comes of it."""

from __future__ import annotations

import pytest

from ansible_collections.clusterfront.ha.plugins.module_utils._haproxy import plan
from ansible_collections.clusterfront.ha.plugins.module_utils._haproxy.parse import Master
from ansible_collections.clusterfront.ha.plugins.module_utils._proxy import plan as common
from ansible_collections.clusterfront.ha.plugins.module_utils._proxy.parse import Server, limit_line

CONTENT = "global\n    description clusterfront @release@\nlisten a\n    bind :9999\n    bnid :9998\n"
UP = Server("UP", "L7OK", "")
DOWN = Server("DOWN", "L4CON", "Connection refused")
FRESH = Server("UP", "INI", "")
DROP_IN = "drop-in"
DONE = {
    "linked": "new", "text": "text", "staged": "text", "loaded": "new", "stale": False, "releases": ("new", "old"), "leftovers": (), "active": True,
    "ours": True, "pid": 12, "unit_file": DROP_IN, "stale_unit": False,
}  # fmt: skip


def planned(keep=3, raise_to=None, **differences):
    return common.make_plan(
        common.State(**{**DONE, **differences}), "new", "text", DROP_IN, common.Limit(None, raise_to), keep
    )


# every state that a killed run can leave
@pytest.mark.parametrize(
    ("differences", "wanted"),
    [
        ({}, []),
        (
            {
                "linked": None, "text": None, "staged": None, "loaded": None, "releases": (), "active": False, "ours": False,
                "unit_file": None,
            },  # fmt: skip
            ["stage", "write_unit", "daemon_reload", "flip", "start"],
        ),
        (
            {"linked": "old", "text": "o", "staged": None, "loaded": "old", "releases": ("old",)},
            ["stage", "flip", "reload"],
        ),
        # killed after staging, after the flip, after the drop-in
        ({"linked": "old", "text": "o", "loaded": "old"}, ["flip", "reload"]),
        ({"loaded": "old"}, ["reload"]),
        # killed after the states of servers were written
        ({"stale": True}, ["reload"]),
        # the file at the usual place was edited, or a run was killed before it was written
        ({"apart": True}, []),
        ({"apart": True, "text": "other"}, ["flip", "reload"]),
        ({"stale_unit": True}, ["daemon_reload"]),
        ({"active": False, "loaded": None, "ours": False}, ["start"]),
        # the package's own configuration is running
        ({"ours": False, "loaded": None}, ["restart"]),
        # somebody edited the live file
        ({"text": "other", "staged": "other"}, ["stage", "reload"]),
        # somebody edited the file of an older release that is wanted again
        ({"linked": "old", "text": "o", "staged": "other", "loaded": "old"}, ["stage", "flip", "reload"]),
        ({"leftovers": (".staged-x",)}, ["prune"]),
        ({"raise_to": 20000}, ["raise_limit"]),
        ({"raise_to": 20000, "active": False}, ["start"]),
        ({"releases": ("new", "old", "older", "oldest")}, ["prune"]),
        ({"releases": ("new", "old", "older", "oldest"), "keep": 4}, []),
    ],
)
def test_plan(differences, wanted):
    assert planned(**differences).steps == wanted


def test_plan_goes_back_to_what_is_known_to_run():
    # the link was flipped by a run that was killed: "linked" was never tried, "loaded" was
    state = {"linked": "untried", "loaded": "tried", "releases": ("untried", "tried", "old")}
    assert planned(keep=1, **state).previous == "tried"
    assert planned(keep=1, **state).prune == ("untried", "old")
    assert planned(keep=1, linked="old", loaded=None).previous == "old"
    assert planned(keep=1, releases=("new",)).previous is None


def test_release_names():
    name = common.release_id(CONTENT, {})
    assert name == common.release_id(CONTENT, {}) and len(name) == 12
    names = {
        name,
        common.release_id(CONTENT + "\n", {}),
        common.release_id(CONTENT, {"/ca": None}),
        common.release_id(CONTENT, {"/ca": b"1"}),
        common.release_id(CONTENT, {"/ca": b"2"}),
    }
    assert len(names) == 5


def test_drop_in_remembers_its_limit():
    text = plan.drop_in_text("/b", "/c", "/p", "/m", 20000)
    assert limit_line(text) == 20000
    assert limit_line(plan.drop_in_text("/b", "/c", "/p", "/m", None)) is None
    assert limit_line(None) is None


@pytest.mark.parametrize("limit", [1024, 10000, 524288])
def test_greatest_maxconn_is_the_greatest(limit):
    greatest = plan.greatest_maxconn(limit, 3, 2)
    assert plan.files_needed(greatest, 3, 2) <= limit < plan.files_needed(greatest + 1, 3, 2)


def test_default_fits_into_ten_thousand_files():
    assert plan.files_needed(4000 + 100, 3, 64) < 10000


@pytest.mark.parametrize(
    ("limit", "cure"), [(1024, "set haproxy_maxconn to 357 or less"), (300, "the host has to allow more")]
)
def test_too_many_connections_name_the_most_that_fits(limit, cure):
    assert plan.out_of_files(4000, 1, 100, 3, 2, limit) == (
        "haproxy_maxconn is 4000, which needs 8309 open files, but a process of this unit gets at most "
        f"{limit}: {cure}."
    )


def test_too_many_connections_for_several_listens():
    assert plan.out_of_files(4000, 2, 100, 3, 2, 10000) == (
        "haproxy_maxconn is 4000 for each of 2 listens, which needs 16309 open files, but a process of this unit gets at "
        "most 10000: set haproxy_maxconn to 2422 or less."
    )


def test_lost_servers():
    before = {"a/1": UP, "a/2": DOWN, "a/3": UP, "b/1": UP}
    after = {"a/1": DOWN, "a/2": DOWN, "b/1": FRESH}
    assert common.lost_server(before, after) == "server a/1 was up before and is DOWN now (L4CON Connection refused)"
    assert common.lost_server(before, {"a/1": FRESH}) == "server a/1 was up before and has not been checked since"
    assert common.lost_server(before, {"a/1": UP, "a/2": DOWN}) is None


def test_servers_that_are_meant_to_be_down_are_not_lost():
    before, after = {"a/1": UP, "a/2": UP}, {"a/1": DOWN, "a/2": UP}
    assert common.lost_server(before, after, {"a/1"}) is None
    assert common.outage({"a/1": UP}, {"a/1": DOWN}, {"a/1"}) is None


def test_outages():
    before = {"a/1": UP, "a/2": UP, "b/1": UP, "c/1": DOWN}
    assert common.outage(before, {"a/1": DOWN, "a/2": UP, "c/1": DOWN}) is None
    assert common.outage(before, {"a/1": DOWN, "a/2": DOWN, "b/1": UP}) == (
        "backend a lost all its servers (Connection refused)"
    )


@pytest.mark.parametrize(
    ("now", "seconds", "wanted"),
    [
        (Master((15,), 0), 0.1, False),  # not begun, or done
        (Master((16,), 0), 0.1, False),
        (Master((15,), 1), 0.1, True),  # 3.0 keeps the worker in its place
        (Master((), 1), 0.1, True),  # 2.6 does not
        (Master((16,), 1), 0.1, False),  # a worker is on its way
        (Master((), 0), 0.1, False),
        (Master((), 0), 1.1, True),  # 2.2 does not count
    ],
)
def test_failed_reloads(now, seconds, wanted):
    assert plan.reload_failed(Master((15,), 0), now, seconds) is wanted


def test_limits_have_room():
    assert [common.rounded_up(needed) for needed in (1, 4096, 4097)] == [4096, 4096, 8192]
