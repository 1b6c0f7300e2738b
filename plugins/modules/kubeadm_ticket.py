#!/usr/bin/python
# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: kubeadm_ticket
short_description: On a master, make what other machines join by
version_added: "0.1.0"
description:
  - Makes a bootstrap token, tells the hash of the cluster's CA, and uploads the certificates under a new key where masters are to join.
    kubeadm keeps the upload for two hours, so O(ttl) should be less.
  - Everything goes to the master's own apiserver, never to the endpoint; so it works where the endpoint does not yet.
  - With O(forget) it first makes the cluster forget machines that have nothing of it any more, their nodes and their members of etcd, one
    that never started among them.
author:
  - clusterfront.ha contributors (@clusterfront)
options:
  control_plane:
    description:
      - Whether masters are to join, too.
    type: bool
    default: false
  ttl:
    description:
      - How long the token is good.
    type: str
    default: 110m
  forget:
    description:
      - Machines that the cluster has to forget, because they are to join it and have nothing of it.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: The name of the node.
        type: str
        required: true
      address:
        description: Its address. A node of the name that has another address is another machine, and stays.
        type: str
        required: true
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
      - Every ticket is a new one.
"""

EXAMPLES = r"""
- name: Make what other masters join by
  clusterfront.ha.kubeadm_ticket:
    control_plane: true
    cluster:
      endpoint: api.example.com:6443
      version: 1.33.13
    node:
      advertise_address: 192.0.2.11
  register: ticket
  no_log: true
"""

RETURN = r"""
token:
  description: The bootstrap token. Register it in a task with C(no_log).
  returned: success
  type: str
  sample: abcdef.0123456789abcdef
ca_cert_hashes:
  description: The hashes of the cluster's CA.
  returned: success
  type: list
  elements: str
  sample: ['sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855']
certificate_key:
  description: The key of the uploaded certificates, empty where none were uploaded.
  returned: success
  type: str
  sample: ''
forgotten:
  description: What the cluster had to forget.
  returned: success
  type: list
  elements: str
  sample: [node master-2, etcd member master-2]
"""

import os
import secrets

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.clusterfront.ha.plugins.module_utils import _kubeadm_module as common
from ansible_collections.clusterfront.ha.plugins.module_utils._kubeadm import api, host, yamltext
from ansible_collections.clusterfront.ha.plugins.module_utils._kubeadm.config import ConfigError, Node
from ansible_collections.clusterfront.ha.plugins.module_utils._kubeadm.state import (
    StateError,
    join_command,
    remnants,
    with_server,
)

LOCAL = f"{host.RUN}/local.conf"


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **common.SETTINGS,
            "control_plane": {"type": "bool", "default": False},
            "ttl": {"type": "str", "default": "110m"},
            "forget": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {"name": {"type": "str", "required": True}, "address": {"type": "str", "required": True}},
            },
        },
        supports_check_mode=True,
    )
    try:
        work(module)
    except (ConfigError, StateError, api.ApiError, host.HostError, OSError) as error:
        module.fail_json(msg=str(error))


def work(module: AnsibleModule) -> None:
    params = module.params
    kubeadm = common.Kubeadm(module)
    path, version = kubeadm.required
    node = common.settings(Node, params["node"], "node")
    config = host.read(f"{api.KUBERNETES}/admin.conf")
    if not config:
        raise ConfigError(
            f"There is no {api.KUBERNETES}/admin.conf on this machine, so it is no master that others can join by."
        )
    # a certificate key is 32 bytes, written as hex
    key = secrets.token_hex(32) if params["control_plane"] else ""
    given = {**params, "node": {**params["node"], "certificate_key": key, "skip_phases": []}}
    text = yamltext.text(common.documents(given, version))
    if module.check_mode:
        module.exit_json(
            changed=True,
            token="abcdef.0123456789abcdef",
            ca_cert_hashes=["sha256:" + "0" * 64],
            certificate_key=key,
            forgotten=[],
        )
    apiserver = api.admin("127.0.0.1", node.port, config)
    forgotten = [what for machine in params["forget"] for what in forget(machine, apiserver)]
    os.makedirs(host.RUN, mode=0o700, exist_ok=True)
    own = f"https://{'[%s]' % node.advertise_address if ':' in node.advertise_address else node.advertise_address}:{node.port}"
    with host.private_file(LOCAL, with_server(config, own)), host.private_file(f"{host.RUN}/upload.yaml", text):
        if key:
            call(
                path,
                "init",
                "phase",
                "upload-certs",
                "--upload-certs",
                "--config",
                f"{host.RUN}/upload.yaml",
                "--kubeconfig",
                LOCAL,
            )
        shown = call(path, "token", "create", "--ttl", params["ttl"], "--print-join-command", "--kubeconfig", LOCAL)
    token, hashes = join_command(shown)
    module.exit_json(changed=True, token=token, ca_cert_hashes=hashes, certificate_key=key, forgotten=forgotten)


def call(*command: str) -> str:
    done = host.run(*command, timeout=120)
    if done.returncode:
        words = (done.stderr.strip() or done.stdout.strip() or "it said nothing").splitlines()
        raise ConfigError(f"kubeadm {command[1]} {command[2]} failed: {words[-1]}")
    return done.stdout


def forget(machine: dict, apiserver: api.Api) -> list:
    """Take a machine that was cleared out of the cluster and out of etcd; etcd first, for it is what others wait for."""
    done = []
    if os.path.exists(f"{api.KUBERNETES}/manifests/etcd.yaml"):
        etcd = api.etcd()
        for member in remnants(api.etcd_members(etcd), machine["name"], machine["address"]):
            api.remove_etcd_member(etcd, member)
            done.append(f"etcd member {member.name or member.id}")
    if api.delete_node(apiserver, machine["name"], machine["address"]):
        done.append(f"node {machine['name']}")
    return done


if __name__ == "__main__":
    main()
