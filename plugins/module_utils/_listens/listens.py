# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a user writes in `<role>_listens`, made whole: every key there, servers of groups found. Pure.

A key that is missing and a key that is null mean the same: the default.
"""

from __future__ import annotations

import re
import typing as t

Options = t.Mapping[str, t.Any]

CHECK = {
    "type": "tcp",
    "method": "GET",
    "path": "/",
    "host": "",
    "port": None,
    "status": "200",
    "ca": "",
    "server_name": "",
}
TLS = {"key": "", "client_ca": "", "min_version": "TLSv1.2"}
STICKINESS = {"timeout": "30m", "cookie": "SERVER"}
AUTH = {"signin": "", "own_path": "", "headers": [], "timeout": "5s", "ca": "", "server_name": ""}
RATE_LIMIT = {"header": "", "burst": 0}
RESPOND = {"status": 404, "body": "default backend - 404\n"}
TIMEOUTS = ("connect", "idle", "tunnel", "queue", "request")


class Inventory(t.NamedTuple):
    """Where servers of a group come from, and which variable of a host holds its address."""

    groups: t.Mapping[str, t.Sequence[str]]
    hostvars: t.Mapping[str, Options]
    address_variable: str

    def address(self, host: str, variable: str | None) -> str | None:
        """The address of a host; a dotted name leads into facts."""
        value: t.Any = self.hostvars[host]
        for part in (variable or self.address_variable).split("."):
            try:
                value = value[part]
            except (KeyError, TypeError):
                return None
        return str(value) if value else None


def given(options: Options | None) -> dict[str, t.Any]:
    """What somebody really said."""
    return {key: value for key, value in (options or {}).items() if value is not None and value != ""}


def number(value: t.Any) -> int | None:
    """A whole number, also where a template has made it a text; None for what is none."""
    try:
        return None if isinstance(value, bool) else int(str(value))
    except ValueError:
        return None


def servers(listen: Options, inventory: Inventory) -> list[dict[str, t.Any]]:
    """The servers of a listen as they are written, or as the group has them."""
    listed = listen.get("backends") or []
    if not listed and listen.get("group") in inventory.groups:
        variable = listen.get("address_variable")
        listed = [
            {"name": host, "address": inventory.address(host, variable)} for host in inventory.groups[listen["group"]]
        ]
    return [{"port": listen.get("backend_port"), **given(server)} for server in listed]


def resolve(listen: Options, inventory: Inventory, defaults: Options) -> dict[str, t.Any]:
    """One listen with everything that its template asks for."""
    mode = listen.get("mode") or "tcp"
    tls = given(listen.get("tls"))
    backend_tls = {"verify": True, "ca": "", "server_name": "", **given(listen.get("backend_tls"))}
    if backend_tls["verify"] and not backend_tls["ca"]:
        backend_tls["ca"] = defaults["ca_bundle"]
    check = {**CHECK, **defaults["health_check"], **given(listen.get("health_check"))}
    stickiness = given(listen.get("stickiness"))
    respond = None if listen.get("respond") is None else {**RESPOND, **given(listen["respond"])}
    # a redirect and a fixed answer need no servers
    proxied = respond is None and not listen.get("redirect_https")
    return {
        "name": listen["name"],
        "pool": listen.get("pool") or listen["name"],
        "mode": mode,
        "bind": [{"address": bind.get("address") or "", "port": number(bind["port"])} for bind in listen["bind"]],
        "accept_proxy": bool(listen.get("accept_proxy")),
        "tls": {**TLS, **tls} if tls else None,
        "balance": listen.get("balance") or defaults["balance"],
        "stickiness": {**STICKINESS, **stickiness} if stickiness else None,
        "backends": [
            {
                "name": server["name"],
                "address": server["address"],
                "port": number(server["port"]),
                "weight": number(server.get("weight")),
                "backup": bool(server.get("backup")),
            }
            for server in servers(listen, inventory)
        ],
        "send_proxy": listen.get("send_proxy") or "none",
        "backend_tls": backend_tls if listen.get("backend_tls") is not None else None,
        "health_check": {**check, "port": number(check["port"])},
        "allow": list(listen.get("allow") or []),
        "deny": list(listen.get("deny") or []),
        "timeouts": {**dict.fromkeys(TIMEOUTS), **defaults["timeouts"], **_timeouts(given(listen.get("timeouts")))},
        "client_keepalive": defaults["client_keepalive"],
        "server_keepalive": defaults["server_keepalive"],
        "max_connections": number(listen.get("max_connections")) or number(defaults["max_connections"]),
        "slowstart": listen.get("slowstart") or defaults["slowstart"],
        "shutdown_on_down": bool(_or(listen.get("shutdown_on_down"), defaults["shutdown_on_down"])),
        "redirect_https": bool(listen.get("redirect_https")),
        "forwarded_headers": mode == "http" and bool(_or(listen.get("forwarded_headers"), True)),
        "trusted_proxies": list(listen.get("trusted_proxies") or []),
        "proxied": proxied,
        "ready": bool(_or(listen.get("ready"), True)) and proxied,
        "hosts": [str(host).lower() for host in listen.get("hosts") or []],
        "respond": respond,
        "limit_rate": str(listen.get("limit_rate") or ""),
        "limit_rate_after": str(listen.get("limit_rate_after") or ""),
        "auth": None if listen.get("auth") is None else _auth(given(listen["auth"]), defaults["ca_bundle"]),
        "rate_limits": [{**RATE_LIMIT, **given(limit)} for limit in listen.get("rate_limits") or []],
        "rewrites": [{"redirect": "none", **given(rewrite)} for rewrite in listen.get("rewrites") or []],
        "forwarded_clients": bool(listen.get("forwarded_clients")),
        "raw": listen.get("raw") or "",
        "raw_backend": listen.get("raw_backend") or "",
    }


def _or(value: t.Any, default: t.Any) -> t.Any:
    return default if value is None else value


def _auth(own: dict[str, t.Any], bundle: str) -> dict[str, t.Any]:
    """Who is asked over TLS has to have the name of the URL, where nobody said another one, and a certificate of the CA."""
    auth = {**AUTH, **own}
    host = re.match(r"https://([^/:\[]+|\[[^]]+\])", auth["url"])
    if host:
        auth.update(ca=auth["ca"] or bundle, server_name=auth["server_name"] or host[1])
    return auth


def _timeouts(own: dict[str, t.Any]) -> dict[str, t.Any]:
    """A tunnel may be silent as long as a connection, where a listen says no more than that."""
    return {"tunnel": own["idle"], **own} if "idle" in own else own


def files(listen: Options) -> list[dict[str, t.Any]]:
    """The files that a resolved listen reads: the names they have in a release, where they are on the host, what a user
    calls them, and what they have to hold.

    A key lies beside its certificate, where HAProxy looks for it by itself.
    """
    name, pool = listen["name"], listen["pool"]
    tls, backend_tls, auth = listen["tls"] or {}, listen["backend_tls"] or {}, listen["auth"] or {}
    both = ["certificate"] if tls.get("key") else ["certificate", "key"]
    found = [
        (f"{name}.pem", tls.get("certificate"), "tls.certificate", both),
        (f"{name}.pem.key", tls.get("key"), "tls.key", ["key"]),
        (f"{name}-clients.pem", tls.get("client_ca"), "tls.client_ca", ["certificate"]),
        (f"{pool}-servers.pem", backend_tls.get("ca"), "backend_tls.ca", ["certificate"]),
        (f"{name}-auth.pem", auth.get("ca"), "auth.ca", ["certificate"]),
        (f"{pool}-check.pem", listen["health_check"]["ca"], "health_check.ca", ["certificate"]),
    ]
    return [
        {"name": file, "source": source, "option": f"'{name}' has {option}", "holds": holds}
        for file, source, option, holds in found
        if source
    ]
