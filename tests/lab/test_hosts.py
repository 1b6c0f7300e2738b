# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real hosts in a sandbox of their own, made by the role. Needs root and podman."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

SANDBOX = "cfha-lt"
ONE, TWO = f"{SANDBOX}-one", f"{SANDBOX}-two"
MACHINES = [{"name": "one"}, {"name": "two"}]
ADDRESS = {ONE: "192.0.2.1", TWO: "192.0.2.2"}
REPOSITORY = Path(__file__).resolve().parents[2]

missing = [command for command in ("podman", "mmdebstrap", "ip") if not shutil.which(command)]
if os.geteuid() != 0:
    missing.append("root")
why = f"real hosts can't be tried, for there is no {', no '.join(missing)}"
pytestmark = pytest.mark.skipif(bool(missing), reason=why)

RunRole = Callable[..., "subprocess.CompletedProcess[str]"]


def run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def on(host: str, command: str) -> str:
    return run("podman", "exec", host, "sh", "-c", command)


def containers() -> set[str]:
    return set(run("podman", "ps", "--format", "{{.Names}}").split())


def changes(done: subprocess.CompletedProcess[str]) -> int:
    assert done.returncode == 0, done.stdout + done.stderr
    return sum(map(int, re.findall(r"changed=(\d+)", done.stdout)))


def make_namespace(name: str) -> None:
    run("ip", "netns", "add", name)
    run("ip", "-n", name, "link", "set", "lo", "up")
    run("ip", "-n", name, "address", "add", f"{ADDRESS[name]}/32", "dev", "lo")


def clean() -> None:
    ours = run("podman", "ps", "--all", "--format", "{{.Names}}", "--filter", f"name=^{SANDBOX}-").split()
    if ours:
        run("podman", "rm", "-f", "-t", "0", "-v", *ours)
    for line in run("ip", "netns", "list").splitlines():
        if line.startswith(f"{SANDBOX}-"):
            run("ip", "netns", "delete", line.split()[0])
    shutil.rmtree(f"/var/lib/{SANDBOX}", ignore_errors=True)


@pytest.fixture(scope="module")
def play(tmp_path_factory: pytest.TempPathFactory) -> RunRole:
    """Runs the role once by ansible-playbook, under the collection's name."""
    directory = tmp_path_factory.mktemp("play")
    link = directory / "ansible_collections" / "clusterfront" / "ha"
    link.parent.mkdir(parents=True)
    link.symlink_to(REPOSITORY)
    environment = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(directory), "ANSIBLE_NOCOLOR": "1"}
    inventory = directory / "inventory.json"
    over_podman = 'ProxyCommand="podman exec -i %h /usr/sbin/sshd -i -f /etc/lab-ssh/sshd_config"'
    podman = {
        "ansible_user": "root",
        "ansible_python_interpreter": "/usr/bin/python3",
        "ansible_pipelining": True,
        "ansible_ssh_private_key_file": f"/var/lib/{SANDBOX}/ssh/key",
        "ansible_ssh_common_args": f"-o {over_podman} -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR",
    }
    local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    hosts: dict[str, Any] = {name: {"ansible_host": name, **podman} for name in (ONE, TWO)}
    inventory.write_text(json.dumps({"all": {"hosts": {"localhost": local, **hosts}}}))

    def run_role(*arguments: str, hosts: str = "localhost", entry: str = "main", **variables: Any) -> Any:
        task = {"ansible.builtin.include_role": {"name": "clusterfront.ha.lab_hosts", "tasks_from": entry}}
        settings = {"lab_hosts_sandbox": SANDBOX, "lab_hosts_machines": MACHINES, **variables}
        book = directory / "play.json"
        book.write_text(json.dumps([{"hosts": hosts, "gather_facts": False, "vars": settings, "tasks": [task]}]))
        command = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", str(inventory), str(book), *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    return run_role


@pytest.fixture(scope="module")
def namespaces() -> Iterator[None]:
    clean()
    try:
        for name in ADDRESS:
            make_namespace(name)
        yield
    finally:
        clean()


@pytest.fixture
def hosts(namespaces: None, play: RunRole) -> None:
    """Both hosts are up. The role does nothing where they already are."""
    changes(play())


