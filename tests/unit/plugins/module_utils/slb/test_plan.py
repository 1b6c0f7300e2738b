# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plans: a document and a state of the cloud lead to steps, a prediction, and what is kept."""

from __future__ import annotations

import dataclasses
import json

import pytest

from ansible_collections.clusterfront.ha.plugins.module_utils._slb import lookup
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.document import (
    Backend,
    FrontEnd,
    HealthCheck,
    Listener,
    LoadBalancer,
    ModificationProtection,
    ServerGroup,
    front_end,
    merged,
    partial,
)
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.errors import DocumentError, Immutable, LookupFailed
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.plan import Plan, build
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.protocols import PROTOCOLS, fields
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.state import (
    CloudState,
    Observed,
    Ref,
    Server,
    Told,
    Token,
)
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.resources import listener as listeners
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.resources import load_balancer, server_group

OWNER = "prod"
SERVERS = (
    Server("i-1", ("192.0.2.21",), "vpc-a", "Running"),
    Server("i-2", ("192.0.2.22", "192.0.2.122"), "vpc-a", "Running"),
    Server("i-3", ("192.0.2.23",), "vpc-a", "Stopped"),
    Server("i-4", ("192.0.2.24",), "vpc-b", "Running"),
    Server("i-5", ("192.0.2.25",), "vpc-a", "Running"),
    Server("i-6", ("192.0.2.25",), "vpc-a", "Running"),
    Server("i-7", (), None, "Running"),
)
INSTANCE = LoadBalancer(
    id="lb-1",
    name=OWNER,
    address_type="intranet",
    vpc_id="vpc-a",
    vswitch_id="vsw-a",
    address="192.0.2.100",
    address_ip_version="ipv4",
    master_zone_id="z-i",
    slave_zone_id="z-j",
    resource_group_id="rg-1",
    instance_charge_type="PayByCLCU",
    spec="slb.lcu.elastic",
    delete_protection=False,
    modification_protection=ModificationProtection(enabled=False),
    enabled=True,
    tags={"team": "one"},
)
OURS = Observed(
    INSTANCE, id="lb-1", owner=OWNER, created="2026-01-01T00:00:00Z", status="active", facts={"region": "r"}
)
PUBLIC = dataclasses.replace(
    OURS,
    config=dataclasses.replace(
        INSTANCE,
        address_type="internet",
        vpc_id=None,
        vswitch_id=None,
        bandwidth=5,
        internet_charge_type="paybybandwidth",
        instance_charge_type="PayBySpec",
        spec="slb.s1.small",
    ),
)
GROUP = Observed(
    ServerGroup(
        "haproxy",
        (
            Backend(8888, "i-1", "192.0.2.21", 100, "clusterfront:prod"),
            Backend(8888, "i-2", "192.0.2.22", 100, "clusterfront:prod second"),
            Backend(8888, "i-9", "192.0.2.29", 50, "of somebody else"),
        ),
    ),
    id="rsp-1",
    owner=OWNER,
    created="2026-01-01T00:00:01Z",
    facts={"listeners": ["tcp/6443"]},
)
LISTENER = Observed(
    dataclasses.replace(listeners.normalised(listeners.defaults("tcp", 6443)), server_group="haproxy", enabled=True),
    id="tcp/6443",
    owner=OWNER,
    status="running",
)
BOTH = CloudState(load_balancer=OURS, server_groups=(GROUP,), listeners=(LISTENER,), servers=SERVERS)


def document(**options):
    return front_end({"name": OWNER, **options})


def group(*backends, **options):
    return {"name": "haproxy", "purge": "owned", "state": "present", "backends": list(backends), **options}


def by_id(server_id, port=8888, **options):
    return {"server_id": server_id, "port": port, **options}


def entry(**options):
    return {"port": 6443, "protocol": "tcp", "server_group": "haproxy", "enabled": True, "state": "present", **options}


def operations(plan):
    return [step.operation for step in plan.steps]


def sent(step):
    return json.loads(step.parameters["BackendServers"])


# the whole


def test_everything_on_an_empty_cloud_in_the_order_of_dependencies():
    plan = build(
        document(
            load_balancer={
                "address_type": "intranet",
                "vpc_id": "vpc-a",
                "vswitch_id": "vsw-a",
                "tags": {"b": "2", "a": "1"},
            },
            server_groups=[
                group({"private_ip": "192.0.2.122", "port": 8888}, by_id("i-1", weight=30, description="first"))
            ],
            listeners=[entry(health_check={"type": "http", "uri": "/readyz"})],
        ),
        CloudState(servers=SERVERS),
    )
    assert operations(plan) == [
        "CreateLoadBalancer",
        "CreateVServerGroup",
        "CreateLoadBalancerTCPListener",
        "StartLoadBalancerListener",
    ]
    instance, pool, made, start = plan.steps
    assert isinstance(instance.parameters["ClientToken"], Token)
    assert instance.parameters["InstanceChargeType"] == "PayByCLCU"
    assert instance.parameters["Tag"] == [
        {"Key": "a", "Value": "1"},
        {"Key": "b", "Value": "2"},
        {"Key": "clusterfront:owner", "Value": OWNER},
    ]
    assert (instance.yields, instance.wait) == ("LoadBalancerId", "load_balancer_usable")
    assert pool.parameters["LoadBalancerId"] == Ref("load_balancer") and pool.yields == "VServerGroupId"
    assert sent(pool) == [
        {"ServerId": "i-1", "Port": "8888", "Weight": "30", "Type": "ecs", "Description": "clusterfront:prod first"},
        {"ServerId": "i-2", "Port": "8888", "Weight": "100", "Type": "ecs", "Description": "clusterfront:prod"},
    ]
    assert made.parameters["VServerGroupId"] == Ref("server_group:haproxy")
    assert made.parameters["BackendServerPort"] is None and made.parameters["healthCheckInterval"] == 2
    assert made.parameters["HealthCheckURI"] == "/readyz" and made.parameters["HealthCheckHttpCode"] == "http_2xx"
    assert start.parameters["ListenerProtocol"] == "tcp"
    assert [made.wait, start.wait] == ["listener_settled", "listener_running"]
    assert plan.changed and plan.kept == ()
    assert plan.predicted.load_balancer.status == "active" and plan.predicted.load_balancer.id is None
    assert plan.predicted.listener("listener:tcp/6443").status == "running"
    assert plan.predicted.group("haproxy").config.backends[1].private_ip == "192.0.2.22"
    assert [step.to_result()["object"] for step in plan.steps] == [
        "load_balancer",
        "server_group:haproxy",
        "listener:tcp/6443",
        "listener:tcp/6443",
    ]


def test_nothing_to_do():
    plan = build(document(server_groups=[group(by_id("i-1"), by_id("i-2"))], listeners=[entry()]), BOTH)
    assert plan == Plan(steps=(), predicted=BOTH) and not plan.changed


def test_listeners_go_before_groups_and_come_after_them():
    plan = build(
        document(
            server_groups=[group(state="absent"), group(by_id("i-1"), name="other")],
            listeners=[entry(state="absent"), entry(port=80, server_group="other")],
        ),
        BOTH,
    )
    assert operations(plan) == [
        "DeleteLoadBalancerListener",
        "CreateVServerGroup",
        "CreateLoadBalancerTCPListener",
        "StartLoadBalancerListener",
        "DeleteVServerGroup",
    ]
    assert [found.config.name for found in plan.predicted.server_groups] == ["other"]
    assert [found.config.port for found in plan.predicted.listeners] == [80]


# the instance


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({}, "load_balancer.address_type is needed"),
        (
            {"address_type": "intranet", "vpc_id": "vpc-a"},
            "load_balancer.vpc_id and load_balancer.vswitch_id are both needed",
        ),
        ({"vswitch_id": "vsw-a"}, "are both needed"),
    ],
)
def test_too_little_to_create_an_instance(options, sentence):
    with pytest.raises(DocumentError, match=sentence):
        build(document(load_balancer=options), CloudState())


