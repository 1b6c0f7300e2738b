# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""fetch -> plan -> apply -> fetch again. Knows check mode, knows nothing of AnsibleModule."""

from __future__ import annotations

import dataclasses
import typing as t

from . import lookup, waiters
from .client import Client
from .document import FrontEnd
from .errors import ApiError, NotSettled, Overtaken, Verdict
from .plan import Plan, build
from .resources import access_list, listener, load_balancer, server_group
from .state import LOAD_BALANCER, CloudState, Joined, Ref, Server, Step, Token

#: A read may lag behind a write; so long the cloud has to show what it accepted, in seconds.
SETTLE_TIMEOUT = 20.0
SETTLE_PAUSE = 0.5
#: How often a plan is made anew because the cloud changed under it, or because a call got no answer.
ROUNDS = 5


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a run found, planned, and left behind."""

    plan: Plan
    before: CloudState
    after: CloudState
    reads: int
    writes: int


def reconcile(client: Client, document: FrontEnd, *, check_mode: bool, token: t.Callable[[], str]) -> Outcome:
    """Make the cloud as the document says, or predict it in check mode.

    token makes a new ClientToken. Raises the errors of the error tree; DocumentError always before the first write.
    """
    before = fetch(client, document)
    plan = build(document, before)
    if check_mode or not plan.changed:
        return Outcome(plan, before, plan.predicted, client.reads, client.writes)
    _apply_until_done(client, document, plan, token(), before.servers)
    return Outcome(plan, before, _settled(client, document, before.servers), client.reads, client.writes)


def fetch(client: Client, document: FrontEnd, servers: tuple[Server, ...] | None = None) -> CloudState:
    """Read what the document is about: one list call per kind and page, one attribute call per group that it names.

    servers are taken as they were where a run looked them up already.
    """
    if document.without_load_balancer:
        return CloudState(access_lists=access_list.fetch(client, document))
    if servers is None:
        servers = _servers(client, document)
    found = load_balancer.fetch(client, document.load_balancer)
    instance, twins = load_balancer.choose(document, found)
    if twins:
        used = listener.used_instances(client, [entry.id for entry in found if entry.id])
        instance, twins = load_balancer.choose_twin(found, used)
    if instance is None or instance.id is None:
        return CloudState(servers=servers, access_lists=access_list.fetch(client, document))
    removing = document.state == "absent"
    names = {group.name for group in document.server_groups}
    groups = (
        server_group.fetch(
            client, instance.id, lambda name, owner: name in names or (removing and owner == document.owner)
        )
        if names or removing or document.listeners
        else []
    )
    listeners = (
        listener.fetch(
            client,
            instance.id,
            {group.id: group.config.name for group in groups if group.id},
            [entry.symbol for entry in document.listeners],
        )
        if document.listeners or removing
        else []
    )
    lists = access_list.fetch(client, document, listeners)
    return CloudState(
        load_balancer=instance,
        twins=twins,
        access_lists=lists,
        server_groups=tuple(server_group.with_addresses(group, servers) for group in groups),
        listeners=tuple(listener.with_list_names(listeners, lists)),
        servers=servers,
        default_pool=_default_pool(client, instance.id) if removing else (),
    )


def inventory(client: Client, document: FrontEnd) -> CloudState:
    """Everything that the document's load balancer has, whoever made it."""
    found = load_balancer.fetch(client, document.load_balancer)
    instance, dummy = load_balancer.choose(document, found)
    if instance is None or instance.id is None:
        return CloudState()
    groups = server_group.fetch(client, instance.id, lambda name, owner: True)
    names = {group.id: group.config.name for group in groups if group.id}
    listeners = listener.fetch(client, instance.id, names)
    lists = access_list.fetch(client, document, listeners)
    return CloudState(
        load_balancer=instance,
        server_groups=tuple(groups),
        listeners=tuple(listener.with_list_names(listeners, lists)),
        access_lists=lists,
    )


def _servers(client: Client, document: FrontEnd) -> tuple[Server, ...]:
    if document.state == "absent":
        return ()
    backends = [backend for group in document.server_groups for backend in group.backends or ()]
    addresses = [backend.private_ip for backend in backends if backend.private_ip]
    return lookup.servers(client, addresses, [backend.server_id for backend in backends if backend.server_id])


