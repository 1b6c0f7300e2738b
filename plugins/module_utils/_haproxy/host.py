# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The host: its commands, sockets, processes and ports."""

from __future__ import annotations

import errno
import os
import resource
import socket
import subprocess
import typing as t
from dataclasses import dataclass

from .files import CONFIG, Settings, linked_release, list_releases, read
from .parse import (
    Bind,
    Master,
    Server,
    complaints,
    listening_inode,
    loaded_release,
    parse_binds,
    parse_info,
    parse_limit,
    parse_master,
    parse_properties,
    parse_servers,
    started_from,
)
from .plan import State


class ReleaseError(Exception):
    """One sentence for the user."""


@dataclass(frozen=True)
class Listener:
    """What has to answer once a release is live: a connection, or a path with status 200."""

    address: str
    port: int
    path: str | None

    @property
    def target(self) -> str:
        return {"": "127.0.0.1", "*": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.address, self.address)


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


def installed(settings: Settings) -> bool:
    """Whether HAProxy is there; check mode may come before the package does."""
    return os.path.exists(settings.binary)


def info(settings: Settings) -> dict[str, str]:
    """What the running process says of itself."""
    return parse_info(ask(settings.stats_socket, "show info") or "")


def servers(settings: Settings) -> dict[str, Server]:
    """The servers as the running process sees them."""
    return parse_servers(ask(settings.stats_socket, "show stat") or "")


def master(settings: Settings) -> Master | None:
    """The master process; None while it does not answer."""
    text = ask(settings.master_socket, "show proc")
    return parse_master(text) if text else None


def unit_properties(unit: str) -> dict[str, str]:
    names = "LoadState,ActiveState,MainPID,LimitNOFILE,NeedDaemonReload"
    dummy, output = run("systemctl", "show", "--property", names, unit)
    return parse_properties(output)


def threads() -> int:
    """How many threads HAProxy starts where its configuration names no number."""
    return min(os.cpu_count() or 1, 64)


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


def journal(unit: str, since: float) -> str:
    """What HAProxy complained of in the journal since then, as one line."""
    dummy, output = run("journalctl", "--unit", unit, "--since", f"@{int(since)}", "--output", "cat", "--no-pager")
    messages = [complaint.message.rstrip(" .") for complaint in complaints(output)]
    # The end of a worker that was told to end is no complaint.
    found = dict.fromkeys(message for message in messages if "exited with code" not in message)
    return "; ".join(list(found)[:3])


def owner(port: int) -> str:
    """Who listens on a port, in words."""
    inode = listening_inode((read("/proc/net/tcp") or "") + (read("/proc/net/tcp6") or ""), port)
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


def refused_bind(text: str) -> str | None:
    """HAProxy's parser does not look at ports, and a reload that fails to bind leaves nobody listening for a while."""
    for bind in parse_binds(text):
        problem = bind_problem(bind)
        if problem:
            quoted = text.splitlines()[bind.line - 1].strip()
            return f"HAProxy can't take line {bind.line} of the configuration, '{quoted}': {problem}"
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


def read_state(settings: Settings, properties: t.Mapping[str, str], release: str) -> State:
    """What is there before the run that wants a release."""
    if os.path.lexists(settings.link) and not os.path.islink(settings.link):
        raise ReleaseError(f"{settings.link} is in the way: it has to be a link, or missing.")
    releases, leftovers = list_releases(settings)
    pid = int(properties.get("MainPID", "0"))
    arguments = (read(f"/proc/{pid}/cmdline") or "").split("\0") if pid else []
    return State(
        linked=linked_release(settings),
        text=read(settings.config),
        staged=read(os.path.join(settings.releases, release, CONFIG)),
        loaded=loaded_release(info(settings)),
        releases=releases,
        leftovers=leftovers,
        active=properties.get("ActiveState") in ("active", "reloading"),
        ours=started_from(arguments, settings.config, settings.master_socket),
        pid=pid,
        drop_in=read(settings.drop_in),
        stale_unit=properties.get("NeedDaemonReload") == "yes",
    )
