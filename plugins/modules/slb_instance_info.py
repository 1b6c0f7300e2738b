#!/usr/bin/python
# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: slb_instance_info
short_description: Information about SLB instances
version_added: 0.1.0
author:
- clusterfront.ha contributors (@clusterfront)
description:
- Lists SLB instances of a region. Several filters are all to be met.
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
  id:
    description:
    - Only the instance of this id.
    type: str
  name:
    description:
    - Only instances of exactly this name.
    type: str
  tags:
    description:
    - Only instances that have all these tags. The key V(clusterfront:owner) finds those of an owner.
    type: dict
  vpc_id:
    description:
    - Only instances of this VPC.
    type: str
  address_type:
    description:
    - Only private (V(intranet)) or only public (V(internet)) ones.
    type: str
    choices:
    - intranet
    - internet
  address:
    description:
    - Only the instance of this address.
    type: str
seealso:
- module: clusterfront.ha.slb_instance
"""

EXAMPLES = r"""
- name: The address of a load balancer
  clusterfront.ha.slb_instance_info:
    region: cn-hangzhou
    name: prod-api
  register: found

- name: All private load balancers of one team in a VPC
  clusterfront.ha.slb_instance_info:
    region: cn-hangzhou
    vpc_id: vpc-example
    address_type: intranet
    tags:
      team: platform
"""

RETURN = r"""
load_balancers:
  description:
  - The instances, the oldest first.
  returned: success
  type: list
  elements: dict
  sample:
  - id: lb-example
    name: prod-api
    address_type: intranet
    vpc_id: vpc-example
    vswitch_id: vsw-example
    address: 192.0.2.100
    address_ip_version: ipv4
    master_zone_id: cn-hangzhou-i
    slave_zone_id: cn-hangzhou-j
    resource_group_id: rg-example
    bandwidth: null
    internet_charge_type: null
    instance_charge_type: PayByCLCU
    spec: slb.lcu.elastic
    delete_protection: false
    modification_protection:
      enabled: false
      reason: null
    enabled: true
    tags: {}
    owner: prod-api
    status: active
    region: cn-hangzhou
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

from ansible_collections.clusterfront.ha.plugins.module_utils import _argspec
from ansible_collections.clusterfront.ha.plugins.module_utils._module import argument_spec, inform
from ansible_collections.clusterfront.ha.plugins.module_utils._slb import view
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.client import Client
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.document import filters
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.resources import load_balancer

FILTERS = ("id", "name", "tags", "vpc_id", "address_type", "address")
ARGUMENT_SPEC = argument_spec({option: _argspec.LOAD_BALANCER[option] for option in FILTERS})


def read(client: Client, params: dict) -> dict:
    found = load_balancer.search(client, filters({option: params[option] for option in FILTERS}))
    return {"load_balancers": [view.load_balancer(entry) for entry in found]}


def main() -> None:
    inform(AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True), read)


if __name__ == "__main__":
    main()
