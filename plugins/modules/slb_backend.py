#!/usr/bin/python
# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: slb_backend
short_description: Single servers of a vServer group or of the default pool of an SLB instance
version_added: 0.1.0
author:
- clusterfront.ha contributors (@clusterfront)
description:
- Adds, changes or removes single servers, and never touches others. M(clusterfront.ha.slb_server_group) takes the whole list.
- Weights and descriptions change in place. A new port is another member, so the old one has to be removed as well.
- Servers are added and removed up to 20 in one call.
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
  server_group:
    description:
    - Name of the vServer group, which has to exist. The default pool of the instance, where nothing is said.
    type: str
  backends:
    description:
    - The servers.
    type: list
    elements: dict
    required: true
    suboptions:
      server_id:
        description:
        - Id of an ECS instance. A server is named by exactly one of this, O(backends[].server_name),
          O(backends[].server_tags), O(backends[].private_ip) and O(backends[].eni_id).
        - A server that was released is removed by its id, with O(state=absent).
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
        - The port on the server. Needed in a group; a server of the default pool has none.
        type: int
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
    - Whether the servers are members. One that is no member is no error for V(absent), nor is one that does not exist any more.
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
- module: clusterfront.ha.slb_server_group
- module: clusterfront.ha.slb_frontend
"""

EXAMPLES = r"""
- name: One more server
  clusterfront.ha.slb_backend:
    region: cn-hangzhou
    load_balancer: prod-api
    server_group: web
    backends:
      - {private_ip: 192.0.2.13, port: 80}

- name: No new connections to a server that is about to be changed
  clusterfront.ha.slb_backend:
    region: cn-hangzhou
    load_balancer: prod-api
    server_group: web
    backends:
      - {server_name: web-1, port: 80, weight: 0}

- name: Take a server out of the default pool
  clusterfront.ha.slb_backend:
    region: cn-hangzhou
    load_balancer: prod-api
    backends:
      - {server_id: i-example1}
    state: absent
"""

RETURN = r"""
backends:
  description:
  - All servers of the group or of the pool as they are now, or as check mode predicts them. Those of a pool have no C(port).
  returned: success
  type: list
  elements: dict
  sample:
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

BACKEND = {name: option for name, option in _argspec.POOL_BACKEND.items() if name != "state"} | {
    "port": {"type": "int"}
}
SPEC = {
    "server_group": {"type": "str"},
    "backends": {"type": "list", "elements": "dict", "options": BACKEND, "required": True},
    "state": _argspec.POOL_BACKEND["state"],
}


def document(params: dict) -> FrontEnd:
    backends = [{**backend, "state": params["state"]} for backend in params["backends"]]
    part = {"backends": backends, "purge": "none"}
    if params["server_group"] is None:
        return partial({**part_of_load_balancer(params), "default_pool": part})
    group = {"name": params["server_group"], "exists": True, **part}
    return partial({**part_of_load_balancer(params), "server_groups": [group]})


def backends(wanted: FrontEnd, state: CloudState) -> list[dict]:
    if wanted.default_pool is not None:
        return view.default_pool(state.default_pool or ())["backends"]
    found = state.group(wanted.server_groups[0].name)
    return view.server_group(found)["backends"] if found else []


def main() -> None:
    module = AnsibleModule(argument_spec=argument_spec(_argspec.PART_OF, SPEC), supports_check_mode=True)
    run(module, document, ("backends", backends))


if __name__ == "__main__":
    main()
