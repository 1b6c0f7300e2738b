# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The drop-in of nginx's unit, and the sentences on open files. Pure."""

from __future__ import annotations

from .._proxy.container import quoted


def drop_in_text(command: list[str], check: list[str], limit: int | None) -> str:
    """The unit's drop-in. The packages' own units differ in how they start nginx, so it states ours in full."""
    lines = [
        "# Managed by Ansible (clusterfront.ha.nginx).",
        "[Service]",
        "# nginx stays in the foreground, so systemd knows its process without a file that could be an old one.",
        "Type=exec",
        "PIDFile=",
        "ExecStartPre=",
        "ExecStart=",
        f"ExecStart={quoted(command)}",
        "ExecReload=",
        f"ExecReload={quoted(check)}",
        "ExecReload=/bin/kill -HUP $MAINPID",
        "ExecStop=",
        "KillSignal=SIGQUIT",
        "KillMode=mixed",
        "TimeoutStopSec=5",
        "Restart=on-failure",
        "RestartSec=1",
    ]
    return "\n".join(lines + ([f"LimitNOFILE={limit}"] if limit else [])) + "\n"


def out_of_files(maxconn: int | None, needed: int, limit: int) -> str:
    """One sentence on connections that don't fit into the most files that a worker may open."""
    if maxconn is None:
        return (
            f"worker_rlimit_nofile is {needed} in the configuration, but a process of this unit gets at most {limit} open "
            "files; nginx runs with those."
        )
    greatest = maxconn - (needed - limit + 1) // 2
    cure = f"set nginx_maxconn to {greatest} or less" if greatest > 0 else "the host has to allow more"
    return (
        f"nginx_maxconn is {maxconn}, which needs {needed} open files in every worker, but a process of this unit gets at "
        f"most {limit}: {cure}."
    )
