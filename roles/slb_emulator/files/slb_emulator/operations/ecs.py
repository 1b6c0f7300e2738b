# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one operation of ECS that is needed to find servers."""

from __future__ import annotations

import json
from fnmatch import fnmatchcase
from typing import Any

from ..cloud import Answer, Call, Cloud
from ..errors import ApiError, invalid
from ..inventory import Machine, Vpc
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


def _matches(parameters: Parameters, machine: Machine, vpc: Vpc) -> bool:
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
    if parameters.text("InstanceNetworkType") not in ("", "vpc"):
        return False
    exact = {
        "VpcId": vpc.vpc_id,
        "VSwitchId": machine.vswitch_id,
        "Status": machine.status,
        "ZoneId": _zone(machine, vpc),
    }
    if any(parameters.text(name) not in ("", value) for name, value in exact.items()):
        return False
    if not fnmatchcase(machine.name, parameters.text("InstanceName") or "*"):
        return False
    return has_tags(machine.tags, parameters.tag_filter())


def _zone(machine: Machine, vpc: Vpc) -> str:
    zones = {vswitch.vswitch_id: vswitch.zone_id for vswitch in vpc.vswitches}
    return zones.get(machine.vswitch_id) or next(iter(zones.values()), "")


def _described(machine: Machine, vpc: Vpc) -> dict[str, Any]:
    return {
        "InstanceId": machine.instance_id,
        "InstanceName": machine.name,
        "HostName": machine.name,
        "Status": machine.status,
        "RegionId": vpc.region,
        "ZoneId": _zone(machine, vpc),
        "InstanceNetworkType": "vpc",
        "VpcAttributes": {
            "VpcId": vpc.vpc_id,
            "VSwitchId": machine.vswitch_id,
            "NatIpAddress": "",
            "PrivateIpAddress": {"IpAddress": [machine.private_ip]},
        },
        "NetworkInterfaces": {
            "NetworkInterface": [
                {
                    "NetworkInterfaceId": machine.instance_id.replace("i-", "eni-", 1),
                    "Type": "Primary",
                    "PrimaryIpAddress": machine.private_ip,
                    "PrivateIpSets": {"PrivateIpSet": [{"PrivateIpAddress": machine.private_ip, "Primary": True}]},
                }
            ]
        },
        "PublicIpAddress": {"IpAddress": []},
        "EipAddress": {"IpAddress": ""},
        "Tags": {"Tag": tag_list(machine.tags)},
    }


@operation("DescribeInstances", version=ECS)
def describe_instances(cloud: Cloud, call: Call) -> Answer:
    parameters = call.parameters
    found = [
        _described(machine, vpc)
        for machine, vpc in cloud.state.inventory.in_region(call.region)
        if _matches(parameters, machine, vpc)
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
