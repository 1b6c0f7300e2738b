# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Everything that can be a backend, and everything that holds backends, on the emulated cloud."""

from __future__ import annotations

import concurrent.futures
import json

import pytest

from ansible_collections.clusterfront.ha.plugins.module_utils._slb.document import partial
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.errors import (
    ApiError,
    DocumentError,
    Immutable,
    LookupFailed,
    SlbError,
)

LAB = {"address_type": "intranet", "vpc_id": "vpc-ut-lab", "vswitch_id": "vsw-ut-lab"}
REMOVAL = {"name": "prod-api", "state": "absent"}
WEB = {"role": "web"}


@pytest.fixture
def cloud(cloud):
    """haproxy-1 and -2 with tags, secondary addresses and a second interface."""
    known = cloud.emulator.control("GET", "inventory")
    for machine in known["machines"]:
        if machine["name"] in ("haproxy-1", "haproxy-2"):
            machine["tags"] = WEB
    first = next(machine for machine in known["machines"] if machine["name"] == "haproxy-1")
    first["secondary_ips"] = ["192.0.2.121"]
    first["interfaces"] = [{"eni_id": "eni-ut-second", "private_ip": "192.0.2.221", "secondary_ips": ["192.0.2.222"]}]
    cloud.emulator.control("PUT", "inventory", known)
    cloud.forget()
    return cloud


def status(cloud, name, value):
    """A machine stops, or (None) is released."""
    known = cloud.emulator.control("GET", "inventory")
    known["machines"] = [machine for machine in known["machines"] if value or machine["name"] != name]
    for machine in known["machines"]:
        if machine["name"] == name:
            machine["status"] = value
    cloud.emulator.control("PUT", "inventory", known)


def document(**options):
    return {"name": "prod-api", "load_balancer": LAB, **options}


def group(*backends, **options):
    return document(
        server_groups=[{"name": "web", "backends": [{"port": 80, **entry} for entry in backends], **options}]
    )


def pool(*backends, **options):
    return document(default_pool={"backends": list(backends), **options})


def done(cloud, wanted, operations, **options):
    """Predicted, done, and once more: check mode says what the run does, and a second run does nothing."""
    predicted = cloud.run(wanted, check_mode=True, **options)
    made = cloud.run(wanted, **options)
    assert (made.steps, made.diff) == (predicted.steps, predicted.diff)
    assert [name for name in made.operations if name != "CreateLoadBalancer"] == operations
    again = cloud.run(wanted, **options)
    assert not again.changed and again.outcome.writes == 0 and again.shown == made.shown
    return made


def member_ids(cloud):
    """(server, address of an interface) of the one group, as the cloud tells it."""
    balancer = cloud.slb("DescribeLoadBalancers", PageNumber=1, PageSize=10)["LoadBalancers"]["LoadBalancer"][0]
    groups = cloud.slb("DescribeVServerGroups", LoadBalancerId=balancer["LoadBalancerId"])
    (one,) = groups["VServerGroups"]["VServerGroup"]
    told = cloud.slb("DescribeVServerGroupAttribute", VServerGroupId=one["VServerGroupId"])
    return sorted((entry["ServerId"], entry["ServerIp"]) for entry in told["BackendServers"]["BackendServer"])


# names of servers

NAMES = {
    "id": ({"server_id": "i-ut-haproxy-1"}, [("i-ut-haproxy-1", "")], {"DescribeInstances": 1}),
    "name": ({"server_name": "haproxy-1"}, [("i-ut-haproxy-1", "")], {"DescribeInstances": 1}),
    "tags": ({"server_tags": WEB}, [("i-ut-haproxy-1", ""), ("i-ut-haproxy-2", "")], {"DescribeInstances": 1}),
    "address": ({"private_ip": "192.0.2.21"}, [("i-ut-haproxy-1", "")], {"DescribeInstances": 1}),
    "second address": (
        {"private_ip": "192.0.2.121"},
        [("eni-ut-haproxy-1", "192.0.2.121")],
        {"DescribeInstances": 1, "DescribeNetworkInterfaces": 1},
    ),
    "address of an interface": (
        {"private_ip": "192.0.2.222"},
        [("eni-ut-second", "192.0.2.222")],
        {"DescribeInstances": 1, "DescribeNetworkInterfaces": 1},
    ),
    "interface": ({"eni_id": "eni-ut-second"}, [("eni-ut-second", "192.0.2.221")], {"DescribeNetworkInterfaces": 1}),
    "interface and address": (
        {"eni_id": "eni-ut-second", "private_ip": "192.0.2.222"},
        [("eni-ut-second", "192.0.2.222")],
        {"DescribeNetworkInterfaces": 1},
    ),
}


