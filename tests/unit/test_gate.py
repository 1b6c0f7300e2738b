# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The gate: how its command is read, its table of stages, and the page that names them."""

from __future__ import annotations

import importlib.util
import pathlib
import re
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def gate():
    spec = importlib.util.spec_from_file_location("gate", ROOT / "tests/run.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_words_behind_two_dashes_are_kept(gate):
    options = gate.parsed(["molecule", "-s", "haproxy", "--", "-k", "silent or pair", "--", "-x"])
    assert (options.stages, options.scenario, options.all) == (["molecule"], ["haproxy"], False)
    assert options.further == ["-k", "silent or pair", "--", "-x"]
    assert gate.parsed(["--all"]).further == []


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["units"], "there is no stage units; there are lint, "),
        (["unit", "engine", "--", "-k", "acl"], "words behind -- go to one program, so name one stage"),
        (["--", "-k", "acl"], "words behind -- go to one program, so name one stage"),
        (["engine", "-s", "haproxy"], "-s chooses a scenario of the stage molecule, so name that stage"),
    ],
)
def test_a_wrong_command_gets_one_sentence(gate, capsys, words, sentence):
    with pytest.raises(SystemExit) as ended:
        gate.parsed(words)
    assert ended.value.code == 2
    assert sentence in capsys.readouterr().err.splitlines()[-1]


def test_the_table_has_the_time_of_all_and_what_no_stage_has_as_its_own(gate):
    stages = [gate.Stage(name, pathlib.Path("log"), ROOT) for name in ("unit", "molecule")]
    for stage, wall, cpu in zip(stages, (60.0, 100.0), (110.0, 40.0)):
        stage.wall, stage.cpu, stage.count = wall, cpu, gate.Count(passed=2)
    rows = [line.strip().split(maxsplit=3) for line in gate.table(stages, 160.0, 200.0).splitlines()]
    assert rows[0][:2] == ["stage", "wall"]
    assert rows[1] == ["unit", "60", "110", "2 passed, 0 failed, 0 skipped"]
    assert rows[3][:2] == ["hosts,", "builds"] and rows[3][3] == "50"
    assert rows[4][:3] == ["all", "160", "200"]


def test_a_stage_counts_the_time_of_what_its_commands_start(gate, tmp_path):
    stage = gate.Stage("burn", tmp_path / "log", tmp_path)
    burn = "import time; end = time.process_time() + 0.3\nwhile time.process_time() < end: pass"
    assert stage.check(
        sys.executable, "-c", f"import subprocess, sys; subprocess.run([sys.executable, '-c', {burn!r}])"
    )
    assert 0.3 <= stage.cpu < 5
    assert not stage.check(sys.executable, "-c", "raise SystemExit(3)")
    assert str(stage.count) == "1 passed, 1 failed, 0 skipped"


def test_contributors_read_of_every_stage_and_its_budget(gate):
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| .* \| (\d+) s \|$", page, re.MULTILINE)
    assert [name for name, dummy in rows] == list(gate.STAGES)


def test_every_core_has_a_python_and_the_ends_are_among_them(gate):
    assert {gate.OLDEST, gate.NEWEST} <= set(gate.CORES)
    assert all(gate.CORES.values())
