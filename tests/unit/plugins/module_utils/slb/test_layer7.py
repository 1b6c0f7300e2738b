# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Layer 7 without any cloud: rules, further domains, certificates and policies, as plans."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import sys
import typing as t

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parents[5] / "tools"))

import certificates  # noqa: E402

from ansible_collections.clusterfront.ha.plugins.module_utils._module import with_files
from ansible_collections.clusterfront.ha.plugins.module_utils._slb import pem, view
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.document import (
    Certificate,
    DomainExtension,
    FrontEnd,
    HealthCheck,
    Listener,
    LoadBalancer,
    Rule,
    ServerGroup,
    TlsPolicy,
    front_end,
    partial,
    region_only,
)
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.errors import DocumentError, Immutable, LookupFailed
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.export import export
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.plan import build
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.resources import (
    certificate,
    listener,
    rule,
    tls_policy,
)
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.state import (
    CloudState,
    Each,
    Json,
    Observed,
    Ref,
    Use,
)

OWNER = "prod-web"
OLD, NEW = (certificates.pair("www.example.com", key) for key in ("old", "new"))
NOW = 1_700_000_000.0
LATER = int(NOW + 400 * 86_400)
CIPHER = "ECDHE-RSA-AES128-GCM-SHA256"


def fingerprint(pair: dict[str, str]) -> str:
    return pem.facts(pem.chain("x", pair["certificate"], whole=True)).fingerprint


def uploaded(name: str, number: int, pair: dict[str, str] | None = None, **options: t.Any) -> Observed[Certificate]:
    given = {"owner": OWNER, "made": number, **options}
    return Observed(
        Certificate(
            id=f"cert-{number}",
            name=name,
            fingerprint=fingerprint(pair) if pair else f"0{number}",
            common_name=name,
            subject_alt_names=(name,),
            expires=LATER,
            tags={},
        ),
        id=f"cert-{number}",
        owner=given["owner"],
        created=f"{given['made']:012d}",
        facts={"created": given["made"]},
    )


INSTANCE = Observed(
    LoadBalancer(id="lb-1", name=OWNER, address_type="intranet", vpc_id="vpc-1", vswitch_id="vsw-1"),
    id="lb-1",
    owner=OWNER,
)
WEB, API = (
    Observed(ServerGroup(name, ()), id=f"rsp-{name}", owner=OWNER, facts={"listeners": [], "rules": {}})
    for name in ("web", "api")
)
HTTPS = dataclasses.replace(
    listener.defaults("https", 443), server_group="web", certificate="www", enabled=True, rules=(), domain_extensions=()
)


def observed(config: Listener = HTTPS, **facts: t.Any) -> Observed[Listener]:
    return Observed(
        listener.normalised(config), id=f"{config.protocol}/{config.port}", owner=OWNER, status="running", facts=facts
    )


WITH_PARTS = observed(
    dataclasses.replace(
        HTTPS,
        rules=(Rule("api.example.com", "", "first", "api", True), Rule("www.example.com", "/x", "second", "api", True)),
        domain_extensions=(DomainExtension("api.example.com", "www"),),
    ),
    rule_ids={("api.example.com", ""): "rule-1", ("www.example.com", "/x"): "rule-2"},
    domain_ids={"api.example.com": "de-1"},
)
STATE = CloudState(
    load_balancer=INSTANCE,
    server_groups=(WEB, API),
    listeners=(WITH_PARTS,),
    certificates=(uploaded("www", 1, OLD),),
    now=NOW,
)


def document(**options: t.Any) -> FrontEnd:
    return front_end({"name": OWNER, "load_balancer": {"name": OWNER}, **options})


def https(**options: t.Any) -> dict[str, t.Any]:
    return {"port": 443, "protocol": "https", "enabled": True, **options}


def parts(**options: t.Any) -> FrontEnd:
    head = {"name": OWNER, "load_balancer": {"name": OWNER}}
    return partial({**head, "listeners": [{"port": 443, "protocol": "https", "exists": True, **options}]})


def operations(plan: t.Any) -> list[str]:
    return [step.operation for step in plan.steps]


# PEM


def test_what_a_certificate_says() -> None:
    made = document(certificates=[{"name": "www", **OLD}]).certificates[0]
    assert (made.common_name, made.subject_alt_names, made.fingerprint) == (
        "www.example.com",
        ("www.example.com",),
        fingerprint(OLD),
    )
    assert made.chain_expires is not None and made.expires is not None and made.expires <= made.chain_expires
    assert OLD["private_key"] not in repr(made)
    authority = document(ca_certificates=[{"name": "ca", "certificate": certificates.authority()}]).ca_certificates[0]
    assert (authority.common_name, authority.subject_alt_names) == ("Example CA", ())
    assert pem.fingerprint("AB:cd") == pem.fingerprint("abCD") == "ab:cd"


LEAF, CA = certificates.leaf("www.example.com", "old"), certificates.authority()


