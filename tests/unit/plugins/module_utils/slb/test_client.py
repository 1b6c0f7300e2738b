# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Credentials, endpoints, retries, paging and waiting: against a small server that answers what a test tells it to."""

from __future__ import annotations

import collections
import contextlib
import http.server
import json
import os
import subprocess
import sys
import threading
import urllib.parse

import pytest

from ansible_collections.clusterfront.ha.plugins.module_utils._slb import health, lookup, waiters
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.client import (
    PROXY_VARIABLES,
    Client,
    Settings,
    bypasses_proxy,
    split_endpoint,
    static_key,
    without_proxy,
)
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.document import Backend, front_end
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.errors import (
    ApiError,
    DocumentError,
    Overtaken,
    SdkMissing,
    TimedOut,
    UnknownRegion,
    Verdict,
)
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.resources import (
    access_list,
    default_pool,
    failover_group,
    listener,
    load_balancer,
    server_group,
)

KEY = {"access_key_id": "id", "access_key_secret": "secret"}
DROP = object()
HTML = "<html>502</html>"


def error(code, status=400, message="no"):
    return status, {"Code": code, "Message": message, "RequestId": "R-1", "HostId": "slb"}


class Clock:
    """A clock that only sleeping moves."""

    def __init__(self):
        self.now = 0.0
        self.pauses = []

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.pauses.append(seconds)
        self.now += seconds


class Cloud:
    """What the server answers, and what it was asked."""

    def __init__(self):
        self.answers = collections.deque()
        self.asked = []
        self.endpoint = ""

    def answers_with(self, *answers):
        self.answers.extend(
            answer if isinstance(answer, tuple) or answer in (DROP, HTML) else (200, answer) for answer in answers
        )


@pytest.fixture
def cloud():
    told = Cloud()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(self.path).query, keep_blank_values=True))
            told.asked.append((self.headers["x-acs-action"], self.headers["x-acs-version"], query))
            answer = told.answers.popleft() if len(told.answers) > 1 else told.answers[0]
            if answer is DROP:
                self.close_connection = True
                return
            status, body = (502, None) if answer is HTML else answer
            content = HTML.encode() if body is None else json.dumps({"RequestId": "R-1", **body}).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Content-Type", "application/json" if body is not None else "text/html")
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *arguments):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        told.endpoint = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        yield told
        server.shutdown()
        thread.join(5)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def client(cloud, clock):
    settings = Settings("cn-hangzhou", **KEY, slb_endpoint=cloud.endpoint, ecs_endpoint=cloud.endpoint, timeout=60)
    return Client(settings, clock=clock, sleep=clock.sleep, jitter=lambda: 1.0)


# whose key

FAMILIES = [
    ("ALIBABA_CLOUD_ACCESS_KEY_ID", "ALIBABA_CLOUD_ACCESS_KEY_SECRET", "ALIBABA_CLOUD_SECURITY_TOKEN"),
    ("ALICLOUD_ACCESS_KEY", "ALICLOUD_SECRET_KEY", "ALICLOUD_SECURITY_TOKEN"),
    ("ALICLOUD_ACCESS_KEY_ID", "ALICLOUD_SECRET_ACCESS_KEY", "ALICLOUD_SECURITY_TOKEN"),
]


@pytest.mark.parametrize("family", FAMILIES)
def test_keys_of_the_environment(family):
    key, secret, token = family
    assert static_key(Settings("r"), {key: "a", secret: "b"}) == ("a", "b", None)
    assert static_key(Settings("r"), {key: "a", secret: "b", token: "c"}) == ("a", "b", "c")


def test_options_come_first_then_the_families_in_their_order():
    environ = {name: f"{name}!" for family in FAMILIES for name in family}
    assert static_key(Settings("r", **KEY), environ) == ("id", "secret", None)
    for key, secret, token in FAMILIES:
        assert static_key(Settings("r"), environ)[:2] == (f"{key}!", f"{secret}!")
        del environ[key], environ[secret]
    assert static_key(Settings("r"), environ) is None


@pytest.mark.parametrize("family", FAMILIES)
def test_half_a_key(family):
    for has, lacks in ((family[0], family[1]), (family[1], family[0])):
        with pytest.raises(DocumentError, match=f"{has} is set, but {lacks} is not; an access key needs both"):
            static_key(Settings("r"), {has: "a"})


@pytest.mark.parametrize("option", KEY)
def test_half_a_key_in_options_is_not_made_whole_by_the_environment(option):
    with pytest.raises(DocumentError, match=f"the option {option} is set"):
        static_key(Settings("r", **{option: "x"}), dict.fromkeys(FAMILIES[0], "y"))


@pytest.mark.parametrize("source", [{"profile": "p"}, {"ecs_ram_role": "r"}])
def test_a_profile_or_role_that_was_asked_for_is_not_overruled_by_the_environment(source):
    assert static_key(Settings("r", **source), dict.fromkeys(FAMILIES[0], "y")) is None


def test_secrets_are_not_shown():
    assert "secret" not in repr(Settings("r", access_key_id="id", access_key_secret="secret", security_token="secret"))


