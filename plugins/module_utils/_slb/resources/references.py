# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What of the region listeners refer to by name: certificates, CA certificates and TLS policies.

Names are not unique there, and a certificate that takes the place of another one has its name too.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ..document import Certificate, FrontEnd, TlsPolicy
from ..errors import LookupFailed, quoted
from ..state import CloudState, Observed

Found = t.Sequence[Observed[t.Any]]
#: How sentences call one of a kind.
WORDS = {"certificates": "certificate", "ca_certificates": "CA certificate", "tls_policies": "TLS policy"}
#: What a listener calls its option.
OPTIONS = {"certificates": "certificate", "ca_certificates": "ca_certificate", "tls_policies": "tls_policy"}


def desired_of(document: FrontEnd, option: str) -> tuple[t.Any, ...]:
    return t.cast("tuple[t.Any, ...]", getattr(document, option))


def observed_of(state: CloudState, option: str) -> tuple[Observed[t.Any], ...]:
    return t.cast("tuple[Observed[t.Any], ...]", getattr(state, option))


def choose(document: FrontEnd, option: str, desired: Certificate | TlsPolicy, found: Found) -> Observed[t.Any] | None:
    """The object that is meant. A certificate whose PEM is given is known by its fingerprint alone."""
    fingerprint = getattr(desired, "fingerprint", None)
    if desired.id is not None:
        return next((has for has in found if has.id == desired.id), None)
    if fingerprint is not None:
        same = [has for has in found if has.config.fingerprint == fingerprint]
        # the one of this name, of this owner, and then the oldest, as found is ordered
        return min(same, key=lambda has: (has.config.name != desired.name, has.owner != document.owner), default=None)
    return named(option, desired.name or "", found)


def named(option: str, name: str, found: Found) -> Observed[t.Any] | None:
    """The object of a name: of several of one owner the youngest, for it took the place of the others.

    Policies have no owner; of several that say the same the oldest is meant, and none takes the place of another.
    """
    same = [has for has in found if has.config.name == name]
    if option == "tls_policies" and same and all(alike(has, same[0]) for has in same):
        return same[0]
    owners = {has.owner for has in same}
    if len(same) > 1 and (len(owners) > 1 or None in owners):
        raise LookupFailed(
            f"{option}: the name '{name}' fits {len(same)} of this region, {quoted(str(has.id) for has in same)}; say which one"
            " is meant by its id"
        )
    return same[-1] if same else None


def alike(one: Observed[TlsPolicy], other: Observed[TlsPolicy]) -> bool:
    """Whether two policies differ in nothing but their ids."""
    return dataclasses.replace(one.config, id=None) == dataclasses.replace(other.config, id=None)


def find(document: FrontEnd, option: str, found: Found, reference: str) -> Observed[t.Any] | None:
    """What a listener means by a name or an id."""
    for desired in desired_of(document, option):
        if desired.state == "present" and reference in (desired.name, desired.id):
            return choose(document, option, desired, found)
    by_id = next((has for has in found if has.id is not None and has.id == reference), None)
    return by_id or named(option, reference, found)


def labels(document: FrontEnd, option: str, found: Found) -> dict[str, str]:
    """From an id to what listeners call it: its name where that leads to it alone, else the id."""
    called: dict[str, str] = {}
    for desired in desired_of(document, option):
        has = choose(document, option, desired, found) if desired.state == "present" else None
        if has is not None and has.id:
            called[has.id] = desired.label
    for has in found:
        if has.id and has.id not in called:
            called[has.id] = has.config.name if _leads_to(document, option, found, has) else has.id
    return called


def _leads_to(document: FrontEnd, option: str, found: Found, has: Observed[t.Any]) -> bool:
    try:
        return find(document, option, found, has.config.name) is has
    except LookupFailed:
        return False
