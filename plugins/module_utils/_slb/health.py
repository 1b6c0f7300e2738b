# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The cloud's own view of the backends."""

from __future__ import annotations

import typing as t

from .client import Client
from .document import check_seconds
from .errors import ApiError, DocumentError, LookupFailed, TimedOut, Verdict, quoted

NORMAL = "normal"
ALL, ANY = "all", "any"
PAUSE = 1.0


class Meant(t.NamedTuple):
    """The listeners of an instance whose backends are meant: of a port, of a protocol, or all."""

    load_balancer_id: str
    port: int | None = None
    protocol: str | None = None

    def has(self, entry: t.Mapping[str, t.Any]) -> bool:
        """Whether an entry is of a listener that is meant; an answer without a protocol may be of any."""
        return self.port in (None, entry["port"]) and (
            entry["protocol"] is None or self.protocol in (None, entry["protocol"])
        )


def fetch(client: Client, meant: Meant) -> list[dict[str, t.Any]]:
    """One entry for each backend of each listener that is meant, in the order of ports and addresses.

    Raises LookupFailed for a port and a protocol without a listener.
    """
    # two listeners may have one port, and the API refuses to tell of both where it is asked for the port alone
    exact = {"ListenerPort": meant.port, "ListenerProtocol": meant.protocol} if meant.port and meant.protocol else {}
    try:
        answer = client.slb("DescribeHealthStatus", {"LoadBalancerId": meant.load_balancer_id, **exact})
    except ApiError as error:
        if not exact or error.verdict is not Verdict.ABSENT:
            raise
        raise LookupFailed(
            f"port is {meant.port} and protocol '{meant.protocol}', where {meant.load_balancer_id} has no listener that checks its"
            " backends"
        ) from error
    found = [
        {
            "protocol": str(entry.get("Protocol") or "").lower() or None,
            "port": int(entry["ListenerPort"]),
            "server_id": entry["ServerId"],
            "private_ip": entry.get("ServerIp") or None,
            "backend_port": int(entry["Port"]),
            "status": entry["ServerHealthStatus"],
        }
        for entry in answer["BackendServers"]["BackendServer"]
    ]
    return sorted(
        filter(meant.has, found),
        key=lambda entry: (entry["port"], entry["protocol"] or "", entry["server_id"], entry["backend_port"]),
    )


def wanted_number(wait_for: str) -> int | None:
    """How many backends of a listener have to be well; None for all of them.

    Raises DocumentError for what is neither all, nor any, nor a number of 1 or more.
    """
    if wait_for == ALL:
        return None
    if wait_for == ANY:
        return 1
    if not wait_for.isdecimal() or int(wait_for) < 1:
        raise DocumentError(f"wait_for is '{wait_for}'; 'all', 'any' or a number of 1 or more are possible")
    return int(wait_for)


def lacking(backends: t.Sequence[dict[str, t.Any]], wanted: int | None) -> list[str]:
    """One phrase for each listener that has fewer well backends than wanted."""
    found = []
    for listener in sorted({(entry["protocol"] or "", entry["port"]) for entry in backends}):
        mine = [entry for entry in backends if (entry["protocol"] or "", entry["port"]) == listener]
        well = sum(entry["status"] == NORMAL for entry in mine)
        if well < (len(mine) if wanted is None else wanted):
            what = "all" if wanted is None else str(wanted)
            found.append(
                f"listener {'/'.join(filter(None, map(str, listener)))} has {well} of {len(mine)} backends well where {what} are wanted"
            )
    return found


def wait(client: Client, meant: Meant, wait_for: str, timeout: float) -> list[dict[str, t.Any]]:
    """Read the health until enough backends are well.

    Raises TimedOut after timeout seconds; its sentence names who is not well, and for how long that was seen.
    """
    wanted = wanted_number(wait_for)
    check_seconds("wait_timeout", timeout)
    begin = client.clock()
    since: dict[tuple[t.Any, ...], float] = {}
    while True:
        backends = fetch(client, meant)
        now = client.clock()
        sick = {_name(entry): entry for entry in backends if entry["status"] != NORMAL}
        since = {name: since.get(name, now) for name in sick}
        missing = lacking(backends, wanted) if backends else ["there is no backend yet"]
        if not missing:
            return backends
        if now + PAUSE > begin + timeout:
            names = [
                f"{_label(entry)} ({entry['status']} for {now - since[name]:.0f} s)" for name, entry in sick.items()
            ]
            told = f"; not well: {quoted(names)}" if names else ""
            raise TimedOut(f"after {timeout:g} seconds {quoted(missing)}{told}")
        client.sleep(PAUSE)


def _name(entry: t.Mapping[str, t.Any]) -> tuple[t.Any, ...]:
    return entry["protocol"], entry["port"], entry["server_id"], entry["backend_port"]


def _label(entry: t.Mapping[str, t.Any]) -> str:
    return f"{entry['private_ip'] or entry['server_id']}:{entry['backend_port']}"
