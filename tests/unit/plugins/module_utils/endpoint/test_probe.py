# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Probes against real sockets on loopback."""

from __future__ import annotations

import contextlib
import http.server
import socket
import ssl
import subprocess
import threading
import time

import pytest

from ansible_collections.clusterfront.ha.plugins.module_utils._endpoint.probe import (
    Probe,
    Target,
    _meaning,
    _skew,
    probe,
    probe_all,
)

HOST = "127.0.0.1"
TIMEOUT = 1.0


@contextlib.contextmanager
def listening(handle=None, backlog=16):
    """A listener whose connections are handed to handle, one after the other; nobody accepts them without it."""
    with socket.create_server((HOST, 0), backlog=backlog) as listener:
        over = threading.Event()

        def serve():
            listener.settimeout(0.05)
            while not over.is_set():
                with contextlib.suppress(TimeoutError):
                    connection, dummy = listener.accept()
                    with connection, contextlib.suppress(OSError):
                        connection.settimeout(5)
                        handle(connection, over)

        thread = threading.Thread(target=serve, daemon=True)
        if handle is not None:
            thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            over.set()
            if handle is not None:
                thread.join(5)


def stay(connection, over):
    over.wait(5)


def leave(connection, over):
    return None


def reset(connection, over):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


def speak(connection, over):
    connection.sendall(b"SSH-2.0-something\r\n")
    over.wait(0.5)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate for localhost and its key, signed by itself."""
    directory = tmp_path_factory.mktemp("certificate")
    certificate, key = directory / "cert.pem", directory / "key.pem"
    subprocess.run(
        [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "2",
            "-keyout",
            key,
            "-out",
            certificate,
            "-subj",
            "/CN=localhost",
            "-addext",
            "subjectAltName=DNS:localhost,IP:127.0.0.1",
        ],
        check=True,
        capture_output=True,
    )
    return certificate, key


@contextlib.contextmanager
def serving(certificate=None):
    """An HTTP server whose status is in the path; /long has a long body, and /quiet no answer."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            if self.path == "/quiet":
                time.sleep(TIMEOUT + 0.5)
                return
            self.send_response(int(self.path.strip("/")) if self.path != "/long" else 200)
            self.end_headers()
            self.wfile.write(b"x" * 5000 if self.path == "/long" else f"asked as {self.headers['Host']}".encode())

        def log_message(self, *arguments):
            pass

    with http.server.ThreadingHTTPServer((HOST, 0), Handler) as server:
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join(5)


def outcome(met: Probe):
    return met.result, met.stage


def outcomes(handle, expected):
    """A reset may come before connecting has returned; then that is where it ended."""
    return {expected, (expected[0], "connect")} if handle is reset else {expected}


@pytest.mark.parametrize(
    ("handle", "expected"),
    [
        (stay, ("open", "connect")),
        (speak, ("open", "connect")),
        (leave, ("closed", "connect")),
        (reset, ("closed", "connect")),
    ],
)
def test_a_connection_that_stays_or_ends(handle, expected):
    with listening(handle) as port:
        met = probe(Target(HOST, port), TIMEOUT)
    assert outcome(met) == expected
    assert (met.error is None) == (met.result == "open") and met.address == HOST


def test_refused():
    with socket.create_server((HOST, 0)) as listener:
        port = listener.getsockname()[1]
    met = probe(Target(HOST, port), TIMEOUT)
    assert outcome(met) == ("refused", "connect") and "refused" in met.error and met.seconds < TIMEOUT


def test_a_full_backlog_times_out():
    with listening(backlog=0) as port, contextlib.ExitStack() as stack:
        for dummy in range(3):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex((HOST, port))
        met = probe(Target(HOST, port), 0.4)
    assert outcome(met) == ("timed_out", "connect") and 0.3 <= met.seconds < 2


def test_a_name_that_does_not_resolve():
    met = probe(Target("nowhere.invalid", 80), TIMEOUT)
    assert outcome(met) == ("unreachable", "resolve") and met.address is None


def test_a_name_that_cannot_be_one():
    assert outcome(probe(Target("a" * 64 + ".example.com", 80), TIMEOUT)) == ("unreachable", "resolve")


def test_no_route():
    # a unicast address cannot be reached through a broadcast one
    met = probe(Target("255.255.255.255", 80), TIMEOUT)
    assert outcome(met) == ("unreachable", "connect")


