# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the role's variables become: the settings that its modules get."""

from __future__ import annotations

import json

import pytest

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
    "kubeadm_endpoint_kubernetes_version": "v1.33.13",
}
CASES = {
    "usual": BASE,
    "address": {**BASE, "kubeadm_endpoint_name": "2001:db8::1", "kubeadm_endpoint_port": 7443},
    "flags": {
        **BASE,
        "kubeadm_endpoint_goaway_chance": "",
        "kubeadm_endpoint_apiserver_extra_args": {"audit-log-maxage": 30, "profiling": "false"},
        "kubeadm_endpoint_taints": [],
        "kubeadm_endpoint_init_skip_phases": ["addon"],
    },
    "old": {**BASE, "kubeadm_endpoint_kubernetes_version": "1.26.15"},
    "names": {
        **BASE,
        "kubeadm_endpoint_masters": [
            {"name": "Master_1", "address": "192.0.2.11"},
            {"name": "Master-2", "address": "192.0.2.12"},
        ],
    },
    "own": {**BASE, "kubeadm_endpoint_advertise_address": "198.51.100.2"},
}
TEMPLATE = "{{ {'cluster': __kubeadm_endpoint_cluster, 'init': __kubeadm_endpoint_init_node, 'join': __kubeadm_endpoint_join_node} | to_json }}"


@pytest.fixture(scope="module")
def found(root, collections_path, tmp_path_factory):
    from templates import render_cases

    directory = tmp_path_factory.mktemp("kubeadm_endpoint")
    (directory / "settings.j2").write_text(TEMPLATE)
    texts = render_cases(root, collections_path, directory, "kubeadm_endpoint", directory / "settings.j2", CASES)
    return {name: json.loads(text) for name, text in texts.items()}


def test_version_has_no_v(found):
    assert found["usual"]["cluster"]["version"] == "1.33.13"


def test_endpoint_always_has_a_port(found):
    assert found["usual"]["cluster"]["endpoint"] == "api.example.com:6443"
    assert found["address"]["cluster"]["endpoint"] == "[2001:db8::1]:7443"


def test_names_in_the_certificate_are_complete(found):
    names = found["usual"]["cluster"]["cert_sans"]
    wanted = {"api.example.com", "192.0.2.100", "next.example.com", "127.0.0.1", "localhost", "203.0.113.7"}
    wanted |= {machine[key] for machine in MASTERS + BALANCERS for key in ("name", "address")}
    assert set(names) == wanted and len(names) == len(wanted)


def test_a_machine_whose_name_is_no_dns_name_is_in_the_certificate_by_its_address(found):
    names = found["names"]["cluster"]["cert_sans"]
    assert "master-2" in names and "192.0.2.11" in names
    assert not [name for name in names if "_" in name or name != name.lower()]


def test_flags_of_the_user_come_on_top(found):
    assert found["usual"]["cluster"]["apiserver_args"] == {
        "goaway-chance": "0.001",
        "shutdown-delay-duration": "15s",
        "shutdown-watch-termination-grace-period": "10s",
    }
    assert "shutdown-watch-termination-grace-period" not in found["old"]["cluster"]["apiserver_args"]
    assert found["flags"]["cluster"]["apiserver_args"] == {
        "shutdown-delay-duration": "15s",
        "shutdown-watch-termination-grace-period": "10s",
        "audit-log-maxage": 30,
        "profiling": "false",
    }


def test_this_master_is_advertised(found):
    assert found["usual"]["init"]["advertise_address"] == found["usual"]["join"]["advertise_address"] == "192.0.2.12"
    assert found["own"]["init"]["advertise_address"] == "198.51.100.2"


def test_phases_are_those_of_the_command(found):
    assert found["flags"]["init"]["skip_phases"] == ["addon"] and found["flags"]["join"]["skip_phases"] == []
    assert found["flags"]["init"]["taints"] == [] and found["usual"]["init"]["taints"] is None
