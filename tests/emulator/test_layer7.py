# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Layer 7 as clients meet it: curl and openssl in the machines of the lab, and none of our own code between."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import certificates
import pytest
from emulator_harness import MACHINES, Network
from visitor import Visitor

WEB, API, CLIENT = (certificates.pair(f"{name}.example.com", name) for name in ("www", "api", "somebody"))
NEW = certificates.pair("www.example.com", "another key")
#: What a listener is told where a test says nothing else.
SETTINGS: dict[str, Any] = {
    "Bandwidth": -1,
    "StickySession": "off",
    "HealthCheck": "on",
    "HealthCheckInterval": 1,
    "HealthCheckTimeout": 1,
    "HealthyThreshold": 2,
    "UnhealthyThreshold": 2,
}


class Web(Visitor):
    """An instance with groups of one server each, and listeners of layer 7."""

    def __init__(self, network: Network, tmp_path: Path) -> None:
        self.slb = network.slb
        made = self.slb("CreateLoadBalancer", VSwitchId="vsw-ut-lab", InstanceChargeType="PayByCLCU")
        self.balancer = network.balancer = made["LoadBalancerId"]
        super().__init__(network, tmp_path, str(made["Address"]))
        self.groups: dict[str, str] = {}

    def group(self, *machines: str) -> str:
        name = "+".join(machines)
        if name not in self.groups:
            servers = [{"ServerId": f"i-ut-{machine}", "Port": 8080, "Weight": 100} for machine in machines]
            made = self.slb("CreateVServerGroup", LoadBalancerId=self.balancer, BackendServers=json.dumps(servers))
            self.groups[name] = made["VServerGroupId"]
        return self.groups[name]

    def upload(self, pair: dict[str, str]) -> str:
        made = self.slb(
            "UploadServerCertificate", ServerCertificate=pair["certificate"], PrivateKey=pair["private_key"]
        )
        return str(made["ServerCertificateId"])

    def listen(self, *machines: str, port: int = 80, protocol: str = "http", **settings: Any) -> None:
        given = {"VServerGroupId": self.group(*machines)} if machines else {}
        if protocol == "https" and "ServerCertificateId" not in settings:
            given["ServerCertificateId"] = self.upload(WEB)
        place = {"LoadBalancerId": self.balancer, "ListenerPort": port}
        action = f"CreateLoadBalancer{protocol.upper()}Listener"
        self.slb(action, **{**SETTINGS, **place, **given, **settings})
        self.slb("StartLoadBalancerListener", **place, ListenerProtocol=protocol)
        if machines and settings.get("HealthCheck") != "off":
            self.network.healthy(*machines)
        self.network.emulator.wait()

    def change(self, port: int = 80, protocol: str = "http", **settings: Any) -> None:
        place = {"LoadBalancerId": self.balancer, "ListenerPort": port}
        self.slb(f"SetLoadBalancer{protocol.upper()}ListenerAttribute", **{**SETTINGS, **place, **settings})
        self.network.emulator.wait()

    def rules(self, *rules: dict[str, str], port: int = 80, protocol: str = "http") -> None:
        named = [
            {
                "RuleName": f"r{number}",
                **{k: v for k, v in rule.items() if k != "to"},
                "VServerGroupId": self.group(rule["to"]),
            }
            for number, rule in enumerate(rules)
        ]
        place = {"LoadBalancerId": self.balancer, "ListenerPort": port, "ListenerProtocol": protocol}
        self.slb("CreateRules", **place, RuleList=json.dumps(named))
        names = {machine for name in self.groups for machine in name.split("+")}
        # servers of rules are told of by the emulator alone
        wanted = {f"i-ut-{name}" for name in names}
        self.network.until(lambda: wanted <= set(self._normal()), 8)
        self.network.emulator.wait()

    def _normal(self) -> Iterator[str]:
        for entry in self.network.emulator.control("GET", "health"):
            if entry["state"] == "normal":
                yield entry["server_id"]


@pytest.fixture(autouse=True)
def _programs(programs: None) -> None:
    """Every test here needs them."""


@pytest.fixture
def web(network: Network, tmp_path: Path) -> Web:
    for machine in ("web-1", "web-2", "web-3"):
        network.serve(machine, 8080, "web")
    return Web(network, tmp_path)