@pytest.mark.parametrize(
    ("handle", "expected"),
    [(stay, ("timed_out", "tls")), (leave, ("closed", "tls")), (reset, ("closed", "tls")), (speak, ("open", "tls"))],
)
def test_tls_with_something_that_does_not_speak_it(handle, expected):
    with listening(handle) as port:
        met = probe(Target(HOST, port, tls=True, path="/readyz"), TIMEOUT)
    assert outcome(met) in outcomes(handle, expected) and met.error


@pytest.mark.parametrize(
    ("handle", "expected"),
    [
        (stay, ("timed_out", "http")),
        (leave, ("closed", "http")),
        (reset, ("closed", "http")),
        (speak, ("open", "http")),
    ],
)
def test_http_with_something_that_does_not_speak_it(handle, expected):
    with listening(handle) as port:
        met = probe(Target(HOST, port, path="/readyz"), TIMEOUT)
    assert outcome(met) in outcomes(handle, expected) and met.http_status is None


@pytest.mark.parametrize("status", [200, 401, 404, 503])
def test_http_statuses(status):
    with serving() as port:
        met = probe(Target(HOST, port, path=f"/{status}"), TIMEOUT)
        assert (*outcome(met), met.http_status, met.body) == ("open", "http", status, f"asked as {HOST}:{port}")
        named = probe(Target(HOST, port, path=f"/{status}", server_name="k8s-api.example.com"), TIMEOUT)
        assert named.body == f"asked as k8s-api.example.com:{port}"


def test_only_the_beginning_of_a_body_is_kept():
    with serving() as port:
        assert len(probe(Target(HOST, port, path="/long"), TIMEOUT).body) == 1024


def test_an_answer_that_does_not_come():
    with serving() as port:
        assert outcome(probe(Target(HOST, port, path="/quiet"), TIMEOUT)) == ("timed_out", "http")


def test_tls_is_not_verified_without_a_ca(certificate):
    with serving(certificate) as port:
        met = probe(Target(HOST, port, tls=True), TIMEOUT)
    assert outcome(met) == ("open", "tls")
    assert met.tls["version"].startswith("TLSv1") and not met.tls["verified"]
    # what it says is known all the same
    assert "localhost" in met.tls["subject_alt_names"] and len(met.tls["fingerprint"]) == 59


def test_tls_and_http(certificate):
    with serving(certificate) as port:
        met = probe(Target(HOST, port, tls=True, path="/200", ca_path=str(certificate[0])), TIMEOUT)
    assert (*outcome(met), met.http_status) == ("open", "http", 200)
    assert met.tls["verified"] and met.tls["subject_alt_names"] == ["localhost", "127.0.0.1"] and met.tls["not_after"]


def test_a_certificate_for_another_name(certificate):
    with serving(certificate) as port:
        met = probe(
            Target(HOST, port, tls=True, server_name="k8s-api.example.com", ca_path=str(certificate[0])), TIMEOUT
        )
    assert outcome(met) == ("open", "tls") and "certificate verify failed" in met.error


def test_all_side_by_side_and_in_their_order():
    assert probe_all([], TIMEOUT) == []
    with listening(stay) as port:
        start = time.monotonic()
        met = probe_all([Target(HOST, port, name="quiet", tls=True), *[Target(HOST, port, tls=True)] * 7], TIMEOUT)
        assert time.monotonic() - start < 4 * TIMEOUT
    assert [found.name for found in met] == ["quiet", *[f"{HOST}:{port}"] * 7]
    assert {found.result for found in met} == {"timed_out"}


@pytest.mark.parametrize(
    ("stage", "error", "result"),
    [
        ("connect", OSError(113, "No route to host"), "unreachable"),
        ("connect", PermissionError(1, "Operation not permitted"), "unreachable"),
        ("connect", OSError(110, "Connection timed out"), "timed_out"),
        ("connect", ConnectionResetError(104, "Connection reset by peer"), "closed"),
        ("http", OSError(113, "No route to host"), "unreachable"),
        ("http", BrokenPipeError(32, "Broken pipe"), "closed"),
    ],
)
def test_errors_of_the_system_that_loopback_does_not_give(stage, error, result):
    assert _meaning(Probe("x", HOST, 1, "open", stage), error) == result


@pytest.mark.parametrize(
    "date, skew",
    [
        ("Thu, 01 Jan 1970 00:16:40 GMT", 0.0),
        ("Thu, 01 Jan 1970 00:16:41 GMT", -0.5),
        ("Thu, 01 Jan 1970 00:06:40 GMT", 600.5),
        ("yesterday", None),
        (None, None),
    ],
)
def test_clocks_are_compared_by_the_date_of_an_answer(date, skew):
    assert _skew(date, 1000.5) == skew
