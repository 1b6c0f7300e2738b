#!/usr/bin/python
# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: slb_ca_certificate
short_description: A CA certificate of SLB
version_added: 0.1.0
author:
- clusterfront.ha contributors (@clusterfront)
description:
- Uploads a CA certificate to SLB, or removes it. HTTPS listeners let in clients whose certificates it signed.
- It belongs to the region and is known by its fingerprint, so the same CA certificate is never uploaded twice.
- Before the upload it is looked at, whether it is PEM, and has not ended. There is a warning for one that ends within 30
  days.
- Needs the Python library C(cryptography), which ansible-core brings along.
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
    - Id of an existing CA certificate. What was uploaded never changes, so it goes with O(name) and O(tags) only, or with
      O(state=absent).
    type: str
  name:
    description:
    - Name of the CA certificate, 1 to 80 letters, digits, V(.), V(_) or V(-), the first a letter. Either this or O(id) is
      needed.
    - 'A CA certificate is known by its fingerprint: the same one is never uploaded twice, whatever its name is. Another one
      under a name that is there already is its successor, see O(keep_old).'
    type: str
  certificate:
    description:
    - The CA certificate in PEM. Where neither this nor O(certificate_path) is given, an existing one of the name is meant.
    type: str
  certificate_path:
    description:
    - 'File with the PEM, where the module runs: on the controller, for a play on localhost.'
    type: path
  keep_old:
    description:
    - Seconds for which an older one of the same name and owner stays after its successor was uploaded. V(0) removes it at
      the end of the same run; after a longer time the next run does.
    - Where nothing is said, older ones stay. One that something uses always does, with a warning.
    type: float
  tags:
    description:
    - Tags to set. Other tags stay.
    type: dict
  state:
    description:
    - Whether the CA certificate is there. One that a listener uses is not deleted; the error names all of them.
    type: str
    choices:
    - present
    - absent
    default: present
  owner:
    description:
    - The owner's mark on what is made. O(name), or O(id) without one, where nothing is said.
    type: str
seealso:
- module: clusterfront.ha.slb_ca_certificate_info
- module: clusterfront.ha.slb_listener
- module: clusterfront.ha.slb_frontend
"""

EXAMPLES = r"""
- name: The CA that signs the certificates of clients
  clusterfront.ha.slb_ca_certificate:
    region: cn-hangzhou
    name: clients
    certificate_path: /etc/ssl/example/ca.pem

- name: Remove it, if no listener uses it
  clusterfront.ha.slb_ca_certificate:
    region: cn-hangzhou
    name: clients
    state: absent
"""

RETURN = r"""
ca_certificate:
  description:
  - The CA certificate as it is now, or as check mode predicts it. Null where it is absent. Neither its PEM nor a key is ever part of it.
  returned: success
  type: dict
  sample:
    id: 139a00-example
    name: clients
    fingerprint: 68:08:1a:f2:ff:48:c8:f1:e5:1f:1a:bb:1b:1d:bf:97:d2:2b:5f:10
    common_name: Example CA
    subject_alt_names: []
    expires: '2027-01-31T12:00:00Z'
    tags: {}
    owner: clients
steps:
  description:
  - 'The calls that the plan is made of, in their order. In check mode: the calls that a run would make.'
  returned: success
  type: list
  elements: dict
  sample:
  - object: ca_certificate:clients
    verb: create
    operation: UploadCACertificate
    reason: upload the CA certificate clients
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
    operation: DescribeCACertificates
    request_id: 4C1A3B2D-0000-0000-0000-000000000000
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.clusterfront.ha.plugins.module_utils import _argspec
from ansible_collections.clusterfront.ha.plugins.module_utils._module import argument_spec, marked_by, run, with_files
from ansible_collections.clusterfront.ha.plugins.module_utils._slb import view
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.document import FrontEnd, region_only
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.state import CloudState

ARGUMENT_SPEC = argument_spec(_argspec.CA_CERTIFICATE, _argspec.QUOTAS, {"owner": {"type": "str"}})


def document(params: dict) -> FrontEnd:
    desired = {key: params[key] for key in _argspec.CA_CERTIFICATE}
    mark = marked_by(params, "owner", "name", "id")
    return region_only(with_files({**mark, "ca_certificates": [desired], "quotas": params["quotas"]}))


def ca_certificate(wanted: FrontEnd, state: CloudState) -> dict | None:
    return view.the_certificate(wanted, "ca_certificates", state)


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, required_one_of=[["name", "id"]], supports_check_mode=True)
    run(module, document, ("ca_certificate", ca_certificate))


if __name__ == "__main__":
    main()
