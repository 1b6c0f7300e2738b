# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a machine is to its cluster, and what has to be done next; so that a run that ended anywhere can be run again."""

from __future__ import annotations

import dataclasses
import typing as t

FRESH, FOREIGN = "fresh", "foreign"
CONTROL_PLANE, WORKER = "control_plane", "worker"
INTERRUPTED = "interrupted"
#: The role of a master that nobody asked, or that did not answer. It is no fresh one: it may have the cluster.
UNKNOWN = "unknown"

INIT, JOIN = "init", "join"
#: Steps that a plan is made of.
DONE, RESUME_INIT, RESET_AND_INIT, RESET_AND_JOIN = "done", "resume_init", "reset_and_init", "reset_and_join"


@dataclasses.dataclass(frozen=True)
class Found:
    """What lies on a machine."""

    kubelet_conf: bool = False
    admin_conf: bool = False
    apiserver_manifest: bool = False
    manifests: bool = False
    #: What a run of ours has begun and not ended: init, join, or nothing.
    doing: str = ""
    #: Whether its own apiserver says that it is ready.
    ready: bool = False

    @property
    def role(self) -> str:
        traces = self.kubelet_conf or self.admin_conf or self.manifests
        if self.doing:
            # a run that ended before kubeadm wrote anything leaves nothing to clear away
            return INTERRUPTED if traces else FRESH
        if self.kubelet_conf:
            return CONTROL_PLANE if self.apiserver_manifest else WORKER
        return FOREIGN if traces else FRESH


def remarks(swaps: str, ip_forward: str, bridge_nf_call: str) -> t.List[str]:
    """What kubelet and pods need of a machine and is missing, from /proc/swaps and two settings below /proc/sys/net; nothing is changed."""
    found = []
    used = [line.split()[0] for line in swaps.splitlines()[1:]]
    if used:
        found.append(
            f"Swap is on ({', '.join(used)}); the kubelet starts only without, or where its failSwapOn is false."
        )
    if ip_forward.strip() != "1":
        found.append(
            "net.ipv4.ip_forward is not 1; kubeadm refuses that, for the machine passes no packets of pods on."
        )
    if bridge_nf_call.strip() != "1":
        found.append(
            "net.bridge.bridge-nf-call-iptables is not 1, or br_netfilter is not loaded; pod networks with a bridge need both."
        )
    return found


@dataclasses.dataclass(frozen=True)
class Master:
    """A machine of the list of masters."""

    name: str
    role: str
    doing: str = ""
    ready: bool = False
    #: The fingerprint of its cluster's CA, where it has one.
    ca: str = ""


class StateError(ValueError):
    """One sentence for the user."""


def checked(masters: t.Sequence[Master]) -> None:
    """Refuse what no step can mend."""
    for master in masters:
        if master.role == FOREIGN:
            raise StateError(
                f"{master.name} has files of a control plane that is not whole, and no run of this role began it; look at"
                " /etc/kubernetes there, and clear it by 'kubeadm reset' if nobody needs it."
            )
        if master.role == WORKER:
            raise StateError(
                f"{master.name} is a worker of a cluster already; 'kubeadm reset' there before it becomes a master."
            )
    clusters: t.Dict[str, str] = {}
    for master in masters:
        if master.role == CONTROL_PLANE and master.ca:
            clusters.setdefault(master.ca, master.name)
    if len(clusters) > 1:
        raise StateError(
            f"{' and '.join(clusters.values())} belong to different clusters, for their CAs differ; nothing was changed."
        )


def members(masters: t.Sequence[Master]) -> t.List[str]:
    """Masters that others can join by, those that are ready first."""
    whole = [master for master in masters if master.role == CONTROL_PLANE]
    return [master.name for master in sorted(whole, key=lambda master: not master.ready)]


def first(masters: t.Sequence[Master]) -> t.Optional[str]:
    """Which master init runs on; nobody where there is a cluster. One that has begun goes on, whatever the order of the list."""
    if members(masters) or not masters:
        return None
    unasked = [master.name for master in masters if master.role == UNKNOWN]
    if unasked:
        raise StateError(
            f"No master that was asked belongs to a cluster, and {', '.join(unasked)} was not asked, so kubeadm init might make a second"
            " cluster beside one that is there; nothing was changed. Run it for all masters, or take what is dead out of the list."
        )
    begun = [master for master in masters if master.role == INTERRUPTED and master.doing == INIT]
    return (begun or list(masters))[0].name


def step(master: Master, masters: t.Sequence[Master]) -> str:
    """The next step of a master; nothing for one that nobody asked."""
    if master.role in (CONTROL_PLANE, UNKNOWN):
        return DONE
    if first(masters) == master.name:
        if master.role == FRESH:
            return INIT
        # certificates and etcd's data are whole once the apiserver answers; before that nothing is worth keeping
        return RESUME_INIT if master.doing == INIT and master.ready else RESET_AND_INIT
    return JOIN if master.role == FRESH else RESET_AND_JOIN


@dataclasses.dataclass(frozen=True)
class Member:
    """A member of etcd."""

    id: str
    name: str
    peer_urls: t.Sequence[str]


def remnants(listed: t.Sequence[Member], name: str, address: str) -> t.List[Member]:
    """What etcd still knows of a machine that was cleared: a member that was added and never started has no name, only its address."""
    host = f"[{address}]" if ":" in address else address
    return [
        member
        for member in listed
        if (name and member.name == name) or any(url.startswith(f"https://{host}:") for url in member.peer_urls)
    ]


def with_server(config: str, server: str, name: str = "") -> str:
    """A kubeconfig that leads elsewhere, under a name that the certificate has where the address is none of it."""
    found = []
    for line in config.splitlines():
        if line.strip().startswith("server: "):
            pad = line[: len(line) - len(line.lstrip())]
            found.append(f"{pad}server: {server}")
            if name:
                found.append(f"{pad}tls-server-name: {name}")
        else:
            found.append(line)
    return "\n".join(found) + "\n"


def join_command(shown: str) -> t.Tuple[str, t.List[str]]:
    """Token and CA hashes out of what 'kubeadm token create --print-join-command' prints."""
    words = shown.split()
    token = next((after for word, after in zip(words, words[1:]) if word == "--token"), "")
    hashes = [after for word, after in zip(words, words[1:]) if word == "--discovery-token-ca-cert-hash"]
    if not token or not hashes:
        raise StateError("kubeadm token create printed no join command; its version is not one that this role knows.")
    return token, hashes
