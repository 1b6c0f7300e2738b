# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Access control lists. They belong to the region, not to a load balancer; listeners refer to them."""

from __future__ import annotations

import dataclasses
import ipaddress
import json
import typing as t

from ..client import Client
from ..document import (
    ACL_ENTRIES,
    ACL_ENTRIES_PER_CALL,
    OWNER_TAG,
    AccessList,
    AclEntry,
    FrontEnd,
    Listener,
    LoadBalancer,
)
from ..errors import ApiError, DocumentError, Immutable, LookupFailed, Verdict, quoted
from ..state import CloudState, Observed, Ref, Step
from .tags import parted, predicted_tags, refuse, tag_steps, wrapped, written

#: The largest page of both operations; without paging an answer silently ends after ten entries.
PAGE_SIZE = 50
VERSION = "ipv4"


def fetch(
    client: Client, document: FrontEnd, listeners: t.Sequence[Observed[Listener]] = ()
) -> tuple[Observed[AccessList], ...]:
    """All lists of the region where any is meant or used; the entries are read only of those that the document names."""
    removing = document.state == "absent" and not document.keeps_region
    named = {name for entry in document.listeners for name in entry.access_list.lists or ()}
    named |= {name for desired in document.access_lists for name in (desired.id or desired.name,) if name}
    if not (named or removing or any(entry.config.access_list.lists for entry in listeners)):
        return ()
    found = []
    for has in every(client):
        if {has.id, has.config.name} & named or (removing and has.owner == document.owner):
            whole = read(client, has)
            found += [whole] if whole else []
        else:
            found.append(has)
    return tuple(found)


def every(client: Client, name: str | None = None) -> list[Observed[AccessList]]:
    """All lists of the region, or of one exact name, without their entries; the oldest first."""
    pages = client.numbered_pages("DescribeAccessControlLists", {"AclName": name}, size=PAGE_SIZE)
    found = [observe(entry) for page in pages for entry in page["Acls"]["Acl"]]
    # the API's filter finds parts of names too
    return sorted(
        (has for has in found if name in (None, has.config.name)), key=lambda has: (has.created, has.id or "")
    )


def observe(entry: t.Mapping[str, t.Any]) -> Observed[AccessList]:
    """A list as DescribeAccessControlLists tells it."""
    owner, tags = parted(wrapped(entry))
    return Observed(
        AccessList(
            id=entry["AclId"],
            name=entry["AclName"],
            address_ip_version=entry.get("AddressIPVersion") or VERSION,
            tags=tags,
        ),
        id=entry["AclId"],
        owner=owner,
        created=str(entry.get("CreateTime") or ""),
    )


def read(client: Client, has: Observed[AccessList]) -> Observed[AccessList] | None:
    """A list with its entries and its users; None if it went away since it was listed."""
    texts: dict[str, str] = {}
    comments: dict[str, str] = {}
    users: set[tuple[str, str, int, str]] = set()
    try:
        for page in client.numbered_pages(
            "DescribeAccessControlListAttribute",
            {"AclId": has.id},
            size=PAGE_SIZE,
            page_name="Page",
            total_name="TotalAclEntry",
        ):
            for entry in (page.get("AclEntrys") or {}).get("AclEntry") or ():
                cidr = str(ipaddress.ip_network(entry["AclEntryIP"], strict=False))
                texts[cidr], comments[cidr] = entry["AclEntryIP"], entry.get("AclEntryComment") or ""
            users |= {
                (user["LoadBalancerId"], str(user["Protocol"]).lower(), int(user["ListenerPort"]), user["AclType"])
                for user in (page.get("RelatedListeners") or {}).get("RelatedListener") or ()
            }
    except ApiError as error:
        if error.verdict is Verdict.ABSENT:
            return None
        raise
    return dataclasses.replace(
        has,
        config=dataclasses.replace(has.config, entries=_ordered(comments)),
        facts={
            "listeners": [dict(zip(("load_balancer", "protocol", "port", "type"), user)) for user in sorted(users)],
            # an entry is taken away by the text that the cloud has of it
            "texts": texts,
        },
    )


