# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A resolution as plays see it: parts of machines, phases, and what is known of cloud and machines so far."""

from __future__ import annotations

import pytest
from front_ends import ADDRESSES, DIRECT, FRESH, KUBEADM, NEEDED, found

from ansible_collections.clusterfront.ha.plugins.module_utils._frontend import facts

ALL = list(ADDRESSES)


def met(play=NEEDED, machines=None, **given):
    """The facts of a run on machines that all answer."""
    machines = ["localhost", *ALL] if machines is None else machines
    resolved = found(play=play)
    assert resolved.problems == []
    run = facts.Found("run-1", machines, given.pop("answering", machines), **given)
    return facts.refusals(resolved, run), facts.of(resolved, run)


def answer(**given):
    """The answer of slb_frontend in check mode."""
    return {
        "item": {"name": "prod-api"},
        "steps": [],
        "front_end": {"load_balancer": {"address": "192.0.2.100"}},
        **given,
    }


def test_a_machine_has_its_own_part_and_the_phases_it_is_about():
    dummy, told = met()
    assert set(told["machines"]) == set(ALL) and told["run"] == "run-1" and told["unknown"] == []
    lb1, w1 = told["machines"]["lb1"], told["machines"]["w1"]
    assert lb1["phases"] == ["clusterfront_machines", "clusterfront_proxies"]
    assert w1["phases"] == ["clusterfront_machines", "clusterfront_nodes"]
    # the first machine is in all groups, so that none of them is empty
    assert told["machines"]["m1"]["phases"] == list(facts.PHASES)
    assert met(machines=["lb1"])[1]["machines"]["lb1"]["phases"] == list(facts.PHASES)


def test_masters_that_the_limit_leaves_out_are_asked_all_the_same():
    assert met()[1]["elsewhere"] == []
    assert met(machines=["lb1", "m2"])[1]["elsewhere"] == [{"name": "m1", "port": 6443}, {"name": "m3", "port": 6443}]


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ({}, None),
        ({"compared": []}, None),
        ({"compared": [answer()]}, "192.0.2.100"),
        ({"compared": [answer(front_end={"load_balancer": None})]}, None),
        ({"compared": [answer(item={"name": "another"})]}, None),
        ({"compared": [answer(front_end={})], "check_mode": True}, "0.0.0.0"),
        ({"check_mode": True}, None),
    ],
)
def test_an_address_that_nobody_told_is_not_known(given, address):
    shared = met(**given)[1]["shared"]["prod-api"]
    assert (shared["address"], shared["address_known"]) == (address or "", address is not None)


def test_a_front_end_is_settled_where_cloud_and_all_machines_are_as_they_were():
    same = dict.fromkeys(ALL, True)
    for given, settled in (
        ({"compared": [answer()], "looked": same}, True),
        ({"compared": [answer()], "looked": {**same, "w1": False}}, False),
        ({"compared": [answer()], "looked": {"m1": True}}, False),
        ({"compared": [answer(steps=["one"])], "looked": same}, False),
        ({"compared": None, "looked": same}, False),
        ({"compared": [answer()], "looked": same, "play": {**NEEDED, "kube_apiserver_trust_last_run": "no"}}, False),
        ({"compared": [], "looked": same, "play": {**NEEDED, "kube_apiserver_topology": "existing"}}, True),
    ):
        told = met(**given)[1]
        assert told["shared"]["prod-api"]["settled"] is settled and told["all"][0]["settled"] is settled, given


def test_nodes_of_the_run_that_are_no_members_join():
    members = {**dict.fromkeys(["m1", "m2", "m3"], {"role": "control_plane"}), "w1": {"role": "worker"}}
    assert met(play=KUBEADM, told=members)[1]["all"][0]["joining"] is False
    assert met(play=KUBEADM, told={**members, "w1": {"role": "fresh"}})[1]["all"][0]["joining"] is True
    # a node that the limit leaves out has nothing to join now
    assert (
        met(play=KUBEADM, told={**members, "w1": {"role": "fresh"}}, machines=["m1"])[1]["all"][0]["joining"] is False
    )


def test_what_is_refused_needs_the_cloud_to_have_been_asked():
    silent = [name for name in ALL if name not in ("m2", "m3")]
    assert met(answering=silent)[0] == []
    assert "no quorum" in met(answering=silent, compared=[answer()])[0][0]
    refused = met(
        play=KUBEADM, told={name: {"role": role} for name, role in FRESH.items() if name != "m3"}, compared=[]
    )[0]
    assert "m3 could not be asked" in refused[0]


def test_security_groups_are_refused_told_or_ignored():
    shut = {"item": [{"name": "prod-api"}, {}], "problems": ["Port 6443 is shut."]}
    other = {"item": [{"name": "another"}, {}], "problems": ["Port 1 is shut."]}
    assert met(compared=[answer()], kept_out=[shut, other])[0] == [
        "Port 6443 is shut.",
        "Set kube_apiserver_security_groups to warn to go on all the same.",
    ]
    warned = met(play={**NEEDED, "kube_apiserver_security_groups": "warn"}, compared=[answer()], kept_out=[shut])
    assert warned[0] == [] and warned[1]["notes"] == ["Warning: Port 6443 is shut."]
    ignored = met(play={**NEEDED, "kube_apiserver_security_groups": "ignore"}, compared=[answer()], kept_out=[shut])
    assert ignored[0] == [] and ignored[1]["notes"] == [] and ignored[1]["all"][0]["openings"] == []


def test_the_cloud_is_left_where_the_limit_leaves_out_localhost():
    told = met(machines=["lb1"], compared=[answer(steps=["one"])])[1]
    assert told["notes"][-1].startswith("The load balancer of prod-api differs from what is wanted and stays as it is")
    assert told["all"][0]["differs"] is True


def test_facts_of_machines_come_first_where_they_are_needed():
    assert facts.unresolved(["m1"]) == {
        "unknown": ["m1"], "all": [], "shared": {}, "machines": {}, "notes": [], "elsewhere": [],
    }  # fmt: skip


def test_an_endpoint_of_somebody_else_has_no_document():
    existing = {**NEEDED, "kube_apiserver_topology": "existing", "kube_apiserver_endpoint_address": "192.0.2.9"}
    told = met(play=existing, compared=[])[1]
    assert told["all"][0]["document"] == {} and told["shared"]["prod-api"]["address"] == "192.0.2.9"
    assert met(play=DIRECT)[1]["all"][0]["report"]["name"] == "prod-api"
