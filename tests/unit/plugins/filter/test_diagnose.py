# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The filter between a playbook's data and the rules."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.clusterfront.ha.plugins.filter.diagnose import FilterModule

diagnose = FilterModule().filters()["diagnose"]


def test_findings_are_plain_data():
    nodes = [
        {"name": "master-1", "endpoint": "timed_out", "local": "open", "local_status": 200, "backend": True},
        {"name": "worker-1", "endpoint": "open", "endpoint_status": 200},
    ]
    found = diagnose(nodes, "k8s-api.example.com:6443")
    assert [finding["code"] for finding in found] == ["hairpin", "servers_ready", "endpoint_reached"]
    assert found[0]["nodes"] == ["master-1"] and found[0]["severity"] == "problem"


@pytest.mark.parametrize("node", [{"name": "a"}, {"name": "a", "endpoint": "open", "color": "red"}])
def test_a_node_that_is_none(node):
    with pytest.raises(AnsibleFilterError, match="every node needs name and endpoint, and nothing unknown"):
        diagnose([node], "x:1")
