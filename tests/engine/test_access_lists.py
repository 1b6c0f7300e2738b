# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Access lists on the emulated cloud, alone and on listeners."""

from __future__ import annotations

import pytest

from ansible_collections.clusterfront.ha.plugins.module_utils._slb.document import region_only, partial
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.errors import (
    ApiError,
    DocumentError,
    Immutable,
    LookupFailed,
)

LAB = {"address_type": "intranet", "vpc_id": "vpc-ut-lab", "vswitch_id": "vsw-ut-lab"}
PUBLIC = {"address_type": "internet"}
BLANK = {"purge_entries": True, "state": "present"}


def hosts(*numbers, comment=None):
    return [{"cidr": f"198.51.100.{number}", "comment": comment} for number in numbers]


def office(*entries, **options):
    return {"name": "office", **BLANK, "entries": list(entries), **options}


def alone(cloud, access_list, **options):
    """What slb_acl does."""
    owner = access_list.get("name") or access_list.get("id")
    return cloud.run({"name": owner, "access_lists": [access_list]}, make=region_only, **options)


def listener(**options):
    return {"port": 6443, "protocol": "tcp", "backend_port": 80, "enabled": True, "state": "present", **options}


def front(*listeners, access_lists=None, load_balancer=None, **options):
    lists = [office({"cidr": "192.0.2.0/24"})] if access_lists is None else access_lists
    return {
        "name": "prod-api",
        "load_balancer": load_balancer or LAB,
        "listeners": list(listeners),
        "access_lists": lists,
        **options,
    }


WHITE = {"lists": ["office"], "type": "white"}


def predicted_and_done(cloud, options, **settings):
    predicted = cloud.run(options, check_mode=True, **settings)
    done = cloud.run(options, **settings)
    assert (done.steps, done.diff) == (predicted.steps, predicted.diff)
    assert not cloud.run(options, **settings).changed
    return done


def test_a_list_alone(cloud):
    wanted = {"name": "office", "access_lists": [office(*hosts(*range(120)), tags={"team": "one"})]}
    made = predicted_and_done(cloud, wanted, make=region_only)
    assert made.operations == ["CreateAccessControlList"] + ["AddAccessControlListEntry"] * 3
    shown = made.shown["access_lists"][0]
    assert (shown["name"], shown["owner"], shown["tags"]) == ("office", "office", {"team": "one"})
    assert (shown["address_ip_version"], len(shown["entries"]), shown["listeners"]) == ("ipv4", 120, [])
    assert shown["entries"][0] == {"cidr": "198.51.100.0/32", "comment": ""}
    assert made.shown["load_balancer"] is None
    cloud.forget()
    assert not alone(cloud, wanted["access_lists"][0]).changed
    assert cloud.counts == {"DescribeAccessControlLists": 1, "DescribeAccessControlListAttribute": 3}
    # what is not said stays
    assert not alone(cloud, {"name": "office", **BLANK}).changed


def test_many_lists_are_paged(cloud):
    for number in range(55):
        cloud.slb("CreateAccessControlList", AclName=f"list-{number}")
    made = alone(cloud, office())
    assert made.operations == ["CreateAccessControlList"] and not alone(cloud, office()).changed


def test_the_difference_only_and_never_an_empty_list_on_the_way(cloud):
    alone(cloud, office(*hosts(*range(60), comment="old")))
    wanted = office(*hosts(*range(50, 60), comment="new"), *hosts(*range(60, 130)))
    changed = alone(cloud, wanted)
    assert [step["reason"].partition(":")[0] for step in changed.steps] == [
        "add 50 entries",
        "add 20 entries",
        "remove 50 entries",
        "remove 10 entries",
        "add 10 entries",
    ]
    entries = {entry["cidr"]: entry["comment"] for entry in changed.shown["access_lists"][0]["entries"]}
    assert set(entries.values()) == {"new", ""} and entries["198.51.100.50/32"] == "new" and len(entries) == 80
    # no comment said: the comment stays
    assert not alone(cloud, office(*hosts(*range(50, 130)))).changed


