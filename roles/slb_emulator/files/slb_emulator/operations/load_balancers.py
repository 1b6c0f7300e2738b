# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Instances."""

from __future__ import annotations

import hashlib
import ipaddress
import json
from collections.abc import Iterator
from dataclasses import dataclass

from .. import regions
from ..cloud import Answer, Call, Cloud, failover_groups_of, find_balancer, groups_of, in_region
from ..errors import ApiError, invalid
from ..inventory import PUBLIC, VSwitch, Vpc
from ..parameters import Parameters, has_tags, tag_list
from ..store import LoadBalancer
from .paging import numbered
from .registry import operation

DAY, CHINA = 24 * 3600, 8 * 3600  # in seconds: a day, and how far China is ahead of UTC
IPV6 = ipaddress.IPv6Network("2001:db8::/64")  # addresses of IPv6 instances, whatever their vSwitch
FIRST_HOST = 100  # addresses below are left to machines
NAME = r"[A-Za-z\u4e00-\u9fff][A-Za-z0-9\u4e00-\u9fff/._-]{0,79}"
SPECS = tuple(
    f"slb.{spec}" for spec in ("s1.small", "s2.small", "s2.medium", "s3.small", "s3.medium", "s3.large", "s4.large")
)
_NEVER = {"EndTime": "2999-09-08T16:00:00Z", "EndTimeStamp": 32493801600000}
_BY_TRAFFIC_BANDWIDTH = 5120  # what is reported where the traffic is paid for


def _taken(cloud: Cloud, vpc: Vpc | None) -> set[str]:
    """Addresses in use in a VPC, or on the public side."""
    vpc_id = vpc.vpc_id if vpc else ""
    taken = {
        str(balancer.attributes["Address"])
        for balancer in cloud.state.load_balancers.values()
        if balancer.vpc_id == vpc_id
    }
    if vpc:
        taken |= {vpc.gateway}
        taken |= {
            ip for machine in cloud.state.inventory.machines if machine.vpc == vpc.name for ip in machine.addresses
        }
    else:
        taken |= {address for address, dummy in cloud.state.inventory.public_addresses()}
    return taken


def _free(network: ipaddress.IPv4Network, taken: set[str]) -> str:
    first = FIRST_HOST if network.num_addresses > 2 * FIRST_HOST else 1
    for number in range(first, network.num_addresses - 1):
        address = str(network[number])
        if address not in taken:
            return address
    raise ApiError("VSwitchAvailableIpNotExist")


def _private_address(cloud: Cloud, parameters: Parameters, vpc: Vpc, vswitch: VSwitch) -> str:
    network = ipaddress.IPv4Network(vswitch.cidr)
    wanted = parameters.text("Address")
    if not wanted:
        return _free(network, _taken(cloud, vpc))
    try:
        inside = ipaddress.IPv4Address(wanted) in network
    except ValueError:
        raise invalid(f"The specified Address {wanted!r} is not valid.") from None
    if not inside:
        raise invalid(f"The specified Address {wanted} is not in the CIDR block of the vSwitch.")
    if wanted in _taken(cloud, vpc):
        raise invalid("The vpc Ip is exist.")
    return wanted


def _place(cloud: Cloud, call: Call) -> tuple[Vpc, VSwitch]:
    found = cloud.state.inventory.vswitch(call.parameters.text("VSwitchId"))
    if found is None or found[0].region != call.region or call.parameters.text("VpcId") not in ("", found[0].vpc_id):
        raise ApiError("ServiceUnavailable", "The vpc subnet is not exist.", 400)
    return found


def _zones(call: Call, default: str) -> tuple[str, str]:
    parameters, known = call.parameters, regions.zones(call.region)
    master = parameters.text("MasterZoneId") or default or known[0]
    if master not in known:
        raise ApiError("PRODUCT.NOT_AVAILABLE_IZ", f"The zone {master} is not available.")
    standbys = regions.standby_zones(master, call.region)
    slave = parameters.text("SlaveZoneId") or next(iter(standbys), "")
    if slave and slave not in standbys:
        raise ApiError("PRODUCT.NOT_AVAILABLE_IZ", f"The zone {slave} is not available as standby of {master}.")
    return master, slave


