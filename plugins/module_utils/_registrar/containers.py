# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Containers as podman and Docker tell them, and what of them counts here.

Pure: no network, no clock, no Ansible. Both engines speak the API of Docker; where podman differs, a line says so.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import typing as t

Answer = t.Mapping[str, t.Any]


@dataclasses.dataclass(frozen=True, order=True)
class Port:
    """A port of the host that leads to a container."""

    number: int
    protocol: str = "tcp"


@dataclasses.dataclass(frozen=True)
class Container:
    """A container that is there. Its ports are those of the host; ready is None where it has no health check."""

    engine: str
    id: str
    name: str
    labels: t.Mapping[str, str]
    running: bool = True
    #: What its health check says: starting, healthy or unhealthy.
    health: t.Optional[str] = None
    #: Ports that others reach.
    ports: t.Tuple[Port, ...] = ()
    #: Ports that are published on a loopback address only.
    hidden: t.Tuple[Port, ...] = ()
    host_network: bool = False
    #: When it started, in the engine's own spelling, which can be sorted.
    started: str = ""

    @property
    def ready(self) -> bool:
        """Whether clients may come: it runs, and its health check, if it has one, says so."""
        return self.running and self.health in (None, "healthy")


def container(engine: str, answer: Answer) -> Container:
    """A container from the answer of ``GET /containers/<id>/json``."""
    state, config = answer["State"], answer["Config"]
    host_network = (answer.get("HostConfig") or {}).get("NetworkMode") == "host"
    published, hidden = _published((answer.get("NetworkSettings") or {}).get("Ports") or {})
    if host_network:
        published, hidden = tuple(sorted(map(_port, config.get("ExposedPorts") or ()))), ()
    return Container(
        engine,
        id=answer["Id"],
        name=answer["Name"].lstrip("/"),
        labels=config.get("Labels") or {},
        running=bool(state.get("Running")) and not state.get("Paused"),
        health=_health(state),
        ports=published,
        hidden=hidden,
        host_network=host_network,
        started=state.get("StartedAt") or "",
    )


def _health(state: Answer) -> str | None:
    """Docker has no Health where there is no check, podman an empty Status; "none" is a check that was taken away."""
    told = (state.get("Health") or state.get("Healthcheck") or {}).get("Status")
    return told if told and told != "none" else None


def _port(text: str) -> Port:
    """A port from ``8080/tcp``."""
    number, dummy, protocol = text.partition("/")
    return Port(int(number), protocol or "tcp")


def _published(bindings: Answer) -> tuple[tuple[Port, ...], tuple[Port, ...]]:
    """Ports of the host that others reach, and those that only the host itself does."""
    reached, all_ports = set(), set()
    for inside, places in bindings.items():
        for place in places or ():
            port = Port(int(place["HostPort"]), _port(inside).protocol)
            all_ports.add(port)
            if not (place.get("HostIp") and ipaddress.ip_address(place["HostIp"]).is_loopback):
                reached.add(port)
    return tuple(sorted(reached)), tuple(sorted(all_ports - reached))
