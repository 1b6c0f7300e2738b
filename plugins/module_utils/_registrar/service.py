# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The registrar itself: one pass after the other over the containers of a host and the SLB instances that they name.

Clock, pause and chance are handed in with the client. An instance is looked at when its containers changed, when the interval is over,
when a server has drained, and after a problem in growing pauses. What is true of entries is on the cloud alone, so a registrar
that is killed anywhere goes on where it was.
"""

from __future__ import annotations

import dataclasses
import random
import typing as t

from .._slb import health
from .._slb.client import Client
from .._slb.document import Backend, LoadBalancer
from .._slb.errors import DocumentError, LookupFailed, SlbError
from .._slb.reconcile import reconcile
from .._slb.state import CloudState, Observed, Server, Step
from . import cloud, plan
from .containers import Container
from .engines import EngineError
from .labels import Problem, Wish, wishes
from .plan import Decision, Entry, Gone, Mine, Place
from .status import Status, Totals

BACKOFF_START = 1.0
RUNNING = "Running"


class Containers(t.Protocol):
    """An engine, as far as the registrar asks it."""

    @property
    def name(self) -> str:
        """How sentences call it."""

    def containers(self) -> list[Container]:
        """Those that run or have stopped."""


@dataclasses.dataclass(frozen=True)
class Rules:
    """How a host registers its containers. Times in seconds."""

    owner: str
    #: How ECS knows this host: one of server_id, server_name, private_ip, eip, eni_id.
    server: t.Mapping[str, str]
    vpc_id: str | None = None
    interval: float = 60.0
    drain_time: float = 30.0
    weight: int = 100
    take_over_gone: bool = False
    grace_time: float = 600.0


@dataclasses.dataclass
class Track:
    """What is known of an SLB instance between two looks."""

    due: float = 0.0
    failures: int = 0
    #: Of the last look; None where there was none.
    wishes: tuple[Wish, ...] | None = None
    #: The groups whose members are read; None: all, for nobody knows yet where this host has entries.
    groups: set[str] | None = None
    #: Since when own entries that nobody wants have weight 0.
    drains: dict[Place, float] = dataclasses.field(default_factory=dict)
    #: Since when servers of other hosts look gone.
    gone: dict[str, float] = dataclasses.field(default_factory=dict)
    entries: tuple[Entry, ...] = ()
    problems: tuple[Problem, ...] = ()

    def learn(self, problems: t.Sequence[Problem], now: float, rules: Rules, jitter: float) -> None:
        """Remember how a look ended, and when the next one is due."""
        self.problems = tuple(problems)
        self.failures = self.failures + 1 if problems else 0
        pause = rules.interval
        if problems:
            pause = min(pause, BACKOFF_START * 2.0 ** min(self.failures - 1, 16)) * (0.5 + jitter / 2)
        ends = [since + rules.drain_time for since in self.drains.values()]
        self.due = min([now + pause, *ends])


@dataclasses.dataclass(frozen=True)
class Change:
    """What was done at one instance: its calls, and the weights of this host's entries by place on either side."""

    load_balancer: str
    before: t.Mapping[str, int | None]
    after: t.Mapping[str, int | None]
    steps: tuple[Step, ...]


