# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What somebody clicked together, exported as a document that changes nothing, and one option of it changed."""

from __future__ import annotations

import copy
import json
import os
import pathlib
import random
import subprocess
import sys

import pytest

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.clusterfront.ha.plugins.module_utils import _argspec
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.client import Client, Settings
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.document import question
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.errors import LookupFailed
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.export import export
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.reconcile import survey

from documents import API_PAIR, NEW_PAIR, OLD_PAIR, WEB_MADE
from emulator_harness import KEY, REGION

WEB = ("haproxy-1", "haproxy-2", "haproxy-3")
PRIVATE = {
    "AddressType": "intranet",
    "VpcId": "vpc-ut-lab",
    "VSwitchId": "vsw-ut-lab",
    "InstanceChargeType": "PayByCLCU",
}
PUBLIC = {"AddressType": "internet", "InstanceChargeType": "PayByCLCU"}
BY_SIZE = {
    "AddressType": "internet",
    "InstanceChargeType": "PayBySpec",
    "LoadBalancerSpec": "slb.s2.small",
    "InternetChargeType": "paybybandwidth",
    "Bandwidth": 50,
}
#: What the console sends for a TCP listener where nobody touches a field.
CONSOLE = {
    "Bandwidth": -1,
    "Scheduler": "wrr",
    "PersistenceTimeout": 0,
    "EstablishedTimeout": 900,
    "HealthCheckSwitch": "on",
    "HealthCheckType": "tcp",
    "HealthCheckConnectPort": -520,
    "HealthCheckConnectTimeout": 5,
    "healthCheckInterval": 2,
    "HealthyThreshold": 3,
    "UnhealthyThreshold": 3,
}
HTTP_CHECK = {"HealthCheckType": "http", "HealthCheckURI": "/healthz", "HealthCheckHttpCode": "http_3xx,http_2xx"}


class Console:
    """Plain calls of the SDK, as the console makes them: no marks, no tags."""

    def __init__(self, cloud):
        self.cloud, self.slb = cloud, cloud.slb

    def instance(self, **options):
        name = {"LoadBalancerName": options.pop("name", "web")}
        where = options if "AddressType" in options else {**PRIVATE, **options}
        self.id = self.slb("CreateLoadBalancer", **name, **where)["LoadBalancerId"]
        return self.id

    def group(self, *servers, name="web", **options):
        made = self.slb("CreateVServerGroup", LoadBalancerId=self.id, VServerGroupName=name, **options)
        if servers:
            self.slb(
                "AddVServerGroupBackendServers",
                VServerGroupId=made["VServerGroupId"],
                BackendServers=json.dumps(list(servers)),
            )
        return made["VServerGroupId"]

    def listener(self, port, start=True, **options):
        self.slb("CreateLoadBalancerTCPListener", LoadBalancerId=self.id, ListenerPort=port, **{**CONSOLE, **options})
        if start:
            self.slb("StartLoadBalancerListener", LoadBalancerId=self.id, ListenerPort=port, ListenerProtocol="tcp")

    def access_list(self, name="office", entries=(), **options):
        made = self.slb("CreateAccessControlList", AclName=name, **options)["AclId"]
        if entries:
            given = [{"entry": cidr, "comment": comment} for cidr, comment in entries]
            self.slb("AddAccessControlListEntry", AclId=made, AclEntrys=json.dumps(given))
        return made


def udp_listener(console, port, **options):
    console.slb(
        "CreateLoadBalancerUDPListener",
        LoadBalancerId=console.id,
        ListenerPort=port,
        **{"Bandwidth": -1, "HealthCheckConnectPort": -520, **options},
    )
    console.slb("StartLoadBalancerListener", LoadBalancerId=console.id, ListenerPort=port, ListenerProtocol="udp")


def server(name, port=8080, weight=100, **options):
    return {"ServerId": f"i-ut-{name}", "Port": str(port), "Weight": str(weight), "Type": "ecs", **options}


def instance(**options):
    def make(console):
        console.instance(**options)
        console.listener(80, VServerGroupId=console.group(server("haproxy-1")))

    return make


def listener(*ports, **options):
    def make(console):
        console.instance(**options.pop("instance", {}))
        group = console.group(server("haproxy-1"), server("haproxy-2"))
        for port in ports or (80,):
            console.listener(port, VServerGroupId=group, **options)

    return make


def members(*servers, **options):
    def make(console):
        console.instance(**options)
        console.listener(80, VServerGroupId=console.group(*servers))

    return make


def console_defaults(console):
    console.instance()
    console.listener(80, VServerGroupId=console.group(server("haproxy-1")))


def default_pool(console):
    console.instance()
    console.slb(
        "AddBackendServers",
        LoadBalancerId=console.id,
        BackendServers=json.dumps([{"ServerId": f"i-ut-{name}", "Weight": "0"} for name in WEB]),
    )
    console.listener(80, BackendServerPort=8080)


