# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Access control lists: the API as the official client sees it, and whom the data plane lets in."""

from __future__ import annotations

import dataclasses
import json
import socket
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest
from emulator_harness import MACHINES, SANDBOX, Emulator, Network, Slb

from slb_emulator.dataplane.ruleset import Table, tables, transaction
from slb_emulator.forwarding import Forward, Member
from slb_emulator.network import Namespace

NEW = {"VSwitchId": "vsw-ut-lab", "InstanceChargeType": "PayByCLCU"}
HOSTS = [f"{network}.{host}/32" for network in ("198.51.100", "203.0.113") for host in range(256)]


def entries(*cidrs: str, comment: str = "") -> str:
    return json.dumps([{"entry": cidr, "comment": comment} for cidr in cidrs])


@pytest.fixture
def acl(slb: Slb) -> str:
    return str(slb("CreateAccessControlList", AclName="office", Tag=[{"Key": "k", "Value": "v"}])["AclId"])


@pytest.fixture
def lb(slb: Slb) -> str:
    return str(slb("CreateLoadBalancer", **NEW)["LoadBalancerId"])


def listen(slb: Slb, lb: str, port: int = 80, **options: Any) -> dict[str, Any]:
    slb(
        "CreateLoadBalancerTCPListener",
        LoadBalancerId=lb,
        ListenerPort=port,
        BackendServerPort=80,
        Bandwidth=-1,
        **options,
    )
    return {"LoadBalancerId": lb, "ListenerPort": port}


def in_list(slb: Slb, acl: str, **options: Any) -> dict[str, str]:
    answer = slb("DescribeAccessControlListAttribute", AclId=acl, **options)
    return {entry["AclEntryIP"]: entry["AclEntryComment"] for entry in answer["AclEntrys"]["AclEntry"]}


# The API


def test_a_list_as_it_is_made(slb: Slb, acl: str) -> None:
    assert acl.startswith("acl-")
    listed = slb("DescribeAccessControlLists")
    assert (listed["TotalCount"], listed["Count"], listed["PageNumber"], listed["PageSize"]) == (1, 1, 1, 10)
    told = listed["Acls"]["Acl"][0]
    assert (told["AclId"], told["AclName"], told["AddressIPVersion"]) == (acl, "office", "ipv4")
    assert told["Tags"] == {"Tag": [{"TagKey": "k", "TagValue": "v"}]}
    alone = slb("DescribeAccessControlListAttribute", AclId=acl)
    assert alone["TotalAclEntry"] == 0 and alone["AclEntrys"] == {"AclEntry": []}
    assert alone["RelatedListeners"] == {"RelatedListener": []}


def test_names_are_there_once_and_found_by_their_parts(slb: Slb, acl: str) -> None:
    assert slb.code("CreateAccessControlList", AclName="office") == ("InvalidParameter", 400)
    other = slb("CreateAccessControlList", AclName="office-2", AddressIPVersion="ipv6")["AclId"]

    def found(**filters: Any) -> list[str]:
        return [entry["AclId"] for entry in slb("DescribeAccessControlLists", **filters)["Acls"]["Acl"]]

    assert found(AclName="office") == [acl, other]
    assert found(AddressIPVersion="ipv6") == [other]
    assert found(Tag=[{"Key": "k", "Value": "v"}]) == [acl]
    assert slb.code("SetAccessControlListAttribute", AclId=other, AclName="office") == ("InvalidParameter", 400)
    slb("SetAccessControlListAttribute", AclId=other, AclName="home")
    assert found(AclName="home") == [other]


def test_entries_come_and_go(slb: Slb, acl: str) -> None:
    slb("AddAccessControlListEntry", AclId=acl, AclEntrys=entries("192.0.2.0/24", "198.51.100.1/32", comment="first"))
    # what is there already is left alone
    slb("AddAccessControlListEntry", AclId=acl, AclEntrys=entries("192.0.2.0/24", "203.0.113.0/24", comment="second"))
    assert in_list(slb, acl) == {"192.0.2.0/24": "first", "198.51.100.1/32": "first", "203.0.113.0/24": "second"}
    assert in_list(slb, acl, AclEntryComment="second") == {"203.0.113.0/24": "second"}
    gone = entries("192.0.2.0/24", "192.0.2.1/32")
    slb("RemoveAccessControlListEntry", AclId=acl, AclEntrys=gone)
    assert slb.code("RemoveAccessControlListEntry", AclId=acl, AclEntrys=gone) == ("AclEntryEmpty", 400)
    assert list(in_list(slb, acl)) == ["198.51.100.1/32", "203.0.113.0/24"]


