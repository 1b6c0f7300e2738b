# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documents of what exists, and the marks of an owner. tests/engine applies such documents."""

from __future__ import annotations

import dataclasses

import pytest

from ansible_collections.clusterfront.ha.plugins.module_utils import _argspec
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.document import (
    Access,
    AccessList,
    AclEntry,
    Backend,
    FailoverGroup,
    LoadBalancer,
    ModificationProtection,
    ServerGroup,
    front_end,
    question,
)
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.errors import DocumentError, LookupFailed
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.export import export
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.plan import build
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.resources import listener as listeners
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.state import (
    CloudState,
    Observed,
    Server,
    names_by_id,
)

INSTANCE = Observed(
    LoadBalancer(
        id="lb-1",
        name="web",
        address_type="intranet",
        vpc_id="vpc-a",
        vswitch_id="vsw-a",
        address="192.0.2.100",
        address_ip_version="ipv4",
        instance_charge_type="PayByCLCU",
        spec="slb.lcu.elastic",
        delete_protection=False,
        modification_protection=ModificationProtection(enabled=False),
        enabled=True,
        tags={"team": "one", "acs:rm:rgId": "rg-1", "clusterfront:x": "y"},
    ),
    id="lb-1",
    status="active",
)
GROUP = Observed(
    ServerGroup(
        "web",
        (
            Backend(80, "i-1", "192.0.2.21", 100, "by hand"),
            Backend(80, "i-2", "192.0.2.22", 0, "clusterfront:other a text"),
            Backend(80, "i-9", None, 50, ""),
        ),
    ),
    id="rsp-1",
    facts={"listeners": ["tcp/80"], "servers": 3},
)
DEFAULTS = listeners.defaults("tcp", 80)
LISTENER = Observed(
    dataclasses.replace(
        DEFAULTS,
        server_group="web",
        health_check=dataclasses.replace(DEFAULTS.health_check, type="http", domain="www.example.com"),
    ),
    id="tcp/80",
    status="running",
)
LIST = Observed(
    AccessList(
        id="acl-1",
        name="office",
        address_ip_version="ipv4",
        entries=(AclEntry("192.0.2.0/24", "lab"), AclEntry("198.51.100.1/32", "")),
        tags={},
    ),
    id="acl-1",
    facts={"listeners": []},
)
SERVERS = (Server("i-1", ("192.0.2.21",), "vpc-a", "Running"), Server("i-2", ("192.0.2.22",), "vpc-a", "Stopped"))
STATE = CloudState(load_balancer=INSTANCE, server_groups=(GROUP,), listeners=(LISTENER,), servers=SERVERS)


def of(state=STATE, owner=None, **asked):
    return export(question(asked or {"id": "lb-1"}), state, _argspec.FRONT_END, owner)


def with_instance(**options):
    return dataclasses.replace(
        STATE, load_balancer=dataclasses.replace(INSTANCE, config=dataclasses.replace(INSTANCE.config, **options))
    )


def with_listener(**options):
    config = dataclasses.replace(LISTENER.config, **options)
    return dataclasses.replace(STATE, listeners=(dataclasses.replace(LISTENER, config=config),))


def test_the_document_is_what_the_console_shows():
    found = of()
    assert found.document == {
        "name": "web",
        "load_balancer": {
            "id": "lb-1",
            "name": "web",
            "address_type": "intranet",
            "vpc_id": "vpc-a",
            "vswitch_id": "vsw-a",
            "address": "192.0.2.100",
            "address_ip_version": "ipv4",
            "instance_charge_type": "PayByCLCU",
            "spec": "slb.lcu.elastic",
            "delete_protection": False,
            "modification_protection": {"enabled": False},
            "enabled": True,
            "tags": {"team": "one"},
        },
        "server_groups": [
            {
                "name": "web",
                "backends": [
                    {"private_ip": "192.0.2.21", "port": 80, "weight": 100, "description": "by hand"},
                    {"private_ip": "192.0.2.22", "port": 80, "weight": 0, "description": "a text"},
                ],
            }
        ],
        "listeners": [
            {
                "port": 80,
                "protocol": "tcp",
                "server_group": "web",
                "scheduler": "wrr",
                "bandwidth": -1,
                "persistence_timeout": 0,
                "established_timeout": 900,
                "connection_drain": False,
                "proxy_protocol_v2": False,
                "health_check": {
                    "enabled": True,
                    "type": "http",
                    "timeout": 5,
                    "interval": 2,
                    "healthy_threshold": 3,
                    "unhealthy_threshold": 3,
                    "domain": "www.example.com",
                    "uri": "/",
                    "http_codes": ["http_2xx"],
                },
            }
        ],
    }
    assert found.left_out == (
        "i-9:80 in server group web is no ECS instance or network interface of this region, or not any more; it stays as it is",
    )
    assert [words.partition(",")[0] for words in found.warnings] == ["load balancer"]
    assert not build(front_end(found.document), STATE).steps


