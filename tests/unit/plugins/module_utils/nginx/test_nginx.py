# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reading nginx, its configurations and its connections; the unit; the states of servers; what is checked."""

from __future__ import annotations

import http.server
import json
import threading

import pytest

from ansible_collections.clusterfront.ha.plugins.module_utils._nginx import check, config, parse, unit
from ansible_collections.clusterfront.ha.plugins.module_utils._nginx.proxy import Nginx
from ansible_collections.clusterfront.ha.plugins.module_utils._proxy import container
from ansible_collections.clusterfront.ha.plugins.module_utils._proxy.container import Container
from ansible_collections.clusterfront.ha.plugins.module_utils._proxy.parse import limit_line
from ansible_collections.clusterfront.ha.plugins.module_utils._proxy.states import Intent

CONTENT = """\
worker_rlimit_nofile 300;
stream {
    upstream web {
        least_conn;
        server 192.0.2.1:80 max_fails=2 weight=3; # a
        server [2001:db8::1]:81;
        server host.example.com;
    }
    server {
        listen 80 so_keepalive=on;
        listen 192.0.2.9:81;
        listen [::]:82 ipv6only=on;
        listen *:83 udp;
        listen *:84;
        listen unix:/x;
        proxy_pass web;
    }
}
"""


def test_servers_and_binds():
    found = config.server_lines(CONTENT)
    assert {name: (line.address, line.port, line.weight) for name, line in found.items()} == {
        "web/a": ("192.0.2.1", 80, 3), "web/2001:db8::1": ("2001:db8::1", 81, 1), "web/host.example.com": ("host.example.com", 80, 1),
    }  # fmt: skip
    assert [(bind.address, bind.port) for bind in config.parse_binds(CONTENT)] == [
        ("0.0.0.0", 80), ("192.0.2.9", 81), ("::", 82), ("0.0.0.0", 84)
    ]  # fmt: skip
    assert config.split_address("a:b:c") == ("a:b:c", 0)
    assert config.number_of(CONTENT, "worker_rlimit_nofile") == 300 and config.number_of("", "x") is None


def test_states_come_onto_lines_and_off():
    states = {
        "web/a": Intent("drain", 5),
        "web/2001:db8::1": Intent("ready", 0),
        "web/host.example.com": Intent("ready", 2),
    }
    text = config.with_states(CONTENT, states)
    assert "server 192.0.2.1:80 max_fails=2 weight=3 weight=5 down; # a # nginx_server: weight=5 down\n" in text
    assert "server [2001:db8::1]:81 down; # nginx_server: down\n" in text
    assert config.server_lines(text)["web/a"].down and config.server_lines(text)["web/2001:db8::1"].down
    assert config.without_states(text) == CONTENT and config.with_states(text, {}) == CONTENT


def test_refusals():
    output = 'nginx: [emerg] unknown directive "least_con" in /x/nginx.conf:4\nnginx: configuration file /x/nginx.conf test failed\n'
    assert parse.refusal(CONTENT, output) == (
        "nginx refuses line 4 of the configuration, 'least_conn;': unknown directive \"least_con\""
    )
    assert parse.refusal(CONTENT, "nginx: [emerg] no") == "nginx refuses the configuration: no"
    assert parse.refusal(CONTENT, "killed\n") == "nginx refuses the configuration: killed"
    assert parse.complaints("2026/01/01 00:00:00 [emerg] 1#1: bind() to 0.0.0.0:80 failed\n[warn] x") == [
        parse.Complaint(None, "bind() to 0.0.0.0:80 failed")
    ]


def test_processes_and_connections():
    assert parse.parse_workers(
        {1: "nginx: master process x", 2: parse.WORKER, 3: f"{parse.WORKER} is shutting down"}
    ) == ({2}, {3})
    assert parse.started_from(["nginx: master process /n -c /f"], ["/n", "-c", "/f"])
    assert not parse.started_from([], ["/n"])
    text = (
        "  sl  local_address rem_address   st\n"
        "   0: 0100007F:22B8 0100007F:0050 01 0:0 0:0 0 0 0 4711 1\n   1: 0100007F:22B8 0100007F:0050 02 0:0 0:0 0 0 0 4712 1\n"
        "   2: 0000000000000000FFFF00000100007F:22B8 0000000000000000FFFF00000100007F:0051 08 0:0 0:0 0 0 0 4713 1\n"
    )
    assert parse.parse_connections(text) == [
        parse.Connection("127.0.0.1", 80, "4711"),
        parse.Connection("127.0.0.1", 81, "4713"),
    ]


