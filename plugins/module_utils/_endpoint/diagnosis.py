# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From a matrix of probes, node by target, to a diagnosis. Pure: no network, no clock, no Ansible.

The rule of the hairpin: a layer-4 SLB keeps the client's address, so a server behind it that calls the SLB gets no answer.
It times out, it is never refused, while machines that are no backends get through.
"""

from __future__ import annotations

import dataclasses
import typing as t

from .probe import CLOSED, OPEN, REFUSED, TIMED_OUT, UNREACHABLE

OK, EXPECTED, PROBLEM = "ok", "expected", "problem"


@dataclasses.dataclass(frozen=True)
class Service:
    """What a front end leads to, in the words that sentences have for it."""

    server: str
    servers: str
    #: What makes the first server answer.
    begin: str
    #: The playbook that builds the front end.
    playbook: str
    #: What to do about the hairpin.
    cures: str


SERVICES = {
    "kube_apiserver": Service(
        "apiserver",
        "apiservers",
        "kubeadm init",
        "deploy_kube_apiserver",
        "put HAProxy between (topology private_haproxy), give every node a proxy of its own (node_local), take a public SLB (public),"
        " or keep private_direct with the cure hosts_init or redirect_watch",
    ),
    "rancher": Service(
        "Rancher node",
        "Rancher nodes",
        "Rancher is installed",
        "deploy_rancher",
        "put balancers between (rancher_topology: slb_balancers), for agents of the local cluster call Rancher from these nodes",
    ),
    "ingress_frontend": Service(
        "ingress node",
        "ingress nodes",
        "the ingress controller runs",
        "deploy_ingress_frontend",
        "let the SLB end TLS, which makes it a proxy (ingress_frontend_layer: 7), or lead the names to a Service of the cluster for whoever"
        " calls from these nodes",
    ),
}


@dataclasses.dataclass(frozen=True)
class Node:
    """What one node meets. Results are those of a probe; local is its own server's, None where it should have none."""

    name: str
    endpoint: str
    endpoint_status: int | None = None
    local: str | None = None
    local_status: int | None = None
    #: Whether the SLB's listener sends connections to this node.
    backend: bool = False

    @property
    def reaches_endpoint(self) -> bool:
        """Whether a server answered through the endpoint."""
        return self.endpoint == OPEN and self.endpoint_status == 200

    @property
    def has_server(self) -> bool:
        return self.local is not None

    @property
    def serves(self) -> bool:
        """Whether its own server is ready."""
        return self.local == OPEN and self.local_status == 200


@dataclasses.dataclass(frozen=True)
class Finding:
    """One sentence for the user. severity: ok, expected (wrong elsewhere, right here), problem."""

    code: str
    severity: str
    message: str
    nodes: tuple[str, ...] = ()


def diagnose(nodes: t.Sequence[Node], endpoint: str, service: Service) -> list[Finding]:
    """All that the matrix shows, problems first."""
    return by_severity([*_servers(nodes, service), *_endpoint(nodes, endpoint, service)])


def by_severity(findings: t.Iterable[Finding]) -> list[Finding]:
    """Problems first."""
    return sorted(findings, key=lambda finding: (PROBLEM, EXPECTED, OK).index(finding.severity))


def _names(nodes: t.Iterable[Node]) -> tuple[str, ...]:
    return tuple(node.name for node in nodes)


def _listed(nodes: t.Sequence[Node]) -> str:
    return ", ".join(_names(nodes))


def _servers(nodes: t.Sequence[Node], service: Service) -> t.Iterator[Finding]:
    servers = [node for node in nodes if node.has_server]
    down = [node for node in servers if not node.serves]
    if not servers:
        return
    if all(node.local != OPEN for node in servers):
        yield Finding(
            "no_server",
            EXPECTED,
            f"No {service.server} answers yet; that is right before {service.begin}, and nowhere else.",
            _names(down),
        )
    elif down:
        what = "; ".join(f"{node.name}: {_local_words(node)}" for node in down)
        yield Finding(
            "server_not_ready",
            PROBLEM,
            f"{len(down)} of {len(servers)} {service.servers} are not ready ({what}); look at them first.",
            _names(down),
        )
    else:
        yield Finding("servers_ready", OK, f"All {len(servers)} {service.servers} are ready.")


def _local_words(node: Node) -> str:
    return f"answers {node.local_status}" if node.local == OPEN else f"port {node.local}"


def _endpoint(nodes: t.Sequence[Node], endpoint: str, service: Service) -> t.Iterator[Finding]:
    through = [node for node in nodes if node.reaches_endpoint]
    silent = [node for node in nodes if node.endpoint == TIMED_OUT]
    unresolved = [node for node in nodes if node.endpoint == UNREACHABLE]
    if unresolved:
        yield Finding(
            "endpoint_unreachable",
            PROBLEM,
            f"{_listed(unresolved)} cannot reach {endpoint} at all: the name does not resolve there, or there is no route.",
            _names(unresolved),
        )
    # refused and closed are answers too: before the first server runs nobody gets more
    answered = [node for node in nodes if node.endpoint in (OPEN, REFUSED, CLOSED)]
    if answered and silent and all(node.backend for node in silent):
        yield _hairpin(silent, endpoint, service)
    elif silent:
        who = "Every node" if len(silent) == len(nodes) else _listed(silent)
        yield Finding(
            "endpoint_timed_out",
            PROBLEM,
            f"{who} times out on {endpoint}, where it should be refused at worst: check that the listener runs, and that security groups"
            " and firewalls let the port and the SLB's own addresses (100.64.0.0/10) pass.",
            _names(silent),
        )
    if not through and not any(node.serves for node in nodes):
        waiting = [node for node in nodes if node.endpoint in (REFUSED, CLOSED)]
        if waiting:
            yield Finding(
                "endpoint_waits",
                EXPECTED,
                f"{endpoint} is refused or closed from {_listed(waiting)}: the way is there and waits for the first {service.server}.",
                _names(waiting),
            )
        return
    failing = [node for node in nodes if not node.reaches_endpoint and node.endpoint not in (TIMED_OUT, UNREACHABLE)]
    if failing:
        what = "; ".join(f"{node.name}: {_endpoint_words(node)}" for node in failing)
        yield Finding(
            "endpoint_fails",
            PROBLEM,
            f"One of the {service.servers} is ready, but {endpoint} does not lead to it ({what}); check the backends' health.",
            _names(failing),
        )
    elif through and len(through) + sum(node.backend for node in silent) == len(nodes):
        yield Finding("endpoint_reached", OK, f"{endpoint} answers from {_listed(through)}.", _names(through))


def _endpoint_words(node: Node) -> str:
    return node.endpoint if node.endpoint != OPEN else f"answers {node.endpoint_status or 'something that is not HTTP'}"


def _hairpin(silent: t.Sequence[Node], endpoint: str, service: Service) -> Finding:
    servers = [node for node in silent if node.has_server]
    if not servers:
        return Finding(
            "hairpin_of_proxies",
            EXPECTED,
            f"{_listed(silent)} time out on {endpoint}, and that is right: they are the SLB's own backends, which a layer-4 SLB never"
            " answers; tools on them use their own proxy instead.",
            _names(silent),
        )
    return Finding(
        "hairpin",
        PROBLEM,
        f"Hairpin: {_listed(servers)} are backends of the private SLB and time out on {endpoint}, while other machines get an answer, because"
        f" a layer-4 SLB does not answer its own backends; {service.cures}.",
        _names(servers),
    )
