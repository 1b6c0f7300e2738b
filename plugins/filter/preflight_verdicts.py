# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses
import typing as t

from ansible.errors import AnsibleFilterError

from ansible_collections.clusterfront.ha.plugins.module_utils._endpoint.preflight import (
    Node,
    Way,
    differing_names,
    verdicts,
)

DOCUMENTATION = r"""
name: preflight_verdicts
version_added: "0.1.0"
short_description: Whether a node reaches what it has to reach before kubeadm runs
description:
  - Takes what M(clusterfront.ha.endpoint_probe) met on one node, and says of each probe whether it is as it has to be, and what to do if not.
  - The role P(clusterfront.ha.kubeadm_endpoint#role) uses it.
author: clusterfront.ha contributors (@clusterfront)
positional: ways, node
options:
  _input:
    description: The probes, in the order of O(ways).
    type: list
    elements: dict
    required: true
  ways:
    description:
      - Where each probe went, with C(kind) (V(endpoint), V(apiserver) or V(load_balancer)), C(host), C(port), and C(machine).
    type: list
    elements: dict
    required: true
  node:
    description:
      - The machine that asked, with C(name), C(endpoint_name), C(endpoint_address), C(backend) (whether the load balancer sends connections
        to it), C(cure), C(forced), C(local_address), and C(stood_in) (whether something answers in place of apiservers).
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Say what was met
  ansible.builtin.debug:
    msg: "{{ probes | clusterfront.ha.preflight_verdicts(ways, {'name': 'worker-1', 'endpoint_name': 'api.example.com'}) }}"
  vars:
    probes: [{result: refused, stage: connect}]
    ways: [{kind: endpoint, host: api.example.com, port: 6443}]
"""

RETURN = r"""
_value:
  description: One entry for each probe, with C(name), C(result), C(right), and C(text).
  type: list
  elements: dict
"""

Data = t.Dict[str, t.Any]


def preflight_verdicts(probes: list[Data], ways: list[Data], node: Data) -> list[Data]:
    """The verdicts as data."""
    try:
        found = verdicts(Node(**node), [Way(**way) for way in ways], probes)
    except TypeError as error:
        raise AnsibleFilterError(f"preflight_verdicts: ways and node take their own words only: {error}") from error
    return [dataclasses.asdict(verdict) for verdict in found]


def preflight_targets(ways: list[Data], endpoint_name: str) -> list[Data]:
    """The ways as targets of endpoint_probe. A TLS handshake tells a proxy without servers from an apiserver."""
    return [
        {
            "name": Way(**way).name, "host": way["host"], "port": way["port"], "tls": True, "path": "/readyz",
            "server_name": endpoint_name if way["kind"] == "endpoint" else way["host"],
        }
        for way in ways
    ]  # fmt: skip


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {
            "preflight_verdicts": preflight_verdicts,
            "preflight_targets": preflight_targets,
            "differing_names": lambda leads, name: differing_names(name, leads),
        }
