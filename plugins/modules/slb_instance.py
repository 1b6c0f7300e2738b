#!/usr/bin/python
# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: slb_instance
short_description: An SLB instance of Alibaba Cloud
version_added: 0.1.0
author:
- clusterfront.ha contributors (@clusterfront)
description:
- Makes, changes or removes one SLB instance.
- An option that is not given is left as it is.
extends_documentation_fragment:
- clusterfront.ha._attributes
- clusterfront.ha._attributes.actiongroup_slb
- clusterfront.ha.connection
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  id:
    description:
    - Id of an existing instance. Where it is given, O(name) renames it.
    type: str
  name:
    description:
    - Name of the instance. Names are not unique on the cloud; two instances of one name are an error that lists
      both ids.
    type: str
  address_type:
    description:
    - V(intranet) for an address in a VPC, V(internet) for a public one. Needed to make an instance; cannot change.
    type: str
    choices:
    - intranet
    - internet
  vpc_id:
    description:
    - The VPC of an intranet instance. Needed to make one; cannot change.
    type: str
  vswitch_id:
    description:
    - The vSwitch of an intranet instance. Needed to make one; cannot change.
    type: str
  address:
    description:
    - A fixed private address inside the vSwitch. Chosen by the cloud where nothing is said; cannot change.
    type: str
  master_zone_id:
    description:
    - The primary zone; cannot change.
    type: str
  slave_zone_id:
    description:
    - The standby zone; cannot change.
    type: str
  resource_group_id:
    description:
    - The resource group that the instance is made in.
    type: str
  bandwidth:
    description:
    - Mbit/s of an internet instance that is paid by bandwidth.
    type: int
  internet_charge_type:
    description:
    - How an internet instance's traffic is paid. A change takes effect the next day.
    type: str
    choices:
    - paybytraffic
    - paybybandwidth
  instance_charge_type:
    description:
    - How the instance is paid. A new one is V(PayByCLCU), for nothing else is sold any more.
    type: str
    choices:
    - PayByCLCU
    - PayBySpec
  delete_protection:
    description:
    - Whether the instance is protected from being deleted.
    type: bool
  tags:
    description:
    - Tags to set. Others stay.
    type: dict
  owner:
    description:
    - The owner's mark. The instance's name where nothing is said.
    type: str
  state:
    description:
    - Whether the instance is there. V(absent) removes it only if nothing of others is on it and this owner made
      it.
    type: str
    choices:
    - present
    - absent
    default: present
seealso:
- module: clusterfront.ha.slb_instance_info
- module: clusterfront.ha.slb_frontend
"""

EXAMPLES = r"""
- name: A private instance
  clusterfront.ha.slb_instance:
    region: cn-hangzhou
    name: prod-api
    address_type: intranet
    vpc_id: vpc-example
    vswitch_id: vsw-example
    delete_protection: true

- name: Remove it again
  clusterfront.ha.slb_instance:
    region: cn-hangzhou
    name: prod-api
    state: absent
"""

RETURN = r"""
load_balancer:
  description:
  - The instance as it is now, or as check mode predicts it. Null where it is absent.
  returned: success
  type: dict
  sample:
    id: lb-example
    name: prod-api
    address_type: intranet
    vpc_id: vpc-example
    vswitch_id: vsw-example
    address: 192.0.2.100
    master_zone_id: cn-hangzhou-i
    slave_zone_id: cn-hangzhou-j
    resource_group_id: rg-example
    bandwidth: null
    internet_charge_type: null
    instance_charge_type: PayByCLCU
    delete_protection: false
    tags: {}
    owner: prod-api
    status: active
    region: cn-hangzhou
    spec: slb.lcu.elastic
steps:
  description:
  - 'The calls that the plan is made of, in their order. In check mode: the calls that a run would make.'
  returned: success
  type: list
  elements: dict
  sample:
  - object: load_balancer
    verb: create
    operation: CreateLoadBalancer
    reason: create the intranet instance prod-api
kept:
  description:
  - One sentence for each thing of others that stays, where something is removed.
  returned: success
  type: list
  elements: str
  sample:
  - 'listener tcp/8080 stays: this front end did not make it'
api_calls:
  description:
  - How many calls that read and that write were made.
  returned: success
  type: dict
  sample:
    reads: 5
    writes: 0
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
from ansible_collections.clusterfront.ha.plugins.module_utils._module import argument_spec, run
from ansible_collections.clusterfront.ha.plugins.module_utils._slb import view
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.document import FrontEnd, front_end

ARGUMENT_SPEC = argument_spec(
    _argspec.LOAD_BALANCER,
    {"owner": {"type": "str"}, "state": {"type": "str", "choices": ["present", "absent"], "default": "present"}},
)


def document(params: dict) -> FrontEnd:
    instance = {key: params[key] for key in _argspec.LOAD_BALANCER}
    owner = params["owner"] or params["name"] or params["id"]
    return front_end({"name": owner, "load_balancer": instance, "state": params["state"], "keeps_access_lists": True})


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, required_one_of=[("id", "name")], supports_check_mode=True)
    run(
        module,
        document,
        ("load_balancer", lambda wanted, state: state.load_balancer and view.load_balancer(state.load_balancer)),
    )


if __name__ == "__main__":
    main()
