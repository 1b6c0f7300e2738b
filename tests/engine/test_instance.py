# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every option of an instance on the emulated cloud: made with it, changed alone, predicted, and refused."""

from __future__ import annotations

import pytest

from ansible_collections.clusterfront.ha.plugins.module_utils._slb.client import Client, Settings
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.document import LoadBalancer
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.errors import ApiError, DocumentError, Immutable
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.resources import load_balancer

PRIVATE = {"address_type": "intranet", "vpc_id": "vpc-ut-lab", "vswitch_id": "vsw-ut-lab"}
PUBLIC = {"address_type": "internet"}
BY_SIZE = {
    "address_type": "internet",
    "instance_charge_type": "PayBySpec",
    "spec": "slb.s1.small",
    "internet_charge_type": "paybybandwidth",
    "bandwidth": 5,
}
REMOVAL = {"name": "prod-api", "state": "absent"}


def document(base, **options):
    return {"name": "prod-api", "load_balancer": {**base, **options}}


def told(cloud):
    """The only instance, as the API tells it."""
    (entry,) = cloud.slb("DescribeLoadBalancers", PageNumber=1, PageSize=100)["LoadBalancers"]["LoadBalancer"]
    return {
        **cloud.slb("DescribeLoadBalancerAttribute", LoadBalancerId=entry["LoadBalancerId"]),
        "InternetChargeType": entry["InternetChargeTypeAlias"],
    }


def tags(cloud):
    return {tag["TagKey"]: tag["TagValue"] for tag in told(cloud)["Tags"]["Tag"]}


MADE = {
    "address": (PRIVATE, {"address": "192.0.2.142"}, {"Address": "192.0.2.142"}),
    "ipv4": (PRIVATE, {"address_ip_version": "ipv4"}, {"AddressIPVersion": "ipv4"}),
    "ipv6": (PRIVATE, {"address_ip_version": "ipv6"}, {"AddressIPVersion": "ipv6"}),
    "zones": (
        PUBLIC,
        {"master_zone_id": "cn-hangzhou-i", "slave_zone_id": "cn-hangzhou-j"},
        {"MasterZoneId": "cn-hangzhou-i", "SlaveZoneId": "cn-hangzhou-j"},
    ),
    "resource group": (PRIVATE, {"resource_group_id": "rg-one"}, {"ResourceGroupId": "rg-one"}),
    "paid by use": (
        PUBLIC,
        {"instance_charge_type": "PayByCLCU", "spec": "slb.lcu.elastic", "internet_charge_type": "paybytraffic"},
        {
            "InstanceChargeType": "PayByCLCU",
            "LoadBalancerSpec": "slb.lcu.elastic",
            "InternetChargeType": "paybytraffic",
        },
    ),
    "paid by size": (
        BY_SIZE,
        {},
        {
            "InstanceChargeType": "PayBySpec",
            "LoadBalancerSpec": "slb.s1.small",
            "InternetChargeType": "paybybandwidth",
            "Bandwidth": 5,
        },
    ),
    "delete protection": (PRIVATE, {"delete_protection": True}, {"DeleteProtection": "on"}),
    "guarded": (
        PRIVATE,
        {"modification_protection": {"enabled": True, "reason": "mine"}},
        {"ModificationProtectionStatus": "ConsoleProtection", "ModificationProtectionReason": "mine"},
    ),
    "stopped": (PRIVATE, {"enabled": False}, {"LoadBalancerStatus": "inactive"}),
    "started": (PRIVATE, {"enabled": True}, {"LoadBalancerStatus": "active"}),
    "tags": (PRIVATE, {"tags": {"team": "one", "stage": 1}, "purge_tags": True}, {}),
}


@pytest.mark.parametrize(("base", "options", "expected"), MADE.values(), ids=MADE)
def test_an_instance_is_made_as_predicted_and_only_once(cloud, base, options, expected):
    wanted = document(base, **options)
    predicted = cloud.run(wanted, check_mode=True)
    assert cloud.writes == 0
    made = cloud.run(wanted)
    assert (made.steps, made.diff) == (predicted.steps, predicted.diff)
    assert cloud.writes == len(made.steps) == 1 + (options.get("enabled") is False)
    has = told(cloud)
    assert {name: has[name] for name in expected} == expected
    assert tags(cloud) == {
        "clusterfront:owner": "prod-api",
        **{key: str(value) for key, value in options.get("tags", {}).items()},
    }
    cloud.forget()
    again = cloud.run(wanted)
    assert not again.changed and cloud.counts == {"DescribeLoadBalancers": 1} and again.shown == made.shown


