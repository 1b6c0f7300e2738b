# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reading HAProxy, systemd, the kernel and configurations."""

from __future__ import annotations

import pytest

from ansible_collections.clusterfront.ha.plugins.module_utils._haproxy import parse
from ansible_collections.clusterfront.ha.plugins.module_utils._proxy import parse as common

CONTENT = "global\n    description clusterfront @release@\nlisten a\n    bind :9999\n    bnid :9998\n"


@pytest.mark.parametrize(
    ("output", "wanted"),
    [
        (
            "[ALERT]    (12) : config : parsing [/x/haproxy.cfg:5] : unknown keyword 'bnid' in 'listen' section\n"
            "[ALERT]    (12) : config : Error(s) found in configuration file : /x/haproxy.cfg\n"
            "[ALERT]    (12) : config : Fatal errors found in configuration.",
            [parse.Complaint(5, "unknown keyword 'bnid' in 'listen' section")],
        ),
        # 2.2 prints a date, and no word for the part of the program
        (
            "[ALERT] 324/062231 (99) : parsing [/x/haproxy.cfg:5] : unknown keyword 'bnid' in 'listen' section",
            [parse.Complaint(5, "unknown keyword 'bnid' in 'listen' section")],
        ),
        (
            "[NOTICE]   (7) : haproxy version is 2.6.12\n[WARNING]  (7) : config : missing timeouts for frontend 'x'.\n"
            "[ALERT]    (7) : config : Proxy 'x': unable to find required default_backend: 'y'.",
            [parse.Complaint(None, "Proxy 'x': unable to find required default_backend: 'y'.")],
        ),
        (
            "[ALERT]    (9) : config : [/x/haproxy.cfg:4] : 'server a/b' : unable to find 'ca'",
            [parse.Complaint(4, "'server a/b' : unable to find 'ca'")],
        ),
        (
            "[ALERT]    (9) : config : parsing [/x/haproxy.cfg:4]: spread-checks already specified. Continuing.\n"
            "[ALERT]    (9) : config : parsing [/x/haproxy.cfg:5] : unknown keyword 'a'",
            [parse.Complaint(5, "unknown keyword 'a'")],
        ),
        ("Configuration file is valid", []),
    ],
)
def test_complaints(output, wanted):
    assert parse.complaints(output) == wanted


def test_refusal_quotes_the_line():
    output = "[ALERT]    (12) : config : parsing [/x/haproxy.cfg:5] : unknown keyword 'bnid' in 'listen' section\n"
    assert parse.refusal(CONTENT, output) == (
        "HAProxy refuses line 5 of the configuration, 'bnid :9998': unknown keyword 'bnid' in 'listen' section"
    )


def test_refusal_counts_the_rest():
    output = "[ALERT]    (1) : config : parsing [/x:4] : a.\n[ALERT]    (1) : config : parsing [/x:5] : b\n"
    assert parse.refusal(CONTENT, output).endswith("'bind :9999': a (and 1 more)")


def test_refusal_without_a_line():
    assert "no default_backend" in parse.refusal(CONTENT, "[ALERT]    (1) : config : no default_backend.")
    assert parse.refusal(CONTENT, "killed\n") == "HAProxy refuses the configuration: killed"


def test_the_process_tells_its_release():
    info = parse.parse_info("Name: HAProxy\nPid: 12\ndescription: clusterfront abc123\nStopping: 0\n")
    assert parse.loaded_release(info) == "abc123" and info["pid"] == "12"
    assert parse.loaded_release({}) is None


def test_servers_without_frontends():
    text = (
        "# pxname,svname,status,check_status,last_chk,\napi,FRONTEND,OPEN,,,\nbe,m1,UP,* L7OK,,\n"
        "be,m2,DOWN,L4CON,Connection refused,\nbe,m3,UP 1/2,INI,,\nbe,BACKEND,UP,,,\n"
    )
    servers = parse.parse_servers(text)
    assert list(servers) == ["be/m1", "be/m2", "be/m3"]
    assert [server.up for server in servers.values()] == [True, False, True]
    assert [server.checked for server in servers.values()] == [True, True, False]
    assert servers["be/m2"].reason == "Connection refused"


def test_master_counts_only_new_workers():
    text = (
        "#<PID> <type> <reloads>\n12 master 2 [failed: 1] 0d 2.6.12\n# workers\n15 worker 0 0d 2.6.12\n"
        "# old workers\n13 worker 2 0d 2.6.12\n# programs\n"
    )
    assert parse.parse_master(text) == parse.Master((15,), 1, (13,))
    assert parse.parse_master("") == parse.Master((), 0)


def test_limits():
    text = "Limit  Soft Limit Hard Limit\nMax open files            1024                 10000                files\n"
    assert common.parse_limit(text) == 10000
    assert common.parse_limit(text.replace("10000", "unlimited")) == 2**30
    assert common.parse_limit("") is None


def test_servers_are_counted():
    assert parse.count_servers("backend be\n    server a 192.0.2.1:1\n\tserver b 192.0.2.2:1\n# server c\n") == 2
    assert parse.count_servers("") == 0


def test_started_from():
    arguments = ["haproxy", "-sf", "12", "-Ws", "-f", "/c", "-p", "/p", "-S", "/m"]
    assert parse.started_from(arguments, "/c", "/m")
    assert not parse.started_from(arguments, "/d", "/m")
    assert not parse.started_from([], "/c", "/m")


def test_binds():
    text = (
        "# bind :1\n    bind :8888\n bind *:1,192.0.2.1:2 ssl crt /x\n bind [2001:db8::1]:3 v4v6 # :4\n bind :::5\n"
        " bind unix@/x\n bind name:6\n bind :7-9\n bind\n"
    )
    assert [(bind.line, bind.address, bind.port) for bind in parse.parse_binds(text)] == [
        (2, "0.0.0.0", 8888), (3, "0.0.0.0", 1), (3, "192.0.2.1", 2), (4, "2001:db8::1", 3), (5, "::", 5)
    ]  # fmt: skip


def test_the_socket_that_listens():
    text = (
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
        "   0: 0100007F:22B8 0100007F:D431 01 00000000:00000000 00:00000000 00000000     0        0 4711 1 0\n"
        "   1: 00000000:22B8 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4712 1 0\n"
    )
    assert common.parse_listening(text, 8888) == [common.Listening("0.0.0.0", "4712")]
    assert common.parse_listening(text, 80) == []
    text = "0: 00000000000000000000000001000000:0050 00000000000000000000000000000000:0000 0A 0 0 0 0 0 4713 1 0\n"
    assert common.parse_listening(text, 80) == [common.Listening("::1", "4713")]