@pytest.mark.parametrize(
    ("option", "given", "sentence"),
    [
        ("certificates", {"certificate": "nonsense"}, r"certificates\[www\].certificate is no certificate in PEM"),
        ("certificates", {"certificate": CA + LEAF}, "has its chain in the wrong order: .*but the other way round"),
        ("certificates", {"certificate": LEAF + LEAF}, "has its chain in the wrong order"),
        ("ca_certificates", {"certificate": CA + CA}, "has 2 certificates; one CA is uploaded at a time"),
        ("certificates", {**OLD, "private_key": NEW["private_key"]}, "is the key of another certificate"),
        ("certificates", {**OLD, "private_key": "nonsense"}, "is no private key in PEM"),
        (
            "certificates",
            {**OLD, "private_key": certificates.private_key("old", b"secret")},
            "private_key is encrypted",
        ),
        ("certificates", {"private_key": OLD["private_key"]}, "has a private_key, but no certificate"),
        ("certificates", {"name": "1st"}, "has to begin with a letter and have 1 to 80"),
        ("certificates", {"keep_old": -1.0}, "keep_old is -1; 0 to"),
        ("certificates", {"name": None}, "has an entry with neither name nor id"),
        ("certificates", {"id": ""}, "id is an empty text"),
        ("tls_policies", {"name": None}, "has an entry with neither name nor id"),
        ("tls_policies", {"name": "x"}, "has to begin with a letter and have 2 to 200"),
        ("tls_policies", {"name": "tls_cipher_policy_1_2"}, "which the cloud brings along"),
        ("tls_policies", {"ciphers": []}, "ciphers is empty"),
        ("tls_policies", {"ciphers": ["RC4"]}, "ciphers has 'RC4'"),
        ("tls_policies", {"tls_versions": ["SSLv3"]}, "tls_versions has 'SSLv3'; TLSv1.0, "),
    ],
)
def test_what_cannot_be_uploaded_or_made(option: str, given: dict[str, t.Any], sentence: str) -> None:
    with pytest.raises(DocumentError, match=sentence):
        document(**{option: [{"name": "www", **given}]})


def test_one_certificate_has_one_name() -> None:
    sentence = f"certificates has {fingerprint(OLD)} as www and as shop; every certificate may be there once"
    with pytest.raises(DocumentError, match=sentence):
        document(certificates=[{"name": "www", **OLD}, {"name": "api"}, {"name": "shop", **OLD}])


def test_contents_of_files(tmp_path: t.Any) -> None:
    (tmp_path / "www.pem").write_text(OLD["certificate"])
    (tmp_path / "www.key").write_text(OLD["private_key"])
    entry = {
        "name": "www",
        "certificate_path": str(tmp_path / "www.pem"),
        "private_key_path": str(tmp_path / "www.key"),
    }
    whole = with_files({"certificates": [entry], "ca_certificates": None})
    assert whole["certificates"][0]["certificate"] == OLD["certificate"]
    assert document(**whole).certificates[0].fingerprint == fingerprint(OLD)
    with pytest.raises(DocumentError, match="has certificate and certificate_path; give one of the two"):
        with_files({"certificates": [{**entry, "certificate": "x"}]})
    with pytest.raises(
        DocumentError, match=r"certificates\[www\].certificate_path is '/none', which cannot be read: No such"
    ):
        with_files({"certificates": [{**entry, "certificate_path": "/none"}]})
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(DocumentError, match="it is no text"):
        with_files({"certificates": [{**entry, "certificate_path": str(tmp_path / "binary")}]})


# documents


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"rules": [{"state": "present"}]}, "has an entry with neither domain nor url"),
        ({"rules": [{"domain": "a b"}]}, "is 'a b', which is no domain"),
        ({"rules": [{"url": "/"}]}, "it has to begin with '/', be more than that"),
        ({"rules": [{"url": "/a", "name": "a b"}]}, "name is 'a b'; 1 to 40 letters"),
        (
            {"rules": [{"url": "/a", "listener_sync": True, "scheduler": "rr"}]},
            "listener_sync is true, but the rule has",
        ),
        ({"rules": [{"url": "/a", "cookie_timeout": 0}]}, "cookie_timeout is 0; 1 to 86400 are possible"),
        ({"rules": [{"url": "/a"}, {"url": "/a"}]}, "rules has /a more than once"),
        ({"rules": [{"url": "/a", "name": "x"}, {"url": "/b", "name": "x"}]}, "rules has x more than once"),
        ({"domain_extensions": [{"domain": "-a"}]}, r"domain_extensions\[-a\].domain is '-a', which is no domain"),
        ({"protocol": "tcp", "rules": [{"url": "/a"}]}, "rules has /a, but only a listener of http and https"),
        ({"protocol": "http", "domain_extensions": [{"domain": "a"}]}, "but only a listener of https has that"),
        ({"failover_group": "x"}, "failover_group is 'x', but only a listener of tcp and udp has that option"),
        (
            {"protocol": "http", "forward_port": 443, "gzip": True},
            "redirects to port 443 and takes nothing else, but gzip",
        ),
        ({"cookie": "a b"}, "cookie is 'a b'; 1 to 200 characters"),
        ({"forward_port": 443}, "forward_port is 443, but only a listener of http has that option"),
    ],
)
def test_what_no_listener_of_layer_7_can_be(options: dict[str, t.Any], sentence: str) -> None:
    with pytest.raises(DocumentError, match=sentence):
        document(listeners=[https(**options)])


