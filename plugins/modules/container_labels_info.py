#!/usr/bin/python
# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: container_labels_info
short_description: The containers of a host that ask for an entry at SLB
version_added: "0.1.0"
author:
  - clusterfront.ha contributors (@clusterfront)
description:
  - Asks podman and Docker by their sockets for the running containers with a label that the registrar knows.
  - Changes nothing. Needs no Python package on the host.
extends_documentation_fragment:
  - clusterfront.ha._attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: N/A
    details:
      - This module reads only.
  idempotent:
    support: full
options:
  engines:
    description:
      - Names of container engines, each with the path of its socket. An engine that does not answer is an error, because nobody
        knows then which containers there are.
      - Where nothing is said, those of C(podman) and C(docker) whose socket is at its usual place.
    type: dict
seealso:
  - module: clusterfront.ha.slb_registration
"""

EXAMPLES = r"""
- name: Which containers ask for an entry
  clusterfront.ha.container_labels_info:
  register: found
"""

RETURN = r"""
containers:
  description: The containers, as O(clusterfront.ha.slb_registration#module:hosts[].containers) takes them.
  returned: success
  type: list
  elements: dict
  sample:
    - engine: docker
      id: 4c01db0b339c
      name: web-1
      labels: {io.rancher.service.external_lb.endpoint: lb-example1}
      running: true
      health: null
      ports: [{number: 8888, protocol: tcp}]
      hidden: []
      host_network: false
      started: '2024-01-01T00:00:00Z'
"""

import dataclasses
import os

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.clusterfront.ha.plugins.module_utils._registrar.engines import SOCKETS, Engine, EngineError


def main() -> None:
    module = AnsibleModule(argument_spec={"engines": {"type": "dict"}}, supports_check_mode=True)
    engines = module.params["engines"]
    if engines is None:
        engines = {name: path for name, path in SOCKETS.items() if os.path.exists(path)}
    found = []
    try:
        for name, path in sorted(engines.items()):
            found += Engine(str(name), str(path)).containers()
    except EngineError as error:
        module.fail_json(msg=f"{error}.")
    module.exit_json(changed=False, containers=[dataclasses.asdict(one) for one in found])


if __name__ == "__main__":
    main()
