# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The drop-in of HAProxy's unit, how many files it opens, and whether a reload has failed. Pure."""

from __future__ import annotations

from .parse import Master

SPARE_FILES = 100  # listeners, sockets, logs and what HAProxy keeps for itself


def drop_in_text(binary: str, config: str, pid_file: str, master_socket: str, limit: int | None) -> str:
    """The unit's drop-in. The packages' own command lines differ, so it states ours in full."""
    lines = [
        "# Managed by Ansible (clusterfront.ha.haproxy).",
        "[Service]",
        "ExecStartPre=",
        "ExecStart=",
        f"ExecStart={binary} -Ws -f {config} -p {pid_file} -S {master_socket}",
        "ExecReload=",
        f"ExecReload={binary} -c -q -f {config}",
        "ExecReload=/bin/kill -USR2 $MAINPID",
        "RuntimeDirectory=haproxy",
        "RuntimeDirectoryMode=0755",
        "# The package's own configuration puts its socket there too, and must find the directory when we are gone.",
        "RuntimeDirectoryPreserve=yes",
    ]
    return "\n".join(lines + ([f"LimitNOFILE={limit}"] if limit else [])) + "\n"


def files_needed(maxconn: int, servers: int, threads: int) -> int:
    """Open files of a process: two per connection, one per check, three per thread, and some to spare."""
    return 2 * maxconn + servers + 3 * threads + SPARE_FILES


def greatest_maxconn(limit: int, servers: int, threads: int) -> int:
    return max(0, (limit - files_needed(0, servers, threads)) // 2)


def out_of_files(maxconn: int, shares: int, reserve: int, servers: int, threads: int, limit: int) -> str:
    """One sentence on connections that don't fit into the most files that a process may open."""
    needed = files_needed(maxconn * shares + reserve, servers, threads)
    greatest = (greatest_maxconn(limit, servers, threads) - reserve) // max(1, shares)
    each = f" for each of {shares} listens" if shares > 1 else ""
    cure = f"set haproxy_maxconn to {greatest} or less" if greatest > 0 else "the host has to allow more"
    return (
        f"haproxy_maxconn is {maxconn}{each}, which needs {needed} open files, but a process of this unit gets at most "
        f"{limit}: {cure}."
    )


def reload_failed(before: Master, now: Master, seconds: float) -> bool:
    """Whether waiting for a new worker is of no use.

    From 2.5 on the master counts failed reloads; before, it is left without a worker of its own.
    """
    counted = now.failed_reloads > before.failed_reloads and set(now.workers) <= set(before.workers)
    return counted or (not now.workers and seconds > 1)
