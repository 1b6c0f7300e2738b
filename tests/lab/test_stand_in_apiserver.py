# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The stand-in apiserver as a process on loopback, looked at by plain clients."""

from __future__ import annotations

import http.client
import json
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

SHUTDOWN_DELAY = 0.6
WATCH_LIMIT = 1.5


@dataclass
class Apiserver:
    process: subprocess.Popen[bytes]
    port: int
    not_ready: Path
    tls: ssl.SSLContext

    def connection(self) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=10, context=self.tls)

    def ask(self, path: str, method: str = "GET") -> tuple[int, str]:
        connection = self.connection()
        try:
            connection.request(method, path)
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    directory = tmp_path_factory.mktemp("certificate")
    names = str(directory / "crt"), str(directory / "key")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc",
         "-days", "2", "-subj", "/CN=kube-apiserver", "-addext", "subjectAltName=IP:127.0.0.1",
         "-out", names[0], "-keyout", names[1]],
        check=True, capture_output=True,
    )  # fmt: skip
    return names


@pytest.fixture
def apiserver(role: Path, tmp_path: Path, certificate: tuple[str, str]) -> Iterator[Apiserver]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    not_ready = tmp_path / "not-ready"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(10)
        process = subprocess.Popen(
            [sys.executable, str(role / "files" / "stand_in_apiserver.py"),
             "--address", "127.0.0.1", "--port", str(port), "--certificate", certificate[0], "--key", certificate[1],
             "--not-ready", str(not_ready), "--shutdown-delay", str(SHUTDOWN_DELAY), "--watch-limit", str(WATCH_LIMIT)],
            env={**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify")},
        )  # fmt: skip
        try:
            assert systemd.recv(64) == b"READY=1"
            yield Apiserver(process, port, not_ready, ssl.create_default_context(cafile=certificate[0]))
        finally:
            process.kill()
            process.wait()


@pytest.mark.parametrize("path", ["/readyz", "/livez", "/healthz", "/readyz?verbose"])
def test_health_is_ok(apiserver: Apiserver, path: str) -> None:
    assert apiserver.ask(path) == (200, "ok")


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"])
def test_only_get_is_allowed(apiserver: Apiserver, method: str) -> None:
    assert apiserver.ask("/readyz", method)[0] == 403


def test_other_paths_are_forbidden(apiserver: Apiserver) -> None:
    status, text = apiserver.ask("/api/v1/nodes")
    assert (status, json.loads(text)["reason"]) == (403, "Forbidden")


def test_version_tells_who_answered(apiserver: Apiserver) -> None:
    status, text = apiserver.ask("/version")
    assert status == 200
    assert json.loads(text) == {"major": "1", "minor": "33", "gitVersion": "v1.33.13", "host": socket.gethostname()}


def test_file_turns_readyz_alone(apiserver: Apiserver) -> None:
    apiserver.not_ready.touch()
    assert apiserver.ask("/readyz")[0] == 500
    assert apiserver.ask("/livez")[0] == 200
    apiserver.not_ready.unlink()
    assert apiserver.ask("/readyz")[0] == 200


def test_connection_is_kept(apiserver: Apiserver) -> None:
    connection = apiserver.connection()
    sockets = set()
    for dummy in range(3):
        connection.request("GET", "/readyz")
        assert connection.getresponse().read() == b"ok"
        sockets.add(connection.sock)
    connection.close()
    assert len(sockets) == 1


def test_watch_sends_a_byte_is_silent_and_ends_well(apiserver: Apiserver) -> None:
    connection = apiserver.connection()
    begun = time.monotonic()
    connection.request("GET", "/watch?seconds=0.5")
    response = connection.getresponse()
    assert response.read(1) == b"\n"
    assert time.monotonic() - begun < 0.4
    assert response.read() == b""
    assert 0.5 <= time.monotonic() - begun < 2
    connection.request("GET", "/readyz")  # a proper end leaves the connection usable
    assert connection.getresponse().read() == b"ok"
    connection.close()


def test_bad_watch_is_said(apiserver: Apiserver) -> None:
    assert apiserver.ask("/watch?seconds=soon")[0] == 400


def test_plain_http_gets_a_400(apiserver: Apiserver) -> None:
    with socket.create_connection(("127.0.0.1", apiserver.port), 10) as plain:
        plain.sendall(b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = b"".join(iter(lambda: plain.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.0 400 Bad Request\r\n")
    assert answer.endswith(b"Client sent an HTTP request to an HTTPS server.\n")


def test_silent_clients_hold_up_nobody(apiserver: Apiserver) -> None:
    silent = [socket.create_connection(("127.0.0.1", apiserver.port)) for dummy in range(20)]
    try:
        with ThreadPoolExecutor(8) as pool:
            assert set(pool.map(apiserver.ask, ["/readyz"] * 40)) == {(200, "ok")}
    finally:
        for connection in silent:
            connection.close()


def test_sigterm_first_says_so_then_closes_the_port_then_ends(apiserver: Apiserver) -> None:
    watched: list[tuple[int, str]] = []
    watch = threading.Thread(target=lambda: watched.append(apiserver.ask("/watch?seconds=1.4")))
    watch.start()
    time.sleep(0.2)
    begun = time.monotonic()
    apiserver.process.terminate()
    time.sleep(0.1)
    assert apiserver.ask("/readyz")[0] == 500
    assert apiserver.ask("/livez") == (200, "ok")
    assert time.monotonic() - begun < SHUTDOWN_DELAY
    time.sleep(SHUTDOWN_DELAY + 0.3 - (time.monotonic() - begun))
    with pytest.raises(ConnectionRefusedError):
        apiserver.ask("/livez")
    assert apiserver.process.poll() is None, "it must wait for the watch"
    watch.join()
    assert watched == [(200, "\n")]
    assert apiserver.process.wait(2) == 0


def test_sigterm_does_not_wait_for_ever(apiserver: Apiserver) -> None:
    connection = apiserver.connection()
    connection.request("GET", "/watch?seconds=60")
    connection.getresponse().read(1)
    begun = time.monotonic()
    apiserver.process.terminate()
    assert apiserver.process.wait(10) == 0
    assert SHUTDOWN_DELAY + WATCH_LIMIT <= time.monotonic() - begun < SHUTDOWN_DELAY + WATCH_LIMIT + 2
    connection.close()


def test_sigterm_with_an_idle_connection_ends_at_once(apiserver: Apiserver) -> None:
    connection = apiserver.connection()
    connection.request("GET", "/readyz")
    connection.getresponse().read()
    begun = time.monotonic()
    apiserver.process.terminate()
    assert apiserver.process.wait(10) == 0
    assert time.monotonic() - begun < SHUTDOWN_DELAY + 1
    connection.close()
