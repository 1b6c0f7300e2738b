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
  inputs:
    description:
      - Files on the host that the configuration reads where they are. When one of them changes, a new release is made
        and loaded.
    type: list
    elements: path
    default: []
  files:
    description:
      - Files on the host, such as certificates, that are copied into the release. When one of them changes, a new release
        is made and loaded; a way back brings back the old ones too.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description:
          - The name in the directory of the release.
        type: str
        required: true
      source:
        description:
          - The file on the host.
        type: path
        required: true
      option:
        description:
          - How sentences call the file, as in V('web' has tls.certificate).
        type: str
        required: true
      holds:
        description:
          - What has to be in it, in PEM form. A key has to be without a password.
        type: list
        elements: str
        choices: [certificate, key]
        default: []
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
  unit_directory:
    description:
      - Where the drop-in directory of the unit is made.
    type: path
    default: /etc/systemd/system
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
  container:
    description:
      - Run HAProxy in a container of this image, under systemd; as a quadlet where podman is 4.4 or newer.
      - The image has to be there. It is what validates the configuration, and a reload keeps the container.
    type: dict
    suboptions:
      engine:
        description:
          - The program that runs containers.
        type: path
        required: true
      version:
        description:
          - Its version.
        type: str
        required: true
      name:
        description:
          - The name of the container.
        type: str
        required: true
      image:
        description:
          - The image.
        type: str
        required: true
      mounts:
        description:
          - What else the container sees, each as C(source:target[:options]).
        type: list
        elements: str
        default: []
  listeners:
    description:
      - What has to answer on this host once the configuration is live.
    type: list
    elements: dict
    default: []
    suboptions:
      address:
        description:
          - The address that the listener is bound to. Empty or V(*) stands for all addresses.
        type: str
        default: ''
      port:
        description:
          - The port.
        type: int
        required: true
      path:
        description:
          - A path that has to answer with status 200. Without it, an accepted connection is enough.
        type: str
  keep:
    description:
      - How many releases stay on the host, the live one included.
    type: int
    default: 3
  timeout:
    description:
      - How many seconds the new process has to load, to answer and to find its servers, before the old one comes back.
    type: int
    default: 20
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
extends_documentation_fragment:
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

from ansible_collections.clusterfront.ha.plugins.module_utils._haproxy.container import Container
from ansible_collections.clusterfront.ha.plugins.module_utils._haproxy.files import Settings
from ansible_collections.clusterfront.ha.plugins.module_utils._haproxy.host import Listener, ReleaseError
from ansible_collections.clusterfront.ha.plugins.module_utils._haproxy.plan import Plan, State
from ansible_collections.clusterfront.ha.plugins.module_utils._haproxy.release import File, Wanted, release

ARGUMENT_SPEC = {
    "content": {"type": "str", "required": True},
    "inputs": {"type": "list", "elements": "path", "default": []},
    "files": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "name": {"type": "str", "required": True},
            "source": {"type": "path", "required": True},
            "option": {"type": "str", "required": True},
            "holds": {"type": "list", "elements": "str", "choices": ["certificate", "key"], "default": []},
        },
    },
    "directory": {"type": "path", "default": "/etc/haproxy"},
    "binary": {"type": "path", "default": "/usr/sbin/haproxy"},
    "unit": {"type": "str", "default": "haproxy.service"},
    "unit_directory": {"type": "path", "default": "/etc/systemd/system"},
    "pid_file": {"type": "path", "default": "/run/haproxy.pid"},
    "stats_socket": {"type": "path", "default": "/run/haproxy/admin.sock"},
    "master_socket": {"type": "path", "default": "/run/haproxy/master.sock"},
    "maxconn": {"type": "int"},
    "shares": {"type": "int", "default": 1},
    "reserve": {"type": "int", "default": 0},
    "container": {
        "type": "dict",
        "options": {
            "engine": {"type": "path", "required": True},
            "version": {"type": "str", "required": True},
            "name": {"type": "str", "required": True},
            "image": {"type": "str", "required": True},
            "mounts": {"type": "list", "elements": "str", "default": []},
        },
    },
    "listeners": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "address": {"type": "str", "default": ""},
            "port": {"type": "int", "required": True},
            "path": {"type": "str"},
        },
    },
    "keep": {"type": "int", "default": 3},
    "timeout": {"type": "int", "default": 20},
}
PLACES = ("directory", "binary", "unit", "unit_directory", "pid_file", "stats_socket", "master_socket", "timeout")


def differences(settings: Settings, state: State, plan: Plan) -> list[dict[str, str]]:
    """The diff of the files that the plan touches."""
    found = []
    if state.text != plan.text:
        found.append((settings.config, state.text, plan.text))
    if plan.write_unit:
        found.append((settings.unit_file, state.unit_file, plan.unit_file))
    return [
        {"before_header": path, "after_header": path, "before": before or "", "after": after}
        for path, before, after in found
    ]


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    params = module.params
    container = params["container"]
    if container is not None:
        container = Container(**{**container, "mounts": tuple(container["mounts"])})
    settings = Settings(**{name: params[name] for name in PLACES}, container=container)
    wanted = Wanted(
        content=params["content"],
        inputs=tuple(params["inputs"]),
        maxconn=params["maxconn"],
        reserve=params["reserve"],
        listeners=tuple(Listener(**listener) for listener in params["listeners"]),
        keep=params["keep"],
        shares=params["shares"],
        files=tuple(File(**{**file, "holds": tuple(file["holds"])}) for file in params["files"]),
    )
    try:
        state, plan, new = release(settings, wanted, module.check_mode)
    except (ReleaseError, OSError) as error:
        module.fail_json(msg=str(error))
    for sentence in new.missing:
        module.warn(f"{sentence}; a real run would be refused.")
    module.exit_json(
        changed=bool(plan.steps),
        release=plan.release,
        previous=state.linked,
        steps=plan.steps,
        diff=differences(settings, state, plan),
    )


if __name__ == "__main__":
    main()
