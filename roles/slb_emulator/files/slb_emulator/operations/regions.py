# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Regions and zones."""

from __future__ import annotations

from .. import regions
from ..cloud import Answer, Call, Cloud
from .registry import operation


@operation("DescribeRegions", regional=False)
def describe_regions(cloud: Cloud, call: Call) -> Answer:
    return {
        "Regions": {
            "Region": [
                {"RegionId": region, "LocalName": name, "RegionEndpoint": regions.endpoint(region)}
                for region, (name, dummy) in regions.REGIONS.items()
            ]
        }
    }


@operation("DescribeZones")
def describe_zones(cloud: Cloud, call: Call) -> Answer:
    return {
        "Zones": {
            "Zone": [
                {
                    "ZoneId": zone,
                    "LocalName": zone,
                    "SlaveZones": {
                        "SlaveZone": [
                            {"ZoneId": other, "LocalName": other} for other in regions.standby_zones(zone, call.region)
                        ]
                    },
                }
                for zone in regions.zones(call.region)
            ]
        }
    }


@operation("DescribeAvailableResource")
def describe_available(cloud: Cloud, call: Call) -> Answer:
    """The pairs of DescribeZones. Private instances outside a VPC are no longer sold, and are not listed."""
    kind = call.parameters.choice("AddressType", ("vpc", "classic_internet", "classic_intranet"))
    version = call.parameters.choice("AddressIPVersion", ("ipv4", "ipv6"))
    supported = [
        {"AddressType": address_type, "AddressIPVersion": address_version}
        for address_type in ("vpc", "classic_internet")
        for address_version in ("ipv4", "ipv6")
        if kind in ("", address_type) and version in ("", address_version)
    ]
    pairs = [
        {"MasterZoneId": zone, "SlaveZoneId": standby, "SupportResources": {"SupportResource": supported}}
        for zone in regions.zones(call.region)
        for standby in regions.standby_zones(zone, call.region) or [""]
        if supported
    ]
    return {"AvailableResources": {"AvailableResource": pairs}}
