# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The digest of the inputs, on real files."""

from __future__ import annotations

import os

import pytest

from ansible_collections.clusterfront.ha.plugins.action import host_baseline


def same(name):
    return name


def test_names_are_matched_as_a_whole():
    names = ["haproxy_port", "my_haproxy_port", "nginx_port", "haproxy"]
    assert host_baseline.matching(names, ["haproxy_.*", "nginx_port"]) == ["haproxy_port", "nginx_port"]
    assert host_baseline.matching(names, ["haproxy_port"]) == ["haproxy_port"]
    assert host_baseline.matching(names, []) == []


def test_plain_values_say_what_they_hold():
    assert host_baseline.plain({1: [True, None, ("a", 2.5)]}) == {"1": ["True", "None", ["a", "2.5"]]}


def test_the_order_of_options_is_no_difference():
    assert host_baseline.digest({"a": "1", "b": "2"}, same) == host_baseline.digest({"b": "2", "a": "1"}, same)


@pytest.mark.parametrize("other", [{"a": "2"}, {"a": ["1"]}, {"b": "1"}, {"a": "1", "b": ""}])
def test_another_value_is_a_difference(other):
    assert host_baseline.digest({"a": "1"}, same) != host_baseline.digest(other, same)


def test_a_file_that_an_option_names_counts_by_its_content(tmp_path):
    file = tmp_path / "tasks.yml"
    inputs = {"install": [f"{file}"]}
    before = host_baseline.digest(inputs, same)
    file.write_text("one")
    one = host_baseline.digest(inputs, same)
    file.write_text("two")
    assert len({before, one, host_baseline.digest(inputs, same)}) == 3
    file.write_text("one")
    os.utime(file, (1, 1))
    assert host_baseline.digest(inputs, same) == one


def test_a_relative_name_is_looked_for_where_ansible_does(tmp_path):
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "tasks.yml").write_text("one")
    inputs = {"install": "below/tasks.yml"}
    assert host_baseline.digest(inputs, lambda name: str(tmp_path / name)) != host_baseline.digest(inputs, same)


def test_a_directory_counts_by_its_files(tmp_path):
    file = tmp_path / "below" / "patch.yaml"
    file.parent.mkdir()
    file.write_text("one")
    found = [host_baseline.stamp(tmp_path)]
    os.utime(file, (1, 1))
    found.append(host_baseline.stamp(tmp_path))
    (tmp_path / "other.yaml").write_text("")
    found.append(host_baseline.stamp(tmp_path))
    assert len(set(found)) == 3
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "a.pyc").write_text("")
    assert host_baseline.stamp(tmp_path) == found[-1]


def test_a_file_that_nobody_may_read_counts_as_one(tmp_path, monkeypatch):
    def refuse(self):
        raise PermissionError(self)

    (tmp_path / "key").write_text("one")
    monkeypatch.setattr(host_baseline.pathlib.Path, "read_bytes", refuse)
    assert host_baseline.content(str(tmp_path / "key")) == ""


def test_the_collection_is_an_input(monkeypatch, tmp_path):
    before = host_baseline.digest({}, same)
    monkeypatch.setattr(host_baseline, "COLLECTION", tmp_path)
    (tmp_path / "roles").mkdir()
    (tmp_path / "roles" / "main.yml").write_text("[]")
    assert host_baseline.digest({}, same) != before
