# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A program that this package brings live: what it is called, where it is on a host, and what only it can tell.

HAProxy and nginx each derive from it; everything else in this package knows neither.
"""

from __future__ import annotations

import os
import typing as t
from dataclasses import dataclass

from .container import Container, Job
from .parse import Bind, Server
from .states import Count, Intent, Served

QUADLETS = "/etc/containers/systemd"
DROP_IN = "50-clusterfront.conf"
SERVER_STATE = "server-state.json"


class ReleaseError(Exception):
    """One sentence for the user."""


@dataclass(frozen=True)
class Listener:
    """What has to answer once a release is live: a connection, or a path with status 200."""

    address: str
    port: int
    path: str | None

    @property
    def target(self) -> str:
        return {"": "127.0.0.1", "*": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.address, self.address)


@dataclass(frozen=True)
class File:
    """A file that lies beside the configuration in a release."""

    name: str
    source: str  # on this host
    option: str  # what a user calls it
    holds: tuple[str, ...] = ()  # certificate, key; nothing is looked for where it is empty


@dataclass(frozen=True)
class Wanted:
    """What the caller asks for."""

    content: str
    inputs: tuple[str, ...]
    maxconn: int | None
    reserve: int
    listeners: tuple[Listener, ...]
    keep: int
    shares: int = 1  # how many times maxconn has to fit
    files: tuple[File, ...] = ()
    texts: tuple[tuple[str, str], ...] = ()  # more that lies beside the configuration: name, text
    lenient: bool = False  # too few open files are a warning


class Loaded(t.NamedTuple):
    """What a running process has loaded."""

    release: str | None
    stale: bool = False  # the configuration of that release was written again since


class Proxy:
    """What differs between programs; whoever derives from it is a dataclass with these places."""

    TITLE: t.ClassVar[str]  # what users call it
    ROLE: t.ClassVar[str]
    CONFIG: t.ClassVar[str]  # the name of its configuration

    directory: str
    binary: str
    unit: str
    unit_directory: str
    timeout: float
    container: Container | None

    @property
    def releases(self) -> str:
        return os.path.join(self.directory, "releases")

    @property
    def link(self) -> str:
        return os.path.join(self.directory, "current")

    def place(self, release: str) -> str:
        """The directory of a release."""
        return os.path.join(self.releases, release)

    @property
    def config(self) -> str:
        """The configuration that the process is started with."""
        return os.path.join(self.link, self.CONFIG)

    @property
    def usual_place(self) -> str | None:
        """Where the live configuration lies as a file of its own, for those that don't start from the link."""
        return None

    @property
    def own_network(self) -> bool:
        """Whether the process listens in a network that is not the host's."""
        return False

    @property
    def server_state(self) -> str:
        return os.path.join(self.directory, SERVER_STATE)

    @property
    def unit_file(self) -> str:
        """What is ours of the unit: a drop-in of the package's, or all of a container's."""
        if self.container is None:
            return os.path.join(self.unit_directory, f"{self.unit}.d", DROP_IN)
        if self.container.quadlet:
            return os.path.join(QUADLETS, f"{self.container.name}.container")
        return os.path.join(self.unit_directory, self.unit)

    # What is known of a configuration before it runs.

    def lacks(self, content: str) -> str | None:
        """One sentence on a configuration that can't be a release."""
        raise NotImplementedError

    def check_arguments(self, config: str) -> list[str]:
        """How the program is told to read a configuration and end."""
        raise NotImplementedError

    def refusal(self, text: str, output: str) -> str:
        """One sentence on a configuration that the program does not take."""
        raise NotImplementedError

    def binds(self, text: str) -> list[Bind]:
        raise NotImplementedError

    def with_states(self, text: str, states: t.Mapping[str, Intent]) -> str:
        """A configuration with the states on the lines of their servers."""
        raise NotImplementedError

    def without_states(self, text: str) -> str:
        raise NotImplementedError

    def files_needed(self, wanted: Wanted, text: str) -> int | None:
        """How many files a process has to open; None where nobody said how many connections there may be."""
        raise NotImplementedError

    def out_of_files(self, wanted: Wanted, text: str, limit: int) -> str:
        """One sentence on connections that don't fit into the most files that a process may open."""
        raise NotImplementedError

    # The unit.

    def drop_in_text(self, limit: int | None) -> str:
        raise NotImplementedError

    def job(self, container: Container) -> Job:
        """What runs in the container."""
        raise NotImplementedError

    def started_as_ours(self, arguments: t.Sequence[str]) -> bool:
        """Whether a process was started as our drop-in starts it; if not, a reload can't make it ours."""
        raise NotImplementedError

    # The process that runs.

    def loaded(self, pid: int) -> Loaded:
        raise NotImplementedError

    def servers(self) -> dict[str, Server]:
        """The servers of the live configuration, by pool/server, as somebody sees them who checks them."""
        raise NotImplementedError

    def drive(self, process: str, release: str) -> None:
        """Start, restart or reload, and wait until the process runs the release."""
        raise NotImplementedError

    # Single servers.

    def server_weights(self, text: str) -> dict[str, int]:
        """The servers of a configuration, by pool/server, with the weight that it gives them."""
        raise NotImplementedError

    def runtime(self) -> t.Mapping[str, Served]:
        """What the running process makes of its servers; empty where none runs."""
        raise NotImplementedError

    def orders(
        self, names: t.Sequence[str], states: t.Mapping[str, Intent], weights: t.Mapping[str, int], changed: bool
    ) -> list[str]:
        """What the running process has to be told of these servers; `changed` says that its configuration is another."""
        raise NotImplementedError

    def obey(self, orders: t.Sequence[str], names: t.Sequence[str], states: t.Mapping[str, Intent]) -> None:
        """Tell it, and see that it is so."""
        raise NotImplementedError

    def count(self, names: t.Iterable[str]) -> dict[str, Count]:
        raise NotImplementedError

    def cut(self, names: t.Iterable[str]) -> None:
        """End the sessions that are left, in every process."""
        raise NotImplementedError
