# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An edge on the host network of nodes: a DaemonSet that runs nginx with the configuration of its role, behind an SLB that ends TLS."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
import typing as t
from pathlib import Path

import pytest
from certificates import pair
from cluster import kubectl
from lab import (
    CLIENT,
    COLLECTIONS,
    ROOT,
    SANDBOX,
    Run,
    Traffic,
    control,
    failures,
    inside,
    on,
    playbook,
    podman,
    until,
    vip,
)
from templates import render_cases

NODES, APPLICATIONS = ("worker-1", "master-3"), {"master-1": "192.0.2.11", "master-2": "192.0.2.12"}
NAME, FRONT_END, IMAGE = "echo.example.com", "prod-ingress", "localhost/balancers:trixie"
ARCHIVE = Path(os.environ.get("CFHA_PLACE") or Path.home() / ".cache/cfha", "balancers.tar")
#: The same that the balancers' own scenarios use.
MAKE_ARCHIVE = [
    {
        "hosts": "localhost",
        "connection": "local",
        "gather_facts": False,
        "roles": ["clusterfront.ha.lab_hosts"],
        "vars": {
            "lab_hosts_sandbox": SANDBOX,
            "lab_hosts_archives": [
                {
                    "path": str(ARCHIVE),
                    "image": IMAGE,
                    "release": "trixie",
                    "packages": ["haproxy", "nginx", "libnginx-mod-stream"],
                }
            ],
        },
    }
]
#: The lab's kubelet has a user of its own, whom mount(8) does not let mount the token of a pod's account; it may become root for that.
AS_ROOT = """for program in mount umount; do
    printf '#!/bin/sh\nexec setpriv --reuid=0 /usr/bin/%s "$@"\n' $program > /usr/local/sbin/$program
    chmod 0755 /usr/local/sbin/$program
done"""
LISTENS = [
    {"name": "nobody", "mode": "http", "bind": [{"port": 80}], "respond": {}},
    {"name": "echo", "mode": "http", "bind": [{"port": 80}], "hosts": [NAME], "backend_port": 8080,
     "backends": [{"name": name, "address": address} for name, address in APPLICATIONS.items()],
     "trusted_proxies": ["100.64.0.0/10"], "forwarded_clients": True},
]  # fmt: skip

pytestmark = pytest.mark.thorough


@pytest.fixture(scope="module")
def variables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, t.Any]:
    """The front end: what the nodes run is an image and a configuration, as with any controller."""
    directory = tmp_path_factory.mktemp("edge")
    case = {
        "nginx_listens": LISTENS, "nginx_maxconn": 500, "__nginx_version": "1.26.3", "__nginx_stream": "static", "__nginx_modules_path": "",
    }  # fmt: skip
    text = render_cases(ROOT, COLLECTIONS, directory, "nginx", "nginx.conf.j2", {"edge": case})["edge"]
    made = pair("*.example.com")
    for name, part in (("front.pem", "certificate"), ("front.key", "private_key")):
        (directory / name).write_text(made[part])
    return {
        "ingress_frontend_controller": "other",
        "ingress_frontend_class_controller": "example.com/nginx",
        "ingress_frontend_image": IMAGE,
        "ingress_frontend_args": ["nginx", "-c", "/etc/ingress-controller/nginx.conf", "-g", "daemon off;"],
        "ingress_frontend_files": {"nginx.conf": text},
        "ingress_frontend_web_image": IMAGE,
        "ingress_frontend_health_port": 8889,
        "ingress_frontend_health_path": "/livez",
        "ingress_frontend_sites": [],
        "ingress_frontend_layer": 7,
        "ingress_frontend_certificate": str(directory / "front.pem"),
        "ingress_frontend_key": str(directory / "front.key"),
        "ingress_frontend_apply": True,
        "ingress_frontend_kubectl_host": CLIENT,
        "ingress_frontend_kubeconfig": "/etc/admin.conf",
        "ingress_frontend_drain_timeout": 30,
        "ingress_frontend_tolerations": [{"key": "node-role.kubernetes.io/control-plane", "operator": "Exists"}],
    }


