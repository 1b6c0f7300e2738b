# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Objects of an ingress of 2017 as today's: the guide's own lines, and what else is met."""

from __future__ import annotations

import pathlib

import pytest
import yaml

from ansible_collections.clusterfront.ha.plugins.module_utils._ingress.convert import ANNOTATIONS, convert, kebab

GOLDEN = pathlib.Path(__file__).parent / "golden"
SEED = list(yaml.safe_load_all((GOLDEN / "seed.txt").read_text()))
TODAY = "service.beta.kubernetes.io/alibaba-cloud-loadbalancer-"
BEFORE = "service.beta.kubernetes.io/alicloud-loadbalancer-"
POD = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "web", "image": "example.com/web"}]}}


@pytest.mark.parametrize(
    ("golden", "options"),
    [
        ("ingress_nginx.yml", {}),
        ("ingress_nginx_https_at_slb.yml", {"https": "cert-example"}),
        ("traefik.yml", {"controller": "traefik"}),
    ],
)
def test_the_guide_s_own_objects(golden, options):
    wanted = yaml.safe_load((GOLDEN / golden).read_text())
    assert convert(SEED, **options) == wanted


def test_what_comes_in_stays_as_it_was():
    before = yaml.safe_dump(SEED)
    convert(SEED)
    assert yaml.safe_dump(SEED) == before


def service(**annotations):
    return {
        "kind": "Service",
        "metadata": {"name": "lb", "annotations": {BEFORE + name: value for name, value in annotations.items()}},
    }


def converted(item, **options):
    """One object, and what is said of it."""
    found = convert([item], **options)
    return found["objects"][-1], found["notes"]


def test_annotations_of_the_first_cloud_controller():
    new, notes = converted(service(**{name: "x" for name in ANNOTATIONS}))
    assert set(new["metadata"]["annotations"]) == {TODAY + name for name in ANNOTATIONS.values() if name}
    assert notes == [
        "Service lb: SLBNetworkType 'x' is left out; an SLB is in a VPC or public today, which address-type says.",
        "Service lb: Region 'x' is left out; an SLB is made in the region of its cluster.",
    ]


def test_other_annotations():
    item = service(**{"spec": "slb.s2.small", "BackendLabel": "a=b"})
    item["metadata"]["annotations"] |= {TODAY + "id": "lb-example", "own": "kept"}
    new, notes = converted(item)
    assert new["metadata"]["annotations"] == {
        TODAY + "spec": "slb.s2.small", TODAY + "backend-label": "a=b", TODAY + "id": "lb-example", "own": "kept",
    }  # fmt: skip
    assert notes == [
        "Service lb: BackendLabel is no annotation that is known; it became backend-label, look whether anything reads it."
    ]
    plain = {"kind": "Service", "metadata": {"name": "x"}}
    assert converted(plain) == (plain, [])


@pytest.mark.parametrize(
    ("camel", "words"), [("HealthCheckURI", "health-check-uri"), ("SLBNetworkType", "slb-network-type"), ("id", "id")]
)
def test_kebab(camel, words):
    assert kebab(camel) == words


def test_tls_at_the_slb_without_plain_http():
    new, notes = converted(service(ProtocolPort="http:443"), https="cert-1")
    assert new["metadata"]["annotations"] == {TODAY + "protocol-port": "https:443", TODAY + "cert-id": "cert-1"}
    assert "leads to https" not in notes[0]


def test_a_check_that_is_on_stays_as_it_is():
    new, notes = converted(service(HealthCheckFlag="on", ProtocolPort="tcp:80"))
    assert new["metadata"]["annotations"] == {TODAY + "health-check-flag": "on", TODAY + "protocol-port": "tcp:80"}
    assert not notes


def test_what_the_server_wrote_goes():
    item = {
        "kind": "ConfigMap",
        "metadata": {"name": "x", "uid": "1", "resourceVersion": "2", "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}"}},
        "status": {},
    }  # fmt: skip
    assert converted(item)[0] == {"kind": "ConfigMap", "metadata": {"name": "x", "annotations": {}}}


def test_lists_and_empty_parts():
    found = convert([None, {"kind": "List", "items": [{"kind": "Secret"}]}, {"kind": "List"}])
    assert found == {"objects": [{"kind": "Secret", "metadata": {}}], "notes": []}


