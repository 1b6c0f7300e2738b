# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a connection meets, seen from the machine that this runs on. Standard library only, Python 3.8 or newer."""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import email.utils
import errno
import http.client
import socket
import ssl
import time
import typing as t

from . import certificate

OPEN, CLOSED, REFUSED = "open", "closed", "refused"
TIMED_OUT, UNREACHABLE = "timed_out", "unreachable"
UNREACHABLE_ERRORS = (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EADDRNOTAVAIL, errno.ENETDOWN, errno.EHOSTDOWN)
#: A proxy without a server ends the connection at once; so long nothing has to happen to call it open, in seconds.
QUIET = 0.5
BODY_LIMIT = 1024
#: Targets that are probed at the same time.
WORKERS = 16


@dataclasses.dataclass(frozen=True)
class Target:
    """Where to connect, and how far to go: TLS where tls is set, an HTTP GET where path is."""

    host: str
    port: int
    name: str = ""
    tls: bool = False
    path: str | None = None
    server_name: str | None = None
    ca_path: str | None = None


@dataclasses.dataclass
class Probe:
    """What was met. stage is where it ended: resolve, connect, tls, http. seconds is the time of it all."""

    name: str
    host: str
    port: int
    result: str
    stage: str
    seconds: float = 0.0
    error: str | None = None
    address: str | None = None
    tls: dict[str, t.Any] | None = None
    http_status: int | None = None
    body: str | None = None
    #: Seconds by which this machine's clock is ahead of the other's, from the answer's Date, which knows whole seconds only.
    clock_skew: float | None = None


def probe_all(targets: t.Sequence[Target], timeout: float) -> list[Probe]:
    """Probe all targets side by side; timeout is in seconds, for each step of each target."""
    with concurrent.futures.ThreadPoolExecutor(max_workers=min(WORKERS, len(targets) or 1)) as pool:
        return list(pool.map(lambda target: probe(target, timeout), targets))


def probe(target: Target, timeout: float) -> Probe:
    """Probe one target."""
    met = Probe(
        name=target.name or f"{target.host}:{target.port}",
        host=target.host,
        port=target.port,
        result=OPEN,
        stage="resolve",
    )
    start = time.monotonic()
    try:
        _follow(target, met, timeout)
    except (OSError, ValueError, http.client.HTTPException) as error:
        # text that cannot be a name, a path or a header is a ValueError, and its kind UnicodeError
        met.result = _meaning(met, error)
        met.error = str(error) or type(error).__name__
    met.seconds = round(time.monotonic() - start, 3)
    return met


def _follow(target: Target, met: Probe, timeout: float) -> None:
    family, kind, protocol, dummy, address = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)[0]
    met.address, met.stage = str(address[0]), "connect"
    with contextlib.ExitStack() as stack:
        connection = stack.enter_context(socket.socket(family, kind, protocol))
        connection.settimeout(timeout)
        connection.connect(address)
        if target.tls:
            met.stage = "tls"
            connection = stack.enter_context(_secured(target, connection))
            met.tls = _tls_facts(connection)
        if target.path is not None:
            met.stage = "http"
            _ask(target, met, connection, timeout)
        elif not target.tls:
            _listen(connection)


def _secured(target: Target, connection: socket.socket) -> ssl.SSLSocket:
    context = ssl.create_default_context(cafile=target.ca_path)
    if target.ca_path is None:
        # nothing secret is sent: the question is what answers, not whether it can be trusted
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    secured = context.wrap_socket(
        connection, server_hostname=target.server_name or target.host, do_handshake_on_connect=False
    )
    # by itself the handshake is left out where the other side has reset the connection already
    secured.do_handshake()
    return secured


def _tls_facts(connection: ssl.SSLSocket) -> dict[str, t.Any]:
    """The protocol, and what the certificate says, whether it was verified (with its chain, up to the CA) or not."""
    served = connection.getpeercert(True)
    return {
        "version": connection.version(),
        "verified": bool(connection.getpeercert()),
        **certificate.facts(served or b""),
    }


def _ask(target: Target, met: Probe, connection: socket.socket, timeout: float) -> None:
    client = http.client.HTTPConnection(target.server_name or target.host, target.port, timeout=timeout)
    client.sock = connection
    client.request("GET", target.path or "/", headers={"Connection": "close"})
    answer = client.getresponse()
    met.http_status = answer.status
    met.clock_skew = _skew(answer.getheader("Date"), time.time())
    met.body = answer.read(BODY_LIMIT).decode("utf-8", "replace")


def _skew(date: str | None, now: float) -> float | None:
    try:
        there = email.utils.parsedate_to_datetime(date or "").timestamp()
    except (TypeError, ValueError):  # the first up to Python 3.9
        return None
    # what the other one cut off is no difference
    return round(now - there, 1) if not 0 <= now - there < 1 else 0.0


def _listen(connection: socket.socket) -> None:
    """Wait a moment for the other side to end the connection. Raises ConnectionResetError if it does."""
    connection.settimeout(QUIET)
    try:
        if connection.recv(1) == b"":
            raise ConnectionResetError("the connection was accepted and then ended before a byte")
    except socket.timeout:
        return


def _meaning(met: Probe, error: Exception) -> str:
    """The result for an error at a stage."""
    # two classes before Python 3.10: ours, and the system's ETIMEDOUT
    if isinstance(error, (socket.timeout, TimeoutError)):
        return TIMED_OUT
    if met.stage == "resolve" or (isinstance(error, OSError) and error.errno in UNREACHABLE_ERRORS):
        return UNREACHABLE
    if met.stage == "connect" and isinstance(error, ConnectionRefusedError):
        return REFUSED
    if isinstance(error, (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError)) or error.args[:1] == (
        errno.ENOTCONN,
    ):
        return CLOSED
    if met.stage == "connect":
        return UNREACHABLE
    # it talks, but not what was expected of it
    return OPEN
