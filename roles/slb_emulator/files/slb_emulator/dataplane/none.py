# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""No data plane: only the API. Servers that run count as healthy."""

from __future__ import annotations

import socket
from collections.abc import Collection, Hashable

from ..forwarding import Desired
from ..inventory import Inventory


class NoDataPlane:
    checks = False

    def attach(self, inventory: Inventory, links_down: Collection[str]) -> bool:
        return False

    def apply(self, desired: Desired) -> None:
        pass

    def set_links(self, links_down: Collection[str]) -> None:
        pass

    def open_socket(self, vpc: str, kind: socket.SocketKind) -> socket.socket:
        raise OSError("there is no network in this data plane")

    def spaces(self) -> dict[str, Hashable]:
        return {}

    def listen(self, vpc: str, address: str) -> socket.socket:
        raise OSError("there is no network in this data plane")

    def remove(self, inventory: Inventory) -> None:
        pass
