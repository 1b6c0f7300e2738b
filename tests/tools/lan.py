# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Balancers on a LAN of their own, as the scenarios of their roles see them: runs, tasks, traffic, and what breaks."""

from __future__ import annotations

import contextlib
import json
import pathlib
import re
import subprocess
import tempfile
import typing as t

import yaml
from lab import ROOT, SANDBOX, Run, Traffic, inside, playbook

CLIENT = "lan-client"
SERVERS = ("web-1", "web-2", "web-3")
VIP = "198.51.100.100"
#: Seconds after which no request may be slow any more that starts then, and in which held streams of a dead server are freed.
RECOVERY, FREED = 4.0, 12.0
#: What a request takes that waits for nobody, with a lot to spare for a busy machine.
SLOW = 1.0


def addresses(inventory: t.Mapping[str, t.Any]) -> dict[str, str]:
    """The address of each host, wherever in the inventory it has one."""
    found = {name: values["private_ip"] for name, values in (inventory.get("hosts") or {}).items() if values}
    for group in (inventory.get("children") or {}).values():
        found |= addresses(group or {})
    return found


class Scenario:
    """The inventory of a scenario, and runs with it."""

    def __init__(self, name: str) -> None:
        self.directory = ROOT / "molecule" / name
        self._inventory = self.directory / "inventory.yml"
        self.address = addresses(yaml.safe_load(self._inventory.read_text())["all"])

    def run(self, book: pathlib.Path, overrides: t.Mapping[str, t.Mapping[str, t.Any]], *arguments: str) -> Run:
        """Run a playbook; overrides are variables of single hosts, to which the run is limited."""
        with tempfile.TemporaryDirectory() as scratch:
            extra = pathlib.Path(scratch, "overrides.json")
            extra.write_text(json.dumps({"all": {"hosts": {name: dict(values) for name, values in overrides.items()}}}))
            limit = f"--limit={','.join(overrides)}"
            return playbook(book, "-i", str(self._inventory), "-i", str(extra), limit, *arguments)

    def role(self, overrides: t.Mapping[str, t.Mapping[str, t.Any]], *arguments: str) -> Run:
        """Run the role, which may fail."""
        return self.run(self.directory / "converge.yml", overrides, *arguments)

    def converged(self, overrides: t.Mapping[str, t.Mapping[str, t.Any]], *arguments: str) -> Run:
        """Run the role, which has to go well."""
        run = self.role(overrides, *arguments)
        assert run.code == 0, run.output
        return run

    def tasks(self, names: t.Iterable[str], tasks: list[dict[str, t.Any]]) -> Run:
        """Run tasks on hosts."""
        with tempfile.NamedTemporaryFile("w", suffix=".yml") as book:
            json.dump([{"hosts": "all", "gather_facts": False, "tasks": tasks}], book)
            book.flush()
            return self.run(pathlib.Path(book.name), {name: {} for name in names})

    def traffic(
        self, name: str, seconds: float, rate: float, port: int = 80, path: str = "/", *options: str
    ) -> Traffic:
        """Requests from the client to a balancer, or to an address."""
        plain = () if port == 443 else ("--plain",)
        target = (self.address.get(name, name), str(port), path, *plain, *options)
        return Traffic(seconds, CLIENT, rate, *target)

    def streams(self, name: str, seconds: float, count: int, length: float) -> Traffic:
        """Streams that are held for so long, opened evenly within some seconds."""
        return self.traffic(name, seconds, count / seconds, 80, f"/hold?seconds={length}", "--timeout", "30")

    def status(self, name: str, path: str = "/readyz", port: int = 8889) -> str:
        """The status of a path of the health port, asked by the client."""
        done = subprocess.run(
            inside(
                CLIENT,
                "curl",
                "-s",
                "-m",
                "2",
                "-o",
                "/dev/null",
                "-w",
                "%{http_code}",
                f"http://{self.address[name]}:{port}{path}",
            ),
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout


def on(name: str, command: str, check: bool = True) -> str:
    """A shell command on a host."""
    done = subprocess.run(
        ["podman", "exec", f"{SANDBOX}-{name}", "sh", "-c", command], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0 or not check, f"{name}: {command}: {done.stderr or done.stdout}"
    return done.stdout.strip()


def plug(name: str, into: bool) -> None:
    """Pull a host's cable out of the switch, or put it back: its peers get nothing, and no error either."""
    where = ("master", "switch") if into else ("nomaster",)
    subprocess.run(["ip", "-n", f"{SANDBOX}-lan", "link", "set", name, *where], check=True)


@contextlib.contextmanager
def unplugged(name: str) -> t.Iterator[None]:
    """A host whose cable is out."""
    plug(name, False)
    try:
        yield
    finally:
        plug(name, True)


def said(run: Run, name: str) -> str:
    """The sentence with which a run failed on a host."""
    found = re.findall(rf"^fatal: \[{name}\].*? => (\{{.*\}})$", run.output, re.M)
    assert found, run.output
    return str(json.loads(found[-1])["msg"])
