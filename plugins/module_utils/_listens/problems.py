# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What can't work in `<role>_listens`, in sentences, before anything runs. Pure.

Types and choices are the argument specification's; here is what one option means for another.
"""

from __future__ import annotations

import ipaddress
import re
import typing as t

from . import edge
from .listens import Inventory, Options, given, number, servers

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
SERVER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
HOST_NAME = re.compile(r"(?=.{1,253}$)[A-Za-z0-9]([A-Za-z0-9_-]{0,62})(\.[A-Za-z0-9]([A-Za-z0-9_-]{0,62}))*\.?")
DURATION = re.compile(r"\d+(us|ms|s|m|h|d)")
STATUS = re.compile(r"\d{3}(-\d{3})?(,\d{3}(-\d{3})?)*")
WORD = re.compile(r"[^\s\"'\\]+")
RESERVED = ("health", "metrics", "statistics")
HTTP_ONLY = ("forwarded_headers", "redirect_https", "trusted_proxies", *edge.KEYS)
HTTP_CHECK = ("method", "path", "host", "status")


class Place(t.NamedTuple):
    """An address that something listens on, and what a user calls it."""

    owner: str
    address: str
    port: int
    #: The listen, where it may share its port: a name that a client asks for tells it from others.
    listen: Options | None = None


def is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def bind_problem(address: t.Any) -> str | None:
    if address in ("", "*") or is_address(str(address)):
        return None
    cure = (
        f"write {address[1:-1]}" if str(address).startswith("[") else "it has to be an IP address of the host, or empty"
    )
    return f"binds '{address}': {cure}"


def host_problem(address: t.Any) -> str | None:
    """What is wrong with the address of a server."""
    text = str(address)
    if is_address(text):
        return None
    if text.startswith("[") and is_address(text.strip("[]")):
        return f"'{text}' is an IPv6 address in brackets: write {text.strip('[]')}"
    head, colon, port = text.rpartition(":")
    if colon and port.isdigit():
        return f"'{text}' holds a port: write address '{head.strip('[]')}' and port {port}"
    # A name of digits alone is an address that somebody mistyped.
    if not HOST_NAME.fullmatch(text) or re.fullmatch(r"[0-9.]+", text):
        return f"'{text}' is neither an IP address nor a name"
    return None


def port_problem(name: str, value: t.Any) -> str | None:
    """One sentence on a port that is none."""
    port = number(value)
    return (
        None if port is not None and 1 <= port <= 65535 else f"{name} is {value}; a port is a number from 1 to 65535."
    )


def overlap(first: Place, second: Place) -> bool:
    """Whether two places can't be bound at once: one port, and one address or all of that version."""
    if first.port != second.port:
        return False
    version6 = (":" in first.address, ":" in second.address)
    wild = {"", "*", "0.0.0.0", "::"}
    return version6[0] == version6[1] and (
        first.address == second.address or first.address in wild or second.address in wild
    )


def places(listens: t.Sequence[Options], taken: t.Sequence[Options]) -> list[Place]:
    found = [Place(entry["name"], entry.get("address") or "", number(entry["port"]) or 0) for entry in taken]
    for listen in listens:
        named = listen if (listen.get("mode") or "tcp") == "http" else None
        for bind in listen.get("bind") or []:
            found.append(Place(f"'{listen['name']}'", bind.get("address") or "", number(bind.get("port")) or 0, named))
    return [place for place in found if place.port]


def shared_ports(listens: t.Sequence[Options], taken: t.Sequence[Options]) -> t.Iterator[str]:
    """Two that want one port."""
    found = places(listens, taken)
    for index, first in enumerate(found):
        for second in found[index + 1 :]:
            if overlap(first, second) and not may_share(first, second):
                where = f" of {second.address}" if second.address else ""
                who = f"{first.owner} and {second.owner}" if first.owner != second.owner else f"{first.owner} twice"
                yield f"port {second.port}{where} is bound by {who}; give every listen a port of its own"


def may_share(first: Place, second: Place) -> bool:
    """Whether two listens have one address and port, and clients tell them apart by the name that they ask for."""
    if first.address != second.address or first.owner == second.owner or first.listen is None or second.listen is None:
        return False
    return bool(first.listen.get("hosts") or second.listen.get("hosts"))


def shared_names(listens: t.Sequence[Options]) -> t.Iterator[str]:
    """What has to be true of listens that have one port and differ by their names."""
    sharing: dict[tuple[str, int], list[Options]] = {}
    for place in places(listens, ()):
        if place.listen is not None:
            sharing.setdefault((place.address, place.port), []).append(place.listen)
    for (dummy, port), them in sharing.items():
        hosts = [str(host).lower() for listen in them for host in listen.get("hosts") or []]
        for host in twice(hosts):
            yield f"the host '{host}' comes twice on port {port}; a name leads to one listen"
        if hosts and all(listen.get("hosts") for listen in them):
            yield (
                f"port {port} has nobody for clients that ask for another name; add a listen without hosts, "
                "such as one with respond: {status: 404}"
            )
        # one socket is set up once: what it speaks is not told by a name
        for what, said in (
            ("tls", {bool(listen.get("tls")) for listen in them}),
            ("accept_proxy", {bool(listen.get("accept_proxy")) for listen in them}),
            ("tls.min_version", {given(listen.get("tls")).get("min_version", "TLSv1.2") for listen in them}),
        ):
            if len(said) > 1:
                names = ", ".join(f"'{listen['name']}'" for listen in them)
                yield f"{names} share port {port} and differ in {what}; give all of them the same"