@pytest.mark.parametrize("selector", [None, {"app": "web"}, {"matchLabels": {"app": "web"}}])
def test_workloads_of_old_versions(selector):
    spec = {"template": POD} | ({"selector": selector} if selector else {})
    new, dummy = converted({"apiVersion": "extensions/v1beta1", "kind": "Deployment", "spec": spec})
    assert new["apiVersion"] == "apps/v1" and new["spec"]["selector"] == {"matchLabels": {"app": "web"}}
    today = {"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {}, "spec": {}}
    assert converted(today)[0] == today


def test_a_controller_on_chosen_nodes():
    pod = {**POD, "spec": {**POD["spec"], "hostNetwork": True, "nodeSelector": {"edge": "yes"}, "dnsPolicy": "Default"}}
    new, notes = converted({"kind": "ReplicationController", "metadata": {"name": "rc"}, "spec": {"template": pod}})
    assert new["kind"] == "DaemonSet" and new["spec"]["template"]["spec"]["dnsPolicy"] == "Default"
    assert notes == [
        "ReplicationController rc: 1 replicas on the host network became a DaemonSet, one pod on every node that its nodeSelector chooses."
    ]


def ingress(spec, **annotations):
    return {
        "apiVersion": "extensions/v1beta1",
        "kind": "Ingress",
        "metadata": {"name": "web", "annotations": annotations},
        "spec": spec,
    }


OLD_BACKEND = {"serviceName": "web", "servicePort": "http"}


def test_backends_and_paths():
    paths = [{"path": "/a", "backend": {"serviceName": "a", "servicePort": "80"}}, {"backend": OLD_BACKEND}]
    item = ingress(
        {"backend": OLD_BACKEND, "tls": [{"secretName": "x"}], "rules": [{"http": {"paths": paths}}, {"host": "x"}]}
    )
    new, notes = converted(item)
    by_name = {"service": {"name": "web", "port": {"name": "http"}}}
    assert new["spec"]["defaultBackend"] == by_name and "backend" not in new["spec"]
    assert new["spec"]["rules"][0]["http"]["paths"] == [
        {
            "path": "/a",
            "pathType": "ImplementationSpecific",
            "backend": {"service": {"name": "a", "port": {"number": 80}}},
        },
        {"path": "/", "pathType": "Prefix", "backend": by_name},
    ]
    assert "annotations" not in new["metadata"]
    assert notes == [
        "Ingress web: no class is named; give ingressClassName, or a default IngressClass has to serve it."
    ]


def test_an_ingress_of_today_keeps_its_backend():
    backend = {"service": {"name": "web", "port": {"number": 80}}}
    item = ingress({"rules": [{"http": {"paths": [{"path": "/", "pathType": "Exact", "backend": backend}]}}]})
    assert converted(item)[0]["spec"]["rules"][0]["http"]["paths"][0]["backend"] == backend
    today = {**ingress({"ingressClassName": "edge"}, own="x"), "apiVersion": "networking.k8s.io/v1"}
    found = convert([today, {"kind": "IngressClass", "metadata": {"name": "edge"}}])
    assert found["objects"] == [today, {"kind": "IngressClass", "metadata": {"name": "edge"}}] and not found["notes"]


def test_annotations_of_ingress_nginx():
    told = {"ingress.kubernetes.io/rewrite-target": "/", "nginx.ingress.kubernetes.io/limit-rps": "5", "own": "kept"}
    item = ingress({"ingressClassName": "x", "tls": [{}]}, **told)
    new, notes = converted(item)
    assert new["metadata"]["annotations"] == {
        "nginx.ingress.kubernetes.io/rewrite-target": "/", "nginx.ingress.kubernetes.io/limit-rps": "5", "own": "kept",
    }  # fmt: skip
    assert notes == [
        "Ingress web: rewrite-target '/' replaces the whole path since 0.22; what has to stay of it needs a group in path, and $1 here."
    ]
    del item["metadata"]["annotations"]["own"]
    new, notes = converted(item, controller="traefik")
    assert "annotations" not in new["metadata"]
    assert notes[1] == "Ingress web: the annotation limit-rps '5' is left out; traefik does this by objects of its own."


def test_a_controller_that_is_none():
    with pytest.raises(ValueError, match="controller is 'haproxy'; it has to be one of ingress_nginx, traefik"):
        convert([], controller="haproxy")
