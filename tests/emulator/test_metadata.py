# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The metadata service and the API inside a VPC, from inside machines, with the official libraries."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from emulator_harness import KEY, Emulator, Slb, inventory, missing_for_namespaces
from machines import Machine
from Tea.exceptions import TeaException

from slb_emulator.config import AccessKey
from slb_emulator.errors import ApiError
from slb_emulator.role_keys import RoleKeys

SANDBOX = "cfha-utm"
ROLE = "kubernetes-masters"
EIP = "203.0.113.9"
METADATA, API = "http://100.100.100.200", "100.100.0.80"
TTL, TOKEN = "X-aliyun-ecs-metadata-token-ttl-seconds", "X-aliyun-ecs-metadata-token"
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    reason = missing_for_namespaces()
    if reason:
        pytest.skip(f"NOT TESTED: {reason}")
    parts = [
        inventory({"one": "192.0.2.11", "bare": "192.0.2.12"}, name="lab"),
        inventory({"other": "192.0.2.11"}, name="twin"),
    ]
    parts[0]["machines"][0].update(ram_role=ROLE, eip=EIP)
    emulator = Emulator(tmp_path_factory.mktemp("metadata"), data_plane="nft", sandbox=SANDBOX)
    try:
        emulator.start()
        emulator.control("PUT", "inventory", {kind: parts[0][kind] + parts[1][kind] for kind in parts[0]})
        yield emulator
    finally:
        emulator.remove()


@pytest.fixture
def emulator_inside(lab: Emulator) -> Iterator[Emulator]:
    yield lab
    defaults = {name: switch["default"] for name, switch in lab.control("GET", "switches").items()}
    lab.control("PUT", "switches", defaults)


@pytest.fixture
def machine(emulator_inside: Emulator) -> Iterator[Callable[[str], Machine]]:
    made: list[Machine] = []

    def enter(name: str) -> Machine:
        made.append(Machine(name, sandbox=SANDBOX))
        return made[-1]

    yield enter
    for entered in made:
        entered.close()


