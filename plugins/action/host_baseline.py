# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import hashlib
import json
import os
import pathlib
import re
import typing as t

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase

#: The collection, which is an input too: another version of it can want something else of the same variables.
COLLECTION = pathlib.Path(__file__).resolve().parents[2]
#: Where it keeps what a run follows from.
PARTS = ("playbooks", "plugins", "roles")


class ActionModule(ActionBase):  # type: ignore[misc]
    """Digests the inputs where Ansible runs, for only the digest is for the host."""

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Put the digest in the place of the inputs, and have the module look."""
        super().run(tmp, task_vars)
        variables = task_vars or {}
        options = dict(self._task.args)
        chosen = matching(variables, options.get("variables") or [])
        inputs = {name: self._value(variables[name]) for name in chosen}
        inputs[""] = plain(options.get("inputs"))
        options.update(variables=chosen, inputs=digest(inputs, self._local))
        result: dict[str, t.Any] = self._execute_module(
            module_name="clusterfront.ha.host_baseline", module_args=options, task_vars=task_vars
        )
        return result

    def _value(self, raw: t.Any) -> t.Any:
        try:
            return plain(self._templar.template(raw))
        except AnsibleError:
            # it follows from facts that nobody has gathered, or from what the run finds out
            return plain(raw)

    def _local(self, name: str) -> str:
        """A file's name as somebody who wrote it into a variable means it."""
        return str(self._loader.path_dwim(name))


def matching(names: t.Iterable[str], patterns: t.Sequence[str]) -> list[str]:
    """The names that a pattern matches as a whole."""
    return sorted(name for name in names if any(re.fullmatch(pattern, name) for pattern in patterns))


def plain(value: t.Any) -> t.Any:
    """A value without what Ansible adds to it."""
    if isinstance(value, t.Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    return str(value)


def strings(value: t.Any) -> t.Iterator[str]:
    """All strings of a plain value."""
    if isinstance(value, dict):
        for entry in value.values():
            yield from strings(entry)
    elif isinstance(value, list):
        for entry in value:
            yield from strings(entry)
    else:
        yield value


def digest(inputs: t.Mapping[str, t.Any], local: t.Callable[[str], str]) -> str:
    """One for the inputs, the files here that they name, and the collection."""
    named = {local(text) for text in strings(inputs) if text and "\n" not in text and len(text) < 4096}
    parts = {
        "inputs": inputs,
        "files": {path: content(path) for path in named if os.path.isfile(path)},
        "collection": {part: stamp(COLLECTION / part) for part in PARTS},
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def content(path: str) -> str:
    """The digest of a file; nothing for one that nobody may read."""
    try:
        return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()
    except OSError:
        return ""


def stamp(path: pathlib.Path) -> str:
    """One for a directory, by the sizes and times of its files."""
    found = hashlib.sha256()
    for directory, names, files in os.walk(path):
        names[:] = sorted(name for name in names if name != "__pycache__")
        for name in sorted(files):
            status = os.stat(os.path.join(directory, name), follow_symlinks=False)
            found.update(f"{directory}/{name} {status.st_size} {status.st_mtime_ns}\n".encode())
    return found.hexdigest()