def _ordered(comments: t.Mapping[str, str]) -> tuple[AclEntry, ...]:
    def place(cidr: str) -> tuple[int, int, int]:
        network = ipaddress.ip_network(cidr)
        return network.version, int(network.network_address), network.prefixlen

    return tuple(AclEntry(cidr, comments[cidr]) for cidr in sorted(comments, key=place))


def choose(desired: AccessList, lists: t.Sequence[Observed[AccessList]]) -> Observed[AccessList] | None:
    """The list that is meant."""
    found = [has for has in lists if (has.id == desired.id if desired.id else has.config.name == desired.name)]
    if len(found) > 1:
        raise LookupFailed(
            f"access_lists: the name '{desired.name}' fits {len(found)} lists, {quoted(str(has.id) for has in found)};"
            " say which one is meant by id"
        )
    if not found and desired.id and desired.state == "present":
        raise LookupFailed(
            f"access_lists: the id '{desired.id}' does not exist in this region; lists of one region only are looked at"
        )
    return found[0] if found else None


def plan(document: FrontEnd, current: CloudState) -> tuple[list[Step], tuple[Observed[AccessList], ...]]:
    """Steps that make the lists of a document as they are wanted, and all lists that there are then."""
    steps: list[Step] = []
    lists = list(current.access_lists)
    for desired in document.access_lists:
        has = choose(desired, current.access_lists)
        if desired.state == "absent":
            lists = [other for other in lists if other is not has]
            continue
        more, made = _create(document, desired) if has is None else _update(desired, has)
        steps.extend(more)
        lists = [made if other is has else other for other in lists] if has else [*lists, made]
    return steps, tuple(lists)


def _check_versions(desired: AccessList, version: str) -> None:
    for entry in desired.entries or ():
        if f"ipv{ipaddress.ip_network(entry.cidr).version}" != version:
            raise DocumentError(
                f"access_lists[{desired.label}].entries has '{entry.cidr}', but the list is for {version}; a list has"
                " networks of one address_ip_version only"
            )


def _create(document: FrontEnd, desired: AccessList) -> tuple[list[Step], Observed[AccessList]]:
    version = desired.address_ip_version or VERSION
    _check_versions(desired, version)
    comments = {entry.cidr: entry.comment or "" for entry in desired.entries or ()}
    tags = dict(desired.tags or {})
    refuse(f"access_lists[{desired.label}].tags", tags, {}, tags)
    create = Step(
        desired.symbol,
        "create",
        "CreateAccessControlList",
        {"AclName": desired.name, "AddressIPVersion": version, "Tag": written({**tags, OWNER_TAG: document.owner})},
        f"create the access list {desired.name}",
        yields="AclId",
    )
    config = AccessList(name=desired.name, address_ip_version=version, entries=_ordered(comments), tags=tags)
    return (
        [create, *_entry_steps(desired.symbol, Ref(desired.symbol), {}, comments, {})],
        Observed(config, owner=document.owner, facts={"listeners": []}),
    )