def twice(names: t.Sequence[str]) -> list[str]:
    return sorted({name for name in names if names.count(name) > 1})


def name_problems(listens: t.Sequence[Options]) -> t.Iterator[str]:
    names = [str(listen.get("name")) for listen in listens]
    pools = [str(listen.get("pool") or listen.get("name")) for listen in listens]
    for name in dict.fromkeys(names + pools):
        if not NAME.fullmatch(name):
            yield f"'{name}' is no name; take letters, digits, '_' and '-', and begin with a letter"
        if name in RESERVED:
            yield f"the name '{name}' is the role's own; take another"
    for what, all_of_them in (("name", names), ("pool", pools)):
        for name in twice(all_of_them):
            yield f"the {what} '{name}' comes twice; every listen needs one of its own"


def server_problems(listen: Options, inventory: Inventory) -> t.Iterator[str]:
    """What is wrong with the servers of a listen."""
    group = listen.get("group")
    if listen.get("redirect_https") or listen.get("respond") is not None:
        if listen.get("backends") or group:
            yield (
                "has redirect_https and servers; a redirect needs none"
                if listen.get("redirect_https")
                else "has respond and servers; a fixed answer needs none"
            )
        return
    if listen.get("backends") and group:
        yield "has backends and a group; give one of them"
    elif group and group not in inventory.groups:
        known = ", ".join(sorted(set(inventory.groups) - {"all", "ungrouped"}))
        yield f"names the group '{group}', which the inventory lacks; it has {known or 'none'}"
        return
    found = servers(listen, inventory)
    if not found:
        yield f"has no servers: {'the group ' + repr(group) + ' is empty' if group else 'give backends or a group'}"
    for name in twice([str(server.get("name")) for server in found]):
        yield f"has two servers named '{name}'; every server needs a name of its own"
    for server in found:
        name = str(server.get("name") or "")
        if not SERVER_NAME.fullmatch(name):
            yield f"has a server named '{name}'; take letters, digits, '.', '_' and '-'"
        if not server.get("address"):
            variable = listen.get("address_variable") or inventory.address_variable
            yield f"has server '{name}' without an address" + (
                f": host {name} of group '{group}' has no variable {variable}" if group else ""
            )
        elif host_problem(server["address"]):
            yield f"has server '{name}' whose address {host_problem(server['address'])}"
        if server.get("port") is None:
            yield f"has server '{name}' without a port; give it one, or give backend_port"
        else:
            problem = port_problem(f"server '{name}' whose port", server["port"])
            if problem:
                yield f"has {problem[:-1]}"
        weight = given(server).get("weight")
        if weight is not None and not 0 <= (-1 if number(weight) is None else number(weight) or 0) <= 256:
            yield f"has server '{name}' with weight {weight}; a weight is a number from 0 to 256"
    if found and all(server.get("backup") for server in found):
        yield "has nothing but backup servers; at least one has to be none"


def tls_problems(listen: Options) -> t.Iterator[str]:
    """What is wrong with TLS on either side."""
    tls = listen.get("tls")
    if tls is not None and not given(tls).get("certificate"):
        yield "has tls without a certificate; give tls.certificate a file on the host"
    backend_tls = listen.get("backend_tls")
    if backend_tls is not None:
        options = given(backend_tls)
        if options.get("verify", True) and not options.get("server_name"):
            yield (
                "has backend_tls without server_name; give the DNS name that the servers' certificates hold, "
                "or verify: false"
            )
    check = given(listen.get("health_check"))
    if check.get("ca") and not check.get("server_name"):
        yield "has health_check.ca without health_check.server_name; give the DNS name that the certificates hold"
    if check.get("ca") and backend_tls is not None:
        yield "has health_check.ca and backend_tls; leave the first out, for the check verifies what backend_tls does"
    for option, part, key in (
        ("tls.certificate", tls, "certificate"),
        ("tls.key", tls, "key"),
        ("tls.client_ca", tls, "client_ca"),
        ("backend_tls.ca", backend_tls, "ca"),
        ("health_check.ca", check, "ca"),
    ):
        path = given(part).get(key)
        if path and not str(path).startswith("/"):
            yield f"has {option} '{path}'; it has to be the whole path of a file on the host"


