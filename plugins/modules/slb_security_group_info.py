#!/usr/bin/python
# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: slb_security_group_info
short_description: Whom the security groups of servers keep out
version_added: "0.1.0"
author:
  - clusterfront.ha contributors (@clusterfront)
description:
  - Reads the security groups of servers, and tells for each server, port and source whether its rules let the source in.
  - Says in a sentence for each one that is kept out what the rule is and what would be right. It changes nothing.
  - Rules count as ECS documents them. All groups of a server count together, the smallest priority first, a drop before an accept of the
    same priority. Members of a group reach each other whatever its rules say, unless that is switched off. What no rule accepts is refused.
  - Looks at what comes in, not at what goes out. Firewalls on the servers and network ACLs of the VPC are not seen.
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
  servers:
    description:
      - The servers, each by its private address, or by the id of its instance (C(i-...)) or of a network interface (C(eni-...)).
    type: list
    elements: str
    required: true
  ports:
    description:
      - The ports on which they have to be reached.
    type: list
    elements: int
    required: true
  protocol:
    description:
      - The protocol; V(tcp) where it is not given.
    type: str
    choices: [tcp, udp]
  sources:
    description:
      - Who has to reach them, networks or addresses. All of a network has to be let in.
      - Health checks of SLB, and connections of its layer-7 listeners, come from V(100.64.0.0/10).
      - An address that a server has counts as a member of the groups of that server.
    type: list
    elements: str
    required: true
  vpc_id:
    description:
      - The VPC of the servers, where several VPCs of the region use the same addresses.
    type: str
seealso:
  - module: clusterfront.ha.slb_health_info
  - module: clusterfront.ha.endpoint_probe
"""

EXAMPLES = r"""
- name: Who keeps the SLB and its clients out of the HAProxy nodes
  clusterfront.ha.slb_security_group_info:
    region: cn-hangzhou
    servers: [192.0.2.21, 192.0.2.22]
    ports: [8888, 8889]
    sources: [100.64.0.0/10, 192.0.2.0/24]
  register: let_in

- name: Go on only where nobody is kept out
  ansible.builtin.assert:
    that: let_in.problems | length == 0
    fail_msg: "{{ let_in.problems | join(' ') }}"
"""

RETURN = r"""
servers:
  description: The servers, in their order.
  returned: success
  type: list
  elements: dict
  sample: [{name: 192.0.2.21, id: i-example1, vpc_id: vpc-example, security_groups: [sg-example]}]
access:
  description:
    - One entry for each server, port and source. C(allowed) is null where the API does not tell all that decides, such as the networks of a
      prefix list. C(by) is the id of the rule, or of the group, that decides.
  returned: success
  type: list
  elements: dict
  sample:
    - server: 192.0.2.21
      port: 8888
      source: 100.64.0.0/10
      allowed: false
      by: null
      reason: no rule of sg-example lets it in
problems:
  description: One sentence for each source that is kept out.
  returned: success
  type: list
  elements: str
  sample:
    - >-
      100.64.0.0/10 is kept out of port 8888/tcp of 192.0.2.21 (i-example1): no rule of sg-example lets it in; let tcp 8888/8888 in from
      100.64.0.0/10 there.
unclear:
  description: One sentence for each source of which that cannot be told.
  returned: success
  type: list
  elements: str
  sample: []
error:
  description: The API's error.
  returned: when the API refused a call
  type: dict
  sample: {code: Forbidden.RAM, message: User not authorized to operate on the specified resource., operation: DescribeInstances, request_id: null}
"""

import ipaddress

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.clusterfront.ha.plugins.module_utils._module import argument_spec, inform
from ansible_collections.clusterfront.ha.plugins.module_utils._slb import lookup
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.client import Client
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.document import check_port, network
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.security_groups import Access, Source, table

ARGUMENT_SPEC = argument_spec(
    {
        "servers": {"type": "list", "elements": "str", "required": True},
        "ports": {"type": "list", "elements": "int", "required": True},
        "protocol": {"type": "str", "choices": ["tcp", "udp"]},
        "sources": {"type": "list", "elements": "str", "required": True},
        "vpc_id": {"type": "str"},
    }
)


def read(client: Client, params: dict) -> dict:
    for port in params["ports"]:
        check_port(port, "an entry of ports")
    networks = [ipaddress.ip_network(network("sources", source)) for source in params["sources"]]
    callers = [str(one.network_address) for one in networks if one.num_addresses == 1]
    vpc_id = params["vpc_id"]
    named = [lookup.naming("servers", name) for name in (*params["servers"], *callers)]
    found = lookup.servers(client, named, vpc_id)
    known = lookup.Known(found)
    servers = [(name, lookup.named_server("servers", name, known, vpc_id)) for name in params["servers"]]
    groups = lookup.security_groups(client, {one for dummy, server in servers for one in server.security_groups})
    vpcs = {server.vpc_id for dummy, server in servers}
    sources = [Source(one, lookup.groups_of(one, known, vpcs)) for one in networks]
    accesses = [
        Access(name, server.id, lookup.address_of(server, name), tuple(groups[one] for one in server.security_groups))
        for name, server in servers
    ]
    return {
        "servers": [
            {"name": name, "id": server.id, "vpc_id": server.vpc_id, "security_groups": list(server.security_groups)}
            for name, server in servers
        ],
        **table(accesses, params["ports"], params["protocol"] or "tcp", sources),
    }


def main() -> None:
    inform(AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True), read)


if __name__ == "__main__":
    main()