# listeners


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"server_group": "web"}, "needs a certificate: the name or the id of one"),
        ({"certificate": "www"}, "needs server_group, or backend_port for the default pool, one of them"),
        (
            {"certificate": "none", "server_group": "web"},
            "certificate is 'none', but neither this document nor the region",
        ),
        (
            {"certificate": "www", "server_group": "web", "sticky_session": True},
            "sticky_session is true, which needs sticky_session_type",
        ),
        (
            {"certificate": "www", "server_group": "web", "sticky_session": True, "sticky_session_type": "server"},
            "sticky_session_type is 'server', which needs cookie",
        ),
        (
            {"certificate": "www", "server_group": "web", "sticky_session": True, "sticky_session_type": "insert"},
            "sticky_session_type is 'insert', which needs cookie_timeout",
        ),
    ],
)
def test_what_a_new_listener_needs(options: dict[str, t.Any], sentence: str) -> None:
    with pytest.raises(DocumentError, match=sentence):
        build(document(listeners=[https(**options)]), dataclasses.replace(STATE, listeners=()))


def test_a_redirect_comes_after_its_target_and_goes_before_it() -> None:
    redirect = {"port": 80, "protocol": "http", "forward_port": 443, "enabled": True}
    both = [redirect, https(server_group="web", certificate="www")]
    empty = dataclasses.replace(STATE, listeners=())
    plan = build(document(listeners=both), empty)
    assert operations(plan)[::2] == ["CreateLoadBalancerHTTPSListener", "CreateLoadBalancerHTTPListener"]
    made = plan.steps[2].parameters
    assert (made["ListenerForward"], made["ForwardPort"], made["HealthCheck"]) == ("on", 443, "off")
    there = dataclasses.replace(plan.predicted, listeners=tuple(plan.predicted.listeners))
    assert not build(document(listeners=both), there).changed
    gone = build(document(listeners=[{**entry, "state": "absent"} for entry in reversed(both)]), there)
    assert [step.symbol for step in gone.steps] == ["listener:http/80", "listener:https/443"]
    with pytest.raises(DocumentError, match="there is no https listener of that port to redirect to"):
        build(document(listeners=[redirect]), empty)
    with pytest.raises(DocumentError, match="https/443 cannot be deleted, because http/80 redirects to it"):
        build(document(listeners=[https(state="absent")]), there)
    with pytest.raises(Immutable, match="forward_port is 443 and cannot become 8443"):
        build(document(listeners=[{**redirect, "forward_port": 8443}]), there)
    with pytest.raises(DocumentError, match="redirects to port 443 and takes nothing else, but bandwidth is given"):
        build(document(listeners=[{"port": 80, "protocol": "http", "bandwidth": 5}]), there)
    # a redirect whose target somebody took away is no reason to refuse anything else
    broken = dataclasses.replace(there, listeners=tuple(e for e in there.listeners if e.config.port == 80))
    assert not build(document(listeners=[redirect]), broken).changed
    removal = build(front_end({"name": OWNER, "state": "absent"}), there)
    assert operations(removal)[:2] == ["DeleteLoadBalancerListener"] * 2
    foreign = tuple(
        dataclasses.replace(entry, owner="somebody") if entry.config.port == 80 else entry for entry in there.listeners
    )
    kept = build(front_end({"name": OWNER, "state": "absent"}), dataclasses.replace(there, listeners=foreign)).kept
    assert "listener https/443 stays: a listener that others made redirects to it" in kept


def test_a_listener_takes_another_certificate_and_drops_that_of_clients() -> None:
    secured = dataclasses.replace(HTTPS, ca_certificate="clients", tls_policy="strict")
    authority = uploaded("clients", 5)
    policy = Observed(TlsPolicy("tls-1", "strict", ("TLSv1.2",), (CIPHER,)), id="tls-1", facts={"listeners": []})
    state = dataclasses.replace(
        STATE,
        listeners=(observed(secured),),
        certificates=(uploaded("www", 1, OLD), uploaded("api", 2)),
        ca_certificates=(authority,),
        tls_policies=(policy,),
    )
    plan = build(document(listeners=[https(certificate="api", ca_certificate="")]), state)
    sent = plan.steps[0].parameters
    assert (sent["ServerCertificateId"], sent["CACertificateId"], sent["TLSCipherPolicy"]) == ("cert-2", "", "tls-1")
    assert plan.predicted.listeners[0].config.ca_certificate == ""
    again = dataclasses.replace(state, listeners=plan.predicted.listeners)
    sent = build(document(listeners=[https(gzip=False)]), again).steps[0].parameters
    assert "CACertificateId" not in sent


