# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The operations of ECS that are needed to find servers, and to see whom their security groups let in."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from ..cloud import Answer, Call, Cloud
from ..errors import ApiError, invalid
from ..inventory import Interface, Machine, SecurityRule, Vpc
from ..parameters import Parameters, has_tags, tag_list
from ..tables import ECS
from .paging import by_token
from .registry import operation


def _texts(parameters: Parameters, name: str) -> list[str] | None:
    """A JSON array in a text, of at most 100 elements; None where it is not given."""
    if not parameters.text(name):
        return None
    try:
        found = json.loads(parameters.text(name))
    except ValueError:
        raise ApiError(f"Invalid{name}.Malformed", f"The specified {name} is not a JSON array.") from None
    if not isinstance(found, list) or len(found) > 100:
        raise invalid(f"The specified {name} is not a JSON array of at most 100 elements.")
    return [str(element) for element in found]


def _matches(parameters: Parameters, machine: Machine, vpc: Vpc, zone: str) -> bool:
    ids = _texts(parameters, "InstanceIds")
    if ids is not None and machine.instance_id not in ids:
        return False
    addresses = _texts(parameters, "PrivateIpAddresses")
    # Documented: the filter only counts together with InstanceNetworkType=vpc.
    if (
        addresses is not None
        and parameters.text("InstanceNetworkType") == "vpc"
        and machine.private_ip not in addresses
    ):
        return False
    # The same of this filter.
    eips = _texts(parameters, "EipAddresses")
    if eips is not None and parameters.text("InstanceNetworkType") == "vpc" and machine.eip not in eips:
        return False
    if parameters.text("InstanceNetworkType") not in ("", "vpc"):
        return False
    exact = {"VpcId": vpc.vpc_id, "VSwitchId": machine.vswitch_id, "Status": machine.status, "ZoneId": zone}
    if any(parameters.text(name) not in ("", value) for name, value in exact.items()):
        return False
    # Documented: an asterisk stands for any text, and nothing else is special.
    pattern = ".*".join(map(re.escape, (parameters.text("InstanceName") or "*").split("*")))
    if not re.fullmatch(pattern, machine.name):
        return False
    return has_tags(machine.tags, parameters.tag_filter())


def _type(machine: Machine, interface: Interface) -> str:
    return "Secondary" if interface in machine.interfaces else "Primary"


def _addresses(interface: Interface) -> dict[str, Any]:
    return {
        "PrivateIpSet": [
            {"PrivateIpAddress": address, "Primary": address == interface.private_ip} for address in interface.addresses
        ]
    }


def _described(machine: Machine, vpc: Vpc, zone: str, groups: Sequence[str]) -> dict[str, Any]:
    return {
        "InstanceId": machine.instance_id,
        "InstanceName": machine.name,
        "HostName": machine.name,
        "Status": machine.status,
        "RegionId": vpc.region,
        "ZoneId": zone,
        "InstanceNetworkType": "vpc",
        "SecurityGroupIds": {"SecurityGroupId": list(groups)},
        "VpcAttributes": {
            "VpcId": vpc.vpc_id,
            "VSwitchId": machine.vswitch_id,
            "NatIpAddress": "",
            "PrivateIpAddress": {"IpAddress": [machine.private_ip]},
        },
        "NetworkInterfaces": {
            "NetworkInterface": [
                {
                    "NetworkInterfaceId": interface.eni_id,
                    "Type": _type(machine, interface),
                    "PrimaryIpAddress": interface.private_ip,
                    "PrivateIpSets": _addresses(interface),
                }
                for interface in machine.all_interfaces
            ]
        },
        "PublicIpAddress": {"IpAddress": []},
        "EipAddress": {"IpAddress": machine.eip},
        "Tags": {"Tag": tag_list(machine.tags)},
    }


@operation("DescribeInstances", version=ECS)
def describe_instances(cloud: Cloud, call: Call) -> Answer:
    parameters, inventory = call.parameters, cloud.state.inventory
    found = [
        _described(machine, vpc, inventory.zone(machine), inventory.groups_of(machine))
        for machine, vpc in inventory.in_region(call.region)
        if _matches(parameters, machine, vpc, inventory.zone(machine))
    ]
    if "PageNumber" in parameters or "PageSize" in parameters:
        size = parameters.integer("PageSize", 1, 100, 10)
        number = parameters.integer("PageNumber", 1, 2**31 - 1, 1)
        return {
            "Instances": {"Instance": found[(number - 1) * size : number * size]},
            "TotalCount": len(found),
            "PageNumber": number,
            "PageSize": size,
            "NextToken": "",
        }
    # Documented: unset or below 10 means 10.
    size = max(10, parameters.integer("MaxResults", 0, 100, 10))
    page, token = by_token(parameters, found, size)
    return {
        "Instances": {"Instance": list(page)},
        "NextToken": token,
        "TotalCount": len(found),
        "PageNumber": 1,
        "PageSize": size,
    }


