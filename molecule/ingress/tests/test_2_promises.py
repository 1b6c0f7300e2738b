# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The seven things that an edge promises, each with who is refused."""

from __future__ import annotations

import subprocess
import time

from edge import APPLICATIONS, CERTIFICATE, FRONT_END, NODES, all_well, ask, let_pass, run, traffic
from lab import CLIENT, failures, inside, machine, until, vip

READY = "curl -s -o /dev/null -w %{http_code} http://127.0.0.1:8889/readyz/echo"


def readiness() -> set[str]:
    """What the nodes' own checks say of the application."""
    return {machine(name).run(READY).stdout for name in NODES}


def test_health_check(services_restored) -> None:
    load = traffic(15)
    time.sleep(1)
    machine("app-1").run("systemctl stop app")
    requests = load.requests()
    # the stop itself may cut who is being served
    assert len(failures(requests)) <= 1, failures(requests)[:5]
    assert {request["server"] for request in requests[-100:]} == {"app-2"} and readiness() == {"200"}
    machine("app-2").run("touch /run/app-sick")
    until(lambda: readiness() == {"503"}, "checks that find nobody well")
    machine("app-2").run("systemctl stop app")
    assert ask("https://echo.example.com/").status == 502
    # one application that is down takes no node from the others
    assert all_well() and ask("https://login.example.com/oauth2/start").status in (200, 502)


def test_bandwidth() -> None:
    free = ask("https://echo.example.com/download?bytes=800000", "-o", "/dev/null")
    held = ask("https://slow.example.com/download?bytes=800000", "-o", "/dev/null")
    print(f"800000 bytes: {free.seconds:.2f}s without, {held.seconds:.2f}s with 200 KB a second")
    assert (free.status, held.status) == (200, 200)
    assert free.seconds < 1.5 and 2.9 < held.seconds < 6


def test_tls() -> None:
    assert ask("https://echo.example.com/").status == 200
    strange = ask("https://echo.example.com/", "--cacert", "/etc/ssl/certs/ca-certificates.crt")
    assert strange.status == 0 and "certificate" in strange.error
    # OpenSSL itself has to be talked into something so old
    old = ["openssl", "s_client", "-connect", f"{vip(FRONT_END)}:443", "-tls1_1", "-cipher", "ALL:@SECLEVEL=0"]
    done = subprocess.run(inside(CLIENT, *old), capture_output=True, text=True, check=False, input="")
    assert done.returncode != 0 and "alert protocol version" in done.stderr, done.stderr
    new = subprocess.run(
        inside(CLIENT, *old[:4], "-tls1_2", "-CAfile", CERTIFICATE, "-verify_return_error"),
        capture_output=True, text=True, check=False, input="",
    )  # fmt: skip
    assert new.returncode == 0, new.stderr


def test_allow_list() -> None:
    assert ask("https://private.example.com/").body in APPLICATIONS
    assert ask("https://private.example.com/", source="app-1").status == 403
    # what anybody says of himself does not count
    assert ask("https://private.example.com/", "-H", "X-Forwarded-For: 192.0.2.31", source="app-1").status == 403
    assert ask("https://echo.example.com/", source="app-1").status == 200


def test_a_third_party_decides() -> None:
    url = "https://login.example.com/headers"
    assert ask(url).status == 401
    assert ask(url, "-H", "Authorization: Bearer blocked").status == 403
    answer = ask(url, "-H", "Authorization: Bearer good", "-H", "X-Auth-Request-User: somebody-else")
    assert answer.status == 200 and answer.headers["x-auth-request-user"] == "user-1"
    # its own pages are for everybody
    assert ask("https://login.example.com/oauth2/start").body == "sign in here"
    # where nobody is let in without a page to sign in on
    sent = ask("https://portal.example.com/some/page?x=1")
    assert sent.status == 302
    assert sent.location == "https://login.example.com/oauth2/start?rd=https://portal.example.com/some/page?x=1"
    assert ask("https://portal.example.com/", "-H", "Authorization: Bearer good").status == 200


def test_nobody_passes_when_the_third_party_is_down(services_restored) -> None:
    machine("app-2").run("systemctl stop app")
    assert ask("https://portal.example.com/", "-H", "Authorization: Bearer good").status == 500


def statuses(url: str, count: int, *options: str) -> list[int]:
    return [ask(url, *options).status for dummy in range(count)]


def test_rate_by_address() -> None:
    # one node counts for itself, and an SLB spreads by connections: two nodes let twice as many pass
    passed, seconds = let_pass("limited.example.com")
    print(f"40 requests at once, 1 a second and 4 more by node: {passed} passed, the last after {seconds:.1f}s")
    assert 10 <= passed <= 12 + 2 * seconds
    # another address is not concerned
    assert ask("https://limited.example.com/", source="app-1").status == 200


def test_rate_by_header() -> None:
    url = "https://keyed.example.com/"
    first = statuses(url, 12, "-H", "X-Api-Key: first")
    assert set(first) == {200, 429}
    assert ask(url, "-H", "X-Api-Key: second").status == 200
    # leaving the header out is no way around
    assert 429 in statuses(url, 12)


def test_other_urls() -> None:
    def path(url: str) -> str:
        return next(line for line in ask(url, "-i").body.splitlines() if line.lower().startswith("x-path")).split()[1]

    assert path("https://moved.example.com/v1/users?x=1") == "/api/users?x=1"
    assert path("https://moved.example.com/v2/users") == "/v2/users"
    moved = ask("https://moved.example.com/old")
    assert (moved.status, moved.location) == (301, "https://moved.example.com/new")


def test_a_pattern_that_nginx_refuses_goes_nowhere() -> None:
    before = {name: machine(name).file("/etc/nginx/current").linked_to for name in NODES}
    site = {"name": "bad", "hosts": ["bad.example.com"], "group": "applications", "backend_port": 8080}
    load = traffic(300)
    done = run(
        "deploy_ingress_frontend",
        ingress_frontend_sites=[{**site, "rewrites": [{"pattern": "^/(", "replacement": "/"}]}],
    )
    requests = load.stop()
    assert done.code != 0 and "nginx refuses line" in done.output, done.output
    assert not failures(requests), failures(requests)[:5]
    assert {name: machine(name).file("/etc/nginx/current").linked_to for name in NODES} == before
