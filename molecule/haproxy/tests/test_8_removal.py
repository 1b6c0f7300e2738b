# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""absent: what the role made goes, and what others made stays."""

from __future__ import annotations

from balancers import KINDS, LAN, PAIR
from lan import on

GONE = {"haproxy_state": "absent"}
FOREIGN = ("/etc/haproxy/mine.cfg", "/etc/systemd/system/haproxy.service.d/mine.conf", "/etc/sysctl.d/60-mine.conf")


def ours(name: str) -> list[str]:
    """What is there of what the role and its kind make."""
    return on(
        name, "find /etc -name '*clusterfront*' -o -path '/etc/haproxy/releases*' -o -path /etc/haproxy/current"
    ).split()


def test_removed() -> None:
    for name in KINDS:
        on(name, f"for file in {' '.join(FOREIGN)}; do mkdir -p $(dirname $file); echo '# mine' > $file; done")
    packages = {name: on(name, "dpkg -l | md5sum") for name in KINDS}
    assert all(ours(name) for name in KINDS)
    run = LAN.converged({name: GONE for name in KINDS})
    for name in KINDS:
        assert ours(name) == [], run.output
        assert on(name, f"cat {' '.join(FOREIGN)}") == "# mine\n# mine\n# mine"
        assert on(name, f"systemctl is-active {LAN.unit(name)} clusterfront-vip; true") == "inactive\ninactive"
        assert on(name, "dpkg -l | md5sum") == packages[name]
        assert on(name, "podman ps --all --quiet 2>/dev/null; true") == ""
    assert on("lb-2", "test -s /etc/haproxy/haproxy.cfg && echo there") == "there"
    assert LAN.status(PAIR[0]) == "200"
    again = LAN.converged({name: GONE for name in KINDS})
    assert again.changed == 0, again.output