CONNECT = """
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.client import Client, Settings
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.errors import SlbError
import sys
try:
    Client(Settings("cn-hangzhou", slb_endpoint=sys.argv[1], **eval(sys.argv[2]))).slb("DescribeRegions", {})
except SlbError as error:
    print(type(error).__name__, error)
"""
PROFILE = {
    "name": "work",
    "mode": "AK",
    "access_key_id": "id",
    "access_key_secret": "secret",
    "region_id": "cn-hangzhou",
}


# in a process of its own, for the credentials library looks for the home directory when it is imported
@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ({}, "CredentialsMissing no credentials were found: give access_key_id and access_key_secret, set"),
        ({"profile": "none"}, "CredentialsMissing profile is 'none', which gives no credentials: "),
        ({"ecs_ram_role": "role"}, "CredentialsMissing ecs_ram_role is 'role', which gives no credentials: "),
        ({"profile": "work"}, ""),
    ],
)
def test_where_else_a_key_may_come_from(cloud, tmp_path, collections_path, source, sentence):
    (tmp_path / ".aliyun").mkdir()
    if source:
        (tmp_path / ".aliyun" / "config.json").write_text(json.dumps({"current": "work", "profiles": [PROFILE]}))
    cloud.answers_with({"Regions": {"Region": []}})
    environ = {key: value for key, value in os.environ.items() if not key.startswith("ALI")}
    run = subprocess.run(
        [sys.executable, "-B", "-c", CONNECT, cloud.endpoint, repr(source)],
        env={
            **environ,
            "HOME": str(tmp_path),
            "PYTHONPATH": str(collections_path),
            "ALIBABA_CLOUD_ECS_METADATA_DISABLED": "true",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.stdout.startswith(sentence) and not run.stderr, run.stderr
    assert len(cloud.asked) == (not sentence)
    assert run.stdout.count("\n") == bool(sentence)


# where to


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [
        ("slb.example.com", ("slb.example.com", "https")),
        ("127.0.0.1:8140", ("127.0.0.1:8140", "https")),
        ("http://127.0.0.1:8140", ("127.0.0.1:8140", "http")),
        ("http://127.0.0.1:8140/", ("127.0.0.1:8140", "http")),
        ("https://slb.example.com", ("slb.example.com", "https")),
    ],
)
def test_endpoints(endpoint, expected):
    assert split_endpoint(endpoint) == expected


@pytest.mark.parametrize("endpoint", ["http://", "http://a b", "http://[::1", "host:port", "https://x/path", "\u540d"])
def test_what_is_no_host_is_no_endpoint(endpoint):
    with pytest.raises(DocumentError, match=r"ecs_endpoint is '.*', but it has to be host\[:port\]"):
        split_endpoint(endpoint, "ecs_endpoint")


@pytest.mark.parametrize("names", FAMILIES)
@pytest.mark.parametrize("position", [0, 1, 2])
def test_a_key_that_no_header_takes_is_refused_and_not_shown(names, position):
    environ = {name: "ut-seen" for name in names} | {names[position]: "ut-hidden\n"}
    with pytest.raises(DocumentError, match=f"^{names[position]} has a blank, a line break") as caught:
        static_key(Settings("r"), environ)
    assert "ut-" not in str(caught.value)


def test_an_endpoint_of_another_kind():
    with pytest.raises(DocumentError, match="the endpoint is 'ftp://x', but only http:// and https:// are possible"):
        split_endpoint("ftp://x")


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1:8140", True),
        ("127.9.9.9", True),
        ("localhost:80", True),
        ("[::1]:80", True),
        ("slb.internal.example.com:443", True),
        ("slb.example.com", False),
        ("127.example.com", False),
        ("192.0.2.1", False),
        ("", False),
    ],
)
def test_who_bypasses_a_proxy(host, expected, monkeypatch):
    monkeypatch.setenv("NO_PROXY", ".internal.example.com")
    monkeypatch.setenv("no_proxy", ".internal.example.com")
    assert bypasses_proxy(host) is expected


