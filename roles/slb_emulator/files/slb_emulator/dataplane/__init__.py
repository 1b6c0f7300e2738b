# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What moves the connections. One interface, one file per way to do it."""

from __future__ import annotations

import socket
from collections.abc import Collection, Hashable, Mapping
from typing import Protocol

from ..config import Config
from ..forwarding import Desired
from ..inventory import Inventory


class DataPlane(Protocol):
    """All of it blocks, and is called from a thread."""

    checks: bool  # whether there is a network in which servers can be checked

    def attach(self, inventory: Inventory, links_down: Collection[str]) -> bool:
        """Make the network of the inventory; says whether anything was missing. What is in place is left alone."""

    def apply(self, desired: Desired) -> None:
        """Forward exactly this, in one step for each VPC."""

    def set_links(self, links_down: Collection[str]) -> None:
        """Silence for these machines, and for no others."""

    def open_socket(self, vpc: str, kind: socket.SocketKind) -> socket.socket:
        """A socket for TCP or UDP that lives in the VPC, from the address of the health checks."""

    def spaces(self) -> Mapping[str, Hashable]:
        """What is the network of each VPC now; where it is made anew, it is another thing."""

    def listen(self, vpc: str, address: str) -> socket.socket:
        """A socket that listens on one of the cloud's own addresses in the VPC."""

    def remove(self, inventory: Inventory) -> None:
        """Take away whatever attach and apply made, also in another process."""


def create(config: Config) -> DataPlane:
    if config.data_plane == "nft":
        from .nft import NftDataPlane

        return NftDataPlane(config)
    if config.data_plane == "none":
        from .none import NoDataPlane

        return NoDataPlane()
    raise ValueError(f"data_plane is {config.data_plane!r}; it takes none or nft")
