#!/usr/bin/python
# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: kubeadm_config
short_description: Write the configuration of kubeadm init, in the format that the kubeadm of the host takes
version_added: "0.1.0"
description:
  - Makes C(InitConfiguration), C(ClusterConfiguration) and C(KubeletConfiguration) from settings that know no format, V(v1beta3) or
    V(v1beta4) by the version of the kubeadm that is found.
  - The real C(kubeadm config validate) judges the file before it lands. What it refuses is shown in its own words, and the old file
    stays.
  - Where there is no kubeadm yet, the C(version) in O(cluster) chooses the format, and nothing is validated.
author:
  - clusterfront.ha contributors (@clusterfront)
options:
  path:
    description:
      - Where the file goes.
    type: path
    default: /etc/kubernetes/kubeadm-config.yaml
extends_documentation_fragment:
  - clusterfront.ha._attributes
  - clusterfront.ha._kubeadm
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
"""

EXAMPLES = r"""
- name: Write what kubeadm init is told
  clusterfront.ha.kubeadm_config:
    cluster:
      endpoint: api.example.com:6443
      version: 1.33.13
      cert_sans: [api.example.com, 192.0.2.100]
      apiserver_args:
        goaway-chance: "0.001"
    node:
      advertise_address: 192.0.2.11
    extra:
      ClusterConfiguration:
        clusterName: production
"""

RETURN = r"""
kubeadm_version:
  description: The version of the kubeadm that was found, empty where there is none.
  returned: success
  type: str
  sample: v1.33.13
api_version:
  description: The format of the file.
  returned: success
  type: str
  sample: v1beta4
validated:
  description: Whether the real kubeadm has judged it.
  returned: success
  type: bool
  sample: true
warnings_of_kubeadm:
  description: What kubeadm said although it took the file.
  returned: success
  type: str
  sample: ''
"""

import os
import tempfile

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.clusterfront.ha.plugins.module_utils import _kubeadm_module as common
from ansible_collections.clusterfront.ha.plugins.module_utils._kubeadm import host, yamltext
from ansible_collections.clusterfront.ha.plugins.module_utils._kubeadm.config import ConfigError
from ansible_collections.clusterfront.ha.plugins.module_utils._kubeadm.versions import api_version, shown

HEADER = "# Managed by Ansible: clusterfront.ha.kubeadm_config.\n"


def main() -> None:
    module = AnsibleModule(
        argument_spec={**common.SETTINGS, "path": {"type": "path", "default": "/etc/kubernetes/kubeadm-config.yaml"}},
        supports_check_mode=True,
    )
    path = module.params["path"]
    kubeadm = common.Kubeadm(module)
    try:
        version = kubeadm.version_or(str(module.params["cluster"].get("version", "")))
        # within the first document, for kubeadm takes what stands before it for one
        text = yamltext.text(common.documents(module.params, version)).replace("---\n", f"---\n{HEADER}", 1)
        words = common.validated(kubeadm.path, text) if kubeadm.version else ""
    except ConfigError as error:
        module.fail_json(msg=str(error))
    before = host.read(path)
    changed = before != text or (os.stat(path).st_mode & 0o777) != 0o600
    if changed and not module.check_mode:
        if not os.path.isdir(os.path.dirname(path)):
            os.makedirs(os.path.dirname(path), 0o755)
        with tempfile.NamedTemporaryFile("w", dir=module.tmpdir, delete=False, encoding="utf-8") as file:
            file.write(text)
        module.atomic_move(file.name, path)
        module.set_mode_if_different(path, 0o600, False)
    module.exit_json(
        changed=changed,
        kubeadm_version=shown(kubeadm.version) if kubeadm.version else "",
        api_version=api_version(version),
        validated=bool(kubeadm.version),
        warnings_of_kubeadm="" if words == "ok" else words,
        diff={"before": before, "after": text, "before_header": path, "after_header": path},
    )


if __name__ == "__main__":
    main()
