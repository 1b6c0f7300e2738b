# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The configuration of kubeadm in both formats, and the text that it becomes."""

from __future__ import annotations

import pytest
import yaml
from ansible_collections.clusterfront.ha.plugins.module_utils._kubeadm import yamltext
from ansible_collections.clusterfront.ha.plugins.module_utils._kubeadm.config import (
    TIMEOUTS,
    Cluster,
    ConfigError,
    Discovery,
    Node,
    init_documents,
    join_documents,
    masked,
    merged,
)
from ansible_collections.clusterfront.ha.plugins.module_utils._kubeadm.versions import V1BETA3, V1BETA4

CLUSTER = Cluster(
    endpoint="api.example.com:6443",
    version="v1.33.13",
    cert_sans=["api.example.com", "192.0.2.100"],
    apiserver_args={"goaway-chance": "0.001", "unset": ""},
    scheduler_args={"v": 2},
    service_subnet="10.96.0.0/12",
)
NODE = Node(name="master-2", advertise_address="192.0.2.12", kubelet_args={"v": 2}, skip_phases=["addon"])
DISCOVERY = Discovery("api.example.com:6443", "abcdef.0123456789abcdef", ["sha256:" + "0" * 64])


def by_kind(documents):
    """As kubeadm would read the text."""
    return {document["kind"]: document for document in yaml.safe_load_all(yamltext.text(documents))}


def cluster_of(api, node=NODE, **changes):
    import dataclasses

    return by_kind(init_documents(dataclasses.replace(CLUSTER, **changes), node, api))["ClusterConfiguration"]


@pytest.mark.parametrize("api", [V1BETA3, V1BETA4])
def test_init_has_three_documents_of_one_format(api):
    documents = by_kind(init_documents(CLUSTER, NODE, api))
    assert set(documents) == {"InitConfiguration", "ClusterConfiguration", "KubeletConfiguration"}
    assert (
        documents["InitConfiguration"]["apiVersion"]
        == documents["ClusterConfiguration"]["apiVersion"]
        == f"kubeadm.k8s.io/{api}"
    )
    assert documents["InitConfiguration"]["localAPIEndpoint"] == {"advertiseAddress": "192.0.2.12", "bindPort": 6443}
    assert documents["InitConfiguration"]["skipPhases"] == ["addon"]
    assert documents["KubeletConfiguration"]["cgroupDriver"] == "systemd"
    assert documents["ClusterConfiguration"]["controlPlaneEndpoint"] == "api.example.com:6443"


def test_flags_are_a_map_or_a_list():
    assert cluster_of(V1BETA3)["apiServer"]["extraArgs"] == {"goaway-chance": "0.001"}
    assert cluster_of(V1BETA4)["apiServer"]["extraArgs"] == [{"name": "goaway-chance", "value": "0.001"}]
    assert cluster_of(V1BETA4)["scheduler"]["extraArgs"] == [{"name": "v", "value": "2"}]


def test_a_flag_may_come_twice_in_the_newer_format_only():
    twice = {"oidc-required-claim": ["a=b", "c=d"]}
    flags = cluster_of(V1BETA4, apiserver_args=twice)["apiServer"]["extraArgs"]
    assert [flag["value"] for flag in flags] == ["a=b", "c=d"]
    with pytest.raises(ConfigError, match="apiserver_args has oidc-required-claim more than once"):
        cluster_of(V1BETA3, apiserver_args=twice)


def test_what_is_empty_is_left_to_kubeadm():
    document = cluster_of(V1BETA4)
    assert not {"clusterName", "imageRepository", "etcd", "controllerManager", "featureGates", "dns"} & set(document)
    assert document["networking"] == {"serviceSubnet": "10.96.0.0/12"}


def test_timeouts_lie_where_the_format_has_them():
    whole = Node(timeouts={name: "1m0s" for name in TIMEOUTS})
    init = by_kind(init_documents(CLUSTER, whole, V1BETA4))["InitConfiguration"]
    assert init["timeouts"] == {name: "1m0s" for name in TIMEOUTS.values()}
    old = Node(timeouts={"control_plane_component_health_check": "5m0s", "discovery": "2m0s"})
    assert cluster_of(V1BETA3, old)["apiServer"]["timeoutForControlPlane"] == "5m0s"
    join = by_kind(join_documents(old, DISCOVERY, False, V1BETA3))["JoinConfiguration"]
    assert join["discovery"]["timeout"] == "2m0s" and "timeouts" not in join


@pytest.mark.parametrize(
    ("node", "words"),
    [
        (Node(timeouts={"etcd_api_call": "1m"}), "timeouts has 'etcd_api_call', which v1beta3 does not know"),
        (Node(timeouts={"etcd": "1m"}), "timeouts has 'etcd', which is none of"),
        (Node(image_pull_serial=False), "imagePullSerial is nothing that v1beta3 knows"),
    ],
)
def test_what_the_older_format_does_not_know_is_refused(node, words):
    with pytest.raises(ConfigError, match=words):
        init_documents(CLUSTER, node, V1BETA3)