def _charges(parameters: Parameters) -> Answer:
    charge_type = parameters.choice("InstanceChargeType", ("PayBySpec", "PayByCLCU"), "PayBySpec")
    internet = parameters.choice("InternetChargeType", ("paybytraffic", "paybybandwidth"), "paybytraffic")
    spec = parameters.choice("LoadBalancerSpec", SPECS) if charge_type == "PayBySpec" else "slb.lcu.elastic"
    if not spec:
        raise ApiError("ShareSlbHaltSales")
    if charge_type == "PayByCLCU" and internet != "paybytraffic":
        raise invalid("The specified InternetChargeType is invalid: PayByCLCU takes only paybytraffic.")
    if parameters.choice("PayType", ("PayOnDemand", "PrePay"), "PayOnDemand") == "PrePay":
        raise ApiError("UnsupportedOperation", "Subscription instances are no longer sold.")
    return {
        "InstanceChargeType": charge_type,
        "LoadBalancerSpec": spec,
        "InternetChargeType": internet,
        "Bandwidth": _bandwidth(parameters, internet),
        "PayType": "PayOnDemand",
    }


def _bandwidth(parameters: Parameters, internet_charge_type: str) -> int:
    given = parameters.integer("Bandwidth", 1, 5120, 1)
    return given if internet_charge_type == "paybybandwidth" else _BY_TRAFFIC_BANDWIDTH


def _protection(parameters: Parameters) -> Answer:
    status = parameters.choice("ModificationProtectionStatus", ("NonProtection", "ConsoleProtection"), "NonProtection")
    reason = parameters.matching("ModificationProtectionReason", NAME)
    if reason and status != "ConsoleProtection":
        raise invalid("ModificationProtectionReason is only valid with ConsoleProtection.")
    return {"ModificationProtectionStatus": status, "ModificationProtectionReason": reason}


def _replayed(cloud: Cloud, call: Call, digest: str) -> Answer | None:
    """The answer that the same ClientToken got before."""
    known = cloud.state.client_tokens.get(call.parameters.text("ClientToken"))
    if known is None:
        return None
    if known["parameters"] != digest:
        raise ApiError("LX_REQUEST_TOKEN_CONFLICT")
    return dict(known["answer"])


@operation("CreateLoadBalancer")
def create(cloud: Cloud, call: Call) -> Answer:
    parameters = call.parameters
    token = parameters.matching("ClientToken", r"[\x20-\x7e]{1,64}")
    digest = hashlib.sha256(json.dumps([call.region, parameters.values], sort_keys=True).encode()).hexdigest()
    replayed = _replayed(cloud, call, digest)
    if replayed is not None:
        return replayed
    if len(cloud.state.load_balancers) >= cloud.quotas["instances"]:
        raise ApiError("OverQuota")
    balancer = _new(cloud, call)
    cloud.state.load_balancers[balancer.id] = balancer
    answer = {**call.answer(balancer.attributes), "OrderId": cloud.state.sequence}
    if token:
        cloud.state.client_tokens[token] = {"parameters": digest, "answer": answer}
    return answer


def _new(cloud: Cloud, call: Call) -> LoadBalancer:
    parameters = call.parameters
    private = bool(parameters.text("VSwitchId"))
    if parameters.choice("AddressType", ("internet", "intranet"), "internet") == "intranet" and not private:
        raise ApiError("MissingParameter", "VSwitchId is mandatory: intranet instances outside a VPC are not sold.")
    version = parameters.choice("AddressIPVersion", ("ipv4", "ipv6"), "ipv4")
    if version == "ipv6" and "Address" in parameters:
        raise ApiError("UnsupportedParameter", "The address of an IPv6 instance can't be chosen here.")
    name = parameters.matching("LoadBalancerName", NAME)
    fixed = {
        **_charges(parameters),
        **_protection(parameters),
        "DeleteProtection": parameters.choice("DeleteProtection", ("on", "off"), "off"),
        "ResourceGroupId": parameters.text("ResourceGroupId") or "rg-cfha-default",
    }
    tags = parameters.tags()
    if private:
        vpc, vswitch = _place(cloud, call)
        master, slave = _zones(call, vswitch.zone_id)
        where = {
            "AddressType": "intranet",
            "NetworkType": "vpc",
            "VpcId": vpc.vpc_id,
            "VSwitchId": vswitch.vswitch_id,
            "Address": _private_address(cloud, parameters, vpc, vswitch),
        }
    else:
        master, slave = _zones(call, "")
        where = {
            "AddressType": "internet",
            "NetworkType": "classic",
            "VpcId": "",
            "VSwitchId": "",
            "Address": _free(PUBLIC, _taken(cloud, None)),
        }
    balancer_id = cloud.new_id("lb")
    if version == "ipv6":
        where["Address"] = str(IPV6[0x100 + cloud.state.sequence])
    return LoadBalancer(
        balancer_id,
        call.region,
        {
            "LoadBalancerId": balancer_id,
            "LoadBalancerName": name or f"auto_named_{balancer_id}",
            "LoadBalancerStatus": "active",
            "AddressIPVersion": version,
            "RegionId": call.region,
            "RegionIdAlias": call.region,
            "MasterZoneId": master,
            "SlaveZoneId": slave,
            "CreateTime": cloud.now_text(),
            "CreateTimeStamp": int(cloud.clock() * 1000),
            **where,
            **fixed,
        },
        tags,
    )


