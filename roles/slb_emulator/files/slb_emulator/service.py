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
from collections.abc import Mapping
from typing import Any

from . import dataplane
from .cloud import Cloud
from .config import Config
from .faults import Faults
from .forwarding import Desired, desired, targets
from .health import Checker
from .inventory import Inventory
from .lifecycle import Clock, Lifecycle
from .signature import Verifier
from .store import Store
from .switches import Switches

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


class Service:
    def __init__(self, config: Config, clock: Clock = time.time) -> None:
        self.config = config
        self.clock = clock
        self.store = Store(config.directory / "state.json")
        self.switches = Switches(config.switches)
        self.switches.set(self.store.state.switches)
        self.verifier = Verifier(config.access_keys)
        self.requests = RequestLog()
        self.faults = Faults()
        self.plane = dataplane.create(config)
        self.checker = Checker(self._open_socket if self.plane.checks else None, self.store.state.health, self._judged)
        lifecycle = Lifecycle(self.switches, clock)
        self.cloud = Cloud(self.store, self.switches, lifecycle, self.checker.health, clock, config.sandbox)
        self.error: str | None = None
        self._generation, self._done = 1, 0
        self._attached = False
        self._applied: Desired | None = None
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

    async def _attach(self) -> bool:
        state = self.store.state
        async with self._network:
            self._attached = False
            made = await asyncio.to_thread(self.plane.attach, state.inventory, state.links_down)
            self._attached = True
            self._applied = None if made else self._applied
        return made

    async def stop(self) -> None:
        async with self._network:  # a thread that applies something is not ended by a cancellation
            if self._loop_task is not None:
                self._loop_task.cancel()
        if self._loop_task is not None:
            await asyncio.gather(self._loop_task, return_exceptions=True)
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

    def settle(self) -> None:
        """End the transitions that are due, and come back when the next one is."""
        due = self.cloud.lifecycle.settle(self.store.state.load_balancers.values())
        if due is not None:
            asyncio.get_running_loop().call_later(max(0.0, due - self.clock()) + 0.001, self.changed)

    async def wait(self, timeout: float) -> bool:
        deadline = time.monotonic() + timeout
        while not self.applied and time.monotonic() < deadline:
            await asyncio.sleep(0.005)
        return self.applied

    async def set_inventory(self, inventory: Inventory) -> bool:
        state = self.store.state
        different = inventory != state.inventory
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
        """The service drops servers that are released from all pools on its own."""
        state = self.store.state
        pools = [balancer.servers for balancer in state.load_balancers.values()]
        for pool in [*pools, *(group.servers for group in state.server_groups.values())]:
            pool[:] = [server for server in pool if inventory.server(server.server_id)]

    def set_switches(self, given: Mapping[str, Any]) -> bool:
        changed = self.switches.set(given)
        self.store.state.switches = self.switches.values()
        if changed:
            self.store.save()
            self.changed()
        return changed

    async def set_link(self, name: str, up: bool) -> bool:
        state = self.store.state
        if (name not in state.links_down) == up:
            return False
        state.links_down = [other for other in state.links_down if other != name] + ([] if up else [name])
        self.store.save()
        async with self._network:
            await asyncio.to_thread(self.plane.set_links, state.links_down)
        return True

    def reset(self) -> None:
        self.store.reset()
        self.checker.use(self.store.state.health)
        self.requests.clear()
        self.faults.set([])
        self.changed()

    async def _open_socket(self, vpc: str) -> socket.socket:
        return await asyncio.to_thread(self.plane.open_socket, vpc)

    def _judged(self) -> None:
        self.store.save()
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

    async def _reconcile(self) -> None:
        self.settle()
        if not self._attached:
            await self._attach()
        self.checker.sync(targets(self.store.state, self.switches))
        await self.checker.first_results(FIRST_RESULTS)
        generation = self._generation
        wanted = desired(self.store.state, self.switches, lambda key: self.checker.health(key).state)
        async with self._network:
            if wanted != self._applied:
                await asyncio.to_thread(self.plane.apply, wanted)
                self._applied = wanted
        self._done = generation
