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
BASE = {"haproxy_backends": MASTERS, "__haproxy_version": "2.6"}
CASES = {
    "plain": BASE,
    "oldest": {**BASE, "__haproxy_version": "2.2"},
    "strings": {**BASE, "haproxy_maxconn": "2000", "haproxy_bind_port": "7000"},
    "verified": {**BASE, "haproxy_check_ca_file": "@CA@"},
    "cut": {**BASE, "haproxy_shutdown_on_down": True},
    "ports": {
        **BASE,
        "haproxy_backends": [{"name": "a", "address": "2001:db8::1", "port": 7443, "weight": 0}, *MASTERS],
        "haproxy_bind_address": "2001:db8::9",
    },
    "extra": {**BASE, "haproxy_extra_config": "listen more\n    bind 127.0.0.1:9999\n"},
}


@pytest.fixture(params=CASES)
def case(request, rendered):
    return rendered[request.param]


def test_haproxy_takes_it(case, tmp_path, root):
    binary = shutil.which("haproxy", path="/usr/sbin:/usr/local/sbin:/usr/bin")
    if not binary:
        pytest.skip("NO HAPROXY ON THIS MACHINE: the rendered configuration was not validated")
    authority = tmp_path / "ca.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "/dev/null", "-out", str(authority),
         "-subj", "/CN=test"], check=True, capture_output=True,
    )  # fmt: skip
    file = tmp_path / "haproxy.cfg"
    # The user and the chroot belong to the package; they are not what is looked at here.
    text = re.sub(r"^    (user|group|chroot) .*$", "", case.replace("@CA@", str(authority)), flags=re.MULTILINE)
    file.write_text(text)
    done = subprocess.run([binary, "-c", "-f", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ALERT" not in done.stderr and "WARNING" not in done.stderr


def test_every_server_once(rendered):
    servers = re.findall(r"^    server (\S+) (\S+)$", rendered["plain"], re.MULTILINE)
    assert servers == [(master["name"], master["address"] + ":6443") for master in MASTERS]


def test_check_is_a_get_over_tls(rendered):
    assert "http-check connect ssl alpn http/1.1" in rendered["plain"]
    assert "http-check send meth GET uri /readyz ver HTTP/1.1 hdr Host kubernetes" in rendered["plain"]
    assert "default-server verify none" in rendered["plain"]


def test_certificate_is_verified_once_there_is_a_ca(rendered):
    assert "verify required ca-file @CA@ verifyhost kubernetes" in rendered["verified"]
    assert "verify none" not in rendered["verified"]


def test_traffic_is_passed_through(rendered):
    lines = [line for line in rendered["plain"].splitlines() if line.strip().startswith(("server ", "default-server "))]
    assert lines and not any(" ssl" in line for line in lines)


def test_watches_are_cut_on_request_only(rendered):
    assert "on-marked-down" not in rendered["plain"]
    assert "default-server on-marked-down shutdown-sessions" in rendered["cut"]


def test_keepalives_are_set_where_haproxy_knows_them(rendered):
    assert "clitcpka-idle 300s" in rendered["plain"] and "srvtcpka-idle 5s" in rendered["plain"]
    assert "clitcpka-idle" not in rendered["oldest"] and "option clitcpka" in rendered["oldest"]


def test_health_port_has_connections_of_its_own(rendered):
    assert re.findall(r"^    maxconn (\d+)$", rendered["strings"], re.MULTILINE) == ["2100", "2000", "100"]


def test_addresses_of_version_6(rendered):
    assert "bind [2001:db8::9]:8888" in rendered["ports"]
    assert "server a [2001:db8::1]:7443 weight 0" in rendered["ports"]


def test_extra_lines_come_last(rendered):
    assert rendered["extra"].rstrip().endswith("bind 127.0.0.1:9999")


@pytest.mark.parametrize("family", ["Debian", "RedHat"])
def test_every_family_names_the_same_things(root, family):
    directory = root / "roles" / "haproxy" / "vars"
    names = yaml.safe_load((directory / f"{family}.yml").read_text())
    assert set(names) == set(yaml.safe_load((directory / "Debian.yml").read_text()))
    assert all(names.values())
