# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reading HAProxy, deciding, and the files of a release."""

from __future__ import annotations

import os
import socket

import pytest

from ansible_collections.clusterfront.ha.plugins.module_utils._haproxy import release as unit

CONTENT = "global\n    description clusterfront @release@\nlisten a\n    bind :9999\n    bnid :9998\n"
UP = unit.Server("UP", "L7OK", "")
DOWN = unit.Server("DOWN", "L4CON", "Connection refused")
FRESH = unit.Server("UP", "INI", "")


@pytest.mark.parametrize(
    ("output", "wanted"),
    [
        (
            "[ALERT]    (12) : config : parsing [/x/haproxy.cfg:5] : unknown keyword 'bnid' in 'listen' section\n"
            "[ALERT]    (12) : config : Error(s) found in configuration file : /x/haproxy.cfg\n"
            "[ALERT]    (12) : config : Fatal errors found in configuration.",
            [unit.Complaint(5, "unknown keyword 'bnid' in 'listen' section")],
        ),
        # 2.2 prints a date, and no word for the part of the program
        (
            "[ALERT] 324/062231 (99) : parsing [/x/haproxy.cfg:5] : unknown keyword 'bnid' in 'listen' section",
            [unit.Complaint(5, "unknown keyword 'bnid' in 'listen' section")],
        ),
        (
            "[NOTICE]   (7) : haproxy version is 2.6.12\n[WARNING]  (7) : config : missing timeouts for frontend 'x'.\n"
            "[ALERT]    (7) : config : Proxy 'x': unable to find required default_backend: 'y'.",
            [unit.Complaint(None, "Proxy 'x': unable to find required default_backend: 'y'.")],
        ),
        (
            "[ALERT]    (9) : config : [/x/haproxy.cfg:4] : 'server a/b' : unable to find 'ca'",
            [unit.Complaint(4, "'server a/b' : unable to find 'ca'")],
        ),
        (
            "[ALERT]    (9) : config : parsing [/x/haproxy.cfg:4]: spread-checks already specified. Continuing.\n"
            "[ALERT]    (9) : config : parsing [/x/haproxy.cfg:5] : unknown keyword 'a'",
            [unit.Complaint(5, "unknown keyword 'a'")],
        ),
        ("Configuration file is valid", []),
    ],
)
def test_complaints(output, wanted):
    assert unit.complaints(output) == wanted


def test_refusal_quotes_the_line():
    output = "[ALERT]    (12) : config : parsing [/x/haproxy.cfg:5] : unknown keyword 'bnid' in 'listen' section\n"
    assert unit.refusal(CONTENT, output) == (
        "HAProxy refuses line 5 of the configuration, 'bnid :9998': unknown keyword 'bnid' in 'listen' section"
    )


def test_refusal_counts_the_rest():
    output = "[ALERT]    (1) : config : parsing [/x:4] : a.\n[ALERT]    (1) : config : parsing [/x:5] : b\n"
    assert unit.refusal(CONTENT, output).endswith("'bind :9999': a (and 1 more)")


def test_refusal_without_a_line():
    assert "no default_backend" in unit.refusal(CONTENT, "[ALERT]    (1) : config : no default_backend.")
    assert unit.refusal(CONTENT, "killed\n") == "HAProxy refuses the configuration: killed"


def test_the_process_tells_its_release():
    info = unit.parse_info("Name: HAProxy\nPid: 12\ndescription: clusterfront abc123\nStopping: 0\n")
    assert unit.loaded_release(info) == "abc123" and info["pid"] == "12"
    assert unit.loaded_release({}) is None


def test_servers_without_frontends():
    text = (
        "# pxname,svname,status,check_status,last_chk,\napi,FRONTEND,OPEN,,,\nbe,m1,UP,* L7OK,,\n"
        "be,m2,DOWN,L4CON,Connection refused,\nbe,m3,UP 1/2,INI,,\nbe,BACKEND,UP,,,\n"
    )
    servers = unit.parse_servers(text)
    assert list(servers) == ["be/m1", "be/m2", "be/m3"]
    assert [server.up for server in servers.values()] == [True, False, True]
    assert [server.checked for server in servers.values()] == [True, True, False]
    assert servers["be/m2"].reason == "Connection refused"


def test_master_counts_only_new_workers():
    text = (
        "#<PID> <type> <reloads>\n12 master 2 [failed: 1] 0d 2.6.12\n# workers\n15 worker 0 0d 2.6.12\n"
        "# old workers\n13 worker 2 0d 2.6.12\n# programs\n"
    )
    assert unit.parse_master(text) == unit.Master((15,), 1)
    assert unit.parse_master("") == unit.Master((), 0)