def check_problems(listen: Options) -> t.Iterator[str]:
    """What is wrong with the health check."""
    check = given(listen.get("health_check"))
    kind = check.get("type", "tcp")
    if kind in ("tcp", "none"):
        for key in [key for key in (*HTTP_CHECK, "ca") if key in check]:
            yield f"has health_check.{key} with a check of type {kind}; take type http or https, or leave it out"
        return
    if kind == "http" and "ca" in check:
        yield "has health_check.ca with a check of type http; take type https, or leave it out"
    path = str(check.get("path", "/"))
    if not path.startswith("/") or not WORD.fullmatch(path):
        yield f"has health_check.path '{path}'; it has to begin with '/' and hold no blanks or quotes"
    for key in ("host", "method", "server_name"):
        if key in check and not WORD.fullmatch(str(check[key])):
            yield f"has health_check.{key} '{check[key]}', which may hold no blanks or quotes"
    if not STATUS.fullmatch(str(check.get("status", "200"))):
        yield f"has health_check.status '{check['status']}'; take something like 200, 200,401 or 200-399"


def mode_problems(listen: Options) -> t.Iterator[str]:
    """What only a listen of mode http can do."""
    if (listen.get("mode") or "tcp") == "http":
        if listen.get("redirect_https") and given(listen.get("tls")):
            yield "has redirect_https and tls; it would redirect to itself"
        if listen.get("trusted_proxies") and listen.get("forwarded_headers") is False:
            yield "has trusted_proxies, which mean nothing without forwarded_headers"
        yield from edge.problems(listen)
        return
    for key in [key for key in HTTP_ONLY if listen.get(key) not in (None, False, "", [])]:
        yield f"has {key}, which needs mode http"
    if given(listen.get("stickiness")).get("type") == "cookie":
        yield "has stickiness by cookie, which needs mode http; take type source"
    if given(listen.get("timeouts")).get("request"):
        yield "has timeouts.request, which needs mode http"


def value_problems(listen: Options) -> t.Iterator[str]:
    """Values that a type can't tell: durations, networks, numbers."""
    check = given(listen.get("health_check"))
    durations = {f"timeouts.{key}": value for key, value in given(listen.get("timeouts")).items()}
    durations.update(
        (f"health_check.{key}", check[key]) for key in ("interval", "fast_interval", "down_interval") if key in check
    )
    durations.update({"stickiness.timeout": given(listen.get("stickiness")).get("timeout")})
    durations.update(
        {"slowstart": given(listen).get("slowstart"), "auth.timeout": given(listen.get("auth")).get("timeout")}
    )
    for key, value in durations.items():
        if value is not None and not DURATION.fullmatch(str(value)):
            yield f"has {key} '{value}'; a time is a number and its unit, such as 500ms, 2s or 1h"
    for key in ("allow", "deny", "trusted_proxies"):
        for network in listen.get(key) or []:
            try:
                ipaddress.ip_network(str(network))
            except ValueError as error:
                yield f"has {key} '{network}', which is no network: {error}"
    for key, value in (
        ("health_check.fall", check.get("fall")),
        ("health_check.rise", check.get("rise")),
        ("max_connections", given(listen).get("max_connections")),
    ):
        if value is not None and (number(value) or 0) < 1:
            yield f"has {key} {value}; it has to be 1 or more"
    cookie = given(listen.get("stickiness")).get("cookie")
    if cookie is not None and not NAME.fullmatch(str(cookie)):
        yield f"has stickiness.cookie '{cookie}'; take letters, digits, '_' and '-'"


def bind_problems(listen: Options) -> t.Iterator[str]:
    binds = listen.get("bind") or []
    if not binds:
        yield "has no bind; give it at least one port"
    for bind in binds:
        problem = bind_problem(bind.get("address") or "")
        if problem:
            yield problem
        problem = port_problem("binds a port that", bind.get("port"))
        if problem:
            yield problem[:-1]
    port = (listen.get("health_check") or {}).get("port")
    problem = None if port is None else port_problem("has health_check.port, which", port)
    if problem:
        yield problem[:-1]


def problems(
    listens: t.Sequence[Options], variable: str, inventory: Inventory, taken: t.Sequence[Options] = ()
) -> list[str]:
    """All that is wrong, a sentence each; `variable` is what the user calls the list, `taken` the role's own ports."""
    found = list(name_problems(listens))
    for listen in listens:
        for rule in (bind_problems, tls_problems, check_problems, mode_problems, value_problems):
            found += [f"'{listen.get('name')}' {problem}" for problem in rule(listen)]
        found += [f"'{listen.get('name')}' {problem}" for problem in server_problems(listen, inventory)]
    found += [*shared_ports(listens, taken), *shared_names(listens)]
    return [f"{variable}: {problem}." for problem in found]


def edge_refusals(listens: t.Sequence[Options], variable: str, program: str) -> list[str]:
    """What only nginx does at the edge, a sentence each; `program` is the one that does not."""
    return [
        f"{variable}: '{listen.get('name')}' {problem}."
        for listen in listens
        for problem in edge.refusals(listen, program)
    ]


def port_problems(ports: t.Mapping[str, t.Any]) -> list[str]:
    """A sentence for every variable that has to be a port and is none."""
    return [problem for problem in (port_problem(name, value) for name, value in ports.items()) if problem]
