# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tags of instances, listeners, groups and access control lists."""

from __future__ import annotations

from ..cloud import Answer, Call, Cloud
from ..errors import ApiError
from ..parameters import Tags, checked_tags, has_tags
from .paging import by_token
from .registry import operation

TYPES = ("instance", "certificate", "acl", "listener", "vservergroup", "masterslaveservergroup")
PAGE = 50


def _resources(cloud: Cloud, call: Call) -> dict[str, Tags]:
    """All resources of the type, each with its tags themselves, not a copy."""
    kind = call.parameters.choice("ResourceType", TYPES)
    if kind == "vservergroup":
        return {group.id: group.tags for group in cloud.state.server_groups.values() if group.region == call.region}
    if kind == "masterslaveservergroup":
        return {group.id: group.tags for group in cloud.state.failover_groups.values() if group.region == call.region}
    if kind == "certificate":
        return {found.id: found.tags for found in cloud.state.certificates.values() if found.region == call.region}
    if kind == "acl":
        return {found.id: found.tags for found in cloud.state.access_lists.values() if found.region == call.region}
    balancers = [balancer for balancer in cloud.state.load_balancers.values() if balancer.region == call.region]
    if kind == "instance":
        return {balancer.id: balancer.tags for balancer in balancers}
    if kind == "listener":
        return {
            f"{balancer.id}_{listener.key}": listener.tags
            for balancer in balancers
            for listener in balancer.listeners.values()
        }
    return {}


def _chosen(cloud: Cloud, call: Call) -> list[Tags]:
    resources = _resources(cloud, call)
    ids = call.parameters.texts("ResourceId", 20)
    if any(resource_id not in resources for resource_id in ids):
        raise ApiError("InvalidResourceId.NotFound")
    return [resources[resource_id] for resource_id in ids]


@operation("TagResources")
def tag(cloud: Cloud, call: Call) -> Answer:
    new = call.parameters.tags()
    chosen = _chosen(cloud, call)
    for tags in chosen:
        checked_tags({**tags, **new})
    for tags in chosen:
        tags.update(new)
    return {}


@operation("UntagResources")
def untag(cloud: Cloud, call: Call) -> Answer:
    keys = call.parameters.texts("TagKey", 20)
    if not keys and not call.parameters.flag("All"):
        raise ApiError("MissingParameter", "Give TagKey, or All as true.")
    for tags in _chosen(cloud, call):
        for key in keys or list(tags):
            tags.pop(key, None)
    return {}


@operation("ListTagResources")
def list_tags(cloud: Cloud, call: Call) -> Answer:
    ids, wanted = call.parameters.texts("ResourceId", 20), call.parameters.tag_filter()
    if not ids and not wanted:
        raise ApiError("MissingParameter", "Give ResourceId or Tag.")
    kind = call.parameters.text("ResourceType")
    found = [
        {"ResourceId": resource_id, "ResourceType": kind, "TagKey": key, "TagValue": value}
        for resource_id, tags in _resources(cloud, call).items()
        if (not ids or resource_id in ids) and has_tags(tags, wanted)
        for key, value in tags.items()
        if not wanted or key in dict(wanted)
    ]
    page, token = by_token(call.parameters, found, PAGE)
    return {"TagResources": {"TagResource": list(page)}, "NextToken": token}