def test_limits_and_pages(slb: Slb, acl: str) -> None:
    too_many = slb.code("AddAccessControlListEntry", AclId=acl, AclEntrys=entries(*HOSTS[:51]))
    assert too_many == ("AclEntryExceedLimit", 400)
    for start in range(0, 300, 50):
        slb("AddAccessControlListEntry", AclId=acl, AclEntrys=entries(*HOSTS[start : start + 50]))
    assert slb.code("AddAccessControlListEntry", AclId=acl, AclEntrys=entries(HOSTS[300])) == (
        "AclEntryExceedLimit",
        400,
    )
    # who does not ask for pages sees ten entries
    assert list(in_list(slb, acl)) == HOSTS[:10]
    assert list(in_list(slb, acl, Page=6, PageSize=50)) == HOSTS[250:300]
    assert slb("DescribeAccessControlListAttribute", AclId=acl)["TotalAclEntry"] == 300
    assert slb.code("DescribeAccessControlListAttribute", AclId=acl, PageSize=51) == ("InvalidParameter", 400)
    assert slb.code("DescribeAccessControlLists", PageNumber=1, PageSize=51) == ("InvalidParameter", 400)


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ("[]", "AclEntryEmpty"),
        ("nothing", "AclEntryIllegal"),
        ('["192.0.2.0/24"]', "AclEntryIllegal"),
        (entries("192.0.2.1"), "AclEntryIllegal"),
        (entries("192.0.2.1/24"), "AclEntryIllegal"),
        (entries("2001:db8::/32"), "AclEntryIllegal"),
    ],
)
def test_entries_that_are_none(slb: Slb, acl: str, given: str, code: str) -> None:
    assert slb.code("AddAccessControlListEntry", AclId=acl, AclEntrys=given) == (code, 400)


def test_what_is_not_there(slb: Slb) -> None:
    for action in ("DescribeAccessControlListAttribute", "DeleteAccessControlList"):
        assert slb.code(action, AclId="acl-none") == ("AclNotExist", 400)


def test_a_list_is_busy_while_it_changes(slb: Slb, acl: str, emulator: Emulator) -> None:
    emulator.control("PUT", "switches", {"transition_seconds": 0.3})
    slb("AddAccessControlListEntry", AclId=acl, AclEntrys=entries("192.0.2.0/24"))
    again = {"AclId": acl, "AclEntrys": entries("198.51.100.0/24")}
    assert slb.code("AddAccessControlListEntry", **again) == ("AclEntryProcessing", 400)
    time.sleep(0.35)
    slb("AddAccessControlListEntry", **again)


def test_lists_have_tags(slb: Slb, acl: str) -> None:
    slb("TagResources", ResourceType="acl", ResourceId=[acl], Tag=[{"Key": "team", "Value": "one"}])
    told = slb("ListTagResources", ResourceType="acl", ResourceId=[acl])["TagResources"]["TagResource"]
    assert {entry["TagKey"] for entry in told} == {"k", "team"}


def test_a_list_on_a_listener(slb: Slb, acl: str, lb: str) -> None:
    other = slb("CreateAccessControlList", AclName="home")["AclId"]
    where = listen(slb, lb, AclStatus="on", AclType="white", AclId=f"{acl},{other}")
    told = slb("DescribeLoadBalancerTCPListenerAttribute", **where)
    assert (told["AclStatus"], told["AclType"], told["AclId"]) == ("on", "white", f"{acl},{other}")
    assert told["AclIds"] == {"AclId": [acl, other]}
    listed = slb("DescribeLoadBalancerListeners", LoadBalancerId=[lb])["Listeners"][0]
    assert listed["AclIds"] == [acl, other]
    related = slb("DescribeAccessControlListAttribute", AclId=acl)["RelatedListeners"]["RelatedListener"]
    assert related == [{"LoadBalancerId": lb, "ListenerPort": 80, "Protocol": "tcp", "AclType": "white"}]
    # a change of something else leaves the lists as they are
    slb("SetLoadBalancerTCPListenerAttribute", **where, Description="x")
    assert slb("DescribeLoadBalancerTCPListenerAttribute", **where)["AclId"] == f"{acl},{other}"
    assert slb.code("DeleteAccessControlList", AclId=acl) == ("OperationFailed.AclBindedWithVip", 400)
    slb("SetLoadBalancerTCPListenerAttribute", **where, AclStatus="off")
    slb("DeleteAccessControlList", AclId=acl)
    assert slb.code("DescribeAccessControlListAttribute", AclId=acl) == ("AclNotExist", 400)