def test_a_public_instance():
    plan = build(document(load_balancer={"address_type": "internet"}), CloudState())
    parameters = plan.steps[0].parameters
    assert (parameters["InternetChargeType"], parameters["Bandwidth"]) == ("paybytraffic", None)
    assert (parameters["VpcId"], parameters["LoadBalancerSpec"], parameters["AddressIPVersion"]) == (None, None, "ipv4")
    assert (parameters["DeleteProtection"], parameters["ModificationProtectionStatus"]) == ("off", "NonProtection")
    config = plan.predicted.load_balancer.config
    assert (config.spec, config.internet_charge_type, config.enabled) == ("slb.lcu.elastic", "paybytraffic", True)


def test_a_public_instance_that_is_paid_by_size_and_by_bandwidth():
    options = {
        "address_type": "internet",
        "internet_charge_type": "paybybandwidth",
        "bandwidth": 5,
        "instance_charge_type": "PayBySpec",
        "spec": "slb.s2.small",
    }
    parameters = build(document(load_balancer=options), CloudState()).steps[0].parameters
    assert (parameters["InternetChargeType"], parameters["Bandwidth"]) == ("paybybandwidth", 5)
    assert (parameters["InstanceChargeType"], parameters["LoadBalancerSpec"]) == ("PayBySpec", "slb.s2.small")


def test_an_instance_that_is_made_stopped_and_guarded():
    options = {
        "address_type": "intranet",
        "vpc_id": "vpc-a",
        "vswitch_id": "vsw-a",
        "enabled": False,
        "modification_protection": {"enabled": True, "reason": "mine"},
    }
    plan = build(document(load_balancer=options, listeners=[entry(server_group=None, backend_port=80)]), CloudState())
    assert operations(plan)[0] == "CreateLoadBalancer" and operations(plan)[-1] == "SetLoadBalancerStatus"
    assert plan.steps[0].parameters["ModificationProtectionReason"] == "mine"
    assert plan.steps[-1].parameters == {"LoadBalancerId": Ref("load_balancer"), "LoadBalancerStatus": "inactive"}
    assert plan.predicted.load_balancer.status == "inactive"


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("address_type", "internet"),
        ("vpc_id", "vpc-b"),
        ("vswitch_id", "vsw-b"),
        ("address", "192.0.2.101"),
        ("master_zone_id", "z-k"),
        ("slave_zone_id", "z-k"),
        ("address_ip_version", "ipv6"),
        ("instance_charge_type", "PayBySpec"),
    ],
)
def test_what_is_fixed_is_not_replaced_but_refused(option, value):
    with pytest.raises(Immutable, match=f"load_balancer.{option} of prod .lb-1. is '.*' and cannot become '{value}'"):
        build(document(load_balancer={option: value}), BOTH)


def test_each_change_of_an_instance_is_its_own_call():
    plan = build(
        document(
            load_balancer={
                "id": "lb-1",
                "name": "other",
                "delete_protection": True,
                "tags": {"team": "two", "new": "x"},
            }
        ),
        BOTH,
    )
    assert operations(plan) == ["SetLoadBalancerName", "SetLoadBalancerDeleteProtection", "TagResources"]
    assert plan.later == ()
    assert plan.steps[1].parameters["DeleteProtection"] == "on"
    assert [tag["Key"] for tag in plan.steps[2].parameters["Tag"]] == ["new", "team"]
    assert plan.predicted.load_balancer.config == dataclasses.replace(
        INSTANCE, name="other", delete_protection=True, tags={"team": "two", "new": "x"}
    )


def test_delete_protection_off_again():
    state = dataclasses.replace(
        BOTH, load_balancer=dataclasses.replace(OURS, config=dataclasses.replace(INSTANCE, delete_protection=True))
    )
    plan = build(document(load_balancer={"delete_protection": False}), state)
    assert plan.steps[0].parameters == {"LoadBalancerId": "lb-1", "DeleteProtection": "off"}


def changed(**config):
    """A public instance that is a little different."""
    return CloudState(load_balancer=dataclasses.replace(PUBLIC, config=dataclasses.replace(PUBLIC.config, **config)))


BY_TRAFFIC = changed(internet_charge_type="paybytraffic", bandwidth=None)
GUARDED = changed(modification_protection=ModificationProtection(True, "mine"))


def test_bandwidth_and_charge_type_are_one_call():
    plan = build(document(load_balancer={"bandwidth": 10, "internet_charge_type": "paybybandwidth"}), BY_TRAFFIC)
    assert operations(plan) == ["ModifyLoadBalancerInternetSpec"]
    assert plan.steps[0].parameters == {
        "LoadBalancerId": "lb-1",
        "InternetChargeType": "paybybandwidth",
        "Bandwidth": 10,
    }
    assert plan.steps[0].reason.count("change") == 2


def test_a_new_bandwidth_works_at_once_and_a_new_charge_type_the_next_day():
    plan = build(document(load_balancer={"bandwidth": 10}), CloudState(load_balancer=PUBLIC))
    assert plan.steps[0].parameters["InternetChargeType"] == "paybybandwidth" and plan.later == ()
    plan = build(
        document(
            load_balancer={"internet_charge_type": "paybytraffic", "spec": "slb.s2.small", "enabled": False},
            listeners=[entry(server_group=None, backend_port=80)],
            allow_public=True,
        ),
        CloudState(load_balancer=PUBLIC),
    )
    # what locks the instance is the very last
    assert operations(plan)[-2:] == ["SetLoadBalancerStatus", "ModifyLoadBalancerInternetSpec"]
    assert operations(plan)[0] == "ModifyLoadBalancerInstanceSpec"
    assert plan.predicted.load_balancer.config.bandwidth is None
    assert len(plan.later) == 1 and "takes effect at 00:00 of the next day" in plan.later[0]


def test_from_paying_by_size_to_paying_by_use_is_one_call_and_one_way():
    plan = build(
        document(
            load_balancer={
                "instance_charge_type": "PayByCLCU",
                "spec": "slb.lcu.elastic",
                "internet_charge_type": "paybytraffic",
            }
        ),
        CloudState(load_balancer=PUBLIC),
    )
    assert operations(plan) == ["ModifyLoadBalancerInstanceChargeType"] and plan.later == ()
    assert plan.steps[0].parameters == {
        "LoadBalancerId": "lb-1",
        "InstanceChargeType": "PayByCLCU",
        "InternetChargeType": "paybytraffic",
    }
    assert (
        plan.predicted
        == build(
            document(load_balancer={"instance_charge_type": "PayByCLCU"}), CloudState(load_balancer=PUBLIC)
        ).predicted
    )
    config = plan.predicted.load_balancer.config
    assert (config.spec, config.internet_charge_type, config.bandwidth) == ("slb.lcu.elastic", "paybytraffic", None)


def test_an_instance_that_starts_does_so_before_it_is_changed():
    stopped = CloudState(
        load_balancer=dataclasses.replace(
            OURS, status="inactive", config=dataclasses.replace(INSTANCE, enabled=False, name="old")
        )
    )
    plan = build(document(load_balancer={"id": "lb-1", "name": OWNER, "enabled": True}), stopped)
    assert operations(plan) == ["SetLoadBalancerStatus", "SetLoadBalancerName"]
    assert plan.predicted.load_balancer.status == "active"
    assert build(document(load_balancer={"id": "lb-1"}), stopped).steps == ()
    assert (
        build(document(load_balancer={"id": "lb-1", "enabled": False}), BOTH).predicted.load_balancer.status
        == "inactive"
    )


def test_a_locked_instance_stays_locked():
    locked = CloudState(load_balancer=dataclasses.replace(OURS, status="locked"))
    plan = build(document(load_balancer={"enabled": True}), locked)
    assert plan.steps == () and plan.predicted.load_balancer.status == "locked"


def test_a_resource_group_is_changed_by_a_move():
    plan = build(document(load_balancer={"resource_group_id": "rg-2"}), BOTH)
    assert [(step.operation, step.parameters) for step in plan.steps] == [
        ("MoveResourceGroup", {"ResourceType": "loadbalancer", "ResourceId": "lb-1", "NewResourceGroupId": "rg-2"})
    ]