@pytest.mark.parametrize(
    ("now", "seconds", "wanted"),
    [
        (unit.Master((15,), 0), 0.1, False),  # not begun, or done
        (unit.Master((16,), 0), 0.1, False),
        (unit.Master((15,), 1), 0.1, True),  # 3.0 keeps the worker in its place
        (unit.Master((), 1), 0.1, True),  # 2.6 does not
        (unit.Master((16,), 1), 0.1, False),  # a worker is on its way
        (unit.Master((), 0), 0.1, False),
        (unit.Master((), 0), 1.1, True),  # 2.2 does not count
    ],
)
def test_failed_reloads(now, seconds, wanted):
    assert unit.reload_failed(unit.Master((15,), 0), now, seconds) is wanted


def test_limits():
    text = "Limit  Soft Limit Hard Limit\nMax open files            1024                 10000                files\n"
    assert unit.parse_limit(text) == 10000
    assert unit.parse_limit(text.replace("10000", "unlimited")) == 2**30
    assert unit.parse_limit("") is None


@pytest.mark.parametrize("limit", [1024, 10000, 524288])
def test_greatest_maxconn_is_the_greatest(limit):
    greatest = unit.greatest_maxconn(limit, 3, 2)
    assert unit.files_needed(greatest, 3, 2) <= limit < unit.files_needed(greatest + 1, 3, 2)


def test_default_fits_into_ten_thousand_files():
    assert unit.files_needed(4000 + 100, 3, 64) < 10000


def test_release_names():
    name = unit.release_id(CONTENT, {})
    assert name == unit.release_id(CONTENT, {}) and len(name) == 12
    names = {
        name,
        unit.release_id(CONTENT + "\n", {}),
        unit.release_id(CONTENT, {"/ca": None}),
        unit.release_id(CONTENT, {"/ca": b"1"}),
        unit.release_id(CONTENT, {"/ca": b"2"}),
    }
    assert len(names) == 5


def test_drop_in_remembers_its_limit():
    text = unit.drop_in_text("/b", "/c", "/p", "/m", 20000)
    assert unit.limit_line(text) == 20000
    assert unit.limit_line(unit.drop_in_text("/b", "/c", "/p", "/m", None)) is None
    assert unit.limit_line(None) is None


def test_started_from():
    arguments = ["haproxy", "-sf", "12", "-Ws", "-f", "/c", "-p", "/p", "-S", "/m"]
    assert unit.started_from(arguments, "/c", "/m")
    assert not unit.started_from(arguments, "/d", "/m")
    assert not unit.started_from([], "/c", "/m")


def test_lost_servers():
    before = {"a/1": UP, "a/2": DOWN, "a/3": UP, "b/1": UP}
    after = {"a/1": DOWN, "a/2": DOWN, "b/1": UP}
    assert unit.lost_servers(before, after) == ["a/1"]
    assert unit.lost_servers(before, {"a/1": FRESH}) == []


def test_outages():
    before = {"a/1": UP, "a/2": UP, "b/1": UP, "c/1": DOWN}
    assert unit.outages(before, {"a/1": DOWN, "a/2": UP, "c/1": DOWN}) == []
    assert unit.outages(before, {"a/1": DOWN, "a/2": DOWN, "b/1": UP}) == ["a"]


# --- the plan: every state that a killed run can leave ----------------------------------------------------------

DROP_IN = "drop-in"
DONE = {
    "linked": "new", "text": "text", "loaded": "new", "releases": ("new", "old"), "leftovers": (), "active": True,
    "ours": True, "drop_in": DROP_IN, "stale_unit": False,
}  # fmt: skip


def steps(keep=3, raise_to=None, **differences):
    return unit.make_plan(unit.State(**{**DONE, **differences}), "new", "text", DROP_IN, raise_to, keep).steps


@pytest.mark.parametrize(
    ("differences", "wanted"),
    [
        ({}, []),
        (
            {
                "linked": None, "text": None, "loaded": None, "releases": (), "active": False, "ours": False,
                "drop_in": None,
            },  # fmt: skip
            ["stage", "write_drop_in", "daemon_reload", "flip", "start"],
        ),
        ({"linked": "old", "text": "o", "loaded": "old", "releases": ("old",)}, ["stage", "flip", "reload"]),
        # killed after staging, after the flip, after the drop-in
        ({"linked": "old", "text": "o", "loaded": "old"}, ["flip", "reload"]),
        ({"loaded": "old"}, ["reload"]),
        ({"stale_unit": True}, ["daemon_reload"]),
        ({"active": False, "loaded": None, "ours": False}, ["start"]),
        # the package's own configuration is running
        ({"ours": False, "loaded": None}, ["restart"]),
        # somebody edited the live file
        ({"text": "other"}, ["stage", "reload"]),
        ({"leftovers": (".staged-x",)}, ["prune"]),
        ({"raise_to": 20000}, ["raise_limit"]),
        ({"raise_to": 20000, "active": False}, ["start"]),
        ({"releases": ("new", "old", "older", "oldest")}, ["prune"]),
        ({"releases": ("new", "old", "older", "oldest"), "keep": 4}, []),
    ],
)
def test_plan(differences, wanted):
    assert steps(**differences) == wanted


