# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whole front ends on the emulated cloud: predicted, made, changed, and removed."""

from __future__ import annotations

import json
import time

import pytest

from ansible_collections.clusterfront.ha.plugins.module_utils._slb.client import Client
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.document import partial
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.errors import (
    ApiError,
    DocumentError,
    Immutable,
    LookupFailed,
    SlbError,
)

LAB = {"address_type": "intranet", "vpc_id": "vpc-ut-lab", "vswitch_id": "vsw-ut-lab"}
BACKENDS = [{"private_ip": f"192.0.2.2{number}", "port": 8888} for number in (1, 2)]
HEALTH = {
    "type": "http",
    "connect_port": 8889,
    "uri": "/readyz",
    "interval": 2,
    "timeout": 2,
    "healthy_threshold": 2,
    "unhealthy_threshold": 2,
}


def document(**options):
    return {"name": "prod-api", "load_balancer": LAB, **options}


def group(*backends, **options):
    return {"name": "haproxy", "purge": "owned", "state": "present", "backends": list(backends or BACKENDS), **options}


def listener(**options):
    return {
        "port": 6443,
        "protocol": "tcp",
        "server_group": "haproxy",
        "enabled": True,
        "state": "present",
        "health_check": HEALTH,
        **options,
    }


WHOLE = document(server_groups=[group()], listeners=[listener()])
REMOVAL = {"name": "prod-api", "state": "absent"}
FIVE_READS = {
    "DescribeInstances": 1,
    "DescribeLoadBalancers": 1,
    "DescribeVServerGroups": 1,
    "DescribeVServerGroupAttribute": 1,
    "DescribeLoadBalancerListeners": 1,
}
MADE = [
    "prod-api",
    [
        (
            "haproxy",
            [
                ("i-ut-haproxy-1", 8888, 100, "clusterfront:prod-api"),
                ("i-ut-haproxy-2", 8888, 100, "clusterfront:prod-api"),
            ],
        )
    ],
    [(6443, "running", "haproxy")],
]


def test_check_mode_on_an_empty_cloud_is_what_the_run_does_and_a_second_run_does_nothing(cloud):
    predicted = cloud.run(WHOLE, check_mode=True)
    assert cloud.writes == 0 and predicted.changed
    assert cloud.counts == {"DescribeInstances": 1, "DescribeLoadBalancers": 2}

    cloud.forget()
    made = cloud.run(WHOLE)
    assert (made.steps, made.diff) == (predicted.steps, predicted.diff)
    assert cloud.writes == made.outcome.writes == len(made.steps) == 4
    assert [list(entry) for entry in cloud.picture()] == [MADE]

    cloud.forget()
    again = cloud.run(WHOLE)
    assert not again.changed and cloud.counts == FIVE_READS
    assert (again.outcome.reads, again.outcome.writes) == (5, 0)
    assert again.shown == made.shown

    cloud.forget()
    assert not cloud.run(WHOLE, check_mode=True).changed and cloud.counts == FIVE_READS


def test_what_is_shown_of_a_front_end(cloud):
    shown = cloud.run(WHOLE).shown
    assert (
        shown["load_balancer"]["status"] == "active" and shown["load_balancer"]["instance_charge_type"] == "PayByCLCU"
    )
    assert shown["server_groups"][0]["backends"][0] == {
        "server_id": "i-ut-haproxy-1",
        "eni_id": None,
        "private_ip": "192.0.2.21",
        "type": "ecs",
        "port": 8888,
        "weight": 100,
        "description": "",
        "owner": "prod-api",
    }
    entry = shown["listeners"][0]
    assert (entry["status"], entry["owner"], entry["health_check"]["http_codes"]) == (
        "running",
        "prod-api",
        ["http_2xx"],
    )


