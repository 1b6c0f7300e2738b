#!/usr/bin/python
# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: front_end
short_description: Resolve the front ends of an inventory
version_added: "0.1.0"
author:
  - clusterfront.ha contributors (@clusterfront)
description:
  - Reads the variables of a kind of front end wherever they stand, of all machines of the inventory whatever C(--limit) says, and tells what
    each machine is to its front end, what the cloud shall be, and the inputs of the roles that run on machines.
  - Everything that is wrong is told at once, under the names that the user wrote, and before anything is changed.
  - It works on the controller. The playbooks run it once, for localhost, and each machine takes its own part of the result.
options:
  kind:
    description:
      - The kind of front end, which is the name of the role that has its variables.
    type: str
    choices: [kube_apiserver]
    required: true
  gathered:
    description:
      - Whether the facts of machines have been gathered. Without them a value that follows from facts is told, and with them it is refused
        where it is still not known.
    type: bool
    default: false
  compared:
    description:
      - What M(clusterfront.ha.slb_frontend) found in check mode, the results of a loop over the front ends. With them it decides, too, whether
        the run may go on where machines do not answer.
    type: list
    elements: dict
  kept_out:
    description:
      - What M(clusterfront.ha.slb_security_group_info) found, the results of a loop over front ends and their openings.
    type: list
    elements: dict
    default: []
  elsewhere:
    description:
      - What M(clusterfront.ha.kubeadm_node_info) found on masters that the limit leaves out, the results of a loop.
    type: list
    elements: dict
    default: []
extends_documentation_fragment:
  - clusterfront.ha._attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: N/A
    details:
      - Nothing that is managed changes.
  idempotent:
    support: full
"""

EXAMPLES = r"""
- name: Resolve the apiserver front ends of the inventory
  clusterfront.ha.front_end:
    kind: kube_apiserver
  run_once: true
  delegate_to: localhost
  register: resolved

- name: Show what the machines are
  ansible.builtin.debug:
    msg: "{{ resolved.front_ends.machines }}"
"""

RETURN = r"""
front_ends:
  description: What the playbooks of this collection read.
  returned: success
  type: dict
  contains:
    unknown:
      description: The machines whose facts have to be gathered first. Where there are some, nothing else is told.
      type: list
      elements: str
    all:
      description: Each front end as localhost needs to know it, with its document, the options of M(clusterfront.ha.slb_frontend).
      type: list
      elements: dict
    shared:
      description: By the name of a front end, what is the same for all its machines.
      type: dict
    machines:
      description: By the name of a machine, what it is to its front end.
      type: dict
    elsewhere:
      description: The masters that the limit leaves out, which are asked all the same.
      type: list
      elements: dict
    notes:
      description: What the run has to say before it begins, a line each.
      type: list
      elements: str
"""
