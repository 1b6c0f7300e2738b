# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a Rancher node looks like to a balancer: rancher.py NAME CERTIFICATE.

Ports 80 and 443: /healthz and /ping are 200 as both kinds of ingress answer them, /headers gives what headers came, /watch?seconds=N
one byte, N seconds of silence and a proper end; anything else gives the name. 6443 gives 401 as RKE2 does to strangers, and 9345 200,
both over TLS. With "Upgrade: websocket" a connection becomes a tunnel that sends back what comes.
"""

from __future__ import annotations

import base64
import hashlib
import http.server
import json
import ssl
import sys
import threading
import time
import urllib.parse

NAME, CERTIFICATE = sys.argv[1:]
#: Of RFC 6455, section 1.3.
WEBSOCKET = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Node(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    status = 200

    def do_GET(self) -> None:
        place = urllib.parse.urlsplit(self.path)
        if self.headers.get("Upgrade") == "websocket":
            self.tunnel()
        elif place.path == "/watch":
            self.watch(float(urllib.parse.parse_qs(place.query)["seconds"][0]))
        else:
            body = json.dumps(dict(self.headers.items())) if place.path == "/headers" else NAME
            self.answer(self.status, body.encode())

    do_HEAD = do_GET

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Server", NAME)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def watch(self, seconds: float) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.send_header("X-Server", NAME)
        self.end_headers()
        self.wfile.write(b"1")
        time.sleep(seconds)
        self.wfile.write(b"2")

    def tunnel(self) -> None:
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        key = self.headers.get("Sec-WebSocket-Key", "") + WEBSOCKET
        self.send_header("Sec-WebSocket-Accept", base64.b64encode(hashlib.sha1(key.encode()).digest()).decode())
        self.end_headers()
        while data := self.connection.recv(1024):
            self.connection.sendall(data)
        self.close_connection = True

    def log_message(self, *arguments: object) -> None:
        pass


class Stranger(Node):
    status = 401


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 512
    daemon_threads = True


def serve(port: int, handler: type[Node], tls: bool) -> threading.Thread:
    server = Server(("", port), handler)
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(CERTIFICATE)
        # the handshake belongs to the thread of the connection, or one silent client would stop them all
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    return thread


for started in (serve(80, Node, False), serve(443, Node, True), serve(9345, Node, True), serve(6443, Stranger, True)):
    pass
started.join()
