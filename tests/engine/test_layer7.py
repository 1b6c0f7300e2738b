# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Layer 7 against the emulated cloud: rules, further domains, certificates and policies, and what refuses to go."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.clusterfront.ha.plugins.module_utils._slb.document import partial, region_only
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.errors import DocumentError
from certificates import authority, leaf, pair
from documents import LAB, WEB_MADE, group, secured, server, web
from test_export import applied, exported

Options = t.Dict[str, t.Any]

OLD, NEW, API = (
    pair(name, key) for name, key in (("www.example.com", 0), ("www.example.com", 1), ("api.example.com", 2))
)


def https(port: int = 443, **options: t.Any) -> Options:
    return {"port": port, "protocol": "https", "server_group": "web", "certificate": "www", "enabled": True, **options}


def front(*listeners: Options, **options: t.Any) -> Options:
    return {
        "name": "prod-web",
        "load_balancer": LAB,
        "server_groups": [group("web", server(1)), group("api", server(2))],
        "certificates": [{"name": "www", **OLD}],
        "listeners": list(listeners),
        **options,
    }


def predicted_and_done(cloud: t.Any, options: Options, **run: t.Any) -> t.Any:
    """A run that does what check mode said, and a second one that has nothing to do."""
    said = cloud.run(options, check_mode=True, **run)
    done = cloud.run(options, **run)
    assert said.steps == done.steps and said.diff == done.diff
    cloud.forget()
    again = cloud.run(options, **run)
    assert not again.changed and again.diff["before"] == again.diff["after"] and cloud.writes == 0
    return done


def test_a_front_end_of_layer_7_is_made_changed_and_removed(cloud):
    rules = [
        {"domain": "api.example.com", "server_group": "api"},
        {"url": "/static", "server_group": "api", "name": "static", "scheduler": "rr"},
    ]
    made = predicted_and_done(
        cloud,
        front(
            {"port": 80, "protocol": "http", "forward_port": 443, "enabled": True},
            https(
                rules=rules,
                domain_extensions=[{"domain": "api.example.com", "certificate": "api"}],
                tls_policy="strict",
                ca_certificate="clients",
            ),
            certificates=[{"name": "www", **OLD}, {"name": "api", **API}],
            ca_certificates=[{"name": "clients", "certificate": authority()}],
            tls_policies=[{"name": "strict", "tls_versions": ["TLSv1.2"], "ciphers": ["ECDHE-RSA-AES128-GCM-SHA256"]}],
        ),
    )
    assert made.operations.index("CreateLoadBalancerHTTPSListener") < made.operations.index(
        "CreateLoadBalancerHTTPListener"
    )
    shown = {entry["port"]: entry for entry in made.shown["listeners"]}
    assert shown[80]["forward_port"] == 443 and shown[80]["scheduler"] is None
    assert [rule["name"] for rule in shown[443]["rules"]] == ["static", "api.example.com"]
    assert (shown[443]["rules"][0]["listener_sync"], shown[443]["rules"][1]["listener_sync"]) == (False, True)
    assert (shown[443]["certificate"], shown[443]["tls_policy"], shown[443]["ca_certificate"]) == (
        "www",
        "strict",
        "clients",
    )
    changed = predicted_and_done(
        cloud,
        front(
            https(
                rules=[{"domain": "api.example.com", "server_group": "web", "sticky_session": False}],
                purge_rules=True,
                domain_extensions=[{"domain": "api.example.com", "certificate": "www"}],
                ca_certificate="",
                http2=False,
            )
        ),
    )
    assert changed.operations.count("SetRule") == 1 and "DeleteRules" in changed.operations
    removed = cloud.run({"name": "prod-web", "state": "absent"})
    assert (
        removed.operations[:2] == ["DeleteLoadBalancerListener"] * 2
        and not cloud.run({"name": "prod-web", "state": "absent"}).changed
    )
    assert not cloud.slb("DescribeServerCertificates")["ServerCertificates"]["ServerCertificate"]
    assert cloud.slb("ListTLSCipherPolicies")["TotalCount"] == 1


def certificates_of(cloud: t.Any) -> dict[str, str]:
    found = cloud.slb("DescribeServerCertificates")["ServerCertificates"]["ServerCertificate"]
    return {entry["Fingerprint"]: entry["ServerCertificateId"] for entry in found}


def served(cloud: t.Any, balancer: str) -> tuple[str, list[str]]:
    seen = cloud.slb("DescribeLoadBalancerHTTPSListenerAttribute", LoadBalancerId=balancer, ListenerPort=443)
    domains = seen["DomainExtensions"]["DomainExtension"]
    return seen["ServerCertificateId"], [entry["ServerCertificateId"] for entry in domains]


def test_a_certificate_is_replaced_and_the_old_one_goes_when_it_may(cloud):
    domains = [{"domain": "shop.example.com", "certificate": "www"}]

    def wanted(certificate: Options, **options: t.Any) -> Options:
        return front(https(domain_extensions=domains), certificates=[{"name": "www", **certificate, **options}])

    first = cloud.run(wanted(OLD))
    balancer = first.outcome.after.load_balancer.id
    (old,) = certificates_of(cloud).values()
    rotated = predicted_and_done(cloud, wanted(NEW, keep_old=86400.0))
    assert rotated.operations == [
        "UploadServerCertificate",
        "SetLoadBalancerHTTPSListenerAttribute",
        "SetDomainExtensionAttribute",
    ]
    assert rotated.diff["before"] != rotated.diff["after"]
    (new,) = set(certificates_of(cloud).values()) - {old}
    assert served(cloud, balancer) == (new, [new])
    gone = predicted_and_done(cloud, wanted(NEW, keep_old=0.0))
    assert gone.operations == ["DeleteServerCertificate"] and list(certificates_of(cloud).values()) == [new]
    # back again, in one run
    back = predicted_and_done(cloud, wanted(OLD, keep_old=0.0))
    assert back.operations[0] == "UploadServerCertificate" and back.operations[-1] == "DeleteServerCertificate"


