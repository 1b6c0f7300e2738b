# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The state as plain data, and its snapshot on disk."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from . import inventory as inventories
from .inventory import Inventory


@dataclass
class Server:
    """A member of a group or of a default pool (port 0: the listener's backend port)."""

    server_id: str
    port: int
    weight: int
    description: str = ""
    type: str = "ecs"
    server_ip: str = ""  # only what the caller gave; of an interface always one
    server_type: str = ""  # Master or Slave, in a primary/secondary group


@dataclass
class Rule:
    """A forwarding rule. Settings are its own, with the names of the API's answers; none while it goes with its listener."""

    id: str
    name: str
    domain: str
    url: str
    group: str
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass
class DomainExtension:
    id: str
    domain: str
    certificate: str


@dataclass
class Certificate:
    """Of a server, with its key, or of a CA."""

    id: str
    region: str
    name: str
    ca: bool
    pem: str
    fingerprint: str
    common_name: str
    created: float
    expires: float
    resource_group: str
    key: str = ""
    names: list[str] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)


@dataclass
class TlsPolicy:
    id: str
    region: str
    name: str
    versions: list[str]
    ciphers: list[str]
    created: float
    busy_until: float = 0.0


@dataclass
class Listener:
    """Settings have the names of the API's answers."""

    port: int
    protocol: str
    settings: dict[str, Any]
    status: str = "stopped"
    next_status: str = ""  # where a transition ends, and when
    next_at: float = 0.0
    tags: dict[str, str] = field(default_factory=dict)
    rules: list[Rule] = field(default_factory=list)
    domain_extensions: list[DomainExtension] = field(default_factory=list)
    domains_busy_until: float = 0.0

    @property
    def layer_7(self) -> bool:
        return self.protocol in ("http", "https")

    @property
    def redirects(self) -> bool:
        return bool(self.settings.get("ListenerForward") == "on")

    @property
    def key(self) -> str:
        return f"{self.protocol}_{self.port}"

    @property
    def group(self) -> str:
        return str(self.settings.get("VServerGroupId", ""))

    @property
    def failover_group(self) -> str:
        return str(self.settings.get("MasterSlaveServerGroupId", ""))

    @property
    def access_lists(self) -> list[str]:
        """The ids of the lists in force."""
        return self.settings["AclId"].split(",") if self.settings.get("AclStatus") == "on" else []

    @property
    def serving(self) -> bool:
        return self.status == "running" or (self.status == "configuring" and self.next_status == "running")


@dataclass
class LoadBalancer:
    """Attributes have the names of the API's answers."""

    id: str
    region: str
    attributes: dict[str, Any]
    tags: dict[str, str] = field(default_factory=dict)
    servers: list[Server] = field(default_factory=list)
    listeners: dict[str, Listener] = field(default_factory=dict)
    pending: dict[str, Any] = field(default_factory=dict)  # attributes that change later, and when; locks the instance
    pending_at: float = 0.0
    servers_busy_until: float = 0.0  # the default pool

    @property
    def vpc_id(self) -> str:
        return str(self.attributes["VpcId"])

    @property
    def ipv6(self) -> bool:
        return bool(self.attributes["AddressIPVersion"] == "ipv6")

    @property
    def public(self) -> bool:
        return bool(self.attributes["AddressType"] == "internet")

    @property
    def active(self) -> bool:
        return bool(self.attributes["LoadBalancerStatus"] == "active")


@dataclass
class ServerGroup:
    id: str
    region: str
    load_balancer: str
    name: str
    created: str
    servers: list[Server] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)
    busy_until: float = 0.0


@dataclass
class FailoverGroup:
    """A primary/secondary group: the primary first, the standby second. Nothing of it changes but its tags."""

    id: str
    region: str
    load_balancer: str
    name: str
    created: str
    servers: list[Server]
    tags: dict[str, str] = field(default_factory=dict)


@dataclass
class AccessList:
    """Entries lead from a network to its comment, in the order in which they were added."""

    id: str
    region: str
    name: str
    version: str
    created: str
    resource_group: str
    entries: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    busy_until: float = 0.0


