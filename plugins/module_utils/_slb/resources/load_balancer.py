# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The SLB instance: which fields may change, by which operation."""

from __future__ import annotations

import dataclasses
import typing as t

from ..client import Client
from ..document import OWNER_TAG, FrontEnd, LoadBalancer, differences, merged
from ..errors import DocumentError, Immutable, LookupFailed, quoted
from ..plan import LOAD_BALANCER, CloudState, Observed, Ref, Step, Token

#: Fixed when the instance is made. Replacing it would change the address, so nothing ever does that by itself.
IMMUTABLE = (
    "address_type",
    "vpc_id",
    "vswitch_id",
    "address",
    "master_zone_id",
    "slave_zone_id",
    "resource_group_id",
    "instance_charge_type",
)
#: Chosen by the cloud unless they are given: no part of a prediction.
COMPUTED = (
    "id",
    "address",
    "master_zone_id",
    "slave_zone_id",
    "resource_group_id",
    "bandwidth",
    "internet_charge_type",
)
#: Nothing else is sold any more, and the API's own default is still the old one.
CHARGE_TYPE = "PayByCLCU"


def fetch(client: Client, desired: LoadBalancer) -> list[Observed[LoadBalancer]]:
    """All instances of the id or of the exact name (of the region where neither is given), the oldest first."""
    filters = {"LoadBalancerId": desired.id} if desired.id else {"LoadBalancerName": desired.name}
    found = [
        observe(entry)
        for page in client.numbered_pages("DescribeLoadBalancers", filters)
        for entry in page["LoadBalancers"]["LoadBalancer"]
    ]
    if desired.id is None and desired.name is not None:
        # the API does not promise that the filter is exact
        found = [entry for entry in found if entry.config.name == desired.name]
    return sorted(found, key=lambda entry: (entry.created, entry.id or ""))


def observe(entry: t.Mapping[str, t.Any]) -> Observed[LoadBalancer]:
    """An instance as DescribeLoadBalancers tells it."""
    tags = {tag["TagKey"]: tag["TagValue"] for tag in (entry.get("Tags") or {}).get("Tag") or ()}
    owner = tags.pop(OWNER_TAG, None)
    intranet = entry["AddressType"] == "intranet"
    return Observed(
        LoadBalancer(
            id=entry["LoadBalancerId"],
            name=entry["LoadBalancerName"],
            address_type=entry["AddressType"],
            vpc_id=entry.get("VpcId") or None,
            vswitch_id=entry.get("VSwitchId") or None,
            address=entry.get("Address") or None,
            master_zone_id=entry.get("MasterZoneId") or None,
            slave_zone_id=entry.get("SlaveZoneId") or None,
            resource_group_id=entry.get("ResourceGroupId") or None,
            # what the API tells of an intranet instance's bandwidth means nothing
            bandwidth=None if intranet else int(entry.get("Bandwidth") or 0),
            internet_charge_type=None if intranet else _charge_type(entry),
            instance_charge_type=entry.get("InstanceChargeType") or "PayBySpec",
            delete_protection=entry.get("DeleteProtection") == "on",
            tags=tags,
        ),
        id=entry["LoadBalancerId"],
        owner=owner,
        # to the millisecond where the API tells it
        created=str(entry.get("CreateTimeStamp") or entry.get("CreateTime") or ""),
        status=entry.get("LoadBalancerStatus"),
        facts={
            "address": entry.get("Address"),
            "region": entry.get("RegionId"),
            "spec": entry.get("LoadBalancerSpec") or None,
            "address_ip_version": entry.get("AddressIPVersion"),
        },
    )


def _charge_type(entry: t.Mapping[str, t.Any]) -> str:
    # the list says "4" and "3" where everything else says the words
    return entry.get("InternetChargeTypeAlias") or {"4": "paybytraffic", "3": "paybybandwidth"}.get(
        str(entry.get("InternetChargeType")), str(entry.get("InternetChargeType"))
    )


