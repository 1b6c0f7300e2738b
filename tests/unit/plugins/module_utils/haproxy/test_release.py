# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The flow of a release."""

from __future__ import annotations

import dataclasses
import os

import pytest

from ansible_collections.clusterfront.ha.plugins.module_utils._haproxy import files, release
from ansible_collections.clusterfront.ha.plugins.module_utils._haproxy.host import ReleaseError

CONTENT = "global\n    description clusterfront @release@\nlisten a\n    bind :9999\n    bnid :9998\n"
WANTED = release.Wanted(CONTENT, (), None, 0, (), 3)


def test_stage_and_flip(settings):
    dummy, plan = release.look(settings, WANTED, "new", "text")
    release.stage(settings, plan)
    files.flip(settings, "new")
    assert files.read(settings.config) == "text"
    assert os.listdir(settings.releases) == ["new"]


def test_a_refused_release_leaves_nothing(settings):
    dummy, plan = release.look(settings, WANTED, "new", "text")
    with open(settings.binary, "w", encoding="utf-8") as file:
        file.write("#!/bin/sh\necho '[ALERT]    (1) : config : parsing [x:1] : no'\nexit 1\n")
    with pytest.raises(ReleaseError, match="'text': no; nothing was changed"):
        release.stage(settings, plan)
    assert os.listdir(settings.releases) == []


def test_content_without_the_mark_is_refused(settings):
    with pytest.raises(ReleaseError, match="lacks the mark @release@"):
        release.release(settings, dataclasses.replace(WANTED, content="global\n"), True)


def test_a_foreign_current_is_refused(settings):
    os.mkdir(settings.link)
    with pytest.raises(ReleaseError, match="has to be a link"):
        release.release(settings, WANTED, True)


def test_check_mode_writes_nothing(settings):
    os.rmdir(settings.releases)
    state, predicted = release.release(settings, WANTED, True)
    assert predicted.steps == ["stage", "write_drop_in", "daemon_reload", "flip", "start"]
    assert state.text is None and os.listdir(settings.directory) == []
