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


def test_server_group_without_backends_differs_from_one_with_none():
    assert doc.server_group(group()).backends is None
    assert doc.server_group(group(backends=[])).backends == ()
    backends = [{"private_ip": "192.0.2.21", "server_id": None, "port": 8888, "weight": None, "description": None}]
    assert doc.server_group(group(backends=backends)).backends == (doc.Backend(8888, private_ip="192.0.2.21"),)


def test_symbols_and_labels():
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
    ({"server_groups": [group(backends=[{"port": 1}])]}, "needs either server_id or private_ip, one of the two"),
    (
        {"server_groups": [group(backends=[{"port": 1, "server_id": "i-1", "private_ip": "192.0.2.1"}])]},
        "one of the two",
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
        {"listeners": [listener(connection_drain=True)]},
        "connection_drain is true, which needs connection_drain_timeout",
    ),
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
    ],
)
def test_what_works_is_not_refused(options):
    doc.front_end({"name": "prod", **options})


def test_the_longest_text_fits_with_its_mark():
    room = doc.DESCRIPTION_LIMIT - len(doc.marked("prod", "x")) + 1
    assert len(doc.marked("prod", "x" * room)) == doc.DESCRIPTION_LIMIT


def test_documents_cannot_be_changed_by_accident():
    with pytest.raises(dataclasses.FrozenInstanceError):
        doc.Listener(1, "tcp").port = 2
