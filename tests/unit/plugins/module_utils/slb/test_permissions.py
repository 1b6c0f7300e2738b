# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The table of permissions is what the code calls, and the page is the table."""

from __future__ import annotations

import ast
import re

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.clusterfront.ha.plugins.filter.ram_policy import FilterModule
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.permissions import MODULES, policy, reads_only

ram_policy = FilterModule().filters()["ram_policy"]
OPERATION = re.compile(r"(Add|Create|Delete|Describe|List|Modify|Move|Remove|Set|Start|Stop|Tag|Untag|Upload)[A-Z]\w+")


def operations(root):
    """Every operation of the API whose name stands in the engine."""
    from alibabacloud_slb20140515 import models

    found = {"ecs:DescribeInstances", "ecs:DescribeNetworkInterfaces", "ecs:DescribeSecurityGroupAttribute"}
    for path in (root / "plugins" / "module_utils" / "_slb").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            name = node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
            if OPERATION.fullmatch(name) and hasattr(models, f"{name}Request"):
                found.add(f"slb:{name}")
    return found


def test_the_table_has_every_operation_of_the_engine_and_no_other(root):
    assert {action for actions in MODULES.values() for action in actions} == operations(root)


def test_the_table_has_every_module_that_calls_the_cloud(root):
    assert set(MODULES) == {path.stem for path in (root / "plugins" / "modules").glob("slb_*.py")}


@pytest.mark.parametrize("module", MODULES)
def test_a_policy_has_each_action_once_and_its_read_only_variant_writes_nothing(module):
    (statement,) = policy([module])["Statement"]
    assert statement["Action"] == sorted(set(MODULES[module])) and statement["Effect"] == "Allow"
    (reading,) = policy([module], read_only=True)["Statement"]
    assert set(reading["Action"]) <= set(statement["Action"]) and all(map(reads_only, reading["Action"]))
    if module.endswith("_info"):
        assert reading == statement


def test_policies_of_modules_add_up():
    both = ram_policy(["clusterfront.ha.slb_instance", "slb_health_info"])["Statement"][0]["Action"]
    assert {"slb:MoveResourceGroup", "slb:DescribeHealthStatus"} <= set(both)
    assert not any(action.endswith("TCPListener") for action in both)
    assert "slb:MoveResourceGroup" not in ram_policy(["slb_instance"], read_only=True)["Statement"][0]["Action"]


@pytest.mark.parametrize(
    ("modules", "sentence"),
    [
        (["endpoint_probe"], "endpoint_probe is not among the modules that call the cloud: slb_acl, "),
        ([], "none is not among the modules"),
        ("slb_instance", "takes a list of modules, not 'slb_instance'"),
        (None, "takes a list of modules, not None"),
    ],
)
def test_what_is_no_list_of_modules(modules, sentence):
    with pytest.raises(AnsibleFilterError, match=sentence):
        ram_policy(modules)


def rows():
    """The table of the page."""
    actions = sorted({action for found in MODULES.values() for action in found})
    for action in actions:
        users = ", ".join(f"`{module}`" for module in MODULES if action in MODULES[module])
        yield f"| `{action}` | {'read' if reads_only(action) else 'write'} | {users} |"


def test_the_page_has_the_table(root):
    page = (root / "docs" / "permissions.md").read_text(encoding="utf-8").splitlines()
    assert [line for line in page if line.startswith("| `")] == list(rows())
