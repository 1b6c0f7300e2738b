# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The document: normalising, comparing, and refusing what can never work."""

from __future__ import annotations

import dataclasses

import pytest

from ansible_collections.clusterfront.ha.plugins.module_utils._slb import document as doc
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.errors import DocumentError

INTRANET = {"address_type": "intranet", "vpc_id": "vpc-a", "vswitch_id": "vsw-a"}


def group(**options):
    return {"name": "haproxy", "backends": None, "purge": "owned", "state": "present", **options}


def listener(**options):
    return {"port": 6443, "protocol": "tcp", "enabled": True, "state": "present", **options}


def udp(**options):
    return listener(**{"port": 53, "protocol": "udp", **options})


def test_front_end_takes_its_name_as_owner_and_as_name_of_the_instance():
    made = doc.front_end({"name": "prod-api", "load_balancer": {"id": None, "name": None, **INTRANET}})
    assert made.owner == made.load_balancer.name == "prod-api"
    assert made.state == "present" and not made.allow_public and not made.load_balancer_exists
    assert (made.server_groups, made.listeners) == ((), ())


def test_tags_are_text_and_protection_has_its_shape():
    made = doc.load_balancer({"tags": {"a": 1, "b": None, 3: True}, "modification_protection": {"reason": "why"}})
    assert made.tags == {"a": "1", "b": "", "3": "True"}
    assert made.modification_protection == doc.ModificationProtection(reason="why")
    assert doc.load_balancer({"tags": None, "modification_protection": None}) == doc.LoadBalancer()


@pytest.mark.parametrize("given", [{"id": "lb-1"}, {"name": "other"}])
def test_an_instance_that_is_given_keeps_what_was_said_of_it(given):
    made = doc.front_end({"name": "prod-api", "load_balancer": given})
    assert made.load_balancer == doc.LoadBalancer(**given)


def test_front_end_without_load_balancer():
    assert doc.front_end({"name": "prod-api"}).load_balancer == doc.LoadBalancer(name="prod-api")


def test_partial_needs_the_load_balancer():
    assert doc.partial({"name": "prod-api"}).load_balancer_exists


def test_options_that_are_not_given_stay_none():
    made = doc.listener(listener(bandwidth=None, health_check={"interval": 3, "http_codes": None}))
    assert made.bandwidth is None and made.enabled is True
    assert made.health_check == doc.HealthCheck(interval=3)


def test_http_codes_are_a_set():
    one = doc.listener(listener(health_check={"http_codes": ["http_3xx", "http_2xx"]}))
    two = doc.listener(listener(health_check={"http_codes": ["http_2xx", "http_3xx"]}))
    assert one == two


def test_the_backends_own_address_has_one_spelling():
    assert doc.listener(listener(health_check={"domain": "$_ip"})).health_check == doc.HealthCheck(domain="")


def test_tags_of_listeners_and_access_lists_are_text():
    assert doc.listener(listener(tags={"a": 1})).tags == {"a": "1"} and doc.listener(listener()).tags is None
    assert doc.access_list({"name": "office", "tags": {"a": None}}).tags == {"a": ""}


def test_server_group_without_backends_differs_from_one_with_none():
    assert doc.server_group(group()).backends is None
    assert doc.server_group(group(backends=[])).backends == ()
    backends = [{"private_ip": "192.0.2.21", "server_id": None, "port": 8888, "weight": None, "description": None}]
    assert doc.server_group(group(backends=backends)).backends == (doc.Backend(8888, private_ip="192.0.2.21"),)


def test_a_backend_as_options_name_it():
    tagged = doc.backend({"server_tags": {"team": 1, "x": None}, "type": "eni", "state": "absent"})
    assert tagged == doc.Backend(server_tags={"team": "1", "x": ""}, state="absent")
    assert (tagged.naming, tagged.label) == ("server_tags team=1,x=", "team=1,x=")
    interface = doc.backend({"eni_id": "eni-1", "private_ip": "192.0.2.1", "port": 80})
    assert (interface.naming, interface.label) == ("eni_id eni-1", "192.0.2.1:80")


def test_who_is_the_same_member():
    ecs = doc.Backend(80, "i-1", "192.0.2.1")
    assert ecs.identity == doc.Backend(80, "i-1", None, 5, type="ecs").identity == ("i-1", None, 80)
    assert doc.Backend(80, "eni-1", "192.0.2.1", type="eni").identity == ("eni-1", "192.0.2.1", 80)