@pytest.mark.parametrize(
    ("state", "given", "status", "reason"),
    [
        (BOTH, {"enabled": True}, "ConsoleProtection", None),
        (BOTH, {"enabled": True, "reason": "why"}, "ConsoleProtection", "why"),
        (GUARDED, {"reason": "why"}, "ConsoleProtection", "why"),
        (GUARDED, {"enabled": False}, "NonProtection", None),
    ],
)
def test_protection_and_its_reason_are_always_sent_together(state, given, status, reason):
    plan = build(document(load_balancer={"modification_protection": given}), state)
    assert [(step.operation, step.parameters) for step in plan.steps] == [
        (
            "SetLoadBalancerModificationProtection",
            {"LoadBalancerId": "lb-1", "ModificationProtectionStatus": status, "ModificationProtectionReason": reason},
        )
    ]
    predicted = plan.predicted.load_balancer.config.modification_protection
    assert (predicted.enabled, predicted.reason) == (status == "ConsoleProtection", reason)


def test_protection_that_is_there_is_no_change():
    assert build(document(load_balancer={"modification_protection": {"enabled": True}}), GUARDED).steps == ()


TAGGED = CloudState(
    load_balancer=dataclasses.replace(
        OURS,
        config=dataclasses.replace(
            INSTANCE,
            tags={"team": "one", "stage": "test", "acs:rm:rgId": "x", "aliyun.y": "z", "clusterfront:note": "n"},
        ),
    )
)


@pytest.mark.parametrize(
    ("options", "expected", "left"),
    [
        ({"tags": {"team": "one"}}, [], {"team", "stage"}),
        ({"tags": {"team": "one"}, "purge_tags": False}, [], {"team", "stage"}),
        ({"purge_tags": True}, [], {"team", "stage"}),
        ({"tags": {"team": "one"}, "purge_tags": True}, ["UntagResources"], {"team"}),
        ({"tags": {"new": 1}, "purge_tags": True}, ["UntagResources", "TagResources"], {"new"}),
        ({"tags": {}, "purge_tags": True}, ["UntagResources"], set()),
        ({"tags": {"acs:rm:rgId": "x", "team": "one"}}, [], {"team", "stage"}),
    ],
)
def test_tags_that_are_not_listed_go_only_when_that_is_asked_for(options, expected, left):
    plan = build(document(load_balancer=options), TAGGED)
    assert operations(plan) == expected
    assert set(plan.predicted.load_balancer.config.tags) == left | {"acs:rm:rgId", "aliyun.y", "clusterfront:note"}
    if expected:
        assert plan.steps[0].parameters["TagKey"] == sorted({"team", "stage"} - left)


NEW = {"address_type": "internet"}


@pytest.mark.parametrize(
    ("state", "options", "sentence"),
    [
        (
            CloudState(),
            {**NEW, "address": "203.0.113.9"},
            "address is '203.0.113.9', but the cloud chooses the address",
        ),
        (CloudState(), {**NEW, "spec": "slb.s1.small"}, "spec is 'slb.s1.small', but a new instance is PayByCLCU"),
        (CloudState(), {**NEW, "instance_charge_type": "PayBySpec"}, "load_balancer.spec is needed to create 'prod'"),
        (
            CloudState(),
            {**NEW, "internet_charge_type": "paybybandwidth"},
            "is PayByCLCU, which takes 'paybytraffic' only",
        ),
        (CloudState(), {**NEW, "bandwidth": 5}, "bandwidth is 5, but load_balancer 'prod' is paid by traffic"),
        (
            CloudState(),
            {
                **NEW,
                "internet_charge_type": "paybybandwidth",
                "instance_charge_type": "PayBySpec",
                "spec": "slb.s1.small",
            },
            "is 'paybybandwidth', which needs load_balancer.bandwidth",
        ),
        (CloudState(), {**NEW, "modification_protection": {"reason": "why"}}, "reason is 'why', but the protection of"),
        (BOTH, {"spec": "slb.s1.small"}, "spec is 'slb.s1.small', but load_balancer 'prod' is PayByCLCU"),
        (
            changed(),
            {"spec": "slb.lcu.elastic"},
            "'prod' is PayBySpec; set load_balancer.instance_charge_type to 'PayByCLCU'",
        ),
        (
            BOTH,
            {"modification_protection": {"reason": "why"}},
            "set load_balancer.modification_protection.enabled to true",
        ),
        (
            BOTH,
            {"tags": {"acs:x": "1", "clusterfront:owner": "me"}},
            "has acs:x and clusterfront:owner, but keys that begin",
        ),
        (BOTH, {"tags": {f"k{number}": "" for number in range(19)}}, "load_balancer.tags would make 20 tags; 19 are"),
        (BY_TRAFFIC, {"internet_charge_type": "paybybandwidth"}, "needs load_balancer.bandwidth"),
    ],
)
def test_what_an_instance_cannot_be_is_refused(state, options, sentence):
    with pytest.raises(DocumentError) as caught:
        build(document(load_balancer=options), state)
    assert sentence in str(caught.value) and not str(caught.value).endswith(".")


def test_an_intranet_instance_has_no_bandwidth():
    with pytest.raises(DocumentError, match="load_balancer.bandwidth is 5, but an intranet instance has none"):
        build(document(load_balancer={"bandwidth": 5}), BOTH)


def test_an_instance_as_the_api_tells_it():
    told = {
        "LoadBalancerId": "lb-2",
        "LoadBalancerName": "public",
        "AddressType": "internet",
        "VpcId": "",
        "Bandwidth": "5",
        "InternetChargeType": "3",
        "DeleteProtection": "on",
        "Tags": {"Tag": [{"TagKey": "clusterfront:owner", "TagValue": "x"}]},
    }
    found = load_balancer.observe(told)
    assert (found.owner, found.config.tags, found.config.vpc_id) == ("x", {}, None)
    assert (found.config.bandwidth, found.config.internet_charge_type, found.config.delete_protection) == (
        5,
        "paybybandwidth",
        True,
    )
    assert (
        load_balancer.observe({**told, "InternetChargeTypeAlias": "paybytraffic"}).config.internet_charge_type
        == "paybytraffic"
    )
    intranet = load_balancer.observe({**told, "AddressType": "intranet"})
    assert (intranet.config.bandwidth, intranet.config.internet_charge_type) == (None, None)
    assert intranet.config.instance_charge_type == "PayBySpec"
    assert (intranet.config.address_ip_version, intranet.config.spec, intranet.config.enabled) == ("ipv4", None, True)
    assert load_balancer.observe({**told, "LoadBalancerStatus": "inactive"}).config.enabled is False
    assert load_balancer.observe({**told, "InstanceChargeType": "PayByCLCU"}).config.spec == "slb.lcu.elastic"
    for status, guard in (
        ("ConsoleProtection", ModificationProtection(True, "why")),
        ("NonProtection", ModificationProtection(False)),
    ):
        reported = {**told, "ModificationProtectionStatus": status, "ModificationProtectionReason": "why"}
        assert load_balancer.observe(reported).config.modification_protection == guard


def test_choose_one_of_one_and_say_who_is_meant_of_many():
    younger = dataclasses.replace(OURS, id="lb-2", created="2026-01-02T00:00:00Z")
    foreign = dataclasses.replace(younger, owner=None)
    assert load_balancer.choose(document(), []) == (None, ())
    assert load_balancer.choose(document(), [foreign]) == (foreign, ())
    assert load_balancer.choose(document(), [OURS, younger]) == (OURS, (younger,))
    with pytest.raises(
        LookupFailed, match="fits 2 instances, lb-1 and lb-2; say which one is meant by load_balancer.id"
    ):
        load_balancer.choose(document(), [OURS, foreign])
    part = partial({"name": OWNER, "load_balancer": {"name": "web"}})
    with pytest.raises(LookupFailed) as caught:
        load_balancer.choose(part, [OURS, foreign])
    assert str(caught.value) == (
        "load_balancer 'web' fits 2 instances, lb-1 and lb-2; give the id of the one that is meant instead"
    )