#: what is there -> what is said -> the calls, and what of the instance they change
CHANGES = {
    "resource group": (PRIVATE, {"resource_group_id": "rg-two"}, ["MoveResourceGroup"], {"ResourceGroupId"}),
    "delete protection": (
        PRIVATE,
        {"delete_protection": True},
        ["SetLoadBalancerDeleteProtection"],
        {"DeleteProtection"},
    ),
    "guard": (
        PRIVATE,
        {"modification_protection": {"enabled": True}},
        ["SetLoadBalancerModificationProtection"],
        {"ModificationProtectionStatus"},
    ),
    "guard with a reason": (
        PRIVATE,
        {"modification_protection": {"enabled": True, "reason": "mine"}},
        ["SetLoadBalancerModificationProtection"],
        {"ModificationProtectionStatus", "ModificationProtectionReason"},
    ),
    "another reason": (
        {**PRIVATE, "modification_protection": {"enabled": True, "reason": "mine"}},
        {"modification_protection": {"reason": "ours"}},
        ["SetLoadBalancerModificationProtection"],
        {"ModificationProtectionReason"},
    ),
    "no guard": (
        {**PRIVATE, "modification_protection": {"enabled": True, "reason": "mine"}},
        {"modification_protection": {"enabled": False}},
        ["SetLoadBalancerModificationProtection"],
        {"ModificationProtectionStatus", "ModificationProtectionReason"},
    ),
    "stop": (PRIVATE, {"enabled": False}, ["SetLoadBalancerStatus"], {"LoadBalancerStatus"}),
    "start": ({**PRIVATE, "enabled": False}, {"enabled": True}, ["SetLoadBalancerStatus"], {"LoadBalancerStatus"}),
    "spec": (BY_SIZE, {"spec": "slb.s3.small"}, ["ModifyLoadBalancerInstanceSpec"], {"LoadBalancerSpec"}),
    "bandwidth": (BY_SIZE, {"bandwidth": 9}, ["ModifyLoadBalancerInternetSpec"], {"Bandwidth"}),
    "paid by traffic": (
        BY_SIZE,
        {"internet_charge_type": "paybytraffic"},
        ["ModifyLoadBalancerInternetSpec"],
        {"InternetChargeType", "Bandwidth"},
    ),
    "paid by use": (
        BY_SIZE,
        {"instance_charge_type": "PayByCLCU"},
        ["ModifyLoadBalancerInstanceChargeType"],
        {"InstanceChargeType", "LoadBalancerSpec", "InternetChargeType", "Bandwidth"},
    ),
    "tags": (
        {**PRIVATE, "tags": {"team": "one", "stage": "test"}},
        {"tags": {"team": "two"}},
        ["TagResources"],
        {"Tags"},
    ),
    "only these tags": (
        {**PRIVATE, "tags": {"team": "one", "stage": "test"}},
        {"tags": {"team": "two"}, "purge_tags": True},
        ["UntagResources", "TagResources"],
        {"Tags"},
    ),
}


@pytest.mark.parametrize(("base", "options", "operations", "fields"), CHANGES.values(), ids=CHANGES)
def test_one_change_of_an_instance_leaves_all_else(cloud, base, options, operations, fields):
    cloud.run(document(base))
    before = told(cloud)
    wanted = {"name": "prod-api", "load_balancer": options}
    cloud.forget()
    predicted = cloud.run(wanted, check_mode=True)
    assert cloud.writes == 0
    changed = cloud.run(wanted)
    assert changed.operations == operations and cloud.writes == len(operations)
    assert (predicted.steps, predicted.diff) == (changed.steps, changed.diff)
    assert changed.diff["before"] != changed.diff["after"]
    after = told(cloud)
    assert {name for name in after if after[name] != before[name]} - {"RequestId"} == fields
    cloud.forget()
    assert not cloud.run(wanted).changed and cloud.counts == {"DescribeLoadBalancers": 1}
    # what was said before and is not said any more stays as it is
    assert not cloud.run({"name": "prod-api"}).changed


