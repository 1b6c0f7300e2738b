# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Members of groups, of the default pool and of primary/secondary groups: named, compared, and shown."""

from __future__ import annotations

import dataclasses
import json

import pytest

from ansible_collections.clusterfront.ha.plugins.module_utils._slb import lookup, view
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.document import (
    Backend,
    FailoverGroup,
    Listener,
    LoadBalancer,
    ServerGroup,
    backend,
    front_end,
    partial,
)
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.errors import DocumentError, Immutable, LookupFailed
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.plan import build
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.resources import failover_group, members
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.resources import listener as listeners
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.state import CloudState, Observed, Ref, Server

LB = LoadBalancer(
    id="lb-1", name="prod", address_type="intranet", vpc_id="vpc-a", instance_charge_type="PayByCLCU", enabled=True
)
INSTANCE = Observed(LB, id="lb-1", owner="prod", status="active")
WEB = {"role": "web", "team": "one"}
SERVERS = (
    Server("i-1", ("192.0.2.1",), "vpc-a", "Running", name="web-1", tags=WEB),
    Server("i-2", ("192.0.2.2",), "vpc-a", "Running", name="web-2", tags=WEB),
    Server("i-3", ("192.0.2.3",), "vpc-a", "Stopped", name="web-3", tags=WEB),
    Server("i-4", ("192.0.2.4",), "vpc-b", "Running", name="far", tags={"role": "web"}),
    Server("i-5", ("192.0.2.5",), "vpc-a", "Running", name="twin"),
    Server("i-6", ("192.0.2.6",), "vpc-a", "Running", name="twin", tags={"role": "off"}),
    Server("i-7", ("192.0.2.7",), "vpc-a", "Stopped", tags={"role": "down"}),
    Server("eni-1", ("192.0.2.1",), "vpc-a", "InUse", "eni"),
    Server("eni-2", ("192.0.2.20", "192.0.2.21"), "vpc-a", "InUse", "eni"),
    Server("eni-3", ("192.0.2.30",), "vpc-a", "Available", "eni"),
    Server("eni-4", ("192.0.2.21",), "vpc-a", "InUse", "eni"),
)
STATE = CloudState(load_balancer=INSTANCE, servers=SERVERS)


def resolve(*given, instance=LB, has=()):
    wanted = [backend({"port": 80, **options}) for options in given]
    return [
        (made.server_id, made.private_ip, made.type) for made in lookup.resolve("g", wanted, SERVERS, instance, has)
    ]


def document(**options):
    return front_end({"name": "prod", **options})


def sent(step, name="BackendServers"):
    return json.loads(step.parameters[name])


# names of servers


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({"server_id": "i-1"}, [("i-1", "192.0.2.1", "ecs")]),
        ({"server_name": "web-2"}, [("i-2", "192.0.2.2", "ecs")]),
        # an instance rather than the interface that it has
        ({"private_ip": "192.0.2.1"}, [("i-1", "192.0.2.1", "ecs")]),
        ({"private_ip": "192.0.2.20"}, [("eni-2", "192.0.2.20", "eni")]),
        ({"eni_id": "eni-2"}, [("eni-2", "192.0.2.20", "eni")]),
        ({"eni_id": "eni-2", "private_ip": "192.0.2.21"}, [("eni-2", "192.0.2.21", "eni")]),
        ({"server_tags": {"role": "web"}}, [("i-1", "192.0.2.1", "ecs"), ("i-2", "192.0.2.2", "ecs")]),
    ],
)
def test_every_way_to_name_a_server(given, found):
    assert resolve(given) == found


def test_servers_with_tags_share_what_is_said_of_them():
    wanted = backend({"server_tags": WEB, "port": 80, "weight": 30, "description": "all", "state": "present"})
    found = lookup.resolve("g", [wanted], SERVERS, LB)
    assert found == tuple(Backend(80, f"i-{number}", f"192.0.2.{number}", 30, "all", type="ecs") for number in (1, 2))


def test_a_tagged_member_that_is_stopped_just_now_stays():
    assert [found[0] for found in resolve({"server_tags": WEB}, has=[Backend(80, "i-3")])] == ["i-1", "i-2", "i-3"]
    assert [found[0] for found in resolve({"server_tags": WEB}, has=[Backend(81, "i-3")])] == ["i-1", "i-2"]


