# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What our configuration costs a proxy: its CPU time for a connection and for a byte, beside a minimal one in the same run.

Both proxies run on loopback ports of their own, and take turns under a client that makes the same requests of each. It is their own
CPU time that counts, in nanoseconds of the kernel's scheduler, so what else runs on the machine hardly matters.
"""

from __future__ import annotations

import contextlib
import dataclasses
import multiprocessing
import pathlib
import shutil
import socket
import statistics
import subprocess
import threading
import time
import typing as t

import nginx as tool
import pytest
from templates import render_cases

PAIRS = 10
#: How often a load is measured that seems to cost too much.
TRIES = 3
#: What a pair consists of: so many turns of so many connections of so many bytes.
LOADS = {"connection": (50, 40, 1), "byte": (4, 1, 24_000_000)}
#: Our configuration may cost a tenth more.
MOST = 1.10
CHUNK = b"." * 1_000_000

MINIMAL = """\
global
    log stdout format short daemon
    maxconn 4000
defaults
    mode tcp
    log global
    option tcplog
    timeout connect 1s
    timeout client 1h
    timeout server 1h
listen web
    bind 127.0.0.1:{port}
    server web-1 127.0.0.1:{backend}
"""

MINIMAL_NGINX = """\
{load}
user root;
worker_processes 1;
events {{
    worker_connections 8200;
}}
stream {{
    log_format short '$remote_addr "$upstream_addr" $status $bytes_sent $bytes_received $session_time';
    access_log syslog:server=unix:{log} short;
    proxy_timeout 1h;
    server {{
        listen 127.0.0.1:{port};
        proxy_pass 127.0.0.1:{backend};
    }}
}}
"""


def free_ports(count: int) -> list[int]:
    """Ports that nobody has; all are held until the last is found."""
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for dummy in range(count)]
        return [int(one.getsockname()[1]) for one in sockets]


def serve(port: int) -> None:
    """A server for one client at a time: it is told a number, and sends so many bytes."""
    with socket.create_server(("127.0.0.1", port), backlog=64) as server:
        while True:
            connection, dummy = server.accept()
            with connection, contextlib.suppress(OSError, ValueError):
                left = int(connection.recv(64) or b"0")
                while left > 0:
                    left -= connection.send(CHUNK[:left])


def fetch(port: int, size: int) -> int:
    """Get so many bytes on a connection of its own; how many came."""
    got, buffer = 0, bytearray(1_000_000)
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(b"%d\n" % size)
        while more := connection.recv_into(buffer):
            got += more
    return got


def cpu_seconds(pids: t.Iterable[int]) -> float:
    """The CPU time of all threads of processes so far."""
    threads = [thread for pid in pids for thread in pathlib.Path(f"/proc/{pid}/task").iterdir()]
    return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e9


@dataclasses.dataclass
class Proxy:
    """A proxy that runs, and its port."""

    port: int
    process: subprocess.Popen[bytes]

    @property
    def pids(self) -> list[int]:
        """The process and those that it has started."""
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [self.process.pid, *map(int, children)]

    def cost(self, count: int, size: int) -> float:
        """The CPU seconds of so many connections of so many bytes."""
        before = cpu_seconds(self.pids)
        for dummy in range(count):
            assert fetch(self.port, size) == size
        return cpu_seconds(self.pids) - before


def pair(ours: Proxy, minimal: Proxy, turns: int, count: int, size: int) -> tuple[float, float]:
    """What each of two proxies pays for a connection, or for a byte; short turns let both meet the same neighbours."""
    spent = {ours.port: 0.0, minimal.port: 0.0}
    for number in range(turns):
        for proxy in (ours, minimal) if number % 2 else (minimal, ours):
            spent[proxy.port] += proxy.cost(count, size)
    done = turns * count * size
    return spent[ours.port] / done, spent[minimal.port] / done


@pytest.fixture
def backend() -> t.Iterator[int]:
    """The port of the server."""
    (port,) = free_ports(1)
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(port,), daemon=True)
    process.start()
    try:
        yield port
    finally:
        process.kill()
        process.join()


@contextlib.contextmanager
def running(command: t.Sequence[str], port: int) -> t.Iterator[Proxy]:
    """A proxy that answers; what it logs is read by nobody."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + 10
        while True:
            assert process.poll() is None and time.monotonic() < deadline, f"{command} does not serve"
            with contextlib.suppress(OSError):
                fetch(port, 1)
                break
            time.sleep(0.05)
        yield Proxy(port, process)
    finally:
        process.terminate()
        process.wait(timeout=10)


def web(port: int, backend: int) -> dict[str, t.Any]:
    """What is balanced, for the role of either."""
    return {
        "name": "web",
        "bind": [{"address": "127.0.0.1", "port": port}],
        "backends": [{"name": "web-1", "address": "127.0.0.1", "port": backend}],
        "health_check": {"type": "none"},
    }


