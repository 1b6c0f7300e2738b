# Copyright (c) clusterfront.ha contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the parts of the lab share: the error for the user, and how commands are run."""

from __future__ import annotations

import subprocess


class LabError(Exception):
    """One sentence for the user."""


def run(*command: str, stdin: str | None = None, may_fail: bool = False) -> subprocess.CompletedProcess[str]:
    try:
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise LabError(f"The command {command[0]} is missing; install the package that brings it.") from None
    if done.returncode and not may_fail:
        words = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise LabError(f"{command[0]} failed: {words[-1]}")
    return done
