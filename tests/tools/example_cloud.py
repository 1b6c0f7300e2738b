# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The cloud that the examples of the modules presuppose, and modules run in this process against it."""

from __future__ import annotations

import contextlib
import copy
import importlib
import io
import json
import pathlib
import re
import sys
import typing as t

import pytest
import yaml
from ansible.module_utils.common import warnings
from ansible.module_utils.testing import patch_module_args

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "emulator"))

import catalogue  # noqa: E402
import certificates  # noqa: E402
from emulator_harness import KEY, REGION, Emulator  # noqa: E402

VPC = {
    "name": "example",
    "vpc_id": "vpc-example",
    "cidr": "192.0.2.0/24",
    "gateway": "192.0.2.253",
    "vswitches": [{"vswitch_id": "vsw-example", "zone_id": "cn-hangzhou-i", "cidr": "192.0.2.0/24"}],
}


def group(name: str, *addresses: str) -> dict[str, t.Any]:
    """A server group as slb_frontend takes it."""
    return {"name": name, "backends": [{"private_ip": address, "port": 53} for address in addresses]}


PRIVATE = {"address_type": "intranet", "vpc_id": "vpc-example", "vswitch_id": "vsw-example"}
#: The load balancers that examples talk of, as documents of slb_frontend; the first is the one that all parts belong to.
FRONT_ENDS: list[dict[str, t.Any]] = [
    {
        **catalogue.module_options("slb_frontend")[0],
        "access_lists": [{"name": "office", "entries": [{"cidr": "192.0.2.0/24"}]}],
        "default_pool": {"backends": [{"server_id": "i-example1"}]},
    },
    {
        "name": "prod-old",
        "load_balancer": {
            "address_type": "internet",
            "instance_charge_type": "PayBySpec",
            "spec": "slb.s1.small",
            "internet_charge_type": "paybytraffic",
        },
    },
    {
        "name": "prod-dns",
        "load_balancer": PRIVATE,
        "server_groups": [group("resolvers", "192.0.2.21", "192.0.2.22")],
        "listeners": [
            {"port": 53, "protocol": "tcp", "server_group": "resolvers"},
            {"port": 53, "protocol": "udp", "server_group": "resolvers"},
        ],
    },
    {"name": "prod-logs", "load_balancer": PRIVATE, "server_groups": [group("collectors", "192.0.2.21")]},
    {
        "name": "prod-data",
        "load_balancer": PRIVATE,
        "failover_groups": [
            {
                "name": "database",
                "primary": {"server_name": "proxy-1", "port": 5432},
                "standby": {"server_name": "proxy-2", "port": 5432},
            }
        ],
    },
    {
        "name": "prod-web",
        "load_balancer": PRIVATE,
        "server_groups": [group(name, "192.0.2.21") for name in ("web", "api", "static")],
        "certificates": [{"name": name, **certificates.pair(f"{name}.example.com", name)} for name in ("www", "api")],
        "listeners": [
            {"port": port, "protocol": "https", "server_group": "web", "certificate": "www"} for port in (443, 8443)
        ],
    },
    # beside what the first one of this name has
    {
        "name": "prod-api",
        "server_groups": [
            {
                "name": "web",
                "backends": [{"private_ip": "192.0.2.11", "port": 80}, {"server_name": "web-1", "port": 80}],
            }
        ],
    },
]
#: What a module of one kind makes itself is not there when its examples begin, nor is what needs it.
MADE_BY: dict[str, tuple[str, ...]] = {
    "slb_listener": ("listeners",),
    "slb_acl": ("access_lists",),
    "slb_server_group": ("listeners", "server_groups"),
    "slb_failover_group": ("failover_groups",),
}
#: Files that examples name, and what is in them.
FILES_AT = "/etc/ssl/example/"
FILES = {
    "ca.pem": certificates.authority(),
    **{
        f"{which}-{part}.pem": pair[key]
        for which, pair in (
            ("www", certificates.pair("www.example.com", "www")),
            ("www-new", certificates.pair("www.example.com", "www-new")),
            ("api", certificates.pair("api.example.com", "api")),
        )
        for part, key in (("chain", "certificate"), ("key", "private_key"))
    },
}
#: The load balancers that a module's own examples make.
WHOLE: dict[str, set[str]] = {
    "slb_frontend": {"prod-api", "prod-dns", "prod-data", "prod-web"},
    "slb_instance": {"prod-api"},
}
#: Ids that examples use, and where the real one is: the info module, its options, the list in its answer.
IDS = {
    "lb-example": ("slb_instance_info", {"name": "prod-api"}, "load_balancers"),
    "acl-example": ("slb_acl_info", {"name": "office"}, "acls"),
    "rsp-example": ("slb_server_group_info", {"load_balancer": "prod-api"}, "server_groups"),
}