def test_proxies_are_hidden_and_come_back(monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example.com:3128")
    with contextlib.suppress(ValueError), without_proxy():
        assert not any(name in os.environ for name in PROXY_VARIABLES)
        raise ValueError
    assert os.environ["HTTPS_PROXY"] == "http://proxy.example.com:3128"


def test_loopback_is_called_without_the_proxy(client, cloud, monkeypatch):
    for name in PROXY_VARIABLES:
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    cloud.answers_with({"Regions": {"Region": []}})
    client.slb("DescribeRegions", {})
    client.ecs("DescribeInstances", {})
    assert [entry[:2] for entry in cloud.asked] == [
        ("DescribeRegions", "2014-05-15"),
        ("DescribeInstances", "2014-05-26"),
    ]
    assert all(entry[2]["RegionId"] == "cn-hangzhou" for entry in cloud.asked)


@pytest.mark.parametrize(
    ("region", "endpoint"),
    [("cn-hangzhou", "ecs-cn-hangzhou.aliyuncs.com"), ("eu-central-1", "ecs.eu-central-1.aliyuncs.com")],
)
def test_where_ecs_is_by_its_own_rule(client, region, endpoint):
    assert client._slb.ecs_endpoint(region) == endpoint


# what is sent


def test_none_is_left_out_and_an_empty_text_is_sent(client, cloud):
    cloud.answers_with({})
    client.slb("SetLoadBalancerName", {"LoadBalancerId": "lb-1", "LoadBalancerName": ""})
    client.slb("SetLoadBalancerName", {"LoadBalancerId": "lb-1", "LoadBalancerName": None})
    assert cloud.asked[0][2]["LoadBalancerName"] == "" and "LoadBalancerName" not in cloud.asked[1][2]


def test_a_parameter_that_the_operation_does_not_have(client):
    with pytest.raises(TypeError, match="SetLoadBalancerName has no parameter"):
        client.slb("SetLoadBalancerName", {"Weight": 1})


def test_reads_and_writes_are_counted(client, cloud):
    cloud.answers_with({})
    client.slb("DescribeRegions", {})
    client.slb("SetLoadBalancerName", {"LoadBalancerId": "lb-1"})
    client.ecs("DescribeInstances", {})
    assert (client.reads, client.writes) == (2, 1)


# what comes back


def test_an_error_is_translated(client, cloud):
    cloud.answers_with(error("InvalidLoadBalancerId.NotFound", 404, "The specified LoadBalancerId does not exist."))
    with pytest.raises(ApiError) as caught:
        client.slb("DescribeLoadBalancerAttribute", {"LoadBalancerId": "lb-1"})
    assert caught.value.to_result() == {
        "code": "InvalidLoadBalancerId.NotFound",
        "message": "The specified LoadBalancerId does not exist.",
        "request_id": "R-1",
        "operation": "DescribeLoadBalancerAttribute",
    }
    assert caught.value.verdict is Verdict.ABSENT and caught.value.status == 404 and len(cloud.asked) == 1


@pytest.mark.parametrize("answer", [DROP, HTML])
def test_no_usable_answer(client, cloud, answer):
    cloud.answers_with(answer)
    with pytest.raises(ApiError, match="127.0.0.1:.* gave no usable answer to SetLoadBalancerName: ") as caught:
        client.slb("SetLoadBalancerName", {"LoadBalancerId": "lb-1"})
    assert caught.value.code is None and caught.value.verdict is Verdict.UNKNOWN


# again or not

READ, WRITE, SAFE_WRITE = (
    ("DescribeRegions", {}),
    ("SetLoadBalancerName", {"LoadBalancerId": "lb-1"}),
    ("CreateLoadBalancer", {"ClientToken": "t"}),
)


@pytest.mark.parametrize("call", [READ, WRITE, SAFE_WRITE])
@pytest.mark.parametrize("code", ["SystemBusy", "OperationBusy", "Throttling.User", "ServiceIsConfiguring"])
def test_a_busy_cloud_is_asked_again(client, cloud, clock, call, code):
    cloud.answers_with(*[error(code, 449 if code == "SystemBusy" else 400)] * 3, {"Fine": True})
    client.slb(*call)
    assert len(cloud.asked) == 4
    assert clock.pauses == [0.5, 1.0, 2.0]


def test_pauses_grow_to_a_limit_and_end_at_the_deadline(client, cloud, clock):
    cloud.answers_with(error("OperationBusy"))
    with pytest.raises(ApiError) as caught:
        client.slb(*WRITE)
    assert caught.value.code == "OperationBusy"
    assert clock.pauses[:6] == [0.5, 1.0, 2.0, 4.0, 8.0, 8.0] and max(clock.pauses) == 8.0
    assert sum(clock.pauses) <= client.timeout < sum(clock.pauses) + 8


def test_jitter_halves_a_pause_at_most(cloud, clock):
    settings = Settings("cn-hangzhou", **KEY, slb_endpoint=cloud.endpoint, timeout=60)
    cloud.answers_with(error("OperationBusy"), {})
    Client(settings, clock=clock, sleep=clock.sleep, jitter=lambda: 0.0).slb(*WRITE)
    assert clock.pauses == [0.25]


@pytest.mark.parametrize("answer", [DROP, HTML, error("InternalError", 500)], ids=["dropped", "html", "500"])
@pytest.mark.parametrize(
    ("call", "tries"), [(READ, 4), (SAFE_WRITE, 4), (WRITE, 1)], ids=["read", "write with token", "write"]
)
def test_a_call_without_an_answer_is_repeated_only_where_that_is_safe(client, cloud, answer, call, tries):
    cloud.answers_with(answer)
    with pytest.raises(ApiError) as caught:
        client.slb(*call)
    assert caught.value.verdict is Verdict.UNKNOWN and len(cloud.asked) == tries


def test_the_token_is_the_same_in_every_try(client, cloud):
    cloud.answers_with(DROP, error("SystemBusy", 449), {"LoadBalancerId": "lb-1"})
    client.slb(*SAFE_WRITE)
    assert [entry[2]["ClientToken"] for entry in cloud.asked] == ["t"] * 3


@pytest.mark.parametrize("code", ["SignatureDoesNotMatch", "InvalidParameter", "ListenerAlreadyExists"])
def test_what_does_not_pass_by_itself_is_not_repeated(client, cloud, code):
    cloud.answers_with(error(code))
    with pytest.raises(ApiError):
        client.slb(*READ)
    assert len(cloud.asked) == 1


# pages


def test_pages_by_number(client, cloud):
    cloud.answers_with({"TotalCount": 201, "LoadBalancers": {"LoadBalancer": []}})
    assert len(list(client.numbered_pages("DescribeLoadBalancers", {"LoadBalancerName": "x"}))) == 3
    assert [(entry[2]["PageNumber"], entry[2]["PageSize"]) for entry in cloud.asked] == [
        ("1", "100"),
        ("2", "100"),
        ("3", "100"),
    ]


def test_pages_by_token(client, cloud):
    cloud.answers_with({"NextToken": "a"}, {"NextToken": "b"}, {"NextToken": ""})
    assert len(list(client.token_pages(client.slb, "DescribeLoadBalancerListeners", {}))) == 3
    assert [entry[2].get("NextToken") for entry in cloud.asked] == [None, "a", "b"]


# look-ups


def instance(number, *addresses, vpc="vpc-a", status="Running"):
    attributes = {"VpcId": vpc, "PrivateIpAddress": {"IpAddress": list(addresses)}}
    return {"InstanceId": f"i-{number}", "Status": status, "VpcAttributes": attributes}


def by_address(*numbers, **options):
    return [Backend(80, private_ip=f"192.0.2.{number}", **options) for number in numbers]


def by_id(*numbers, **options):
    return [Backend(80, server_id=f"i-{number}", **options) for number in numbers]


def interface(number, *addresses):
    sets = [{"PrivateIpAddress": address, "Primary": False} for address in addresses]
    return {
        "NetworkInterfaceId": f"eni-{number}",
        "PrivateIpAddress": f"192.0.2.{number}",
        "PrivateIpSets": {"PrivateIpSet": sets},
        "VpcId": "vpc-a",
        "Status": "InUse",
    }


TWO_VPCS = {"Instances": {"Instance": [instance(1, "192.0.2.1"), instance(2, "192.0.2.2", vpc="vpc-b")]}}


def test_interfaces_are_asked_for_only_where_no_instance_of_the_vpc_has_the_address(client, cloud):
    cloud.answers_with(
        TWO_VPCS,
        {"NetworkInterfaceSets": {"NetworkInterfaceSet": [interface(9, "192.0.2.2", "192.0.2.9")]}},
        {"NetworkInterfaceSets": {"NetworkInterfaceSet": [interface(8)]}},
    )
    given = [*by_address(1, 2), Backend(80, eni_id="eni-8"), Backend(80, eni_id="eni-7", private_ip="192.0.2.70")]
    found = lookup.servers(client, given, "vpc-a")
    assert [entry[0] for entry in cloud.asked] == ["DescribeInstances", *["DescribeNetworkInterfaces"] * 2]
    assert cloud.asked[1][2]["PrivateIpAddress.1"] == "192.0.2.2" and "PrivateIpAddress.2" not in cloud.asked[1][2]
    assert [cloud.asked[2][2][f"NetworkInterfaceId.{number}"] for number in (1, 2)] == ["eni-7", "eni-8"]
    assert [(server.id, server.private_ips, server.type) for server in found[2:]] == [
        ("eni-9", ("192.0.2.9", "192.0.2.2"), "eni"),
        ("eni-8", ("192.0.2.8",), "eni"),
    ]


def test_an_instance_of_any_vpc_will_do_for_a_public_load_balancer(client, cloud):
    cloud.answers_with(TWO_VPCS)
    lookup.servers(client, by_address(1, 2), None)
    assert [entry[0] for entry in cloud.asked] == ["DescribeInstances"]


def test_servers_by_name_and_by_tags(client, cloud):
    told = {**instance(1, "192.0.2.1"), "InstanceName": "web", "Tags": {"Tag": [{"TagKey": "a", "TagValue": "1"}]}}
    cloud.answers_with({"Instances": {"Instance": [told]}})
    names = [Backend(80, server_name="web"), Backend(81, server_name="web")]
    (found,) = lookup.servers(client, [*names, Backend(80, server_tags={"b": "2", "a": "1"})], None)
    assert (found.name, found.tags) == ("web", {"a": "1"})
    assert [entry[2].get("InstanceName") for entry in cloud.asked] == ["web", None]
    tags = {key: value for key, value in cloud.asked[1][2].items() if key.startswith("Tag.")}
    assert tags == {"Tag.1.Key": "a", "Tag.1.Value": "1", "Tag.2.Key": "b", "Tag.2.Value": "2"}


def test_what_is_to_go_is_asked_for_only_where_its_id_is_not_known(client, cloud):
    cloud.answers_with({"Instances": {"Instance": [instance(1, "192.0.2.1")]}})
    gone = [*by_id(1, state="absent"), Backend(80, eni_id="eni-1", state="absent"), *by_address(1, state="absent")]
    lookup.servers(client, gone, None)
    assert [entry[2].get("PrivateIpAddresses") for entry in cloud.asked] == ['["192.0.2.1"]']


def test_servers_by_address_and_by_id(client, cloud):
    cloud.answers_with(
        {"Instances": {"Instance": [instance(1, "192.0.2.1")]}, "NextToken": "more"},
        {"Instances": {"Instance": [instance(2, "192.0.2.2", status="Stopped")]}, "NextToken": ""},
        {"Instances": {"Instance": [instance(1, "192.0.2.1"), {"InstanceId": "i-3", "Status": "Running"}]}},
    )
    found = lookup.servers(client, [*by_address(2, 1, 1), *by_id(1, 3)], None)
    assert [(server.id, server.private_ips, server.vpc_id, server.status) for server in found] == [
        ("i-1", ("192.0.2.1",), "vpc-a", "Running"),
        ("i-2", ("192.0.2.2",), "vpc-a", "Stopped"),
        ("i-3", (), None, "Running"),
    ]
    assert json.loads(cloud.asked[0][2]["PrivateIpAddresses"]) == ["192.0.2.1", "192.0.2.2"]
    assert json.loads(cloud.asked[2][2]["InstanceIds"]) == ["i-1", "i-3"] and "NextToken" not in cloud.asked[2][2]


def test_no_servers_cost_no_call(client, cloud):
    assert lookup.servers(client, [], None) == () and cloud.asked == []


def test_many_servers_are_asked_for_a_hundred_at_a_time(client, cloud):
    cloud.answers_with({"Instances": {"Instance": []}})
    lookup.servers(client, by_id(*range(101)), None)
    assert [len(json.loads(entry[2]["InstanceIds"])) for entry in cloud.asked] == [100, 1]


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (
            {"Regions": {"Region": [{"RegionId": "cn-hangzhou"}, {"RegionId": "eu-central-1"}]}},
            "; the nearest valid one is 'cn-hangzhou'",
        ),
        ({"Regions": {"Region": []}}, ""),
        (error("InvalidRegionId.NotFound", 404), ""),
    ],
)
def test_the_nearest_region(cloud, clock, answer, sentence):
    settings = Settings("cn-hangzou", **KEY, slb_endpoint=cloud.endpoint, ecs_endpoint=cloud.endpoint)
    cloud.answers_with(error("InvalidRegionId.NotFound", 404), answer)
    with pytest.raises(UnknownRegion) as caught:
        Client(settings, clock=clock, sleep=clock.sleep).slb("DescribeLoadBalancers", {})
    assert str(caught.value) == f"region 'cn-hangzou' is not known to the cloud{sentence}"
    assert [entry[0] for entry in cloud.asked] == ["DescribeLoadBalancers", "DescribeRegions"]


