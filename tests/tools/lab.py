# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab as tests see it: playbooks as a user runs them, the emulated cloud's control interface, and real traffic."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import pathlib
import subprocess
import sys
import sysconfig
import time
import typing as t
import urllib.request

import testinfra

ROOT = pathlib.Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples/kube_apiserver"
SANDBOX = os.environ["CFHA_SANDBOX"]
#: The directory above ansible_collections from which Ansible takes the collection; without a word of the user, its own packages.
COLLECTIONS = os.environ.get("ANSIBLE_COLLECTIONS_PATH", "").split(":")[0] or sysconfig.get_path("purelib")
# the modules' engine, under the name that it has for Ansible
sys.path.insert(0, COLLECTIONS)
API = os.environ["SLB_ENDPOINT"]
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
MASTERS = ("master-1", "master-2", "master-3")
PROXIES = ("haproxy-1", "haproxy-2")
CLIENT = "client-1"
ENDPOINT = "k8s-api.example.com"
#: Seconds after which no request may fail any more that starts then.
RECOVERY = 4.0


def control(method: str, path: str, body: t.Any = None) -> t.Any:
    """Call the emulated cloud's control interface."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(
        f"{API}/_emu/{path}", method=method, data=data, headers={"Content-Type": "application/json"}
    )
    with OPENER.open(request, timeout=30) as answer:
        return json.load(answer)


def switch(**switches: str) -> None:
    """Set switches of the emulated cloud and wait until the data plane has them."""
    control("PUT", "switches", switches)
    control("POST", "wait", {"timeout": 10})


@dataclasses.dataclass
class Run:
    """How a playbook ended."""

    code: int
    output: str

    @property
    def changed(self) -> int:
        """How many tasks changed something."""
        return sum(
            int(line.split("changed=")[1].split()[0])
            for line in self.output.splitlines()
            if "changed=" in line and "ok=" in line
        )


def playbook(
    name: str | pathlib.Path,
    *arguments: str,
    example: pathlib.Path = EXAMPLE,
    inventory: pathlib.Path | None = None,
    **environment: str,
) -> Run:
    """Run a playbook as a user does: one of the collection by its name, another by its path.

    The inventory is that of the example where no other one is given.
    """
    inventory = inventory or example / "inventory.yml"
    found = name if isinstance(name, pathlib.Path) else f"clusterfront.ha.{name}"
    command = [pathlib.Path(sys.executable).parent / "ansible-playbook", "-i", inventory, found]
    done = subprocess.run(
        [*map(str, command), "-e", f"@{example}/vars.yml", *arguments],
        cwd=ROOT,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=300,
        env={**os.environ, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_CALLBACK_RESULT_FORMAT": "json", **environment},
    )
    return Run(done.returncode, done.stdout)


def deployed(*arguments: str) -> Run:
    """Deploy, which has to go well."""
    run = playbook("deploy_kube_apiserver", *arguments)
    assert run.code == 0, run.output
    return run


def reported(path: pathlib.Path, *arguments: str) -> dict[str, t.Any]:
    """The report as data."""
    run = playbook("report_frontend", "-e", f"report_frontend_path={path}", *arguments)
    assert run.code == 0, run.output
    report: dict[str, t.Any] = json.loads(path.read_text())
    return report


def met(report: t.Mapping[str, t.Any], node: str, target: str = "endpoint") -> dict[str, t.Any]:
    """What a node met at a target."""
    return next(row for row in report["matrix"] if (row["node"], row["target"]) == (node, target))


def finding(report: t.Mapping[str, t.Any], code: str) -> dict[str, t.Any]:
    """The finding of a code; the assertion shows what there is instead."""
    found = [entry for entry in report["findings"] if entry["code"] == code]
    assert found, report["findings"]
    return found[0]


def machine(name: str) -> t.Any:
    """A machine of the lab for testinfra."""
    return testinfra.get_host(f"podman://{SANDBOX}-{name}")


def podman(*arguments: str) -> None:
    """Run podman."""
    subprocess.run(["podman", *arguments], check=True, stdout=subprocess.DEVNULL)


def on(name: str, command: str, check: bool = True) -> str:
    """A shell command on a host."""
    done = subprocess.run(
        ["podman", "exec", f"{SANDBOX}-{name}", "sh", "-c", command], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0 or not check, f"{name}: {command}: {done.stderr or done.stdout}"
    return done.stdout.strip()


def link(name: str, up: bool) -> None:
    """Take a machine's link away, or give it back."""
    control("PUT", f"machines/{name}/link", {"up": up})


