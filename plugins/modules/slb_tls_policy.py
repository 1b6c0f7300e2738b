#!/usr/bin/python
# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: slb_tls_policy
short_description: A TLS policy of SLB
version_added: 0.1.0
author:
- clusterfront.ha contributors (@clusterfront)
description:
- Makes, changes or removes a policy of TLS versions and cipher suites, which HTTPS listeners take by its name.
- Policies belong to a region. They have no tags, so they are nobody's. Of several of one name that say the same, which two
  runs at once may make, the oldest is meant, and those that no listener uses go.
extends_documentation_fragment:
- clusterfront.ha._attributes
- clusterfront.ha._attributes.actiongroup_slb
- clusterfront.ha.connection
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  id:
    description:
    - Id of an existing policy. Where it is given, O(name) renames it.
    type: str
  name:
    description:
    - Name of the policy, 2 to 200 letters, digits, V(.), V(_) or V(-), the first a letter. Either this or O(id) is needed.
    type: str
  tls_versions:
    description:
    - The versions of TLS that are taken. Needed for a new policy.
    type: list
    elements: str
    choices:
    - TLSv1.0
    - TLSv1.1
    - TLSv1.2
    - TLSv1.3
  ciphers:
    description:
    - The cipher suites that are taken, 32 at most, by the names of OpenSSL, as V(ECDHE-RSA-AES128-GCM-SHA256) or
      V(TLS_AES_128_GCM_SHA256). Each version needs one of its own. Needed for a new policy.
    type: list
    elements: str
  state:
    description:
    - Whether the policy is there. One that a listener uses is not deleted; the error names all of them. Policies have no
      tags, so a removal of a whole front end takes only those along that the document lists.
    type: str
    choices:
    - present
    - absent
    default: present
seealso:
- module: clusterfront.ha.slb_tls_policy_info
- module: clusterfront.ha.slb_listener
- module: clusterfront.ha.slb_frontend
"""

EXAMPLES = r"""
- name: TLS 1.2 and 1.3 with forward secrecy only
  clusterfront.ha.slb_tls_policy:
    region: cn-hangzhou
    name: strict
    tls_versions: [TLSv1.2, TLSv1.3]
    ciphers:
      - ECDHE-RSA-AES128-GCM-SHA256
      - ECDHE-RSA-AES256-GCM-SHA384
      - TLS_AES_128_GCM_SHA256
      - TLS_AES_256_GCM_SHA384

- name: Remove it, if no listener uses it
  clusterfront.ha.slb_tls_policy:
    region: cn-hangzhou
    name: strict
    state: absent
"""

RETURN = r"""
tls_policy:
  description:
  - The policy as it is now, or as check mode predicts it. Null where it is absent.
  returned: success
  type: dict
  sample:
    id: tls-example
    name: strict
    tls_versions: [TLSv1.2, TLSv1.3]
    ciphers: [ECDHE-RSA-AES128-GCM-SHA256, TLS_AES_128_GCM_SHA256]
    listeners: [https/443 of lb-example]
steps:
  description:
  - 'The calls that the plan is made of, in their order. In check mode: the calls that a run would make.'
  returned: success
  type: list
  elements: dict
  sample:
  - object: tls_policy:strict
    verb: create
    operation: CreateTLSCipherPolicy
    reason: create the TLS policy strict
kept:
  description:
  - One sentence for each thing of others that stays, where something is removed.
  returned: success
  type: list
  elements: str
  sample: []
api_calls:
  description:
  - How many calls that read and that write were made.
  returned: success
  type: dict
  sample:
    reads: 2
    writes: 0
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

from ansible_collections.clusterfront.ha.plugins.module_utils import _argspec
from ansible_collections.clusterfront.ha.plugins.module_utils._module import argument_spec, run
from ansible_collections.clusterfront.ha.plugins.module_utils._slb import view
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.document import FrontEnd, region_only
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.state import CloudState

ARGUMENT_SPEC = argument_spec(_argspec.TLS_POLICY)


def document(params: dict) -> FrontEnd:
    desired = {key: params[key] for key in _argspec.TLS_POLICY}
    # policies have no tags: nothing of them is marked
    return region_only({"name": params["name"] or params["id"] or "", "marked_by": None, "tls_policies": [desired]})


def tls_policy(wanted: FrontEnd, state: CloudState) -> dict | None:
    shown = (view.front_end(wanted, state) or {}).get("tls_policies")
    return shown[0] if shown else None


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, required_one_of=[["name", "id"]], supports_check_mode=True)
    run(module, document, ("tls_policy", tls_policy))


if __name__ == "__main__":
    main()
