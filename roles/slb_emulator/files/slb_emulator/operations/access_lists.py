# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Access control lists."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network

from ..cloud import Answer, Call, Cloud, find_access_list
from ..errors import ApiError, invalid
from ..parameters import has_tags, tag_list
from ..store import AccessList, Listener, LoadBalancer
from .paging import numbered
from .registry import operation

NAME = r"[\w\u4e00-\u9fff./-]{1,80}"
BATCH = 50  # entries of one call
PAGE, LARGEST_PAGE = 10, 50


def users_of(cloud: Cloud, list_id: str) -> Iterator[tuple[LoadBalancer, Listener]]:
    """The listeners on which a list is in force."""
    for balancer in cloud.state.load_balancers.values():
        yield from (
            (balancer, listener) for listener in balancer.listeners.values() if list_id in listener.access_lists
        )


def _in_region(cloud: Cloud, region: str) -> list[AccessList]:
    return [found for found in cloud.state.access_lists.values() if found.region == region]


def _named(cloud: Cloud, call: Call, but: str = "") -> str:
    """The name of the request, which no other list of the region has."""
    call.parameters.needed("AclName")
    name = call.parameters.matching("AclName", NAME)
    if any(found.name == name and found.id != but for found in _in_region(cloud, call.region)):
        raise invalid("The specified AclName already exists.")  # which code the cloud has for it is not documented
    return name


def _entries(call: Call, version: str) -> dict[str, str]:
    """The entries of a request; of the same one twice the first counts."""
    given = call.parameters.json_list("AclEntrys", "AclEntryIllegal")
    if not given:
        raise ApiError("AclEntryEmpty")
    if len(given) > BATCH:
        raise ApiError("AclEntryExceedLimit", f"At most {BATCH} ACL entries can be given in one call.")
    found: dict[str, str] = {}
    for entry in given:
        text = str(entry.get("entry") or "") if isinstance(entry, dict) else ""
        try:
            network = ip_network(text)
        except ValueError:
            raise ApiError("AclEntryIllegal", f"The specified ACL entry {text!r} is illegal.") from None
        # a bare address is refused: the entries have to be CIDR blocks
        if "/" not in text or f"ipv{network.version}" != version:
            raise ApiError("AclEntryIllegal", f"The specified ACL entry {text!r} is no CIDR block of {version}.")
        found.setdefault(str(network), str(entry.get("comment") or ""))
    return found


def _changing(cloud: Cloud, call: Call) -> AccessList:
    """The list, which is busy for a while then."""
    found = find_access_list(cloud, call)
    if cloud.clock() < found.busy_until:
        raise ApiError("AclEntryProcessing")
    return found


def _changed(cloud: Cloud, found: AccessList, entries: dict[str, str]) -> None:
    found.entries = entries
    found.busy_until = cloud.busy_until()


@operation("CreateAccessControlList")
def create(cloud: Cloud, call: Call) -> Answer:
    name = _named(cloud, call)
    version = call.parameters.choice("AddressIPVersion", ("ipv4", "ipv6"), "ipv4")
    tags = call.parameters.tags()
    if len(_in_region(cloud, call.region)) >= cloud.quotas["access_lists"]:
        raise invalid(f"A region can have at most {cloud.quotas['access_lists']} ACLs.")
    list_id = cloud.new_id("acl")
    group = call.parameters.text("ResourceGroupId") or "rg-cfha-default"
    cloud.state.access_lists[list_id] = AccessList(
        list_id, call.region, name, version, cloud.now_text(), group, tags=tags
    )
    return {"AclId": list_id}


@operation("SetAccessControlListAttribute")
def set_attribute(cloud: Cloud, call: Call) -> Answer:
    found = find_access_list(cloud, call)
    found.name = _named(cloud, call, but=found.id)
    return {}


@operation("AddAccessControlListEntry")
def add_entries(cloud: Cloud, call: Call) -> Answer:
    found = _changing(cloud, call)
    # what is there already stays as it is, with its comment
    entries = {**_entries(call, found.version), **found.entries}
    most = cloud.quotas["access_list_entries"]
    if len(entries) > most:
        raise ApiError("AclEntryExceedLimit", f"An ACL can have at most {most} entries.")
    new = {cidr: comment for cidr, comment in entries.items() if cidr not in found.entries}
    _changed(cloud, found, {**found.entries, **new})
    return {}


@operation("RemoveAccessControlListEntry")
def remove_entries(cloud: Cloud, call: Call) -> Answer:
    found = _changing(cloud, call)
    gone = _entries(call, found.version)
    if not gone.keys() & found.entries.keys():
        raise ApiError("AclEntryEmpty")
    _changed(cloud, found, {cidr: comment for cidr, comment in found.entries.items() if cidr not in gone})
    return {}


@operation("DeleteAccessControlList")
def delete(cloud: Cloud, call: Call) -> Answer:
    found = find_access_list(cloud, call)
    if any(users_of(cloud, found.id)):
        raise ApiError("OperationFailed.AclBindedWithVip")
    del cloud.state.access_lists[found.id]
    return {}


def _described(found: AccessList) -> Answer:
    return {
        "AclId": found.id,
        "AclName": found.name,
        "AddressIPVersion": found.version,
        "CreateTime": found.created,
        "ResourceGroupId": found.resource_group,
        "Tags": {"Tag": tag_list(found.tags)},
    }


@operation("DescribeAccessControlLists")
def describe_all(cloud: Cloud, call: Call) -> Answer:
    parameters = call.parameters
    found = [
        _described(entry)
        for entry in _in_region(cloud, call.region)
        # documented: the filter finds parts of names
        if parameters.text("AclName") in entry.name
        and parameters.text("AddressIPVersion") in ("", entry.version)
        and parameters.text("ResourceGroupId") in ("", entry.resource_group)
        and has_tags(entry.tags, parameters.tag_filter())
    ]
    parameters.integer("PageSize", 1, LARGEST_PAGE, PAGE)
    page, number, size = numbered(parameters, found, PAGE)
    return {
        "Acls": {"Acl": list(page)},
        "PageNumber": number,
        "PageSize": size,
        "Count": len(page),
        "TotalCount": len(found),
    }


@operation("DescribeAccessControlListAttribute")
def describe(cloud: Cloud, call: Call) -> Answer:
    found, parameters = find_access_list(cloud, call), call.parameters
    wanted = parameters.text("AclEntryComment")
    entries = [
        {"AclEntryIP": cidr, "AclEntryComment": comment}
        for cidr, comment in found.entries.items()
        if wanted in ("", comment)
    ]
    # without Page and PageSize the answer ends after ten entries, and nothing but the total says so
    size = parameters.integer("PageSize", 1, LARGEST_PAGE, PAGE)
    start = (parameters.integer("Page", 1, 2**31 - 1, 1) - 1) * size
    return {
        **_described(found),
        "AclEntrys": {"AclEntry": entries[start : start + size]},
        "TotalAclEntry": len(entries),
        "RelatedListeners": {
            "RelatedListener": [
                {
                    "LoadBalancerId": balancer.id,
                    "ListenerPort": listener.port,
                    "Protocol": listener.protocol,
                    "AclType": listener.settings["AclType"],
                }
                for balancer, listener in users_of(cloud, found.id)
                if balancer.region == call.region
            ]
        },
    }
