# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An application and a third party that names its users: app.py NAME.

8080: any path gives the name, and /headers path and headers as they came. /download?bytes=N gives so many bytes, /hold?seconds=N a byte each
quarter of a second. /healthz is 503 while /run/app-sick exists.
4180: /oauth2/auth is 202 with the name of a user for "Bearer good", 403 for "Bearer blocked", else 401. Any other path is a page of its own.
"""

from __future__ import annotations

import http.server
import json
import pathlib
import sys
import threading
import time
import urllib.parse

NAME = sys.argv[1]
SICK = pathlib.Path("/run/app-sick")


class Application(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        place = urllib.parse.urlsplit(self.path)
        numbers = {
            key: float(value) for key, value in urllib.parse.parse_qsl(place.query) if key in ("bytes", "seconds")
        }
        if place.path == "/hold":
            self.hold(numbers["seconds"])
        elif place.path == "/download":
            self.answer(200, b"." * int(numbers["bytes"]))
        elif place.path == "/headers":
            self.answer(200, json.dumps(dict(self.headers.items())).encode())
        elif place.path == "/healthz":
            self.answer(503 if SICK.exists() else 200, b"")
        else:
            self.answer(200, NAME.encode())

    def answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Server", NAME)
        self.send_header("X-Path", self.path)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def hold(self, seconds: float) -> None:
        steps = int(seconds * 4)
        self.send_response(200)
        self.send_header("Content-Length", str(steps))
        self.send_header("X-Server", NAME)
        self.end_headers()
        for dummy in range(steps):
            self.wfile.write(b".")
            time.sleep(0.25)

    def log_message(self, *arguments: object) -> None:
        pass


class ThirdParty(Application):
    def do_GET(self) -> None:
        if self.path != "/oauth2/auth":
            self.answer(200, b"sign in here")
            return
        said = self.headers.get("Authorization", "")
        if said == "Bearer good":
            self.answer(202, b"", X_Auth_Request_User="user-1", X_Asked_For=self.headers.get("X-Forwarded-Uri", ""))
        else:
            self.answer(403 if said == "Bearer blocked" else 401, b"")


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 512
    daemon_threads = True


for port, handler in ((8080, Application), (4180, ThirdParty)):
    threading.Thread(target=Server(("", port), handler).serve_forever).start()
