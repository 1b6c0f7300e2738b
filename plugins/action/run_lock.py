# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pathlib
import socket
import subprocess
import typing as t

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):  # type: ignore[misc]
    """Takes or gives back a lock that belongs to this run of ansible-playbook."""

    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Called by the worker process, whose parent is the run."""
        super().run(tmp, task_vars)
        dummy, options = self.validate_argument_spec(
            argument_spec={
                "path": {"type": "path", "required": True},
                "state": {"type": "str", "choices": ["taken", "free"], "default": "taken"},
            }
        )
        path = pathlib.Path(options["path"])
        run = {"host": socket.gethostname(), "pid": os.getppid(), "started": started(os.getppid())}
        if options["state"] == "free":
            free(path, run)
        else:
            take(path, run)
        return {"changed": False}


@contextlib.contextmanager
def opened(path: pathlib.Path) -> t.Iterator[t.TextIO]:
    """The lock's file, with nobody else in it meanwhile."""
    while True:
        with path.open("a+", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            # whoever gave the lock back while we waited took this file away
            if os.fstat(file.fileno()).st_nlink:
                file.seek(0)
                yield file
                return


def take(path: pathlib.Path, run: dict[str, t.Any]) -> None:
    """Write the lock, or say who has it. A lock whose run is over is taken over."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with opened(path) as file:
        other = holder(file.read())
        if other is not None and other != run and alive(other):
            raise AnsibleActionFail(
                f"Another run (process {other['pid']} on {other['host']}) is changing this front end and holds {path};"
                " wait until it is done."
            )
        file.truncate(0)
        json.dump(run, file)


def free(path: pathlib.Path, run: dict[str, t.Any]) -> None:
    """Give the lock back, if this run has it."""
    if path.exists():
        with opened(path) as file:
            if holder(file.read()) in (run, None):
                path.unlink()


def holder(text: str) -> dict[str, t.Any] | None:
    """Who has the lock; None for nobody, or for a text that is no lock."""
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) and {"host", "pid", "started"} <= set(found) else None


def alive(run: dict[str, t.Any]) -> bool:
    """Whether the run still goes on. Of another machine's run that cannot be known here, so it counts as alive."""
    return run["host"] != socket.gethostname() or (run["started"] is not None and started(run["pid"]) == run["started"])


def started(pid: int) -> str | None:
    """When a process began, so that a number that is used again is not mistaken for it."""
    shown = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return shown.stdout.strip() or None
