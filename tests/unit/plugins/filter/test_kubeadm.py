# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The filters that the role kubeadm_endpoint plans and explains by."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.clusterfront.ha.plugins.filter import kubeadm_cause, kubeadm_steps


def test_steps_of_all_masters():
    plan = kubeadm_steps.FilterModule().filters()["kubeadm_steps"]
    masters = [{"name": "m1", "role": "control_plane", "ready": True}, {"name": "m2", "role": "fresh"}]
    assert plan(masters) == {"steps": {"m1": "done", "m2": "join"}, "first": None, "members": ["m1"]}


def test_a_plan_that_can_t_be_is_refused():
    with pytest.raises(AnsibleFilterError, match="needs name and role"):
        kubeadm_steps.kubeadm_steps([{"name": "m1"}])
    with pytest.raises(AnsibleFilterError, match="m1 is a worker"):
        kubeadm_steps.kubeadm_steps([{"name": "m1", "role": "worker"}])


def test_the_cause_is_said():
    filters = kubeadm_cause.FilterModule().filters()
    failed = {"msg": "kubeadm init failed", "lines": [], "kubelet": [], "apiserver_ready": True}
    assert "hairpin" in filters["kubeadm_cause"](failed, "init", "a:1", {"result": "timed_out"}, True)
    assert "Hairpin" in filters["hairpin_rule"]("private_direct", "none", "1.33.4", "a:1")