def failover(console):
    console.instance()
    made = [
        console.slb(
            "CreateMasterSlaveServerGroup",
            LoadBalancerId=console.id,
            MasterSlaveServerGroupName=name,
            MasterSlaveBackendServers=json.dumps(
                [
                    server("haproxy-1", 5432, ServerType="Master", Description="by hand: first"),
                    server(second, 5432, ServerType="Slave"),
                ]
            ),
        )["MasterSlaveServerGroupId"]
        for name, second in (("db", "haproxy-2"), ("twin", "haproxy-2"), ("twin", "haproxy-3"))
    ]
    for number, group in enumerate(made):
        console.listener(5432 + number, MasterSlaveServerGroupId=group)


def interfaces(console):
    """Interfaces beside the instance that they belong to, in a group, in the pool, and in a primary/secondary group."""
    inventory = console.cloud.emulator.control("GET", "inventory")
    (first,) = (machine for machine in inventory["machines"] if machine["name"] == "haproxy-1")
    first["secondary_ips"] = ["192.0.2.121"]
    first["interfaces"] = [{"eni_id": "eni-ut-second", "private_ip": "192.0.2.221", "secondary_ips": ["192.0.2.222"]}]
    console.cloud.emulator.control("PUT", "inventory", inventory)
    console.instance()
    eni = {"ServerId": "eni-ut-second", "Type": "eni", "Weight": "50", "Description": "by hand"}
    both = [{**eni, "Port": "8080", "ServerIp": address} for address in ("192.0.2.221", "192.0.2.222")]
    console.listener(80, VServerGroupId=console.group(server("haproxy-1"), *both))
    pool = json.dumps([{**eni, "ServerIp": "192.0.2.222"}, server("haproxy-2")])
    console.slb("AddBackendServers", LoadBalancerId=console.id, BackendServers=pool)
    console.listener(81, BackendServerPort=8080)
    sides = [{**eni, "Port": "5432", "ServerType": "Master"}, server("haproxy-2", 5432, ServerType="Slave")]
    console.slb(
        "CreateMasterSlaveServerGroup",
        LoadBalancerId=console.id,
        MasterSlaveServerGroupName="db",
        MasterSlaveBackendServers=json.dumps(sides),
    )


def groups_of_one_name(console):
    """Listeners that use the younger one, the elder one, and a group of a name of its own."""
    console.instance()
    elder, younger = (console.group(server(name)) for name in WEB[:2])
    console.listener(80, VServerGroupId=younger)
    console.listener(81, VServerGroupId=elder)
    console.listener(82, VServerGroupId=console.group(server("haproxy-3"), name="alone"))


def unused_groups(console):
    console.instance()
    console.group(name="empty")
    console.group(server("haproxy-1"), name="Gruppe 1: f\u00fcr web/api")


def black_list(console):
    console.instance()
    entries = [("192.0.2.0/24", "the lab: 'all' of it #1"), ("198.51.100.7/32", "")]
    lists = [console.access_list("80-office", entries), console.access_list("\u529e\u516c\u5ba4")]
    group = console.group(server("haproxy-1"))
    acl = {"AclStatus": "on", "AclType": "black", "AclId": lists[0]}
    console.listener(80, VServerGroupId=group, **acl)
    console.listener(81, VServerGroupId=group, **{**acl, "AclType": "white", "AclId": ",".join(lists)})


def white_list_of_a_public_one(console):
    console.instance(**PUBLIC)
    acl = {"AclStatus": "on", "AclType": "white", "AclId": console.access_list(entries=[("192.0.2.0/24", "lab")])}
    group = console.group(server("haproxy-1"))
    console.listener(80, VServerGroupId=group, **acl)
    console.listener(81, VServerGroupId=group)


def switched_off_list(console):
    console.instance()
    made = console.access_list(entries=[("192.0.2.0/24", "lab")])
    group = console.group(server("haproxy-1"))
    console.listener(80, VServerGroupId=group, AclStatus="on", AclType="white", AclId=made)
    console.slb("SetLoadBalancerTCPListenerAttribute", LoadBalancerId=console.id, ListenerPort=80, AclStatus="off")


def inactive(console):
    console_defaults(console)
    console.slb("SetLoadBalancerStatus", LoadBalancerId=console.id, LoadBalancerStatus="inactive")


def all_tags(console):
    console.instance(Tag=[{"Key": f"key {number}", "Value": f"value: {number}"} for number in range(19)])
    console.cloud.emulator.control("DELETE", "requests")
    console.listener(80, VServerGroupId=console.group(server("haproxy-1")))
    console.slb(
        "TagResources",
        ResourceType="instance",
        ResourceId=[console.id],
        Tag=[{"Key": "clusterfront:team", "Value": "by hand"}],
    )


def bandwidth_shares(console):
    console.instance(**BY_SIZE)
    group = console.group(server("haproxy-1"))
    for port, share in ((80, 20), (443, 30), (8080, -1)):
        console.listener(port, VServerGroupId=group, Bandwidth=share)