@pytest.mark.parametrize(("used", "first"), [((), "lb-1"), (("lb-1",), "lb-1"), (("lb-2",), "lb-2")])
def test_of_twins_the_one_that_is_used_else_the_oldest(used, first):
    found = [OURS, *(dataclasses.replace(OURS, id=f"lb-{number}") for number in (2, 3))]
    chosen, others = load_balancer.choose_twin(found, used)
    assert chosen.id == first and {entry.id for entry in others} == {"lb-1", "lb-2", "lb-3"} - {first}


def test_two_twins_that_are_both_used():
    with pytest.raises(
        LookupFailed,
        match="'prod' fits 2 instances that this front end made, and lb-1 and lb-2 have listeners; say which",
    ):
        load_balancer.choose_twin([OURS, dataclasses.replace(OURS, id="lb-2")], {"lb-2", "lb-1"})


@pytest.mark.parametrize("wanted", [document(load_balancer={"id": "lb-0"}), partial({"name": OWNER})])
def test_an_instance_that_has_to_be_there(wanted):
    with pytest.raises(LookupFailed, match="does not exist in this region"):
        load_balancer.choose(wanted, [])
    assert load_balancer.choose(dataclasses.replace(wanted, state="absent"), []) == (None, ())


def test_a_younger_twin_goes_with_its_protection():
    twin = dataclasses.replace(OURS, id="lb-2", config=dataclasses.replace(OURS.config, delete_protection=True))
    plan = build(document(), dataclasses.replace(BOTH, twins=(twin,)))
    assert [step.operation for step in plan.steps] == ["SetLoadBalancerDeleteProtection", "DeleteLoadBalancer"]
    assert plan.steps[0].parameters == {"LoadBalancerId": "lb-2", "DeleteProtection": "off"}


def test_a_younger_twin_goes():
    twin = dataclasses.replace(OURS, id="lb-2")
    plan = build(document(), dataclasses.replace(BOTH, twins=(twin,)))
    assert [(step.operation, step.symbol, step.wait) for step in plan.steps] == [
        ("DeleteLoadBalancer", "load_balancer:lb-2", "load_balancer_gone")
    ]
    assert plan.predicted.twins == ()


# server groups


@pytest.mark.parametrize(("purge", "removed"), [("none", []), ("owned", ["i-2"]), ("all", ["i-2", "i-9"])])
def test_purge(purge, removed):
    plan = build(document(server_groups=[group(by_id("i-1"), purge=purge)]), BOTH)
    assert [server["ServerId"] for step in plan.steps for server in sent(step)] == removed
    left = [member.server_id for member in plan.predicted.group("haproxy").config.backends]
    assert left == [server for server in ("i-1", "i-2", "i-9") if server not in removed]


def test_new_members_come_before_old_ones_go():
    plan = build(document(server_groups=[group(by_id("i-1", weight=30), by_id("i-7"), by_id("i-1", 9999))]), BOTH)
    assert operations(plan) == [
        "AddVServerGroupBackendServers",
        "SetVServerGroupAttribute",
        "RemoveVServerGroupBackendServers",
    ]
    assert [[server["ServerId"] for server in sent(step)] for step in plan.steps] == [["i-7", "i-1"], ["i-1"], ["i-2"]]
    assert sent(plan.steps[1])[0]["Description"] == "clusterfront:prod" and sent(plan.steps[1])[0]["Weight"] == "30"


def test_a_text_changes_alone_and_makes_a_member_ours():
    plan = build(document(server_groups=[group(by_id("i-2", description="last"), purge="none")]), BOTH)
    assert sent(plan.steps[0])[0]["Description"] == "clusterfront:prod last"
    state = dataclasses.replace(BOTH, servers=(*SERVERS, Server("i-9", (), "vpc-a", "Running")))
    plan = build(document(server_groups=[group(by_id("i-9", weight=1), purge="none")]), state)
    assert sent(plan.steps[0])[0] == {
        "ServerId": "i-9",
        "Port": "8888",
        "Weight": "1",
        "Type": "ecs",
        "Description": "of somebody else",
    }


def test_a_group_without_a_list_stays_as_it_is():
    assert build(document(server_groups=[group() | {"backends": None}]), BOTH).steps == ()


def test_an_empty_group_is_made_without_servers():
    plan = build(document(server_groups=[group(name="empty")]), BOTH)
    assert plan.steps[0].parameters["BackendServers"] is None and "with 0 servers" in plan.steps[0].reason


def test_no_call_has_more_than_twenty_servers():
    wanted = [by_id("i-1", port) for port in range(1, 46)]
    plan = build(document(server_groups=[group(*wanted, name="big")]), BOTH)
    assert [(step.verb, len(sent(step))) for step in plan.steps] == [("create", 20), ("add", 20), ("add", 5)]
    assert plan.steps[1].parameters["VServerGroupId"] == Ref("server_group:big")


@pytest.mark.parametrize(
    ("backend", "kind", "sentence"),
    [
        (
            {"private_ip": "192.0.2.99", "port": 1},
            LookupFailed,
            "private_ip 192.0.2.99 matches no ECS instance and no network interface of this region",
        ),
        (by_id("i-0"), LookupFailed, "server_id i-0 matches no ECS instance"),
        (
            {"private_ip": "192.0.2.24", "port": 1},
            DocumentError,
            "is i-4 in vpc-b, but the load balancer prod is in vpc-a",
        ),
        (
            {"private_ip": "192.0.2.25", "port": 1},
            LookupFailed,
            "matches 2 servers, i-5 in vpc-a and i-6 in vpc-a; give server_id",
        ),
        (
            {"private_ip": "192.0.2.23", "port": 1},
            DocumentError,
            "is i-3, which is Stopped; only a running server can be added",
        ),
    ],
)
def test_a_server_that_cannot_be_a_member(backend, kind, sentence):
    with pytest.raises(kind, match=sentence) as caught:
        build(document(server_groups=[group(backend)]), BOTH)
    assert str(caught.value).startswith("server_groups[haproxy].backends: ")


def test_a_member_that_is_stopped_does_not_hold_up_the_rest():
    member = Backend(8888, "i-3", "192.0.2.23", 100, "clusterfront:prod")
    state = dataclasses.replace(
        BOTH, server_groups=(dataclasses.replace(GROUP, config=ServerGroup("haproxy", (member,))),)
    )
    assert operations(build(document(server_groups=[group(by_id("i-3"), by_id("i-1"))]), state)) == [
        "AddVServerGroupBackendServers"
    ]


def test_one_server_by_its_id_and_by_its_address():
    with pytest.raises(
        DocumentError,
        match=r"has 192.0.2.21:8888 \(i-1\) more than once, as server_id i-1 and as private_ip 192.0.2.21$",
    ):
        build(document(server_groups=[group(by_id("i-1"), {"private_ip": "192.0.2.21", "port": 8888})]), BOTH)


def test_a_public_load_balancer_reaches_every_vpc():
    resolved = lookup.resolve("g", [Backend(1, private_ip="192.0.2.24")], SERVERS, PUBLIC.config)
    assert resolved[0].server_id == "i-4"


def test_the_address_of_a_server_that_is_given_by_id():
    resolved = lookup.resolve("g", [Backend(1, "i-2"), Backend(1, "i-7")], SERVERS, INSTANCE)
    assert [backend.private_ip for backend in resolved] == ["192.0.2.22", None]
    assert lookup.resolve("g", [], SERVERS, INSTANCE) == ()


def test_members_get_the_addresses_that_the_api_does_not_tell():
    members = (Backend(1, "i-1"), Backend(1, "i-2", "192.0.2.200"), Backend(1, "i-7"), Backend(1, "i-9"))
    told = server_group.with_addresses(Observed(ServerGroup("g", members)), SERVERS)
    assert [member.private_ip for member in told.config.backends] == ["192.0.2.21", "192.0.2.200", None, None]
    unread = Observed(ServerGroup("g"))
    assert server_group.with_addresses(unread, SERVERS) is unread