def test_what_only_removes():
    head = {"name": "prod"}
    less = {"backends": [{"server_id": "i-1", "port": 80, "state": "absent"}], "name": "web", "purge": "none"}
    more = {**less, "backends": [{"server_id": "i-1", "port": 80}]}
    pool = {"backends": [{"server_id": "i-1", "state": "absent"}]}
    assert doc.partial({**head, "server_groups": [{**less, "exists": True}]}).only_removes
    assert not doc.partial({**head, "server_groups": [{**more, "exists": True}]}).only_removes
    assert not doc.partial({**head, "server_groups": [less]}).only_removes
    assert doc.partial({**head, "default_pool": pool}).only_removes
    assert doc.partial({**head, "failover_groups": [{"name": "pair", "state": "absent"}]}).only_removes
    assert not doc.partial({**head, "default_pool": {"purge": "all"}}).only_removes


def test_all_backends_of_a_document():
    made = doc.front_end(
        {
            "name": "prod",
            "server_groups": [
                {"name": "a", "backends": [{"server_id": "i-1", "port": 1}]},
                {"name": "b", "state": "absent", "backends": [{"server_id": "i-2", "port": 1}]},
                {"name": "c"},
            ],
            "failover_groups": [
                {"name": "p", "primary": {"server_id": "i-3", "port": 1}},
                {"name": "q", "primary": {"server_id": "i-4", "port": 1}, "state": "absent"},
            ],
            "default_pool": {"backends": [{"server_id": "i-5"}]},
        }
    )
    assert [backend.server_id for backend in made.backends] == ["i-1", "i-3", "i-5"]
    assert doc.front_end({"name": "prod", "default_pool": {}}).backends == ()


def test_symbols_and_labels():
    assert doc.FailoverGroup("pair").symbol == "failover_group:pair"
    assert doc.ServerGroup("haproxy").symbol == "server_group:haproxy"
    assert doc.Listener(6443, "tcp").symbol == "listener:tcp/6443"
    assert doc.Backend(80, server_id="i-1").label == "i-1:80"
    assert doc.Backend(80, server_id="i-1", private_ip="192.0.2.1").label == "192.0.2.1:80"


def test_merged_fills_in_what_is_not_said_at_every_depth():
    desired = doc.Listener(6443, "tcp", bandwidth=5, health_check=doc.HealthCheck(interval=4), enabled=None)
    current = doc.Listener(
        6443, "tcp", bandwidth=-1, scheduler="rr", health_check=doc.HealthCheck(interval=2, timeout=7), enabled=False
    )
    result = doc.merged(desired, current)
    assert (result.bandwidth, result.scheduler, result.enabled) == (5, "rr", False)
    assert (result.health_check.interval, result.health_check.timeout) == (4, 7)


def test_differences_name_the_option_and_both_values():
    desired = doc.Listener(
        6443, "tcp", bandwidth=5, health_check=doc.HealthCheck(interval=4, timeout=None), enabled=None
    )
    current = doc.Listener(
        6443, "tcp", bandwidth=-1, health_check=doc.HealthCheck(interval=2, timeout=7), enabled=False
    )
    assert doc.differences(desired, current) == [("bandwidth", -1, 5), ("health_check.interval", 2, 4)]


@pytest.mark.parametrize(
    ("text", "wire"),
    [(None, "clusterfront:prod"), ("", "clusterfront:prod"), ("first node", "clusterfront:prod first node")],
)
def test_the_mark_of_the_owner_goes_there_and_back(text, wire):
    assert doc.marked("prod", text) == wire
    assert doc.unmarked(wire) == ("prod", text or "")


@pytest.mark.parametrize("description", [None, "", "a server of mine", "Clusterfront:prod"])
def test_a_description_without_the_mark_is_of_others(description):
    assert doc.unmarked(description) == (None, description or "")


