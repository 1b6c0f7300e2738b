# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every option of a listener of every protocol on the emulated cloud: made with it, changed alone, predicted, and refused."""

from __future__ import annotations

import dataclasses

import certificates
import pytest

from ansible_collections.clusterfront.ha.plugins.module_utils import _argspec
from ansible_collections.clusterfront.ha.plugins.module_utils._slb import health
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.client import Client, Settings
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.document import front_end
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.errors import DocumentError, Immutable

PORT = 6443
CHECK = {
    "HealthCheckConnectPort",
    "HealthCheckConnectTimeout",
    "HealthCheckInterval",
    "HealthyThreshold",
    "UnhealthyThreshold",
}
HTTP = {"HealthCheckDomain", "HealthCheckURI", "HealthCheckHttpCode", "HealthCheckMethod"}

COMMON = {
    "server_group": ("one", "two", {"VServerGroupId"}),
    "bandwidth": (5, -1, {"Bandwidth"}),
    "description": ("first", "", {"Description"}),
    "proxy_protocol_v2": (True, False, {"ProxyProtocolV2Enabled"}),
    "health_check.connect_port": (8889, -520, {"HealthCheckConnectPort"}),
    "health_check.timeout": (7, 9, {"HealthCheckConnectTimeout"}),
    "health_check.interval": (6, 8, {"HealthCheckInterval"}),
    "health_check.healthy_threshold": (4, 5, {"HealthyThreshold"}),
    "health_check.unhealthy_threshold": (6, 7, {"UnhealthyThreshold"}),
    "access_list.lists": (["office"], ["home", "office"], {"AclId", "AclIds"}),
    "access_list.type": ("white", "black", {"AclType"}),
    "enabled": (True, False, {"Status"}),
    "tags": ({"team": "one", "stage": "test"}, {"team": "two"}, {"Tags"}),
}
#: Of layer 7: what the API's answers call a switch that is off at first, and of stickiness whatever it takes along.
SWITCHED = {
    "x_forwarded_for_proto": "XForwardedFor_proto",
    "x_forwarded_for_slb_id": "XForwardedFor_SLBID",
    "x_forwarded_for_slb_ip": "XForwardedFor_SLBIP",
    "x_forwarded_for_slb_port": "XForwardedFor_SLBPORT",
    "x_forwarded_for_client_src_port": "XForwardedFor_ClientSrcPort",
}
STICKY = {"StickySession", "StickySessionType", "Cookie", "CookieTimeout"}


def layer_7(protocol):
    common = {
        name: values for name, values in COMMON.items() if name not in ("proxy_protocol_v2", "health_check.timeout")
    }
    table = {
        **common,
        "scheduler": ("rr", "wrr", {"Scheduler"}),
        "sticky_session": (True, False, STICKY),
        "sticky_session_type": ("insert", "insert", set()),
        "cookie_timeout": (60, 90, {"CookieTimeout"}),
        "x_forwarded_for": (False, True, {"XForwardedFor"}),
        **{option: (True, False, {wire}) for option, wire in SWITCHED.items()},
        "gzip": (False, True, {"Gzip"}),
        "idle_timeout": (20, 30, {"IdleTimeout"}),
        "request_timeout": (90, 120, {"RequestTimeout"}),
        "health_check.enabled": (
            True,
            False,
            {"HealthCheck", "HealthCheckTimeout", "HealthCheckMethod", *CHECK, *HTTP},
        ),
        "health_check.timeout": (7, 9, {"HealthCheckTimeout"}),
        "health_check.domain": ("api.example.com", "$_ip", {"HealthCheckDomain"}),
        "health_check.uri": ("/readyz", "/livez", {"HealthCheckURI"}),
        "health_check.http_codes": (["http_2xx", "http_3xx"], ["http_4xx"], {"HealthCheckHttpCode"}),
        "health_check.method": ("get", "head", {"HealthCheckMethod"}),
    }
    if protocol == "https":
        table |= {
            "http2": (False, True, {"EnableHttp2"}),
            "certificate": ("www", "api", {"ServerCertificateId"}),
            "ca_certificate": ("clients", "others", {"CACertificateId"}),
            "tls_policy": ("tls_cipher_policy_1_2", "strict", {"TLSCipherPolicy"}),
        }
    return table


