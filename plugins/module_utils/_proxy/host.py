# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The host: its commands, processes and ports."""

from __future__ import annotations

import errno
import os
import resource
import socket
import subprocess
import time
import typing as t

from . import container as containers
from .files import linked_release, list_releases, read, read_release
from .parse import Bind, Listening, parse_limit, parse_listening, parse_properties
from .plan import State
from .proxy import Listener, Proxy, ReleaseError


def run(*command: str) -> tuple[int, str]:
    """Run a command; standard output and standard error as one text."""
    # Messages are read by this program, so they must not come translated.
    environment = dict(os.environ, LC_ALL="C", SYSTEMD_PAGER="")
    try:
        # plain Python that knows no AnsibleModule, so that tests and other tools can use it
        done = subprocess.run(  # pylint: disable=ansible-bad-function
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment, check=False, timeout=120
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return 127, str(error)
    return done.returncode, done.stdout.decode(errors="replace")


def installed(proxy: Proxy) -> bool:
    """Whether the program is there; check mode may come before the package or the image does."""
    if proxy.container is None:
        return os.path.exists(proxy.binary)
    return run(proxy.container.engine, "image", "inspect", proxy.container.image)[0] == 0


def check(proxy: Proxy, config: str) -> tuple[int, str]:
    """Let the real binary read a configuration as a whole."""
    command = [proxy.binary]
    if proxy.container is not None:
        command = containers.check_command(
            proxy.container, proxy.job(proxy.container), proxy.directory, os.path.dirname(config)
        )
    return run(*command, *proxy.check_arguments(config))


def unit_properties(unit: str) -> dict[str, str]:
    names = "LoadState,ActiveState,MainPID,LimitNOFILE,NeedDaemonReload"
    dummy, output = run("systemctl", "show", "--property", names, unit)
    return parse_properties(output)


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


def unit_limit(properties: t.Mapping[str, str], pid: int) -> int:
    """How many files a process of the unit may open: the running one's limit, else what a start would give."""
    limit = parse_limit(read(f"/proc/{pid}/limits") or "") if pid else None
    return transient_limit(properties.get("LimitNOFILE", "524288")) if limit is None else limit


def raise_running_limit(pid: int, limit: int, title: str) -> None:
    """A running process keeps its limits; this spares it the restart that would cut every connection."""
    if pid == 0 or (parse_limit(read(f"/proc/{pid}/limits") or "") or 0) >= limit:
        return
    try:
        soft, dummy = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, limit))
    except (OSError, ValueError) as error:
        raise ReleaseError(
            f"the limit of open files of the running process {pid} can't be raised to {limit} ({error.args[-1]}), so "
            f"{title} has to be stopped first, at a time when its connections may be cut"
        ) from error


def journal(unit: str, since: float) -> str:
    """What a unit wrote to the journal since then."""
    return run("journalctl", "--unit", unit, "--since", f"@{int(since)}", "--output", "cat", "--no-pager")[1]


def listening(port: int) -> list[Listening]:
    """Who listens on a port, of either version."""
    return parse_listening(read("/proc/net/tcp") or "", port) + parse_listening(read("/proc/net/tcp6") or "", port)


def holders(inodes: t.Collection[str]) -> list[int]:
    """The processes that hold these sockets."""
    wanted = {f"socket:[{inode}]" for inode in inodes}
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc") if wanted else []):
        try:
            if any(os.readlink(handle.path) in wanted for handle in os.scandir(f"/proc/{pid}/fd")):
                found.append(int(pid))
        except OSError:
            continue
    return found


def family(pid: int) -> set[int]:
    """A process and those that it started, also by way of others."""
    found = {pid} if pid else set()
    parents = {}
    for name in filter(str.isdigit, os.listdir("/proc") if pid else []):
        # The name of a program may hold blanks and brackets; what follows the last of them does not.
        fields = (read(f"/proc/{name}/stat") or "").rpartition(")")[2].split()
        if len(fields) > 1:
            parents[int(name)] = int(fields[1])
    grown = True
    while grown:
        new = {child for child, parent in parents.items() if parent in found} - found
        found |= new
        grown = bool(new)
    return found


