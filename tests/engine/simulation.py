# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The emulated cloud in this process, and runs of the engine in processes of their own that may die between any two calls.

A run is a forked child with the real client and SDK; only the SDK's HTTP is led through a pipe to this process, which
answers by the emulator's own request handler. So this process knows of each call before the cloud does, and can kill the
child then (SIGKILL: nothing is cleaned up), or take the answer away. Time is virtual: calls and pauses are events of one
queue, so that minutes cost nothing and runs at the same time meet in an order that a seed decides.
"""

from __future__ import annotations

import asyncio
import copy
import dataclasses
import gc
import heapq
import importlib
import itertools
import multiprocessing
import multiprocessing.connection
import os
import pathlib
import random
import signal
import time
import traceback
import typing as t
import urllib.parse
import uuid

from aiohttp import web
from alibabacloud_tea_openapi.utils import Utils
from darabonba.core import DaraCore
from darabonba.exceptions import RetryError
from darabonba.request import DaraRequest
from darabonba.response import DaraResponse
from multidict import CIMultiDict

from ansible_collections.clusterfront.ha.plugins.module_utils._slb import view
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.client import Client, Settings
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.document import FrontEnd, front_end
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.errors import ApiError, SlbError
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.reconcile import reconcile
from emulator_harness import KEY, REGION
from slb_emulator import faults
from slb_emulator.config import AccessKey, Config
from slb_emulator.http import Api
from slb_emulator.inventory import parse
from slb_emulator.service import Service
from slb_emulator.store import LoadBalancer, State

# what a run imports on its way: each child would do it again
for _module in (
    "alibabacloud_credentials.client",
    "alibabacloud_credentials.exceptions",
    "alibabacloud_credentials.models",
    "alibabacloud_credentials.provider",
    "alibabacloud_slb20140515.client",
    "alibabacloud_slb20140515.models",
    "alibabacloud_tea_openapi.utils_models",
    "jmespath",
):
    importlib.import_module(_module)

LATENCY = 0.05
ADDRESS = "192.0.2.254"

Moment = t.Literal["before", "after", "on the way"]
Options = t.Dict[str, t.Any]
Make = t.Callable[[Options], FrontEnd]
Later = t.Callable[[float, t.Callable[[], None]], None]


@dataclasses.dataclass(frozen=True)
class Cut:
    """What goes wrong at one call of a run, counted from 1.

    before: the cloud never sees the call. after: the cloud applied it. on the way: the run is dead already when the
    cloud gets the call.
    """

    call: int
    moment: Moment
    #: The run is killed; else only the answer is lost.
    kills: bool = True


@dataclasses.dataclass(frozen=True)
class Job:
    """What a run is to do, and what happens to it."""

    options: Options
    check_mode: bool = False
    cut: Cut | None = None
    timeout: float = 300.0
    make: Make = front_end
    #: What is run instead of the engine with a document.
    work: t.Callable[[Options, Client], Ended] | None = None
    #: Seconds after which it starts.
    start: float = 0.0


@dataclasses.dataclass(frozen=True)
class Ended:
    """What a run says of itself at its end."""

    changed: bool = False
    steps: list[dict[str, str]] = dataclasses.field(default_factory=list)
    diff: dict[str, t.Any] = dataclasses.field(default_factory=dict)
    #: (class, sentence, what a module returns as error) of an error that a user sees.
    failure: tuple[str, str, dict[str, t.Any] | None] | None = None
    #: The trace of an error that no user should ever see.
    trace: str | None = None

    def steps_of(self, operation: str) -> int:
        """How many steps of the plan are calls of an operation."""
        return sum(step["operation"] == operation for step in self.steps)


class Worker(t.NamedTuple):
    """A forked process that does one job after the other until it is killed."""

    pid: int
    pipe: multiprocessing.connection.Connection


@dataclasses.dataclass
class Run:
    """One run as this process sees it."""

    job: Job
    #: None once the run is over.
    worker: Worker | None
    latency: t.Callable[[], float]
    #: The operations that it called.
    calls: list[str] = dataclasses.field(default_factory=list)
    killed: bool = False
    ended: Ended | None = None

    @property
    def result(self) -> Ended:
        """What the run says; fails for one that ended with a traceback or not at all."""
        assert self.ended is not None, "the run was killed"
        assert self.ended.trace is None, self.ended.trace
        return self.ended

    @property
    def done(self) -> Ended:
        """What the run says; fails for one that failed."""
        assert self.result.failure is None, self.result.failure
        return self.result

    @property
    def writes(self) -> list[str]:
        return [call for call in self.calls if not call.startswith(("Describe", "List"))]


@dataclasses.dataclass
class Request:
    """A request of HTTP, as far as the emulator's handler looks at it."""

    method: str
    raw_path: str
    headers: CIMultiDict[str]
    content_type: str = "application/octet-stream"
    dropped: bool = False

    async def read(self) -> bytes:
        return b""

    @property
    def transport(self) -> Request:
        return self

    def abort(self) -> None:
        """The emulator closes the connection without an answer."""
        self.dropped = True


