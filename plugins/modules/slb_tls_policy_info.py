#!/usr/bin/python
# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: slb_tls_policy_info
short_description: Information about TLS policies of SLB
version_added: 0.1.0
author:
- clusterfront.ha contributors (@clusterfront)
description:
- Lists the policies of a region beside those that the cloud brings along, with the listeners that use them.
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
  id:
    description:
    - Only the policy of this id.
    type: str
  name:
    description:
    - Only those of exactly this name.
    type: str
seealso:
- module: clusterfront.ha.slb_tls_policy
"""

EXAMPLES = r"""
- name: Who still takes TLS 1.0
  clusterfront.ha.slb_tls_policy_info:
    region: cn-hangzhou
  register: found
"""

RETURN = r"""
tls_policies:
  description:
  - The policies, the oldest first.
  returned: success
  type: list
  elements: dict
  sample:
  - id: tls-example
    name: strict
    tls_versions: [TLSv1.2, TLSv1.3]
    ciphers: [ECDHE-RSA-AES128-GCM-SHA256, TLS_AES_128_GCM_SHA256]
    listeners: [https/443 of lb-example]
error:
  description:
  - The API's error.
  returned: when the API refused a call
  type: dict
  sample:
    code: SignatureDoesNotMatch
    message: Specified signature is not matched with our calculation.
    operation: ListTLSCipherPolicies
    request_id: 4C1A3B2D-0000-0000-0000-000000000000
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.clusterfront.ha.plugins.module_utils._module import argument_spec, inform
from ansible_collections.clusterfront.ha.plugins.module_utils._slb import view
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.client import Client
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.resources import tls_policy

ARGUMENT_SPEC = argument_spec({"id": {"type": "str"}, "name": {"type": "str"}})


def read(client: Client, params: dict) -> dict:
    found = [
        has
        for has in tls_policy.every(client)
        if params["id"] in (None, has.id) and params["name"] in (None, has.config.name)
    ]
    return {"tls_policies": [view.tls_policy(has) for has in found]}


def main() -> None:
    inform(AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True), read)


if __name__ == "__main__":
    main()
