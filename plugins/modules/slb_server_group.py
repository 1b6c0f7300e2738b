#!/usr/bin/python
# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: slb_server_group
short_description: A vServer group of an SLB instance
version_added: 0.1.0
author:
- clusterfront.ha contributors (@clusterfront)
description:
- Makes, changes or removes a vServer group and its members.
- Weights and descriptions change in place, without touching other members.
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
  load_balancer:
    description:
    - Id or name of the SLB instance, which has to exist.
    type: str
    required: true
  name:
    description:
    - Name of the group.
    type: str
    required: true
  backends:
    description:
    - The servers of the group. Where the option is absent, they stay as they are.
    type: list
    elements: dict
    suboptions:
      server_id:
        description:
        - Id of an ECS instance. A server is named by exactly one of this, O(backends[].server_name),
          O(backends[].server_tags), O(backends[].private_ip) and O(backends[].eni_id).
        - A server that was released is removed by its id, with O(backends[].state=absent).
        type: str
      server_name:
        description:
        - Exact name of an ECS instance. A name of none, or of several, is an error.
        type: str
      server_tags:
        description:
        - Tags of ECS instances. Every running server of the VPC that has all of them is a backend, each with this entry's
          port, weight and description; so is one that does not run, if it is a member already.
        - Tags that no server has are an error.
        type: dict
      private_ip:
        description:
        - Primary private address of an ECS instance, else an address of a network interface, primary or secondary; its id
          is looked up. An address of none, or of several, is an error.
        - Beside O(backends[].eni_id), the address of that interface that is meant.
        type: str
      eni_id:
        description:
        - Id of a network interface that is attached. Its primary address is meant, unless O(backends[].private_ip) is
          given too.
        - Network interfaces need an instance that is no shared one.
        type: str
      port:
        description:
        - The port on the server.
        type: int
        required: true
      weight:
        description:
        - Share of new connections, V(0) to V(100); V(0) gets no new ones. A new member gets V(100).
        type: int
      description:
        description:
        - Your own text. On the cloud the owner's mark stands before it; 80 characters together.
        type: str
      state:
        description:
        - V(absent) removes this server, whatever is to become of the others. One that is no member is no error.
        type: str
        choices:
        - present
        - absent
        default: present
  purge:
    description:
    - 'Which members that are not listed are removed: V(none), those that this owner added (V(owned)), or V(all).'
    type: str
    choices:
    - none
    - owned
    - all
    default: owned
  state:
    description:
    - Whether the group is there.
    type: str
    choices:
    - present
    - absent
    default: present
  owner:
    description:
    - The owner's mark on what is made. The name of the load balancer as it is given, where nothing is said.
    type: str
seealso:
- module: clusterfront.ha.slb_backend
- module: clusterfront.ha.slb_server_group_info
- module: clusterfront.ha.slb_frontend
"""

EXAMPLES = r"""
- name: Two servers, one of them with three times the share
  clusterfront.ha.slb_server_group:
    region: cn-hangzhou
    load_balancer: prod-api
    name: web
    backends:
      - {private_ip: 192.0.2.11, port: 80, weight: 30}
      - {private_ip: 192.0.2.12, port: 80, weight: 90}

- name: All web servers by their tag, a network interface by its second address, and one server less
  clusterfront.ha.slb_server_group:
    region: cn-hangzhou
    load_balancer: prod-api
    name: web
    backends:
      - {server_tags: {role: web}, port: 80}
      - {eni_id: eni-example, private_ip: 192.0.2.31, port: 80}
      - {server_id: i-released, port: 80, state: absent}

- name: Give servers with more CPUs more connections
  clusterfront.ha.slb_server_group:
    region: cn-hangzhou
    load_balancer: prod-api
    name: web
    backends: "{{ weights | dict2items(key_name='private_ip', value_name='weight') | map('combine', {'port': 80}) | list }}"
  vars:
    weights: "{{ groups['web'] | map('extract', hostvars) | clusterfront.ha.cpu_weights(name='ansible_host') }}"

- name: Remove the group
  clusterfront.ha.slb_server_group:
    region: cn-hangzhou
    load_balancer: prod-api
    name: web
    state: absent
"""

RETURN = r"""
server_group:
  description:
  - The group as it is now, or as check mode predicts it. Null where it is absent.
  returned: success
  type: dict
  sample:
    id: rsp-example
    name: haproxy
    owner: prod-api
    backends:
    - server_id: i-example1
      eni_id: null
      private_ip: 192.0.2.21
      type: ecs
      port: 8888
      weight: 100
      description: ''
      owner: prod-api
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
from ansible_collections.clusterfront.ha.plugins.module_utils._module import argument_spec, part_of_load_balancer, run
from ansible_collections.clusterfront.ha.plugins.module_utils._slb import view
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.document import FrontEnd, partial
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.state import CloudState


def document(params: dict) -> FrontEnd:
    group = {key: params[key] for key in _argspec.SERVER_GROUP}
    return partial({**part_of_load_balancer(params), "server_groups": [group]})


def server_group(wanted: FrontEnd, state: CloudState) -> dict | None:
    found = state.group(wanted.server_groups[0].name)
    return found and view.server_group(found)


def main() -> None:
    module = AnsibleModule(
        argument_spec=argument_spec(_argspec.PART_OF, _argspec.SERVER_GROUP), supports_check_mode=True
    )
    run(module, document, ("server_group", server_group))


if __name__ == "__main__":
    main()