REFUSED = [
    ({"name": "-prod"}, "name is '-prod', but it has to be 1 to 40"),
    ({"name": "p" * 41}, "1 to 40"),
    ({"name": "two words"}, "name is 'two words'"),
    ({"load_balancer": {"name": "1st"}}, "load_balancer.name is '1st', but it has to begin with a letter"),
    ({"load_balancer": {"name": "\u00e9t\u00e9"}}, "letter or a Chinese character"),
    ({"load_balancer": {"id": ""}}, "load_balancer.id is an empty text; give it a value, or leave the option out"),
    ({"name": "a b", "marked_by": "owner"}, "owner is 'a b', but it has to be 1 to 40"),
    ({"name": "a b", "marked_by": "id"}, "for it marks what this front end owns where owner is not given"),
    (
        {"access_lists": [{"name": "office", "tags": {"k": "v" * 129}}]},
        "access_lists[office].tags[k] has a value of 129",
    ),
    ({"server_groups": [group(name="a\x07b")]}, "which has a control character in it; leave that out"),
    (
        {"listeners": [listener(description="x" * 257)]},
        "at most 256 characters are possible, and no control characters",
    ),
    ({"listeners": [listener(description="a\tb")]}, "256 characters are possible, and no control characters"),
    ({"listeners": [listener(health_check={"domain": "a b"})]}, "health_check.domain is 'a b'; at most 80 letters"),
    ({"listeners": [listener(health_check={"uri": "/a b"})]}, "health_check.uri is '/a b'; it has to begin with '/'"),
    ({"load_balancer": {"address_type": "internet", "vswitch_id": "vsw-a"}}, "load_balancer.vswitch_id is 'vsw-a'"),
    ({"load_balancer": {"address_type": "internet", "vpc_id": "vpc-a"}}, "load_balancer.vpc_id is 'vpc-a'"),
    ({"load_balancer": {"address": "192.0.2"}}, "load_balancer.address is '192.0.2', which is not an IP address"),
    (
        {"load_balancer": {"address": "192.0.2.1", "address_ip_version": "ipv6"}},
        "address is '192.0.2.1' while load_balancer.address_ip_version is 'ipv6'; the two have to fit",
    ),
    ({"load_balancer": {"bandwidth": 0}}, "load_balancer.bandwidth is 0; 1 to 5120"),
    ({"load_balancer": {"bandwidth": 5121}}, "load_balancer.bandwidth is 5121; 1 to 5120"),
    (
        {"load_balancer": {"address_type": "intranet", "bandwidth": 5}},
        "address_type is 'intranet' while load_balancer.bandwidth is '5'; only an internet",
    ),
    (
        {"load_balancer": {"address_type": "intranet", "internet_charge_type": "paybytraffic"}},
        "while load_balancer.internet_charge_type is 'paybytraffic'; only an internet",
    ),
    (
        {"load_balancer": {"instance_charge_type": "PayByCLCU", "internet_charge_type": "paybybandwidth"}},
        "while load_balancer.internet_charge_type is 'paybybandwidth'; it takes 'paybytraffic' only, so leave one out",
    ),
    ({"load_balancer": {"instance_charge_type": "PayByCLCU", "bandwidth": 5}}, "is 'PayByCLCU' while"),
    ({"load_balancer": {"internet_charge_type": "paybytraffic", "bandwidth": 5}}, "only 'paybybandwidth' takes one"),
    ({"load_balancer": {"instance_charge_type": "PayByCLCU", "spec": "slb.s1.small"}}, "PayByCLCU has no spec but"),
    ({"load_balancer": {"instance_charge_type": "PayBySpec", "spec": "slb.lcu.elastic"}}, "PayBySpec has any other"),
    (
        {"load_balancer": {"modification_protection": {"enabled": False, "reason": "why"}}},
        "reason is 'why' while load_balancer.modification_protection.enabled is false",
    ),
    ({"load_balancer": {"modification_protection": {"reason": "1st"}}}, "reason is '1st', but it has to begin"),
    ({"load_balancer": {"tags": {"": "x"}}}, "has a key of 0 characters; 1 to 64"),
    ({"load_balancer": {"tags": {"k": "v" * 129}}}, "tags[k] has a value of 129 characters; at most 128"),
    ({"load_balancer": {"tags": {"k": "see https://x"}}}, "has 'http://' or 'https://' in it"),
    ({"server_groups": [group(), group()]}, "server_groups has haproxy more than once; every name may be there once"),
    ({"server_groups": [group(name="g" * 81)]}, "has 81 characters; 1 to 80"),
    ({"server_groups": [group(name="")]}, "has 0 characters; 1 to 80"),
    (
        {"server_groups": [group(backends=[{"port": 1}])]},
        "backends[None:1] names its server by nothing; exactly one of",
    ),
    (
        {"server_groups": [group(backends=[{"port": 1, "server_id": "i-1", "private_ip": "192.0.2.1"}])]},
        "names its server by server_id and private_ip; exactly one of",
    ),
    (
        {"server_groups": [group(backends=[{"port": 1, "private_ip": "192.0.2.256"}])]},
        "private_ip is '192.0.2.256', which is not",
    ),
    (
        {"server_groups": [group(backends=[{"port": 0, "server_id": "i-1"}])]},
        "backends[i-1:0].port is 0; 1 to 65535 are possible",
    ),
    ({"server_groups": [group(backends=[{"port": 1, "server_id": "i-1", "weight": 101}])]}, "weight is 101; 0 to 100"),
    (
        {"server_groups": [group(backends=[{"port": 1, "server_id": "i-1", "description": "x" * 63}])]},
        "has 63 characters; beside",
    ),
    (
        {"server_groups": [group(backends=[{"port": 1, "server_id": "i-1"}] * 2)]},
        "has i-1:1 more than once; every server and port",
    ),
    (
        {"server_groups": [group(backends=[{"port": 1, "eni_id": "eni-1", "server_name": "web"}])]},
        "names its server by server_name and eni_id; exactly one of",
    ),
    (
        {"server_groups": [group(backends=[{"port": 1, "server_id": "eni-1"}])]},
        "backends[eni-1:1].server_id is 'eni-1', which is a network interface; give it as eni_id",
    ),
    (
        {"server_groups": [group(backends=[{"port": 1, "server_tags": {}}])]},
        "backends[:1].server_tags has no tag, which would mean every server",
    ),
    (
        {"server_groups": [group(backends=[{"port": 1, "eni_id": "eni-1", "private_ip": "here"}])]},
        "private_ip is 'here', which is not an IP address",
    ),
    (
        {"server_groups": [group(backends=[{"server_id": "i-1"}])]},
        "server_groups[haproxy].backends[i-1].port is missing; with a server_group every server needs the port",
    ),
    (
        {"server_groups": [group(backends=[{"port": 1, "server_tags": {"b": 2, "a": 1}}] * 2)]},
        "backends has a=1,b=2:1 more than once; every server and port may be there once",
    ),
    (
        {"default_pool": {"backends": [{"port": 1, "server_id": "i-1"}]}},
        "default_pool.backends[i-1:1].port is 1, but a server of the default pool is called on the backend_port",
    ),
    (
        {"default_pool": {"backends": [{"server_name": "web"}] * 2}},
        "default_pool.backends has web more than once; every server may be there once",
    ),
    ({"default_pool": {"backends": [{"server_id": "i-1", "weight": -1}]}}, "backends[i-1].weight is -1; 0 to 100"),
    ({"failover_groups": [{"name": "pair"}, {"name": "pair"}]}, "failover_groups has pair more than once"),
    ({"failover_groups": [{"name": ""}]}, "failover_groups[].name has 0 characters; 1 to 80"),
    (
        {"failover_groups": [{"name": "pair", "primary": {"server_id": "i-1"}}]},
        "failover_groups[pair].primary.port is missing",
    ),
    (
        {"failover_groups": [{"name": "pair", "standby": {"server_tags": {"a": 1}, "port": 1}}]},
        "failover_groups[pair].standby has server_tags, which may fit several servers; name the one that is meant",
    ),
    (
        {"failover_groups": [{"name": "pair", "primary": {"server_id": "i-1", "port": 1, "description": "x" * 81}}]},
        "failover_groups[pair].primary.description has 81 characters; 80 are possible",
    ),
    (
        {"listeners": [listener(failover_group="pair", server_group="web")]},
        "listeners[tcp/6443] has failover_group 'pair' and server_group 'web'; a listener has one of the two",
    ),
    (
        {"listeners": [listener(failover_group="pair", backend_port=80)]},
        "has failover_group 'pair' and backend_port '80'",
    ),
    (
        {"listeners": [listener(), listener()]},
        "listeners has tcp/6443 more than once; every protocol and port may be there once",
    ),
    ({"listeners": [listener(port=65536)]}, "listeners[tcp/65536].port is 65536; 1 to 65535 are possible"),
    ({"listeners": [listener(backend_port=0)]}, "listeners[tcp/6443].backend_port is 0"),
    ({"listeners": [listener(bandwidth=0)]}, "bandwidth is 0; -1 (no limit) or 1 to 5120"),
    ({"listeners": [listener(bandwidth=5121)]}, "bandwidth is 5121"),
    ({"listeners": [listener(persistence_timeout=3601)]}, "persistence_timeout is 3601; 0 to 3600"),
    ({"listeners": [listener(established_timeout=9)]}, "established_timeout is 9; 10 to 900"),
    (
        {"listeners": [listener(connection_drain=True, connection_drain_timeout=901)]},
        "connection_drain_timeout is 901; 10 to 900",
    ),
    (
        {"listeners": [listener(health_check={"interval": 51})]},
        "listeners[tcp/6443].health_check.interval is 51; 1 to 50",
    ),
    ({"listeners": [listener(health_check={"timeout": 0})]}, "health_check.timeout is 0; 1 to 300"),
    ({"listeners": [listener(health_check={"healthy_threshold": 1})]}, "health_check.healthy_threshold is 1; 2 to 10"),
    (
        {"listeners": [listener(health_check={"unhealthy_threshold": 11})]},
        "health_check.unhealthy_threshold is 11; 2 to 10",
    ),
    ({"listeners": [listener(health_check={"connect_port": 0})]}, "health_check.connect_port is 0; 1 to 65535"),
    (
        {"listeners": [listener(health_check={"uri": "readyz"})]},
        "health_check.uri is 'readyz'; it has to begin with '/'",
    ),
    ({"listeners": [listener(health_check={"uri": "/" * 81})]}, "at most 80 characters"),
    ({"listeners": [listener(health_check={"uri": "/a b"})]}, "health_check.uri is '/a b'; it has to begin with '/'"),
    (
        {"listeners": [listener(health_check={"domain": "api example"})]},
        "health_check.domain is 'api example'; at most 80 letters, digits, '.' and '-'",
    ),
    (
        {"listeners": [listener(health_check={"http_codes": ["http_2xx", "200"]})]},
        "health_check.http_codes is 200 and http_2xx; http_2xx, http_3xx, http_4xx and http_5xx are possible",
    ),
    ({"listeners": [listener(health_check={"type": "https"})]}, "health_check.type is 'https'; tcp and http are"),
    ({"listeners": [listener(health_check={"connect_port": -1})]}, "or -520 for the backend's own port"),
    ({"listeners": [listener(description="x" * 257)]}, "; at most 256 characters are possible"),
    ({"listeners": [listener(description="two\tparts")]}, "characters are possible, and no control characters"),
    ({"listeners": [listener(scheduler="wlc")]}, "scheduler is 'wlc'; wrr, rr, sch and tch are possible"),
    ({"listeners": [listener(scheduler="qch")]}, "listeners[tcp/6443].scheduler is 'qch'; wrr, rr, sch and tch are"),
    (
        {"listeners": [listener(protocol="quic")]},
        "listeners[quic/6443].protocol is 'quic'; tcp, udp, http and https are possible",
    ),
    ({"listeners": [listener(tags={"k" * 65: ""})]}, "has a key of 65 characters; 1 to 64 are possible"),
    ({"listeners": [listener(tags={"k": "see http://x"})]}, "listeners[tcp/6443].tags[k] has 'http://' or"),
    ({"access_lists": [{"name": "office", "tags": {"k": "v" * 129}}]}, "access_lists[office].tags[k] has a value of"),
    (
        {"listeners": [udp(persistence_timeout=60)]},
        "listeners[udp/53].persistence_timeout is 60, but only a listener of tcp has that option; leave it out",
    ),
    ({"listeners": [udp(established_timeout=60)]}, "established_timeout is 60, but only a listener of tcp has"),
    ({"listeners": [udp(connection_drain=False)]}, "connection_drain is false, but only a listener of tcp has"),
    ({"listeners": [udp(connection_drain_timeout=60)]}, "connection_drain_timeout is 60, but only a listener of tcp"),
    ({"listeners": [udp(health_check={"type": "tcp"})]}, "health_check.type is 'tcp', but only a listener of tcp has"),
    (
        {"listeners": [udp(health_check={"domain": "x"})]},
        "health_check.domain is 'x', but only a listener of tcp, http and https",
    ),
    (
        {"listeners": [udp(health_check={"uri": "/x"})]},
        "health_check.uri is '/x', but only a listener of tcp, http and https",
    ),
    (
        {"listeners": [udp(health_check={"http_codes": ["http_2xx"]})]},
        "is http_2xx, but only a listener of tcp, http and https",
    ),
    (
        {"listeners": [listener(health_check={"request": "ping", "expected": "pong"})]},
        "health_check.request is 'ping', but only a listener of udp has that option",
    ),
    (
        {"listeners": [udp(health_check={"request": "ping 1"})]},
        "health_check.request is 'ping 1'; at most 64 letters and digits are possible",
    ),
    ({"listeners": [udp(health_check={"expected": "x" * 65})]}, "; at most 64 letters and digits are possible"),
    ({"listeners": [udp(health_check={"interval": 0})]}, "listeners[udp/53].health_check.interval is 0; 1 to 50"),
]