OURS_ALONE = ServerGroup("haproxy", GROUP.config.backends[:2])
UNUSED = dataclasses.replace(GROUP, config=OURS_ALONE, facts={"listeners": []})
YOUNGER = dataclasses.replace(UNUSED, id="rsp-2", created="2026-01-02T00:00:00Z")


@pytest.mark.parametrize(
    ("twins", "kept", "gone"),
    [
        ((GROUP, YOUNGER), "rsp-1", "rsp-2"),
        ((UNUSED, YOUNGER), "rsp-1", "rsp-2"),
        # the run that was faster with the listener has the younger group
        ((UNUSED, dataclasses.replace(YOUNGER, facts={"listeners": ["tcp/6443"]})), "rsp-2", "rsp-1"),
    ],
)
def test_of_two_groups_of_one_name_and_owner_one_stays(twins, kept, gone):
    plan = build(
        document(server_groups=[group(by_id("i-1"), by_id("i-2"))]), dataclasses.replace(BOTH, server_groups=twins)
    )
    assert [(step.operation, step.parameters["VServerGroupId"]) for step in plan.steps] == [
        ("DeleteVServerGroup", gone)
    ]
    assert [found.id for found in plan.predicted.server_groups] == [kept]


@pytest.mark.parametrize(
    "twins",
    [
        (GROUP, dataclasses.replace(YOUNGER, owner=None)),
        (dataclasses.replace(GROUP, owner="x"), YOUNGER),
        (GROUP, dataclasses.replace(YOUNGER, facts={"listeners": ["tcp/80"]})),
    ],
)
def test_two_groups_of_one_name_that_cannot_be_told_apart(twins):
    with pytest.raises(
        LookupFailed, match="the name 'haproxy' fits 2 groups, rsp-1 and rsp-2; rename or remove all but one"
    ):
        build(document(server_groups=[group()]), dataclasses.replace(BOTH, server_groups=twins))


def test_two_groups_that_two_runs_gave_listeners_are_made_one():
    used = dataclasses.replace(YOUNGER, facts={"listeners": ["tcp/80"]})
    mine = dataclasses.replace(LISTENER, config=dataclasses.replace(LISTENER.config, server_group="rsp-1"))
    other = dataclasses.replace(mine, config=dataclasses.replace(mine.config, port=80, server_group="rsp-2"))
    state = dataclasses.replace(BOTH, server_groups=(GROUP, used), listeners=(other, mine))
    plan = build(document(server_groups=[group()], listeners=[entry(), entry(port=80)]), state)
    assert [(step.operation, step.symbol) for step in plan.steps[-2:]] == [
        ("SetLoadBalancerTCPListenerAttribute", "listener:tcp/80"),
        ("DeleteVServerGroup", "server_group:haproxy:rsp-2"),
    ]
    assert plan.steps[-2].parameters["VServerGroupId"] == "rsp-1"
    # a listener that the document does not lead elsewhere keeps its group, and so it is not clear which one is meant
    with pytest.raises(LookupFailed, match="fits 2 groups"):
        build(document(server_groups=[group()], listeners=[entry(port=443)]), state)


def test_a_twin_with_servers_of_others_is_not_removed():
    by_hand = dataclasses.replace(YOUNGER, config=GROUP.config)
    plan = build(
        document(server_groups=[group(by_id("i-1"), by_id("i-2"))]),
        dataclasses.replace(BOTH, server_groups=(UNUSED, by_hand)),
    )
    assert [step.parameters["VServerGroupId"] for step in plan.steps] == ["rsp-1"]
    with pytest.raises(LookupFailed, match="fits 2 groups"):
        build(document(server_groups=[group()]), dataclasses.replace(BOTH, server_groups=(GROUP, by_hand)))


LEFT_ALONE = dataclasses.replace(BOTH.server_groups[0], facts={"listeners": []})


def test_the_result_of_a_group_that_is_removed():
    plan = build(
        document(server_groups=[group(state="absent")]),
        dataclasses.replace(BOTH, listeners=(), server_groups=(LEFT_ALONE,)),
    )
    assert [step.to_result() for step in plan.steps] == [
        {
            "object": "server_group:haproxy:rsp-1",
            "verb": "delete",
            "operation": "DeleteVServerGroup",
            "reason": "delete the server group haproxy (rsp-1)",
        }
    ]
    assert build(document(server_groups=[group(state="absent")]), CloudState(load_balancer=OURS)).steps == ()


# listeners


def test_one_changed_option_is_sent_with_all_others():
    plan = build(document(listeners=[entry(persistence_timeout=600)]), BOTH)
    assert operations(plan) == ["SetLoadBalancerTCPListenerAttribute"]
    assert plan.steps[0].parameters == {
        "LoadBalancerId": "lb-1",
        "ListenerPort": 6443,
        "SynProxy": Told(
            "DescribeLoadBalancerTCPListenerAttribute", {"LoadBalancerId": "lb-1", "ListenerPort": 6443}, "SynProxy"
        ),
        "Scheduler": "wrr",
        "Bandwidth": -1,
        "PersistenceTimeout": 600,
        "EstablishedTimeout": 900,
        "ConnectionDrain": "off",
        "ProxyProtocolV2Enabled": False,
        "HealthCheckSwitch": "on",
        "HealthCheckType": "tcp",
        "HealthCheckConnectTimeout": 5,
        "HealthCheckInterval": 2,
        "HealthyThreshold": 3,
        "UnhealthyThreshold": 3,
        "AclStatus": "off",
        "VServerGroup": "on",
        "VServerGroupId": "rsp-1",
    }
    assert plan.steps[0].reason == "change persistence_timeout from 0 to 600"
    assert plan.predicted.listener("listener:tcp/6443").config == dataclasses.replace(
        LISTENER.config, persistence_timeout=600
    )


@pytest.mark.parametrize(
    ("has", "wanted", "written"),
    [
        # a check that becomes HTTP gets what HTTP needs
        (
            HealthCheck(enabled=True, type="tcp", timeout=7),
            {"type": "http"},
            {
                "HealthCheckType": "http",
                "HealthCheckURI": "/",
                "HealthCheckHttpCode": "http_2xx",
                "HealthCheckConnectTimeout": 7,
            },
        ),
        (
            HealthCheck(enabled=False),
            {"enabled": True},
            {"HealthCheckSwitch": "on", "HealthCheckType": "tcp", "HealthCheckInterval": 2},
        ),
        (HealthCheck(enabled=True, type="tcp", timeout=5), {"enabled": False}, {"HealthCheckSwitch": "off"}),
        (
            HealthCheck(enabled=True, type="http", uri="/a"),
            {"http_codes": ["http_4xx", "http_2xx"]},
            {"HealthCheckHttpCode": "http_2xx,http_4xx", "HealthCheckURI": "/a"},
        ),
    ],
)
def test_health_checks(has, wanted, written):
    config = listeners.normalised(
        dataclasses.replace(LISTENER.config, health_check=merged(has, LISTENER.config.health_check))
    )
    state = dataclasses.replace(BOTH, listeners=(dataclasses.replace(LISTENER, config=config),))
    plan = build(document(listeners=[entry(health_check=wanted)]), state)
    assert operations(plan) == ["SetLoadBalancerTCPListenerAttribute"]
    assert {key: value for key, value in plan.steps[0].parameters.items() if key in written} == written
    if wanted.get("enabled") is False:
        assert "HealthCheckInterval" not in plan.steps[0].parameters


@pytest.mark.parametrize("wanted", [{"interval": 9}, {"uri": "/x"}])
def test_options_that_mean_nothing_beside_the_others_change_nothing(wanted):
    off = {"interval": HealthCheck(enabled=False), "uri": LISTENER.config.health_check}[next(iter(wanted))]
    state = dataclasses.replace(
        BOTH, listeners=(dataclasses.replace(LISTENER, config=dataclasses.replace(LISTENER.config, health_check=off)),)
    )
    assert build(document(listeners=[entry(health_check=wanted)]), state).steps == ()


