# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs with a limit, and runs while a machine is dead: nothing outside changes, the name resolves everywhere, nobody notices."""

from __future__ import annotations

import pytest
from lab import CLIENT, MASTERS, PROXIES, Traffic, all_well, control, deployed, failures, kill, on, playbook, until, vip

ALL = (*MASTERS, *PROXIES, CLIENT)
#: Everything that a run might change on a machine: the names that it knows, the release that HAProxy serves from, and what kubeadm is told.
LOOK = (
    "grep -v '^#' /etc/hosts | grep api.example.com; readlink /etc/haproxy/current; stat -c '%n %Y' /etc/hosts"
    " /etc/haproxy/current /etc/kubernetes/kubeadm-config.yaml 2>/dev/null; true"
)
#: A change of every HAProxy node.
CHANGE = ("-e", "haproxy_timeout_connect=3s")


def looked(*names: str) -> dict[str, str]:
    return {name: on(name, LOOK) for name in names}


def resolves_everywhere(*names: str) -> None:
    for name in names:
        assert on(name, "getent hosts k8s-api.example.com").split()[0] == vip(), name


def dead_and_missed(name: str) -> None:
    """Kill a machine, and wait until the SLB sends nobody there any more."""
    kill(name)
    until(lambda: "abnormal" in {entry["state"] for entry in control("GET", "health")}, "the SLB's notice")
    until(lambda: not failures(Traffic(seconds=1).requests()), "answers for everybody")


def test_a_limited_run_changes_its_machine_alone() -> None:
    deployed()
    others = [name for name in ALL if name != "haproxy-2"]
    before = looked(*ALL)
    control("DELETE", "requests")
    traffic = Traffic(seconds=60)
    run = deployed("--limit", "haproxy-2", *CHANGE)
    requests = traffic.stop()
    assert (
        "The limit leaves out master-1, master-2, master-3, haproxy-1 and client-1; nothing is changed there."
        in run.output
    )
    assert control("GET", "requests")["writes"] == 0
    after = looked(*ALL)
    assert {name: after[name] for name in others} == {name: before[name] for name in others}
    assert after["haproxy-2"] != before["haproxy-2"]
    resolves_everywhere(*ALL)
    assert requests and not failures(requests)


def test_a_limit_without_a_dead_machine_keeps_the_cloud_and_the_name(lab_restored) -> None:
    until(all_well, "health of all")
    dead_and_missed("haproxy-1")
    rest = [name for name in ALL if name != "haproxy-1"]
    traffic = Traffic(seconds=90)
    run = deployed("--limit", "!haproxy-1", *CHANGE)
    requests = traffic.stop()
    assert "The limit leaves out haproxy-1; nothing is changed there." in run.output
    assert "differs from what is wanted" not in run.output
    resolves_everywhere(*rest)
    assert requests and not failures(requests)


def test_a_dead_master_outside_of_the_limit_stops_nothing(lab_restored) -> None:
    until(all_well, "health of all")
    kill("master-3")
    run = deployed("--limit", "haproxy-2")
    assert "The limit leaves out" in run.output
    resolves_everywhere(*[name for name in ALL if name != "master-3"])


def test_a_machine_that_does_not_answer_is_named_and_left(lab_restored) -> None:
    until(all_well, "health of all")
    dead_and_missed("haproxy-1")
    traffic = Traffic(seconds=120)
    run = playbook("deploy_kube_apiserver", "-e", "kube_apiserver_trust_last_run=false")
    requests = traffic.stop()
    # unreachable is what Ansible ends with
    assert run.code == 4, run.output
    assert (
        "haproxy-1 does not answer. The run goes on with the others, leaves it as it is, and ends with an error"
        in run.output
    )
    resolves_everywhere(*[name for name in ALL if name != "haproxy-1"])
    assert requests and not failures(requests)


@pytest.mark.parametrize("dead", [("haproxy-1", "haproxy-2"), ("master-2", "master-3")], ids=lambda dead: dead[0])
def test_a_run_that_is_not_safe_changes_nothing(lab_restored, dead) -> None:
    until(all_well, "health of all")
    for name in dead:
        kill(name)
    rest = [name for name in ALL if name not in dead]
    before = looked(*rest)
    control("DELETE", "requests")
    run = playbook("deploy_kube_apiserver", *CHANGE)
    assert run.code != 0
    assert f"{dead[0]} and {dead[1]} " in run.output and "nothing was changed." in run.output
    assert looked(*rest) == before and control("GET", "requests")["writes"] == 0


def test_the_rest_is_as_it_should_be() -> None:
    deployed()
    until(all_well, "health of all")