@pytest.mark.parametrize(
    ("state", "asked", "owner", "name"),
    [
        (STATE, {}, "team", "team"),
        (dataclasses.replace(STATE, load_balancer=dataclasses.replace(INSTANCE, owner="prod")), {}, None, "prod"),
        (with_instance(name="x" * 41), {}, None, "lb-1"),
    ],
)
def test_whose_it_is(state, asked, owner, name):
    assert of(state, owner, **asked).document["name"] == name


def test_a_name_that_is_no_mark_is_refused():
    with pytest.raises(DocumentError, match="name is 'a b', but it has to be"):
        of(owner="a b")
    with pytest.raises(DocumentError, match="there is no load balancer to export"):
        of(CloudState())


def test_only_the_owner_s_own_is_named_by_its_name():
    state = dataclasses.replace(STATE, load_balancer=dataclasses.replace(INSTANCE, owner="web"))
    assert "id" not in of(state, name="web").document["load_balancer"]
    assert of(state, id="lb-1").document["load_balancer"]["id"] == "lb-1"
    assert of(state, "team", name="web").document["load_balancer"]["id"] == "lb-1"


def test_names_of_older_rules_are_left_out():
    protection = ModificationProtection(enabled=True, reason="ask us!")
    state = with_instance(name="8080 web", modification_protection=protection)
    listed = dataclasses.replace(LIST, config=dataclasses.replace(LIST.config, name="1st"), owner="lb-1")
    found = of(dataclasses.replace(state, access_lists=(listed,)))
    assert found.document["name"] == "lb-1" and "name" not in found.document["load_balancer"]
    assert found.document["load_balancer"]["modification_protection"] == {"enabled": True}
    assert found.document["access_lists"] == [
        {
            "id": "acl-1",
            "address_ip_version": "ipv4",
            "entries": [{"cidr": "192.0.2.0/24", "comment": "lab"}, {"cidr": "198.51.100.1/32"}],
        }
    ]


def test_a_public_one_has_no_place_and_names_servers_by_id():
    state = with_instance(address_type="internet", vpc_id=None, internet_charge_type="paybytraffic")
    found = of(state)
    assert not {"address", "vpc_id", "vswitch_id"} & set(found.document["load_balancer"])
    assert [member["server_id"] for member in found.document["server_groups"][0]["backends"]] == ["i-1", "i-2"]
    assert any(words.startswith("tcp/80 of this public load balancer is open to everybody") for words in found.warnings)
    guarded = dataclasses.replace(LISTENER.config, access_list=Access(("office",), "white"))
    state = dataclasses.replace(state, listeners=(dataclasses.replace(LISTENER, config=guarded),), access_lists=(LIST,))
    assert not any("open to everybody" in words for words in of(state).warnings)


@pytest.mark.parametrize(
    ("state", "sentence"),
    [
        (
            with_listener(scheduler="wlc"),
            "listeners[tcp/80].scheduler is left out and stays as it is: 'wlc' is not among 'wrr', 'rr', 'sch', 'tch' and 'qch'",
        ),
        (
            with_listener(
                health_check=dataclasses.replace(LISTENER.config.health_check, http_codes=("http_1xx", "http_2xx"))
            ),
            "listeners[tcp/80].health_check.http_codes is left out and stays as it is: 'http_1xx' is not among 'http_2xx',"
            " 'http_3xx', 'http_4xx' and 'http_5xx'",
        ),
        (
            with_instance(tags={"a": "{% x %}", "b": "c"}),
            "load_balancer.tags is left out and stays as it is: Ansible would take '{% x %}' for a template",
        ),
        (
            with_instance(spec="slb.s9.huge", instance_charge_type="PayBySpec"),
            "load_balancer.spec is left out and stays as it is: 'slb.s9.huge' is not among",
        ),
        (
            dataclasses.replace(
                STATE, failover_groups=(Observed(FailoverGroup("db", Backend(5432, "i-9"), None), id="rsp-9"),)
            ),
            "i-9:5432 in primary/secondary group db is no ECS instance or network interface of this region, or not any more",
        ),
        (
            dataclasses.replace(
                STATE,
                server_groups=(
                    dataclasses.replace(GROUP, config=ServerGroup("web", (Backend(80, "i-1", None, 1, "x" * 70),))),
                ),
            ),
            "i-1:80 in server group web has a description that has no room beside an owner's mark; it stays as it is",
        ),
        (
            dataclasses.replace(STATE, default_pool=(Backend(None, "i-1", None, 1, "x" * 70),)),
            "i-1 in the default pool has a description that has no room beside an owner's mark; it stays as it is",
        ),
    ],
)
def test_what_cannot_be_said_is_told(state, sentence):
    found = of(state)
    assert any(words.startswith(sentence) for words in found.left_out)
    assert not any(words.startswith("applied as it is") for words in found.warnings)


