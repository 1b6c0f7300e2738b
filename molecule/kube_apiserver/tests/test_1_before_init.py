# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Before any apiserver runs: refused or closed is right, timed out is wrong, and the playbook knows the difference."""

from __future__ import annotations

import pytest
from lab import CLIENT, MASTERS, PROXIES, deployed, finding, machine, met, reported, switch


@pytest.mark.parametrize("setting", ["forward", "refuse"])
def test_endpoint_is_refused_or_closed(setting, tmp_path) -> None:
    switch(no_healthy_backend=setting)
    report = reported(tmp_path / "report.json")
    results = {name: met(report, name)["result"] for name in (*MASTERS, CLIENT)}
    assert set(results.values()) == {"refused" if setting == "refuse" else "closed"}, results
    assert finding(report, "no_server")["severity"] == "expected"
    assert finding(report, "endpoint_waits")["severity"] == "expected"
    assert report["healthy"] is False


def test_playbook_says_so_and_goes_on() -> None:
    run = deployed("-e", "kube_apiserver_trust_last_run=false")
    assert run.changed == 0, run.output
    assert "no apiserver is ready" in run.output


@pytest.mark.parametrize("name", PROXIES)
def test_haproxy_runs_from_its_release(name) -> None:
    host = machine(name)
    assert host.service("haproxy").is_running
    assert host.service("haproxy").is_enabled
    assert host.file("/etc/haproxy/current").is_symlink
    assert host.file("/etc/haproxy/current").linked_to.startswith("/etc/haproxy/releases/")
    for port in (8888, 8889):
        assert host.socket(f"tcp://0.0.0.0:{port}").is_listening or host.socket(f"tcp://:::{port}").is_listening
    assert host.file("/proc/sys/net/ipv4/conf/eth0/rp_filter").content_string.strip() == "0"


@pytest.mark.parametrize("name", MASTERS)
def test_kubeadm_configuration(name) -> None:
    config = machine(name).file("/etc/kubernetes/kubeadm-config.yaml")
    assert config.mode == 0o600
    assert "kubeadm.k8s.io/v1beta4" in config.content_string
    assert "k8s-api.example.com:6443" in config.content_string
    for address in ("192.0.2.11", "192.0.2.12", "192.0.2.13", "192.0.2.100"):
        assert address in config.content_string
