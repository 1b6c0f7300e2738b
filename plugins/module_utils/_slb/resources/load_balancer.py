# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The SLB instance: which fields may change, by which operation."""

from __future__ import annotations

import dataclasses
import typing as t

from ..client import Client
from ..document import LCU_SPEC, OWNER_TAG, Backend, FrontEnd, LoadBalancer, ModificationProtection, differences, merged
from ..errors import DocumentError, Immutable, LookupFailed, quoted
from ..state import LOAD_BALANCER, CloudState, Observed, Ref, Step, Stock, Token
from .tags import has_tags, parted, predicted_tags, refuse, tag_steps, wrapped, written

#: Fixed when the instance is made. Replacing it would change the address, so nothing ever does that by itself.
IMMUTABLE = ("address_type", "vpc_id", "vswitch_id", "address", "address_ip_version", "master_zone_id", "slave_zone_id")
#: Chosen by the cloud unless they are given: no part of a prediction.
COMPUTED = (
    "id",
    "address",
    "master_zone_id",
    "slave_zone_id",
    "resource_group_id",
    "bandwidth",
    "internet_charge_type",
    "spec",
    "enabled",
)
#: Nothing else is sold any more, and the API's own default is still the old one.
CHARGE_TYPE = "PayByCLCU"


def fetch(client: Client, desired: LoadBalancer) -> list[Observed[LoadBalancer]]:
    """All instances of the id or of the exact name (of the region where neither is given), the oldest first."""
    return search(client, LoadBalancer(id=desired.id) if desired.id else LoadBalancer(name=desired.name))


def search(client: Client, wanted: LoadBalancer) -> list[Observed[LoadBalancer]]:
    """All instances that are as wanted in id, name, VPC, address, its type, and tags, the oldest first."""
    filters = {
        "LoadBalancerId": wanted.id,
        "LoadBalancerName": wanted.name,
        "VpcId": wanted.vpc_id,
        "AddressType": wanted.address_type,
        "Address": wanted.address,
        "Tag": written(wanted.tags or {}) or None,
    }
    found = [
        observe(entry)
        for page in client.numbered_pages("DescribeLoadBalancers", filters)
        for entry in page["LoadBalancers"]["LoadBalancer"]
    ]
    # the API does not promise that its filters are exact
    plain = dataclasses.replace(wanted, tags=None)
    found = [entry for entry in found if not differences(plain, entry.config) and has_tags(entry, wanted.tags)]
    return sorted(found, key=lambda entry: (entry.created, entry.id or ""))


def observe(entry: t.Mapping[str, t.Any]) -> Observed[LoadBalancer]:
    """An instance as DescribeLoadBalancers tells it."""
    owner, tags = parted(wrapped(entry))
    internet_charge_type = None if entry["AddressType"] == "intranet" else _charge_type(entry)
    charge_type = entry.get("InstanceChargeType") or "PayBySpec"
    protected = entry.get("ModificationProtectionStatus") == "ConsoleProtection"
    return Observed(
        LoadBalancer(
            id=entry["LoadBalancerId"],
            name=entry["LoadBalancerName"],
            address_type=entry["AddressType"],
            vpc_id=entry.get("VpcId") or None,
            vswitch_id=entry.get("VSwitchId") or None,
            address=entry.get("Address") or None,
            address_ip_version=entry.get("AddressIPVersion") or "ipv4",
            master_zone_id=entry.get("MasterZoneId") or None,
            slave_zone_id=entry.get("SlaveZoneId") or None,
            resource_group_id=entry.get("ResourceGroupId") or None,
            # what the API tells of the bandwidth of any other instance means nothing
            bandwidth=int(entry.get("Bandwidth") or 0) if internet_charge_type == "paybybandwidth" else None,
            internet_charge_type=internet_charge_type,
            instance_charge_type=charge_type,
            spec=LCU_SPEC if charge_type == CHARGE_TYPE else entry.get("LoadBalancerSpec") or None,
            delete_protection=entry.get("DeleteProtection") == "on",
            modification_protection=ModificationProtection(
                enabled=protected, reason=(entry.get("ModificationProtectionReason") or None) if protected else None
            ),
            # a locked instance was not stopped by anybody
            enabled=entry.get("LoadBalancerStatus") != "inactive",
            tags=tags,
        ),
        id=entry["LoadBalancerId"],
        owner=owner,
        # to the millisecond where the API tells it
        created=str(entry.get("CreateTimeStamp") or entry.get("CreateTime") or ""),
        status=entry.get("LoadBalancerStatus"),
        facts={"address": entry.get("Address"), "region": entry.get("RegionId")},
    )