def test_the_unit():
    text = unit.drop_in_text(["/n", "-g", "daemon off;"], ["/n", "-t"], 900)
    assert 'ExecStart=/n -g "daemon off;"\n' in text and limit_line(text) == 900
    assert limit_line(unit.drop_in_text(["/n"], ["/n"], None)) is None
    assert unit.out_of_files(4000, 8300, 1024).endswith("gets at most 1024: set nginx_maxconn to 362 or less.")
    assert unit.out_of_files(4000, 8300, 100).endswith("the host has to allow more.")
    assert "nginx runs with those" in unit.out_of_files(None, 40000, 100)


def test_a_container_publishes_the_ports_of_the_seed():
    box = Container("/usr/bin/podman", "5.4", "clusterfront-nginx", "nginx@sha256:0")
    load = "load_module /m.so;"
    seed = Nginx(
        "/etc/nginx",
        "nginx",
        "u",
        "/u",
        "/run/clusterfront-nginx",
        1,
        load,
        "/etc/nginx/nginx.conf",
        ("80:80", "443:443"),
        box,
    )
    text = container.unit_text(box, seed.job(box), None)
    assert (
        "PublishPort=80:80\n" in text and "Network=host" not in text and "Volume=/etc/nginx:/etc/nginx:ro,z\n" in text
    )
    assert f'Exec=-g "daemon off; {load}" -c /etc/nginx/nginx.conf\n' in text and "--signal=HUP" in text
    assert seed.own_network and seed.config == "/etc/nginx/nginx.conf"


def health(**more):
    return {
        "type": "http", "method": "GET", "path": "/", "host": "", "status": "200-299,401", "interval": "1s", "fast_interval": "500ms",
        "down_interval": "2s", "fall": 2, "rise": 2, "timeout": "1s", "ca": "", "server_name": "", "proxy": False, **more,
    }  # fmt: skip


@pytest.fixture
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler) as found:
        threading.Thread(target=found.serve_forever, daemon=True).start()
        yield found.server_address[1]
        found.shutdown()


def test_servers_are_looked_at_once(server):
    there = [{"name": "a", "address": "127.0.0.1", "port": server, "takes": True}]
    gone = [{"name": "b", "address": "127.0.0.1", "port": 1, "takes": True}]
    pools = [
        {"listen": "w", "pool": "w", "ready": True, "check": health(), "servers": there + gone},
        {"listen": "x", "pool": "x", "ready": True, "check": health(path="/none"), "servers": there},
        {"listen": "y", "pool": "y", "ready": True, "check": health(type="tcp"), "servers": there},
        {"listen": "z", "pool": "z", "ready": True, "check": health(type="none"), "servers": gone},
    ]
    found = check.look(json.dumps(pools))
    assert {name: up for name, (up, dummy) in found.items()} == {"w/a": True, "w/b": False, "x/a": False, "y/a": True}
    assert found["x/a"][1] == "status 404"


def test_health_needs_several_checks_to_change():
    spec, found = health(), check.Health(health())
    found.learn(None, spec)
    assert found.up and found.pause(spec) == 1
    found.learn("gone", spec)
    assert found.up and found.pause(spec) == 0.5
    found.learn("gone", spec)
    assert not found.up and found.pause(spec) == 2


def test_the_files_follow_the_servers(tmp_path, server):
    flags, live = tmp_path / "flags", tmp_path / "current"
    flags.mkdir()
    live.mkdir()
    servers = [{"name": "a", "address": "127.0.0.1", "port": server, "takes": True}]
    pool = {"listen": "w", "pool": "p", "ready": True, "check": health(interval="50ms"), "servers": servers}
    (live / "checks.json").write_text(json.dumps([pool]))
    keeper = check.Keeper(str(tmp_path), str(flags))
    keeper.update()
    keeper.watches["p/a"].health.learn(None, pool["check"])
    keeper.update()
    assert {"ready", "ready.w"} <= {path.name for path in flags.iterdir()}
    (tmp_path / "server-state.json").write_text('{"p/a": {"state": "drain"}}')
    keeper.update()
    assert [path.name for path in flags.iterdir()] == ["status.json"]
    for watch in keeper.watches.values():
        watch.end.set()
        watch.join()
