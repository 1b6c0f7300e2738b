# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """How many of everything the account may have."""

    DOCUMENTATION = r"""
options:
  quotas:
    description:
      - The account's own quotas, where they are not those of the cloud's documentation. SLB's API does not tell them, so what is
        not given here is taken to be as documented.
      - A plan that adds more than a quota allows is refused before the first call that changes anything. A warning would let the
        cloud stop the run in the middle of the work, and a raised quota is worth writing down. What is over a number already is
        no reason to refuse other changes.
      - Set them once for all modules with C(module_defaults) of the group C(clusterfront.ha.slb).
    type: dict
    suboptions:
      load_balancers:
        description:
          - Load balancers of the account, V(60) where nothing is said. Looked at when one is made; only those of the region can be
            counted.
        type: int
      listeners_per_load_balancer:
        description:
          - Listeners of a load balancer, V(50) where nothing is said.
        type: int
      backends_per_load_balancer:
        description:
          - Backends of a load balancer, V(200) where nothing is said. The cloud's documents do not say whether a server in two
            groups counts twice. More different servers than that are refused; more places in groups are a warning.
        type: int
      access_lists:
        description:
          - Access lists of a region, V(200) where nothing is said.
        type: int
      access_lists_per_listener:
        description:
          - Access lists that a listener can have, V(3) where nothing is said. Together they can have 1000 entries, whatever the
            quotas are.
        type: int
      listeners_per_access_list:
        description:
          - Listeners that can have an access list, V(50) where nothing is said.
        type: int
      domain_extensions_per_listener:
        description:
          - Further domains of an HTTPS listener, V(3) where nothing is said. Nobody has more than V(10).
        type: int
      certificates:
        description:
          - Server certificates of a region, V(100) where nothing is said.
        type: int
      ca_certificates:
        description:
          - CA certificates of a region, V(100) where nothing is said.
        type: int
"""