def test_check_mode_predicts_and_makes_nothing(namespaces: None, play: RunRole) -> None:
    changes(play(lab_hosts_state="absent"))
    assert changes(play("--check")) == 1
    assert not {ONE, TWO} & containers()


def test_systemd_runs(hosts: None) -> None:
    for host in (ONE, TWO):
        assert on(host, "systemctl is-system-running") == "running"
        assert on(host, "cat /proc/sys/kernel/hostname") == host[len(SANDBOX) + 1 :]


def test_second_run_changes_nothing_and_is_quick(hosts: None, play: RunRole) -> None:
    begun = time.monotonic()
    assert changes(play()) == 0
    assert time.monotonic() - begun < 5


def test_packages_come_without_a_network(hosts: None) -> None:
    assert on(ONE, "ip route show") == ""
    on(ONE, "apt-get update && apt-get install -y haproxy")
    assert on(ONE, "systemctl is-active haproxy") == "active", "Debian starts a service that is installed"
    assert on(ONE, "ls /usr/sbin/policy-rc.d 2>/dev/null || true") == ""
    assert on(ONE, "apt-get indextargets --format '$(SITE)' | sort -u") == "file:/opt/packages"


def test_network_sysctls_are_the_hosts_own(hosts: None) -> None:
    key = "net.ipv4.conf.all.rp_filter"
    before = run("sysctl", "-n", key), on(TWO, f"sysctl -n {key}")
    other = "1" if on(ONE, f"sysctl -n {key}") != "1" else "0"
    on(ONE, f"sysctl -w {key}={other}")
    assert on(ONE, f"sysctl -n {key}") == other
    assert (run("sysctl", "-n", key), on(TWO, f"sysctl -n {key}")) == before


@pytest.mark.parametrize("key", ["vm.swappiness", "kernel.panic", "fs.file-max"])
def test_sysctls_of_the_machine_are_read_only(hosts: None, key: str) -> None:
    before = run("sysctl", "-n", key)
    with pytest.raises(subprocess.CalledProcessError):
        on(ONE, f"sysctl -w {key}={int(before) + 1}")
    assert run("sysctl", "-n", key) == before


def test_names_are_the_hosts_own(hosts: None) -> None:
    assert on(ONE, "cat /etc/hosts") == "127.0.0.1\tlocalhost\n127.0.1.1\tone"
    assert "nameserver" not in on(ONE, "cat /etc/resolv.conf")


def test_host_sees_no_cgroup_but_its_own(hosts: None) -> None:
    roots = on(ONE, "awk '$5 ~ \"^/sys/fs/cgroup\" { print $4 }' /proc/self/mountinfo | sort -u")
    assert roots == "/"
    assert on(ONE, "find /sys/fs/cgroup -name '*libpod*'") == ""


def test_stopping_one_leaves_the_other_alone_and_keeps_its_files(hosts: None, play: RunRole) -> None:
    on(TWO, "systemd-run --unit=witness sleep 600")
    on(ONE, "echo kept > /root/file; echo '192.0.2.9 added' >> /etc/hosts")
    process = on(TWO, "systemctl show -P MainPID witness")
    run("podman", "stop", "-t", "10", ONE)
    assert on(TWO, "systemctl is-active witness; systemctl show -P MainPID witness") == f"active\n{process}"
    assert on(TWO, "systemctl is-system-running") == "running"
    assert changes(play()) == 1
    assert on(ONE, "cat /root/file; grep -c added /etc/hosts") == "kept\n1"


def test_host_follows_a_namespace_that_was_made_anew(hosts: None, play: RunRole) -> None:
    run("ip", "netns", "delete", ONE)
    make_namespace(ONE)
    assert changes(play()) == 1
    assert ADDRESS[ONE] in on(ONE, "ip -o -4 address show lo")
    assert changes(play()) == 0


def test_missing_namespace_is_said_in_one_sentence(hosts: None, play: RunRole) -> None:
    done = play(lab_hosts_machines=[*MACHINES, {"name": "three"}])
    assert done.returncode != 0
    assert f"The network namespace {SANDBOX}-three does not exist" in done.stdout + done.stderr