def several_ports(console):
    console.instance(name="auto_named_" + "x" * 60)
    ports = [console.group(server("haproxy-1", 80), server("haproxy-1", 443, 0), server("haproxy-2", 80), name="two")]
    ports.append(console.group(server("haproxy-1", 80), name="one"))
    for number, group in enumerate(ports):
        console.listener(80 + number, VServerGroupId=group)


def udp(console):
    console.instance()
    group = console.group(server("haproxy-1", 53))
    console.listener(53, VServerGroupId=group)
    udp_listener(console, 53, VServerGroupId=group, Scheduler="qch", healthCheckReq="ping", healthCheckExp="pong")
    udp_listener(console, 54, BackendServerPort=53, HealthCheckSwitch="off", Description="off: by hand")


def tags_of_listeners(console):
    console.instance()
    group = console.group(server("haproxy-1"))
    console.listener(80, VServerGroupId=group, Tag=[{"Key": "team", "Value": "a: b"}, {"Key": "empty", "Value": ""}])
    console.slb(
        "TagResources",
        ResourceType="listener",
        ResourceId=[f"{console.id}_tcp_80"],
        Tag=[{"Key": "clusterfront:team", "Value": "by hand"}],
    )


CONSOLE_MADE = {
    "primary/secondary groups": failover,
    "network interfaces": interfaces,
    "UDP": udp,
    "tags of listeners": tags_of_listeners,
    "console defaults": console_defaults,
    "default pool": default_pool,
    "groups of one name": groups_of_one_name,
    "unused groups": unused_groups,
    "black list": black_list,
    "white list of a public one": white_list_of_a_public_one,
    "switched-off list": switched_off_list,
    "inactive": inactive,
    "20 tags": all_tags,
    "bandwidth shares": bandwidth_shares,
    "one server on several ports": several_ports,
    "public": instance(**PUBLIC),
    "fixed address": instance(Address="192.0.2.142"),
    "IPv6": instance(AddressIPVersion="ipv6"),
    "zones": instance(MasterZoneId="cn-hangzhou-i", SlaveZoneId="cn-hangzhou-g"),
    "resource group": instance(ResourceGroupId="rg-ut-two"),
    "protected": instance(
        DeleteProtection="on", ModificationProtectionStatus="ConsoleProtection", ModificationProtectionReason="ask-us"
    ),
    "protected without a reason": instance(ModificationProtectionStatus="ConsoleProtection"),
    "traffic": instance(**{**BY_SIZE, "InternetChargeType": "paybytraffic", "Bandwidth": 1}),
    "stopped": listener(start=False),
    "own host": listener(**HTTP_CHECK, HealthCheckDomain="$_ip"),
    "no host": listener(**HTTP_CHECK, HealthCheckDomain=""),
    "a host": listener(**HTTP_CHECK, HealthCheckDomain="www.example.com", HealthCheckConnectPort=8081),
    "no check": listener(HealthCheckSwitch="off"),
    "drain": listener(ConnectionDrain="on", ConnectionDrainTimeout=300, PersistenceTimeout=1000),
    "hash": listener(Scheduler="tch", ProxyProtocolV2Enabled=True, EstablishedTimeout=10),
    "description": listener(Description="web: 50% of 'it' # \u5165\u53e3 \"x\" - {a} & more"),
    "template": listener(Description="{{ lookup('env', 'HOME') }}"),
    "many listeners": listener(*range(80, 90)),
    "weights": members(server("haproxy-1", weight=0), server("haproxy-2", weight=1)),
    "members' descriptions": members(
        server("haproxy-1", Description="by hand: yes"),
        server("haproxy-2", Description="x" * 80),
        server("haproxy-3", Description="clusterfront:somebody else's"),
    ),
    "members of a public one": members(server("haproxy-1"), server("haproxy-2"), **PUBLIC),
}


def exported(cloud, name="web", owner=None):
    endpoint = f"http://{cloud.emulator.address}"
    client = Client(Settings(REGION, **KEY, slb_endpoint=endpoint, ecs_endpoint=endpoint))
    asked = question({"id" if name.startswith("lb-") else "name": name})
    return export(asked, survey(client, asked), _argspec.FRONT_END, owner)


def applied(cloud, document, **options):
    """A run as the module makes it: with what the argument spec makes of the document."""
    checked = ArgumentSpecValidator(_argspec.FRONT_END).validate(json.loads(json.dumps(document)))
    assert not checked.error_messages
    return cloud.run(checked.validated_parameters, **options)


