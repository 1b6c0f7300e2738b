# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Containers of several hosts that somebody else looked up, registered once: what the controller does."""

from __future__ import annotations

import collections
import dataclasses
import typing as t
import uuid

from .._slb.client import Client
from .._slb.errors import DocumentError
from . import config, status
from .containers import Container, Port
from .service import Change, Registrar, Rules

Options = t.Mapping[str, t.Any]


@dataclasses.dataclass(frozen=True)
class Told:
    """Containers that are known already, in the place of an engine."""

    found: tuple[Container, ...]
    name: str = "told"

    def containers(self) -> list[Container]:
        return list(self.found)


def container(where: str, told: Options) -> Container:
    """A container from the options of a module. Raises DocumentError."""
    ports = {
        kind: tuple(_port(f"{where}.{kind}", port) for port in told.get(kind) or ()) for kind in ("ports", "hidden")
    }
    return Container(
        told.get("engine") or "",
        id=told.get("id") or told["name"],
        name=told["name"],
        labels={str(name): "" if value is None else str(value) for name, value in told["labels"].items()},
        running=told.get("running") is not False,
        health=told.get("health") or None,
        host_network=bool(told.get("host_network")),
        started=told.get("started") or "",
        **ports,
    )


def _port(where: str, told: Options) -> Port:
    if not 1 <= told["number"] <= 65535:
        raise DocumentError(f"{where} has the number {told['number']}; 1 to 65535 are possible")
    return Port(told["number"], told.get("protocol") or "tcp")


def rules(host: Options, options: Options) -> Rules:
    """The rules of one host. Raises DocumentError."""
    given = {name: options[name] for name in ("vpc_id", "weight", "drain_time") if options.get(name) is not None}
    made = Rules(owner=host["owner"], server={name: str(value) for name, value in host["server"].items()}, **given)
    try:
        config.check(made)
    except DocumentError as error:
        common = str(error).startswith(("weight", "drain_time"))
        raise DocumentError(str(error) if common else f"hosts[{host['owner']}].{error}") from error
    return made


def register(client: Client, options: Options, *, check_mode: bool) -> dict[str, t.Any]:
    """Compare once, wait until what has to go has drained, and say what was done; the result of a module."""
    owners = collections.Counter(host["owner"] for host in options["hosts"])
    double = sorted(owner for owner, count in owners.items() if count > 1)
    if double:
        raise DocumentError(f"hosts has the owner '{double[0]}' more than once; every host has a mark of its own")
    changes: list[tuple[str, Change]] = []
    registrars = [_registrar(client, host, options, changes, check_mode) for host in options["hosts"]]
    shown = [one.run_pass() for one in registrars]
    while any(one.draining for one in registrars):
        pause = min(one.due for one in registrars if one.draining) - client.clock()
        client.sleep(max(0.1, pause))
        shown = [one.run_pass() for one in registrars]
    plain = [found.to_plain() for found in shown]
    problems = [{"owner": one["owner"], **problem} for one in plain for problem in one["problems"]]
    steps = [step for dummy, change in changes for step in change.steps]
    return {
        "changed": bool(steps),
        "entries": [{"owner": one["owner"], **entry} for one in plain for entry in one["entries"]],
        "problems": problems,
        "steps": [step.to_result() for step in steps],
        "lines": [f"{one['owner']}: {status.entry_line(entry)}" for one in plain for entry in one["entries"]],
        "warnings": [f"{problem['owner']}: {status.problem_line(problem)}" for problem in problems],
        "api_calls": {"reads": client.reads, "writes": client.writes},
        "diff": {side: _side(side, changes) for side in ("before", "after")},
    }


def _registrar(
    client: Client, host: Options, options: Options, changes: list[tuple[str, Change]], check_mode: bool
) -> Registrar:
    """The registrar of one host, which tells its changes."""
    owner = host["owner"]
    found = [container(f"hosts[{owner}].containers[{told['name']}]", told) for told in host["containers"]]
    return Registrar(
        rules(host, options),
        client,
        [Told(tuple(found))],
        token=lambda: str(uuid.uuid4()),
        log=lambda text: None,
        done=lambda change: changes.append((owner, change)),
        dry_run=check_mode,
        raises=True,
    )


def _side(side: str, changes: t.Sequence[tuple[str, Change]]) -> dict[str, t.Any]:
    """owner -> instance -> place -> weight: at first, or in the end."""
    found: dict[str, dict[str, t.Any]] = {}
    for owner, change in changes if side == "after" else reversed(changes):
        found.setdefault(owner, {})[change.load_balancer] = getattr(change, side)
    return found
