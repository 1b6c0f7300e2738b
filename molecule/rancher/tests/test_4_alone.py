# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The SLB alone, which Rancher nodes can't use themselves; balancers alone; and the end."""

from __future__ import annotations

import pytest
from front_end import BALANCERS, NODES, deployed, make_certificate, reported, run
from lab import CLIENT, control, finding, met, until

ALONE = {"rancher_topology": "slb"}


@pytest.mark.thorough
def test_an_slb_alone_leaves_its_nodes_outside(tmp_path) -> None:
    deployed(**ALONE)
    path = tmp_path / "report.json"
    until(lambda: met(reported(path, **ALONE), CLIENT)["http_status"] == 200, "an answer to the client")
    report = reported(path, **ALONE)
    assert {met(report, name)["result"] for name in NODES} == {"timed_out"}
    found = finding(report, "hairpin")
    assert found["nodes"] == list(NODES) and "rancher_topology: slb_balancers" in found["message"]


def test_an_slb_that_ends_tls_serves_its_nodes(tmp_path) -> None:
    file = tmp_path / "front.pem"
    make_certificate(file)
    alone = {
        **ALONE,
        "rancher_layer": 7,
        "rancher_certificate": str(file),
        "rancher_key": str(file.with_suffix(".key")),
    }
    # other protocols on the same ports
    assert run("remove_frontend").code == 0
    assert deployed(**alone).changed > 0
    path = tmp_path / "report.json"
    until(lambda: met(reported(path, **alone), CLIENT)["http_status"] == 200, "an answer to the client")
    report = reported(path, **alone)
    assert {met(report, name)["http_status"] for name in NODES} == {200}
    assert deployed(**alone).changed == 0
    assert run("remove_frontend").code == 0


def test_balancers_alone_need_no_cloud(tmp_path) -> None:
    control("DELETE", "requests")
    deployed(rancher_topology="balancers", rancher_proxy="haproxy")
    assert control("GET", "requests")["counts"] == {}
    report = reported(tmp_path / "report.json", rancher_topology="balancers")
    assert report["slb"] is None and {entry["name"] for entry in report["load_balancers"]} == set(BALANCERS)
    assert {met(report, CLIENT, name)["http_status"] for name in BALANCERS} == {200}


def test_removal_leaves_nothing_on_the_cloud() -> None:
    done = run("remove_frontend")
    assert done.code == 0, done.output
    assert "prod-rancher" not in str(control("GET", "health"))
    assert run("remove_frontend").changed == 0
