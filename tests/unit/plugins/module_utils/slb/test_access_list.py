# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Access lists: what a document says of them, and the steps, users and warnings that come of it."""

from __future__ import annotations

import dataclasses
import ipaddress
import json

import pytest

from ansible_collections.clusterfront.ha.plugins.module_utils._slb import view
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.document import (
    Access,
    AccessList,
    AclEntry,
    FrontEnd,
    LoadBalancer,
    front_end,
    region_only,
)
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.errors import DocumentError, Immutable, LookupFailed
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.plan import build
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.state import CloudState, Joined, Observed, Ref
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.resources import access_list
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.resources import listener as listeners

OWNER = "prod"
USER = {"load_balancer": "lb-1", "protocol": "tcp", "port": 6443, "type": "white"}
LIST = Observed(
    AccessList(
        id="acl-1",
        name="office",
        address_ip_version="ipv4",
        entries=(AclEntry("192.0.2.0/24", "first"), AclEntry("198.51.100.1/32", "")),
        tags={"team": "one"},
    ),
    id="acl-1",
    owner=OWNER,
    facts={"listeners": [USER], "texts": {"192.0.2.0/24": "192.0.2.0/24", "198.51.100.1/32": "198.51.100.1"}},
)
INSTANCE = Observed(LoadBalancer(id="lb-1", name=OWNER, address_type="internet", tags={}), id="lb-1", owner=OWNER)
LISTENER = Observed(
    dataclasses.replace(
        listeners.normalised(listeners.defaults("tcp", 6443)),
        backend_port=80,
        enabled=True,
        access_list=Access(("office",), "white"),
    ),
    id="tcp/6443",
    owner=OWNER,
    status="running",
)
STATE = CloudState(load_balancer=INSTANCE, listeners=(LISTENER,), access_lists=(LIST,))


def alone(**options):
    return region_only({"name": OWNER, "access_lists": [{"name": "office", **options}]})


def whole(listener, *lists, **options):
    entry = {"port": 6443, "protocol": "tcp", "backend_port": 80, "enabled": True, **listener}
    return front_end({"name": OWNER, "listeners": [entry], "access_lists": list(lists), **options})


def entries(step):
    return json.loads(step.parameters["AclEntrys"])


# documents


@pytest.mark.parametrize(
    ("given", "means"),
    [
        ("192.0.2.1", "192.0.2.1/32"),
        ("192.0.2.0/24", "192.0.2.0/24"),
        ("2001:DB8::1", "2001:db8::1/128"),
        ("0.0.0.0/0", "0.0.0.0/0"),
    ],
)
def test_networks_have_one_spelling(given, means):
    desired = alone(entries=[{"cidr": given, "comment": "x"}], caller_cidrs=[given]).access_lists[0]
    assert desired.entries == (AclEntry(means, "x"),) and desired.caller_cidrs == (means,)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            {"entries": [{"cidr": "office"}]},
            r"access_lists\[office\]\.entries\[\]\.cidr has 'office', which is no network; write",
        ),
        ({"caller_cidrs": ["192.0.2.300"]}, r"caller_cidrs has '192.0.2.300', which is no network"),
        ({"entries": [{"cidr": "192.0.2.1/24"}]}, "is an address inside of a network; the network is 192.0.2.0/24"),
        ({"entries": [{"cidr": "192.0.2.1"}, {"cidr": "192.0.2.1/32"}]}, "has 192.0.2.1/32 more than once"),
        ({"name": "-"}, r"access_lists\[-\]\.name is '-', but it has to begin with a letter"),
        ({"name": None}, "has an entry with neither name nor id; one of the two is needed"),
        (
            {"entries": [{"cidr": f"198.51.{n // 256}.{n % 256}"} for n in range(301)]},
            "entries has 301 networks; at most 300 are possible in a list",
        ),
    ],
)
def test_what_can_never_be(options, sentence):
    with pytest.raises(DocumentError, match=sentence):
        alone(**options)


def test_a_list_is_there_once():
    with pytest.raises(DocumentError, match="access_lists has office more than once"):
        whole({}, {"name": "office"}, {"name": "office"})


# plans


