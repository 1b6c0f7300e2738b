#!/usr/bin/python
# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: slb_domain_extension_info
short_description: Information about further domains of SLB
version_added: 0.1.0
author:
- clusterfront.ha contributors (@clusterfront)
description:
- Lists the further domains of the HTTPS listeners of an SLB instance, with their certificates.
extends_documentation_fragment:
- clusterfront.ha._attributes
- clusterfront.ha._attributes.actiongroup_slb
- clusterfront.ha.connection
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
  load_balancer:
    description:
    - Id or name of the SLB instance, which has to exist.
    type: str
    required: true
  port:
    description:
    - Only those of the listener of this port.
    type: int
seealso:
- module: clusterfront.ha.slb_domain_extension
"""

EXAMPLES = r"""
- name: Which domains have which certificates
  clusterfront.ha.slb_domain_extension_info:
    region: cn-hangzhou
    load_balancer: prod-web
  register: found
"""

RETURN = r"""
listeners:
  description:
  - The HTTPS listeners in the order of their ports, each with its further domains.
  returned: success
  type: list
  elements: dict
  sample:
  - port: 443
    protocol: https
    domain_extensions:
    - id: de-example
      domain: api.example.com
      certificate: api
error:
  description:
  - The API's error.
  returned: when the API refused a call
  type: dict
  sample:
    code: SignatureDoesNotMatch
    message: Specified signature is not matched with our calculation.
    operation: DescribeLoadBalancers
    request_id: 4C1A3B2D-0000-0000-0000-000000000000
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.clusterfront.ha.plugins.module_utils._module import (
    argument_spec,
    inform,
    part_of_load_balancer,
)
from ansible_collections.clusterfront.ha.plugins.module_utils._slb import view
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.client import Client
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.document import check_port, partial
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.reconcile import inventory
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.resources import listener

FILTERS = {"port": {"type": "int"}}
ARGUMENT_SPEC = argument_spec({"load_balancer": {"type": "str", "required": True}}, FILTERS)


def read(client: Client, params: dict) -> dict:
    check_port(params["port"])
    state = inventory(client, partial(part_of_load_balancer(params)), {"listeners", "parts"})
    found = listener.search(state.listeners, **{name: params[name] for name in FILTERS})
    return {
        "listeners": [
            {
                "port": entry.config.port,
                "protocol": entry.config.protocol,
                "domain_extensions": view.domain_extensions(entry),
            }
            for entry in found
            if entry.config.domain_extensions is not None
        ]
    }


def main() -> None:
    inform(AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True), read)


if __name__ == "__main__":
    main()