#: protocol -> option -> a first value, a second one, and what of the API's answer differs between the two.
OPTIONS = {
    "tcp": {
        **COMMON,
        "scheduler": ("rr", "wrr", {"Scheduler"}),
        "persistence_timeout": (60, 0, {"PersistenceTimeout"}),
        "established_timeout": (600, 900, {"EstablishedTimeout"}),
        "connection_drain": (True, False, {"ConnectionDrain", "ConnectionDrainTimeout"}),
        "connection_drain_timeout": (30, 60, {"ConnectionDrainTimeout"}),
        "health_check.enabled": (True, False, {"HealthCheck", "HealthCheckType", *CHECK, *HTTP}),
        "health_check.type": ("http", "tcp", {"HealthCheckType", *HTTP}),
        "health_check.domain": ("api.example.com", "$_ip", {"HealthCheckDomain"}),
        "health_check.uri": ("/readyz", "/livez", {"HealthCheckURI"}),
        "health_check.http_codes": (["http_2xx", "http_3xx"], ["http_4xx"], {"HealthCheckHttpCode"}),
    },
    **{protocol: layer_7(protocol) for protocol in ("http", "https")},
    "udp": {
        **COMMON,
        "scheduler": ("qch", "sch", {"Scheduler"}),
        "health_check.enabled": (True, False, {"HealthCheck", "HealthCheckReq", "HealthCheckExp", *CHECK}),
        "health_check.request": ("ping", "PING", {"HealthCheckReq"}),
        "health_check.expected": ("pong", "PONG", {"HealthCheckExp"}),
    },
}
#: What is told of no single listener, or is fixed when it is made.
OTHERS = {"port", "protocol", "state", "purge_tags", "backend_port", "failover_group", "cookie", "forward_port"}
#: Parts, which test_layer7.py has.
PARTS = ("rules", "purge_rules", "domain_extensions", "purge_domain_extensions")
#: These forget what they switch off, so that the way back is another one.
ONE_WAY = ("health_check.enabled", "health_check.type", "connection_drain", "sticky_session", "tags")
CASES = [
    (protocol, option)
    for protocol, options in OPTIONS.items()
    for option, (first, second, dummy) in options.items()
    if first != second
]
SET = {protocol: f"SetLoadBalancer{protocol.upper()}ListenerAttribute" for protocol in OPTIONS}
CALLS = {"tags": "TagResources", "enabled": "StopLoadBalancerListener"}


def listener(protocol, **options):
    """A listener from options, of which some are written with a dot."""
    entry = {"port": PORT, "protocol": protocol, "enabled": True, "state": "present"}
    if protocol == "https":
        entry["certificate"] = "www"
    for name, value in options.items():
        outer, dot, inner = name.partition(".")
        if dot:
            entry.setdefault(outer, {})[inner] = value
        else:
            entry[name] = value
    return entry


def document(*listeners, **options):
    return {"name": "prod-api", "listeners": list(listeners), **options}


def whole(protocol, *, second=()):
    """A listener that has every option, none of them as the API would have it by itself."""
    table = OPTIONS[protocol]
    return listener(protocol, **{name: values[name in second] for name, values in table.items()})


def told(cloud, protocol, port=PORT):
    """A listener as its own operation tells it."""
    (balancer,) = cloud.slb("DescribeLoadBalancers", PageNumber=1, PageSize=10)["LoadBalancers"]["LoadBalancer"]
    operation = f"DescribeLoadBalancer{protocol.upper()}ListenerAttribute"
    seen = cloud.slb(operation, LoadBalancerId=balancer["LoadBalancerId"], ListenerPort=port)
    del seen["RequestId"]
    return seen


def changed_fields(before, after):
    return {name for name in {**before, **after} if before.get(name) != after.get(name)}


@pytest.fixture
def region(cloud):
    """A region with two access lists, an instance, and two groups of it."""
    for name in ("office", "home"):
        cloud.slb("CreateAccessControlList", AclName=name)
    cloud.run(
        {
            "name": "prod-api",
            "load_balancer": {"address_type": "intranet", "vpc_id": "vpc-ut-lab", "vswitch_id": "vsw-ut-lab"},
            "server_groups": [
                {"name": name, "purge": "owned", "state": "present", "backends": [{"private_ip": address, "port": 53}]}
                for name, address in (("one", "192.0.2.21"), ("two", "192.0.2.22"))
            ],
            "certificates": [
                {"name": name, **certificates.pair(f"{name}.example.com", name)} for name in ("www", "api")
            ],
            "ca_certificates": [
                {"name": name, "certificate": certificates.authority(name)} for name in ("clients", "others")
            ],
            "tls_policies": [
                {"name": "strict", "tls_versions": ["TLSv1.2"], "ciphers": ["ECDHE-RSA-AES128-GCM-SHA256"]}
            ],
        }
    )
    cloud.forget()
    return cloud


