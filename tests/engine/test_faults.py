# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A cloud that misbehaves: every retryable code once at every call of a run, throttling, gateways, lost answers."""

from __future__ import annotations

import pytest

from ansible_collections.clusterfront.ha.plugins.module_utils._slb.errors import CODES, ApiError, Verdict

DOCUMENT = {
    "name": "prod-api",
    "load_balancer": {"address_type": "intranet", "vpc_id": "vpc-ut-lab", "vswitch_id": "vsw-ut-lab"},
    "server_groups": [
        {"name": "haproxy", "backends": [{"private_ip": f"192.0.2.2{number}", "port": 8888} for number in (1, 2)]}
    ],
    "listeners": [{"port": 6443, "protocol": "tcp", "server_group": "haproxy"}],
}
#: Every operation that makes this document on an empty cloud, and that a second run reads by.
OPERATIONS = (
    "DescribeInstances",
    "DescribeLoadBalancers",
    "CreateLoadBalancer",
    "DescribeLoadBalancerAttribute",
    "DescribeVServerGroups",
    "DescribeVServerGroupAttribute",
    "CreateVServerGroup",
    "DescribeLoadBalancerListeners",
    "CreateLoadBalancerTCPListener",
    "StartLoadBalancerListener",
)
RETRYABLE = sorted(code for code, verdict in CODES.items() if verdict is Verdict.RETRY) + [
    "Throttling.User",
    "Throttling",
]


@pytest.fixture
def faults(cloud):
    """Sets the faults of the cloud, and takes them away again."""

    def given(*wanted):
        cloud.emulator.control("PUT", "faults", {"faults": list(wanted)})

    yield given
    given()


def test_the_list_of_operations_is_whole(cloud):
    cloud.run(DOCUMENT)
    assert set(cloud.counts) == set(OPERATIONS)


@pytest.mark.parametrize("code", RETRYABLE)
def test_a_busy_code_at_every_operation(cloud, faults, code):
    faults(*({"action": operation, "code": code} for operation in OPERATIONS))
    run = cloud.run(DOCUMENT)
    assert run.changed and not cloud.run(DOCUMENT).changed
    assert cloud.emulator.control("GET", "faults")["faults"] == []
    assert len(cloud.picture()) == 1


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(
    "fault",
    [{"drop": True}, {"code": "InternalError", "status": 500}, {"status": 502, "body": "<html>Bad Gateway</html>"}],
    ids=["dropped", "500", "gateway"],
)
def test_a_lost_answer_at_every_operation(cloud, faults, operation, after, fault):
    faults({"action": operation, "after": after, **fault})
    cloud.run(DOCUMENT)
    again = cloud.run(DOCUMENT)
    assert not again.changed, again.steps
    assert len(cloud.picture()) == 1 and len(again.shown["server_groups"]) == len(again.shown["listeners"]) == 1


def test_throttled_all_the_way(cloud, faults):
    faults({"rate": 20.0, "burst": 1})
    assert cloud.run(DOCUMENT).changed
    assert not cloud.run(DOCUMENT).changed


def test_a_busy_cloud_is_given_up_after_the_timeout(cloud, faults):
    faults({"action": "DescribeLoadBalancers", "code": "SystemBusy", "status": 449, "count": 0})
    with pytest.raises(ApiError) as caught:
        cloud.run(DOCUMENT, timeout=0.4)
    assert caught.value.to_result()["code"] == "SystemBusy"
    assert caught.value.to_result()["operation"] == "DescribeLoadBalancers"


def test_an_error_of_the_caller_is_not_tried_again(cloud, faults):
    faults({"action": "CreateVServerGroup", "code": "Forbidden.RAM", "status": 403, "count": 0})
    with pytest.raises(ApiError, match="Forbidden.RAM"):
        cloud.run(DOCUMENT)
    assert cloud.counts["CreateVServerGroup"] == 1
    faults()
    assert cloud.run(DOCUMENT).changed and not cloud.run(DOCUMENT).changed
