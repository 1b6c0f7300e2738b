# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The configuration that the haproxy role renders, read by HAProxy itself where there is one."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest
import yaml

ROLE = "haproxy"
TEMPLATE = "haproxy.cfg.j2"
MASTERS = [{"name": f"master-{number}", "address": f"192.0.2.{10 + number}"} for number in (1, 2, 3)]
BASE = {"haproxy_preset": "kube_apiserver", "haproxy_backends": MASTERS, "__haproxy_version": "2.6"}
RANCHER = {**BASE, "haproxy_preset": "rancher_l4"}
LISTENS = {**BASE, "haproxy_preset": [], "haproxy_backends": []}
WEB = {
    "name": "web",
    "mode": "http",
    "bind": [{"address": "192.0.2.9", "port": 443}, {"address": "::", "port": "8443"}],
    "accept_proxy": True,
    "tls": {"certificate": "/x/web.pem", "key": "/x/web.key", "client_ca": "/x/clients.pem", "min_version": "TLSv1.3"},
    "balance": "source",
    "stickiness": {"type": "cookie", "timeout": "5m"},
    "backends": MASTERS[:2] + [{**MASTERS[2], "backup": True, "weight": "7"}],
    "backend_port": 8443,
    "send_proxy": "v2",
    "backend_tls": {"server_name": "web.example.com"},
    "health_check": {"type": "https", "path": "/healthz", "host": "web.example.com", "status": "200-399", "fall": 5},
    "allow": ["192.0.2.0/24", "2001:db8::/32"],
    "deny": ["192.0.2.66"],
    "timeouts": {"connect": "3s", "idle": "10m", "tunnel": "2h", "queue": "3s", "request": "4s"},
    "max_connections": 50,
    "shutdown_on_down": True,
    "trusted_proxies": ["192.0.2.0/28"],
    "raw": "http-response set-header X-Served-By %[hostname]",
    "raw_backend": "retry-on conn-failure",
}
TCP = {
    "name": "tcp",
    "pool": "tcp-pool",
    "bind": [{"port": 7000}],
    "stickiness": {"type": "source"},
    "backends": [{"name": "a", "address": "tcp.example.com", "port": 1}],
    "send_proxy": "v1",
    "ready": False,
    "deny": ["192.0.2.66"],
}
CASES = {
    "plain": BASE,
    "oldest": {**BASE, "__haproxy_version": "2.2"},
    "strings": {**BASE, "haproxy_maxconn": "2000", "haproxy_bind_port": "7000"},
    "verified": {**BASE, "haproxy_check_ca_file": "/x/ca.pem"},
    "cut": {**BASE, "haproxy_shutdown_on_down": True},
    "ports": {
        **BASE,
        "haproxy_backends": [{"name": "a", "address": "2001:db8::1", "port": 7443, "weight": 0}, *MASTERS],
        "haproxy_bind_address": "2001:db8::9",
    },
    "extra": {
        **BASE,
        "haproxy_extra_config": "listen more\n    bind 127.0.0.1:9999\n",
        "haproxy_extra_global": "nbthread 1\n",
    },
    "group": {
        **BASE,
        "haproxy_backends": [],
        "haproxy_backend_group": "all",
        "haproxy_address_variable": "inventory_hostname",
    },
    "rancher_l4": RANCHER,
    "rancher_nginx": {**RANCHER, "haproxy_rancher_ingress": "nginx", "haproxy_rancher_send_proxy": "v1"},
    "rancher_both": {**RANCHER, "haproxy_preset": ["rancher_l4", "rke2"], "haproxy_bind_ipv6": True},
    "rancher_l7": {
        **RANCHER,
        "haproxy_preset": "rancher_l7",
        "haproxy_rancher_certificate": "/x/cert.pem",
        "haproxy_rancher_ingress": "traefik",
        "haproxy_rancher_hostname": "rancher.example.com",
    },
    "web": {**LISTENS, "haproxy_listens": [WEB, TCP], "haproxy_stats_enabled": True},
    "metrics": {
        **LISTENS,
        "haproxy_listens": [TCP],
        "haproxy_metrics_enabled": True,
        "haproxy_metrics_address": "",
        "haproxy_metrics_allow": ["192.0.2.0/24"],
    },
}
#: What the files hold that the cases name.
FILES = {
    **dict.fromkeys(("web.pem", "rancher.pem"), ["certificate", "private_key"]),
    **dict.fromkeys(("web-clients.pem", "web-servers.pem", "apiservers-check.pem"), ["certificate"]),
}


