# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes wrong at 2 a.m.: one sentence, before anything is written, and an exit code."""

from __future__ import annotations

import re

import pytest
from lab import EXAMPLE, control, playbook

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