def test_broken_image_is_never_kept(namespaces: None, play: RunRole, tmp_path: Path) -> None:
    nameless = ("podman", "images", "--quiet", "--filter", "dangling=true")
    before = set(run(*nameless).split())
    nobody = ["deb file:/nonexistent/mirror bookworm main"]
    done = play(lab_hosts_machines=[], lab_hosts_apt_sources=nobody, lab_hosts_cache_directory=str(tmp_path))
    assert done.returncode != 0
    (log,) = tmp_path.glob("*.log")
    assert f"The host image for release bookworm could not be made; read {log}." in done.stdout + done.stderr
    assert "/nonexistent/mirror" in log.read_text()
    tag = log.stem.removeprefix("lab-hosts-image-")
    assert subprocess.run(["podman", "image", "exists", f"localhost/cfha-host:{tag}"], check=False).returncode == 1
    # an image that somebody else makes meanwhile has no name for a moment
    deadline = time.monotonic() + 10
    while left := set(run(*nameless).split()) - before:
        assert time.monotonic() < deadline, left
        time.sleep(0.2)


def test_machines_without_a_namespace_get_no_host(hosts: None, play: RunRole) -> None:
    extra = [{"name": "off", "status": "Stopped"}, {"name": "far", "attached": False}]
    assert changes(play(lab_hosts_machines=[*MACHINES, *extra])) == 0


def test_apiserver_is_installed_started_and_stopped(hosts: None, play: RunRole) -> None:
    entry = {"hosts": ONE, "entry": "apiserver", "lab_hosts_apiserver_names": ["192.0.2.100", "api.example.org"]}
    assert changes(play(**entry)) > 0
    ask = "curl -sS --cacert /etc/stand-in-apiserver-*.crt"
    for name in (ADDRESS[ONE], "127.0.0.1"):
        assert on(ONE, f"{ask} https://{name}:6443/readyz") == "ok"
    for name in ("192.0.2.100", "api.example.org", "kubernetes", "one"):
        assert on(ONE, f"{ask} --connect-to ::127.0.0.1:6443 https://{name}:6443/livez") == "ok"
    assert json.loads(on(ONE, f"{ask} https://127.0.0.1:6443/version"))["host"] == "one"
    on(ONE, "touch /run/stand-in-apiserver/not-ready")
    assert on(ONE, f"{ask} -o /dev/null -w '%{{http_code}}' https://127.0.0.1:6443/readyz") == "500"
    assert changes(play(**entry, lab_hosts_apiserver_state="stopped")) == 1, "only the service may change"
    assert on(ONE, "systemctl is-active stand-in-apiserver || true") == "inactive"


def test_absent_removes_ours_and_nothing_else(hosts: None, play: RunRole) -> None:
    image = run("podman", "ps", "--filter", f"name=^{ONE}$", "--format", "{{.Image}}")
    stranger, alias = f"{SANDBOX}-stranger", f"localhost/{SANDBOX}-host:alias"
    run("podman", "create", "--name", stranger, "--network=none", image, "/bin/true")
    # an image of our name that no container uses, whatever else runs on this machine
    subprocess.run(["podman", "import", "-", alias], input=b"\0" * 1024, check=True, capture_output=True)
    try:
        refused = play(lab_hosts_machines=[*MACHINES, {"name": "stranger"}])
        assert refused.returncode != 0 and "does not belong to the sandbox" in refused.stdout + refused.stderr
        assert changes(play(lab_hosts_state="absent", lab_hosts_machines=[{"name": "one"}])) == 1
        assert {ONE, TWO} & containers() == {TWO}
        assert changes(play(lab_hosts_state="absent", lab_hosts_machines=[])) == 1
        assert not {ONE, TWO} & containers()
        assert changes(play(lab_hosts_state="absent", lab_hosts_machines=[])) == 0
        run("podman", "container", "exists", stranger)
        run("podman", "rm", stranger)
        away = {"lab_hosts_state": "absent", "lab_hosts_image_state": "absent"}
        assert changes(play(**away, lab_hosts_image_name=alias.partition(":")[0])) == 1
        run("podman", "image", "exists", image)
    finally:
        subprocess.run(["podman", "rm", "-f", "-i", stranger], check=True, capture_output=True)
        subprocess.run(["podman", "rmi", "-i", alias], capture_output=True, check=False)
    assert set(run("ip", "netns", "list").split()) >= {ONE, TWO}, "namespaces are the emulator's"
