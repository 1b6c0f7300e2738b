# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Objects of an ingress as they were written in 2017, as today's; and in sentences what can't be carried over. Pure.

What was: ingress-nginx 0.9, Kubernetes before 1.16, the first cloud controller of Alibaba Cloud. What is: apps/v1, networking.k8s.io/v1,
and the annotations in kebab case that the cloud controller reads today.
"""

from __future__ import annotations

import copy
import re
import typing as t

Data = t.Dict[str, t.Any]
Notes = t.List[str]

OLD, STILL_READ = (
    "service.beta.kubernetes.io/alicloud-loadbalancer-",
    "service.beta.kubernetes.io/alibaba-cloud-loadbalancer-",
)
#: The names of the first cloud controller (its own test of them), as they are today. None: nothing reads it any more.
ANNOTATIONS: t.Mapping[str, str | None] = {
    "ProtocolPort": "protocol-port",
    "AddressType": "address-type",
    "SLBNetworkType": None,
    "ChargeType": "charge-type",
    "Region": None,
    "Bandwidth": "bandwidth",
    "CertID": "cert-id",
    "HealthCheckFlag": "health-check-flag",
    "HealthCheckType": "health-check-type",
    "HealthCheckURI": "health-check-uri",
    "HealthCheckConnectPort": "health-check-connect-port",
    "HealthyThreshold": "healthy-threshold",
    "UnhealthyThreshold": "unhealthy-threshold",
    "HealthCheckInterval": "health-check-interval",
    "HealthCheckConnectTimeout": "health-check-connect-timeout",
    "HealthCheckTimeout": "health-check-timeout",
}
WHY_NOT = {
    "SLBNetworkType": "an SLB is in a VPC or public today, which address-type says",
    "Region": "an SLB is made in the region of its cluster",
}
CLASS = "kubernetes.io/ingress.class"
#: What ingress-nginx called its annotations before and since 0.9.
BEFORE_0_9, SINCE_0_9 = "ingress.kubernetes.io/", "nginx.ingress.kubernetes.io/"
CLASS_CONTROLLERS = {"ingress_nginx": "k8s.io/ingress-nginx", "traefik": "traefik.io/ingress-controller"}
#: What the API server writes, and nobody should write to another cluster.
SERVER_S_OWN = ("creationTimestamp", "generation", "managedFields", "resourceVersion", "selfLink", "uid")
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
#: Where Deployment and DaemonSet came from, and Ingress.
OLD_WORKLOADS = ("extensions/v1beta1", "apps/v1beta1", "apps/v1beta2")
OLD_INGRESS = ("extensions/v1beta1", "networking.k8s.io/v1beta1")


def convert(objects: t.Iterable[Data | None], controller: str = "ingress_nginx", https: str = "tcp") -> Data:
    """Today's objects, and notes: a sentence for all that somebody has to know or do.

    controller, ingress_nginx or traefik, reads the new objects. https says what becomes of plain HTTP on port 443: tcp passes
    connections on, any other value is the id of a certificate with which the SLB ends TLS.
    Raises ValueError for a controller that is none of them.
    """
    if controller not in CLASS_CONTROLLERS:
        raise ValueError(f"controller is '{controller}'; it has to be one of {', '.join(CLASS_CONTROLLERS)}")
    notes: Notes = []
    made: list[Data] = []
    classes: dict[str, None] = {}
    for item in _each(objects):
        new = _stripped(item)
        kind, version = new.get("kind"), new.get("apiVersion")
        if controller != "ingress_nginx" and _is_controller(new):
            notes.append(
                f"{_title(new)}: left out, for it runs ingress-nginx; deploy_ingress_frontend renders {controller} instead of it."
            )
            continue
        if kind == "Service":
            _service(new, https, notes)
        elif kind == "ReplicationController":
            new = _replication_controller(new, notes)
        elif kind in ("Deployment", "DaemonSet") and version in OLD_WORKLOADS:
            new["apiVersion"] = "apps/v1"
            new["spec"]["selector"] = _selector(new["spec"])
        elif kind == "Ingress":
            if version in OLD_INGRESS:
                _ingress(new, notes)
            classes.update(dict.fromkeys(_class_of(new)))
            _ingress_annotations(new, controller, notes)
        made.append(new)
    there = {entry["metadata"]["name"] for entry in made if entry.get("kind") == "IngressClass"}
    made = [_ingress_class(name, controller) for name in classes if name not in there] + made
    return {"objects": made, "notes": notes}


def _each(objects: t.Iterable[Data | None]) -> t.Iterator[Data]:
    """All objects, those of lists too; a file may have empty parts."""
    for item in objects:
        if item and item.get("kind") == "List":
            yield from item.get("items") or ()
        elif item:
            yield item


def _title(item: Data) -> str:
    metadata = item.get("metadata") or {}
    where = f"{metadata['namespace']}/" if metadata.get("namespace") else ""
    return f"{item.get('kind')} {where}{metadata.get('name')}"


def _stripped(item: Data) -> Data:
    """A copy without what the API server wrote."""
    new = copy.deepcopy(item)
    new.pop("status", None)
    metadata = new.setdefault("metadata", {})
    for key in SERVER_S_OWN:
        metadata.pop(key, None)
    (metadata.get("annotations") or {}).pop(LAST_APPLIED, None)
    return new


def _service(new: Data, https: str, notes: Notes) -> None:
    """The annotations that tell the cloud controller what SLB it has to make."""
    annotations = new["metadata"].get("annotations") or {}
    mine = {key: value for key, value in annotations.items() if key.startswith((OLD, STILL_READ))}
    if not mine:
        return
    found: dict[str, str] = {}
    for key, value in mine.items():
        name = key.removeprefix(OLD).removeprefix(STILL_READ)
        today = ANNOTATIONS.get(name, kebab(name))
        if today is None:
            notes.append(f"{_title(new)}: {name} '{value}' is left out; {WHY_NOT[name]}.")
            continue
        if name not in ANNOTATIONS and name != today:
            notes.append(
                f"{_title(new)}: {name} is no annotation that is known; it became {today}, look whether anything reads it."
            )
        found[today] = str(value)
    _no_plain_http_on_443(new, found, https, notes)
    if found.get("health-check-flag") == "off":
        found["health-check-flag"] = "on"
        found.setdefault("health-check-type", "tcp")
        notes.append(
            f"{_title(new)}: HealthCheckFlag 'off' became 'on'; without checks a node that is down keeps its share of the requests."
        )
    kept = {key: value for key, value in annotations.items() if key not in mine}
    new["metadata"]["annotations"] = {**kept, **{STILL_READ + key: value for key, value in found.items()}}


def kebab(name: str) -> str:
    """HealthCheckURI -> health-check-uri."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", name).lower()


