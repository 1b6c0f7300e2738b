# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Quotas and fixed limits, refused in one sentence before the first write, and only by a plan that makes it worse."""

from __future__ import annotations

import dataclasses

import pytest

from ansible_collections.clusterfront.ha.plugins.module_utils import _argspec
from ansible_collections.clusterfront.ha.plugins.module_utils._slb import limits
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.document import (
    Access,
    AccessList,
    AclEntry,
    Backend,
    LoadBalancer,
    ServerGroup,
    front_end,
    region_only,
)
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.errors import DocumentError
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.plan import build
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.resources import listener as listeners
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.state import CloudState, Observed, Server, Stock

INSTANCE = Observed(
    LoadBalancer(id="lb-1", name="prod", address_type="intranet", vpc_id="vpc-a", address_ip_version="ipv4", tags={}),
    id="lb-1",
    owner="prod",
)


def many_listeners(count, start=1, lists=()):
    plain = listeners.normalised(listeners.defaults("tcp", 1))
    access = Access(tuple(lists), "white" if lists else None)
    return tuple(
        Observed(
            dataclasses.replace(plain, port=port, backend_port=80, enabled=True, access_list=access),
            id=f"tcp/{port}",
            owner="prod",
            status="running",
        )
        for port in range(start, start + count)
    )


def many_lists(count, entries=0, users=0):
    used = [{"load_balancer": "lb-2", "protocol": "tcp", "port": port, "type": "white"} for port in range(1, users + 1)]
    return tuple(
        Observed(
            AccessList(
                id=f"acl-{number}",
                name=f"list-{number}",
                address_ip_version="ipv4",
                entries=tuple(AclEntry(f"198.51.{number}.{host}/32", "") for host in range(entries)),
                tags={},
            ),
            id=f"acl-{number}",
            facts={"listeners": used},
        )
        for number in range(count)
    )


def group(name, servers, read=True):
    backends = tuple(Backend(80, f"i-{number}", None, 100, "") for number in servers)
    return Observed(
        ServerGroup(name, backends if read else None),
        id=f"rsp-{name}",
        facts={"listeners": [], "servers": len(backends)},
    )


def document(**options):
    return front_end({"name": "prod", "load_balancer": {"name": "prod"}, **options})


def entry(port, **options):
    return {"port": port, "protocol": "tcp", "backend_port": 80, "enabled": True, **options}


def servers(numbers):
    return tuple(Server(f"i-{number}", (), "vpc-a", "Running") for number in numbers)


def by_id(number):
    return {"server_id": f"i-{number}", "port": 80}


NEW = {"name": "prod", "load_balancer": {"address_type": "internet"}}

REFUSED = {
    "load balancers": (
        front_end(NEW),
        CloudState(stock=Stock(60)),
        "the account would have 61 load balancers, but 60 are possible; if a higher quota was granted, say so in"
        " quotas.load_balancers, else ask for one in the Quota Center",
    ),
    "listeners": (
        document(listeners=[entry(100)]),
        CloudState(load_balancer=INSTANCE, listeners=many_listeners(50)),
        "load balancer prod would have 51 listeners, but 50 are possible; if a higher quota was granted, say so in"
        " quotas.listeners_per_load_balancer, else ask for one in the Quota Center",
    ),
    "listeners that are made together": (
        document(listeners=[entry(100), entry(101)]),
        CloudState(load_balancer=INSTANCE, listeners=many_listeners(49)),
        "load balancer prod would have 51 listeners",
    ),
    "servers": (
        document(server_groups=[{"name": "new", "backends": [by_id(201)]}]),
        CloudState(load_balancer=INSTANCE, server_groups=(group("old", range(200)),), servers=servers([201])),
        "load balancer prod would have 201 backends, but 200 are possible; if a higher quota was granted, say so in"
        " quotas.backends_per_load_balancer, else ask for one in the Quota Center",
    ),
    "access lists": (
        region_only({"name": "prod", "access_lists": [{"name": "new"}]}),
        CloudState(access_lists=many_lists(200)),
        "the region would have 201 access lists, but 200 are possible; if a higher quota was granted, say so in"
        " quotas.access_lists, else ask for one in the Quota Center",
    ),
    "access lists of a listener": (
        document(
            listeners=[entry(1, access_list={"lists": [f"list-{number}" for number in range(4)], "type": "white"})]
        ),
        CloudState(load_balancer=INSTANCE, listeners=many_listeners(1), access_lists=many_lists(4)),
        "listeners[tcp/1].access_list would have 4 access lists, but 3 are possible; if a higher quota was granted, say so in"
        " quotas.access_lists_per_listener, else ask for one in the Quota Center",
    ),
    "entries of a listener": (
        document(
            listeners=[entry(1, access_list={"lists": [f"list-{number}" for number in range(4)], "type": "white"})],
            quotas={"access_lists_per_listener": 10},
        ),
        CloudState(load_balancer=INSTANCE, listeners=many_listeners(1), access_lists=many_lists(4, 251)),
        "listeners[tcp/1].access_list would have 1004 entries in its access lists, but 1000 are possible; nobody has more, so"
        " take some away",
    ),
    "listeners of an access list": (
        document(listeners=[entry(1, access_list={"lists": ["list-0"], "type": "white"})]),
        CloudState(load_balancer=INSTANCE, listeners=many_listeners(1), access_lists=many_lists(1, 1, 50)),
        "access list list-0 would have 51 listeners, but 50 are possible; if a higher quota was granted, say so in"
        " quotas.listeners_per_access_list, else ask for one in the Quota Center",
    ),
}