def test_rules_lead_by_host_and_path_and_the_narrowest_counts(web: Web) -> None:
    web.listen("web-1")
    web.rules(
        {"Domain": "www.example.com", "to": "web-2"},
        {"Domain": "www.example.com", "Url": "/api", "to": "web-3"},
        {"Domain": "*.shop.example.com", "to": "web-2"},
        {"Domain": "*.a.shop.example.com", "to": "web-3"},
        {"Url": "/static", "to": "web-2"},
        {"Url": "/static/old", "to": "web-3"},
    )
    for url, server in {
        "http://www.example.com/": "web-2",
        "http://WWW.example.com/other": "web-2",
        "http://www.example.com/api/v1?x=1": "web-3",
        "http://a.shop.example.com/": "web-2",
        "http://b.a.shop.example.com/": "web-3",
        "http://shop.example.com/": "web-1",
        "http://api.example.com/static/x.css": "web-2",
        "http://api.example.com/static/old/x.css": "web-3",
        "http://api.example.com/": "web-1",
    }.items():
        assert web.served_by(url) == server, url


def test_a_rule_of_its_own_has_its_own_check_and_stickiness(web: Web) -> None:
    web.listen("web-1")
    web.rules({"Domain": "api.example.com", "to": "web-2"})
    (rule,) = web.slb("DescribeRules", LoadBalancerId=web.balancer, ListenerPort=80)["Rules"]["Rule"]
    own = {**SETTINGS, "Scheduler": "rr", "HealthCheckURI": "/broken", "HealthCheckHttpCode": "http_2xx"}
    own["StickySession"], own["StickySessionType"], own["CookieTimeout"] = "on", "insert", 60
    del own["Bandwidth"]
    web.slb("SetRule", RuleId=rule["RuleId"], ListenerSync="off", **own)
    web.network.until(lambda: web.curl("http://api.example.com/").stdout.count("503 Service") > 0, 8)
    assert web.served_by("http://www.example.com/") == "web-1"
    web.slb("SetRule", RuleId=rule["RuleId"], ListenerSync="off", **{**own, "HealthCheckURI": "/fine"})
    web.network.until(lambda: "web-2" in web.curl("http://api.example.com/").stdout, 8)
    assert "SERVERID=" in web.curl("http://api.example.com/", "--include").stdout
    assert "SERVERID=" not in web.curl("http://www.example.com/", "--include").stdout


def test_the_headers_that_are_switched_on(web: Web) -> None:
    web.listen("web-1")
    plain = web.seen("http://www.example.com/")
    assert plain["headers"]["x-forwarded-for"] == MACHINES["client-1"] and plain["client"].startswith("100.64.")
    assert not {"slb-id", "slb-ip", "x-forwarded-proto", "x-forwarded-port"} & set(plain["headers"])
    names = ("proto", "SLBID", "SLBIP", "SLBPORT", "ClientSrcPort")
    web.change(XForwardedFor="off", **{f"XForwardedFor_{name}": "on" for name in names})
    found = web.seen("http://www.example.com/", "--local-port", "23456")["headers"]
    assert "x-forwarded-for" not in found
    assert (found["slb-id"], found["slb-ip"], found["x-forwarded-proto"], found["x-forwarded-port"]) == (
        web.balancer,
        web.address,
        "http",
        "80",
    )
    assert found["x-forwarded-client-srcport"] == "23456"


def test_an_inserted_cookie_keeps_the_server_until_it_ends(web: Web) -> None:
    web.listen("web-1", "web-2", StickySession="on", StickySessionType="insert", CookieTimeout=5)
    jar = ("--cookie-jar", "jar", "--cookie", "jar")
    first = web.served_by("http://www.example.com/", *jar)
    assert {web.served_by("http://www.example.com/", *jar) for dummy in range(6)} == {first}
    assert {web.served_by("http://www.example.com/") for dummy in range(6)} == {"web-1", "web-2"}
    cookie = re.search(r"(?i)^set-cookie: (.*)$", web.curl("http://www.example.com/", "--include").stdout, re.MULTILINE)
    assert cookie and cookie[1].startswith("SERVERID=") and "Max-Age=5" in cookie[1]
    time.sleep(5.5)
    # a client that has forgotten it is given one again, and so is one that has not
    for kept in (jar, ("--cookie", cookie[1].partition(";")[0])):
        again = web.curl("http://www.example.com/", "--include", *kept)
        assert re.search("(?i)^set-cookie: SERVERID=", again.stdout, re.MULTILINE)