def test_draining():
    plan = build(document(listeners=[entry(connection_drain=True, connection_drain_timeout=30)]), BOTH)
    assert (plan.steps[0].parameters["ConnectionDrain"], plan.steps[0].parameters["ConnectionDrainTimeout"]) == (
        "on",
        30,
    )


@pytest.mark.parametrize(
    ("status", "wanted", "steps", "after"),
    [
        ("stopped", True, ["StartLoadBalancerListener"], "running"),
        ("stopped", False, [], "stopped"),
        ("running", False, ["StopLoadBalancerListener"], "stopped"),
        ("running", True, [], "running"),
        ("running", None, [], "running"),
        ("stopped", None, [], "stopped"),
    ],
)
def test_enabled(status, wanted, steps, after):
    has = dataclasses.replace(
        LISTENER, status=status, config=dataclasses.replace(LISTENER.config, enabled=status == "running")
    )
    desired = FrontEnd(
        OWNER, LoadBalancer(name=OWNER), listeners=(Listener(6443, "tcp", server_group="haproxy", enabled=wanted),)
    )
    plan = build(desired, dataclasses.replace(BOTH, listeners=(has,)))
    assert operations(plan) == steps
    assert plan.predicted.listener("listener:tcp/6443").status == after


def test_a_listener_that_is_made_stopped():
    plan = build(document(listeners=[entry(port=80, enabled=False)]), BOTH)
    assert operations(plan) == ["CreateLoadBalancerTCPListener"]
    assert plan.predicted.listener("listener:tcp/80").status == "stopped"
    assert [found.config.port for found in plan.predicted.listeners] == [80, 6443]


def test_a_listener_may_name_its_group_by_id_or_one_of_others():
    assert build(document(listeners=[entry(server_group="rsp-1")]), BOTH).steps == ()
    plan = build(document(listeners=[entry(port=80, server_group="rsp-1")]), BOTH)
    assert plan.steps[0].parameters["VServerGroupId"] == "rsp-1"


def test_from_the_default_pool_to_a_group():
    has = dataclasses.replace(LISTENER, config=dataclasses.replace(LISTENER.config, server_group=None, backend_port=80))
    state = dataclasses.replace(BOTH, listeners=(has,))
    plan = build(document(listeners=[entry()]), state)
    assert plan.steps[0].parameters["VServerGroup"] == "on"
    # the cloud shows no port of the default pool then
    assert plan.predicted.listener("listener:tcp/6443").config.backend_port is None
    assert build(document(listeners=[entry(server_group=None, backend_port=80)]), state).steps == ()


def test_what_is_not_managed_is_sent_back_unchanged():
    has = dataclasses.replace(
        LISTENER,
        config=dataclasses.replace(LISTENER.config, server_group=None, failover_group="rsp-ms"),
        carried={"MasterSlaveServerGroupId": "rsp-ms"},
    )
    state = dataclasses.replace(BOTH, listeners=(has,))
    wanted = {"port": 6443, "protocol": "tcp", "bandwidth": 5, "enabled": True}
    parameters = build(document(listeners=[wanted]), state).steps[0].parameters
    assert {"MasterSlaveServerGroupId": "rsp-ms", "MasterSlaveServerGroup": "on"}.items() <= parameters.items()
    assert "VServerGroup" not in parameters


@pytest.mark.parametrize(
    ("wanted", "kind", "sentence"),
    [
        (entry(port=80, server_group=None), DocumentError, "needs server_group, failover_group, or backend_port"),
        (entry(port=80, backend_port=80), DocumentError, "for the default pool, one of them"),
        (entry(port=80, server_group="none"), DocumentError, "server_group is 'none', but neither this document nor"),
        (
            entry(server_group=None, backend_port=80),
            Immutable,
            "backend_port is None and cannot become 80: it is fixed",
        ),
        (entry(scheduler="sch"), Immutable, "scheduler is 'wrr' and cannot become 'sch'"),
        (
            entry(port=80, connection_drain=True),
            DocumentError,
            r"listeners\[tcp/80\].connection_drain is true, which needs connection_drain_timeout",
        ),
        (entry(connection_drain=True), DocumentError, r"listeners\[tcp/6443\].connection_drain is true, which needs"),
        (
            entry(protocol="udp", health_check={"request": "ping"}),
            DocumentError,
            "health_check.request is 'ping', but there is no .*health_check.expected; a check by request and answer needs",
        ),
        (
            entry(protocol="udp", health_check={"expected": "pong", "request": ""}),
            DocumentError,
            "health_check.expected is 'pong', but there is no .*health_check.request",
        ),
        (entry(tags={"acs:x": "1"}), DocumentError, r"listeners\[tcp/6443\].tags has acs:x, but keys that begin"),
        (entry(port=80, tags={"aliyun": ""}), DocumentError, r"listeners\[tcp/80\].tags has aliyun, but keys"),
        (
            entry(tags={f"k{number}": "" for number in range(20)}),
            DocumentError,
            r"listeners\[tcp/6443\].tags would make 20 tags; 19 are possible",
        ),
    ],
)
def test_a_listener_that_cannot_be(wanted, kind, sentence):
    with pytest.raises(kind, match=sentence):
        build(document(listeners=[wanted]), BOTH)


def test_a_scheduler_of_the_same_family_changes():
    assert operations(build(document(listeners=[entry(scheduler="rr")]), BOTH)) == [
        "SetLoadBalancerTCPListenerAttribute"
    ]


def test_a_public_listener_has_to_be_meant():
    state = dataclasses.replace(BOTH, load_balancer=PUBLIC)
    with pytest.raises(DocumentError, match="would be open to the whole internet on prod; set allow_public to true"):
        build(document(listeners=[entry(port=80)]), state)
    assert build(document(listeners=[entry(port=80)], allow_public=True), state).changed
    # looked at when it is made, not on unrelated changes
    assert build(document(listeners=[entry(bandwidth=5)]), state).changed


def test_a_listener_that_is_not_there_needs_no_removal():
    assert build(document(listeners=[entry(port=80, state="absent")]), BOTH).steps == ()


def test_a_listener_as_the_api_tells_it():
    told = {
        "ListenerPort": "6443",
        "ListenerProtocol": "TCP",
        "Status": "Running",
        "VServerGroupId": "",
        "BackendServerPort": "80",
        "Bandwidth": "-1",
        "Tags": [{"TagKey": "clusterfront:owner", "TagValue": OWNER}],
        "AclStatus": "off",
        "AclId": "",
        "TCPListenerConfig": {
            "HealthCheck": "on",
            "HealthCheckConnectPort": "-520",
            "HealthCheckHttpCode": "http_3xx,http_2xx",
            "HealthCheckType": "http",
            "ProxyProtocolV2Enabled": "true",
            "ConnectionDrain": "off",
            "ConnectionDrainTimeout": 30,
        },
    }
    found = listeners.observe(told, {})
    assert (found.id, found.owner, found.status, found.carried) == ("tcp/6443", OWNER, "running", {})
    config = found.config
    assert (config.backend_port, config.server_group, config.enabled, config.proxy_protocol_v2) == (
        80,
        None,
        True,
        True,
    )
    assert config.health_check.connect_port == -520 and config.health_check.http_codes == ("http_2xx", "http_3xx")
    assert config.connection_drain_timeout is None
    grouped = listeners.observe({**told, "VServerGroupId": "rsp-1"}, {"rsp-1": "haproxy"})
    assert (grouped.config.server_group, grouped.config.backend_port) == ("haproxy", None)
    assert listeners.observe({**told, "VServerGroupId": "rsp-9"}, {}).config.server_group == "rsp-9"


UDP = Observed(
    dataclasses.replace(
        listeners.normalised(listeners.defaults("udp", 53)),
        server_group="haproxy",
        enabled=True,
        tags={"team": "one", "aliyun.x": "y"},
    ),
    id="udp/53",
    owner=OWNER,
    status="running",
)


