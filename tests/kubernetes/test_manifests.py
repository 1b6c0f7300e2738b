# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The manifests of an ingress front end, and what becomes of old ones, before a real kube-apiserver with strict validation of fields."""

from __future__ import annotations

import json
import os
import pathlib
import re
import subprocess
import sys
import typing as t

import pytest
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
SEED = ROOT / "tests/unit/plugins/module_utils/ingress/golden/seed.txt"
BASE = {
    "ingress_frontend_name": "prod-ingress",
    "ingress_frontend_hostname": "echo.example.com",
    "ingress_frontend_class": "nginx-1",
    "ingress_frontend_demo": True,
}
CASES: dict[str, dict[str, t.Any]] = {
    "traefik": {},
    "traefik_layer_7": {
        "ingress_frontend_layer": 7,
        "ingress_frontend_certificate": "/etc/ssl/front.pem",
        "ingress_frontend_default_class": True,
        "ingress_frontend_tolerations": [{"key": "edge", "operator": "Exists", "effect": "NoSchedule"}],
    },
    "ingress_nginx": {
        "ingress_frontend_controller": "ingress_nginx",
        "ingress_frontend_image": "example.com/ingress-nginx:1.12",
        "ingress_frontend_demo_secret": "echo-tls",
    },
    "other": {
        "ingress_frontend_controller": "other",
        "ingress_frontend_image": "example.com/controller:1",
        "ingress_frontend_class_controller": "example.com/controller",
        "ingress_frontend_health_port": 9000,
        "ingress_frontend_health_path": "/ready",
        "ingress_frontend_files": {"edge.conf": "# first: 'line'\nlisten 80;\n", "other.yml": "a: b"},
        "ingress_frontend_args": ["--class=nginx-1", "--text=\"quoted\""],
    },
}
INVENTORY = {
    "all": {
        "children": {
            "ingress": {"hosts": {f"ingress-{number}": {"private_ip": f"192.0.2.6{number}"} for number in (1, 2)}}
        }
    }
}


