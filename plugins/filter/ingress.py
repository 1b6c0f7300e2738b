# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the front end of an ingress is made of, and what becomes of old objects; the documentation is in the files *.yml beside."""

from __future__ import annotations

import typing as t

from ansible_collections.clusterfront.ha.plugins.module_utils._ingress import convert, sites


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {
            "site_listens": sites.listens,
            "site_problems": sites.problems,
            "leaving_backends": sites.departures,
            "convert_ingress": convert.convert,
        }