def test_an_endpoint_that_is_given_and_silent_says_nothing_of_the_region(client, cloud):
    cloud.answers_with(DROP)
    with pytest.raises(ApiError, match="gave no usable answer"):
        client.slb("DescribeLoadBalancers", {})
    assert "DescribeRegions" not in [entry[0] for entry in cloud.asked]


# waiting

LISTENER = {"LoadBalancerId": ["lb-1"], "ListenerPort": 6443, "ListenerProtocol": "tcp"}


def states(*names):
    return [{"Listeners": [{"Status": name}] if name else []} for name in names]


def test_a_wait_ends_with_the_state(client, cloud, clock):
    cloud.answers_with(*states("stopped", "starting", "running"))
    waiters.wait(client, "listener_running", LISTENER, "listener tcp/6443")
    assert len(cloud.asked) == 3 and clock.pauses == [0.2, 0.4]


@pytest.mark.parametrize(
    "answer", [{"Listeners": []}, error("InvalidParameter", 400, "The specified resource does not exist.")]
)
def test_what_is_not_found_is_gone(client, cloud, answer):
    cloud.answers_with(answer)
    waiters.wait(client, "listener_gone", LISTENER, "listener tcp/6443")


def test_a_wait_that_ends_without_the_state(client, cloud, clock):
    cloud.answers_with(*states("starting"))
    with pytest.raises(
        TimedOut, match="listener tcp/6443 is still 'starting' after 60 seconds; it should be running or stopped"
    ):
        waiters.wait(client, "listener_settled", LISTENER, "listener tcp/6443")
    assert max(clock.pauses) == 3.0 and clock.now <= 60


