# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the account, the region and the places of things do not allow is one sentence, and nothing was written before it."""

from __future__ import annotations

import json

import pytest

from ansible_collections.clusterfront.ha.plugins.module_utils._module import sentence
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.errors import ApiError, DocumentError, UnknownRegion

PRIVATE = {"address_type": "intranet", "vpc_id": "vpc-ut-lab", "vswitch_id": "vsw-ut-lab"}
PUBLIC = {"address_type": "internet"}


def document(balancer, **options):
    return {"name": "prod-api", "load_balancer": balancer, **options}


def groups(*addresses):
    return {
        "server_groups": [{"name": "web", "backends": [{"private_ip": address, "port": 80} for address in addresses]}]
    }


def listener(**options):
    return {"port": 80, "protocol": "tcp", "backend_port": 80, **options}


MISFITS = {
    "a server of another VPC": (
        document(PRIVATE, **groups("192.0.2.21", "198.51.100.11")),
        "server_groups[web].backends: private_ip 198.51.100.11 is i-ut-far-1 in vpc-ut-other, but the load balancer prod-api is in"
        " vpc-ut-lab; a load balancer reaches only servers of its own VPC",
    ),
    "servers of two VPCs on a public one": (
        document(PUBLIC, **groups("192.0.2.21", "198.51.100.11")),
        "server_groups[web].backends: i-ut-haproxy-1 is in vpc-ut-lab and i-ut-far-1 is in vpc-ut-other; a load balancer takes"
        " servers of one VPC only",
    ),
    "servers of two VPCs in two places": (
        document(PUBLIC, **groups("192.0.2.21"), default_pool={"backends": [{"private_ip": "198.51.100.11"}]}),
        "i-ut-haproxy-1 is in vpc-ut-lab and i-ut-far-1 is in vpc-ut-other; the load balancer prod-api takes servers of one VPC only",
    ),
    "no server of the region": (
        document(PRIVATE, **groups("203.0.113.9")),
        "server_groups[web].backends: private_ip 203.0.113.9 matches no ECS instance and no network interface of this region;"
        " check what it says, the region and that the server exists",
    ),
    "no zone of the region": (
        document({**PUBLIC, "master_zone_id": "cn-beijing-a"}),
        "load_balancer.master_zone_id is 'cn-beijing-a', which is no zone for load balancers of this region; choose one of"
        " cn-hangzhou-b, ",
    ),
    "one zone twice": (
        document({**PUBLIC, "master_zone_id": "cn-hangzhou-i", "slave_zone_id": "cn-hangzhou-i"}),
        "load_balancer.slave_zone_id is 'cn-hangzhou-i', which cannot stand by for cn-hangzhou-i; choose one of cn-hangzhou-b, ",
    ),
    "a list of the other family": (
        document(
            PRIVATE,
            access_lists=[{"name": "six", "address_ip_version": "ipv6", "entries": [{"cidr": "2001:db8::/32"}]}],
            listeners=[listener(access_list={"lists": ["six"], "type": "white"})],
        ),
        "listeners[tcp/80].access_list.lists has 'six', which is for ipv6, but the load balancer prod-api is ipv4; take a list"
        " with address_ip_version 'ipv4'",
    ),
    "more listeners than there may be": (
        document(PRIVATE, listeners=[listener(port=port) for port in range(1, 52)]),
        "load balancer prod-api would have 51 listeners, but 50 are possible; if a higher quota was granted, say so in"
        " quotas.listeners_per_load_balancer, else ask for one in the Quota Center",
    ),
}


@pytest.mark.parametrize(("wanted", "words"), MISFITS.values(), ids=MISFITS)
@pytest.mark.parametrize("check_mode", [True, False], ids=["check mode", "run"])
def test_what_does_not_fit_is_told_before_anything_is_made(cloud, wanted, words, check_mode):
    with pytest.raises(DocumentError) as caught:
        cloud.run(wanted, check_mode=check_mode)
    assert str(caught.value).startswith(words)
    assert cloud.writes == 0


def test_an_unknown_region_is_told_before_anything_is_made(cloud):
    with pytest.raises(
        UnknownRegion, match="region 'cn-hangzhuo' is not known to the cloud; the nearest valid one is 'cn-hangzhou'"
    ):
        cloud.run(document(PUBLIC), region="cn-hangzhuo")
    assert cloud.writes == 0


