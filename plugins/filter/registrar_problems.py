# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible_collections.clusterfront.ha.plugins.module_utils._registrar.config import problems

DOCUMENTATION = r"""
name: registrar_problems
version_added: "0.1.0"
short_description: What can't work in a configuration of the registrar
description:
  - Says in sentences what the service would refuse, before it is installed.
author: clusterfront.ha contributors (@clusterfront)
options:
  _input:
    description: The configuration, as the role C(clusterfront.ha.registrar) writes it.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Refuse what the service would refuse
  ansible.builtin.assert:
    that: configuration | clusterfront.ha.registrar_problems | length == 0
"""

RETURN = r"""
_value:
  description: The sentences.
  type: list
  elements: str
"""


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"registrar_problems": problems}
