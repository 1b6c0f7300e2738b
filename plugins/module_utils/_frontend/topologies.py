# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ways to the apiservers, as facts. Code asks for a fact and never for a topology's name, so a new topology is a row."""

from __future__ import annotations

import dataclasses
import typing as t

MASTERS, LOAD_BALANCERS, NODES = "masters", "load_balancers", "nodes"
CLOUD, LOOPBACK, ELSEWHERE = "cloud", "loopback", "elsewhere"


@dataclasses.dataclass(frozen=True)
class Topology:
    """The facts of a way to the apiservers."""

    #: The address of the load balancer on the cloud: intranet, internet, or none where there is no load balancer of ours.
    address_type: t.Optional[str]
    #: The machines that the cloud sends connections to: MASTERS, LOAD_BALANCERS, or none.
    backends: t.Optional[str]
    #: The machines on which a proxy runs: LOAD_BALANCERS, NODES (masters and workers), or none.
    proxies_on: t.Optional[str]
    #: The proxy programs that it takes; the first is the default.
    programs: t.Tuple[str, ...]
    #: The place that the endpoint's name leads nodes to: the load balancer's address, their own loopback, or where somebody else says.
    name_leads_to: str
    #: True where masters are clients of the very load balancer whose backends they are, which a layer-4 load balancer of a VPC does not answer.
    hairpin: bool = False
    #: True where anybody on the internet reaches it, so that it needs a list of those who may.
    open_to_the_internet: bool = False


TOPOLOGIES: t.Dict[str, Topology] = {
    "private_haproxy": Topology("intranet", LOAD_BALANCERS, LOAD_BALANCERS, ("haproxy",), CLOUD),
    "private_direct": Topology("intranet", MASTERS, None, (), CLOUD, hairpin=True),
    "public": Topology("internet", MASTERS, None, (), CLOUD, open_to_the_internet=True),
    "node_local": Topology("intranet", MASTERS, NODES, ("haproxy", "nginx"), LOOPBACK),
    "existing": Topology(None, None, None, (), ELSEWHERE),
}
#: The cures of a hairpin. One of them works while kubeadm runs and no longer.
CURES = ("none", "hosts_init", "redirect_watch")