def test_comments_of_all_entries_change_in_two_goes(cloud):
    alone(cloud, office(*hosts(1, 2, 3)))
    changed = alone(cloud, office(*hosts(1, 2, 3, comment="x")))
    assert [step["reason"].partition(":")[0] for step in changed.steps] == [
        "remove 2 entries",
        "add 2 entries",
        "remove 1 entry",
        "add 1 entry",
    ]
    assert {entry["comment"] for entry in changed.shown["access_lists"][0]["entries"]} == {"x"}


def test_a_full_list_is_exchanged(cloud):
    before = [{"cidr": f"198.51.100.{n % 256}" if n < 256 else f"203.0.113.{n - 256}"} for n in range(300)]
    after = [{"cidr": f"192.0.2.{n}" if n < 256 else f"203.0.113.{n}"} for n in range(212)]
    alone(cloud, office(*before))
    with pytest.raises(DocumentError, match="entries would leave 512 networks in the list, for purge_entries is false"):
        alone(cloud, office(*after, purge_entries=False))
    changed = alone(cloud, office(*after))
    assert len(changed.steps) == 6 + 5 and len(changed.shown["access_lists"][0]["entries"]) == 212


def test_what_others_added_stays_without_purge(cloud):
    alone(cloud, office(*hosts(1)))
    changed = alone(cloud, office(*hosts(2), purge_entries=False))
    assert [entry["cidr"] for entry in changed.shown["access_lists"][0]["entries"]] == [
        "198.51.100.1/32",
        "198.51.100.2/32",
    ]


def test_tags_and_a_new_name(cloud):
    made = alone(cloud, office(*hosts(1), tags={"a": "1"})).shown["access_lists"][0]
    by_id = {"id": made["id"], "name": "home", **BLANK, "tags": {"b": "2"}}
    changed = alone(cloud, by_id)
    assert changed.operations == ["SetAccessControlListAttribute", "TagResources"]
    assert changed.shown["access_lists"][0] == {**made, "name": "home", "tags": {"a": "1", "b": "2"}}
    assert not alone(cloud, by_id).changed


def test_families(cloud):
    alone(cloud, office(*hosts(1)))
    with pytest.raises(Immutable, match="address_ip_version of office .* is 'ipv4' and cannot become 'ipv6'"):
        alone(cloud, office(address_ip_version="ipv6"))
    with pytest.raises(DocumentError, match="has '2001:db8::/32', but the list is for ipv4"):
        alone(cloud, office({"cidr": "2001:db8::/32"}))
    six = {"name": "six", **BLANK, "address_ip_version": "ipv6", "entries": [{"cidr": "2001:DB8::1"}]}
    assert alone(cloud, six).shown["access_lists"][0]["entries"] == [{"cidr": "2001:db8::1/128", "comment": ""}]
    assert not alone(cloud, six).changed
    with pytest.raises(DocumentError, match="has 'six', which is for ipv6, but the load balancer prod-api is ipv4"):
        cloud.run(front(listener(access_list={"lists": ["six"], "type": "white"})))
    assert cloud.picture()[0][0] == "office"


def test_an_id_of_nothing(cloud):
    with pytest.raises(LookupFailed, match="the id 'acl-none' does not exist in this region"):
        alone(cloud, {"id": "acl-none", **BLANK})
    assert not alone(cloud, {"id": "acl-none", **BLANK, "state": "absent"}).changed


def test_a_guarded_front_end(cloud):
    made = predicted_and_done(cloud, front(listener(access_list=WHITE)))
    assert made.operations == [
        "CreateLoadBalancer",
        "CreateAccessControlList",
        "AddAccessControlListEntry",
        "CreateLoadBalancerTCPListener",
        "StartLoadBalancerListener",
    ]
    assert made.shown["listeners"][0]["access_list"] == {"lists": ["office"], "type": "white"}
    assert made.shown["access_lists"][0]["owner"] == "prod-api"
    assert cloud.access_lists() == [("office", [("192.0.2.0/24", "")], [(6443, "white")])]

    # another option changes, and the lists are sent along
    other = cloud.run(front(listener(persistence_timeout=60), access_lists=[]))
    assert other.operations == ["SetLoadBalancerTCPListenerAttribute"]
    assert other.shown["listeners"][0]["access_list"] == {"lists": ["office"], "type": "white"}

    black = predicted_and_done(cloud, front(listener(access_list={"type": "black"})))
    assert [step["reason"] for step in black.steps] == ["change access_list.type from white to black"]

    more = [office({"cidr": "192.0.2.0/24"}), {"name": "home", **BLANK, "entries": hosts(1)}]
    both = predicted_and_done(cloud, front(listener(access_list={"lists": ["office", "home"]}), access_lists=more))
    assert both.operations[-1] == "SetLoadBalancerTCPListenerAttribute"
    assert cloud.access_lists()[0][2] == cloud.access_lists()[1][2] == [(6443, "black")]

    bare = predicted_and_done(cloud, front(listener(access_list={"lists": []}), access_lists=[]))
    assert bare.shown["listeners"][0]["access_list"] == {"lists": [], "type": None}
    assert [users for dummy, entries, users in cloud.access_lists()] == [[], []]


