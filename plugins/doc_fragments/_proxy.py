# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """Options of the modules of the load balancer tier."""

    RELEASE = r"""
options:
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
  unit_directory:
    description:
      - Where the drop-in directory of the unit is made.
    type: path
    default: /etc/systemd/system
  container:
    description:
      - Run it in a container of this image, under systemd; as a quadlet where podman is 4.4 or newer.
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
"""

    SERVER = r"""
options:
  server:
    description:
      - The name of the server in the configuration. It has to be given with O(state), O(weight) and O(sessions); without it the
        module tells how all servers are.
    type: str
  state:
    description:
      - V(ready) takes clients. V(drain) takes no new ones, and is still checked. V(maint) takes no new ones, and is not
        checked. All leave the connections that there are.
    type: str
    choices: [ready, drain, maint]
  weight:
    description:
      - The share of the server, from 0 to 256, or V(configured) for the one that its configuration states.
    type: str
  allow_empty:
    description:
      - Whether a backend may be left without a server that takes clients.
    type: bool
    default: false
  sessions:
    description:
      - Wait until the server has no more than so many sessions. There is no waiting where this is not given.
    type: int
  timeout:
    description:
      - How many seconds to wait for O(sessions).
    type: int
    default: 300
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
"""