def test_what_another_load_balancer_uses_is_named_before_any_call(cloud):
    cloud.run(front(https(tls_policy="strict"), tls_policies=WEB_MADE["tls_policies"]))
    cloud.forget()
    for option, name in (("certificates", "www"), ("tls_policies", "strict")):
        removal = {"name": "prod-web", option: [{"name": name, "state": "absent"}]}
        with pytest.raises(DocumentError, match=r"cannot be deleted, because it is used by https/443 of lb-"):
            cloud.run(removal, make=region_only)
    with pytest.raises(
        DocumentError, match="server group api .* cannot be deleted, because it is used by the rule /api"
    ):
        cloud.run(front(https(rules=[{"url": "/api", "server_group": "api"}])))
        cloud.forget()
        cloud.run({"name": "prod-web", "server_groups": [{"name": "api", "state": "absent"}]}, make=partial)
    assert cloud.writes == 0


LEAF, CHAIN = leaf("www.example.com", 0), authority()
RULE = {"url": "/api", "server_group": "api"}
REFUSED = {
    "no PEM": ({"certificate": "nonsense"}, {}, "is no certificate in PEM"),
    "half a PEM": ({"certificate": LEAF[:400]}, {}, "is no certificate in PEM"),
    "another's key": ({"private_key": NEW["private_key"]}, {}, "is the key of another certificate"),
    "over": (pair("www.example.com", 0, days=-1), {}, "ended on .*; give one that is valid"),
    "reversed chain": ({"certificate": CHAIN + LEAF}, {}, "has its chain in the wrong order"),
    "one as another": (API, {}, "has .* as www and as api; every certificate may be there once"),
    "a rule twice": ({}, {"rules": [RULE, {**RULE, "name": "other"}]}, "rules has /api more than once"),
    "a name twice": ({}, {"rules": [{**RULE, "name": "a"}, {"url": "/b", **RULE, "name": "a"}]}, "more than once"),
    "no such group": ({}, {"rules": [{**RULE, "server_group": "none"}]}, "server_group is 'none', but neither"),
    "no such certificate": ({}, {"certificate": "none"}, "certificate is 'none', but neither"),
    "of another protocol": ({}, {"persistence_timeout": 60}, "but only a listener of tcp has that option"),
}


@pytest.mark.parametrize(("content", "options", "sentence"), REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("there", [False, True], ids=["new", "there"])
def test_what_cannot_be_is_one_sentence_before_any_write(cloud, content, options, sentence, there):
    if there:
        cloud.run(front(https(), certificates=[{"name": "www", **API}]))
        cloud.forget()
    for check_mode in (True, False):
        with pytest.raises(DocumentError, match=sentence) as caught:
            wanted = front(https(**options), certificates=[{"name": "www", **OLD, **content}, {"name": "api", **API}])
            cloud.run(wanted, check_mode=check_mode)
        assert str(caught.value).isprintable() and OLD["private_key"][40:80] not in str(caught.value)
    assert cloud.writes == 0


@pytest.mark.parametrize("rules", [41, 0], ids=["rules", "domains"])
def test_more_than_a_listener_can_have_is_refused_before_any_call(cloud, rules):
    more = {
        "rules": [{"url": f"/r{number}", "server_group": "api"} for number in range(rules)],
        "domain_extensions": [
            {"domain": f"d{number}.example.com", "certificate": "www"} for number in range(0 if rules else 11)
        ],
    }
    with pytest.raises(DocumentError, match="would have (41 forwarding rules|11 additional domains)"):
        cloud.run({**front(https(**more)), "quotas": {"domain_extensions_per_listener": 20}})
    assert cloud.writes == 0


def test_a_front_end_of_layer_7_is_exported_as_a_document_that_changes_nothing(cloud):
    cloud.run(WEB_MADE)
    cloud.forget()
    found = exported(cloud, "prod-web")
    assert cloud.writes == 0 and not found.left_out
    assert not [words for words in found.warnings if words.startswith("applied as it is")], found.warnings
    listeners = {entry["port"]: entry for entry in found.document["listeners"]}
    assert listeners[80]["forward_port"] == 443 and len(listeners[443]["rules"]) == 11
    assert (listeners[443]["certificate"], listeners[443]["tls_policy"]) == ("www", "strict")
    for check_mode in (True, False):
        assert not applied(cloud, found.document, check_mode=check_mode).steps
    changed = {**found.document, "listeners": [{**listeners[443], "rules": [{"url": "/part0", "server_group": "web"}]}]}
    assert [step["operation"] for step in applied(cloud, changed).steps] == ["SetRule"]


def test_a_changed_rule_keeps_what_it_has_whatever_the_api_resets(cloud):
    own = {"url": "/a", "server_group": "api", "scheduler": "rr", "sticky_session": True, "cookie_timeout": 60}
    own |= {"sticky_session_type": "insert", "health_check": {"uri": "/readyz", "interval": 7}}
    cloud.run(web(secured(rules=[own]), certificates=[{"name": "www", **OLD}]))
    cloud.switch(set_omission="reset_all")
    changed = predicted_and_done(cloud, web(secured(rules=[{"url": "/a", "health_check": {"timeout": 9}}])))
    (rule,) = changed.shown["listeners"][0]["rules"]
    assert (rule["scheduler"], rule["cookie_timeout"]) == ("rr", 60)
    assert [rule["health_check"][name] for name in ("uri", "interval", "timeout")] == ["/readyz", 7, 9]