def everything(cloud, balancer):
    """The whole load balancer as the API tells it, tags and marks included."""
    groups = cloud.slb("DescribeVServerGroups", LoadBalancerId=balancer)["VServerGroups"]["VServerGroup"]
    listed = cloud.slb("DescribeLoadBalancerListeners", LoadBalancerId=[balancer], MaxResults=100)["Listeners"]
    return {
        "instance": cloud.slb("DescribeLoadBalancerAttribute", LoadBalancerId=balancer),
        "listeners": listed,
        "groups": groups,
        "members": {
            group["VServerGroupId"]: cloud.slb("DescribeVServerGroupAttribute", VServerGroupId=group["VServerGroupId"])[
                "BackendServers"
            ]
            for group in groups
        },
        "parts": [parts(cloud, balancer, entry) for entry in listed],
        "certificates": [cloud.slb(f"Describe{kind}Certificates")[f"{kind}Certificates"] for kind in ("Server", "CA")],
        "policies": cloud.slb("ListTLSCipherPolicies", IncludeListener=True)["TLSCipherPolicies"],
        "lists": [cloud.slb("DescribeAccessControlLists", PageNumber=1, PageSize=50)["Acls"], cloud.access_lists()],
    }


def parts(cloud, balancer, listener):
    """Rules and further domains of a listener."""
    port, protocol = listener["ListenerPort"], listener["ListenerProtocol"]
    place = {"LoadBalancerId": balancer, "ListenerPort": port}
    layer_7 = protocol in ("http", "https")
    rules = cloud.slb("DescribeRules", **place, ListenerProtocol=protocol)["Rules"] if layer_7 else None
    return rules, cloud.slb("DescribeDomainExtensions", **place)["DomainExtensions"] if protocol == "https" else None


def same(one, other):
    return {key: value for key, value in one.items() if key != "RequestId"} == {
        key: value for key, value in other.items() if key != "RequestId"
    }


def assert_nothing_changes(cloud, found, balancer):
    before = everything(cloud, balancer)
    cloud.forget()
    for check_mode in (True, False):
        run = applied(cloud, found.document, check_mode=check_mode)
        assert run.steps == [] and not run.changed
    assert cloud.writes == 0
    after = everything(cloud, balancer)
    assert same(before.pop("instance"), after.pop("instance")) and before == after


@pytest.mark.parametrize("make", CONSOLE_MADE.values(), ids=CONSOLE_MADE)
def test_what_was_clicked_together_is_exported_as_a_document_that_changes_nothing(cloud, make):
    console = Console(cloud)
    make(console)
    cloud.forget()
    found = exported(cloud, console.id)
    assert cloud.writes == 0
    assert not [warning for warning in found.warnings if warning.startswith("applied as it is")]
    assert_nothing_changes(cloud, found, console.id)
    assert json.loads(json.dumps(found.document)) == found.document
    # nothing of others goes with it
    removal = applied(cloud, {"name": found.document["name"], "load_balancer": {"id": console.id}, "state": "absent"})
    assert removal.steps == [] and any(words.startswith("load balancer") for words in removal.kept)


def set_to(value, *path):
    """A change of one option of a document."""

    def change(document):
        for step in path[:-1]:
            document = document[step]
        document[path[-1]] = value

    return change


def append(value, *path):
    def change(document):
        for step in path:
            document = document[step]
        document.append(value)

    return change


SET = ["SetLoadBalancerTCPListenerAttribute"]
#: What was made -> what is changed in its document -> the calls, and the fields of the cloud that are others then.
CHANGED = {
    "interval": (
        "own host",
        set_to(7, "listeners", 0, "health_check", "interval"),
        SET,
        {"listeners/tcp/80/TCPListenerConfig/HealthCheckInterval"},
    ),
    "timeout of the listener of the elder group": (
        "groups of one name",
        set_to(60, "listeners", 1, "persistence_timeout"),
        SET,
        {"listeners/tcp/81/TCPListenerConfig/PersistenceTimeout"},
    ),
    "timeout of a listener of the default pool": (
        "default pool",
        set_to(60, "listeners", 0, "persistence_timeout"),
        SET,
        {"listeners/tcp/80/TCPListenerConfig/PersistenceTimeout"},
    ),
    "group of one name": (
        "groups of one name",
        lambda document: set_to(document["listeners"][1]["server_group"], "listeners", 0, "server_group")(document),
        SET,
        {"listeners/tcp/80/VServerGroupId"},
    ),
    "weight": (
        "members' descriptions",
        set_to(5, "server_groups", 0, "backends", 0, "weight"),
        ["SetVServerGroupAttribute"],
        {"members/haproxy-1:8080/Weight"},
    ),
    "description of a member": (
        "members' descriptions",
        set_to("ours", "server_groups", 0, "backends", 0, "description"),
        ["SetVServerGroupAttribute"],
        {"members/haproxy-1:8080/Description"},
    ),
    "entry": (
        "black list",
        append({"cidr": "203.0.113.0/24", "comment": "new"}, "access_lists", 0, "entries"),
        ["AddAccessControlListEntry"],
        {"lists/80-office/203.0.113.0/24"},
    ),
    "one tag of twenty": (
        "20 tags",
        set_to("other", "load_balancer", "tags", "key 7"),
        ["TagResources"],
        {"instance/Tags/key 7"},
    ),
    "protection": (
        "fixed address",
        set_to(True, "load_balancer", "delete_protection"),
        ["SetLoadBalancerDeleteProtection"],
        {"instance/DeleteProtection"},
    ),
    "reason": (
        "protected",
        set_to("ask-them", "load_balancer", "modification_protection", "reason"),
        ["SetLoadBalancerModificationProtection"],
        {"instance/ModificationProtectionReason"},
    ),
    "start": (
        "stopped",
        set_to(True, "listeners", 0, "enabled"),
        ["StartLoadBalancerListener"],
        {"listeners/tcp/80/Status"},
    ),
    "expected answer": (
        "UDP",
        set_to("there", "listeners", 1, "health_check", "expected"),
        ["SetLoadBalancerUDPListenerAttribute"],
        {"listeners/udp/53/UDPListenerConfig/HealthCheckExp"},
    ),
    "tag of a listener": (
        "tags of listeners",
        set_to("other", "listeners", 0, "tags", "team"),
        ["TagResources"],
        {"listeners/tcp/80/Tags"},
    ),
    "weight in the default pool": (
        "default pool",
        set_to(9, "default_pool", "backends", 1, "weight"),
        ["SetBackendServers"],
        {"pool/haproxy-2/Weight"},
    ),
    "timeout of a listener of a primary/secondary group": (
        "primary/secondary groups",
        set_to(60, "listeners", 2, "persistence_timeout"),
        SET,
        {"listeners/tcp/5434/TCPListenerConfig/PersistenceTimeout"},
    ),
    "active": (
        "inactive",
        set_to(True, "load_balancer", "enabled"),
        ["SetLoadBalancerStatus"],
        {"instance/LoadBalancerStatus"},
    ),
    "share": ("bandwidth shares", set_to(10, "listeners", 1, "bandwidth"), SET, {"listeners/tcp/443/Bandwidth"}),
}


