# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A stage of the gate: its commands, its log, its count of tests, and the time that it took."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
import signal
import subprocess
import sys
import threading
import typing as t
import xml.etree.ElementTree

BIN = pathlib.Path(sys.executable).parent
Word = t.Union[str, pathlib.Path]
#: The commands that run in sessions of their own, where no key of the terminal reaches them.
_DETACHED: set[int] = set()
_ENDED = threading.Event()


def behind(niceness: int, *command: Word) -> list[str]:
    """A command that stands behind others for the processor; it needs a session of its own, and ends with its parent.

    Linux shares the processor between sessions first (sched(7), autogroup), and niceness counts within one.
    """
    script = f'{{ echo {niceness} > /proc/self/autogroup; }} 2>/dev/null; exec nice -n {niceness} "$@"'
    return ["setpriv", "--pdeathsig", "TERM", "sh", "-c", script, "behind", *map(str, command)]


def end_all() -> None:
    """End the commands that stand behind others, and begin no more of any kind."""
    _ENDED.set()
    for pid in list(_DETACHED):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGTERM)


@dataclasses.dataclass
class Count:
    """How many tests passed, failed, and were skipped."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def __add__(self, other: Count) -> Count:
        return Count(self.passed + other.passed, self.failed + other.failed, self.skipped + other.skipped)

    def __str__(self) -> str:
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


def tool(name: str) -> pathlib.Path:
    """A program of the virtual environment."""
    return BIN / name


@dataclasses.dataclass
class Stage:
    """Runs commands in a tree, with their output in one log."""

    name: str
    log: pathlib.Path
    #: The installed collection with the tests laid over it.
    tree: pathlib.Path
    thorough: bool = False
    #: The arguments that the caller has for the program that runs the tests.
    arguments: tuple[str, ...] = ()
    #: Whether other stages come first where the machine has no time for all.
    behind: bool = False
    count: Count = dataclasses.field(default_factory=Count)
    #: Seconds from begin to end, and seconds of the processor in all commands and their descendants. A container is no descendant.
    wall: float = 0.0
    cpu: float = 0.0
    _lock: threading.Lock = dataclasses.field(default_factory=threading.Lock, repr=False)

    def run(self, *command: Word, cwd: pathlib.Path | None = None, env: t.Mapping[str, str] | None = None) -> bool:
        """Run a command and tell whether it went well."""
        if _ENDED.is_set():
            return False
        with self.log.open("a", encoding="utf-8") as log:
            log.write(f"\n$ {' '.join(map(str, command))}\n")
            log.flush()
            process = subprocess.Popen(
                behind(10, *command) if self.behind else [str(word) for word in command],
                cwd=cwd or self.tree,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(env or {})},
                start_new_session=self.behind,
            )
            if self.behind:
                _DETACHED.add(process.pid)
            dummy, status, usage = os.wait4(process.pid, 0)
            _DETACHED.discard(process.pid)
            process.returncode = os.waitstatus_to_exitcode(status)
        with self._lock:
            self.cpu += usage.ru_utime + usage.ru_stime
        return process.returncode == 0

    def check(self, *command: Word, cwd: pathlib.Path | None = None, env: t.Mapping[str, str] | None = None) -> bool:
        """Run a command that is one test."""
        well = self.run(*command, cwd=cwd, env=env)
        self.add(Count(passed=int(well), failed=int(not well)))
        return well

    def add(self, count: Count) -> None:
        """Count tests; commands of one stage may run side by side."""
        with self._lock:
            self.count += count

    def skip(self, why: str) -> None:
        """Count a test that cannot run here, and say why."""
        print(f"    skipped: {why}")
        self.add(Count(skipped=1))

    @property
    def marks(self) -> tuple[str, ...]:
        """The options by which pytest leaves tests out."""
        return () if self.thorough else ("-m", "not thorough")

    def pytest(self, *arguments: str, env: t.Mapping[str, str] | None = None) -> None:
        """Run pytest and take over its counts."""
        report = self.log.with_suffix(".xml")
        report.unlink(missing_ok=True)
        command = (sys.executable, "-B", "-m", "pytest", f"--junitxml={report}", "-p", "no:cacheprovider", *self.marks)
        well = self.run(*command, *arguments, *self.arguments, env=env)
        self.add_junit(report, well)

    def pytest_on_all_cores(self, *arguments: str, env: t.Mapping[str, str] | None = None) -> None:
        """Run pytest with one process for each core; for tests that share neither a machine's name nor its time."""
        # tests of one file learn from each other, so they stay together
        self.pytest("-n", str(os.cpu_count()), "--dist", "loadfile", *arguments, env=env)

    def add_junit(self, report: pathlib.Path, well: bool) -> None:
        """Add the counts of a report. A run that ended badly without a failed test counts as one."""
        count = Count()
        if report.exists():
            for suite in xml.etree.ElementTree.parse(report).getroot().iter("testsuite"):
                tests, skipped = int(suite.get("tests", 0)), int(suite.get("skipped", 0))
                failed = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
                count += Count(tests - failed - skipped, failed, skipped)
        self.add(count if well or count.failed else count + Count(failed=1))

    def end_of_log(self, lines: int = 120) -> str:
        """The last lines of the log."""
        return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])


def busy_seconds() -> float:
    """Seconds of the processor that this machine has spent on anything since it started; proc_stat(5)."""
    fields = pathlib.Path("/proc/stat").read_text(encoding="ascii").splitlines()[0].split()[1:]
    ticks = [int(field) for field in fields]
    # user, nice, system; irq, softirq, steal
    return (sum(ticks[:3]) + sum(ticks[5:8])) / os.sysconf("SC_CLK_TCK")