@pytest.mark.parametrize(("named", "found", "calls"), NAMES.values(), ids=NAMES)
def test_a_server_by_every_name(cloud, named, found, calls):
    done(cloud, group(named), ["CreateVServerGroup"])
    assert member_ids(cloud) == found
    cloud.forget()
    cloud.run(group(named))
    assert {
        action: count
        for action, count in cloud.counts.items()
        if action in ("DescribeInstances", "DescribeNetworkInterfaces")
    } == calls
    # a weight alone, and nothing of the rest
    before = cloud.everything("prod-api")
    done(cloud, group({**named, "weight": 7}), ["SetVServerGroupAttribute"])
    after = cloud.everything("prod-api")
    for members in (before["server_groups"][0]["backends"], after["server_groups"][0]["backends"]):
        for member in members:
            del member["weight"]
    assert before == after
    done(cloud, group({**named, "state": "absent"}, purge="none"), ["RemoveVServerGroupBackendServers"])
    assert member_ids(cloud) == []
    done(cloud, group({**named, "state": "absent"}, purge="none"), [])


REFUSED = {
    "no name": ({"server_name": "haproxy"}, LookupFailed, "server_name haproxy matches no ECS instance of this region"),
    "no tags": ({"server_tags": {"role": "db"}}, LookupFailed, "server_tags role=db matches no ECS instance"),
    "no interface": ({"eni_id": "eni-none"}, LookupFailed, "eni_id eni-none matches no network interface"),
    "another interface": (
        {"eni_id": "eni-ut-second", "private_ip": "192.0.2.21"},
        LookupFailed,
        "private_ip 192.0.2.21 is no address of eni_id eni-ut-second, which has 192.0.2.221 and 192.0.2.222",
    ),
    "elsewhere": ({"server_name": "far-1"}, DocumentError, "server_name far-1 is i-ut-far-1 in vpc-ut-other, but"),
    "two names": (
        {"server_id": "i-1", "server_name": "x"},
        DocumentError,
        "names its server by server_id and server_name",
    ),
}


