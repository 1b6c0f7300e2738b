# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Switches: behaviour on which the sources disagree, or that they leave open. Each names its source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .role_keys import LIFETIME


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
        ("keep", "reset_health_check", "reset_all"),
        "Whether Set* operations reset what is not sent is not documented; terraform-provider-alicloud #3735 "
        "suggests that they may. reset_all is the worst that they could do to a listener: nothing but its backends stays.",
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
    "drain_off": Switch(
        ("keep", "cut"),
        "What becomes of open connections to a server that left while connection drain is off is in no document of CLB "
        "that we know. Editions of the page of the sister product ALB disagree: keep, sessions end when their requests "
        "are done (December 2024); cut, connections are ended abruptly (an English edition without a date).",
    ),
    "proxy_protocol_udp": Switch(
        ("every", "first"),
        "The documentation says that the header is put before TCP and UDP data, and not whether each datagram of a "
        "session has one.",
    ),
    "metadata_tokens": Switch(
        ("optional", "required"),
        "HttpTokens of ModifyInstanceMetadataOptions of ECS: whether the metadata service answers without a token. The "
        "status of a refused request without one is not documented; here it is 403.",
    ),
    "released_server": Switch(
        ("leave", "stay"),
        "An ECS instance that is released leaves its pools 'eventually': at once here, or not before somebody removes it. "
        "terraform-provider-alicloud #730 met ObtainIpFail on that removal; a fault can answer it.",
    ),
    "last_listener": Switch(
        ("keep_active", "deactivate"),
        "The page of SetLoadBalancerStatus says that an instance without listeners becomes inactive; nobody relies on "
        "it, and new instances are active.",
    ),
}


@dataclass(frozen=True)
class Seconds:
    default: float
    source: str
    least: float = 0.0


SECONDS = {
    "transition_seconds": Seconds(
        0.0,
        "How long a listener stays in starting, stopping and configuring; from under 1 s to several seconds in the cloud.",
    ),
    "udp_session_seconds": Seconds(
        300.0,
        "How long a UDP session lasts without packets. One edition of the page of UDP listeners says that the removal of a "
        "server takes effect after 5 minutes; that of August 2025 does not, and neither names the time of a session. 0 "
        "leaves it to the system.",
    ),
    "role_key_seconds": Seconds(
        LIFETIME,
        "How long keys of RAM roles live that the metadata service gives out. 6 hours in the cloud, and renewed half an "
        "hour before their end.",
        least=2.0,
    ),
    "zone_failover_seconds": Seconds(
        30.0,
        "How long it takes until the standby zone serves. The page on the high availability of CLB: within 30 seconds.",
    ),
}


class Switches:
    def __init__(self, given: Mapping[str, Any]) -> None:
        self._values: dict[str, Any] = {name: switch.allowed[0] for name, switch in SWITCHES.items()}
        self._values.update({name: seconds.default for name, seconds in SECONDS.items()})
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
            if isinstance(value, bool) or not isinstance(value, (int, float)) or value < SECONDS[name].least:
                least = f", at least {SECONDS[name].least:g}" if SECONDS[name].least else ""
                raise ValueError(f"switch {name} is {value!r}; it takes a number of seconds{least}")
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
            name: {
                "value": self._values[name],
                "default": switch.allowed[0],
                "allowed": list(switch.allowed),
                "source": switch.source,
            }
            for name, switch in SWITCHES.items()
        }
        for name, seconds in SECONDS.items():
            table[name] = {
                "value": self._values[name],
                "default": seconds.default,
                "allowed": "seconds",
                "source": seconds.source,
            }
        return table
