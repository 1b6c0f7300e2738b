# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible_collections.clusterfront.ha.plugins.module_utils._kubeadm.cause import (
    hairpin_later,
    hairpin_rule,
    likely_cause,
)

DOCUMENTATION = r"""
name: kubeadm_cause
version_added: "0.1.0"
short_description: Why kubeadm has failed, in one sentence
description:
  - Takes what M(clusterfront.ha.kubeadm_node) returned when it failed, and what a probe of the endpoint met from the same machine.
  - The role P(clusterfront.ha.kubeadm_endpoint#role) uses it.
author: clusterfront.ha contributors (@clusterfront)
options:
  _input:
    description: The result of M(clusterfront.ha.kubeadm_node).
    type: dict
    required: true
  what:
    description: What failed.
    type: str
    choices: [init, join]
    required: true
  endpoint:
    description: How the sentence calls the endpoint.
    type: str
    required: true
  met:
    description: One result of M(clusterfront.ha.endpoint_probe).
    type: dict
    required: true
  backend:
    description: Whether the SLB sends connections to this machine.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Show why it failed
  ansible.builtin.debug:
    msg: "{{ failed | clusterfront.ha.kubeadm_cause('init', 'api.example.com:6443', met, backend=true) }}"
  vars:
    failed: {msg: kubeadm init failed, lines: [], kubelet: [], apiserver_ready: true}
    met: {result: timed_out}
"""

RETURN = r"""
_value:
  description: The sentence.
  type: str
"""


def kubeadm_cause(
    failed: dict[str, t.Any], what: str, endpoint: str, met: dict[str, t.Any], backend: bool = False
) -> str:
    """The sentence."""
    lines = [str(failed.get("msg", "")), *failed.get("lines", ()), *failed.get("kubelet", ())]
    return likely_cause(what, endpoint, met, bool(failed.get("apiserver_ready")), bool(backend), lines)


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"kubeadm_cause": kubeadm_cause, "hairpin_rule": hairpin_rule, "hairpin_later": hairpin_later}