def test_a_new_list():
    plan = build(
        alone(entries=[{"cidr": f"192.0.2.{host}"} for host in range(51)], tags={"a": "b"}, purge_entries=False),
        CloudState(),
    )
    assert plan.steps[0].parameters == {
        "AclName": "office",
        "AddressIPVersion": "ipv4",
        "Tag": [{"Key": "a", "Value": "b"}, {"Key": "clusterfront:owner", "Value": OWNER}],
    }
    assert [len(entries(step)) for step in plan.steps[1:]] == [50, 1]
    assert {step.parameters["AclId"] for step in plan.steps[1:]} == {Ref("access_list:office")}
    assert len(plan.predicted.access_lists[0].config.entries) == 51


def test_an_entry_goes_by_the_text_that_the_cloud_has():
    plan = build(alone(entries=[{"cidr": "192.0.2.0/24"}]), STATE)
    assert [step.operation for step in plan.steps] == ["RemoveAccessControlListEntry"]
    assert entries(plan.steps[0]) == [{"entry": "198.51.100.1", "comment": ""}]


def test_nothing_to_do():
    assert not build(alone(), STATE).changed
    assert not build(
        alone(entries=[{"cidr": "192.0.2.0/24"}, {"cidr": "198.51.100.1"}], tags={"team": "one"}), STATE
    ).steps
    assert not build(alone(state="absent"), CloudState()).changed


def test_all_that_changes():
    plan = build(
        region_only(
            {
                "name": OWNER,
                "access_lists": [
                    {
                        "id": "acl-1",
                        "name": "home",
                        "tags": {"a": "b"},
                        "entries": [{"cidr": "192.0.2.0/24", "comment": "second"}, {"cidr": "203.0.113.0/24"}],
                    }
                ],
            }
        ),
        STATE,
    )
    assert [(step.verb, step.operation) for step in plan.steps] == [
        ("update", "SetAccessControlListAttribute"),
        ("add", "AddAccessControlListEntry"),
        ("remove", "RemoveAccessControlListEntry"),
        ("remove", "RemoveAccessControlListEntry"),
        ("add", "AddAccessControlListEntry"),
        ("tag", "TagResources"),
    ]
    found = plan.predicted.access_lists[0].config
    assert (found.name, found.tags) == ("home", {"team": "one", "a": "b"})
    assert found.entries == (AclEntry("192.0.2.0/24", "second"), AclEntry("203.0.113.0/24", ""))


def test_a_full_list_makes_room_first():
    has = {f"198.51.100.{n}/32": "" for n in range(256)} | {f"203.0.113.{n}/32": "" for n in range(24)}
    steps = access_list._entry_steps("s", "acl-1", has, {f"192.0.2.{n}/32": "" for n in range(50)}, {})
    assert [step.verb for step in steps] == ["remove", "add"] + ["remove"] * 5


@pytest.mark.parametrize(
    ("options", "kind", "sentence"),
    [
        ({"address_ip_version": "ipv6"}, Immutable, "is 'ipv4' and cannot become 'ipv6'; leave the option out"),
        ({"entries": [{"cidr": "2001:db8::/32"}]}, DocumentError, "has '2001:db8::/32', but the list is for ipv4"),
        (
            {"state": "absent"},
            DocumentError,
            "because it is used by tcp/6443 of lb-1; take it out of access_list there",
        ),
        (
            {"entries": [{"cidr": f"198.51.{n // 256}.{n % 256}"} for n in range(2, 301)], "purge_entries": False},
            DocumentError,
            "would leave 301 networks in the list, for purge_entries is false; at most 300",
        ),
    ],
)
def test_what_this_list_cannot_become(options, kind, sentence):
    with pytest.raises(kind, match=sentence):
        build(alone(**options), STATE)


def test_two_lists_of_one_name_and_an_id_of_none():
    twice = dataclasses.replace(STATE, access_lists=(LIST, dataclasses.replace(LIST, id="acl-2")))
    with pytest.raises(
        LookupFailed, match="the name 'office' fits 2 lists, acl-1 and acl-2; say which one is meant by id"
    ):
        build(alone(), twice)
    with pytest.raises(LookupFailed, match="the id 'acl-9' does not exist in this region"):
        build(region_only({"name": OWNER, "access_lists": [{"id": "acl-9"}]}), STATE)


