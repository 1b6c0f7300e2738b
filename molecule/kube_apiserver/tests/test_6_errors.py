# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes wrong at 2 a.m.: one sentence, before anything is written, and an exit code."""

from __future__ import annotations

import re

import pytest
from lab import EXAMPLE, PROXIES, control, playbook

OTHER_VPC = '{"kube_apiserver_name": "other-api", "kube_apiserver_load_balancer": {"vpc_id": "vpc-other", "vswitch_id": "vsw-other"}}'
CASES = {
    "wrong secret": ((), {"ALIBABA_CLOUD_ACCESS_KEY_SECRET": "wrong"}, r"secret is wrong"),
    "unknown region": ((), {"ALIBABA_CLOUD_REGION": "cn-hangzou"}, r"'cn-hangzou' is not known.*'cn-hangzhou'"),
    "another VPC": (
        ("-e", OTHER_VPC),
        {},
        r"192\.0\.2\.21 is i-cfha-haproxy-1 in vpc-cfha-lab, but the load balancer other-api is in vpc-other",
    ),
    "address of no server": (("-e", "kube_apiserver_name=other-api"), {}, r"192\.0\.2\.99 matches no ECS instance"),
}


@pytest.mark.parametrize("case", CASES)
def test_one_sentence_before_any_write(case, tmp_path) -> None:
    arguments, environment, sentence = CASES[case]
    inventory = tmp_path / "inventory.yml"
    text = (EXAMPLE / "inventory.yml").read_text()
    inventory.write_text(text.replace("192.0.2.22", "192.0.2.99") if case == "address of no server" else text)
    control("DELETE", "requests")
    run = playbook("deploy_kube_apiserver", *arguments, inventory=inventory, **environment)
    assert run.code != 0
    messages = re.findall(r'"msg": "((?:[^"\\]|\\.)*)"', run.output)
    assert len(messages) == 1, run.output
    assert re.search(sentence, messages[0]), messages
    assert messages[0].count(". ") == 0 and "Traceback" not in run.output
    assert control("GET", "requests")["writes"] == 0
    print(f"{case}: {messages[0]}")


TIGHT = {
    "security_group_id": "sg-cfha-tight",
    "vpc": "lab",
    "name": "tight",
    "rules": [{"source_cidr": "192.0.2.0/24"}],
}


def test_a_security_group_that_keeps_health_checks_out() -> None:
    """Before a new front end is built; and who knows better goes on with a warning."""
    made = control("GET", "inventory")
    machines = [
        {**machine, **({"security_group_ids": [TIGHT["security_group_id"]]} if machine["name"] in PROXIES else {})}
        for machine in made["machines"]
    ]
    control("PUT", "inventory", {**made, "machines": machines, "security_groups": [TIGHT]})
    try:
        control("DELETE", "requests")
        refused = playbook("deploy_kube_apiserver", "-e", "kube_apiserver_name=other-api")
        assert control("GET", "requests")["writes"] == 0
        warned = playbook(
            "deploy_kube_apiserver",
            "--check",
            "-e",
            "kube_apiserver_name=other-api",
            "-e",
            "kube_apiserver_security_groups=warn",
        )
    finally:
        control("PUT", "inventory", made)
    for port in (8888, 8889):
        sentence = f"100.64.0.0/10 is kept out of port {port}/tcp of 192.0.2.21"
        assert sentence in refused.output and sentence in warned.output
    assert refused.code != 0 and warned.code == 0, warned.output
