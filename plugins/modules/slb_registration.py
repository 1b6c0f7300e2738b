#!/usr/bin/python
# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: slb_registration
short_description: Entries of hosts at SLB instances, as the labels of their containers say
version_added: "0.1.0"
author:
  - clusterfront.ha contributors (@clusterfront)
description:
  - Compares the labelled containers of hosts with the SLB instances that they name, once, and adds, changes and takes out the entries
    of these hosts. What a service on each host does all the time is the role C(clusterfront.ha.registrar).
  - Only entries with the mark of one of the hosts are changed. An entry that leaves has the weight 0 for O(drain_time) before it is
    taken out; all hosts drain at the same time.
  - A label that can't be granted is a warning in one sentence, and the others are granted.
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
  hosts:
    description:
      - The hosts whose containers are known. A host that is not listed keeps what it has.
    type: list
    elements: dict
    required: true
    suboptions:
      owner:
        description:
          - The mark of the host's entries, C(<family>/<host>). 40 characters at most.
        type: str
        required: true
      server:
        description:
          - How ECS knows the host, by one of C(private_ip), C(server_id), C(server_name), C(eip) and C(eni_id).
        type: dict
        required: true
      containers:
        description:
          - Its labelled containers, all of them. An empty list takes out all entries of the host.
        type: list
        elements: dict
        required: true
        suboptions:
          engine:
            description:
              - The engine that it runs in.
            type: str
          id:
            description:
              - Its id.
            type: str
          name:
            description:
              - Its name.
            type: str
            required: true
          labels:
            description:
              - Its labels.
            type: dict
            required: true
          running:
            description:
              - Whether it runs.
            type: bool
          health:
            description:
              - What its health check says, C(starting), C(healthy) or C(unhealthy); nothing where it has none.
            type: str
          ports:
            description:
              - Ports of the host that lead to it.
            type: list
            elements: dict
            suboptions: &ports
              number:
                description:
                  - The number.
                type: int
                required: true
              protocol:
                description:
                  - C(tcp) or C(udp).
                type: str
          hidden:
            description:
              - Ports that are published on a loopback address only.
            type: list
            elements: dict
            suboptions: *ports
          host_network:
            description:
              - Whether it is on the network of the host.
            type: bool
          started:
            description:
              - When it started. Of two containers with one port the older one has it.
            type: str
  vpc_id:
    description:
      - VPC of the hosts. The one of the SLB instance, where nothing is said.
    type: str
  weight:
    description:
      - Weight of entries whose label does not say it, V(0) to V(100). V(100) where nothing is said.
    type: int
  drain_time:
    description:
      - Seconds that an entry has the weight 0 before it is taken out. 30 where nothing is said.
    type: int
seealso:
  - module: clusterfront.ha.container_labels_info
"""

EXAMPLES = r"""
- name: Register what two hosts run
  clusterfront.ha.slb_registration:
    region: cn-hangzhou
    hosts:
      - owner: registrar/container-1
        server: {private_ip: 192.0.2.21}
        containers:
          - name: web
            labels: {clusterfront.slb.load_balancer: prod-api, clusterfront.slb.server_group: haproxy}
            ports: [{number: 8888}]
      - owner: registrar/container-2
        server: {private_ip: 192.0.2.22}
        containers: []
"""

RETURN = r"""
entries:
  description: The entries that the hosts have now, or that check mode predicts, and those that wait for their container.
  returned: success
  type: list
  elements: dict
  sample:
    - owner: registrar/container-1
      load_balancer: prod-api
      server_group: haproxy
      port: 8888
      state: registered
      weight: 100
      containers: [web]
      why: ''
problems:
  description: The labels that could not be granted, each with its sentence.
  returned: success
  type: list
  elements: dict
  sample: []
lines:
  description: The entries, one sentence for each.
  returned: success
  type: list
  elements: str
  sample: ['registrar/container-1: prod-api haproxy:8888: registered, weight 100 for web']
steps:
  description: 'The calls that were made, in their order. In check mode: the calls that a run would make.'
  returned: success
  type: list
  elements: dict
  sample:
    - object: default_pool
      verb: add
      operation: AddBackendServers
      reason: 'add 1 server: 192.0.2.21'
api_calls:
  description: How many calls that read and that write were made.
  returned: success
  type: dict
  sample: {reads: 7, writes: 1}
error:
  description: The API's error.
  returned: when the API refused a call
  type: dict
  sample:
    code: SignatureDoesNotMatch
    message: Specified signature is not matched with our calculation.
    operation: DescribeLoadBalancers
    request_id: 4C1A3B2D-0000-0000-0000-000000000000
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.clusterfront.ha.plugins.module_utils._module import argument_spec, conclude
from ansible_collections.clusterfront.ha.plugins.module_utils._registrar.once import register

PORT = {"number": {"type": "int", "required": True}, "protocol": {"type": "str"}}
CONTAINER = {
    "engine": {"type": "str"},
    "id": {"type": "str"},
    "name": {"type": "str", "required": True},
    "labels": {"type": "dict", "required": True},
    "running": {"type": "bool"},
    "health": {"type": "str"},
    "ports": {"type": "list", "elements": "dict", "options": PORT},
    "hidden": {"type": "list", "elements": "dict", "options": PORT},
    "host_network": {"type": "bool"},
    "started": {"type": "str"},
}
HOST = {
    "owner": {"type": "str", "required": True},
    "server": {"type": "dict", "required": True},
    "containers": {"type": "list", "elements": "dict", "options": CONTAINER, "required": True},
}
SPEC: dict[str, t.Any] = {
    "hosts": {"type": "list", "elements": "dict", "options": HOST, "required": True},
    "vpc_id": {"type": "str"},
    "weight": {"type": "int"},
    "drain_time": {"type": "int"},
}


def main() -> None:
    module = AnsibleModule(argument_spec=argument_spec(SPEC), supports_check_mode=True)
    conclude(module, lambda client, options: register(client, options, check_mode=module.check_mode))


if __name__ == "__main__":
    main()