def flat(value, prefix=""):
    """Fields of nested answers by their paths; listeners, members and tags by what names them."""
    if prefix.endswith("HttpCode/"):
        value = set(value.split(","))
    if isinstance(value, dict):
        return {path: leaf for key, entry in value.items() for path, leaf in flat(entry, f"{prefix}{key}/").items()}
    return {prefix.rstrip("/"): value}


def fields(cloud, balancer):
    told = everything(cloud, balancer)
    instance = {key: value for key, value in told["instance"].items() if key != "RequestId"}
    pool = instance.pop("BackendServers")["BackendServer"]
    return flat(
        {
            "pool": {entry["ServerId"].removeprefix("i-ut-"): entry for entry in pool},
            "instance": {**instance, "Tags": {tag["TagKey"]: tag["TagValue"] for tag in instance["Tags"]["Tag"]}},
            "listeners": {f"{entry['ListenerProtocol']}/{entry['ListenerPort']}": entry for entry in told["listeners"]},
            "groups": {group["VServerGroupId"]: group for group in told["groups"]},
            "members": {
                f"{entry['ServerId'].removeprefix('i-ut-')}:{entry['Port']}": entry
                for members in told["members"].values()
                for entry in members["BackendServer"]
            },
            "lists": {name: dict(entries) for name, entries, dummy in told["lists"][1]},
        }
    )


@pytest.mark.parametrize(("made", "change", "operations", "expected"), CHANGED.values(), ids=CHANGED)
def test_one_option_changed_in_the_document_changes_only_that(cloud, made, change, operations, expected):
    console = Console(cloud)
    CONSOLE_MADE[made](console)
    document = copy.deepcopy(exported(cloud, console.id).document)
    before = fields(cloud, console.id)
    change(document)
    cloud.forget()
    run = applied(cloud, document)
    assert run.operations == operations and cloud.writes == len(operations)
    after = fields(cloud, console.id)
    assert {path for path in {*before, *after} if before.get(path) != after.get(path)} == expected
    assert not applied(cloud, document).changed


def test_a_server_that_the_document_added_goes_with_it_and_those_by_hand_stay(cloud):
    console = Console(cloud)
    members(server("haproxy-1"), server("haproxy-2", Description="by hand"))(console)
    document = exported(cloud, console.id).document
    kept = copy.deepcopy(document)
    document["server_groups"][0]["backends"].append({"private_ip": "192.0.2.23", "port": 8080})
    assert applied(cloud, document).operations == ["AddVServerGroupBackendServers"]
    del kept["server_groups"][0]["backends"][1]
    removed = applied(cloud, kept)
    assert [step["reason"] for step in removed.steps] == ["remove 1 server: i-ut-haproxy-3:8080"]


@pytest.mark.parametrize("made", ["black list", "members' descriptions", "several"])
def test_what_a_document_adopts_it_owns(cloud, made):
    console = Console(cloud)
    if made == "several":
        several_ports(console)
    else:
        CONSOLE_MADE[made](console)
    document = exported(cloud, console.id, "team").document
    for backend in document["server_groups"][0]["backends"]:
        backend.setdefault("description", "short")
    cloud.forget()
    wanted = {**document, "adopt": True}
    predicted = applied(cloud, wanted, check_mode=True)
    assert cloud.writes == 0
    run = applied(cloud, wanted)
    assert (run.steps, run.diff) == (predicted.steps, predicted.diff)
    assert set(run.operations) == {"TagResources", "SetVServerGroupAttribute"}
    again = applied(cloud, wanted)
    assert not again.changed and not applied(cloud, document).changed
    if made == "members' descriptions":
        # one of them is somebody else's
        assert [member["owner"] for member in again.shown["server_groups"][0]["backends"]] == [
            "team",
            "team",
            "somebody",
        ]
        return
    assert not exported(cloud, console.id, "team").warnings
    assert applied(cloud, {**document, "state": "absent"}).kept == ()
    assert cloud.picture() == []


