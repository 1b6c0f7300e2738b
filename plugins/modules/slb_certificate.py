#!/usr/bin/python
# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: slb_certificate
short_description: A server certificate of SLB
version_added: 0.1.0
author:
- clusterfront.ha contributors (@clusterfront)
description:
- Uploads a certificate to SLB, or removes it. HTTPS listeners and their further domains show it to clients.
- It belongs to the region and is known by its fingerprint, so the same certificate is never uploaded twice.
- Before the upload it is looked at, whether it is PEM, whether the key belongs to it, whether its chain is in order, and
  whether one of the chain has ended. There is a warning for one that ends within 30 days.
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
    - Id of an existing certificate. What was uploaded never changes, so it goes with O(name) and O(tags) only, or with
      O(state=absent).
    type: str
  name:
    description:
    - Name of the certificate, 1 to 80 letters, digits, V(.), V(_) or V(-), the first a letter. Either this or O(id) is
      needed.
    - 'A certificate is known by its fingerprint: the same one is never uploaded twice, whatever its name is. Another one
      under a name that is there already is its successor, see O(keep_old).'
    type: str
  certificate:
    description:
    - The certificate in PEM, the server's own first, then the one that signed it, and so on. Where neither this nor
      O(certificate_path) is given, an existing one of the name is meant.
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
    - Whether the certificate is there. One that a listener or a further domain uses is not deleted; the error names all of
      them.
    type: str
    choices:
    - present
    - absent
    default: present
  private_key:
    description:
    - The key of the certificate in PEM, without a passphrase. Needed for an upload only. It is never shown and cannot be
      read again.
    type: str
  private_key_path:
    description:
    - File with the key, where the module runs.
    type: path
  owner:
    description:
    - The owner's mark on what is made. O(name), or O(id) without one, where nothing is said.
    type: str
seealso:
- module: clusterfront.ha.slb_certificate_info
- module: clusterfront.ha.slb_listener
- module: clusterfront.ha.slb_frontend
- module: clusterfront.ha.slb_domain_extension
- module: clusterfront.ha.endpoint_probe
"""

EXAMPLES = r"""
- name: Upload a certificate, unless the cloud has it already
  clusterfront.ha.slb_certificate:
    region: cn-hangzhou
    name: www
    owner: prod-web
    certificate_path: /etc/ssl/example/www-chain.pem
    private_key_path: /etc/ssl/example/www-key.pem
    tags: {team: platform}

- name: Upload its successor, and remove the older one a day later
  clusterfront.ha.slb_certificate:
    region: cn-hangzhou
    name: www
    owner: prod-web
    certificate_path: /etc/ssl/example/www-new-chain.pem
    private_key_path: /etc/ssl/example/www-new-key.pem
    keep_old: 86400

- name: Show it to clients; nobody's connection is cut
  clusterfront.ha.slb_listener:
    region: cn-hangzhou
    load_balancer: prod-web
    port: 443
    protocol: https
    certificate: www
"""

RETURN = r"""
certificate:
  description:
  - The certificate as it is now, or as check mode predicts it. Null where it is absent. Neither its PEM nor a key is ever part of it.
  returned: success
  type: dict
  sample:
    id: 139a00-example
    name: www
    fingerprint: 68:08:1a:f2:ff:48:c8:f1:e5:1f:1a:bb:1b:1d:bf:97:d2:2b:5f:10
    common_name: www.example.com
    subject_alt_names: [www.example.com]
    expires: '2027-01-31T12:00:00Z'
    tags: {}
    owner: www
steps:
  description:
  - 'The calls that the plan is made of, in their order. In check mode: the calls that a run would make.'
  returned: success
  type: list
  elements: dict
  sample:
  - object: certificate:www
    verb: create
    operation: UploadServerCertificate
    reason: upload the certificate www
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
    operation: DescribeServerCertificates
    request_id: 4C1A3B2D-0000-0000-0000-000000000000
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.clusterfront.ha.plugins.module_utils import _argspec
from ansible_collections.clusterfront.ha.plugins.module_utils._module import argument_spec, marked_by, run, with_files
from ansible_collections.clusterfront.ha.plugins.module_utils._slb import view
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.document import FrontEnd, region_only
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.state import CloudState

ARGUMENT_SPEC = argument_spec(_argspec.CERTIFICATE, _argspec.QUOTAS, {"owner": {"type": "str"}})


def document(params: dict) -> FrontEnd:
    desired = {key: params[key] for key in _argspec.CERTIFICATE}
    mark = marked_by(params, "owner", "name", "id")
    return region_only(with_files({**mark, "certificates": [desired], "quotas": params["quotas"]}))


def certificate(wanted: FrontEnd, state: CloudState) -> dict | None:
    return view.the_certificate(wanted, "certificates", state)


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, required_one_of=[["name", "id"]], supports_check_mode=True)
    run(module, document, ("certificate", certificate))


if __name__ == "__main__":
    main()
