# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why kubeadm will fail or has failed, in one sentence. kubeadm's own words often name the wrong address."""

from __future__ import annotations

import re
import typing as t

from .versions import NOTHING, init_needs_endpoint, parse

CURES = (
    "put HAProxy between (topology private_haproxy), give every node a proxy of its own (node_local), take a public SLB (public), or set"
    " kubeadm_endpoint_hairpin_cure to hosts_init or redirect_watch"
)

#: Patterns of the kubelet's or kubeadm's words, and what they mean.
WORDS = (
    (
        "failed to pull image",
        "an image can't be pulled; look at kubeadm_endpoint_image_repository and at the way to it",
    ),
    ("running with swap on is not supported", "swap is on; switch it off, or let the kubelet accept it"),
    ("container runtime is not running", "the container runtime does not answer; look at kubeadm_endpoint_cri_socket"),
    (
        "connect: no such file or directory",
        "the container runtime does not answer; look at kubeadm_endpoint_cri_socket",
    ),
    ("misconfiguration: kubelet cgroup driver", "kubelet and container runtime use different cgroup drivers"),
    ("address already in use", "a foreign process holds a port that a component needs"),
    (r"\[ERROR Port-", "a foreign process holds a port that a component needs"),
    # Go's words are the same for both, but for the time that they name
    (
        "x509: certificate has expired or is not yet valid:? current time .* is after",
        "a certificate has expired, which 'kubeadm certs check-expiration' shows on a master and 'kubeadm certs renew all' mends",
    ),
    ("x509: certificate has expired or is not yet valid", "the clocks of the machines differ"),
    (
        "x509: certificate is valid for",
        "a certificate lacks the name or address that is asked for; it goes into kubeadm_endpoint_extra_sans",
    ),
    ("no such host", "the name of the endpoint does not resolve on this machine"),
)


def hairpin_rule(topology: str, cure: str, kubeadm_version: str, endpoint: str) -> str:
    """What is known before any packet: a sentence where init cannot work, nothing where it can."""
    version = parse(kubeadm_version)
    if topology != "private_direct" or cure != "none" or version is None:
        return ""
    phase = init_needs_endpoint(version)
    if phase == NOTHING:
        return ""
    return (
        f"Hairpin: the masters are the servers of the private SLB {endpoint}, and a layer-4 SLB never answers its own servers; init of"
        f" kubeadm {kubeadm_version} needs the endpoint from its phase {phase} on, so it would time out; {CURES}."
    )


def hairpin_later(topology: str, cure: str, endpoint: str) -> str:
    """What still will not work where init does."""
    if topology != "private_direct" or cure == "redirect_watch":
        return ""
    return (
        f"On masters nobody gets an answer from {endpoint}: kubectl with admin.conf, kube-proxy and agents that use the endpoint time out"
        " there, for masters are the servers of the SLB."
    )


def likely_cause(
    what: str, endpoint: str, met: t.Mapping[str, t.Any], apiserver_ready: bool, backend: bool, lines: t.Sequence[str]
) -> str:
    """The most likely reason of a failure. met is what a probe of the endpoint from this machine met; backend, whether the SLB sends
    connections to this machine."""
    result, status = met.get("result", ""), met.get("http_status")
    if result == "timed_out" and (apiserver_ready or what == "join") and backend:
        local = "The apiserver of this machine is well, but " if apiserver_ready else ""
        return (
            f"{local}{endpoint} times out from here: hairpin. This machine is a server of the SLB, which never answers its own servers, and"
            f" kubeadm {what} waits for the endpoint whatever address its message names; {CURES}."
        )
    for words, meaning in WORDS:
        if any(re.search(words, line, re.IGNORECASE) for line in lines):
            return f"Most likely {meaning}."
    if any("[ERROR " in line for line in lines):
        return "kubeadm's own checks refuse this machine; their lines say why."
    if result == "timed_out":
        return f"{endpoint} times out from here; look at the listener of the load balancer, its access list, and the security groups."
    if result == "unreachable":
        return f"{endpoint} can't be reached at all ({met.get('error') or 'no route'}); look at name resolution and routes."
    if result == "open" and status == 200:
        return f"{endpoint} answers from here, so the front end is not the reason; read the lines of kubeadm and of the kubelet."
    if apiserver_ready:
        return f"The apiserver of this machine is well, but {endpoint} is {result or 'silent'}: the load balancer does not find it healthy yet."
    return "The apiserver of this machine never became ready; read the lines of the kubelet."