def test_what_another_owner_has_is_not_adopted(cloud):
    document = {
        "name": "other",
        "load_balancer": {
            "name": "web",
            "address_type": "intranet",
            "vpc_id": "vpc-ut-lab",
            "vswitch_id": "vsw-ut-lab",
        },
    }
    cloud.run(document)
    run = cloud.run({"name": "team", "load_balancer": {"name": "web"}, "adopt": True})
    assert not run.changed
    assert run.outcome.plan.warnings == ("load balancer has the mark of other and stays theirs",)


def test_a_member_that_is_stopped_is_exported_too(cloud):
    console = Console(cloud)
    members(server("haproxy-1"), server("haproxy-2"))(console)
    inventory = cloud.emulator.control("GET", "inventory")
    for machine in inventory["machines"]:
        machine["status"] = "Stopped" if machine["name"] == "haproxy-1" else "Running"
    cloud.emulator.control("PUT", "inventory", inventory)
    found = exported(cloud, console.id)
    assert len(found.document["server_groups"][0]["backends"]) == 2
    assert_nothing_changes(cloud, found, console.id)


def test_a_front_end_of_the_collection_is_exported_by_its_name(cloud):
    made = {
        "name": "prod-api",
        "load_balancer": {"address_type": "intranet", "vpc_id": "vpc-ut-lab", "vswitch_id": "vsw-ut-lab"},
        "server_groups": [
            {"name": "haproxy", "backends": [{"private_ip": "192.0.2.21", "port": 8888, "description": "a"}]}
        ],
        "access_lists": [{"name": "office", "entries": [{"cidr": "192.0.2.0/24"}]}],
        "listeners": [
            {
                "port": 6443,
                "protocol": "tcp",
                "server_group": "haproxy",
                "access_list": {"lists": ["office"], "type": "white"},
            }
        ],
    }
    cloud.run(made)
    found = exported(cloud, "prod-api")
    assert found.document["name"] == "prod-api" and "id" not in found.document["load_balancer"]
    assert "purge_entries" not in found.document["access_lists"][0]
    assert (found.left_out, found.warnings) == ((), ())
    balancer = cloud.slb("DescribeLoadBalancers", PageNumber=1, PageSize=9)["LoadBalancers"]["LoadBalancer"][0]
    assert_nothing_changes(cloud, found, balancer["LoadBalancerId"])
    # on an empty cloud the document makes all of it, but for what only the cloud chooses
    assert not applied(cloud, {**found.document, "state": "absent"}).kept
    assert applied(cloud, found.document).changed
    again = exported(cloud, "prod-api")
    assert again == found


def test_what_a_document_cannot_say_is_told_and_stays(cloud):
    console = Console(cloud)
    default_pool(console)
    console.listener(81, BackendServerPort=80, Description="{{ x }}")
    console.slb("AddBackendServers", LoadBalancerId=console.id, BackendServers=json.dumps([server("master-1")]))
    found = exported(cloud, console.id)
    assert found.left_out == (
        "listeners[tcp/81].description is left out and stays as it is: Ansible would take '{{ x }}' for a template",
    )
    assert_nothing_changes(cloud, found, console.id)


def test_who_else_is_concerned_is_told(cloud):
    console = Console(cloud)
    console.instance(name="other")
    made = console.access_list(entries=[("192.0.2.0/24", "")])
    acl = {"AclStatus": "on", "AclType": "white", "AclId": made}
    console.listener(80, VServerGroupId=console.group(server("haproxy-1")), **acl)
    other = console.id
    console.instance(**PUBLIC)
    group = console.group(server("haproxy-1"))
    console.listener(80, VServerGroupId=group, **acl)
    console.listener(443, VServerGroupId=group)
    assert exported(cloud, console.id, owner="team").warnings == (
        "load balancer, server group web, listener tcp/80, listener tcp/443 and access list office do not have the mark of team,"
        " and applying the document sets none: state 'absent' leaves them",
        "tcp/443 of this public load balancer is open to everybody; to make such a listener anew, allow_public has to be true,"
        " which the document leaves to you",
        f"access list office ({made}) is also used by tcp/80 of {other}: what the document says of it counts there too",
    )