def test_only_udp_shares_a_port() -> None:
    with pytest.raises(
        DocumentError, match=r"listeners\[tcp/443\] has the port of the listener https/443; only udp may"
    ):
        build(document(listeners=[{"port": 443, "protocol": "tcp", "server_group": "web"}]), STATE)
    assert build(document(listeners=[{"port": 443, "protocol": "udp", "server_group": "web"}]), STATE).changed


def test_what_the_api_tells_of_a_redirect_and_of_names() -> None:
    told = {"ListenerPort": 80, "ListenerProtocol": "http", "Status": "running"}
    found = listener.observe({**told, "HTTPListenerConfig": {"ListenerForward": "on", "ForwardPort": 443}}, {})
    assert found.config.forward_port == 443 and found.config.gzip is None
    found = listener.observe({**told, "HTTPListenerConfig": {"ListenerForward": "off", "ForwardPort": 443}}, {})
    assert found.config.forward_port is None and found.config.gzip is True
    by_id = observed(
        dataclasses.replace(HTTPS, certificate="cert-1", domain_extensions=(DomainExtension("a", "cert-1"),))
    )
    (named,) = listener.with_names(document(), [by_id], STATE)
    assert (named.config.certificate, named.config.domain_extensions[0].certificate) == ("www", "www")


# rules


def test_rules_are_made_changed_and_removed_in_few_calls() -> None:
    wanted = [{"url": f"/n{number}", "server_group": "web"} for number in range(11)]
    wanted += [
        {"domain": "api.example.com", "server_group": "web"},
        {"domain": "www.example.com", "url": "/x", "state": "absent"},
        {
            "domain": "*.shop.example.com",
            "server_group": "api",
            "sticky_session": True,
            "cookie": "s",
            "sticky_session_type": "server",
            "health_check": {"uri": "/readyz"},
        },
    ]
    plan = build(parts(rules=wanted), STATE)
    assert operations(plan) == ["DeleteRules", "SetRule", "CreateRules", "CreateRules", "SetRule"]
    delete, change, first, second, own = plan.steps
    assert json.loads(delete.parameters["RuleIds"]) == ["rule-2"]
    assert change.parameters == {
        "RuleId": "rule-1",
        "RuleName": "first",
        "VServerGroupId": "rsp-web",
        "ListenerSync": "on",
    }
    entries = first.parameters["RuleList"]
    assert isinstance(entries, Json) and len(entries.entries) == 10 and len(second.parameters["RuleList"].entries) == 2
    assert own.parameters["RuleId"] == Ref("rule:https/443/*.shop.example.com")
    assert (own.parameters["Cookie"], own.parameters["HealthCheckURI"], own.parameters["ListenerSync"]) == (
        "s",
        "/readyz",
        "off",
    )
    (name,) = [entry["RuleName"] for entry in second.parameters["RuleList"].entries if "Domain" in entry]
    assert name.startswith("_.shop.example.com-")
    assert second.each is not None
    answer = {"Rules": {"Rule": [{"RuleName": name, "RuleId": "rule-9"}, {"RuleName": "other", "RuleId": "rule-8"}]}}
    assert second.each.ids(answer) == {"rule:https/443/*.shop.example.com": "rule-9"}
    after = dataclasses.replace(
        plan.predicted.listeners[0],
        facts={
            **WITH_PARTS.facts,
            "rule_ids": {(r.domain, r.url): "x" for r in plan.predicted.listeners[0].config.rules},
        },
    )
    there = dataclasses.replace(STATE, listeners=(after,))
    assert not build(parts(rules=wanted), there).changed
    back = build(parts(rules=[{"domain": "*.shop.example.com", "listener_sync": True}], purge_rules=True), there)
    assert operations(back) == ["DeleteRules", "DeleteRules", "SetRule"]
    again = build(parts(rules=[{"domain": "api.example.com", "health_check": {"enabled": False}}]), there)
    assert again.steps[0].parameters["HealthCheck"] == "off"
    assert [shown["name"] for shown in view.rules(after)][:2] == ["/n0", "/n1"]


