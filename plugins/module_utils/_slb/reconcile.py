# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""fetch -> plan -> apply -> fetch again. Knows check mode, knows nothing of AnsibleModule."""

from __future__ import annotations

import dataclasses
import json
import typing as t

from . import lookup, pem, protocols, waiters
from .client import Client
from .document import FrontEnd, LoadBalancer
from .errors import ApiError, NotSettled, Overtaken, Verdict
from .plan import Plan, build
from .resources import (
    access_list,
    certificate,
    default_pool,
    failover_group,
    listener,
    load_balancer,
    members,
    server_group,
    tls_policy,
    uses,
)
from .state import LOAD_BALANCER, CloudState, Joined, Json, Observed, Ref, Server, Step, Told, Token, names_by_id
from .waiters import SETTLE_TIMEOUT

SETTLE_PAUSE = 0.5
SETTLE_PAUSE_LIMIT = 4.0
#: What is not as it should be after so many seconds is done again, so often: another run may have undone it.
SETTLE_AGAIN = 5.0
ROUNDS = 3


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a run found, planned, and left behind."""

    plan: Plan
    before: CloudState
    after: CloudState
    reads: int
    writes: int


def reconcile(
    client: Client,
    document: FrontEnd,
    *,
    check_mode: bool,
    token: t.Callable[[], str],
    before: CloudState | None = None,
) -> Outcome:
    """Make the cloud as the document says, or predict it in check mode.

    token makes a new ClientToken. before is what there is, where the caller has just read all that the document is about.
    Raises the errors of the error tree; DocumentError always before the first write.
    """
    before = fetch(client, document) if before is None else before
    plan = build(document, before)
    if check_mode or not plan.changed:
        return Outcome(plan, before, plan.predicted, client.reads, client.writes)
    work = _Work(client, document, token(), before.servers, _symbols(before))
    _apply_until_done(work, plan)
    return Outcome(plan, before, _settled(work), client.reads, client.writes)


@dataclasses.dataclass(frozen=True)
class _Work:
    """What all steps of a run share."""

    client: Client
    document: FrontEnd
    #: One ClientToken for all tries, so that they make one instance.
    token: str
    #: As they were when the run began.
    servers: tuple[Server, ...]
    #: Symbols of what was there at first, and of what this run made, or may have made where the answer was lost.
    there: set[str]

    def look(self) -> tuple[CloudState, Plan]:
        """What there is now, and what is left to do."""
        state = fetch(self.client, self.document, self.servers)
        return state, build(self.document, state)


def _symbols(state: CloudState) -> set[str]:
    groups: list[Observed[t.Any]] = [*state.server_groups, *state.failover_groups]
    return {group.config.symbol for group in groups} | ({LOAD_BALANCER} if state.load_balancer else set())


class _Stopped(Exception):
    """A step that did not go through."""

    def __init__(self, step: Step, error: ApiError | Overtaken) -> None:
        super().__init__(step, error)
        self.step = step
        self.error = error
        self.verdict = error.verdict if isinstance(error, ApiError) else Verdict.STALE
        #: Another look can't help; but what could not be made may be there, for another run was faster.
        self.final = self.verdict is Verdict.RETRY or (self.verdict is Verdict.FAIL and step.verb != "create")


def fetch(client: Client, document: FrontEnd, servers: tuple[Server, ...] | None = None) -> CloudState:
    """Read what the document is about: one list call per kind and page, one attribute call per group that it names.

    servers are taken as they were where a run looked them up already.
    """
    deadline = client.clock() + SETTLE_TIMEOUT
    while True:
        try:
            return _fetch(client, document, servers)
        except ApiError as error:
            # an instance that is gone may be listed for a moment
            if error.verdict is not Verdict.ABSENT or client.clock() > deadline:
                raise
        client.sleep(SETTLE_PAUSE)


def _fetch(client: Client, document: FrontEnd, servers: tuple[Server, ...] | None) -> CloudState:
    if document.without_load_balancer:
        return _region(client, document)
    found = load_balancer.fetch(client, document.load_balancer)
    instance, twins = load_balancer.choose(document, found)
    if twins:
        used = listener.used_instances(client, [entry.id for entry in found if entry.id])
        instance, twins = load_balancer.choose_twin(found, used)
    if servers is None:
        servers = _servers(client, document, instance)
    if instance is None or instance.id is None:
        makes = document.state == "present" and not document.load_balancer_exists
        return dataclasses.replace(
            _region(client, document),
            servers=servers,
            stock=load_balancer.stock(client, document.load_balancer) if makes else None,
        )
    removing = document.state == "absent"
    names = {group.name for group in document.server_groups}
    groups = (
        server_group.fetch(
            client, instance.id, lambda name, owner: name in names or (removing and owner == document.owner)
        )
        if names or removing or document.listeners
        else []
    )
    pair_names = {group.name for group in document.failover_groups}
    pairs = (
        failover_group.fetch(client, instance.id, lambda name: name in pair_names)
        if pair_names or removing or any(entry.failover_group for entry in document.listeners)
        else []
    )
    listeners = (
        listener.fetch(client, instance.id, names_by_id(groups, pairs), [entry.symbol for entry in document.listeners])
        if document.listeners or removing
        else []
    )
    listeners = [
        (
            listener.with_parts(client, instance.id, entry, names_by_id(groups))
            if listener.reads_parts(document, entry.config.symbol)
            else entry
        )
        for entry in listeners
    ]
    region = _region(client, document, listeners)
    pool = default_pool.fetch(client, instance.id) if removing or document.default_pool is not None else None
    return dataclasses.replace(
        region,
        load_balancer=instance,
        twins=twins,
        server_groups=tuple(server_group.with_addresses(group, servers) for group in groups),
        failover_groups=tuple(failover_group.with_addresses(group, servers) for group in pairs),
        default_pool=None if pool is None else members.with_addresses(pool, servers),
        listeners=tuple(listener.with_names(document, listeners, region)),
        servers=servers,
    )


def _region(client: Client, document: FrontEnd, listeners: t.Sequence[Observed[t.Any]] = ()) -> CloudState:
    """What is the region's, as far as the document or one of these listeners is about it."""
    removing = document.state == "absent" and not document.keeps_region
    entries = [*document.listeners, *(entry.config for entry in listeners)]
    secured = any(entry.certificate or entry.domain_extensions for entry in entries)
    authenticating = any(entry.ca_certificate for entry in entries)
    shaped = any(entry.tls_policy not in (None, *protocols.TLS_POLICIES) for entry in entries)
    state = CloudState(
        access_lists=access_list.fetch(client, document, listeners),
        certificates=(
            certificate.every(client, "certificates") if document.certificates or removing or secured else ()
        ),
        ca_certificates=(
            certificate.every(client, "ca_certificates")
            if document.ca_certificates or removing or authenticating
            else ()
        ),
        tls_policies=tls_policy.every(client) if document.tls_policies or shaped else (),
        now=client.now(),
    )
    leaving = any(certificate.leaving(option, document, state) for option in certificate.KINDS)
    if leaving or tls_policy.leaving(document, state):
        state = dataclasses.replace(state, uses=uses.fetch(client))
    return state


