# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The files: where they are, and how releases, the link and the drop-in come and go on the disk."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import typing as t
from contextlib import contextmanager
from dataclasses import dataclass

from .container import Container

CONFIG = "haproxy.cfg"
DROP_IN = "50-clusterfront.conf"
STAGED = ".staged-"
SERVER_STATE = "server-state.json"
QUADLETS = "/etc/containers/systemd"


@dataclass(frozen=True)
class Settings:
    """Where things are on this host."""

    directory: str
    binary: str
    unit: str
    unit_directory: str
    pid_file: str
    stats_socket: str
    master_socket: str
    timeout: float
    container: Container | None = None

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
        return os.path.join(self.link, CONFIG)

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


def read(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except (FileNotFoundError, NotADirectoryError, ProcessLookupError):
        return None


def read_bytes(path: str) -> bytes | None:
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return None


def write(path: str, data: str | bytes, mode: int) -> None:
    """Write a file whole: a run that is killed leaves the old one or the new one."""
    handle, name = tempfile.mkstemp(dir=os.path.dirname(path), prefix=STAGED)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data.encode() if isinstance(data, str) else data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, mode)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


@contextmanager
def lock(settings: Settings) -> t.Iterator[None]:
    """Two runs at once don't mix; the kernel takes the lock back from a run that is killed."""
    os.makedirs(settings.releases, mode=0o755, exist_ok=True)
    handle = os.open(settings.releases, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


@contextmanager
def staged(settings: Settings, beside: t.Mapping[str, bytes]) -> t.Iterator[str]:
    """The directory of a release that has no name yet; what gets none is gone afterwards."""
    directory = tempfile.mkdtemp(dir=settings.releases, prefix=STAGED)
    try:
        fill(directory, beside)
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def aside(beside: t.Mapping[str, bytes]) -> t.Iterator[str]:
    """The directory of a release to look at, away from the others."""
    with tempfile.TemporaryDirectory() as directory:
        fill(directory, beside)
        yield directory


def fill(directory: str, beside: t.Mapping[str, bytes]) -> None:
    """Write the files that a configuration reads. There may be keys among them, so they are for root alone."""
    os.chmod(directory, 0o750)
    for name, data in beside.items():
        write(os.path.join(directory, name), data, 0o600)


def name_release(settings: Settings, directory: str, release: str) -> None:
    """Make what is staged a release; one that is there already gets its files one by one, the configuration last."""
    final = settings.place(release)
    if not os.path.isdir(final):
        os.rename(directory, final)
        return
    for name in sorted(os.listdir(directory), key=lambda name: name == CONFIG):
        os.replace(os.path.join(directory, name), os.path.join(final, name))


def read_release(settings: Settings, release: str, beside: t.Mapping[str, bytes]) -> str | None:
    """The configuration of a release; None where it is not there, or not with these files."""
    directory = settings.place(release)
    if any(read_bytes(os.path.join(directory, name)) != data for name, data in beside.items()):
        return None
    return read(os.path.join(directory, CONFIG))


def list_releases(settings: Settings) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The releases, the newest first, and what runs that were killed have left."""
    names = os.listdir(settings.releases) if os.path.isdir(settings.releases) else []
    releases = [name for name in names if not name.startswith(".")]
    releases.sort(key=lambda name: os.stat(os.path.join(settings.releases, name)).st_mtime, reverse=True)
    return tuple(releases), tuple(name for name in names if name.startswith(STAGED))


def linked_release(settings: Settings) -> str | None:
    """The release that the link names."""
    target = os.readlink(settings.link) if os.path.islink(settings.link) else ""
    home, release = os.path.split(target)
    return release if home == "releases" else None


def flip(settings: Settings, release: str | None) -> None:
    """Point the link to a release in one step, or take the link away."""
    if release is None:
        if os.path.islink(settings.link):
            os.unlink(settings.link)
        return
    # The time of a release tells the order in which releases are pruned.
    os.utime(settings.place(release))
    name = os.path.join(settings.releases, f"{STAGED}link")
    if os.path.lexists(name):
        os.unlink(name)
    os.symlink(os.path.join("releases", release), name)
    os.replace(name, settings.link)


def put_unit_file(settings: Settings, text: str | None) -> None:
    """Write what is ours of the unit, or take it away."""
    if text is not None:
        os.makedirs(os.path.dirname(settings.unit_file), mode=0o755, exist_ok=True)
        write(settings.unit_file, text, 0o644)
    elif os.path.exists(settings.unit_file):
        os.unlink(settings.unit_file)


def discard(settings: Settings, release: str) -> None:
    """Take a release away that did not come up; what can't be removed does not stop the way back."""
    shutil.rmtree(settings.place(release), ignore_errors=True)


def prune(settings: Settings, names: t.Iterable[str]) -> None:
    """Remove old releases and what runs that were killed have left."""
    for name in names:
        path = os.path.join(settings.releases, name)
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        elif os.path.lexists(path):  # the link that a killed run has left may have been used since
            os.unlink(path)