def choose(
    document: FrontEnd, found: t.Sequence[Observed[LoadBalancer]]
) -> tuple[Observed[LoadBalancer] | None, tuple[Observed[LoadBalancer], ...]]:
    """The oldest instance that the document may mean, and younger twins of the same owner.

    Raises LookupFailed where it is not clear which one is meant.
    """
    desired = document.load_balancer
    if not found:
        if not document.only_removes and (desired.id or document.load_balancer_exists):
            raise LookupFailed(
                f"load_balancer '{desired.id or desired.name}' does not exist in this region; names and ids of one region"
                " only are looked at"
            )
        return None, ()
    foreign = [entry for entry in found if entry.owner != document.owner]
    if len(found) > 1 and foreign:
        raise LookupFailed(
            f"load_balancer.name '{desired.name}' fits {len(found)} instances, {quoted(str(entry.id) for entry in found)};"
            " say which one is meant by load_balancer.id"
        )
    return found[0], tuple(found[1:])


def choose_twin(
    found: t.Sequence[Observed[LoadBalancer]], used: t.Collection[str]
) -> tuple[Observed[LoadBalancer], tuple[Observed[LoadBalancer], ...]]:
    """Of instances of one name and owner, which two runs at once made: the one that has listeners, else the oldest; and the others."""
    if len(used) > 1:
        raise LookupFailed(
            f"load_balancer.name '{found[0].config.name}' fits {len(found)} instances that this front end made, and"
            f" {quoted(sorted(used))} have listeners; say which one is meant by load_balancer.id"
        )
    first, *others = sorted(found, key=lambda entry: entry.id not in used)
    return first, tuple(others)


def plan(document: FrontEnd, current: CloudState) -> tuple[list[Step], Observed[LoadBalancer]]:
    """Steps that make the instance as it is wanted, and what it is then."""
    has = current.load_balancer
    if has is None:
        return _create(document)
    desired = document.load_balancer
    steps: list[Step] = []
    for option, old, new in differences(dataclasses.replace(desired, tags=None), has.config):
        if option in IMMUTABLE:
            raise Immutable(
                f"load_balancer.{option} of {has.config.name} ({has.id}) is '{old}' and cannot become '{new}'; leave the option"
                " out, or give the front end another name and load_balancer.name, which makes a new instance beside this one"
            )
        step = _update(has, desired, option, old, new)
        if steps and (steps[-1].operation, steps[-1].parameters) == (step.operation, step.parameters):
            # one call changes both
            step = dataclasses.replace(step, reason=f"{steps.pop().reason}; {step.reason}")
        steps.append(step)
    wanted_tags = {
        key: value for key, value in (desired.tags or {}).items() if (has.config.tags or {}).get(key) != value
    }
    if wanted_tags:
        steps.append(
            Step(
                LOAD_BALANCER,
                "tag",
                "TagResources",
                {"ResourceType": "instance", "ResourceId": [has.id], "Tag": _tags(wanted_tags)},
                f"set the tags {quoted(sorted(wanted_tags))}",
            )
        )
    steps.extend(_remove_twins(current))
    config = dataclasses.replace(merged(desired, has.config), tags={**(has.config.tags or {}), **(desired.tags or {})})
    return steps, dataclasses.replace(has, config=config)


def _remove_twins(current: CloudState) -> list[Step]:
    return [
        Step(
            f"{LOAD_BALANCER}:{twin.id}",
            "delete",
            "DeleteLoadBalancer",
            {"LoadBalancerId": twin.id},
            f"remove {twin.id}, an unused twin of {current.load_balancer.id} that another run made at the same time",
            wait="load_balancer_gone",
        )
        for twin in current.twins
        if current.load_balancer is not None
    ]


