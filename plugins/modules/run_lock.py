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
      - The lock's file. Needed where O(front_end) is not given.
    type: path
  front_end:
    description:
      - Name of the front end that the lock is for. The file is named after it and after the region, the id of the access key and the
        SLB endpoint that modules find in the environment, so front ends of one name in two regions or accounts don't wait for each other.
      - Temporary keys (C(STS.)) are others in each run, so all of them share a lock.
    type: str
  directory:
    description:
      - Where the locks of front ends are kept. Needed with O(front_end).
    type: path
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
    front_end: prod-api
    directory: ~/.ansible/clusterfront

- name: Give it back
  clusterfront.ha.run_lock:
    front_end: prod-api
    directory: ~/.ansible/clusterfront
    state: free
"""

RETURN = r"""
"""
