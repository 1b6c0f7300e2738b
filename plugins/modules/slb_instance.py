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
- clusterfront.ha.quotas
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
  address_ip_version:
    description:
    - Whether the address is an IPv4 or an IPv6 one. V(ipv4) for a new instance where nothing is said; cannot change.
    type: str
    choices:
    - ipv4
    - ipv6
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
    - The resource group that the instance is in. A change moves it.
    type: str
  bandwidth:
    description:
    - Mbit/s of an internet instance that is paid by bandwidth, V(1) to V(5120). No other instance has one.
    type: int
  internet_charge_type:
    description:
    - How an internet instance's traffic is paid. V(paybybandwidth) needs O(bandwidth) and an O(instance_charge_type)
      of V(PayBySpec).
    - A change takes effect at 00:00 of the next day. Until then the cloud locks the instance and refuses other
      changes of it, so the change is made last and told as a warning.
    type: str
    choices:
    - paybytraffic
    - paybybandwidth
  instance_charge_type:
    description:
    - How the instance is paid. A new one is V(PayByCLCU), for hardly anything else is sold any more.
    - V(PayBySpec) can become V(PayByCLCU), which sets the traffic to V(paybytraffic). There is no way back.
    type: str
    choices:
    - PayByCLCU
    - PayBySpec
  spec:
    description:
    - The size of an instance that is paid by it; O(instance_charge_type) is V(PayBySpec) then. Needed to make such an
      instance.
    - V(slb.lcu.elastic) is what any other instance has.
    type: str
    choices:
    - slb.s1.small
    - slb.s2.small
    - slb.s2.medium
    - slb.s3.small
    - slb.s3.medium
    - slb.s3.large
    - slb.s4.large
    - slb.lcu.elastic
  delete_protection:
    description:
    - Whether the instance is protected from being deleted.
    type: bool
  modification_protection:
    description:
    - Whether the console refuses to change the instance. Calls of the API, and so this module, are never refused.
    type: dict
    suboptions:
      enabled:
        description:
        - Whether the instance is protected.
        type: bool
      reason:
        description:
        - Why, as the console shows it. 1 to 80 letters, digits, V(-), V(/), V(.) or V(_), the first a letter.
        type: str
  enabled:
    description:
    - Whether the instance works. A stopped one keeps its address and all settings and forwards nothing.
    - Where nothing is said, it is left as it is; a new one works.
    type: bool
  tags:
    description:
    - Tags to set. Others stay, unless O(purge_tags) is true.
    type: dict
  purge_tags:
    description:
    - Whether tags that are not in O(tags) are removed. Those whose keys begin with V(acs:), V(aliyun) or
      V(clusterfront:) always stay.
    - Means nothing where O(tags) is not given.
    type: bool
    default: false
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

- name: Guard it against clicks, move it to another resource group, and let it have these tags and no others
  clusterfront.ha.slb_instance:
    region: cn-hangzhou
    name: prod-api
    resource_group_id: rg-example
    modification_protection:
      enabled: true
      reason: managed-by-ansible
    tags:
      team: platform
    purge_tags: true

- name: Let nothing through for a while
  clusterfront.ha.slb_instance:
    region: cn-hangzhou
    name: prod-api
    enabled: false

- name: Pay an old instance by use instead of by size; there is no way back
  clusterfront.ha.slb_instance:
    region: cn-hangzhou
    name: prod-old
    instance_charge_type: PayByCLCU

- name: Give it another name
  clusterfront.ha.slb_instance:
    region: cn-hangzhou
    id: lb-example
    name: prod-apiserver
    owner: prod-api

- name: Take its protection away, so that it can be removed
  clusterfront.ha.slb_instance:
    region: cn-hangzhou
    name: prod-apiserver
    owner: prod-api
    delete_protection: false

- name: Remove it again
  clusterfront.ha.slb_instance:
    region: cn-hangzhou
    name: prod-apiserver
    owner: prod-api
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
from ansible_collections.clusterfront.ha.plugins.module_utils._module import argument_spec, marked_by, run
from ansible_collections.clusterfront.ha.plugins.module_utils._slb import view
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.document import FrontEnd, front_end

ARGUMENT_SPEC = argument_spec(
    _argspec.LOAD_BALANCER,
    _argspec.QUOTAS,
    {"owner": {"type": "str"}, "state": {"type": "str", "choices": ["present", "absent"], "default": "present"}},
)


def document(params: dict) -> FrontEnd:
    instance = {key: params[key] for key in _argspec.LOAD_BALANCER}
    whole = {"load_balancer": instance, "state": params["state"], "quotas": params["quotas"], "keeps_region": True}
    return front_end({**marked_by(params, "owner", "name", "id"), **whole})


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, required_one_of=[("id", "name")], supports_check_mode=True)
    run(
        module,
        document,
        ("load_balancer", lambda wanted, state: state.load_balancer and view.load_balancer(state.load_balancer)),
    )


if __name__ == "__main__":
    main()