class Simulation:
    """The cloud, its clock, and the runs that call it."""

    def __init__(self, directory: pathlib.Path, machines: dict[str, t.Any]) -> None:
        self._loop = asyncio.new_event_loop()
        self._machines = machines
        self._now = time.time()
        self._idle: list[Worker] = []
        config = Config(directory, sandbox="cfha-sim", access_keys=(AccessKey(**KEY),))
        self.service = self._loop.run_until_complete(self._made(config))
        self.service.faults = faults.Faults(self.clock)
        self._api = Api(self.service)
        self.reset()

    async def _made(self, config: Config) -> Service:
        return Service(config, clock=self.clock)

    def clock(self) -> float:
        return self._now

    def pause(self, seconds: float) -> None:
        """Let time pass."""
        self._now += seconds

    def close(self) -> None:
        for worker in self._idle:
            kill(worker)
        self._loop.close()

    def inventory(self, machines: dict[str, t.Any]) -> None:
        """Change the machines that there are."""
        self.service.store.state.inventory = parse(machines)

    def reset(self) -> None:
        """An empty cloud that never fails."""
        self.service.switches.set({"transition_seconds": 0.0})
        self.service.store.state = State(inventory=parse(self._machines))
        self.service.reset()

    def transitions(self, seconds: float) -> None:
        """How long listeners and access lists are busy after a change."""
        self.service.switches.set({"transition_seconds": seconds})

    def misbehave(self, *wanted: dict[str, t.Any]) -> None:
        """Set the faults of the cloud, as its control interface does."""
        self.service.faults.set(faults.parse(list(wanted)))

    @property
    def misbehaving(self) -> list[dict[str, t.Any]]:
        return self.service.faults.plain()

    def remember(self) -> State:
        return copy.deepcopy(self.service.store.state)

    def restore(self, state: State) -> None:
        """Go back to a state; time goes on."""
        self.service.store.state = copy.deepcopy(state)
        self.misbehave()
        self.service.history.clear()
        self.service.history.add(self._now, self.service.store.save())

    def run(self, options: Options, **job: t.Any) -> Run:
        """One run, alone."""
        (run,) = self.together(Job(options, **job))
        return run

    def together(self, *jobs: Job, seed: int | None = None, slowest: float = 0.0) -> list[Run]:
        """Runs at the same time. With a seed every call and every answer takes up to so many seconds, else all take alike."""
        chance = random.Random(seed)
        runs: list[Run] = []
        order = itertools.count()
        events: list[tuple[float, int, t.Callable[[], None]]] = []

        def later(seconds: float, do: t.Callable[[], None]) -> None:
            heapq.heappush(events, (self._now + seconds, next(order), do))

        def latency() -> float:
            return LATENCY if seed is None else chance.uniform(0.0, slowest)

        def start(job: Job) -> t.Callable[[], None]:
            def begin() -> None:
                run = Run(job, self._idle.pop() if self._idle else fork(), latency)
                runs.append(run)
                self._tell(run, job, later)

            return begin

        try:
            for job in jobs:
                later(job.start, start(job))
            while events:
                moment, dummy, do = heapq.heappop(events)
                self._now = max(self._now, moment)
                do()
        finally:
            for run in runs:
                self._kill(run)
        return runs

    def _tell(self, run: Run, what: t.Any, later: Later) -> None:
        """Say something to a run, take its next word, for it computes in no time, and put what follows into the queue."""
        assert run.worker is not None
        run.worker.pipe.send((self._now, what))
        said = run.worker.pipe.recv()
        if isinstance(said, Ended):
            run.ended = said
            self._idle.append(run.worker)
            run.worker = None
        elif isinstance(said, float):
            later(said, lambda: self._tell(run, None, later))
        else:
            run.calls.append(said.headers["x-acs-action"])
            cut = run.job.cut if run.job.cut and run.job.cut.call == len(run.calls) else None
            if cut and cut.kills and cut.moment != "after":
                self._kill(run)
            if not (cut and cut.kills and cut.moment == "before"):
                later(run.latency(), lambda: self._arrive(run, said, cut, later))

    def _arrive(self, run: Run, request: DaraRequest, cut: Cut | None, later: Later) -> None:
        answer = None if cut and cut.moment == "before" else self.answer(request)
        if cut and cut.kills:
            self._kill(run)
        else:
            later(run.latency(), lambda: self._tell(run, None if cut else answer, later))

    @staticmethod
    def _kill(run: Run) -> None:
        """No code of the run's own runs any more. One that is over already stays as it is."""
        if run.worker is not None:
            kill(run.worker)
            run.worker, run.killed = None, True

    def answer(self, request: DaraRequest) -> tuple[int, dict[str, str], bytes] | None:
        """What the emulator's handler says; None where it drops the connection."""
        assert request.body is None, "the SDK sends parameters in the query"
        path = f"{request.pathname}?{urllib.parse.urlencode(request.query)}"
        given = Request(request.method, path, CIMultiDict(request.headers))
        response = self._loop.run_until_complete(self._api.handle(t.cast(web.Request, given)))
        if given.dropped:
            return None
        return response.status, {k.lower(): v for k, v in response.headers.items()}, t.cast(bytes, response.body)

    def picture(self) -> dict[str, t.Any]:
        """All that there is, without ids and times; what is there twice is here twice."""
        state = self.service.store.state
        return {
            "load_balancers": sorted((self._shown(balancer) for balancer in state.load_balancers.values()), key=str),
            "access_lists": sorted(
                (found.name, sorted(found.tags.items()), sorted(found.entries.items()))
                for found in state.access_lists.values()
            ),
            "certificates": sorted(
                (found.name, found.ca, found.fingerprint, sorted(found.tags.items()))
                for found in state.certificates.values()
            ),
            "tls_policies": sorted(
                (found.name, sorted(found.versions), sorted(found.ciphers)) for found in state.tls_policies.values()
            ),
        }

    def _shown(self, balancer: LoadBalancer) -> dict[str, t.Any]:
        state = self.service.store.state
        groups = [*state.server_groups.values(), *state.failover_groups.values()]
        names = {
            found.id: found.name for found in [*groups, *state.access_lists.values(), *state.tls_policies.values()]
        }
        names |= {found.id: found.fingerprint for found in state.certificates.values()}
        known = {"LoadBalancerId", "Address", "CreateTime", "CreateTimeStamp"}
        return {
            "attributes": {name: value for name, value in balancer.attributes.items() if name not in known},
            "tags": balancer.tags,
            "pool": [dataclasses.astuple(server) for server in balancer.servers],
            "groups": sorted(
                (group.name, type(group).__name__, group.tags, sorted(map(dataclasses.astuple, group.servers)))
                for group in groups
                if group.load_balancer == balancer.id
            ),
            "listeners": sorted(
                (
                    listener.key,
                    listener.status,
                    listener.tags,
                    {
                        name: [names.get(part, part) for part in str(value).split(",")]
                        for name, value in listener.settings.items()
                    },
                    sorted(
                        (rule.domain, rule.url, rule.name, names[rule.group], sorted(rule.settings.items()))
                        for rule in listener.rules
                    ),
                    sorted((entry.domain, names[entry.certificate]) for entry in listener.domain_extensions),
                )
                for listener in balancer.listeners.values()
            ),
        }


