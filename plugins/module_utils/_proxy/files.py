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

from .proxy import Proxy

STAGED = ".staged-"
BEFORE = ".before-clusterfront"  # what lay at the usual place when we came


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


@contextmanager
def naming(path: str) -> t.Iterator[None]:
    """Name the file in an error that does not: a full disk is met where the name is not known any more."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = path
        raise


def write(path: str, data: str | bytes, mode: int) -> None:
    """Write a file whole: a run that is killed leaves the old one or the new one."""
    handle, name = tempfile.mkstemp(dir=os.path.dirname(path), prefix=STAGED)
    try:
        with naming(path), os.fdopen(handle, "wb") as file:
            file.write(data.encode() if isinstance(data, str) else data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, mode)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


@contextmanager
def lock(proxy: Proxy) -> t.Iterator[None]:
    """Two runs at once don't mix; the kernel takes the lock back from a run that is killed."""
    os.makedirs(proxy.releases, mode=0o755, exist_ok=True)
    handle = os.open(proxy.releases, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


@contextmanager
def staged(proxy: Proxy, beside: t.Mapping[str, bytes]) -> t.Iterator[str]:
    """The directory of a release that has no name yet; what gets none is gone afterwards."""
    directory = tempfile.mkdtemp(dir=proxy.releases, prefix=STAGED)
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


def name_release(proxy: Proxy, directory: str, release: str) -> None:
    """Make what is staged a release; one that is there already gets its files one by one, the configuration last."""
    final = proxy.place(release)
    if not os.path.isdir(final):
        os.rename(directory, final)
        return
    for name in sorted(os.listdir(directory), key=lambda name: name == proxy.CONFIG):
        os.replace(os.path.join(directory, name), os.path.join(final, name))


def read_release(proxy: Proxy, release: str, beside: t.Mapping[str, bytes]) -> str | None:
    """The configuration of a release; None where it is not there, or not with these files."""
    directory = proxy.place(release)
    if any(read_bytes(os.path.join(directory, name)) != data for name, data in beside.items()):
        return None
    return read(os.path.join(directory, proxy.CONFIG))


def list_releases(proxy: Proxy) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The releases, the newest first, and what runs that were killed have left."""
    names = os.listdir(proxy.releases) if os.path.isdir(proxy.releases) else []
    releases = [name for name in names if not name.startswith(".")]
    releases.sort(key=lambda name: os.stat(os.path.join(proxy.releases, name)).st_mtime, reverse=True)
    return tuple(releases), tuple(name for name in names if name.startswith(STAGED))


def linked_release(proxy: Proxy) -> str | None:
    """The release that the link names, and that lies at the usual place where there is one."""
    target = os.readlink(proxy.link) if os.path.islink(proxy.link) else ""
    home, release = os.path.split(target)
    if home != "releases":
        return None
    if proxy.usual_place and read(proxy.usual_place) != read(os.path.join(proxy.place(release), proxy.CONFIG)):
        return None
    return release


def flip(proxy: Proxy, release: str | None) -> None:
    """Point the link to a release in one step, or take the link away."""
    if release is None:
        if os.path.islink(proxy.link):
            os.unlink(proxy.link)
        if proxy.usual_place and os.path.exists(proxy.usual_place + BEFORE):
            os.replace(proxy.usual_place + BEFORE, proxy.usual_place)
            if os.path.getsize(proxy.usual_place) == 0:
                os.unlink(proxy.usual_place)
        return
    # The time of a release tells the order in which releases are pruned.
    os.utime(proxy.place(release))
    name = os.path.join(proxy.releases, f"{STAGED}link")
    if os.path.lexists(name):
        os.unlink(name)
    os.symlink(os.path.join("releases", release), name)
    os.replace(name, proxy.link)
    if proxy.usual_place:
        put_config(proxy, release, read(os.path.join(proxy.place(release), proxy.CONFIG)) or "")


def put_config(proxy: Proxy, release: str, text: str) -> None:
    """Write the configuration of the live release, also where it has a usual place; what was there before us is kept."""
    write(os.path.join(proxy.place(release), proxy.CONFIG), text, 0o640)
    place = proxy.usual_place
    if place is None:
        return
    if not os.path.exists(place + BEFORE):
        # an empty one says that there was none
        shutil.copy2(place if os.path.exists(place) else os.devnull, place + BEFORE)
    write(place, text, 0o644)


def put_unit_file(proxy: Proxy, text: str | None) -> None:
    """Write what is ours of the unit, or take it away."""
    if text is not None:
        os.makedirs(os.path.dirname(proxy.unit_file), mode=0o755, exist_ok=True)
        write(proxy.unit_file, text, 0o644)
    elif os.path.exists(proxy.unit_file):
        os.unlink(proxy.unit_file)


def discard(proxy: Proxy, release: str) -> None:
    """Take a release away that did not come up; what can't be removed does not stop the way back."""
    shutil.rmtree(proxy.place(release), ignore_errors=True)


def prune(proxy: Proxy, names: t.Iterable[str]) -> None:
    """Remove old releases and what runs that were killed have left."""
    for name in names:
        path = os.path.join(proxy.releases, name)
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        elif os.path.lexists(path):  # the link that a killed run has left may have been used since
            os.unlink(path)
