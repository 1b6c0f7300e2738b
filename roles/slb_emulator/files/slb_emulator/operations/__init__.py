# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The operations, one file per kind of object."""

from __future__ import annotations

from . import access_lists, ecs, failover_groups, listeners, load_balancers, regions, server_groups, tags
from .registry import Operation, find

__all__ = [
    "Operation",
    "access_lists",
    "ecs",
    "failover_groups",
    "find",
    "listeners",
    "load_balancers",
    "regions",
    "server_groups",
    "tags",
]
