# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""README's commands, line by line, as somebody types them who has installed the collection from its file.

Each ansible-core gets a new virtual environment, a home and a working directory of its own; the machines and the cloud are those of
one sandbox, which the first one starts. The environment says what is tried:

  CFHA_TARBALL       the built collection; without it one is built from this checkout
  CFHA_README_CORES  pairs of ansible-core and a Python, as 2.18.19=/usr/bin/python3.11; without it the ones that run this test
"""

from __future__ import annotations

import collections.abc
import dataclasses
import functools
import importlib.metadata
import json
import os
import pathlib
import re
import secrets
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request

import pytest
import tarball as packing

ROOT = pathlib.Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
TRANSLATION = ROOT / "README.zh-CN.md"
SANDBOX = os.environ.get("CFHA_SANDBOX", "cfha-readme")
PORT = os.environ.get("CFHA_PORT", "8148")
API = f"http://127.0.0.1:{PORT}"
KEY_ID = os.environ.get("ALIBABA_CLOUD_ACCESS_KEY_ID") or f"readme-{secrets.token_hex(6)}"
KEY_SECRET = os.environ.get("ALIBABA_CLOUD_ACCESS_KEY_SECRET") or secrets.token_hex(24)
CORES = os.environ.get(
    "CFHA_README_CORES", f"{importlib.metadata.version('ansible-core')}={pathlib.Path(sys.executable).resolve()}"
).split()
PLAY = "ansible-playbook -i inventory.yml clusterfront.ha."

#: Commands that others run, and who.
RUN_ELSEWHERE = {"./quickstart": "tests/quickstart", "./quickstart test": "the gate, to which this test belongs"}
#: Commands that are run in another form here: the form, and why.
INSTEAD = {
    "ansible-galaxy collection install clusterfront.ha": (
        "ansible-galaxy collection install --offline {tarball}",
        "it is the file that a server would send",
    ),
    "kubeadm init --upload-certs --config /etc/kubernetes/kubeadm-config.yaml": (
        f"{PLAY}start_sandbox_apiservers -e @vars.yml",
        "machines of the sandbox have stand-ins for apiservers; the stage kubeadm has real ones",
    ),
}
#: The words that README leaves to its reader, within commands and tasks.
FILLED_IN = {
    "ALIBABA_CLOUD_ACCESS_KEY_ID=...": f"ALIBABA_CLOUD_ACCESS_KEY_ID={KEY_ID}",
    "ALIBABA_CLOUD_ACCESS_KEY_SECRET=...": f"ALIBABA_CLOUD_ACCESS_KEY_SECRET={KEY_SECRET}",
    "vpc-example": "vpc-cfha-lab",
    "vsw-example": "vsw-cfha-lab",
}
#: Warnings that are right where they come, by their beginning. All but the last are Ansible's own.
WARNINGS_ALLOWED = {
    "No inventory was parsed": "export_frontend needs no inventory, and README gives none",
    "provided hosts list is empty": "the same",
    "Module remote_tmp ": "it did not exist: the first run with pipelining on a machine that never saw Ansible",
    "load balancer and listener tcp/443 do not have the mark of my-web": "slb_frontend_info says whose the load balancer is not",
}
WARNING = re.compile(r"^\[(?:DEPRECATION )?WARNING\]: (.*)$", re.MULTILINE)

#: A load balancer as somebody makes one at the console, without a word of ours, and takes it away. Arguments: what, its name, the endpoint.
CLICK = """
import sys
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.client import Client, Settings
action, name, endpoint = sys.argv[1:]
client = Client(Settings(region="cn-hangzhou", slb_endpoint=endpoint, ecs_endpoint=endpoint))
if action == "make":
    wanted = {"VpcId": "vpc-cfha-lab", "VSwitchId": "vsw-cfha-lab", "AddressType": "intranet", "InstanceChargeType": "PayByCLCU"}
    made = client.slb("CreateLoadBalancer", {**wanted, "LoadBalancerName": name})["LoadBalancerId"]
    servers = '[{"ServerId": "i-cfha-haproxy-1", "Weight": "100"}]'
    client.slb("AddBackendServers", {"LoadBalancerId": made, "BackendServers": servers})
    listener = {"LoadBalancerId": made, "ListenerPort": 443, "BackendServerPort": 8888, "Bandwidth": -1}
    client.slb("CreateLoadBalancerTCPListener", listener)
    client.slb("StartLoadBalancerListener", {"LoadBalancerId": made, "ListenerPort": 443})
else:
    found = client.slb("DescribeLoadBalancers", {"LoadBalancerName": name, "PageNumber": 1, "PageSize": 10})
    client.slb("DeleteLoadBalancer", {"LoadBalancerId": found["LoadBalancers"]["LoadBalancer"][0]["LoadBalancerId"]})
