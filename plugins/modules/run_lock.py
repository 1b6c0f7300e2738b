#!/usr/bin/python
# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: run_lock
short_description: Keep two runs of a playbook from mixing
version_added: "0.1.0"
author:
  - clusterfront.ha contributors (@clusterfront)
description:
  - Takes a lock on the controller that belongs to this run of C(ansible-playbook), or gives it back.
  - A lock whose run is over, also one that was killed, is taken over without a question.
  - It guards against a second run on the same controller, or on controllers that share the file's directory.
options:
  path:
    description:
      - The lock's file.
    type: path
    required: true
  state:
    description:
      - V(taken) takes it and fails in one sentence if another run has it; V(free) gives it back.
    type: str
    choices: [taken, free]
    default: taken
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
- name: Take the lock
  clusterfront.ha.run_lock:
    path: ~/.ansible/clusterfront/prod-api.lock
"""

RETURN = r"""
"""
