#!/usr/bin/python
# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: slb_failover_group_info
short_description: Information about the primary/secondary groups of an SLB instance
version_added: 0.1.0
author:
- clusterfront.ha contributors (@clusterfront)
description:
- Lists the primary/secondary groups of an SLB instance. The API tells no address of their servers.
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
  name:
    description:
    - Only the group of this name.
    type: str
seealso:
- module: clusterfront.ha.slb_failover_group
"""

EXAMPLES = r"""
- name: What the load balancer has
  clusterfront.ha.slb_failover_group_info:
    region: cn-hangzhou
    load_balancer: prod-data
  register: found
"""

RETURN = r"""
failover_groups:
  description:
  - The primary/secondary groups.
  returned: success
  type: list
  elements: dict
  sample:
  - id: rsp-example
    name: database
    owner: prod-data
    primary:
      server_id: i-example1
      eni_id: null
      private_ip: null
      type: ecs
      port: 5432
      description: ''
    standby:
      server_id: i-example2
      eni_id: null
      private_ip: null
      type: ecs
      port: 5432
      description: ''
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
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.document import partial
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.reconcile import inventory

ARGUMENT_SPEC = argument_spec({"load_balancer": {"type": "str", "required": True}, "name": {"type": "str"}})


def read(client: Client, params: dict) -> dict:
    state = inventory(client, partial(part_of_load_balancer(params)), {"failover_groups"})
    return {
        "failover_groups": [
            view.failover_group(entry) for entry in state.failover_groups if params["name"] in (None, entry.config.name)
        ]
    }


def main() -> None:
    inform(AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True), read)


if __name__ == "__main__":
    main()