def test_a_wait_for_what_somebody_took_away(client, cloud, clock):
    cloud.answers_with(*states("stopped", None))
    with pytest.raises(Overtaken, match="listener tcp/6443 is gone; another run or somebody else removed it"):
        waiters.wait(client, "listener_running", LISTENER, "listener tcp/6443")
    assert 20 < clock.now < 30


def test_a_wait_that_the_cloud_refuses(client, cloud):
    cloud.answers_with(error("Forbidden.RAM", 403))
    with pytest.raises(ApiError, match="no"):
        waiters.wait(client, "load_balancer_usable", {"LoadBalancerId": "lb-1"}, "load balancer")


def test_a_library_that_is_not_installed(client, monkeypatch):
    monkeypatch.setitem(sys.modules, "jmespath", None)
    with pytest.raises(SdkMissing, match="jmespath"):
        waiters.wait(client, "listener_gone", LISTENER, "listener")
    monkeypatch.setitem(sys.modules, "alibabacloud_slb20140515", None)
    with pytest.raises(SdkMissing, match="alibabacloud-slb20140515"):
        Client(Settings("cn-hangzhou", **KEY))


@pytest.mark.parametrize("name", waiters.WAITERS)
def test_every_waiter_names_an_operation_of_the_sdk(name):
    from alibabacloud_slb20140515 import models

    assert hasattr(models, f"{waiters.WAITERS[name].operation}Request")