def test_rules_that_cannot_be() -> None:
    for options, sentence in (
        ({"rules": [{"url": "/a"}]}, r"rules\[/a\] is not there yet, and server_group is missing"),
        ({"rules": [{"url": "/a", "server_group": "none"}]}, r"rules\[/a\].server_group is 'none', but neither"),
        (
            {"rules": [{"url": "/a", "server_group": "web", "name": "first"}]},
            "is the name of the rule api.example.com too",
        ),
        (
            {"rules": [{"url": f"/{number}", "server_group": "web"} for number in range(39)]},
            "would have 41 forwarding rules, but 40 are possible; nobody has more",
        ),
        (
            {"domain_extensions": [{"domain": f"d{number}.example.com", "certificate": "www"} for number in range(3)]},
            "would have 4 additional domains, but 3 are possible; if a higher quota was granted",
        ),
        ({"domain_extensions": [{"domain": "new.example.com"}]}, "is not there yet, and certificate is missing"),
        (
            {"domain_extensions": [{"domain": "api.example.com", "state": "absent"}]},
            "cannot be deleted, because it is used by the rule api.example.com",
        ),
    ):
        with pytest.raises(DocumentError, match=sentence):
            build(parts(**options), STATE)
    granted = dataclasses.replace(
        parts(domain_extensions=[{"domain": f"d{n}.example.com", "certificate": "www"} for n in range(10)]),
        quotas={"domain_extensions_per_listener": 20},
    )
    with pytest.raises(DocumentError, match="would have 11 additional domains, but 10 are possible; nobody has more"):
        build(granted, STATE)
    assert rule.free_name("x" * 50, ()).startswith("x" * 31) and len(rule.free_name("x" * 50, ())) == 40
    assert rule.free_name("/a", ["/a"]) != "/a"


def test_parts_of_a_listener_that_is_not_there() -> None:
    empty = dataclasses.replace(STATE, listeners=())
    with pytest.raises(LookupFailed, match="does not exist on the load balancer prod-web; make it by"):
        build(parts(rules=[{"url": "/a", "server_group": "web"}]), empty)
    assert not build(parts(rules=[{"url": "/a", "state": "absent"}]), empty).changed
    assert not build(parts(rules=[{"url": "/a", "state": "absent"}]), CloudState()).changed


# further domains


def test_domains_come_change_and_go() -> None:
    state = dataclasses.replace(STATE, certificates=(uploaded("www", 1, OLD), uploaded("api", 2)))
    wanted = [
        {"domain": "API.example.com", "certificate": "api"},
        {"domain": "new.example.com", "certificate": "cert-2"},
    ]
    plan = build(parts(domain_extensions=wanted), state)
    assert operations(plan) == ["SetDomainExtensionAttribute", "CreateDomainExtension"]
    assert plan.steps[0].parameters == {"DomainExtensionId": "de-1", "ServerCertificateId": "cert-2"}
    after = dataclasses.replace(
        plan.predicted.listeners[0],
        facts={**WITH_PARTS.facts, "domain_ids": {"api.example.com": "1", "new.example.com": "2"}},
    )
    there = dataclasses.replace(state, listeners=(after,))
    assert not build(parts(domain_extensions=[*wanted, {"domain": "none", "state": "absent"}]), there).changed
    assert not build(parts(domain_extensions=[{"domain": "api.example.com"}]), there).changed
    gone = build(parts(domain_extensions=[{"domain": "api.example.com"}], purge_domain_extensions=True), there)
    assert operations(gone) == ["DeleteDomainExtension"]
    assert view.domain_extensions(after)[1] == {"id": "2", "domain": "new.example.com", "certificate": "api"}


# certificates


def rotated(**options: t.Any) -> FrontEnd:
    return document(
        certificates=[{"name": "www", **NEW, **options}],
        listeners=[https(certificate="www", domain_extensions=[{"domain": "api.example.com", "certificate": "www"}])],
    )


def test_a_certificate_is_rotated_without_a_gap() -> None:
    told = dataclasses.replace(
        HTTPS, certificate="cert-1", domain_extensions=(DomainExtension("api.example.com", "cert-1"),)
    )
    (before,) = listener.with_names(rotated(), [observed(told, domain_ids={"api.example.com": "de-1"})], STATE)
    # its name is the successor's
    assert before.config.certificate == "cert-1"
    state = dataclasses.replace(STATE, listeners=(before,), uses={"cert-1": (Use("lb-1", "https/443"),)})
    plan = build(rotated(keep_old=0.0), state)
    assert operations(plan) == [
        "UploadServerCertificate",
        "SetLoadBalancerHTTPSListenerAttribute",
        "SetDomainExtensionAttribute",
        "DeleteServerCertificate",
    ]
    assert plan.predicted.listeners[0].config.certificate == "www"
    assert [has.config.fingerprint for has in plan.predicted.certificates] == [fingerprint(NEW)]


def test_predecessors_stay_as_long_as_they_are_to() -> None:
    both = (uploaded("www", 1, OLD), uploaded("www", 2, NEW, made=int(NOW) - 100))
    state = dataclasses.replace(STATE, listeners=(), certificates=both)

    def wanted(**options: t.Any) -> FrontEnd:
        return document(certificates=[{"name": "www", **NEW, **options}])

    assert not build(wanted(), state).changed and not build(wanted(keep_old=101.0), state).changed
    assert operations(build(wanted(keep_old=100.0), state)) == ["DeleteServerCertificate"]
    used = dataclasses.replace(state, uses={"cert-1": (Use("lb-2", "https/443", "api.example.com"),)})
    plan = build(wanted(keep_old=0.0), used)
    assert not plan.changed
    assert plan.warnings[0] == ("certificate www (cert-1) stays: it is used by api.example.com of https/443 of lb-2")
    twin = dataclasses.replace(state, certificates=(uploaded("www", 1, NEW), uploaded("www", 2, NEW)))
    assert operations(build(wanted(), twin)) == ["DeleteServerCertificate"]