#: The kinds of objects that an inventory may be about.
KINDS = ("server_groups", "failover_groups", "default_pool", "listeners", "parts")


def inventory(client: Client, document: FrontEnd, kinds: t.Container[str] = KINDS) -> CloudState:
    """Everything of these kinds that the document's load balancer has, whoever made it."""
    found = load_balancer.fetch(client, document.load_balancer)
    instance, dummy = load_balancer.choose(document, found)
    if instance is None or instance.id is None:
        return CloudState()
    # a listener tells the ids of its groups, and their lists the names; their servers are no part of it
    whole = [kind in kinds for kind in ("server_groups", "failover_groups")]
    named = "listeners" in kinds
    groups = server_group.fetch(client, instance.id, lambda name, owner: whole[0]) if whole[0] or named else []
    pairs = failover_group.fetch(client, instance.id, lambda name: whole[1]) if whole[1] or named else []
    listeners = listener.fetch(client, instance.id, names_by_id(groups, pairs)) if named else []
    if "parts" in kinds:
        listeners = [listener.with_parts(client, instance.id, entry, names_by_id(groups)) for entry in listeners]
    region = _region(client, document, listeners)
    return dataclasses.replace(
        region,
        load_balancer=instance,
        server_groups=tuple(groups),
        failover_groups=tuple(pairs),
        default_pool=default_pool.fetch(client, instance.id) if "default_pool" in kinds else None,
        listeners=tuple(listener.with_names(document, listeners, region)),
    )