# reading


def test_instances_of_the_exact_name_the_oldest_first(client, cloud):
    def told(number, name, created):
        return {
            "LoadBalancerId": f"lb-{number}",
            "LoadBalancerName": name,
            "AddressType": "intranet",
            "CreateTime": created,
        }

    cloud.answers_with(
        {
            "LoadBalancers": {
                "LoadBalancer": [told(1, "prod", "2026-01-02"), told(2, "prod-2", ""), told(3, "prod", "2026-01-01")]
            }
        }
    )
    found = load_balancer.fetch(client, load_balancer.LoadBalancer(name="prod"))
    assert [entry.id for entry in found] == ["lb-3", "lb-1"]
    assert load_balancer.fetch(client, load_balancer.LoadBalancer(id="lb-2"))[0].created == ""
    assert cloud.asked[1][2]["LoadBalancerId"] == "lb-2"


def test_instances_of_one_second_are_told_apart_by_their_stamps(client, cloud):
    told = [
        {
            "LoadBalancerId": f"lb-{number}",
            "LoadBalancerName": "x",
            "AddressType": "intranet",
            "CreateTime": "2026-01-01",
            "CreateTimeStamp": stamp,
        }
        for number, stamp in ((1, 1767225600900), (2, 1767225600100))
    ]
    cloud.answers_with({"LoadBalancers": {"LoadBalancer": told}})
    assert [entry.id for entry in load_balancer.fetch(client, load_balancer.LoadBalancer(name="x"))] == ["lb-2", "lb-1"]


@pytest.mark.parametrize("zone", ["master_zone_id", "slave_zone_id", None])
def test_what_is_asked_before_an_instance_is_made(client, cloud, zone):
    told = [{"ZoneId": "z-a", "SlaveZones": {"SlaveZone": [{"ZoneId": "z-b"}]}}, {"ZoneId": "z-c"}]
    cloud.answers_with({"TotalCount": 7, "Zones": {"Zone": told}})
    wanted = load_balancer.LoadBalancer(**({zone: "z-a"} if zone else {}))
    stock = load_balancer.stock(client, wanted)
    assert (stock.load_balancers, stock.zones) == (7, {"z-a": ["z-b"], "z-c": []} if zone else None)
    assert len(cloud.asked) == (2 if zone else 1)


def test_groups_with_the_members_of_those_that_are_wanted(client, cloud):
    tags = {"Tag": [{"TagKey": "clusterfront:owner", "TagValue": "prod"}]}
    listed = {
        "VServerGroups": {
            "VServerGroup": [
                {"VServerGroupId": "rsp-2", "VServerGroupName": "b", "CreateTime": "2", "Tags": tags},
                {
                    "VServerGroupId": "rsp-1",
                    "VServerGroupName": "a",
                    "CreateTime": "1",
                    "AssociatedObjects": {"Listeners": {"Listener": [{"Port": 6443, "Protocol": "tcp"}]}},
                },
                {"VServerGroupId": "rsp-3", "VServerGroupName": "c", "CreateTime": "3"},
            ]
        }
    }
    members = {
        "BackendServers": {
            "BackendServer": [
                {"ServerId": "i-2", "Port": "80", "Weight": "5"},
                {"ServerId": "i-1", "Port": 80, "Weight": 100, "ServerIp": "192.0.2.1"},
            ]
        }
    }
    gone = error("InvalidParameter", 404, "The specified VServerGroupId does not exist.")
    cloud.answers_with(listed, members, gone)
    found = server_group.fetch(client, "lb-1", lambda name, owner: owner == "prod" or name == "c")
    assert [(group.id, group.owner, group.facts["listeners"]) for group in found] == [
        ("rsp-1", None, ["tcp/6443"]),
        ("rsp-2", "prod", []),
    ]
    assert found[0].config.backends is None
    assert [
        (member.server_id, member.port, member.weight, member.private_ip) for member in found[1].config.backends
    ] == [("i-1", 80, 100, "192.0.2.1"), ("i-2", 80, 5, None)]
    cloud.answers.clear()
    cloud.answers_with(listed, error("Forbidden.RAM", 403))
    with pytest.raises(ApiError):
        server_group.fetch(client, "lb-1", lambda name, owner: True)