def test_a_name_of_several_is_one_sentence_with_their_ids(cloud):
    console = Console(cloud)
    ids = [console.instance(), console.instance()]
    sentence = (
        f"load_balancer 'web' fits 2 instances, {ids[0]} and {ids[1]}; give the id of the one that is meant instead"
    )
    with pytest.raises(LookupFailed) as caught:
        exported(cloud, "web")
    assert str(caught.value) == sentence
    assert exported(cloud, ids[1]).document["load_balancer"]["id"] == ids[1]
    with pytest.raises(LookupFailed, match="load_balancer 'none' does not exist in this region"):
        exported(cloud, "none")


def anything(number):
    """A load balancer that somebody made without looking."""
    some = random.Random(number)

    def make(console):
        console.instance(
            name=f"web-{number}",
            **some.choice([PRIVATE, PUBLIC, BY_SIZE, {**PRIVATE, "DeleteProtection": "on"}]),
            Tag=[{"Key": f"k{index}", "Value": some.choice(["", "v", "a: b"])} for index in range(some.randrange(4))],
        )
        lists = [
            console.access_list(f"list-{index}", [(f"198.51.100.{index}/32", some.choice(["", "#x"]))])
            for index in range(some.randrange(3))
        ]
        groups = [
            console.group(
                *(
                    server(name, some.choice([80, 8080]), some.randrange(101), Description=some.choice(["", "by hand"]))
                    for name in some.sample(WEB, some.randrange(4))
                ),
                name=some.choice(["web", "api", "x y"]),
            )
            for dummy in range(1 + some.randrange(4))
        ]
        for port in some.sample(range(1, 65536), some.randrange(6)):
            check = some.choice(
                [{}, {"HealthCheckSwitch": "off"}, HTTP_CHECK, {**HTTP_CHECK, "HealthCheckDomain": "$_ip"}]
            )
            acl = {"AclStatus": "on", "AclType": some.choice(["white", "black"]), "AclId": ",".join(lists)}
            console.listener(
                port,
                start=some.random() < 0.8,
                **some.choice([{"VServerGroupId": some.choice(groups)}, {"BackendServerPort": 8080}]),
                **check,
                **(acl if lists and some.random() < 0.5 else {}),
                Scheduler=some.choice(["wrr", "rr", "sch"]),
                PersistenceTimeout=some.choice([0, 60]),
                Description=some.choice(["", f"port {port}: web"]),
            )
        if some.random() < 0.2:
            console.slb("SetLoadBalancerStatus", LoadBalancerId=console.id, LoadBalancerStatus="inactive")

    return make


@pytest.mark.parametrize("number", range(25))
def test_whatever_was_made_the_document_changes_nothing(cloud, number):
    console = Console(cloud)
    anything(number)(console)
    assert_nothing_changes(cloud, exported(cloud, console.id), console.id)


#: What listeners of layer 7 and rules have of their own.
STICKY = (
    {"StickySession": "off"},
    {"StickySession": "on", "StickySessionType": "insert", "CookieTimeout": 60},
    {"StickySession": "on", "StickySessionType": "server", "Cookie": "session"},
)
CHECKED = (
    {"HealthCheck": "off"},
    {"HealthCheck": "on", "HealthCheckConnectPort": 8081, "HealthCheckDomain": "$_ip"},
    {"HealthCheck": "on", "HealthCheckURI": "/readyz?a=b", "HealthCheckHttpCode": "http_3xx,http_2xx"},
)
SWITCHES = ("Gzip", "XForwardedFor", "XForwardedFor_SLBID", "XForwardedFor_proto", "XForwardedFor_ClientSrcPort")


