# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The default pool of an instance: the servers of listeners without a group, each called on the listener's backend_port."""

from __future__ import annotations

import typing as t

from ..client import Client
from ..document import Backend, FrontEnd
from ..state import CloudState, Observed, Step
from . import load_balancer, members

SYMBOL = "default_pool"
#: What changes the servers of the pool.
OPERATIONS = {"add": "AddBackendServers", "change": "SetBackendServers", "remove": "RemoveBackendServers"}


def fetch(client: Client, load_balancer_id: str) -> tuple[Backend, ...]:
    """The servers of the pool. No other read tells them."""
    answer = client.slb("DescribeLoadBalancerAttribute", {"LoadBalancerId": load_balancer_id})
    return members.observed((answer.get("BackendServers") or {}).get("BackendServer") or ())


def plan(
    document: FrontEnd, current: CloudState, instance: Observed[t.Any]
) -> tuple[list[Step], tuple[Backend, ...] | None]:
    """Steps that make the pool as it is wanted, and its servers then."""
    desired = document.default_pool
    if desired is None or desired.backends is None:
        # nothing is asked of it, or nothing is to change; that of a new instance is empty
        return [], current.default_pool if desired is None else current.default_pool or ()
    changes = members.compare(
        document,
        "default_pool.backends",
        desired.backends,
        desired.purge,
        current.default_pool or (),
        current.servers,
        instance.config,
    )
    target = {"LoadBalancerId": load_balancer.reference(instance)}
    return members.steps(SYMBOL, target, OPERATIONS, changes), changes.after


def plan_removal(
    document: FrontEnd, current: CloudState, has: Observed[t.Any]
) -> tuple[list[Step], tuple[Backend, ...]]:
    """Take this owner's servers out; those of others stay, and keep the instance."""
    pool = current.default_pool or ()
    ours = [member for member in pool if members.is_ours(document, member)]
    target = {"LoadBalancerId": has.id}
    return (
        members.batches(SYMBOL, target, OPERATIONS, "remove", ours),
        tuple(member for member in pool if member not in ours),
    )
