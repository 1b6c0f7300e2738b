# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real Kubernetes in the lab, as tests see it: deployed as a user does, asked by kubectl from the machine that is no node."""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import sys
import time
import typing as t

from lab import (
    CLIENT,
    ENDPOINT,
    EXAMPLE,
    MASTERS,
    PROXIES,
    RECOVERY,
    ROOT,
    SANDBOX,
    Run,
    Traffic,
    control,
    death_under,
    failures,
    link,
    on,
    podman,
    until,
    vip,
)

NODES = (*MASTERS, "worker-1")
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "cfha"
KUBECONFIG = pathlib.Path(f"/var/lib/{SANDBOX}/admin.conf")


def command(name: str | pathlib.Path, *arguments: str) -> list[str]:
    """How a user would run a playbook on the cluster's machines: one of the collection by its name, another by its path."""
    found = [
        str(pathlib.Path(sys.executable).parent / "ansible-playbook"),
        "-i",
        str(ROOT / "examples/kubernetes/inventory.yml"),
    ]
    found += [
        str(name) if isinstance(name, pathlib.Path) else f"clusterfront.ha.{name}",
        "-e",
        f"@{EXAMPLE}/vars.yml",
        "-e",
        f"@{ROOT}/examples/kubernetes/sandbox.yml",
    ]
    return [*found, "-e", f"kubeadm_endpoint_kubeconfig_path={KUBECONFIG}", *arguments]


def environment() -> dict[str, str]:
    return {**os.environ, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_CALLBACK_RESULT_FORMAT": "json"}


def play(name: str | pathlib.Path, *arguments: str, **variables: t.Any) -> Run:
    """Run a playbook to its end."""
    extra = ["-e", json.dumps(variables)] if variables else []
    done = subprocess.run(
        command(name, *arguments, *extra), cwd=ROOT, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, check=False, timeout=900, env=environment(),
    )  # fmt: skip
    return Run(done.returncode, done.stdout)


def killed_at(task: str, time_of_it: int, seconds: float, **variables: t.Any) -> bool:
    """Begin to deploy, and kill it with all that it has started here, so many seconds after a task has begun the so manieth time; whether
    it came to that."""
    process = subprocess.Popen(
        command("deploy_kube_apiserver", "-e", json.dumps(variables)), cwd=ROOT, text=True, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment(), start_new_session=True,
    )  # fmt: skip
    try:
        for line in process.stdout or ():
            time_of_it -= line.startswith("TASK [") and task in line
            if time_of_it == 0:
                time.sleep(seconds)
                return process.poll() is None
        return False
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def bundle() -> pathlib.Path:
    """Where the programs of Kubernetes are."""
    builder = ROOT / "roles/lab_hosts/files/lab_kubernetes.py"
    done = subprocess.run(
        [sys.executable, "-B", builder, "path", CACHE / "kubernetes"], capture_output=True, text=True, check=True
    )
    return pathlib.Path(done.stdout.strip())


def bring_kubectl() -> None:
    """Give the client kubectl and the kubeconfig that the playbook has fetched."""
    for source, target in ((bundle() / "kubectl", "/usr/bin/kubectl"), (KUBECONFIG, "/etc/admin.conf")):
        subprocess.run(["podman", "cp", source, f"{SANDBOX}-{CLIENT}:{target}"], check=True, stdout=subprocess.DEVNULL)


def kubectl(arguments: str, may_fail: bool = False) -> str:
    """kubectl on the machine that is no node, through the endpoint."""
    return on(CLIENT, f"kubectl --kubeconfig /etc/admin.conf --request-timeout 10s {arguments}", check=not may_fail)


def ready_nodes() -> list[str]:
    """The nodes that are ready."""
    shown = kubectl("get nodes --no-headers", may_fail=True)
    return sorted(line.split()[0] for line in shown.splitlines() if line.split()[1] == "Ready")


def etcd_members(name: str) -> list[str]:
    """The members of etcd as a master tells them; one that has not started has no name."""
    asked = (
        "curl -s --cacert /etc/kubernetes/pki/etcd/ca.crt --cert /etc/kubernetes/pki/apiserver-etcd-client.crt"
        " --key /etc/kubernetes/pki/apiserver-etcd-client.key -d '{}' https://127.0.0.1:2379/v3/cluster/member/list"
    )
    return sorted(member.get("name", "") for member in json.loads(on(name, asked))["members"])


#: What a machine that was made anew has not.
EMPTY = (
    "kubeadm reset --force --skip-phases=remove-etcd-member;"
    " rm -rf /etc/kubernetes/pki /etc/kubernetes/*.conf /var/lib/etcd/* /var/lib/clusterfront;"
    # a proxy of its own
    " systemctl disable --now haproxy nginx 2>/dev/null; true"
)


def emptied(names: t.Sequence[str] = NODES) -> None:
    """Machines with nothing of a cluster."""
    with concurrent.futures.ThreadPoolExecutor() as pool:
        list(pool.map(lambda name: on(name, EMPTY), names))


@dataclasses.dataclass(frozen=True)
class Kubernetes:
    """A cluster that was deployed with these variables."""

    variables: dict[str, t.Any]
    endpoint: str = ENDPOINT

    @property
    def port(self) -> int:
        return int(self.variables.get("kube_apiserver_endpoint_port", 6443))

    @property
    def target(self) -> tuple[str, str, str]:
        """What a request loop asks, through the SLB."""
        return vip(self.variables["kube_apiserver_name"]), str(self.port), "/version"


def restored() -> None:
    """Whatever was broken: every machine runs with its link, and everything is well again, without a hand on the cluster."""
    for name in (*NODES, *PROXIES):
        link(name, up=True)
        podman("start", f"{SANDBOX}-{name}")
    until(
        lambda: ready_nodes() == sorted(NODES) and {entry["state"] for entry in control("GET", "health")} == {"normal"},
        "recovery",
        180,
    )


def lost_under_load(name: str, die: t.Callable[[str], None], source: str = CLIENT, *target: str) -> None:
    """A machine dies while requests and a watch run; none that starts a while later fails, and etcd takes writes."""
    command = "kubectl --kubeconfig /etc/admin.conf get nodes --watch >/dev/null 2>&1"
    watch = subprocess.Popen(["podman", "exec", f"{SANDBOX}-{CLIENT}", "sh", "-c", command])
    requests, dead = death_under(Traffic(20, source, 10, *target), name, die)
    watch.terminate()
    watch.wait()
    assert not failures(requests, dead + RECOVERY)
    # a write needs etcd's quorum
    until(lambda: "probe" in kubectl("create configmap probe --dry-run=server -o name", may_fail=True), "a write", 30)
    assert len(ready_nodes()) >= 3


def timed(function: t.Callable[[], Run]) -> tuple[Run, float]:
    begin = time.monotonic()
    run = function()
    return run, time.monotonic() - begin