@pytest.mark.parametrize(("wanted", "state", "sentence"), REFUSED.values(), ids=REFUSED)
def test_what_is_too_much_is_refused(wanted, state, sentence):
    with pytest.raises(DocumentError) as caught:
        build(wanted, state)
    assert str(caught.value).startswith(sentence)


@pytest.mark.parametrize(
    ("wanted", "state"), [(wanted, state) for wanted, state, sentence in REFUSED.values() if "Quota Center" in sentence]
)
def test_a_quota_that_was_raised_is_said(wanted, state):
    plan = build(dataclasses.replace(wanted, quotas=dict.fromkeys(limits.QUOTAS, 1000)), state)
    assert plan.steps and not plan.warnings


def test_what_is_over_a_quota_already_is_no_reason_to_refuse_other_changes():
    state = CloudState(load_balancer=INSTANCE, listeners=many_listeners(60), access_lists=many_lists(300, 1, 90))
    for wanted in (
        document(listeners=[entry(1, persistence_timeout=60)]),
        document(listeners=[{"port": 2, "protocol": "tcp", "state": "absent"}]),
        document(access_lists=[{"name": "list-0", "entries": []}]),
    ):
        assert build(wanted, state).steps


def test_places_of_the_same_servers_are_a_warning_only():
    """No document says how the cloud counts them."""
    state = CloudState(
        load_balancer=INSTANCE,
        server_groups=(group("one", range(100)), group("two", range(100), read=False)),
        servers=servers([1]),
    )
    wanted = document(server_groups=[{"name": "three", "backends": [by_id(1)]}])
    assert build(wanted, state).warnings == (
        "load balancer prod would have 201 backends, the same server counted as often as it is there; if the cloud counts so,"
        " its quota of 200 is exceeded",
    )
    assert build(document(server_groups=[{"name": "one"}]), state).warnings == ()


def test_the_default_pool_counts():
    pool = tuple(Backend(None, f"i-{number}") for number in range(200))
    state = CloudState(load_balancer=INSTANCE, default_pool=pool)
    wanted = document(server_groups=[{"name": "new", "backends": [by_id(500)]}])
    with pytest.raises(DocumentError, match="would have 201 backends"):
        build(wanted, dataclasses.replace(state, servers=servers([500])))


def test_a_quota_is_a_number_of_one_or_more():
    with pytest.raises(DocumentError) as caught:
        document(quotas={"access_lists": 0, "load_balancers": None})
    assert str(caught.value) == "quotas.access_lists is 0; it is a number of 1 or more"


def test_the_options_are_the_quotas():
    assert tuple(_argspec.QUOTAS["quotas"]["options"]) == limits.QUOTAS


ZONES = {"z-a": ["z-b"], "z-b": ["z-a"], "z-c": ["z-a", "z-b"]}


@pytest.mark.parametrize(
    ("zones", "sentence"),
    [
        (
            {"master_zone_id": "z-x"},
            "load_balancer.master_zone_id is 'z-x', which is no zone for load balancers of this region; choose one of z-a, z-b and z-c",
        ),
        (
            {"master_zone_id": "z-a", "slave_zone_id": "z-c"},
            "load_balancer.slave_zone_id is 'z-c', which cannot stand by for z-a; choose one of z-b",
        ),
        (
            {"slave_zone_id": "z-c"},
            "load_balancer.slave_zone_id is 'z-c', which cannot stand by; choose one of z-a and z-b",
        ),
    ],
)
def test_zones_without_load_balancers_are_refused(zones, sentence):
    wanted = front_end({"name": "prod", "load_balancer": {"address_type": "internet", **zones}})
    with pytest.raises(DocumentError) as caught:
        build(wanted, CloudState(stock=Stock(0, ZONES)))
    assert str(caught.value) == sentence


def test_zones_that_fit_are_taken():
    wanted = {"address_type": "internet", "master_zone_id": "z-a", "slave_zone_id": "z-b"}
    assert build(front_end({"name": "prod", "load_balancer": wanted}), CloudState(stock=Stock(0, ZONES))).steps


def test_servers_of_a_public_load_balancer_are_in_one_vpc():
    public = dataclasses.replace(
        INSTANCE, config=dataclasses.replace(INSTANCE.config, address_type="internet", vpc_id=None)
    )
    state = CloudState(
        load_balancer=public,
        servers=(
            Server("i-1", (), "vpc-a", "Running"),
            Server("i-2", (), "vpc-b", "Running"),
            Server("i-3", (), None, "Running"),
        ),
    )
    apart = [{"name": "one", "backends": [by_id(1), by_id(3)]}, {"name": "two", "backends": [by_id(2)]}]
    with pytest.raises(DocumentError) as caught:
        build(document(server_groups=apart), state)
    assert str(caught.value) == (
        "i-1 is in vpc-a and i-2 is in vpc-b; the load balancer prod takes servers of one VPC only"
    )
    assert build(document(server_groups=apart[:1]), state).steps