def _server_addresses(cloud: Cloud, balancer: LoadBalancer) -> Iterator[str]:
    for server in cloud.state.servers(balancer):
        place = cloud.state.inventory.place(server.server_id, server.server_ip)
        if place is not None:
            yield place[1]


@dataclass(frozen=True)
class _Lists:
    """Filters of several values, read before anything is looked at: what is wrong with them is wrong in any case."""

    ids: list[str]
    names: list[str]
    tags: list[tuple[str, str | None]]


def _matches(cloud: Cloud, parameters: Parameters, lists: _Lists, balancer: LoadBalancer) -> bool:
    attributes = balancer.attributes
    exact = (
        "AddressType",
        "Address",
        "AddressIPVersion",
        "NetworkType",
        "VpcId",
        "VSwitchId",
        "MasterZoneId",
        "SlaveZoneId",
        "InternetChargeType",
        "PayType",
        "LoadBalancerStatus",
        "ResourceGroupId",
    )
    if any(parameters.text(name) not in ("", attributes.get(name)) for name in exact):
        return False
    if lists.ids and balancer.id not in lists.ids:
        return False
    own = attributes["LoadBalancerName"]
    contains = cloud.switches["name_filter"] == "contains"
    if lists.names and not any(name == own or (contains and name in own) for name in lists.names):
        return False
    server_ids = {server.server_id for server in cloud.state.servers(balancer)}
    if parameters.text("ServerId") and parameters.text("ServerId") not in server_ids:
        return False
    address = parameters.text("ServerIntranetAddress")
    if address and address not in _server_addresses(cloud, balancer):
        return False
    return has_tags(balancer.tags, lists.tags)


@operation("DescribeLoadBalancers")
def describe_all(cloud: Cloud, call: Call) -> Answer:
    parameters = call.parameters
    lists = _Lists(
        parameters.names("LoadBalancerId", 10), parameters.names("LoadBalancerName", 10), parameters.tag_filter()
    )
    found = [balancer for balancer in in_region(cloud, call.region) if _matches(cloud, parameters, lists, balancer)]
    page, number, size = numbered(call.parameters, found, 50)
    fields = call.fields["LoadBalancers"].fields["LoadBalancer"].item.fields
    return {
        "LoadBalancers": {
            "LoadBalancer": [
                {
                    **{name: value for name, value in balancer.attributes.items() if name in fields},
                    # Only in the list the charge type is a number.
                    "InternetChargeType": "4" if balancer.attributes["InternetChargeType"] == "paybytraffic" else "3",
                    "InternetChargeTypeAlias": balancer.attributes["InternetChargeType"],
                    "Tags": {"Tag": tag_list(balancer.tags)},
                }
                for balancer in page
            ]
        },
        "TotalCount": len(found),
        "PageNumber": number,
        "PageSize": size,
    }


@operation("DescribeLoadBalancerAttribute")
def describe(cloud: Cloud, call: Call) -> Answer:
    balancer = find_balancer(cloud, call)
    listeners = sorted(balancer.listeners.values(), key=lambda listener: (listener.port, listener.protocol))
    pairs = [{"ListenerPort": listener.port, "ListenerProtocol": listener.protocol} for listener in listeners]
    misspelt = [{"ListenerPort": listener.port, "ListenerProtocal": listener.protocol} for listener in listeners]
    return {
        **call.answer(balancer.attributes, _NEVER),
        "Tags": {"Tag": tag_list(balancer.tags)},
        "BackendServers": {
            "BackendServer": [
                {
                    "ServerId": server.server_id,
                    "Weight": server.weight,
                    "Type": server.type,
                    "Description": server.description,
                    "ServerIp": server.server_ip,
                }
                for server in balancer.servers
            ]
        },
        "ListenerPorts": {"ListenerPort": [listener.port for listener in listeners]},
        "ListenerPortsAndProtocal": {"ListenerPortAndProtocal": misspelt},
        "ListenerPortsAndProtocol": {
            "ListenerPortAndProtocol": [
                {**pair, "Description": listener.settings.get("Description", "")}
                for pair, listener in zip(pairs, listeners)
            ]
        },
    }


@operation("SetLoadBalancerName")
def set_name(cloud: Cloud, call: Call) -> Answer:
    balancer = find_balancer(cloud, call)
    balancer.attributes["LoadBalancerName"] = call.parameters.matching("LoadBalancerName", NAME)
    return {}