def kill(worker: Worker) -> None:
    os.kill(worker.pid, signal.SIGKILL)
    os.waitpid(worker.pid, 0)
    worker.pipe.close()


def fork() -> Worker:
    here, there = multiprocessing.Pipe()
    pid = os.fork()
    if not pid:
        here.close()
        try:
            # a collection would copy the memory that parent and child share
            gc.freeze()
            work(there)
        finally:
            # without what pytest would do at the end of a process
            os._exit(0)
    there.close()
    return Worker(pid, here)


def work(pipe: multiprocessing.connection.Connection) -> None:
    """Do jobs: engine, client and SDK as ever, with a clock and a wire that lead to the process above."""
    random.seed(os.getpid())
    now, job = pipe.recv()

    def exchange(said: t.Any) -> t.Any:
        nonlocal now
        pipe.send(said)
        now, answer = pipe.recv()
        return answer

    def do_action(request: DaraRequest, runtime_option: t.Any = None) -> DaraResponse:
        answer = exchange(request)
        if answer is None:
            raise RetryError("the connection was lost")
        response = DaraResponse()
        response.status_code, response.headers, response.body = answer
        return response

    DaraCore.do_action = staticmethod(do_action)
    Utils.get_timestamp = staticmethod(lambda: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now)))
    while True:
        job = exchange(ended(job, lambda: now, lambda seconds: exchange(float(seconds))))


def ended(job: Job, clock: t.Callable[[], float], sleep: t.Callable[[float], None]) -> Ended:
    """Run the engine."""
    settings = Settings(
        REGION, **KEY, slb_endpoint=f"http://{ADDRESS}", ecs_endpoint=f"http://{ADDRESS}", timeout=job.timeout
    )
    try:
        client = Client(settings, clock=clock, sleep=sleep, now=clock)
        if job.work is not None:
            return job.work(job.options, client)
        wanted = job.make(copy.deepcopy(job.options))
        outcome = reconcile(client, wanted, check_mode=job.check_mode, token=lambda: str(uuid.uuid4()))
    except SlbError as error:
        return Ended(
            failure=(type(error).__name__, str(error), error.to_result() if isinstance(error, ApiError) else None)
        )
    except Exception:
        return Ended(trace=traceback.format_exc())
    before, after = (view.difference(wanted, state) for state in (outcome.before, outcome.after))
    steps = [step.to_result() for step in outcome.plan.steps]
    return Ended(outcome.plan.changed, steps, {"before": before, "after": after})
