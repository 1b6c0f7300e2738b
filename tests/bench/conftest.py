# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What benchmarks need: the emulated cloud, and the time of each task of a playbook."""

from __future__ import annotations

import collections.abc
import os
import pathlib
import subprocess
import sys
import tempfile
import typing as t
import xml.etree.ElementTree

import pytest
import yaml

HERE = pathlib.Path(__file__).parent
sys.path[:0] = [str(HERE.parent / "emulator"), str(HERE.parent / "tools")]

from emulator_harness import KEY, REGION, Emulator, inventory  # noqa: E402


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> collections.abc.Iterator[Emulator]:
    """An emulated cloud with two servers and no data plane."""
    emulator = Emulator(tmp_path_factory.mktemp("emulator"))
    try:
        emulator.start()
        emulator.control("PUT", "inventory", inventory({"haproxy-1": "192.0.2.21", "haproxy-2": "192.0.2.22"}))
        yield emulator
    finally:
        emulator.remove()


@pytest.fixture
def connection(cloud: Emulator) -> dict[str, str]:
    """The options that lead a module to the emulated cloud."""
    endpoint = f"http://{cloud.address}"
    return {**KEY, "region": REGION, "slb_endpoint": endpoint, "ecs_endpoint": endpoint}


Play = t.Callable[[list[dict[str, t.Any]]], list[tuple[str, float]]]


@pytest.fixture
def play(tmp_path: pathlib.Path, collections_path: pathlib.Path) -> Play:
    """Runs tasks on localhost and returns (name, seconds) of each, as the junit callback of ansible-core measured them."""

    def run(tasks: list[dict[str, t.Any]]) -> list[tuple[str, float]]:
        playbook = tmp_path / "bench.yml"
        playbook.write_text(yaml.safe_dump([{"hosts": "localhost", "gather_facts": False, "tasks": tasks}]))
        output = pathlib.Path(tempfile.mkdtemp(dir=tmp_path))
        environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        subprocess.run(
            [pathlib.Path(sys.executable).parent / "ansible-playbook", playbook],
            check=True,
            cwd=tmp_path,
            stdout=subprocess.DEVNULL,
            env={
                **environment,
                "ANSIBLE_COLLECTIONS_PATH": str(collections_path),
                "ANSIBLE_CALLBACKS_ENABLED": "ansible.builtin.junit",
                "JUNIT_OUTPUT_DIR": str(output),
                "JUNIT_TASK_CLASS": "yes",
                # the machine itself, with the Python of the controller
                "ANSIBLE_INVENTORY": os.devnull,
                "ANSIBLE_LOCALHOST_WARNING": "false",
                "ANSIBLE_INVENTORY_UNPARSED_WARNING": "false",
            },
        )
        cases = [
            case for file in output.iterdir() for case in xml.etree.ElementTree.parse(file).getroot().iter("testcase")
        ]
        return [(case.get("name", ""), float(case.get("time", 0))) for case in cases]

    return run
