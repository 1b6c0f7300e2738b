# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bring a HAProxy configuration live, or leave the old one serving. PRIVATE to the collection.

A release is a directory whose name is a hash of its content; the link `current` names the one that is live. The
configuration carries the same hash in its `description`, so the running process tells which release it has loaded.
"""

from __future__ import annotations

import csv
import errno
import fcntl
import hashlib
import ipaddress
import os
import re
import resource
import shutil
import socket
import subprocess
import tempfile
import time
import typing as t
from contextlib import contextmanager
from dataclasses import dataclass

MARK = "@release@"
CONFIG = "haproxy.cfg"
DROP_IN = "50-clusterfront.conf"
STAGED = ".staged-"
SPARE_FILES = 100  # listeners, sockets, logs and what HAProxy keeps for itself


class ReleaseError(Exception):
    """One sentence for the user."""


# --- what HAProxy and systemd print -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Complaint:
    """One message of `haproxy -c`; the line is missing where HAProxy names none."""

    line: int | None
    message: str


@dataclass(frozen=True)
class Server:
    """One server as `show stat` sees it."""

    status: str
    check: str
    reason: str

    @property
    def up(self) -> bool:
        return self.status.startswith("UP")

    @property
    def checked(self) -> bool:
        """False until the first health check has ended: until then HAProxy takes every server to be up."""
        return self.check.replace("* ", "") not in ("", "INI")


@dataclass(frozen=True)
class Master:
    """What the master process says of its workers."""

    workers: tuple[int, ...]
    failed_reloads: int


def complaints(output: str) -> list[Complaint]:
    """The alerts in what HAProxy prints, from 2.2 to 3.x."""
    found = []
    for text in output.splitlines():
        match = re.match(r"\[ALERT\]\s*(?:\S+\s+)?\(\d+\)\s*:\s*(?:config\s*:\s*)?(.*)", text.strip())
        # Neither summaries nor what HAProxy lives with.
        if not match or re.search(r"atal errors found|rror\(s\) found in|Continuing\.$", match.group(1)):
            continue
        placed = re.match(r"(?:parsing\s+)?\[[^\]]*:(\d+)\]\s*:\s*(.*)", match.group(1))
        found.append(Complaint(int(placed.group(1)), placed.group(2)) if placed else Complaint(None, match.group(1)))
    return found


def refusal(content: str, output: str) -> str:
    """One sentence on a configuration that HAProxy does not take, with the first line at fault."""
    found = complaints(output)
    placed = [complaint for complaint in found if complaint.line is not None]
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    lines = content.splitlines()
    for complaint in placed:
        if complaint.line is not None and 0 < complaint.line <= len(lines):
            quoted = lines[complaint.line - 1].strip()
            message = complaint.message.rstrip(" .")
            return f"HAProxy refuses line {complaint.line} of the configuration, '{quoted}': {message}{more}"
    if found:
        return f"HAProxy refuses the configuration: {found[0].message.rstrip(' .')}{more}"
    return f"HAProxy refuses the configuration: {' '.join(output.split()) or 'it says nothing about the reason'}"


def parse_info(text: str) -> dict[str, str]:
    """`show info` as a dictionary with lower-case keys."""
    pairs = (line.partition(":") for line in text.splitlines())
    return {key.strip().lower(): value.strip() for key, colon, value in pairs if colon}


def parse_servers(text: str) -> dict[str, Server]:
    """The servers in `show stat`, by backend/server."""
    rows = csv.DictReader(text.lstrip("# ").splitlines())
    return {
        f"{row['pxname']}/{row['svname']}": Server(
            row.get("status") or "", row.get("check_status") or "", row.get("last_chk") or row.get("check_desc") or ""
        )
        for row in rows
        if row.get("svname") not in (None, "FRONTEND", "BACKEND")
    }


def parse_master(text: str) -> Master:
    """`show proc` of the master socket: workers of the newest configuration, and how many reloads failed since."""
    workers, section, failed = [], "", 0
    for line in text.splitlines():
        if line.startswith("# "):
            section = line[2:].strip()
            continue
        fields = line.split()
        if len(fields) < 2 or not fields[0].isdigit():
            continue
        if fields[1] == "master":
            match = re.search(r"\[failed: (\d+)\]", line)
            failed = int(match.group(1)) if match else 0
        elif fields[1] == "worker" and section == "workers":
            workers.append(int(fields[0]))
    return Master(tuple(workers), failed)


def parse_limit(text: str) -> int | None:
    """The hard limit of open files in a /proc/<pid>/limits."""
    match = re.search(r"^Max open files\s+\S+\s+(\S+)", text, re.MULTILINE)
    if not match:
        return None
    return 2**30 if match.group(1) == "unlimited" else int(match.group(1))


def loaded_release(info: t.Mapping[str, str]) -> str | None:
    """The release that a process says it runs: the last word of its description."""
    words = info.get("description", "").split()
    return words[-1] if words else None


def started_from(arguments: t.Sequence[str], config: str, master_socket: str) -> bool:
    """Whether a master process was started with our file and our socket; if not, a reload can't make it ours."""
    pairs = list(zip(arguments, arguments[1:]))
    return ("-f", config) in pairs and ("-S", master_socket) in pairs