def survey(client: Client, question: FrontEnd) -> CloudState:
    """Everything that a document of the load balancer would be about: its servers, and the entries of its lists too."""
    state = inventory(client, question)
    instance = state.load_balancer
    if instance is None or instance.id is None:
        return state
    if any(entry.status in listener.PASSING for entry in state.listeners):
        symbols = [entry.config.symbol for entry in state.listeners]
        names = names_by_id(state.server_groups, state.failover_groups)
        listeners = [
            listener.with_parts(client, instance.id, entry, names)
            for entry in listener.fetch(client, instance.id, names, symbols)
        ]
        state = dataclasses.replace(state, listeners=tuple(listener.with_names(question, listeners, state)))
    used = {name for entry in state.listeners for name in entry.config.access_list.lists or ()}
    lists = [access_list.read(client, has) for has in state.access_lists if has.config.label in used]
    servers = lookup.servers(client, map(members.by_id, state.members), instance.config.vpc_id)
    return dataclasses.replace(
        state,
        access_lists=tuple(has for has in lists if has is not None),
        server_groups=tuple(server_group.with_addresses(group, servers) for group in state.server_groups),
        failover_groups=tuple(failover_group.with_addresses(group, servers) for group in state.failover_groups),
        default_pool=members.with_addresses(state.default_pool or (), servers),
        servers=servers,
    )


def _servers(client: Client, document: FrontEnd, instance: Observed[LoadBalancer] | None) -> tuple[Server, ...]:
    if document.state == "absent" or (instance is None and document.only_removes):
        return ()
    vpc_id = instance.config.vpc_id if instance else document.load_balancer.vpc_id
    return lookup.servers(client, document.backends, vpc_id)


def _apply_until_done(work: _Work, plan: Plan) -> None:
    """Apply a plan; where the cloud changed meanwhile, or a call got no answer, look again and plan anew.

    Raises the error of a step that does not go through for SETTLE_TIMEOUT, or where looking cannot help.
    """
    met: dict[str, list[float]] = {}
    lost = None
    while True:
        try:
            _apply(work, plan, lost)
            return
        except _Stopped as stopped:
            times = met.setdefault(f"{stopped.step.operation} {stopped.step.symbol}", [])
            times.append(work.client.clock())
            waited = times[-1] - times[0]
            if stopped.final or (len(times) > ROUNDS and waited > SETTLE_TIMEOUT):
                raise stopped.error from stopped
            lost = stopped.step.operation if stopped.verdict is Verdict.UNKNOWN else None
            plan = _planned_anew(work, min(SETTLE_PAUSE_LIMIT, max(SETTLE_PAUSE, waited)))
            if stopped.verdict is Verdict.FAIL and stopped.step.symbol in _to_make(plan):
                raise stopped.error from stopped


def _planned_anew(work: _Work, pause: float) -> Plan:
    """The plan after another look at the cloud.

    A read that is late does not show what is there. As names are not unique, that is not made a second time at once.
    """
    deadline = work.client.clock() + SETTLE_TIMEOUT
    while True:
        work.client.sleep(pause)
        dummy, plan = work.look()
        if not _to_make(plan) & work.there or work.client.clock() > deadline:
            return plan


