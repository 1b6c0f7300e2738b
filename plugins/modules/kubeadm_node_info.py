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
  health:
    description:
      - Whether to look how the control plane is too, and fill in RV(apiserver), RV(etcd) and RV(certificates).
      - What does not answer is told as such; it is never an error.
    type: bool
    default: false
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

- name: Look how its part of the control plane is
  clusterfront.ha.kubeadm_node_info:
    health: true
  register: master
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
remarks:
  description: What the machine lacks for a kubelet (swap, forwarding, br_netfilter), one sentence each. Nothing of it is changed.
  returned: success
  type: list
  elements: str
  sample: []
apiserver:
  description:
    - How its own apiserver finds itself. C(livez) and C(readyz) are the statuses of HTTP, null where nothing answers, and
      C(failed_checks) the names of the checks behind them that fail.
    - Everybody may ask for that, so it is told of a machine without files of kubeadm too.
  returned: when O(health) is true
  type: dict
  sample: {livez: 200, readyz: 500, failed_checks: [etcd], version: v1.33.13, error: ''}
etcd:
  description:
    - How the member of etcd on this machine finds itself. Null where the machine has none, as with an external etcd.
    - C(members) is what this member knows. C(leader_id) is empty where it knows no leader. C(db_size) is in bytes.
  returned: when O(health) is true
  type: dict
  sample:
    member_id: "8211f1d0f64f3269"
    leader_id: "8211f1d0f64f3269"
    healthy: true
    version: 3.5.24
    db_size: 5128192
    alarms: [{member: master-1, alarm: NOSPACE}]
    members: [{id: "8211f1d0f64f3269", name: master-1, peer_urls: ["https://192.0.2.11:2380"]}]
    error: ''
certificates:
  description:
    - Every certificate below C(/etc/kubernetes/pki), in the kubeconfigs of C(/etc/kubernetes), and that of the kubelet. C(days_left) is
      below zero for one that has ended.
  returned: when O(health) is true
  type: list
  elements: dict
  sample: [{name: apiserver.crt, not_after: '2027-01-31T12:00:00Z', days_left: 364}]
"""

import contextlib
import time
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.clusterfront.ha.plugins.module_utils import _kubeadm_module as common
from ansible_collections.clusterfront.ha.plugins.module_utils._endpoint import certificate
from ansible_collections.clusterfront.ha.plugins.module_utils._kubeadm import api, health, host
from ansible_collections.clusterfront.ha.plugins.module_utils._kubeadm.versions import init_needs_endpoint, shown

#: How long an answer on health may take, in seconds.
ANSWER = 5.0
CA = f"{api.KUBERNETES}/pki/ca.crt"


def certificates(now: float) -> t.List[t.Dict[str, t.Any]]:
    """Every certificate of this machine with its end."""
    found = []
    for name, pem in host.certificates():
        end = certificate.facts(certificate.first_of(pem))["not_after"]
        found.append({"name": name, "not_after": end, "days_left": certificate.days_left(end, now)})
    return found


def etcd() -> t.Optional[t.Dict[str, t.Any]]:
    """How this machine's etcd is, None where it has none."""
    if not host.has_etcd():
        return None
    try:
        return api.etcd_health(api.etcd(timeout=ANSWER))
    except OSError as error:
        # its certificates can't be read
        return health.silent_etcd(f"the certificates for etcd cannot be used: {error}")


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "kubeadm": {"type": "str", "default": "kubeadm"},
            "port": {"type": "int", "default": 6443},
            "timeout": {"type": "int", "default": 600},
            "health": {"type": "bool", "default": False},
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
    deeper = {}
    if module.params["health"]:
        deeper = {
            "apiserver": api.apiserver_health(api.anonymous("127.0.0.1", port, ANSWER)),
            "etcd": etcd(),
            "certificates": certificates(time.time()),
        }
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
        remarks=host.unprepared(),
        **deeper,
    )


if __name__ == "__main__":
    main()