def test_a_listener_and_its_new_lists_in_one_plan():
    fresh = [{"name": name, "entries": [{"cidr": "192.0.2.1"}]} for name in ("b", "office")]
    plan = build(
        whole({"port": 80, "access_list": {"lists": ["office", "b"], "type": "white"}}, *fresh),
        CloudState(load_balancer=INSTANCE, access_lists=(LIST,)),
    )
    create = next(step for step in plan.steps if step.operation == "CreateLoadBalancerTCPListener")
    assert create.parameters["AclId"] == Joined((Ref("access_list:b"), "acl-1"))
    assert (create.parameters["AclStatus"], create.parameters["AclType"]) == ("on", "white")


def test_a_list_goes_after_the_listener_let_it_go():
    plan = build(whole({"access_list": {"lists": []}}, {"name": "office", "state": "absent"}, allow_public=True), STATE)
    assert [step.operation for step in plan.steps] == ["SetLoadBalancerTCPListenerAttribute", "DeleteAccessControlList"]
    assert plan.steps[0].parameters["AclStatus"] == "off" and "AclId" not in plan.steps[0].parameters
    assert plan.predicted.access_lists == ()


@pytest.mark.parametrize(
    ("access", "lists", "sentence"),
    [
        ({"lists": []}, [], "would lose the allow list that guards it, and be open to the whole internet on prod"),
        ({"type": "black"}, [], "would lose the allow list"),
        ({}, [{"name": "office", "entries": []}], "would lose the allow list"),
        (
            {"lists": ["none"]},
            [],
            "has 'none', but neither this document nor the region has an access list of that name",
        ),
    ],
)
def test_a_public_listener_keeps_its_guard(access, lists, sentence):
    with pytest.raises(DocumentError, match=sentence):
        build(whole({"access_list": access}, *lists), STATE)


def test_both_halves_of_all_addresses_are_no_guard():
    halves = [{"cidr": str(half)} for half in ipaddress.ip_network("0.0.0.0/0").subnets()]
    with pytest.raises(DocumentError, match="would lose the allow list"):
        build(whole({}, {"name": "office", "entries": halves}), STATE)
    assert build(whole({}, {"name": "office", "entries": halves[:1]}), STATE).changed


def test_a_list_that_was_not_read_guards():
    unread = dataclasses.replace(LIST, config=dataclasses.replace(LIST.config, entries=None))
    assert build(whole({"persistence_timeout": 5}), dataclasses.replace(STATE, access_lists=(unread,))).changed


@pytest.mark.parametrize(
    ("access", "sentence"),
    [
        ({"type": "white"}, "access_list.type is 'white', but there are no lists"),
        ({"lists": ["office"]}, "but no type"),
    ],
)
def test_half_of_an_access_list(access, sentence):
    bare = dataclasses.replace(LISTENER, config=dataclasses.replace(LISTENER.config, access_list=Access(lists=())))
    for state in (dataclasses.replace(STATE, listeners=(bare,)), dataclasses.replace(STATE, listeners=())):
        with pytest.raises(DocumentError, match=sentence):
            build(whole({"access_list": access}, allow_public=True), state)


def test_families_of_list_and_instance():
    six = dataclasses.replace(INSTANCE, config=dataclasses.replace(INSTANCE.config, address_ip_version="ipv6"))
    with pytest.raises(DocumentError, match="has 'office', which is for ipv4, but the load balancer prod is ipv6"):
        build(whole({"persistence_timeout": 5}), dataclasses.replace(STATE, load_balancer=six))


# removal


def test_a_removal():
    other = {**USER, "load_balancer": "lb-2"}
    ours = front_end({"name": OWNER, "state": "absent"})
    plan = build(ours, STATE)
    assert [step.operation for step in plan.steps][
        -1
    ] == "DeleteAccessControlList" and plan.predicted.access_lists == ()
    shared = dataclasses.replace(LIST, facts={"listeners": [USER, other]})
    plan = build(ours, dataclasses.replace(STATE, access_lists=(shared,)))
    assert plan.kept == ("access list office (acl-1) stays: it is used by tcp/6443 of lb-2",)
    # what manages the instance alone has no say in the lists of the region
    plan = build(front_end({"name": OWNER, "state": "absent", "keeps_region": True}), STATE)
    assert (plan.steps[-1].operation, plan.predicted.access_lists) == ("DeleteLoadBalancer", (LIST,))
    foreign = dataclasses.replace(LIST, owner="somebody", facts={"listeners": []})
    plan = build(ours, CloudState(access_lists=(foreign,)))
    assert (plan.steps, plan.kept) == ((), ())


