# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The nginx.conf of Rancher's guide: as it stands there, from a package and as a container that publishes its ports."""

from __future__ import annotations

import collections

import pytest
from balancers import LAN, SEEDS
from lab import ROOT, failures, until
from lan import SERVERS, on

GOLDEN = ROOT / "tests/unit/roles/golden/rancher_l4_seed.conf"
TWO = {"web_servers": [{"name": f"web-{number}", "address": f"198.51.100.1{number}"} for number in (1, 3)]}


@pytest.mark.parametrize("name", SEEDS)
def test_the_seed_stands_there_and_serves(name) -> None:
    wanted = GOLDEN.read_text()
    for number in (1, 2, 3):
        wanted = wanted.replace(f"<IP_NODE_{number}>", f"198.51.100.1{number}")
    assert on(name, "cat /etc/nginx/nginx.conf") == wanted.strip()
    for port in (80, 443):
        requests = LAN.traffic(name, 2, 30, port, "/", *(["--plain"] if port == 443 else [])).requests()
        assert not failures(requests), failures(requests)[:3]
        shares = collections.Counter(request["server"] for request in requests)
        assert set(shares) == set(SERVERS) and min(shares.values()) >= 10, shares


def test_the_container_publishes_its_ports() -> None:
    shown = on("seed-2", "podman port clusterfront-nginx")
    assert sorted(line.split(" ")[0] for line in shown.splitlines()) == ["443/tcp", "80/tcp"]
    assert on("seed-2", "podman inspect --format '{{.HostConfig.NetworkMode}}' clusterfront-nginx") != "host"


def test_a_change_is_loaded_in_place() -> None:
    box = "podman inspect --format '{{.Id}} {{.State.Pid}}' clusterfront-nginx"
    before, master = on("seed-2", box), on("seed-1", "systemctl show --property=MainPID nginx")
    with LAN.unnoticed(dict.fromkeys(SEEDS, 80)):
        run = LAN.converged({name: TWO for name in SEEDS})
        assert run.changed == 2, run.output
        assert all(LAN.answered(name) == {"web-1", "web-3"} for name in SEEDS)
        LAN.converged({name: {} for name in SEEDS})
        # least_conn under traffic may leave one out for a while
        until(lambda: all(LAN.answered(name) == set(SERVERS) for name in SEEDS), "answers of all servers")
    assert on("seed-2", box) == before and on("seed-1", "systemctl show --property=MainPID nginx") == master


def test_it_comes_back_by_itself() -> None:
    box = "podman inspect --format '{{.Id}}' clusterfront-nginx"
    first = on("seed-2", box)
    on("seed-2", "podman kill clusterfront-nginx")
    until(lambda: on("seed-2", box, check=False) not in ("", first), "another container")
    until(lambda: LAN.status("seed-2", "/", 80) == "200", "an answer")
