# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The front end of a cluster's apiservers: which machine is what, the document of the cloud, and the inputs of roles."""

from __future__ import annotations

import dataclasses
import ipaddress
import re
import typing as t

from .topologies import LOAD_BALANCERS, LOOPBACK, NODES, TOPOLOGIES, Topology

PREFIX = "kube_apiserver_"
RUNS = ("kubeadm_endpoint", "haproxy", "nginx")
ROLES = ("masters", "load_balancers", "workers", "clients")
GROUPS = {
    "masters": f"{PREFIX}masters_group",
    "load_balancers": f"{PREFIX}lb_group",
    "workers": f"{PREFIX}workers_group",
    "clients": f"{PREFIX}clients_group",
}
#: The network that CLB's health checks come from, as the documentation of its listeners says.
HEALTH_CHECKS = "100.64.0.0/10"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,39}")
DNS_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*")
VERSION = re.compile(r"v?1\.(\d{1,2})\.\d{1,3}")
#: kubeadm of an older version reads another format.
OLDEST_VERSION = 22

Document = t.Dict[str, t.Any]


@dataclasses.dataclass(frozen=True)
class Machine:
    """A machine of the front end, by its name in the inventory, with its private address."""

    name: str
    address: str

    def as_dict(self) -> t.Dict[str, str]:
        return {"name": self.name, "address": self.address}


def machines_of(values: t.Mapping[str, t.Any], groups: t.Mapping[str, t.Sequence[str]]) -> t.List[str]:
    """Every machine of the front end, each once; those that are gone for good are none."""
    found = [name for role in ROLES for name in groups.get(values[GROUPS[role]], ())]
    gone = values.get(f"{PREFIX}gone") or []
    return [name for name in dict.fromkeys(found) if name not in gone]


def build(
    values: t.Mapping[str, t.Any], groups: t.Mapping[str, t.Sequence[str]], addresses: t.Mapping[str, t.Any]
) -> FrontEnd:
    """The front end, of typed values and of the addresses that are known."""
    known = set(machines_of(values, groups))
    named = {
        role: [
            Machine(name, str(addresses.get(name) or ""))
            for name in dict.fromkeys(groups.get(values[GROUPS[role]], ()))
            if name in known
        ]
        for role in ROLES
    }
    return FrontEnd(values, named, sorted({name for names in groups.values() for name in names}))


