# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The kubeadm configuration that the role renders, for both formats."""

from __future__ import annotations

import pytest
import yaml

ROLE = "kubeadm_endpoint"
TEMPLATE = "kubeadm-config.yaml.j2"
MASTERS = [{"name": f"master-{number}", "address": f"192.0.2.{10 + number}"} for number in (1, 2, 3)]
BALANCERS = [{"name": f"haproxy-{number}", "address": f"192.0.2.{20 + number}"} for number in (1, 2)]
BASE = {
    "inventory_hostname": "master-2",
    "kubeadm_endpoint_name": "api.example.com",
    "kubeadm_endpoint_address": "192.0.2.100",
    "kubeadm_endpoint_next_name": "next.example.com",
    "kubeadm_endpoint_masters": MASTERS,
    "kubeadm_endpoint_load_balancers": BALANCERS,
    "kubeadm_endpoint_extra_sans": ["203.0.113.7", "192.0.2.11"],
    "kubeadm_endpoint_kubernetes_version": "1.33.13",
    "kubeadm_endpoint_advertise_address": "192.0.2.12",
}
CASES = {
    "new": BASE,
    "old": {**BASE, "kubeadm_endpoint_kubernetes_version": "v1.30.4"},
    "first": {**BASE, "kubeadm_endpoint_kubernetes_version": "1.31.0"},
    "address": {**BASE, "kubeadm_endpoint_name": "2001:db8::1", "kubeadm_endpoint_port": 7443},
    "flags": {
        **BASE,
        "kubeadm_endpoint_goaway_chance": "",
        "kubeadm_endpoint_apiserver_extra_args": {"audit-log-maxage": 30, "profiling": "false"},
        "kubeadm_endpoint_image_repository": "registry.example.com/k8s",
        "kubeadm_endpoint_pod_subnet": "10.244.0.0/16",
    },
    "none": {**BASE, "kubeadm_endpoint_goaway_chance": "", "kubeadm_endpoint_shutdown_delay_duration": ""},
}


@pytest.fixture
def documents(rendered):
    return {
        name: {document["kind"]: document for document in yaml.safe_load_all(text) if document}
        for name, text in rendered.items()
    }


def cluster(documents, case):
    return documents[case]["ClusterConfiguration"]


@pytest.mark.parametrize(("case", "version"), [("old", "v1beta3"), ("first", "v1beta4"), ("new", "v1beta4")])
def test_format_follows_the_version(documents, case, version):
    assert set(documents[case]) == {"InitConfiguration", "ClusterConfiguration", "KubeletConfiguration"}
    for kind in ("InitConfiguration", "ClusterConfiguration"):
        assert documents[case][kind]["apiVersion"] == f"kubeadm.k8s.io/{version}"
    assert documents[case]["KubeletConfiguration"]["apiVersion"] == "kubelet.config.k8s.io/v1beta1"


def test_version_has_one_v(documents):
    assert cluster(documents, "old")["kubernetesVersion"] == "v1.30.4"
    assert cluster(documents, "new")["kubernetesVersion"] == "v1.33.13"


def test_endpoint_always_has_a_port(documents):
    assert cluster(documents, "new")["controlPlaneEndpoint"] == "api.example.com:6443"
    assert cluster(documents, "address")["controlPlaneEndpoint"] == "[2001:db8::1]:7443"


def test_flags_are_a_map_or_a_list(documents):
    wanted = {"goaway-chance": "0.001", "shutdown-delay-duration": "15s"}
    assert cluster(documents, "old")["apiServer"]["extraArgs"] == wanted
    assert cluster(documents, "new")["apiServer"]["extraArgs"] == [
        {"name": name, "value": value} for name, value in wanted.items()
    ]


def test_flags_of_the_user_come_on_top(documents):
    assert cluster(documents, "flags")["apiServer"]["extraArgs"] == [
        {"name": "shutdown-delay-duration", "value": "15s"},
        {"name": "audit-log-maxage", "value": "30"},
        {"name": "profiling", "value": "false"},
    ]
    assert "extraArgs" not in cluster(documents, "none")["apiServer"]


def test_names_in_the_certificate_are_complete(documents):
    names = cluster(documents, "new")["apiServer"]["certSANs"]
    wanted = {"api.example.com", "192.0.2.100", "next.example.com", "127.0.0.1", "localhost", "203.0.113.7"}
    wanted |= {machine[key] for machine in MASTERS + BALANCERS for key in ("name", "address")}
    assert set(names) == wanted
    assert len(names) == len(wanted)


def test_names_are_the_same_in_every_format(documents):
    lists = [cluster(documents, case)["apiServer"]["certSANs"] for case in ("new", "old", "first", "flags")]
    assert all(names == lists[0] for names in lists)


def test_this_master_is_advertised(documents):
    assert documents["new"]["InitConfiguration"]["localAPIEndpoint"] == {
        "advertiseAddress": "192.0.2.12", "bindPort": 6443
    }  # fmt: skip


def test_settings_that_are_empty_are_left_to_kubeadm(documents):
    assert "imageRepository" not in cluster(documents, "new")
    assert cluster(documents, "flags")["imageRepository"] == "registry.example.com/k8s"
    assert cluster(documents, "new")["networking"] == {"dnsDomain": "cluster.local", "serviceSubnet": "10.96.0.0/12"}
    assert cluster(documents, "flags")["networking"]["podSubnet"] == "10.244.0.0/16"
