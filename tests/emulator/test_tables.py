# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tables from the SDK's models, and what they are for: an answer that the SDK does not know is an error."""

from __future__ import annotations

import subprocess
import sys

from emulator_harness import PACKAGE

from slb_emulator.operations import registry
from slb_emulator.parameters import Parameters
from slb_emulator.tables import ECS, SLB, answer_table, deviations, request_table


def test_names_are_those_of_the_wire() -> None:
    table = request_table(SLB, "CreateLoadBalancerTCPListener")
    assert table is not None
    assert {"healthCheckInterval", "HealthCheckURI", "VServerGroupId", "ProxyProtocolV2Enabled"} <= set(table)
    assert table["Bandwidth"].required and not table["Scheduler"].required
    assert request_table(SLB, "NoSuchOperation") is None


def test_lists_and_kinds() -> None:
    table = request_table(SLB, "TagResources")
    assert table is not None
    wire = {
        "ResourceType": "instance",
        "ResourceId.2": "b",
        "ResourceId.1": "a",
        "ResourceId.10": "c",
        "Tag.1.Key": "k",
        "Tag.1.Value": "v",
        "Unknown": "x",
    }
    assert Parameters(wire, table).values == {
        "ResourceType": "instance",
        "ResourceId": ["a", "b", "c"],
        "Tag": [{"Key": "k", "Value": "v"}],
    }
    flags = request_table(SLB, "DescribeVServerGroups")
    assert flags is not None
    for text, value in (("True", True), ("false", False)):
        assert Parameters({"LoadBalancerId": "x", "IncludeRule": text}, flags).flag("IncludeRule") is value


def test_answers_that_drift_are_found() -> None:
    table = answer_table(SLB, "DescribeLoadBalancers")
    assert table is not None
    balancer = {"Bandwidth": True, "Tags": {"Tag": []}}
    answer = {"TotalCount": "1", "New": 1, "LoadBalancers": {"LoadBalancer": [balancer]}}
    assert len(deviations(answer, table)) == 3


def test_every_operation_is_one_of_the_sdk() -> None:
    actions = [action for version, action in registry._OPERATIONS if version == SLB]
    assert len(actions) >= 35
    assert all(request_table(SLB, action) is not None and answer_table(SLB, action) is not None for action in actions)
    assert registry.find(ECS, "DescribeInstances") is not None


def test_types_are_complete() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "slb_emulator"],
        cwd=PACKAGE,
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/bin:/bin", "MYPY_CACHE_DIR": "/dev/null"},
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