def test_a_list_serves_instances_of_its_family(slb: Slb, lb: str) -> None:
    other = slb("CreateAccessControlList", AclName="six", AddressIPVersion="ipv6")["AclId"]
    slb("AddAccessControlListEntry", AclId=other, AclEntrys=entries("2001:db8::/32"))
    wrong = {"AclStatus": "on", "AclType": "white", "AclId": other}
    options = {"LoadBalancerId": lb, "ListenerPort": 80, "BackendServerPort": 80, "Bandwidth": -1, **wrong}
    assert slb.code("CreateLoadBalancerTCPListener", **options) == ("InvalidParameter", 400)


# Rules

OPEN = Forward("lab", "192.0.2.100", 80, "tcp", "wrr", (Member("192.0.2.11", 80, 100),), ())
OPEN6 = dataclasses.replace(OPEN, address="2001:db8::1")


#: Chains that are there whatever listeners there are.
FIXED = {"cut", "rate_in", "rate_out"}


def chain(forward: Forward) -> tuple[list[str], Table]:
    """The rules of a listener, and what its table has beside them."""
    table = tables([forward])["ip6" if forward.ipv6 else "ip"]
    return list(next(rules for name, rules in table.chains.items() if name not in FIXED)), table


@pytest.mark.parametrize(
    ("allowed", "denied", "guard"),
    [
        (None, (), ""),
        (("0.0.0.0/0",), (), ""),
        ((), (), "ct state new drop"),
        (("192.0.2.0/25", "198.51.100.0/24"), (), "ct state new ip saddr != {} drop"),
        (None, ("192.0.2.31/32",), "ct state new ip saddr {} drop"),
        (None, ("0.0.0.0/0",), "ct state new drop"),
    ],
)
def test_rules(allowed: Any, denied: Any, guard: str) -> None:
    found, table = chain(dataclasses.replace(OPEN, allowed=allowed, denied=denied))
    rest = chain(OPEN)[0]
    lists = [name.removeprefix("set ") for name in table.objects if name.startswith("set acl_")]
    assert found == ([guard.format(*(f"@{name}" for name in lists))] if guard else []) + rest
    assert [table.objects[f"set {name}"] for name in lists] == (
        [f"{{ type ipv4_addr ; flags interval ; elements = {{ {', '.join(allowed or denied)} }} ; }}"]
        if "{}" in guard
        else []
    )


@pytest.mark.parametrize(
    ("allowed", "denied", "guard"),
    [
        (("2001:db8:1::/48",), (), "ct state new ip6 saddr != @acl_"),
        (None, ("2001:db8:1::/48",), "ct state new ip6 saddr @acl_"),
        (None, ("::/0",), "ct state new drop"),
    ],
)
def test_rules_of_ipv6(allowed: Any, denied: Any, guard: str) -> None:
    found, table = chain(dataclasses.replace(OPEN6, allowed=allowed, denied=denied))
    assert found[0].startswith(guard) and found[1:] == ["accept"]
    assert all(text.startswith("{ type ipv6_addr ") for name, text in table.objects.items() if "acl" in name)


def test_a_changed_list_is_one_transaction_of_one_chain() -> None:
    before, after = (
        tables([dataclasses.replace(OPEN, allowed=(network,))]) for network in ("192.0.2.0/25", "192.0.2.0/24")
    )
    old, new = (next(name for name in table["ip"].objects if "acl" in name) for table in (before, after))
    name = "tcp_192_0_2_100_80"
    assert transaction(before, after).splitlines() == [
        f"flush chain ip slb {name}",
        f"delete {old.replace('set', 'set ip slb')}",
        f"add {new.replace('set', 'set ip slb')} {after['ip'].objects[new]}",
        *(f"add rule ip slb {name} {rule}" for rule in after["ip"].chains[name]),
    ]
    assert transaction(after, after) == ""


def test_listeners_with_the_same_lists_and_servers_share_them() -> None:
    networks = ("192.0.2.0/25", "198.51.100.0/24")
    forwards = [dataclasses.replace(OPEN, port=port, allowed=networks) for port in range(80, 90)]
    table = tables(forwards)["ip"]
    assert len(table.chains) == 10 + len(FIXED) and len(table.listeners) == 10
    assert sorted(name.split("_")[0] for name in table.objects) == ["map turn", "set acl"]


# Packets


@pytest.fixture
def guarded(network: Network) -> Iterator[Network]:
    network.serve("web-1")
    yield network
    network.emulator.control("PUT", "switches", {"empty_allow_list": "forward"})


def outcome(machine: str, address: str) -> str:
    """Who answers a machine, or what comes instead."""
    space = Namespace(f"{SANDBOX}-{machine}")
    try:
        with space.call(lambda: socket.create_connection((address, 6443), 0.5)) as connection:
            return connection.makefile().readline().split()[0]
    except TimeoutError:
        return "silence"
    except ConnectionRefusedError:
        return "refused"
    finally:
        space.close()


