# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults on request, as the official SDK meets them."""

from __future__ import annotations

import time
import urllib.error
from typing import Any

import pytest
from emulator_harness import Emulator, Slb
from Tea.exceptions import TeaException

CREATE = {
    "LoadBalancerName": "faulty",
    "AddressType": "intranet",
    "VpcId": "vpc-ut-lab",
    "VSwitchId": "vsw-ut-lab",
    "InstanceChargeType": "PayByCLCU",
}


def faults(emulator: Emulator, *given: dict[str, Any]) -> None:
    emulator.control("PUT", "faults", {"faults": list(given)})


def balancers(slb: Slb) -> int:
    return int(slb("DescribeLoadBalancers")["TotalCount"])


def test_a_code_hits_so_many_calls_of_one_action(emulator: Emulator, slb: Slb) -> None:
    faults(emulator, {"action": "DescribeLoadBalancers", "code": "SystemBusy", "status": 449, "count": 2, "skip": 1})
    assert balancers(slb) == 0
    for dummy in range(2):
        with pytest.raises(TeaException) as caught:
            slb("DescribeLoadBalancers")
        assert (caught.value.code, caught.value.status_code) == ("SystemBusy", 449)
        assert slb("DescribeRegions")["Regions"]["Region"]
    assert balancers(slb) == 0
    assert emulator.control("GET", "faults") == {"faults": []}


@pytest.mark.parametrize(("after", "made"), [(False, 0), (True, 1)])
def test_a_dropped_answer_before_and_after_the_write(emulator: Emulator, slb: Slb, after: bool, made: int) -> None:
    faults(emulator, {"action": "CreateLoadBalancer", "drop": True, "after": after})
    with pytest.raises(TeaException) as caught:
        slb("CreateLoadBalancer", **CREATE)
    assert getattr(caught.value, "code", None) is None
    assert balancers(slb) == made


def test_the_same_token_makes_no_second_one(emulator: Emulator, slb: Slb) -> None:
    faults(emulator, {"action": "CreateLoadBalancer", "drop": True, "after": True})
    with pytest.raises(TeaException):
        slb("CreateLoadBalancer", **CREATE, ClientToken="once")
    slb("CreateLoadBalancer", **CREATE, ClientToken="once")
    assert balancers(slb) == 1


def test_a_gateway_s_page(emulator: Emulator, slb: Slb) -> None:
    faults(emulator, {"status": 502, "body": "<html>Bad Gateway</html>"})
    with pytest.raises(TeaException) as caught:
        slb("DescribeRegions")
    assert getattr(caught.value, "code", None) is None


def test_throttling_by_rate(emulator: Emulator, slb: Slb) -> None:
    faults(emulator, {"action": "DescribeRegions", "rate": 5.0, "burst": 2, "retry_after": 200})
    codes = []
    for dummy in range(4):
        try:
            slb("DescribeRegions")
            codes.append("")
        except TeaException as error:
            codes.append(error.code)
            assert getattr(error, "retry_after", None) == 200
    assert codes[:2] == ["", ""] and "Throttling.User" in codes[2:]
    time.sleep(0.25)
    assert slb("DescribeRegions")["Regions"]["Region"]


def test_a_delay_only_delays(emulator: Emulator, slb: Slb) -> None:
    faults(emulator, {"delay": 0.3})
    begin = time.monotonic()
    assert slb("DescribeRegions")["Regions"]["Region"]
    assert time.monotonic() - begin >= 0.3


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"actoin": "*"}, "a fault has no actoin"),
        ({"count": "2"}, "count of a fault is '2'"),
        ({"drop": 1}, "drop of a fault is 1"),
    ],
)
def test_what_no_fault_is(emulator: Emulator, given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(urllib.error.HTTPError) as caught:
        faults(emulator, given)
    assert caught.value.code == 400 and sentence in caught.value.read().decode()


def test_a_reset_forgets_them(emulator: Emulator) -> None:
    faults(emulator, {"code": "InternalError", "status": 500, "count": 0})
    emulator.control("POST", "reset")
    assert emulator.control("GET", "faults") == {"faults": []}