def _to_make(plan: Plan) -> set[str]:
    return {step.symbol for step in plan.steps if step.verb == "create"}


def _apply(work: _Work, plan: Plan, lost: str | None) -> None:
    """Do the steps of a plan one after the other. Raises _Stopped; lost is the operation that got no answer before."""
    known = _known_ids(plan)
    for step in plan.steps:
        try:
            # something may have to be asked for, and be gone
            parameters = {
                name: _resolved(work.client, value, known, work.token) for name, value in step.parameters.items()
            }
            answer = _answer(work, step, parameters, lost)
            if step.yields:
                known[step.symbol] = answer[step.yields]
            if step.each:
                known.update(step.each.ids(answer))
            if step.wait:
                what = step.symbol.replace(":", " ")
                waiters.wait(work.client, step.wait, _wait_parameters(step, parameters, known), what)
            if step.yields and step.operation in SIBLINGS:
                _refuse_second(work, step, parameters, known[step.symbol])
        except (ApiError, Overtaken) as error:
            raise _Stopped(step, error) from error


def _answer(work: _Work, step: Step, parameters: dict[str, t.Any], lost: str | None) -> dict[str, t.Any]:
    try:
        answer = work.client.slb(step.operation, parameters)
    except ApiError as error:
        if step.yields and error.verdict is Verdict.UNKNOWN:
            work.there.add(step.symbol)
        # what was to go is gone; what locks the instance did so when its answer was lost
        gone = step.verb == "delete" and error.verdict is Verdict.ABSENT
        if gone or (step.later and step.operation == lost and error.code == "ActionNotAllowed"):
            return {}
        raise
    if step.yields:
        work.there.add(step.symbol)
    return answer


@dataclasses.dataclass(frozen=True)
class _Siblings:
    """Objects of one kind and name, for names are not unique: how to list them, and how to take one away."""

    found: t.Callable[[_Work, dict[str, t.Any]], t.Sequence[Observed[t.Any]]]
    away: t.Callable[[Observed[t.Any]], t.Sequence[Step]]


def _same_certificates(kind: certificate.Kind) -> t.Callable[[_Work, dict[str, t.Any]], t.Sequence[Observed[t.Any]]]:
    def found(work: _Work, made: dict[str, t.Any]) -> t.Sequence[Observed[t.Any]]:
        first = pem.facts(pem.chain(kind.option, made[kind.content], whole=True)).fingerprint
        listed = certificate.every(work.client, kind.option)
        return [has for has in listed if (has.config.fingerprint, has.config.name) == (first, made[kind.name])]

    return found


def _certificate_away(kind: certificate.Kind) -> t.Callable[[Observed[t.Any]], t.Sequence[Step]]:
    return lambda has: [certificate.away(kind, has)]


SIBLINGS = {
    "CreateLoadBalancer": _Siblings(
        lambda work, made: load_balancer.fetch(work.client, work.document.load_balancer),
        lambda instance: load_balancer.away(instance, "for another run made one at the same time"),
    ),
    "CreateVServerGroup": _Siblings(
        lambda work, made: server_group.named(work.client, made["LoadBalancerId"], made["VServerGroupName"]),
        lambda group: [server_group.away(group)],
    ),
    "CreateMasterSlaveServerGroup": _Siblings(
        lambda work, made: failover_group.named(
            work.client, made["LoadBalancerId"], made["MasterSlaveServerGroupName"]
        ),
        lambda group: [failover_group.away(group)],
    ),
    **{
        kind.upload: _Siblings(_same_certificates(kind), _certificate_away(kind)) for kind in certificate.KINDS.values()
    },
    # nobody's mark is on one: the run that made the younger one takes it away itself
    "CreateTLSCipherPolicy": _Siblings(
        lambda work, made: [has for has in tls_policy.every(work.client) if has.config.name == made["Name"]],
        lambda policy: [tls_policy.away(policy)],
    ),
}


