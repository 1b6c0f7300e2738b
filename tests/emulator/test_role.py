# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role, as a playbook runs it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PLAYBOOK = shutil.which("ansible-playbook", path=str(Path(sys.executable).parent))


@pytest.mark.skipif(PLAYBOOK is None, reason="NOT TESTED: ansible-playbook is not beside this Python")
@pytest.mark.skipif(Path("/run/systemd/system").exists() and os.geteuid() != 0, reason="NOT TESTED: a unit needs root")
def test_role(tmp_path: Path) -> None:
    collection = tmp_path / "ansible_collections" / "clusterfront"
    collection.mkdir(parents=True)
    (collection / "ha").symlink_to(HERE.parents[1])
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    done = subprocess.run(
        [str(PLAYBOOK), str(HERE / "role.yml"), "-e", f"directory={tmp_path / 'emulator'}", "-e", f"port={port}"],
        env={
            **os.environ,
            "ANSIBLE_COLLECTIONS_PATH": str(tmp_path),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_LOCALHOST_WARNING": "0",
        },
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "a-secret" not in done.stdout + done.stderr