def test_the_servers_own_cookie_keeps_the_server(web: Web) -> None:
    web.listen("web-1", "web-2", StickySession="on", StickySessionType="server", Cookie="session")
    jar = ("--cookie-jar", "jar", "--cookie", "jar")
    first = web.served_by("http://www.example.com/login", *jar)
    answers = [web.seen("http://www.example.com/", *jar) for dummy in range(6)]
    assert {answer["name"] for answer in answers} == {first}
    # the application sees its own value
    assert {answer["headers"]["cookie"] for answer in answers} == {f"session={first}"}


def test_names_get_their_certificates(web: Web) -> None:
    web.listen("web-1", port=443, protocol="https")
    api = web.upload(API)
    place = {"LoadBalancerId": web.balancer, "ListenerPort": 443}
    web.slb("CreateDomainExtension", **place, Domain="api.example.com", ServerCertificateId=api)
    web.network.emulator.wait()
    assert [web.subject(f"{name}.example.com") for name in ("www", "api", "shop")] == [
        "www.example.com",
        "api.example.com",
        "www.example.com",
    ]
    assert web.served_by("https://api.example.com/") == "web-1"
    assert web.served_by("https://www.example.com/", "--http2") == "web-1"


@pytest.mark.parametrize(("setting", "version"), [("on", "2"), ("off", "1.1")])
def test_http2_is_spoken_where_it_is_on(web: Web, setting: str, version: str) -> None:
    web.listen("web-1", port=443, protocol="https", EnableHttp2=setting)
    done = web.curl("https://www.example.com/", "--http2", "--output", "body", "--write-out", "%{http_version}")
    assert done.stdout == version


def test_policies_limit_versions_and_ciphers(web: Web) -> None:
    web.listen("web-1", port=443, protocol="https")
    weak = ("-cipher", "ALL:@SECLEVEL=0")
    assert "Cipher is (NONE)" not in web.openssl("-tls1", *weak).stdout
    web.change(443, "https", TLSCipherPolicy="tls_cipher_policy_1_2_strict")
    for refused in (("-tls1", *weak), ("-tls1_1", *weak), ("-tls1_3",), ("-tls1_2", "-cipher", "AES128-SHA256")):
        assert "Cipher is (NONE)" in web.openssl(*refused).stdout, refused
    assert (
        "Cipher is ECDHE-ECDSA-AES128-GCM-SHA256"
        in web.openssl("-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256").stdout
    )
    web.change(443, "https", TLSCipherPolicy="tls_cipher_policy_1_2_strict_with_1_3")
    assert "Cipher is TLS_" in web.openssl("-tls1_3").stdout
    own = web.slb(
        "CreateTLSCipherPolicy", Name="own", TLSVersions=["TLSv1.2"], Ciphers=["ECDHE-ECDSA-AES256-GCM-SHA384"]
    )["TLSCipherPolicyId"]
    web.change(443, "https", TLSCipherPolicy=own)
    assert "Cipher is (NONE)" in web.openssl("-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256").stdout
    assert "Cipher is ECDHE-ECDSA-AES256-GCM-SHA384" in web.openssl().stdout


def test_a_client_without_a_certificate_is_refused(web: Web) -> None:
    authority = web.slb("UploadCACertificate", CACertificate=certificates.authority())["CACertificateId"]
    web.listen("web-1", port=443, protocol="https", CACertificateId=authority)
    assert web.curl("https://www.example.com/").returncode != 0
    for name, text in (("client.pem", CLIENT["certificate"]), ("client.key", CLIENT["private_key"])):
        (web.tmp_path / name).write_text(text)
    assert web.served_by("https://www.example.com/", "--cert", "client.pem", "--key", "client.key") == "web-1"
    stranger = certificates.leaf("somebody.example.com", "somebody", issuer="Another CA")
    (web.tmp_path / "client.pem").write_text(stranger)
    assert web.curl("https://www.example.com/", "--cert", "client.pem", "--key", "client.key").returncode != 0
    web.change(443, "https", CACertificateId="")
    assert web.served_by("https://www.example.com/") == "web-1"


def test_http_is_redirected(web: Web) -> None:
    web.listen("web-1", port=443, protocol="https")
    web.listen(port=80, ListenerForward="on", ForwardPort=443, HealthCheck="off")
    done = web.curl("http://www.example.com/a/b?c=d", "--output", "body", "--write-out", "%{http_code} %{redirect_url}")
    assert done.stdout == "301 https://www.example.com/a/b?c=d"
    assert web.served_by("http://www.example.com/", "--location") == "web-1"


