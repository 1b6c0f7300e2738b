# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Weights from numbers of CPUs."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.clusterfront.ha.plugins.filter.cpu_weights import FilterModule

cpu_weights = FilterModule().filters()["cpu_weights"]


@pytest.mark.parametrize(
    ("hosts", "weights"),
    [
        ({"a": 8, "b": 4, "c": 2}, {"a": 100, "b": 50, "c": 25}),
        ({"a": 1}, {"a": 100}),
        ({"a": 3, "b": 1}, {"a": 100, "b": 33}),
        ({"a": "16", "b": "10"}, {"a": 100, "b": 63}),
        # a share of less than a half is still a share
        ({"a": 416, "b": 1}, {"a": 100, "b": 1}),
        ({}, {}),
    ],
)
def test_the_largest_has_a_hundred_and_the_others_their_share(hosts, weights):
    assert cpu_weights(hosts) == weights
    assert cpu_weights(dict(reversed(hosts.items()))) == weights


def test_servers_of_a_list():
    facts = [
        {"inventory_hostname": "a", "ansible_host": "192.0.2.1", "ansible_facts": {"processor_vcpus": 4}},
        {"inventory_hostname": "b", "ansible_host": "192.0.2.2", "ansible_processor_vcpus": 2, "ansible_facts": {}},
    ]
    assert cpu_weights(facts) == {"a": 100, "b": 50}
    assert list(cpu_weights(iter(facts), name="ansible_host")) == ["192.0.2.1", "192.0.2.2"]
    assert cpu_weights([{"id": "i-1", "size": {"cpu": 2}}], cpus="size.cpu", name="id") == {"i-1": 100}


@pytest.mark.parametrize(
    ("hosts", "options", "sentence"),
    [
        ("web", {}, "takes a dictionary or a list of dictionaries, not 'web'"),
        (4, {}, "takes a dictionary or a list of dictionaries, not 4"),
        (["web-1"], {}, "has to be a dictionary, not 'web-1'"),
        ([{"cpu": 1}], {}, "a server has no inventory_hostname; name says where"),
        ([{"inventory_hostname": "a"}], {}, "a has no ansible_facts.processor_vcpus; gather its facts, or say by cpus"),
        ([{"inventory_hostname": "a"}], {"cpus": "cpu"}, "a has no cpu; cpus says where the number is"),
        ([{"inventory_hostname": "a", "cpu": 1}] * 2, {"cpus": "cpu"}, "a is there more than once"),
        ({"a": 0}, {}, "a has 0 CPUs; a number of 1 or more"),
        ({"a": "many"}, {}, "a has 'many' CPUs"),
        ({"a": True}, {}, "a has True CPUs"),
        ({"a": 1.5}, {}, "a has 1.5 CPUs"),
    ],
)
def test_what_has_no_weights(hosts, options, sentence):
    with pytest.raises(AnsibleFilterError, match=sentence):
        cpu_weights(hosts, **options)


INVENTORY = """
web:
  hosts:
    web-1: {ansible_host: 192.0.2.11, web_cpus: 4}
    web-2: {ansible_host: 192.0.2.12, web_cpus: 1}
"""
BACKENDS = (
    "{{ groups['web'] | map('extract', hostvars) | clusterfront.ha.cpu_weights(cpus='web_cpus', name='ansible_host')"
    " | dict2items(key_name='private_ip', value_name='weight') | map('combine', {'port': 80}) | list | to_json }}"
)


def test_the_example_makes_backends(tmp_path, collections_path):
    (tmp_path / "hosts.yml").write_text(INVENTORY)
    (tmp_path / "play.yml").write_text(
        f"- hosts: localhost\n  gather_facts: false\n  tasks:\n    - copy: {{dest: '{tmp_path}/out', content: \"{BACKENDS}\", mode: '0600'}}\n"
    )
    run = subprocess.run(
        [sys.executable, "-m", "ansible", "playbook", "-i", tmp_path / "hosts.yml", tmp_path / "play.yml"],
        env={**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(collections_path), "ANSIBLE_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert (tmp_path / "out").read_text() == (
        '[{"private_ip": "192.0.2.11", "weight": 100, "port": 80}, {"private_ip": "192.0.2.12", "weight": 25, "port": 80}]'
    )
