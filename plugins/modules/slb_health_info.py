#!/usr/bin/python
# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: slb_health_info
short_description: The cloud's own view of the backends of an SLB instance
version_added: "0.1.0"
author:
  - clusterfront.ha contributors (@clusterfront)
description:
  - Tells for every backend of every listener whether the health check of the cloud finds it well.
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
      - Id or name of the SLB instance.
    type: str
    required: true
  port:
    description:
      - Only the backends of the listeners on this port.
    type: int
  protocol:
    description:
      - Only the backends of listeners of this protocol.
    type: str
    choices: [tcp, udp, http, https]
  wait_for:
    description:
      - Wait until so many backends of every listener are well, V(all), V(any), or a number. Fails in one sentence that names
        who is not well, and since when, if that does not come to be within O(wait_timeout).
    type: str
  wait_timeout:
    description:
      - Seconds to wait.
    type: float
    default: 60.0
seealso:
  - module: clusterfront.ha.slb_listener_info
"""

EXAMPLES = r"""
- name: Which backends are well
  clusterfront.ha.slb_health_info:
    region: cn-hangzhou
    load_balancer: prod-api
  register: health

- name: Wait until the front end is whole again
  clusterfront.ha.slb_health_info:
    region: cn-hangzhou
    load_balancer: prod-api
    wait_for: all
    wait_timeout: 30

- name: Wait for the listener for DNS over UDP, and not for the one over TCP
  clusterfront.ha.slb_health_info:
    region: cn-hangzhou
    load_balancer: prod-dns
    port: 53
    protocol: udp
    wait_for: any
"""

RETURN = r"""
load_balancer:
  description: The instance. Null where it does not exist.
  returned: success
  type: dict
  sample: {id: lb-example, name: prod-api, address: 192.0.2.100, status: active}
backends:
  description: One entry for each backend of each listener. C(status) is V(normal), V(abnormal) or V(unavailable) (not checked, or not yet).
  returned: success
  type: list
  elements: dict
  sample:
    - {protocol: tcp, port: 6443, server_id: i-example1, private_ip: 192.0.2.21, backend_port: 8888, status: normal}
error:
  description: The API's error.
  returned: when the API refused a call
  type: dict
  sample: {code: Throttling.User, message: Request was denied due to user flow control., operation: DescribeHealthStatus, request_id: null}
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.clusterfront.ha.plugins.module_utils._module import (
    argument_spec,
    inform,
    part_of_load_balancer,
)
from ansible_collections.clusterfront.ha.plugins.module_utils._slb import health, view
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.client import Client
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.document import check_port, front_end
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.resources import load_balancer


def read(client: Client, params: dict) -> dict:
    check_port(params["port"])
    document = front_end(part_of_load_balancer(params))
    instance, dummy = load_balancer.choose(document, load_balancer.fetch(client, document.load_balancer))
    if instance is None or instance.id is None:
        return {"load_balancer": None, "backends": []}
    meant = health.Meant(instance.id, params["port"], params["protocol"])
    if params["wait_for"] is None:
        backends = health.fetch(client, meant)
    else:
        backends = health.wait(client, meant, params["wait_for"], params["wait_timeout"])
    return {"load_balancer": view.load_balancer(instance), "backends": backends}


def main() -> None:
    spec = {
        "load_balancer": {"type": "str", "required": True},
        "port": {"type": "int"},
        "protocol": {"type": "str", "choices": ["tcp", "udp", "http", "https"]},
        "wait_for": {"type": "str"},
        "wait_timeout": {"type": "float", "default": 60.0},
    }
    inform(AnsibleModule(argument_spec=argument_spec(spec), supports_check_mode=True), read)


if __name__ == "__main__":
    main()