@pytest.mark.parametrize("kind", ["white", "black"])
def test_access_lists_let_one_in_and_drop_the_other(web: Web, kind: str) -> None:
    acl = web.slb("CreateAccessControlList", AclName="office")["AclId"]
    entry = [{"entry": f"{MACHINES['client-1']}/32"}]
    web.slb("AddAccessControlListEntry", AclId=acl, AclEntrys=json.dumps(entry))
    web.listen("web-1", AclStatus="on", AclType=kind, AclId=acl)
    codes = {
        machine: web.curl("http://www.example.com/", "--max-time", "1", machine=machine).returncode
        for machine in ("client-1", "web-3")
    }
    # 28: curl heard nothing at all
    assert codes == ({"client-1": 0, "web-3": 28} if kind == "white" else {"client-1": 28, "web-3": 0})


def test_a_server_that_takes_too_long_is_504_and_none_is_503(web: Web) -> None:
    web.listen("web-1", RequestTimeout=1, IdleTimeout=1)
    status = ("--output", "body", "--write-out", "%{http_code}")
    assert web.curl("http://www.example.com/slow/3", *status).stdout == "504"
    assert web.curl("http://www.example.com/slow/0", *status).stdout == "200"
    # a connection without a request is ended
    began = time.monotonic()
    talk = (
        f"exec 3<>/dev/tcp/{web.address}/80; printf 'GET / HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n' >&3; cat <&3 >/dev/null"
    )
    assert web.run("bash", "-c", talk).returncode == 0
    assert 0.8 < time.monotonic() - began < 5
    web.network.kill("web-1")
    web.network.until(lambda: web.curl("http://www.example.com/", *status).stdout == "503", 8)


def test_health_is_checked_by_the_method_path_and_codes_that_are_asked_for(web: Web) -> None:
    web.listen("web-1", "web-2", port=8080)
    web.change(8080, HealthCheckURI="/only/web-1", HealthCheckMethod="get")
    web.network.until(lambda: web.network.health() == {"web-1": "normal", "web-2": "abnormal"}, 8)
    web.network.emulator.wait()
    assert {web.served_by("http://www.example.com:8080/") for dummy in range(6)} == {"web-1"}
    web.change(8080, HealthCheckURI="/only/web-1", HealthCheckMethod="get", HealthCheckHttpCode="http_4xx")
    web.network.until(lambda: web.network.health() == {"web-1": "abnormal", "web-2": "normal"}, 8)


@pytest.mark.parametrize(("setting", "packed"), [("on", True), ("off", False)])
def test_text_is_packed_where_it_is_asked_for(web: Web, setting: str, packed: bool) -> None:
    web.listen("web-1", Gzip=setting)
    done = web.curl("http://www.example.com/long", "--compressed", "--include")
    assert ("content-encoding: gzip" in done.stdout.lower()) == packed
    assert done.stdout.endswith("x" * 5000)


@pytest.mark.parametrize("layer", [4, 7])
def test_bandwidth_is_held(web: Web, layer: int) -> None:
    """At 16 Mbit/s 4 MB take 2 s, once the second is over that may be used at once."""
    if layer == 7:
        web.listen("web-1", port=8080, Bandwidth=16)
    else:
        place = {"LoadBalancerId": web.balancer, "ListenerPort": 8080}
        web.slb(
            "CreateLoadBalancerTCPListener",
            **place,
            Bandwidth=16,
            VServerGroupId=web.group("web-1"),
            healthCheckInterval=1,
        )
        web.slb("StartLoadBalancerListener", **place, ListenerProtocol="tcp")
        web.network.healthy("web-1")
    loading = threading.Thread(
        target=web.curl, args=("http://www.example.com:8080/bytes/40000000", "--output", "body", "--max-time", "4")
    )
    loading.start()
    body = web.tmp_path / "body"
    web.network.until(lambda: body.exists() and body.stat().st_size > 2_500_000, 8)
    began, before = time.monotonic(), body.stat().st_size
    time.sleep(2)
    speed = (body.stat().st_size - before) / (time.monotonic() - began)
    loading.join()
    assert 0.8 < speed / 2_000_000 < 1.2


def test_a_change_loses_no_request(web: Web) -> None:
    web.listen("web-1", "web-2", port=443, protocol="https")
    new = web.upload(NEW)
    with web.load() as load:
        before = web.fingerprint()
        load.pause()
        web.change(443, "https", ServerCertificateId=new)
        assert web.fingerprint() != before
        for number in range(3):
            web.change(443, "https", ServerCertificateId=new, IdleTimeout=20 + number)
        load.pause()
    assert load.answers > 50 and not load.wrong, load.wrong[:5]