"""


def blocks(page: pathlib.Path) -> list[tuple[str, str]]:
    """The blocks of code: language and text."""
    return re.findall(r"^```(\w*)\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


@dataclasses.dataclass(frozen=True)
class Line:
    """A command as README has it, and what README says beside it."""

    command: str
    remark: str = ""


def lines(language: str, text: str) -> list[Line]:
    """The commands of a block: after the prompt of a console, every line of a shell."""
    if language == "console":
        return [Line(line[2:]) for line in text.splitlines() if line.startswith("# ")]
    parts = [re.split(r"\s+# ", line, maxsplit=1) for line in text.splitlines() if line.strip()]
    return [Line(*part) for part in parts]


def filled_in(text: str) -> str:
    """A text with what its reader puts into it."""
    return functools.reduce(lambda made, pair: made.replace(*pair), FILLED_IN.items(), text)


def writes() -> int:
    """The writing calls that the cloud got since the last look."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"{API}/_emu/requests", timeout=30) as answer:
        count = int(json.load(answer)["writes"])
    with opener.open(urllib.request.Request(f"{API}/_emu/requests", method="DELETE"), timeout=30):
        return count


def changed(output: str) -> dict[str, int]:
    """How many tasks changed something, by host."""
    return {host: int(count) for host, count in re.findall(r"^(\S+) +: ok=\d+ +changed=(\d+)", output, re.MULTILINE)}


class User:
    """Somebody with an empty home and one ansible-core."""

    def __init__(self, place: pathlib.Path, core: str, python: str, tarball: pathlib.Path) -> None:
        self.core = core
        self.tarball = tarball
        #: How many tasks of the last run in check mode would have changed something, by host.
        self.predicted: dict[str, int] = {}
        self.home = place / core / "home"
        self.directory = place / core / "work"
        self.collections = self.home / ".ansible/collections"
        self.home.mkdir(parents=True)
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(NOT_THEIRS)},
            "HOME": str(self.home),
            # packages that were downloaded once, and the image of the machines
            "XDG_CACHE_HOME": os.environ.get("XDG_CACHE_HOME") or str(pathlib.Path.home() / ".cache"),
            "PATH": f"{place / core / 'venv/bin'}:{os.environ['PATH']}",
            # settings of pip and podman
            "XDG_CONFIG_HOME": os.environ.get("XDG_CONFIG_HOME") or str(pathlib.Path.home() / ".config"),
            **dict.fromkeys(
                ("NO_PROXY", "no_proxy"), f"127.0.0.1,localhost,{os.environ.get('NO_PROXY', '')}".rstrip(",")
            ),
            # nobody imports most of the SDK
            "PIP_NO_COMPILE": "1",
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_DEPRECATION_WARNINGS": "true",
            "CFHA_SANDBOX": SANDBOX,
            "CFHA_PORT": PORT,
            "SLB_ENDPOINT": API,
            "ECS_ENDPOINT": API,
        }
        subprocess.run([python, "-m", "venv", place / core / "venv"], check=True)
        self.type(f"pip install --quiet --disable-pip-version-check ansible-core=={core}", self.home)

    def type(self, command: str, directory: pathlib.Path | None = None) -> str:
        """Run a command in the shell, which has to go well and without a warning; the shell keeps what it exports."""
        begin = time.monotonic()
        kept = self.home / "environment"
        done = subprocess.run(
            ["sh", "-c", f"{command}\nstatus=$?; env -0 >{shlex.quote(str(kept))}; exit $status"],
            cwd=directory or self.directory,
            env=self.environment,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
            timeout=900,
        )
        print(f"{self.core}: {time.monotonic() - begin:5.1f}s  {command.replace(KEY_SECRET, '...')}", flush=True)
        assert done.returncode == 0, f"{command}\n{done.stdout}"
        found = [text for text in WARNING.findall(done.stdout) if not text.startswith(tuple(WARNINGS_ALLOWED))]
        assert not found, f"{command}\n{done.stdout}"
        self.environment = dict(pair.split("=", 1) for pair in kept.read_text().split("\0") if "=" in pair)
        return done.stdout

    def begin(self) -> None:
        """Copy the example, as README says."""
        shutil.copytree(
            self.collections / "ansible_collections/clusterfront/ha/examples/kube_apiserver", self.directory
        )

    def click(self, action: str, name: str) -> None:
        """Make a load balancer as others do, or take it away."""
        (self.directory / "click.py").write_text(CLICK)
        self.type(f"PYTHONPATH={self.collections} python click.py {action} {name} {API}")


#: Variables that belong to those who run this test, not to the one who types.
NOT_THEIRS = ("ALIBABA_CLOUD_", "ALICLOUD_", "ANSIBLE_", "PYTHON", "VIRTUAL_ENV", "CFHA_", "SLB_", "ECS_", "COV_")


@pytest.fixture(scope="module")
def place() -> collections.abc.Iterator[pathlib.Path]:
    # sockets of ssh lie below, whose names may not be long
    with tempfile.TemporaryDirectory(prefix="cfha-readme-") as directory:
        yield pathlib.Path(directory)


