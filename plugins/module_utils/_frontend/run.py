# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run that was limited, or that a machine does not answer: what it may do all the same, and what it has to say."""

from __future__ import annotations

import dataclasses
import typing as t

from .._kubeadm.cause import hairpin_later, hairpin_rule
from .._kubeadm.state import CONTROL_PLANE, WORKER
from .kube_apiserver import FrontEnd

MEMBERS = (CONTROL_PLANE, WORKER)


@dataclasses.dataclass(frozen=True)
class Run:
    """The machines of a run, and its findings."""

    #: The machines that the limit leaves in, and those of them that answered.
    machines: t.Collection[str]
    answering: t.Collection[str]
    #: True where localhost is in the limit, so that the cloud may be written.
    controller: bool
    #: The role of each machine in its cluster, where somebody looked: control_plane, worker, fresh, interrupted or foreign.
    roles: t.Mapping[str, str]
    #: True where the cloud is another one than the document wants; none where nobody asked it.
    cloud_differs: t.Optional[bool] = None


def silent(front_end: FrontEnd, run: Run) -> t.List[str]:
    """The machines that the run is about and that do not answer."""
    return [
        machine.name
        for machine in front_end.machines
        if machine.name in run.machines and machine.name not in run.answering
    ]


def refusals(front_end: FrontEnd, run: Run) -> t.List[str]:
    """Why the run must not go on, a sentence each, before anything is changed."""
    return [
        sentence
        for sentence in tuple(rule(front_end, run) for rule in (_quorum, _last_proxy, _init, _hairpin))
        if sentence
    ]


def _quorum(front_end: FrontEnd, run: Run) -> str:
    masters = [machine.name for machine in front_end.masters]
    lost = [name for name in silent(front_end, run) if name in masters]
    if not lost or len(masters) - len(lost) > len(masters) // 2:
        return ""
    return (
        f"{_listed(lost)} of the masters {'do' if len(lost) > 1 else 'does'} not answer, so the others are no quorum of etcd; nothing was"
        " changed. Bring them back first."
    )


def _last_proxy(front_end: FrontEnd, run: Run) -> str:
    tier = [machine.name for machine in front_end.tier]
    lost = [name for name in silent(front_end, run) if name in tier]
    left = [name for name in tier if name not in lost]
    if not lost or left:
        return ""
    return f"{_listed(lost)} do not answer, which are all balancers of {front_end.name}; nothing was changed. Bring one of them back first."


def _init(front_end: FrontEnd, run: Run) -> str:
    """An init is safe only where every master has told that it belongs to no cluster."""
    if not front_end["run_kubeadm"] or CONTROL_PLANE in run.roles.values():
        return ""
    unasked = [machine.name for machine in front_end.masters if machine.name not in run.roles]
    if not unasked:
        return ""
    return (
        f"No master that was asked belongs to a cluster, and {_listed(unasked)} could not be asked, so kubeadm init might make a second"
        f" cluster beside one that is there; nothing was changed. Bring {_listed(unasked)} back, or declare what is dead by"
        f" kube_apiserver_gone."
    )


def _hairpin(front_end: FrontEnd, run: Run) -> str:
    """An init that would time out is refused whoever runs it: this run, or a user by hand afterwards."""
    accepted = all(
        front_end.on_machines.get(machine.name, {}).get("kubeadm_endpoint_accept_hairpin")
        for machine in front_end.masters
    )
    if accepted or CONTROL_PLANE in run.roles.values():
        return ""
    version = f"v{front_end['kubernetes_version'].lstrip('v')}"
    said = hairpin_rule(front_end["topology"], front_end["hairpin_cure"], version, front_end.endpoint)
    return said and f"{said} Or set kubeadm_endpoint_accept_hairpin to true to go on all the same."


def notes(front_end: FrontEnd, run: Run) -> t.List[str]:
    """The lines that the run says before it begins."""
    found = []
    lost = silent(front_end, run)
    if lost:
        found.append(
            f"{_listed(lost)} {'do' if len(lost) > 1 else 'does'} not answer. The run goes on with the others, leaves"
            f" {'them' if len(lost) > 1 else 'it'} as {'they are' if len(lost) > 1 else 'it is'}, and ends with an error; what is dead for"
            f" good is declared by kube_apiserver_gone."
        )
    out = [machine.name for machine in front_end.machines if machine.name not in run.machines]
    if out:
        found.append(f"The limit leaves out {_listed(out)}; nothing is changed there.")
    if run.cloud_differs and not run.controller:
        found.append(
            f"The load balancer of {front_end.name} differs from what is wanted and stays as it is, because the limit leaves out localhost;"
            " run this with --limit localhost to change it."
        )
    later = front_end["hairpin_cure"] == "none" and hairpin_later(front_end["topology"], "none", front_end.endpoint)
    return [*found, *([f"Warning: {later}"] if later else [])]


def _listed(names: t.Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