def test_a_list_by_its_id(cloud):
    made = alone(cloud, office(*hosts(1))).shown["access_lists"][0]
    by_id = front(listener(access_list={"lists": [made["id"]], "type": "white"}), access_lists=[])
    assert predicted_and_done(cloud, by_id).shown["listeners"][0]["access_list"]["lists"] == ["office"]


def test_a_list_of_a_listener_is_renamed(cloud):
    cloud.run(front(listener(access_list=WHITE)))
    list_id = cloud.slb("DescribeAccessControlLists")["Acls"]["Acl"][0]["AclId"]
    renamed = front(
        listener(access_list={"lists": ["home"]}, persistence_timeout=60),
        access_lists=[{"id": list_id, "name": "home", **BLANK}],
    )
    changed = predicted_and_done(cloud, renamed)
    assert changed.operations == ["SetAccessControlListAttribute", "SetLoadBalancerTCPListenerAttribute"]


def test_a_list_in_use_is_not_deleted(cloud):
    made = cloud.run(front(listener(access_list=WHITE)))
    balancer = made.shown["load_balancer"]["id"]
    gone = office(state="absent")
    sentence = rf"access list office \(acl-\w+\) cannot be deleted, because it is used by tcp/6443 of {balancer};"
    with pytest.raises(DocumentError, match=sentence):
        alone(cloud, gone)
    with pytest.raises(DocumentError, match=sentence):
        cloud.run(front(listener(), access_lists=[gone]))
    # in one document: the listener lets it go first
    done = predicted_and_done(cloud, front(listener(access_list={"lists": []}), access_lists=[gone]))
    assert done.operations == ["SetLoadBalancerTCPListenerAttribute", "DeleteAccessControlList"]
    cloud.run(front(listener(access_list=WHITE)))
    done = predicted_and_done(cloud, front(listener(state="absent"), access_lists=[gone]))
    assert done.operations == ["DeleteLoadBalancerListener", "DeleteAccessControlList"]


def test_a_removal_takes_our_lists_last_and_leaves_those_that_others_use(cloud):
    cloud.run(front(listener(access_list=WHITE)))
    alone(cloud, {"name": "home", **BLANK})
    removal = {"name": "prod-api", "state": "absent"}
    assert predicted_and_done(cloud, removal).operations == [
        "DeleteLoadBalancerListener",
        "DeleteLoadBalancer",
        "DeleteAccessControlList",
    ]
    assert cloud.access_lists() == [("home", [], [])]
    cloud.run(front(listener(access_list=WHITE)))
    cloud.run({**front(listener(access_list=WHITE), access_lists=[]), "name": "other"})
    kept = cloud.run(removal)
    assert len(kept.kept) == 1 and "access list office" in kept.kept[0] and "is used by tcp/6443 of lb-" in kept.kept[0]
    assert kept.shown["access_lists"][0]["name"] == "office"
    cloud.run({"name": "other", "state": "absent"})
    # the instance went in an earlier run
    assert predicted_and_done(cloud, removal).operations == ["DeleteAccessControlList"]


def test_an_instance_that_is_removed_alone_takes_no_list_with_it(cloud):
    cloud.run(front(listener(access_list=WHITE)))
    removal = {"name": "prod-api", "state": "absent", "keeps_region": True}
    assert predicted_and_done(cloud, removal).operations == ["DeleteLoadBalancerListener", "DeleteLoadBalancer"]
    assert [entry[0] for entry in cloud.access_lists()] == ["office"]


