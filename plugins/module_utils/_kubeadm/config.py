# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The configuration of kubeadm init and join, in both formats, from settings that know no format."""

from __future__ import annotations

import dataclasses
import typing as t

from .versions import V1BETA3

Document = t.Dict[str, t.Any]
#: Flags of a component: name to value, or to several values.
Args = t.Mapping[str, t.Any]

GROUP = "kubeadm.k8s.io"
TIMEOUTS = {
    "control_plane_component_health_check": "controlPlaneComponentHealthCheck",
    "kubelet_health_check": "kubeletHealthCheck",
    "kubernetes_api_call": "kubernetesAPICall",
    "etcd_api_call": "etcdAPICall",
    "tls_bootstrap": "tlsBootstrap",
    "discovery": "discovery",
    "upgrade_manifests": "upgradeManifests",
}
#: Where the older format has these two.
OLD_TIMEOUTS = ("control_plane_component_health_check", "discovery")


class ConfigError(ValueError):
    """One sentence for the user."""


@dataclasses.dataclass(frozen=True)
class Cluster:
    """What is the same on every master."""

    endpoint: str  # host:port
    version: str  # of the components, v1.33.13
    cert_sans: t.Sequence[str] = ()
    cluster_name: str = ""
    image_repository: str = ""
    certificates_dir: str = ""
    dns_domain: str = ""
    service_subnet: str = ""
    pod_subnet: str = ""
    apiserver_args: Args = dataclasses.field(default_factory=dict)
    controller_manager_args: Args = dataclasses.field(default_factory=dict)
    scheduler_args: Args = dataclasses.field(default_factory=dict)
    etcd_args: Args = dataclasses.field(default_factory=dict)
    etcd_cert_sans: t.Sequence[str] = ()
    etcd_external: t.Mapping[str, t.Any] = dataclasses.field(default_factory=dict)
    certificate_validity: str = ""
    ca_certificate_validity: str = ""
    encryption_algorithm: str = ""
    dns_disabled: bool = False
    proxy_disabled: bool = False
    feature_gates: t.Mapping[str, bool] = dataclasses.field(default_factory=dict)
    cgroup_driver: str = "systemd"


@dataclasses.dataclass(frozen=True)
class Node:
    """What belongs to one machine."""

    name: str = ""
    advertise_address: str = ""
    port: int = 6443
    cri_socket: str = ""
    kubelet_args: Args = dataclasses.field(default_factory=dict)
    taints: t.Optional[t.Sequence[t.Mapping[str, str]]] = None
    patches: str = ""
    skip_phases: t.Sequence[str] = ()
    ignore_preflight_errors: t.Sequence[str] = ()
    image_pull_serial: t.Optional[bool] = None
    timeouts: t.Mapping[str, str] = dataclasses.field(default_factory=dict)
    certificate_key: str = ""


@dataclasses.dataclass(frozen=True)
class Discovery:
    """How a machine that joins finds the cluster, and knows that it is the right one."""

    endpoint: str
    token: str
    ca_cert_hashes: t.Sequence[str]


def present(pairs: t.Mapping[str, t.Any]) -> Document:
    """The fields that say something; what is empty is left to kubeadm."""
    return {key: value for key, value in pairs.items() if value not in ("", None, {}, [], ())}


def arguments(args: Args, api: str, where: str) -> t.Any:
    """Flags as the format wants them: a map, or a list in which a flag may come more than once."""
    flags = [
        (name, str(value))
        for name, values in args.items()
        for value in (values if isinstance(values, (list, tuple)) else [values])
        if value not in ("", None)
    ]
    if api != V1BETA3:
        return [{"name": name, "value": value} for name, value in flags]
    found = dict(flags)
    if len(found) != len(flags):
        twice = next(name for name in found if sum(name == other for other, dummy in flags) > 1)
        raise ConfigError(
            f"{where} has {twice} more than once, which takes {api}'s successor, with kubeadm 1.31 or newer."
        )
    return found


def newer(values: t.Mapping[str, t.Any], api: str) -> Document:
    """Fields that only the newer format has; refused in the older one."""
    found = present(values)
    if found and api == V1BETA3:
        raise ConfigError(f"{next(iter(found))} is nothing that {api} knows; it takes kubeadm 1.31 or newer.")
    return found


def timeouts(values: t.Mapping[str, str], api: str) -> Document:
    """The part timeouts; the older format has two of them, elsewhere."""
    unknown = sorted(set(values) - set(TIMEOUTS))
    if unknown:
        raise ConfigError(f"timeouts has '{unknown[0]}', which is none of {', '.join(TIMEOUTS)}.")
    if api != V1BETA3:
        return present({TIMEOUTS[name]: value for name, value in values.items()})
    late = sorted(name for name, value in values.items() if value and name not in OLD_TIMEOUTS)
    if late:
        raise ConfigError(f"timeouts has '{late[0]}', which {api} does not know; it takes kubeadm 1.31 or newer.")
    return {}


def registration(node: Node, api: str) -> Document:
    found = present(
        {
            "name": node.name,
            "criSocket": node.cri_socket,
            "kubeletExtraArgs": arguments(node.kubelet_args, api, "kubelet_args"),
            "ignorePreflightErrors": list(node.ignore_preflight_errors),
        }
    )
    found.update(newer({"imagePullSerial": node.image_pull_serial}, api))
    if node.taints is not None:
        # an empty list is a statement of its own: no taints
        found["taints"] = [dict(taint) for taint in node.taints]
    return found


def common(node: Node, api: str) -> Document:
    """What init and join have alike."""
    return present(
        {
            "nodeRegistration": registration(node, api),
            "patches": present({"directory": node.patches}),
            "skipPhases": list(node.skip_phases),
            "timeouts": timeouts(node.timeouts, api),
        }
    )


