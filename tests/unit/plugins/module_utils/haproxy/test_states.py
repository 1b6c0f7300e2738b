# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which servers are drained: in a file, on the lines of a configuration, in what HAProxy says."""

from __future__ import annotations

import pytest

from ansible_collections.clusterfront.ha.plugins.module_utils._haproxy import states
from ansible_collections.clusterfront.ha.plugins.module_utils._haproxy.states import Runtime
from ansible_collections.clusterfront.ha.plugins.module_utils._proxy.states import (
    Intent,
    StateError,
    choose,
    dump_states,
    emptied,
    merge,
    parse_states,
)

CONFIG = """\
global
    description clusterfront 1

defaults
    default-server weight 7

peers mine
    server a 192.0.2.9:1

backend web
    # server c 192.0.2.4:1
    server a 192.0.2.1:80 weight 5 # a comment
    server b 192.0.2.2:80 weight 5
listen tcp
    bind :90
    default-server weight 9
    server a 192.0.2.1:90
backend last
    server d 192.0.2.1:91
frontend none
    bind :92
"""
LOST = {"web/a": Intent("drain"), "tcp/a": Intent("maint", 3), "web/b": Intent("ready", 4), "gone/x": Intent("maint")}


def test_servers_and_their_weights():
    found = states.server_lines(CONFIG)
    assert {name: line.weight for name, line in found.items()} == {"web/a": 5, "web/b": 5, "tcp/a": 9, "last/d": 7}
    assert CONFIG.split("\n")[found["tcp/a"].number].split()[1] == "a"


def test_states_come_onto_lines_and_off():
    text = states.with_states(CONFIG, LOST)
    assert "server a 192.0.2.1:80 weight 5 weight 0 # haproxy_server: weight 0 # a comment\n" in text
    assert "server b 192.0.2.2:80 weight 5 weight 4 # haproxy_server: weight 4\n" in text
    assert "server a 192.0.2.1:90 weight 3 disabled # haproxy_server: weight 3 disabled\n" in text
    assert "    server a 192.0.2.9:1\n" in text
    assert states.without_states(text) == CONFIG
    assert states.with_states(text, LOST) == text and states.with_states(text, {}) == CONFIG


def test_a_line_that_somebody_edited_stays():
    line = "    server a 192.0.2.1:1 weight 3 # haproxy_server: weight 0"
    assert states.without_states(line) == line


def test_the_file():
    text = dump_states({**LOST, "web/c": Intent()})
    assert parse_states(text, "f") == LOST
    assert parse_states(None, "f") == {} and dump_states({}) == "{}\n"


def test_a_section_without_a_name_has_no_servers():
    assert states.server_lines("backend\n  server a 192.0.2.1:1\n") == {}


@pytest.mark.parametrize("text", ["{", "[]", '{"a": 1}'])
def test_a_file_that_is_none(text):
    with pytest.raises(
        StateError, match=r"^f holds no states of servers \(.*\); repair it, or remove it to forget them all\.$"
    ):
        parse_states(text, "f")


def test_a_file_with_a_strange_state():
    with pytest.raises(StateError, match="f has the state 'off' for a/b; it has to be one of ready, drain, maint."):
        parse_states('{"a/b": {"state": "off"}}', "f")


def test_what_a_process_says():
    servers = (
        "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight\n"
        "3 web 1 a 192.0.2.1 2 8 5 5\n3 web 2 b 192.0.2.2 2 0 0 5\n4 tcp 1 a 192.0.2.1 2 5 9 9\n4 tcp 2 b 192.0.2.1 2 0 9 9\n\n"
    )
    stat = "# pxname,svname,scur,status\nweb,a,3,DRAIN\ntcp,b,,no check\nweb,FRONTEND,1,OPEN\n"
    found = states.parse_runtime(servers, stat)
    assert {name: (server.state, server.sessions, server.serves) for name, server in found.items()} == {
        "web/a": ("drain", 3, False), "web/b": ("drain", 0, False), "tcp/a": ("maint", 0, False), "tcp/b": ("ready", 0, True),
    }  # fmt: skip
    assert states.parse_runtime("", "") == {}
    assert states.parse_sessions(stat) == {"web/a": 3, "tcp/b": 0, "web/FRONTEND": 1}


