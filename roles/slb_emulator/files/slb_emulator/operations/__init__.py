# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The operations, one file per kind of object."""

from __future__ import annotations

from . import (
    access_lists,
    certificates,
    domain_extensions,
    ecs,
    failover_groups,
    listeners,
    load_balancers,
    regions,
    rules,
    server_groups,
    tags,
    tls_policies,
)
from .registry import Operation, find

__all__ = [
    "Operation",
    "access_lists",
    "certificates",
    "domain_extensions",
    "ecs",
    "failover_groups",
    "find",
    "listeners",
    "load_balancers",
    "regions",
    "rules",
    "server_groups",
    "tags",
    "tls_policies",
]
