# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How many of everything there may be, looked at before the first write on the state that a plan leads to.

A quota may have been raised for an account, and SLB's API does not tell: a document says so in ``quotas``. A plan is refused
only where it adds to what is too much, so nobody who is above a number is kept from changing something else.
Not here: what one call takes (the plan makes as many calls as it needs), the entries and the tags of one object (they are
compared where they are planned), and how many load balancers a server may join (50), which only the cloud can count.

Pure: no network, no clock, no Ansible.
"""

from __future__ import annotations

import dataclasses
import typing as t

from .document import FrontEnd
from .errors import DocumentError
from .resources import access_list
from .state import CloudState


@dataclasses.dataclass(frozen=True)
class Limit:
    """A number and what it counts. A quota can be raised, another limit cannot."""

    value: int
    what: str
    is_quota: bool = True


#: By the pages "CLB quotas" and "Access control" of CLB's documentation. Where editions of a page differ, the larger number.
LIMITS: dict[str, Limit] = {
    "load_balancers": Limit(60, "load balancers"),  # slb_quota_instances_num; 30 outside of China
    "listeners_per_load_balancer": Limit(50, "listeners"),  # slb_quota_listeners_num
    "backends_per_load_balancer": Limit(200, "backends"),  # slb_quota_backendservers_num
    "access_lists": Limit(200, "access lists"),  # slb_quota_acls_num; older pages say 50
    "access_lists_per_listener": Limit(3, "access lists"),  # "by default"
    "listeners_per_access_list": Limit(50, "listeners"),  # slb_quota_acl_attached_num
    "rules_per_listener": Limit(40, "forwarding rules", is_quota=False),
    "domain_extensions_per_listener": Limit(3, "additional domains"),  # up to 10 on request
    "domain_extensions_at_most": Limit(10, "additional domains", is_quota=False),
    "certificates": Limit(100, "server certificates"),
    "ca_certificates": Limit(100, "CA certificates"),
    "entries_per_listener": Limit(1000, "entries in its access lists", is_quota=False),
}
#: What ``quotas`` may raise.
QUOTAS = tuple(name for name, limit in LIMITS.items() if limit.is_quota)


@dataclasses.dataclass(frozen=True)
class Count:
    """How many of a thing something has, and will have. sure: every way to count says so."""

    limit: str
    where: str
    before: int
    after: int
    sure: bool = True


def check(document: FrontEnd, current: CloudState, predicted: CloudState) -> list[str]:
    """Refuse a plan that leads over a limit.

    Returns a sentence for each number that is too large by one way to count only. Raises DocumentError.
    """
    warnings = []
    for count in _counts(current, predicted):
        limit = LIMITS[count.limit]
        value = (document.quotas or {}).get(count.limit, limit.value)
        if count.after <= max(value, count.before):
            continue
        if not count.sure:
            warnings.append(
                f"{count.where} would have {count.after} {limit.what}, the same server counted as often as it is there; if the"
                f" cloud counts so, its quota of {value} is exceeded"
            )
            continue
        advice = (
            f"if a higher quota was granted, say so in quotas.{count.limit}, else ask for one in the Quota Center"
            if limit.is_quota
            else "nobody has more, so take some away"
        )
        raise DocumentError(f"{count.where} would have {count.after} {limit.what}, but {value} are possible; {advice}")
    return warnings


def _counts(current: CloudState, predicted: CloudState) -> t.Iterator[Count]:
    if current.stock is not None and predicted.load_balancer is not None:
        # of this region: the account has at least as many
        yield Count("load_balancers", "the account", current.stock.load_balancers, current.stock.load_balancers + 1)
    if predicted.load_balancer is not None:
        where = f"load balancer {predicted.load_balancer.config.name}"
        listeners = len(current.listeners), len(predicted.listeners)
        yield Count("listeners_per_load_balancer", where, *listeners)
        # No document says whether the cloud counts servers, or their places in groups. What is sure comes first.
        yield Count("backends_per_load_balancer", where, len(_servers(current)), len(_servers(predicted)))
        yield Count("backends_per_load_balancer", where, _places(current), _places(predicted), sure=False)
    yield Count("access_lists", "the region", len(current.access_lists), len(predicted.access_lists))
    for name in ("certificates", "ca_certificates"):
        yield Count(name, "the region", len(getattr(current, name)), len(getattr(predicted, name)))
    yield from _parts_of_listeners(current, predicted)
    yield from _lists_of_listeners(current, predicted)
    yield from _listeners_of_lists(current, predicted)


def _servers(state: CloudState) -> set[str | None]:
    """The servers that are known to be backends, each once."""
    return {member.server_id for member in state.members}


def _places(state: CloudState) -> int:
    """All places that servers have in groups and the default pool. Of groups that were not read the cloud told the number."""
    unread = (int(group.facts.get("servers") or 0) for group in state.server_groups if group.config.backends is None)
    return len(state.members) + sum(unread)


def _parts_of_listeners(current: CloudState, predicted: CloudState) -> t.Iterator[Count]:
    for entry in predicted.listeners:
        has = current.listener(entry.config.symbol)
        where = f"listeners[{entry.config.symbol.partition(':')[2]}]"
        for option, names in (
            ("rules", ("rules_per_listener",)),
            ("domain_extensions", ("domain_extensions_per_listener", "domain_extensions_at_most")),
        ):
            counts = [len((getattr(side.config, option) if side else None) or ()) for side in (has, entry)]
            for name in names:
                yield Count(name, where, counts[0], counts[1])


def _lists_of_listeners(current: CloudState, predicted: CloudState) -> t.Iterator[Count]:
    for entry in predicted.listeners:
        has = current.listener(entry.config.symbol)
        where = f"listeners[{entry.config.symbol.partition(':')[2]}].access_list"
        names = [(has.config.access_list.lists or ()) if has else (), entry.config.access_list.lists or ()]
        yield Count("access_lists_per_listener", where, len(names[0]), len(names[1]))
        yield Count("entries_per_listener", where, _entries(current, names[0]), _entries(predicted, names[1]))


def _entries(state: CloudState, names: t.Collection[str]) -> int:
    """The entries in lists, as far as they were read."""
    return sum(len(has.config.entries or ()) for has in state.access_lists if has.config.label in names)


def _listeners_of_lists(current: CloudState, predicted: CloudState) -> t.Iterator[Count]:
    for has in predicted.access_lists:
        before = len(has.facts.get("listeners") or ())
        after = access_list.users_of(has, current, predicted.load_balancer, predicted.listeners)
        yield Count("listeners_per_access_list", f"access list {has.config.label}", before, len(after))