@dataclass
class State:
    load_balancers: dict[str, LoadBalancer] = field(default_factory=dict)
    server_groups: dict[str, ServerGroup] = field(default_factory=dict)
    failover_groups: dict[str, FailoverGroup] = field(default_factory=dict)
    access_lists: dict[str, AccessList] = field(default_factory=dict)
    certificates: dict[str, Certificate] = field(default_factory=dict)
    tls_policies: dict[str, TlsPolicy] = field(default_factory=dict)
    client_tokens: dict[str, dict[str, Any]] = field(default_factory=dict)
    sequence: int = 0
    health: dict[str, dict[str, Any]] = field(default_factory=dict)
    drains: dict[str, float | None] = field(default_factory=dict)
    links_down: list[str] = field(default_factory=list)
    zones_down: dict[str, float] = field(default_factory=dict)  # and since when
    switches: dict[str, Any] = field(default_factory=dict)
    quotas: dict[str, int] = field(default_factory=dict)
    inventory: Inventory = field(default_factory=Inventory)

    def members(self, balancer: LoadBalancer, listener: Listener) -> list[tuple[Server, int]]:
        """The servers of a listener with the port on which each is called.

        Of a primary/secondary group both are checked, and the Slave serves only while the Master is not healthy.
        """
        if listener.failover_group:
            return [(server, server.port) for server in self.failover_groups[listener.failover_group].servers]
        if listener.group:
            group = self.server_groups.get(listener.group)
            return [(server, server.port) for server in group.servers] if group else []
        return [(server, int(listener.settings.get("BackendServerPort", 0))) for server in balancer.servers]

    def servers(self, balancer: LoadBalancer) -> list[Server]:
        """The servers of the default pool and of all groups of an instance."""
        groups: list[ServerGroup | FailoverGroup] = [*self.server_groups.values(), *self.failover_groups.values()]
        own = (group for group in groups if group.load_balancer == balancer.id)
        return [*balancer.servers, *(server for group in own for server in group.servers)]


def _servers(plain: list[dict[str, Any]]) -> list[Server]:
    return [Server(**server) for server in plain]


def _listener(plain: dict[str, Any]) -> Listener:
    return Listener(
        **{
            **plain,
            "rules": [Rule(**rule) for rule in plain.get("rules", [])],
            "domain_extensions": [DomainExtension(**entry) for entry in plain.get("domain_extensions", [])],
        }
    )


def _load_balancer(plain: dict[str, Any]) -> LoadBalancer:
    listeners = {key: _listener(listener) for key, listener in plain["listeners"].items()}
    return LoadBalancer(**{**plain, "servers": _servers(plain["servers"]), "listeners": listeners})


def restored(text: str) -> State:
    """The state of a snapshot."""
    plain = json.loads(text)
    return State(
        **{
            **plain,
            "load_balancers": {key: _load_balancer(value) for key, value in plain["load_balancers"].items()},
            "server_groups": {
                key: ServerGroup(**{**value, "servers": _servers(value["servers"])})
                for key, value in plain["server_groups"].items()
            },
            "failover_groups": {
                key: FailoverGroup(**{**value, "servers": _servers(value["servers"])})
                for key, value in plain.get("failover_groups", {}).items()
            },
            "access_lists": {key: AccessList(**value) for key, value in plain.get("access_lists", {}).items()},
            "certificates": {key: Certificate(**value) for key, value in plain.get("certificates", {}).items()},
            "tls_policies": {key: TlsPolicy(**value) for key, value in plain.get("tls_policies", {}).items()},
            "inventory": inventories.parse(plain["inventory"]),
        }
    )


class Store:
    """Holds the state and writes it whole after each change: it is small, and half a change is never on disk."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.restored = path.exists()
        self.state = restored(path.read_text(encoding="utf-8")) if self.restored else State()

    def snapshot(self) -> str:
        return json.dumps(asdict(self.state))

    def save(self) -> str:
        """Write the snapshot, and give it back."""
        text = self.snapshot()
        temporary = self._path.with_suffix(".new")
        # keys of certificates are in it
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(temporary, self._path)
        return text

    def reset(self) -> str:
        """Forget the load balancers; the counter goes on, so that an id never comes back. Gives the snapshot."""
        old = self.state
        self.state = State(
            sequence=old.sequence,
            links_down=old.links_down,
            zones_down=old.zones_down,
            switches=old.switches,
            quotas=old.quotas,
            inventory=old.inventory,
        )
        return self.save()