def _charge_type(entry: t.Mapping[str, t.Any]) -> str:
    # the list says "4" and "3" where everything else says the words
    return entry.get("InternetChargeTypeAlias") or {"4": "paybytraffic", "3": "paybybandwidth"}.get(
        str(entry.get("InternetChargeType")), str(entry.get("InternetChargeType"))
    )


def stock(client: Client, desired: LoadBalancer) -> Stock:
    """What has to be known before an instance is made."""
    first = client.slb("DescribeLoadBalancers", {"PageNumber": 1, "PageSize": 1})
    zones = None
    if desired.master_zone_id or desired.slave_zone_id:
        zones = {
            zone["ZoneId"]: [other["ZoneId"] for other in (zone.get("SlaveZones") or {}).get("SlaveZone") or ()]
            for zone in client.slb("DescribeZones", {})["Zones"]["Zone"]
        }
    return Stock(int(first["TotalCount"]), zones)


def choose(
    document: FrontEnd, found: t.Sequence[Observed[LoadBalancer]]
) -> tuple[Observed[LoadBalancer] | None, tuple[Observed[LoadBalancer], ...]]:
    """The oldest instance that the document may mean, and younger twins of the same owner.

    Raises LookupFailed where it is not clear which one is meant.
    """
    desired = document.load_balancer
    if not found:
        if not document.only_removes and (desired.id or document.load_balancer_exists):
            option = "load_balancer.id" if desired.id and not document.load_balancer_exists else "load_balancer"
            raise LookupFailed(
                f"{option} '{desired.id or desired.name}' does not exist in this region; names and ids of one region"
                " only are looked at"
            )
        return None, ()
    foreign = [entry for entry in found if entry.owner != document.owner]
    if len(found) > 1 and foreign:
        option, cure = ("load_balancer.name", "say which one is meant by load_balancer.id")
        if document.load_balancer_exists:
            option, cure = ("load_balancer", "give the id of the one that is meant instead")
        raise LookupFailed(
            f"{option} '{desired.name}' fits {len(found)} instances, {quoted(str(entry.id) for entry in found)}; {cure}"
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
        return _create(document, current.stock)
    desired = document.load_balancer
    config = _predicted(desired, has.config)
    _check(config, desired, has.config.tags or {})
    steps: list[Step] = []
    for option, old, new in differences(dataclasses.replace(desired, tags=None, purge_tags=None), has.config):
        step = _update(has, config, option, old, new)
        if steps and (steps[-1].operation, steps[-1].parameters) == (step.operation, step.parameters):
            # one call changes both
            step = dataclasses.replace(step, reason=f"{steps.pop().reason}; {step.reason}")
        steps.append(step)
    if any(step.operation == CONVERSION for step in steps):
        # it brings the way of paying for the traffic and the spec along
        steps = [step for step in steps if step.operation not in (INTERNET_SPEC, INSTANCE_SPEC)]
    # What starts the instance comes first; of what comes last, the change that locks the instance is the very last.
    steps.sort(key=lambda step: (step.later is not None, step.operation != STATUS))
    steps.extend(tag_steps(LOAD_BALANCER, "instance", has.id, has.config.tags, config.tags))
    steps.extend(_remove_twins(has, current.twins))
    return steps, dataclasses.replace(has, config=config, status=_status(config, has.status))


def _status(config: LoadBalancer, status: str | None) -> str | None:
    """What the status is after the work: a locked instance stays so."""
    return "inactive" if config.enabled is False else "active" if status == "inactive" else status


def _predicted(desired: LoadBalancer, has: LoadBalancer) -> LoadBalancer:
    """What the instance is after the work: the document over what there is, and what follows from that."""
    tags = predicted_tags(desired.tags, has.tags, desired.purge_tags)
    return _settled(dataclasses.replace(merged(desired, has), tags=tags, purge_tags=None), desired)


def _settled(config: LoadBalancer, desired: LoadBalancer) -> LoadBalancer:
    """One choice settles others: what the document does not say of those follows."""
    internet_charge_type, bandwidth = config.internet_charge_type, config.bandwidth
    if config.instance_charge_type == "PayByCLCU" and config.address_type == "internet":
        internet_charge_type = desired.internet_charge_type or "paybytraffic"
    if internet_charge_type == "paybytraffic":
        bandwidth = desired.bandwidth
    protection = config.modification_protection
    return dataclasses.replace(
        config,
        internet_charge_type=internet_charge_type,
        bandwidth=bandwidth,
        spec=(desired.spec or LCU_SPEC) if config.instance_charge_type == "PayByCLCU" else config.spec,
        modification_protection=protection if protection.enabled else dataclasses.replace(protection, reason=None),
    )


def _check(config: LoadBalancer, desired: LoadBalancer, tags: t.Mapping[str, str]) -> None:
    """Refuse what the instance as a whole cannot be; config is what the work would lead to, tags are those that it has."""
    where = f"load_balancer '{config.name}'"
    if config.address_type == "intranet":
        for option in ("bandwidth", "internet_charge_type"):
            if getattr(desired, option) is not None:
                raise DocumentError(
                    f"load_balancer.{option} is {getattr(desired, option)}, but an intranet instance has none; leave the option out"
                )
    elif config.instance_charge_type == "PayByCLCU" and config.internet_charge_type != "paybytraffic":
        raise DocumentError(
            f"load_balancer.internet_charge_type is '{config.internet_charge_type}', but {where} is PayByCLCU, which takes"
            " 'paybytraffic' only"
        )
    elif config.internet_charge_type == "paybytraffic" and desired.bandwidth is not None:
        raise DocumentError(
            f"load_balancer.bandwidth is {desired.bandwidth}, but {where} is paid by traffic; leave it out, or set"
            " load_balancer.internet_charge_type to 'paybybandwidth', which only an instance of PayBySpec takes"
        )
    elif config.internet_charge_type == "paybybandwidth" and config.bandwidth is None:
        raise DocumentError(
            "load_balancer.internet_charge_type is 'paybybandwidth', which needs load_balancer.bandwidth (1 to 5120 Mbit/s)"
        )
    if desired.spec is not None and (config.instance_charge_type == "PayByCLCU") != (desired.spec == LCU_SPEC):
        raise Immutable(
            f"load_balancer.spec is '{desired.spec}', but {where} is {config.instance_charge_type}; PayByCLCU has no spec but"
            f" '{LCU_SPEC}' and cannot become PayBySpec, so leave the spec out"
            if config.instance_charge_type == "PayByCLCU"
            else f"load_balancer.spec is '{desired.spec}', but {where} is PayBySpec; set load_balancer.instance_charge_type to"
            " 'PayByCLCU', from which there is no way back"
        )
    if desired.modification_protection.reason is not None and not config.modification_protection.enabled:
        raise DocumentError(
            f"load_balancer.modification_protection.reason is '{desired.modification_protection.reason}', but the protection of"
            f" {where} is off; set load_balancer.modification_protection.enabled to true too"
        )
    refuse("load_balancer.tags", desired.tags, tags, config.tags or {})


def _remove_twins(has: Observed[LoadBalancer], twins: t.Iterable[Observed[LoadBalancer]]) -> list[Step]:
    what = f"an unused twin of {has.id} that another run made at the same time"
    return [step for twin in twins for step in away(twin, what)]


def away(instance: Observed[LoadBalancer], what: str) -> list[Step]:
    """Take away an instance that a run at the same time made in vain. Its protection is from the document, as all of it."""
    symbol, target = f"{LOAD_BALANCER}:{instance.id}", {"LoadBalancerId": instance.id}
    operation, dummy = UPDATES["delete_protection"]
    off = Step(symbol, "update", operation, {**target, "DeleteProtection": "off"}, f"let {instance.id} be removed")
    delete = Step(
        symbol, "delete", "DeleteLoadBalancer", target, f"remove {instance.id}, {what}", wait="load_balancer_gone"
    )
    return [off, delete] if instance.config.delete_protection else [delete]


def _check_zones(desired: LoadBalancer, zones: t.Mapping[str, t.Sequence[str]]) -> None:
    """Refuse a zone in which no load balancer is sold, and one that cannot stand by for the other."""
    master, slave = desired.master_zone_id, desired.slave_zone_id
    if master is not None and master not in zones:
        raise DocumentError(
            f"load_balancer.master_zone_id is '{master}', which is no zone for load balancers of this region;"
            f" choose one of {quoted(sorted(zones))}"
        )
    partners = sorted({zone for others in zones.values() for zone in others} if master is None else zones[master])
    if slave is not None and slave not in partners:
        raise DocumentError(
            f"load_balancer.slave_zone_id is '{slave}', which cannot stand by{f' for {master}' if master else ''};"
            f" choose one of {quoted(partners)}"
        )


def _create(document: FrontEnd, stock: Stock | None) -> tuple[list[Step], Observed[LoadBalancer]]:
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
    if address_type == "internet" and desired.address is not None:
        raise DocumentError(
            f"load_balancer.address is '{desired.address}', but the cloud chooses the address of an internet instance; leave the"
            " option out"
        )
    if desired.spec not in (None, LCU_SPEC) and desired.instance_charge_type is None:
        raise DocumentError(
            f"load_balancer.spec is '{desired.spec}', but a new instance is {CHARGE_TYPE}, which has none; leave the option out, or"
            " set load_balancer.instance_charge_type to 'PayBySpec' if that is still sold to you"
        )
    if stock is not None and stock.zones is not None:
        _check_zones(desired, stock.zones)
    intranet = address_type == "intranet"
    config = _settled(
        dataclasses.replace(
            desired,
            address_type=address_type,
            address_ip_version=desired.address_ip_version or "ipv4",
            instance_charge_type=desired.instance_charge_type or CHARGE_TYPE,
            internet_charge_type=desired.internet_charge_type or (None if intranet else "paybytraffic"),
            delete_protection=bool(desired.delete_protection),
            modification_protection=dataclasses.replace(
                desired.modification_protection, enabled=bool(desired.modification_protection.enabled)
            ),
            enabled=desired.enabled is not False,
            tags=dict(desired.tags or {}),
            purge_tags=None,
        ),
        desired,
    )
    _check(config, desired, {})
    if config.spec is None:
        raise DocumentError(
            f"load_balancer.instance_charge_type is 'PayBySpec', so load_balancer.spec is needed to create '{desired.name}'"
        )
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
            "AddressIPVersion": config.address_ip_version,
            "MasterZoneId": config.master_zone_id,
            "SlaveZoneId": config.slave_zone_id,
            "ResourceGroupId": config.resource_group_id,
            "InstanceChargeType": config.instance_charge_type,
            "LoadBalancerSpec": None if config.spec == LCU_SPEC else config.spec,
            "InternetChargeType": config.internet_charge_type,
            "Bandwidth": config.bandwidth,
            "DeleteProtection": "on" if config.delete_protection else "off",
            **_protection(config.modification_protection),
            "Tag": written({**(config.tags or {}), OWNER_TAG: document.owner}),
            "ClientToken": Token(),
        },
        f"create the {address_type} instance {config.name}",
        yields="LoadBalancerId",
        wait="load_balancer_usable",
    )
    made = Observed(config, owner=document.owner, status="active", facts={"address": config.address})
    stop = [] if config.enabled else [_update(made, config, "enabled", True, False)]
    return [step, *stop], dataclasses.replace(made, status=_status(config, made.status))


