# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Labels that can't be granted, what people ask the registrar, and what the role refuses."""

from __future__ import annotations

import json

import pytest

import containers_lab as lab
from lab import playbook, until

SECRET = "registrar-secret-that-nobody-sees"


def test_each_wrong_label_has_its_sentence_and_the_others_work() -> None:
    before = lab.journal("container-1")
    other = lab.slb(
        "CreateLoadBalancer", AddressType="internet", LoadBalancerName="elsewhere", InstanceChargeType="PayByCLCU"
    )
    lab.run("container-1", "lonely", "8001:80", lab.ENDPOINT)
    lab.run("container-1", "lost", "8002:80", "external_lb_endpoint=lb-nobody")
    lab.run("container-1", "first", "8888:80", lab.ENDPOINT)
    lab.run("container-1", "second", "", "clusterfront.slb.load_balancer={id}", "clusterfront.slb.port=8888", port=8003)
    lab.run("container-1", "wrong", "8004:80", "clusterfront.slb.load_balancer=nginx", "clusterfront.slb.weight=heavy")
    try:
        until(lambda: set(lab.problems("container-1")) == {"lonely", "lost", "second", "wrong"}, "problems", 60)
        told = lab.problems("container-1")
        assert "has no listener for port 8001" in told["lonely"]
        assert "'lb-nobody' does not exist in this region" in told["lost"]
        assert (
            told["second"]
            == "port 8888 of this host leads to the container first already; give one of the two another port"
        )
        assert told["wrong"] == "label clusterfront.slb.weight is 'heavy'; a number from 0 to 100 is possible"
        journal = lab.journal("container-1").removeprefix(before)
        for sentence in told.values():
            # once when it begins, whatever number of tries
            assert journal.count(sentence) == 1, journal
        lab.registered("container-1")
        shown = lab.on("container-1", "registrar status; echo $?", check=False)
        assert shown.endswith("\n1") and "problem: lonely at" in shown
        metrics = lab.on("container-1", "cat /var/lib/metrics/registrar.prom")
        assert "clusterfront_registrar_problems" in metrics and "clusterfront_registrar_failures_total 0" not in metrics
    finally:
        lab.remove_all("container-1")
        lab.slb("DeleteLoadBalancer", LoadBalancerId=other["LoadBalancerId"])
    lab.registered()
    assert lab.problems("container-1") == {}


def test_a_dry_run_shows_the_plan_and_does_nothing() -> None:
    lab.on("container-1", f"systemctl stop {lab.UNIT}")
    lab.run("container-1", "web", "8888:80", lab.ENDPOINT)
    try:
        shown = lab.on("container-1", "registrar --once --dry-run")
        assert "would add 1 server: 192.0.2.81, default_pool of nginx" in shown and lab.weights() == {}
        assert "add 1 server" in lab.on("container-1", "registrar --once") and lab.weights() == {"container-1": 100}
        assert "add 1 server" not in lab.on("container-1", "registrar --once")
    finally:
        lab.remove_all("container-1")
        lab.on("container-1", f"systemctl start {lab.UNIT}")
    lab.registered()


def test_once_from_the_controller_without_a_service() -> None:
    """Without a service, and without a key on the hosts."""
    for host in lab.HOSTS:
        lab.on(host, f"systemctl stop {lab.UNIT}")
        lab.run(host, "web", "8888:80", lab.ENDPOINT)
    try:
        predicted = playbook("register_containers", "--check", example=lab.EXAMPLE)
        assert predicted.code == 0 and predicted.changed == 1 and lab.weights() == {}, predicted.output
        done = playbook("register_containers", example=lab.EXAMPLE)
        assert done.code == 0 and done.changed == 1 and lab.weights() == dict.fromkeys(lab.HOSTS, 100), done.output
        assert playbook("register_containers", example=lab.EXAMPLE).changed == 0
        # a host whose engine does not answer keeps what it has
        lab.remove_all("container-1")
        lab.on("container-1", "systemctl stop podman.socket podman.service")
        silent = playbook(
            "register_containers",
            "-e",
            '{"registrar_engines": {"podman": "/run/podman/podman.sock"}}',
            example=lab.EXAMPLE,
        )
        assert "podman gives no answer" in silent.output and lab.weights() == dict.fromkeys(lab.HOSTS, 100)
        lab.on("container-1", "systemctl start podman.socket")
        gone = playbook("register_containers", "-e", "registrar_drain_time=1", example=lab.EXAMPLE)
        assert gone.code == 0 and lab.weights() == {"container-2": 100}, gone.output
    finally:
        for host in lab.HOSTS:
            lab.on(host, "systemctl start podman.socket")
            lab.remove_all(host)
            lab.on(host, f"systemctl start {lab.UNIT}")
    lab.registered()


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"registrar_weight": 101}, "registrar_weight is 101; 0 to 100 are possible."),
        ({"registrar_interval": 0}, "registrar_interval is 0 seconds; 1 or more are possible."),
        ({"registrar_server": {"ip": "192.0.2.1"}}, "registrar_server is {'ip': '192.0.2.1'}; exactly one of"),
        ({"registrar_region": ""}, "registrar_region is empty; give the region of the SLB instances, as cn-hangzhou."),
        ({"registrar_slb_endpoint": "ftp://192.0.2.1"}, "only http:// and https:// are possible"),
        ({"registrar_access_key_secret": ""}, "The service has no access key"),
        ({"registrar_packages": "/nowhere"}, "registrar_packages is '/nowhere', where no wheel is"),
        ({"registrar_owner": "mine", "registrar_take_over_gone": True}, "does not tell who the other registrars are"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_the_role_refuses_before_it_changes_anything(variables, sentence) -> None:
    before = lab.on("container-1", "cat /etc/clusterfront-registrar/registrar.json")
    run = lab.role("container-1", **variables)
    assert run.code != 0 and sentence in run.output, run.output[-2000:]
    assert run.changed == 0 and lab.on("container-1", "cat /etc/clusterfront-registrar/registrar.json") == before


def test_the_key_is_nobodys_business() -> None:
    key = "/etc/clusterfront-registrar/credentials.json"
    assert lab.file("container-2", key).mode == 0o600
    secret = json.loads(lab.on("container-2", f"cat {key}"))["access_key_secret"]
    assert secret not in lab.journal("container-2") and secret not in lab.on(
        "container-2", "cat /etc/clusterfront-registrar/registrar.json"
    )
    run = lab.role("container-2", registrar_access_key_secret=SECRET)
    assert run.code == 0 and SECRET not in run.output
    until(
        lambda: any(
            "SignatureDoesNotMatch" in text or "signature" in text.lower()
            for text in lab.problems("container-2").values()
        ),
        "a refusal",
    )
    assert SECRET not in lab.journal("container-2") and SECRET not in json.dumps(lab.status("container-2"))
    lab.on("container-2", f"chmod 644 {key}")
    lab.on("container-2", f"systemctl restart {lab.UNIT}", check=False)
    until(lambda: "so others may read the access key; set it to 0600" in lab.journal("container-2"), "a refusal")
    assert lab.role("container-2").code == 0
    until(lambda: lab.problems("container-2") == {}, "well again")
