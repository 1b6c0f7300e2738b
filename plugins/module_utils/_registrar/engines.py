# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""podman and Docker by their socket: which containers there are, and a word whenever that changes.

Both answer the same two requests without a version in the path. Nothing but the host's Python is needed.
"""

from __future__ import annotations

import http.client
import json
import socket
import typing as t
import urllib.parse

from .containers import Container, container
from .labels import is_labelled

#: Seconds that an engine has for an answer.
TIMEOUT = 10.0
#: Where the engines listen as they are installed.
SOCKETS = {"podman": "/run/podman/podman.sock", "docker": "/var/run/docker.sock"}


class EngineError(Exception):
    """An engine does not answer, or not as it has to. Its text is one sentence."""


class _Connection(http.client.HTTPConnection):
    """HTTP through a socket of the host."""

    def __init__(self, path: str, timeout: t.Optional[float]) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Engine:
    """A container engine of this host."""

    def __init__(self, name: str, path: str) -> None:
        self.name = name
        self.path = path

    def containers(self) -> list[Container]:
        """The labelled containers that run. Raises EngineError where that can't be said for sure."""
        found = []
        for entry in self._ask("/containers/json"):
            if is_labelled(entry.get("Labels") or {}):
                told = self._ask(f"/containers/{entry['Id']}/json", missing=True)
                # one that went away since it was listed
                if told is not None:
                    found.append(container(self.name, told))
        return found

    def watch(self, tell: t.Callable[[], None]) -> None:
        """Call tell for each event of a container, and once when events begin to come. Raises EngineError when they end."""
        filters = urllib.parse.quote(json.dumps({"type": ["container"]}))
        connection = _Connection(self.path, TIMEOUT)
        try:
            answer = self._answer(connection, f"/events?filters={filters}")
            # nothing may happen for days
            connection.sock.settimeout(None)
            tell()
            while answer.readline():
                tell()
        except (OSError, http.client.HTTPException) as error:
            raise self._error(error) from error
        finally:
            connection.close()
        raise EngineError(f"{self.name} ended its events")

    def _answer(self, connection: _Connection, path: str) -> http.client.HTTPResponse:
        connection.request("GET", path)
        answer = connection.getresponse()
        if answer.status not in (200, 404):
            raise EngineError(f"{self.name} at {self.path} answers {path.partition('?')[0]} by status {answer.status}")
        return answer

    def _ask(self, path: str, missing: bool = False) -> t.Any:
        connection = _Connection(self.path, TIMEOUT)
        try:
            answer = self._answer(connection, path)
            if answer.status == 404 and missing:
                return None
            return json.loads(answer.read())
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise self._error(error) from error
        finally:
            connection.close()

    def _error(self, error: Exception) -> EngineError:
        why = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return EngineError(f"{self.name} gives no answer at {self.path}: {why}")
