# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Drain and its kin, against a HAProxy that runs."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
import signal
import socket
import socketserver
import subprocess
import sys
import tempfile
import threading
import time

import pytest

from ansible_collections.clusterfront.ha.plugins.module_utils._haproxy import host
from ansible_collections.clusterfront.ha.plugins.module_utils._haproxy.proxy import HAProxy
from ansible_collections.clusterfront.ha.plugins.module_utils._proxy import files, release, server
from ansible_collections.clusterfront.ha.plugins.module_utils._proxy.proxy import ReleaseError, Wanted
from ansible_collections.clusterfront.ha.plugins.module_utils._proxy.states import Count

BINARY = shutil.which("haproxy", path="/usr/sbin:/usr/local/sbin:/usr/bin")
pytestmark = pytest.mark.skipif(not BINARY, reason="NO HAPROXY ON THIS MACHINE: draining was not tried")

CONTENT = """\
global
    description clusterfront @release@
    stats socket {directory}/admin.sock mode 600 level admin
    hard-stop-after 30s
defaults
    mode tcp
    timeout connect 1s
    timeout client 1m
    timeout server 1m
frontend web
    bind 127.0.0.1:{port}
    default_backend web
backend web
    balance {balance}
    server a 127.0.0.1:{a} weight 5 check inter 100ms
    server b 127.0.0.1:{b} check inter 100ms
backend more
    server a 127.0.0.1:{a}
    server b 127.0.0.1:{b}
"""


class Names(socketserver.ThreadingTCPServer):
    """A server that tells its name, and holds the connection until the client ends it."""

    allow_reuse_address = daemon_threads = True

    def __init__(self, name):
        class Handler(socketserver.BaseRequestHandler):
            def handle(self):
                with contextlib.suppress(OSError):
                    self.request.sendall(name)
                    while self.request.recv(10):
                        pass

        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()


def until(condition, what):
    deadline = time.monotonic() + 15
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen"
        time.sleep(0.02)