def made(network: Network, *cidrs: str, name: str = "list") -> str:
    acl = str(network.slb("CreateAccessControlList", AclName=name)["AclId"])
    if cidrs:
        network.slb("AddAccessControlListEntry", AclId=acl, AclEntrys=entries(*cidrs))
    return acl


CLIENT, OTHER = MACHINES["client-1"], MACHINES["web-2"]


@pytest.mark.parametrize(
    ("kind", "cidrs", "client", "other"),
    [
        ("white", [f"{CLIENT}/32"], "web-1", "silence"),
        ("white", ["192.0.2.0/28"], "silence", "web-1"),
        ("white", ["192.0.2.0/24", f"{CLIENT}/32", "192.0.2.0/25"], "web-1", "web-1"),
        ("black", [f"{CLIENT}/32"], "silence", "web-1"),
        ("black", ["198.51.100.0/24"], "web-1", "web-1"),
        ("black", [], "web-1", "web-1"),
        ("white", ["0.0.0.0/0"], "web-1", "web-1"),
    ],
)
def test_who_is_served(guarded: Network, kind: str, cidrs: list[str], client: str, other: str) -> None:
    address = guarded.front({"web-1": 100}, AclStatus="on", AclType=kind, AclId=made(guarded, *cidrs))
    assert (outcome("client-1", address), outcome("web-2", address)) == (client, other)


@pytest.mark.parametrize(("setting", "served"), [("forward", "web-1"), ("refuse", "silence")])
def test_an_empty_allow_list(guarded: Network, setting: str, served: str) -> None:
    guarded.emulator.control("PUT", "switches", {"empty_allow_list": setting})
    address = guarded.front({"web-1": 100}, AclStatus="on", AclType="white", AclId=made(guarded))
    assert outcome("client-1", address) == served


def test_several_lists_let_in_together(guarded: Network) -> None:
    both = f"{made(guarded, f'{CLIENT}/32')},{made(guarded, f'{OTHER}/32', name='second')}"
    address = guarded.front({"web-1": 100}, AclStatus="on", AclType="white", AclId=both)
    assert [outcome(name, address) for name in ("client-1", "web-2", "web-3")] == ["web-1", "web-1", "silence"]


def test_a_change_counts_for_new_connections_and_ends_none(guarded: Network) -> None:
    acl = made(guarded, f"{CLIENT}/32")
    address = guarded.front({"web-1": 100}, AclStatus="on", AclType="white", AclId=acl)
    space = Namespace(f"{SANDBOX}-client-1")
    try:
        with space.call(lambda: socket.create_connection((address, 6443), 1)) as connection:
            stream = connection.makefile("rw")
            assert stream.readline().startswith("web-1")
            guarded.slb("AddAccessControlListEntry", AclId=acl, AclEntrys=entries(f"{OTHER}/32"))
            guarded.slb("RemoveAccessControlListEntry", AclId=acl, AclEntrys=entries(f"{CLIENT}/32"))
            guarded.emulator.wait()
            assert (outcome("client-1", address), outcome("web-2", address)) == ("silence", "web-1")
            stream.write("still here\n")
            stream.flush()
            assert stream.readline() == "still here\n"
    finally:
        space.close()


def test_a_shut_out_client_is_not_even_refused(guarded: Network) -> None:
    guarded.kill("web-1")
    address = guarded.front({"web-1": 100}, AclStatus="on", AclType="white", AclId=made(guarded, f"{OTHER}/32"))
    assert (outcome("client-1", address), outcome("web-2", address)) == ("silence", "refused")


def test_a_thousand_entries(guarded: Network) -> None:
    # every second address, so that none of them melt into larger networks
    spread = [f"100.64.{number // 128}.{number % 128 * 2}/32" for number in range(996)]
    lists = []
    for part in range(4):
        lists.append(made(guarded, f"{OTHER if part else CLIENT}/32", name=f"list-{part}"))
        for first in range(part * 249, (part + 1) * 249, 50):
            networks = spread[first : min(first + 50, (part + 1) * 249)]
            guarded.slb("AddAccessControlListEntry", AclId=lists[-1], AclEntrys=entries(*networks))
    address = guarded.front({"web-1": 100}, AclStatus="on", AclType="white", AclId=",".join(lists))
    assert [outcome(name, address) for name in ("client-1", "web-2", "web-3")] == ["web-1", "web-1", "silence"]
    ruleset = subprocess.run(
        ["ip", "netns", "exec", f"{SANDBOX}-vpc-lab", "nft", "list", "table", "ip", "slb"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert ruleset.count("100.64.") == len(spread)