def test_an_address_that_an_interface_of_others_serves_already():
    has = [Backend(80, "eni-1", "192.0.2.1", type="eni"), Backend(80, "eci-9", "192.0.2.9", type="eci")]
    assert resolve({"private_ip": "192.0.2.1"}, {"private_ip": "192.0.2.9"}, has=has) == [
        ("eni-1", "192.0.2.1", "eni"),
        ("eci-9", "192.0.2.9", "eci"),
    ]
    assert resolve({"private_ip": "192.0.2.1", "port": 81}, has=has) == [("i-1", "192.0.2.1", "ecs")]


SHARED = dataclasses.replace(LB, instance_charge_type="PayBySpec", spec=None)
PUBLIC = dataclasses.replace(LB, vpc_id=None, address_type="internet")


@pytest.mark.parametrize(
    ("given", "instance", "kind", "sentence"),
    [
        ([{"server_name": "web"}], LB, LookupFailed, "g: server_name web matches no ECS instance of this region"),
        ([{"server_name": "web-3"}], LB, DocumentError, "web-3 is i-3, which is Stopped; only a running server can be"),
        (
            [{"server_name": "twin"}],
            LB,
            LookupFailed,
            "server_name twin matches 2 servers, i-5 in vpc-a and i-6 in vpc-a; give server_id instead",
        ),
        ([{"server_name": "far"}], LB, DocumentError, "server_name far is i-4 in vpc-b, but the load balancer prod"),
        ([{"server_tags": {"role": "db"}}], LB, LookupFailed, "server_tags role=db matches no ECS instance"),
        (
            [{"server_tags": {"role": "down"}}],
            LB,
            LookupFailed,
            "server_tags role=down matches i-7, which is Stopped; only a running server can be added",
        ),
        ([{"private_ip": "192.0.2.9"}], LB, LookupFailed, "192.0.2.9 matches no ECS instance and no network interface"),
        (
            [{"private_ip": "192.0.2.21"}],
            LB,
            LookupFailed,
            "matches 2 servers, eni-2 in vpc-a and eni-4 in vpc-a; give eni_id instead",
        ),
        ([{"eni_id": "eni-9"}], LB, LookupFailed, "eni_id eni-9 matches no network interface of this region"),
        (
            [{"eni_id": "eni-3"}],
            LB,
            DocumentError,
            "is eni-3, which is Available; only a network interface that is InUse",
        ),
        (
            [{"eni_id": "eni-2", "private_ip": "192.0.2.9"}],
            LB,
            LookupFailed,
            "private_ip 192.0.2.9 is no address of eni_id eni-2, which has 192.0.2.20 and 192.0.2.21",
        ),
        (
            [{"eni_id": "eni-2"}],
            SHARED,
            DocumentError,
            "the load balancer prod is a shared one, which takes ECS instances",
        ),
        (
            [{"server_id": "i-1"}, {"server_tags": WEB}],
            LB,
            DocumentError,
            "has 192.0.2.1:80 (i-1) more than once, as server_id i-1 and as server_tags role=web,team=one",
        ),
        (
            [{"server_id": "i-1"}, {"server_id": "i-4"}],
            PUBLIC,
            DocumentError,
            "g: i-1 is in vpc-a and i-4 is in vpc-b; a load balancer takes servers of one VPC only",
        ),
    ],
)
def test_one_sentence_for_none_for_many_and_for_what_cannot_serve(given, instance, kind, sentence):
    with pytest.raises(kind) as caught:
        resolve(*given, instance=instance)
    assert sentence in str(caught.value) and not str(caught.value).endswith(".")


# members of a group

ENI = Backend(80, "eni-9", "192.0.2.90", 50, "of somebody else", type="eni")
OURS = tuple(Backend(80, f"i-{number}", f"192.0.2.{number}", 100, "clusterfront:prod", type="ecs") for number in (1, 2))
GONE = Backend(80, "i-released", None, 100, "clusterfront:prod", type="ecs")


def grouped(*backends, has=(*OURS, ENI, GONE), **options):
    wanted = {"name": "web", "purge": "none", "backends": [{"port": 80, **entry} for entry in backends], **options}
    state = dataclasses.replace(
        STATE, server_groups=(Observed(ServerGroup("web", tuple(has)), id="rsp-1", owner="prod"),)
    )
    return build(document(server_groups=[wanted]), state)


