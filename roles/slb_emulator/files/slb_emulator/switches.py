# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Switches: behaviour on which the sources disagree, or that they leave open. Each names its source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Switch:
    allowed: tuple[str, ...]  # the first is the default
    source: str


SWITCHES = {
    "hairpin": Switch(
        ("backends", "self"),
        "backends: in the guide that this collection began with, every backend timed out on its own layer-4 load "
        "balancer. self: a maintainer of kubeadm-ha (issue 24) reports it only where a backend is given itself.",
    ),
    "no_healthy_backend": Switch(
        ("refuse", "forward"),
        "What a layer-4 listener does while no backend is healthy is in no document that we know.",
    ),
    "http_check_method": Switch(
        ("head", "get"), "The documentation says HEAD; TCP listeners report the method but take no parameter for it."
    ),
    "set_omission": Switch(
        ("keep", "reset_health_check"),
        "Whether Set* operations reset what is not sent is not documented; terraform-provider-alicloud #3735 "
        "suggests that they may.",
    ),
    "name_filter": Switch(
        ("exact", "contains"),
        "Whether the LoadBalancerName filter of DescribeLoadBalancers is exact is not documented.",
    ),
    "charge_type_change": Switch(
        ("at_once", "next_day"),
        "The page of ModifyLoadBalancerInternetSpec: a new charge type takes effect at 00:00 of the next day, and the "
        "instance is locked until then. That is hard to wait for in a rehearsal.",
    ),
    "empty_allow_list": Switch(
        ("forward", "refuse"),
        "What a listener does whose allow list has no entries: the documentation of 2019 says that it forwards nothing, "
        "the newer text of UDP listeners that it forwards everything.",
    ),
    "last_listener": Switch(
        ("keep_active", "deactivate"),
        "The page of SetLoadBalancerStatus says that an instance without listeners becomes inactive; nobody relies on "
        "it, and new instances are active.",
    ),
}
SECONDS = {
    "transition_seconds": "How long a listener stays in starting, stopping and configuring; from under 1 s to several "
    "seconds in the cloud."
}


class Switches:
    def __init__(self, given: Mapping[str, Any]) -> None:
        self._values: dict[str, Any] = {name: switch.allowed[0] for name, switch in SWITCHES.items()}
        self._values.update({name: 0.0 for name in SECONDS})
        self.set(given)

    def __getitem__(self, name: str) -> str:
        return str(self._values[name])

    def seconds(self, name: str) -> float:
        return float(self._values[name])

    def set(self, given: Mapping[str, Any]) -> bool:
        """Take over the values, all or none; says whether that changed anything."""
        checked = {name: self._checked(name, value) for name, value in given.items()}
        changed = any(self._values[name] != value for name, value in checked.items())
        self._values.update(checked)
        return changed

    @staticmethod
    def _checked(name: str, value: Any) -> Any:
        if name in SECONDS:
            if isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0:
                raise ValueError(f"switch {name} is {value!r}; it takes a number of seconds")
            return float(value)
        if name not in SWITCHES:
            raise ValueError(f"switch {name} is unknown; there are {', '.join([*SWITCHES, *SECONDS])}")
        if value not in SWITCHES[name].allowed:
            raise ValueError(f"switch {name} is {value!r}; it takes {' or '.join(SWITCHES[name].allowed)}")
        return value

    def values(self) -> dict[str, Any]:
        return dict(self._values)

    def describe(self) -> dict[str, Any]:
        table: dict[str, Any] = {
            name: {"value": self._values[name], "allowed": list(switch.allowed), "source": switch.source}
            for name, switch in SWITCHES.items()
        }
        for name, source in SECONDS.items():
            table[name] = {"value": self._values[name], "allowed": "seconds", "source": source}
        return table
