#!/usr/bin/python
# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: endpoint_probe
short_description: What a connection meets, from the host that it starts on
version_added: "0.1.0"
author:
  - clusterfront.ha contributors (@clusterfront)
description:
  - Connects to each target from the host that the module runs on and says what it met. Refused and timed out are told apart,
    which is the whole difference between a control plane that is not there yet and a load balancer that does not let a node through.
  - Never fails because of what it meets, and changes nothing. Needs no Python package on the host.
extends_documentation_fragment:
  - clusterfront.ha._attributes
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
  targets:
    description:
      - Where to connect. They are probed side by side.
    type: list
    elements: dict
    required: true
    suboptions:
      host:
        description:
          - Name or address.
        type: str
        required: true
      port:
        description:
          - TCP port.
        type: int
        required: true
      name:
        description:
          - How the result calls the target. C(host:port) where it is not given.
        type: str
      tls:
        description:
          - Whether to open TLS on the connection.
        type: bool
        default: false
      path:
        description:
          - Path to ask for by HTTP GET, for example V(/readyz).
        type: str
      server_name:
        description:
          - Name for TLS and for the Host header, where it is not O(targets[].host).
        type: str
      ca_path:
        description:
          - File with the CA that has to have signed the certificate. Where it is not given, the certificate is not verified; nothing
            secret is sent.
        type: path
  timeout:
    description:
      - Seconds for each step (connecting, TLS, HTTP) of each target.
    type: float
    default: 5.0
"""

EXAMPLES = r"""
- name: The connectivity test before kubeadm init
  clusterfront.ha.endpoint_probe:
    targets:
      - {name: endpoint, host: k8s-api.example.com, port: 6443, tls: true, path: /readyz}
      - {name: local, host: 127.0.0.1, port: 6443, tls: true, path: /readyz}
    timeout: 3
  register: probed

- name: Which certificate a load balancer shows, and whether it leads to the CA
  clusterfront.ha.endpoint_probe:
    targets:
      - {host: 192.0.2.100, port: 443, tls: true, server_name: www.example.com, ca_path: /etc/ssl/example/ca.pem}
    timeout: 1
  register: served
"""

RETURN = r"""
probes:
  description: What was met, one entry for each target in its order.
  returned: always
  type: list
  elements: dict
  contains:
    name:
      description: The target's name.
      type: str
      sample: endpoint
    result:
      description:
        - V(open) for a connection that stays or answers, V(closed) for one that was accepted and then ended before a byte (a proxy
          without a server), V(refused), V(timed_out), or V(unreachable) (no route, or the name does not resolve).
      type: str
      sample: refused
    stage:
      description: Where it ended, V(resolve), V(connect), V(tls), or V(http).
      type: str
      sample: connect
    seconds:
      description: How long it took.
      type: float
      sample: 0.002
    error:
      description: The system's own words, null where nothing went wrong.
      type: str
      sample: Connection refused
    address:
      description: The address that was connected to.
      type: str
      sample: 192.0.2.100
    tls:
      description:
        - The TLS version and what the served certificate says, SHA-1 and SHA-256 fingerprints among it. C(verified) is whether it and
          its chain lead to O(targets[].ca_path).
      type: dict
      sample:
        version: TLSv1.3
        verified: true
        fingerprint: 68:08:1a:f2:ff:48:c8:f1:e5:1f:1a:bb:1b:1d:bf:97:d2:2b:5f:10
        fingerprint_sha256: e3:b0:c4:42:98:fc:1c:14:9a:fb:f4:c8:99:6f:b9:24:27:ae:41:e4:64:9b:93:4c:a4:95:99:1b:78:52:b8:55
        not_before: '2026-01-31T12:00:00Z'
        not_after: '2027-01-31T12:00:00Z'
        subject_alt_names: [www.example.com]
    http_status:
      description: The status of the HTTP answer.
      type: int
      sample: 200
    body:
      description: The first 1024 bytes of the answer.
      type: str
      sample: ok
    clock_skew:
      description:
        - Seconds by which the clock of the host that asks is ahead of the one that answers, by the Date of its answer, which knows whole
          seconds only. Null where no HTTP answer came.
      type: float
      sample: 0.0
"""

import dataclasses

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.clusterfront.ha.plugins.module_utils._endpoint.probe import Target, probe_all

TARGET = {
    "host": {"type": "str", "required": True},
    "port": {"type": "int", "required": True},
    "name": {"type": "str"},
    "tls": {"type": "bool", "default": False},
    "path": {"type": "str"},
    "server_name": {"type": "str"},
    "ca_path": {"type": "path"},
}

LONGEST = 3600


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "targets": {"type": "list", "elements": "dict", "required": True, "options": TARGET},
            "timeout": {"type": "float", "default": 5.0},
        },
        supports_check_mode=True,
    )
    # a comparison that is also false for what is no number
    if not 0 < module.params["timeout"] <= LONGEST:
        module.fail_json(
            msg=f"timeout is {module.params['timeout']}; more than 0 and at most {LONGEST} seconds are possible."
        )
    for target in module.params["targets"]:
        if not 1 <= target["port"] <= 65535:
            module.fail_json(msg=f"targets has port {target['port']} of {target['host']}; 1 to 65535 are possible.")
    targets = [
        Target(**{key: value for key, value in target.items() if value is not None})
        for target in module.params["targets"]
    ]
    probes = probe_all(targets, module.params["timeout"])
    module.exit_json(changed=False, probes=[dataclasses.asdict(met) for met in probes])


if __name__ == "__main__":
    main()