def plan(**differences):
    return unit.make_plan(unit.State(**{**DONE, **differences}), "new", "text", DROP_IN, None, 1)


def test_plan_goes_back_to_what_is_known_to_run():
    # the link was flipped by a run that was killed: "linked" was never tried, "loaded" was
    state = {"linked": "untried", "loaded": "tried", "releases": ("untried", "tried", "old")}
    assert plan(**state).previous == "tried"
    assert plan(**state).prune == ("untried", "old")
    assert plan(linked="old", loaded=None).previous == "old"
    assert plan(releases=("new",)).previous is None


# --- files and ports --------------------------------------------------------------------------------------------


@pytest.fixture
def settings(tmp_path):
    """A host without systemd: everything below one directory, and a binary that takes everything."""
    directory = tmp_path / "haproxy"
    (directory / "releases").mkdir(parents=True)
    binary = tmp_path / "binary"
    binary.write_text("#!/bin/sh\nexit 0\n")
    binary.chmod(0o755)
    return unit.Settings(
        str(directory), str(binary), "none.service", str(tmp_path / "units"), "/p", "/s", "/m", 1
    )  # fmt: skip


def test_stage_and_flip(settings):
    unit.stage(settings, plan(releases=()))
    unit.flip(settings, "new")
    assert unit.read(settings.config) == "text"
    assert os.listdir(settings.releases) == ["new"]
    unit.flip(settings, None)
    assert not os.path.lexists(settings.link)


def test_a_refused_release_leaves_nothing(settings):
    with open(settings.binary, "w", encoding="utf-8") as file:
        file.write("#!/bin/sh\necho '[ALERT]    (1) : config : parsing [x:1] : no'\nexit 1\n")
    with pytest.raises(unit.ReleaseError, match="'text': no; nothing was changed"):
        unit.stage(settings, plan(releases=()))
    assert os.listdir(settings.releases) == []


def test_binds():
    text = (
        "# bind :1\n    bind :8888\n bind *:1,192.0.2.1:2 ssl crt /x\n bind [2001:db8::1]:3 v4v6 # :4\n bind :::5\n"
        " bind unix@/x\n bind name:6\n bind :7-9\n bind\n"
    )
    assert [(bind.line, bind.address, bind.port) for bind in unit.parse_binds(text)] == [
        (2, "0.0.0.0", 8888), (3, "0.0.0.0", 1), (3, "192.0.2.1", 2), (4, "2001:db8::1", 3), (5, "::", 5)
    ]  # fmt: skip


def test_a_port_of_somebody_else_is_refused():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        sentence = rf"line 2 .*'bind 127.0.0.1:{port}': port {port} is in use by .*{os.getpid()}"
        with pytest.raises(unit.ReleaseError, match=sentence):
            unit.refuse_taken(f"frontend x\n    bind 127.0.0.1:{port}\n")
    unit.refuse_taken(f"frontend x\n    bind 127.0.0.1:{port}\n")


def test_a_port_of_our_own_is_shared():
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", 0))
        other.listen()
        unit.refuse_taken(f"bind 127.0.0.1:{other.getsockname()[1]}\n")


def test_an_address_of_another_host_is_refused():
    with pytest.raises(unit.ReleaseError, match="192.0.2.250 is no address of this host"):
        unit.refuse_taken("bind 192.0.2.250:1\n")


def test_content_without_the_mark_is_refused(settings):
    with pytest.raises(unit.ReleaseError, match="lacks the mark @release@"):
        unit.release(settings, unit.Wanted("global\n", (), None, 0, (), 3), True)


def test_a_foreign_current_is_refused(settings):
    os.mkdir(settings.link)
    with pytest.raises(unit.ReleaseError, match="has to be a link"):
        unit.release(settings, unit.Wanted(CONTENT, (), None, 0, (), 3), True)


def test_check_mode_writes_nothing(settings):
    os.rmdir(settings.releases)
    wanted = unit.Wanted(CONTENT, (), None, 0, (), 3)
    state, predicted = unit.release(settings, wanted, True)
    assert predicted.steps == ["stage", "write_drop_in", "daemon_reload", "flip", "start"]
    assert state.text is None and os.listdir(settings.directory) == []