def _no_plain_http_on_443(new: Data, found: dict[str, str], https: str, notes: Notes) -> None:
    """The mistake of 2017: a browser that says https gets nothing but an error from a port that speaks plain HTTP."""
    protocols = [part.strip() for part in found.get("protocol-port", "").split(",") if part.strip()]
    if "http:443" not in protocols:
        return
    if https == "tcp":
        protocols[protocols.index("http:443")] = "tcp:443"
        say = "'http:443' became 'tcp:443': it was plain HTTP on the port of TLS; the controller ends TLS, with its own certificate"
    else:
        protocols[protocols.index("http:443")] = "https:443"
        found["cert-id"] = https
        say = f"'http:443' became 'https:443' with the certificate {https}: it was plain HTTP on the port of TLS"
        if "http:80" in protocols:
            found["forward-port"] = "80:443"
            say += ", and port 80 leads to https"
        _plain_behind(new)
    found["protocol-port"] = ",".join(protocols)
    notes.append(f"{_title(new)}: {say}.")


def _plain_behind(new: Data) -> None:
    """Where the SLB has ended TLS, its port 443 has to lead to the port of plain HTTP."""
    ports = {port["port"]: port for port in (new.get("spec") or {}).get("ports") or ()}
    if 443 in ports and 80 in ports:
        ports[443]["targetPort"] = ports[80].get("targetPort", 80)


def _selector(spec: Data) -> Data:
    """What apps/v1 wants to be said: which pods are meant."""
    selector = spec.get("selector")
    if selector and ("matchLabels" in selector or "matchExpressions" in selector):
        return dict(selector)
    return {"matchLabels": dict(selector or spec["template"]["metadata"]["labels"])}


