# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The configuration that the nginx role renders, read by nginx itself where there is one."""

from __future__ import annotations

import json
import pathlib
import re
import subprocess

import nginx as tool
import pytest
import yaml

from ansible_collections.clusterfront.ha.plugins.module_utils._listens import edge

ROLE = "nginx"
TEMPLATE = "nginx.conf.j2"
SERVERS = [{"name": f"rancher-{number}", "address": f"192.0.2.{10 + number}"} for number in (1, 2, 3)]
BASE = {
    "nginx_backends": SERVERS,
    "__nginx_version": "1.22.1",
    "__nginx_stream": "dynamic",
    "__nginx_modules_path": "/usr/lib/nginx/modules",
}
RANCHER = {**BASE, "nginx_preset": "rancher_l4"}
LISTENS = {**BASE, "nginx_backends": []}
WEB = {
    "name": "web",
    "mode": "http",
    "bind": [{"address": "192.0.2.9", "port": 443}, {"address": "::", "port": "8443"}],
    "accept_proxy": True,
    "tls": {"certificate": "/x/web.pem", "key": "/x/web.key", "client_ca": "/x/clients.pem", "min_version": "TLSv1.3"},
    "balance": "roundrobin",
    "backends": SERVERS[:2] + [{**SERVERS[2], "backup": True, "weight": "7"}],
    "backend_port": 8443,
    "backend_tls": {"server_name": "web.example.com"},
    "health_check": {"type": "https", "path": "/healthz", "host": "web.example.com", "status": "200-399", "fall": 5},
    "allow": ["192.0.2.0/24", "2001:db8::/32"],
    "deny": ["192.0.2.66"],
    "timeouts": {"connect": "3s", "idle": "10m", "request": "4s"},
    "max_connections": 50,
    "trusted_proxies": ["192.0.2.0/28"],
    "raw": "add_header X-Served-By test;",
    "raw_backend": "keepalive 4;",
}
TCP = {
    "name": "tcp",
    "pool": "tcp-pool",
    "bind": [{"port": 7000}],
    "tls": {"certificate": "/x/tcp.pem"},
    "accept_proxy": True,
    "stickiness": {"type": "source"},
    "backends": [
        {"name": "a", "address": "192.0.2.77", "port": 1, "weight": 0},
        {"name": "b", "address": "2001:db8::1", "port": 2},
    ],
    "send_proxy": "v1",
    "ready": False,
    "max_connections": 9,
    "deny": ["192.0.2.66"],
}
EDGE = [
    {"name": "nobody", "mode": "http", "bind": [{"port": 8080}, {"address": "::", "port": 8080}], "respond": {"body": 'no "such" \\ place\n'}},
    {"name": "moved", "mode": "http", "bind": [{"port": 8080}], "hosts": ["old.example.com"], "redirect_https": True},
    {"name": "echo", "mode": "http", "bind": [{"port": 8080}, {"address": "::", "port": 8080}], "hosts": ["echo.example.com", "*.example.org"],
     "backends": SERVERS, "backend_port": 8081, "limit_rate": "512k", "limit_rate_after": "64k",
     "auth": {"url": "https://127.0.0.1:4180/auth", "own_path": "/oauth2/", "signin": "/oauth2/start?rd=$request_uri", "headers": ["X-User"]},
     "rate_limits": [{"rate": "10r/s", "burst": 5}, {"rate": "30r/m", "header": "X-Api-Key"}],
     "rewrites": [{"pattern": "^/v(\\d{1,2})/(.*);?$", "replacement": "/$2?v=$1"},
                  {"pattern": "^/away", "replacement": "https://example.com/", "redirect": "permanent"}],
     "forwarded_clients": True, "trusted_proxies": ["100.64.0.0/10"], "allow": ["192.0.2.0/24"]},
    {"name": "second", "mode": "http", "bind": [{"port": 8443}], "tls": {"certificate": "/x/tls.pem"}, "hosts": ["two.example.com"], "backends": SERVERS,
     "backend_port": 8081, "auth": {"url": "http://127.0.0.1:4180/auth"}, "rate_limits": [{"rate": "1r/s", "header": "X-Api-Key"}]},
    {"name": "nobody_tls", "mode": "http", "bind": [{"port": 8443}], "tls": {"certificate": "/x/tls.pem"}, "respond": {"status": 410}},
]  # fmt: skip
CASES = {
    "edge": {**LISTENS, "nginx_listens": EDGE},
    "rancher_l4": RANCHER,
    "both": {**RANCHER, "nginx_preset": ["rancher_l4", "rke2"], "nginx_bind_ipv6": True},
    "kube": {**BASE, "nginx_preset": "kube_apiserver", "nginx_check_ca_file": "/x/ca.pem"},
    "rancher_l7": {
        **RANCHER,
        "nginx_preset": "rancher_l7",
        "nginx_rancher_certificate": "/x/cert.pem",
        "nginx_rancher_ingress": "traefik",
    },
    "web": {**LISTENS, "nginx_listens": [WEB, TCP], "nginx_metrics_enabled": True},
    "newest": {**LISTENS, "nginx_listens": [WEB], "__nginx_version": "1.26.2", "__nginx_stream": "static"},
    "extra": {
        **RANCHER,
        "nginx_extra_main": "worker_priority 0;",
        "nginx_extra_stream": "server {\n    listen 127.0.0.1:9999;\n    return x;\n}\n",
        "nginx_extra_http": "server {\n    listen 127.0.0.1:9998;\n}\n",
        "nginx_worker_shutdown_timeout": "30m",
    },
}
#: What the files hold that the cases name.
FILES = {
    "web.pem": ["certificate"],
    "web.pem.key": ["private_key"],
    **dict.fromkeys(("tcp.pem", "rancher.pem", "second.pem", "nobody_tls.pem"), ["certificate", "private_key"]),
    **dict.fromkeys(("web-clients.pem", "web-servers.pem", "echo-auth.pem"), ["certificate"]),
}


