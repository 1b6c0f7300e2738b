# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Balancers on a LAN of their own, as the scenarios of their roles see them: runs, tasks, traffic, and what breaks."""

from __future__ import annotations

import concurrent.futures
import contextlib
import json
import os
import pathlib
import re
import subprocess
import tempfile
import typing as t

import yaml
from lab import ROOT, SANDBOX, Run, Traffic, failures, inside, on, playbook, podman

T = t.TypeVar("T")
CLIENT = "lan-client"
#: Whether tests marked as thorough run, and the hosts that they need.
THOROUGH = bool(os.environ.get("CFHA_THOROUGH"))
#: What is wrong with a configuration: the variables that make it so, and what is said of it.
Broken = tuple[dict[str, t.Any], str]
#: What changes on a machine by itself.
NOT_LOOKED_AT = "! -path '/var/log/*' ! -path '/var/lib/systemd/*' ! -path '/var/cache/*'"
#: Held streams last so long.
HELD = 6.0
SERVERS = ("web-1", "web-2", "web-3")
VIP = "198.51.100.100"
#: Seconds after which no request may be slow any more that starts then, and in which held streams of a dead server are freed.
RECOVERY, FREED = 4.0, 12.0
#: What a request takes that waits for nobody, even if a busy machine drops a packet of it; one that waits for a dead server takes longer.
SLOW = 1.5


def addresses(inventory: t.Mapping[str, t.Any]) -> dict[str, str]:
    """The address of each host, wherever in the inventory it has one."""
    found = {name: values["private_ip"] for name, values in (inventory.get("hosts") or {}).items() if values}
    for group in (inventory.get("children") or {}).values():
        found |= addresses(group or {})
    return found


def hosts_of(inventory: t.Mapping[str, t.Any], group: str) -> list[str]:
    """The hosts of a group, wherever in the inventory it is."""
    found: list[str] = []
    for name, content in (inventory.get("children") or {}).items():
        found += list((content or {}).get("hosts") or {}) if name == group else hosts_of(content or {}, group)
    return found


class Scenario:
    """The inventory of a scenario, which has the name of the proxy and its role, and runs with it."""

    def __init__(self, name: str) -> None:
        self.proxy = name
        self.directory = ROOT / "molecule" / name
        self._inventory = self.directory / "inventory.yml"
        inventory = yaml.safe_load(self._inventory.read_text())["all"]
        self.address = addresses(inventory)
        self._left_out = () if THOROUGH else tuple(hosts_of(inventory, "lan_thorough"))
        self.containers = self.there(*hosts_of(inventory, "lan_containers"))

    def there(self, *names: str) -> tuple[str, ...]:
        """The hosts among some names; those that repeat another kind are there in thorough runs only."""
        return tuple(name for name in names if name not in self._left_out)

    def those_there(self, values: t.Mapping[str, T]) -> dict[str, T]:
        """The values of the hosts that are there."""
        return {name: values[name] for name in self.there(*values)}

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

    def release(self, name: str) -> str:
        """The release that a balancer's link names."""
        return on(name, f"readlink /etc/{self.proxy}/current")

    def configuration(self, name: str) -> str:
        return on(name, f"cat /etc/{self.proxy}/current/{self.proxy}.c*")

    def unit(self, name: str) -> str:
        return f"clusterfront-{self.proxy}.service" if name in self.containers else f"{self.proxy}.service"

    def boxes(self) -> list[str]:
        """The ids of the containers."""
        return [
            on(name, f"podman inspect --format '{{{{.Id}}}}' clusterfront-{self.proxy} 2>/dev/null")
            for name in self.containers
        ]

    def certificate(self, name: str) -> str:
        """Whose certificate clients see."""
        command = (
            f"openssl s_client -connect {self.address[name]}:443 </dev/null 2>/dev/null | openssl x509 -noout -subject"
        )
        done = subprocess.run(inside(CLIENT, "sh", "-c", command), capture_output=True, text=True, check=True)
        return done.stdout.split()[-1]

    def answered(self, name: str) -> set[str]:
        """Which servers answer thirty requests."""
        requests = self.traffic(name, 1, 30).requests()
        assert not failures(requests), failures(requests)[:3]
        return {str(request["server"]) for request in requests}

    @contextlib.contextmanager
    def unnoticed(self, ports: t.Mapping[str, int]) -> t.Iterator[None]:
        """Short requests and held streams to balancers or addresses at their ports, none of which may fail or be cut."""
        loads: dict[str, list[Traffic]] = {
            name: [
                self.traffic(name, 120, 10, port),
                self.traffic(name, 120, 1, port, f"/hold?seconds={HELD}", "--timeout", "30"),
            ]
            for name, port in ports.items()
        }
        try:
            yield
        finally:
            met = {name: [load.stop() for load in both] for name, both in loads.items()}
        for name, (short, held) in met.items():
            print(
                f"{name}: {len(failures(short))} of {len(short)} requests failed, {len(failures(held))} of {len(held)} streams were cut"
            )
            assert short and held
            assert not failures([*short, *held]), (name, failures([*short, *held])[:5])

    def refused(self, broken: t.Mapping[str, Broken]) -> None:
        """A run that is refused on every host, each for a reason of its own, in one sentence; nothing of it is live or left."""
        before = {name: self.release(name) for name in broken}
        with self.unnoticed(dict.fromkeys(broken, 80)):
            run = self.role({name: variables for name, (variables, dummy) in broken.items()})
        assert run.code != 0
        for name, (dummy, sentence) in broken.items():
            message = said(run, name)
            print(f"{name}: {message}")
            assert sentence in message
            assert "\n" not in message and message.endswith(".")
        assert {name: self.release(name) for name in broken} == before
        assert all(on(name, f"ls -A /etc/{self.proxy}/releases | grep staged; true") == "" for name in broken)

    def killed_everywhere(self, steps: t.Mapping[str, tuple[int, int]]) -> None:
        """Kill runs of the last two changes on hosts at every so many steps, from a first one: clients notice nothing."""

        def killed(name: str) -> dict[str, list[str]]:
            programs = on(name, "ls /opt/release-*.py").split()[-2:]
            podman(
                "cp", f"{ROOT}/molecule/lan/files/killed_everywhere.py", f"{SANDBOX}-{name}:/opt/killed_everywhere.py"
            )
            words = [f"/etc/{self.proxy}", *programs, *map(str, steps[name])]
            told: dict[str, list[str]] = json.loads(on(name, f"python3 /opt/killed_everywhere.py {' '.join(words)}"))
            return told

        with self.unnoticed(dict.fromkeys(steps, 80)), concurrent.futures.ThreadPoolExecutor() as pool:
            results = dict(zip(steps, pool.map(killed, steps)))
        for name, result in results.items():
            print(
                f"{name}: killed at {len(result['steps'])} steps, {len(result['wrong'])} went wrong; live is {self.release(name)}"
            )
            assert not result["wrong"], result["wrong"]
            assert len(result["steps"]) > 8


def new_certificate(name: str, subject: str) -> None:
    """Put another certificate with its key on a balancer."""
    options = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -noenc -days 30"
    on(name, f"openssl req -x509 {options} -subj /CN={subject} -keyout /etc/ssl/secure.key -out /etc/ssl/secure.pem")


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
