# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Releases, the link and the drop-in on the disk."""

from __future__ import annotations

import os

import pytest

from ansible_collections.clusterfront.ha.plugins.module_utils._proxy import files


def make(settings, name, text, time):
    with files.staged(settings, {"a.pem": text.encode()}) as directory:
        files.write(os.path.join(directory, settings.CONFIG), text, 0o640)
        files.name_release(settings, directory, name)
    os.utime(os.path.join(settings.releases, name), (time, time))


def test_a_release_is_staged_and_named(settings):
    make(settings, "a", "one", 1)
    make(settings, "a", "two", 1)
    files.flip(settings, "a")
    assert files.read(settings.config) == "two" and os.listdir(settings.releases) == ["a"]
    assert os.stat(os.path.join(settings.link, "a.pem")).st_mode & 0o777 == 0o600


def test_a_release_is_there_with_its_files_only(settings):
    make(settings, "a", "one", 1)
    assert files.read_release(settings, "a", {"a.pem": b"one"}) == "one"
    assert files.read_release(settings, "a", {}) == "one"
    assert files.read_release(settings, "a", {"a.pem": b"two"}) is None
    assert files.read_release(settings, "a", {"b.pem": b"one"}) is None
    assert files.read_release(settings, "b", {}) is None


def test_what_gets_no_name_is_gone(settings):
    with files.staged(settings, {}) as directory:
        assert files.list_releases(settings) == ((), (os.path.basename(directory),))
    assert files.list_releases(settings) == ((), ())


def test_flip_there_and_back(settings):
    for time, name in enumerate(("old", "new", "other"), 1):
        make(settings, name, name, time)
    assert files.list_releases(settings) == (("other", "new", "old"), ())
    files.flip(settings, "old")
    assert files.linked_release(settings) == "old" and files.list_releases(settings) == (("old", "other", "new"), ())
    files.flip(settings, "new")
    assert files.linked_release(settings) == "new"
    files.flip(settings, None)
    assert files.linked_release(settings) is None and not os.path.lexists(settings.link)


def test_prune_takes_releases_and_leftovers(settings):
    for name in ("a", "b"):
        make(settings, name, name, 1)
    os.symlink("releases/a", os.path.join(settings.releases, ".staged-link"))
    files.prune(settings, ("b", ".staged-link", ".staged-used-since"))
    assert os.listdir(settings.releases) == ["a"]


def test_the_drop_in_comes_and_goes(settings):
    files.put_unit_file(settings, "text")
    assert files.read(settings.unit_file) == "text"
    files.put_unit_file(settings, None)
    files.put_unit_file(settings, None)
    assert files.read(settings.unit_file) is None


def test_a_full_disk_is_told_with_the_file_that_it_was_met_at(tmp_path):
    with pytest.raises(OSError, match="No space left on device: '/etc/haproxy/haproxy.cfg'"):
        with files.naming("/etc/haproxy/haproxy.cfg"), open("/dev/full", "w", encoding="utf-8") as file:
            file.write("x")
    # one that has a name keeps it
    with pytest.raises(OSError, match="No such file or directory: '/none'"):
        with files.naming("/etc/haproxy/haproxy.cfg"), open("/none", encoding="utf-8"):
            pass
