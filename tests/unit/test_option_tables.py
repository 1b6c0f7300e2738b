# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The tables of options that tests/modules tries: no option of a module is forgotten, and what compares can fail."""

from __future__ import annotations

import ast
import copy
import pathlib
import re
import typing as t

import as_predicted
import pytest
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
TABLES = ROOT / "tests/modules/options"
WRITING = sorted(
    path.stem
    for path in ROOT.glob("plugins/modules/slb_*.py")
    if re.search(r"\brun\(\s*module", path.read_text(encoding="utf-8"))
)
OUTCOMES = {"made", "becomes", "gone", "refused"}
#: Options of a document that have the table of their own module.
PARTS = frozenset(
    {
        "load_balancer",
        "server_groups",
        "failover_groups",
        "listeners",
        "access_lists",
        "certificates",
        "ca_certificates",
        "tls_policies",
    }
)
#: Parts of a listener, which have the tables of slb_rule and slb_domain_extension.
OF_LISTENERS = {"slb_listener": {"rules", "domain_extensions"}}
#: The ways to name a server of the default pool are those of slb_backend.
NAMED_BY = {"server_id", "server_name", "server_tags", "private_ip", "eni_id"}


def documented(module: str) -> dict[str, t.Any]:
    """The options of a module, without those of every connection."""
    for node in ast.parse((ROOT / f"plugins/modules/{module}.py").read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "DOCUMENTATION":
            return dict(yaml.safe_load(ast.literal_eval(node.value))["options"])
    raise AssertionError(f"{module} has no DOCUMENTATION")


def names(options: dict[str, t.Any], prefix: str = "", parts: t.Container[str] = PARTS) -> t.Iterator[str]:
    """Every option that has a value of its own, with those inside of others."""
    for name, option in options.items():
        path = f"{prefix}{name}"
        if option.get("suboptions") and path not in parts:
            yield from names(option["suboptions"], f"{path}[]." if option["type"] == "list" else f"{path}.", parts)
        elif not (prefix == "default_pool.backends[]." and name in NAMED_BY):
            yield path


def tables(module: str) -> list[dict[str, t.Any]]:
    return list(yaml.safe_load((TABLES / f"{module}.yml").read_text(encoding="utf-8"))["tables"])


def rows(module: str) -> list[dict[str, t.Any]]:
    """The rows of all tables, each with what its table says always."""
    return [{**row, "say": {**table["always"], **row["say"]}} for table in tables(module) for row in table["rows"]]


def is_said(option: str, said: t.Any) -> bool:
    """Whether a row says an option, in one of the entries of a list at least."""
    name, dot, rest = option.partition(".")
    if name.removesuffix("[]") not in said:
        return False
    value = said[name.removesuffix("[]")]
    return not dot or any(is_said(rest, entry) for entry in (value if name.endswith("[]") else [value]))


def test_all_modules_that_write_are_known():
    assert {"slb_frontend", "slb_instance", "slb_listener", "slb_server_group", "slb_backend"} <= set(WRITING)
    assert not [module for module in WRITING if module.endswith("_info")]


@pytest.mark.parametrize("module", WRITING)
def test_every_option_of_a_module_has_a_row(module):
    tried = {row["option"] for row in rows(module) if "option" in row}
    found = set(names(documented(module), parts=PARTS | OF_LISTENERS.get(module, set())))
    assert found - tried == set()
    # the name of a part says that it is there; what is inside has its own rows
    assert tried - found <= set(documented(module))


@pytest.mark.parametrize("module", WRITING)
def test_every_row_says_its_option_and_what_comes_of_it(module):
    for row in rows(module):
        assert len(OUTCOMES & set(row)) == 1, row
        assert set(row) <= {*OUTCOMES, "option", "say", "object", "warned"}, row
        assert "option" not in row or is_said(row["option"], row["say"]), row
    assert all(table["module"] == module for table in tables(module))


ROW = {"object": "things.*", "becomes": {"size": 2}}
BEFORE = {"things.t-1.size": 1, "things.t-1.name": "one"}
AFTER = {**BEFORE, "things.t-1.size": 2}
NEW = {"things.t-2.size": 2, "things.t-2.name": "two"}


def three(**changes):
    """Three runs that are right, but for one word of one of them ("done.writes") or what it has to say ("done.result.diff")."""
    good = {"before": {"size": 1}, "after": {"size": 2}}
    steps = [{"operation": "SetSize"}]
    results = {
        "predicted": {"changed": True, "steps": steps, "kept": [], "diff": good, "api_calls": {"writes": 0}},
        "done": {"changed": True, "steps": steps, "kept": [], "diff": good, "api_calls": {"writes": 1}},
        "again": {
            "changed": False,
            "steps": [],
            "kept": [],
            "diff": {"before": 2, "after": 2},
            "api_calls": {"writes": 0},
        },
    }
    runs = {
        "predicted": as_predicted.Run("predicted", results["predicted"], 0, BEFORE),
        "done": as_predicted.Run("done", results["done"], 1, AFTER),
        "again": as_predicted.Run("again", results["again"], 0, AFTER),
    }
    for path, value in changes.items():
        name, word, *inner = path.split("__")
        if inner:
            value = {**copy.deepcopy(getattr(runs[name], word)), inner[0]: value}
        runs[name] = runs[name]._replace(**{word: value})
    return list(runs.values())


WRONG = {
    "more changed": {
        "done__cloud": {**AFTER, "things.t-1.name": "two"},
        "again__cloud": {**AFTER, "things.t-1.name": "two"},
    },
    "nothing changed": {"done__cloud": BEFORE, "again__cloud": BEFORE},
    "another one came": {"done__cloud": {**AFTER, **NEW}, "again__cloud": {**AFTER, **NEW}},
    "check mode wrote": {"predicted__writes": 1},
    "check mode changed": {"predicted__cloud": AFTER},
    "check mode saw no change": {"predicted__result__changed": False},
    "other steps": {"predicted__result__steps": [{"operation": "SetAll"}]},
    "another diff": {"predicted__result__diff": {"before": {"size": 1}, "after": {"size": 3}}},
    "something is kept": {"done__result__kept": ["a thing stays"]},
    "an empty diff": {"again__result__diff": {"before": 1, "after": 2}},
    "a second change": {"again__result__changed": True},
    "a second write": {"again__writes": 1},
    "a call that is not told": {"done__writes": 2},
    "a warning": {"done__result__warnings": ["be careful"]},
    "a failure": {"again__result__failed": True},
}


@pytest.mark.parametrize("changes", WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_seen(changes):
    assert list(as_predicted.success(ROW, BEFORE, three())) == []
    assert list(as_predicted.success(ROW, BEFORE, three(**changes)))


@pytest.mark.parametrize(
    ("row", "before", "after", "right"),
    [
        ({"made": {"size": 2}}, BEFORE, {**BEFORE, **NEW}, True),
        ({"made": {"size": 3}}, BEFORE, {**BEFORE, **NEW}, False),
        ({"made": {"size": 2}}, BEFORE, {**AFTER, **NEW}, False),
        ({"made": {"size": 2}}, BEFORE, AFTER, False),
        ({"gone": True}, {**BEFORE, **NEW}, BEFORE, True),
        ({"gone": True}, {**BEFORE, **NEW}, AFTER, False),
        ({"gone": True}, BEFORE, BEFORE, False),
        ({"becomes": {"size": "*"}}, BEFORE, AFTER, True),
        ({"becomes": {"size": None}}, BEFORE, AFTER, False),
        ({"becomes": {"size": None}}, BEFORE, {"things.t-1.name": "one"}, True),
        ({"becomes": {"size": "*"}}, BEFORE, {"things.t-1.name": "one"}, False),
        ({"becomes": {}}, BEFORE, AFTER, False),
        ({"becomes": {"things.*": "*"}, "object": ""}, BEFORE, {**BEFORE, **NEW}, True),
    ],
)
def test_what_changed_is_what_the_row_says(row, before, after, right):
    assert (list(as_predicted.difference({"object": "things.*", **row}, before, after)) == []) == right


def test_a_refusal_is_a_sentence_before_any_write():
    row = {"object": "things.*", "refused": "size is 1 and cannot"}
    good = as_predicted.Run("done", {"failed": True, "msg": "size is 1 and cannot become 2."}, 0, BEFORE)
    assert list(as_predicted.refusal(row, BEFORE, [good])) == []
    for wrong in (
        good._replace(result={"msg": "size is 1 and cannot become 2."}),
        good._replace(result={"failed": True, "msg": "no"}),
        good._replace(writes=1),
        good._replace(cloud=AFTER),
    ):
        assert list(as_predicted.refusal(row, BEFORE, [wrong]))