def named(pids: t.Iterable[int]) -> str:
    """Processes in words."""
    found = [f"{(read(f'/proc/{pid}/comm') or '').strip()} (process {pid})" for pid in pids]
    return found[0] if found else "another process"


def bind_problem(bind: Bind, ours: t.Collection[int]) -> str | None:
    """Try an address as the program will: its own sockets share the port, those of others don't.

    Others of root could share it too, and would take part of the connections, so the owners are looked at.
    """
    version6 = ":" in bind.address
    wide = "v4v6" in bind.options
    with socket.socket(socket.AF_INET6 if version6 else socket.AF_INET, socket.SOCK_STREAM) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if version6:
            trial.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if wide else 1)
        refused = None
        try:
            trial.bind((bind.address, bind.port))
        except OSError as error:
            refused = error.errno
    if refused == errno.EADDRNOTAVAIL:
        return None if "transparent" in bind.options else f"{bind.address} is no address of this host"
    there = listening(bind.port)
    if refused is None:
        there = [entry for entry in there if entry.address == bind.address]
    owners = holders({entry.inode for entry in there})
    foreign = [pid for pid in owners if pid not in ours]
    if foreign or (refused == errno.EADDRINUSE and not owners):
        return f"port {bind.port} is in use by {named(foreign)}"
    if refused == errno.EADDRINUSE and bind.address not in [entry.address for entry in there]:
        # who does not share its sockets opens the new one while it has the old one
        return (
            f"port {bind.port} is open on {there[0].address} by what runs now, which can change that by a restart only"
        )
    return None


def refused_bind(proxy: Proxy, text: str, pid: int = 0) -> str | None:
    """No parser looks at ports, and a reload that fails to bind leaves nobody listening for a while.

    `pid` is the master process that runs, whose own listeners are no problem.
    """
    if pid and proxy.own_network:
        return None  # the ports of this host are the engine's, which has them already
    ours = family(pid)
    for bind in proxy.binds(text):
        problem = bind_problem(bind, ours)
        if problem:
            quoted = text.splitlines()[bind.line - 1].strip()
            return f"{proxy.TITLE} can't take line {bind.line} of the configuration, '{quoted}': {problem}"
    return None


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


def process(proxy: Proxy, properties: t.Mapping[str, str]) -> tuple[int, bool]:
    """The master process, 0 where none runs, and whether it was started as our unit starts it."""
    if proxy.container is not None:
        pid, made_from = containers.parse_inspect(*run(*containers.inspect_command(proxy.container)))
        return pid, made_from == containers.fingerprint(proxy.job(proxy.container))
    pid = int(properties.get("MainPID", "0"))
    arguments = (read(f"/proc/{pid}/cmdline") or "").split("\0") if pid else []
    return pid, proxy.started_as_ours(arguments)


def read_state(proxy: Proxy, properties: t.Mapping[str, str], release: str, beside: t.Mapping[str, bytes]) -> State:
    """What is there before the run that wants a release with these files beside its configuration."""
    if os.path.lexists(proxy.link) and not os.path.islink(proxy.link):
        raise ReleaseError(f"{proxy.link} is in the way: it has to be a link, or missing.")
    releases, leftovers = list_releases(proxy)
    pid, ours = process(proxy, properties)
    loaded = proxy.loaded(pid)
    return State(
        linked=linked_release(proxy),
        text=read(proxy.config),
        staged=read_release(proxy, release, beside),
        loaded=loaded.release,
        stale=loaded.stale,
        releases=releases,
        leftovers=leftovers,
        active=properties.get("ActiveState") in ("active", "reloading"),
        ours=ours,
        pid=pid,
        unit_file=read(proxy.unit_file),
        stale_unit=properties.get("NeedDaemonReload") == "yes",
        apart=proxy.usual_place is not None,
    )


def wait_for(problem: t.Callable[[], str | None], timeout: float, pause: float = 0.1) -> str | None:
    """Ask until there is no problem; the last one when time is up."""
    deadline = time.monotonic() + timeout
    while True:
        found = problem()
        if found is None or time.monotonic() >= deadline:
            return found
        time.sleep(pause)
