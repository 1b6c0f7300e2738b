# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which operations there are, what the others answer, and that the page about them says the same."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from emulator_harness import Emulator, Slb
from Tea.exceptions import TeaException

from slb_emulator.operations import find
from slb_emulator.quotas import QUOTAS
from slb_emulator.switches import SECONDS, SWITCHES
from slb_emulator.tables import ECS, SLB

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "emulator_operations.md"
README = ROOT / "roles" / "slb_emulator" / "README.md"


def sdk_operations() -> list[str]:
    """Every operation of the official SDK, by its client's methods."""
    models = importlib.import_module("alibabacloud_slb20140515.models")
    client = importlib.import_module("alibabacloud_slb20140515.client").Client
    methods = {name.replace("_", "") for name in dir(client)}
    names = (name.removesuffix("Request") for name in dir(models) if name.endswith("Request"))
    return sorted(name for name in names if name.lower() in methods)


def table(path: Path, first: str) -> Iterator[list[str]]:
    """The rows of the table whose first column has this head."""
    lines = path.read_text(encoding="utf-8").splitlines()
    (start,) = (number for number, line in enumerate(lines) if line.startswith(f"| {first} |"))
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            return
        yield [cell.strip() for cell in line.strip("|").split(" | ")]


def plain(cell: str) -> str:
    return cell.strip("` ")


def generic(slb: Slb, action: str, version: str) -> Any:
    """A call of any name, for which the SDK needs no model."""
    from alibabacloud_tea_openapi import utils_models
    from darabonba.runtime import RuntimeOptions

    parameters = utils_models.Params(
        action=action,
        version=version,
        protocol="HTTP",
        pathname="/",
        method="POST",
        auth_type="AK",
        style="RPC",
        req_body_type="formData",
        body_type="json",
    )
    request = utils_models.OpenApiRequest(query={"RegionId": slb.region})
    return slb.client.call_api(parameters, request, RuntimeOptions())


def test_the_page_has_every_operation_and_says_which_are_there() -> None:
    rows = {plain(row[0]): row[1:] for row in table(PAGE, "operation")}
    names = sdk_operations()
    assert len(names) == 93
    assert sorted(rows) == names
    wrong = {name: row[0] for name, row in rows.items() if (row[0] == "yes") != (find(SLB, name) is not None)}
    assert not wrong, f"the column of what is implemented is wrong for {wrong}"
    # a source for what is there, and a reason for what is not
    assert all(row[1] != "-" if row[0] == "yes" else row[2] not in ("", "-") for row in rows.values())


@pytest.mark.parametrize("action", [*(name for name in sdk_operations() if find(SLB, name) is None), "NoSuchOperation"])
def test_an_operation_that_is_not_there_is_not_found(emulator: Emulator, slb: Slb, action: str) -> None:
    for version in (SLB, ECS):
        with pytest.raises(TeaException) as caught:
            generic(slb, action, version)
        assert (caught.value.code, caught.value.status_code) == ("InvalidApi.NotFound", 404)


def test_operations_of_one_version_are_not_there_in_another(emulator: Emulator, slb: Slb) -> None:
    for action, version, code in (
        ("DescribeLoadBalancers", ECS, "InvalidApi.NotFound"),
        ("DescribeInstances", SLB, "InvalidApi.NotFound"),
        ("DescribeLoadBalancers", "2020-01-01", "InvalidVersion"),
    ):
        with pytest.raises(TeaException) as caught:
            generic(slb, action, version)
        assert (caught.value.code, caught.value.status_code) == (code, 404)


def test_the_page_has_every_switch_and_quota() -> None:
    shown = {plain(row[0]): (re.findall(r"`([^`]+)`", row[1]), row[2]) for row in table(PAGE, "switch")}
    assert shown == {name: (list(switch.allowed), switch.source) for name, switch in SWITCHES.items()}
    shown_seconds = {plain(row[0]): (float(plain(row[1])), row[2]) for row in table(PAGE, "seconds")}
    assert shown_seconds == {name: (seconds.default, seconds.source) for name, seconds in SECONDS.items()}
    shown_quotas = {plain(row[0]): (int(plain(row[1])), row[2]) for row in table(PAGE, "quota")}
    assert shown_quotas == {name: (quota.default, quota.source) for name, quota in QUOTAS.items()}


def test_the_readme_has_every_switch() -> None:
    shown = {plain(row[0]): re.findall(r"`([^`]+)`", row[1]) for row in table(README, "switch")}
    wanted = {name: list(switch.allowed) for name, switch in SWITCHES.items()}
    wanted.update({name: [f"{seconds.default:g}"] for name, seconds in SECONDS.items()})
    assert shown == wanted
