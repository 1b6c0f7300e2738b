# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""TLS that ends at the balancers, by nginx and by HAProxy: headers, redirects, web sockets; and the change from one to the other."""

from __future__ import annotations

import json
import pathlib
import subprocess
import tempfile

import pytest
from front_end import BALANCERS, EXAMPLE, NAME, SMALL, deployed, make_certificate, refused
from lab import CLIENT, SANDBOX, playbook, podman, until, vip

CERTIFICATE = "/etc/ssl/front.pem"
LAYER7 = {"rancher_layer": 7, "rancher_certificate": CERTIFICATE}


def curl(*arguments: str) -> str:
    """curl on the client, with the name leading to the SLB and the front end's certificate trusted."""
    address = vip("prod-rancher")
    resolve = [part for port in (80, 443) for part in ("--resolve", f"{NAME}:{port}:{address}")]
    command = [
        "podman",
        "exec",
        f"{SANDBOX}-{CLIENT}",
        "/usr/bin/curl",
        "-sS",
        "-m",
        "10",
        "--cacert",
        CERTIFICATE,
        *resolve,
        *arguments,
    ]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="module", autouse=True)
def certificate(tmp_path_factory) -> None:
    """One certificate with its key on both balancers; the client trusts it."""
    file = tmp_path_factory.mktemp("certificate") / "front.pem"
    make_certificate(file)
    podman("cp", str(file), f"{SANDBOX}-{CLIENT}:{CERTIFICATE}")
    file.write_text(file.read_text() + file.with_suffix(".key").read_text())
    for name in BALANCERS:
        podman("cp", str(file), f"{SANDBOX}-{name}:{CERTIFICATE}")


def test_haproxy_does_not_take_the_ports_of_nginx() -> None:
    refused("is in use by nginx", rancher_proxy="haproxy")


@pytest.mark.parametrize("proxy", [pytest.param("nginx", marks=pytest.mark.thorough), "haproxy"])
def test_tls_ends_at_the_balancers(proxy) -> None:
    if proxy == "haproxy":
        remove = [
            {
                "hosts": "load_balancers",
                "gather_facts": False,
                "roles": [{"role": "clusterfront.ha.nginx", "vars": {"nginx_state": "absent"}}],
            }
        ]
        removed(remove)
    deployed(rancher_proxy=proxy, **LAYER7)
    until(lambda: "rancher-" in curl_or_nothing(f"https://{NAME}/"), "an answer over TLS")
    lies = [f"{name}: 203.0.113.9" for name in ("X-Forwarded-For", "X-Forwarded-Host", "Forwarded", "X-Real-IP")]
    told = json.loads(curl(*(word for lie in lies for word in ("-H", lie)), f"https://{NAME}/headers"))
    # HTTP/2 has names of headers in small letters, and HAProxy hands them on so
    headers = {name.lower(): value for name, value in told.items()}
    assert headers["host"] == NAME and headers["x-forwarded-proto"] == "https" and headers["x-forwarded-port"] == "443"
    # a layer-4 SLB keeps the client's address, and what the client says of itself is dropped
    assert headers["x-forwarded-for"] == "192.0.2.31"
    assert not {"x-forwarded-host", "forwarded", "x-real-ip"} & set(headers)
    redirect = curl("-o", "/dev/null", "-w", "%{http_code} %{redirect_url}", f"http://{NAME}/dashboard")
    assert redirect == f"301 https://{NAME}/dashboard"
    script = (
        "import socket, ssl, sys, time\n"
        f"context = ssl.create_default_context(cafile='{CERTIFICATE}')\n"
        f"s = context.wrap_socket(socket.create_connection(('{vip('prod-rancher')}', 443), 5), server_hostname='{NAME}')\n"
        f"s.sendall(b'GET /socket HTTP/1.1\\r\\nHost: {NAME}\\r\\nConnection: Upgrade\\r\\nUpgrade: websocket\\r\\n'\n"
        "          b'Sec-WebSocket-Version: 13\\r\\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\\r\\n\\r\\n')\n"
        "answer = s.recv(4096)\n"
        "assert b' 101 ' in answer, answer\n"
        "time.sleep(3)\n"
        "s.sendall(b'hello'); print(s.recv(16).decode())\n"
    )
    command = ["podman", "exec", f"{SANDBOX}-{CLIENT}", "/usr/bin/python3", "-c", script]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=30)
    assert done.stdout.strip() == "hello", done.stderr
    assert deployed(rancher_proxy=proxy, **LAYER7).changed == 0


def curl_or_nothing(url: str) -> str:
    try:
        return curl(url)
    except subprocess.CalledProcessError:
        return ""


def removed(play: list[dict[str, object]]) -> None:
    """Run a play of the test's own on the balancers."""
    with tempfile.TemporaryDirectory() as directory:
        file = pathlib.Path(directory) / "play.yml"
        file.write_text(json.dumps(play))
        done = playbook(file, "-e", json.dumps(SMALL), example=EXAMPLE)
    assert done.code == 0, done.output
