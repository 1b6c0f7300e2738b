#!/usr/bin/python
# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: haproxy_release
short_description: Bring a HAProxy configuration live, or leave the old one serving
version_added: "0.1.0"
description:
  - Stages a configuration beside the live one, lets the real binary validate it, flips the link to it, reloads HAProxy
    without a lost connection, and looks whether the new process serves.
  - When the new configuration does not come up, the link is flipped back and the old one serves again.
  - A run that was killed at any step is completed by the next one. The running process tells which release it has
    loaded, so a flip that was never followed by its reload is noticed.
  - Needs HAProxy 2.2 or newer under systemd, in master-worker mode.
author:
  - clusterfront.ha contributors (@clusterfront)
options:
  content:
    description:
      - The whole configuration.
      - It must hold V(@release@) as the last word of C(description) in its C(global) section. The word is replaced by
        the name of the release.
      - V(@directory@) is replaced by the directory of the release, where O(files) lie.
      - Servers that are not as the configuration says are so by M(clusterfront.ha.haproxy_server); that is put onto their
        lines.
    type: str
    required: true
  directory:
    description:
      - Where C(releases) and the link C(current) live.
    type: path
    default: /etc/haproxy
  binary:
    description:
      - The HAProxy program.
    type: path
    default: /usr/sbin/haproxy
  unit:
    description:
      - The systemd unit. A drop-in makes it start from the link. For a O(container) it is written as a whole.
    type: str
    default: haproxy.service
  pid_file:
    description:
      - Where the master process writes its number.
    type: path
    default: /run/haproxy.pid
  stats_socket:
    description:
      - The runtime socket that the configuration opens.
    type: path
    default: /run/haproxy/admin.sock
  master_socket:
    description:
      - The socket of the master process. The drop-in names it.
    type: path
    default: /run/haproxy/master.sock
  maxconn:
    description:
      - The connections that a user asked for by C(haproxy_maxconn). They are checked against the open files that a
        process of the unit really gets; the drop-in raises the limit where that is needed and possible.
      - Nothing is checked where this is not given.
    type: int
  shares:
    description:
      - How many listens have O(maxconn) connections each.
    type: int
    default: 1
  reserve:
    description:
      - Connections that the configuration allows on top of those, for its own health port.
    type: int
    default: 0
extends_documentation_fragment:
  - clusterfront.ha._proxy.release
  - clusterfront.ha._attributes
"""

EXAMPLES = r"""
- name: Bring the rendered configuration live
  clusterfront.ha.haproxy_release:
    content: "{{ lookup('ansible.builtin.template', 'haproxy.cfg.j2') }}"
    maxconn: 4000
    listeners:
      - port: 8888
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

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.clusterfront.ha.plugins.module_utils import _release_module as common
from ansible_collections.clusterfront.ha.plugins.module_utils._haproxy.proxy import HAProxy

ARGUMENT_SPEC = {
    **common.RELEASE,
    "directory": {"type": "path", "default": "/etc/haproxy"},
    "binary": {"type": "path", "default": "/usr/sbin/haproxy"},
    "unit": {"type": "str", "default": "haproxy.service"},
    "pid_file": {"type": "path", "default": "/run/haproxy.pid"},
    "stats_socket": {"type": "path", "default": "/run/haproxy/admin.sock"},
    "master_socket": {"type": "path", "default": "/run/haproxy/master.sock"},
    "shares": {"type": "int", "default": 1},
    "reserve": {"type": "int", "default": 0},
}
PLACES = ("directory", "binary", "unit", "unit_directory", "pid_file", "stats_socket", "master_socket", "timeout")


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    params = module.params
    proxy = HAProxy(**{name: params[name] for name in PLACES}, container=common.container_of(params["container"]))
    common.run_release(module, proxy, shares=params["shares"], reserve=params["reserve"])


if __name__ == "__main__":
    main()
