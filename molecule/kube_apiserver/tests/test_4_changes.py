# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A change of the HAProxy configuration under load, and one that cannot be."""

from __future__ import annotations

from lab import PROXIES, Traffic, all_well, deployed, failures, machine, playbook, until


def releases() -> dict[str, str]:
    """Where the link of each node leads."""
    return {name: machine(name).file("/etc/haproxy/current").linked_to for name in PROXIES}


def test_change_under_load_loses_no_request() -> None:
    until(all_well, "health of all")
    before = releases()
    traffic = Traffic(seconds=45)
    run = deployed("-e", "haproxy_timeout_queue=11s")
    requests = traffic.requests()
    print(f"configuration changed on both nodes: {len(failures(requests))} of {len(requests)} requests failed")
    assert run.changed > 0
    assert all(releases()[name] != before[name] for name in PROXIES)
    assert not failures(requests), failures(requests)[:5]
    assert len(requests) == 900


def test_broken_configuration_is_refused_before_it_is_live() -> None:
    before = releases()
    traffic = Traffic(seconds=20)
    run = playbook(
        "deploy_kube_apiserver",
        "-e",
        '{"haproxy_timeout_queue": "11s", "haproxy_extra_config": "backend broken\\n    balanse roundrobin\\n"}',
    )
    requests = traffic.requests()
    assert run.code != 0
    assert "balanse roundrobin" in run.output, run.output
    assert releases() == before
    assert not failures(requests)


def test_back_to_the_first_configuration() -> None:
    deployed()
    for name in PROXIES:
        assert "timeout queue 10s" in machine(name).file("/etc/haproxy/current/haproxy.cfg").content_string
