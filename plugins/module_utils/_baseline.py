# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a whole run left on a host, and what is different since."""

from __future__ import annotations

import glob
import hashlib
import json
import os
import pathlib
import re
import stat
import subprocess
import typing as t

from ._proxy.parse import parse_properties

#: Where baselines lie.
DIRECTORY = pathlib.Path("/var/lib/clusterfront/baselines")
#: A greater file is known by its size and its time: programs are, and reading them would cost more than all the rest.
READ = 1 << 20
#: Of a unit; the time of the last change tells of a restart and of a reload.
PROPERTIES = ("Id", "LoadState", "ActiveState", "UnitFileState", "NeedDaemonReload", "StateChangeTimestampMonotonic")

Seen = t.Dict[str, t.Any]


class Covers(t.NamedTuple):
    """What is looked at.

    files are patterns of paths, directories with all that is in them; units those of systemd; sysctl_files patterns of files as
    sysctl.d(5) has them, of whose settings the kernel's values are looked at.
    """

    files: t.Sequence[str] = ()
    units: t.Sequence[str] = ()
    sysctl_files: t.Sequence[str] = ()


def path_of(name: str) -> pathlib.Path:
    """The file of a baseline; a name may hold what a file's name can't."""
    return DIRECTORY / f"{name.replace('/', '_')}.json"


def load(path: pathlib.Path) -> Seen | None:
    """The baseline in a file; None where there is none that can be read."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and found.keys() >= {"covers", "seen"} else None


def made(seen: Seen, covers: Covers) -> str:
    """The text of a baseline."""
    return json.dumps({"covers": covers._asdict(), "seen": seen}, indent=1, sort_keys=True) + "\n"


def covered(baseline: Seen) -> Covers:
    """What a baseline looked at."""
    return Covers(**baseline["covers"])


def seen(inputs: str, covers: Covers) -> Seen:
    """What there is now. What a boot makes anew is not looked at by itself: the boot is."""
    return {
        "inputs": inputs,
        "boot": pathlib.Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip(),
        "files": files(covers.files),
        "units": units(covers.units),
        "settings": settings(covers.sysctl_files),
    }


def differences(was: Seen, now: Seen) -> list[str]:
    """What is not as it was, by its name."""
    found = [words for key, words in (("inputs", "the inputs"), ("boot", "the boot")) if was[key] != now[key]]
    for kind in ("files", "units", "settings"):
        before, after = was[kind], now[kind]
        found += sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    return found


def files(patterns: t.Iterable[str]) -> dict[str, str]:
    """path -> what makes it the same, of everything that the patterns meet."""
    return {path: _mark(path) for pattern in patterns for start in glob.glob(pattern) for path in _below(start)}


def _below(start: str) -> t.Iterator[str]:
    yield start
    if os.path.islink(start):
        return
    for directory, names, others in os.walk(start):
        for name in (*names, *others):
            yield os.path.join(directory, name)


def _mark(path: str) -> str:
    try:
        found = os.lstat(path)
        whose = f"{stat.filemode(found.st_mode)} {found.st_uid}:{found.st_gid}"
        if stat.S_ISLNK(found.st_mode):
            return f"{whose} {os.readlink(path)}"
        if not stat.S_ISREG(found.st_mode):
            return whose
        if found.st_size > READ:
            return f"{whose} {found.st_size} {found.st_mtime_ns}"
        return f"{whose} {hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()}"
    except FileNotFoundError:
        # it went while we looked
        return "gone"


def units(names: t.Sequence[str]) -> dict[str, dict[str, str]]:
    """unit -> its properties, as systemctl tells them."""
    if not names:
        return {}
    shown = subprocess.run(  # pylint: disable=ansible-bad-function
        ["systemctl", "show", f"--property={','.join(PROPERTIES)}", "--", *names],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    told = (parse_properties(part) for part in shown.split("\n\n"))
    return {properties.pop("Id"): properties for properties in told if properties}


#: A line of sysctl.d(5); one that begins with - may fail.
SETTING = re.compile(r"^-?\s*(?P<key>[^-#;=\s][^=\s]*)\s*=", re.MULTILINE)


def keys(text: str) -> list[str]:
    """The settings of a file, as paths below /proc/sys. What separates is what comes first, as sysctl.d(5) says."""
    found = []
    for match in SETTING.finditer(text):
        key = match["key"]
        first = re.search(r"[./]", key)
        found.append(key.translate(str.maketrans("./", "/.")) if first and first[0] == "." else key)
    return found


def settings(patterns: t.Iterable[str]) -> dict[str, str]:
    """The kernel's values of the settings of files."""
    found = {}
    for pattern in patterns:
        for path in glob.glob(pattern):
            for key in keys(pathlib.Path(path).read_text(encoding="utf-8")):
                try:
                    found[key] = pathlib.Path("/proc/sys", key).read_text(encoding="utf-8").strip()
                except OSError:
                    found[key] = "gone"
    return found
