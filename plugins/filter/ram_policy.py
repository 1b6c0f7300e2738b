# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleFilterError

from ansible_collections.clusterfront.ha.plugins.module_utils._slb.errors import DocumentError
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.permissions import policy

DOCUMENTATION = r"""
name: ram_policy
version_added: "0.1.0"
short_description: The RAM policy that modules of this collection need
description:
  - Makes the policy from the table of operations that the modules themselves call, and no others.
author: clusterfront.ha contributors (@clusterfront)
options:
  _input:
    description:
      - Names of modules that call the cloud, with C(clusterfront.ha.) before them or without.
    type: list
    elements: str
    required: true
  read_only:
    description:
      - Only what reads, which is enough for check mode and for C(_info) modules.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Write the policy of the user that builds front ends
  ansible.builtin.copy:
    content: "{{ ['slb_frontend', 'slb_health_info'] | clusterfront.ha.ram_policy | to_nice_json }}"
    dest: ./policy.json
    mode: "0644"

- name: Show what a user needs who may only look, by check mode
  ansible.builtin.debug:
    msg: "{{ ['slb_frontend'] | clusterfront.ha.ram_policy(read_only=true) }}"
"""

RETURN = r"""
_value:
  description: The policy, as RAM takes it in JSON.
  type: dict
"""


def ram_policy(modules: list[str], read_only: bool = False) -> dict[str, t.Any]:
    """The policy as plain data."""
    if isinstance(modules, str) or not isinstance(modules, t.Iterable):
        raise AnsibleFilterError(f"ram_policy takes a list of modules, not {modules!r}")
    try:
        return policy([str(module) for module in modules], read_only=read_only)
    except DocumentError as error:
        raise AnsibleFilterError(f"ram_policy: {error}") from error


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"ram_policy": ram_policy}