def test_a_purge_leaves_the_tags_of_the_cloud_and_ours(cloud):
    made = cloud.run(document(PRIVATE, tags={"team": "one"}))
    cloud.slb(
        "TagResources",
        ResourceType="instance",
        ResourceId=[made.shown["load_balancer"]["id"]],
        Tag=[{"Key": "clusterfront:note", "Value": "n"}, {"Key": "stage", "Value": "test"}],
    )
    cloud.run(document(PRIVATE, tags={}, purge_tags=True))
    assert tags(cloud) == {"clusterfront:owner": "prod-api", "clusterfront:note": "n"}
    assert not cloud.run(document(PRIVATE, tags={}, purge_tags=True)).changed


def test_a_rename_is_by_id(cloud):
    made = cloud.run(document(PRIVATE))
    before = told(cloud)
    wanted = {"name": "prod-api", "load_balancer": {"id": made.shown["load_balancer"]["id"], "name": "prod-apiserver"}}
    predicted = cloud.run(wanted, check_mode=True)
    renamed = cloud.run(wanted)
    assert renamed.operations == ["SetLoadBalancerName"] and renamed.diff == predicted.diff
    after = told(cloud)
    assert {name for name in after if after[name] != before[name]} - {"RequestId"} == {"LoadBalancerName"}
    assert not cloud.run(wanted).changed


def test_a_charge_type_that_changes_the_next_day_is_done_and_told(cloud):
    cloud.switch(charge_type_change="next_day")
    cloud.run(document(BY_SIZE))
    wanted = {
        "name": "prod-api",
        "load_balancer": {"internet_charge_type": "paybytraffic", "spec": "slb.s2.small", "delete_protection": False},
        "listeners": [{"port": 80, "protocol": "tcp", "backend_port": 80, "enabled": False}],
        "allow_public": True,
    }
    predicted = cloud.run(wanted, check_mode=True)
    changed = cloud.run(wanted)
    # the instance is locked from then on, so that call is the last one
    assert changed.operations == [
        "ModifyLoadBalancerInstanceSpec",
        "CreateLoadBalancerTCPListener",
        "ModifyLoadBalancerInternetSpec",
    ]
    assert (changed.steps, changed.diff) == (predicted.steps, predicted.diff)
    assert changed.outcome.plan.later == predicted.outcome.plan.later
    assert "takes effect at 00:00 of the next day" in changed.outcome.plan.later[0]
    assert changed.shown["load_balancer"]["internet_charge_type"] == "paybytraffic"
    has = told(cloud)
    assert (has["InternetChargeType"], has["Bandwidth"], has["LoadBalancerSpec"]) == (
        "paybybandwidth",
        5,
        "slb.s2.small",
    )
    # on the same day the cloud refuses, and says why; what is not about that still needs no call
    with pytest.raises(ApiError) as caught:
        cloud.run(wanted)
    assert caught.value.code == "ActionNotAllowed"
    assert not cloud.run({"name": "prod-api", "load_balancer": {"spec": "slb.s2.small"}}).changed


@pytest.mark.parametrize("after", [True, False])
def test_a_lost_answer_to_what_locks_the_instance_is_no_failure(cloud, after):
    cloud.switch(charge_type_change="next_day")
    cloud.run(document(BY_SIZE))
    cloud.forget()
    fault = {"action": "ModifyLoadBalancerInternetSpec", "drop": True, "after": after}
    cloud.emulator.control("PUT", "faults", {"faults": [fault]})
    changed = cloud.run(document(PUBLIC, internet_charge_type="paybytraffic"))
    assert changed.operations == ["ModifyLoadBalancerInternetSpec"] and cloud.writes == 2
    has = {"LoadBalancerId": changed.shown["load_balancer"]["id"]}
    assert cloud.slb.code("SetLoadBalancerName", LoadBalancerName="other", **has) == ("ActionNotAllowed", 400)