def spec_options():
    for name, option in _argspec.LISTENER.items():
        inside = option.get("options")
        if name not in PARTS:
            yield from (f"{name}.{inner}" for inner in inside) if inside else [name]


@pytest.mark.parametrize("protocol", OPTIONS)
def test_every_option_is_in_the_table_or_refused(protocol):
    assert set(_argspec.LISTENER["protocol"]["choices"]) == set(OPTIONS)
    for option in set(spec_options()) - OTHERS - set(OPTIONS[protocol]):
        value = next(values[option][0] for values in OPTIONS.values() if option in values)
        with pytest.raises(DocumentError, match=f"{option} is .*, but only a listener of .* has that option"):
            front_end(document(listener(protocol, **{option: value})))
    assert set(OPTIONS[protocol]) <= set(spec_options())


@pytest.mark.parametrize("protocol", OPTIONS)
def test_a_listener_with_every_option_is_made_as_predicted_and_only_once(region, protocol):
    wanted = document(whole(protocol))
    predicted = region.run(wanted, check_mode=True)
    assert region.writes == 0
    made = region.run(wanted)
    assert made.operations == [f"CreateLoadBalancer{protocol.upper()}Listener", "StartLoadBalancerListener"]
    assert (made.steps, made.diff) == (predicted.steps, predicted.diff) and region.writes == 2
    region.forget()
    again = region.run(wanted)
    assert not again.changed and region.writes == 0 and again.shown == made.shown
    # what is shown can be said
    shown = dict(made.shown["listeners"][0])
    assert (shown.pop("owner"), shown.pop("status")) == ("prod-api", "running")
    assert not region.run(document({**shown, "state": "present"})).changed
    assert not region.run(document(listener(protocol))).changed


NEEDED = {
    "connection_drain": ("connection_drain_timeout",),
    "connection_drain_timeout": ("connection_drain",),
    "health_check.domain": ("health_check.type",),
    "health_check.uri": ("health_check.type",),
    "health_check.http_codes": ("health_check.type",),
    "health_check.request": ("health_check.expected",),
    "health_check.expected": ("health_check.request",),
    "sticky_session": ("sticky_session_type", "cookie_timeout"),
    "cookie_timeout": ("sticky_session", "sticky_session_type"),
    "access_list.lists": ("access_list.type",),
    "access_list.type": ("access_list.lists",),
}


def by_hand(cloud, protocol, port):
    """A listener that somebody else makes, with nothing but what the API has to be told."""
    state = cloud.run(document(server_groups=[{"name": "one"}]), check_mode=True).outcome.before
    cloud.slb(
        f"CreateLoadBalancer{protocol.upper()}Listener",
        LoadBalancerId=state.load_balancer.id,
        ListenerPort=port,
        Bandwidth=-1,
        VServerGroupId=state.group("one").id,
        **({"HealthCheck": "on", "StickySession": "off"} if protocol.startswith("http") else {}),
        **({"ServerCertificateId": certificate_id(cloud, "www")} if protocol == "https" else {}),
    )


def certificate_id(cloud, name):
    found = cloud.slb("DescribeServerCertificates")["ServerCertificates"]["ServerCertificate"]
    return next(entry["ServerCertificateId"] for entry in found if entry["ServerCertificateName"] == name)


@pytest.mark.parametrize(("protocol", "option"), CASES)
def test_one_option_alone_makes_a_listener_that_differs_in_it_from_one_made_by_hand(region, protocol, option):
    by_hand(region, protocol, 1)
    table = OPTIONS[protocol]
    said = ("server_group", option, *(name for name in NEEDED.get(option, ()) if name in table))
    wanted = document(listener(protocol, **{"enabled": False, **{name: table[name][0] for name in said}}))
    predicted = region.run(wanted, check_mode=True)
    made = region.run(wanted)
    assert (made.steps, made.diff) == (predicted.steps, predicted.diff)
    assert not region.run(wanted).changed
    allowed = {"ListenerPort", "Tags"}.union(*(table[name][2] for name in said))
    # lists bring their switch along, and HTTP the rest of its check
    allowed |= {"AclStatus"} if "AclType" in allowed else HTTP if option == "health_check.type" else set()
    if option == "health_check.enabled":
        # it is on without being said
        allowed = {"ListenerPort", "Tags"}
    assert changed_fields(told(region, protocol, 1), told(region, protocol)) <= allowed
    # whoever made it, what it has is no change
    assert not region.run(document(listener(protocol, port=1, enabled=False))).changed


