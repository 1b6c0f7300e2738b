# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The front ends of an inventory, whatever the limit of the run is.

The values of a front end are those that its machines and localhost have, wherever they are written. A machine belongs to the
front end whose name it has, so one inventory may hold several of them.
"""

from __future__ import annotations

import dataclasses
import typing as t

from . import kube_apiserver
from .inputs import Read, Spec, Unknown, agreed, read

CONTROLLER = "localhost"
#: The variable that says which names with a prefix of ours are somebody else's.
FOREIGN = "clusterfront_foreign_variables"
#: Facts that roles publish for others under their own prefix.
PUBLISHED = ("kubeadm_endpoint_node", "kubeadm_endpoint_preflight")


class Kind(t.Protocol):
    """A kind of front end; a module each."""

    #: The prefix of its variables.
    PREFIX: str
    #: The roles that it runs on machines, whose variables are read, too.
    RUNS: t.Tuple[str, ...]

    def machines_of(self, values: t.Mapping[str, t.Any], groups: t.Mapping[str, t.Sequence[str]]) -> t.List[str]:
        """Every machine of the front end, each once."""

    def build(
        self, values: t.Mapping[str, t.Any], groups: t.Mapping[str, t.Sequence[str]], addresses: t.Mapping[str, t.Any]
    ) -> kube_apiserver.FrontEnd:
        """The front end, of typed values and of the addresses that are known."""


#: A new kind is a module and a row.
KINDS: t.Dict[str, Kind] = {"kube_apiserver": t.cast(Kind, kube_apiserver)}


@dataclasses.dataclass(frozen=True)
class Inventory:
    """An inventory. variables have localhost, too, and may be lazy: only names that somebody asks for are looked at."""

    groups: t.Mapping[str, t.Sequence[str]]
    variables: t.Mapping[str, t.Any]
    #: Variables of the play and of the command line, which win over those of every machine.
    play: t.Mapping[str, t.Any]


@dataclasses.dataclass(frozen=True)
class Resolved:
    """The front ends, and what is wrong or strange, a sentence each. unknown are machines whose facts have to be gathered first."""

    front_ends: t.List[kube_apiserver.FrontEnd]
    problems: t.List[str]
    warnings: t.List[str]
    unknown: t.List[str]


def resolve(kind: str, specs: t.Mapping[str, Spec], inventory: Inventory) -> Resolved:
    """All front ends of a kind. specs are the argument specifications of its role, and of the roles that it runs on machines."""
    prefix = KINDS[kind].PREFIX
    named = names_of(prefix, inventory)
    front_ends: t.List[kube_apiserver.FrontEnd] = []
    problems: t.List[str] = []
    warnings: t.List[str] = []
    unknown: t.List[str] = []
    for name in dict.fromkeys(named.values()):
        one = _resolve_one(kind, specs, inventory, name, named)
        front_ends += one.front_ends
        problems += one.problems
        warnings += one.warnings
        unknown += one.unknown
    if not named:
        problems.append(
            f"{prefix}name is not given; it names the front end, with 1 to 40 letters, digits, '.', '_', '/' or '-'."
        )
    return Resolved(front_ends, _once(problems), _once(warnings), _once(unknown))


def names_of(prefix: str, inventory: Inventory) -> t.Dict[str, str]:
    """The name of the front end that each machine says it belongs to."""
    option = f"{prefix}name"
    if option in inventory.play:
        return {CONTROLLER: str(inventory.play[option])}
    given = {machine: variables[option] for machine, variables in inventory.variables.items() if option in variables}
    return {machine: str(name) for machine, name in given.items() if name and not isinstance(name, Unknown)}


def _resolve_one(
    kind: str, specs: t.Mapping[str, Spec], inventory: Inventory, name: str, named: t.Mapping[str, str]
) -> Resolved:
    """The front end of a name."""
    rules, prefix, spec = KINDS[kind], KINDS[kind].PREFIX, specs[kind]
    own = [machine for machine, its in named.items() if its == name]
    # the names of groups, and of machines that are gone, come first, for they say which machines there are
    members = _given(inventory, prefix, own, [option for option in spec if option.endswith(("_group", "_gone"))])
    machines = rules.machines_of(read(spec, agreed(spec, members)[0], prefix).values, inventory.groups)
    strangers = [machine for machine in machines if named.get(machine, name) != name]
    speakers = [machine for machine in machines if machine not in strangers]
    values, problems = agreed(spec, _given(inventory, prefix, [CONTROLLER] * (CONTROLLER in own) + speakers or own))
    typed: Read = read(spec, {**values, f"{prefix}name": name}, prefix, _foreign(inventory, [*own, *machines]))
    problems += typed.problems
    problems += [
        f"{machine} is in a group of the front end {name}, but its {prefix}name is {named[machine]}; a machine is in one of them."
        for machine in strangers
    ]
    because = {option: value.because for option, value in typed.values.items() if isinstance(value, Unknown)}
    addresses = {
        machine: inventory.variables[machine].get(typed.values[f"{prefix}address_variable"])
        for machine in machines
        if machine in inventory.variables
    }
    without = [machine for machine, address in addresses.items() if isinstance(address, Unknown)]
    if because or without:
        sentences = [
            f"{option} is not known yet: {why or 'it follows from what nobody has gathered'}."
            for option, why in because.items()
        ]
        sentences += [
            f"{machine} has an address in {typed.values[f'{prefix}address_variable']} that follows from facts nobody could gather."
            for machine in without
        ]
        return Resolved([], problems + sentences, typed.warnings, machines if because else without)
    if typed.problems:
        return Resolved([], problems, typed.warnings, [])
    front_end = rules.build(typed.values, inventory.groups, addresses)
    inner = _inputs_of_roles(front_end, specs, inventory)
    front_end = dataclasses.replace(front_end, on_machines=inner.values)
    return Resolved([front_end], problems + front_end.problems() + inner.problems, typed.warnings + inner.warnings, [])


def _inputs_of_roles(front_end: kube_apiserver.FrontEnd, specs: t.Mapping[str, Spec], inventory: Inventory) -> Read:
    """The variables of the roles that machines run, by machine, for they may differ between machines."""
    values: t.Dict[str, t.Any] = {}
    problems: t.List[str] = []
    warnings: t.List[str] = []
    for machine in front_end.machines:
        for role in front_end.roles_on(machine.name):
            given: t.Dict[str, t.Any] = {}
            for variables in _given(inventory, f"{role}_", [machine.name]).values():
                given.update(variables)
            found = read(specs[role], given, f"{role}_", _foreign(inventory, [machine.name]))
            values.setdefault(machine.name, {}).update(found.values)
            problems += found.problems
            warnings += found.warnings
    return Read(values, problems, warnings)


def _foreign(inventory: Inventory, machines: t.Iterable[str]) -> t.Set[str]:
    """The names with a prefix of ours that the user declares to be somebody else's."""
    found: t.Set[str] = set(PUBLISHED)
    for variables in (inventory.play, *(inventory.variables.get(machine, {}) for machine in machines)):
        declared = variables.get(FOREIGN, [])
        found |= set(declared) if isinstance(declared, (list, tuple)) else {str(declared)}
    return found


def _once(sentences: t.Iterable[str]) -> t.List[str]:
    return list(dict.fromkeys(sentences))


def _given(
    inventory: Inventory, prefix: str, machines: t.Iterable[str], options: t.Optional[t.Sequence[str]] = None
) -> t.Dict[str, t.Dict[str, t.Any]]:
    """The variables of a kind that machines have, those of the play before them all."""
    found = {}
    for machine in machines:
        variables = inventory.variables.get(machine, {})
        wanted = options if options is not None else [name for name in variables if name.startswith(prefix)]
        found[machine] = {name: variables[name] for name in wanted if name in variables and name not in inventory.play}
    play = {name: value for name, value in inventory.play.items() if name.startswith(prefix)}
    return {"the play": play, **found}