CHANGES = {
    "weight": (
        document(server_groups=[group({**BACKENDS[0], "weight": 30}, {**BACKENDS[1], "weight": 90})]),
        ["SetVServerGroupAttribute"],
    ),
    "text": (
        document(server_groups=[group({**BACKENDS[0], "description": "first"}, BACKENDS[1])]),
        ["SetVServerGroupAttribute"],
    ),
    "member": (
        document(server_groups=[group(*BACKENDS, {"server_id": "i-ut-haproxy-3", "port": 8888})]),
        ["AddVServerGroupBackendServers"],
    ),
    "exchange": (
        document(server_groups=[group({"private_ip": "192.0.2.23", "port": 8888})]),
        ["AddVServerGroupBackendServers", "RemoveVServerGroupBackendServers"],
    ),
    "stickiness": (
        document(listeners=[listener(persistence_timeout=600, health_check=None)]),
        ["SetLoadBalancerTCPListenerAttribute"],
    ),
    "health check": (
        document(listeners=[listener(health_check={"interval": 5})]),
        ["SetLoadBalancerTCPListenerAttribute"],
    ),
    "type of check": (
        document(listeners=[listener(health_check={"type": "tcp"})]),
        ["SetLoadBalancerTCPListenerAttribute"],
    ),
    "no check": (
        document(listeners=[listener(health_check={"enabled": False})]),
        ["SetLoadBalancerTCPListenerAttribute"],
    ),
    "draining": (
        document(listeners=[listener(connection_drain=True, connection_drain_timeout=60)]),
        ["SetLoadBalancerTCPListenerAttribute"],
    ),
    "text of a listener": (
        document(listeners=[listener(description="the API")]),
        ["SetLoadBalancerTCPListenerAttribute"],
    ),
    "stopped": (document(listeners=[listener(enabled=False)]), ["StopLoadBalancerListener"]),
    "another listener": (
        document(listeners=[listener(port=9443)]),
        ["CreateLoadBalancerTCPListener", "StartLoadBalancerListener"],
    ),
    "less": (document(listeners=[listener(state="absent")]), ["DeleteLoadBalancerListener"]),
    "protection": (document(load_balancer={**LAB, "delete_protection": True}), ["SetLoadBalancerDeleteProtection"]),
    "tags": (document(load_balancer={**LAB, "tags": {"team": "one"}}), ["TagResources"]),
}


@pytest.mark.parametrize("omission", ["keep", "reset_health_check"])
@pytest.mark.parametrize(("changed", "operations"), CHANGES.values(), ids=CHANGES)
def test_one_change_leaves_all_else(cloud, changed, operations, omission):
    cloud.run(WHOLE)
    cloud.switch(set_omission=omission)
    before = cloud.everything("prod-api")
    predicted = cloud.run(changed, check_mode=True)
    cloud.forget()
    made = cloud.run(changed)
    assert made.operations == operations and cloud.writes == len(operations)
    assert (predicted.steps, predicted.diff) == (made.steps, made.diff)
    assert not cloud.run(changed).changed
    after = cloud.everything("prod-api")
    touched = {step["object"].partition(":")[0] for step in made.steps}
    for kind, part in (
        ("load_balancer", "load_balancer"),
        ("server_group", "server_groups"),
        ("listener", "listeners"),
    ):
        assert (after[part] == before[part]) == (kind not in touched)
    if operations == ["SetLoadBalancerTCPListenerAttribute"]:
        wanted, had, has = changed["listeners"][0], before["listeners"][0], after["listeners"][0]
        assert without(has, *wanted) == without(had, *wanted)
        said = wanted["health_check"] or {}
        if not {"enabled", "type"} & set(said):
            assert without(has["health_check"], *said) == without(had["health_check"], *said)


def without(mapping, *names):
    return {key: value for key, value in mapping.items() if key not in names}


def test_new_backends_come_before_old_ones_go(cloud):
    cloud.run(WHOLE)
    cloud.forget()
    cloud.run(CHANGES["exchange"][0])
    log = [
        entry["action"]
        for entry in cloud.emulator.control("GET", "requests")["log"]
        if not entry["action"].startswith("Describe")
    ]
    assert log == ["AddVServerGroupBackendServers", "RemoveVServerGroupBackendServers"]


def by_hand(cloud, group_id):
    """Somebody adds a server in the console."""
    cloud.slb(
        "AddVServerGroupBackendServers",
        VServerGroupId=group_id,
        BackendServers=json.dumps([{"ServerId": "i-ut-master-1", "Port": 8888, "Weight": 10, "Description": "mine"}]),
    )


