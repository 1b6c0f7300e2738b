# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The edge as it was deployed: by name and by none, by http and https, and what is refused before anything is changed."""

from __future__ import annotations

import collections
import json

import pytest
from edge import APPLICATIONS, FRONT_END, NAME, NODES, all_well, ask, refused, run, traffic
from lab import CLIENT, failures, finding, met, until, vip


def test_health_of_all() -> None:
    until(all_well, "health of all nodes")


@pytest.mark.parametrize("url", ["http://{}/", "https://nobody.example.com/", "http://nobody.example.com/"])
def test_nobody_s_name_meets_the_default_backend(url) -> None:
    answer = ask(url.format(vip(FRONT_END)))
    assert (answer.status, answer.body) == (404, "default backend - 404\n")


def test_an_application_by_its_name() -> None:
    answer = ask(f"https://{NAME}/headers")
    assert answer.status == 200 and not answer.error
    assert answer.headers["host"] == NAME and answer.headers["x-forwarded-proto"] == "https"
    # a layer-4 SLB keeps the client's address
    assert answer.headers["x-forwarded-for"] == "192.0.2.31"
    assert ask("https://www.plain.example.com/", "-k").body in APPLICATIONS


def test_http_leads_to_https() -> None:
    answer = ask(f"http://{NAME}/some/page?x=1")
    assert (answer.status, answer.location) == (301, f"https://{NAME}/some/page?x=1")
    followed = ask(f"http://{NAME}/", "--location")
    assert followed.status == 200 and followed.body in APPLICATIONS
    # a site that is to be reached by both
    assert ask("http://www.plain.example.com/").body in APPLICATIONS


def test_every_application_gets_its_share() -> None:
    requests = traffic(3, 40).requests()
    assert not failures(requests), failures(requests)[:3]
    shares = collections.Counter(request["body"] for request in requests)
    assert set(shares) == set(APPLICATIONS) and min(shares.values()) >= 30, shares


def test_everything_is_reported(tmp_path) -> None:
    path = tmp_path / "report.json"
    done = run("report_frontend", report_frontend_path=str(path))
    assert done.code == 0, done.output
    report = json.loads(path.read_text())
    assert met(report, CLIENT)["http_status"] == 200
    assert {met(report, CLIENT, name)["http_status"] for name in NODES} == {200}
    # the nodes are the SLB's own backends, which a layer-4 SLB does not answer
    found = finding(report, "hairpin")
    assert found["nodes"] == list(NODES) and "ingress_frontend_layer: 7" in found["message"]


SITE = {"name": "bad", "hosts": ["bad.example.com"], "group": "applications", "backend_port": 8080}


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"ingress_frontend_nodes_group": "nodes"}, "The group 'nodes' (ingress_frontend_nodes_group) has no hosts"),
        ({"ingress_frontend_drained": ["ingress-9"]}, "ingress_frontend_drained has ingress-9, which the group 'ingress' lacks; it has ingress-1, ingress-2."),
        ({"ingress_frontend_drained": list(NODES)}, "ingress_frontend_drained has all nodes, and nobody would be left to serve"),
        ({"ingress_frontend_sites": [{**SITE, "limit_rate": "5 megabit"}]},
         "ingress_frontend_sites: 'bad' has limit_rate '5 megabit'; it has to be bytes a second"),
        ({"ingress_frontend_sites": [{**SITE, "rate_limits": [{"rate": "many"}]}]}, "ingress_frontend_sites: 'bad' has a rate limit whose rate is 'many'"),
        ({"ingress_frontend_sites": [SITE, {**SITE, "name": "again"}]}, "ingress_frontend_sites: the host 'bad.example.com' comes twice on port 80"),
        ({"ingress_frontend_sites": [{**SITE, "auth": {"url": "auth.example.com"}}]},
         "ingress_frontend_sites: 'bad' has auth.url 'auth.example.com'; it has to be the whole URL"),
    ],
)  # fmt: skip
def test_refused(variables, sentence) -> None:
    refused(sentence, **variables)
