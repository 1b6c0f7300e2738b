#!/usr/bin/python
# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: slb_listener_info
short_description: Information about the listeners of an SLB instance
version_added: 0.1.0
author:
- clusterfront.ha contributors (@clusterfront)
description:
- Lists the listeners of an SLB instance.
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
  port:
    description:
    - Only the listeners of this port.
    type: int
  protocol:
    description:
    - Only the listeners of this protocol.
    type: str
    choices:
    - tcp
    - udp
    - http
    - https
  description:
    description:
    - Only the listeners of exactly this description.
    type: str
  tags:
    description:
    - Only listeners that have all these tags. The key V(clusterfront:owner) finds those of an owner.
    type: dict
seealso:
- module: clusterfront.ha.slb_listener
"""

EXAMPLES = r"""
- name: What the load balancer has
  clusterfront.ha.slb_listener_info:
    region: cn-hangzhou
    load_balancer: prod-api
  register: found

- name: The listener for DNS over UDP
  clusterfront.ha.slb_listener_info:
    region: cn-hangzhou
    load_balancer: prod-dns
    port: 53
    protocol: udp

- name: All listeners of one team
  clusterfront.ha.slb_listener_info:
    region: cn-hangzhou
    load_balancer: prod-api
    tags: {team: platform}
"""

RETURN = r"""
listeners:
  description:
  - The listeners. What a protocol does not have is null.
  returned: success
  type: list
  elements: dict
  sample:
  - port: 6443
    protocol: tcp
    server_group: haproxy
    failover_group: null
    backend_port: null
    scheduler: wrr
    bandwidth: -1
    persistence_timeout: 0
    established_timeout: 900
    connection_drain: false
    connection_drain_timeout: null
    proxy_protocol_v2: false
    sticky_session: null
    sticky_session_type: null
    cookie: null
    cookie_timeout: null
    x_forwarded_for: null
    x_forwarded_for_proto: null
    x_forwarded_for_slb_id: null
    x_forwarded_for_slb_ip: null
    x_forwarded_for_slb_port: null
    x_forwarded_for_client_src_port: null
    gzip: null
    http2: null
    idle_timeout: null
    request_timeout: null
    forward_port: null
    certificate: null
    ca_certificate: null
    tls_policy: null
    description: ''
    health_check:
      enabled: true
      type: http
      connect_port: 8889
      timeout: 2
      interval: 2
      healthy_threshold: 2
      unhealthy_threshold: 2
      domain: ''
      uri: /readyz
      http_codes:
      - http_2xx
      method: null
      request: null
      expected: null
    access_list:
      lists: []
      type: null
    rules: null
    domain_extensions: null
    enabled: true
    tags: {}
    owner: prod-api
    status: running
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
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.document import check_port, partial, text_tags
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.reconcile import inventory
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.resources import listener

FILTERS = {
    "port": {"type": "int"},
    "protocol": {"type": "str", "choices": ["tcp", "udp", "http", "https"]},
    "description": {"type": "str"},
    "tags": {"type": "dict"},
}
ARGUMENT_SPEC = argument_spec({"load_balancer": {"type": "str", "required": True}}, FILTERS)


def read(client: Client, params: dict) -> dict:
    check_port(params["port"])
    state = inventory(client, partial(part_of_load_balancer(params)), {"listeners"})
    wanted = {**{name: params[name] for name in FILTERS}, "tags": text_tags(params["tags"])}
    return {"listeners": [view.listener(entry) for entry in listener.search(state.listeners, **wanted)]}


def main() -> None:
    inform(AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True), read)


if __name__ == "__main__":
    main()
