# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The flow of a release."""

from __future__ import annotations

import dataclasses
import os

import pytest

from ansible_collections.clusterfront.ha.plugins.module_utils._proxy import files, release
from ansible_collections.clusterfront.ha.plugins.module_utils._proxy.proxy import File, ReleaseError, Wanted

CONTENT = (
    "global\n    description clusterfront @release@\n    crt-base @directory@\nbackend a\n    server b 192.0.2.1:1\n"
)
WANTED = Wanted(CONTENT, (), None, 0, (), 3)
PEM = b"-----BEGIN CERTIFICATE-----\nx\n-----BEGIN RSA PRIVATE KEY-----\nx\n"


@pytest.fixture
def pem(tmp_path):
    path = tmp_path / "web.pem"
    path.write_bytes(PEM)
    return path


def with_file(path, *holds):
    return dataclasses.replace(WANTED, files=(File("web.pem", str(path), "'web' has tls.certificate", holds),))


def looked(settings, wanted=WANTED):
    new = release.prepare(settings, wanted)
    return (*release.look(settings, wanted, new), new)


def test_stage_and_flip(settings, pem):
    state, plan, new = looked(settings, with_file(pem))
    release.stage(settings, state, new)
    files.flip(settings, plan.release)
    text = files.read(settings.config)
    assert text == plan.text and f"crt-base {settings.releases}/{plan.release}\n" in text
    assert os.listdir(settings.releases) == [plan.release]
    assert files.read_bytes(os.path.join(settings.link, "web.pem")) == PEM


def test_the_binary_reads_the_files_where_they_are_staged(settings, pem):
    with open(settings.binary, "w", encoding="utf-8") as file:
        file.write("#!/bin/sh\ntest -s $(sed -n 's/.*crt-base //p' $3)/web.pem\n")
    state, plan, new = looked(settings, with_file(pem))
    release.stage(settings, state, new)
    assert files.read(os.path.join(settings.place(plan.release), settings.CONFIG)) == plan.text


def test_a_refused_release_leaves_nothing(settings):
    state, dummy, new = looked(settings)
    with open(settings.binary, "w", encoding="utf-8") as file:
        file.write("#!/bin/sh\necho '[ALERT]    (1) : config : parsing [x:4] : no'\nexit 1\n")
    with pytest.raises(ReleaseError, match="'backend a': no; nothing was changed"):
        release.stage(settings, state, new)
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
    state, predicted, dummy = release.release(settings, WANTED, True)
    assert predicted.steps == ["stage", "write_unit", "daemon_reload", "flip", "start"]
    assert state.text is None and os.listdir(settings.directory) == []


def test_a_new_certificate_is_a_new_release(settings, pem):
    first = release.prepare(settings, with_file(pem))
    assert first == release.prepare(settings, with_file(pem))
    pem.write_bytes(PEM + b"\n")
    assert first.name != release.prepare(settings, with_file(pem)).name


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "which holds no certificate in PEM form"),
        (b"-----BEGIN CERTIFICATE-----\n", "which holds no key in PEM form"),
        (PEM.replace(b"RSA PRIVATE", b"ENCRYPTED PRIVATE"), "whose key is protected by a password"),
    ],
)
def test_a_file_that_is_no_certificate_is_told(settings, pem, data, sentence):
    pem.write_bytes(data)
    with pytest.raises(ReleaseError, match=f"^'web' has tls.certificate {pem}, {sentence}.*; nothing was changed.$"):
        release.release(settings, with_file(pem, "certificate", "key"), False)
    assert os.listdir(settings.releases) == []


def test_a_file_that_is_missing_is_told(settings, tmp_path):
    wanted = with_file(tmp_path / "none.pem", "certificate")
    with pytest.raises(ReleaseError, match="none.pem, which is not there; nothing was changed"):
        release.release(settings, wanted, False)
    dummy, plan, new = release.release(settings, wanted, True)
    assert "stage" in plan.steps and len(new.missing) == 1


def test_a_file_that_cannot_be_read_is_told(settings, tmp_path):
    with pytest.raises(ReleaseError, match="which can't be read: Is a directory; nothing was changed"):
        release.release(settings, with_file(tmp_path), True)


def test_states_are_put_into_the_configuration_and_not_into_its_name(settings):
    plain = release.prepare(settings, WANTED)
    files.write(settings.server_state, '{"a/b": {"state": "drain"}}', 0o644)
    drained = release.prepare(settings, WANTED)
    assert drained.name == plain.name and drained.down == {"a/b"} and plain.down == set()
    assert "server b 192.0.2.1:1 weight 0 # haproxy_server: weight 0\n" in drained.text
    files.write(settings.server_state, "{", 0o644)
    with pytest.raises(ReleaseError, match="server-state.json holds no states of servers"):
        release.prepare(settings, WANTED)
