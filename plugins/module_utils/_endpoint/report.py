# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The report of a front end: its layers and the matrix of probes as one piece of data, and as lines for a terminal. Pure."""

from __future__ import annotations

import dataclasses
import typing as t

from . import control_plane
from .certificate import days_left
from .control_plane import CERTIFICATE_DAYS, Master
from .diagnosis import EXPECTED, PROBLEM, SERVICES, Finding, Node, Service, by_severity, diagnose
from .probe import OPEN

Data = t.Dict[str, t.Any]
ENDPOINT = "endpoint"
READY = "/ready"
#: The kinds of front ends whose servers are masters of a cluster.
CONTROL_PLANES = ("kube_apiserver",)


def build(
    name: str,
    endpoint: str,
    cloud: t.Mapping[str, t.Any] | None,
    nodes: t.Sequence[t.Mapping[str, t.Any]],
    kind: str = "kube_apiserver",
    now: float | None = None,
    certificate_days: int = CERTIFICATE_DAYS,
    accepted: t.Collection[str] = (),
) -> Data:
    """The report.

    cloud has load_balancer (None where it is missing), listeners and backends, as the modules return them; it is None where the front
    end has no SLB. Each node has name, address, roles (server, load_balancer, other), backend, and probes (None where the node could not
    be reached). A server may have control_plane, what kubeadm_node_info tells with health, and a load balancer servers, what
    haproxy_server tells; both are None where nobody knows, and left out where nobody asks. kind is a key of SERVICES. now is in seconds since 1970, and
    certificates that end within certificate_days of it are told of. A problem whose code is accepted is expected: it follows from what the
    user has chosen.
    """
    service = SERVICES[kind]
    from_cloud = _cloud_findings(name, cloud, service) if cloud is not None else ()
    masters = (
        [_master(node, nodes, now) for node in nodes if "server" in node["roles"]] if kind in CONTROL_PLANES else []
    )
    found = [
        *from_cloud,
        *_unreached(nodes),
        *diagnose(_matrix(nodes), endpoint, service),
        *control_plane.findings(masters, endpoint.rpartition(":")[0].strip("[]"), certificate_days),
    ]
    findings = by_severity(
        (
            dataclasses.replace(finding, severity=EXPECTED)
            if finding.severity == PROBLEM and finding.code in accepted
            else finding
        )
        for finding in found
    )
    return {
        "name": name,
        "endpoint": endpoint,
        "healthy": not any(finding.severity == PROBLEM for finding in findings)
        and any(finding.code == "endpoint_reached" for finding in findings),
        "findings": [{**dataclasses.asdict(finding), "nodes": list(finding.nodes)} for finding in findings],
        "slb": cloud and {**cloud, "backends": [_named(backend, nodes) for backend in cloud.get("backends") or ()]},
        "load_balancers": [_tier_node(node, nodes) for node in nodes if "load_balancer" in node["roles"]],
        "servers": [_server(node, masters) for node in nodes if "server" in node["roles"]],
        "matrix": [
            {
                "node": node["name"],
                "target": met["name"],
                **{key: met[key] for key in ("result", "http_status", "seconds", "error")},
            }
            for node in nodes
            for met in node["probes"] or ()
        ],
    }


def _met(node: t.Mapping[str, t.Any], target: str) -> t.Mapping[str, t.Any]:
    return next((met for met in node["probes"] or () if met["name"] == target), {})


def _matrix(nodes: t.Sequence[t.Mapping[str, t.Any]]) -> list[Node]:
    """What the diagnosis needs of every node that could be reached."""
    return [
        Node(
            name=node["name"],
            endpoint=_met(node, ENDPOINT).get("result", ""),
            endpoint_status=_met(node, ENDPOINT).get("http_status"),
            local=_met(node, node["name"]).get("result") if "server" in node["roles"] else None,
            local_status=_met(node, node["name"]).get("http_status") if "server" in node["roles"] else None,
            backend=bool(node["backend"]),
        )
        for node in nodes
        if node["probes"]
    ]


def _unreached(nodes: t.Sequence[t.Mapping[str, t.Any]]) -> t.Iterator[Finding]:
    names = tuple(node["name"] for node in nodes if not node["probes"])
    if names:
        yield Finding(
            "node_unreached",
            PROBLEM,
            f"Ansible could not reach {', '.join(names)}; what that node meets is not known.",
            names,
        )


def _master(node: t.Mapping[str, t.Any], nodes: t.Sequence[t.Mapping[str, t.Any]], now: float | None) -> Master:
    """A master with the certificate that it serves, as the first node sees it that got one."""
    served = next((tls for one in nodes for tls in [_met(one, node["name"]).get("tls")] if tls), None) or {}
    left = None if now is None else days_left(served.get("not_after"), now)
    kept = {key: served.get(key) for key in ("not_after", "subject_alt_names")}
    return Master(
        node["name"], node["address"], node.get("control_plane") or {}, {**kept, "days_left": left} if served else {}
    )