# --- decisions --------------------------------------------------------------------------------------------------------


def release_id(content: str, inputs: t.Mapping[str, bytes | None]) -> str:
    """The name of a release: it changes with the configuration and with the files that the configuration reads."""
    digest = hashlib.sha256(content.encode())
    for path in sorted(inputs):
        data = inputs[path]
        digest.update(f"\0{path}\0{'missing' if data is None else hashlib.sha256(data).hexdigest()}".encode())
    return digest.hexdigest()[:12]


def files_needed(maxconn: int, servers: int, threads: int) -> int:
    """Open files of a process: two per connection, one per check, three per thread, and some to spare."""
    return 2 * maxconn + servers + 3 * threads + SPARE_FILES


def greatest_maxconn(limit: int, servers: int, threads: int) -> int:
    return max(0, (limit - files_needed(0, servers, threads)) // 2)


def limit_line(text: str | None) -> int | None:
    """The LimitNOFILE of a drop-in that was written before."""
    match = re.search(r"^LimitNOFILE=(\d+)$", text or "", re.MULTILINE)
    return int(match.group(1)) if match else None


def drop_in_text(binary: str, config: str, pid_file: str, master_socket: str, limit: int | None) -> str:
    """The unit's drop-in. The packages' own command lines differ, so it states ours in full."""
    lines = [
        "# Managed by Ansible (clusterfront.ha.haproxy).",
        "[Service]",
        "ExecStartPre=",
        "ExecStart=",
        f"ExecStart={binary} -Ws -f {config} -p {pid_file} -S {master_socket}",
        "ExecReload=",
        f"ExecReload={binary} -c -q -f {config}",
        "ExecReload=/bin/kill -USR2 $MAINPID",
        "RuntimeDirectory=haproxy",
        "RuntimeDirectoryMode=0755",
        "# The package's own configuration puts its socket there too, and must find the directory when we are gone.",
        "RuntimeDirectoryPreserve=yes",
    ]
    return "\n".join(lines + ([f"LimitNOFILE={limit}"] if limit else [])) + "\n"


def lost_servers(before: t.Mapping[str, Server], after: t.Mapping[str, Server]) -> list[str]:
    """Servers of both configurations that were up and are not any more; one that left the configuration is not lost."""
    return [name for name, server in before.items() if server.up and name in after and not after[name].up]


def outages(before: t.Mapping[str, Server], after: t.Mapping[str, Server]) -> list[str]:
    """Backends that had a server and have none any more."""
    had = {name.split("/")[0] for name, server in before.items() if server.up}
    there = {name.split("/")[0] for name in after}
    have = {name.split("/")[0] for name, server in after.items() if server.up}
    return sorted((had & there) - have)


def reload_failed(before: Master, now: Master, seconds: float) -> bool:
    """Whether waiting for a new worker is of no use.

    From 2.5 on the master counts failed reloads; before, it is left without a worker of its own.
    """
    counted = now.failed_reloads > before.failed_reloads and set(now.workers) <= set(before.workers)
    return counted or (not now.workers and seconds > 1)


@dataclass(frozen=True)
class Bind:
    """An address that a line of the configuration listens on."""

    line: int
    address: str
    port: int
    options: tuple[str, ...]


def parse_binds(text: str) -> list[Bind]:
    """The TCP addresses of all bind lines; names, ranges, sockets and inherited files are left to HAProxy."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split("#")[0].split()
        if len(words) < 2 or words[0] != "bind":
            continue
        for place in words[1].split(","):
            address, colon, port = place.rpartition(":")
            address = address.strip("[]") if address not in ("", "*") else "0.0.0.0"
            try:
                ipaddress.ip_address(address)
            except ValueError:
                continue
            if colon and port.isdigit():
                found.append(Bind(number, address, int(port), tuple(words[2:])))
    return found


@dataclass(frozen=True)
class Limit:
    """Open files: what the drop-in has to state, and what the running process has to be raised to."""

    stated: int | None
    raise_to: int | None


@dataclass(frozen=True)
class State:
    """What is there before the run."""

    linked: str | None  # the release that the link names
    text: str | None  # its configuration
    loaded: str | None  # the release that the running process has loaded
    releases: tuple[str, ...]  # the newest first
    leftovers: tuple[str, ...]  # staged by a run that was killed
    active: bool
    ours: bool  # the process was started from the link
    drop_in: str | None
    stale_unit: bool  # systemd has not read the unit files that are on disk


@dataclass(frozen=True)
class Plan:
    """What a run does; it decides `changed`, the diff and the work."""

    release: str
    text: str
    drop_in: str
    stage: bool
    write_drop_in: bool
    daemon_reload: bool
    flip: bool
    raise_to: int | None
    process: str  # none | start | restart | reload
    prune: tuple[str, ...]
    previous: str | None  # what to go back to

    @property
    def steps(self) -> list[str]:
        wanted = {
            "stage": self.stage,
            "write_drop_in": self.write_drop_in,
            "daemon_reload": self.daemon_reload,
            "raise_limit": self.raise_to is not None,
            "flip": self.flip,
            self.process: self.process != "none",
            "prune": bool(self.prune),
        }
        return [name for name, needed in wanted.items() if needed]


def make_plan(state: State, release: str, text: str, drop_in: str, raise_to: int | None, keep: int) -> Plan:
    """Compare what is wanted with what is there."""
    # The text is compared too: somebody may have edited the file of a release by hand.
    same = state.linked == release and state.text == text
    if not state.active:
        process = "start"
    elif not state.ours:
        process = "restart"
    elif not same or state.loaded != release:
        process = "reload"
    else:
        process = "none"
    # After a crash between flip and reload the process still runs the release before: that one is known to work.
    candidates = [name for name in (state.loaded, state.linked) if name in state.releases and name != release]
    previous = candidates[0] if candidates else None
    rest = [name for name in state.releases if name not in (release, previous)]
    kept = [name for name in (release, previous) if name]
    return Plan(
        release=release,
        text=text,
        drop_in=drop_in,
        stage=release not in state.releases or (state.linked == release and not same),
        write_drop_in=state.drop_in != drop_in,
        daemon_reload=state.stale_unit or state.drop_in != drop_in,
        flip=state.linked != release,
        raise_to=raise_to if process in ("none", "reload") else None,
        process=process,
        prune=tuple(rest[max(0, keep - len(kept)) :]) + state.leftovers,
        previous=previous,
    )


# --- the host ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Listener:
    """What has to answer once a release is live: a connection, or a path with status 200."""

    address: str
    port: int
    path: str | None

    @property
    def target(self) -> str:
        return {"": "127.0.0.1", "*": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.address, self.address)


@dataclass(frozen=True)
class Settings:
    """Where things are on this host."""

    directory: str
    binary: str
    unit: str
    unit_directory: str
    pid_file: str
    stats_socket: str
    master_socket: str
    timeout: float

    @property
    def releases(self) -> str:
        return os.path.join(self.directory, "releases")

    @property
    def link(self) -> str:
        return os.path.join(self.directory, "current")

    @property
    def config(self) -> str:
        return os.path.join(self.link, CONFIG)

    @property
    def drop_in(self) -> str:
        return os.path.join(self.unit_directory, f"{self.unit}.d", DROP_IN)


def run(*command: str) -> tuple[int, str]:
    """Run a command; standard output and standard error as one text."""
    # Messages are read by this program, so they must not come translated.
    environment = dict(os.environ, LC_ALL="C", SYSTEMD_PAGER="")
    try:
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment, check=False, timeout=120
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return 127, str(error)
    return done.returncode, done.stdout.decode(errors="replace")


def ask(path: str, command: str) -> str | None:
    """One command through a runtime socket; None where nobody answers."""
    parts = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(5)
        try:
            connection.connect(path)
            connection.sendall(command.encode() + b"\n")
            # The master's socket waits for more commands until it sees the end.
            connection.shutdown(socket.SHUT_WR)
            while True:
                part = connection.recv(65536)
                if not part:
                    break
                parts.append(part)
        except OSError:
            return None
    return b"".join(parts).decode(errors="replace")


def read(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except (FileNotFoundError, NotADirectoryError, ProcessLookupError):
        return None


def read_bytes(path: str) -> bytes | None:
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return None


def write(path: str, text: str, mode: int) -> None:
    """Write a file whole: a run that is killed leaves the old one or the new one."""
    handle, name = tempfile.mkstemp(dir=os.path.dirname(path), prefix=STAGED)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, mode)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


def unit_properties(unit: str) -> dict[str, str]:
    names = "LoadState,ActiveState,MainPID,LimitNOFILE,NeedDaemonReload"
    dummy, output = run("systemctl", "show", "--property", names, unit)
    pairs = (line.partition("=") for line in output.splitlines())
    return {key: value for key, sign, value in pairs if sign}


def transient_limit(wanted: str) -> int:
    """What a process gets when a unit asks for this limit: systemd takes the nearest it may, and says nothing."""
    dummy, output = run(
        "systemd-run", "--quiet", "--wait", "--pipe", "--collect", f"--property=LimitNOFILE={wanted}",
        "cat", "/proc/self/limits",
    )  # fmt: skip
    found = parse_limit(output)
    if found is None:
        # systemd-run needs a manager that answers; what systemd itself may open is what its services get at most.
        found = parse_limit(read("/proc/1/limits") or "") or 1024
    return found


def unit_limit(properties: t.Mapping[str, str]) -> int:
    """How many files a process of the unit may open: the running one's limit, else what a start would give."""
    pid = properties.get("MainPID", "0")
    limit = parse_limit(read(f"/proc/{pid}/limits") or "") if pid != "0" else None
    return transient_limit(properties.get("LimitNOFILE", "524288")) if limit is None else limit


def find_limit(properties: t.Mapping[str, str], drop_in: str | None, maxconn: int, reserve: int, servers: int) -> Limit:
    """Look whether the connections fit into what a process of the unit gets, and whether more can be had."""
    threads = min(os.cpu_count() or 1, 64)
    needed = files_needed(maxconn + reserve, servers, threads)
    limit = unit_limit(properties)
    if limit >= needed:
        return Limit(limit_line(drop_in), None)
    possible = transient_limit(str(needed))
    if possible >= needed:
        return Limit(needed, needed)
    greatest = greatest_maxconn(max(limit, possible), servers, threads) - reserve
    cure = f"set haproxy_maxconn to {greatest} or less" if greatest > 0 else "the host has to allow more"
    raise ReleaseError(
        f"haproxy_maxconn is {maxconn}, which needs {needed} open files, but a process of this unit gets at most "
        f"{max(limit, possible)}: {cure}."
    )


def read_state(settings: Settings, properties: t.Mapping[str, str]) -> State:
    names = os.listdir(settings.releases) if os.path.isdir(settings.releases) else []
    releases = [name for name in names if not name.startswith(".")]
    releases.sort(key=lambda name: os.stat(os.path.join(settings.releases, name)).st_mtime, reverse=True)
    if os.path.lexists(settings.link) and not os.path.islink(settings.link):
        raise ReleaseError(f"{settings.link} is in the way: it has to be a link, or missing.")
    target = os.readlink(settings.link) if os.path.islink(settings.link) else ""
    home, linked = os.path.split(target)
    pid = properties.get("MainPID", "0")
    arguments = (read(f"/proc/{pid}/cmdline") or "").split("\0") if pid != "0" else []
    return State(
        linked=linked if home == "releases" else None,
        text=read(settings.config),
        loaded=loaded_release(parse_info(ask(settings.stats_socket, "show info") or "")),
        releases=tuple(releases),
        leftovers=tuple(name for name in names if name.startswith(STAGED)),
        active=properties.get("ActiveState") in ("active", "reloading"),
        ours=started_from(arguments, settings.config, settings.master_socket),
        drop_in=read(settings.drop_in),
        stale_unit=properties.get("NeedDaemonReload") == "yes",
    )


@contextmanager
def lock(settings: Settings) -> t.Iterator[None]:
    """Two runs at once don't mix; the kernel takes the lock back from a run that is killed."""
    handle = os.open(settings.releases, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def validate(binary: str, directory: str, text: str) -> None:
    """Let the real binary read the configuration as a whole."""
    code, output = run(binary, "-c", "-f", os.path.join(directory, CONFIG))
    if code != 0:
        raise ReleaseError(f"{refusal(text, output)}; nothing was changed.")


def listening_inode(port: int) -> str | None:
    """The socket that listens on a port, as the kernel numbers it."""
    for path in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in (read(path) or "").splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port:
                return fields[9]
    return None


def owner(port: int) -> str:
    """Who listens on a port, in words."""
    inode = listening_inode(port)
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            for handle in os.scandir(f"/proc/{pid}/fd"):
                if os.readlink(handle.path) == f"socket:[{inode}]":
                    return f"{(read(f'/proc/{pid}/comm') or '').strip()} (process {pid})"
        except OSError:
            continue
    return "another process"


def bind_problem(bind: Bind) -> str | None:
    """Try an address as HAProxy will: its own sockets share the port, those of others don't."""
    version6 = ":" in bind.address
    with socket.socket(socket.AF_INET6 if version6 else socket.AF_INET, socket.SOCK_STREAM) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if version6:
            trial.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if "v4v6" in bind.options else 1)
        try:
            trial.bind((bind.address, bind.port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return f"port {bind.port} is in use by {owner(bind.port)}"
            if error.errno == errno.EADDRNOTAVAIL and "transparent" not in bind.options:
                return f"{bind.address} is no address of this host"
    return None


def refuse_taken(text: str) -> None:
    """HAProxy's parser does not look at ports, and a reload that fails to bind leaves nobody listening for a while."""
    for bind in parse_binds(text):
        problem = bind_problem(bind)
        if problem:
            quoted = text.splitlines()[bind.line - 1].strip()
            raise ReleaseError(
                f"HAProxy can't take line {bind.line} of the configuration, '{quoted}': {problem}; nothing was changed."
            )


def stage(settings: Settings, plan: Plan) -> None:
    """Write the release beside the live one; it gets its name only after HAProxy has taken it."""
    staged = tempfile.mkdtemp(dir=settings.releases, prefix=STAGED)
    final = os.path.join(settings.releases, plan.release)
    try:
        os.chmod(staged, 0o750)
        write(os.path.join(staged, CONFIG), plan.text, 0o640)
        validate(settings.binary, staged, plan.text)
        refuse_taken(plan.text)
        if os.path.isdir(final):
            os.replace(os.path.join(staged, CONFIG), os.path.join(final, CONFIG))
        else:
            os.rename(staged, final)
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def flip(settings: Settings, release: str | None) -> None:
    """Point the link to a release in one step, or take the link away."""
    if release is None:
        if os.path.islink(settings.link):
            os.unlink(settings.link)
        return
    # The time of a release tells the order in which releases are pruned.
    os.utime(os.path.join(settings.releases, release))
    name = os.path.join(settings.releases, f"{STAGED}link")
    if os.path.lexists(name):
        os.unlink(name)
    os.symlink(os.path.join("releases", release), name)
    os.replace(name, settings.link)


def put_drop_in(settings: Settings, text: str | None) -> None:
    if text is None:
        if os.path.exists(settings.drop_in):
            os.unlink(settings.drop_in)
    else:
        os.makedirs(os.path.dirname(settings.drop_in), mode=0o755, exist_ok=True)
        write(settings.drop_in, text, 0o644)
    run("systemctl", "daemon-reload")


def journal(unit: str, since: float) -> str:
    """What HAProxy complained of in the journal since then, as one line."""
    dummy, output = run("journalctl", "--unit", unit, "--since", f"@{int(since)}", "--output", "cat", "--no-pager")
    messages = [complaint.message.rstrip(" .") for complaint in complaints(output)]
    # The end of a worker that was told to end is no complaint.
    found = dict.fromkeys(message for message in messages if "exited with code" not in message)
    return "; ".join(list(found)[:3])


def raise_running_limit(pid: int, limit: int) -> None:
    """A running process keeps its limits; this spares it the restart that would cut every connection."""
    if pid == 0 or (parse_limit(read(f"/proc/{pid}/limits") or "") or 0) >= limit:
        return
    try:
        soft, dummy = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, limit))
    except (OSError, ValueError) as error:
        raise ReleaseError(
            f"the limit of open files of the running process {pid} can't be raised to {limit} ({error.args[-1]}), so "
            "HAProxy has to be stopped first, at a time when its connections may be cut"
        ) from error


def answers(listener: Listener) -> str | None:
    """None when the listener answers, else what it does."""
    where = f"{listener.target}:{listener.port}"
    try:
        with socket.create_connection((listener.target, listener.port), timeout=2) as connection:
            if listener.path is None:
                return None
            connection.sendall(f"GET {listener.path} HTTP/1.0\r\n\r\n".encode())
            status = connection.recv(64).decode(errors="replace").split(" ")[1:2]
    except OSError as error:
        return f"nothing answers on {where} ({error})"
    return None if status == ["200"] else f"http://{where}{listener.path} answers {' '.join(status) or 'nothing'}"


def wait_for(problem: t.Callable[[], str | None], timeout: float, pause: float = 0.1) -> str | None:
    """Ask until there is no problem; the last one when time is up."""
    deadline = time.monotonic() + timeout
    while True:
        found = problem()
        if found is None or time.monotonic() >= deadline:
            return found
        time.sleep(pause)


def not_loaded(settings: Settings, release: str) -> str | None:
    """None once a new worker runs this release and the master counts it as its own."""
    info = parse_info(ask(settings.stats_socket, "show info") or "")
    master = parse_master(ask(settings.master_socket, "show proc") or "")
    if loaded_release(info) == release and int(info.get("pid", "0")) in master.workers:
        return None
    return f"the process has not loaded release {release}"


def drive(settings: Settings, process: str, release: str) -> None:
    """Start, restart or reload, and wait until the process runs the release."""
    since = time.time()

    def problem() -> str | None:
        found = not_loaded(settings, release)
        text = ask(settings.master_socket, "show proc")
        if found and text and reload_failed(before, parse_master(text), time.time() - since):
            raise ReleaseError(journal(settings.unit, since) or "the new worker did not start")
        return found

    before = Master((), 0)
    if process == "reload":
        # A signal that comes before the master is ready again is lost, so wait for its answer.
        wait_for(lambda: None if ask(settings.master_socket, "show proc") else "not ready", settings.timeout)
        before = parse_master(ask(settings.master_socket, "show proc") or "")
    else:
        run("systemctl", "reset-failed", settings.unit)
    code, output = run("systemctl", process, settings.unit)
    found = wait_for(problem, settings.timeout) if code == 0 else " ".join(output.split())
    if found:
        raise ReleaseError(journal(settings.unit, since) or found)


def verify(settings: Settings, listeners: t.Sequence[Listener], before: t.Mapping[str, Server]) -> None:
    """Listeners answer, and no server is lost that was up."""

    def problem() -> str | None:
        silent = [found for found in map(answers, listeners) if found]
        if silent:
            return silent[0]
        after = parse_servers(ask(settings.stats_socket, "show stat") or "")
        dead = outages(before, after)
        if dead:
            reasons = {server.reason for name, server in after.items() if name.split("/")[0] == dead[0]}
            # No time to wait: clients are turned away already.
            raise ReleaseError(f"backend {dead[0]} lost all its servers ({', '.join(sorted(reasons))})")
        lost = lost_servers(before, after)
        if lost:
            server = after[lost[0]]
            return f"server {lost[0]} was up before and is {server.status} now ({server.check} {server.reason})"
        # A new worker takes every server to be up until the first check has ended, so wait for that.
        waiting = [name for name in before if before[name].up and name in after and not after[name].checked]
        return f"server {waiting[0]} was up before and has not been checked since" if waiting else None

    found = wait_for(problem, settings.timeout)
    if found:
        raise ReleaseError(found)


def roll_back(settings: Settings, state: State, plan: Plan) -> str:
    """Bring back what served before, and say what came of it."""
    if plan.write_drop_in:
        put_drop_in(settings, state.drop_in)
    keep_link = plan.previous is None and state.linked == plan.release
    if not keep_link:
        flip(settings, plan.previous)
    if plan.stage and plan.release not in state.releases:
        shutil.rmtree(os.path.join(settings.releases, plan.release), ignore_errors=True)
    if plan.previous is not None:
        try:
            drive(settings, "reload" if plan.process == "reload" else "restart", plan.previous)
        except ReleaseError as error:
            return f"going back to release {plan.previous} failed too: {error}"
        return f"release {plan.previous} serves again"
    if state.active and not state.ours:
        # Nobody but the package's unit knows what served before.
        code, output = run("systemctl", "restart", settings.unit)
        return "what ran before serves again" if code == 0 else f"what ran before did not come back: {output.strip()}"
    if not state.active:
        run("systemctl", "stop", settings.unit)
        run("systemctl", "reset-failed", settings.unit)
        return "the service is stopped, as it was"
    return "there is no other release to go back to"


def apply(settings: Settings, state: State, plan: Plan, listeners: t.Sequence[Listener], pid: int) -> None:
    """Do what the plan says; whatever fails after the flip is taken back."""
    stat = ask(settings.stats_socket, "show stat") if state.active else None
    before = parse_servers(stat) if stat else {}
    if plan.stage:
        stage(settings, plan)
    try:
        if plan.write_drop_in:
            put_drop_in(settings, plan.drop_in)
        elif plan.daemon_reload:
            run("systemctl", "daemon-reload")
        if plan.raise_to is not None:
            raise_running_limit(pid, plan.raise_to)
        if plan.flip:
            flip(settings, plan.release)
        if plan.process != "none":
            drive(settings, plan.process, plan.release)
            verify(settings, listeners, before)
    except (ReleaseError, OSError) as error:
        outcome = roll_back(settings, state, plan)
        raise ReleaseError(f"The new configuration did not come up: {str(error).rstrip('.')}; {outcome}.") from error
    for name in plan.prune:
        path = os.path.join(settings.releases, name)
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        else:
            os.unlink(path)


def predict(settings: Settings, plan: Plan) -> None:
    """What check mode can find out: whether the binary, where there is one, takes the configuration."""
    if plan.stage and os.path.exists(settings.binary):
        with tempfile.TemporaryDirectory() as directory:
            write(os.path.join(directory, CONFIG), plan.text, 0o600)
            validate(settings.binary, directory, plan.text)
            refuse_taken(plan.text)


@dataclass(frozen=True)
class Wanted:
    """What the caller asks for."""

    content: str
    inputs: tuple[str, ...]
    maxconn: int | None
    reserve: int
    listeners: tuple[Listener, ...]
    keep: int


def release(settings: Settings, wanted: Wanted, check_mode: bool) -> tuple[State, Plan]:
    """The whole way: look, plan, and do it unless this is check mode."""
    if MARK not in wanted.content:
        raise ReleaseError(f"The configuration lacks the mark {MARK}, by which a running process tells its release.")
    name = release_id(wanted.content, {path: read_bytes(path) for path in wanted.inputs})
    text = wanted.content.replace(MARK, name)

    def look() -> tuple[State, Plan, int]:
        properties = unit_properties(settings.unit)
        state = read_state(settings, properties)
        limit = Limit(limit_line(state.drop_in), None)
        if wanted.maxconn is not None:
            servers = len(re.findall(r"^\s*server\s", text, re.MULTILINE))
            limit = find_limit(properties, state.drop_in, wanted.maxconn, wanted.reserve, servers)
        drop_in = drop_in_text(
            settings.binary, settings.config, settings.pid_file, settings.master_socket, limit.stated
        )
        plan = make_plan(state, name, text, drop_in, limit.raise_to, wanted.keep)
        return state, plan, int(properties.get("MainPID", "0"))

    if check_mode:
        state, plan, dummy = look()
        predict(settings, plan)
        return state, plan
    os.makedirs(settings.releases, mode=0o755, exist_ok=True)
    with lock(settings):
        state, plan, pid = look()
        apply(settings, state, plan, wanted.listeners, pid)
    return state, plan
