# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a host's baseline sees, on real files."""

from __future__ import annotations

import os
import subprocess

import pytest

from ansible_collections.clusterfront.ha.plugins.module_utils import _baseline as baseline


@pytest.fixture
def tree(tmp_path):
    directory = tmp_path / "etc"
    (directory / "releases" / "1").mkdir(parents=True)
    (directory / "releases" / "1" / "haproxy.cfg").write_text("global\n")
    (directory / "current").symlink_to("releases/1")
    (directory / "program").write_bytes(b"x" * (baseline.READ + 1))
    return directory


def changes(tree, change):
    covers = baseline.Covers(files=[str(tree), f"{tree}-*"])
    before = baseline.seen("inputs", covers)
    change()
    found = baseline.differences(before, baseline.seen("inputs", covers))
    return [path.removeprefix(str(tree)) for path in found]


def test_nothing_is_different_where_nothing_was_done(tree):
    assert changes(tree, lambda: None) == []


def test_a_file_that_is_written_again_is_the_same(tree):
    assert changes(tree, lambda: (tree / "releases/1/haproxy.cfg").write_text("global\n")) == []


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda tree: (tree / "releases/1/haproxy.cfg").write_text("defaults\n"), ["/releases/1/haproxy.cfg"]),
        (lambda tree: (tree / "releases/1/haproxy.cfg").chmod(0o600), ["/releases/1/haproxy.cfg"]),
        (lambda tree: (tree / "releases/1/haproxy.cfg").unlink(), ["/releases/1/haproxy.cfg"]),
        (lambda tree: (tree / "releases/1/errors").mkdir(), ["/releases/1/errors"]),
        (lambda tree: os.utime(tree / "program", (1, 1)), ["/program"]),
        (lambda tree: tree.with_name("etc-more").write_text(""), ["-more"]),
    ],
)
def test_what_was_done_to_a_file_is_named(tree, change, found):
    assert changes(tree, lambda: change(tree)) == found


def test_a_link_that_leads_elsewhere_is_named(tree):
    def turn():
        (tree / "current").unlink()
        (tree / "current").symlink_to("releases/2")

    assert changes(tree, turn) == ["/current"]


def test_a_link_is_not_followed(tree):
    assert str(tree / "current/haproxy.cfg") not in baseline.files([str(tree)])
    assert list(baseline.files([str(tree / "current")])) == [str(tree / "current")]


def test_a_file_that_goes_meanwhile_is_gone():
    assert baseline._mark("/nowhere") == "gone"


def test_inputs_and_boot_are_told_by_name():
    was = baseline.seen("one", baseline.Covers())
    assert baseline.differences(was, {**was, "inputs": "two", "boot": "another"}) == ["the inputs", "the boot"]


UNIT = """Id=haproxy.service
LoadState=loaded
ActiveState={state}

Id=kubelet.service
LoadState=not-found
ActiveState=inactive
"""


def test_units_are_told_by_their_own_names(monkeypatch):
    asked = []

    def run(command, **options):
        asked.append(command)
        return subprocess.CompletedProcess(command, 0, UNIT.format(state="active"), "")

    monkeypatch.setattr(baseline.subprocess, "run", run)
    found = baseline.units(["haproxy.service", "kubelet.service"])
    assert found == {
        "haproxy.service": {"LoadState": "loaded", "ActiveState": "active"},
        "kubelet.service": {"LoadState": "not-found", "ActiveState": "inactive"},
    }
    assert asked[0][-2:] == ["haproxy.service", "kubelet.service"]
    assert baseline.units([]) == {} and len(asked) == 1


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ("net.ipv4.conf.all.rp_filter = 0", "net/ipv4/conf/all/rp_filter"),
        ("net.ipv4.conf.eth0/100.rp_filter=0", "net/ipv4/conf/eth0.100/rp_filter"),
        ("net/ipv4/conf/eth0.100/rp_filter = 0", "net/ipv4/conf/eth0.100/rp_filter"),
        ("-kernel.panic=10", "kernel/panic"),
    ],
)
def test_settings_are_named_as_the_kernel_does(line, key):
    assert baseline.keys(f"# comment = 1\n; another = 2\n\n{line}\n") == [key]


def test_settings_have_the_values_of_the_kernel(tmp_path):
    file = tmp_path / "60-one.conf"
    file.write_text("kernel.ostype = Other\nkernel.no_such_setting = 1\n")
    assert baseline.settings([str(tmp_path / "*.conf")]) == {"kernel/ostype": "Linux", "kernel/no_such_setting": "gone"}


def test_a_baseline_is_read_as_it_was_written(tmp_path):
    covers = baseline.Covers(files=[str(tmp_path / "etc")], units=[], sysctl_files=["/nowhere/*"])
    file = tmp_path / "prod.json"
    file.write_text(baseline.made(baseline.seen("one", covers), covers))
    found = baseline.load(file)
    assert baseline.covered(found) == covers
    assert baseline.differences(found["seen"], baseline.seen("one", covers)) == []


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"covers": {}}'])
def test_what_is_no_baseline_is_none(tmp_path, text):
    (tmp_path / "prod.json").write_text(text)
    assert baseline.load(tmp_path / "prod.json") is None
    assert baseline.load(tmp_path / "nowhere.json") is None


def test_a_name_is_one_file():
    assert baseline.path_of("prod/api") == baseline.DIRECTORY / "prod_api.json"
