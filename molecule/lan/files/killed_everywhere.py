# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kill a module at its steps, and run it again: killed_everywhere.py DIRECTORY PROGRAM OTHER_PROGRAM FIRST_STEP STRIDE

The directory is that of the releases. Both programs are what Ansible has run on this host for two configurations, of which the
second is live. A step is any change of a file or link of the proxy's and any command that is run. Python itself tells of them (audit
events), so the module is as users have it. One JSON object tells how many steps there were, and what went wrong.
"""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

DIRECTORY = sys.argv[1]
HOOK = '''
import os, signal, sys
left = int(os.environ.get("KILL_AT", "0"))
PLACES = (os.environ.get("DIRECTORY", ""), "/etc/systemd", "/etc/containers", "/run/clusterfront-")
CHANGES = ("os.rename", "os.mkdir", "os.symlink", "os.remove", "os.rmdir", "os.chmod", "os.utime", "shutil.rmtree", "tempfile.mkstemp")

def changes(event, arguments):
    if event == "subprocess.Popen":
        return True
    if event == "open":
        path, mode, flags = arguments
        return str(path).startswith(PLACES) and bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
    return event in CHANGES and any(str(word).startswith(PLACES) for word in arguments)

def hook(event, arguments):
    global left
    if left and changes(event, arguments):
        left -= 1
        if not left:
            sys.stderr.write("killed before %s%r" % (event, arguments[:2]))
            sys.stderr.flush()
            os.kill(os.getpid(), signal.SIGKILL)

if left:
    sys.addaudithook(hook)
'''


def run(program: str, hook: str, kill_at: int) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": hook, "DIRECTORY": DIRECTORY, "KILL_AT": str(kill_at)}
    return subprocess.run(["/usr/bin/python3", program], env=environment, capture_output=True, text=True, check=False)


def forget_releases() -> None:
    """Leave the live release alone on the host, so that the next run stages its own."""
    live = os.path.basename(os.readlink(f"{DIRECTORY}/current"))
    for entry in os.scandir(f"{DIRECTORY}/releases"):
        if entry.name != live:
            shutil.rmtree(entry.path)


def main() -> None:
    programs, first, stride = sys.argv[2:4], int(sys.argv[4]), int(sys.argv[5])
    steps, wrong = [], []
    with tempfile.TemporaryDirectory() as hook:
        pathlib.Path(hook, "sitecustomize.py").write_text(HOOK)
        # there and back in turns, so that each step is met in every second direction
        for turn, number in enumerate(range(first, 200, stride)):
            program = programs[turn % 2]
            forget_releases()
            killed = run(program, hook, number)
            if killed.returncode >= 0:
                break
            steps.append(killed.stderr)
            again = run(program, hook, 0)
            told = json.loads(again.stdout or "{}")
            live = os.readlink(f"{DIRECTORY}/current")
            left = [name for name in os.listdir(f"{DIRECTORY}/releases") if name.startswith(".")]
            if again.returncode or live != f"releases/{told.get('release')}" or left:
                wrong.append([killed.stderr, again.stdout, live, left])
        run(programs[1], hook, 0)
        if json.loads(run(programs[1], hook, 0).stdout or "{}").get("changed", True):
            wrong.append(["", "a second run changes something"])
    print(json.dumps({"steps": steps, "wrong": wrong}))


if __name__ == "__main__":
    main()
