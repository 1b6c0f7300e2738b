# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleFilterError

from ansible_collections.clusterfront.ha.plugins.module_utils._kubeadm.state import (
    Master,
    StateError,
    checked,
    first,
    members,
    step,
)

DOCUMENTATION = r"""
name: kubeadm_steps
version_added: "0.1.0"
short_description: What has to be done on every master, from what the masters are now
description:
  - Takes what M(clusterfront.ha.kubeadm_node_info) says of every master, and tells the step of each.
  - init is the step of one master, and only where no master belongs to a cluster yet. No master is special afterwards.
author: clusterfront.ha contributors (@clusterfront)
options:
  _input:
    description: One entry for each master, with C(name), C(role), C(doing), C(ready), and C(ca).
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
- name: Show what would be done
  ansible.builtin.debug:
    msg: "{{ masters | clusterfront.ha.kubeadm_steps }}"
  vars:
    masters:
      - {name: master-1, role: control_plane, ready: true, ca: 5f0c3a9be1d25f0c}
      - {name: master-2, role: fresh}
"""

RETURN = r"""
_value:
  description:
    - C(steps), the step of each master by its name; C(first), the master that init runs on, null where there is a cluster; C(members), the
      masters that others can join by.
  type: dict
"""


def kubeadm_steps(masters: list[dict[str, t.Any]]) -> dict[str, t.Any]:
    """The plan as data."""
    try:
        found = [Master(**master) for master in masters]
        checked(found)
    except TypeError as error:
        raise AnsibleFilterError(
            f"kubeadm_steps: every master needs name and role, and nothing unknown: {error}"
        ) from error
    except StateError as error:
        raise AnsibleFilterError(str(error)) from error
    return {
        "steps": {master.name: step(master, found) for master in found},
        "first": first(found),
        "members": members(found),
    }


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"kubeadm_steps": kubeadm_steps}
