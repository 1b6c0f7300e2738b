# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Something that answers where an apiserver will, so that ways can be tested before there is one.

A transient unit of systemd, which ends it when its time is over, whatever became of the run that started it; it leaves no file.
"""

from __future__ import annotations

import subprocess
import sys
import time

from .probe import OPEN, Target, probe

UNIT = "clusterfront-stand-in.service"
#: Seconds that it may take until it answers; making the key is the most of it.
START = 15.0
#: What the unit runs: GET /readyz, /livez and /version answer 200, by a certificate that is made on the spot and names nobody.
PROGRAM = r"""
import http.server, os, ssl, subprocess, sys
place, port = os.environ["RUNTIME_DIRECTORY"], int(sys.argv[1])
class Handler(http.server.BaseHTTPRequestHandler):
    timeout = 5
    def do_GET(self):
        self.send_response(200 if self.path in ("/readyz", "/livez", "/version") else 404)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")
    def log_message(self, *arguments):
        pass
class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    def finish_request(self, request, client):
        # in the connection's own thread: a check that only connects must hold up nobody
        request.settimeout(5)
        try:
            with context.wrap_socket(request, server_side=True) as secured:
                super().finish_request(secured, client)
        except OSError:
            pass
    def handle_error(self, request, client):
        pass
subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1",
    "-subj", "/CN=clusterfront-stand-in", "-keyout", place + "/key", "-out", place + "/certificate"], check=True)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(place + "/certificate", place + "/key")
Server(("", port), Handler).serve_forever()
"""


class StandInError(Exception):
    """One sentence for the user."""


def _systemctl(*arguments: str) -> str:
    # plain Python that knows no AnsibleModule, so that tests and other tools can use it
    done = subprocess.run(  # pylint: disable=ansible-bad-function
        ["systemctl", *arguments, UNIT], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    return done.stdout.decode(errors="replace").strip()


def runs() -> bool:
    return _systemctl("is-active") in ("active", "activating")


def answers(port: int) -> bool:
    met = probe(Target("127.0.0.1", port, tls=True, path="/readyz"), timeout=2)
    return met.result == OPEN and met.http_status == 200


def start(port: int, seconds: int) -> None:
    """Start it for as long, where none runs."""
    subprocess.run(  # pylint: disable=ansible-bad-function
        [
            "systemd-run", "--quiet", "--collect", f"--unit={UNIT}", f"--property=RuntimeMaxSec={seconds}",
            "--property=RuntimeDirectory=clusterfront-stand-in", "--property=RuntimeDirectoryMode=0700",
            sys.executable, "-B", "-c", PROGRAM, str(port),
        ],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=True,
    )  # fmt: skip
    deadline = time.monotonic() + START
    while not answers(port):
        if not runs() or time.monotonic() > deadline:
            stop()
            raise StandInError(
                f"Nothing could stand in for the apiserver on port {port}; see 'journalctl -u {UNIT}', and whether openssl is installed."
            )
        time.sleep(0.1)


def stop() -> None:
    """End it, if there is one."""
    _systemctl("stop")
    _systemctl("reset-failed")
