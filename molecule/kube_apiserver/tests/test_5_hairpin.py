# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The seed's failure: a private SLB straight to the masters, which they cannot use themselves."""

from __future__ import annotations

from lab import CLIENT, MASTERS, finding, met, playbook, reported, switch

DIRECT = (
    "-e",
    "kube_apiserver_name=direct-api",
    "-e",
    "kube_apiserver_topology=private_direct",
    "-e",
    "kube_apiserver_endpoint_name=direct-api.example.com",
)


def test_masters_time_out_and_the_report_says_why(tmp_path) -> None:
    switch(hairpin="backends")
    try:
        run = playbook("deploy_kube_apiserver", *DIRECT)
        assert run.code != 0
        assert "timed out" in run.output or "times out" in run.output, run.output
        report = reported(tmp_path / "report.json", *DIRECT)
        assert {name: met(report, name)["result"] for name in MASTERS} == dict.fromkeys(MASTERS, "timed_out")
        assert met(report, CLIENT)["http_status"] == 200
        diagnosis = finding(report, "hairpin")
        print(diagnosis["message"])
        assert diagnosis["severity"] == "problem" and set(diagnosis["nodes"]) == set(MASTERS)
        assert all(
            cure in diagnosis["message"]
            for cure in ("private_haproxy", "node_local", "public", "hosts_init", "redirect_watch")
        )
        assert report["healthy"] is False
    finally:
        removed = playbook("remove_frontend", *DIRECT)
    assert removed.code == 0, removed.output
