# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A container engine that only answers: HTTP on a socket, as podman and Docker do, about containers that a test makes up."""

from __future__ import annotations

import http.server
import json
import pathlib
import socketserver
import threading
import typing as t

ENDPOINT = "io.rancher.service.external_lb.endpoint"


def running(name: str, *ports: int, started: int = 0, health: str | None = None, **labels: str) -> dict[str, t.Any]:
    """A container with published ports, as both engines tell it; an underscore of a label stands for a dot."""
    shown = {label.replace("__", "\0").replace("_", ".").replace("\0", "_"): text for label, text in labels.items()}
    return {
        "Id": f"id-of-{name}",
        "Name": f"/{name}",
        "State": {
            "Running": True,
            "StartedAt": f"2024-01-01T00:00:{started:02}Z",
            **({} if health is None else {"Health": {"Status": health}}),
        },
        "Config": {"Labels": shown, "ExposedPorts": {f"{port}/tcp": {} for port in ports}},
        "HostConfig": {"NetworkMode": "bridge"},
        "NetworkSettings": {"Ports": {f"{port}/tcp": [{"HostIp": "", "HostPort": str(port)}] for port in ports}},
    }


def labelled(name: str, port: int, load_balancer: str, **more: t.Any) -> dict[str, t.Any]:
    """A container with the label of Rancher."""
    made = running(name, port, **more)
    made["Config"]["Labels"][ENDPOINT] = load_balancer
    return made


class SimulatedEngine(socketserver.ThreadingUnixStreamServer):
    """Serves until it is closed. silent: no request gets an answer that can be used."""

    daemon_threads = True

    def __init__(self, path: pathlib.Path) -> None:
        super().__init__(str(path), _Handler)
        self.path = str(path)
        self.containers: list[dict[str, t.Any]] = []
        self.silent = False
        self.news = threading.Condition()
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def has(self, *containers: dict[str, t.Any]) -> None:
        """From now on there are these, and whoever watches is told."""
        with self.news:
            self.containers = list(containers)
            self.news.notify_all()

    def handle_error(self, *dummy: t.Any) -> None:
        """Whoever asked was killed meanwhile."""

    def close(self) -> None:
        self.shutdown()
        self.server_close()
        pathlib.Path(self.path).unlink(missing_ok=True)


class _Handler(http.server.BaseHTTPRequestHandler):
    server: SimulatedEngine
    protocol_version = "HTTP/1.1"

    def address_string(self) -> str:
        return "a socket"

    def log_message(self, *dummy: t.Any) -> None:
        """Nobody reads it."""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if self.server.silent:
            self._answer(500, {})
        elif path == "/containers/json":
            listed = [{"Id": one["Id"], "Labels": one["Config"]["Labels"]} for one in self.server.containers]
            self._answer(200, listed)
        elif path == "/events":
            self._events()
        else:
            found = [one for one in self.server.containers if f"/containers/{one['Id']}/json" == path]
            self._answer(200 if found else 404, found[0] if found else {"message": "no such container"})

    def _answer(self, status: int, body: t.Any) -> None:
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def _events(self) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        line = b'{"Type":"container"}\n'
        with self.server.news:
            while self.server.news.wait(30):
                self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