def haproxy(
    root: pathlib.Path, collections_path: pathlib.Path, directory: pathlib.Path, backend: int, ports: t.Sequence[int]
) -> list[list[str]]:
    """The commands of HAProxy with our configuration and with a minimal one."""
    case = {
        "__haproxy_version": "2.6",
        "__haproxy_socket": str(directory / "admin.sock"),
        "haproxy_listens": [web(ports[0], backend)],
        "haproxy_health_address": "127.0.0.1",
        "haproxy_health_port": ports[2],
    }
    rendered = render_cases(root, collections_path, directory, "haproxy", "haproxy.cfg.j2", {"ours": case})["ours"]
    texts = {"ours": rendered, "minimal": MINIMAL.format(port=ports[1], backend=backend)}
    for name, text in texts.items():
        (directory / f"{name}.cfg").write_text(text)
    return [["haproxy", "-db", "-f", str(directory / f"{name}.cfg")] for name in texts]


def nginx(
    root: pathlib.Path, collections_path: pathlib.Path, directory: pathlib.Path, backend: int, ports: t.Sequence[int]
) -> list[list[str]]:
    """The commands of nginx with our configuration and with a minimal one, which both write to a journal that nobody reads."""
    case = {
        "__nginx_version": "1.22.1",
        "__nginx_stream": "dynamic" if tool.module() else "static",
        "__nginx_load_stream": tool.module(),
        "__nginx_user": "root",
        "nginx_worker_processes": 1,
        "nginx_extra_http": tool.temporary_paths(directory),
        "nginx_listens": [web(ports[0], backend)],
        "nginx_health_address": "127.0.0.1",
        "nginx_health_port": ports[2],
    }
    rendered = render_cases(root, collections_path, directory, "nginx", "nginx.conf.j2", {"ours": case})["ours"]
    assert "unix:/dev/log" in rendered
    texts = {
        "ours": rendered.replace("unix:/dev/log", f"unix:{directory}/log"),
        "minimal": MINIMAL_NGINX.format(load=tool.module(), port=ports[1], backend=backend, log=f"{directory}/log"),
    }
    commands = []
    for name, text in texts.items():
        (directory / name / "logs").mkdir(parents=True)
        (directory / f"{name}.conf").write_text(text)
        globals_ = f"daemon off; pid {directory}/{name}.pid;"
        commands.append(
            [str(tool.BINARY), "-p", str(directory / name), "-c", str(directory / f"{name}.conf"), "-g", globals_]
        )
    return commands


@pytest.fixture(autouse=True)
def journal(tmp_path) -> t.Iterator[None]:
    """What nginx writes to."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(tmp_path / "log"))
        drain = threading.Thread(target=lambda: all(iter(lambda: server.recv(4096), b"")))
        drain.start()
        yield
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
            client.sendto(b"", str(tmp_path / "log"))
        drain.join()


#: A proxy: how the commands with our configuration and with a minimal one are made, for the first two of the ports.
CASES = [haproxy, pytest.param(nginx, marks=pytest.mark.thorough)]
PROGRAMS = {"haproxy": shutil.which("haproxy"), "nginx": tool.BINARY}


@pytest.mark.parametrize("commands", CASES, ids=lambda case: getattr(case, "__name__", None))
def test_costs_no_more_than_a_minimal_one(commands, root, collections_path, tmp_path, backend) -> None:
    if not PROGRAMS[commands.__name__]:
        pytest.skip(f"there is no {commands.__name__} on this machine")
    ports = free_ports(4)
    ours, minimal = commands(root, collections_path, tmp_path, backend, ports)
    with running(ours, ports[0]) as first, running(minimal, ports[1]) as second:
        # what costs more once had a neighbour; what costs more each time does too much
        costly = [
            kind for kind in LOADS if all(costs_more(commands.__name__, kind, first, second) for dummy in range(TRIES))
        ]
    assert not costly, "our configuration costs more than a tenth over a minimal one's"


def costs_more(name: str, kind: str, first: t.Any, second: t.Any) -> bool:
    """Tell if one process costs too much more than another for a kind of load, by the median of pairs."""
    # the first of all warms both up
    pairs = [pair(first, second, *LOADS[kind]) for dummy in range(PAIRS + 1)][1:]
    ratios = [one / other for one, other in pairs]
    print(
        f"{name}: {statistics.median(one for one, dummy in pairs) * 1e6:.3g} us for a {kind}, "
        f"{statistics.median(ratios):.3f} of a minimal configuration's ({min(ratios):.3f}-{max(ratios):.3f})"
    )
    return statistics.median(ratios) >= MOST