def _create(document: FrontEnd) -> tuple[list[Step], Observed[LoadBalancer]]:
    desired = document.load_balancer
    address_type = desired.address_type or ("intranet" if desired.vswitch_id else None)
    if address_type is None:
        raise DocumentError(
            f"load_balancer '{desired.name}' does not exist; to create it, load_balancer.address_type is needed:"
            " 'intranet' with vpc_id and vswitch_id, or 'internet'"
        )
    if address_type == "intranet" and not (desired.vswitch_id and desired.vpc_id):
        raise DocumentError(
            f"load_balancer '{desired.name}' does not exist; to create it with address_type 'intranet',"
            " load_balancer.vpc_id and load_balancer.vswitch_id are both needed"
        )
    config = dataclasses.replace(
        desired,
        address_type=address_type,
        instance_charge_type=desired.instance_charge_type or CHARGE_TYPE,
        delete_protection=bool(desired.delete_protection),
        tags=dict(desired.tags or {}),
    )
    intranet = address_type == "intranet"
    step = Step(
        LOAD_BALANCER,
        "create",
        "CreateLoadBalancer",
        {
            "LoadBalancerName": config.name,
            "AddressType": address_type,
            "VpcId": config.vpc_id,
            "VSwitchId": config.vswitch_id,
            "Address": config.address,
            "MasterZoneId": config.master_zone_id,
            "SlaveZoneId": config.slave_zone_id,
            "ResourceGroupId": config.resource_group_id,
            "InstanceChargeType": config.instance_charge_type,
            "InternetChargeType": None if intranet else config.internet_charge_type or "paybytraffic",
            "Bandwidth": None if intranet else config.bandwidth,
            "DeleteProtection": "on" if config.delete_protection else "off",
            "Tag": _tags({**(config.tags or {}), OWNER_TAG: document.owner}),
            "ClientToken": Token(),
        },
        f"create the {address_type} instance {config.name}",
        yields="LoadBalancerId",
        wait="load_balancer_usable",
    )
    return [step], Observed(config, owner=document.owner, status="active", facts={"address": config.address})


def _update(has: Observed[LoadBalancer], desired: LoadBalancer, option: str, old: t.Any, new: t.Any) -> Step:
    """The one call that changes an option."""
    target = {"LoadBalancerId": has.id}
    reason = f"change {option} from {old} to {new}"
    if option == "name":
        return Step(LOAD_BALANCER, "update", "SetLoadBalancerName", {**target, "LoadBalancerName": new}, reason)
    if option == "delete_protection":
        value = "on" if new else "off"
        return Step(
            LOAD_BALANCER, "update", "SetLoadBalancerDeleteProtection", {**target, "DeleteProtection": value}, reason
        )
    if option in ("bandwidth", "internet_charge_type"):
        wanted = merged(desired, has.config)
        if wanted.address_type == "intranet":
            raise DocumentError(
                f"load_balancer.{option} is {new}, but an intranet instance has none; leave the option out"
            )
        return Step(
            LOAD_BALANCER,
            "update",
            "ModifyLoadBalancerInternetSpec",
            {**target, "InternetChargeType": wanted.internet_charge_type, "Bandwidth": wanted.bandwidth},
            reason,
        )
    raise AssertionError(f"no operation changes {option}")


def _tags(tags: t.Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in sorted(tags.items())]


def plan_removal(
    document: FrontEnd,
    current: CloudState,
    has: Observed[LoadBalancer],
    listeners: t.Sequence[t.Any],
    groups: t.Sequence[t.Any],
) -> tuple[list[Step], Observed[LoadBalancer] | None, list[str]]:
    """Delete the instance if this owner made it and nothing of others is on it; else say what keeps it."""
    name = f"{has.config.name} ({has.id})"
    if has.owner != document.owner:
        return [], has, [f"load balancer {name} stays: this front end did not make it"]
    users = [entry.config.symbol.replace(":", " ") for entry in listeners]
    users += [f"server group {group.config.name}" for group in groups]
    users += [f"server {server} in the default pool" for server in current.default_pool]
    if users:
        return [], has, [f"load balancer {name} stays: others use it for {quoted(users)}"]
    if has.config.delete_protection:
        raise DocumentError(
            f"load balancer {name} has delete_protection on; set load_balancer.delete_protection to false first"
        )
    step = Step(
        LOAD_BALANCER,
        "delete",
        "DeleteLoadBalancer",
        {"LoadBalancerId": has.id},
        f"delete the instance {has.config.name}",
        wait="load_balancer_gone",
    )
    return [step, *_remove_twins(current)], None, []


def reference(instance: Observed[LoadBalancer]) -> t.Any:
    """The instance's id, or the symbol that stands for it until it exists."""
    return instance.id or Ref(LOAD_BALANCER)