def _update(desired: AccessList, has: Observed[AccessList]) -> tuple[list[Step], Observed[AccessList]]:
    config, where = has.config, f"access_lists[{desired.label}]"
    if desired.address_ip_version not in (None, config.address_ip_version):
        raise Immutable(
            f"{where}.address_ip_version of {config.name} ({has.id}) is '{config.address_ip_version}' and cannot become"
            f" '{desired.address_ip_version}'; leave the option out, or make a list of another name"
        )
    _check_versions(desired, str(config.address_ip_version))
    steps: list[Step] = []
    if desired.name not in (None, config.name):
        steps.append(
            Step(
                desired.symbol,
                "update",
                "SetAccessControlListAttribute",
                {"AclId": has.id, "AclName": desired.name},
                f"change name from {config.name} to {desired.name}",
            )
        )
        config = dataclasses.replace(config, name=desired.name)
    before = {entry.cidr: entry.comment or "" for entry in config.entries or ()}
    if desired.entries is not None:
        after = {} if desired.purge_entries else dict(before)
        for entry in desired.entries:
            after[entry.cidr] = before.get(entry.cidr, "") if entry.comment is None else entry.comment
        if len(after) > ACL_ENTRIES:
            raise DocumentError(
                f"{where}.entries would leave {len(after)} networks in the list, for purge_entries is false; at most"
                f" {ACL_ENTRIES} are possible"
            )
        steps.extend(_entry_steps(desired.symbol, has.id, before, after, has.facts.get("texts") or {}))
        config = dataclasses.replace(config, entries=_ordered(after))
    tags = predicted_tags(desired.tags, config.tags)
    refuse(f"{where}.tags", desired.tags, config.tags or {}, tags)
    steps.extend(tag_steps(desired.symbol, "acl", has.id, config.tags, tags))
    return steps, dataclasses.replace(has, config=dataclasses.replace(config, tags=tags))


def _entry_steps(
    symbol: str, target: t.Any, before: t.Mapping[str, str], after: t.Mapping[str, str], texts: t.Mapping[str, str]
) -> list[Step]:
    """From the one set of entries to the other, in as few calls as the API's limits allow.

    New entries come before old ones go, so that the list is never empty on the way: nobody knows for sure whether an
    empty allow list keeps everybody out or lets everybody in.
    """
    added = [cidr for cidr in after if cidr not in before]
    removed = [cidr for cidr in before if cidr not in after]
    changed = [cidr for cidr in after if cidr in before and before[cidr] != after[cidr]]
    count = len(before)
    steps: list[Step] = []

    def add(cidrs: t.Sequence[str]) -> None:
        entries = [{"entry": cidr, "comment": after[cidr]} for cidr in cidrs]
        steps.append(_entry_step(symbol, target, "add", "AddAccessControlListEntry", entries))

    def remove(cidrs: t.Sequence[str]) -> None:
        entries = [{"entry": texts.get(cidr, cidr), "comment": before[cidr]} for cidr in cidrs]
        steps.append(_entry_step(symbol, target, "remove", "RemoveAccessControlListEntry", entries))

    while added or removed:
        chunk = added[:ACL_ENTRIES_PER_CALL]
        if chunk and count + len(chunk) <= ACL_ENTRIES:
            add(chunk)
            added, count = added[len(chunk) :], count + len(chunk)
        else:
            chunk = removed[:ACL_ENTRIES_PER_CALL]
            remove(chunk)
            removed, count = removed[len(chunk) :], count - len(chunk)
    while changed:
        # the API does not change a comment in place
        chunk = changed[: min(ACL_ENTRIES_PER_CALL, max(1, count - 1))]
        remove(chunk)
        add(chunk)
        changed = changed[len(chunk) :]
    return steps


def _entry_step(
    symbol: str, target: t.Any, verb: str, operation: str, entries: t.Sequence[t.Mapping[str, str]]
) -> Step:
    count = "1 entry" if len(entries) == 1 else f"{len(entries)} entries"
    return Step(
        symbol,
        verb,
        operation,
        {"AclId": target, "AclEntrys": json.dumps(entries, ensure_ascii=False)},
        f"{verb} {count}: {quoted(entry['entry'] for entry in entries)}",
    )


def users_of(
    has: Observed[AccessList],
    current: CloudState,
    instance: Observed[LoadBalancer] | None,
    listeners: t.Sequence[Observed[Listener]],
) -> list[dict[str, t.Any]]:
    """The listeners that use a list once those of the plan are as they are going to be."""
    known = {entry.config.symbol for entry in current.listeners}
    instance_id = instance.id if instance else None
    users = [
        user
        for user in has.facts.get("listeners") or ()
        if not (user["load_balancer"] == instance_id and f"listener:{user['protocol']}/{user['port']}" in known)
    ]
    return users + [
        {
            "load_balancer": instance_id,
            "protocol": entry.config.protocol,
            "port": entry.config.port,
            "type": entry.config.access_list.type,
        }
        for entry in listeners
        if has.config.label in (entry.config.access_list.lists or ())
    ]


