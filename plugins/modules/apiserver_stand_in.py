#!/usr/bin/python
# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: apiserver_stand_in
short_description: On a master without an apiserver, answer in its place while ways are tested
version_added: "0.1.0"
description:
  - Listens on the apiserver's port and answers health checks, so that load balancers find the master healthy and a test sees more than a
    free way. It gives no other answers, by a certificate that it makes itself and that names nobody.
  - It ends when its time is over, even if nobody comes back for it, and leaves nothing.
  - Where the port is taken already it starts nothing and tells by which process. A second call starts it anew.
author:
  - clusterfront.ha contributors (@clusterfront)
extends_documentation_fragment:
  - clusterfront.ha._attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
    details:
      - RV(ignore:changed) tells whether something that answered has gone, or something answers that did not.
options:
  state:
    description:
      - Whether it answers.
    type: str
    choices: [present, absent]
    default: present
  port:
    description:
      - The port of the apiserver.
    type: int
    default: 6443
  seconds:
    description:
      - After how many seconds it ends by itself.
    type: int
    default: 300
requirements:
  - systemd and openssl on the host
"""

EXAMPLES = r"""
- name: Answer in the apiserver's place while ways are tested
  clusterfront.ha.apiserver_stand_in:
    seconds: 120

- name: Make room for the apiserver
  clusterfront.ha.apiserver_stand_in:
    state: absent
"""

RETURN = r"""
taken_by:
  description: The process that has the port already, nothing where it was free.
  returned: success
  type: str
  sample: nginx (process 812)
"""

import subprocess

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.clusterfront.ha.plugins.module_utils._endpoint import stand_in
from ansible_collections.clusterfront.ha.plugins.module_utils._proxy.host import holders, listening, named


def taken_by(port: int) -> str:
    """Who listens there, but for ourselves."""
    there = listening(port)
    return named(holders({entry.inode for entry in there})) if there else ""


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "port": {"type": "int", "default": 6443},
            "seconds": {"type": "int", "default": 300},
        },
        supports_check_mode=True,
    )
    port, seconds = module.params["port"], module.params["seconds"]
    if not 1 <= port <= 65535:
        module.fail_json(msg=f"port is {port}; 1 to 65535 are possible.")
    if not 1 <= seconds <= 3600:
        module.fail_json(msg=f"seconds is {seconds}; 1 to 3600 are possible.")
    try:
        was = stand_in.runs()
        if module.check_mode:
            taken = "" if was else taken_by(port)
        elif module.params["state"] == "absent":
            taken = ""
            stand_in.stop()
        else:
            # one that runs already is another run's, and begins anew
            stand_in.stop()
            taken = taken_by(port)
            if not taken:
                stand_in.start(port, seconds)
    except stand_in.StandInError as error:
        module.fail_json(msg=str(error))
    except (OSError, subprocess.CalledProcessError) as error:
        module.fail_json(msg=f"systemd does not run anything in place of the apiserver on port {port}: {error}")
    will = module.params["state"] == "present" and not taken
    module.exit_json(changed=was != will, taken_by=taken)


if __name__ == "__main__":
    main()