#: A network interface that an example names beside its second address.
INTERFACE = {"eni_id": "eni-example", "private_ip": "192.0.2.30", "secondary_ips": ["192.0.2.31"]}
#: Servers that an example removes although ECS does not know them any more.
RELEASED = {"i-released"}


def machines() -> list[dict[str, t.Any]]:
    """A server for every private address, name and server id that an example of a module has, in the order of their addresses."""
    options = [options for name in catalogue.CLOUD_MODULES for options in catalogue.module_options(name)]
    text = yaml.safe_dump(options)

    def found(pattern: str) -> list[str]:
        return sorted(set(re.findall(pattern, text, re.MULTILINE)))

    # single addresses only; networks and comments have other keys
    addresses = [ip for ip in found(r"private_ip: (192\.0\.2\.\d+)$") if ip not in INTERFACE["secondary_ips"]]
    free = (f"192.0.2.{number}" for number in range(150, 250))
    known = (
        [(f"machine-{ip.rpartition('.')[2]}", f"i-{ip.replace('.', '-')}", ip) for ip in addresses]
        + [(server, server, next(free)) for server in found(r"\bi-[\w-]+") if server not in RELEASED]
        + [(name, f"i-{name}", next(free)) for name in found(r"server_name: ([\w-]+)$")]
    )
    return [
        {
            "name": name,
            "instance_id": server,
            "private_ip": address,
            "vpc": "example",
            "vswitch_id": "vsw-example",
            "tags": {"role": "web"} if name.startswith("web-") else {},
            "interfaces": [INTERFACE] if name == "web-1" else [],
        }
        for name, server, address in known
    ]


class World:
    """The emulated cloud as the examples presuppose it, and modules run in this process against it."""

    def __init__(self, emulator: Emulator) -> None:
        self.emulator = emulator
        endpoint = f"http://{emulator.address}"
        self.connection = {**KEY, "region": REGION, "slb_endpoint": endpoint, "ecs_endpoint": endpoint}
        self._ids: dict[str, str] = {}
        self._files = emulator.directory / "ssl"
        self._files.mkdir(exist_ok=True)
        for name, text in FILES.items():
            (self._files / name).write_text(text)

    def with_files(self, text: str) -> str:
        """A text of examples that names files as they are here."""
        return text.replace(FILES_AT, f"{self._files}/")

    def prepare(self, module: str) -> None:
        """Everything that the examples of a module need, and nothing that they make themselves."""
        self.emulator.control("POST", "reset")
        self._ids.clear()
        self.emulator.control("PUT", "inventory", {"vpcs": [VPC], "machines": machines()})
        for document in FRONT_ENDS:
            if document["name"] in WHOLE.get(module, ()):
                continue
            kept = {key: value for key, value in document.items() if key not in MADE_BY.get(module, ())}
            made = self.call("slb_frontend", {**kept, **self.connection})
            assert not made.get("failed"), made["msg"]
        self.emulator.control("DELETE", "requests")

    def call(self, name: str, options: t.Mapping[str, t.Any], check_mode: bool = False) -> dict[str, t.Any]:
        """Run a module in this process, by the way that Ansible's own tests take; whatever it raises is raised."""
        return call(name, options, check_mode)

    def with_ids(self, examples: t.Iterable[t.Mapping[str, t.Any]]) -> list[dict[str, t.Any]]:
        """Options of examples, with the ids of what the cloud has."""
        text = self.with_files(json.dumps(list(examples)))
        for written in (identifier for identifier in IDS if identifier in text):
            if written not in self._ids:
                module, options, listed = IDS[written]
                found = self.call(module, {**options, **self.connection})[listed]
                self._ids[written] = found[0]["id"] if found else written
            text = text.replace(written, self._ids[written])
        return t.cast("list[dict[str, t.Any]]", json.loads(text))

    @property
    def writes(self) -> int:
        return int(self.emulator.control("GET", "requests")["writes"])

    def forget(self) -> None:
        self.emulator.control("DELETE", "requests")


def call(name: str, options: t.Mapping[str, t.Any], check_mode: bool = False) -> dict[str, t.Any]:
    """Run a module's main() with options and return its answer."""
    module = importlib.import_module(f"{catalogue.PACKAGE}.{name}")
    answer = io.StringIO()
    # a process of its own would begin without the warnings of the module before
    warnings._global_warnings.clear()
    arguments = {**copy.deepcopy(dict(options)), "_ansible_check_mode": check_mode, "_ansible_diff": True}
    with patch_module_args(arguments), contextlib.redirect_stdout(answer), pytest.raises(SystemExit):
        module.main()
    return t.cast("dict[str, t.Any]", json.loads(answer.getvalue()))