def kill(name: str) -> None:
    """Its processes are killed: peers get a reset."""
    podman("kill", f"{SANDBOX}-{name}")


def silence(name: str) -> None:
    """Its link goes down: peers get nothing."""
    link(name, up=False)


def inside(name: str, *command: str) -> list[str]:
    """A command in the network of a machine."""
    return ["ip", "netns", "exec", f"{SANDBOX}-{name}", *command]


class Traffic:
    """A request loop from a machine, at a steady rate, each request on a connection of its own."""

    def __init__(self, seconds: float, source: str = CLIENT, rate: float = 20.0, *target: str) -> None:
        """target: host, port, path, and options of traffic.py; the endpoint's version where none is given."""
        script = ROOT / "tests/tools/traffic.py"
        command = [sys.executable, "-B", str(script), *(target or (vip(), "6443", "/version"))]
        self._process = subprocess.Popen(
            inside(source, *command, "--seconds", str(seconds), "--rate", str(rate)), stdout=subprocess.PIPE, text=True
        )

    def stop(self) -> list[dict[str, t.Any]]:
        """End the loop; all requests, when the last of them has ended."""
        self._process.terminate()
        return self.requests()

    def requests(self) -> list[dict[str, t.Any]]:
        """All requests, when the loop has ended."""
        output, dummy = self._process.communicate(timeout=180)
        return [json.loads(line) for line in output.splitlines()]


@functools.cache
def client() -> t.Any:
    """Somebody at the console of the emulated cloud."""
    from ansible_collections.clusterfront.ha.plugins.module_utils._slb.client import Client, Settings

    return Client(Settings(region=os.environ["ALIBABA_CLOUD_REGION"], slb_endpoint=API, ecs_endpoint=API))


def balancer(name: str) -> dict[str, t.Any]:
    """The load balancer of a name, as the API tells it."""
    answer = client().slb("DescribeLoadBalancers", {"LoadBalancerName": name, "PageNumber": 1, "PageSize": 10})
    found: dict[str, t.Any] = answer["LoadBalancers"]["LoadBalancer"][0]
    return found


def vip(name: str = "prod-api") -> str:
    """The address of a front end."""
    return str(balancer(name)["Address"])


def death_under(traffic: Traffic, name: str, die: t.Callable[[str], None]) -> tuple[list[dict[str, t.Any]], float]:
    """A machine dies while requests run: all of them when the loop has ended, and the time at which it was dead."""
    time.sleep(2)
    die(name)
    dead = time.monotonic()
    requests = traffic.requests()
    failed = failures(requests)
    last = max((request["start"] - dead for request in failed), default=0.0)
    slowest = max(request["seconds"] for request in requests)
    print(
        f"{name} by {die.__name__}: {len(failed)} of {len(requests)} failed, the last of them started {last:.2f}s after; slowest {slowest:.2f}s"
    )
    return requests, dead


def failures(requests: t.Sequence[t.Mapping[str, t.Any]], since: float = 0.0) -> list[t.Mapping[str, t.Any]]:
    """The requests that failed, of those that started later than since."""
    return [request for request in requests if "error" in request and request["start"] > since]


def until(condition: t.Callable[[], bool], what: str, timeout: float = 40.0) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen within {timeout:g} seconds"
        time.sleep(0.25)


def all_well() -> bool:
    """Whether the cloud finds both HAProxy nodes well, and each of them all masters."""
    states = [entry["state"] for entry in control("GET", "health")]
    return len(states) >= 2 and set(states) == {"normal"} and all(servers_up(name) == 3 for name in PROXIES)


SHOW_STAT = (
    "import socket; s = socket.socket(socket.AF_UNIX); s.settimeout(3); s.connect('/run/haproxy/admin.sock');"
    " s.sendall(b'show stat\\n'); print(b''.join(iter(lambda: s.recv(65536), b'')).decode())"
)


def haproxy_rows(name: str) -> list[dict[str, str]]:
    """HAProxy's own statistics."""
    done = subprocess.run(
        ["podman", "exec", f"{SANDBOX}-{name}", "/usr/bin/python3", "-c", SHOW_STAT],
        capture_output=True,
        text=True,
        check=False,
    )
    lines = done.stdout.strip().splitlines()
    header = lines[0].lstrip("# ").split(",") if lines else []
    return [dict(zip(header, line.split(","))) for line in lines[1:]]


def servers_up(name: str) -> int:
    """How many masters a HAProxy node finds ready."""
    return sum(row["status"].startswith("UP") for row in haproxy_rows(name) if row["svname"] in MASTERS)
