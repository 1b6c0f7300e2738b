#!/usr/bin/python
# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: nginx_server
short_description: Take a server of nginx out of service and back, and wait for its connections
version_added: "0.1.0"
description:
  - Drains a server, brings it into maintenance or back, changes its weight, and waits until its connections have ended.
  - What it was told stays so. It lies in a file beside the releases of M(clusterfront.ha.nginx_release) and in the live
    configuration, so it survives a reload, a restart, a reboot, and runs of the role P(clusterfront.ha.nginx#role).
  - nginx learns it by a reload, which cuts no connection. Workers that the reload has replaced serve theirs to the end, and
    their connections are counted too.
  - nginx can't end the connections of one server, so there is no way to cut them.
  - Connections are counted by address and port. Two upstreams that share a server are counted together.
  - Without O(state), O(weight) and O(sessions) it changes nothing, and tells how the server is.
author:
  - clusterfront.ha contributors (@clusterfront)
options:
  backend:
    description:
      - The name of its upstream. All upstreams that have a server of this name are meant where it is not given, such as those
        of several ports of one node.
    type: str
  on_timeout:
    description:
      - What to do when there are more connections after O(timeout). V(fail) ends with an error, V(go_on) without one. The state
        of the server stays as it was asked for.
    type: str
    choices: [fail, go_on]
    default: fail
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
  container:
    description:
      - The container that nginx runs in, as of M(clusterfront.ha.nginx_release).
    type: dict
    suboptions:
      engine:
        description:
          - The program that runs containers.
        type: path
        required: true
      name:
        description:
          - The name of the container.
        type: str
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
  - module: clusterfront.ha.nginx_release
"""

EXAMPLES = r"""
- name: Take a node out of service, and wait until its last client has left
  clusterfront.ha.nginx_server:
    server: rancher-1
    state: drain
    sessions: 0
    timeout: 600

- name: Bring it back
  clusterfront.ha.nginx_server:
    server: rancher-1
    state: ready

- name: Give a server of one upstream twice its share
  clusterfront.ha.nginx_server:
    backend: rancher_https
    server: rancher-2
    weight: "2"

- name: Look how many connections a server of the seed's configuration has, which names servers by their addresses
  clusterfront.ha.nginx_server:
    server: 192.0.2.11
    file: /etc/nginx/nginx.conf
    globals: load_module /usr/lib/nginx/modules/ngx_stream_module.so;
  register: looked
"""

RETURN = r"""
servers:
  description: The servers that are meant, after the change; in check mode as they are now, with the state and weight that they would get.
  returned: success
  type: list
  elements: dict
  contains:
    backend:
      description: The name of the upstream.
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
      description: What the checks say of it, V(UP), V(DOWN) or V(no check); empty where nginx does not run.
      type: str
      returned: success
    effective_weight:
      description: The weight that it has; null where nginx does not run.
      type: int
      returned: success
    sessions:
      description: Its connections.
      type: int
      returned: success
    old_sessions:
      description: Those of them that are held by workers which a reload has replaced.
      type: int
      returned: success
  sample:
    - {backend: rancher_https, server: rancher-1, state: drain, weight: null, status: UP, effective_weight: 1, sessions: 0, old_sessions: 0}
waited:
  description: How many seconds were waited for connections to end.
  returned: when O(sessions) is given
  type: float
  sample: 12.5
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.clusterfront.ha.plugins.module_utils import _release_module as common
from ansible_collections.clusterfront.ha.plugins.module_utils._nginx.module import NGINX, nginx_of

ARGUMENT_SPEC = {
    **common.SERVER,
    **NGINX,
    "on_timeout": {"type": "str", "choices": ["fail", "go_on"], "default": "fail"},
    "container": {
        "type": "dict",
        "options": {
            "engine": {"type": "path", "required": True},
            "name": {"type": "str", "required": True},
            "image": {"type": "str", "required": True},
        },
    },
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, required_by=common.SERVER_NEEDED, supports_check_mode=True)
    proxy = nginx_of(module.params, "", common.container_of(module.params["container"]))
    common.run_server(module, proxy, module.params["on_timeout"])


if __name__ == "__main__":
    main()
