# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Releases that come live in a HAProxy that runs, with a stand-in for systemd alone."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time

import pytest

from ansible_collections.clusterfront.ha.plugins.module_utils._haproxy import host
from ansible_collections.clusterfront.ha.plugins.module_utils._haproxy.proxy import HAProxy
from ansible_collections.clusterfront.ha.plugins.module_utils._proxy import files, release
from ansible_collections.clusterfront.ha.plugins.module_utils._proxy.proxy import File, Listener, ReleaseError, Wanted

BINARY = shutil.which("haproxy", path="/usr/sbin:/usr/local/sbin:/usr/bin")
pytestmark = pytest.mark.skipif(not BINARY, reason="NO HAPROXY ON THIS MACHINE: releases were not brought live")

SYSTEMCTL = """\
#!/bin/sh
# What systemd does for the unit: one master process, whose number is kept in a file.
cd {directory}
pid=$(cat pid 2>/dev/null)
case "$1" in
show)
    kill -0 "$pid" 2>/dev/null && echo ActiveState=active || {{ echo ActiveState=inactive; pid=0; }}
    echo "MainPID=$pid"; echo LimitNOFILE=10000; echo NeedDaemonReload=no ;;
start|restart)
    [ "$1" = start ] || {{ kill "$pid"; while kill -0 "$pid" 2>/dev/null; do sleep 0.05; done; }}
    {binary} -W -db -f {directory}/etc/current/haproxy.cfg -S {directory}/master.sock \\
        </dev/null >>journal 2>&1 &
    echo $! >pid ;;
stop) kill "$pid" ;;
reload) {binary} -c -q -f etc/current/haproxy.cfg && kill -USR2 "$pid" ;;
esac
"""

CONTENT = """\
global
    description clusterfront @release@
    stats socket {directory}/admin.sock mode 600 level admin
    crt-base @directory@
defaults
    mode http
    timeout connect 1s
    timeout client 10s
    timeout server 10s
frontend web
    bind 127.0.0.1:{web} ssl crt web.pem
    default_backend web
frontend plain
    bind 127.0.0.1:{plain}
    default_backend more
backend web
    server a 127.0.0.1:{answer} check inter 100ms
backend more
    server a 127.0.0.1:{answer} check inter 100ms
    server b 127.0.0.1:{other} check inter 100ms
frontend answer
    bind 127.0.0.1:{answer}
    http-request return status 200 content-type text/plain string "fine"
frontend other
    bind 127.0.0.1:{other}
    http-request return status 200 content-type text/plain string "fine"
"""


def free_ports(number):
    sockets = [socket.socket() for dummy in range(number)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def certificate(path, name):
    """A new certificate with its key; its serial number."""
    key = path.with_suffix(".tmp")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", str(key), "-out", str(path), "-subj",
         f"/CN={name}"], check=True, capture_output=True,
    )  # fmt: skip
    path.write_text(path.read_text() + key.read_text())
    return ssl.PEM_cert_to_DER_cert(path.read_text().partition("-----BEGIN PRIVATE")[0])


