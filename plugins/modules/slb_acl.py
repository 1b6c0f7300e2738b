#!/usr/bin/python
# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: slb_acl
short_description: An access control list of SLB
version_added: 0.1.0
author:
- clusterfront.ha contributors (@clusterfront)
description:
- Makes, changes or removes an access control list. Listeners of SLB refer to it, as a list of those whom they serve or of
  those whom they do not.
- Lists belong to a region, and are found by their name in it.
- The documents of the cloud disagree on what an allow list without entries does; one says that nobody is served, another
  that everybody is. There is a warning for such a list.
extends_documentation_fragment:
- clusterfront.ha._attributes
- clusterfront.ha._attributes.actiongroup_slb
- clusterfront.ha.connection
- clusterfront.ha.quotas
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
    - Id of an existing list. Where it is given, O(name) renames it.
    type: str
  name:
    description:
    - Name of the list. It is the only one of that name in its region. Either this or O(id) is needed.
    type: str
  address_ip_version:
    description:
    - The family of the networks. V(ipv4) for a new list; it cannot change. A listener takes only lists of the family
      of its load balancer.
    type: str
    choices:
    - ipv4
    - ipv6
  entries:
    description:
    - The networks of the list, 300 at most. Where the option is absent, they stay as they are.
    - New networks are added before others are removed, so that the list is not empty on the way. Only a change of the
      one comment of a list of one network removes it for a moment, because the API changes no comment in place.
    type: list
    elements: dict
    suboptions:
      cidr:
        description:
        - A network. A bare address is a network of one, V(/32) or V(/128).
        type: str
        required: true
      comment:
        description:
        - Your own text. Where it is absent, the text of an existing network stays.
        type: str
  purge_entries:
    description:
    - Whether networks that are not in O(entries) are removed, whoever added them.
    type: bool
    default: true
  tags:
    description:
    - Tags to set. Other tags stay.
    type: dict
  caller_cidrs:
    description:
    - Networks that have to get through, such as that of the machine that runs this. There is a warning where the list
      shuts out one of them. A list that no listener uses yet is looked at as an allow list.
    type: list
    elements: str
  state:
    description:
    - Whether the list is there. A list that a listener uses is not deleted; the error names all of them.
    type: str
    choices:
    - present
    - absent
    default: present
  owner:
    description:
    - The owner's mark on a list that is made. The name or id of the list, where nothing is said.
    type: str
seealso:
- module: clusterfront.ha.slb_acl_info
- module: clusterfront.ha.slb_listener
- module: clusterfront.ha.slb_frontend
"""

EXAMPLES = r"""
- name: Two networks, and nothing else
  clusterfront.ha.slb_acl:
    region: cn-hangzhou
    name: office
    entries:
      - {cidr: 192.0.2.0/24, comment: everybody in the building}
      - {cidr: 198.51.100.7, comment: the jump host}
    caller_cidrs: [192.0.2.31]

- name: One more, whatever else is in the list
  clusterfront.ha.slb_acl:
    region: cn-hangzhou
    name: office
    entries:
      - {cidr: 203.0.113.0/25}
    purge_entries: false

- name: Away with it
  clusterfront.ha.slb_acl:
    region: cn-hangzhou
    name: office
    state: absent
"""

RETURN = r"""
acl:
  description:
  - The list as it is now, or as check mode predicts it. Null where it is absent.
  returned: success
  type: dict
  sample:
    id: acl-example
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
steps:
  description:
  - 'The calls that the plan is made of, in their order. In check mode: the calls that a run would make.'
  returned: success
  type: list
  elements: dict
  sample:
  - object: access_list:office
    verb: create
    operation: CreateAccessControlList
    reason: create the access list office
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
    operation: DescribeAccessControlLists
    request_id: 4C1A3B2D-0000-0000-0000-000000000000
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.clusterfront.ha.plugins.module_utils import _argspec
from ansible_collections.clusterfront.ha.plugins.module_utils._module import argument_spec, marked_by, run
from ansible_collections.clusterfront.ha.plugins.module_utils._slb import view
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.document import FrontEnd, region_only
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.state import CloudState

ARGUMENT_SPEC = argument_spec(_argspec.ACCESS_LIST, _argspec.QUOTAS, {"owner": {"type": "str"}})


def document(params: dict) -> FrontEnd:
    desired = {key: params[key] for key in _argspec.ACCESS_LIST}
    mark = marked_by(params, "owner", "name", "id")
    return region_only({**mark, "access_lists": [desired], "quotas": params["quotas"]})


def acl(wanted: FrontEnd, state: CloudState) -> dict | None:
    shown = (view.front_end(wanted, state) or {}).get("access_lists")
    return shown[0] if shown else None


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, required_one_of=[["name", "id"]], supports_check_mode=True)
    run(module, document, ("acl", acl))


if __name__ == "__main__":
    main()