def test_a_listener_of_an_unknown_protocol_is_left_out_as_a_whole():
    found = of(with_listener(protocol="quic"))
    assert (
        "listeners[quic/80] is left out and stays as it is: 'quic' is not among 'tcp', 'udp', 'http' and 'https'"
        in found.left_out
    )
    assert "listeners" not in found.document


def test_what_the_document_would_do_is_told():
    refused = of(with_instance(tags={"k": "see http://www.example.com"}))
    assert refused.warnings[-1] == (
        "applied as it is, the document is refused: load_balancer.tags[k] has 'http://' or 'https://' in it, which the cloud does"
        " not take in tags"
    )
    starting = of(dataclasses.replace(STATE, listeners=(dataclasses.replace(LISTENER, status="starting"),)))
    assert starting.warnings[-1] == "applied as it is, the document would do this: start the listener tcp/80"


def test_who_else_uses_a_list_is_told():
    users = [
        {"load_balancer": balancer, "protocol": "tcp", "port": 80, "type": "white"} for balancer in ("lb-1", "lb-2")
    ]
    state = dataclasses.replace(STATE, access_lists=(dataclasses.replace(LIST, facts={"listeners": users}),))
    assert of(state).warnings[1:] == (
        "access list office (acl-1) is also used by tcp/80 of lb-2: what the document says of it counts there too",
    )


def test_pool_pairs_and_interfaces():
    sides = Backend(5432, "i-1", "192.0.2.21", None, "a"), Backend(5432, "eni-1", None, None, "", type="eni")
    interface = Server("eni-1", ("192.0.2.41", "192.0.2.42"), "vpc-a", "InUse", type="eni")
    pool = Backend(None, "i-1", "192.0.2.21", 5, "x"), Backend(None, "eni-1", "192.0.2.42", 7, "", type="eni")
    entry = dataclasses.replace(LISTENER.config, server_group=None, failover_group="db")
    state = dataclasses.replace(
        STATE,
        failover_groups=(Observed(FailoverGroup("db", *sides), id="rsp-9"),),
        default_pool=pool,
        servers=(*SERVERS, interface),
        listeners=(dataclasses.replace(LISTENER, config=entry, carried={"MasterSlaveServerGroupId": "rsp-9"}),),
    )
    found = of(state)
    assert found.document["failover_groups"] == [
        {
            "name": "db",
            "primary": {"private_ip": "192.0.2.21", "port": 5432, "description": "a"},
            "standby": {"eni_id": "eni-1", "port": 5432},
        }
    ]
    assert found.document["default_pool"] == {
        "backends": [
            {"private_ip": "192.0.2.21", "weight": 5, "description": "x"},
            {"eni_id": "eni-1", "private_ip": "192.0.2.42", "weight": 7},
        ]
    }
    assert found.document["listeners"][0]["failover_group"] == "db"
    assert len(found.warnings) == 1 and "primary/secondary group db" in found.warnings[0]
    # an address that two have is no name
    twice = dataclasses.replace(
        state, servers=(*state.servers, Server("eni-2", ("192.0.2.21",), "vpc-a", "InUse", "eni"))
    )
    assert of(twice).document["default_pool"]["backends"][0]["server_id"] == "i-1"


# groups of one name


TWINS = dataclasses.replace(
    STATE,
    server_groups=(GROUP, dataclasses.replace(GROUP, id="rsp-2"), Observed(ServerGroup("api", ()), id="rsp-3")),
    listeners=(dataclasses.replace(LISTENER, config=dataclasses.replace(LISTENER.config, server_group="rsp-2")),),
)