class Machine:
    """A host with a HAProxy of its own."""

    def __init__(self, directory):
        self.directory = directory
        self.pem = directory / "source.pem"
        self.ports = dict(zip(("web", "plain", "answer", "other"), free_ports(4)))
        self.settings = HAProxy(
            str(directory / "etc"), BINARY, "haproxy.service", str(directory / "units"), "", str(directory / "admin.sock"),
            str(directory / "master.sock"), 8,
        )  # fmt: skip
        self.content = CONTENT.format(directory=directory, **self.ports)

    def release(self, content=None, **changes):
        wanted = Wanted(
            content or self.content, (), None, 0,
            (Listener("127.0.0.1", self.ports["web"], None), Listener("127.0.0.1", self.ports["plain"], "/")), 3,
            files=(File("web.pem", str(self.pem), "'web' has tls.certificate", ("certificate", "key")),),
        )  # fmt: skip
        return release.release(self.settings, dataclasses.replace(wanted, **changes), False)[1]

    def served(self):
        """The certificate that clients see."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with socket.create_connection(("127.0.0.1", self.ports["web"]), 5) as raw:
            with context.wrap_socket(raw) as connection:
                connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
                assert b"200" in connection.recv(100)
                return connection.getpeercert(binary_form=True)

    def pid(self):
        return int((self.directory / "pid").read_text())


class Load:
    """Requests without a pause, until the block ends."""

    def __init__(self, request):
        self.request, self.failures, self.number, self.end = request, [], 0, threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        while not self.end.is_set():
            self.number += 1
            try:
                self.request()
            except (OSError, AssertionError) as error:
                self.failures.append(repr(error))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *dummy):
        self.end.set()
        self.thread.join()


@pytest.fixture
def machine(tmp_path_factory, monkeypatch):
    # the path of a socket may not be long
    directory = pathlib.Path(tmp_path_factory.mktemp("m"))
    found = Machine(directory)
    script = directory / "systemctl"
    script.write_text(SYSTEMCTL.format(directory=directory, binary=BINARY))
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{directory}:{os.environ['PATH']}")
    certificate(found.pem, "first")
    yield found
    if (directory / "pid").exists():
        subprocess.run([str(script), "stop"], check=False, capture_output=True)


@pytest.fixture
def live(machine):
    assert machine.release().steps == ["stage", "write_unit", "daemon_reload", "flip", "start"]
    assert machine.release().steps == []
    return machine


def test_a_certificate_is_rotated_under_load(live):
    first = live.served()
    pid = live.pid()
    new = certificate(live.pem, "second")
    with Load(live.served) as load:
        time.sleep(0.3)
        assert live.release().steps == ["stage", "flip", "reload"]
        time.sleep(0.5)
    print(f"certificate rotated: {len(load.failures)} of {load.number} requests failed")
    assert load.number > 10 and not load.failures
    assert live.served() == new != first and live.pid() == pid


def test_a_certificate_that_does_not_fit_its_key_is_refused(live):
    before, first = os.readlink(live.settings.link), live.served()
    key = live.pem.read_text()
    certificate(live.pem, "second")
    mixed = live.pem.read_text().partition("-----BEGIN PRIVATE")[0] + key[key.index("-----BEGIN PRIVATE") :]
    live.pem.write_text(mixed)
    with pytest.raises(ReleaseError, match=rf"refuses line 11 .*crt web.pem': .*{live.pem}'?; nothing was changed"):
        live.release()
    assert os.readlink(live.settings.link) == before and live.served() == first
    assert os.listdir(live.settings.releases) == [os.path.basename(before)]


def test_a_way_back_brings_the_old_certificate_back(live):
    first = live.served()
    certificate(live.pem, "second")
    # The second release loads, and a listener that it has to have does not answer.
    bad = dataclasses.replace(live.settings, timeout=1)
    live.settings = bad
    with pytest.raises(ReleaseError, match=r"did not come up: nothing answers on .*; release \w+ serves again\.$"):
        live.release(listeners=(Listener("127.0.0.1", free_ports(1)[0], None),))
    assert live.served() == first
    assert len(os.listdir(live.settings.releases)) == 1


@pytest.mark.parametrize("index", [0, 1])
def test_a_port_of_any_listen_that_is_taken_is_told(live, index):
    with socket.socket() as other:
        # one that shares its port would take a part of the connections
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, index)
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        content = live.content.replace(f"bind 127.0.0.1:{live.ports['plain']}\n", f"bind 127.0.0.1:{port}\n")
        with pytest.raises(ReleaseError, match=rf"line 14 .*port {port} is in use by \S+ \(process {os.getpid()}\)"):
            live.release(content)
    live.served()


def test_a_server_of_any_backend_that_is_lost_brings_the_old_one_back(live):
    content = live.content.replace(
        f"server b 127.0.0.1:{live.ports['other']}", f"server b 127.0.0.1:{free_ports(1)[0]}"
    )
    with Load(live.served) as load, pytest.raises(ReleaseError, match="server more/b was up before and is DOWN now"):
        live.release(content)
    assert not load.failures
    assert host.servers(live.settings)["more/b"].up


def test_a_server_that_is_drained_meanwhile_is_not_lost(live):
    files.write(live.settings.server_state, '{"more/b": {"state": "maint"}}', 0o644)
    assert live.release().steps == ["stage", "reload"]
    assert host.servers(live.settings)["more/b"].status.startswith("MAINT")
    assert live.release(live.content + "# new\n").steps == ["stage", "flip", "reload"]
    assert host.servers(live.settings)["more/b"].status.startswith("MAINT")


#: The step before which a run dies, and the code that lets it.
DEATHS = {"stage": "files.name_release = die", "flip": "files.flip = die", "reload": "HAProxy.drive = die"}


@pytest.mark.parametrize("step", DEATHS)
def test_a_run_that_is_killed_leaves_one_that_serves(live, step, collections_path):
    content = live.content + "# new\n"
    (live.directory / "new.cfg").write_text(content)
    script = f"""
import dataclasses, os, signal
from ansible_collections.clusterfront.ha.plugins.module_utils._haproxy import host
from ansible_collections.clusterfront.ha.plugins.module_utils._haproxy.proxy import HAProxy
from ansible_collections.clusterfront.ha.plugins.module_utils._proxy import files, release
from ansible_collections.clusterfront.ha.plugins.module_utils._proxy.proxy import File, Wanted
def die(*dummy, **more):
    os.kill(os.getpid(), signal.SIGKILL)
{DEATHS[step]}
release.release(HAProxy(*{dataclasses.astuple(live.settings)!r}), Wanted(open({str(live.directory / "new.cfg")!r}).read(), (),
    None, 0, (), 3, files=(File("web.pem", {str(live.pem)!r}, "x"),)), False)
"""
    with Load(live.served) as load:
        done = subprocess.run(
            [sys.executable, "-c", script], env={**os.environ, "PYTHONPATH": str(collections_path)}, check=False
        )
        assert done.returncode == -9
        assert live.release(content).steps[-1] in ("reload", "prune")
    assert not load.failures
    assert live.release(content).steps == []