@pytest.fixture(scope="module")
def tarball(place: pathlib.Path) -> pathlib.Path:
    """The collection as users get it."""
    if given := os.environ.get("CFHA_TARBALL"):
        return pathlib.Path(given).resolve()
    return packing.build(ROOT, place)


class Sandbox:
    """The cloud and its machines, started by the first who needs them."""

    def __init__(self) -> None:
        self.starter: User | None = None
        self.directory = pathlib.Path("/var/lib", SANDBOX)
        self.was_there = self.directory.exists()

    def start(self, user: User) -> None:
        """Start it where that has not been done yet."""
        if self.starter is None:
            self.starter = user
            user.type(f"{WITH_KEY} {PLAY}start_sandbox -e @vars.yml")

    def stop(self) -> None:
        """Remove all of it."""
        if self.starter is not None:
            self.starter.type("ansible-playbook clusterfront.ha.stop_sandbox")
        if not self.was_there:
            shutil.rmtree(self.directory, ignore_errors=True)


WITH_KEY = f"ALIBABA_CLOUD_ACCESS_KEY_ID={KEY_ID} ALIBABA_CLOUD_ACCESS_KEY_SECRET={KEY_SECRET}"


@pytest.fixture(scope="module")
def sandbox(place: pathlib.Path) -> collections.abc.Iterator[Sandbox]:
    made = Sandbox()
    try:
        yield made
    finally:
        made.stop()


def followed(user: User, line: Line) -> str:
    """Do what a line says, in the form that it has here; and what README promises beside it holds."""
    form, dummy = INSTEAD.get(line.command, (line.command, ""))
    output = user.type(filled_in(form).replace("{tarball}", str(user.tarball)))
    if "changed=0" in line.remark:
        assert changed(output) and not any(changed(output).values()), output
    return output


@pytest.mark.parametrize("pair", CORES, ids=lambda pair: pair.split("=")[0])
def test_every_command_works(pair: str, place: pathlib.Path, tarball: pathlib.Path, sandbox: Sandbox) -> None:
    core, python = pair.split("=", 1)
    first = sandbox.starter is None
    user = User(place, core, python, tarball)
    told = [(language, text) for language, text in blocks(README) if language != "console"]
    # the last section, which all others need
    install = next(entry for entry in told if "ansible-galaxy" in entry[1])
    user.directory = user.home
    for line in lines(*install):
        followed(user, line)
    user.directory = place / core / "work"
    user.begin()
    sandbox.start(user)
    writes()
    for language, text in told:
        if (language, text) == install:
            continue
        if language == "yaml":
            predicted(user, text)
            continue
        for line in lines(language, text):
            if "clusterfront.ha.export_frontend" in line.command:
                user.click("make", "my-web")
                writes()
            output = followed(user, line)
            judged(user, line, output, first, writes())
    # the next one finds an empty cloud, and gets the same address
    user.click("remove", "my-web")


def predicted(user: User, task: str) -> None:
    """A task of README says in check mode what it would make, and makes nothing."""
    indented = "".join(f"    {line}\n" for line in filled_in(task).splitlines())
    (user.directory / "task.yml").write_text(f"- hosts: localhost\n  gather_facts: false\n  tasks:\n{indented}")
    output = user.type("ansible-playbook task.yml --check --diff")
    assert changed(output) == {"localhost": 1} and "192.0.2.22" in output, output
    assert writes() == 0


def judged(user: User, line: Line, output: str, first: bool, calls: int) -> None:
    """What a command has to have done, and how often the cloud was told to change."""
    found = changed(output)
    if "--check" in line.command:
        assert calls == 0, output
        user.predicted = found
    elif "deploy_kube_apiserver" in line.command:
        machines = {host: count for host, count in found.items() if host != "localhost"}
        assert found["localhost"] == 1 and calls, output
        # the line before was the same in check mode; machines that know an address can't know whether a new front end will have it
        assert found == user.predicted or not first, (user.predicted, output)
        # what another core wrote to the machines is what this one writes
        assert machines and all(machines.values()) == first and any(machines.values()) == first, output
    elif "report_frontend" in line.command:
        report = json.loads((user.directory / "frontend-report.json").read_text())
        assert report["healthy"] is True, output
    elif "remove_frontend" in line.command:
        assert found == {"localhost": 1} and calls, output


def test_every_block_is_of_a_kind_that_is_tried() -> None:
    found = blocks(README)
    assert {language for language, dummy in found} == {"console", "shell", "yaml"}
    consoles = [line.command for language, text in found if language == "console" for line in lines(language, text)]
    assert set(consoles) == set(RUN_ELSEWHERE)
    shells = [line.command for language, text in found if language == "shell" for line in lines(language, text)]
    assert set(INSTEAD) <= set(shells)


def test_both_languages_have_the_same_commands() -> None:
    def commands(page: pathlib.Path) -> list[object]:
        return [
            (
                re.sub(r"^- name: .*$", "", text, flags=re.MULTILINE)
                if language == "yaml"
                else [line.command for line in lines(language, text)]
            )
            for language, text in blocks(page)
        ]

    assert commands(README) == commands(TRANSLATION)