def test_sessions_of_a_server():
    text = "0x1: proto=tcpv4 fe=web be=web srv=a ts=00\n0x2: proto=tcpv4 fe=web be=web srv=ab ts=00\n0x3: be=more srv=a\nx\n"
    assert states.parse_session_ids(text, "web/a") == ["0x1"]


def test_which_servers_are_meant():
    known = states.server_lines(CONFIG)
    assert choose(known, "a", None) == ["tcp/a", "web/a"] and choose(known, "a", "web") == ["web/a"]
    assert choose(known, None, None) == ["last/d", "tcp/a", "web/a", "web/b"]
    assert choose(known, None, "web") == ["web/a", "web/b"]
    with pytest.raises(StateError, match="^Backend gone has no server; there are "):
        choose(known, None, "gone")
    with pytest.raises(StateError, match="^Backend last has no server a; there are last/d, tcp/a, web/a, web/b.$"):
        choose(known, "a", "last")
    with pytest.raises(StateError, match="^No backend has a server x; there are none.$"):
        choose({}, "x", None)


def test_a_request_keeps_what_it_does_not_name():
    now = Intent("drain", 5)
    assert merge(now, None, None) == now
    assert merge(now, "ready", None) == Intent("ready", 5)
    assert merge(now, None, "7") == Intent("drain", 7)
    assert merge(now, "ready", "configured") == Intent()
    for weight in ("257", "-1", "x"):
        with pytest.raises(
            StateError, match=f"weight is '{weight}'; it has to be a number from 0 to 256, or configured."
        ):
            merge(now, None, weight)


UP = Runtime(0, 5, "UP")
DRAINED = Runtime(states.FORCED_DRAIN, 5, "DRAIN")
WEIGHTLESS = Runtime(0, 0, "DRAIN")
MAINT = Runtime(states.FORCED_MAINT, 5, "MAINT")
UNRESOLVED = Runtime(0x20, 5, "MAINT (resolution)")


@pytest.mark.parametrize(
    ("now", "wanted", "told"),
    [
        (UP, Intent(), []),
        (UP, Intent("drain"), ["state drain"]),
        (UP, Intent("maint"), ["state maint"]),
        (UP, Intent("ready", 3), ["weight 3"]),
        (DRAINED, Intent("drain"), []),
        (DRAINED, Intent(), ["state ready"]),
        (WEIGHTLESS, Intent("drain"), []),
        (WEIGHTLESS, Intent(), ["weight 5"]),
        (WEIGHTLESS, Intent("drain", 3), []),
        (WEIGHTLESS, Intent("maint"), ["state maint", "weight 5"]),
        (MAINT, Intent("maint"), []),
        (MAINT, Intent("drain"), ["state drain"]),
        (MAINT, Intent("ready", 2), ["state ready", "weight 2"]),
        (UNRESOLVED, Intent(), []),
        (UNRESOLVED, Intent("drain"), ["state drain"]),
    ],
)
def test_what_a_process_is_told(now, wanted, told):
    assert states.commands("web/a", now, wanted, 5) == [f"set server web/a {words}" for words in told]


def test_a_backend_that_would_be_empty():
    both = {"web/a": UP, "web/b": UP, "tcp/a": UP}
    drained = {"web/a": Intent("drain"), "web/b": Intent("ready", 0), "tcp/a": Intent("drain")}
    assert emptied(["web/a"], drained, both) is None
    assert emptied(["web/a", "web/b"], drained, both) == "web"
    assert emptied(["web/a", "tcp/a"], drained, both) == "tcp"
    assert emptied(["web/a"], drained, {"web/a": UP, "web/b": MAINT}) == "web"
    assert emptied(["web/a"], drained, {"web/a": DRAINED}) is None
    assert emptied(["web/a"], drained, {}) is None