def taken(text, directory, *more):
    """Let nginx read a text; its own words about it."""
    if not tool.BINARY:
        pytest.skip("NO NGINX ON THIS MACHINE: the rendered configuration was not validated")
    file = directory / "nginx.conf"
    file.write_text(text)
    own = f"pid {directory}/pid;"
    done = subprocess.run(
        [tool.BINARY, "-t", "-g", " ".join([own, *more]), "-p", str(directory), "-c", str(file)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.returncode, done.stderr


@pytest.mark.parametrize("case", [case for case in CASES if case != "newest"])
def test_nginx_takes_it(rendered, case, tmp_path, pem):
    # The user belongs to the package, the module is where the tests have it, and addresses are those of this machine.
    text = re.sub(r"^(user|load_module) .*\n", "", rendered[case], flags=re.MULTILINE).replace("@directory@", str(pem))
    temporary = tool.temporary_paths(tmp_path)
    text = text.replace("\nhttp {\n", f"\nhttp {{\n{temporary}\n", 1).replace("listen 192.0.2.9:", "listen 127.0.0.1:")
    code, output = taken(text, tmp_path, tool.module())
    assert code == 0, output
    assert "[warn]" not in output, output


def block(text, name):
    """The lines of a block, without their indent."""
    found = re.search(rf"^( *){re.escape(name)} {{\n(.*?)^\1}}", text, re.MULTILINE | re.DOTALL)
    assert found, f"{name} is missing in\n{text}"
    return [line.strip() for line in found.group(2).splitlines()]


def test_today_s_rancher(rendered):
    text = rendered["rancher_l4"]
    assert "load_module /usr/lib/nginx/modules/ngx_stream_module.so;" in text and "worker_processes auto;" in text
    assert block(text, "upstream rancher_https") == [
        "zone rancher_https 64k;",
        "least_conn;",
        *(f"server {server['address']}:443 max_fails=2 fail_timeout=10s; # {server['name']}" for server in SERVERS),
    ]
    for line in (
        "listen 443 so_keepalive=300s:30s:3;", "proxy_connect_timeout 2s;", "proxy_timeout 1h;", "proxy_socket_keepalive on;",
        "proxy_next_upstream_tries 2;", "worker_rlimit_nofile 8300;", "worker_connections 8200;",
    ):  # fmt: skip
        assert line in text, line
    assert "worker_shutdown_timeout" not in text and "worker_shutdown_timeout 30m;" in rendered["extra"]
    assert "ssl" not in text


def test_addresses_of_version_6(rendered):
    assert "listen [::]:9345 ipv6only=on so_keepalive=300s:30s:3;" in rendered["both"]
    assert "server [2001:db8::1]:2 max_fails=2 fail_timeout=10s; # b" in rendered["web"]


def test_everything_that_a_listen_can_say(rendered):
    text = rendered["web"]
    for line in (
        "listen 192.0.2.9:443 ssl http2 proxy_protocol so_keepalive=300s:30s:3;", "ssl_protocols TLSv1.3;",
        "ssl_verify_client on;", "proxy_ssl_verify on;", "proxy_ssl_name web.example.com;", "limit_conn web_connections 50;",
        "proxy_pass https://web;", "keepalive 4;", "real_ip_header proxy_protocol;", "client_header_timeout 4s;",
        "proxy_read_timeout 10m;", "hash $remote_addr consistent;", "proxy_protocol on;", "add_header X-Served-By test;",
        "server 192.0.2.13:8443 max_fails=2 fail_timeout=10s weight=7 backup; # rancher-3",
        "server 192.0.2.77:1 max_fails=2 fail_timeout=10s down; # a", "ssl_certificate_key @directory@/web.pem.key;",
        "ssl_certificate_key @directory@/tcp.pem;", "listen 127.0.0.1:8405;",
    ):  # fmt: skip
        assert f" {line}\n" in text, line
    assert text.index("deny 192.0.2.66;") < text.index("allow 192.0.2.0/24;") < text.index("deny all;")
    assert "http2 on;" in rendered["newest"] and "ssl http2" not in rendered["newest"]
    assert "load_module" not in rendered["newest"] and "stream {" not in rendered["newest"]


def test_layer_7_tells_of_the_client_and_keeps_web_sockets(rendered):
    text = rendered["rancher_l7"]
    for line in (
        "return 301 https://$host$request_uri;", "proxy_set_header X-Forwarded-Proto $scheme;",
        "proxy_set_header X-Forwarded-For $remote_addr;", "proxy_read_timeout 1800s;", "proxy_buffering off;",
        "proxy_set_header Upgrade $http_upgrade;", "proxy_set_header Host $http_host;",
        'proxy_set_header X-Forwarded-Host "";', 'proxy_set_header Forwarded "";', 'proxy_set_header X-Real-IP "";',
    ):  # fmt: skip
        assert f" {line}\n" in text, line


def test_what_a_proxy_that_is_trusted_says_is_passed_on(rendered):
    text = rendered["edge"]
    assert re.search(
        r'map "\$clusterfront_trusted_\d+:\$http_x_forwarded_host" \$clusterfront_host_\d+ {\n        default "";', text
    )
    assert re.search(r"proxy_set_header X-Real-IP \$clusterfront_real_ip_\d+;", text)


def test_listens_that_share_a_port(rendered):
    text = rendered["edge"]
    # the socket is set up by whoever has no name, and stands first
    assert text.count("listen 8080 so_keepalive=") == 1 and text.count("        listen 8080;\n") == 2
    assert text.count("listen [::]:8080 ipv6only=on so_keepalive=") == 1 and "        listen [::]:8080;\n" in text
    assert text.index("ssl_certificate @directory@/nobody_tls.pem;") < text.index(
        "ssl_certificate @directory@/second.pem;"
    )
    assert "listen 8443 ssl http2;" in text and "upstream nobody" not in text and "upstream moved" not in text
    # an answer has no location of its own beside its fixed one
    assert 'return 404 "no \\"such\\" \\\\ place\n";' in text and 'return 410 "default backend - 404\n";' in text


def test_what_is_limited_is_buffered(rendered):
    # nginx ignores limit_rate of answers that it does not buffer
    assert rendered["edge"].count("proxy_buffering on;") == 1 and rendered["edge"].count("proxy_buffering off;") == 1


def test_a_client_behind_a_proxy_of_layer_7(rendered):
    text = rendered["edge"]
    assert re.search(r"geo \$realip_remote_addr \$clusterfront_trusted_\d+ {", text)
    assert '"$http_x_forwarded_for, $realip_remote_addr";' in text and "set_real_ip_from 100.64.0.0/10;" in text
    assert "$realip_remote_addr" not in rendered["rancher_l7"]


def test_readiness_is_that_of_listens_that_count(rendered):
    assert "location = /readyz/web {" in rendered["web"] and "/readyz/tcp " not in rendered["web"]
    assert "if (!-f /run/clusterfront-nginx/flags/ready.web) {" in rendered["web"]


@pytest.fixture
def seed(render, root, collections_path, tmp_path):
    case = {**RANCHER, "nginx_preset_version": "seed"}
    return render(root, collections_path, tmp_path, ROLE, "nginx-seed.conf.j2", {"case": case})["case"]


def test_the_seed_comes_out_byte_for_byte(seed):
    wanted = (pathlib.Path(__file__).parent / "golden" / "rancher_l4_seed.conf").read_bytes().decode()
    for number, server in enumerate(SERVERS, 1):
        wanted = wanted.replace(f"<IP_NODE_{number}>", server["address"])
    assert seed.encode() == wanted.encode()


def test_the_seed_needs_the_module_from_outside(seed, tmp_path):
    code, output = taken(seed, tmp_path, tool.module())
    assert code == 0, output
    if tool.module():
        code, output = taken(seed, tmp_path)
        assert code != 0 and 'unknown directive "stream"' in output


@pytest.mark.parametrize("family", ["Debian", "RedHat"])
def test_every_family_names_the_same_things(root, family):
    directory = root / "roles" / ROLE / "vars"
    names = yaml.safe_load((directory / f"{family}.yml").read_text())
    assert set(names) == set(yaml.safe_load((directory / "Debian.yml").read_text()))
    assert all(names.values())


def test_both_roles_have_the_same_keys_of_listens(root):
    def keys(role):
        specs = yaml.safe_load((root / "roles" / role / "meta" / "argument_specs.yml").read_text())
        return shape(specs["argument_specs"]["main"]["options"][f"{role}_listens"])

    def shape(option):
        return {name: shape(inner) for name, inner in option.get("options", {}).items()} or option["type"]

    wanted, found = keys("nginx"), keys("haproxy")
    # the edge is nginx's alone; HAProxy refuses it by name
    assert set(found) == set(wanted) and set(edge.KEYS) <= set(wanted)
    assert {key: found[key] for key in found if key not in edge.KEYS} == {
        key: wanted[key] for key in wanted if key not in edge.KEYS
    }


LISTEN = {"name": "web", "bind": [{"port": 80}], "backends": [{"name": "a", "address": "192.0.2.1", "port": 80}]}


def listens(**more):
    return {"nginx_listens": [{**LISTEN, **more}]}


REFUSED = {
    "nothing": ({}, "nginx_listens and nginx_preset are empty, so there is nothing to balance; give one of them."),
    "seed": (
        {**listens(), "nginx_preset_version": "seed"},
        "nginx_preset_version is seed, which is one file for rancher_l4 alone",
    ),
    "seed_6": (
        {
            "nginx_preset": "rancher_l4",
            "nginx_backends": SERVERS,
            "nginx_preset_version": "seed",
            "nginx_bind_ipv6": True,
        },
        "nginx_preset_version is seed, whose file has no IPv6",
    ),
    "maxconn": ({**listens(), "nginx_maxconn": 0}, "nginx_maxconn is 0; it has to be 1 or more."),
    "port": (listens(bind=[{"port": 8889}]), "nginx_listens: port 8889 is bound by nginx_health_port and 'web'"),
    "metrics": (
        {**listens(), "nginx_metrics_enabled": True, "nginx_metrics_address": ""},
        "nginx_metrics_address is '', which is more than this host; give nginx_metrics_allow",
    ),
    "v2": (listens(send_proxy="v2"), "nginx_listens: 'web' has send_proxy v2; nginx sends v1 only."),
    "http_proxy": (listens(send_proxy="v1", mode="http"), "nginx_listens: 'web' has send_proxy in mode http"),
    "first": (
        listens(balance="first"),
        "nginx_listens: 'web' has balance 'first', which nginx does not know; take leastconn,",
    ),
    "cookie": (
        listens(mode="http", stickiness={"type": "cookie"}),
        "nginx_listens: 'web' has stickiness by cookie, which nginx has in its commercial version only",
    ),
    "remembers": (
        listens(stickiness={"type": "source", "timeout": "1m"}),
        "nginx_listens: 'web' has stickiness.timeout, but",
    ),
    "slow": (listens(slowstart="5s"), "nginx_listens: 'web' has slowstart, which"),
    "cut": (listens(shutdown_on_down=True), "nginx_listens: 'web' has shutdown_on_down, but nginx can't cut"),
    "queue": (listens(timeouts={"queue": "1s"}), "nginx_listens: 'web' has timeouts.queue, but nginx has no queue"),
    "tunnel": (
        listens(timeouts={"tunnel": "1s"}),
        "nginx_listens: 'web' has timeouts.tunnel, but nginx has one timeout",
    ),
    "us": (
        listens(timeouts={"idle": "9us"}),
        "nginx_listens: 'web' has timeouts.idle '9us'; the shortest unit of nginx is ms",
    ),
    "backup": (
        listens(
            balance="source",
            backends=[*LISTEN["backends"], {"name": "b", "address": "192.0.2.2", "port": 1, "backup": True}],
        ),
        "nginx_listens: 'web' has backup servers and balance 'source'",
    ),
}


def test_what_the_role_refuses(render, root, collections_path, tmp_path):
    template = tmp_path / "problems.j2"
    template.write_text("{{ __nginx_problems | join(' ') }}")
    right = {"right": RANCHER, "listens": listens()}
    cases = {name: change for name, (change, dummy) in REFUSED.items()}
    texts = render(root, collections_path, tmp_path, ROLE, template, {**cases, **right})
    assert [texts[name] for name in right] == ["", ""]
    for name, (dummy, sentence) in REFUSED.items():
        assert texts[name].startswith(sentence), (name, texts[name])


def test_what_is_checked(render, root, collections_path, tmp_path):
    template = tmp_path / "checks.j2"
    template.write_text("{{ __nginx_checks | to_json }}")
    cases = {"web": CASES["web"], "kube": CASES["kube"], "l7": CASES["rancher_l7"]}
    texts = render(root, collections_path, tmp_path, ROLE, template, cases)
    web, tcp = json.loads(texts["web"])
    assert (
        web["check"]["type"] == "https"
        and web["check"]["fall"] == 5
        and web["check"]["interval"] == "2s"
        and web["ready"]
    )
    assert tcp["pool"] == "tcp-pool" and tcp["check"]["proxy"] and not tcp["ready"]
    assert [server["takes"] for server in tcp["servers"]] == [False, True]
    assert json.loads(texts["kube"])[0]["check"]["ca"] == "@directory@/apiservers-check.pem"
    assert [pool["listen"] for pool in json.loads(texts["l7"])] == ["rancher"]
