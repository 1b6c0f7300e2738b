# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Instances that no zone serves, or the standby, as text for nft."""

from __future__ import annotations

from collections.abc import Collection, Iterator

_STANDBY = 100  # the label of connections that began while the standby served
_FAMILIES = {"ip": "ipv4_addr", "ip6": "ipv6_addr"}


def _lines(family: str, kind: str, places: dict[str, list[str]]) -> Iterator[str]:
    called = f"ct original {family} daddr"
    for name, addresses in places.items():
        yield f"add set inet zones {name}_{family} {{ type {kind} ; }}"
        if addresses:
            yield f"add element inet zones {name}_{family} {{ {', '.join(addresses)} }}"
    for rule in (
        f"{called} @dark_{family} drop",
        f"{called} @standby_{family} ct state new ct label set {_STANDBY}",
        f"{called} @standby_{family} ct state established ct label != {_STANDBY} meta l4proto tcp reject with tcp reset",
        f"{called} != @standby_{family} ct label {_STANDBY} meta l4proto tcp reject with tcp reset",
    ):
        yield f"add rule inet zones pre {rule}"


def zoning(dark: Collection[str], standby: Collection[str]) -> str:
    """Nothing passes through an instance that is dark; connections that began in another zone than the serving one end."""
    lines = [
        "add table inet zones",
        "delete table inet zones",
        "add table inet zones",
        "add chain inet zones pre { type filter hook prerouting priority mangle ; policy accept ; }",
    ]
    for family, kind in _FAMILIES.items():
        places = {
            name: sorted(address for address in addresses if (":" in address) == (family == "ip6"))
            for name, addresses in (("dark", dark), ("standby", standby))
        }
        lines += _lines(family, kind, places)
    return "".join(f"{line}\n" for line in lines)
