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

CONFIG = "haproxy.cfg"
DROP_IN = "50-clusterfront.conf"
STAGED = ".staged-"


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

    @property
    def releases(self) -> str:
        return os.path.join(self.directory, "releases")

    @property
    def link(self) -> str:
        return os.path.join(self.directory, "current")

    @property
    def config(self) -> str:
        return os.path.join(self.link, CONFIG)

    @property
    def drop_in(self) -> str:
        return os.path.join(self.unit_directory, f"{self.unit}.d", DROP_IN)


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


def write(path: str, text: str, mode: int) -> None:
    """Write a file whole: a run that is killed leaves the old one or the new one."""
    handle, name = tempfile.mkstemp(dir=os.path.dirname(path), prefix=STAGED)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
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
def staged(settings: Settings, text: str) -> t.Iterator[str]:
    """The configuration of a release that has no name yet; what gets none is gone afterwards."""
    directory = tempfile.mkdtemp(dir=settings.releases, prefix=STAGED)
    try:
        os.chmod(directory, 0o750)
        config = os.path.join(directory, CONFIG)
        write(config, text, 0o640)
        yield config
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def aside(text: str) -> t.Iterator[str]:
    """A configuration to look at, away from the releases."""
    with tempfile.TemporaryDirectory() as directory:
        config = os.path.join(directory, CONFIG)
        write(config, text, 0o600)
        yield config


def name_release(settings: Settings, config: str, release: str) -> None:
    """Make a staged configuration a release, in one step."""
    final = os.path.join(settings.releases, release)
    if os.path.isdir(final):
        os.replace(config, os.path.join(final, CONFIG))
    else:
        os.rename(os.path.dirname(config), final)


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
    os.utime(os.path.join(settings.releases, release))
    name = os.path.join(settings.releases, f"{STAGED}link")
    if os.path.lexists(name):
        os.unlink(name)
    os.symlink(os.path.join("releases", release), name)
    os.replace(name, settings.link)


def put_drop_in(settings: Settings, text: str | None) -> None:
    """Write the drop-in, or take it away."""
    if text is not None:
        os.makedirs(os.path.dirname(settings.drop_in), mode=0o755, exist_ok=True)
        write(settings.drop_in, text, 0o644)
    elif os.path.exists(settings.drop_in):
        os.unlink(settings.drop_in)


def discard(settings: Settings, release: str) -> None:
    """Take a release away that did not come up; what can't be removed does not stop the way back."""
    shutil.rmtree(os.path.join(settings.releases, release), ignore_errors=True)


def prune(settings: Settings, names: t.Iterable[str]) -> None:
    """Remove old releases and what runs that were killed have left."""
    for name in names:
        path = os.path.join(settings.releases, name)
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        else:
            os.unlink(path)
