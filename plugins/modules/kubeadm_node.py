#!/usr/bin/python
# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: kubeadm_node
short_description: Run kubeadm init or join, so that a run which ends anywhere can be run again
version_added: "0.1.0"
description:
  - kubeadm runs as a systemd unit of its own. A lost connection or a killed Ansible does not end it; the next run waits for it.
  - What was begun and what is done lies in C(/var/lib/clusterfront/kubeadm.json), which systemd itself writes.
  - O(step) is what the filter P(clusterfront.ha.kubeadm_steps#filter) says.
author:
  - clusterfront.ha contributors (@clusterfront)
options:
  step:
    description:
      - V(init) and V(join) on a machine that has nothing yet.
      - V(resume_init) goes on with an init whose apiserver runs already. Everything that kubeadm finds is kept.
      - V(reset) clears what an interrupted join left, before M(clusterfront.ha.kubeadm_ticket) makes the cluster forget it too.
        V(reset_and_init) clears and begins again at once, for there is nobody else who could know of it.
    type: str
    choices: [init, join, resume_init, reset_and_init, reset]
    required: true
  control_plane:
    description:
      - Whether a machine that joins becomes a master.
    type: bool
    default: false
  endpoint:
    description:
      - The endpoint that a machine joins by, with its port. Needed for the steps that join.
    type: str
  token:
    description:
      - The bootstrap token that M(clusterfront.ha.kubeadm_ticket) has made.
    type: str
  ca_cert_hashes:
    description:
      - Hashes of the cluster's CA, from the same module. A machine joins no cluster without them.
    type: list
    elements: str
    default: []
  certificate_key:
    description:
      - The key by which masters get the certificates.
    type: str
  hosts_init:
    description:
      - A name, or an address, that leads to this very machine while kubeadm runs; by a line of the hosts file, or on the loopback.
      - It is taken back when kubeadm has ended, however it did.
    type: str
  hosts_init_address:
    description:
      - Another machine that the name of O(hosts_init) leads to. Where it is not given, the C(advertise_address) of O(node).
    type: str
extends_documentation_fragment:
  - clusterfront.ha._attributes
  - clusterfront.ha._kubeadm
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: none
    details:
      - It does what O(step) says, every time.
"""

EXAMPLES = r"""
- name: Join this master
  clusterfront.ha.kubeadm_node:
    step: join
    control_plane: true
    endpoint: api.example.com:6443
    token: "{{ ticket.token }}"
    ca_cert_hashes: "{{ ticket.ca_cert_hashes }}"
    certificate_key: "{{ ticket.certificate_key }}"
    node:
      advertise_address: 192.0.2.12
"""

RETURN = r"""
seconds:
  description: How long kubeadm ran.
  returned: always
  type: float
  sample: 7.1
lines:
  description: The last lines of kubeadm, without secrets.
  returned: failure
  type: list
  elements: str
  sample: ['error execution phase wait-control-plane: ...']
kubelet:
  description: The last lines of the kubelet that look like a failure.
  returned: failure
  type: list
  elements: str
  sample: []
apiserver_ready:
  description: Whether the machine's own apiserver is ready, although kubeadm failed.
  returned: failure
  type: bool
  sample: true
"""

import re
import time

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.clusterfront.ha.plugins.module_utils import _kubeadm_module as common
from ansible_collections.clusterfront.ha.plugins.module_utils._kubeadm import host, yamltext
from ansible_collections.clusterfront.ha.plugins.module_utils._kubeadm.config import (
    ConfigError,
    Discovery,
    Node,
    masked,
)

STEPS = ["init", "join", "resume_init", "reset_and_init", "reset"]
#: How long a new apiserver may take after kubeadm says that all is done.
SETTLE = 60
#: What kubeadm prints for the operator to copy.
SECRETS = re.compile(r"\b[a-z0-9]{6}\.[a-z0-9]{16}\b|\b[0-9a-f]{64}\b")


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **common.SETTINGS,
            "step": {"type": "str", "choices": STEPS, "required": True},
            "control_plane": {"type": "bool", "default": False},
            "endpoint": {"type": "str"},
            "token": {"type": "str", "no_log": True},
            "ca_cert_hashes": {"type": "list", "elements": "str", "default": []},
            "certificate_key": {"type": "str", "no_log": True},
            "hosts_init": {"type": "str"},
            "hosts_init_address": {"type": "str"},
        },
        required_if=[("step", "join", ("endpoint", "token"))],
        supports_check_mode=True,
    )
    try:
        work(module)
    except (ConfigError, host.HostError, OSError) as error:
        module.fail_json(msg=str(error))


def work(module: AnsibleModule) -> None:
    params = module.params
    kubeadm = common.Kubeadm(module)
    if module.check_mode and not kubeadm.version:
        # an earlier task of the same run would have installed it
        module.exit_json(changed=True, seconds=0.0)
    path, version = kubeadm.required
    node = common.settings(Node, params["node"], "node")
    if params["step"] == "reset":
        if not module.check_mode:
            host.wait_for_unit(600)
            host.reset(path, node.cri_socket, "join")
        module.exit_json(changed=True, seconds=0.0)
    what = "join" if params["step"] == "join" else "init"
    key = params["certificate_key"] or ""
    if what == "join":
        discovery = Discovery(params["endpoint"], params["token"], params["ca_cert_hashes"])
        given = {**params, "node": {**params["node"], "certificate_key": key}}
        text = yamltext.text(common.documents(given, version, discovery, params["control_plane"]))
    else:
        text = yamltext.text(common.documents(params, version))
    common.validated(path, text)
    if module.check_mode:
        module.exit_json(changed=True, seconds=0.0)
    begun = time.monotonic()
    if host.wait_for_unit(600):
        module.fail_json(
            msg="Another run's kubeadm has just ended on this machine; run again, for the plan may be another one now."
        )
    if params["step"] == "reset_and_init":
        host.reset(path, node.cri_socket, what)
    elif params["step"] == "init":
        host.keep_given_keys()
    skip = ["--skip-phases", ",".join(["preflight", *node.skip_phases])] if params["step"] == "resume_init" else []
    own = params["hosts_init_address"] or node.advertise_address
    detour = host.Detour(params["hosts_init"], own) if params["hosts_init"] else None
    with host.private_file(host.CONFIG, text):
        code, output = host.kubeadm_run([path, what, "--config", host.CONFIG, *skip], what, detour)
    lines = [
        SECRETS.sub("********", line) for line in masked(output, [params["token"], key]).splitlines() if line.strip()
    ]
    seconds = round(time.monotonic() - begun, 1)
    if code:
        errors = [line for line in lines if line.startswith("error") or "[ERROR" in line]
        module.fail_json(
            msg=f"kubeadm {what} failed after {seconds:g} s: {' '.join(errors[-3:]) or (lines or ['it said nothing'])[-1]}",
            seconds=seconds,
            lines=lines[-40:],
            kubelet=host.kubelet_lines(),
            apiserver_ready=host.apiserver_answers(node.port),
        )
    if what == "init" or params["control_plane"]:
        settle(module, node.port)
    module.exit_json(changed=True, seconds=seconds)


def settle(module: AnsibleModule, port: int) -> None:
    """kubeadm is done when the apiserver lives; others need it ready."""
    deadline = time.monotonic() + SETTLE
    while not host.apiserver_answers(port):
        if time.monotonic() > deadline:
            module.fail_json(
                msg=f"kubeadm is done, but the apiserver of this machine is not ready after {SETTLE} seconds."
            )
        time.sleep(0.5)


if __name__ == "__main__":
    main()
