# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From the labels of containers to what is wished for at SLB, and one sentence for each label that can't be granted.

The two labels of Rancher's external-lb are read as it read them; our own say more. Pure: no network, no clock, no Ansible.
"""

from __future__ import annotations

import dataclasses
import re
import typing as t

from .containers import Container, Port

#: Of Rancher 1.6: the value is the id of an SLB instance, or its name. The second is the older one.
RANCHER = ("io.rancher.service.external_lb.endpoint", "external_lb_endpoint")
PREFIX = "clusterfront.slb."
FIELDS = ("load_balancer", "port", "weight", "server_group", "listener")
LISTENER = re.compile(r"(?:(tcp|udp|http|https)/)?([0-9]{1,5})")
NUMBER = re.compile(r"[0-9]{1,5}")
#: What a listener of a protocol takes from a container.
TRANSPORT = {"tcp": "tcp", "http": "tcp", "https": "tcp", "udp": "udp"}


@dataclasses.dataclass(frozen=True)
class ListenerMeant:
    """The listener that a label names; None: of any protocol."""

    port: int
    protocol: t.Optional[str] = None

    def __str__(self) -> str:
        return f"{self.protocol}/{self.port}" if self.protocol else str(self.port)


@dataclasses.dataclass(frozen=True)
class Wish:
    """One place at an SLB instance that a container asks for."""

    container: str
    load_balancer: str
    #: The ports that may be meant: one where the label or the container says so.
    ports: t.Tuple[Port, ...]
    weight: int = 100
    server_group: t.Optional[str] = None
    listener: t.Optional[ListenerMeant] = None
    ready: bool = True
    #: What is not ready, in a word: starting, unhealthy or not running.
    state: str = "ready"


class LabelError(Exception):
    """A label that can't be granted. Its text is one sentence."""


@dataclasses.dataclass(frozen=True)
class Problem:
    """Why a container is not where its labels want it."""

    container: str
    load_balancer: t.Optional[str]
    sentence: str


def is_labelled(labels: t.Mapping[str, str]) -> bool:
    return any(name in RANCHER or name.startswith(PREFIX) for name in labels)


def wishes(containers: t.Iterable[Container], weight: int = 100) -> tuple[list[Wish], list[Problem]]:
    """What the labels of containers ask for, the oldest container first, and what is wrong with the others."""
    granted: list[Wish] = []
    problems: list[Problem] = []
    taken: dict[Port, Container] = {}
    for one in sorted(containers, key=lambda one: (one.started, one.id)):
        for name, fields in _groups(one.labels).items():
            try:
                wish = _wish(one, name, fields, weight)
                _refuse_taken(one, wish, taken)
            except LabelError as error:
                problems.append(Problem(one.name, fields.get("load_balancer") or None, str(error)))
                continue
            granted.append(wish)
    return granted, problems


def _groups(labels: t.Mapping[str, str]) -> dict[str, dict[str, str]]:
    """The fields of each registration by the label that names its instance: one label of Rancher, or ours with one beginning."""
    found: dict[str, dict[str, str]] = {}
    for name in RANCHER:
        if name in labels and not any(other in found for other in RANCHER):
            found[name] = {"load_balancer": labels[name]}
    for name, value in sorted(labels.items()):
        if name.startswith(PREFIX):
            beginning, dummy, field = name.rpartition(".")
            found.setdefault(f"{beginning}.", {})[field] = value
    return found


def _wish(one: Container, name: str, fields: t.Mapping[str, str], weight: int) -> Wish:
    strange = [field for field in fields if field not in FIELDS]
    if strange:
        raise LabelError(f"label {name}{strange[0]} is not known; {_known(name)} are")
    value = (fields.get("load_balancer") or "").strip()
    whole = name if name in RANCHER else f"{name}load_balancer"
    if not value:
        raise LabelError(
            f"label {whole} is {'empty' if whole in one.labels else 'missing'}; give the id or the name of an SLB instance"
        )
    listener = fields.get("listener")
    return Wish(
        container=one.name,
        load_balancer=value,
        ports=_ports(one, name, fields.get("port")),
        weight=weight if "weight" not in fields else _number(f"{name}weight", fields["weight"], 0, 100),
        server_group=fields.get("server_group") or None,
        listener=None if listener is None else _listener(f"{name}listener", listener),
        ready=one.ready,
        state="ready" if one.ready else ("not running" if not one.running else str(one.health)),
    )


def _known(name: str) -> str:
    return ", ".join(f"{name}{field}" for field in FIELDS)


def _number(label: str, text: str, least: int, most: int) -> int:
    if not NUMBER.fullmatch(text) or not least <= int(text) <= most:
        raise LabelError(f"label {label} is '{text}'; a number from {least} to {most} is possible")
    return int(text)


def _listener(label: str, text: str) -> ListenerMeant:
    match = LISTENER.fullmatch(text)
    if match is None or not 1 <= int(match.group(2)) <= 65535:
        raise LabelError(f"label {label} is '{text}'; a port as 443 or a protocol and a port as tcp/443 is possible")
    return ListenerMeant(int(match.group(2)), match.group(1))


def _ports(one: Container, name: str, text: str | None) -> tuple[Port, ...]:
    """The ports of the host that are meant. One of a host-network container need not be known to the engine."""
    if text is None:
        if one.ports:
            return one.ports
        if one.hidden:
            raise LabelError(f"port {one.hidden[0].number} is published on a loopback address, where no SLB reaches it")
        if not one.ready:
            # an engine tells the ports of what runs; nothing is known of one that comes up or goes
            return ()
        if one.host_network:
            raise LabelError(
                f"it is on the host's network and its image exposes no port; say the port by label {PREFIX}port"
            )
        raise LabelError("it publishes no port of the host; publish the one that the listener of the SLB calls")
    number = _number(f"{name}port", text, 1, 65535)
    known = tuple(port for port in one.ports if port.number == number)
    if known or one.host_network:
        return known or (Port(number),)
    if not one.ready:
        return (Port(number),)
    has = ", ".join(str(port.number) for port in one.ports)
    raise LabelError(f"label {name}port is {number}, but the container publishes {has or 'no port'} of the host")


def _refuse_taken(one: Container, wish: Wish, taken: dict[Port, Container]) -> None:
    """One port of a host leads to one container, whatever two of them say; the older one has it."""
    for port in wish.ports:
        other = taken.setdefault(port, one)
        if other is not one:
            raise LabelError(
                f"port {port.number} of this host leads to the container {other.name} already; give one of the two another port"
            )
