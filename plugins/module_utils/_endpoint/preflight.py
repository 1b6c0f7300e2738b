# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a node reaches what it has to reach before kubeadm runs: one verdict for each probe, and what differs between nodes.

Pure: no network, no clock, no Ansible. Silence is always wrong, a node that is not served yet is refused or turned away at once. While
stand-ins answer for the apiservers (stood_in), refused and closed are wrong, too: then every way has to end at an answer.
"""

from __future__ import annotations

import dataclasses
import typing as t

from .control_plane import has_name
from .diagnosis import SERVICES
from .probe import CLOSED, OPEN, TIMED_OUT, UNREACHABLE

ENDPOINT, APISERVER, LOAD_BALANCER = "endpoint", "apiserver", "load_balancer"
#: Seconds by which two clocks may differ. Certificates that kubeadm makes are valid from five minutes ago (client-go, cert.NewSelfSignedCACert
#: and the signer's backdate), so this is where the clocks are wrong and nothing has failed yet.
SKEW = 30


@dataclasses.dataclass(frozen=True)
class Way:
    """What a node asks. machine is the one that answers there, nothing for the endpoint."""

    kind: str
    host: str
    port: int
    machine: str = ""

    @property
    def name(self) -> str:
        return f"{self.kind.replace('_', ' ')} {self.machine}".strip()

    @property
    def shown(self) -> str:
        return f"{self.name} ({self.host}:{self.port})"


@dataclasses.dataclass(frozen=True)
class Node:
    """The machine that asks."""

    name: str
    #: The endpoint's name, and the address that it has to lead to here; empty where only DNS knows.
    endpoint_name: str
    endpoint_address: str = ""
    #: Whether the load balancer sends connections to this very machine, so that it gets no answer from it.
    backend: bool = False
    #: What is done about that; none where nothing is. forced: the user wants to go on without.
    cure: str = "none"
    forced: bool = False
    #: Where the name leads to on this machine instead of the load balancer, such as 127.0.0.1.
    local_address: str = ""
    #: Whether stand-ins answer for apiservers that there are not yet.
    stood_in: bool = False


@dataclasses.dataclass(frozen=True)
class Verdict:
    """On one probe. right: as it has to be."""

    name: str
    result: str
    right: bool
    text: str


Probe = t.Mapping[str, t.Any]


def verdicts(node: Node, ways: t.Sequence[Way], probes: t.Sequence[Probe]) -> list[Verdict]:
    """What a node met, way by way; probes are those of endpoint_probe, in the same order."""
    found = []
    for way, probe in zip(ways, probes):
        wrong = next(filter(None, (rule(node, way, probe) for rule in RULES)), "")
        found.append(Verdict(way.name, probe["result"], not wrong, wrong or _right(node, way, probe)))
    return found


def _silent(node: Node, way: Way, probe: Probe) -> str:
    if probe["result"] not in (TIMED_OUT, UNREACHABLE) or _silent_as_known(node, way):
        return ""
    if way.kind == ENDPOINT and node.backend and probe["result"] == TIMED_OUT:
        return (
            f"From {node.name}, the {way.shown} timed out: hairpin. {node.name} is a server of that load balancer, and a layer-4 SLB never"
            f" answers its own servers; {SERVICES['kube_apiserver'].cures}."
        )
    if way.kind == ENDPOINT and probe["stage"] == "resolve":
        return (
            f"On {node.name} the name {way.host} does not resolve; enter it in DNS, or let kubeadm_endpoint_manage_hosts keep a line in"
            " /etc/hosts."
        )
    met = "timed out" if probe["result"] == TIMED_OUT else f"could not be reached ({probe.get('error') or 'no route'})"
    if way.kind == ENDPOINT:
        cure = (
            "check the listener of the load balancer, its access list, the security groups, and that"
            f" {node.name} is not one of its own servers, for those are never answered"
        )
    else:
        cure = f"check that {way.machine} runs, and that its security group and firewall let {node.name} in on TCP port {way.port}"
    return f"From {node.name}, {way.shown} {met}: {cure}."


def _silent_as_known(node: Node, way: Way) -> bool:
    """Where silence of the endpoint is as it must be."""
    cured = node.backend and (node.cure != "none" or node.forced)
    return way.kind == ENDPOINT and (cured or _bypassed(node, way))


def _bypassed(node: Node, way: Way) -> bool:
    """Whether this machine asks the load balancer itself, although its own clients go elsewhere."""
    return bool(node.local_address) and way.host != node.endpoint_name


def _not_answered(node: Node, way: Way, probe: Probe) -> str:
    if not node.stood_in or probe["result"] == OPEN or _silent_as_known(node, way):
        return ""
    met = "is accepted and closed at once" if probe["result"] == CLOSED else "is refused"
    if way.kind == APISERVER:
        return (
            f"From {node.name}, {way.shown} {met}, though something that stands in for the apiserver listens there: a firewall on"
            f" {way.machine} rejects TCP port {way.port}."
        )
    if way.kind == LOAD_BALANCER:
        return (
            f"From {node.name}, {way.shown} {met}, though apiservers are stood in for: the proxy on {way.machine} does not run, or finds no"
            " master that answers; look at the security groups of the masters."
        )
    return (
        f"From {node.name}, the {way.shown} {met}, though apiservers are stood in for: the load balancer finds none of its servers healthy;"
        " look at the backend group, its ports, and that security groups and firewalls let the health checks from 100.64.0.0/10 in."
    )


def _elsewhere(node: Node, way: Way, probe: Probe) -> str:
    """The first address is the one that programs use."""
    address = probe.get("address")
    wanted = node.local_address or node.endpoint_address
    if way.kind != ENDPOINT or way.host != node.endpoint_name or not address or not wanted or address == wanted:
        return ""
    return (
        f"On {node.name} the name {node.endpoint_name} leads to {address}, but the endpoint has the address {wanted}; mend DNS or /etc/hosts"
        " there, or kubeadm_endpoint_address."
    )


def _unnamed(node: Node, way: Way, probe: Probe) -> str:
    """A stand-in's certificate names nobody, and a proxy shows the one of the apiserver."""
    names = (probe.get("tls") or {}).get("subject_alt_names") or []
    if node.stood_in or probe.get("http_status") != 200 or not names or has_name(names, node.endpoint_name):
        return ""
    return (
        f"The certificate that {way.shown} shows does not name {node.endpoint_name}, so no client will take it; delete apiserver.crt and"
        " apiserver.key in /etc/kubernetes/pki on that master and run 'kubeadm init phase certs apiserver' with the configuration that is there."
    )