INTERNET_SPEC = "ModifyLoadBalancerInternetSpec"
INSTANCE_SPEC = "ModifyLoadBalancerInstanceSpec"
CONVERSION = "ModifyLoadBalancerInstanceChargeType"
STATUS = "SetLoadBalancerStatus"

#: option -> (operation, its parameters from the whole that is wanted). Every call sends all that it sets.
UPDATES: dict[str, tuple[str, t.Callable[[LoadBalancer], dict[str, t.Any]]]] = {
    "name": ("SetLoadBalancerName", lambda wanted: {"LoadBalancerName": wanted.name}),
    "delete_protection": (
        "SetLoadBalancerDeleteProtection",
        lambda wanted: {"DeleteProtection": "on" if wanted.delete_protection else "off"},
    ),
    "modification_protection": (
        "SetLoadBalancerModificationProtection",
        lambda wanted: _protection(wanted.modification_protection),
    ),
    "enabled": (STATUS, lambda wanted: {"LoadBalancerStatus": "active" if wanted.enabled else "inactive"}),
    "spec": (INSTANCE_SPEC, lambda wanted: {"LoadBalancerSpec": wanted.spec}),
    "instance_charge_type": (
        CONVERSION,
        lambda wanted: {
            "InstanceChargeType": wanted.instance_charge_type,
            "InternetChargeType": wanted.internet_charge_type,
        },
    ),
    "internet_charge_type": (
        INTERNET_SPEC,
        lambda wanted: {"InternetChargeType": wanted.internet_charge_type, "Bandwidth": wanted.bandwidth},
    ),
}
UPDATES["bandwidth"] = UPDATES["internet_charge_type"]


