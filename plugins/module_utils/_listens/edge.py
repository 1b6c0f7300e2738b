# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a listen of mode http does at the edge of a cluster, as lines of nginx, and what of it can't work. Pure.

Names, fixed answers, bandwidth, authentication by a third party, limits of requests, other URLs.
"""

from __future__ import annotations

import re
import typing as t

from .listens import Options, given, number

#: The keys of a listen that are all of this. Other programs than nginx refuse them.
KEYS = ("hosts", "respond", "limit_rate", "limit_rate_after", "auth", "rate_limits", "rewrites", "forwarded_clients")
#: Those that say what becomes of a request on its way to a server.
ON_THE_WAY = ("limit_rate", "auth", "rate_limits", "rewrites")
#: What `redirect` of a rewrite is called by nginx. A rewrite that is none goes on in its location.
FLAGS = {"none": "break", "temporary": "redirect", "permanent": "permanent"}
#: Room for 160000 addresses (a state takes 64 bytes: documentation of ngx_http_limit_req_module).
ZONE = "10m"

HOST = re.compile(r"(\*\.)?[A-Za-z0-9]([A-Za-z0-9-]{0,62})(\.[A-Za-z0-9]([A-Za-z0-9-]{0,62}))*")
SIZE = re.compile(r"[1-9]\d*[kKmM]?")
RATE = re.compile(r"[1-9]\d*r/[sm]")
HEADER = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}")
TEXT = re.compile(r"[^\s\"']+")
URL = re.compile(r"https?://[^\s\"'$;{}]+")


class Lines(t.NamedTuple):
    """Lines of one listen, each for its block."""

    http: list[str]
    server: list[str]
    location: list[str]


def quoted(text: str) -> str:
    """A text as one word of nginx, whose parser takes backslashes away."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def variable(header: str) -> str:
    """The part of a variable's name that stands for a header."""
    return header.lower().replace("-", "_")


def lines(listen: Options, index: int) -> Lines:
    """What nginx has to be told of a resolved listen, the index-th of mode http."""
    made = Lines([], [], [])
    if listen["hosts"]:
        made.server.append(f"server_name {' '.join(listen['hosts'])};")
    if listen["forwarded_clients"]:
        made.server.extend(f"set_real_ip_from {network};" for network in listen["trusted_proxies"])
        made.server.extend(["real_ip_header X-Forwarded-For;", "real_ip_recursive on;"])
    for place, limit in enumerate(listen["rate_limits"], 1):
        _rate_limit(made, listen["name"], limit, f"{index}_{place}")
    if listen["rate_limits"]:
        made.server.append("limit_req_status 429;")
    for rewrite in listen["rewrites"]:
        words = (quoted(rewrite["pattern"]), quoted(rewrite["replacement"]), FLAGS[rewrite["redirect"]])
        made.location.append(f"rewrite {' '.join(words)};")
    if listen["limit_rate"]:
        # nginx limits what it buffers, which it should do in memory alone
        made.location.extend([f"limit_rate {listen['limit_rate']};", "proxy_max_temp_file_size 0;"])
    if listen["limit_rate_after"]:
        made.location.append(f"limit_rate_after {listen['limit_rate_after']};")
    if listen["auth"]:
        _authentication(made, listen, index)
    return made


def _rate_limit(made: Lines, name: str, limit: Options, mark: str) -> None:
    """One limit. Who has no such header is known by his address, or leaving it out would be the way around."""
    key = "$binary_remote_addr"
    if limit["header"]:
        key = f"$clusterfront_rate_{mark}"
        header = f"$http_{variable(limit['header'])}"
        made.http.extend([f"map {header} {key} {{", f"    default {header};", '    "" $binary_remote_addr;', "}"])
    zone = f"{name}_rate_{mark}"
    made.http.append(f"limit_req_zone {key} zone={zone}:{ZONE} rate={limit['rate']};")
    burst = f" burst={limit['burst']} nodelay" if limit["burst"] else ""
    made.server.append(f"limit_req zone={zone}{burst};")


def _authentication(made: Lines, listen: Options, index: int) -> None:
    """A question to a third party before each request: 2xx lets it pass, 401 and 403 do not, anything else is an error."""
    auth, name = listen["auth"], listen["name"]
    path = f"/_clusterfront_auth_{index}"
    made.location.append(f"auth_request {path};")
    for header in auth["headers"]:
        value = f"$clusterfront_auth_{index}_{variable(header)}"
        made.location.append(f"auth_request_set {value} $upstream_http_{variable(header)};")
        # what the client itself says of this is replaced, or dropped where the third party says nothing
        made.location.append(f"proxy_set_header {header} {value};")
    cookie = f"$clusterfront_auth_{index}"
    made.location.append(f"auth_request_set {cookie} $upstream_http_set_cookie;")
    made.location.append(f"add_header Set-Cookie {cookie};")
    tls = _verified(auth, name) if auth["url"].startswith("https:") else []
    original = ["Host $http_host", "Uri $request_uri", "Method $request_method", "Proto $scheme", "For $remote_addr"]
    forwarded = [f"proxy_set_header X-Forwarded-{header};" for header in original]
    made.server.extend(
        [
            f"location = {path} {{",
            "    internal;",
            f"    proxy_pass {auth['url']};",
            "    proxy_pass_request_body off;",
            '    proxy_set_header Content-Length "";',
            *_indented(forwarded),
            f"    proxy_connect_timeout {auth['timeout']};",
            f"    proxy_read_timeout {auth['timeout']};",
            *_indented(tls),
            "}",
        ]
    )
    if auth["own_path"]:
        made.server.extend(
            [
                f"location ^~ {auth['own_path']} {{",
                f"    proxy_pass {origin(auth['url'])};",
                "    proxy_set_header Host $http_host;",
                "    proxy_set_header X-Auth-Request-Redirect $request_uri;",
                *_indented(forwarded),
                *_indented(tls),
                "}",
            ]
        )
    if auth["signin"]:
        made.location.append(f"error_page 401 = @clusterfront_signin_{index};")
        made.server.extend(
            [f"location @clusterfront_signin_{index} {{", f"    return 302 {quoted(auth['signin'])};", "}"]
        )


