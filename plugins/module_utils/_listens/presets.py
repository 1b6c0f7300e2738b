# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The listens that a preset stands for, whichever program balances. Pure.

`options` are the variables of a role without its name: `bind_port` of `haproxy_bind_port`.
"""

from __future__ import annotations

import typing as t

from .listens import Options

Listens = t.List[t.Dict[str, t.Any]]

#: Where both kinds of ingress answer to any name; see the page on Rancher.
RANCHER_PATHS = {"nginx": "/healthz", "traefik": "/ping"}
#: RKE2 ships with anonymous requests turned away: 401 says as much as it tells to a stranger.
RKE2_CHECK = {"type": "https", "port": 6443, "path": "/readyz", "status": "200,401"}


def binds(options: Options, port: t.Any) -> list[dict[str, t.Any]]:
    found = [{"address": options["bind_address"], "port": port}, {"address": "::", "port": port}]
    return found if options["bind_ipv6"] else found[:1]


def servers(options: Options, port: t.Any) -> dict[str, t.Any]:
    return {"backends": options["backends"], "group": options["backend_group"], "backend_port": port}


def rancher_check(options: Options) -> dict[str, t.Any]:
    """Plain HTTP on the path of the ingress; a connection is enough where nobody said which kind it is."""
    if not options["rancher_ingress"]:
        return {"type": "tcp"}
    return {
        "type": "http",
        "port": options["rancher_http_port"],
        "path": RANCHER_PATHS[options["rancher_ingress"]],
        "host": options["rancher_hostname"],
    }


def kube_apiserver(options: Options) -> Listens:
    """TCP pass-through to apiservers.

    The check is a GET: /readyz turns red as soon as an apiserver begins to stop, and an anonymous user may do no more than get.
    """
    check = {
        "type": "https",
        "path": options["check_path"],
        "host": options["check_host"],
        "ca": options["check_ca_file"],
        "server_name": options["check_server_name"],
    }
    return [
        {
            "name": "kube_apiserver",
            "pool": "apiservers",
            "bind": binds(options, options["bind_port"]),
            **servers(options, options["backend_port"]),
            "health_check": check,
        }
    ]


def rancher_l4(options: Options) -> Listens:
    """TCP pass-through to the ingress of the Rancher nodes."""
    return [
        {
            "name": name,
            "bind": binds(options, port),
            **servers(options, port),
            "send_proxy": options["rancher_send_proxy"],
            "health_check": rancher_check(options),
        }
        for name, port in (
            ("rancher_http", options["rancher_http_port"]),
            ("rancher_https", options["rancher_https_port"]),
        )
    ]


def rancher_l7(options: Options) -> Listens:
    """TLS ends here, and Rancher runs with tls=external: its ingress gets plain HTTP with the headers that tell it so.

    Web sockets of agents and shells may be silent for half an hour.
    """
    return [
        {
            "name": "rancher_redirect",
            "mode": "http",
            "bind": binds(options, options["rancher_http_port"]),
            "redirect_https": True,
        },
        {
            "name": "rancher",
            "mode": "http",
            "bind": binds(options, options["rancher_https_port"]),
            "tls": {"certificate": options["rancher_certificate"], "key": options["rancher_key"]},
            **servers(options, options["rancher_http_port"]),
            "forwarded_headers": True,
            "trusted_proxies": options["rancher_trusted_proxies"],
            "timeouts": {"idle": "1800s"},
            "health_check": rancher_check(options),
        },
    ]


def rke2(options: Options) -> Listens:
    """The supervisor listens long before a server is a member of its cluster, so both are checked at the apiserver."""
    return [
        {"name": name, "bind": binds(options, port), **servers(options, port), "health_check": RKE2_CHECK}
        for name, port in (("rke2_supervisor", 9345), ("rke2_apiserver", 6443))
    ]


PRESETS = {"kube_apiserver": kube_apiserver, "rancher_l4": rancher_l4, "rancher_l7": rancher_l7, "rke2": rke2}


def preset_listens(names: t.Iterable[str], options: Options) -> Listens:
    """The listens of several presets."""
    return [listen for name in names for listen in PRESETS[name](options)]
