# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import pathlib
import socket
import subprocess
import typing as t

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.clusterfront.ha.plugins.module_utils._module import REGION_VARIABLES
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.client import KEY_VARIABLES


class ActionModule(ActionBase):  # type: ignore[misc]
    """Takes or gives back a lock that belongs to this run of ansible-playbook."""

    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Called by the worker process, whose parent is the run."""
        super().run(tmp, task_vars)
        dummy, options = self.validate_argument_spec(
            argument_spec={
                "path": {"type": "path"},
                "front_end": {"type": "str"},
                "directory": {"type": "path"},
                "state": {"type": "str", "choices": ["taken", "free"], "default": "taken"},
            },
            required_one_of=[("path", "front_end")],
            mutually_exclusive=[("path", "front_end")],
            required_together=[("front_end", "directory")],
        )
        name = options["front_end"]
        path = lock_path(options["directory"], name, os.environ) if name else pathlib.Path(options["path"])
        run = {"host": socket.gethostname(), "pid": os.getppid(), "started": started(os.getppid())}
        if options["state"] == "free":
            free(path, run)
        else:
            take(path, run)
        return {"changed": False}


def lock_path(directory: str, front_end: str, environ: t.Mapping[str, str]) -> pathlib.Path:
    """The lock of a front end: of that name, in that region of that account, behind that endpoint."""
    region = next((environ[name] for name in REGION_VARIABLES if environ.get(name)), "")
    endpoint = environ.get("SLB_ENDPOINT", "").lower().partition("://")[2] or environ.get("SLB_ENDPOINT", "").lower()
    identity = json.dumps([front_end, region, account(environ), endpoint.rstrip("/")])
    digest = hashlib.sha256(identity.encode()).hexdigest()[:12]
    return pathlib.Path(directory, f"{front_end.replace('/', '_')}-{digest}.lock")


def account(environ: t.Mapping[str, str]) -> str:
    """As whom a run calls the cloud. Temporary keys are others in each run, so they stand for one account."""
    key = next((environ[names[0]] for names in KEY_VARIABLES if environ.get(names[0])), "")
    return "" if key.startswith("STS.") else key or environ.get("ALIBABA_CLOUD_PROFILE", "")


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
    """When a process began, so that a number that is used again is not mistaken for it: ticks since a boot, proc_pid_stat(5)."""
    try:
        boot = pathlib.Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        # a controller without /proc, such as macOS
        return _by_ps(pid)
    try:
        fields = (
            pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        )
    except OSError:
        return None
    return f"{boot} {fields[19]}"


def _by_ps(pid: int) -> str | None:
    """The same by ps, in a time that is the same for whoever asks."""
    environment = {**os.environ, "TZ": "UTC", "LC_ALL": "C"}
    command = ["ps", "-o", "lstart=", "-p", str(pid)]
    shown = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    return shown.stdout.strip() or None
