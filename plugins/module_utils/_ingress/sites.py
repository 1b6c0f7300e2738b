# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The sites of an ingress front end without Kubernetes, as listens of the role nginx; and who leaves a front end. Pure."""

from __future__ import annotations

import typing as t

Options = t.Mapping[str, t.Any]
Listens = t.List[t.Dict[str, t.Any]]

#: What a site does not say, because its front end does.
NOT_OWN = ("bind", "mode", "trusted_proxies", "forwarded_clients")


def listens(sites: t.Sequence[Options], options: Options) -> Listens:
    """All listens of a node: one for everybody who asks for another name, on each port, and those of the sites.

    options: layer (4 or 7), http_port, https_port, certificate, key, min_version, status, body, trusted_proxies.
    At layer 7 the SLB ends TLS and is a proxy: nodes have plain HTTP, and clients are those that it names.
    """
    http = {"mode": "http", "bind": [{"port": options["http_port"]}]}
    nobody = {"respond": {"status": options["status"], "body": options["body"]}}
    if options["layer"] == 7:
        proxied = {"trusted_proxies": list(options["trusted_proxies"]), "forwarded_clients": True}
        return [{"name": "nobody_http", **http, **nobody}] + [{**_plain(site), **http, **proxied} for site in sites]
    https = {"mode": "http", "bind": [{"port": options["https_port"]}]}
    tls = {"certificate": options["certificate"], "key": options["key"], "min_version": options["min_version"]}
    made: Listens = [{"name": "nobody_http", **http, **nobody}, {"name": "nobody_https", **https, "tls": tls, **nobody}]
    for site in sites:
        own = site.get("tls") or {}
        made.append(
            {**_plain(site), **https, "tls": {**tls, **own, "min_version": options["min_version"]} if own else tls}
        )
        name = f"{site['name']}_http"
        if site.get("redirect", True):
            made.append({"name": name, **http, "hosts": site["hosts"], "redirect_https": True})
        else:
            made.append({**_plain(site), "name": name, **http, "ready": False})
    return made


def _plain(site: Options) -> dict[str, t.Any]:
    """A site without what is no key of a listen, or the front end's to say."""
    return {key: value for key, value in site.items() if key not in ("redirect", "tls")}


def problems(sites: t.Sequence[Options], variable: str) -> list[str]:
    """What can't work in sites, a sentence each; the rest is said of the listens that they make."""
    found = []
    for site in sites:
        name = site.get("name") or ""
        if not name:
            found.append(f"{variable} has a site without a name; give it one.")
        if not site.get("hosts"):
            found.append(f"{variable}: '{name}' has no hosts; give the names that clients ask for.")
        for key in [key for key in NOT_OWN if key in site]:
            found.append(f"{variable}: '{name}' has {key}, which the front end says for all; leave it out.")
    return found


def departures(groups: t.Sequence[Options], planned: t.Sequence[Options], owner: str) -> dict[str, t.Any]:
    """The members of a front end that get connections and are to get none, and all whose last connections have to end.

    groups and planned: as slb_server_group_info tells them, now and after the next run. What others put there stays as it is.
    Returns groups, each with its name and the backends that slb_backend takes from new connections; and server_ids, also of those
    that get none already.
    """
    after = {group["name"]: {_key(member) for member in group["backends"] if member["weight"]} for group in planned}
    leaving = []
    server_ids: dict[str, None] = {}
    for group in groups:
        members = [
            member
            for member in group["backends"]
            if member["owner"] == owner and _key(member) not in after.get(group["name"], ())
        ]
        server_ids.update({_key(member)[0]: None for member in members})
        backends = [_silent(member) for member in members if member["weight"]]
        if backends:
            leaving.append({"name": group["name"], "backends": backends})
    return {"groups": leaving, "server_ids": list(server_ids)}


def _key(member: Options) -> tuple[str, int]:
    """What a member of a group is known by."""
    return (member["eni_id"] or member["server_id"], member["port"])


def _silent(member: Options) -> dict[str, t.Any]:
    """A member by its id, without a share."""
    return {"eni_id" if member["eni_id"] else "server_id": _key(member)[0], "port": member["port"], "weight": 0}
