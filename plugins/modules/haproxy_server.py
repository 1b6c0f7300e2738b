#!/usr/bin/python
# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: haproxy_server
short_description: Take a server of HAProxy out of service and back, and wait for its sessions
version_added: "0.1.0"
description:
  - Drains a server, brings it into maintenance or back, changes its weight, and waits until its sessions have ended.
  - What it was told stays so. It lies in a file beside the releases of M(clusterfront.ha.haproxy_release) and in the live
    configuration, so it survives a reload, a restart, a reboot, and runs of the role P(clusterfront.ha.haproxy#role).
  - Connections of the server are never cut, unless O(on_timeout=cut) asks for it.
  - Sessions of processes that a reload has replaced are counted too, for those are sessions of the server as well.
  - Without O(state), O(weight) and O(sessions) it changes nothing, and tells how the server is.
author:
  - clusterfront.ha contributors (@clusterfront)
options:
  backend:
    description:
      - The name of its backend. All backends that have a server of this name are meant where it is not given, such as those
        of several ports of one node.
    type: str
  on_timeout:
    description:
      - What to do when there are more sessions after O(timeout). V(fail) ends with an error, V(go_on) without one, V(cut)
        ends the sessions. The state of the server stays as it was asked for.
    type: str
    choices: [fail, go_on, cut]
    default: fail
  directory:
    description:
      - Where C(releases), the link C(current) and C(server-state.json) live.
    type: path
    default: /etc/haproxy
  binary:
    description:
      - The HAProxy program, which reads the configuration before it is replaced.
    type: path
    default: /usr/sbin/haproxy
  unit:
    description:
      - The systemd unit, which is reloaded where a server can't be changed at run time.
    type: str
    default: haproxy.service
  stats_socket:
    description:
      - The runtime socket.
    type: path
    default: /run/haproxy/admin.sock
  master_socket:
    description:
      - The socket of the master process.
    type: path
    default: /run/haproxy/master.sock
  container:
    description:
      - The container that HAProxy runs in, as of M(clusterfront.ha.haproxy_release).
    type: dict
    suboptions:
      engine:
        description:
          - The program that runs containers.
        type: path
        required: true
      image:
        description:
          - The image, whose binary reads the configuration.
        type: str
        required: true
extends_documentation_fragment:
  - clusterfront.ha._proxy.server
  - clusterfront.ha._attributes
seealso:
  - module: clusterfront.ha.haproxy_release
"""

EXAMPLES = r"""
- name: Take a master out of service, and wait until its last client has left
  clusterfront.ha.haproxy_server:
    server: master-1
    state: drain
    sessions: 0
    timeout: 600

- name: Bring it back
  clusterfront.ha.haproxy_server:
    server: master-1
    state: ready

- name: Give a server of one backend half of its share
  clusterfront.ha.haproxy_server:
    backend: rancher_https
    server: rancher-2
    weight: "50"

- name: Look how many sessions a server has
  clusterfront.ha.haproxy_server:
    server: master-1
  register: looked

- name: Look at all servers
  clusterfront.ha.haproxy_server:
  register: all_servers
"""

RETURN = r"""
servers:
  description: The servers that are meant, after the change; in check mode as they are now, with the state and weight that they would get.
  returned: success
  type: list
  elements: dict
  contains:
    backend:
      description: The name of the backend.
      type: str
      returned: success
    server:
      description: The name of the server.
      type: str
      returned: success
    state:
      description: What it is meant to be.
      type: str
      returned: success
    weight:
      description: The weight that it was told; null for the one of its configuration.
      type: int
      returned: success
    status:
      description: What HAProxy says of it; empty where HAProxy does not run.
      type: str
      returned: success
    effective_weight:
      description: The weight that it has; null where HAProxy does not run.
      type: int
      returned: success
    sessions:
      description: Its sessions.
      type: int
      returned: success
    old_sessions:
      description: Those of them that are held by processes which a reload has replaced.
      type: int
      returned: success
  sample:
    - {backend: apiservers, server: master-1, state: drain, weight: null, status: DRAIN, effective_weight: 1, sessions: 0, old_sessions: 0}
waited:
  description: How many seconds were waited for sessions to end.
  returned: when O(sessions) is given
  type: float
  sample: 12.5
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.clusterfront.ha.plugins.module_utils import _release_module as common
from ansible_collections.clusterfront.ha.plugins.module_utils._haproxy.proxy import HAProxy

ARGUMENT_SPEC = {
    **common.SERVER,
    "on_timeout": {"type": "str", "choices": ["fail", "go_on", "cut"], "default": "fail"},
    "directory": {"type": "path", "default": "/etc/haproxy"},
    "binary": {"type": "path", "default": "/usr/sbin/haproxy"},
    "unit": {"type": "str", "default": "haproxy.service"},
    "stats_socket": {"type": "path", "default": "/run/haproxy/admin.sock"},
    "master_socket": {"type": "path", "default": "/run/haproxy/master.sock"},
    "container": {
        "type": "dict",
        "options": {"engine": {"type": "path", "required": True}, "image": {"type": "str", "required": True}},
    },
}
PLACES = ("directory", "binary", "unit", "stats_socket", "master_socket", "timeout")


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, required_by=common.SERVER_NEEDED, supports_check_mode=True)
    params = module.params
    proxy = HAProxy(
        **{name: params[name] for name in PLACES},
        unit_directory="",
        pid_file="",
        container=common.container_of(params["container"]),
    )
    common.run_server(module, proxy, params["on_timeout"])


if __name__ == "__main__":
    main()
