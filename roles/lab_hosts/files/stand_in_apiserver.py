# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A TLS server that a load balancer can't tell from an idle kube-apiserver.

Anonymous callers may GET /readyz, /livez, /healthz and /version, and nothing else: RBAC's public-info role says so,
and a health check by HEAD or OPTIONS finds a 403. GET /watch?seconds=N sends a byte, is silent for N seconds, and ends
well. A file that --not-ready names turns /readyz to 500. On SIGTERM /readyz turns to 500 at once, requests are served
for the shutdown delay, then the port is closed, and the process ends when its last watch does.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import socket
import socketserver
import ssl
import sys
import threading
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Iterator
from urllib.parse import parse_qs, urlsplit

TLS_HANDSHAKE = b"\x16"
HANDSHAKE_TIMEOUT = 10.0
# word for word what Go's TLS server answers
PLAIN_HTTP_ANSWER = b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1024

    def __init__(self, address: tuple[str, int], tls: ssl.SSLContext, version: str, not_ready: str) -> None:
        super().__init__(address, Handler)
        self.tls = tls
        self.version = version
        self.not_ready = not_ready
        self.terminating = threading.Event()
        self.closed = threading.Event()
        self._idle = threading.Condition()
        self._requests = 0

    def server_bind(self) -> None:
        """Without the inherited look-up of the machine's full name, which may wait for a resolver."""
        socketserver.TCPServer.server_bind(self)

    @property
    def ready(self) -> bool:
        return not self.terminating.is_set() and not os.path.exists(self.not_ready)

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Runs in the connection's own thread, so that a slow handshake holds up nobody else."""
        request.settimeout(HANDSHAKE_TIMEOUT)
        request.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        with contextlib.suppress(OSError):
            first = request.recv(1, socket.MSG_PEEK)
            if first and first != TLS_HANDSHAKE:
                request.recv(65536)
                request.sendall(PLAIN_HTTP_ANSWER)
            elif first:
                with self.tls.wrap_socket(request, server_side=True) as connection:
                    connection.settimeout(None)
                    super().finish_request(connection, client_address)

    @contextlib.contextmanager
    def counted_request(self) -> Iterator[None]:
        with self._idle:
            self._requests += 1
        try:
            yield
        finally:
            with self._idle:
                self._requests -= 1
                self._idle.notify_all()

    def terminate(self, delay: float, limit: float) -> None:
        """Leave as a real apiserver does: first say so, then close the port, then let the running requests end."""
        time.sleep(delay)
        self.closed.set()
        self.shutdown()
        self.server_close()
        with self._idle:
            self._idle.wait_for(lambda: self._requests == 0, limit)


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    server_version = "stand-in-apiserver"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        with self.server.counted_request():
            url = urlsplit(self.path)
            if url.path in ("/livez", "/healthz") or (url.path == "/readyz" and self.server.ready):
                self._answer(HTTPStatus.OK, "text/plain; charset=utf-8", b"ok")
            elif url.path == "/readyz":
                text = b"[+]ping ok\n[-]shutdown failed: reason withheld\nreadyz check failed\n"
                self._answer(HTTPStatus.INTERNAL_SERVER_ERROR, "text/plain; charset=utf-8", text)
            elif url.path == "/version":
                major, minor = self.server.version.lstrip("v").split(".")[:2]
                facts = {"major": major, "minor": minor, "gitVersion": self.server.version}
                facts["host"] = socket.gethostname()
                self._answer(HTTPStatus.OK, "application/json", json.dumps(facts).encode())
            elif url.path == "/watch":
                self._watch(parse_qs(url.query).get("seconds", ["1"])[0])
            else:
                self._forbid()

    def _forbid(self) -> None:
        self.close_connection = True  # an unread body may follow
        message = f'forbidden: User "system:anonymous" cannot {self.command.lower()} path "{urlsplit(self.path).path}"'
        status: dict[str, Any] = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
        status.update(message=message, reason="Forbidden", details={}, code=HTTPStatus.FORBIDDEN)
        self._answer(HTTPStatus.FORBIDDEN, "application/json", json.dumps(status).encode())

    do_HEAD = do_OPTIONS = do_POST = do_PUT = do_PATCH = do_DELETE = do_TRACE = do_CONNECT = _forbid

    def _answer(self, status: HTTPStatus, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Content-Type-Options", "nosniff")
        if self.server.closed.is_set() or self.close_connection:
            self.send_header("Connection", "close")  # sets close_connection too
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _watch(self, seconds: str) -> None:
        try:
            pause = float(seconds)
        except ValueError:
            self._answer(HTTPStatus.BAD_REQUEST, "text/plain", b"seconds must be a number\n")
            return
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"1\r\n\n\r\n")
        time.sleep(pause)
        self.wfile.write(b"0\r\n\r\n")

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except OSError:
            self.close_connection = True  # the caller went away

    def log_message(self, format: str, *args: Any) -> None:
        """A line for every health check would bury the journal."""


def notify_ready() -> None:
    """Tell systemd that the port is open, so that 'systemctl start' returns when requests are served."""
    address = os.environ.get("NOTIFY_SOCKET")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.connect("\0" + address[1:] if address.startswith("@") else address)
            channel.sendall(b"READY=1")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--address", default="0.0.0.0")
    parser.add_argument("--port", type=int, default=6443)
    parser.add_argument("--certificate", required=True, help="PEM file")
    parser.add_argument("--key", required=True, help="PEM file")
    parser.add_argument("--version", default="v1.33.13", help="what /version tells")
    not_ready = "/run/stand-in-apiserver/not-ready"
    parser.add_argument("--not-ready", default=not_ready, help="while this file exists, /readyz is 500")
    parser.add_argument("--shutdown-delay", type=float, default=2.0, help="seconds between SIGTERM and the closed port")
    parser.add_argument("--watch-limit", type=float, default=60.0, help="seconds that running requests get after that")
    options = parser.parse_args()

    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.minimum_version = ssl.TLSVersion.TLSv1_2
    tls.load_cert_chain(options.certificate, options.key)
    tls.set_alpn_protocols(["http/1.1"])
    server = Server((options.address, options.port), tls, options.version, options.not_ready)
    leaving = threading.Thread(target=server.terminate, args=(options.shutdown_delay, options.watch_limit))

    def on_sigterm(*_: object) -> None:
        if not server.terminating.is_set():
            server.terminating.set()
            leaving.start()

    signal.signal(signal.SIGTERM, on_sigterm)
    notify_ready()
    server.serve_forever(poll_interval=0.1)
    leaving.join()
    return 0


if __name__ == "__main__":
    sys.exit(main())