def test_certificates_are_known_by_their_fingerprint() -> None:
    def alone(**options: t.Any) -> FrontEnd:
        return region_only({"name": OWNER, "certificates": [options]})

    state = CloudState(certificates=(uploaded("www", 1, OLD),), now=NOW)
    assert not build(alone(name="www", **OLD), state).changed
    renamed = build(alone(name="shop", tags={"a": "b"}, **OLD), state)
    assert operations(renamed) == ["SetServerCertificateName", "TagResources"]
    foreign = CloudState(certificates=(uploaded("www", 1, OLD, owner="x"),), now=NOW)
    assert not build(alone(name="shop", **OLD), foreign).changed
    with pytest.raises(Immutable, match="but cert-1 is .* and cannot become another one"):
        build(alone(id="cert-1", **NEW), state)
    with pytest.raises(LookupFailed, match="the id 'cert-9' does not exist in this region"):
        build(alone(id="cert-9"), state)
    with pytest.raises(DocumentError, match="is not on the cloud, and certificate is missing"):
        build(alone(name="shop"), state)
    with pytest.raises(DocumentError, match="is not on the cloud, and private_key is missing"):
        build(alone(name="shop", certificate=NEW["certificate"]), state)
    ended = certificates.pair("www.example.com", "old", days=-1)
    with pytest.raises(
        DocumentError, match=r"certificates\[www\].certificate ended on .*Z, itself or one of its chain"
    ):
        build(alone(name="www", **ended), CloudState(now=4e9))
    soon = CloudState(certificates=(uploaded("www", 1, OLD),), now=LATER - 86_400.0)
    assert build(alone(name="www"), soon).warnings[0].endswith("in 1 days; upload its successor under the same name")
    late = dataclasses.replace(soon, now=LATER + 86_400.0)
    assert "which is over" in build(alone(name="www"), late).warnings[0]
    shown = view.the_certificate(alone(name="www", **OLD), "certificates", state)
    assert shown is not None and shown["id"] == "cert-1" and shown["expires"].endswith("Z")
    assert view.the_certificate(alone(name="www", state="absent"), "certificates", state) is None
    assert (view.front_end(alone(name="shop", **OLD), state) or {})["certificates"][0]["name"] == "www"
    found = certificate.search(state.certificates, name="www", fingerprint=fingerprint(OLD).upper(), ends_by=LATER + 1)
    assert found == list(state.certificates) and not certificate.search(found, id="none")


def test_certificates_of_one_name() -> None:
    pair = (uploaded("www", 1), uploaded("www", 2))
    state = dataclasses.replace(STATE, listeners=(), certificates=pair)
    plan = build(document(listeners=[https(certificate="www", server_group="web")]), state)
    assert plan.steps[0].parameters["ServerCertificateId"] == "cert-2"
    strangers = dataclasses.replace(state, certificates=(uploaded("www", 1, owner="x"), uploaded("www", 2)))
    with pytest.raises(LookupFailed, match="the name 'www' fits 2 of this region, cert-1 and cert-2"):
        build(document(listeners=[https(certificate="www", server_group="web")]), strangers)
    by_id = build(document(listeners=[https(certificate="cert-1", server_group="web")]), strangers)
    assert by_id.predicted.listeners[0].config.certificate == "cert-1"
    absent = document(certificates=[{"name": "www", "state": "absent"}])
    assert operations(build(absent, state)) == ["DeleteServerCertificate"] * 2
    with pytest.raises(LookupFailed, match="say which one is meant by its id"):
        build(absent, strangers)


