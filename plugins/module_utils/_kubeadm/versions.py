# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a kubeadm can do, by its version."""

from __future__ import annotations

import re
import typing as t

Version = t.Tuple[int, int, int]

OLDEST: Version = (1, 22, 0)
V1BETA3, V1BETA4 = "v1beta3", "v1beta4"

#: What of init goes through the endpoint.
WAITS = "wait-control-plane"  # already the wait for the local apiserver
UPLOADS = "upload-config"  # all that comes after the wait
NOTHING = ""

#: minor -> (first patch whose wait is local, first patch known to send all of init to the local apiserver; None where none is).
LOCAL: t.Dict[int, t.Tuple[int, t.Optional[int]]] = {33: (5, 13), 34: (1, None), 35: (0, None), 36: (0, 3)}
FIRST_LOCAL_MINOR = 37


def parse(text: str) -> t.Optional[Version]:
    """v1.33.13 as numbers; None for what is no whole version. What follows the patch level does not count."""
    found = re.match(r"v?(\d+)\.(\d+)\.(\d+)(?:[-+].*)?$", text.strip())
    return (int(found[1]), int(found[2]), int(found[3])) if found else None


def shown(version: Version) -> str:
    """The version as Kubernetes writes it."""
    return "v" + ".".join(map(str, version))


def api_version(version: Version) -> str:
    """The newest format of the configuration that a kubeadm takes."""
    return V1BETA4 if version >= (1, 31, 0) else V1BETA3


def init_needs_endpoint(version: Version) -> str:
    """The phase of init that is the first to use the endpoint, nothing where none does.

    It is the patch level that decides, not the minor version: three eras lie side by side in the releases of one year.
    """
    major, minor, patch = version
    if (major, minor) >= (1, FIRST_LOCAL_MINOR):
        return NOTHING
    wait_is_local, all_is_local = LOCAL.get(minor, (None, None))
    if wait_is_local is None or patch < wait_is_local:
        return WAITS
    return UPLOADS if all_is_local is None or patch < all_is_local else NOTHING
