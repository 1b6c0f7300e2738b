# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What to wait for, as data: an operation, a JMESPath expression on its answer, and the values that end the wait."""

from __future__ import annotations

import dataclasses
import traceback
import typing as t

from .client import Client
from .errors import ApiError, Overtaken, SdkMissing, TimedOut, Verdict

#: A read may lag behind a write; so long the cloud has to show what it accepted, in seconds.
SETTLE_TIMEOUT = 20.0
PAUSE_START = 0.2
PAUSE_LIMIT = 3.0


@dataclasses.dataclass(frozen=True)
class Waiter:
    """Wait until expression, applied to the answer of operation, is one of reached."""

    operation: str
    expression: str
    reached: tuple[str, ...]


GONE = "gone"

WAITERS: dict[str, Waiter] = {
    "load_balancer_usable": Waiter("DescribeLoadBalancerAttribute", "LoadBalancerStatus", ("active", "inactive")),
    "load_balancer_gone": Waiter("DescribeLoadBalancerAttribute", "LoadBalancerStatus", (GONE,)),
    "listener_settled": Waiter("DescribeLoadBalancerListeners", "Listeners[0].Status", ("running", "stopped")),
    "listener_running": Waiter("DescribeLoadBalancerListeners", "Listeners[0].Status", ("running",)),
    "listener_stopped": Waiter("DescribeLoadBalancerListeners", "Listeners[0].Status", ("stopped",)),
    "tls_policy_settled": Waiter("ListTLSCipherPolicies", "TLSCipherPolicies[0].Status", ("normal",)),
    "listener_gone": Waiter("DescribeLoadBalancerListeners", "Listeners[0].Status", (GONE,)),
}


def wait(client: Client, name: str, parameters: t.Mapping[str, t.Any], what: str) -> None:
    """Poll until the waiter's state is reached.

    Raises TimedOut with the last state seen after client.timeout seconds, and Overtaken for an object that is not there
    for SETTLE_TIMEOUT, for then another run took it away.
    """
    try:
        import jmespath
    except ImportError as error:
        raise SdkMissing("jmespath", traceback.format_exc()) from error

    waiter = WAITERS[name]
    expression = jmespath.compile(waiter.expression)
    began = seen = client.clock()
    pause = PAUSE_START
    while True:
        try:
            state = expression.search(client.slb(waiter.operation, parameters)) or GONE
        except ApiError as error:
            if error.verdict is not Verdict.ABSENT:
                raise
            state = GONE
        if state in waiter.reached:
            return
        if state != GONE:
            seen = client.clock()
        elif client.clock() > seen + SETTLE_TIMEOUT:
            raise Overtaken(f"{what} is gone; another run or somebody else removed it meanwhile")
        if client.clock() + pause > began + client.timeout:
            raise TimedOut(
                f"{what} is still '{state}' after {client.timeout:g} seconds; it should be {' or '.join(waiter.reached)}"
            )
        client.sleep(pause)
        pause = min(PAUSE_LIMIT, pause * 2)
