#!/usr/bin/python
# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: slb_acl_info
short_description: Information about access control lists of SLB
version_added: 0.1.0
author:
- clusterfront.ha contributors (@clusterfront)
description:
- Lists the access control lists of a region with all their entries and the listeners that use them.
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
    - Only the list of this id.
    type: str
  name:
    description:
    - Only the list of exactly this name.
    type: str
seealso:
- module: clusterfront.ha.slb_acl
"""

EXAMPLES = r"""
- name: Who may call
  clusterfront.ha.slb_acl_info:
    region: cn-hangzhou
    name: office
  register: found
"""

RETURN = r"""
acls:
  description:
  - The lists, the oldest first.
  returned: success
  type: list
  elements: dict
  sample:
  - id: acl-example
    name: office
    address_ip_version: ipv4
    entries:
    - cidr: 192.0.2.0/24
      comment: everybody in the building
    tags: {}
    owner: office
    listeners:
    - load_balancer: lb-example
      protocol: tcp
      port: 6443
      type: white
error:
  description:
  - The API's error.
  returned: when the API refused a call
  type: dict
  sample:
    code: SignatureDoesNotMatch
    message: Specified signature is not matched with our calculation.
    operation: DescribeAccessControlLists
    request_id: 4C1A3B2D-0000-0000-0000-000000000000
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.clusterfront.ha.plugins.module_utils._module import argument_spec, inform
from ansible_collections.clusterfront.ha.plugins.module_utils._slb import view
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.client import Client
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.resources import access_list

ARGUMENT_SPEC = argument_spec({"id": {"type": "str"}, "name": {"type": "str"}})


def read(client: Client, params: dict) -> dict:
    listed = access_list.every(client, params["name"])
    found = [access_list.read(client, has) for has in listed if params["id"] in (None, has.id)]
    return {"acls": [view.access_list(has) for has in found if has is not None]}


def main() -> None:
    inform(AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True), read)


if __name__ == "__main__":
    main()
