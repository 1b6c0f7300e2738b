# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The edge of a cluster as its tests see it: asked by name from a machine that is no node of it."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import typing as t

from lab import CLIENT, ROOT, SANDBOX, Run, Traffic, control, failures, inside, playbook, vip

NODES, APPLICATIONS = ("ingress-1", "ingress-2"), ("app-1", "app-2")
EXAMPLE, SCENARIO = ROOT / "examples/ingress", ROOT / "molecule/ingress"
NAME, FRONT_END = "echo.example.com", "prod-ingress"
CERTIFICATE, KEY = f"/var/lib/{SANDBOX}/ingress.pem", f"/var/lib/{SANDBOX}/ingress.key"
LAYER_7 = {"ingress_frontend_layer": 7, "ingress_frontend_certificate": CERTIFICATE, "ingress_frontend_key": KEY}


@dataclasses.dataclass(frozen=True)
class Answer:
    """What curl got; status 0 is no answer at all."""

    status: int
    body: str
    location: str
    seconds: float
    error: str

    @property
    def headers(self) -> dict[str, str]:
        """The headers that the application got, in small letters."""
        return {name.lower(): value for name, value in json.loads(self.body).items()}


def ask(url: str, *options: str, source: str = CLIENT) -> Answer:
    """A request by name; the name leads to the SLB, and its certificate is verified."""
    name = url.split("/")[2]
    address = vip(FRONT_END)
    resolve = [part for port in (80, 443) for part in ("--resolve", f"{name}:{port}:{address}")]
    shown = "\n%{http_code} %{time_total} %{redirect_url}"
    command = ["curl", "-sS", "-m", "20", "--cacert", CERTIFICATE, *resolve, "-w", shown, *options, url]
    done = subprocess.run(inside(source, *command), capture_output=True, text=True, check=False)
    body, dummy, last = done.stdout.rpartition("\n")
    status, seconds, location = (last.split(" ") + ["", ""])[:3]
    return Answer(int(status or 0), body, location, float(seconds or 0), done.stderr.strip())


def run(name: str, **variables: t.Any) -> Run:
    """Run a playbook for this front end."""
    more = ("-i", str(SCENARIO / "inventory.yml"), "-e", f"@{SCENARIO}/vars.yml", "-e", json.dumps(variables))
    return playbook(name, *more, example=EXAMPLE)


def deployed(**variables: t.Any) -> Run:
    """Deploy, which has to go well; traffic meets what was deployed."""
    done = run("deploy_ingress_frontend", **variables)
    assert done.code == 0, done.output
    control("POST", "wait", {"timeout": 10})
    return done


def refused(sentence: str, **variables: t.Any) -> None:
    """Deploy, which has to be refused with a sentence before anything is called."""
    control("DELETE", "requests")
    done = run("deploy_ingress_frontend", **variables)
    assert done.code != 0 and sentence in done.output, done.output
    assert control("GET", "requests")["counts"] == {}


def traffic(seconds: float, rate: float = 20, path: str = "/", *options: str, name: str = NAME) -> Traffic:
    """Requests for the application, or another name, by https."""
    return Traffic(seconds, CLIENT, rate, vip(FRONT_END), "443", path, "--name", name, *options)


def let_pass(name: str) -> tuple[int, float]:
    """How many of 40 requests at once were let pass, and the seconds between the first and the last of them; all others get 429."""
    requests = traffic(0.4, 100, name=name).requests()
    assert len(requests) == 40 and {request.get("error") for request in requests} == {None, "status 429"}
    starts = [request["start"] + request["seconds"] for request in requests]
    return len(requests) - len(failures(requests)), max(starts) - min(starts)


def states() -> dict[str, set[str]]:
    """What the cloud's health checks find, by node."""
    found: dict[str, set[str]] = {}
    for entry in control("GET", "health"):
        name = entry["server_id"].removeprefix("i-cfha-")
        if name in NODES:
            found.setdefault(name, set()).add(entry["state"])
    return found


def all_well() -> bool:
    return states() == {name: {"normal"} for name in NODES}
