# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the host of a balancer is told."""

from __future__ import annotations

import re

ROLE = "lb_host"
TEMPLATE = "firewalld-service.xml.j2"
CASES = {"plain": {"lb_host_open_ports": [8889, "443", 443]}, "vrrp": {"lb_host_open_ports": [1], "lb_host_vrrp": True}}


def test_ports_that_firewalld_is_told(rendered):
    assert re.findall(r'port="(\d+)"', rendered["plain"]) == ["443", "8889"]
    assert "vrrp" not in rendered["plain"] and "vrrp" in rendered["vrrp"]


def test_sysctls(render, root, collections_path, tmp_path):
    case = {
        "lb_host_name": "nginx",
        "lb_host_rp_filter_interfaces": ["eth0"],
        "lb_host_sysctls": {"net/ipv4/tcp_keepalive_time": 5},
    }
    text = render(root, collections_path, tmp_path, ROLE, "sysctl.conf.j2", {"case": case})["case"]
    assert [line for line in text.splitlines() if " = " in line] == [
        "net/ipv4/conf/all/rp_filter = 0",
        "net/ipv4/conf/default/rp_filter = 0",
        "net/ipv4/conf/eth0/rp_filter = 0",
        "net/ipv4/tcp_keepalive_time = 5",
    ]