@pytest.mark.parametrize(
    ("purge", "left"),
    [("none", ["haproxy-1", "haproxy-2", "master-1"]), ("owned", ["haproxy-1", "master-1"]), ("all", ["haproxy-1"])],
)
def test_purge(cloud, purge, left):
    made = cloud.run(WHOLE)
    by_hand(cloud, made.shown["server_groups"][0]["id"])
    smaller = document(server_groups=[group(BACKENDS[0], purge=purge)])
    predicted = cloud.run(smaller, check_mode=True)
    after = cloud.run(smaller)
    assert after.diff == predicted.diff
    members = cloud.picture()[0][1][0][1]
    assert [member[0].removeprefix("i-ut-") for member in members] == left
    if "master-1" in left:
        assert members[-1] == ("i-ut-master-1", 8888, 10, "mine")
    assert not cloud.run(smaller).changed


def test_forty_five_backends_take_three_calls(cloud):
    many = [{"server_id": "i-ut-haproxy-1", "port": port} for port in range(8001, 8046)]
    made = cloud.run(document(server_groups=[group(*many)]))
    assert made.operations == ["CreateLoadBalancer", "CreateVServerGroup", *["AddVServerGroupBackendServers"] * 2]
    assert len(cloud.picture()[0][1][0][1]) == 45
    assert (
        cloud.run(document(server_groups=[group(purge="all")])).operations[1:]
        == ["RemoveVServerGroupBackendServers"] * 3
    )


def test_a_removal_takes_all_that_is_ours(cloud):
    cloud.run(WHOLE)
    predicted = cloud.run(REMOVAL, check_mode=True)
    removed = cloud.run(REMOVAL)
    assert removed.steps == predicted.steps and removed.diff == predicted.diff and removed.diff["after"] == {}
    assert cloud.picture() == [] and removed.kept == ()
    cloud.forget()
    again = cloud.run(REMOVAL)
    assert not again.changed and again.shown == {}
    # access lists are found by their owner, for they are there without the instance too
    assert cloud.counts == {
        "DescribeLoadBalancers": 1,
        "DescribeAccessControlLists": 1,
        "DescribeServerCertificates": 1,
        "DescribeCACertificates": 1,
    }


def test_a_removal_by_id_does_nothing_twice(cloud):
    made = cloud.run(WHOLE)
    removal = {**REMOVAL, "load_balancer": {"id": made.shown["load_balancer"]["id"]}}
    assert cloud.run(removal).changed
    assert not cloud.run(removal).changed


def test_a_removal_keeps_what_others_added_and_says_so(cloud):
    made = cloud.run(WHOLE)
    balancer, group_id = made.shown["load_balancer"]["id"], made.shown["server_groups"][0]["id"]
    by_hand(cloud, group_id)
    cloud.slb(
        "CreateLoadBalancerTCPListener", LoadBalancerId=balancer, ListenerPort=8080, BackendServerPort=80, Bandwidth=-1
    )
    predicted = cloud.run(REMOVAL, check_mode=True)
    removed = cloud.run(REMOVAL)
    assert removed.steps == predicted.steps and removed.kept == predicted.kept == (
        "listener tcp/8080 stays: this front end did not make it",
        f"server group haproxy ({group_id}) stays: i-ut-master-1:8888 in it was added by others",
        f"load balancer prod-api ({balancer}) stays: others use it for listener tcp/8080 and server group haproxy",
    )
    assert cloud.picture() == [
        ("prod-api", [("haproxy", [("i-ut-master-1", 8888, 10, "mine")])], [(8080, "stopped", None)])
    ]
    again = cloud.run(REMOVAL)
    assert not again.changed and again.kept == removed.kept


def test_a_server_in_the_default_pool_keeps_the_instance(cloud):
    made = cloud.run(document())
    cloud.slb(
        "AddBackendServers",
        LoadBalancerId=made.shown["load_balancer"]["id"],
        BackendServers=json.dumps([{"ServerId": "i-ut-master-1"}]),
    )
    removed = cloud.run(REMOVAL)
    assert not removed.changed and "others use it for server i-ut-master-1 in the default pool" in removed.kept[0]


