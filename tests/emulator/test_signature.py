# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is let in: both kinds of signatures, and everything that is wrong with one."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest
from emulator_harness import KEY, Emulator, Slb

from slb_emulator.config import AccessKey
from slb_emulator.errors import ApiError
from slb_emulator.role_keys import RoleKeys
from slb_emulator.signature import Verifier

TAGS = [{"Key": "k1", "Value": "a+b/~*&=% 中文"}, {"Key": "k 2", "Value": ""}]


@pytest.mark.parametrize("config", [{}, {"signature_algorithm": "v2"}])
def test_official_client_is_let_in(emulator: Emulator, config: dict[str, str]) -> None:
    slb = Slb(emulator.address, **config)
    made = slb(
        "CreateLoadBalancer",
        LoadBalancerName="api/1.0_x-y",
        VSwitchId="vsw-ut-lab",
        InstanceChargeType="PayByCLCU",
        Tag=TAGS,
    )
    found = slb("DescribeLoadBalancers", Tag=TAGS, PageNumber=1, PageSize=10)["LoadBalancers"]["LoadBalancer"]
    assert [balancer["LoadBalancerId"] for balancer in found] == [made["LoadBalancerId"]]
    assert {tag["TagKey"]: tag["TagValue"] for tag in found[0]["Tags"]["Tag"]} == {"k1": "a+b/~*&=% 中文", "k 2": ""}


@pytest.mark.parametrize("algorithm", [{}, {"signature_algorithm": "v2"}])
@pytest.mark.parametrize(
    ("key", "answer"),
    [
        ({"access_key_secret": "wrong"}, ("SignatureDoesNotMatch", 400)),
        ({"access_key_id": "nobody"}, ("InvalidAccessKeyId.NotFound", 404)),
        ({"security_token": "token"}, ("InvalidSecurityToken.MismatchWithAccessKey", 400)),
    ],
)
def test_wrong_keys(
    emulator: Emulator, key: dict[str, str], algorithm: dict[str, str], answer: tuple[str, int]
) -> None:
    assert Slb(emulator.address, **key, **algorithm).code("DescribeLoadBalancers") == answer
    assert emulator.control("GET", "requests")["log"][-1]["code"] == answer[0]


def test_temporary_keys_and_disabled_ones(own_emulator: Callable[..., Emulator]) -> None:
    emulator = own_emulator(
        access_keys=[
            {"access_key_id": "sts", "access_key_secret": "s", "security_token": "token"},
            {"access_key_id": "old", "access_key_secret": "s", "active": False},
        ]
    )
    key = {"access_key_id": "sts", "access_key_secret": "s"}
    assert Slb(emulator.address, **key, security_token="token")("DescribeRegions")
    assert Slb(emulator.address, **key).code("DescribeRegions")[0] == "InvalidSecurityToken.MismatchWithAccessKey"
    old = {"access_key_id": "old", "access_key_secret": "s"}
    assert Slb(emulator.address, **old).code("DescribeRegions") == ("InvalidAccessKeyId.Inactive", 400)


def test_without_verification_every_key_is_let_in(own_emulator: Callable[..., Emulator]) -> None:
    emulator = own_emulator(verify_signatures=False, access_keys=[])
    assert Slb(emulator.address)("DescribeRegions")


def test_no_signature_at_all(emulator: Emulator) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with pytest.raises(urllib.error.HTTPError) as caught:
        opener.open(f"http://{emulator.address}/?Action=DescribeRegions&Version=2014-05-15")
    assert (caught.value.code, b"MissingAccessKeyId" in caught.value.read()) == (400, True)


def signed(**changes: str) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """The headers of a request as the official client signs it, and its query."""
    from alibabacloud_tea_openapi.utils import Utils
    from darabonba.request import DaraRequest

    query = {"Action": "x", "RegionId": "cn-hangzhou", "LoadBalancerName": "a b+c"}
    request = DaraRequest()
    request.method, request.pathname, request.query = "POST", "/", query
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    request.headers = {
        "host": "127.0.0.1:1",
        "x-acs-action": "DescribeLoadBalancers",
        "x-acs-version": "2014-05-15",
        "x-acs-date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "x-acs-signature-nonce": "n1",
        "x-acs-content-sha256": empty,
        **changes,
    }
    authorization = Utils.get_authorization(
        request, "ACS3-HMAC-SHA256", empty, KEY["access_key_id"], KEY["access_key_secret"]
    )
    return {**request.headers, "authorization": authorization}, list(query.items())


def verdict(verifier: Verifier, headers: dict[str, str], query: Any, body: bytes = b"") -> str:
    try:
        verifier.verify("POST", "/", query, [], headers, body, time.time())
    except ApiError as error:
        return error.code
    return "let in"


@pytest.fixture
def verifier() -> Verifier:
    return Verifier([AccessKey(**KEY)], RoleKeys("ut", []))


def test_tampering(verifier: Verifier) -> None:
    headers, query = signed()
    assert verdict(verifier, headers, [*query, ("DeleteProtection", "off")]) == "SignatureDoesNotMatch"
    assert verdict(verifier, {**headers, "x-acs-action": "DeleteLoadBalancer"}, query) == "SignatureDoesNotMatch"
    assert verdict(verifier, headers, query, b"LoadBalancerId=other") == "SignatureDoesNotMatch"
    assert verdict(verifier, {**headers, "authorization": "Bearer x"}, query) == "IncompleteSignature"
    bare = headers["authorization"].replace("x-acs-action;", "")
    assert verdict(verifier, {**headers, "authorization": bare}, query) == "IncompleteSignature"
    assert verdict(verifier, headers, query) == "let in"


def test_replay(verifier: Verifier) -> None:
    headers, query = signed()
    assert verdict(verifier, headers, query) == "let in"
    assert verdict(verifier, headers, query) == "SignatureNonceUsed"
    again, query = signed(**{"x-acs-signature-nonce": "n2"})
    assert verdict(verifier, again, query) == "let in"


@pytest.mark.parametrize(
    ("offset", "answer"),
    [(-1800, "InvalidTimeStamp.Expired"), (1800, "InvalidTimeStamp.Expired"), (-840, "let in"), (840, "let in")],
)
def test_dates(verifier: Verifier, offset: int, answer: str) -> None:
    date = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + offset))
    assert verdict(verifier, *signed(**{"x-acs-date": date})) == answer


def test_a_date_that_is_none(verifier: Verifier) -> None:
    assert verdict(verifier, *signed(**{"x-acs-date": "yesterday"})) == "InvalidTimeStamp.Format"


def test_nothing_secret_in_log_and_requests(emulator: Emulator) -> None:
    for config in ({}, {"signature_algorithm": "v2"}):
        Slb(emulator.address, **config)("DescribeRegions")
    text = emulator.log() + str(emulator.control("GET", "requests"))
    assert KEY["access_key_secret"] not in text
    assert not any(
        name in str(entry)
        for entry in emulator.control("GET", "requests")["log"]
        for name in ("Signature", "AccessKeyId", KEY["access_key_id"])
    )