def changes(plan):
    return [(step.verb, [entry["ServerId"] for entry in sent(step)]) for step in plan.steps]


@pytest.mark.parametrize(
    ("gone", "removed"),
    [
        ({"server_id": "i-released"}, ["i-released"]),
        ({"server_id": "i-1", "port": 81}, []),
        ({"server_id": "i-none"}, []),
        ({"server_name": "web-1"}, ["i-1"]),
        ({"server_name": "none"}, []),
        ({"server_tags": WEB}, ["i-1", "i-2"]),
        ({"private_ip": "192.0.2.2"}, ["i-2"]),
        ({"private_ip": "192.0.2.90"}, ["eni-9"]),
        ({"private_ip": "192.0.2.91"}, []),
        ({"eni_id": "eni-9"}, ["eni-9"]),
        ({"eni_id": "eni-9", "private_ip": "192.0.2.90"}, ["eni-9"]),
        ({"eni_id": "eni-9", "private_ip": "192.0.2.91"}, []),
    ],
)
def test_what_is_absent_goes_whoever_added_it_and_is_no_error_where_it_is_not_there(gone, removed):
    plan = grouped({**gone, "state": "absent"})
    assert changes(plan) == ([("remove", removed)] if removed else [])
    left = [member.server_id for member in plan.predicted.group("web").config.backends]
    assert sorted([*left, *removed]) == ["eni-9", "i-1", "i-2", "i-released"]


def test_a_name_of_two_members_does_not_say_which_one_is_to_go():
    has = [Backend(80, f"i-{number}", None, 100, "") for number in (5, 6)]
    with pytest.raises(LookupFailed, match="server_name twin fits i-5 and i-6; give server_id instead"):
        grouped({"server_name": "twin", "state": "absent"}, has=has)
    assert changes(grouped({"server_name": "twin", "state": "absent"}, has=has[1:])) == [("remove", ["i-6"])]


def test_present_and_absent_at_once():
    with pytest.raises(DocumentError, match=r"has 192.0.2.1:80 \(i-1\) as present and as absent; leave one out"):
        grouped({"server_tags": WEB}, {"private_ip": "192.0.2.1", "state": "absent"})


def test_members_of_other_types_keep_theirs():
    plan = grouped({"eni_id": "eni-2", "weight": 5}, {"private_ip": "192.0.2.90", "weight": 7}, purge="owned")
    assert [(step.verb, sent(step)) for step in plan.steps[:2]] == [
        (
            "add",
            [
                {
                    "ServerId": "eni-2",
                    "Port": "80",
                    "Weight": "5",
                    "Type": "eni",
                    "ServerIp": "192.0.2.20",
                    "Description": "clusterfront:prod",
                }
            ],
        ),
        (
            "change",
            [
                {
                    "ServerId": "eni-9",
                    "Port": "80",
                    "Weight": "7",
                    "Type": "eni",
                    "ServerIp": "192.0.2.90",
                    "Description": "of somebody else",
                }
            ],
        ),
    ]
    assert changes(plan)[2] == ("remove", ["i-1", "i-2", "i-released"])
    # two addresses of one interface are two members
    both = grouped({"eni_id": "eni-2"}, {"eni_id": "eni-2", "private_ip": "192.0.2.21"}, has=[])
    assert [entry["ServerIp"] for entry in sent(both.steps[0])] == ["192.0.2.20", "192.0.2.21"]


def test_another_port_is_another_member():
    plan = grouped({"server_id": "i-1", "port": 81}, has=OURS[:1], purge="owned")
    assert changes(plan) == [("add", ["i-1"]), ("remove", ["i-1"])]