@pytest.mark.parametrize("case", CASES)
def test_haproxy_takes_it(rendered, case, tmp_path, pem):
    binary = shutil.which("haproxy", path="/usr/sbin:/usr/local/sbin:/usr/bin")
    if not binary:
        pytest.skip("NO HAPROXY ON THIS MACHINE: the rendered configuration was not validated")
    file = tmp_path / "haproxy.cfg"
    # The user and the chroot belong to the package; they are not what is looked at here. Names are not looked up.
    text = re.sub(r"^    (user|group|chroot) .*$", "", rendered[case], flags=re.MULTILINE)
    file.write_text(text.replace("@directory@", str(pem)).replace("tcp.example.com", "192.0.2.77"))
    done = subprocess.run([binary, "-c", "-f", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ALERT" not in done.stderr and "WARNING" not in done.stderr, done.stderr


def section(text, name):
    """The lines of a section, without their indent."""
    found = re.search(rf"^{name}\n((?:    .*\n)*)", text, re.MULTILINE)
    assert found, f"{name} is missing in\n{text}"
    return [line.strip() for line in found.group(1).splitlines()]


def test_every_server_once(rendered):
    servers = re.findall(r"^    server (\S+) (\S+)$", rendered["plain"], re.MULTILINE)
    assert servers == [(master["name"], master["address"] + ":6443") for master in MASTERS]


def test_servers_of_a_group(rendered):
    assert "server localhost localhost:6443" in section(rendered["group"], "backend apiservers")


def test_check_is_a_get_over_tls(rendered):
    assert "http-check connect ssl alpn http/1.1" in rendered["plain"]
    assert "http-check send meth GET uri /readyz ver HTTP/1.1 hdr Host kubernetes" in rendered["plain"]
    assert "default-server verify none" in rendered["plain"]


def test_certificate_is_verified_once_there_is_a_ca(rendered):
    lines = section(rendered["verified"], "backend apiservers")
    assert "default-server verify required ca-file apiservers-check.pem verifyhost kubernetes" in lines
    assert "http-check connect ssl sni kubernetes alpn http/1.1" in lines
    assert "verify none" not in rendered["verified"] and "ca-base @directory@" in rendered["verified"]
    assert "@directory@" not in rendered["plain"]


def test_traffic_is_passed_through(rendered):
    for case in ("plain", "rancher_l4", "rancher_both"):
        servers = [
            line.strip()
            for line in rendered[case].splitlines()
            if line.strip().startswith(("server ", "default-server "))
        ]
        assert servers and not any(" ssl" in line for line in servers)


def test_watches_are_cut_on_request_only(rendered):
    assert "on-marked-down" not in rendered["plain"]
    assert "default-server on-marked-down shutdown-sessions" in rendered["cut"]


def test_keepalives_are_set_where_haproxy_knows_them(rendered):
    assert "clitcpka-idle 300s" in rendered["plain"] and "srvtcpka-idle 5s" in rendered["plain"]
    assert "clitcpka-idle" not in rendered["oldest"] and "option clitcpka" in rendered["oldest"]


def test_connections_of_all_listens_and_of_the_health_port_fit(rendered):
    def limits(case):
        return re.findall(r"^    maxconn (\d+)$", rendered[case], re.MULTILINE)

    assert limits("strings") == ["2100", "2000", "100"]
    assert limits("rancher_l4") == ["8100", "4000", "4000", "100"]
    assert limits("web") == ["4170", "50", "4000", "100", "20"]


def test_addresses_of_version_6(rendered):
    assert "bind [2001:db8::9]:8888" in rendered["ports"]
    assert "server a [2001:db8::1]:7443 weight 0" in rendered["ports"]
    assert "bind [::]:9345 v6only" in section(rendered["rancher_both"], "frontend rke2_supervisor")


def test_extra_lines_have_their_places(rendered):
    assert rendered["extra"].rstrip().endswith("bind 127.0.0.1:9999")
    assert "nbthread 1" in section(rendered["extra"], "global")


def test_rancher_passes_both_ports_on(rendered):
    text = rendered["rancher_l4"]
    for name, port in (("rancher_http", 80), ("rancher_https", 443)):
        assert f"bind :{port}" in section(text, f"frontend {name}")
        servers = [line for line in section(text, f"backend {name}") if line.startswith("server ")]
        assert servers == [f"server {master['name']} {master['address']}:{port}" for master in MASTERS]
        assert "option httpchk" not in section(text, f"backend {name}")


@pytest.mark.parametrize(
    ("case", "pool", "wanted"),
    [
        ("rancher_nginx", "rancher_https", "http-check send meth GET uri /healthz"),
        ("rancher_l7", "rancher", "http-check send meth GET uri /ping ver HTTP/1.1 hdr Host rancher.example.com"),
        ("rancher_both", "rke2_supervisor", "http-check connect port 6443 ssl alpn http/1.1"),
        ("rancher_both", "rke2_apiserver", "http-check expect status 200,401"),
    ],
)
def test_checks_by_what_answers(rendered, case, pool, wanted):
    assert wanted in section(rendered[case], f"backend {pool}")


def test_rancher_checks_plain_http_without_the_proxy_header(rendered):
    lines = section(rendered["rancher_nginx"], "backend rancher_https")
    assert "http-check connect port 80" in lines
    assert f"server master-1 {MASTERS[0]['address']}:443 send-proxy" in lines


def test_layer_7_tells_of_the_client_and_keeps_web_sockets(rendered):
    text = rendered["rancher_l7"]
    front = section(text, "frontend rancher")
    assert "bind :443 ssl crt rancher.pem ssl-min-ver TLSv1.2 alpn h2,http/1.1" in front
    assert "http-request set-header X-Forwarded-Proto https" in front and "option forwardfor" in front
    for header in ("X-Forwarded-For", "X-Forwarded-Host", "Forwarded", "X-Real-IP"):
        assert f"http-request del-header {header}" in front
    assert "http-request redirect scheme https code 301" in section(text, "frontend rancher_redirect")
    back = section(text, "backend rancher")
    assert "timeout tunnel 1800s" in back and f"server master-1 {MASTERS[0]['address']}:80" in back
    assert "backend rancher_redirect" not in text and "ready_rancher_redirect" not in text


def test_everything_that_a_listen_can_say(rendered):
    text = rendered["web"]
    front, back = section(text, "frontend web"), section(text, "backend web")
    rest = "accept-proxy ssl crt web.pem ssl-min-ver TLSv1.3 alpn h2,http/1.1 ca-file web-clients.pem verify required"
    assert f"bind 192.0.2.9:443 {rest}" in front and f"bind [::]:8443 v6only {rest}" in front
    assert "tcp-request session reject if { src 192.0.2.66 }" in front
    assert "tcp-request session reject unless { src 192.0.2.0/24 2001:db8::/32 }" in front
    assert "tcp-request connection reject if { src 192.0.2.66 }" in section(text, "frontend tcp")
    for header in ("X-Forwarded-For", "X-Forwarded-Host", "Forwarded", "X-Real-IP"):
        assert f"http-request del-header {header} unless from_trusted_proxy" in front
    assert {"timeout client 10m", "timeout http-request 4s", "maxconn 50"} <= set(front)
    assert "http-response set-header X-Served-By %[hostname]" in front
    assert {
        "balance source",
        "hash-type consistent",
        "cookie SERVER insert indirect nocache httponly secure maxidle 5m",
        "timeout connect 3s",
        "timeout queue 3s",
        "timeout server 10m",
        "timeout tunnel 2h",
        "http-check connect ssl alpn http/1.1 send-proxy",
        "http-check expect status 200-399",
        "default-server ssl sni str(web.example.com) alpn http/1.1",
        "default-server verify required ca-file web-servers.pem verifyhost web.example.com",
        "default-server on-marked-down shutdown-sessions",
        "retry-on conn-failure",
        "server master-3 192.0.2.13:8443 weight 7 backup send-proxy-v2 cookie master-3",
    } <= set(back)
    assert any("fall 5 rise 2" in line for line in back)
    assert "stick on src" in section(text, "backend tcp-pool")
    assert "default-server check-send-proxy" in section(text, "backend tcp-pool")


def test_readiness_is_that_of_listens_that_count(rendered):
    health = section(rendered["web"], "frontend health")
    assert (
        'http-request return status 200 content-type text/plain string "ready\\n" if { path /readyz } ready_web'
        in health
    )
    assert not any("tcp" in line for line in health)
    assert any("{ path /readyz/web }" in line for line in health)


def test_who_may_watch(rendered):
    assert "frontend metrics" not in rendered["plain"] and "frontend statistics" not in rendered["plain"]
    assert "bind 127.0.0.1:8404" in section(rendered["web"], "frontend statistics")
    metrics = section(rendered["metrics"], "frontend metrics")
    assert metrics.index("tcp-request connection reject unless { src 192.0.2.0/24 }") < metrics.index(
        "http-request use-service prometheus-exporter if { path /metrics }"
    )


@pytest.mark.parametrize("family", ["Debian", "RedHat"])
def test_every_family_names_the_same_things(root, family):
    directory = root / "roles" / "haproxy" / "vars"
    names = yaml.safe_load((directory / f"{family}.yml").read_text())
    assert set(names) == set(yaml.safe_load((directory / "Debian.yml").read_text()))
    assert all(names.values())


LISTEN = {"name": "web", "bind": [{"port": 80}], "backends": [{"name": "a", "address": "192.0.2.1", "port": 80}]}
HAPROXY = {"haproxy_listens": [LISTEN]}
KUBE = {"haproxy_preset": "kube_apiserver", "haproxy_backends": [{"name": "m", "address": "192.0.2.1"}]}
BALANCER = {
    "nothing": ({}, "haproxy_listens and haproxy_preset are empty, so there is nothing to balance; give one of them."),
    "no_servers": (
        {"haproxy_preset": "rke2"},
        "haproxy_backends is empty, so there is nothing to balance; give it a list of name and address.",
    ),
    "port": ({**KUBE, "haproxy_bind_port": 0}, "haproxy_bind_port is 0; a port is a number from 1 to 65535."),
    "maxconn": ({**KUBE, "haproxy_maxconn": 0}, "haproxy_maxconn is 0; it has to be 1 or more."),
    "keep": (
        {**KUBE, "haproxy_keep_releases": 0},
        "haproxy_keep_releases is 0; the live release always stays, so 1 is the least.",
    ),
    "health": (
        {**KUBE, "haproxy_health_port": 8888},
        "haproxy_preset: port 8888 is bound by haproxy_health_port and 'kube_apiserver'; give every listen a port of its own.",
    ),
    "certificate": ({**KUBE, "haproxy_preset": "rancher_l7"}, "haproxy_rancher_certificate is empty"),
    "layers": (
        {**KUBE, "haproxy_preset": ["rancher_l4", "rancher_l7"], "haproxy_rancher_certificate": "/c"},
        "haproxy_preset has rancher_l4 and rancher_l7",
    ),
    "metrics": (
        {**HAPROXY, "haproxy_metrics_enabled": True, "haproxy_metrics_address": "192.0.2.9"},
        "haproxy_metrics_address is '192.0.2.9', which is more than this host; give haproxy_metrics_allow",
    ),
    "image": (
        {**HAPROXY, "haproxy_install": "container"},
        "haproxy_container_image is empty, but haproxy_install is container",
    ),
    "digest": (
        {**HAPROXY, "haproxy_install": "container", "haproxy_container_image": "x", "haproxy_container_digest": "1"},
        "haproxy_container_digest is '1'; it has to be sha256: and 64 hexadecimal digits, or empty.",
    ),
    "pin": (
        {**HAPROXY, "haproxy_install": "none", "haproxy_package_version": "2"},
        "haproxy_package_version is '2', but haproxy_install is none; only a package has it.",
    ),
}


def test_what_a_balancer_refuses(render, root, collections_path, tmp_path):
    template = tmp_path / "problems.j2"
    template.write_text("{{ __haproxy_problems | join(' ') }}")
    right = {
        "kube": KUBE,
        "listens": HAPROXY,
        "both": {**KUBE, **HAPROXY, "haproxy_preset": ["kube_apiserver", "rke2"]},
    }
    cases = {name: change for name, (change, dummy) in BALANCER.items()}
    texts = render(root, collections_path, tmp_path, "haproxy", template, {**cases, **right})
    assert [texts[name] for name in right] == ["", "", ""]
    for name, (dummy, sentence) in BALANCER.items():
        assert texts[name].startswith(sentence), (name, texts[name])


def test_ports_that_firewalld_is_told(render, root, collections_path, tmp_path):
    template = tmp_path / "ports.j2"
    template.write_text("{{ __haproxy_open_ports | unique | join(' ') }}")
    cases = {"kube": KUBE, "open": {**HAPROXY, "haproxy_metrics_enabled": True, "haproxy_metrics_address": ""}}
    texts = render(root, collections_path, tmp_path, "haproxy", template, cases)
    assert texts == {"kube": "8888 8889", "open": "80 8889 8405"}
