# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The emulator as a process of its own, spoken to by the official SDK, and machines that are bare namespaces."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PORT = 6443
PACKAGE = Path(__file__).parents[2] / "roles" / "slb_emulator" / "files"
REGION = "cn-hangzhou"
KEY = {"access_key_id": "ut-key", "access_key_secret": "ut-secret"}
SERVER = Path(__file__).parent / "machine_server.py"
#: The namespaces of tests that run side by side have names of their own.
SANDBOX = f"cfha-ut{os.environ.get('PYTEST_XDIST_WORKER', '').removeprefix('gw')}"
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def inventory(names: dict[str, str], **vpc: Any) -> dict[str, Any]:
    """Machines by name and address, in one VPC."""
    name = vpc.pop("name", "lab")
    return {
        "vpcs": [
            {
                "name": name,
                "vpc_id": f"vpc-ut-{name}",
                "cidr": "192.0.2.0/24",
                "gateway": "192.0.2.253",
                "vswitches": [{"vswitch_id": f"vsw-ut-{name}", "zone_id": "cn-hangzhou-i", "cidr": "192.0.2.0/24"}],
                **vpc,
            }
        ],
        "machines": [
            {
                "name": machine,
                "instance_id": f"i-ut-{machine}",
                "private_ip": address,
                "vpc": name,
                "vswitch_id": f"vsw-ut-{name}",
            }
            for machine, address in names.items()
        ],
    }