def test_a_group_that_has_to_exist():
    def single(state, name="none"):
        part = {
            "name": name,
            "purge": "none",
            "exists": True,
            "backends": [{"server_id": "i-1", "port": 80, "state": state}],
        }
        return partial({"name": "prod", "server_groups": [part]})

    with pytest.raises(LookupFailed, match="server_group 'none' does not exist on the load balancer prod; make it by"):
        build(single("present"), STATE)
    assert build(single("absent"), STATE).steps == ()
    twins = tuple(Observed(ServerGroup("web", OURS[1:]), id=f"rsp-{n}", owner="prod", created=str(n)) for n in (1, 2))
    plan = build(single("present", "web"), dataclasses.replace(STATE, server_groups=twins))
    # only members are meant: a twin is left to who manages groups
    assert [step.parameters["VServerGroupId"] for step in plan.steps] == ["rsp-1"]
    assert len(plan.predicted.server_groups) == 2


def test_members_as_the_api_tells_them():
    entries = [
        {"ServerId": "i-2", "Port": "80", "Weight": "5"},
        {"ServerId": "eni-1", "ServerIp": "192.0.2.9", "Port": 80, "Weight": 100, "Type": "eni", "Description": "x"},
        {"ServerId": "i-1", "Weight": 0, "Type": "ecs", "ServerIp": ""},
    ]
    assert members.observed(entries) == (
        Backend(80, "eni-1", "192.0.2.9", 100, "x", type="eni"),
        Backend(None, "i-1", None, 0, "", type="ecs"),
        Backend(80, "i-2", None, 5, "", type="ecs"),
    )


# the default pool

POOL = tuple(dataclasses.replace(member, port=None) for member in (*OURS, ENI))


def pooled(*backends, has=POOL, **options):
    state = dataclasses.replace(STATE, default_pool=has)
    return build(document(default_pool={"purge": "owned", "backends": list(backends), **options}), state)


@pytest.mark.parametrize(("purge", "removed"), [("none", []), ("owned", ["i-2"]), ("all", ["i-2", "eni-9"])])
def test_the_pool_is_changed_in_place_new_servers_first(purge, removed):
    plan = pooled({"server_id": "i-1", "weight": 5}, {"server_id": "i-5"}, purge=purge)
    assert [step.operation for step in plan.steps] == [
        "AddBackendServers",
        "SetBackendServers",
        *(["RemoveBackendServers"] if removed else []),
    ]
    assert all(step.parameters["LoadBalancerId"] == "lb-1" for step in plan.steps)
    assert sent(plan.steps[1]) == [
        {"ServerId": "i-1", "Weight": "5", "Type": "ecs", "Description": "clusterfront:prod"}
    ]
    assert [entry["ServerId"] for step in plan.steps[2:] for entry in sent(step)] == removed
    assert sorted(member.server_id for member in plan.predicted.default_pool) == sorted(
        {"i-1", "i-2", "i-5", "eni-9"} - set(removed)
    )


def test_a_pool_that_stays():
    assert pooled({"server_id": "i-1"}, {"private_ip": "192.0.2.2"}).steps == ()
    assert pooled(backends=None).predicted.default_pool == POOL
    made = build(document(default_pool={"purge": "all"}, load_balancer={"address_type": "internet"}), CloudState())
    assert made.predicted.default_pool == ()


def test_a_pool_of_forty_five_takes_three_calls_on_a_new_instance():
    servers = tuple(Server(f"i-{number}", (), None, "Running") for number in range(45))
    given = {
        "load_balancer": {"address_type": "internet"},
        "default_pool": {"backends": [{"server_id": s.id} for s in servers]},
    }
    plan = build(document(**given), CloudState(servers=servers))
    assert [len(sent(step)) for step in plan.steps[1:]] == [20, 20, 5]
    assert plan.steps[1].parameters["LoadBalancerId"] == Ref("load_balancer")


def test_servers_leave_the_pool_after_the_listener_that_used_them():
    has = Observed(
        dataclasses.replace(listeners.normalised(listeners.defaults("tcp", 80)), backend_port=80, enabled=True),
        id="tcp/80",
        owner="prod",
        status="running",
    )
    state = dataclasses.replace(STATE, default_pool=POOL, listeners=(has,))
    wanted = {"port": 80, "protocol": "tcp", "server_group": "web"}
    plan = build(
        document(server_groups=[{"name": "web"}], default_pool={"backends": [], "purge": "all"}, listeners=[wanted]),
        state,
    )
    assert [step.operation for step in plan.steps] == [
        "CreateVServerGroup",
        "SetLoadBalancerTCPListenerAttribute",
        "RemoveBackendServers",
    ]


