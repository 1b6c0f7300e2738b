# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A web server and a resolver of sorts that name themselves: web.py NAME.

TCP 80: any path gives the name; /download gives 2,000,000 bytes in about eight seconds.
UDP 5353: "ping" gives "pong", as the health check wants it, and anything else the name.
"""

from __future__ import annotations

import http.server
import socketserver
import sys
import threading
import time

NAME = sys.argv[1]
CHUNKS, CHUNK = 80, b"." * 25_000


class Web(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        chunks = [CHUNK] * CHUNKS if self.path == "/download" else [NAME.encode()]
        self.send_response(200)
        self.send_header("Content-Length", str(sum(map(len, chunks))))
        self.send_header("X-Server", NAME)
        self.end_headers()
        for chunk in chunks:
            self.wfile.write(chunk)
            time.sleep(0.1 if len(chunks) > 1 else 0)

    def log_message(self, *arguments: object) -> None:
        pass


class Resolver(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        data, connection = self.request
        connection.sendto(b"pong" if data == b"ping" else NAME.encode(), self.client_address)


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 512


with Server(("", 80), Web) as web, socketserver.ThreadingUDPServer(("", 5353), Resolver) as resolver:
    threading.Thread(target=resolver.serve_forever, daemon=True).start()
    web.serve_forever()