@pytest.mark.parametrize(("options", "sentence"), REFUSED, ids=[case[1][:40] for case in REFUSED])
def test_what_can_never_work_is_refused_in_one_sentence(options, sentence):
    with pytest.raises(DocumentError) as caught:
        doc.front_end({"name": "prod", **options})
    text = str(caught.value)
    assert sentence in text
    assert "\n" not in text and not text.endswith(".")


@pytest.mark.parametrize(
    "options",
    [
        {"name": "4-eyes/prod_api.v1", "load_balancer": {"name": "four-eyes"}},
        {"name": "生产"},
        {"load_balancer": {"name": "生产-api", "address": "2001:db8::1"}},
        {
            "server_groups": [
                group(backends=[{"port": 65535, "server_id": "i-1", "weight": 0, "description": "x" * 62}])
            ]
        },
        {"server_groups": [group(backends=[{"port": 1, "server_id": "i-1"}, {"port": 2, "server_id": "i-1"}])]},
        {"listeners": [listener(bandwidth=-1, persistence_timeout=0), listener(port=80, bandwidth=5120)]},
        {
            "listeners": [
                listener(connection_drain=True, connection_drain_timeout=10, health_check={"uri": "/", "timeout": 300})
            ]
        },
        {"listeners": [listener(port=53), udp(scheduler="qch", tags={"k": 1})]},
        {"listeners": [udp(health_check={"request": "a" * 64, "expected": "", "connect_port": -520})]},
        {"listeners": [listener(description="生" * 256, health_check={"uri": "/a_b?c=d&e%20#f", "domain": "$_ip"})]},
    ],
)
def test_what_works_is_not_refused(options):
    doc.front_end({"name": "prod", **options})