def test_a_removal_takes_our_servers_out_of_the_pool():
    plan = build(document(state="absent"), dataclasses.replace(STATE, default_pool=POOL))
    assert changes(plan) == [("remove", ["i-1", "i-2"])]
    assert plan.kept == ("load balancer prod (lb-1) stays: others use it for server eni-9 in the default pool",)
    assert plan.predicted.default_pool == POOL[2:]
    plan = build(document(state="absent"), dataclasses.replace(STATE, default_pool=POOL[:2]))
    assert [step.operation for step in plan.steps] == ["RemoveBackendServers", "DeleteLoadBalancer"]
    assert plan.predicted == CloudState()


# primary/secondary groups

SIDES = {
    "primary": {"server_id": "i-1", "port": 80},
    "standby": {"private_ip": "192.0.2.20", "port": 80, "description": "b"},
}
PAIR = Observed(
    FailoverGroup(
        "pair",
        Backend(80, "i-1", "192.0.2.1", description="", type="ecs"),
        Backend(80, "eni-2", description="b", type="eni"),
    ),
    id="rsp-m1",
    owner="prod",
    created="1",
    facts={"listeners": []},
)
PAIRED = dataclasses.replace(STATE, failover_groups=(PAIR,))


def pair(**options):
    return {"name": "pair", "state": "present", **SIDES, **options}


def test_a_pair_is_made_whole():
    plan = build(document(failover_groups=[pair()]), STATE)
    (step,) = plan.steps
    assert (step.operation, step.yields) == ("CreateMasterSlaveServerGroup", "MasterSlaveServerGroupId")
    assert step.parameters["Tag"] == [{"Key": "clusterfront:owner", "Value": "prod"}]
    ecs = {"ServerId": "i-1", "Port": "80", "Weight": "100", "Type": "ecs", "Description": "", "ServerType": "Master"}
    eni = {
        **ecs,
        "ServerId": "eni-2",
        "Type": "eni",
        "ServerIp": "192.0.2.20",
        "Description": "b",
        "ServerType": "Slave",
    }
    assert sent(step, "MasterSlaveBackendServers") == [ecs, eni]
    assert plan.predicted.failover_group("pair").config == PAIR.config


def test_a_pair_that_is_there():
    assert build(document(failover_groups=[pair()]), PAIRED).steps == ()
    assert build(document(failover_groups=[{"name": "pair"}]), PAIRED).steps == ()
    stopped = dataclasses.replace(PAIRED, servers=(dataclasses.replace(SERVERS[0], status="Stopped"), *SERVERS[1:]))
    assert build(document(failover_groups=[pair()]), stopped).steps == ()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"primary": {"server_id": "i-2", "port": 80}}, "primary: the server is 'i-1' and cannot become 'i-2'"),
        ({"primary": {"server_id": "i-1", "port": 81}}, "primary: the port is '80' and cannot become '81'"),
        ({"standby": {**SIDES["standby"], "description": ""}}, "standby: the description is 'b' and cannot become ''"),
    ],
)
def test_nothing_of_a_pair_changes(change, sentence):
    with pytest.raises(Immutable) as caught:
        build(document(failover_groups=[pair(**change)]), PAIRED)
    assert sentence in str(caught.value)
    assert "give the new one another name and lead the listener's failover_group to it" in str(caught.value)


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [
        ({"name": "pair"}, r"failover_groups\[pair\] does not exist, and primary and standby is not given; a primary"),
        ({"name": "pair", "primary": SIDES["primary"]}, "does not exist, and standby is not given"),
        (pair(standby={"server_name": "web-1", "port": 80}), r"has 192.0.2.1:80 \(i-1\) as primary and as standby"),
        (
            pair(standby={"server_name": "twin", "port": 80}),
            r"failover_groups\[pair\].standby: server_name twin matches 2",
        ),
    ],
)
def test_a_pair_that_cannot_be_made(wanted, sentence):
    with pytest.raises(DocumentError, match=sentence):
        build(document(failover_groups=[wanted]), STATE)