def played(directory: pathlib.Path, play: str | list[dict[str, t.Any]], *arguments: str, **variables: t.Any) -> str:
    """Run a playbook of the collection, or a play of the test's own, to its end."""
    (directory / "inventory.json").write_text(json.dumps(INVENTORY))
    if isinstance(play, list):
        (directory / "play.yml").write_text(json.dumps(play))
        play = str(directory / "play.yml")
    done = subprocess.run(
        [str(pathlib.Path(sys.executable).parent / "ansible-playbook"), "-i", str(directory / "inventory.json"), play,
         "-e", json.dumps({"ansible_python_interpreter": sys.executable, **variables}), *arguments],
        env={**os.environ, "ANSIBLE_NOCOLOR": "1"}, cwd=directory, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def changes(output: str) -> int:
    return sum(map(int, re.findall(r"changed=(\d+)", output)))


ROLE = "clusterfront.ha.ingress_frontend"
PLAY = [
    {
        "hosts": "localhost",
        "connection": "local",
        "gather_facts": False,
        "roles": [ROLE],
        "tasks": [{"ansible.builtin.include_role": {"name": ROLE, "tasks_from": "manifests"}}],
    }
]


@pytest.fixture(scope="module")
def namespace(cluster) -> None:
    """A dry run looks for the namespace of what it is given."""
    assert cluster.run("create", "namespace", "ingress-frontend").returncode == 0


NODES = ("ingress-1", "ingress-2")
LABEL = {"clusterfront.ha/ingress": "prod-ingress"}


def node(name: str) -> dict[str, t.Any]:
    """A node that nothing runs on, for there is no kubelet; the controller wants no pod where a taint keeps it away."""
    return {
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "spec": {"taints": [{"key": "test", "effect": "NoSchedule"}]},
    }  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_the_server_takes_them(cluster, namespace, tmp_path, case) -> None:
    file = tmp_path / "manifests.yml"
    played(tmp_path, PLAY, **BASE, **CASES[case], ingress_frontend_manifests_path=str(file))
    objects = [item for item in yaml.safe_load_all(file.read_text()) if item]
    judged = cluster.judge(file.read_text())
    print(f"{case}: {judged.stdout.count('serverside-applied (server dry run)')} of {len(objects)} objects taken")
    assert judged.returncode == 0 and not judged.stderr, judged.stderr
    assert judged.stdout.count("serverside-applied (server dry run)") == len(objects) >= 13
    # who is judged so strictly that one wrong word is found
    wrong = cluster.judge(file.read_text().replace("hostNetwork:", "hostNetworks:"))
    assert wrong.returncode != 0 and "hostNetworks" in wrong.stderr, wrong.stdout
    daemon_set = next(item for item in objects if item["kind"] == "DaemonSet")["spec"]["template"]["spec"]
    assert daemon_set["hostNetwork"] and daemon_set["dnsPolicy"] == "ClusterFirstWithHostNet"
    assert daemon_set["nodeSelector"] == LABEL


def test_they_are_applied_once(cluster, tmp_path) -> None:
    kubectl = {"ingress_frontend_kubectl": str(cluster.kubectl), "ingress_frontend_kubeconfig": str(cluster.kubeconfig)}
    variables = {**BASE, **kubectl, "ingress_frontend_apply": True, "ingress_frontend_namespace": "edge"}
    # the server lets no class change its controller, and other tests have theirs
    variables["ingress_frontend_class"] = "edge"
    (tmp_path / "nodes.yml").write_text(yaml.safe_dump_all(node(name) for name in NODES))
    assert cluster.run("apply", f"--filename={tmp_path}/nodes.yml").returncode == 0
    # the labels and the objects; a namespace that is yet to be made is no reason to fail
    assert changes(played(tmp_path, PLAY, "--check", **variables)) == 2
    assert cluster.run("get", "namespace", "edge").returncode != 0
    assert changes(played(tmp_path, PLAY, **variables)) == 2
    ((key, value),) = LABEL.items()
    labelled = cluster.run("get", "nodes", f"--selector={key}={value}", "--output=jsonpath={.items[*].metadata.name}")
    assert labelled.stdout.split() == list(NODES)
    assert changes(played(tmp_path, PLAY, **variables)) == 0
    changed = {**variables, "ingress_frontend_args": ["--log.level=INFO"]}
    assert changes(played(tmp_path, PLAY, "--check", **changed)) == 1
    assert "--log.level=INFO" not in cluster.run("--namespace=edge", "get", "daemonsets", "--output=yaml").stdout
    assert changes(played(tmp_path, PLAY, **changed)) == 1
    assert "--log.level=INFO" in cluster.run("--namespace=edge", "get", "daemonsets", "--output=yaml").stdout
    listed = cluster.run("get", "ingressclass", "edge", "--output=jsonpath={.spec.controller}")
    assert listed.stdout == "traefik.io/ingress-controller"


@pytest.mark.parametrize("controller", ["ingress_nginx", "traefik"])
def test_what_was_written_in_2017(cluster, tmp_path, controller) -> None:
    refused = cluster.judge(SEED.read_text())
    assert refused.returncode != 0 and 'no matches for kind "Ingress" in version "extensions/v1beta1"' in refused.stderr
    file = tmp_path / "today.yml"
    told = played(
        tmp_path, "clusterfront.ha.convert_ingress",
        convert_ingress_source=str(SEED), convert_ingress_path=str(file), convert_ingress_controller=controller,
    )  # fmt: skip
    assert "it was plain HTTP on the port of TLS" in told
    judged = cluster.judge(file.read_text())
    assert judged.returncode == 0 and not judged.stderr, judged.stderr
    assert judged.stdout.count("(server dry run)") == (5 if controller == "ingress_nginx" else 4)