@pytest.mark.parametrize("omission", ["keep", "reset_all"])
@pytest.mark.parametrize(("protocol", "option"), CASES)
def test_one_change_leaves_all_else(region, protocol, option, omission):
    first, second, fields = OPTIONS[protocol][option]
    made = region.run(document(whole(protocol)))
    if protocol == "tcp":
        # nobody's option, and told by no list
        balancer = made.outcome.after.load_balancer.id
        region.slb(SET["tcp"], LoadBalancerId=balancer, ListenerPort=PORT, SynProxy="enable")
    region.switch(set_omission=omission)
    before = told(region, protocol)
    wanted = document(listener(protocol, **{option: second}))
    region.forget()
    predicted = region.run(wanted, check_mode=True)
    assert region.writes == 0
    changed = region.run(wanted)
    assert changed.operations == [CALLS.get(option, SET[protocol])] and region.writes == 1
    assert (predicted.steps, predicted.diff) == (changed.steps, changed.diff)
    assert changed.diff["before"] != changed.diff["after"]
    after = told(region, protocol)
    assert changed_fields(before, after) & fields and changed_fields(before, after) <= fields
    region.forget()
    assert not region.run(wanted).changed and region.writes == 0
    if option not in ONE_WAY:
        region.run(document(listener(protocol, **{option: first})))
        assert told(region, protocol) == before


@pytest.mark.parametrize("protocol", OPTIONS)
def test_a_check_that_is_turned_on_again_is_what_it_was(region, protocol):
    region.run(document(whole(protocol)))
    before = told(region, protocol)
    region.run(document(listener(protocol, **{"health_check.enabled": False})))
    again = document(listener(protocol, **{"health_check.enabled": True}))
    predicted = region.run(again, check_mode=True)
    turned_on = region.run(again)
    assert (predicted.steps, predicted.diff) == (turned_on.steps, turned_on.diff)
    assert told(region, protocol) == before


def test_a_check_that_is_turned_on_loses_what_is_to_go(region):
    region.run(document(whole("udp")))
    region.run(document(listener("udp", **{"health_check.enabled": False})))
    bare = {"enabled": True, "request": "", "expected": "", "connect_port": -520}
    wanted = document(listener("udp", health_check=bare))
    predicted = region.run(wanted, check_mode=True)
    assert region.run(wanted).diff == predicted.diff
    seen = told(region, "udp")
    assert (seen["HealthCheckReq"], seen["HealthCheckExp"], "HealthCheckConnectPort" in seen) == ("", "", False)


@pytest.mark.parametrize("protocol", OPTIONS)
@pytest.mark.parametrize("kept", [False, None], ids=["said", "not said"])
def test_a_stopped_listener_stays_stopped_when_it_is_changed(region, protocol, kept):
    def make(options):
        made = front_end(options)
        entries = tuple(dataclasses.replace(entry, enabled=kept) for entry in made.listeners)
        return dataclasses.replace(made, listeners=entries)

    region.run(document(listener(protocol, server_group="one", enabled=False)))
    changed = region.run(document(listener(protocol, bandwidth=9, tags={"a": "b"})), make=make)
    assert changed.operations == [SET[protocol], "TagResources"]
    seen = told(region, protocol)
    assert (seen["Status"], seen["Bandwidth"]) == ("stopped", 9)
    assert changed.shown["listeners"][0]["status"] == "stopped"


@pytest.mark.parametrize("protocol", OPTIONS)
def test_the_port_of_the_default_pool_is_fixed(region, protocol):
    made = document(listener(protocol, backend_port=53))
    predicted = region.run(made, check_mode=True)
    assert region.run(made).diff == predicted.diff and told(region, protocol)["BackendServerPort"] == 53
    assert not region.run(made).changed
    region.forget()
    with pytest.raises(Immutable, match=rf"listeners\[{protocol}/{PORT}\].backend_port is 53 and cannot become 54"):
        region.run(document(listener(protocol, backend_port=54)))
    if not protocol.startswith("http"):
        with pytest.raises(Immutable, match="scheduler is 'wrr' and cannot become 'sch'"):
            region.run(document(listener(protocol, scheduler="sch")))
    assert region.writes == 0


@pytest.mark.parametrize("protocol", OPTIONS)
def test_a_listener_goes_once(region, protocol):
    region.run(document(whole(protocol)))
    gone = document(listener(protocol, state="absent"))
    predicted = region.run(gone, check_mode=True)
    removed = region.run(gone)
    assert (removed.steps, removed.diff) == (predicted.steps, predicted.diff)
    assert removed.operations == ["DeleteLoadBalancerListener"]
    region.forget()
    assert not region.run(gone).changed and region.writes == 0


def statuses(cloud):
    found = cloud.slb("DescribeLoadBalancerListeners", MaxResults=100)["Listeners"]
    return {f"{entry['ListenerProtocol']}/{entry['ListenerPort']}": entry["Status"] for entry in found}