def test_of_two_pairs_of_one_owner_the_used_one_stays():
    used = dataclasses.replace(PAIR, id="rsp-m2", created="2", facts={"listeners": ["tcp/80"]})
    plan = build(document(failover_groups=[pair()]), dataclasses.replace(STATE, failover_groups=(PAIR, used)))
    assert [(step.operation, step.parameters) for step in plan.steps] == [
        ("DeleteMasterSlaveServerGroup", {"MasterSlaveServerGroupId": "rsp-m1"})
    ]
    assert plan.predicted.failover_groups == (used,)
    foreign = dataclasses.replace(used, owner=None)
    with pytest.raises(LookupFailed, match="failover_groups: the name 'pair' fits 2 groups, rsp-m2 and rsp-m1; rename"):
        build(document(failover_groups=[pair()]), dataclasses.replace(STATE, failover_groups=(PAIR, foreign)))


def listening(**options):
    config = dataclasses.replace(listeners.normalised(listeners.defaults("tcp", 80)), enabled=True, **options)
    return Observed(config, id="tcp/80", owner="prod", status="running")


def on(**options):
    return {"port": 80, "protocol": "tcp", "enabled": True, "state": "present", **options}


def test_a_listener_of_a_new_pair():
    plan = build(document(failover_groups=[pair()], listeners=[on(failover_group="pair")]), STATE)
    assert [step.operation for step in plan.steps][:2] == [
        "CreateMasterSlaveServerGroup",
        "CreateLoadBalancerTCPListener",
    ]
    parameters = plan.steps[1].parameters
    assert parameters["MasterSlaveServerGroupId"] == Ref("failover_group:pair")
    assert (parameters["VServerGroupId"], parameters["BackendServerPort"]) == (None, None)
    with pytest.raises(
        DocumentError, match="failover_group is 'none', but neither this document nor the load balancer has"
    ):
        build(document(listeners=[on(failover_group="none")]), PAIRED)


WEB_GROUP = Observed(ServerGroup("web", ()), id="rsp-1", owner="prod", facts={"listeners": []})


@pytest.mark.parametrize(
    ("has", "wanted", "parameters"),
    [
        (
            {"server_group": "web"},
            {"failover_group": "rsp-m1"},
            {"MasterSlaveServerGroup": "on", "MasterSlaveServerGroupId": "rsp-m1"},
        ),
        (
            {"backend_port": 80},
            {"failover_group": "pair"},
            {"MasterSlaveServerGroup": "on", "MasterSlaveServerGroupId": "rsp-m1"},
        ),
        ({"failover_group": "pair"}, {"server_group": "web"}, {"VServerGroup": "on", "VServerGroupId": "rsp-1"}),
        (
            {"failover_group": "pair"},
            {"bandwidth": 5},
            {"MasterSlaveServerGroup": "on", "MasterSlaveServerGroupId": "rsp-m1", "Bandwidth": 5},
        ),
    ],
)
def test_a_listener_goes_over_in_one_call(has, wanted, parameters):
    state = dataclasses.replace(PAIRED, server_groups=(WEB_GROUP,), listeners=(listening(**has),))
    plan = build(document(listeners=[on(**wanted)]), state)
    (step,) = plan.steps
    names = ("VServerGroup", "VServerGroupId", "MasterSlaveServerGroup", "MasterSlaveServerGroupId")
    assert {name: step.parameters[name] for name in names if name in step.parameters} == {
        name: value for name, value in parameters.items() if name in names
    }
    config = plan.predicted.listener("listener:tcp/80").config
    assert [config.server_group, config.failover_group, config.backend_port].count(None) == 2
    assert build(document(listeners=[on(**wanted)]), dataclasses.replace(plan.predicted)).steps == ()


def test_a_pair_goes_after_its_listener_went_over():
    newer = {"name": "newer", **SIDES}
    state = dataclasses.replace(PAIRED, listeners=(listening(failover_group="pair"),))
    wanted = document(
        failover_groups=[newer, {"name": "pair", "state": "absent"}], listeners=[on(failover_group="newer")]
    )
    assert [step.operation for step in build(wanted, state).steps] == [
        "CreateMasterSlaveServerGroup",
        "SetLoadBalancerTCPListenerAttribute",
        "DeleteMasterSlaveServerGroup",
    ]


