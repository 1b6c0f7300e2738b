# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Modules as users run them: with any arguments, by their own examples, with secrets that nobody may see."""

from __future__ import annotations

import collections.abc
import os
import pathlib
import subprocess
import sys
import typing as t

import pytest
import yaml
from example_cloud import Emulator, World


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> collections.abc.Iterator[Emulator]:
    process = Emulator(tmp_path_factory.mktemp("emulator"), sandbox="cfha-modules")
    try:
        process.start()
        yield process
    finally:
        process.remove()


@pytest.fixture
def world(emulator: Emulator) -> World:
    return World(emulator)


Play = t.Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def play(tmp_path: pathlib.Path, collections_path: pathlib.Path) -> Play:
    """Runs plays with ansible-playbook and returns the process; nothing of the caller's environment leads to a cloud."""

    def run(plays: list[dict[str, t.Any]], *arguments: str, environ: t.Mapping[str, str] | None = None) -> t.Any:
        playbook = tmp_path / "play.yml"
        playbook.write_text(yaml.safe_dump(plays, sort_keys=False, allow_unicode=True))
        hidden = ("ALIBABA_CLOUD_", "ALICLOUD_", "SLB_", "ECS_", "ANSIBLE_")
        clean = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(hidden) and not key.lower().endswith("_proxy")
        }
        return subprocess.run(
            [pathlib.Path(sys.executable).parent / "ansible-playbook", playbook, *arguments],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            env={
                **clean,
                "HOME": str(tmp_path),
                "ANSIBLE_COLLECTIONS_PATH": str(collections_path),
                "ANSIBLE_NOCOLOR": "true",
                "ANSIBLE_LOCALHOST_WARNING": "false",
                "ANSIBLE_INVENTORY_UNPARSED_WARNING": "false",
                **(environ or {}),
            },
        )

    return run