class Proxy:
    """A HAProxy with a release of its own, as the role leaves it, but without systemd."""

    def __init__(self, directory, balance):
        self.process = None
        self.servers = [Names(b"a"), Names(b"b")]
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.settings = HAProxy(
            directory, BINARY, "none.service", directory, "", f"{directory}/admin.sock", f"{directory}/master.sock", 10
        )
        a, b = (server.server_address[1] for server in self.servers)
        self.wanted = Wanted(
            CONTENT.format(directory=directory, port=self.port, balance=balance, a=a, b=b), (), None, 0, (), 3
        )
        os.makedirs(self.settings.releases)
        new = self.prepared()
        with files.staged(self.settings, {}) as staged:
            files.write(os.path.join(staged, self.settings.CONFIG), new.text, 0o640)
            files.name_release(self.settings, staged, new.name)
        files.flip(self.settings, new.name)

    def prepared(self):
        """What the next run of the role wants."""
        return release.prepare(self.settings, self.wanted)

    def start(self):
        self.process = subprocess.Popen(
            [BINARY, "-W", "-db", "-f", self.settings.config, "-S", self.settings.master_socket],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        until(self.loaded, "start")

    def loaded(self):
        return self.settings.not_loaded(files.linked_release(self.settings)) is None

    def stop(self):
        self.process.terminate()
        self.process.wait(10)

    def reload(self):
        before = host.master(self.settings).workers
        self.process.send_signal(signal.SIGUSR2)
        until(lambda: host.master(self.settings) and set(host.master(self.settings).workers) - set(before), "reload")
        until(self.loaded, "reload")

    def connect(self):
        """A connection, and the name of the server that has it."""
        connection = socket.create_connection(("127.0.0.1", self.port), 5)
        connection.settimeout(5)
        return connection, connection.recv(1).decode()

    def spread(self, number=8):
        """Which servers new connections come to."""
        found = set()
        for dummy in range(number):
            connection, name = self.connect()
            connection.close()
            found.add(name)
        return found

    def hold(self, name):
        """A connection to one server."""
        while True:
            connection, found = self.connect()
            if found == name:
                return connection
            connection.close()

    def do(self, *, check_mode=False, backend="web", name="a", **options):
        wish = server.Wish(
            name, backend, options.get("state"), options.get("weight"), options.get("allow_empty", False)
        )
        return server.serve(self.settings, wish, check_mode)

    def close(self):
        if self.process and self.process.poll() is None:
            self.stop()
        for one in self.servers:
            one.shutdown()
            one.server_close()


@pytest.fixture
def make():
    proxies = []
    with tempfile.TemporaryDirectory() as directory:

        def start(balance="roundrobin"):
            proxy = Proxy(os.path.join(directory, str(len(proxies))), balance)
            proxies.append(proxy)
            proxy.start()
            return proxy

        yield start
        for proxy in proxies:
            proxy.close()


@pytest.fixture
def proxy(make):
    return make()


def test_a_held_stream_ends_by_itself_and_the_wait_with_it(proxy):
    held = proxy.hold("a")
    assert proxy.do(state="drain").needed
    assert proxy.spread() == {"b"}
    assert proxy.settings.count(["web/a"])["web/a"].all == 1
    threading.Timer(1.0, held.close).start()
    waited = server.wait(proxy.settings, ["web/a"], 0, 10, "fail")
    assert 0.5 < waited < 5
    assert server.wait(proxy.settings, ["web/a"], 0, 10, "fail") < 0.5


def test_a_wait_that_takes_too_long(proxy):
    held = proxy.hold("a")
    proxy.do(state="drain")
    with pytest.raises(
        ReleaseError, match="^After 0.3 seconds server web/a still has 1 session; its state stays as it is now.$"
    ):
        server.wait(proxy.settings, ["web/a"], 0, 0.3, "fail")
    assert server.wait(proxy.settings, ["web/a"], 1, 5, "fail") < 0.5
    assert server.wait(proxy.settings, ["web/a"], 0, 0.3, "go_on") >= 0.3
    held.sendall(b"x")
    assert proxy.settings.count(["web/a"])["web/a"].current == 1
    server.wait(proxy.settings, ["web/a"], 0, 0.3, "cut")
    assert held.recv(1) == b""
    held.close()


def test_sessions_of_a_replaced_worker_are_waited_for_and_cut(proxy):
    held = proxy.hold("a")
    proxy.do(state="drain")
    proxy.reload()
    assert proxy.settings.count(["web/a"])["web/a"] == Count(0, 1)
    with pytest.raises(ReleaseError, match="1 session, 1 of them in processes that a reload has replaced"):
        server.wait(proxy.settings, ["web/a"], 0, 0.2, "fail")
    held.sendall(b"x")
    server.wait(proxy.settings, ["web/a"], 0, 0.2, "cut")
    assert held.recv(1) == b""
    held.close()


@pytest.mark.parametrize("state", ["drain", "maint"])
def test_it_stays_over_reload_and_restart_and_the_next_run(proxy, state):
    proxy.do(state=state)
    assert proxy.do(state=state).needed is False
    for again in (proxy.reload, lambda: (proxy.stop(), proxy.start())):
        again()
        assert proxy.spread() == {"b"}
        assert host.runtime(proxy.settings)["web/a"].state == state
        assert proxy.do(state=state).needed is False
    # The role would write the same file, so it does nothing and reloads nothing.
    assert proxy.prepared().text == files.read(proxy.settings.config) and proxy.loaded()
    assert proxy.prepared().down == {"web/a"}
    assert proxy.do(state="ready").needed
    until(lambda: proxy.spread() == {"a", "b"}, "return of a")
    assert host.runtime(proxy.settings)["web/a"].weight == 5
    assert "haproxy_server" not in files.read(proxy.settings.config)
    proxy.reload()
    assert host.runtime(proxy.settings)["web/a"].weight == 5
    assert files.read(proxy.settings.server_state) == "{}\n"


def test_weights(proxy):
    assert proxy.do(weight="20").needed and not proxy.do(weight="20").needed
    proxy.reload()
    assert host.runtime(proxy.settings)["web/a"].weight == 20
    proxy.do(state="drain")
    proxy.do(state="ready")
    assert host.runtime(proxy.settings)["web/a"].weight == 20
    assert proxy.do(weight="configured").needed
    assert host.runtime(proxy.settings)["web/a"].weight == 5
    proxy.do(weight="0")
    assert proxy.spread() == {"b"}


def test_all_backends_of_a_server(proxy):
    assert proxy.do(backend=None, state="drain").names == ["more/a", "web/a"]
    states = {name: one.state for name, one in host.runtime(proxy.settings).items()}
    assert states == {"web/a": "drain", "more/a": "drain", "web/b": "ready", "more/b": "ready"}


def test_the_last_server_is_kept_unless_one_insists(proxy):
    proxy.do(state="drain")
    with pytest.raises(ReleaseError, match="^b is the last server of backend web that takes clients"):
        proxy.do(name="b", state="maint")
    assert proxy.spread() == {"b"}
    proxy.do(name="b", state="maint", allow_empty=True)
    assert host.runtime(proxy.settings)["web/b"].state == "maint"


def test_check_mode_changes_nothing(proxy):
    before = files.read(proxy.settings.config)
    change = proxy.do(state="drain", check_mode=True)
    assert change.needed and "drain" in change.after and "weight 0" in change.wanted
    assert files.read(proxy.settings.server_state) is None and files.read(proxy.settings.config) == before
    assert proxy.spread() == {"a", "b"}


def test_looking_changes_nothing(proxy):
    held = proxy.hold("b")
    change = proxy.do(name="b", backend=None)
    assert not change.needed
    seen = {entry["backend"]: entry for entry in server.describe(proxy.settings, change)}
    assert seen["web"]["sessions"] == 1 and seen["web"]["state"] == "ready"
    # UP 1/3: one check was late, which a busy machine may do
    assert seen["web"]["status"].startswith("UP")
    assert (
        seen["more"]["status"] == "no check"
        and seen["more"]["weight"] is None
        and seen["more"]["effective_weight"] == 1
    )
    held.close()


def test_looking_at_all(proxy):
    change = proxy.do(name=None, backend=None)
    seen = server.describe(proxy.settings, change)
    assert [(entry["backend"], entry["server"], entry["sessions"]) for entry in seen] == [
        ("more", "a", 0),
        ("more", "b", 0),
        ("web", "a", 0),
        ("web", "b", 0),
    ]
    assert not change.needed


@pytest.mark.parametrize(("place", "step"), [(HAProxy, "tell"), (server, "write_config")])
def test_a_run_that_was_killed_is_completed(proxy, monkeypatch, place, step):
    class Killed(BaseException):
        pass

    def die(*dummy):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(place, step, die)
        with pytest.raises(Killed):
            proxy.do(state="drain")
    assert proxy.do(state="drain").needed
    assert proxy.spread() == {"b"} and not proxy.do(state="drain").needed
    assert proxy.prepared().text == files.read(proxy.settings.config)


def test_a_haproxy_that_does_not_run_is_told_when_it_starts(proxy):
    proxy.stop()
    assert proxy.do(state="drain").needed and not proxy.do(state="drain").needed
    assert server.wait(proxy.settings, ["web/a"], 0, 1, "fail") < 1
    proxy.start()
    assert proxy.spread() == {"b"}


def test_a_fixed_table_takes_weights_by_a_reload(make, tmp_path, monkeypatch):
    proxy = make("static-rr")
    proxy.do(state="drain")
    proxy.reload()
    # There is no systemd here; what it would do is what this does.
    script = tmp_path / "systemctl"
    script.write_text(f"#!/bin/sh\nkill -USR2 {proxy.process.pid}\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    proxy.do(state="ready")
    until(lambda: proxy.spread() == {"a", "b"}, "return of a")
    script.write_text("#!/bin/sh\necho no systemd\nexit 1\n")
    with pytest.raises(
        ReleaseError, match="HAProxy refuses to do it at once .*: no systemd; it will be so with its next start"
    ):
        proxy.do(weight="9")


def test_what_is_wrong_is_one_sentence(proxy):
    with pytest.raises(ReleaseError, match="^No backend has a server x; there are more/a, more/b, web/a, web/b.$"):
        proxy.do(name="x", backend=None, state="drain")
    with pytest.raises(ReleaseError, match="^weight is 'heavy'; it has to be a number from 0 to 256, or configured.$"):
        proxy.do(weight="heavy")
    nowhere = dataclasses.replace(proxy.settings, directory="/none")
    with pytest.raises(ReleaseError, match="^/none/current/haproxy.cfg is not there, so there is no server"):
        server.serve(nowhere, server.Wish("a", None, "drain", None, False), False)


def test_a_server_that_is_gone_can_be_forgotten(proxy):
    files.write(proxy.settings.server_state, '{"web/c": {"state": "drain"}}', 0o644)
    assert proxy.do(name="c", state="ready").needed
    assert files.read(proxy.settings.server_state) == "{}\n"


def test_the_module(proxy, collections_path):
    options = {
        "server": "a", "backend": "web", "state": "drain", "sessions": 0, "timeout": 3, "_ansible_diff": True,
        **{name: getattr(proxy.settings, name) for name in ("directory", "binary", "stats_socket", "master_socket")},
    }  # fmt: skip

    def run(**more):
        done = subprocess.run(
            [sys.executable, "-m", "ansible_collections.clusterfront.ha.plugins.modules.haproxy_server"],
            input=json.dumps({"ANSIBLE_MODULE_ARGS": {**options, **more}}), capture_output=True, text=True, check=False,
            env={**os.environ, "PYTHONPATH": str(collections_path)},
        )  # fmt: skip
        return json.loads(done.stdout)

    assert run(_ansible_check_mode=True)["changed"] is True
    first, second = run(), run()
    assert first["changed"] is True and '"drain"' in first["diff"]["after"] and first["diff"]["before"] == ""
    assert second["changed"] is False and second["waited"] < 1
    assert second["servers"][0]["status"] == "DRAIN" and second["servers"][0]["state"] == "drain"
    held = proxy.hold("b")
    failed = run(server="b", allow_empty=True, timeout=1)
    assert (
        failed["failed"]
        and failed["msg"] == "After 1 seconds server web/b still has 1 session; its state stays as it is now."
    )
    held.close()