def test_a_removal_takes_our_pairs_and_keeps_those_of_others():
    foreign = dataclasses.replace(PAIR, id="rsp-m2", owner=None, config=dataclasses.replace(PAIR.config, name="theirs"))
    state = dataclasses.replace(PAIRED, failover_groups=(PAIR, foreign), default_pool=())
    plan = build(document(state="absent"), state)
    assert [step.operation for step in plan.steps] == ["DeleteMasterSlaveServerGroup"]
    assert plan.kept == (
        "primary/secondary group theirs (rsp-m2) stays: this front end did not make it",
        "load balancer prod (lb-1) stays: others use it for failover group theirs",
    )
    used = dataclasses.replace(PAIRED, listeners=(dataclasses.replace(listening(failover_group="pair"), owner="x"),))
    plan = build(document(state="absent"), used)
    assert plan.steps == () and plan.kept[1].endswith("stays: a listener that others made uses it")


def test_a_pair_gets_the_addresses_of_its_instances():
    told = failover_group.with_addresses(
        dataclasses.replace(PAIR, config=FailoverGroup("pair", Backend(80, "i-1"), Backend(80, "eni-2", type="eni"))),
        SERVERS,
    )
    assert told.config == dataclasses.replace(PAIR.config, standby=Backend(80, "eni-2", description="", type="eni"))
    unread = Observed(FailoverGroup("pair"))
    assert failover_group.with_addresses(unread, SERVERS) == unread


# how they are shown


def test_an_interface_is_shown_by_the_option_that_names_it():
    shown = view.failover_group(PAIR)
    assert shown == {
        "id": "rsp-m1",
        "name": "pair",
        "owner": "prod",
        "primary": {
            "server_id": "i-1",
            "eni_id": None,
            "private_ip": "192.0.2.1",
            "type": "ecs",
            "port": 80,
            "description": "",
        },
        "standby": {
            "server_id": None,
            "eni_id": "eni-2",
            "private_ip": None,
            "type": "eni",
            "port": 80,
            "description": "b",
        },
    }
    assert view.failover_group(Observed(FailoverGroup("pair")))["primary"] is None
    pool = view.default_pool(POOL[2:])["backends"]
    assert pool == [
        {
            "server_id": None,
            "eni_id": "eni-9",
            "private_ip": "192.0.2.90",
            "type": "eni",
            "weight": 50,
            "description": "of somebody else",
            "owner": None,
        }
    ]


def test_only_pairs_that_are_named_are_shown_and_the_pool_where_it_was_asked_for():
    others = dataclasses.replace(PAIR, config=FailoverGroup("other"))
    state = dataclasses.replace(PAIRED, failover_groups=(PAIR, others))
    shown = view.front_end(document(failover_groups=[{"name": "pair"}]), state)
    assert [entry["name"] for entry in shown["failover_groups"]] == ["pair"] and shown["default_pool"] is None
    gone = view.difference(document(state="absent"), dataclasses.replace(state, default_pool=POOL))
    assert [entry["name"] for entry in gone["failover_groups"]] == ["other", "pair"]
    assert len(gone["default_pool"]["backends"]) == 3 and "id" not in gone["failover_groups"][0]


def test_a_listener_of_a_pair_of_others_has_its_id():
    told = {
        "ListenerPort": 80,
        "ListenerProtocol": "tcp",
        "Status": "running",
        "TCPListenerConfig": {"MasterSlaveServerGroupId": "rsp-m1"},
        "BackendServerPort": 80,
    }
    found = listeners.observe(told, {})
    assert (found.config.failover_group, found.config.backend_port) == ("rsp-m1", None)
    assert found.carried == {"MasterSlaveServerGroupId": "rsp-m1"}
    assert listeners.observe(told, {"rsp-m1": "pair"}).config.failover_group == "pair"
    state = dataclasses.replace(STATE, listeners=(found,))
    (step,) = build(document(listeners=[{**on(bandwidth=5)}]), state).steps
    assert step.parameters["MasterSlaveServerGroupId"] == "rsp-m1"
    assert isinstance(found.config, Listener)


def test_a_member_by_its_id():
    member = Backend(80, "i-1", "192.0.2.21", 100, "a", type="ecs")
    assert members.by_id(member) == Backend(80, "i-1")
    interface = dataclasses.replace(member, server_id="eni-1", type="eni")
    assert members.by_id(interface) == Backend(80, private_ip="192.0.2.21", eni_id="eni-1")
