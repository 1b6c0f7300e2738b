# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which zone serves an instance while zones are down. Pure functions.

The page on the high availability of CLB: when the whole cluster of the primary zone is unavailable, the secondary zone
takes over within 30 seconds, and the primary takes over again when it recovers. Sessions are synchronised inside a
cluster only, so connections do not survive either change. The attributes of the instance stay what they are.
"""

from __future__ import annotations

from collections.abc import Mapping

from .store import LoadBalancer

NOWHERE = ""


def serving_zone(balancer: LoadBalancer, down: Mapping[str, float], failover: float, now: float) -> str:
    """The zone from which an instance is served; down has the zones that are down, and since when (all in seconds)."""
    primary, standby = str(balancer.attributes["MasterZoneId"]), str(balancer.attributes["SlaveZoneId"])
    if primary not in down:
        return primary
    return standby if standby not in down and now >= down[primary] + failover else NOWHERE


def next_failover(down: Mapping[str, float], failover: float, now: float) -> float | None:
    """When a standby takes over next."""
    return min((since + failover for since in down.values() if since + failover > now), default=None)