def test_an_instance_of_others_is_used_and_not_removed(cloud):
    cloud.slb(
        "CreateLoadBalancer",
        LoadBalancerName="prod-api",
        VSwitchId="vsw-ut-lab",
        VpcId="vpc-ut-lab",
        InstanceChargeType="PayByCLCU",
    )
    made = cloud.run(WHOLE)
    assert "CreateLoadBalancer" not in made.operations
    removed = cloud.run(REMOVAL)
    assert cloud.picture() == [("prod-api", [], [])] and "this front end did not make it" in removed.kept[0]


# what is refused, in one sentence and before any write

REFUSALS = {
    "wrong secret": (WHOLE, {"access_key_secret": "wrong"}, ApiError, "ignature"),
    "unknown key": (WHOLE, {"access_key_id": "nobody"}, ApiError, "ccess"),
    "unknown region": (
        WHOLE,
        {"region": "cn-hangzou"},
        DocumentError,
        "region 'cn-hangzou' is not known to the cloud; the nearest valid one is 'cn-hangzhou'",
    ),
    "unknown region, nothing to look up": (
        document(),
        {"region": "eu-centrl-1"},
        DocumentError,
        "the nearest valid one is 'eu-central-1'",
    ),
    "address of no server": (
        document(server_groups=[group({"private_ip": "192.0.2.99", "port": 1})]),
        {},
        LookupFailed,
        "private_ip 192.0.2.99 matches no ECS",
    ),
    "id of no server": (
        document(server_groups=[group({"server_id": "i-0", "port": 1})]),
        {},
        LookupFailed,
        "server_id i-0 matches no ECS",
    ),
    "another VPC": (
        document(server_groups=[group({"private_ip": "198.51.100.11", "port": 1})]),
        {},
        DocumentError,
        "is i-ut-far-1 in vpc-ut-other, but the load balancer prod-api is in vpc-ut-lab",
    ),
    "no such group": (
        document(listeners=[listener(server_group="nginx")]),
        {},
        DocumentError,
        "server_group is 'nginx', but neither",
    ),
    "no such instance": (
        document(load_balancer={"id": "lb-none"}),
        {},
        LookupFailed,
        "load_balancer.id 'lb-none' does not exist",
    ),
}


@pytest.mark.parametrize(("options", "settings", "kind", "sentence"), REFUSALS.values(), ids=REFUSALS)
def test_refused_in_one_sentence_and_before_any_write(cloud, options, settings, kind, sentence):
    for check_mode in (True, False):
        with pytest.raises(kind) as caught:
            cloud.run(options, check_mode=check_mode, **settings)
        assert sentence in str(caught.value)
        if kind is not ApiError:
            assert "\n" not in str(caught.value)
    assert cloud.writes == 0


def test_a_server_that_is_stopped_is_not_added_but_may_stay(cloud):
    cloud.run(WHOLE)
    known = cloud.emulator.control("GET", "inventory")
    for machine in known["machines"]:
        if machine["name"] in ("haproxy-2", "haproxy-3"):
            machine["status"] = "Stopped"
    cloud.emulator.control("PUT", "inventory", known)
    assert not cloud.run(WHOLE).changed
    with pytest.raises(DocumentError, match="i-ut-haproxy-3, which is Stopped; only a running server can be added"):
        cloud.run(document(server_groups=[group(*BACKENDS, {"private_ip": "192.0.2.23", "port": 8888})]))


def test_what_is_fixed_is_refused(cloud):
    cloud.run(WHOLE)
    cloud.forget()
    with pytest.raises(Immutable, match="load_balancer.vswitch_id of prod-api .* cannot become 'vsw-ut-other'"):
        cloud.run(document(load_balancer={**LAB, "vswitch_id": "vsw-ut-other"}))
    with pytest.raises(Immutable, match="scheduler is 'wrr' and cannot become 'sch'"):
        cloud.run(document(listeners=[listener(scheduler="sch")]))
    assert cloud.writes == 0