def test_a_listener_on_its_way_is_read_again_if_it_is_ours(client, cloud, clock):
    def told(status):
        return {"Listeners": [{"ListenerPort": 80, "ListenerProtocol": "tcp", "Status": status}]}

    cloud.answers_with(told("starting"), told("configuring"), told("running"))
    assert listener.fetch(client, "lb-1", {}, ["listener:tcp/81"])[0].status == "starting"
    assert listener.fetch(client, "lb-1", {}, ["listener:tcp/80"])[0].status == "running"
    cloud.answers.clear()
    cloud.answers_with(told("stopping"))
    assert (
        listener.fetch(client, "lb-1", {}, ["listener:tcp/80"])[0].status == "stopping" and clock.now > client.timeout
    )


def test_which_instances_are_used(client, cloud):
    cloud.answers_with({"Listeners": [{"LoadBalancerId": "lb-2"}, {"LoadBalancerId": "lb-2"}]})
    assert listener.used_instances(client, ["lb-1", "lb-2"]) == {"lb-2"}


def backend(status, address="192.0.2.21", port=80):
    return {
        "Protocol": "tcp", "ListenerPort": port, "ServerId": f"i-{address}", "ServerIp": address, "Port": 8080,
        "ServerHealthStatus": status,
    }  # fmt: skip


def healths(*entries):
    return {"BackendServers": {"BackendServer": list(entries)}}


@pytest.mark.parametrize(
    ("wait_for", "answers", "calls"),
    [
        ("all", [healths(), healths(backend("abnormal")), healths(backend("normal"))], 3),
        ("any", [healths(backend("normal"), backend("abnormal", "192.0.2.22"))], 1),
        ("1", [healths(backend("normal"), backend("abnormal", "192.0.2.22"))], 1),
        # each listener for itself
        (
            "any",
            [
                healths(backend("normal"), backend("abnormal", port=81)),
                healths(backend("normal"), backend("normal", port=81)),
            ],
            2,
        ),
    ],
)
def test_waiting_for_health(client, cloud, wait_for, answers, calls):
    cloud.answers_with(*answers)
    assert health.wait(client, health.Meant("lb-1"), wait_for, 30)
    assert len(cloud.asked) == calls


def test_a_wait_in_vain_names_who_is_not_well(client, cloud):
    cloud.answers_with(healths(backend("normal"), backend("abnormal", "192.0.2.22")))
    with pytest.raises(TimedOut) as caught:
        health.wait(client, health.Meant("lb-1"), "2", 10)
    assert str(caught.value) == (
        "after 10 seconds listener tcp/80 has 1 of 2 backends well where 2 are wanted; not well: 192.0.2.22:8080 (abnormal for 10 s)"
    )


def test_a_wait_for_backends_that_never_come(client, cloud):
    cloud.answers_with(healths())
    with pytest.raises(TimedOut, match="after 3 seconds there is no backend yet$"):
        health.wait(client, health.Meant("lb-1"), "all", 3)


@pytest.mark.parametrize("value", ["none", "0", "-1", "1.5", ""])
def test_what_cannot_be_waited_for(client, cloud, value):
    with pytest.raises(
        DocumentError, match=f"wait_for is '{value}'; 'all', 'any' or a number of 1 or more are possible"
    ):
        health.wait(client, health.Meant("lb-1"), value, 3)
    assert not cloud.asked


def test_health(client, cloud):
    def told(port, server, status):
        return {
            "ListenerPort": port,
            "ServerId": server,
            "Port": "8888",
            "ServerHealthStatus": status,
            "Protocol": "TCP",
            "ServerIp": "",
        }

    cloud.answers_with(
        {"BackendServers": {"BackendServer": [told(80, "i-2", "abnormal"), told("80", "i-1", "normal")]}}
    )
    assert health.fetch(client, health.Meant("lb-1", 80)) == [
        {
            "protocol": "tcp",
            "port": 80,
            "server_id": "i-1",
            "private_ip": None,
            "backend_port": 8888,
            "status": "normal",
        },
        {
            "protocol": "tcp",
            "port": 80,
            "server_id": "i-2",
            "private_ip": None,
            "backend_port": 8888,
            "status": "abnormal",
        },
    ]
    # two listeners may have the port
    assert "ListenerPort" not in cloud.asked[0][2]


@pytest.mark.parametrize(
    ("port", "protocol", "asked", "found"),
    [
        (None, None, {}, ["tcp/53", "udp/53", "tcp/80"]),
        (53, None, {}, ["tcp/53", "udp/53"]),
        (None, "tcp", {}, ["tcp/53", "tcp/80"]),
        (53, "udp", {"ListenerPort": "53", "ListenerProtocol": "udp"}, ["udp/53"]),
    ],
)
def test_health_of_some_listeners(client, cloud, port, protocol, asked, found):
    told = [
        {"ListenerPort": port, "Protocol": protocol, "ServerId": "i-1", "Port": 1, "ServerHealthStatus": "normal"}
        for protocol, port in (("tcp", 80), ("udp", 53), ("tcp", 53))
    ]
    cloud.answers_with({"BackendServers": {"BackendServer": told}})
    seen = health.fetch(client, health.Meant("lb-1", port, protocol))
    assert [f"{entry['protocol']}/{entry['port']}" for entry in seen] == found
    assert {name: value for name, value in cloud.asked[0][2].items() if name.startswith("Listener")} == asked