class Registrar:
    """Keeps the entries of one host in step with its containers."""

    def __init__(
        self,
        rules: Rules,
        client: Client,
        engines: t.Sequence[Containers],
        *,
        token: t.Callable[[], str],
        log: t.Callable[[str], None],
        drained: t.Callable[[], t.Collection[str]] = frozenset,
        forget: t.Callable[[str], None] = lambda name: None,
        remembered: t.Iterable[str] = (),
        jitter: t.Callable[[], float] = random.random,
        dry_run: bool = False,
        done: t.Callable[[Change], None] = lambda change: None,
        raises: bool = False,
    ) -> None:
        """raises: what is no fault of a label or a name ends the pass, rather than that it is tried again."""
        self.rules = rules
        self.client = client
        self.totals = Totals()
        self.tracks: dict[str, Track] = {key: Track() for key in remembered}
        self._engines = engines
        self._token = token
        self._log = log
        self._drained = drained
        self._forget = forget
        #: What was taken out by hand -> when it had started then.
        self._out: dict[str, str] = {}
        self._jitter = jitter
        self._dry_run = dry_run
        self._done = done
        self._raises = raises
        #: What labels say -> the id that it means.
        self._ids: dict[str, str] = {}
        #: Instances that were looked up in this pass already.
        self._just_found: dict[str, Observed[LoadBalancer]] = {}
        self._known: dict[str, list[Container]] = {}
        self._silent: dict[str, str] = {}
        self._servers: tuple[tuple[Server, ...], Backend] | None = None
        #: The look for entries of an earlier life.
        self._begin: Track | None = Track()
        self._bad: tuple[Problem, ...] = ()
        self._well: float | None = None

    def run_pass(self) -> Status:
        """Look at everything that is due, and say how things are."""
        self.totals.passes += 1
        containers = self._containers()
        wanted, bad = wishes(containers, self.rules.weight)
        out = self._taken_out(containers)
        wanted = [
            dataclasses.replace(wish, ready=False, state="drained") if wish.container in out else wish
            for wish in wanted
        ]
        self._tell_news(self._bad, bad)
        self._bad = tuple(bad)
        self._look_for_own()
        self._just_found.clear()
        by_instance = self._by_instance(wanted)
        keep = any(name not in self._known for name in self._silent)
        for key in [*by_instance, *(key for key in self.tracks if key not in by_instance)]:
            track = self.tracks.setdefault(key, Track())
            mine = tuple(by_instance.get(key, ()))
            if mine != track.wishes or self.client.clock() >= track.due:
                self._refresh(key, track, mine, keep)
        status = self._status()
        if status.problems or self._silent:
            self.totals.failures += 1
        else:
            self._well = self.client.now()
        return dataclasses.replace(status, well=self._well)

    @property
    def due(self) -> float:
        """When the next pass has something to do if no container changes, by the client's clock."""
        tracks = [*self.tracks.values(), *([self._begin] if self._begin else [])]
        return min([self.client.clock() + self.rules.interval, *(track.due for track in tracks)])

    @property
    def draining(self) -> bool:
        return any(track.drains for track in self.tracks.values())

    def _containers(self) -> list[Container]:
        """The containers of all engines; of one that is silent those that it had."""
        for engine in self._engines:
            try:
                self._known[engine.name] = engine.containers()
                self._silent.pop(engine.name, None)
            except EngineError as error:
                if engine.name not in self._silent:
                    self._log(f"{error}; what it had stays registered")
                self._silent[engine.name] = str(error)
        return [one for found in self._known.values() for one in found]

    def _taken_out(self, containers: t.Sequence[Container]) -> set[str]:
        """The containers that somebody took out of service; one that was started again since is none of them."""
        started = {one.name: one.started for one in containers}
        out = set()
        for name in sorted(self._drained()):
            if name in started and self._out.setdefault(name, started[name]) == started[name]:
                out.add(name)
            elif name in started or not self._silent:
                self._out.pop(name, None)
                self._forget(name)
        return out

    def _look_for_own(self) -> None:
        """Once: the instances that this host is an entry of already, for an earlier life may have left something there."""
        begin = self._begin
        if begin is None or self.client.clock() < begin.due:
            return
        try:
            found, naming = self._this_host()
            for server in found:
                for instance_id in cloud.joined(self.client, server.id):
                    self.tracks.setdefault(instance_id, Track())
            self._begin = None
            if not found:
                raise LookupFailed(
                    f"server: {naming.naming} matches no server of this region; check it, the region and the VPC"
                )
        except SlbError as error:
            self._refuse(error)
            self._servers = None
            problems = [Problem("", None, str(error))]
            self._tell_news(begin.problems, problems)
            begin.learn(problems, self.client.clock(), self.rules, self._jitter())
            self._begin = begin

    def _this_host(self) -> tuple[tuple[Server, ...], Backend]:
        if self._servers is None:
            self._servers = cloud.servers(self.client, self.rules.server, self.rules.vpc_id)
        return self._servers

    def _by_instance(self, wanted: t.Iterable[Wish]) -> dict[str, list[Wish]]:
        """Wishes by the id of their instance. What its label says is looked up once; until that works it is its own key."""
        found: dict[str, list[Wish]] = {}
        for wish in wanted:
            found.setdefault(self._ids.get(wish.load_balancer, wish.load_balancer), []).append(wish)
        unknown = [key for key in found if key not in self._ids.values()]
        for reference in unknown:
            track = self.tracks.setdefault(reference, Track())
            mine = tuple(found[reference])
            if mine == track.wishes and self.client.clock() < track.due:
                continue
            try:
                instance = cloud.find(self.client, reference)
                self._ids[reference] = str(instance.id)
                self._just_found[str(instance.id)] = instance
            except SlbError as error:
                self._failed(track, mine, error)
        joined: dict[str, list[Wish]] = {}
        for key, mine_too in found.items():
            target = self._ids.get(key, key)
            if target != key:
                self.tracks.pop(key, None)
            joined.setdefault(target, []).extend(mine_too)
        return joined

    def _refresh(self, key: str, track: Track, mine: tuple[Wish, ...], keep: bool) -> None:
        """Compare one instance with its wishes, and do what is to be done."""
        if key not in self._ids.values() and mine:
            # its label leads nowhere: that was said where it was looked up
            return
        try:
            decision = self._compared(key, track, mine, keep)
        except SlbError as error:
            if isinstance(error, LookupFailed):
                # the instance, or this server, is another one now
                self._ids = {name: found for name, found in self._ids.items() if found != key}
                if not mine:
                    del self.tracks[key]
                    return
            self._servers = None
            self._failed(track, mine, error)
            return
        self._tell_news(track.problems, decision.problems)
        track.wishes, track.entries = mine, decision.entries
        track.learn(decision.problems, self.client.clock(), self.rules, self._jitter())
        if not mine and not decision.entries:
            del self.tracks[key]

    def _compared(self, key: str, track: Track, mine: tuple[Wish, ...], keep: bool) -> Decision:
        client = self.client
        instance = self._just_found.pop(key, None) or cloud.find(client, key)
        named = {wish.server_group for wish in mine}
        state = cloud.look(client, instance, lambda name: track.groups is None or name in track.groups or name in named)
        found, naming = self._this_host()
        host = Mine(self.rules.owner, cloud.me(naming, found, instance.config))
        state = self._with_wanted_groups(mine, state, track)
        over = {place for place, since in track.drains.items() if client.clock() >= since + self.rules.drain_time}
        if not self.rules.drain_time:
            over = plan.own_places(host, state)
        gone = self._gone(host, state, track) if self.rules.take_over_gone else []
        decision = plan.decide(host, mine, state, over, keep=keep, gone=gone)
        if decision.touches:
            state = self._brought_about(host, decision, cloud.with_addresses(state, found), instance, key)
        if self._dry_run and decision.draining:
            # what a run does once they have drained
            decision = plan.decide(host, mine, state, set(decision.draining), keep=keep)
            self._brought_about(host, decision, state, instance, key)
        own = {entry.place for entry in decision.entries}
        track.groups = {place.group for place in own if place.group is not None}
        # the time begins when the cloud has shown weight 0
        now = client.clock()
        track.drains = {place: track.drains.get(place, now) for place in decision.draining}
        return decision

    def _brought_about(
        self, host: Mine, decision: Decision, state: CloudState, instance: Observed[LoadBalancer], key: str
    ) -> CloudState:
        """The state after a decision, or as a dry run foresees it."""
        outcome = reconcile(self.client, decision.document, check_mode=self._dry_run, token=self._token, before=state)
        name = str(instance.config.name or key)
        for step in outcome.plan.steps:
            self._log(f"{'would ' if self._dry_run else ''}{step.reason}, {step.symbol.replace(':', ' ')} of {name}")
        before, after = (plan.shown(host, side) for side in (state, outcome.after))
        self._done(Change(name, before, after, outcome.plan.steps))
        return dataclasses.replace(outcome.after, servers=state.servers)

    def _with_wanted_groups(self, mine: t.Sequence[Wish], state: CloudState, track: Track) -> CloudState:
        """The state with the members of the groups that listeners lead wishes to, too."""
        wanted = plan.wanted_groups(mine, state)
        unread = [
            group for group in state.server_groups if group.config.name in wanted and group.config.backends is None
        ]
        if not unread or state.load_balancer is None:
            return state
        names = {group.config.name for group in unread}
        read = {group.id: group for group in cloud.groups(self.client, state.load_balancer, names.__contains__)}
        return dataclasses.replace(
            state,
            server_groups=tuple(
                read.get(group.id, group) if group.config.backends is None else group for group in state.server_groups
            ),
        )

    def _gone(self, host: Mine, state: CloudState, track: Track) -> list[Gone]:
        """Entries of other hosts that were abnormal and did not run for the whole grace time."""
        others = plan.others(host, state)
        sick = self._abnormal(state.load_balancer) & {str(one.member.server_id) for one in others} if others else set()
        statuses = cloud.statuses(self.client, sick)
        now = self.client.clock()
        track.gone = {
            server_id: track.gone.get(server_id, now) for server_id in sick if statuses.get(server_id) != RUNNING
        }
        lost = {server_id for server_id, since in track.gone.items() if now >= since + self.rules.grace_time}
        for server_id in sorted(lost):
            self._log(
                f"{server_id} was abnormal and did not run for {self.rules.grace_time:g} seconds; its entries are taken out"
            )
        return [one for one in others if one.member.server_id in lost]

    def _abnormal(self, instance: Observed[t.Any] | None) -> set[str]:
        """Servers that every listener which checks them calls abnormal."""
        if instance is None or instance.id is None:
            return set()
        told: dict[str, set[str]] = {}
        for entry in health.fetch(self.client, health.Meant(instance.id)):
            told.setdefault(entry["server_id"], set()).add(entry["status"])
        return {server_id for server_id, statuses in told.items() if statuses == {"abnormal"}}

    def _refuse(self, error: SlbError) -> None:
        if self._raises and not isinstance(error, DocumentError):
            raise error

    def _failed(self, track: Track, mine: tuple[Wish, ...], error: SlbError) -> None:
        self._refuse(error)
        names = {wish.load_balancer for wish in mine}
        problems = [Problem(", ".join(wish.container for wish in mine), name, str(error)) for name in sorted(names)[:1]]
        problems = problems or [Problem("", None, str(error))]
        self._tell_news(track.problems, problems)
        track.wishes = mine
        track.learn(problems, self.client.clock(), self.rules, self._jitter())

    def _tell_news(self, before: t.Sequence[Problem], now: t.Sequence[Problem]) -> None:
        """Log what is a problem since now, and what is none any more."""
        for problem in now:
            if problem not in before:
                self._log(f"problem: {_named(problem)}{problem.sentence}")
        for problem in before:
            if problem not in now:
                self._log(f"solved: {_named(problem)}{problem.sentence}")

    def _status(self) -> Status:
        self.totals.reads, self.totals.writes = self.client.reads, self.client.writes
        tracks = [*self.tracks.values(), *([self._begin] if self._begin else [])]
        return Status(
            owner=self.rules.owner,
            time=self.client.now(),
            entries=tuple(entry for track in tracks for entry in track.entries),
            problems=(*self._bad, *(problem for track in tracks for problem in track.problems)),
            engines={engine.name: self._silent.get(engine.name, "") for engine in self._engines},
            totals=dataclasses.replace(self.totals),
            load_balancers=tuple(key for key in self.tracks if key.startswith("lb-")),
        )


def _named(problem: Problem) -> str:
    words = " at ".join(filter(None, (problem.container, problem.load_balancer)))
    return f"{words}: " if words else ""