def _indented(text: t.Iterable[str]) -> list[str]:
    return [f"    {line}" for line in text]


def _verified(auth: Options, name: str) -> list[str]:
    """TLS to the third party, verified by its name."""
    return [
        f"proxy_ssl_name {auth['server_name']};",
        "proxy_ssl_server_name on;",
        "proxy_ssl_verify on;",
        "proxy_ssl_verify_depth 5;",
        f"proxy_ssl_trusted_certificate @directory@/{name}-auth.pem;",
    ]


def origin(url: str) -> str:
    """Scheme, host and port of a URL."""
    return "/".join(url.split("/")[:3])


def problems(listen: Options) -> t.Iterator[str]:
    """What can't work in the edge keys of a listen of mode http."""
    for host in listen.get("hosts") or []:
        if not HOST.fullmatch(str(host)):
            yield f"has the host '{host}'; take a name such as echo.example.com or *.example.com"
    respond = listen.get("respond")
    if respond is not None:
        yield from _respond_problems(listen, given(respond))
    if listen.get("redirect_https") or respond is not None:
        what = "respond" if respond is not None else "redirect_https"
        for key in [key for key in ON_THE_WAY if listen.get(key)]:
            yield f"has {key} and {what}; only what goes on to servers can have it"
    if listen.get("forwarded_clients"):
        if not listen.get("trusted_proxies"):
            yield "has forwarded_clients without trusted_proxies; give the networks of the proxies that are to be believed"
        if listen.get("accept_proxy"):
            yield "has forwarded_clients and accept_proxy; the client's address can come from one of them"
    for key in ("limit_rate", "limit_rate_after"):
        value = listen.get(key)
        if value and not SIZE.fullmatch(str(value)):
            yield f"has {key} '{value}'; it has to be bytes{' a second' if key == 'limit_rate' else ''}, such as 512k or 2m"
    if listen.get("limit_rate_after") and not listen.get("limit_rate"):
        yield "has limit_rate_after without limit_rate; give the bytes a second that are left after it"
    for limit in listen.get("rate_limits") or []:
        yield from _rate_problems(given(limit))
    for rewrite in listen.get("rewrites") or []:
        for key in ("pattern", "replacement"):
            if not TEXT.fullmatch(str(given(rewrite).get(key) or "")):
                yield f"has a rewrite whose {key} is '{given(rewrite).get(key, '')}'; it may hold no blanks or quotes, and may not be empty"
    if listen.get("auth") is not None:
        yield from _auth_problems(given(listen["auth"]))


def _respond_problems(listen: Options, respond: Options) -> t.Iterator[str]:
    status = number(respond.get("status", 404)) or 0
    if not 200 <= status <= 599:
        yield f"has respond.status {respond.get('status')}; it has to be a status of HTTP from 200 to 599"
    if "$" in str(respond.get("body", "")):
        yield "has respond.body with '$', which begins a variable in nginx; leave it out"
    if listen.get("redirect_https"):
        yield "has respond and redirect_https; give one of them"


def _rate_problems(limit: Options) -> t.Iterator[str]:
    if not RATE.fullmatch(str(limit.get("rate", ""))):
        yield f"has a rate limit whose rate is '{limit.get('rate', '')}'; it has to be requests a second or a minute, such as 10r/s or 30r/m"
    burst = number(limit.get("burst", 0))
    if burst is None or burst < 0:
        yield f"has a rate limit whose burst is {limit['burst']}; it has to be 0 or more"
    if "header" in limit and not HEADER.fullmatch(str(limit["header"])):
        yield f"has a rate limit by the header '{limit['header']}'; take a name such as X-Api-Key"


def _auth_problems(auth: Options) -> t.Iterator[str]:
    url = str(auth.get("url", ""))
    if not URL.fullmatch(url):
        yield f"has auth.url '{url}'; it has to be the whole URL that is asked, such as http://192.0.2.61:4180/oauth2/auth"
        return
    if "signin" in auth and not re.fullmatch(r"(https?://|/)[^\s\"']*", str(auth["signin"])):
        yield f"has auth.signin '{auth['signin']}'; it has to be a URL, or a path that begins with '/'"
    if "own_path" in auth and not re.fullmatch(r"/[^\s\"';{}$]+", str(auth["own_path"])):
        yield f"has auth.own_path '{auth['own_path']}'; it has to be a path such as /oauth2/"
    for header in auth.get("headers") or []:
        if not HEADER.fullmatch(str(header)):
            yield f"has auth.headers '{header}'; take names such as X-Auth-Request-User"
    for key in [key for key in ("ca", "server_name") if key in auth and not url.startswith("https:")]:
        yield f"has auth.{key}, but auth.url '{url}' is no https; leave it out"
    if "ca" in auth and not str(auth["ca"]).startswith("/"):
        yield f"has auth.ca '{auth['ca']}'; it has to be the whole path of a file on the host"


def refusals(listen: Options, program: str) -> t.Iterator[str]:
    """What a program refuses that is no edge."""
    for key in [key for key in KEYS if listen.get(key) not in (None, False, "", [])]:
        yield f"has {key}, which {program} does not do here; take the role nginx"
