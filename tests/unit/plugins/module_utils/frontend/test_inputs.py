# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Values that users write, wherever they write them: typed, or refused in a sentence under their own name."""

from __future__ import annotations

import pytest

from ansible_collections.clusterfront.ha.plugins.module_utils._frontend.inputs import Unknown, agreed, read

SPEC = {
    "web_name": {"type": "str", "default": "", "choices": ["", "a", "1.30", "6443"]},
    "web_port": {"type": "int", "default": 80},
    "web_share": {"type": "float", "default": 0.5},
    "web_on": {"type": "bool", "default": False},
    "web_allow": {"type": "list", "elements": "str", "default": []},
    "web_ports": {"type": "list", "elements": "int", "default": []},
    "web_options": {"type": "dict", "default": {}},
    "web_file": {"type": "path", "default": ""},
    "web_any": {"type": "raw"},
    "web_servers": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "name": {"type": "str", "required": True},
            "weight": {"type": "int", "default": 100},
            "address": {"type": "str"},
        },
    },
    "web_check": {"type": "dict", "options": {"interval": {"type": "int", "default": 2}}},
}


def value(name, given):
    found = read(SPEC, {name: given}, "web_")
    assert found.problems == [] and found.warnings == []
    return found.values[name]


@pytest.mark.parametrize(
    ("name", "given", "typed"),
    [
        ("web_port", "6443", 6443),
        ("web_port", 6443.0, 6443),
        ("web_share", "0.25", 0.25),
        ("web_on", "no", False),
        ("web_on", "Yes", True),
        ("web_on", 1, True),
        ("web_on", 0.0, False),
        ("web_on", True, True),
        ("web_name", 6443, "6443"),
        ("web_name", None, ""),
        ("web_allow", "192.0.2.0/24", ["192.0.2.0/24"]),
        ("web_allow", "192.0.2.1, 192.0.2.2", ["192.0.2.1", "192.0.2.2"]),
        ("web_allow", ("a",), ["a"]),
        ("web_ports", 80, [80]),
        ("web_ports", ["80", 81], [80, 81]),
        ("web_options", {"a": 1}, {"a": 1}),
        ("web_any", 1.5, 1.5),
        ("web_servers", [{"name": "one", "weight": "50"}], [{"name": "one", "weight": 50}]),
        ("web_check", {"interval": "3"}, {"interval": 3}),
        ("web_check", {}, {"interval": 2}),
    ],
)
def test_text_is_read_as_modules_read_it(name, given, typed):
    assert value(name, given) == typed
    assert type(value(name, given)) is type(typed)


def test_a_path_is_expanded(monkeypatch):
    monkeypatch.setenv("HOME", "/home/user")
    assert value("web_file", "~/key") == "/home/user/key"


@pytest.mark.parametrize(
    ("name", "given", "sentence"),
    [
        ("web_name", 1.3, "web_name is 1.3, but it has to be text: YAML reads 1.30 as the number 1.3, so write it in quotes."),
        ("web_name", False, "web_name is False, but it has to be text, so write it in quotes."),
        ("web_name", ["a"], "web_name is ['a'], but it has to be text."),
        ("web_name", "b", "web_name is 'b', but it has to be one of , a, 1.30, 6443."),
        ("web_port", "many", "web_port is 'many', but it has to be a whole number."),
        ("web_port", True, "web_port is True, but it has to be a whole number."),
        ("web_port", [1], "web_port is [1], but it has to be a whole number."),
        ("web_share", True, "web_share is True, but it has to be a number."),
        ("web_share", "half", "web_share is 'half', but it has to be a number."),
        ("web_on", "perhaps", "web_on is 'perhaps', but it has to be true or false."),
        ("web_on", [True], "web_on is [True], but it has to be true or false."),
        ("web_allow", {"a": 1}, "web_allow is {'a': 1}, but it has to be a list."),
        ("web_ports", ["x"], "web_ports is ['x'], but it has to be a whole number."),
        ("web_options", "a=1", "web_options is 'a=1', but it has to be a dictionary of names and values."),
        ("web_servers", [{"weigth": 1, "name": "a"}], "web_servers[0] has 'weigth', which it does not take; weight is meant, as it seems."),
        ("web_servers", [{"colour": 1, "name": "a"}], "web_servers[0] has 'colour', which it does not take; it takes address, name, weight."),
        ("web_servers", [{"weight": "x", "name": "a"}], "web_servers[0].weight is 'x', but it has to be a whole number."),
        ("web_servers", [{}], "web_servers[0] lacks 'name'."),
        ("web_check", {"interval": "x"}, "web_check.interval is 'x', but it has to be a whole number."),
        ("web_port", "x" * 200, f"web_port is '{'x' * 76}..., but it has to be a whole number."),
        ("web_prot", 1, "web_prot is no variable of this collection; web_port is meant, as it seems."),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_sentence_under_the_users_own_name(name, given, sentence):
    assert read(SPEC, {name: given}, "web_").problems == [sentence]


def test_other_names_with_the_prefix_warn_until_they_are_declared():
    given = {"web_worker_processes": 4, "other": 1}
    assert read(SPEC, given, "web_").warnings == [
        "web_worker_processes is no variable of this collection, so nothing reads it."
    ]
    assert read(SPEC, given, "web_", ["web_worker_processes"]).warnings == []


def test_unknown_stays_unknown_and_is_never_the_default():
    found = read(SPEC, {"web_port": Unknown("no facts")}, "web_")
    assert found.values["web_port"] == Unknown() and found.problems == []
    assert repr(found.values["web_port"]) == "Unknown('no facts')"
    assert len({Unknown("a"), Unknown("b")}) == 1


def test_all_problems_come_at_once():
    assert len(read(SPEC, {"web_port": "x", "web_on": "x", "web_nam": "x"}, "web_").problems) == 3


def test_one_value_for_the_whole_front_end():
    given = {
        "a": {"web_port": "80", "web_on": True, "other": 1},
        "b": {"web_port": 80, "web_on": "no"},
        "c": {"web_on": Unknown(), "web_name": Unknown("why")},
    }
    values, problems = agreed(SPEC, given)
    assert values["web_port"] == "80" and values["web_name"] == Unknown()
    assert problems == [
        "web_on is True on a and 'no' on b, but it is the front end's, so write it once for all of them, such as in group_vars/all."
    ]