def in_region(*lists, total=None):
    told = [{"AclId": f"acl-{number}", "AclName": name, "CreateTime": created} for number, name, created in lists]
    return {"Acls": {"Acl": told}, "TotalCount": total or len(told)}


def test_access_lists_are_read_page_by_page(client, cloud):
    cloud.answers_with(in_region((2, "office", "2"), total=51), in_region((1, "office-2", "1"), (3, "office", "1")))
    assert [has.id for has in access_list.every(client, "office")] == ["acl-3", "acl-2"]
    assert [call[2]["PageSize"] for call in cloud.asked] == ["50", "50"]
    assert cloud.asked[0][2]["AclName"] == "office"


def test_only_lists_that_are_meant_are_read_with_their_entries(client, cloud):
    def page(*cidrs):
        told = [{"AclEntryIP": cidr, "AclEntryComment": "x"} for cidr in cidrs]
        user = {"LoadBalancerId": "lb-1", "Protocol": "TCP", "ListenerPort": "80", "AclType": "black"}
        return {"AclEntrys": {"AclEntry": told}, "TotalAclEntry": 51, "RelatedListeners": {"RelatedListener": [user]}}

    wanted = front_end({"name": "prod", "access_lists": [{"name": "a"}, {"id": "acl-3"}]})
    cloud.answers_with(
        in_region((1, "a", "1"), (2, "b", "2"), (3, "c", "3")),
        page("198.51.100.1", "192.0.2.0/24"),
        page("203.0.113.0/24", "192.0.2.0/24"),
        error("AclNotExist", 400),
    )
    first, second = access_list.fetch(client, wanted)
    assert [entry.cidr for entry in first.config.entries] == ["192.0.2.0/24", "198.51.100.1/32", "203.0.113.0/24"]
    assert first.facts["texts"]["198.51.100.1/32"] == "198.51.100.1"
    assert first.facts["listeners"] == [{"load_balancer": "lb-1", "protocol": "tcp", "port": 80, "type": "black"}]
    assert (second.id, second.config.entries) == ("acl-2", None)
    assert [call[2].get("Page") for call in cloud.asked] == [None, "1", "2", "1"]
    cloud.answers.clear()
    cloud.answers_with(in_region((1, "a", "1")), error("Forbidden.RAM", 403))
    with pytest.raises(ApiError):
        access_list.fetch(client, wanted)


def test_a_document_without_access_lists_does_not_ask_for_them(client, cloud):
    assert access_list.fetch(client, front_end({"name": "prod"})) == () and cloud.asked == []


def test_the_default_pool_is_what_the_instance_tells(client, cloud):
    cloud.answers_with({"BackendServers": {"BackendServer": [{"ServerId": "i-1", "Weight": "5", "Type": "ecs"}]}}, {})
    assert default_pool.fetch(client, "lb-1") == (Backend(None, "i-1", None, 5, "", type="ecs"),)
    assert default_pool.fetch(client, "lb-1") == ()


def pair(number, created):
    user = {"Listeners": {"Listener": [{"Protocol": "tcp", "Port": 80}]}} if number == 1 else None
    return {
        "MasterSlaveServerGroupId": f"rsp-{number}",
        "MasterSlaveServerGroupName": f"pair-{number}",
        "CreateTime": created,
        "AssociatedObjects": user,
        "Tags": {"Tag": [{"TagKey": "clusterfront:owner", "TagValue": "prod"}]},
    }


def test_pairs_with_their_servers_where_those_are_wanted(client, cloud):
    server = {"Port": 80, "Weight": 100, "Description": ""}
    sides = [
        {**server, "ServerId": "eni-2", "ServerType": "Slave", "Type": "eni"},
        {**server, "ServerId": "i-1", "ServerType": "Master", "Type": "ecs"},
    ]
    gone = error("InvalidParameter", 404, "The specified MasterSlaveGroupId does not exist.")
    cloud.answers_with(
        {"MasterSlaveServerGroups": {"MasterSlaveServerGroup": [pair(1, "2"), pair(2, "1"), pair(3, "0")]}},
        {"MasterSlaveBackendServers": {"MasterSlaveBackendServer": sides}},
        gone,
    )
    found = failover_group.fetch(client, "lb-1", lambda name: name != "pair-2")
    assert [(group.id, group.owner, group.facts["listeners"]) for group in found] == [
        ("rsp-2", "prod", []),
        ("rsp-1", "prod", ["tcp/80"]),
    ]
    assert found[0].config.primary is None
    assert found[1].config.primary == Backend(80, "i-1", description="", type="ecs")
    assert found[1].config.standby == Backend(80, "eni-2", description="", type="eni")


def test_a_pair_that_cannot_be_read(client, cloud):
    cloud.answers_with(
        {"MasterSlaveServerGroups": {"MasterSlaveServerGroup": [pair(1, "1")]}}, error("Forbidden.RAM", 403)
    )
    with pytest.raises(ApiError, match="no"):
        failover_group.fetch(client, "lb-1", lambda name: True)
