# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the roles of the load balancer tier make of their listens; the documentation is in the files *.yml beside."""

from __future__ import annotations

import typing as t

from ansible_collections.clusterfront.ha.plugins.module_utils._listens import edge
from ansible_collections.clusterfront.ha.plugins.module_utils._listens.labels import plan_labels
from ansible_collections.clusterfront.ha.plugins.module_utils._listens.listens import Inventory, Options, files, resolve
from ansible_collections.clusterfront.ha.plugins.module_utils._listens.nginx import method, nginx_checks, nginx_problems
from ansible_collections.clusterfront.ha.plugins.module_utils._listens.presets import preset_listens
from ansible_collections.clusterfront.ha.plugins.module_utils._listens.problems import (
    edge_refusals,
    port_problems,
    problems,
)

Listens = t.Sequence[Options]


def resolve_listens(
    listens: Listens, groups: t.Any, hostvars: t.Any, address_variable: str, defaults: Options
) -> list[dict[str, t.Any]]:
    """Every listen whole, with the servers of its group."""
    inventory = Inventory(groups, hostvars, address_variable)
    return [resolve(listen, inventory, defaults) for listen in listens]


def listen_problems(
    listens: Listens, variable: str, groups: t.Any, hostvars: t.Any, address_variable: str, taken: Listens = ()
) -> list[str]:
    """What can't work, in sentences."""
    return problems(listens, variable, Inventory(groups, hostvars, address_variable), taken)


def listen_files(listens: Listens) -> list[dict[str, str]]:
    """The files that resolved listens read."""
    return [file for listen in listens for file in files(listen)]


def nginx_edge(listen: Options, index: int) -> dict[str, list[str]]:
    """What nginx has to be told at the edge, by the blocks that it belongs into."""
    return edge.lines(listen, index)._asdict()


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {
            "resolve_listens": resolve_listens,
            "listen_problems": listen_problems,
            "listen_files": listen_files,
            "preset_listens": preset_listens,
            "nginx_checks": nginx_checks,
            "nginx_method": method,
            "nginx_problems": nginx_problems,
            "nginx_edge": nginx_edge,
            "nginx_quoted": edge.quoted,
            "edge_refusals": edge_refusals,
            "port_problems": port_problems,
            "port_labels": plan_labels,
        }