def _skewed(node: Node, way: Way, probe: Probe) -> str:
    skew = probe.get("clock_skew")
    if way.kind != APISERVER or skew is None or abs(skew) <= SKEW:
        return ""
    return (
        f"The clock of {node.name} is {abs(skew):.0f} seconds {'ahead of' if skew > 0 else 'behind'} that of {way.machine}; let both follow the"
        " same time servers (chrony, or ntp.cloud.aliyuncs.com in the VPC), for certificates and tokens are good by the clock."
    )


RULES = (_silent, _not_answered, _elsewhere, _unnamed, _skewed)


def _right(node: Node, way: Way, probe: Probe) -> str:
    if probe["result"] in (TIMED_OUT, UNREACHABLE):
        if _bypassed(node, way):
            return (
                f"{way.shown} does not answer {node.name}, as it must be: this node is a server of that load balancer, and uses"
                f" {node.local_address} instead."
            )
        return f"{way.shown} does not answer {node.name}, which is a server of it: the hairpin, and kubeadm_endpoint_hairpin_cure is {node.cure}."
    if probe["result"] == OPEN:
        status = f" and answers with status {probe['http_status']}" if probe.get("http_status") else ""
        return f"{way.shown} is open for {node.name}{status}."
    if probe["result"] == CLOSED:
        return f"{way.shown} accepts {node.name} and closes at once: the way is free, and no apiserver is ready behind it yet."
    missing = "no proxy listens there yet" if way.kind == LOAD_BALANCER else "no apiserver is ready yet"
    return f"{way.shown} refuses {node.name}: the way is free, but {missing}."


def differing_names(name: str, leads: t.Mapping[str, str]) -> str:
    """A sentence where one name leads to several addresses; leads has the address that each node found, its own loopback left out."""
    nodes: dict[str, list[str]] = {}
    for node, address in leads.items():
        if address and not address.startswith("127.") and address != "::1":
            nodes.setdefault(address, []).append(node)
    if len(nodes) < 2:
        return ""
    shown = "; ".join(f"{address} on {', '.join(sorted(names))}" for address, names in sorted(nodes.items()))
    return f"The name {name} leads to different addresses ({shown}); it has to be one for all nodes, in DNS or by kubeadm_endpoint_address."