class Emulator:
    """One process; its directory survives a restart."""

    def __init__(self, directory: Path, **config: Any) -> None:
        self.directory = directory
        self.config = {
            "directory": str(directory),
            "sandbox": SANDBOX,
            "port": 0,
            "data_plane": "none",
            "access_keys": [KEY],
            **config,
        }
        self.address = ""
        self._process: subprocess.Popen[str] | None = None

    @property
    def config_file(self) -> Path:
        return self.directory / "config.json"

    def start(self) -> None:
        self.config_file.write_text(json.dumps(self.config))
        self._process = subprocess.Popen(
            [sys.executable, "-B", "-m", "slb_emulator", "--config", str(self.config_file)],
            cwd=PACKAGE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line.startswith("listening on "), f"the emulator did not start:\n{self.log()}"
        self.address = line.removeprefix("listening on ").strip()

    def log(self) -> str:
        path = self.directory / "emulator.log"
        return path.read_text() if path.exists() else ""

    def ended(self, timeout: float = 10) -> int:
        assert self._process is not None
        return self._process.wait(timeout)

    def stop(self, kill: bool = False) -> None:
        if self._process is not None:
            (self._process.kill if kill else self._process.terminate)()
            self._process.wait(10)
            self._process = None

    def remove(self) -> None:
        """Whatever happened before: nothing is left afterwards."""
        self.stop()
        subprocess.run(
            [sys.executable, "-B", "-m", "slb_emulator", "--config", str(self.config_file), "remove"],
            cwd=PACKAGE,
            check=True,
            stdout=subprocess.DEVNULL,
        )

    def control(self, method: str, path: str, body: Any = None) -> Any:
        request = urllib.request.Request(
            f"http://{self.address}/_emu/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with _OPENER.open(request, timeout=15) as answer:
            return json.load(answer)

    def wait(self) -> None:
        assert self.control("POST", "wait", {"timeout": 10})["applied"]


class Slb:
    """The SDK's client; an operation by its name, its parameters by the SDK's names, the answer as plain data."""

    def __init__(self, address: str, region: str = REGION, **config: Any) -> None:
        from alibabacloud_slb20140515.client import Client
        from alibabacloud_tea_openapi.utils_models import Config

        values = {**KEY, "region_id": region, "endpoint": address, "protocol": "http", **config}
        self.client = Client(Config(**values))
        self.region = region

    def __call__(self, action: str, **parameters: Any) -> dict[str, Any]:
        from alibabacloud_slb20140515 import models

        request = getattr(models, f"{action}Request")()
        request.from_map({"RegionId": self.region, **parameters})
        method = next(name for name in dir(self.client) if name.replace("_", "") == action.lower())
        body: dict[str, Any] = getattr(self.client, method)(request).body.to_map()
        return body

    def ecs(self, action: str = "DescribeInstances", **query: Any) -> dict[str, Any]:
        """An operation of ECS, by the generic call of the same client."""
        from alibabacloud_tea_openapi import utils_models
        from darabonba.runtime import RuntimeOptions

        parameters = utils_models.Params(
            action=action,
            version="2014-05-26",
            protocol="HTTP",
            pathname="/",
            method="POST",
            auth_type="AK",
            style="RPC",
            req_body_type="formData",
            body_type="json",
        )
        request = utils_models.OpenApiRequest(query={"RegionId": self.region, **query})
        body: dict[str, Any] = self.client.call_api(parameters, request, RuntimeOptions())["body"]
        return body

    def code(self, action: str, **parameters: Any) -> tuple[str, int]:
        """Code and HTTP status of the error that the call must end with."""
        from Tea.exceptions import TeaException

        with pytest.raises(TeaException) as caught:
            self(action, **parameters)
        error: Any = caught.value
        return error.code, error.status_code


NAT = "203.0.113.2"
MACHINES = {"web-1": "192.0.2.11", "web-2": "192.0.2.12", "web-3": "192.0.2.13", "client-1": "192.0.2.31"}


def missing_for_namespaces() -> str:
    """Why the data plane can't be tried on this machine; empty where it can."""
    if os.geteuid():
        return "the data plane needs root"
    absent = [program for program in ("ip", "nft") if shutil.which(program) is None]
    return f"the data plane needs {' and '.join(absent)}" if absent else ""


class Network:
    """An emulator with its data plane, and servers in its machines."""

    def __init__(self, emulator: Emulator) -> None:
        self.emulator = emulator
        self.slb = Slb(emulator.address)
        self._servers: dict[str, subprocess.Popen[bytes]] = {}

    def serve(self, machine: str, port: int = 8080, *options: str) -> None:
        """A server that names itself and the client, and then gives back what it gets."""
        process = subprocess.Popen(
            [
                "ip",
                "netns",
                "exec",
                f"{self.emulator.config['sandbox']}-{machine}",
                sys.executable,
                "-SB",
                str(SERVER),
                machine,
                str(port),
                *options,
            ],
            stdout=subprocess.PIPE,
        )
        self._servers[f"{machine}:{port}"] = process
        assert process.stdout is not None and process.stdout.readline() == b"ready\n"

    def kill(self, machine: str, port: int = 8080) -> None:
        process = self._servers.pop(f"{machine}:{port}")
        process.kill()
        process.wait()

    def kill_all(self) -> None:
        for name in list(self._servers):
            self.kill(*name.split(":")[:1], int(name.split(":")[1]))

    def front(self, weights: dict[str, int], port: int = 6443, backend_port: int = 8080, **options: Any) -> str:
        """An instance with a group and a listener that is started; says the instance's address."""
        made = self.slb("CreateLoadBalancer", VSwitchId="vsw-ut-lab", InstanceChargeType="PayByCLCU")
        self.balancer = made["LoadBalancerId"]
        self.group = self.slb(
            "CreateVServerGroup",
            LoadBalancerId=self.balancer,
            BackendServers=json.dumps(
                [
                    {"ServerId": f"i-ut-{name}", "Port": backend_port, "Weight": weight}
                    for name, weight in weights.items()
                ]
            ),
        )["VServerGroupId"]
        self.slb(
            "CreateLoadBalancerTCPListener",
            **{
                "LoadBalancerId": self.balancer,
                "ListenerPort": port,
                "Bandwidth": -1,
                "VServerGroupId": self.group,
                "healthCheckInterval": 1,
                "HealthCheckConnectTimeout": 1,
                "HealthyThreshold": 2,
                "UnhealthyThreshold": 2,
                **options,
            },
        )
        self.slb("StartLoadBalancerListener", LoadBalancerId=self.balancer, ListenerPort=port, ListenerProtocol="tcp")
        self.emulator.wait()
        return str(made["Address"])

    def plant(self, protocol: str, weights: dict[str, int], port: int = PORT, ip: str = "ipv4", **settings: Any) -> str:
        """An instance with a listener that the API may not have an operation for: it is put into the state on disk."""
        where = {"AddressType": "internet", "AddressIPVersion": ip} if ip == "ipv6" else {"VSwitchId": "vsw-ut-lab"}
        made = self.slb("CreateLoadBalancer", InstanceChargeType="PayByCLCU", **where)
        self.balancer = made["LoadBalancerId"]
        servers = [{"ServerId": f"i-ut-{name}", "Port": 8080, "Weight": weight} for name, weight in weights.items()]
        self.group = self.slb("CreateVServerGroup", LoadBalancerId=self.balancer, BackendServers=json.dumps(servers))[
            "VServerGroupId"
        ]
        self.add(protocol, port, **settings)
        return str(made["Address"])

    def add(self, protocol: str, port: int = PORT, **settings: Any) -> None:
        """A running listener beside those that the instance has; a restart, which the others survive."""
        self.emulator.stop()
        path = self.emulator.directory / "state.json"
        state = json.loads(path.read_text())
        state["load_balancers"][self.balancer]["listeners"][f"{protocol}_{port}"] = {
            "port": port,
            "protocol": protocol,
            "status": "running",
            "settings": {
                "Scheduler": "wrr",
                "HealthCheck": "on",
                "HealthCheckInterval": 1,
                "HealthCheckConnectTimeout": 1,
                "HealthyThreshold": 2,
                "UnhealthyThreshold": 2,
                "VServerGroupId": self.group,
                "Description": "",
                **settings,
            },
        }
        path.write_text(json.dumps(state))
        self.emulator.start()
        self.slb = Slb(self.emulator.address)
        self.emulator.wait()

    def weigh(self, **weights: int) -> None:
        """Weights of servers of the group, web_1 for web-1."""
        servers = [
            {"ServerId": f"i-ut-{name.replace('_', '-')}", "Port": 8080, "Weight": weight}
            for name, weight in weights.items()
        ]
        self.slb("SetVServerGroupAttribute", VServerGroupId=self.group, BackendServers=json.dumps(servers))
        self.emulator.wait()

    def leave(self, name: str) -> None:
        """Take a server out of the group."""
        gone = json.dumps([{"ServerId": f"i-ut-{name}", "Port": 8080}])
        self.slb("RemoveVServerGroupBackendServers", VServerGroupId=self.group, BackendServers=gone)
        self.emulator.wait()

    def healthy(self, *names: str) -> None:
        """Wait until exactly these are normal, and served."""
        self.until(lambda: {name for name, state in self.health().items() if state == "normal"} == set(names), 8)
        self.emulator.wait()

    def health(self) -> dict[str, str]:
        found = self.slb("DescribeHealthStatus", LoadBalancerId=self.balancer)["BackendServers"]["BackendServer"]
        return {entry["ServerId"].removeprefix("i-ut-"): entry["ServerHealthStatus"] for entry in found}

    def until(self, condition: Callable[[], bool], timeout: float) -> float:
        """Seconds until it became true."""
        began = time.monotonic()
        while not condition():
            assert time.monotonic() - began < timeout, f"still not after {timeout} s"
            time.sleep(0.02)
        return time.monotonic() - began
