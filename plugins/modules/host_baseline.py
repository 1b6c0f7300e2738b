#!/usr/bin/python
# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: host_baseline
short_description: Tell whether a host is as the last whole run left it
version_added: "0.1.0"
author:
  - clusterfront.ha contributors (@clusterfront)
description:
  - A run that changed nothing costs as many tasks as one that does. What a whole run left is recorded on the host, so that the
    next one can end early where nothing is different, and that costs one task.
  - Recorded are digests of files, the state of units, the kernel's values of settings, the boot, and a digest of the inputs.
  - The inputs are variables, the contents of files on the controller that they name, and the collection itself.
  - Whatever differs, a file as well as a reload of a service, is a reason for a whole run, not an error.
options:
  name:
    description:
      - Whose baseline it is, such as that of a front end. A host can have several.
    type: str
    required: true
  state:
    description:
      - V(compared) looks what is different.
      - V(absent) forgets the baseline; do this before a change, so that a run that is killed is never taken for whole.
      - V(recorded) records what there is.
    type: str
    choices: [compared, absent, recorded]
    default: compared
  variables:
    description:
      - Regular expressions that the whole names of variables match which are inputs. A variable whose value cannot be told yet,
        because it follows from facts, counts as it is written.
      - With V(recorded), give what V(compared) returned before the run added variables of its own.
    type: list
    elements: str
    default: []
  inputs:
    description:
      - What else is an input. Only a digest of it reaches the host.
    type: raw
  files:
    description:
      - Patterns of paths; a directory stands for all that is in it. A file of more than 1 MiB is known by its size and time.
      - Only with V(recorded); V(compared) looks at what was recorded.
    type: list
    elements: str
    default: []
  units:
    description:
      - Names of systemd units.
    type: list
    elements: str
    default: []
  sysctl_files:
    description:
      - Patterns of files as in C(/etc/sysctl.d), whose settings are compared with those of the kernel.
    type: list
    elements: str
    default: []
extends_documentation_fragment:
  - clusterfront.ha._attributes
attributes:
  check_mode:
    support: full
    details:
      - Nothing is recorded or forgotten.
  diff_mode:
    support: N/A
    details:
      - Nothing that is managed changes.
  idempotent:
    support: full
"""

EXAMPLES = r"""
- name: Look whether the host is as the last whole run left it
  clusterfront.ha.host_baseline:
    name: prod-api
    variables: [haproxy_.*]
  register: looked

- name: Forget how it was
  clusterfront.ha.host_baseline:
    name: prod-api
    state: absent
  when: not looked.same

- name: Record how it is
  clusterfront.ha.host_baseline:
    name: prod-api
    state: recorded
    variables: "{{ looked.variables }}"
    files: [/etc/haproxy]
    units: [haproxy.service]
  when: not looked.same
"""

RETURN = r"""
same:
  description: Whether all is as it was recorded.
  type: bool
  returned: always
  sample: false
recorded:
  description: Whether there was a baseline.
  type: bool
  returned: always
  sample: true
differs:
  description: What is different, by its name. Nothing where there was no baseline.
  type: list
  elements: str
  returned: always
  sample: [/etc/haproxy/current, haproxy.service]
variables:
  description: The names of the variables that are inputs.
  type: list
  elements: str
  returned: always
  sample: [haproxy_bind_port]
"""

import os
import subprocess

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.clusterfront.ha.plugins.module_utils import _baseline as baseline


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["compared", "absent", "recorded"], "default": "compared"},
            "variables": {"type": "list", "elements": "str", "default": []},
            "inputs": {"type": "raw"},
            "files": {"type": "list", "elements": "str", "default": []},
            "units": {"type": "list", "elements": "str", "default": []},
            "sysctl_files": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    given = module.params
    path = baseline.path_of(given["name"])
    was = baseline.load(path)
    differs: list[str] = []
    try:
        if given["state"] == "compared" and was is not None:
            differs = baseline.differences(was["seen"], baseline.seen(given["inputs"], baseline.covered(was)))
        elif given["state"] == "absent" and not module.check_mode:
            path.unlink(missing_ok=True)
        elif given["state"] == "recorded" and not module.check_mode:
            covers = baseline.Covers(given["files"], given["units"], given["sysctl_files"])
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            written = os.path.join(module.tmpdir, "baseline")
            with open(written, "w", encoding="utf-8") as file:
                file.write(baseline.made(baseline.seen(given["inputs"], covers), covers))
            module.atomic_move(written, str(path))
    except (OSError, subprocess.CalledProcessError) as error:
        module.fail_json(msg=f"The baseline {given['name']} in {path} cannot be {given['state']}: {error}")
    same = given["state"] == "recorded" or (was is not None and given["state"] == "compared" and not differs)
    module.exit_json(changed=False, same=same, recorded=was is not None, differs=differs, variables=given["variables"])


if __name__ == "__main__":
    main()
