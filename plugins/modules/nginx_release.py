#!/usr/bin/python
# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: nginx_release
short_description: Bring an nginx configuration live, or leave the old one serving
version_added: "0.1.0"
description:
  - Stages a configuration beside the live one, lets the real binary validate it, tries its ports, flips the link to it,
    reloads nginx without a lost connection, and looks whether the new workers serve.
  - When the new configuration does not come up, the link is flipped back and the old one serves again.
  - A run that was killed at any step is completed by the next one. nginx does not tell what it has loaded, so it is noted
    below C(/run) together with the numbers of the workers that a reload has brought; workers that nobody knows are loaded anew.
  - Needs nginx under systemd; a drop-in lets it run in the foreground.
author:
  - clusterfront.ha contributors (@clusterfront)
options:
  content:
    description:
      - The whole configuration.
      - V(@release@) is replaced by the name of the release, and V(@directory@) by its directory, where O(files) lie.
      - Servers that are not as the configuration says are so by M(clusterfront.ha.nginx_server); that is put onto their
        lines.
    type: str
    required: true
  texts:
    description:
      - More files of the release, each a name and its text.
      - C(checks.json) tells how servers are checked. A server that was up before and does not answer after the change brings
        the old configuration back.
    type: dict
    default: {}
  directory:
    description:
      - Where C(releases), the link C(current) and C(server-state.json) live.
    type: path
    default: /etc/nginx
  binary:
    description:
      - The nginx program, which reads a configuration before it is live.
    type: path
    default: /usr/sbin/nginx
  unit:
    description:
      - The systemd unit.
    type: str
    default: nginx.service
  run_directory:
    description:
      - Where it is noted which release nginx has loaded, and where the checks of servers write what they find.
    type: path
    default: /run/clusterfront-nginx
  globals:
    description:
      - Directives that nginx gets on its command line, such as C(load_module) for a configuration that has none.
    type: str
    default: ''
  file:
    description:
      - Where the live configuration lies as a file of its own. nginx starts from the link where this is not given.
    type: path
  ports:
    description:
      - The ports that a container publishes, each as C(port:port). A container without any shares the network of the host.
    type: list
    elements: str
    default: []
  maxconn:
    description:
      - The connections that a user asked for by C(nginx_maxconn), which is what a sentence on open files names. What is checked
        is C(worker_rlimit_nofile) of the configuration; the drop-in raises the limit where that is needed and possible.
    type: int
  lenient:
    description:
      - Whether a limit of open files below C(worker_rlimit_nofile) is a warning, and not refused.
    type: bool
    default: false
extends_documentation_fragment:
  - clusterfront.ha._proxy.release
  - clusterfront.ha._attributes
seealso:
  - module: clusterfront.ha.nginx_server
"""

EXAMPLES = r"""
- name: Bring the rendered configuration live
  clusterfront.ha.nginx_release:
    content: "{{ lookup('ansible.builtin.template', 'nginx.conf.j2') }}"
    maxconn: 4000
    listeners:
      - port: 443
      - port: 8889
        path: /livez
"""

RETURN = r"""
release:
  description: The release that is live, or would be.
  returned: success
  type: str
  sample: 5f0c3a9be1d2
previous:
  description: The release that was live before.
  returned: success
  type: str
  sample: 9b1c22e07a44
steps:
  description: What was done, or would be, in order.
  returned: success
  type: list
  elements: str
  sample: [stage, flip, reload]
"""

import json

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.clusterfront.ha.plugins.module_utils import _release_module as common
from ansible_collections.clusterfront.ha.plugins.module_utils._nginx.module import NGINX, nginx_of

ARGUMENT_SPEC = {
    **common.RELEASE,
    **NGINX,
    "texts": {"type": "dict", "default": {}},
    "lenient": {"type": "bool", "default": False},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    params = module.params
    proxy = nginx_of(params, params["unit_directory"], common.container_of(params["container"]))
    # a template may have made a list of what was JSON
    texts = {
        name: text if isinstance(text, str) else json.dumps(text, indent=1) for name, text in params["texts"].items()
    }
    common.run_release(module, proxy, reserve=0, texts=tuple(sorted(texts.items())), lenient=params["lenient"])


if __name__ == "__main__":
    main()