def _replication_controller(new: Data, notes: Notes) -> Data:
    """On the host network one pod for each node, for two of them can't have one port; anything else as many as there were."""
    spec = new["spec"]
    pod = spec["template"]["spec"]
    made = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": new["metadata"]}
    selector = {"selector": _selector(spec)}
    if not pod.get("hostNetwork"):
        return {**made, "spec": {"replicas": spec.get("replicas", 1), **selector, "template": spec["template"]}}
    where = (
        "its nodeSelector chooses"
        if pod.get("nodeSelector")
        else "there is; give it a nodeSelector for those that the SLB leads to"
    )
    notes.append(
        f"{_title(new)}: {spec.get('replicas', 1)} replicas on the host network became a DaemonSet, one pod on every node that {where}."
    )
    # without it pods on the host network ask the host's own resolver, which does not know Services
    pod.setdefault("dnsPolicy", "ClusterFirstWithHostNet")
    strategy = {"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1}}}
    made = {**made, "kind": "DaemonSet", "spec": {**selector, **strategy, "template": spec["template"]}}
    for container in pod.get("containers") or ():
        if _runs_ingress_nginx(container):
            _unquoted(container, _title(made), notes)
            notes.append(
                f"{_title(made)}: the image {container.get('image')} can't read networking.k8s.io/v1, and ingress-nginx is retired since"
                " March 2026; take its last version from a registry of yours, or better Traefik by deploy_ingress_frontend."
            )
    return made


def _unquoted(container: Data, title: str, notes: Notes) -> None:
    """No shell takes quotes away from an argument, so they were part of the name of a class."""
    for index, word in enumerate(container.get("args") or ()):
        plain = re.sub(r'^(--[a-z-]+=)"(.*)"$', r"\1\2", str(word))
        if plain != word:
            container["args"][index] = plain
            notes.append(f"{title}: {word} became {plain}; quotes within an argument are part of its value.")


def _runs_ingress_nginx(container: Data) -> bool:
    words = [*(container.get("command") or ()), *(container.get("args") or ())]
    return any("nginx-ingress-controller" in str(word) for word in (container.get("image", ""), *words))


def _is_controller(item: Data) -> bool:
    """Whether an object runs ingress-nginx."""
    pod = ((item.get("spec") or {}).get("template") or {}).get("spec") or {}
    return any(_runs_ingress_nginx(container) for container in pod.get("containers") or ())


def _ingress(new: Data, notes: Notes) -> None:
    """Backends and paths as networking.k8s.io/v1 has them."""
    new["apiVersion"] = "networking.k8s.io/v1"
    spec = new.setdefault("spec", {})
    if "backend" in spec:
        spec["defaultBackend"] = _backend(spec.pop("backend"))
    for rule in spec.get("rules") or ():
        for path in (rule.get("http") or {}).get("paths") or ():
            path["backend"] = _backend(path["backend"])
            # the old controller took a path as the beginning of a URL, or as a regular expression
            path.setdefault("pathType", "ImplementationSpecific" if path.get("path") else "Prefix")
            path.setdefault("path", "/")
    annotations = new["metadata"].get("annotations") or {}
    name = annotations.pop(CLASS, None)
    if name:
        spec["ingressClassName"] = name
    if not spec.get("ingressClassName"):
        notes.append(
            f"{_title(new)}: no class is named; give ingressClassName, or a default IngressClass has to serve it."
        )
    if not annotations:
        new["metadata"].pop("annotations", None)
    if not spec.get("tls"):
        notes.append(
            f"{_title(new)}: it has no tls, so clients that come by https get the controller's own certificate, which browsers warn of."
        )


def _backend(backend: Data) -> Data:
    if "serviceName" not in backend:
        return backend
    port = backend["servicePort"]
    number = isinstance(port, int) or str(port).isdigit()
    return {"service": {"name": backend["serviceName"], "port": {"number": int(port)} if number else {"name": port}}}


def _class_of(new: Data) -> list[str]:
    name = (new.get("spec") or {}).get("ingressClassName")
    return [name] if name else []


def _ingress_annotations(new: Data, controller: str, notes: Notes) -> None:
    """What ingress-nginx is told by annotations has today's prefix; no other controller reads it."""
    annotations = new["metadata"].get("annotations") or {}
    for key in [key for key in annotations if key.startswith((BEFORE_0_9, SINCE_0_9))]:
        name = key.removeprefix(BEFORE_0_9).removeprefix(SINCE_0_9)
        value = annotations.pop(key)
        if controller != "ingress_nginx":
            notes.append(
                f"{_title(new)}: the annotation {name} '{value}' is left out; {controller} does this by objects of its own."
            )
            continue
        annotations[SINCE_0_9 + name] = value
        if name == "rewrite-target" and "$" not in str(value):
            notes.append(
                f"{_title(new)}: rewrite-target '{value}' replaces the whole path since 0.22; what has to stay of it needs a group in"
                " path, and $1 here."
            )
    if not annotations:
        new["metadata"].pop("annotations", None)


def _ingress_class(name: str, controller: str) -> Data:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "IngressClass",
        "metadata": {"name": name},
        "spec": {"controller": CLASS_CONTROLLERS[controller]},
    }