def datagrams(**options):
    return entry(port=53, protocol="udp", **options)


def test_a_udp_listener_is_made_with_its_own_defaults_and_names():
    plan = build(
        document(listeners=[datagrams(health_check={"request": "ping", "expected": "pong"}, tags={"team": 1})]), BOTH
    )
    assert operations(plan) == ["CreateLoadBalancerUDPListener", "StartLoadBalancerListener"]
    assert {key: value for key, value in plan.steps[0].parameters.items() if value is not None} == {
        "LoadBalancerId": "lb-1",
        "ListenerPort": 53,
        "Scheduler": "wrr",
        "Bandwidth": -1,
        "ProxyProtocolV2Enabled": False,
        "HealthCheckSwitch": "on",
        "HealthCheckConnectTimeout": 10,
        "healthCheckInterval": 5,
        "HealthyThreshold": 3,
        "UnhealthyThreshold": 3,
        "healthCheckReq": "ping",
        "healthCheckExp": "pong",
        "VServerGroupId": "rsp-1",
        "Tag": [{"Key": "clusterfront:owner", "Value": "prod"}, {"Key": "team", "Value": "1"}],
    }
    assert plan.steps[1].parameters["ListenerProtocol"] == "udp"
    made = plan.predicted.listener("listener:udp/53").config
    assert (made.tags, made.purge_tags, made.persistence_timeout, made.health_check.type) == (
        {"team": "1"},
        None,
        None,
        None,
    )


def test_a_udp_listener_is_changed_by_its_own_call():
    state = dataclasses.replace(BOTH, listeners=(LISTENER, UDP))
    plan = build(document(listeners=[datagrams(scheduler="rr")]), state)
    assert [(step.operation, step.reason) for step in plan.steps] == [
        ("SetLoadBalancerUDPListenerAttribute", "change scheduler from wrr to rr")
    ]
    assert plan.steps[0].parameters == {
        "LoadBalancerId": "lb-1",
        "ListenerPort": 53,
        "Scheduler": "rr",
        "Bandwidth": -1,
        "ProxyProtocolV2Enabled": False,
        "HealthCheckSwitch": "on",
        "HealthCheckConnectTimeout": 10,
        "HealthCheckInterval": 5,
        "HealthyThreshold": 3,
        "UnhealthyThreshold": 3,
        "AclStatus": "off",
        "VServerGroup": "on",
        "VServerGroupId": "rsp-1",
    }
    assert plan.predicted.listener("listener:tcp/6443") == LISTENER


def test_what_takes_a_setting_away_is_sent_only_where_there_is_one():
    check = {"connect_port": 5300, "request": "ping", "expected": "pong"}
    has = dataclasses.replace(
        UDP, config=dataclasses.replace(UDP.config, health_check=dataclasses.replace(UDP.config.health_check, **check))
    )
    nothing = {"connect_port": -520, "request": "", "expected": ""}
    plan = build(
        document(listeners=[datagrams(health_check=nothing)]), dataclasses.replace(BOTH, listeners=(LISTENER, has))
    )
    taken = {"HealthCheckConnectPort": -520, "healthCheckReq": "", "healthCheckExp": ""}
    assert {name: plan.steps[0].parameters[name] for name in taken} == taken
    state = dataclasses.replace(BOTH, listeners=(LISTENER, UDP))
    assert build(document(listeners=[datagrams(health_check=nothing)]), state).steps == ()
    # one half of the pair may be there already
    plan = build(
        document(listeners=[datagrams(health_check={"expected": "PONG"})]),
        dataclasses.replace(BOTH, listeners=(LISTENER, has)),
    )
    assert (plan.steps[0].parameters["healthCheckReq"], plan.steps[0].parameters["healthCheckExp"]) == ("ping", "PONG")


@pytest.mark.parametrize(
    ("options", "expected", "left"),
    [
        ({"tags": {"team": "one"}}, [], {"team": "one"}),
        ({"purge_tags": True}, [], {"team": "one"}),
        ({"tags": {"new": "x"}}, ["TagResources"], {"team": "one", "new": "x"}),
        ({"tags": {"new": "x"}, "purge_tags": True}, ["UntagResources", "TagResources"], {"new": "x"}),
        ({"tags": {}, "purge_tags": True}, ["UntagResources"], {}),
        (
            {"tags": {"team": "two"}, "enabled": False, "bandwidth": 5},
            ["SetLoadBalancerUDPListenerAttribute", "TagResources", "StopLoadBalancerListener"],
            {"team": "two"},
        ),
    ],
)
def test_tags_of_a_listener(options, expected, left):
    plan = build(document(listeners=[datagrams(**options)]), dataclasses.replace(BOTH, listeners=(LISTENER, UDP)))
    assert operations(plan) == expected
    assert plan.predicted.listener("listener:udp/53").config.tags == {**left, "aliyun.x": "y"}
    assert all(step.parameters["ResourceId"] == ["lb-1_udp_53"] for step in plan.steps if step.verb in ("tag", "untag"))


def test_a_udp_listener_as_the_api_tells_it():
    told = {
        "ListenerPort": 53,
        "ListenerProtocol": "udp",
        "Status": "stopped",
        "VServerGroupId": "rsp-1",
        "Scheduler": "qch",
        "Bandwidth": 7,
        "Tags": [{"TagKey": "team", "TagValue": "one"}],
        "UDPListenerConfig": {
            "HealthCheck": "on",
            "HealthCheckConnectPort": 5300,
            "HealthCheckConnectTimeout": "10",
            "HealthCheckReq": "ping",
            "HealthCheckExp": "pong",
            "ConnectionDrain": "off",
            "ProxyProtocolV2Enabled": "true",
        },
    }
    found = listeners.observe(told, {"rsp-1": "resolvers"})
    assert (found.id, found.owner, found.config.enabled) == ("udp/53", None, False)
    config = found.config
    assert (config.scheduler, config.bandwidth, config.proxy_protocol_v2, config.tags) == (
        "qch",
        7,
        True,
        {"team": "one"},
    )
    assert (config.connection_drain, config.persistence_timeout) == (None, None)
    assert config.health_check == HealthCheck(
        enabled=True,
        connect_port=5300,
        timeout=10,
        interval=5,
        healthy_threshold=3,
        unhealthy_threshold=3,
        request="ping",
        expected="pong",
    )


def test_a_listener_of_a_protocol_without_options_here_is_shown_and_left():
    told = {
        "ListenerPort": 80,
        "ListenerProtocol": "http",
        "Status": "running",
        "Scheduler": "wrr",
        "HTTPListenerConfig": {"HealthCheck": "off", "StickySession": "on"},
    }
    config = listeners.observe(told, {}).config
    assert (config.scheduler, config.persistence_timeout, config.health_check) == (
        "wrr",
        None,
        HealthCheck(enabled=False),
    )


def test_listeners_are_found_by_what_they_have():
    both = (LISTENER, UDP)
    assert listeners.search(both) == [LISTENER, UDP]
    assert listeners.search(both, port=53, protocol="udp", tags={"team": "one"}) == [UDP]
    assert listeners.search(both, protocol="tcp", description="") == [LISTENER]
    assert listeners.search(both, tags={"clusterfront:owner": OWNER}) == [LISTENER, UDP]
    assert listeners.search(both, description="x") == listeners.search(both, port=80) == []


def test_options_are_those_of_the_protocols():
    """Every option of a check and of a listener is in a table, and the tables have the words of the specification."""
    from ansible_collections.clusterfront.ha.plugins.module_utils import _argspec

    others = {"port", "protocol", "server_group", "failover_group", "backend_port", "health_check", "access_list"}
    others |= {"enabled", "tags", "purge_tags", "state"}
    others |= {"rules", "purge_rules", "domain_extensions", "purge_domain_extensions"}
    for spec, health_check, without in ((_argspec.LISTENER, False, others), (_argspec.HEALTH_CHECK, True, set())):
        in_tables = {field.option for name in PROTOCOLS for field in fields(name)[health_check]}
        assert in_tables == set(spec) - without
        for name in PROTOCOLS:
            for field in fields(name)[health_check]:
                words = spec[field.option].get("choices", [])
                taken = [
                    word for word in words if field.rule((word,) if field.option == "http_codes" else word) is None
                ]
                assert not words or taken
                assert field.default is None or field.rule(field.default) is None
    assert set(_argspec.LISTENER["protocol"]["choices"]) == set(PROTOCOLS)


