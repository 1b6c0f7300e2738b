# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine as kubeadm sees it: its files, its programs, and a run of kubeadm that outlives whoever began it."""

from __future__ import annotations

import contextlib
import glob
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
import time
import typing as t

from .api import KUBERNETES, ApiError, anonymous, kubeconfig_data
from .state import Found, remarks
from .versions import Version, parse

MARK = "/var/lib/clusterfront/kubeadm.json"
UNIT = "clusterfront-kubeadm.service"
RUN = "/run/clusterfront"
LOG = f"{RUN}/kubeadm.log"
CONFIG = f"{RUN}/kubeadm.yaml"
HOSTS = "/etc/hosts"
HOSTS_MARK = "# clusterfront.ha hosts_init"


class HostError(Exception):
    """One sentence for the user."""


def run(*command: str, timeout: float = 60.0) -> "subprocess.CompletedProcess[str]":
    """A command with its output; one that is missing or hangs is an answer of its own."""
    try:
        # plain Python that knows no AnsibleModule, so that tests and other tools can use it
        return subprocess.run(  # pylint: disable=ansible-bad-function
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            universal_newlines=True, check=False, timeout=timeout,
        )  # fmt: skip
    except FileNotFoundError:
        return subprocess.CompletedProcess(command, 127, "", f"{command[0]} is not installed")
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 124, "", f"{command[0]} took more than {timeout:g} seconds")


def program(name: str) -> str:
    """The path of kubeadm, or nothing where there is none."""
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/local/bin:/usr/bin") or ""


def version_of(kubeadm: str) -> t.Optional[Version]:
    """Its version; None where there is no kubeadm or it says nothing of the kind."""
    if not kubeadm:
        return None
    return parse(run(kubeadm, "version", "--output", "short").stdout)


def mark() -> t.Dict[str, str]:
    """What a run of ours has begun or ended on this machine."""
    try:
        with open(MARK, encoding="utf-8") as file:
            found = json.load(file)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def set_mark(**words: str) -> None:
    """Written beside and moved, so that a run that is killed leaves the old or the new one."""
    write_mark(f"{MARK}.new", words)
    os.replace(f"{MARK}.new", MARK)