@dataclasses.dataclass(frozen=True)
class FrontEnd:
    """One front end. Whatever is asked of it follows from the values and the machines alone."""

    values: t.Mapping[str, t.Any]
    by_role: t.Mapping[str, t.Sequence[Machine]]
    inventory: t.Sequence[str]
    #: The typed variables of the roles that each machine runs.
    on_machines: t.Mapping[str, t.Mapping[str, t.Any]] = dataclasses.field(default_factory=dict)

    def __getitem__(self, option: str) -> t.Any:
        return self.values[f"{PREFIX}{option}"]

    @property
    def name(self) -> str:
        return str(self["name"])

    @property
    def topology(self) -> Topology:
        return TOPOLOGIES[self["topology"]]

    @property
    def masters(self) -> t.Sequence[Machine]:
        return self.by_role["masters"]

    @property
    def load_balancers(self) -> t.Sequence[Machine]:
        """The machines of the tier; of an endpoint that somebody else runs none is ours."""
        return self.by_role["load_balancers"] if self.topology.address_type else []

    @property
    def tier(self) -> t.Sequence[Machine]:
        """The machines of a tier of proxies before the masters, where there is one."""
        return self.load_balancers if self.topology.proxies_on == LOAD_BALANCERS else []

    @property
    def nodes(self) -> t.List[Machine]:
        """The machines that are nodes of the cluster."""
        return _once([*self.masters, *self.by_role["workers"]])

    @property
    def machines(self) -> t.List[Machine]:
        return _once([*self.masters, *self.load_balancers, *self.by_role["workers"], *self.by_role["clients"]])

    @property
    def proxies(self) -> t.List[Machine]:
        """The machines on which a proxy runs, in the order in which they are changed."""
        return list(self.tier) if self.topology.proxies_on != NODES else self.nodes

    @property
    def backends(self) -> t.Sequence[Machine]:
        """The machines that the cloud sends connections to."""
        if self.topology.backends is None:
            return []
        return self.load_balancers if self.topology.backends == LOAD_BALANCERS else self.masters

    @property
    def program(self) -> str:
        """The program of the proxies, empty where there are none."""
        programs = self.topology.programs
        return self["node_proxy"] if self["node_proxy"] in programs else programs[0] if programs else ""

    @property
    def through_tier(self) -> bool:
        return self.topology.backends == LOAD_BALANCERS

    @property
    def endpoint(self) -> str:
        return f"{self['endpoint_name']}:{self['endpoint_port']}"

    # Rules

    def problems(self) -> t.List[str]:
        """The reasons why it can't work, a sentence each, before anything is changed."""
        return [says for wrong, says in self._rules() if wrong]

    def _rules(self) -> t.Iterator[t.Tuple[t.Any, str]]:
        masters, tier, gone = self.masters, self.tier, self["gone"]
        yield (
            not NAME.fullmatch(self.name) or not self["endpoint_name"],
            f"{PREFIX}name is '{self.name}' and {PREFIX}endpoint_name is '{self['endpoint_name']}'; both have to be given, the first"
            " with 1 to 40 letters, digits, '.', '_', '/' or '-'.",
        )
        yield (
            self["endpoint_name"]
            and not _is_address(self["endpoint_name"])
            and not DNS_NAME.fullmatch(self["endpoint_name"]),
            f"{PREFIX}endpoint_name is '{self['endpoint_name']}'; it has to be a DNS name in lower case, such as api.example.com,"
            " without a port.",
        )
        yield (
            _ends_like(self["endpoint_name"], self["endpoint_port"]),
            f"{PREFIX}endpoint_name is '{self['endpoint_name']}', which ends like {PREFIX}endpoint_port; write the address alone, and"
            " where it does end so, all of its eight groups.",
        )
        version = VERSION.fullmatch(self["kubernetes_version"])
        yield (
            not version or int(version[1]) < OLDEST_VERSION,
            f"{PREFIX}kubernetes_version is '{self['kubernetes_version']}'; it has to be a whole version from 1.{OLDEST_VERSION}.0 on,"
            " such as 1.33.13.",
        )
        strange = [name for name in gone if name not in self.inventory]
        yield strange, f"{PREFIX}gone has {', '.join(strange)}, which the inventory does not have; it has to name machines of it."
        yield (
            len(masters) % 2 == 0 and not (gone and masters),
            f"The group '{self['masters_group']}' has {len(masters)} hosts; etcd needs an odd number of masters, 3 as a rule.",
        )
        yield (
            self.topology.proxies_on == LOAD_BALANCERS and len(tier) < 2 and not (gone and tier),
            f"The group '{self['lb_group']}' has {len(tier)} hosts; the topology {self['topology']} needs 2 or more, or the only one is"
            " a single point of failure.",
        )
        both = [machine.name for machine in masters if machine in self.load_balancers]
        yield (
            both,
            f"{', '.join(both)} is in both groups, '{self['masters_group']}' and '{self['lb_group']}'; a backend of the SLB cannot use"
            " the SLB, so a master may not be one.",
        )
        without = [machine.name for machine in self.machines if not machine.address]
        yield (
            without,
            f"{', '.join(without)} has no variable {self['address_variable']} in the inventory; it has to hold the private address in"
            " the VPC.",
        )
        yield (
            self.topology.open_to_the_internet and not self["allow"],
            f"{PREFIX}topology is {self['topology']}, but {PREFIX}allow is empty; it has to list the networks of administrators, and the"
            " addresses by which the cluster's own machines leave the VPC.",
        )
        yield (
            self["hairpin_cure"] != "none" and not self.topology.hairpin,
            f"{PREFIX}hairpin_cure is {self['hairpin_cure']}, which only the topology private_direct takes; set it to none.",
        )
        yield (
            self.topology.proxies_on == NODES and self["endpoint_port"] == self["port"],
            f"{PREFIX}endpoint_port is {self['endpoint_port']}, the port of the apiservers; with the topology {self['topology']} both are"
            " on the same machine, so take another one, such as 7443.",
        )
        for option in ("endpoint_port", "port", "haproxy_port", "haproxy_health_port"):
            yield not 1 <= self[
                option
            ] <= 65535, f"{PREFIX}{option} is {self[option]}; a port is a number from 1 to 65535."

    # The cloud

    @property
    def backend_port(self) -> int:
        return int(self["haproxy_port"] if self.through_tier else self["port"])

    def document(self) -> t.Optional[Document]:
        """The options of slb_frontend; none where there is no load balancer of ours."""
        if self.topology.address_type is None:
            return None
        group = "haproxy" if self.through_tier else "apiserver"
        clients = f"{self.name.replace('/', '-')}-clients"
        check = {
            "enabled": True,
            "type": "tcp",
            "interval": 1,
            "timeout": 1,
            "healthy_threshold": 2,
            "unhealthy_threshold": 2,
        }
        if self.through_tier:
            # through the readiness port of the tier the SLB sees whether a master is ready; a check over TLS it does not have
            check.update(
                {
                    "type": "http",
                    "connect_port": self["haproxy_health_port"],
                    "uri": "/readyz",
                    "http_codes": ["http_2xx"],
                }
            )
        listener = {
            "port": self["endpoint_port"],
            "protocol": "tcp",
            "server_group": group,
            "health_check": {**check, **self["health_check"]},
        }
        if self["allow"]:
            listener["access_list"] = {"lists": [clients], "type": "white"}
        backends = [{"private_ip": machine.address, "port": self.backend_port} for machine in self.backends]
        return {
            "name": self.name,
            "load_balancer": {"address_type": self.topology.address_type, **self["load_balancer"]},
            "server_groups": [{"name": group, "backends": backends}],
            "listeners": [listener],
            "access_lists": (
                [{"name": clients, "entries": [{"cidr": network} for network in self["allow"]]}]
                if self["allow"]
                else []
            ),
        }

    def openings(self) -> t.List[t.Dict[str, t.Any]]:
        """The ports that security groups have to let in: health checks, and at layer 4 clients with their own address."""
        behind = [machine.address for machine in self.backends]
        ports = [self["haproxy_port"], self["haproxy_health_port"]] if self.through_tier else [self["port"]]
        others = [machine.address for machine in self.machines if machine.address not in behind]
        found = [{"servers": behind, "ports": ports, "sources": [HEALTH_CHECKS, *others]}]
        if self.through_tier:
            masters = [machine.address for machine in self.masters]
            found.append({"servers": masters, "ports": [self["port"]], "sources": behind})
        return found if self.topology.address_type else []

    # The machines

    def proxy(self) -> t.Dict[str, t.Any]:
        """The inputs of the role of a proxy, without its prefix; the same on each machine."""
        on_nodes = self.topology.proxies_on == NODES
        address = "127.0.0.1" if on_nodes else ""
        return {
            "program": self.program,
            "ca_path": f"/etc/{self.program}/kubernetes-ca.crt",
            "backends": [machine.as_dict() for machine in self.masters],
            "backend_port": self["port"],
            "bind_address": address,
            "bind_port": self["endpoint_port"] if on_nodes else self["haproxy_port"],
            "health_address": address,
            "health_port": self["haproxy_health_port"],
        }

    def endpoint_inputs(self) -> t.Dict[str, t.Any]:
        """The inputs of the role kubeadm_endpoint, without its prefix, but for those that differ between machines."""
        return {
            "topology": self["topology"],
            "hairpin_cure": self["hairpin_cure"],
            "name": self["endpoint_name"],
            "port": self["endpoint_port"],
            "kubernetes_version": self["kubernetes_version"],
            "masters": [machine.as_dict() for machine in self.masters],
            "load_balancers": [machine.as_dict() for machine in self.tier],
            "workers": [machine.as_dict() for machine in self.by_role["workers"]],
            "apiserver_port": self["port"],
            "load_balancer_port": self["haproxy_port"],
        }

    def address(self, at_cloud: t.Optional[str]) -> t.Optional[str]:
        """The address that the endpoint's name leads to: "" where DNS alone knows it, None where nobody knows it yet."""
        return at_cloud or None if self.topology.address_type else str(self["endpoint_address"])

    def roles_on(self, name: str) -> t.List[str]:
        """The roles that are run on a machine."""
        return ["kubeadm_endpoint"] + ([self.program] if any(machine.name == name for machine in self.proxies) else [])

    def part(self, name: str) -> t.Dict[str, t.Any]:
        """The part that one machine has in the front end."""

        def among(machines: t.Sequence[Machine]) -> bool:
            return any(machine.name == name for machine in machines)

        node = among(self.nodes)
        return {
            "front_end": self.name,
            "own_address": next((machine.address for machine in self.machines if machine.name == name), ""),
            "master": among(self.masters),
            "node": node,
            "proxy": among(self.proxies),
            # a backend of the SLB never reaches it, and the tier has nothing to ask for
            "asks": not among(self.tier),
            "local_address": "127.0.0.1" if node and self.topology.name_leads_to == LOOPBACK else "",
        }

    def report(self) -> t.Dict[str, t.Any]:
        """The front end as report_frontend and remove_frontend see it."""
        tier = [machine.name for machine in self.tier]
        return {
            "name": self.name,
            "endpoint": self.endpoint,
            "lock_directory": self["lock_directory"],
            "slb": self.topology.address_type is not None,
            "load_balancer": {key: value for key, value in self["load_balancer"].items() if key in ("id", "name")},
            "address_variable": self["address_variable"],
            "nodes": [machine.name for machine in self.machines],
            "servers": [machine.name for machine in self.masters],
            "load_balancers": tier,
            "backends": [machine.name for machine in self.backends],
            "masters": [machine.name for machine in self.masters],
            "master_port": self["port"],
            "haproxies": tier,
            "targets": self.targets(),
            # this cure leads masters to another one while kubeadm runs, and no longer
            "accepted": ["hairpin"] if self["hairpin_cure"] == "hosts_init" else [],
        }

    def targets(self) -> t.List[t.Dict[str, t.Any]]:
        """The targets of a report: the endpoint first, then the tier with its readiness, then every apiserver."""
        ready = {"tls": True, "path": "/readyz"}
        found = [{"name": "endpoint", "host": self["endpoint_name"], "port": self["endpoint_port"], **ready}]
        for machine in self.tier:
            found.append({"name": machine.name, "host": machine.address, "port": self["haproxy_port"], **ready})
            found.append(
                {
                    "name": f"{machine.name}/ready",
                    "host": machine.address,
                    "port": self["haproxy_health_port"],
                    "path": "/readyz",
                }
            )
        found += [
            {"name": machine.name, "host": machine.address, "port": self["port"], **ready} for machine in self.masters
        ]
        return found


def _once(machines: t.Sequence[Machine]) -> t.List[Machine]:
    return list(dict.fromkeys(machines))


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _ends_like(address: str, port: int) -> bool:
    """True for an IPv6 address that is not written out and ends like a port, which somebody may have meant."""
    return _is_address(address) and 1 < address.count(":") < 7 and address.rpartition(":")[2] == str(port)
