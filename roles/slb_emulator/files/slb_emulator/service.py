# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything together: state, health checks and data plane, and the loop that keeps the three in step."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from . import dataplane, drains
from .cloud import Cloud
from .config import Config
from .faults import Fault, Faults
from .forwarding import Desired, desired, targets
from .health import Checker
from .history import History
from .inventory import Inventory
from .lifecycle import Clock, Lifecycle
from .quotas import Quotas
from .role_keys import RoleKeys
from .signature import Verifier
from .store import Store
from .switches import Switches
from .vpc_services import Applications, VpcServices
from .zones import next_failover, serving_zone

log = logging.getLogger(__name__)

DEBOUNCE = 0.01  # several changes at once are applied together
FIRST_RESULTS = 0.1  # how long a change waits for the first check of a new server
RETRY = 1.0
LOG_LENGTH = 20000


class RequestLog:
    """What was asked, without signatures and secrets."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self.counts: Counter[str] = Counter()
        self.writes = 0
        self.entries: deque[dict[str, Any]] = deque(maxlen=LOG_LENGTH)

    def add(self, entry: dict[str, Any], write: bool) -> None:
        self.counts[entry["action"]] += 1
        self.writes += write
        self.entries.append(entry)


Inside = Callable[["Service", str], Applications]  # what answers in a VPC


class Service:
    def __init__(self, config: Config, clock: Clock = time.time, inside: Inside | None = None) -> None:
        self.config = config
        self.clock = clock
        self.store = Store(config.directory / "state.json")
        self.switches = Switches(config.switches)
        self.switches.set(self.store.state.switches)
        self.quotas = Quotas(self.store.state.quotas)
        self.role_keys = RoleKeys(config.sandbox, config.access_keys)
        self.verifier = Verifier(config.access_keys, self.role_keys)
        self.vpc_services = VpcServices(lambda vpc: inside(self, vpc) if inside is not None else {})
        self.requests = RequestLog()
        self.faults = Faults()
        self.history = History()
        self.history.add(clock(), self.store.snapshot())
        self.plane = dataplane.create(config)
        self.checker = Checker(self._open_socket if self.plane.checks else None, self.store.state.health, self._judged)
        lifecycle = Lifecycle(self.switches, clock)
        self.cloud = Cloud(
            self.store, self.switches, self.quotas, lifecycle, self.checker.health, clock, config.sandbox
        )
        self.error: str | None = None
        self._generation, self._done = 1, 0
        self._attached = False
        self._applied: Desired | None = None
        self._unsaved = False
        self._drain_timer: asyncio.TimerHandle | None = None
        self._wake = asyncio.Event()
        self._network = asyncio.Lock()  # attach, apply and links one after the other
        self._loop_task: asyncio.Task[None] | None = None

    @property
    def applied(self) -> bool:
        return self._done == self._generation

    async def start(self) -> None:
        """Pick up the network where it was left; where that fails, the loop goes on trying and the status says why."""
        try:
            await self._attach()
        except OSError as error:
            log.exception("the network could not be made")
            self.error = str(error)
        self._loop_task = asyncio.create_task(self._run())
        self._wake.set()

    async def _attach(self, unless_attached: bool = False) -> bool:
        """Make the network of the inventory; says whether anything was missing."""
        state = self.store.state
        async with self._network:
            if unless_attached and self._attached:
                return False
            self._attached = False
            made = await asyncio.to_thread(self.plane.attach, state.inventory, self._silent())
            await self.vpc_services.sync(self.plane.spaces(), self.plane.listen)
            self._attached = True
            self._applied = None if made else self._applied
        return made

    async def stop(self) -> None:
        async with self._network:  # a thread that applies something is not ended by a cancellation
            if self._loop_task is not None:
                self._loop_task.cancel()
        if self._loop_task is not None:
            await asyncio.gather(self._loop_task, return_exceptions=True)
        await self.vpc_services.stop()
        await self.checker.stop()

    async def remove(self) -> None:
        """The end of the sandbox: take the network away, and the state with it."""
        await self.stop()
        await asyncio.to_thread(self.plane.remove, self.store.state.inventory)
        (self.config.directory / "state.json").unlink(missing_ok=True)

    def changed(self) -> None:
        """The desired state may be another one now."""
        self._generation += 1
        self._wake.set()

    def written(self) -> None:
        """After a writing call."""
        self.settle()
        self.history.add(self.clock(), self.store.save())
        self.changed()

    def seen_late(self, fault: Fault) -> Cloud:
        """The cloud without its last writes. Machines are another service's, and are never late."""
        now = self.clock() - fault.stale_seconds
        past = self.history.writes_ago(fault.stale_writes) if fault.stale_writes else self.history.at(now)
        past.inventory = self.store.state.inventory
        Lifecycle(self.switches, lambda: now).settle(past.load_balancers.values())
        return replace(self.cloud, past=past)

    def settle(self) -> None:
        """End the transitions that are due, and come back when the next one is."""
        state, failover = self.store.state, self.switches.seconds("zone_failover_seconds")
        next_steps = (
            self.cloud.lifecycle.settle(state.load_balancers.values()),
            next_failover(state.zones_down, failover, self.clock()),
        )
        due = min((step for step in next_steps if step is not None), default=None)
        if due is not None:
            asyncio.get_running_loop().call_later(max(0.0, due - self.clock()) + 0.001, self.changed)

    async def wait(self, timeout: float) -> bool:
        """Wait for the data plane, and for the first check of every new server, whose verdict changes it once more."""
        deadline = time.monotonic() + timeout
        while not (self.applied and self.checker.all_judged) and time.monotonic() < deadline:
            await asyncio.sleep(0.005)
        return self.applied

    async def set_inventory(self, inventory: Inventory) -> bool:
        state = self.store.state
        different = inventory != state.inventory
        instances = {str(found.attributes["Address"]): found.id for found in state.load_balancers.values()}
        for address, dummy in inventory.public_addresses():
            if address in instances:
                raise ValueError(f"public address {address} is that of instance {instances[address]}")
        if different:
            state.inventory = inventory
            self._forget_released(inventory)
            names = {machine.name for machine in inventory.machines}
            state.links_down = [name for name in state.links_down if name in names]
            self.store.save()
        try:
            return await self._attach() or different
        finally:
            self.changed()

    def _forget_released(self, inventory: Inventory) -> None:
        """The service drops servers that are released from all pools on its own; a primary/secondary group stays as it is."""
        state = self.store.state
        if self.switches["released_server"] == "stay":
            return
        pools = [balancer.servers for balancer in state.load_balancers.values()]
        for pool in [*pools, *(group.servers for group in state.server_groups.values())]:
            pool[:] = [server for server in pool if inventory.place(server.server_id)]

    def set_switches(self, given: Mapping[str, Any]) -> bool:
        changed = self.switches.set(given)
        self.store.state.switches = self.switches.values()
        if changed:
            self.store.save()
            self.changed()
        return changed

    def set_quotas(self, given: Mapping[str, Any]) -> bool:
        changed = self.quotas.set(given)
        self.store.state.quotas = self.quotas.values()
        if changed:
            self.store.save()
        return changed

    async def set_link(self, name: str, up: bool) -> bool:
        state = self.store.state
        if (name not in state.links_down) == up:
            return False
        state.links_down = [other for other in state.links_down if other != name] + ([] if up else [name])
        self.store.save()
        await self._set_silence()
        return True

    async def set_zone(self, zone: str, up: bool) -> bool:
        """Take a zone down or bring it back; says whether that changed anything."""
        state = self.store.state
        if (zone not in state.zones_down) == up:
            return False
        if up:
            del state.zones_down[zone]
        else:
            state.zones_down[zone] = self.clock()
        self.store.save()
        await self._set_silence()
        self.changed()
        return True

    def _silent(self) -> list[str]:
        """The machines that are cut off, by their links or with their zones."""
        state = self.store.state
        zones = (
            machine.name for machine in state.inventory.machines if state.inventory.zone(machine) in state.zones_down
        )
        return [*state.links_down, *zones]

    async def _set_silence(self) -> None:
        async with self._network:
            await asyncio.to_thread(self.plane.set_links, self._silent())

    def serving_zones(self) -> dict[str, str]:
        """The zone that serves each instance now; empty: none does."""
        state, failover = self.store.state, self.switches.seconds("zone_failover_seconds")
        return {
            balancer.id: serving_zone(balancer, state.zones_down, failover, self.clock())
            for balancer in state.load_balancers.values()
        }

    def reset(self) -> None:
        self.history.clear()
        self.history.add(self.clock(), self.store.reset())
        self.checker.use(self.store.state.health)
        self.requests.clear()
        self.faults.set([])
        self.changed()

    async def _open_socket(self, vpc: str, kind: socket.SocketKind) -> socket.socket:
        return await asyncio.to_thread(self.plane.open_socket, vpc, kind)

    def _judged(self) -> None:
        self._unsaved = True  # thousands of first results are one snapshot
        self.changed()

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            await asyncio.sleep(DEBOUNCE)
            self._wake.clear()
            try:
                await self._reconcile()
                self.error = None
            except Exception as error:  # whatever it is: it is shown in the status, and tried again
                log.exception("the data plane could not be brought to the desired state")
                self.error = str(error)
                asyncio.get_running_loop().call_later(RETRY, self._wake.set)

    def _drained(self, wanted: Desired) -> Desired:
        """Cut what has drained long enough, and come back when the next time is over."""
        state = self.store.state
        drained = drains.step(state.drains, wanted.forwards, self.clock())
        self._unsaved |= drained.memory != state.drains
        state.drains = drained.memory
        if self._drain_timer is not None:
            self._drain_timer.cancel()
        if drained.due is not None:
            seconds = max(0.0, drained.due - self.clock()) + 0.001
            self._drain_timer = asyncio.get_running_loop().call_later(seconds, self.changed)
        return replace(wanted, forwards=drained.forwards)

    async def _reconcile(self) -> None:
        self.settle()
        await self._attach(unless_attached=True)
        # a change that comes while first results are waited for has servers that are not checked yet
        generation = self._generation
        self.checker.sync(targets(self.store.state, self.switches))
        await self.checker.first_results(FIRST_RESULTS)
        health = self.checker.health
        wanted = desired(self.store.state, self.switches, lambda key: health(key).state, self.clock())
        wanted = self._drained(wanted)
        if self._unsaved:
            self._unsaved = False
            self.store.save()
        async with self._network:
            if wanted != self._applied:
                await asyncio.to_thread(self.plane.apply, wanted)
                self._applied = wanted
        self._done = generation