def local_endpoint(node: Node) -> Document:
    return present({"advertiseAddress": node.advertise_address, "bindPort": node.port})


def etcd(cluster: Cluster, api: str) -> Document:
    if not cluster.etcd_external:
        sans = list(cluster.etcd_cert_sans)
        local = present(
            {"extraArgs": arguments(cluster.etcd_args, api, "etcd_args"), "serverCertSANs": sans, "peerCertSANs": sans}
        )
        return present({"local": local})
    if cluster.etcd_args or cluster.etcd_cert_sans:
        raise ConfigError("etcd_external is given, so etcd_args and etcd_cert_sans say nothing; leave them away.")
    names = {"endpoints": "endpoints", "ca_file": "caFile", "cert_file": "certFile", "key_file": "keyFile"}
    unknown = sorted(set(cluster.etcd_external) - set(names))
    if unknown or not cluster.etcd_external.get("endpoints"):
        what = f"has '{unknown[0]}', which is none" if unknown else "has no endpoints, which is one"
        raise ConfigError(f"etcd_external {what} of {', '.join(names)}.")
    return {"external": present({names[key]: value for key, value in cluster.etcd_external.items()})}


def cluster_document(cluster: Cluster, node: Node, api: str) -> Document:
    apiserver = present(
        {"certSANs": list(cluster.cert_sans), "extraArgs": arguments(cluster.apiserver_args, api, "apiserver_args")}
    )
    if api == V1BETA3:
        apiserver.update(present({"timeoutForControlPlane": node.timeouts.get(OLD_TIMEOUTS[0], "")}))
    found = present(
        {
            "kubernetesVersion": cluster.version,
            "clusterName": cluster.cluster_name,
            "controlPlaneEndpoint": cluster.endpoint,
            "imageRepository": cluster.image_repository,
            "certificatesDir": cluster.certificates_dir,
            "networking": present(
                {
                    "dnsDomain": cluster.dns_domain,
                    "serviceSubnet": cluster.service_subnet,
                    "podSubnet": cluster.pod_subnet,
                }
            ),
            "etcd": etcd(cluster, api),
            "apiServer": apiserver,
            "controllerManager": present(
                {"extraArgs": arguments(cluster.controller_manager_args, api, "controller_manager_args")}
            ),
            "scheduler": present({"extraArgs": arguments(cluster.scheduler_args, api, "scheduler_args")}),
            "featureGates": dict(cluster.feature_gates),
        }
    )
    found.update(
        newer(
            {
                "certificateValidityPeriod": cluster.certificate_validity,
                "caCertificateValidityPeriod": cluster.ca_certificate_validity,
                "encryptionAlgorithm": cluster.encryption_algorithm,
                "dns": present({"disabled": cluster.dns_disabled or None}),
                "proxy": present({"disabled": cluster.proxy_disabled or None}),
            },
            api,
        )
    )
    return found


def init_documents(cluster: Cluster, node: Node, api: str) -> t.List[Document]:
    """The file for init; every master can have it, with its own address."""
    init = {
        "localAPIEndpoint": local_endpoint(node),
        **common(node, api),
        **present({"certificateKey": node.certificate_key}),
    }
    return [
        document(api, "InitConfiguration", init),
        document(api, "ClusterConfiguration", cluster_document(cluster, node, api)),
        {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "cgroupDriver": cluster.cgroup_driver,
        },
    ]


def join_documents(node: Node, discovery: Discovery, control_plane: bool, api: str) -> t.List[Document]:
    """The file for join. The cluster is always known by the hash of its CA, and never only by its address."""
    if not discovery.ca_cert_hashes:
        raise ConfigError("ca_cert_hashes is empty; without it a machine would join whatever answers at the endpoint.")
    found: Document = {
        "discovery": {
            "bootstrapToken": {
                "apiServerEndpoint": discovery.endpoint,
                "token": discovery.token,
                "caCertHashes": list(discovery.ca_cert_hashes),
            }
        },
        **common(node, api),
    }
    if api == V1BETA3:
        found["discovery"].update(present({"timeout": node.timeouts.get("discovery", "")}))
    if control_plane:
        found["controlPlane"] = {
            "localAPIEndpoint": local_endpoint(node),
            **present({"certificateKey": node.certificate_key}),
        }
    return [document(api, "JoinConfiguration", found)]


def document(api: str, kind: str, fields: Document) -> Document:
    return {"apiVersion": f"{GROUP}/{api}", "kind": kind, **fields}


def merged(documents: t.Sequence[Document], extra: t.Mapping[str, t.Any]) -> t.List[Document]:
    """The documents with the user's own fields, by kind. A kind that is not there is a document of its own where it says its version."""
    found = [deep(one, extra.get(one["kind"]) or {}) for one in documents]
    kinds = {one["kind"] for one in documents}
    for kind, fields in extra.items():
        if kind not in kinds:
            if not isinstance(fields, dict) or "apiVersion" not in fields:
                raise ConfigError(
                    f"extra has the kind '{kind}' without an apiVersion; known are {', '.join(sorted(kinds))}."
                )
            found.append({"apiVersion": fields["apiVersion"], "kind": kind, **fields})
    return found


def deep(base: t.Any, over: t.Any) -> t.Any:
    """Mappings are merged; anything else is replaced."""
    if isinstance(base, dict) and isinstance(over, dict):
        return {**base, **{key: deep(base.get(key), value) for key, value in over.items()}}
    return over


def masked(text: str, secrets: t.Iterable[str]) -> str:
    """Without what nobody may read."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, "********")
    return text