def write_mark(path: str, words: t.Mapping[str, str]) -> None:
    os.makedirs(os.path.dirname(MARK), mode=0o700, exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        json.dump(words, file)
        file.flush()
        os.fsync(file.fileno())


def apiserver_answers(port: int) -> bool:
    """Whether the own apiserver says that it is ready."""
    with contextlib.suppress(ApiError):
        return anonymous("127.0.0.1", port, timeout=3.0).call("GET", "/readyz")[0] == 200
    return False


def found(port: int) -> Found:
    """What lies on this machine."""
    manifests = f"{KUBERNETES}/manifests"
    apiserver = os.path.exists(f"{manifests}/kube-apiserver.yaml")
    return Found(
        kubelet_conf=os.path.exists(f"{KUBERNETES}/kubelet.conf"),
        admin_conf=os.path.exists(f"{KUBERNETES}/admin.conf"),
        apiserver_manifest=apiserver,
        manifests=os.path.isdir(manifests) and bool(os.listdir(manifests)),
        doing=mark().get("doing", ""),
        ready=apiserver and apiserver_answers(port),
    )


def read(path: str) -> str:
    """A file's text, nothing where there is no file."""
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except OSError:
        return ""


def unprepared() -> t.List[str]:
    """What this machine lacks for a kubelet, in sentences."""
    net = "/proc/sys/net"
    return remarks(read("/proc/swaps"), read(f"{net}/ipv4/ip_forward"), read(f"{net}/bridge/bridge-nf-call-iptables"))


def fingerprint(path: str) -> str:
    """Tells one CA from another; nothing where there is none."""
    text = read(path)
    return hashlib.sha256(text.encode()).hexdigest()[:16] if text else ""


#: The kubelet's own, which it renews by itself.
KUBELET_CERTIFICATE = "/var/lib/kubelet/pki/kubelet-client-current.pem"


def certificates() -> t.Iterator[t.Tuple[str, str]]:
    """Every certificate of this machine as PEM, by the name that 'kubeadm certs check-expiration' or its file has."""
    pki = f"{KUBERNETES}/pki"
    for path in sorted(glob.glob(f"{pki}/*.crt") + glob.glob(f"{pki}/etcd/*.crt")):
        yield os.path.relpath(path, pki), read(path)
    for path in sorted(glob.glob(f"{KUBERNETES}/*.conf")):
        inside = kubeconfig_data(read(path), "client-certificate-data").decode("ascii", "replace")
        if inside:
            yield os.path.basename(path), inside
    if os.path.exists(KUBELET_CERTIFICATE):
        yield os.path.basename(KUBELET_CERTIFICATE), read(KUBELET_CERTIFICATE)


def has_etcd() -> bool:
    """Whether a member of a stacked etcd belongs to this machine."""
    return os.path.exists(f"{KUBERNETES}/manifests/etcd.yaml")


def unit_runs() -> bool:
    return run("systemctl", "is-active", UNIT).stdout.strip() in ("active", "activating", "deactivating")


def wait_for_unit(timeout: float) -> bool:
    """Wait for a kubeadm that an earlier run began; whether there was one."""
    if not unit_runs():
        return False
    deadline = time.monotonic() + timeout
    while unit_runs():
        if time.monotonic() > deadline:
            raise HostError(
                f"A kubeadm that an earlier run began is still at work after {timeout:g} seconds; see 'systemctl status {UNIT}'."
            )
        time.sleep(1)
    return True


@contextlib.contextmanager
def private_file(path: str, text: str) -> t.Iterator[None]:
    """A file with secrets, in memory, for as long as it is needed."""
    os.makedirs(RUN, mode=0o700, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            os.unlink(path)


def validate(kubeadm: str, text: str) -> t.Tuple[bool, str]:
    """What the real kubeadm says of a configuration: whether it is one, and its words."""
    with tempfile.NamedTemporaryFile("w", prefix="clusterfront-", suffix=".yaml", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        done = run(kubeadm, "config", "validate", "--config", file.name)
        words = (done.stderr.strip() or done.stdout.strip()).replace(file.name, "the configuration")
    return done.returncode == 0, words


def with_own_line(text: str, address: str, name: str) -> str:
    """A hosts file whose first line leads a name to an address; the first line wins."""
    return f"{address} {name} {HOSTS_MARK}\n" + without_own_line(text)


def without_own_line(text: str) -> str:
    return "".join(line for line in text.splitlines(True) if not line.rstrip().endswith(HOSTS_MARK))


def write_hosts(text: str) -> None:
    """In place, for the file may be a mount."""
    with open(HOSTS, "r+", encoding="utf-8") as file:
        file.write(text)
        file.truncate()


class Detour:
    """While init or join runs, the endpoint leads to this very machine: by a line of the hosts file, or by an address on the loopback."""

    def __init__(self, name: str, own_address: str) -> None:
        self.name, self.own_address = name, own_address
        self.by_address = bool(name) and all(part in "0123456789abcdefABCDEF:." for part in name)

    @property
    def clean_up(self) -> str:
        """The command that takes it back, for systemd to run when kubeadm has ended, however it did."""
        if self.by_address:
            return f"-/bin/sh -c 'ip address delete {self.name}/{self.bits} dev lo'"
        return f"-/bin/sed -i -e '/{HOSTS_MARK}/d' {HOSTS}"

    @property
    def bits(self) -> int:
        return 128 if ":" in self.name else 32

    def begin(self) -> None:
        if self.by_address:
            run("ip", "address", "replace", f"{self.name}/{self.bits}", "dev", "lo")
        else:
            write_hosts(with_own_line(read(HOSTS), self.own_address, self.name))

    def end(self) -> None:
        if self.by_address:
            run("ip", "address", "delete", f"{self.name}/{self.bits}", "dev", "lo")
        elif HOSTS_MARK in read(HOSTS):
            write_hosts(without_own_line(read(HOSTS)))


def kubeadm_run(command: t.Sequence[str], what: str, detour: t.Optional[Detour]) -> t.Tuple[int, str]:
    """Run kubeadm as a unit of its own. A lost connection does not end it, and the next run finds it and waits.

    That it is done is written by systemd itself, so nobody who looks later has to guess.
    """
    os.makedirs(RUN, mode=0o700, exist_ok=True)
    open(os.open(LOG, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8").close()
    write_mark(f"{MARK}.done", {"done": what})
    set_mark(doing=what)
    run("systemctl", "reset-failed", UNIT)
    properties = [
        "Type=oneshot",
        f"StandardOutput=append:{LOG}",
        f"StandardError=append:{LOG}",
        f"ExecStartPost=/bin/mv {MARK}.done {MARK}",
        f"ExecStopPost=-/bin/rm -f {CONFIG}",
    ]
    if detour:
        properties.append(f"ExecStopPost={detour.clean_up}")
        detour.begin()
    try:
        done = subprocess.run(  # pylint: disable=ansible-bad-function
            [
                "systemd-run", "--quiet", "--wait", "--collect", f"--unit={UNIT}",
                *(f"--property={one}" for one in properties), *command,
            ],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True, check=False,
        )  # fmt: skip
        return done.returncode, done.stdout + read(LOG)
    finally:
        if detour:
            detour.end()
        with contextlib.suppress(OSError):
            os.unlink(LOG)


GIVEN = "/var/lib/clusterfront/pki"


def keep_given_keys() -> None:
    """Keys and certificates that a user put there before init; a reset would take them away."""
    if os.path.isdir(f"{KUBERNETES}/pki") and not os.path.exists(GIVEN):
        os.makedirs(os.path.dirname(GIVEN), mode=0o700, exist_ok=True)
        shutil.copytree(f"{KUBERNETES}/pki", f"{GIVEN}.new", dirs_exist_ok=True)
        os.replace(f"{GIVEN}.new", GIVEN)


def reset(kubeadm: str, cri_socket: str, what: str) -> None:
    """Clear what a broken run left of this machine's own. What the cluster knows of it, a member forgets."""
    socket = ["--cri-socket", cri_socket] if cri_socket else []
    # an etcd that nobody else is a member of has nobody to ask
    skip = ["--skip-phases=remove-etcd-member"] if what == "init" else []
    done = run(kubeadm, "reset", "--force", *socket, *skip, timeout=300)
    if done.returncode:
        raise HostError(f"kubeadm reset failed: {(done.stderr.strip().splitlines() or ['it said nothing'])[-1]}")
    # reset leaves etcd's data where it found no manifest of it
    shutil.rmtree("/var/lib/etcd/member", ignore_errors=True)
    if what == "init" and os.path.isdir(GIVEN):
        shutil.copytree(GIVEN, f"{KUBERNETES}/pki", dirs_exist_ok=True)


def kubelet_lines(count: int = 200) -> t.List[str]:
    """The last of what the kubelet said that looks like a failure."""
    shown = run("journalctl", "-u", "kubelet", "-n", str(count), "--no-pager", "-o", "cat").stdout.splitlines()
    bad = [line for line in shown if " E" in line[:3] or line.startswith("E") or "failed" in line.lower()]
    return [line[:300] for line in bad[-8:]]
