#!/usr/bin/python
# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: slb_certificate_info
short_description: Information about server certificates of SLB
version_added: 0.1.0
author:
- clusterfront.ha contributors (@clusterfront)
description:
- Lists the certificates of a region, and which of them end soon.
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
    - Only the certificate of this id.
    type: str
  name:
    description:
    - Only those of exactly this name.
    type: str
  fingerprint:
    description:
    - Only those with this SHA-1 fingerprint, with or without colons.
    type: str
  tags:
    description:
    - Only those that have all these tags. The key V(clusterfront:owner) finds those of an owner.
    type: dict
  expires_within:
    description:
    - Only those that have ended, or will within so many seconds.
    type: float
seealso:
- module: clusterfront.ha.slb_certificate
"""

EXAMPLES = r"""
- name: What ends within 30 days
  clusterfront.ha.slb_certificate_info:
    region: cn-hangzhou
    expires_within: 2592000
  register: found
"""

RETURN = r"""
certificates:
  description:
  - The certificates, the oldest first.
  returned: success
  type: list
  elements: dict
  sample:
  - id: 139a00-example
    name: www
    fingerprint: 68:08:1a:f2:ff:48:c8:f1:e5:1f:1a:bb:1b:1d:bf:97:d2:2b:5f:10
    common_name: www.example.com
    subject_alt_names: [www.example.com]
    expires: '2027-01-31T12:00:00Z'
    tags: {}
    owner: www
error:
  description:
  - The API's error.
  returned: when the API refused a call
  type: dict
  sample:
    code: SignatureDoesNotMatch
    message: Specified signature is not matched with our calculation.
    operation: DescribeServerCertificates
    request_id: 4C1A3B2D-0000-0000-0000-000000000000
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.clusterfront.ha.plugins.module_utils._module import argument_spec, inform
from ansible_collections.clusterfront.ha.plugins.module_utils._slb import view
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.client import Client
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.document import (
    LONGEST_LIFE,
    check_seconds,
    text_tags,
)
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.resources import certificate
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.resources.tags import has_tags

ARGUMENT_SPEC = argument_spec(
    {
        "id": {"type": "str"},
        "name": {"type": "str"},
        "fingerprint": {"type": "str"},
        "tags": {"type": "dict"},
        "expires_within": {"type": "float"},
    }
)


def read(client: Client, params: dict) -> dict:
    within = params["expires_within"]
    if within is not None:
        check_seconds("expires_within", within, LONGEST_LIFE)
    wanted = {name: params[name] for name in ("id", "name", "fingerprint")}
    found = certificate.search(
        certificate.every(client, "certificates"), **wanted, ends_by=None if within is None else client.now() + within
    )
    tags = text_tags(params["tags"])
    return {"certificates": [view.certificate(has) for has in found if has_tags(has, tags)]}


def main() -> None:
    inform(AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True), read)


if __name__ == "__main__":
    main()