@pytest.mark.parametrize(("named", "kind", "sentence"), REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize(
    "make", [group, lambda entry: pool({k: v for k, v in entry.items() if k != "port"})], ids=["group", "pool"]
)
def test_refused_in_one_sentence_and_before_any_write(cloud, make, named, kind, sentence):
    with pytest.raises(kind) as caught:
        cloud.run(make(named))
    assert sentence in str(caught.value) and cloud.writes == 0


def test_a_name_is_no_pattern(cloud):
    with pytest.raises(LookupFailed, match=r"server_name haproxy-\* matches no ECS instance"):
        cloud.run(group({"server_name": "haproxy-*"}))


def test_a_tagged_server_that_is_stopped_is_not_added_and_one_that_is_a_member_stays(cloud):
    status(cloud, "haproxy-2", "Stopped")
    done(cloud, group({"server_tags": WEB}), ["CreateVServerGroup"])
    assert member_ids(cloud) == [("i-ut-haproxy-1", "")]
    status(cloud, "haproxy-2", "Running")
    done(cloud, group({"server_tags": WEB}), ["AddVServerGroupBackendServers"])
    status(cloud, "haproxy-1", "Stopped")
    done(cloud, group({"server_tags": WEB}), [])


def test_an_interface_that_others_added_stays_what_it_is(cloud):
    done(cloud, group({"server_id": "i-ut-haproxy-2"}), ["CreateVServerGroup"])
    shown = cloud.everything("prod-api")["server_groups"][0]
    theirs = {"ServerId": "eni-ut-second", "ServerIp": "192.0.2.222", "Type": "eni", "Port": 80, "Description": "mine"}
    cloud.slb("AddVServerGroupBackendServers", VServerGroupId=shown["id"], BackendServers=json.dumps([theirs]))
    done(cloud, group({"server_id": "i-ut-haproxy-2", "weight": 5}), ["SetVServerGroupAttribute"])
    # the address is served already, by the interface: that one is meant
    both = done(
        cloud,
        group({"server_id": "i-ut-haproxy-2"}, {"private_ip": "192.0.2.222", "weight": 9}),
        ["SetVServerGroupAttribute"],
    )
    assert [
        (entry["eni_id"], entry["type"], entry["weight"], entry["owner"])
        for entry in both.shown["server_groups"][0]["backends"]
    ] == [("eni-ut-second", "eni", 9, None), (None, "ecs", 5, "prod-api")]
    done(cloud, group(purge="owned"), ["RemoveVServerGroupBackendServers"])
    assert member_ids(cloud) == [("eni-ut-second", "192.0.2.222")]


def test_a_released_server_is_removed_by_its_id(cloud):
    cloud.switch(released_server="stay")
    cloud.run(group({"server_name": "haproxy-2"}, {"server_name": "haproxy-3"}))
    status(cloud, "haproxy-3", None)
    with pytest.raises(LookupFailed, match="server_name haproxy-3 matches no ECS instance"):
        cloud.run(group({"server_name": "haproxy-3"}))
    fault = {"action": "RemoveVServerGroupBackendServers", "code": "ObtainIpFail", "status": 400}
    cloud.emulator.control("PUT", "faults", {"faults": [fault]})
    done(
        cloud,
        group({"server_id": "i-ut-haproxy-3", "state": "absent"}, purge="none"),
        ["RemoveVServerGroupBackendServers"],
    )
    assert cloud.counts["RemoveVServerGroupBackendServers"] == 2
    assert member_ids(cloud) == [("i-ut-haproxy-2", "")]


def test_a_server_that_is_gone_cannot_be_added_by_the_same_code(cloud):
    fault = {"action": "CreateVServerGroup", "code": "ObtainIpFail", "status": 400, "count": 0}
    cloud.emulator.control("PUT", "faults", {"faults": [fault]})
    try:
        with pytest.raises(ApiError) as caught:
            cloud.run(group({"server_name": "haproxy-2"}))
    finally:
        cloud.emulator.control("PUT", "faults", {"faults": []})
    assert caught.value.code == "ObtainIpFail" and cloud.counts["CreateVServerGroup"] == 1


# the default pool

POOL_CHANGES = {
    "weight": (
        pool({"private_ip": "192.0.2.21", "weight": 30}, {"server_id": "i-ut-haproxy-2"}),
        ["SetBackendServers"],
    ),
    "text": (
        pool({"private_ip": "192.0.2.21", "description": "first"}, {"server_id": "i-ut-haproxy-2"}),
        ["SetBackendServers"],
    ),
    "exchange": (pool({"server_tags": {"role": "web"}}, {"server_name": "haproxy-3"}), ["AddBackendServers"]),
    "less": (pool({"server_id": "i-ut-haproxy-2"}), ["RemoveBackendServers"]),
    "absent": (pool({"server_id": "i-ut-haproxy-1", "state": "absent"}, purge="none"), ["RemoveBackendServers"]),
    "interface": (pool({"eni_id": "eni-ut-second"}, purge="none"), ["AddBackendServers"]),
    "nothing": (pool({"server_id": "i-ut-haproxy-2"}, purge="none"), []),
}
POOL = pool({"private_ip": "192.0.2.21"}, {"server_id": "i-ut-haproxy-2"})


@pytest.mark.parametrize(("changed", "operations"), POOL_CHANGES.values(), ids=POOL_CHANGES)
def test_one_change_of_the_pool_leaves_all_else(cloud, changed, operations):
    whole = {**POOL, "listeners": [{"port": 80, "protocol": "tcp", "backend_port": 8080}]}
    done(cloud, whole, ["AddBackendServers", "CreateLoadBalancerTCPListener", "StartLoadBalancerListener"])
    before = cloud.everything("prod-api")
    done(cloud, changed, operations)
    after = cloud.everything("prod-api")
    assert (before["default_pool"] == after["default_pool"]) == (not operations)
    assert {**before, "default_pool": None} == {**after, "default_pool": None}


def test_the_pool_is_read_only_where_a_document_names_it(cloud):
    cloud.run(POOL)
    cloud.forget()
    cloud.run(document())
    assert cloud.counts == {"DescribeLoadBalancers": 1}
    cloud.forget()
    cloud.run(POOL)
    assert cloud.counts == {"DescribeLoadBalancers": 1, "DescribeInstances": 2, "DescribeLoadBalancerAttribute": 1}


@pytest.mark.parametrize("purge", ["none", "owned", "all"])
def test_servers_that_were_added_by_hand(cloud, purge):
    balancer = cloud.run(POOL).shown["load_balancer"]["id"]
    theirs = [
        {"ServerId": "i-ut-master-1", "Weight": 10, "Description": "mine"},
        {"ServerId": "eni-ut-second", "Type": "eni", "ServerIp": "192.0.2.222", "Weight": 20},
    ]
    cloud.slb("AddBackendServers", LoadBalancerId=balancer, BackendServers=json.dumps(theirs))
    done(cloud, pool({"private_ip": "192.0.2.21"}, purge=purge), [] if purge == "none" else ["RemoveBackendServers"])
    ours = [("i-ut-haproxy-1", 100, "clusterfront:prod-api")]
    more = [("i-ut-haproxy-2", 100, "clusterfront:prod-api")]
    foreign = [("eni-ut-second", 20, ""), ("i-ut-master-1", 10, "mine")]
    assert cloud.pool(balancer) == sorted(
        ours + (more if purge == "none" else []) + ([] if purge == "all" else foreign)
    )
    removed = cloud.run(REMOVAL)
    assert ("DeleteLoadBalancer" in removed.operations) == (purge == "all")
    if purge != "all":
        assert removed.operations == ["RemoveBackendServers"] and cloud.pool(balancer) == foreign
        assert (
            "others use it for server eni-ut-second in the default pool and server i-ut-master-1 in" in removed.kept[0]
        )
        assert not cloud.run(REMOVAL).changed


def many(cloud, number=45):
    """So many machines by the tag that they share."""
    known = cloud.emulator.control("GET", "inventory")
    known["machines"] += [
        {
            "name": f"many-{index}",
            "instance_id": f"i-ut-many-{index:02}",
            "private_ip": f"192.0.2.{130 + index}",
            "vpc": "lab",
            "vswitch_id": "vsw-ut-lab",
            "tags": {"role": "many"},
        }
        for index in range(number)
    ]
    cloud.emulator.control("PUT", "inventory", known)


def test_forty_five_servers_take_three_calls_of_every_kind(cloud):
    many(cloud)
    tagged = {"server_tags": {"role": "many"}}
    done(cloud, pool(tagged), ["AddBackendServers"] * 3)
    done(cloud, pool({**tagged, "weight": 1}), ["SetBackendServers"] * 3)
    done(cloud, pool(), ["RemoveBackendServers"] * 3)
    cloud.run(group())
    done(cloud, group(tagged), ["AddVServerGroupBackendServers"] * 3)
    done(cloud, group({**tagged, "weight": 1}), ["SetVServerGroupAttribute"] * 3)


def test_a_listener_goes_over_before_its_servers_leave_the_pool(cloud):
    listener = {"port": 80, "protocol": "tcp", "backend_port": 8080}
    cloud.run({**POOL, "listeners": [listener]})
    wanted = {
        **group({"server_tags": WEB}),
        **pool(),
        "listeners": [{"port": 80, "protocol": "tcp", "server_group": "web"}],
    }
    done(cloud, wanted, ["CreateVServerGroup", "SetLoadBalancerTCPListenerAttribute", "RemoveBackendServers"])


# single servers of slb_backend


def single(state, *backends, name="web"):
    part = {"purge": "none", "backends": [{**entry, "state": state} for entry in backends]}
    head = {"name": "prod-api", "load_balancer": {"name": "prod-api"}}
    return (
        {**head, "default_pool": part}
        if name is None
        else {**head, "server_groups": [{"name": name, "exists": True, **part}]}
    )


@pytest.mark.parametrize("name", ["web", None], ids=["group", "pool"])
def test_single_servers_and_no_others(cloud, name):
    port = {} if name is None else {"port": 80}
    first, second = ({"private_ip": f"192.0.2.2{number}", **port} for number in (1, 2))
    kind = "VServerGroupBackendServers" if name else "BackendServers"
    change = "SetVServerGroupAttribute" if name else "SetBackendServers"
    cloud.run({**group({"server_name": "haproxy-3"}), **pool({"server_name": "haproxy-3"})})
    before = cloud.picture()
    done(cloud, single("present", first, second, name=name), [f"Add{kind}"], make=partial)
    done(cloud, single("present", {**first, "weight": 0}, name=name), [change], make=partial)
    done(cloud, single("absent", first, second, name=name), [f"Remove{kind}"], make=partial)
    assert cloud.picture() == before


def test_a_group_that_single_servers_need(cloud):
    entry = {"server_name": "haproxy-1", "port": 80}
    with pytest.raises(LookupFailed, match="load_balancer 'prod-api' does not exist"):
        cloud.run(single("present", entry), make=partial)
    assert not cloud.run(single("absent", entry), make=partial).changed
    cloud.run(document())
    cloud.forget()
    with pytest.raises(
        LookupFailed, match="server_group 'web' does not exist on the load balancer prod-api; make it by"
    ):
        cloud.run(single("present", entry), make=partial)
    assert not cloud.run(single("absent", entry), make=partial).changed and cloud.writes == 0


# primary/secondary groups


def pair(name="database", primary="haproxy-1", standby="haproxy-2"):
    sides = {"primary": {"server_name": primary, "port": 5432}, "standby": {"server_name": standby, "port": 5432}}
    return {"name": name, "state": "present", **sides}


def on(**options):
    return {"port": 5432, "protocol": "tcp", **options}


def test_a_pair_from_its_making_to_its_end(cloud):
    wanted = document(failover_groups=[pair()], listeners=[on(failover_group="database")])
    made = done(
        cloud, wanted, ["CreateMasterSlaveServerGroup", "CreateLoadBalancerTCPListener", "StartLoadBalancerListener"]
    )
    assert made.shown["failover_groups"][0]["primary"] == {
        "server_id": "i-ut-haproxy-1",
        "eni_id": None,
        "private_ip": "192.0.2.21",
        "type": "ecs",
        "port": 5432,
        "description": "",
    }
    assert made.shown["listeners"][0]["failover_group"] == "database"
    cloud.forget()
    cloud.run(document(listeners=[on(failover_group="database")]))
    assert cloud.counts == {
        "DescribeLoadBalancers": 1,
        "DescribeVServerGroups": 1,
        "DescribeMasterSlaveServerGroups": 1,
        "DescribeLoadBalancerListeners": 1,
    }
    # an unrelated change leaves the group where it is, whether or not the document says which one it is
    for said in ({}, {"failover_group": "database"}):
        cloud.run(document(listeners=[on(persistence_timeout=60 if said else 30, **said)]))
        assert cloud.everything("prod-api")["listeners"][0]["failover_group"] == "database"
    done(
        cloud,
        document(failover_groups=[{"name": "database", "state": "absent"}], listeners=[on(state="absent")]),
        ["DeleteLoadBalancerListener", "DeleteMasterSlaveServerGroup"],
    )


PRIMARY = pair()["primary"]
CHANGES = {
    "server": (pair(standby="haproxy-3"), "standby: the server is 'i-ut-haproxy-2' and cannot become 'i-ut-haproxy-3'"),
    "port": ({**pair(), "primary": {**PRIMARY, "port": 1}}, "primary: the port is '5432' and cannot become '1'"),
    "text": (
        {**pair(), "primary": {**PRIMARY, "description": "x"}},
        "primary: the description is '' and cannot become 'x'",
    ),
}


@pytest.mark.parametrize(("changed", "sentence"), CHANGES.values(), ids=CHANGES)
def test_nothing_of_a_pair_changes(cloud, changed, sentence):
    cloud.run(document(failover_groups=[pair()]))
    cloud.forget()
    with pytest.raises(Immutable) as caught:
        cloud.run(document(failover_groups=[changed]))
    assert sentence in str(caught.value) and cloud.writes == 0


def test_what_is_to_be_done_instead(cloud):
    cloud.run(document(failover_groups=[pair()], listeners=[on(failover_group="database")]))
    gone = {"name": "database", "state": "absent"}
    done(
        cloud,
        document(failover_groups=[gone, pair("newer", standby="haproxy-3")], listeners=[on(failover_group="newer")]),
        ["CreateMasterSlaveServerGroup", "SetLoadBalancerTCPListenerAttribute", "DeleteMasterSlaveServerGroup"],
    )
    assert cloud.everything("prod-api")["listeners"][0]["failover_group"] == "newer"


def test_a_listener_goes_from_one_kind_to_the_other_in_one_call(cloud):
    both = {**group({"server_name": "haproxy-3"}), "failover_groups": [pair()]}
    cloud.run({**both, "listeners": [on(backend_port=80)]})
    for target in ({"failover_group": "database"}, {"server_group": "web"}, {"failover_group": "database"}):
        done(cloud, document(listeners=[on(**target)]), ["SetLoadBalancerTCPListenerAttribute"])
        told = cloud.everything("prod-api")["listeners"][0]
        assert [told[name] for name in ("server_group", "failover_group", "backend_port")].count(None) == 2
        assert target.items() <= told.items()


def test_a_pair_of_interfaces(cloud):
    sides = {"primary": {"eni_id": "eni-ut-second", "port": 80}, "standby": {"private_ip": "192.0.2.121", "port": 80}}
    made = done(cloud, document(failover_groups=[{**pair(), **sides}]), ["CreateMasterSlaveServerGroup"])
    shown = made.shown["failover_groups"][0]
    assert [shown[side]["eni_id"] for side in ("primary", "standby")] == ["eni-ut-second", "eni-ut-haproxy-1"]


def test_a_pair_of_others_stays_and_is_named(cloud):
    balancer = cloud.run(document(failover_groups=[pair()])).shown["load_balancer"]["id"]
    theirs = [
        {"ServerId": f"i-ut-haproxy-{number}", "Port": 80, "ServerType": kind}
        for number, kind in ((1, "Master"), (2, "Slave"))
    ]
    made = cloud.slb(
        "CreateMasterSlaveServerGroup",
        LoadBalancerId=balancer,
        MasterSlaveServerGroupName="theirs",
        MasterSlaveBackendServers=json.dumps(theirs),
    )
    removed = cloud.run(REMOVAL)
    assert removed.operations == ["DeleteMasterSlaveServerGroup"]
    assert removed.kept == (
        f"primary/secondary group theirs ({made['MasterSlaveServerGroupId']}) stays: this front end did not make it",
        f"load balancer prod-api ({balancer}) stays: others use it for failover group theirs",
    )
    assert not cloud.run(REMOVAL).changed


@pytest.mark.parametrize("runs", [2, 3])
def test_runs_at_the_same_time_make_no_pair_twice_for_long(cloud, runs):
    wanted = document(failover_groups=[pair()], listeners=[on(failover_group="database")])
    with concurrent.futures.ThreadPoolExecutor(runs) as threads:
        ended = [threads.submit(cloud.run, wanted) for dummy in range(runs)]
    assert all(run.exception() is None or isinstance(run.exception(), SlbError) for run in ended)
    cloud.run(wanted)
    sides = [("Master", "i-ut-haproxy-1", 5432), ("Slave", "i-ut-haproxy-2", 5432)]
    assert cloud.picture() == [("prod-api", [], [(5432, "running", "database")], [("database", sides)])]
    assert not cloud.run(wanted).changed