def _protection(wanted: ModificationProtection) -> dict[str, t.Any]:
    """Status and reason belong together; without protection the API takes no reason."""
    return {
        "ModificationProtectionStatus": "ConsoleProtection" if wanted.enabled else "NonProtection",
        "ModificationProtectionReason": wanted.reason if wanted.enabled else None,
    }


def _update(has: Observed[LoadBalancer], wanted: LoadBalancer, option: str, old: t.Any, new: t.Any) -> Step:
    """The one call that changes an option; wanted is the whole that is to be."""
    reason = f"change {option} from {old} to {new}"
    if option in IMMUTABLE or (option, old) == ("instance_charge_type", "PayByCLCU"):
        raise Immutable(
            f"load_balancer.{option} of {has.config.name} ({has.id}) is '{old}' and cannot become '{new}'; leave the option"
            " out, or give the front end another name and load_balancer.name, which makes a new instance beside this one"
        )
    if option == "resource_group_id":
        # the one call that names the instance in another way
        target = {"ResourceType": "loadbalancer", "ResourceId": has.id, "NewResourceGroupId": new}
        return Step(LOAD_BALANCER, "update", "MoveResourceGroup", target, reason)
    operation, parameters = UPDATES[option.partition(".")[0]]
    tomorrow = (
        f"the change of load_balancer.internet_charge_type of {has.config.name} ({has.id}) from {old} to {new} is accepted and"
        " takes effect at 00:00 of the next day; until then the cloud locks the instance and shows the old value"
        if option == "internet_charge_type"
        else None
    )
    return Step(
        LOAD_BALANCER,
        "update",
        operation,
        {"LoadBalancerId": reference(has), **parameters(wanted)},
        reason,
        last=tomorrow is not None or (option == "enabled" and not new),
        later=tomorrow,
    )


def plan_removal(
    document: FrontEnd,
    current: CloudState,
    has: Observed[LoadBalancer],
    listeners: t.Sequence[t.Any],
    groups: t.Sequence[t.Any],
    pool: t.Sequence[Backend] = (),
) -> tuple[list[Step], Observed[LoadBalancer] | None, list[str]]:
    """Delete the instance if this owner made it and nothing of others is on it; else say what keeps it."""
    name = f"{has.config.name} ({has.id})"
    if has.owner != document.owner:
        return [], has, [f"load balancer {name} stays: this front end did not make it"]
    users = [entry.config.symbol.replace(":", " ") for entry in listeners]
    users += [group.config.symbol.replace("_", " ").replace(":", " ") for group in groups]
    users += [f"server {member.server_id} in the default pool" for member in pool]
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
    return [step, *_remove_twins(has, current.twins)], None, []


def reference(instance: Observed[LoadBalancer]) -> t.Any:
    """The instance's id, or the symbol that stands for it until it exists."""
    return instance.id or Ref(LOAD_BALANCER)
