# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures: an emulator with its API alone, and one with its data plane."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "tools"), str(HERE.parents[1] / "roles" / "slb_emulator" / "files")]
# Nothing is to be left in the role's files, which are copied as they are.
sys.dont_write_bytecode = True
# The SDK goes through a proxy even to loopback, whatever NO_PROXY says.
for _name in [name for name in os.environ if name.lower().endswith("_proxy")]:
    del os.environ[_name]

from emulator_harness import MACHINES, NAT, Emulator, Network, Slb, inventory, missing_for_namespaces  # noqa: E402
from machines import Machine  # noqa: E402


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    emulator = Emulator(tmp_path_factory.mktemp("emulator"))
    try:
        emulator.start()
        yield emulator
    finally:
        emulator.remove()


@pytest.fixture
def emulator(shared: Emulator) -> Emulator:
    """The API alone, empty but for its machines."""
    shared.control("POST", "reset")
    shared.control(
        "PUT", "switches", {name: switch["default"] for name, switch in shared.control("GET", "switches").items()}
    )
    shared.control("PUT", "quotas", {name: quota["default"] for name, quota in shared.control("GET", "quotas").items()})
    shared.control("PUT", "inventory", inventory(MACHINES))
    return shared


@pytest.fixture
def own_emulator(tmp_path: Path) -> Iterator[Callable[..., Emulator]]:
    """Emulators with a configuration of their own."""
    made: list[Emulator] = []

    def make(**config: Any) -> Emulator:
        directory = tmp_path / str(len(made))
        directory.mkdir()
        made.append(Emulator(directory, **config))
        made[-1].start()
        return made[-1]

    try:
        yield make
    finally:
        for emulator in made:
            emulator.remove()


@pytest.fixture
def slb(emulator: Emulator) -> Slb:
    return Slb(emulator.address)


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    reason = missing_for_namespaces()
    if reason:
        pytest.skip(f"NOT TESTED: {reason}")
    emulator = Emulator(tmp_path_factory.mktemp("lab"), data_plane="nft")
    try:
        emulator.start()
        emulator.control("PUT", "inventory", inventory(MACHINES, nat_address=NAT))
        yield emulator
    finally:
        emulator.remove()


@pytest.fixture
def network(lab: Emulator) -> Iterator[Network]:
    lab.control("PUT", "switches", {name: switch["default"] for name, switch in lab.control("GET", "switches").items()})
    made = Network(lab)
    try:
        yield made
    finally:
        made.kill_all()
        for machine in MACHINES:
            lab.control("PUT", f"machines/{machine}/link", {"up": True})
        lab.control("POST", "reset")


@pytest.fixture
def programs() -> None:
    """What layer 7 is served and visited by."""
    absent = [name for name in ("curl", "openssl", "haproxy") if shutil.which(name) is None]
    if absent:
        pytest.skip(f"NOT TESTED: layer 7 needs {' and '.join(absent)}")


@pytest.fixture
def client(network: Network) -> Iterator[Machine]:
    made = Machine("client-1")
    yield made
    made.close()


@pytest.fixture
def backend(network: Network) -> Iterator[Machine]:
    made = Machine("web-1")
    yield made
    made.close()
