# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check mode on a machine that has no nginx yet, and what a run has made of the others."""

from __future__ import annotations

import pytest
from balancers import ALL, CONTAINERS, LAN
from lan import NOT_LOOKED_AT, on


def test_check_mode_predicts_and_touches_nothing() -> None:
    on("spare", "touch /var/mark; sleep 0.05")
    run = LAN.run(LAN.directory / "predict.yml", {"spare": {}}, "--check", "--diff")
    assert run.code == 0, run.output
    assert run.changed >= 3, run.output
    assert "server 198.51.100.11:8080 max_fails=2 fail_timeout=10s; # web-1" in run.output
    assert on("spare", f"find /etc /opt /srv /usr /var -xdev -newer /var/mark {NOT_LOOKED_AT}") == ""
    assert on("spare", "ls /usr/sbin/nginx /run/clusterfront-nginx 2>/dev/null || true") == ""


@pytest.mark.parametrize("name", ALL)
def test_kind(name) -> None:
    quadlet = "/etc/containers/systemd/clusterfront-nginx.container"
    assert on(name, f"systemctl is-active {LAN.unit(name)}") == "active"
    assert (on(name, f"test -e {quadlet}; echo $?") == "0") == (name == "lb-5")
    assert (on(name, "command -v nginx; true") == "") == (name in CONTAINERS)
    wanted = "12" if name in ("lb-1", "lb-4") else "13"
    assert on(name, "cat /etc/debian_version").split(".")[0] == wanted
    paths = ("/livez", "/readyz", "/readyz/web", "/stub_status")
    assert [LAN.status(name, path) for path in paths] == ["200"] * 3 + ["404"]
