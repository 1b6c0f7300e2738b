# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import time
import typing as t

from ansible_collections.clusterfront.ha.plugins.module_utils._endpoint.report import build, lines
from ansible_collections.clusterfront.ha.plugins.module_utils._endpoint.control_plane import CERTIFICATE_DAYS

DOCUMENTATION = r"""
name: frontend_report
version_added: "0.1.0"
short_description: The report of a front end as data
description:
  - Puts together what the cloud says and what every node met, with a diagnosis. The playbook C(report_frontend) uses it.
author: clusterfront.ha contributors (@clusterfront)
options:
  _input:
    description:
      - One entry for each node, with C(name), C(address), C(roles) (V(server), V(load_balancer), V(other)), C(backend), and
        C(probes) (the result of M(clusterfront.ha.endpoint_probe), null where the node could not be reached).
      - A server may have C(control_plane), what M(clusterfront.ha.kubeadm_node_info) returns with O(clusterfront.ha.kubeadm_node_info#module:health=true),
        and a load balancer C(servers), what M(clusterfront.ha.haproxy_server) returns. They are null where that is not known, and left
        out where nobody asks.
    type: list
    elements: dict
    required: true
  name:
    description: Name of the front end.
    type: str
    required: true
  endpoint:
    description: The endpoint as C(name:port).
    type: str
    required: true
  cloud:
    description: C(load_balancer), C(listeners) and C(backends) as the modules return them; null where the front end has no SLB.
    type: dict
    required: true
  kind:
    description: What the front end leads to, for the words of sentences.
    type: str
    choices: [ingress_frontend, kube_apiserver, rancher]
    default: kube_apiserver
  certificate_days:
    description: A finding names certificates that end within so many days.
    type: int
    default: 30
  accepted:
    description: Codes of findings that are expected and no problem, for they follow from what the user has chosen.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Keep the report
  ansible.builtin.set_fact:
    report: "{{ nodes | clusterfront.ha.frontend_report(name='prod-api', endpoint='k8s-api.example.com:6443', cloud=cloud) }}"
"""

RETURN = r"""
_value:
  description: The report.
  type: dict
"""


def frontend_report(
    nodes: list[dict[str, t.Any]],
    name: str,
    endpoint: str,
    cloud: dict[str, t.Any] | None,
    kind: str = "kube_apiserver",
    certificate_days: int = CERTIFICATE_DAYS,
    accepted: t.Collection[str] = (),
) -> dict[str, t.Any]:
    """The report as data."""
    return build(name, endpoint, cloud, nodes, kind, time.time(), certificate_days, accepted)


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"frontend_report": frontend_report, "report_lines": lines}
