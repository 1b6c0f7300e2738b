# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The resolution by Ansible's own inventory, variables and templates: where variables may stand, and what is not known."""

from __future__ import annotations

import types

import pytest
from ansible.errors import AnsibleActionFail
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.playbook.play import Play
from ansible.template import Templar
from ansible.vars.hostvars import HostVars
from ansible.vars.manager import VariableManager

from ansible_collections.clusterfront.ha.plugins.action import front_end

HOSTS = """
[masters]
m1 private_ip=192.0.2.11
m2 private_ip=192.0.2.12
m3 private_ip=192.0.2.13
[load_balancers]
lb1 private_ip=192.0.2.21
lb2 private_ip=192.0.2.22
[others]
x
"""
NEEDED = "kube_apiserver_name: prod-api\nkube_apiserver_endpoint_name: api.example.com\n"


@pytest.fixture
def inventory(tmp_path):
    """Writes an inventory, with its group_vars and host_vars by their paths, and resolves it."""

    def resolved(files, ini=HOSTS, play=(), runner="m1", facts=None, **arguments):
        (tmp_path / "hosts").write_text(ini)
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(text)
        loader = DataLoader()
        hosts = InventoryManager(loader, sources=[str(tmp_path / "hosts")])
        variables = VariableManager(loader, hosts)
        for host, known in (facts or {}).items():
            variables.set_host_facts(host, known)
        given = {"kind": "kube_apiserver", **arguments}
        task = {"action": {"module": "clusterfront.ha.front_end", **given}}
        whole = {"hosts": "all", "gather_facts": False, "vars_files": list(play), "tasks": [task]}
        loaded = Play().load(whole, variable_manager=variables, loader=loader)
        task = loaded.compile()[1].block[0] if not loaded.tasks else loaded.tasks[0].block[0]
        HostVars(inventory=hosts, variable_manager=variables, loader=loader)
        task_vars = variables.get_vars(play=loaded, host=hosts.get_host(runner), task=task)
        task.args = given
        templar = Templar(loader=loader, variables=task_vars)
        shell = types.SimpleNamespace(tmpdir=None)
        action = front_end.ActionModule(task, types.SimpleNamespace(_shell=shell), None, loader, templar, None)
        return action.run(None, task_vars)

    return resolved


def names(result):
    return [one["name"] for one in result["front_ends"]["all"]]


@pytest.mark.parametrize(
    "files",
    [
        {"group_vars/all.yml": NEEDED},
        {"group_vars/masters.yml": NEEDED},
        {"host_vars/localhost.yml": NEEDED},
        {"group_vars/all.yml": NEEDED.split("\n", maxsplit=1)[1], "group_vars/masters.yml": NEEDED.split("\n", maxsplit=1)[0]},
    ],
)  # fmt: skip
@pytest.mark.parametrize("runner", ["m1", "lb2", "x", "localhost"])
def test_variables_may_stand_anywhere_whoever_runs(inventory, files, runner):
    result = inventory(files, runner=runner)
    assert names(result) == ["prod-api"]
    assert set(result["front_ends"]["machines"]) == {"m1", "m2", "m3", "lb1", "lb2"}


def test_text_of_an_ini_inventory_is_typed(inventory):
    text = "kube_apiserver_run_kubeadm='no'\nkube_apiserver_port='6444'\nkube_apiserver_allow=192.0.2.0/24\n"
    ini = f"{HOSTS}[all:vars]\n{text}{NEEDED.replace(': ', '=')}"
    told = inventory({}, ini=ini)["front_ends"]["all"][0]
    assert told["run_kubeadm"] is False
    assert told["openings"][1]["ports"] == [6444]
    assert told["document"]["access_lists"][0]["entries"] == [{"cidr": "192.0.2.0/24"}]


def test_variables_of_a_play_win_over_those_of_machines(inventory, tmp_path):
    play = 'kube_apiserver_name: play-api\nkube_apiserver_endpoint_name: "{{ kube_apiserver_name }}.example.com"\n'
    (tmp_path / "play.yml").write_text(play)
    result = inventory({"group_vars/all.yml": NEEDED}, play=[str(tmp_path / "play.yml")])
    told = result["front_ends"]["all"][0]
    assert (told["name"], told["report"]["endpoint"]) == ("play-api", "play-api.example.com:6443")


def test_templates_see_other_machines_and_groups(inventory):
    allow = "kube_apiserver_allow: \"{{ groups['masters'] | map('extract', hostvars, 'private_ip') | map('regex_replace', '$', '/32') }}\"\n"
    told = inventory({"group_vars/all.yml": NEEDED + allow})["front_ends"]["all"][0]
    assert [entry["cidr"] for entry in told["document"]["access_lists"][0]["entries"]][0] == "192.0.2.11/32"


BY_FACTS = {
    "group_vars/all.yml": NEEDED,
    "host_vars/m2.yml": 'private_ip: "{{ ansible_facts.default_ipv4.address }}"\n',
}


def test_what_follows_from_facts_is_unknown_until_they_are_gathered(inventory):
    ini = HOSTS.replace(" private_ip=192.0.2.12", "")
    assert inventory(BY_FACTS, ini=ini)["front_ends"]["unknown"] == ["m2"]
    with pytest.raises(
        AnsibleActionFail, match="^m2 has an address in private_ip that follows from facts nobody could gather"
    ):
        inventory(BY_FACTS, ini=ini, gathered=True)
    known = {"m2": {"default_ipv4": {"address": "192.0.2.12"}}}
    told = inventory(BY_FACTS, ini=ini, facts=known, gathered=True)["front_ends"]
    assert told["machines"]["m2"]["own_address"] == "192.0.2.12"


def test_what_another_machine_does_not_know_is_unknown_too(inventory):
    ini = HOSTS.replace(" private_ip=192.0.2.12", "").replace(" private_ip=192.0.2.13", "")
    files = {**BY_FACTS, "host_vars/m3.yml": "private_ip: \"{{ hostvars['m2'].private_ip | replace('12', '13') }}\"\n"}
    assert inventory(files, ini=ini)["front_ends"]["unknown"] == ["m2", "m3"]


def test_all_that_is_wrong_comes_at_once_before_anything_else(inventory):
    wrong = "kube_apiserver_alow: []\nkube_apiserver_port: many\nkube_apiserver_kubernetes_version: 1.30\n"
    with pytest.raises(AnsibleActionFail) as refused:
        inventory({"group_vars/all.yml": NEEDED + wrong})
    for sentence in (
        "kube_apiserver_allow is meant",
        "kube_apiserver_port is 'many'",
        "kube_apiserver_kubernetes_version is 1.3",
    ):
        assert sentence in str(refused.value)


def test_a_strange_name_is_told_once(inventory):
    files = {"group_vars/all.yml": f"{NEEDED}haproxy_of_others: 1\n"}
    assert inventory(files)["warnings"] == ["haproxy_of_others is no variable of this collection, so nothing reads it."]
    assert "warnings" not in inventory(files, compared=[])


def test_a_run_that_must_not_go_on_is_refused(inventory):
    files = {"group_vars/all.yml": f"{NEEDED}kube_apiserver_run_kubeadm: true\n"}
    with pytest.raises(AnsibleActionFail, match="m1 and m3 could not be asked, so kubeadm init might make a second"):
        inventory(files, compared=[], elsewhere=[{"item": {"name": "m2"}, "role": "fresh"}, {"item": {"name": "m3"}}])