@pytest.mark.parametrize("place", [{"vswitch_id": "vsw-ut-other"}, {"vpc_id": "vpc-none"}, {"vswitch_id": "vsw-none"}])
def test_a_vswitch_that_is_not_in_the_vpc_is_told_by_the_first_call_that_writes(cloud, place):
    """Only the VPC's own API could tell it before."""
    with pytest.raises(ApiError) as caught:
        cloud.run(document({**PRIVATE, **place}))
    assert sentence(caught.value) == (
        "The cloud refused CreateLoadBalancer (ServiceUnavailable): there is no such vSwitch in that VPC and region; check"
        " load_balancer.vswitch_id, load_balancer.vpc_id and region."
    )
    assert cloud.picture() == []


def test_the_account_s_load_balancers_are_counted_only_where_one_is_made(cloud):
    for number in range(60):
        cloud.slb("CreateLoadBalancer", LoadBalancerName=f"web-{number}", InstanceChargeType="PayByCLCU")
    cloud.forget()
    with pytest.raises(
        DocumentError, match="the account would have 61 load balancers, but 60 are possible; if a higher"
    ):
        cloud.run(document(PUBLIC))
    assert cloud.writes == 0 and cloud.counts == {"DescribeLoadBalancers": 2}
    with pytest.raises(ApiError) as caught:
        cloud.run(document(PUBLIC, quotas={"load_balancers": 100}))
    assert sentence(caught.value) == (
        "The cloud refused CreateLoadBalancer (OverQuota): the account's quota is used up; take something away, or ask for a"
        " higher one in the Quota Center."
    )
    cloud.forget()
    assert not cloud.run({"name": "web-7", "load_balancer": {"name": "web-7"}}).changed
    assert cloud.counts == {"DescribeLoadBalancers": 1}


def test_a_full_load_balancer_is_changed_but_not_filled_further(cloud):
    cloud.run(document(PRIVATE, listeners=[listener(port=port) for port in range(1, 51)]))
    balancer = cloud.slb("DescribeLoadBalancers", PageNumber=1, PageSize=9)["LoadBalancers"]["LoadBalancer"][0]
    cloud.forget()
    with pytest.raises(DocumentError, match="would have 51 listeners"):
        cloud.run(document({}, listeners=[listener(port=99)]))
    assert cloud.writes == 0
    assert cloud.run(document({}, listeners=[listener(port=7, persistence_timeout=60)])).changed
    with pytest.raises(ApiError) as caught:
        cloud.run(document({}, listeners=[listener(port=99)], quotas={"listeners_per_load_balancer": 60}))
    assert sentence(caught.value).startswith(
        "The cloud refused CreateLoadBalancerTCPListener (ListenerNumberOverLimit): the"
    )
    cloud.slb("DeleteLoadBalancer", LoadBalancerId=balancer["LoadBalancerId"])


def test_backends_are_counted_by_servers_and_the_cloud_s_own_count_is_a_warning(cloud):
    cloud.run(document(PRIVATE, **groups("192.0.2.21")))
    balancer = cloud.slb("DescribeLoadBalancers", PageNumber=1, PageSize=9)["LoadBalancers"]["LoadBalancer"][0]
    for start in range(0, 199, 20):
        ports = range(1000 + start, 1000 + min(start + 20, 199))
        cloud.slb(
            "CreateVServerGroup",
            LoadBalancerId=balancer["LoadBalancerId"],
            VServerGroupName=f"more-{start}",
            BackendServers=json.dumps([{"ServerId": "i-ut-haproxy-1", "Port": port} for port in ports]),
        )
    cloud.forget()
    run = cloud.run(document({}, **groups("192.0.2.21", "192.0.2.22")), check_mode=True)
    assert run.outcome.plan.warnings == (
        "load balancer prod-api would have 201 backends, the same server counted as often as it is there; if the cloud counts so,"
        " its quota of 200 is exceeded",
    )
    # the groups that no document names are counted without being read
    assert cloud.counts["DescribeVServerGroupAttribute"] == 1
