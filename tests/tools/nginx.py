# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where nginx is for tests. Its package would start a service, so ./quickstart test unpacks it into the checkout's place instead."""

from __future__ import annotations

import os
import pathlib
import shutil
import sys

#: The place holds the virtual environment that these tests run in.
_UNPACKED = pathlib.Path(os.environ.get("CFHA_PLACE") or pathlib.Path(sys.prefix).parent) / "nginx"
BINARY = shutil.which("nginx", path=f"{_UNPACKED}/usr/sbin:/usr/sbin:/usr/local/sbin:/usr/bin")


def module() -> str:
    """The module stream, as a directive at the top of a configuration; empty where nginx was not built to load it."""
    root = str(_UNPACKED) if BINARY and BINARY.startswith(str(_UNPACKED)) else ""
    path = pathlib.Path(f"{root}/usr/lib/nginx/modules/ngx_stream_module.so")
    return f"load_module {path};" if path.exists() else ""


def temporary_paths(directory: pathlib.Path) -> str:
    """Directives of the block http that keep nginx out of the package's directories, which are not there."""
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    return "\n".join(f"    {kind}_temp_path {directory}/{kind};" for kind in kinds)
