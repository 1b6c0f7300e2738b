# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Policies of TLS beside those that the cloud brings along. They belong to the region, and have no tags: nobody's mark fits."""

from __future__ import annotations

import dataclasses
import typing as t

from ..client import Client
from ..document import FrontEnd, Listener, LoadBalancer, TlsPolicy, check_ciphers, differences, merged
from ..errors import DocumentError, LookupFailed, quoted
from ..state import CloudState, Observed, Step
from . import uses
from .references import alike, choose, labels

OPTION = "tls_policies"
PAGE_SIZE = 100
#: Of the answer: the id is called as nowhere else.
ID = "InstanceId"


def every(client: Client) -> tuple[Observed[TlsPolicy], ...]:
    """All policies of the region that somebody made, the oldest first."""
    found: list[Observed[TlsPolicy]] = []
    token = None
    while True:
        page = client.slb("ListTLSCipherPolicies", {"MaxItems": PAGE_SIZE, "NextToken": token, "IncludeListener": True})
        found += [_observe(entry) for entry in page.get("TLSCipherPolicies") or ()]
        token = page.get("NextToken")
        if not token:
            return tuple(sorted(found, key=lambda has: (has.created, has.id or "")))


def _observe(entry: t.Mapping[str, t.Any]) -> Observed[TlsPolicy]:
    users = entry.get("RelateListeners") or ()
    return Observed(
        TlsPolicy(
            id=entry[ID],
            name=entry.get("Name") or "",
            tls_versions=tuple(sorted(entry.get("TLSVersions") or ())),
            ciphers=tuple(sorted(entry.get("Ciphers") or ())),
        ),
        id=entry[ID],
        created=f"{int(entry.get('CreateTime') or 0):016d}",
        status=entry.get("Status"),
        facts={
            "listeners": sorted(
                f"{str(user['Protocol']).lower()}/{user['Port']} of {user['LoadBalancerId']}" for user in users
            )
        },
    )


def plan(document: FrontEnd, current: CloudState) -> tuple[list[Step], tuple[Observed[TlsPolicy], ...]]:
    """Steps that make the policies of a document as they are wanted, and all that there are then."""
    steps: list[Step] = []
    found = list(current.tls_policies)
    for desired in document.tls_policies:
        if desired.state == "absent":
            continue
        has = choose(document, OPTION, desired, found)
        # two runs at once made it twice
        unused = [twin for twin in _twins(desired, has, found) if not twin.facts["listeners"]]
        steps.extend(away(twin) for twin in unused)
        more, made = _create(desired) if has is None else _update(desired, has)
        steps.extend(more)
        found = [made if other is has else other for other in found if other not in unused]
        found += [] if has else [made]
    return steps, tuple(found)


def _twins(
    desired: TlsPolicy, has: Observed[TlsPolicy] | None, found: t.Iterable[Observed[TlsPolicy]]
) -> list[Observed[TlsPolicy]]:
    """Others of the same name that say the same, where the document means one by its name."""
    if has is None or desired.id is not None:
        return []
    return [other for other in found if other is not has and alike(other, has)]


def away(has: Observed[TlsPolicy]) -> Step:
    return Step(
        f"{has.config.symbol}:{has.id}",
        "delete",
        "DeleteTLSCipherPolicy",
        {"TLSCipherPolicyId": has.id},
        f"delete the TLS policy {has.config.name} ({has.id})",
    )


def _where(desired: TlsPolicy) -> str:
    return f"tls_policies[{desired.label}]"


def _written(config: TlsPolicy) -> dict[str, t.Any]:
    return {"Name": config.name, "TLSVersions": list(config.tls_versions or ()), "Ciphers": list(config.ciphers or ())}


def _create(desired: TlsPolicy) -> tuple[list[Step], Observed[TlsPolicy]]:
    if desired.id is not None:
        raise LookupFailed(f"tls_policies: the id '{desired.id}' does not exist in this region")
    for option in ("tls_versions", "ciphers"):
        if getattr(desired, option) is None:
            raise DocumentError(f"{_where(desired)} is not there yet, and {option} is missing; a new policy needs both")
    check_ciphers(_where(desired), desired)
    step = Step(
        desired.symbol,
        "create",
        "CreateTLSCipherPolicy",
        _written(desired),
        f"create the TLS policy {desired.name}",
        yields="TLSCipherPolicyId",
        wait="tls_policy_settled",
    )
    return [step], Observed(desired, status="normal", facts={"listeners": []})


def _update(desired: TlsPolicy, has: Observed[TlsPolicy]) -> tuple[list[Step], Observed[TlsPolicy]]:
    wanted = dataclasses.replace(desired, id=has.id)
    config = merged(wanted, has.config)
    changes = differences(wanted, has.config)
    if not changes:
        return [], has
    check_ciphers(_where(desired), config)
    step = Step(
        desired.symbol,
        "update",
        "SetTLSCipherPolicyAttribute",
        {"TLSCipherPolicyId": has.id, **_written(config)},
        "; ".join(f"change {option} from {_shown(old)} to {_shown(new)}" for option, old, new in changes),
        wait="tls_policy_settled",
    )
    return [step], dataclasses.replace(has, config=config)


def _shown(value: t.Any) -> str:
    return quoted(value) if isinstance(value, tuple) else str(value)


def leaving(document: FrontEnd, current: CloudState) -> list[Observed[TlsPolicy]]:
    """The policies that are to go: those that the document names, for none has an owner's mark."""
    found = []
    for desired in document.tls_policies if not document.keeps_region else ():
        has = choose(document, OPTION, desired, current.tls_policies)
        if has is not None and (desired.state == "absent" or document.state == "absent"):
            found += [has, *_twins(desired, has, current.tls_policies)]
    return found


def plan_absent(
    document: FrontEnd,
    current: CloudState,
    after: tuple[Observed[TlsPolicy], ...],
    instance: Observed[LoadBalancer] | None = None,
    listeners: t.Sequence[Observed[Listener]] = (),
) -> tuple[list[Step], tuple[Observed[TlsPolicy], ...], list[str]]:
    """Delete what is to go. What is used is an error, or a sentence where the whole front end is removed."""
    called = labels(document, OPTION, after)
    steps: list[Step] = []
    kept: list[str] = []
    for has in leaving(document, current):
        label = called.get(has.id or "", has.config.name or "")
        users = uses.users_of(has.id, label, OPTION, current, instance, listeners)
        what = f"TLS policy {has.config.name} ({has.id})"
        if users and document.state != "absent":
            raise DocumentError(
                f"tls_policies[{has.config.name}].state is 'absent', but {what} cannot be deleted, because it is used by"
                f" {quoted(map(str, users))}; give them another one first"
            )
        if users:
            kept.append(f"{what} stays: it is used by {quoted(map(str, users))}")
            continue
        steps.append(away(has))
        after = tuple(other for other in after if other.id != has.id)
    return steps, after, kept
