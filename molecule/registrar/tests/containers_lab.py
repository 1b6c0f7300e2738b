# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hosts of the scenario, their containers, and the SLB of the walk-through."""

from __future__ import annotations

import functools
import json
import typing as t

from lab import CLIENT, ROOT, Run, Traffic, balancer, client, control, machine, on, playbook, until, vip

HOSTS = ("container-1", "container-2")
EXAMPLE = ROOT / "examples/registrar"
IMAGE = "localhost/balancers:trixie"
#: A server that somebody added at the console.
BY_HAND = "client-1"
UNIT = "clusterfront-registrar"
#: Of the scenario, for runs of the tests.
RULES = {
    "registrar_drain_time": 4,
    "registrar_interval": 20,
    "registrar_metrics_file": "/var/lib/metrics/registrar.prom",
}
NGINX = """
events {{}}
http {{
  access_log off;
  server {{
    listen {port};
    root /srv/www;
    add_header X-Server {host};
    location /slow {{ limit_rate 4k; }}
  }}
}}
"""


def slb(operation: str, **parameters: t.Any) -> dict[str, t.Any]:
    """Call the cloud as somebody at the console."""
    answer: dict[str, t.Any] = client().slb(operation, parameters)
    return answer


@functools.cache
def slb_id() -> str:
    """The id of the SLB of the walk-through."""
    return str(balancer("nginx")["LoadBalancerId"])


#: The label of Rancher, with the id as its value.
ENDPOINT = "io.rancher.service.external_lb.endpoint={id}"


def pool() -> dict[str, tuple[int, str]]:
    """host -> weight and description of its entry in the default pool."""
    answer = slb("DescribeLoadBalancerAttribute", LoadBalancerId=slb_id())
    return {
        entry["ServerId"].removeprefix("i-cfha-"): (int(entry["Weight"]), entry["Description"])
        for entry in answer["BackendServers"]["BackendServer"]
    }


def weights() -> dict[str, int]:
    """host -> weight, of those that registered themselves."""
    return {host: weight for host, (weight, text) in pool().items() if text == f"clusterfront:registrar/{host}"}


def registered(*hosts: str) -> None:
    """Wait until exactly these hosts are registered, with clients."""
    until(lambda: weights() == dict.fromkeys(hosts, 100), f"registration of {hosts}", 40)


def add_by_hand() -> None:
    """A server that nobody's registrar knows."""
    if BY_HAND not in pool():
        entry = {"ServerId": f"i-cfha-{BY_HAND}", "Weight": "0", "Description": "by hand"}
        slb("AddBackendServers", LoadBalancerId=slb_id(), BackendServers=json.dumps([entry]))


def throttle(rate: float | None) -> None:
    """So many calls a second, and no more; None: as many as anybody likes."""
    control("PUT", "faults", {"faults": [{"rate": rate, "burst": 5, "count": 0}] if rate else []})


def run(host: str, name: str, publish: str, *labels: str, options: str = "", port: int = 80) -> None:
    """A container with a real nginx. publish is empty on the host's network; a label may have the SLB's id in it."""
    content = NGINX.format(host=host, port=port)
    files = f"/srv/{name}"
    on(host, f"mkdir -p {files} && cat > {files}/nginx.conf <<'END'\n{content}\nEND")
    on(host, f"echo {host} > {files}/index.html && head -c 16000 /dev/zero | tr '\\0' x > {files}/slow")
    given = " ".join(f"--label {label.format(id=slb_id())}" for label in labels)
    where = f"--publish {publish}" if publish else "--network host"
    on(host, f"podman run --detach --name {name} {where} {given} {options} --volume {files}:/srv/www:ro"
             f" {IMAGE} nginx -c /srv/www/nginx.conf -g 'daemon off;'")  # fmt: skip


def remove_all(host: str) -> None:
    """No container is left."""
    on(host, "podman rm --force --time 1 --all")


def status(host: str) -> dict[str, t.Any]:
    """The status that the registrar of a host tells."""
    told: dict[str, t.Any] = json.loads(on(host, "registrar status --json", check=False))
    return told


def problems(host: str) -> dict[str, str]:
    """container -> sentence."""
    return {problem["container"]: problem["sentence"] for problem in status(host)["problems"]}


def journal(host: str) -> str:
    return on(host, f"journalctl --unit {UNIT} --output cat --no-pager")


def pid(host: str) -> str:
    return on(host, f"systemctl show {UNIT} --property MainPID --value")


def traffic(seconds: float, rate: float = 20.0, path: str = "/", *options: str) -> Traffic:
    """Requests from the client through the SLB."""
    return Traffic(seconds, CLIENT, rate, vip("nginx"), "8888", path, "--plain", *options)


def role(host: str, **variables: t.Any) -> Run:
    """Run the playbook for one host."""
    sandbox = ("-e", f"@{EXAMPLE}/sandbox.yml", "-e", json.dumps({**RULES, **variables}), f"--limit={host}")
    return playbook("deploy_registrar", *sandbox, example=EXAMPLE)


def file(host: str, path: str) -> t.Any:
    return machine(host).file(path)