def change(**options):
    entry = {"port": 80, "protocol": "tcp", "enabled": True, "state": "present", **options}
    return build(front_end({"name": "web", "load_balancer": {"id": "lb-1"}, "listeners": [entry]}), TWINS)


def test_groups_of_one_name_are_not_in_a_document():
    found = of(TWINS)
    assert [group["name"] for group in found.document["server_groups"]] == ["api"]
    assert found.document["listeners"][0]["server_group"] == "rsp-2"
    assert found.left_out == tuple(
        f"server group web ({group}) is one of 2 of that name, which a document cannot tell apart; it stays as it is, and"
        " listeners name it by its id"
        for group in ("rsp-1", "rsp-2")
    )


def test_groups_of_one_name_are_called_by_their_ids():
    assert names_by_id(TWINS.server_groups) == {"rsp-1": "rsp-1", "rsp-2": "rsp-2", "rsp-3": "api"}


@pytest.mark.parametrize("group", [{}, {"server_group": "web"}, {"server_group": "rsp-2"}])
def test_a_listener_keeps_its_group_of_several_of_one_name(group):
    (step,) = change(persistence_timeout=60, **group).steps
    assert step.parameters["VServerGroupId"] == "rsp-2"


def test_a_listener_goes_to_another_group_by_its_id():
    (step,) = change(server_group="rsp-1").steps
    assert step.parameters["VServerGroupId"] == "rsp-1"
    (step,) = change(server_group="rsp-3").steps
    assert (step.parameters["VServerGroupId"], step.reason) == ("rsp-3", "change server_group from rsp-2 to api")


def test_a_name_of_several_groups_is_no_new_one():
    with pytest.raises(LookupFailed) as caught:
        change(port=81, server_group="web")
    assert str(caught.value) == (
        "listeners[tcp/81].server_group is 'web', a name that 2 groups have, rsp-1 and rsp-2; give the id of the one that is meant"
    )


# adoption


def adopting(state=STATE, **options):
    members = state.server_groups[0].config.backends[:2]
    group = {"name": "web", "backends": [{"server_id": member.server_id, "port": 80} for member in members]}
    listener = {"port": 80, "protocol": "tcp"}
    wanted = {"name": "team", "load_balancer": {"id": "lb-1"}, "adopt": True, **options}
    return build(front_end({"server_groups": [group], "listeners": [listener], **wanted}), state)


def test_everything_that_is_listed_and_nobody_s_gets_the_mark():
    state = dataclasses.replace(STATE, access_lists=(LIST,))
    plan = adopting(state, access_lists=[{"name": "office"}])
    assert [
        (step.operation, step.parameters.get("ResourceType"), step.parameters.get("ResourceId")) for step in plan.steps
    ] == [
        ("SetVServerGroupAttribute", None, None),
        ("TagResources", "instance", ["lb-1"]),
        ("TagResources", "vservergroup", ["rsp-1"]),
        ("TagResources", "listener", ["lb-1_tcp_80"]),
        ("TagResources", "acl", ["acl-1"]),
    ]
    assert plan.steps[1].reason == "put the mark of team on load balancer"
    descriptions = [member.description for member in plan.predicted.server_groups[0].config.backends]
    assert descriptions == ["clusterfront:team by hand", "clusterfront:other a text", ""]
    assert not adopting(plan.predicted, access_lists=[{"name": "office"}]).steps


def test_nothing_else_gets_it():
    plan = adopting(server_groups=[], listeners=[])
    assert [step.parameters["ResourceType"] for step in plan.steps] == ["instance"]
    theirs = dataclasses.replace(STATE, server_groups=(dataclasses.replace(GROUP, owner="other"),))
    plan = adopting(theirs, listeners=[])
    assert plan.warnings == ("server group web has the mark of other and stays theirs",)
    assert plan.predicted.server_groups[0].owner == "other"
    assert not adopting(adopt=False).steps


def test_a_description_without_room_for_the_mark_is_refused():
    crowded = dataclasses.replace(GROUP.config.backends[0], description="x" * 70)
    state = dataclasses.replace(
        STATE, server_groups=(dataclasses.replace(GROUP, config=ServerGroup("web", (crowded,))),)
    )
    with pytest.raises(DocumentError) as caught:
        adopting(state)
    assert str(caught.value) == (
        "server_groups[web].backends[192.0.2.21:80] has a description of 70 characters, which has no room beside the mark of team;"
        " to adopt it, give it a shorter description"
    )