def test_lists_alone_need_no_name_that_a_load_balancer_could_have():
    made = doc.region_only({"name": "4-eyes", "access_lists": [{"name": "office", "tags": {"floor": 4}}]})
    assert made.without_load_balancer and made.load_balancer == doc.LoadBalancer()
    assert made.access_lists[0].tags == {"floor": "4"}


def test_who_only_reads_needs_no_mark():
    name = "x" * 80
    assert doc.front_end({"name": name, "marked_by": None, "load_balancer": {"name": name}}).load_balancer.name == name


def test_filters_are_checked_too():
    assert doc.filters({"vpc_id": "vpc-a", "tags": {"team": 1}}) == doc.LoadBalancer(vpc_id="vpc-a", tags={"team": "1"})
    with pytest.raises(DocumentError, match="load_balancer.vpc_id is an empty text"):
        doc.filters({"vpc_id": ""})


@pytest.mark.parametrize("port", [0, 65536, -1])
def test_what_is_no_port_is_not_looked_for(port):
    doc.check_port(None)
    doc.check_port(65535)
    with pytest.raises(DocumentError, match=f"port is {port}; 1 to 65535 are possible"):
        doc.check_port(port)


@pytest.mark.parametrize("seconds", [-1.0, 86401.0, float("inf"), float("nan")])
def test_a_wait_has_an_end(seconds):
    doc.check_seconds("timeout", 0.0)
    doc.check_seconds("timeout", 86400.0)
    with pytest.raises(DocumentError, match="timeout is .*; 0 to 86400 seconds are possible"):
        doc.check_seconds("timeout", seconds)


def test_the_longest_text_fits_with_its_mark():
    room = doc.DESCRIPTION_LIMIT - len(doc.marked("prod", "x")) + 1
    assert len(doc.marked("prod", "x" * room)) == doc.DESCRIPTION_LIMIT


def test_documents_cannot_be_changed_by_accident():
    with pytest.raises(dataclasses.FrozenInstanceError):
        doc.Listener(1, "tcp").port = 2
