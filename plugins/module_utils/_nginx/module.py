# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options that say where nginx is on a host, of all modules that ask."""

from __future__ import annotations

import typing as t

from .._proxy.container import Container
from .proxy import Nginx

NGINX: dict[str, dict[str, t.Any]] = {
    "directory": {"type": "path", "default": "/etc/nginx"},
    "binary": {"type": "path", "default": "/usr/sbin/nginx"},
    "unit": {"type": "str", "default": "nginx.service"},
    "run_directory": {"type": "path", "default": "/run/clusterfront-nginx"},
    "globals": {"type": "str", "default": ""},
    "file": {"type": "path"},
    "ports": {"type": "list", "elements": "str", "default": []},
}


def nginx_of(params: t.Mapping[str, t.Any], unit_directory: str, container: Container | None) -> Nginx:
    places = {name: params[name] for name in ("directory", "binary", "unit", "run_directory", "timeout", "globals")}
    return Nginx(
        **places,
        unit_directory=unit_directory,
        place_of_file=params["file"],
        ports=tuple(params["ports"]),
        container=container,
    )