def _refuse_second(work: _Work, step: Step, parameters: dict[str, t.Any], made: str) -> None:
    """Of two runs that made the same object at once, the one whose object is not the older goes on with the other's."""
    siblings = SIBLINGS[step.operation]
    own, others = _listed(work, lambda: siblings.found(work, parameters), made)
    for other in others:
        if other.owner == work.document.owner and other.created <= own.created:
            # ages may be told in seconds only; which of the two stays is a matter of the next plan
            raise Overtaken(f"another run made {other.id} at the same time as this one made {made}")
        if other.owner != work.document.owner and (other.created, other.id) < (own.created, own.id):
            _apply(work, Plan(steps=tuple(siblings.away(own)), predicted=CloudState()), None)
            raise Overtaken(f"somebody else made {other.id} at the same time as this run made {made}")


def _listed(
    work: _Work, found: t.Callable[[], t.Sequence[Observed[t.Any]]], made: str
) -> tuple[Observed[t.Any], list[Observed[t.Any]]]:
    """What was made, and the others of its name. Once it is listed, everything older is listed too, however late reads are."""
    deadline = work.client.clock() + SETTLE_TIMEOUT
    while True:
        entries = found()
        own = next((entry for entry in entries if entry.id == made), None)
        if own is not None:
            return own, [entry for entry in entries if entry is not own]
        if work.client.clock() > deadline:
            raise NotSettled(f"the cloud made {made}, but {SETTLE_TIMEOUT:g} seconds later it still does not list it")
        work.client.sleep(SETTLE_PAUSE)


def _known_ids(plan: Plan) -> dict[str, str]:
    instance = plan.predicted.load_balancer
    return {LOAD_BALANCER: instance.id} if instance is not None and instance.id else {}


def _resolved(client: Client, value: t.Any, known: t.Mapping[str, str], token: str) -> t.Any:
    if isinstance(value, Ref):
        return known[value.symbol]
    if isinstance(value, Joined):
        return ",".join(_resolved(client, part, known, token) for part in value.parts)
    if isinstance(value, Json):
        entries = [
            {key: _resolved(client, part, known, token) for key, part in entry.items()} for entry in value.entries
        ]
        return json.dumps(entries)
    if isinstance(value, Told):
        return client.slb(value.operation, value.parameters).get(value.name)
    return token if isinstance(value, Token) else value


def _wait_parameters(step: Step, parameters: t.Mapping[str, t.Any], known: t.Mapping[str, str]) -> dict[str, t.Any]:
    if step.symbol.startswith("tls_policy"):
        return {"TLSCipherPolicyId": parameters.get("TLSCipherPolicyId") or known[step.symbol]}
    instance = parameters.get("LoadBalancerId") or known[LOAD_BALANCER]
    if step.symbol.startswith(LOAD_BALANCER):
        return {"LoadBalancerId": instance}
    protocol = step.symbol.partition(":")[2].partition("/")[0]
    return {"LoadBalancerId": [instance], "ListenerPort": parameters["ListenerPort"], "ListenerProtocol": protocol}


def _settled(work: _Work) -> CloudState:
    """The state after the work, read until it is what the document says.

    What another run undid or left behind is done again; but nothing is made again, for the read may only be late.
    """
    clock, rounds = work.client.clock, ROUNDS
    written = clock()
    while True:
        state, plan = work.look()
        left = [step for step in plan.steps if not step.later]
        if not left:
            # what takes effect later is shown as check mode foresees it
            return plan.predicted if plan.steps else state
        if rounds and clock() > written + SETTLE_AGAIN and not any(step.yields for step in plan.steps):
            rounds -= 1
            _apply_until_done(work, plan)
            written = clock()
        elif clock() > written + SETTLE_TIMEOUT:
            raise NotSettled(
                f"the cloud accepted every call, but {SETTLE_TIMEOUT:g} seconds later it still does not show this: {left[0].reason}"
            )
        else:
            work.client.sleep(SETTLE_PAUSE)
