# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tasks of the guide, run as a user runs them."""

from __future__ import annotations

import os
import pathlib
import re
import subprocess
import sys
import tempfile

from lab import EXAMPLE, ROOT, Run, control

GUIDE = ROOT / "docs/guide_layer4.md"
HEAD = """\
- hosts: localhost
  gather_facts: false
  module_defaults:
    group/clusterfront.ha.slb:
      region: cn-hangzhou
  vars:
    vpc_id: vpc-cfha-lab
    vswitch_id: vsw-cfha-lab
  tasks:
"""


def sections() -> dict[int, list[str]]:
    """The blocks of tasks under each numbered heading."""
    parts = re.split(r"^## (\d+)\. .*$", GUIDE.read_text(encoding="utf-8"), flags=re.M)
    return {
        int(number): re.findall(r"^```yaml\n(.*?)^```$", text, flags=re.M | re.S)
        for number, text in zip(parts[1::2], parts[2::2])
    }


def run(tasks: str, *arguments: str) -> Run:
    """Run tasks in the play that the guide shows."""
    indented = "".join(f"    {line}\n" if line else "\n" for line in tasks.splitlines())
    with tempfile.NamedTemporaryFile("w", suffix=".yml") as playbook:
        playbook.write(HEAD + indented)
        playbook.flush()
        done = subprocess.run(
            [
                str(pathlib.Path(sys.executable).parent / "ansible-playbook"),
                "-i",
                str(EXAMPLE / "inventory.yml"),
                playbook.name,
                *arguments,
            ],
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
            timeout=120,
            env={**os.environ, "ANSIBLE_NOCOLOR": "1"},
        )
    return Run(done.returncode, done.stdout)


def writes() -> int:
    """Writing calls that the cloud got since the last look."""
    count = int(control("GET", "requests")["writes"])
    control("DELETE", "requests")
    return count


def apply(tasks: str, changes: int = 1) -> str:
    """Run a block: check mode foretells it and writes nothing, it changes what it says, and a second time nothing."""
    writes()
    foretold = run(tasks, "--check")
    assert (foretold.code, foretold.changed, writes()) == (0, changes, 0), foretold.output
    done = run(tasks)
    assert (done.code, done.changed) == (0, changes), done.output
    assert not changes or writes()
    control("POST", "wait", {"timeout": 10})
    control("DELETE", "requests")
    again = run(tasks)
    assert (again.code, again.changed, writes()) == (0, 0, 0), again.output
    return done.output
