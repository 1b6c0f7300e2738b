# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A web server that names itself: web.py NAME ADDRESS PORT...

Any path gives the name. /hold?seconds=N gives a byte each quarter of a second; /watch?seconds=N gives one byte, silence,
and a proper end. GET /healthz is 200 while the server runs.
"""

from __future__ import annotations

import http.server
import sys
import threading
import time
import urllib.parse

NAME, ADDRESS, PORTS = sys.argv[1], sys.argv[2], sys.argv[3:]


class Web(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        target = urllib.parse.urlsplit(self.path)
        seconds = float(urllib.parse.parse_qs(target.query).get("seconds", ["0"])[0])
        self.close_connection = True
        self.send_response(200)
        self.send_header("X-Server", NAME)
        self.send_header("Connection", "close")
        if target.path in ("/hold", "/watch"):
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.stream(seconds, 0.25 if target.path == "/hold" else seconds)
        else:
            self.send_header("Content-Length", str(len(NAME)))
            self.end_headers()
            self.wfile.write(NAME.encode())

    def stream(self, seconds: float, pause: float) -> None:
        end = time.monotonic() + seconds
        try:
            while True:
                self.wfile.write(b"1\r\n.\r\n")
                if time.monotonic() >= end:
                    break
                time.sleep(pause)
            self.wfile.write(b"0\r\n\r\n")
        except OSError:
            pass  # the client went away

    def log_message(self, *arguments: object) -> None:
        pass


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 512


for port in PORTS:
    threading.Thread(target=Server((ADDRESS, int(port)), Web).serve_forever).start()