def _interface_matches(parameters: Parameters, interface: Interface, told: dict[str, Any]) -> bool:
    ids = parameters.texts("NetworkInterfaceId", 100)
    # Documented for secondary addresses; the cloud controller manager finds primary ones by it too.
    addresses = parameters.texts("PrivateIpAddress", 100)
    if (ids and interface.eni_id not in ids) or (addresses and not set(addresses) & set(interface.addresses)):
        return False
    if parameters.text("PrimaryIpAddress") not in ("", interface.private_ip):
        return False
    exact = ("InstanceId", "Status", "Type", "VSwitchId", "VpcId")
    return all(parameters.text(name) in ("", told[name]) for name in exact)


@operation("DescribeNetworkInterfaces", version=ECS)
def describe_network_interfaces(cloud: Cloud, call: Call) -> Answer:
    """Interfaces of machines: every one of them is attached."""
    parameters, inventory = call.parameters, cloud.state.inventory
    found = []
    for machine, vpc in inventory.in_region(call.region):
        for interface in machine.all_interfaces:
            told = {
                "NetworkInterfaceId": interface.eni_id,
                "InstanceId": machine.instance_id,
                "Type": _type(machine, interface),
                "Status": "InUse",
                "PrivateIpAddress": interface.private_ip,
                "PrivateIpSets": _addresses(interface),
                "VpcId": vpc.vpc_id,
                "VSwitchId": machine.vswitch_id,
                "ZoneId": inventory.zone(machine),
                "SecurityGroupIds": {"SecurityGroupId": list(inventory.groups_of(machine))},
            }
            if _interface_matches(parameters, interface, told):
                found.append(told)
    size = parameters.integer("MaxResults", 10, 500, 10)
    page, token = by_token(parameters, found, size)
    return {
        "NetworkInterfaceSets": {"NetworkInterfaceSet": list(page)},
        "NextToken": token,
        "TotalCount": len(found),
        "PageNumber": 1,
        "PageSize": size,
    }


def _permission(identifier: str, rule: SecurityRule) -> dict[str, Any]:
    """A rule as the API tells it: texts, also the number of its priority, and empty ones for what it does not have."""
    return {
        "SecurityGroupRuleId": identifier,
        "Direction": rule.direction,
        "IpProtocol": rule.protocol.upper(),
        "PortRange": rule.ports,
        "SourcePortRange": "",
        "SourceCidrIp": rule.source_cidr,
        "SourceGroupId": rule.source_group,
        "SourcePrefixListId": rule.source_prefix_list,
        "DestCidrIp": "",
        "Policy": rule.policy,
        "Priority": str(rule.priority),
        "NicType": "intranet",
        "Description": "",
    }


@operation("DescribeSecurityGroupAttribute", version=ECS)
def describe_security_group_attribute(cloud: Cloud, call: Call) -> Answer:
    parameters = call.parameters
    found = cloud.state.inventory.security_group(parameters.needed("SecurityGroupId"))
    if found is None or found[1].region != call.region:
        raise ApiError("InvalidSecurityGroupId.NotFound")
    group, vpc = found
    direction = parameters.choice("Direction", ("ingress", "egress", "all"), "all")
    stem = group.security_group_id.replace("sg-", "sgr-", 1)
    rules = [
        _permission(f"{stem}-{number}", rule)
        for number, rule in enumerate(group.rules, 1)
        if direction in ("all", rule.direction)
    ]
    page, token = by_token(parameters, rules, parameters.integer("MaxResults", 10, 1000, 500))
    return {
        "SecurityGroupId": group.security_group_id,
        "SecurityGroupName": group.name,
        "VpcId": vpc.vpc_id,
        "RegionId": call.region,
        "Description": "",
        "InnerAccessPolicy": "Accept" if group.inner_access else "Drop",
        "Permissions": {"Permission": list(page)},
        "NextToken": token,
    }
