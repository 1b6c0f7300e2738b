#!/usr/bin/python
# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: slb_failover_group
short_description: A primary/secondary group of an SLB instance
version_added: 0.1.0
author:
- clusterfront.ha contributors (@clusterfront)
description:
- Makes or removes a primary/secondary group. The standby serves while the primary is not healthy.
- The cloud changes nothing of such a group, not even its name. A difference is an error that says what to do, which is to make a group of
  another name, to lead the listener to it (it changes over in one call), and to remove the old one.
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
  primary:
    description:
    - The server that serves. Needed to make the group.
    type: dict
    suboptions:
      server_id:
        description:
        - Id of an ECS instance. A server is named by exactly one of this, O(primary.server_name), O(primary.private_ip)
          and O(primary.eni_id).
        type: str
      server_name:
        description:
        - Exact name of an ECS instance. A name of none, or of several, is an error.
        type: str
      private_ip:
        description:
        - Primary private address of an ECS instance, else an address of a network interface, primary or secondary; its id
          is looked up. An address of none, or of several, is an error.
        - Beside O(primary.eni_id), the address of that interface that is meant.
        type: str
      eni_id:
        description:
        - Id of a network interface that is attached. Its primary address is meant, unless O(primary.private_ip) is given
          too.
        - Network interfaces need an instance that is no shared one.
        type: str
      port:
        description:
        - The port on the server.
        type: int
        required: true
      description:
        description:
        - Your own text, up to 80 characters.
        type: str
  standby:
    description:
    - The server that serves while the primary one is not healthy. Needed to make the group.
    type: dict
    suboptions:
      server_id:
        description:
        - Id of an ECS instance. A server is named by exactly one of this, O(standby.server_name), O(standby.private_ip)
          and O(standby.eni_id).
        type: str
      server_name:
        description:
        - Exact name of an ECS instance. A name of none, or of several, is an error.
        type: str
      private_ip:
        description:
        - Primary private address of an ECS instance, else an address of a network interface, primary or secondary; its id
          is looked up. An address of none, or of several, is an error.
        - Beside O(standby.eni_id), the address of that interface that is meant.
        type: str
      eni_id:
        description:
        - Id of a network interface that is attached. Its primary address is meant, unless O(standby.private_ip) is given
          too.
        - Network interfaces need an instance that is no shared one.
        type: str
      port:
        description:
        - The port on the server.
        type: int
        required: true
      description:
        description:
        - Your own text, up to 80 characters.
        type: str
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
- module: clusterfront.ha.slb_failover_group_info
- module: clusterfront.ha.slb_frontend
- module: clusterfront.ha.slb_listener
"""

EXAMPLES = r"""
- name: A proxy and its standby
  clusterfront.ha.slb_failover_group:
    region: cn-hangzhou
    load_balancer: prod-data
    name: database
    primary: {server_name: proxy-1, port: 5432}
    standby: {server_name: proxy-2, port: 5432}

- name: A listener for them
  clusterfront.ha.slb_listener:
    region: cn-hangzhou
    load_balancer: prod-data
    port: 5432
    protocol: tcp
    failover_group: database

- name: Remove the listener, for a group that is in use cannot go
  clusterfront.ha.slb_listener:
    region: cn-hangzhou
    load_balancer: prod-data
    port: 5432
    protocol: tcp
    state: absent

- name: Remove the group
  clusterfront.ha.slb_failover_group:
    region: cn-hangzhou
    load_balancer: prod-data
    name: database
    state: absent
"""

RETURN = r"""
failover_group:
  description:
  - The group as it is now, or as check mode predicts it. Null where it is absent. The API does not tell the address of a network
    interface here.
  returned: success
  type: dict
  sample:
    id: rsp-example
    name: database
    owner: prod-data
    primary:
      server_id: i-example1
      eni_id: null
      private_ip: 192.0.2.21
      type: ecs
      port: 5432
      description: ''
    standby:
      server_id: i-example2
      eni_id: null
      private_ip: 192.0.2.22
      type: ecs
      port: 5432
      description: ''
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
    group = {key: params[key] for key in _argspec.FAILOVER_GROUP}
    return partial({**part_of_load_balancer(params), "failover_groups": [group]})


def failover_group(wanted: FrontEnd, state: CloudState) -> dict | None:
    found = state.failover_group(wanted.failover_groups[0].name)
    return found and view.failover_group(found)


def main() -> None:
    module = AnsibleModule(
        argument_spec=argument_spec(_argspec.PART_OF, _argspec.FAILOVER_GROUP), supports_check_mode=True
    )
    run(module, document, ("failover_group", failover_group))


if __name__ == "__main__":
    main()
