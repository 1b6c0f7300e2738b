# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The ports of this host, tried for real."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys

from ansible_collections.clusterfront.ha.plugins.module_utils._haproxy.proxy import HAProxy
from ansible_collections.clusterfront.ha.plugins.module_utils._proxy import host

PROXY = HAProxy("", "", "", "", "", "", "", 1)


def refused_bind(text, pid=0):
    return host.refused_bind(PROXY, text, pid)


def test_a_port_of_somebody_else_is_refused():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        sentence = rf"line 2 .*'bind 127.0.0.1:{port}': port {port} is in use by .*{os.getpid()}"
        assert re.search(sentence, refused_bind(f"frontend x\n    bind 127.0.0.1:{port}\n"))
    assert refused_bind(f"frontend x\n    bind 127.0.0.1:{port}\n") is None


def test_a_port_of_our_own_is_shared():
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", 0))
        other.listen()
        line = f"bind 127.0.0.1:{other.getsockname()[1]}\n"
        assert refused_bind(line, os.getpid()) is None
        # whoever else shares it would take part of the connections
        assert f"(process {os.getpid()})" in refused_bind(line)


def test_a_port_of_our_own_child_is_shared():
    script = (
        "import socket; s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1);"
        "s.bind(('127.0.0.1', 0)); s.listen(); print(s.getsockname()[1], flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        line = f"bind 127.0.0.1:{child.stdout.readline().strip()}\n"
        assert f"(process {child.pid})" in refused_bind(line)
        assert refused_bind(line, os.getpid()) is None
        child.communicate("\n")


def test_a_port_of_version_6():
    with socket.socket(socket.AF_INET6) as other:
        other.bind(("::1", 0))
        other.listen()
        port = other.getsockname()[1]
        assert f"port {port} is in use by" in refused_bind(f"bind [::1]:{port}\n")
        assert refused_bind(f"bind 127.0.0.1:{port}\n") is None


def test_an_address_of_another_host_is_refused():
    assert "192.0.2.250 is no address of this host" in refused_bind("bind 192.0.2.250:1\n")