def _default_pool(client: Client, load_balancer_id: str) -> tuple[str, ...]:
    attributes = client.slb("DescribeLoadBalancerAttribute", {"LoadBalancerId": load_balancer_id})
    return tuple(entry["ServerId"] for entry in (attributes.get("BackendServers") or {}).get("BackendServer") or ())


def _apply_until_done(client: Client, document: FrontEnd, plan: Plan, token: str, servers: tuple[Server, ...]) -> None:
    """Apply a plan; where the cloud changed meanwhile, or a call got no answer, look again and plan anew."""
    lost = None
    for last in (False,) * (ROUNDS - 1) + (True,):
        try:
            _apply(client, document, plan, token, lost)
            return
        except Overtaken:
            if last:
                raise
        except ApiError as error:
            if last or error.verdict not in (Verdict.UNKNOWN, Verdict.STALE):
                raise
            lost = error.operation
        client.sleep(SETTLE_PAUSE)
        plan = build(document, fetch(client, document, servers))


def _apply(client: Client, document: FrontEnd, plan: Plan, token: str, lost: str | None) -> None:
    known = _known_ids(plan)
    for step in plan.steps:
        parameters = {name: _resolved(value, known, token) for name, value in step.parameters.items()}
        try:
            answer = client.slb(step.operation, parameters)
        except ApiError as error:
            # what was to go is gone; what locks the instance did so when its answer was lost
            gone = step.verb == "delete" and error.verdict is Verdict.ABSENT
            if not gone and not (step.later and step.operation == lost and error.code == "ActionNotAllowed"):
                raise
            answer = {}
        if step.yields:
            known[step.symbol] = answer[step.yields]
        if step.wait:
            waiters.wait(client, step.wait, _wait_parameters(step, parameters, known), step.symbol.replace(":", " "))
        if step.symbol == LOAD_BALANCER and step.yields:
            _refuse_second(client, document, known[LOAD_BALANCER])


def _refuse_second(client: Client, document: FrontEnd, made: str) -> None:
    """Names are not unique: of two runs that made the instance at once, the one whose instance is younger goes on with the other."""
    ours = [entry.id for entry in load_balancer.fetch(client, document.load_balancer) if entry.owner == document.owner]
    if ours and ours[0] != made:
        raise Overtaken(f"another run made {ours[0]} at the same time as this one made {made}")


def _known_ids(plan: Plan) -> dict[str, str]:
    instance = plan.predicted.load_balancer
    return {LOAD_BALANCER: instance.id} if instance is not None and instance.id else {}


def _resolved(value: t.Any, known: t.Mapping[str, str], token: str) -> t.Any:
    if isinstance(value, Ref):
        return known[value.symbol]
    if isinstance(value, Joined):
        return ",".join(_resolved(part, known, token) for part in value.parts)
    return token if isinstance(value, Token) else value


def _wait_parameters(step: Step, parameters: t.Mapping[str, t.Any], known: t.Mapping[str, str]) -> dict[str, t.Any]:
    instance = parameters.get("LoadBalancerId") or known[LOAD_BALANCER]
    if step.symbol.startswith(LOAD_BALANCER):
        return {"LoadBalancerId": instance}
    protocol = step.symbol.partition(":")[2].partition("/")[0]
    return {"LoadBalancerId": [instance], "ListenerPort": parameters["ListenerPort"], "ListenerProtocol": protocol}


def _settled(client: Client, document: FrontEnd, servers: tuple[Server, ...]) -> CloudState:
    """The state after the work, read until it is what the document says."""
    deadline = client.clock() + SETTLE_TIMEOUT
    while True:
        state = fetch(client, document, servers)
        again = build(document, state)
        left = [step for step in again.steps if not step.later]
        if not left:
            # what takes effect later is shown as check mode foresees it
            return again.predicted if again.steps else state
        if client.clock() > deadline:
            raise NotSettled(
                f"the cloud accepted every call, but {SETTLE_TIMEOUT:g} seconds later it still does not show this: {left[0].reason}"
            )
        client.sleep(SETTLE_PAUSE)