@pytest.mark.parametrize(
    ("access", "sentence"),
    [
        (
            {"lists": ["none"], "type": "white"},
            "has 'none', but neither this document nor the region has an access list",
        ),
        ({"lists": ["office"]}, r"access_list has lists, but no type; it needs 'white'"),
        ({"type": "white"}, "access_list.type is 'white', but there are no lists"),
    ],
)
def test_half_of_a_guard(cloud, access, sentence):
    with pytest.raises(DocumentError, match=sentence):
        cloud.run(front(listener(access_list=access)))
    assert cloud.picture() == []
    cloud.run(front(listener()))
    with pytest.raises(DocumentError, match=sentence):
        cloud.run(front(listener(access_list=access)))


@pytest.mark.parametrize(
    ("access", "entries"),
    [(None, []), ({"lists": ["office"], "type": "black"}, hosts(1)), (WHITE, []), (WHITE, [{"cidr": "0.0.0.0/0"}])],
)
def test_a_public_listener_needs_a_guard_that_is_one(cloud, access, entries):
    wanted = front(listener(access_list=access), access_lists=[office(*entries)], load_balancer=PUBLIC)
    with pytest.raises(DocumentError, match="would be open to the whole internet on prod-api; set allow_public"):
        cloud.run(wanted)
    assert cloud.picture() == []
    assert cloud.run({**wanted, "allow_public": True}).changed


def test_a_guarded_public_listener_loses_its_guard_only_if_that_is_meant(cloud):
    cloud.run(front(listener(access_list=WHITE), load_balancer=PUBLIC))
    for opened in (
        front(listener(access_list={"lists": []}), load_balancer=PUBLIC),
        front(listener(access_list={"type": "black"}), load_balancer=PUBLIC),
        front(listener(), access_lists=[office()], load_balancer=PUBLIC),
        front(listener(), access_lists=[office({"cidr": "0.0.0.0/0"})], load_balancer=PUBLIC),
    ):
        with pytest.raises(DocumentError, match="would lose the allow list that guards it, and be open to the whole"):
            cloud.run(opened)
    part = {"name": "prod-api", "listeners": [listener(access_list={"lists": []})]}
    with pytest.raises(DocumentError, match="would lose the allow list"):
        cloud.run(part, make=partial)
    assert cloud.run({**part, "allow_public": True}, make=partial).changed
    # once it is open, other changes are no matter of it
    assert cloud.run({"name": "prod-api", "listeners": [listener(persistence_timeout=5)]}, make=partial).changed


def test_warnings(cloud):
    run = alone(cloud, office(*hosts(1), caller_cidrs=["198.51.100.1", "192.0.2.0/24"]))
    assert run.outcome.plan.warnings == ("access_lists[office] shuts out 192.0.2.0/24, which caller_cidrs names",)
    assert alone(cloud, office(caller_cidrs=["192.0.2.1"])).outcome.plan.warnings
    empty = cloud.run(front(listener(access_list=WHITE), access_lists=[office()]))
    assert "is an allow list without entries" in empty.outcome.plan.warnings[0]
    denied = front(listener(access_list={"type": "black"}), access_lists=[office({"cidr": "192.0.2.0/24"})])
    denied["access_lists"][0]["caller_cidrs"] = ["192.0.2.7", "198.51.100.1"]
    assert cloud.run(denied).outcome.plan.warnings == (
        "access_lists[office] shuts out 192.0.2.7/32, which caller_cidrs names",
    )
    # the halves of a network let it in together
    halves = office({"cidr": "192.0.2.0/25"}, {"cidr": "192.0.2.128/25"}, caller_cidrs=["192.0.2.0/24"])
    halves["name"] = "halves"
    assert alone(cloud, halves).outcome.plan.warnings == ()


def test_a_busy_list_is_waited_for(cloud):
    cloud.switch(transition_seconds=0.1)
    assert len(alone(cloud, office(*hosts(*range(60))), timeout=20).shown["access_lists"][0]["entries"]) == 60


def test_bad_credentials_are_told_as_ever(cloud):
    with pytest.raises(ApiError, match="not matched"):
        alone(cloud, office(), access_key_secret="wrong")
