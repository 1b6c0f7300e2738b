#!/usr/bin/python
# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: kubeadm_node_info
short_description: What a machine is to its Kubernetes cluster
version_added: "0.1.0"
description:
  - Looks at the files of kubeadm and asks the machine's own apiserver and etcd. It changes nothing.
  - A kubeadm that an earlier run of M(clusterfront.ha.kubeadm_node) began and that is still at work is waited for.
author:
  - clusterfront.ha contributors (@clusterfront)
options:
  kubeadm:
    description:
      - The program, by name or path.
    type: str
    default: kubeadm
  port:
    description:
      - The port of the machine's own apiserver.
    type: int
    default: 6443
  timeout:
    description:
      - How many seconds to wait for a kubeadm that is at work.
    type: int
    default: 600
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
"""

EXAMPLES = r"""
- name: Look what this machine is
  clusterfront.ha.kubeadm_node_info:
  register: machine
"""

RETURN = r"""
kubeadm_version:
  description: The version of the kubeadm that was found, empty where there is none.
  returned: success
  type: str
  sample: v1.33.13
init_needs_endpoint:
  description: The first phase of its init that uses the endpoint, empty where none does.
  returned: success
  type: str
  sample: wait-control-plane
role:
  description:
    - V(fresh), V(control_plane), V(worker), V(interrupted) where a run of M(clusterfront.ha.kubeadm_node) has not ended, or V(foreign)
      where there are files of a control plane that is not whole.
  returned: success
  type: str
  sample: control_plane
doing:
  description: What has not ended, V(init) or V(join).
  returned: success
  type: str
  sample: ''
ready:
  description: Whether its own apiserver says that it is ready.
  returned: success
  type: bool
  sample: true
ca:
  description: Tells one cluster's CA from another's, empty where there is none.
  returned: success
  type: str
  sample: 5f0c3a9be1d25f0c
ca_certificate:
  description: The CA itself.
  returned: success
  type: str
  sample: "-----BEGIN CERTIFICATE-----"
nodes:
  description: The nodes of the cluster, as a master that is ready tells them.
  returned: success
  type: list
  elements: dict
  sample: [{name: master-1, ready: true, control_plane: true, version: v1.33.13}]
etcd_members:
  description: The names of etcd's members, where etcd runs on the machine. A member that has not started yet has none.
  returned: success
  type: list
  elements: str
  sample: [master-1, master-2, master-3]
"""

import contextlib

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.clusterfront.ha.plugins.module_utils import _kubeadm_module as common
from ansible_collections.clusterfront.ha.plugins.module_utils._kubeadm import api, host
from ansible_collections.clusterfront.ha.plugins.module_utils._kubeadm.versions import init_needs_endpoint, shown

CA = f"{api.KUBERNETES}/pki/ca.crt"


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "kubeadm": {"type": "str", "default": "kubeadm"},
            "port": {"type": "int", "default": 6443},
            "timeout": {"type": "int", "default": 600},
        },
        supports_check_mode=True,
    )
    port = module.params["port"]
    if not 1 <= port <= 65535:
        module.fail_json(msg=f"port is {port}; 1 to 65535 are possible.")
    try:
        host.wait_for_unit(module.params["timeout"])
    except host.HostError as error:
        module.fail_json(msg=str(error))
    kubeadm = common.Kubeadm(module)
    found = host.found(port)
    nodes, members = [], []
    if found.ready and found.admin_conf:
        # what does not answer is told by what is missing; another node's report may have it
        with contextlib.suppress(api.ApiError, OSError):
            nodes = api.nodes(api.admin("127.0.0.1", port, host.read(f"{api.KUBERNETES}/admin.conf")))
        with contextlib.suppress(api.ApiError, OSError):
            members = [member.name for member in api.etcd_members(api.etcd())]
    module.exit_json(
        changed=False,
        kubeadm_version=shown(kubeadm.version) if kubeadm.version else "",
        init_needs_endpoint=init_needs_endpoint(kubeadm.version) if kubeadm.version else "",
        role=found.role,
        doing=found.doing,
        ready=found.ready,
        ca=host.fingerprint(CA),
        ca_certificate=host.read(CA),
        nodes=nodes,
        etcd_members=members,
    )


if __name__ == "__main__":
    main()