def asked(machine: Machine, path: str, method: str = "GET", **headers: str) -> tuple[int, str]:
    """Status and text of an answer of the metadata service; in names of headers _ is -."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(f"{METADATA}/{path}", method=method, headers=named)

    def ask() -> tuple[int, str]:
        try:
            with _OPENER.open(request, timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    return machine.call(ask)


def item(machine: Machine, name: str) -> str:
    status, text = asked(machine, f"latest/meta-data/{name}")
    assert status == 200, text
    return text


def keys_inside(machine: Machine, **options: Any) -> dict[str, str]:
    """What the official credentials library gets in a machine."""
    from alibabacloud_credentials.provider import EcsRamRoleCredentialsProvider

    def fetch() -> dict[str, str]:
        found = EcsRamRoleCredentialsProvider(async_update_enabled=False, **options).get_credentials()
        return {
            "access_key_id": found.get_access_key_id(),
            "access_key_secret": found.get_access_key_secret(),
            "security_token": found.get_security_token(),
        }

    return machine.call(fetch)


def test_every_machine_learns_who_it_is(machine: Callable[[str], Machine]) -> None:
    one, other = machine("one"), machine("other")
    assert {name: item(one, name) for name in ("instance-id", "region-id", "zone-id", "vpc-id", "vswitch-id")} == {
        "instance-id": "i-ut-one",
        "region-id": "cn-hangzhou",
        "zone-id": "cn-hangzhou-i",
        "vpc-id": "vpc-ut-lab",
        "vswitch-id": "vsw-ut-lab",
    }
    assert (item(one, "private-ipv4"), item(one, "eipv4")) == ("192.0.2.11", EIP)
    # the same address in another VPC is somebody else
    assert (item(other, "private-ipv4"), item(other, "instance-id")) == ("192.0.2.11", "i-ut-other")
    mac = item(one, "mac")
    assert item(one, f"network/interfaces/macs/{mac}/private-ipv4s") == '["192.0.2.11"]'
    identity = json.loads(asked(one, "latest/dynamic/instance-identity/document")[1])
    assert identity["instance-id"] == "i-ut-one" and identity["mac"] == mac


def test_the_mac_is_that_of_the_machine(machine: Callable[[str], Machine]) -> None:
    from slb_emulator.network import Namespace

    space = Namespace(f"{SANDBOX}-one")
    try:
        links = space.ip_json("link", "show", "dev", "eth0")
    finally:
        space.close()
    assert item(machine("one"), "mac") == links[0]["address"]


def test_what_there_is_can_be_listed(machine: Callable[[str], Machine]) -> None:
    one, bare = machine("one"), machine("bare")
    assert asked(one, "latest/") == (200, "dynamic/\nmeta-data/")
    assert {"instance-id", "ram/", "network/"} <= set(item(one, "").split("\n"))
    assert item(one, "ram/security-credentials/") == ROLE
    for path in ("ram/security-credentials/", f"ram/security-credentials/{ROLE}", "eipv4", "nothing"):
        assert asked(bare, f"latest/meta-data/{path}")[0] == 404
    assert "ram/" not in item(bare, "").split("\n")


def test_tokens(machine: Callable[[str], Machine], emulator_inside: Emulator) -> None:
    one, bare = machine("one"), machine("bare")
    status, token = asked(one, "latest/api/token", "PUT", **{TTL: "21600"})
    assert status == 200
    path = "latest/meta-data/instance-id"
    assert asked(one, path, **{TOKEN: token}) == (200, "i-ut-one")
    for ttl in ("0", "21601", "", "x"):
        assert asked(one, "latest/api/token", "PUT", **{TTL: ttl})[0] == 400
    assert asked(one, "latest/api/token", "PUT", **{TTL: "60", "X-Forwarded-For": "192.0.2.99"})[0] == 403
    # a wrong one, one of another machine, and one that is over
    assert asked(one, path, **{TOKEN: "x"})[0] == asked(bare, path, **{TOKEN: token})[0] == 401
    dummy, short = asked(one, "latest/api/token", "PUT", **{TTL: "1"})
    time.sleep(1.1)
    assert asked(one, path, **{TOKEN: short})[0] == 401
    # without any
    assert asked(one, path) == (200, "i-ut-one")
    emulator_inside.control("PUT", "switches", {"metadata_tokens": "required"})
    assert asked(one, path)[0] == 403
    assert asked(one, path, **{TOKEN: token}) == (200, "i-ut-one")


@pytest.mark.parametrize("mode", ["optional", "required"])
def test_the_official_libraries_work_inside_a_machine(
    machine: Callable[[str], Machine], emulator_inside: Emulator, mode: str
) -> None:
    emulator_inside.control("PUT", "switches", {"metadata_tokens": mode})
    one = machine("one")
    found = keys_inside(one, disable_imds_v1=mode == "required")

    def call() -> tuple[int, str, str]:
        slb = Slb(API, **found)
        made = slb("CreateLoadBalancer", InstanceChargeType="PayByCLCU", VSwitchId="vsw-ut-lab")
        listed = slb("DescribeLoadBalancers", LoadBalancerId=made["LoadBalancerId"])["TotalCount"]
        slb("DeleteLoadBalancer", LoadBalancerId=made["LoadBalancerId"])
        return listed, slb.ecs()["Instances"]["Instance"][0]["InstanceId"], found["access_key_id"]

    assert one.call(call) == (1, "i-ut-one", found["access_key_id"])
    assert found["access_key_id"].startswith("STS.") and ROLE in found["access_key_id"]
    # the same key from outside, as it is no key of an address; and a static key inside
    assert Slb(emulator_inside.address, **found)("DescribeRegions")["Regions"]["Region"]
    assert one.call(lambda: Slb(API)("DescribeRegions"))["Regions"]["Region"]


def test_a_key_needs_its_token_and_its_secret(machine: Callable[[str], Machine], emulator_inside: Emulator) -> None:
    found = keys_inside(machine("one"), role_name=ROLE)
    end = int(found["access_key_id"].split(".")[1])
    for wrong, code in (
        ({"security_token": None}, "InvalidSecurityToken.MismatchWithAccessKey"),
        ({"access_key_secret": KEY["access_key_secret"]}, "SignatureDoesNotMatch"),
        # nobody makes up a key that lives longer
        ({"access_key_id": found["access_key_id"].replace(str(end), str(end + 1))}, "InvalidSecurityToken"),
    ):
        with pytest.raises(TeaException) as caught:
            Slb(emulator_inside.address, **{**found, **wrong})("DescribeRegions")
        assert caught.value.code.startswith(code)


def test_keys_expire_and_are_renewed(machine: Callable[[str], Machine], emulator_inside: Emulator) -> None:
    emulator_inside.control("PUT", "switches", {"role_key_seconds": 4})
    one = machine("one")
    first = keys_inside(one)
    assert Slb(emulator_inside.address, **first)("DescribeRegions")
    time.sleep(4.1)
    assert Slb(emulator_inside.address, **first).code("DescribeRegions") == ("InvalidSecurityToken.Expired", 400)
    second = keys_inside(one)
    assert second["access_key_id"] != first["access_key_id"]
    assert Slb(emulator_inside.address, **second)("DescribeRegions")


def test_inside_goes_on_after_a_restart(machine: Callable[[str], Machine], emulator_inside: Emulator) -> None:
    one = machine("one")
    found, token = keys_inside(one), asked(one, "latest/api/token", "PUT", **{TTL: "60"})[1]
    emulator_inside.stop()
    emulator_inside.start()
    assert asked(one, "latest/meta-data/instance-id", **{TOKEN: token}) == (200, "i-ut-one")
    assert one.call(lambda: Slb(API, **found)("DescribeRegions"))["Regions"]["Region"]


def test_the_control_interface_is_not_inside(machine: Callable[[str], Machine]) -> None:
    def ask() -> int:
        try:
            with _OPENER.open(f"http://{API}/_emu/status", timeout=5) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code

    assert machine("one").call(ask) == 404


def test_a_key_lasts_well_beyond_the_moment_it_is_given_out() -> None:
    keys = RoleKeys("ut", [AccessKey("a", "b")])
    for now in range(1_800_000_000, 1_800_030_000, 97):
        issued = keys.issue("role", "i-1", 21600.0, float(now))
        assert issued.issued_at <= now and 1800 <= issued.expires_at - now <= 21600
        assert keys.find(issued.key.access_key_id, now) == issued.key
        with pytest.raises(ApiError):
            keys.find(issued.key.access_key_id, issued.expires_at)
    # another sandbox has other secrets
    assert RoleKeys("ut", []).find(issued.key.access_key_id, now) != issued.key
    assert keys.find("STS.x.i-1.role", now) is keys.find("LTAI", now) is None