def test_what_is_used_is_not_deleted() -> None:
    used = {"cert-1": (Use("lb-2", "https/443"),), "tls-1": (Use("lb-2", "https/8443"),)}
    policy = Observed(TlsPolicy("tls-1", "strict", ("TLSv1.2",), (CIPHER,)), id="tls-1", facts={"listeners": ["x"]})
    state = dataclasses.replace(STATE, listeners=(), uses=used, tls_policies=(policy,))
    for option, entry, sentence in (
        (
            "certificates",
            {"name": "www"},
            r"certificate www \(cert-1\) cannot be deleted, because it is used by https/443 of lb-2",
        ),
        ("certificates", {"id": "cert-1"}, "cannot be deleted, because it is used by https/443 of lb-2"),
        (
            "tls_policies",
            {"name": "strict"},
            r"TLS policy strict \(tls-1\) cannot be deleted, because it is used by https/8443",
        ),
    ):
        with pytest.raises(DocumentError, match=sentence):
            build(document(**{option: [{**entry, "state": "absent"}]}), state)
    assert not build(document(certificates=[{"id": "none", "state": "absent"}]), state).changed
    # the document's own listeners count as they are going to be
    own = dataclasses.replace(
        STATE, uses={"cert-1": (Use("lb-1", "https/443"), Use("lb-1", "https/443", "api.example.com"))}
    )
    with pytest.raises(DocumentError, match="used by https/443 of lb-1 and api.example.com of https/443 of lb-1"):
        build(document(certificates=[{"name": "www", "state": "absent"}], listeners=[https()]), own)
    unread = observed(dataclasses.replace(HTTPS, rules=None, domain_extensions=None, certificate="other"))
    with pytest.raises(DocumentError, match="used by api.example.com of https/443 of lb-1"):
        build(
            document(certificates=[{"name": "www", "state": "absent"}], listeners=[https()]),
            dataclasses.replace(own, listeners=(unread,), certificates=(*own.certificates, uploaded("other", 3))),
        )
    removal = build(front_end({"name": OWNER, "state": "absent", "tls_policies": [{"name": "strict"}]}), state)
    assert "certificate www (cert-1) stays: it is used by https/443 of lb-2" in removal.kept
    assert "TLS policy strict (tls-1) stays: it is used by https/8443 of lb-2" in removal.kept
    gone = build(document(listeners=[https(state="absent")], certificates=[{"name": "www", "state": "absent"}]), own)
    assert operations(gone) == ["DeleteLoadBalancerListener", "DeleteServerCertificate"]


def test_a_group_that_a_rule_leads_to_is_not_deleted() -> None:
    gone = {"server_groups": [{"name": "api", "state": "absent"}]}
    with pytest.raises(DocumentError, match="is used by the rule api.example.com of https/443"):
        build(document(**gone, listeners=[https()]), STATE)
    group = dataclasses.replace(API, facts={"listeners": ["tcp/80"], "rules": {"rule-1": "/x"}})
    with pytest.raises(
        DocumentError, match=r"server group api \(rsp-api\) cannot be deleted, .* tcp/80 and the rule /x;"
    ):
        build(document(**gone), dataclasses.replace(STATE, listeners=(), server_groups=(WEB, group)))
    served = observed(dataclasses.replace(HTTPS, server_group="api"))
    with pytest.raises(DocumentError, match="is used by https/443; give them another one first"):
        build(document(**gone, listeners=[https()]), dataclasses.replace(STATE, listeners=(served,)))
    moved = [https(rules=[{"domain": "api.example.com", "server_group": "web"}], purge_rules=True)]
    plan = build(document(**gone, listeners=moved), STATE)
    assert operations(plan) == ["DeleteRules", "SetRule", "DeleteVServerGroup"]


def test_certificates_of_nobody_become_the_owners() -> None:
    state = CloudState(load_balancer=INSTANCE, certificates=(uploaded("www", 1, OLD, owner=None),), now=NOW)
    plan = build(document(certificates=[{"name": "www", **OLD}], adopt=True), state)
    assert plan.steps[0].parameters["ResourceType"] == "certificate" and plan.steps[0].verb == "adopt"


# policies


def policies(**options: t.Any) -> FrontEnd:
    return region_only({"name": OWNER, "tls_policies": [{"name": "strict", **options}]})


def test_policies_are_made_changed_and_removed() -> None:
    made = build(policies(tls_versions=["TLSv1.2"], ciphers=[CIPHER]), CloudState())
    assert operations(made) == ["CreateTLSCipherPolicy"]
    policy = Observed(TlsPolicy("tls-1", "strict", ("TLSv1.2",), (CIPHER,)), id="tls-1", facts={"listeners": []})
    state = CloudState(tls_policies=(policy,))
    assert not build(policies(ciphers=[CIPHER]), state).changed
    both = {"tls_versions": ["TLSv1.2", "TLSv1.3"], "ciphers": [CIPHER, "TLS_AES_128_GCM_SHA256"]}
    changed = build(policies(**both), state)
    assert (
        operations(changed) == ["SetTLSCipherPolicyAttribute"]
        and "tls_versions from TLSv1.2 to" in changed.steps[0].reason
    )
    renamed = build(region_only({"name": OWNER, "tls_policies": [{"id": "tls-1", "name": "other"}]}), state)
    assert renamed.steps[0].reason == "change name from strict to other"
    assert operations(build(policies(state="absent"), state)) == ["DeleteTLSCipherPolicy"]
    assert (view.front_end(policies(), state) or {})["tls_policies"][0]["id"] == "tls-1"
    for options, sentence in (
        ({"tls_versions": ["TLSv1.2"]}, "is not there yet, and ciphers is missing"),
        (
            {"tls_versions": ["TLSv1.3"], "ciphers": [CIPHER]},
            "tls_versions has 'TLSv1.3', but none of its cipher suites",
        ),
        (
            {"tls_versions": ["TLSv1.3"], "ciphers": [CIPHER, "TLS_AES_128_GCM_SHA256"]},
            "which belongs to none of TLSv1.3",
        ),
    ):
        with pytest.raises(DocumentError, match=sentence):
            build(policies(**options), CloudState())
    with pytest.raises(LookupFailed, match="tls_policies: the id 'tls-9' does not exist"):
        build(region_only({"name": OWNER, "tls_policies": [{"id": "tls-9"}]}), state)
    with pytest.raises(DocumentError, match="has 33 cipher suites; at most 32 are possible"):
        document(tls_policies=[{"name": "strict", "ciphers": [f"{CIPHER}"]}]) and dataclasses.replace(
            document(), tls_policies=()
        )
        from ansible_collections.clusterfront.ha.plugins.module_utils._slb.document import check

        check(dataclasses.replace(document(), tls_policies=(TlsPolicy(name="strict", ciphers=(CIPHER,) * 33),)))


