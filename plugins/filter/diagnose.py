# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses
import typing as t

from ansible.errors import AnsibleFilterError

from ansible_collections.clusterfront.ha.plugins.module_utils._endpoint.diagnosis import SERVICES, Node, diagnose

DOCUMENTATION = r"""
name: diagnose
version_added: "0.1.0"
short_description: Turn a matrix of probes into a diagnosis
description:
  - Takes what every node meets at the endpoint and at its own server, and says in sentences what that means.
  - Knows the hairpin of a layer-4 SLB, the state before the first server runs, and servers that are not ready.
author: clusterfront.ha contributors (@clusterfront)
positional: endpoint
options:
  _input:
    description:
      - One entry for each node, with C(name), C(endpoint) (a result of M(clusterfront.ha.endpoint_probe)), C(endpoint_status),
        C(local) and C(local_status) (its own server; left out where it has none), and C(backend) (whether the SLB sends
        connections to it).
    type: list
    elements: dict
    required: true
  endpoint:
    description: How sentences call the endpoint.
    type: str
    required: true
  kind:
    description: What the front end leads to, for the words of sentences.
    type: str
    choices: [ingress_frontend, kube_apiserver, rancher]
    default: kube_apiserver
"""

EXAMPLES = r"""
- name: Show what the matrix means
  ansible.builtin.debug:
    msg: "{{ nodes | clusterfront.ha.diagnose('k8s-api.example.com:6443') | map(attribute='message') | list }}"
  vars:
    nodes:
      - {name: master-1, endpoint: timed_out, local: open, local_status: 200, backend: true}
      - {name: worker-1, endpoint: open, endpoint_status: 200}
"""

RETURN = r"""
_value:
  description: Findings with C(code), C(severity) (V(problem), V(expected), V(ok)), C(message), and C(nodes); problems first.
  type: list
  elements: dict
"""


def findings(nodes: list[dict[str, t.Any]], endpoint: str, kind: str = "kube_apiserver") -> list[dict[str, t.Any]]:
    """The diagnosis of a matrix as data."""
    try:
        matrix = [Node(**node) for node in nodes]
    except TypeError as error:
        raise AnsibleFilterError(
            f"diagnose: every node needs name and endpoint, and nothing unknown: {error}"
        ) from error
    found = diagnose(matrix, endpoint, SERVICES[kind])
    return [{**dataclasses.asdict(finding), "nodes": list(finding.nodes)} for finding in found]


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"diagnose": findings}
