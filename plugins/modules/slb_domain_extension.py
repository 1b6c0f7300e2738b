#!/usr/bin/python
# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: slb_domain_extension
short_description: Further domains of an HTTPS listener of SLB
version_added: 0.1.0
author:
- clusterfront.ha contributors (@clusterfront)
description:
- Makes, changes or removes further domains of an HTTPS listener. Each has a certificate of its own, which is shown to clients
  that ask for the domain (SNI); all others see that of the listener.
- A listener has 3 further domains, and up to 10 where the account's quota was raised, which is looked at before the first
  call.
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
  load_balancer:
    description:
    - Id or name of the SLB instance, which has to exist.
    type: str
    required: true
  port:
    description:
    - The port of the listener, which has to exist.
    type: int
    required: true
  domain_extensions:
    description:
    - The domains. Where nothing else is said, others stay.
    type: list
    elements: dict
    required: true
    suboptions:
      domain:
        description:
        - The domain, as V(www.example.com), or V(*.example.com) for all below it.
        type: str
        required: true
      certificate:
        description:
        - Name or id of the certificate that is shown to those who ask for this domain. Needed for a new one; another one
          takes its place without a gap.
        type: str
      state:
        description:
        - Whether the domain is there. One that a rule is about is not removed; the error names the rule.
        type: str
        choices:
        - present
        - absent
        default: present
  purge:
    description:
    - Whether domains that are not in O(domain_extensions) are removed, whoever made them.
    type: bool
    default: false
seealso:
- module: clusterfront.ha.slb_domain_extension_info
- module: clusterfront.ha.slb_certificate
- module: clusterfront.ha.slb_listener
- module: clusterfront.ha.slb_frontend
"""

EXAMPLES = r"""
- name: The API has a certificate of its own
  clusterfront.ha.slb_domain_extension:
    region: cn-hangzhou
    load_balancer: prod-web
    port: 443
    domain_extensions:
      - {domain: api.example.com, certificate: api}

- name: It no longer has
  clusterfront.ha.slb_domain_extension:
    region: cn-hangzhou
    load_balancer: prod-web
    port: 443
    domain_extensions:
      - {domain: api.example.com, state: absent}
"""

RETURN = r"""
domain_extensions:
  description:
  - The further domains of the listener as they are now, or as check mode predicts them. Null where the listener is not there.
  returned: success
  type: list
  elements: dict
  sample:
  - id: de-example
    domain: api.example.com
    certificate: api
steps:
  description:
  - 'The calls that the plan is made of, in their order. In check mode: the calls that a run would make.'
  returned: success
  type: list
  elements: dict
  sample:
  - object: domain_extension:https/443/api.example.com
    verb: create
    operation: CreateDomainExtension
    reason: serve api.example.com on https/443 with the certificate api
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
    operation: DescribeLoadBalancers
    request_id: 4C1A3B2D-0000-0000-0000-000000000000
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.clusterfront.ha.plugins.module_utils import _argspec
from ansible_collections.clusterfront.ha.plugins.module_utils._module import argument_spec, part_of_load_balancer, run
from ansible_collections.clusterfront.ha.plugins.module_utils._slb import view
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.document import FrontEnd, partial
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.state import CloudState

ARGUMENT_SPEC = argument_spec(
    {
        "load_balancer": {"type": "str", "required": True},
        "port": {"type": "int", "required": True},
        "domain_extensions": {
            "type": "list",
            "elements": "dict",
            "options": _argspec.DOMAIN_EXTENSION,
            "required": True,
        },
        "purge": {"type": "bool", "default": False},
    },
    _argspec.QUOTAS,
)


def document(params: dict) -> FrontEnd:
    listener = {
        "port": params["port"],
        "protocol": "https",
        "domain_extensions": params["domain_extensions"],
        "purge_domain_extensions": params["purge"],
        "exists": True,
    }
    return partial({**part_of_load_balancer(params), "listeners": [listener]})


def domain_extensions(wanted: FrontEnd, state: CloudState) -> list | None:
    found = state.listener(wanted.listeners[0].symbol)
    return None if found is None else view.domain_extensions(found)


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    run(module, document, ("domain_extensions", domain_extensions))


if __name__ == "__main__":
    main()
