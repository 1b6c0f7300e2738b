# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pathlib
import typing as t
import uuid

from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.module_utils.common.yaml import yaml_load
from ansible.plugins.action import ActionBase
from jinja2.exceptions import UndefinedError
from jinja2.runtime import Undefined

from ansible_collections.clusterfront.ha.plugins.module_utils._frontend import facts
from ansible_collections.clusterfront.ha.plugins.module_utils._frontend.inputs import Spec, Unknown
from ansible_collections.clusterfront.ha.plugins.module_utils._frontend.resolve import (
    CONTROLLER,
    FOREIGN,
    KINDS,
    Inventory,
    resolve,
)

ROLES = pathlib.Path(__file__).resolve().parents[2] / "roles"


class ActionModule(ActionBase):  # type: ignore[misc]
    """Resolves the front ends of the inventory on the controller, for all machines at once, whatever the limit is."""

    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Fails with all that is wrong at once."""
        super().run(tmp, task_vars)
        variables = task_vars or {}
        dummy, options = self.validate_argument_spec(
            argument_spec={
                "kind": {"type": "str", "required": True, "choices": sorted(KINDS)},
                "gathered": {"type": "bool", "default": False},
                "compared": {"type": "list", "elements": "dict"},
                "kept_out": {"type": "list", "elements": "dict", "default": []},
                "elsewhere": {"type": "list", "elements": "dict", "default": []},
            }
        )
        kind = options["kind"]
        runs = KINDS[kind].RUNS
        inventory = self._inventory(variables, (KINDS[kind].PREFIX, *(f"{role}_" for role in runs)))
        resolved = resolve(kind, {role: spec_of(role) for role in (kind, *runs)}, inventory)
        if resolved.unknown and not options["gathered"]:
            return {"changed": False, "front_ends": facts.unresolved(resolved.unknown)}
        if resolved.problems:
            raise AnsibleActionFail(" ".join(resolved.problems))
        machines = {
            machine.name: inventory.variables[machine.name].raw
            for front_end in resolved.front_ends
            for machine in front_end.machines
        }
        run = facts.Found(
            token=str(uuid.uuid4()),
            machines=frozenset(variables.get("ansible_play_hosts_all", ())),
            answering=frozenset(variables.get("ansible_play_hosts", ())),
            check_mode=bool(self._task.check_mode),
            told={name: plain(its) for name, its in told(machines, options["elsewhere"]).items()},
            looked={name: bool((raw.get("__front_end_looked") or {}).get("same")) for name, raw in machines.items()},
            compared=[plain(one) for one in options["compared"]] if options["compared"] is not None else None,
            kept_out=[plain(one) for one in options["kept_out"]],
        )
        refused = facts.refusals(resolved, run)
        if refused:
            raise AnsibleActionFail(" ".join(refused))
        result = {"changed": False, "front_ends": facts.of(resolved, run)}
        # once for a run: when it begins
        return {**result, "warnings": resolved.warnings} if options["compared"] is None else result

    def _inventory(self, variables: dict[str, t.Any], prefixes: t.Sequence[str]) -> Inventory:
        """The inventory as pure code sees it; a machine's variables are looked at where somebody asks for them."""
        hostvars = variables["hostvars"]
        # localhost has variables also where the inventory does not name it
        machines = dict.fromkeys([*hostvars, CONTROLLER])
        of_machines = {name: Variables(hostvars.raw_get(name), hostvars, self._templar) for name in machines}
        here = hostvars.raw_get(variables["inventory_hostname"])
        role = self._task._role
        defaults = role.get_default_vars() if role else {}
        play = {
            name: known(self._templar, value)
            for name, value in variables.items()
            if name.startswith((*prefixes, FOREIGN)) and here.get(name, defaults.get(name)) != value
        }
        return Inventory(variables["groups"], of_machines, play)


class Variables(t.Mapping[str, t.Any]):
    """The variables of a machine, each templated when it is asked for; what cannot be known is unknown."""

    def __init__(self, raw: t.Mapping[str, t.Any], hostvars: t.Any, templar: t.Any) -> None:
        #: The variables as they are written.
        self.raw = raw
        self._hostvars = hostvars
        self._base = templar
        self._templar: t.Any = None

    def __getitem__(self, name: str) -> t.Any:
        value = self.raw[name]
        if isinstance(value, (bool, int, float)) or (isinstance(value, str) and "{" not in value):
            return plain(value)
        if self._templar is None:
            self._templar = self._base.copy_with_new_env(available_variables={**self.raw, "hostvars": self._hostvars})
        return known(self._templar, value)

    def __iter__(self) -> t.Iterator[str]:
        return iter(self.raw)

    def __len__(self) -> int:
        return len(self.raw)


def known(templar: t.Any, value: t.Any) -> t.Any:
    """A value without what Ansible adds to it, or unknown with the reason."""
    try:
        found = plain(templar.template(value))
        # ansible-core 2.18 leaves what another machine's value lacks as it is written
        return Unknown(f"it follows from {found}") if isinstance(found, str) and "{{" in found else found
    except (AnsibleError, UndefinedError) as error:
        return Unknown(str(getattr(error, "message", error)).splitlines()[0].rstrip("."))


def plain(value: t.Any) -> t.Any:
    """A value without what Ansible adds to it."""
    if isinstance(value, Undefined):
        raise UndefinedError(str(value._undefined_message))
    if isinstance(value, t.Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return kind(value)
    return None if value is None else str(value)


def spec_of(role: str) -> Spec:
    """The options of a role's main entry point."""
    text = (ROLES / role / "meta/argument_specs.yml").read_text(encoding="utf-8")
    return t.cast(Spec, yaml_load(text)["argument_specs"]["main"]["options"])


def told(
    machines: t.Mapping[str, t.Mapping[str, t.Any]], elsewhere: t.Sequence[t.Mapping[str, t.Any]]
) -> dict[str, t.Any]:
    """The answers of machines about their cluster, in this run or when the limit leaves them out."""
    found = {name: raw["kubeadm_endpoint_node"] for name, raw in machines.items() if "kubeadm_endpoint_node" in raw}
    found.update({one["item"]["name"]: one for one in elsewhere if "role" in one})
    return found
