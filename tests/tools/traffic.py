# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A request loop for tests: GET, a new connection each, at a steady rate; one JSON line for each request.

Run it inside a namespace of the test's own: ip netns exec NAMESPACE traffic.py HOST PORT PATH --seconds 10 --rate 20
It ends by itself, or makes no more requests once it is told to terminate. A line holds start (seconds of the machine's monotonic
clock), seconds, the server that named itself in X-Server, and either body or error.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import http.client
import json
import signal
import ssl
import sys
import threading
import time


def request(
    host: str, port: int, path: str, timeout: float, context: ssl.SSLContext | None, name: str | None = None
) -> dict[str, object]:
    """Make one request on a connection of its own; without a context there is no TLS. name is what is asked for, if not the host."""
    start = time.monotonic()
    met: dict[str, object] = {"start": start}
    connection = (
        http.client.HTTPSConnection(host, port, timeout=timeout, context=context)
        if context
        else http.client.HTTPConnection(host, port, timeout=timeout)
    )
    try:
        connection.request("GET", path, headers={"Host": name} if name else {})
        answer = connection.getresponse()
        met["server"] = answer.headers.get("X-Server")
        body = answer.read().decode()
        met["body" if answer.status == 200 else "error"] = body if answer.status == 200 else f"status {answer.status}"
    except (OSError, http.client.HTTPException) as error:
        met["error"] = f"{type(error).__name__}: {error}"
    finally:
        connection.close()
    met["seconds"] = round(time.monotonic() - start, 3)
    return met


def unverified() -> ssl.SSLContext:
    """The stand-in apiserver has a certificate that nobody signed."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("path")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rate", type=float, default=20.0, help="requests per second")
    parser.add_argument("--timeout", type=float, default=5.0)
    parser.add_argument("--name", help="the Host header")
    parser.add_argument("--plain", action="store_true", help="without TLS")
    options = parser.parse_args()
    context = None if options.plain else unverified()
    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    begin = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(max_workers=64) as pool:
        waiting = []
        for number in range(int(options.seconds * options.rate)):
            if stopped.wait(max(0.0, begin + number / options.rate - time.monotonic())):
                break
            waiting.append(
                pool.submit(request, options.host, options.port, options.path, options.timeout, context, options.name)
            )
        for done in waiting:
            sys.stdout.write(json.dumps(done.result()) + "\n")


if __name__ == "__main__":
    main()