@operation("SetLoadBalancerStatus")
def set_status(cloud: Cloud, call: Call) -> Answer:
    balancer = find_balancer(cloud, call)
    balancer.attributes["LoadBalancerStatus"] = call.parameters.choice("LoadBalancerStatus", ("active", "inactive"))
    return {}


@operation("SetLoadBalancerDeleteProtection")
def set_delete_protection(cloud: Cloud, call: Call) -> Answer:
    balancer = find_balancer(cloud, call)
    balancer.attributes["DeleteProtection"] = call.parameters.choice("DeleteProtection", ("on", "off"))
    return {}


@operation("SetLoadBalancerModificationProtection")
def set_modification_protection(cloud: Cloud, call: Call) -> Answer:
    find_balancer(cloud, call).attributes.update(_protection(call.parameters))
    return {}


def _midnight(now: float) -> float:
    """The next 00:00 in China."""
    return now - (now + CHINA) % DAY + DAY


@operation("ModifyLoadBalancerInternetSpec")
def modify_internet_spec(cloud: Cloud, call: Call) -> Answer:
    balancer = find_balancer(cloud, call)
    parameters, attributes = call.parameters, balancer.attributes
    wanted = parameters.choice(
        "InternetChargeType", ("paybytraffic", "paybybandwidth"), attributes["InternetChargeType"]
    )
    if attributes["AddressType"] == "intranet" and wanted == "paybybandwidth":
        raise ApiError("ActionNotAllowed", "An intranet instance can't be charged by bandwidth.")
    if attributes["InstanceChargeType"] == "PayByCLCU" and wanted != "paybytraffic":
        raise ApiError("ActionNotAllowed", "An instance of PayByCLCU is charged by traffic.")
    new = {"InternetChargeType": wanted, "Bandwidth": _bandwidth(parameters, wanted)}
    if wanted != attributes["InternetChargeType"] and cloud.switches["charge_type_change"] == "next_day":
        balancer.pending, balancer.pending_at = new, _midnight(cloud.clock())
    else:
        attributes.update(new)
    return {"OrderId": cloud.state.sequence}


@operation("ModifyLoadBalancerInstanceSpec")
def modify_instance_spec(cloud: Cloud, call: Call) -> Answer:
    attributes = find_balancer(cloud, call).attributes
    if attributes["InstanceChargeType"] == "PayByCLCU":
        raise ApiError("UnsupportedOperation", "An instance of PayByCLCU has no specification.")
    attributes["LoadBalancerSpec"] = call.parameters.choice("LoadBalancerSpec", SPECS)
    return {"OrderId": cloud.state.sequence}


@operation("ModifyLoadBalancerInstanceChargeType")
def modify_charge_type(cloud: Cloud, call: Call) -> Answer:
    attributes = find_balancer(cloud, call).attributes
    wanted = call.parameters.choice("InstanceChargeType", ("PayBySpec", "PayByCLCU"))
    if wanted == "PayBySpec":
        raise ApiError("UnsupportedOperation", "An instance can only be changed from PayBySpec to PayByCLCU.")
    if (
        call.parameters.choice("InternetChargeType", ("paybytraffic", "paybybandwidth"), "paybytraffic")
        != "paybytraffic"
    ):
        raise invalid("The specified InternetChargeType is invalid: PayByCLCU takes only paybytraffic.")
    attributes.update(
        {
            "InstanceChargeType": "PayByCLCU",
            "LoadBalancerSpec": "slb.lcu.elastic",
            "InternetChargeType": "paybytraffic",
            "Bandwidth": _BY_TRAFFIC_BANDWIDTH,
        }
    )
    return {}


@operation("MoveResourceGroup")
def move_resource_group(cloud: Cloud, call: Call) -> Answer:
    call.parameters.choice("ResourceType", ("loadbalancer",))  # certificates and ACLs have no groups here
    wanted = call.parameters.matching("NewResourceGroupId", r"rg-[A-Za-z0-9-]+")
    find_balancer(cloud, call, "ResourceId").attributes["ResourceGroupId"] = wanted
    return {}


@operation("DeleteLoadBalancer")
def delete(cloud: Cloud, call: Call) -> Answer:
    balancer = find_balancer(cloud, call)
    if balancer.attributes["DeleteProtection"] == "on":
        raise ApiError("OperationDenied.DeleteProtectionIsOn")
    for group in groups_of(cloud, balancer):
        del cloud.state.server_groups[group.id]
    for pair in failover_groups_of(cloud, balancer):
        del cloud.state.failover_groups[pair.id]
    del cloud.state.load_balancers[balancer.id]
    return {}