def by_bandwidth(limit, *shares):
    instance = dataclasses.replace(PUBLIC, config=dataclasses.replace(PUBLIC.config, bandwidth=limit))
    entries = tuple(
        dataclasses.replace(
            LISTENER, id=f"tcp/{port}", config=dataclasses.replace(LISTENER.config, port=port, bandwidth=share)
        )
        for port, share in enumerate(shares, 1)
    )
    return dataclasses.replace(BOTH, load_balancer=instance, listeners=entries)


@pytest.mark.parametrize(
    ("state", "options"),
    [
        (by_bandwidth(10, 5, 5), {"listeners": [entry(port=2, bandwidth=6)]}),
        (by_bandwidth(10, 5, 5), {"listeners": [entry(port=3, bandwidth=1)]}),
        (by_bandwidth(10, -1), {"listeners": [entry(port=1, bandwidth=11)]}),
        (by_bandwidth(10, 5, 5), {"load_balancer": {"bandwidth": 9}, "listeners": [entry(port=1)]}),
        (
            CloudState(servers=SERVERS),
            {
                "load_balancer": {
                    "address_type": "internet",
                    "instance_charge_type": "PayBySpec",
                    "spec": "slb.s1.small",
                    "internet_charge_type": "paybybandwidth",
                    "bandwidth": 5,
                },
                "server_groups": [group()],
                "listeners": [entry(port=1, bandwidth=6)],
            },
        ),
    ],
)
def test_listeners_get_no_more_bandwidth_than_there_is(state, options):
    with pytest.raises(DocumentError, match=r"Mbit/s in all, but load_balancer.bandwidth is \d+; give them no more"):
        build(document(allow_public=True, **options), state)


@pytest.mark.parametrize(
    ("state", "options"),
    [
        (by_bandwidth(10, 5, 5), {"load_balancer": {"bandwidth": 11}, "listeners": [entry(port=2, bandwidth=6)]}),
        (by_bandwidth(10, 5, 4), {"listeners": [entry(port=2, bandwidth=5)]}),
        (by_bandwidth(10, 5, 5), {"listeners": [entry(port=3, bandwidth=-1)]}),
        # what was too much before is no reason to refuse another change
        (by_bandwidth(10, 9, 9), {"listeners": [entry(port=2, description="x")]}),
        (by_bandwidth(10, 9, 9), {"listeners": [entry(port=2, bandwidth=8)]}),
    ],
)
def test_bandwidth_that_fits(state, options):
    assert build(document(allow_public=True, **options), state).changed


def test_bandwidth_is_given_back_before_it_is_taken():
    wanted = [entry(port=1, bandwidth=7), entry(port=2, bandwidth=3)]
    plan = build(document(listeners=wanted), by_bandwidth(10, 5, 5))
    assert [step.symbol for step in plan.steps] == ["listener:tcp/2", "listener:tcp/1"]


# removal


def test_nothing_is_there_to_remove():
    assert build(document(state="absent"), CloudState()) == Plan(steps=(), predicted=CloudState())


def alone(**changes):
    mine = ServerGroup("haproxy", GROUP.config.backends[:2])
    return dataclasses.replace(BOTH, **{"server_groups": (dataclasses.replace(GROUP, config=mine),), **changes})


def test_all_that_is_ours_goes():
    plan = build(document(state="absent"), alone())
    assert operations(plan) == ["DeleteLoadBalancerListener", "DeleteVServerGroup", "DeleteLoadBalancer"]
    assert plan.predicted == CloudState() and plan.kept == ()


def test_twins_go_too():
    plan = build(document(state="absent"), alone(twins=(dataclasses.replace(OURS, id="lb-2"),)))
    assert plan.steps[-1].parameters == {"LoadBalancerId": "lb-2"}


def test_what_others_added_stays_and_is_named():
    foreign = dataclasses.replace(
        LISTENER, id="tcp/80", owner=None, config=dataclasses.replace(LISTENER.config, port=80)
    )
    plan = build(document(state="absent"), dataclasses.replace(BOTH, listeners=(foreign, LISTENER)))
    assert operations(plan) == ["DeleteLoadBalancerListener", "RemoveVServerGroupBackendServers"]
    assert [server["ServerId"] for server in sent(plan.steps[1])] == ["i-1", "i-2"]
    assert plan.kept == (
        "listener tcp/80 stays: this front end did not make it",
        "server group haproxy (rsp-1) stays: i-9:8888 in it was added by others",
        "load balancer prod (lb-1) stays: others use it for listener tcp/80 and server group haproxy",
    )
    assert plan.predicted.listeners == (foreign,)
    assert [member.server_id for member in plan.predicted.server_groups[0].config.backends] == ["i-9"]


def test_our_group_behind_a_listener_of_others():
    foreign = dataclasses.replace(LISTENER, owner="x")
    plan = build(document(state="absent"), alone(listeners=(foreign,)))
    assert operations(plan) == ["RemoveVServerGroupBackendServers"]
    assert plan.kept[1] == "server group haproxy (rsp-1) stays: a listener that others made uses it"


def test_a_group_of_others_loses_our_servers_only():
    foreign = dataclasses.replace(GROUP, owner="x")
    unread = dataclasses.replace(GROUP, id="rsp-2", owner=None, config=ServerGroup("other"))
    plan = build(document(state="absent"), alone(listeners=(), server_groups=(foreign, unread)))
    assert operations(plan) == ["RemoveVServerGroupBackendServers"]
    assert plan.kept[0] == "server group haproxy (rsp-1) stays: this front end did not make it"
    assert plan.predicted.server_groups[1].config.backends is None


def test_an_instance_of_others_or_with_servers_of_others_stays():
    plan = build(document(state="absent"), alone(load_balancer=dataclasses.replace(OURS, owner=None)))
    assert operations(plan) == ["DeleteLoadBalancerListener", "DeleteVServerGroup"]
    assert plan.kept == ("load balancer prod (lb-1) stays: this front end did not make it",)
    plan = build(document(state="absent"), alone(default_pool=(Backend(None, "i-8"),)))
    assert plan.kept == ("load balancer prod (lb-1) stays: others use it for server i-8 in the default pool",)


def test_a_protected_instance_is_refused_before_anything_goes():
    protected = dataclasses.replace(OURS, config=dataclasses.replace(INSTANCE, delete_protection=True))
    with pytest.raises(
        DocumentError, match="has delete_protection on; set load_balancer.delete_protection to false first"
    ):
        build(document(state="absent"), alone(load_balancer=protected))


def test_a_text_is_taken_away_by_an_empty_one():
    has = dataclasses.replace(LISTENER, config=dataclasses.replace(LISTENER.config, description="the API"))
    state = dataclasses.replace(BOTH, listeners=(has,))
    plan = build(document(listeners=[entry(description="")]), state)
    assert plan.steps[0].parameters["Description"] == ""
    plan = build(document(listeners=[entry(bandwidth=5)]), state)
    assert plan.steps[0].parameters["Description"] == "the API"


def test_parts_of_an_instance_that_is_gone_are_gone():
    wanted = partial({"name": OWNER, "server_groups": [group(state="absent")], "listeners": [entry(state="absent")]})
    assert load_balancer.choose(wanted, []) == (None, ())
    assert build(wanted, CloudState()) == Plan(steps=(), predicted=CloudState())
    with pytest.raises(LookupFailed):
        load_balancer.choose(partial({"name": OWNER, "listeners": [entry(state="absent"), entry(port=80)]}), [])