# warnings


@pytest.mark.parametrize(
    ("options", "used_as", "warnings"),
    [
        ({"caller_cidrs": ["192.0.2.7"]}, "white", []),
        ({"caller_cidrs": ["192.0.2.7"]}, "black", ["shuts out 192.0.2.7/32, which caller_cidrs names"]),
        ({"caller_cidrs": ["203.0.113.0/24"]}, "white", ["shuts out 203.0.113.0/24"]),
        ({"caller_cidrs": ["203.0.113.0/24"]}, "black", []),
        ({"caller_cidrs": ["203.0.113.0/24"]}, None, ["shuts out 203.0.113.0/24"]),
        ({"entries": []}, "white", ["is an allow list without entries"]),
        ({"entries": []}, "black", []),
        ({"state": "absent"}, None, []),
    ],
)
def test_warnings(options, used_as, warnings):
    has = dataclasses.replace(LIST, facts={"listeners": [{**USER, "type": used_as}] if used_as else []})
    found = build(alone(**options), CloudState(access_lists=(has,))).warnings
    assert len(found) == len(warnings) and all(text in said for text, said in zip(warnings, found))


# what the cloud tells, and what is shown


def test_a_list_as_the_api_tells_it():
    told = {
        "AclId": "acl-1",
        "AclName": "office",
        "CreateTime": "t",
        "Tags": {"Tag": [{"TagKey": "clusterfront:owner", "TagValue": "me"}, {"TagKey": "a", "TagValue": "b"}]},
    }
    found = access_list.observe(told)
    assert (found.owner, found.config.tags, found.config.address_ip_version) == ("me", {"a": "b"}, "ipv4")
    assert found.config.entries is None


@pytest.mark.parametrize(
    ("told", "access"),
    [
        ({"AclStatus": "off", "AclId": "acl-1", "AclType": "white"}, Access(lists=())),
        ({}, Access(lists=())),
        ({"AclStatus": "on", "AclId": "acl-2,acl-1", "AclType": "black"}, Access(("acl-1", "acl-2"), "black")),
    ],
)
def test_the_lists_of_a_listener_as_the_api_tells_them(told, access):
    found = listeners.observe({"ListenerPort": 80, "ListenerProtocol": "tcp", **told}, {})
    assert found.config.access_list == access
    named = listeners.with_names(FrontEnd(OWNER, LoadBalancer()), [found], CloudState(access_lists=(LIST,)))[
        0
    ].config.access_list.lists
    assert named == tuple(sorted({"acl-1": "office"}.get(name, name) for name in access.lists))


def test_what_is_shown():
    document = alone()
    shown = view.front_end(document, CloudState(access_lists=(LIST,)))
    assert shown["access_lists"] == [
        {
            "id": "acl-1",
            "name": "office",
            "address_ip_version": "ipv4",
            "entries": [{"cidr": "192.0.2.0/24", "comment": "first"}, {"cidr": "198.51.100.1/32", "comment": ""}],
            "tags": {"team": "one"},
            "owner": OWNER,
            "listeners": [USER],
        }
    ]
    assert shown["load_balancer"] is None
    assert set(view.difference(document, CloudState(access_lists=(LIST,)))["access_lists"][0]).isdisjoint(
        {"id", "listeners"}
    )
    other = region_only({"name": OWNER, "access_lists": [{"id": "acl-2"}]})
    assert view.front_end(other, CloudState(access_lists=(LIST,))) is None
    assert view.listener(LISTENER)["access_list"] == {"lists": ["office"], "type": "white"}
    removal = front_end({"name": OWNER, "state": "absent"})
    assert view.front_end(removal, CloudState(access_lists=(LIST,)))["access_lists"][0]["id"] == "acl-1"