FIXED = {
    "address_type": (PRIVATE, {"address_type": "internet", "vpc_id": None, "vswitch_id": None}),
    "vpc_id": (PRIVATE, {"vpc_id": "vpc-ut-other"}),
    "vswitch_id": (PRIVATE, {"vswitch_id": "vsw-ut-other"}),
    "address": (PRIVATE, {"address": "192.0.2.150"}),
    "address_ip_version": (PRIVATE, {"address_ip_version": "ipv6"}),
    "master_zone_id": (PRIVATE, {"master_zone_id": "cn-hangzhou-k"}),
    "slave_zone_id": (PRIVATE, {"slave_zone_id": "cn-hangzhou-k"}),
    "instance_charge_type": (PRIVATE, {"instance_charge_type": "PayBySpec"}),
}


@pytest.mark.parametrize("option", FIXED)
def test_what_is_fixed_is_refused_with_both_values_and_what_to_do(cloud, option):
    base, options = FIXED[option]
    made = cloud.run(document(base))
    has = made.shown["load_balancer"][option]
    cloud.forget()
    for check_mode in (True, False):
        with pytest.raises(Immutable) as caught:
            cloud.run(document(base, **options), check_mode=check_mode)
        sentence = str(caught.value)
        assert f"load_balancer.{option} of prod-api" in sentence
        assert f"is '{has}' and cannot become '{options[option]}'; leave the option out, or give" in sentence
    assert cloud.writes == 0


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"spec": "slb.s1.small"}, "PayByCLCU has no spec but"),
        ({"bandwidth": 5}, "an intranet instance has none"),
        ({"tags": {f"k{number}": "" for number in range(20)}}, "19 are possible beside the owner's mark"),
    ],
)
def test_what_does_not_fit_the_instance_is_refused_before_any_write(cloud, options, sentence):
    cloud.run(document(PRIVATE))
    cloud.forget()
    with pytest.raises(DocumentError, match=sentence):
        cloud.run({"name": "prod-api", "load_balancer": options})
    assert cloud.writes == 0


def test_a_contradiction_is_refused_before_any_call(cloud):
    with pytest.raises(DocumentError, match="address_type is 'intranet' while load_balancer.bandwidth is '5'"):
        cloud.run(document(PRIVATE, bandwidth=5))
    assert cloud.counts == {}


def test_a_stopped_instance_can_be_removed(cloud):
    cloud.run(document(PRIVATE, enabled=False))
    assert cloud.run(REMOVAL).operations == ["DeleteLoadBalancer"]
    assert not cloud.run(REMOVAL).changed


# what is found


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({}, ["one", "two", "web"]),
        ({"name": "one"}, ["one"]),
        ({"name": "on"}, []),
        ({"id": "lb-none"}, []),
        ({"vpc_id": "vpc-ut-lab"}, ["one", "two"]),
        ({"address_type": "internet"}, ["web"]),
        ({"address": "192.0.2.141"}, ["one"]),
        ({"tags": {"team": "a"}}, ["one", "web"]),
        ({"tags": {"team": "a", "stage": "test"}}, ["one"]),
        ({"tags": {"clusterfront:owner": "two"}}, ["two"]),
        ({"vpc_id": "vpc-ut-lab", "tags": {"team": "a"}}, ["one"]),
    ],
)
def test_instances_are_found_by_what_they_are(cloud, wanted, found):
    cloud.switch(name_filter="contains")
    for name, options in (
        ("one", {**PRIVATE, "address": "192.0.2.141", "tags": {"team": "a", "stage": "test"}}),
        ("two", {**PRIVATE, "tags": {"team": "b"}}),
        ("web", {**PUBLIC, "tags": {"team": "a"}}),
    ):
        cloud.run({"name": name, "load_balancer": options})
    endpoint = f"http://{cloud.emulator.address}"
    client = Client(
        Settings(
            "cn-hangzhou",
            access_key_id="ut-key",
            access_key_secret="ut-secret",
            slb_endpoint=endpoint,
            ecs_endpoint=endpoint,
        )
    )
    assert [entry.config.name for entry in load_balancer.search(client, LoadBalancer(**wanted))] == found