def test_of_policies_of_one_name_that_say_the_same_the_oldest_is_meant() -> None:
    def policy(number: int, *users: str, **options: t.Any) -> Observed[TlsPolicy]:
        given = {"tls_versions": ("TLSv1.2",), "ciphers": (CIPHER,), **options}
        return Observed(
            TlsPolicy(f"tls-{number}", "strict", **given), id=f"tls-{number}", facts={"listeners": list(users)}
        )

    twins = CloudState(tls_policies=(policy(1), policy(2), policy(3, "https/443 of lb-2")))
    plan = build(policies(ciphers=[CIPHER]), twins)
    assert [step.parameters for step in plan.steps] == [{"TLSCipherPolicyId": "tls-2"}]
    assert [has.id for has in plan.predicted.tls_policies] == ["tls-1", "tls-3"]
    assert not build(region_only({"name": OWNER, "tls_policies": [{"id": "tls-2"}]}), twins).changed
    gone = build(policies(state="absent"), twins)
    assert [step.parameters["TLSCipherPolicyId"] for step in gone.steps] == ["tls-1", "tls-2", "tls-3"]
    differing = CloudState(tls_policies=(policy(1), policy(2, ciphers=("AES128-SHA256",))))
    with pytest.raises(LookupFailed, match="the name 'strict' fits 2 of this region, tls-1 and tls-2"):
        build(policies(ciphers=[CIPHER]), differing)


# the way back


def test_what_is_exported_can_be_applied() -> None:
    from ansible_collections.clusterfront.ha.plugins.module_utils import _argspec

    state = dataclasses.replace(STATE, default_pool=())
    found = export(document(), state, _argspec.FRONT_END)
    (shown,) = found.document["listeners"]
    assert [entry["domain"] for entry in shown["rules"]] == ["api.example.com", "www.example.com"]
    assert shown["domain_extensions"] == [{"domain": "api.example.com", "certificate": "www"}]
    assert not [words for words in found.warnings if "applied as it is" in words], found.warnings
    assert Each(("a",), "n", "i", {}).ids({"a": []}) == {} and HealthCheck() == HealthCheck()


def test_what_the_api_tells_of_rules_certificates_and_policies() -> None:
    kind = certificate.KINDS["certificates"]
    told = {"ServerCertificateId": "cert-1", "Fingerprint": "AB:CD", "CreateTimeStamp": 5000, "ExpireTimeStamp": 9000}
    has = certificate._observe(kind, told)
    assert (has.id, has.config.fingerprint, has.config.expires, has.facts["created"]) == ("cert-1", "ab:cd", 9, 5)
    policy = tls_policy._observe(
        {"InstanceId": "tls-1", "RelateListeners": [{"Protocol": "HTTPS", "Port": 443, "LoadBalancerId": "lb-1"}]}
    )
    assert policy.facts["listeners"] == ["https/443 of lb-1"]
    own = {"ListenerSync": "off", "HealthCheck": "off", "StickySession": "on", "StickySessionType": "insert"}
    found = rule._observe({"Domain": "A.example.com", "VServerGroupId": "rsp-1", "Cookie": "", **own}, {"rsp-1": "web"})
    assert (found.domain, found.server_group, found.cookie, found.sticky_session) == (
        "a.example.com",
        "web",
        None,
        True,
    )
    assert found.health_check == HealthCheck(enabled=False)


def test_a_removed_front_end_shows_its_certificates() -> None:
    removed = front_end({"name": OWNER, "state": "absent"})
    shown = view.front_end(removed, STATE)
    assert shown is not None and [entry["name"] for entry in shown["certificates"]] == ["www"]
    assert view.difference(document(certificates=[{"id": "cert-1"}]), STATE)["certificates"][0]["name"] == "www"
    kept = front_end({"name": OWNER, "state": "absent", "keeps_region": True})
    shown = view.front_end(kept, STATE)
    assert shown is not None and shown["certificates"] == [] and build(kept, STATE).predicted.certificates
    (entry,) = view.difference(parts(rules=[]), STATE)["listeners"]
    assert [set(part) & {"id"} for part in (*entry["rules"], *entry["domain_extensions"])] == [set()] * 3