def test_two_protocols_on_one_port_are_two_listeners(region):
    both = [listener(protocol, server_group=group) for protocol, group in (("tcp", "one"), ("udp", "two"))]
    predicted = region.run(document(*both), check_mode=True)
    made = region.run(document(*both))
    assert (made.steps, made.diff) == (predicted.steps, predicted.diff)
    assert statuses(region) == {f"tcp/{PORT}": "running", f"udp/{PORT}": "running"}
    assert not region.run(document(*both)).changed
    tcp = told(region, "tcp")
    region.run(document(listener("udp", enabled=False, description="datagrams")))
    assert statuses(region) == {f"tcp/{PORT}": "running", f"udp/{PORT}": "stopped"}
    assert told(region, "tcp") == tcp
    assert region.run(document(listener("udp"))).operations == ["StartLoadBalancerListener"]
    assert region.run(document(listener("tcp", state="absent"))).operations == ["DeleteLoadBalancerListener"]
    assert statuses(region) == {f"udp/{PORT}": "running"}


def test_health_of_one_of_two_listeners_on_a_port(region):
    both = [listener(protocol, server_group=group) for protocol, group in (("tcp", "one"), ("udp", "two"))]
    balancer = region.run(document(*both)).outcome.after.load_balancer.id
    endpoint = f"http://{region.emulator.address}"
    client = Client(
        Settings(
            "cn-hangzhou",
            access_key_id="ut-key",
            access_key_secret="ut-secret",
            slb_endpoint=endpoint,
            ecs_endpoint=endpoint,
        )
    )

    def seen(*meant):
        return [
            (entry["protocol"], entry["private_ip"]) for entry in health.fetch(client, health.Meant(balancer, *meant))
        ]

    assert seen() == seen(PORT) == [("tcp", "192.0.2.21"), ("udp", "192.0.2.22")]
    assert seen(PORT, "udp") == seen(None, "udp") == [("udp", "192.0.2.22")]


@pytest.mark.parametrize("protocol", OPTIONS)
def test_a_purge_leaves_the_tags_of_the_cloud_and_ours(region, protocol):
    made = region.run(document(listener(protocol, server_group="one", tags={"team": "one", "stage": 1})))
    region.slb(
        "TagResources",
        ResourceType="listener",
        ResourceId=[f"{made.outcome.after.load_balancer.id}_{protocol}_{PORT}"],
        Tag=[{"Key": "clusterfront:note", "Value": "n"}],
    )
    wanted = document(listener(protocol, tags={"team": "two"}, purge_tags=True))
    predicted = region.run(wanted, check_mode=True)
    changed = region.run(wanted)
    assert changed.operations == ["UntagResources", "TagResources"] and changed.diff == predicted.diff
    assert {tag["TagKey"]: tag["TagValue"] for tag in told(region, protocol)["Tags"]["Tag"]} == {
        "clusterfront:owner": "prod-api",
        "clusterfront:note": "n",
        "team": "two",
    }
    assert changed.shown["listeners"][0]["owner"] == "prod-api"
    assert not region.run(wanted).changed


BY_BANDWIDTH = {
    "name": "web",
    "load_balancer": {
        "address_type": "internet",
        "instance_charge_type": "PayBySpec",
        "spec": "slb.s1.small",
        "internet_charge_type": "paybybandwidth",
        "bandwidth": 10,
    },
    "allow_public": True,
}


def test_listeners_share_the_bandwidth_of_their_instance(cloud):
    def shares(tcp, udp):
        entries = [listener("tcp", backend_port=80, bandwidth=tcp), listener("udp", backend_port=53, bandwidth=udp)]
        return {**BY_BANDWIDTH, "listeners": entries}

    with pytest.raises(DocumentError, match="would be 6 of tcp/6443 and 5 of udp/6443, 11 Mbit/s in all"):
        cloud.run(shares(6, 5))
    assert cloud.writes == 0
    cloud.run(shares(6, 4))
    # the order of the calls is such that the sum fits at every moment
    assert cloud.run(shares(7, 3)).changed and cloud.run(shares(3, 7)).changed
    assert not cloud.run(shares(3, 7)).changed


def test_options_of_the_other_protocol_are_refused_before_any_call(cloud):
    for protocol, option, value in (("udp", "persistence_timeout", 60), ("tcp", "health_check.request", "ping")):
        with pytest.raises(DocumentError, match="has that option; leave it out"):
            cloud.run(document(listener(protocol, **{option: value})))
    assert cloud.counts == {}
