# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A resolution as plays see it: what all need to know once, and of each machine its own part."""

from __future__ import annotations

import dataclasses
import typing as t

from .kube_apiserver import FrontEnd
from .resolve import CONTROLLER, Resolved
from .run import MEMBERS, Run, notes
from .run import refusals as refusals_of

#: The groups of machines that phases are about, and what a machine has to be for each.
PHASES = {
    "clusterfront_machines": "machine",
    "clusterfront_proxies": "proxy",
    "clusterfront_nodes": "node",
    "clusterfront_masters": "master",
}
#: The address that check mode shows where the cloud has yet to choose one.
PREDICTED = "0.0.0.0"

Facts = t.Dict[str, t.Any]


@dataclasses.dataclass(frozen=True)
class Found:
    """The machines of the run, and its findings so far."""

    token: str
    machines: t.Collection[str]
    answering: t.Collection[str]
    check_mode: bool = False
    #: The answers of machines about their cluster, by name.
    told: t.Mapping[str, Facts] = dataclasses.field(default_factory=dict)
    #: True for a machine that is as the last whole run left it, by name.
    looked: t.Mapping[str, bool] = dataclasses.field(default_factory=dict)
    #: The answers of slb_frontend in check mode, each with its item; none before anybody asked.
    compared: t.Optional[t.Sequence[Facts]] = None
    #: The answers of slb_security_group_info, each with its item.
    kept_out: t.Sequence[Facts] = ()

    def answer(self, front_end: FrontEnd) -> Facts:
        """The cloud's answer about a front end; empty where it was not asked."""
        answers = [one for one in self.compared or () if (one.get("item") or {}).get("name") == front_end.name]
        return answers[0] if answers else {}

    def run(self, front_end: FrontEnd) -> Run:
        steps = self.answer(front_end).get("steps")
        roles = {name: str(node["role"]) for name, node in self.told.items()}
        return Run(
            self.machines, self.answering, CONTROLLER in self.machines, roles, None if steps is None else bool(steps)
        )


def unresolved(unknown: t.Sequence[str]) -> Facts:
    """The facts of a resolution that has to wait for those of machines."""
    return {"unknown": list(unknown), "all": [], "shared": {}, "machines": {}, "notes": [], "elsewhere": []}


def refusals(resolved: Resolved, found: Found) -> t.List[str]:
    """Why the run must not go on, once the cloud and the machines have been looked at."""
    if found.compared is None:
        return []
    told = [sentence for front_end in resolved.front_ends for sentence in refusals_of(front_end, found.run(front_end))]
    for front_end in resolved.front_ends:
        if front_end["security_groups"] == "refuse":
            shut = _shut(front_end, found)
            told += shut and [*shut, "Set kube_apiserver_security_groups to warn to go on all the same."]
    return told


def _shut(front_end: FrontEnd, found: Found) -> t.List[str]:
    """A sentence for each one that security groups keep out."""
    answers = [one for one in found.kept_out if (one.get("item") or [{}])[0].get("name") == front_end.name]
    return [sentence for one in answers for sentence in one.get("problems") or ()]


def of(resolved: Resolved, found: Found) -> Facts:
    """Everything that plays need to know."""
    parts: t.Dict[str, Facts] = {}
    told: t.List[str] = []
    for front_end in resolved.front_ends:
        parts.update(
            {machine.name: {"machine": True, **front_end.part(machine.name)} for machine in front_end.machines}
        )
        if found.compared is not None:
            told += notes(front_end, found.run(front_end))
            told += [
                f"Warning: {sentence}" for sentence in _shut(front_end, found) if front_end["security_groups"] == "warn"
            ]
    _divide(parts, found)
    return {
        "run": found.token,
        "unknown": [],
        "all": [_for_the_cloud(front_end, found) for front_end in resolved.front_ends],
        # once, and not for each machine
        "shared": {front_end.name: _whole(front_end, found) for front_end in resolved.front_ends},
        "machines": parts,
        "elsewhere": [
            {"name": machine.name, "port": front_end["port"]}
            for front_end in resolved.front_ends
            for machine in front_end.masters
            if machine.name not in found.machines
        ],
        "notes": told,
    }


def _for_the_cloud(front_end: FrontEnd, found: Found) -> Facts:
    """The part of localhost in a front end."""
    return {
        "name": front_end.name,
        "lock_directory": front_end["lock_directory"],
        "document": front_end.document() or {},
        "openings": front_end.openings() if front_end["security_groups"] != "ignore" else [],
        "differs": bool(found.answer(front_end).get("steps")),
        "vpc_id": front_end["load_balancer"].get("vpc_id", ""),
        "port": front_end["endpoint_port"],
        "run_kubeadm": front_end["run_kubeadm"],
        "settled": _settled(front_end, found),
        "joining": _joining(front_end, found),
        "machines": len(front_end.machines),
        "report": front_end.report(),
    }


def _whole(front_end: FrontEnd, found: Found) -> Facts:
    """The values that are the same for all machines of a front end."""
    address = _address(front_end, found)
    return {
        "run": found.token,
        "run_kubeadm": front_end["run_kubeadm"],
        "joining": _joining(front_end, found),
        "settled": _settled(front_end, found),
        "endpoint": front_end.endpoint_inputs(),
        "proxy_inputs": front_end.proxy(),
        # apart, because a template of Ansible has no none
        "address": address or "",
        "address_known": address is not None,
        "masters": [machine.name for machine in front_end.masters],
    }


def _load_balancer(front_end: FrontEnd, found: Found) -> Facts:
    return (found.answer(front_end).get("front_end") or {}).get("load_balancer") or {}


def _address(front_end: FrontEnd, found: Found) -> t.Optional[str]:
    """The address of the endpoint; none where nobody knows it before the cloud is written."""
    known = front_end.address(_load_balancer(front_end, found).get("address"))
    return PREDICTED if known is None and found.check_mode and found.compared is not None else known


def _settled(front_end: FrontEnd, found: Found) -> bool:
    """True where the cloud and every machine are as the last whole run left them."""
    cloud = front_end.topology.address_type is None or found.answer(front_end).get("steps") == []
    machines = all(found.looked.get(machine.name) for machine in front_end.machines)
    return bool(front_end["trust_last_run"] and found.compared is not None and cloud and machines)


def _joining(front_end: FrontEnd, found: Found) -> bool:
    """True where a node that the run is about is no member of the cluster yet."""
    roles = found.run(front_end).roles
    return any(
        roles.get(machine.name, "") not in MEMBERS for machine in front_end.nodes if machine.name in found.answering
    )


def _divide(parts: t.Mapping[str, Facts], found: Found) -> None:
    """Write down the phases of each machine. A group that nobody is in warns, so the first machine is in all; it leaves such a phase at once."""
    running = [name for name in parts if name in found.answering]
    for name, part in parts.items():
        part["phases"] = [phase for phase, what in PHASES.items() if part[what] or name in running[:1]]
