# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way between a VPC and the public side, as text for nft.

Every VPC has a link to the namespace of the public side. What a machine sends there takes its own public address or
that of the VPC's NAT, and leaves the VPC even where it comes back to it: so a call to a public instance whose backends
are in the same VPC passes the router twice, once as a client's and once as the instance's.
"""

from __future__ import annotations

from collections.abc import Mapping

LINK = "internet"  # the router's end of its link to the public side

_TABLE = f"""\
add table ip egress
delete table ip egress
add table ip egress
add chain ip egress in {{ type nat hook prerouting priority dstnat ; policy accept ; }}
add chain ip egress out {{ type nat hook postrouting priority srcnat ; policy accept ; }}
add chain ip egress pass {{ type filter hook forward priority filter ; policy accept ; }}
add rule ip egress pass iifname "{LINK}" oifname "{LINK}" drop
"""


def egress(eips: Mapping[str, str], nat_address: str) -> str:
    """All of it in one step, which breaks no connection.

    eips has the public addresses of machines by their private ones, nat_address is that of all others (empty: they get
    no answer).
    """
    rules = []
    if eips:
        ways = sorted(eips.items())
        inward = ", ".join(f"{public} : {private}" for private, public in ways)
        outward = ", ".join(f"{private} : {public}" for private, public in ways)
        rules += [
            f'in iifname "{LINK}" dnat to ip daddr map {{ {inward} }}',
            f'out oifname "{LINK}" snat to ip saddr map {{ {outward} }}',
        ]
    if nat_address:
        rules.append(f'out oifname "{LINK}" snat to {nat_address}')
    else:
        others = f"ip saddr != {{ {', '.join(sorted(eips))} }} " if eips else ""
        rules.append(f'pass ct state new oifname "{LINK}" {others}drop')
    return _TABLE + "".join(f"add rule ip egress {rule}\n" for rule in rules)
