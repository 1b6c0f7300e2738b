#!/usr/bin/python
# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: slb_frontend_info
short_description: The document of a load balancer that exists
version_added: 0.1.0
author:
- clusterfront.ha contributors (@clusterfront)
description:
- Reads an SLB instance that was made in the console, by another tool, or by this collection, and returns the document that says
  all of it. Applied with M(clusterfront.ha.slb_frontend) the document changes nothing, so it is where to begin.
- The document has what the console shows, defaults of the API included. Empty values and defaults of
  M(clusterfront.ha.slb_frontend) are left out. What it cannot say is left out too, with a sentence in RV(left_out); that
  stays on the cloud as it is.
- The instance is named by its id if somebody else made it, so that the document never makes a second one. Servers are named by
  their private address within a VPC, else by their id, and network interfaces by their own id. Groups that share a name cannot be
  told apart by a document; listeners name them by their ids.
- 'Nothing becomes yours by that: what others made stays theirs, and O(clusterfront.ha.slb_frontend#module:state=absent) leaves
  it. A server that was added by hand stays in its group though the document does not list it, and so does a network in a
  list that others made. Set O(clusterfront.ha.slb_frontend#module:adopt=true) once to take over what nobody owns.'
- Before the document is returned it is compared with what was read; if it would change anything, a warning says what.
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
    - Id or name of the SLB instance, which has to exist. Two instances of one name are an error that lists both ids.
    type: str
    required: true
  name:
    description:
    - Name of the front end in the document, which is also the owner's mark. Where nothing is said, it is the owner that the
      instance has, else the instance's name, or its id if the name is too long for a mark.
    type: str
seealso:
- module: clusterfront.ha.slb_frontend
"""

EXAMPLES = r"""
- name: Read what somebody clicked together
  clusterfront.ha.slb_frontend_info:
    region: cn-hangzhou
    load_balancer: prod-api
  register: found

- name: Keep it as a document
  ansible.builtin.copy:
    content: "{{ found.document | to_nice_yaml(indent=2, sort_keys=false) }}"
    dest: ./prod-api.yml
    mode: "0644"

- name: See that applying it changes nothing
  clusterfront.ha.slb_frontend: "{{ found.document | combine({'region': 'cn-hangzhou'}) }}"
  check_mode: true

- name: Take over what nobody owns, so that the document can remove it too
  clusterfront.ha.slb_frontend: "{{ found.document | combine({'region': 'cn-hangzhou', 'adopt': true}) }}"
"""

RETURN = r"""
document:
  description:
  - Options of M(clusterfront.ha.slb_frontend).
  returned: success
  type: dict
  sample:
    name: prod-api
    load_balancer:
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
      instance_charge_type: PayByCLCU
      spec: slb.lcu.elastic
      delete_protection: false
      modification_protection:
        enabled: false
      enabled: true
    server_groups:
    - name: haproxy
      backends:
      - private_ip: 192.0.2.21
        port: 8888
        weight: 100
    listeners:
    - port: 6443
      protocol: tcp
      server_group: haproxy
      scheduler: wrr
      bandwidth: -1
      persistence_timeout: 0
      established_timeout: 900
      connection_drain: false
      proxy_protocol_v2: false
      health_check:
        enabled: true
        type: http
        connect_port: 8889
        timeout: 2
        interval: 2
        healthy_threshold: 2
        unhealthy_threshold: 2
        uri: /readyz
        http_codes:
        - http_2xx
left_out:
  description:
  - One sentence for each thing of the load balancer that a document cannot say.
  returned: success
  type: list
  elements: str
  sample:
  - i-example:80 in server group web is no ECS instance or network interface of this region, or not any more; it stays as it is
load_balancer:
  description:
  - The instance with its address and its status.
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
    owner: null
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
from ansible_collections.clusterfront.ha.plugins.module_utils._module import (
    argument_spec,
    inform,
    part_of_load_balancer,
)
from ansible_collections.clusterfront.ha.plugins.module_utils._slb import view
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.client import Client
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.document import question
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.export import export
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.reconcile import survey

ARGUMENT_SPEC = argument_spec({"load_balancer": {"type": "str", "required": True}, "name": {"type": "str"}})


def read(client: Client, params: dict) -> dict:
    asked = question(part_of_load_balancer(params)["load_balancer"])
    state = survey(client, asked)
    found = export(asked, state, _argspec.FRONT_END, params["name"])
    return {
        "document": found.document,
        "left_out": list(found.left_out),
        "load_balancer": state.load_balancer and view.load_balancer(state.load_balancer),
        "warnings": list(found.warnings),
    }


def main() -> None:
    inform(AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True), read)


if __name__ == "__main__":
    main()
