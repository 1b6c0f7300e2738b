# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What HAProxy is told of the listeners of layer 7 in one VPC. Pure: who runs it, and where, is no matter of this file."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..forwarding import Pool, Route, Tls, Website

CONNECT_TIMEOUT = 5  # seconds
COOKIE = "SERVERID"  # the name that the cloud documents
#: The types of text that the documentation of the cloud names.
COMPRESSED = (
    *("text/xml", "text/plain", "text/css", "text/javascript", "text/html", "application/json"),
    *("application/javascript", "application/x-javascript", "application/rss+xml", "application/atom+xml"),
    *("application/xml",),
)
#: The header of each switch of the API, and its value.
_HEADERS = {
    "XForwardedFor_SLBIP": ("SLB-IP", "{address}"),
    "XForwardedFor_SLBID": ("SLB-ID", "{load_balancer}"),
    "XForwardedFor_SLBPORT": ("X-Forwarded-Port", "{port}"),
    "XForwardedFor_ClientSrcPort": ("X-Forwarded-Client-srcport", "%[src_port]"),
    "XForwardedFor_proto": ("X-Forwarded-Proto", "{protocol}"),
}
_VERSIONS = ("TLSv1.0", "TLSv1.1", "TLSv1.2", "TLSv1.3")


@dataclass(frozen=True)
class Configuration:
    """The configuration, and the files that it names."""

    text: str
    files: dict[str, str]


def _name(*parts: object) -> str:
    return "_".join(str(part).replace(".", "_").replace(":", "_") for part in parts)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def configuration(websites: Sequence[Website], directory: Path, source: str) -> Configuration:
    """source is the address from which servers are called."""
    files: dict[str, str] = {}
    lines = [
        "global",
        f"    stats socket {directory}/stats.sock mode 600 level admin expose-fd listeners",
        "    hard-stop-after 60s",
        "    tune.ssl.default-dh-param 2048",
        "    maxconn 4000",
        "defaults",
        "    mode http",
        f"    timeout connect {CONNECT_TIMEOUT}s",
        "    option redispatch",
        "    http-reuse safe",
    ]
    for website in sorted(websites, key=lambda website: (website.address, website.port)):
        lines += _frontend(website, directory, files)
        pools = dict.fromkeys([website.pool, *(route.pool for route in website.routes)])
        for number, pool in enumerate(pools if not website.redirect else ()):
            lines += _backend(website, number, pool, source)
    return Configuration("\n".join(lines) + "\n", files)


def _frontend(website: Website, directory: Path, files: dict[str, str]) -> Iterator[str]:
    name = _name("listener", website.address, website.port)
    host = f"[{website.address}]" if ":" in website.address else website.address
    yield f"frontend {name}"
    yield f"    bind {host}:{website.port}{_tls(website.tls, name, directory, files) if website.tls else ''}"
    yield f"    timeout client {max(website.idle, website.request)}s"
    yield f"    timeout http-keep-alive {website.idle}s"
    yield f"    timeout http-request {website.request}s"
    if website.redirect:
        port = "" if website.redirect == 443 else f":{website.redirect}"
        yield f"    http-request redirect code 301 location https://%[req.hdr(host),host_only]{port}%[pathq]"
        return
    if "XForwardedFor" in website.headers:
        yield "    option forwardfor"
    values = {
        "address": website.address,
        "load_balancer": website.load_balancer,
        "port": website.port,
        "protocol": "https" if website.tls else "http",
    }
    for switch, (header, value) in _HEADERS.items():
        if switch in website.headers:
            yield f"    http-request set-header {header} {value.format(**values)}"
    if website.gzip:
        yield "    compression algo gzip"
        yield f"    compression type {' '.join(COMPRESSED)}"
    pools = list(dict.fromkeys([website.pool, *(route.pool for route in website.routes)]))
    for route in website.routes:
        yield f"    use_backend {_name(name, pools.index(route.pool))} if {' '.join(_conditions(route))}"
    yield f"    default_backend {_name(name, 0)}"


def _conditions(route: Route) -> Iterator[str]:
    """Names of domains have no case; a star stands for what is below it."""
    if route.domain.startswith("*"):
        yield f"{{ req.hdr(host),host_only -m end -i '{route.domain[1:]}' }}"
    elif route.domain:
        yield f"{{ req.hdr(host),host_only -m str -i '{route.domain}' }}"
    if route.url:
        yield f"{{ pathq -m beg '{route.url}' }}"


def _tls(tls: Tls, name: str, directory: Path, files: dict[str, str]) -> str:
    listed = []
    # the first one is for whoever asks for none of the others' names
    for domain, pem in (("!*", tls.certificate), *tls.domains):
        file = f"certificate_{_digest(pem)}.pem"
        files[file] = pem
        listed.append(f"{directory}/{file} {domain}")
    files[f"{name}.list"] = "\n".join(listed) + "\n"
    known = [version for version in _VERSIONS if version in tls.versions]
    modern = [cipher for cipher in tls.ciphers if cipher.startswith("TLS_")]
    older = [cipher for cipher in tls.ciphers if not cipher.startswith("TLS_")]
    words = [
        f" ssl crt-list {directory}/{name}.list ssl-min-ver {known[0]} ssl-max-ver {known[-1]}",
        # what the machine's own policy takes for too weak is the cloud's decision here
        f"ciphers {':'.join(older or ['ECDHE-RSA-AES128-GCM-SHA256'])}:@SECLEVEL=0",
        *([f"ciphersuites {':'.join(modern)}"] if modern else []),
        f"alpn {'h2,' if tls.http2 else ''}http/1.1",
    ]
    if tls.authority:
        file = f"authority_{_digest(tls.authority)}.pem"
        files[file] = tls.authority
        words.append(f"ca-file {directory}/{file} verify required")
    return " ".join(words)


def _backend(website: Website, number: int, pool: Pool, source: str) -> Iterator[str]:
    name = _name("listener", website.address, website.port)
    yield f"backend {_name(name, number)}"
    yield "    balance roundrobin"
    yield f"    timeout server {website.request}s"
    yield f"    source {source}"
    if pool.sticky == "insert":
        yield (
            f"    cookie {COOKIE} insert indirect nocache maxlife {pool.cookie_timeout}"
            f' attr "Max-Age={pool.cookie_timeout}"'
        )
    elif pool.sticky:
        yield f"    cookie {pool.cookie} prefix"
    for member in pool.members:
        server = f"{member.address}:{member.port}"
        weight = 1 if pool.scheduler == "rr" else member.weight
        cookie = f" cookie {_digest(server)}" if pool.sticky else ""
        yield f"    server {_name('s', member.address, member.port)} {server} weight {weight}{cookie}"
