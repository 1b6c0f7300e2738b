# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How many of a thing an account may have. Each with its source; smaller ones make rehearsals of a full account short."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Quota:
    default: int
    source: str


QUOTAS = {
    "instances": Quota(
        60, "Instances of an account. The quota page: 60 on the China site, 30 on the international one."
    ),
    "listeners": Quota(50, "Listeners of an instance. The quota page."),
    "servers": Quota(200, "Backend servers of an instance, in all its pools and groups. The quota page."),
    "instances_of_server": Quota(50, "Instances that one server may join. The quota page; the code is not documented."),
    "access_lists": Quota(
        200, "Access control lists of a region. The quota page; older documents and terraform say 50."
    ),
    "access_list_entries": Quota(300, "Entries of an access control list. The page of AddAccessControlListEntry."),
    "rules": Quota(40, "Forwarding rules of a listener. The quota page; fixed in the cloud."),
    "domain_extensions": Quota(
        3, "Additional domains of an HTTPS listener. The quota page: 3, and up to 10 on request."
    ),
    "certificates": Quota(100, "Server certificates of a region. The quota page."),
    "ca_certificates": Quota(100, "CA certificates of a region. The quota page."),
    "listeners_of_access_list": Quota(50, "Listeners that one access control list may serve. The quota page."),
}


class Quotas:
    def __init__(self, given: Mapping[str, Any]) -> None:
        self._values = {name: quota.default for name, quota in QUOTAS.items()}
        self.set(given)

    def __getitem__(self, name: str) -> int:
        return self._values[name]

    def set(self, given: Mapping[str, Any]) -> bool:
        """Take over the values, all or none; says whether that changed anything."""
        for name, value in given.items():
            if name not in QUOTAS:
                raise ValueError(f"quota {name} is unknown; there are {', '.join(QUOTAS)}")
            if isinstance(value, bool) or not isinstance(value, int) or value < 0:
                raise ValueError(f"quota {name} is {value!r}; it takes a number that is not negative")
        changed = any(self._values[name] != value for name, value in given.items())
        self._values.update(given)
        return changed

    def values(self) -> dict[str, int]:
        return dict(self._values)

    def describe(self) -> dict[str, Any]:
        return {
            name: {"value": self._values[name], "default": quota.default, "source": quota.source}
            for name, quota in QUOTAS.items()
        }