@pytest.fixture(scope="module", autouse=True)
def machines() -> t.Iterator[None]:
    """The image on the nodes, for there is no registry, and two applications."""
    with tempfile.NamedTemporaryFile("w", suffix=".yml") as play:
        json.dump(MAKE_ARCHIVE, play)
        play.flush()
        made = playbook(Path(play.name))
    assert made.code == 0, made.output
    for name in NODES:
        on(name, AS_ROOT)
        podman("cp", str(ARCHIVE), f"{SANDBOX}-{name}:/opt/balancers.tar")
        on(name, "ctr --namespace k8s.io images import /opt/balancers.tar && rm /opt/balancers.tar")
    for name in APPLICATIONS:
        podman("cp", str(ROOT / "molecule/ingress/files/app.py"), f"{SANDBOX}-{name}:/usr/local/lib/app.py")
        on(name, f"systemd-run --unit=app /usr/bin/python3 -B /usr/local/lib/app.py {name}")
    yield
    for name in APPLICATIONS:
        on(name, "systemctl stop app", check=False)
    for name in NODES:
        on(name, "rm /usr/local/sbin/mount /usr/local/sbin/umount", check=False)
    kubectl("delete namespace ingress-frontend --wait=false", may_fail=True)


def run(name: str, variables: t.Mapping[str, t.Any], **more: t.Any) -> Run:
    """Run a playbook for the edge of the cluster."""
    return playbook(
        name, "-i", str(ROOT / "molecule/kubeadm/inventory.yml"), "-e", json.dumps({**variables, **more}),
        example=ROOT / "examples/ingress", inventory=ROOT / "examples/kubernetes/inventory.yml",
    )  # fmt: skip


def deployed(variables: t.Mapping[str, t.Any], **more: t.Any) -> Run:
    done = run("deploy_ingress_frontend", variables, **more)
    assert done.code == 0, done.output
    control("POST", "wait", {"timeout": 10})
    return done


def ask(url: str, *options: str) -> str:
    """Status, place and text of an answer; all names lead to the SLB."""
    name, address = url.split("/")[2], vip(FRONT_END)
    resolve = [part for port in (80, 443) for part in ("--resolve", f"{name}:{port}:{address}")]
    command = ["curl", "-sSk", "-m", "10", *resolve, "-w", "\n%{http_code} %{redirect_url}", *options, url]
    return subprocess.run(inside(CLIENT, *command), capture_output=True, text=True, check=False).stdout


def traffic(seconds: float) -> Traffic:
    return Traffic(seconds, CLIENT, 20, vip(FRONT_END), "443", "/", "--name", NAME)


def pods() -> dict[str, str]:
    """The pods that are ready, by their nodes."""
    shown = kubectl("-n ingress-frontend get pods -l app.kubernetes.io/name=ingress-controller -o json")
    return {
        item["spec"]["nodeName"]: item["metadata"]["name"]
        for item in json.loads(shown)["items"]
        if any(entry["type"] == "Ready" and entry["status"] == "True" for entry in item["status"].get("conditions", ()))
        and "deletionTimestamp" not in item["metadata"]
    }


def all_well() -> bool:
    states = [entry["state"] for entry in control("GET", "health") if entry["port"] == 443]
    return len(states) == 2 and set(states) == {"normal"}


def test_a_daemon_set_serves_behind_the_slb(variables) -> None:
    assert deployed(variables).changed >= 2
    assert deployed(variables).changed == 0
    assert set(pods()) == set(NODES)
    until(all_well, "health of both nodes")
    assert ask(f"https://{NAME}/").splitlines()[0] in APPLICATIONS
    headers = json.loads(ask(f"https://{NAME}/headers").splitlines()[0])
    assert headers["X-Forwarded-Proto"] == "https" and headers["X-Forwarded-For"].split(",")[0] == "192.0.2.31"
    assert ask("https://nobody.example.com/") == "default backend - 404\n\n404 "
    assert ask(f"http://{NAME}/page").split()[-1].startswith(f"https://{NAME}")


def test_a_pod_is_replaced_on_a_node_that_is_drained(variables) -> None:
    before = pods()
    load = traffic(240)
    assert deployed(variables, ingress_frontend_drained=["worker-1"]).changed >= 1
    kubectl(f"-n ingress-frontend delete pod {before['worker-1']}")
    until(lambda: pods().get("worker-1") not in (None, before["worker-1"]), "another pod", 90)
    deployed(variables)
    until(all_well, "health of both nodes")
    time.sleep(2)
    requests = load.stop()
    print(f"a pod replaced: {len(failures(requests))} of {len(requests)} requests failed")
    assert len(requests) > 200 and not failures(requests), failures(requests)[:5]


def test_a_node_leaves(variables) -> None:
    load = traffic(240)
    deployed(variables, ingress_frontend_nodes_group="remaining")
    until(lambda: set(pods()) == {"master-3"}, "one pod", 90)
    time.sleep(2)
    requests = load.stop()
    print(f"a node left: {len(failures(requests))} of {len(requests)} requests failed")
    assert len(requests) > 200 and not failures(requests), failures(requests)[:5]
    assert run("remove_frontend", variables).code == 0
