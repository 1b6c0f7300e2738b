# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What nginx can't do of what a listen may say, in sentences, and what has to be checked for it. Pure."""

from __future__ import annotations

import typing as t

from .listens import Options, given

#: Ways to spread connections, by the word that both programs share.
BALANCE = {"leastconn": "least_conn;", "roundrobin": "", "source": "hash $remote_addr consistent;", "random": "random;"}
CHECK = ("type", "method", "path", "host", "status", "interval", "fast_interval", "down_interval", "fall", "rise")


def method(listen: Options) -> str:
    """The directive by which the servers of a resolved listen are spread."""
    return BALANCE["source" if listen["stickiness"] else listen["balance"]]


def limits(listen: Options, balance: str) -> t.Iterator[str]:
    """What one listen asks for that nginx does not have."""
    http = (listen.get("mode") or "tcp") == "http"
    stickiness = given(listen.get("stickiness"))
    timeouts = given(listen.get("timeouts"))
    spread = "source" if stickiness.get("type") == "source" else listen.get("balance") or balance
    if listen.get("send_proxy") == "v2":
        yield "has send_proxy v2; nginx sends v1 only"
    elif http and listen.get("send_proxy") == "v1":
        yield "has send_proxy in mode http; nginx sends the PROXY protocol in mode tcp only"
    if spread not in BALANCE:
        yield f"has balance '{spread}', which nginx does not know; take {', '.join(BALANCE)}"
    if stickiness.get("type") == "cookie":
        yield "has stickiness by cookie, which nginx has in its commercial version only; take type source, or the role haproxy"
    if stickiness.get("timeout"):
        yield "has stickiness.timeout, but nginx remembers nobody: a hash leads an address to its server; leave it out"
    if given(listen).get("slowstart"):
        yield "has slowstart, which nginx has in its commercial version only; leave it out"
    if listen.get("shutdown_on_down"):
        yield "has shutdown_on_down, but nginx can't cut the connections of one server; leave it out"
    if timeouts.get("queue"):
        yield "has timeouts.queue, but nginx has no queue; leave it out"
    if timeouts.get("tunnel"):
        yield "has timeouts.tunnel, but nginx has one timeout for all that is silent; give timeouts.idle"
    times = {**{f"timeouts.{key}": value for key, value in timeouts.items()}}
    times.update((f"health_check.{key}", value) for key, value in given(listen.get("health_check")).items())
    for key, value in times.items():
        if str(value).endswith("us") and key not in (
            "health_check.path",
            "health_check.host",
            "health_check.server_name",
        ):
            yield f"has {key} '{value}'; the shortest unit of nginx is ms"
    if spread in ("source", "random") and any(server.get("backup") for server in listen.get("backends") or []):
        yield f"has backup servers and balance '{spread}', which nginx can't do at once; take leastconn or roundrobin"


def nginx_problems(listens: t.Sequence[Options], variable: str, balance: str) -> list[str]:
    """All that nginx can't do, a sentence each."""
    return [
        f"{variable}: '{listen.get('name')}' {problem}." for listen in listens for problem in limits(listen, balance)
    ]


def nginx_checks(listens: t.Sequence[Options], timeout: str) -> list[dict[str, t.Any]]:
    """What is to be checked for resolved listens; files are named as they lie in the release."""
    found = []
    for listen in [listen for listen in listens if listen["proxied"]]:
        check = listen["health_check"]
        common = {
            **{key: check[key] for key in CHECK},
            "timeout": timeout,
            "ca": f"@directory@/{listen['pool']}-check.pem" if check["ca"] else "",
            "server_name": check["server_name"] if check["ca"] else "",
            # a port of its own is no port of the service, and speaks no PROXY protocol
            "proxy": listen["send_proxy"] != "none" and not check["port"],
        }
        servers = [
            {
                "name": server["name"],
                "address": server["address"],
                "port": check["port"] or server["port"],
                "takes": server["weight"] != 0,
            }
            for server in listen["backends"]
        ]
        found.append(
            {
                "listen": listen["name"],
                "pool": listen["pool"],
                "ready": listen["ready"],
                "check": common,
                "servers": servers,
            }
        )
    return found