def _named(users: t.Iterable[t.Mapping[str, t.Any]]) -> str:
    return quoted(f"{user['protocol']}/{user['port']} of {user['load_balancer']}" for user in users)


def plan_absent(
    document: FrontEnd,
    current: CloudState,
    instance: Observed[LoadBalancer] | None = None,
    listeners: t.Sequence[Observed[Listener]] = (),
) -> list[Step]:
    """Delete the lists that a document does not want. One that is in use is an error that says by whom."""
    steps = []
    for desired in document.access_lists:
        has = choose(desired, current.access_lists) if desired.state == "absent" else None
        if has is None:
            continue
        users = users_of(has, current, instance, listeners)
        if users:
            raise DocumentError(
                f"access list {has.config.name} ({has.id}) cannot be deleted, because it is used by {_named(users)};"
                " take it out of access_list there first"
            )
        steps.append(_delete(has))
    return steps


def _delete(has: Observed[AccessList]) -> Step:
    return Step(
        has.config.symbol,
        "delete",
        "DeleteAccessControlList",
        {"AclId": has.id},
        f"delete the access list {has.config.name} ({has.id})",
    )


def plan_removal(
    document: FrontEnd,
    current: CloudState,
    instance: Observed[LoadBalancer] | None = None,
    listeners: t.Sequence[Observed[Listener]] = (),
) -> tuple[list[Step], tuple[Observed[AccessList], ...], list[str]]:
    """Delete this owner's lists; one that others use stays."""
    steps: list[Step] = []
    left: list[Observed[AccessList]] = []
    kept: list[str] = []
    for has in current.access_lists:
        users = users_of(has, current, instance, listeners)
        if has.owner != document.owner or document.keeps_region:
            left.append(has)
        elif not users:
            steps.append(_delete(has))
        else:
            left.append(has)
            kept.append(f"access list {has.config.name} ({has.id}) stays: it is used by {_named(users)}")
    return steps, tuple(left), kept


def warnings(
    document: FrontEnd,
    current: CloudState,
    lists: t.Sequence[Observed[AccessList]],
    instance: Observed[LoadBalancer] | None = None,
    listeners: t.Sequence[Observed[Listener]] = (),
) -> t.Iterator[str]:
    """What a list that is wanted would do, and nobody can mean."""
    for desired in document.access_lists:
        has = next(
            (has for has in lists if has.config.label == desired.label or (has.id and has.id == desired.id)), None
        )
        if has is None:
            continue
        types = {user["type"] for user in users_of(has, current, instance, listeners)}
        if "white" in types and not has.config.entries:
            yield (
                f"access_lists[{desired.label}] is an allow list without entries; the cloud's documents disagree on whether"
                " that lets in everybody or nobody"
            )
        out = list(_shut_out(desired, has.config, types or {"white"}))
        if out:
            yield f"access_lists[{desired.label}] shuts out {quoted(out)}, which caller_cidrs names"


def _shut_out(desired: AccessList, config: AccessList, types: t.Collection[str]) -> t.Iterator[str]:
    """The callers that an allow list does not wholly let in, or of whom a deny list keeps out a part."""
    for caller in desired.caller_cidrs or ():
        network = ipaddress.ip_network(caller)
        entries: list[t.Any] = [ipaddress.ip_network(entry.cidr) for entry in config.entries or ()]
        family = list(ipaddress.collapse_addresses(entry for entry in entries if entry.version == network.version))
        missed = "white" in types and not any(network.subnet_of(entry) for entry in family)
        if missed or ("black" in types and any(network.overlaps(entry) for entry in family)):
            yield caller