def test_fields_of_the_newer_format():
    found = cluster_of(
        V1BETA4,
        certificate_validity="8760h",
        ca_certificate_validity="87600h",
        encryption_algorithm="ECDSA-P256",
        dns_disabled=True,
        proxy_disabled=True,
    )
    assert (found["certificateValidityPeriod"], found["caCertificateValidityPeriod"]) == ("8760h", "87600h")
    assert found["encryptionAlgorithm"] == "ECDSA-P256"
    assert found["dns"] == found["proxy"] == {"disabled": True}
    with pytest.raises(ConfigError, match="certificateValidityPeriod"):
        cluster_of(V1BETA3, certificate_validity="8760h")


def test_etcd_is_stacked_or_external():
    stacked = cluster_of(V1BETA4, etcd_args={"quota-backend-bytes": "1"}, etcd_cert_sans=["etcd.example.com"])["etcd"]
    assert stacked["local"]["serverCertSANs"] == stacked["local"]["peerCertSANs"] == ["etcd.example.com"]
    external = {"endpoints": ["https://192.0.2.5:2379"], "ca_file": "/a", "cert_file": "/b", "key_file": "/c"}
    assert cluster_of(V1BETA4, etcd_external=external)["etcd"]["external"] == {
        "endpoints": ["https://192.0.2.5:2379"],
        "caFile": "/a",
        "certFile": "/b",
        "keyFile": "/c",
    }


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"etcd_external": {"ca_file": "/a"}}, "etcd_external has no endpoints"),
        ({"etcd_external": {"endpoints": ["x"], "ca": "/a"}}, "etcd_external has 'ca', which is none of"),
        ({"etcd_external": {"endpoints": ["x"]}, "etcd_args": {"a": "b"}}, "etcd_external is given, so etcd_args"),
    ],
)
def test_an_external_etcd_that_can_t_be_is_refused(changes, words):
    with pytest.raises(ConfigError, match=words):
        cluster_of(V1BETA4, **changes)


def test_no_taints_is_a_statement():
    assert (
        by_kind(init_documents(CLUSTER, Node(taints=[]), V1BETA4))["InitConfiguration"]["nodeRegistration"]["taints"]
        == []
    )
    assert "nodeRegistration" not in by_kind(init_documents(CLUSTER, Node(), V1BETA4))["InitConfiguration"]


@pytest.mark.parametrize("api", [V1BETA3, V1BETA4])
def test_join_is_pinned_by_the_hash(api):
    node = Node(advertise_address="192.0.2.12", certificate_key="k" * 64)
    join = by_kind(join_documents(node, DISCOVERY, True, api))["JoinConfiguration"]
    assert join["discovery"]["bootstrapToken"]["caCertHashes"] == ["sha256:" + "0" * 64]
    assert join["controlPlane"] == {
        "localAPIEndpoint": {"advertiseAddress": "192.0.2.12", "bindPort": 6443},
        "certificateKey": "k" * 64,
    }
    assert "controlPlane" not in by_kind(join_documents(node, DISCOVERY, False, api))["JoinConfiguration"]
    with pytest.raises(ConfigError, match="ca_cert_hashes is empty"):
        join_documents(node, Discovery("a:1", "t", []), True, api)


def test_fields_of_the_user_win():
    documents = init_documents(CLUSTER, NODE, V1BETA4)
    extra = {
        "ClusterConfiguration": {"apiServer": {"certSANs": ["other.example.com"]}, "clusterName": "mine"},
        "KubeProxyConfiguration": {"apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "mode": "ipvs"},
    }
    found = by_kind(merged(documents, extra))
    assert found["ClusterConfiguration"]["apiServer"]["certSANs"] == ["other.example.com"]
    assert found["ClusterConfiguration"]["apiServer"]["extraArgs"]
    assert found["ClusterConfiguration"]["clusterName"] == "mine"
    assert found["KubeProxyConfiguration"]["mode"] == "ipvs"
    with pytest.raises(ConfigError, match="the kind 'Nothing' without an apiVersion"):
        merged(documents, {"Nothing": {}})


def test_secrets_are_masked():
    assert masked("token abc, key def", ["abc", "", "def"]) == "token ********, key ********"


@pytest.mark.parametrize(
    "value",
    [
        {
            "a": "yes",
            "b": "1.10",
            "c": "plain-text",
            "d": 5,
            "e": None,
            "f": True,
            "": "x",
            "on": {"x": [1, [2, 3], {"y": []}]},
        },
        {"list": [{"name": "a", "value": "b: c"}, {"name": "d", "list": [{"e": 1}]}], "empty": {}, "text": "a\nb # c"},
    ],
)
def test_text_is_yaml_for_the_same_data(value):
    assert list(yaml.safe_load_all(yamltext.text([value, value]))) == [value, value]
