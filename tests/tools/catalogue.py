# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the collection has, found by looking: its modules with their argument specs, and the examples of every plugin.

Nothing is listed by hand, so that what is new is tested from its first day.
"""

from __future__ import annotations

import ast
import contextlib
import importlib
import pathlib
import re
import typing as t
from unittest import mock

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
PACKAGE = "ansible_collections.clusterfront.ha.plugins.modules"
PREFIX = "clusterfront.ha."
#: Of the cloud. Others change or look at the host that they run on.
MODULES = sorted(path.stem for path in ROOT.glob("plugins/modules/*.py"))
CLOUD_MODULES = [name for name in MODULES if name.startswith("slb_")]
#: Pages whose YAML users copy.
MARKDOWN = sorted(
    path for pattern in ("*.md", "docs/*.md", "roles/*/README.md", "examples/**/*.md") for path in ROOT.glob(pattern)
)

Task = t.Dict[str, t.Any]
Spec = t.Dict[str, t.Dict[str, t.Any]]


def strings(path: pathlib.Path) -> dict[str, t.Any]:
    """DOCUMENTATION and its likes of a plugin, as data: assigned in Python, or keys of the YAML file beside it."""
    if path.suffix == ".yml":
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    else:
        found = {
            node.targets[0].id: ast.literal_eval(node.value)
            for node in ast.parse(path.read_text(encoding="utf-8")).body
            if isinstance(node, ast.Assign)
            and isinstance(node.targets[0], ast.Name)
            and node.targets[0].id in ("DOCUMENTATION", "EXAMPLES", "RETURN")
        }
    return {key: yaml.safe_load(value) if isinstance(value, str) else value for key, value in found.items()}


def examples(path: pathlib.Path) -> list[Task]:
    """The tasks in the EXAMPLES of a plugin."""
    return strings(path).get("EXAMPLES") or []


def module_examples(name: str) -> list[Task]:
    return examples(ROOT / "plugins" / "modules" / f"{name}.py")


def module_options(name: str) -> list[dict[str, t.Any]]:
    """What the examples of a module say to that module itself; other modules may stand beside it there."""
    return [task[f"{PREFIX}{name}"] for task in module_examples(name) if not by_template(task, name)]


def by_template(task: Task, name: str) -> bool:
    """Whether a task calls another module, or this one with a whole document that only Ansible can fill in."""
    return not isinstance(task.get(f"{PREFIX}{name}"), dict)


def filter_files() -> list[pathlib.Path]:
    """Every file that documents a filter; several may be written in one file that documents none."""
    found = sorted(path for path in ROOT.glob("plugins/filter/*.*") if path.suffix in (".py", ".yml"))
    return [path for path in found if "DOCUMENTATION" in strings(path)]


def module_of(task: Task) -> str | None:
    """Which module of this collection a task calls."""
    return next((key.removeprefix(PREFIX) for key in task if key.startswith(PREFIX)), None)


def snippets(path: pathlib.Path) -> list[Task]:
    """The tasks in the YAML blocks of a page that call a module of this collection, also inside plays."""
    found: list[Task] = []
    for block in re.findall(r"^```ya?ml\n(.*?)^```", path.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
        for document in yaml.safe_load_all(block):
            found.extend(_tasks(document))
    return found


def _tasks(value: t.Any) -> t.Iterator[Task]:
    if isinstance(value, list):
        for entry in value:
            yield from _tasks(entry)
    elif isinstance(value, dict):
        if module_of(value) in MODULES:
            yield value
        for key in ("tasks", "pre_tasks", "post_tasks", "handlers", "block", "rescue", "always"):
            yield from _tasks(value.get(key))


class _Seen(Exception):
    """Carries what a module told AnsibleModule."""


def arguments(name: str) -> dict[str, t.Any]:
    """What a module tells AnsibleModule: argument_spec, required_one_of, and so on."""
    module = importlib.import_module(f"{PACKAGE}.{name}")

    def seen(**given: t.Any) -> t.NoReturn:
        raise _Seen(given)

    if not hasattr(module, "AnsibleModule"):
        # an action plugin of the same name does the work
        return {"argument_spec": strings(ROOT / "plugins" / "modules" / f"{name}.py")["DOCUMENTATION"]["options"]}
    with mock.patch.object(module, "AnsibleModule", seen), contextlib.suppress(SystemExit):
        try:
            module.main()
        except _Seen as caught:
            return t.cast("dict[str, t.Any]", caught.args[0])
    raise AssertionError(f"{name} makes no AnsibleModule")