def anything_of_layer_7(number):
    """A front end of layer 7 that somebody made without looking: what is the region's has names, or none, or one of others."""
    some = random.Random(number)

    def uploaded(console, kind, **content):
        named = some.choice([{}, {f"{kind}Name": "www"}, {f"{kind}Name": f"name-{some.randrange(99)}"}])
        return console.slb(f"Upload{kind}", **named, **content)[f"{kind}Id"]

    def ruled(console, port, protocol, groups):
        place = {"LoadBalancerId": console.id, "ListenerPort": port, "ListenerProtocol": protocol}
        hosts = [{"Domain": name} for name in ("www.example.com", "*.example.com")]
        paths = [{"Url": "/api"}, {"Domain": "www.example.com", "Url": "/api?a=b%20c"}]
        chosen = some.sample([*hosts, *paths], 1 + some.randrange(4))
        rules = [
            {**rule, "RuleName": f"r{index}", "VServerGroupId": some.choice(groups)}
            for index, rule in enumerate(chosen)
        ]
        made = console.slb("CreateRules", **place, RuleList=json.dumps(rules))["Rules"]["Rule"]
        for rule in some.sample(made, some.randrange(len(made) + 1)):
            own = {**some.choice(STICKY), **some.choice(CHECKED), "Scheduler": some.choice(["wrr", "rr"])}
            console.slb("SetRule", RuleId=rule["RuleId"], ListenerSync="off", **own)

    def make(console):
        console.instance(name=f"web-{number}", **some.choice([PRIVATE, PUBLIC]))
        groups = [console.group(server("haproxy-1"), name=name) for name in ("web", "api", "web")]
        pairs = (OLD_PAIR, NEW_PAIR, API_PAIR)
        certificates = [
            uploaded(
                console, "ServerCertificate", ServerCertificate=pair["certificate"], PrivateKey=pair["private_key"]
            )
            for pair in some.sample(pairs, 1 + some.randrange(3))
        ]
        authority = uploaded(console, "CACertificate", CACertificate=WEB_MADE["ca_certificates"][0]["certificate"])
        policy = {"TLSVersions": ["TLSv1.2"], "Ciphers": ["ECDHE-RSA-AES128-GCM-SHA256"]}
        policies = [
            console.slb("CreateTLSCipherPolicy", Name="strict", **policy)["TLSCipherPolicyId"] for dummy in "ab"
        ]
        for port in some.sample(range(1000, 2000), 1 + some.randrange(3)):
            protocol = some.choice(["http", "https"])
            secured = {
                "ServerCertificateId": some.choice(certificates),
                "EnableHttp2": some.choice(["on", "off"]),
                **some.choice([{}, {"CACertificateId": authority}]),
                **some.choice(
                    [{}, *({"TLSCipherPolicy": name} for name in (*policies, "tls_cipher_policy_1_2_strict"))]
                ),
            }
            console.slb(
                f"CreateLoadBalancer{protocol.upper()}Listener",
                **{"LoadBalancerId": console.id, "ListenerPort": port, "Bandwidth": some.choice([-1, 10])},
                **some.choice([{"VServerGroupId": some.choice(groups)}, {"BackendServerPort": 8080}]),
                **some.choice(STICKY),
                **{"HealthCheckMethod": some.choice(["head", "get"]), **some.choice(CHECKED)},
                **{name: some.choice(["on", "off"]) for name in SWITCHES},
                **some.choice(
                    [{}, {"IdleTimeout": 30, "RequestTimeout": 120, "Scheduler": "rr", "Description": "a: b"}]
                ),
                **(secured if protocol == "https" else {}),
            )
            if some.random() < 0.8:
                place = {"LoadBalancerId": console.id, "ListenerPort": port}
                console.slb("StartLoadBalancerListener", **place, ListenerProtocol=protocol)
            if some.random() < 0.7:
                ruled(console, port, protocol, groups)
            for domain in ("api.example.com", "*.example.com") if protocol == "https" and some.random() < 0.5 else ():
                place = {"LoadBalancerId": console.id, "ListenerPort": port}
                console.slb(
                    "CreateDomainExtension", **place, Domain=domain, ServerCertificateId=some.choice(certificates)
                )
            if protocol == "https" and some.random() < 0.5:
                redirect = {"ListenerForward": "on", "ForwardPort": port, "HealthCheck": "off", "StickySession": "off"}
                console.slb(
                    "CreateLoadBalancerHTTPListener", LoadBalancerId=console.id, ListenerPort=port - 900, **redirect
                )

    return make


@pytest.mark.parametrize("number", range(12))
def test_whatever_of_layer_7_was_made_the_document_changes_nothing(cloud, number):
    console = Console(cloud)
    anything_of_layer_7(number)(console)
    assert_nothing_changes(cloud, exported(cloud, console.id), console.id)


@pytest.fixture
def play(cloud, collections_path, tmp_path):
    """Run a playbook against the emulated cloud."""

    def run(*arguments):
        endpoint = f"http://{cloud.emulator.address}"
        return subprocess.run(
            [str(pathlib.Path(sys.executable).parent / "ansible-playbook"), *arguments],
            cwd=tmp_path,
            env={
                **os.environ,
                "PWD": str(tmp_path),
                "ANSIBLE_COLLECTIONS_PATH": str(collections_path),
                "ANSIBLE_LOCALHOST_WARNING": "false",
                "ALIBABA_CLOUD_REGION": REGION,
                "ALIBABA_CLOUD_ACCESS_KEY_ID": KEY["access_key_id"],
                "ALIBABA_CLOUD_ACCESS_KEY_SECRET": KEY["access_key_secret"],
                "SLB_ENDPOINT": endpoint,
                "ECS_ENDPOINT": endpoint,
            },
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.mark.parametrize("made", ["description", "black list"])
def test_what_is_written_runs_and_changes_nothing(cloud, play, tmp_path, made):
    console = Console(cloud)
    CONSOLE_MADE[made](console)
    done = play("clusterfront.ha.export_frontend", "-e", f"export_frontend_load_balancer={console.id}")
    assert done.returncode == 0, done.stdout + done.stderr
    written = tmp_path / "frontend-web.yml"
    assert written.is_file()
    cloud.forget()
    for arguments in (["--check"], []):
        done = play(str(written), *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "changed=0" in done.stdout
    assert cloud.writes == 0


def test_which_load_balancer_has_to_be_said(play):
    done = play("clusterfront.ha.export_frontend")
    assert (
        done.returncode != 0
        and "say which load balancer: -e export_frontend_load_balancer=" in done.stdout + done.stderr
    )