def test_a_protected_instance_is_kept_whole(cloud):
    cloud.run({**WHOLE, "load_balancer": {**LAB, "delete_protection": True}})
    cloud.forget()
    with pytest.raises(
        DocumentError, match="has delete_protection on; set load_balancer.delete_protection to false first"
    ):
        cloud.run(REMOVAL)
    assert cloud.writes == 0


def test_two_instances_of_one_name(cloud):
    for dummy in range(2):
        cloud.slb(
            "CreateLoadBalancer", LoadBalancerName="prod-api", VSwitchId="vsw-ut-lab", InstanceChargeType="PayByCLCU"
        )
    with pytest.raises(
        LookupFailed, match="fits 2 instances, lb-.* and lb-.*; say which one is meant by load_balancer.id"
    ):
        cloud.run(WHOLE)


@pytest.mark.parametrize("names", ["exact", "contains"])
def test_an_instance_whose_name_only_begins_alike(cloud, names):
    cloud.switch(name_filter=names)
    cloud.slb(
        "CreateLoadBalancer", LoadBalancerName="prod-api-2", VSwitchId="vsw-ut-lab", InstanceChargeType="PayByCLCU"
    )
    assert cloud.run(WHOLE).operations[0] == "CreateLoadBalancer"


def test_a_public_listener_has_to_be_meant(cloud):
    public = {
        "name": "web",
        "load_balancer": {"address_type": "internet"},
        "server_groups": [group()],
        "listeners": [listener()],
    }
    with pytest.raises(DocumentError, match="open to the whole internet on web; set allow_public to true"):
        cloud.run(public)
    assert cloud.writes == 0
    predicted = cloud.run({**public, "allow_public": True}, check_mode=True)
    made = cloud.run({**public, "allow_public": True})
    assert made.diff == predicted.diff
    assert not cloud.run(public).changed


# two runs at once


def tagged(owner="prod-api"):
    return [{"Key": "clusterfront:owner", "Value": owner}]


def test_of_two_groups_of_one_name_and_owner_the_older_stays(cloud):
    made = cloud.run(WHOLE)
    balancer, older = made.shown["load_balancer"]["id"], made.shown["server_groups"][0]["id"]
    time.sleep(1.1)  # ages are told in seconds
    younger = cloud.slb("CreateVServerGroup", LoadBalancerId=balancer, VServerGroupName="haproxy", Tag=tagged())[
        "VServerGroupId"
    ]
    cured = cloud.run(WHOLE)
    assert [(step["operation"], step["object"]) for step in cured.steps] == [
        ("DeleteVServerGroup", f"server_group:haproxy:{younger}")
    ]
    assert cured.shown["server_groups"][0]["id"] == older and [list(entry) for entry in cloud.picture()] == [MADE]


def test_a_second_group_of_somebody_else_is_not_guessed_about(cloud):
    made = cloud.run(WHOLE)
    cloud.slb("CreateVServerGroup", LoadBalancerId=made.shown["load_balancer"]["id"], VServerGroupName="haproxy")
    cloud.forget()
    with pytest.raises(LookupFailed, match="the name 'haproxy' fits 2 groups"):
        cloud.run(WHOLE)
    assert cloud.writes == 0


def test_of_two_instances_of_one_name_and_owner_the_older_stays(cloud):
    older = cloud.run(WHOLE).shown["load_balancer"]["id"]
    time.sleep(1.1)
    cloud.slb(
        "CreateLoadBalancer",
        LoadBalancerName="prod-api",
        VpcId="vpc-ut-lab",
        VSwitchId="vsw-ut-lab",
        InstanceChargeType="PayByCLCU",
        Tag=tagged(),
    )
    cured = cloud.run(WHOLE)
    assert cured.operations == ["DeleteLoadBalancer"] and cured.shown["load_balancer"]["id"] == older
    assert [list(entry) for entry in cloud.picture()] == [MADE]


def test_two_used_instances_of_one_owner_are_not_guessed_about(cloud):
    cloud.run(WHOLE)
    second = cloud.slb(
        "CreateLoadBalancer",
        LoadBalancerName="prod-api",
        VSwitchId="vsw-ut-lab",
        InstanceChargeType="PayByCLCU",
        Tag=tagged(),
    )
    cloud.slb(
        "CreateLoadBalancerTCPListener",
        LoadBalancerId=second["LoadBalancerId"],
        ListenerPort=1,
        BackendServerPort=1,
        Bandwidth=-1,
    )
    cloud.forget()
    with pytest.raises(
        LookupFailed, match="fits 2 instances that this front end made, and lb-.* and lb-.* have listeners; say which"
    ):
        cloud.run(WHOLE)
    assert cloud.writes == 0