def _cloud_findings(name: str, cloud: t.Mapping[str, t.Any], service: Service) -> t.Iterator[Finding]:
    instance = cloud.get("load_balancer")
    if instance is None:
        yield Finding("no_load_balancer", PROBLEM, f"The cloud has no load balancer {name}; run {service.playbook}.")
        return
    if instance.get("status") != "active":
        yield Finding(
            "load_balancer_inactive",
            PROBLEM,
            f"The load balancer {name} is {instance.get('status')}; it forwards nothing.",
        )
    for entry in cloud.get("listeners") or ():
        if entry.get("status") != "running":
            what = f"{entry['protocol']}/{entry['port']}"
            yield Finding(
                "listener_stopped", PROBLEM, f"The listener {what} is {entry.get('status')}; it forwards nothing."
            )
    sick = [backend for backend in cloud.get("backends") or () if backend["status"] == "abnormal"]
    well = [backend for backend in cloud.get("backends") or () if backend["status"] == "normal"]
    if sick and well:
        names = ", ".join(f"{backend['server_id']}:{backend['backend_port']}" for backend in sick)
        yield Finding(
            "backend_abnormal",
            PROBLEM,
            f"The cloud finds {len(sick)} backend(s) not well ({names}); the others carry the load.",
        )


def _named(backend: t.Mapping[str, t.Any], nodes: t.Sequence[t.Mapping[str, t.Any]]) -> Data:
    node = next((node["name"] for node in nodes if node["address"] == backend.get("private_ip")), None)
    return {**backend, "node": node}


def _tier_node(node: t.Mapping[str, t.Any], nodes: t.Sequence[t.Mapping[str, t.Any]]) -> Data:
    """A node of the tier as the first other node sees it, for nobody talks to himself in production."""
    seen = _seen(node["name"] + READY, nodes)
    return {
        "name": node["name"],
        "address": node["address"],
        "result": seen.get("result"),
        "ready": seen.get("result") == OPEN and seen.get("http_status") == 200,
        **({"servers": node["servers"]} if "servers" in node else {}),
    }


def _server(node: t.Mapping[str, t.Any], masters: t.Sequence[Master]) -> Data:
    local = _met(node, node["name"])
    master = next((master for master in masters if master.name == node["name"]), None)
    layers = {} if master is None else {"certificate": master.served or None, "control_plane": master.facts or None}
    return {
        "name": node["name"],
        "address": node["address"],
        "result": local.get("result"),
        "http_status": local.get("http_status"),
        "ready": local.get("result") == OPEN and local.get("http_status") == 200,
        "tls_version": (local.get("tls") or {}).get("version"),
        **layers,
    }


def _seen(target: str, nodes: t.Sequence[t.Mapping[str, t.Any]]) -> t.Mapping[str, t.Any]:
    return next((met for node in nodes if target != node["name"] + READY for met in [_met(node, target)] if met), {})


def lines(report: t.Mapping[str, t.Any]) -> list[str]:
    """The report for a terminal of 120 columns or more."""
    slb = report["slb"] or {}
    instance = slb.get("load_balancer")
    shown = [f"Front end {report['name']}: {report['endpoint']}"]
    if instance:
        shown[0] += f" -> {instance['address']} ({instance['id']}, {instance['status']})"
    for entry in slb.get("listeners") or ():
        shown.append(f"  SLB listener {entry['protocol']}/{entry['port']}: {entry['status']}")
    for backend in slb.get("backends") or ():
        label = f"{backend['private_ip'] or backend['server_id']}:{backend['backend_port']}"
        shown.append(f"    backend {backend['node'] or backend['server_id']} {label}: {backend['status']}")
    for balancer in report["load_balancers"]:
        sessions = f"; sessions: {_sessions(balancer['servers'])}" if "servers" in balancer else ""
        shown.append(f"  balancer {balancer['name']}: {_ready(balancer)}{sessions}")
    for server in report["servers"]:
        if "control_plane" in server:
            layers = Master(
                server["name"], server["address"], server["control_plane"] or {}, server["certificate"] or {}
            )
            shown.append(f"  master {server['name']}: {_ready(server)}; {control_plane.line(layers)}")
    shown += ["", *_table(report["matrix"]), "", "Diagnosis"]
    shown += [f"  {finding['severity']:<8}  {finding['message']}" for finding in report["findings"]] or [
        "  nothing to say"
    ]
    shown += ["", f"Healthy: {'yes' if report['healthy'] else 'no'}"]
    return shown


def _ready(entry: t.Mapping[str, t.Any]) -> str:
    return "ready" if entry["ready"] else "not ready"


def _sessions(servers: t.Sequence[t.Mapping[str, t.Any]] | None) -> str:
    """Those of every server, of all backends that have it."""
    if servers is None:
        return "not known"
    sums: dict[str, int] = {}
    for entry in servers:
        sums[entry["server"]] = sums.get(entry["server"], 0) + entry["sessions"]
    return ", ".join(f"{name} {count}" for name, count in sums.items()) or "no servers"


def _table(matrix: t.Sequence[t.Mapping[str, t.Any]]) -> list[str]:
    """One row for each node, one column for each target."""
    targets = list(dict.fromkeys(row["target"] for row in matrix))
    nodes = list(dict.fromkeys(row["node"] for row in matrix))
    cells = {(row["node"], row["target"]): _cell(row) for row in matrix}
    rows = [["from \\ to", *targets]] + [
        [node, *(cells.get((node, target), "-") for target in targets)] for node in nodes
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(targets) + 1)]
    return ["  " + "  ".join(text.ljust(width) for text, width in zip(row, widths)).rstrip() for row in rows]


def _cell(row: t.Mapping[str, t.Any]) -> str:
    return str(row["http_status"]) if row["http_status"] else str(row["result"])
