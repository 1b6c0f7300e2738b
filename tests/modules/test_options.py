# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every option of every module: predicted, done and once more, and what the emulated cloud has before and after.

options/<module>.yml has the tables. A row's `say` is what a user writes; `made`, `becomes` and `gone` are what of the
emulator's state changes by it, and nothing else may; `refused` is the sentence that keeps it from any change.
"""

from __future__ import annotations

import json
import pathlib
import typing as t

import as_predicted
import certificates
import jinja2
import pytest
import yaml
from example_cloud import World

TABLES = pathlib.Path(__file__).with_name("options")
Row = t.Dict[str, t.Any]

#: The machines that the tables name are those of the integration targets.
SURROUNDINGS = pathlib.Path(__file__).parents[1] / "integration/targets/setup_slb_emulator/defaults/main.yml"
INVENTORY = yaml.safe_load(SURROUNDINGS.read_text(encoding="utf-8"))["setup_slb_emulator_inventory"]


@pytest.mark.parametrize("module", sorted(path.stem for path in TABLES.glob("*.yml")))
def test_options_do_as_predicted_and_nothing_else(world: World, tmp_path: pathlib.Path, module: str) -> None:
    world.emulator.control("POST", "reset")
    world.emulator.control("PUT", "inventory", INVENTORY)
    sheet = yaml.safe_load((TABLES / f"{module}.yml").read_text(encoding="utf-8"))
    known = {"files": str(files(tmp_path)), "text_of": lambda name: (tmp_path / name).read_text()}
    for name, options in (step for given in sheet.get("given", ()) for step in given.items()):
        made = world.call(name, {**written(options, known), **world.connection})
        assert not made.get("failed"), made["msg"]
        known["id"] = next((made[kind]["id"] for kind in ("acl", "load_balancer") if kind in made), None)
    # a row stands on the rows before it: the first that is wrong is the one to look at
    wrong: dict[str, list[str]] = {}
    for table in sheet["tables"]:
        for row in table["rows"]:
            found = list(judged(world, table, written(row, known), written(table["always"], known)))
            wrong.update({str(row): found} if found else {})
    assert not wrong, "\n".join(f"{row}: {'; '.join(found)}" for row, found in wrong.items())


def files(directory: pathlib.Path) -> pathlib.Path:
    """The directory, with www.pem and www.key and alike for the others: each signed by itself, so each can be a CA too."""
    for name in ("www", "www-new", "api", "ca", "ca-new"):
        domain = f"{name}.example.com"
        (directory / f"{name}.key").write_text(certificates.private_key(domain))
        (directory / f"{name}.pem").write_text(certificates.authority(domain))
    return directory


def written(value: t.Any, known: t.Mapping[str, t.Any]) -> t.Any:
    """A value of a table, with the files and the id that its templates name."""
    if isinstance(value, dict):
        return {name: written(inner, known) for name, inner in value.items()}
    if isinstance(value, list):
        return [written(inner, known) for inner in value]
    if isinstance(value, str) and "{{" in value:
        return jinja2.Template(value, keep_trailing_newline=True, undefined=jinja2.StrictUndefined).render(known)
    return value


def judged(world: World, table: Row, row: Row, always: Row) -> t.Iterator[str]:
    """Run a row; a sentence for everything that is not as it says."""
    row = {"object": table.get("object", ""), **row}
    options = {**world.connection, **always, **row["say"]}
    before, runs = read(world), []
    for name in ("predicted", "done") if "refused" in row else ("predicted", "done", "again"):
        world.forget()
        result = world.call(table["module"], options, check_mode=name == "predicted")
        runs.append(as_predicted.Run(name, result, world.writes, read(world)))
    return as_predicted.refusal(row, before, runs) if "refused" in row else as_predicted.success(row, before, runs)


def read(world: World) -> as_predicted.Leaves:
    """Every value that the emulator knows of load balancers and what belongs to them, by its path."""
    return as_predicted.of_state(json.loads((world.emulator.directory / "state.json").read_text(encoding="utf-8")))