def test_a_younger_twin_that_a_run_finds_after_its_own_was_made(cloud):
    """The other run was faster between our look and our create; its instance is the older one and stays."""
    other: list[str] = []

    class Slow(Client):
        def slb(self, operation, parameters):
            if operation == "CreateLoadBalancer" and not other:
                other.append(
                    cloud.slb(
                        operation,
                        LoadBalancerName="prod-api",
                        VpcId="vpc-ut-lab",
                        VSwitchId="vsw-ut-lab",
                        InstanceChargeType="PayByCLCU",
                        Tag=tagged(),
                    )["LoadBalancerId"]
                )
            return super().slb(operation, parameters)

    made = cloud.run(WHOLE, kind=Slow)
    assert made.shown["load_balancer"]["id"] == other[0] and [list(entry) for entry in cloud.picture()] == [MADE]


# a cloud that takes its time


def test_listeners_that_take_a_moment(cloud):
    cloud.switch(transition_seconds=0.3)
    made = cloud.run(WHOLE)
    assert made.shown["listeners"][0]["status"] == "running"
    assert not cloud.run(WHOLE).changed
    changed = cloud.run(CHANGES["stickiness"][0])
    assert changed.shown["listeners"][0]["status"] == "running"
    assert cloud.run(CHANGES["stopped"][0]).shown["listeners"][0]["status"] == "stopped"
    assert cloud.run(WHOLE).operations == ["StartLoadBalancerListener"]
    assert cloud.run(REMOVAL).changed and cloud.picture() == []


def test_a_run_that_meets_a_listener_on_its_way(cloud):
    balancer = cloud.run(WHOLE).shown["load_balancer"]["id"]
    cloud.switch(transition_seconds=0.3)
    for action in ("StopLoadBalancerListener", "StartLoadBalancerListener"):
        time.sleep(0.4)
        cloud.slb(action, LoadBalancerId=balancer, ListenerPort=6443, ListenerProtocol="tcp")
    # it is starting now, and that is no change of ours
    assert not cloud.run(WHOLE).changed
    cloud.slb("StopLoadBalancerListener", LoadBalancerId=balancer, ListenerPort=6443, ListenerProtocol="tcp")
    assert cloud.run(WHOLE).operations == ["StartLoadBalancerListener"]


# parts


def test_parts_of_an_instance_that_exists(cloud):
    head = {"name": "me", "load_balancer": {"name": "prod-api"}}
    with pytest.raises(LookupFailed, match="load_balancer 'prod-api' does not exist"):
        cloud.run({**head, "server_groups": [group()]}, make=partial)
    cloud.run(document())
    cloud.forget()
    assert cloud.run({**head, "server_groups": [group()]}, make=partial).operations == ["CreateVServerGroup"]
    assert cloud.run({**head, "listeners": [listener()]}, make=partial).operations == [
        "CreateLoadBalancerTCPListener",
        "StartLoadBalancerListener",
    ]
    cloud.forget()
    assert not cloud.run({**head, "listeners": [listener()]}, make=partial).changed
    assert cloud.counts == {"DescribeLoadBalancers": 1, "DescribeVServerGroups": 1, "DescribeLoadBalancerListeners": 1}
    gone = {**head, "server_groups": [group(state="absent")], "listeners": [listener(state="absent")]}
    assert cloud.run(gone, make=partial).operations == ["DeleteLoadBalancerListener", "DeleteVServerGroup"]
    assert not cloud.run(gone, make=partial).changed
    cloud.run(REMOVAL)
    assert not cloud.run(gone, make=partial).changed


def test_a_group_that_a_listener_uses_cannot_go(cloud):
    cloud.run(WHOLE)
    with pytest.raises(SlbError):
        cloud.run(document(server_groups=[group(state="absent")]), timeout=0.3)
