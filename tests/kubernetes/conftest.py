# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real kube-apiserver with etcd and the controller of DaemonSets, as plain processes on loopback: what it takes to judge manifests."""

from __future__ import annotations

import collections.abc
import contextlib
import dataclasses
import json
import os
import pathlib
import secrets
import socket
import subprocess
import sys
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "cfha" / "kubernetes"
#: Seconds in which an API server has to be ready; a busy machine takes half of them.
PATIENCE = 120


@dataclasses.dataclass(frozen=True)
class Cluster:
    """kubectl, and the kubeconfig of somebody who may do everything."""

    kubectl: pathlib.Path
    kubeconfig: pathlib.Path

    def run(self, *arguments: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run kubectl."""
        command = [str(self.kubectl), f"--kubeconfig={self.kubeconfig}", *arguments]
        return subprocess.run(command, input=text, capture_output=True, text=True, check=False)

    def judge(self, manifests: str) -> subprocess.CompletedProcess[str]:
        """What the server would say of manifests, down to the last field."""
        options = ("--server-side", "--dry-run=server", "--validate=strict", "--force-conflicts")
        return self.run("apply", *options, "--filename=-", text=manifests)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def write_kubeconfig(file: pathlib.Path, port: int, token: str) -> None:
    server = {"server": f"https://127.0.0.1:{port}", "certificate-authority": str(file.parent / "apiserver.crt")}
    content = {
        "apiVersion": "v1", "kind": "Config", "current-context": "test",
        "clusters": [{"name": "test", "cluster": server}],
        "users": [{"name": "test", "user": {"token": token}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
    }  # fmt: skip
    file.touch(0o600)
    file.write_text(json.dumps(content))


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> collections.abc.Iterator[Cluster]:
    """An API server without a single node."""
    builder = ROOT / "roles/lab_hosts/files/lab_kubernetes.py"
    found = subprocess.run([sys.executable, "-B", builder, "path", CACHE], capture_output=True, text=True, check=True)
    programs = pathlib.Path(found.stdout.strip())
    assert programs.is_dir(), f"Kubernetes is not built; run {builder} build {CACHE}"
    directory = tmp_path_factory.mktemp("cluster")
    key, token, kubeconfig = directory / "sa.key", secrets.token_hex(16), directory / "kubeconfig"
    subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)
    tokens = directory / "tokens.csv"
    tokens.touch(0o600)
    tokens.write_text(f"{token},test,test,system:masters\n")
    store, peer, port = free_port(), free_port(), free_port()
    write_kubeconfig(kubeconfig, port, token)
    commands = [
        [programs / "etcd", f"--data-dir={directory}/etcd", f"--listen-client-urls=http://127.0.0.1:{store}",
         f"--advertise-client-urls=http://127.0.0.1:{store}", f"--listen-peer-urls=http://127.0.0.1:{peer}",
         f"--initial-advertise-peer-urls=http://127.0.0.1:{peer}", f"--initial-cluster=default=http://127.0.0.1:{peer}"],
        [programs / "real/kube-apiserver", f"--etcd-servers=http://127.0.0.1:{store}", "--bind-address=127.0.0.1", f"--secure-port={port}",
         f"--cert-dir={directory}", f"--token-auth-file={tokens}", "--authorization-mode=RBAC", "--service-account-issuer=https://test",
         f"--service-account-key-file={key}", f"--service-account-signing-key-file={key}", "--service-cluster-ip-range=192.0.2.0/24"],
        [programs / "real/kube-controller-manager", f"--kubeconfig={kubeconfig}", "--controllers=daemonset-controller,serviceaccount-controller",
         "--leader-elect=false", "--secure-port=0"],
    ]  # fmt: skip
    with contextlib.ExitStack() as stack:
        made = Cluster(programs / "kubectl", kubeconfig)
        for command in commands:
            log = stack.enter_context((directory / f"{pathlib.Path(command[0]).name}.log").open("w"))
            process = subprocess.Popen([str(word) for word in command], stdout=log, stderr=subprocess.STDOUT)
            stack.callback(ended, process)
            if "apiserver" in str(command[0]):
                wait_until_ready(made, directory)
        yield made


def ended(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def wait_until_ready(cluster: Cluster, directory: pathlib.Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while cluster.run("get", "--raw=/readyz").returncode:
        assert time.monotonic() < deadline, (directory / "kube-apiserver.log").read_text()[-3000:]
        time.sleep(0.5)
