# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""TLS that ends at the SLB: nodes get plain HTTP, and know their clients all the same; and the end."""

from __future__ import annotations

import pytest
from edge import APPLICATIONS, LAYER_7, NAME, all_well, ask, deployed, let_pass, run, traffic
from lab import control, failures, until


def test_the_slb_ends_tls() -> None:
    # other protocols on the same ports
    assert run("remove_frontend").code == 0
    assert deployed(**LAYER_7).changed > 0
    until(all_well, "health of all nodes")
    until(lambda: ask(f"https://{NAME}/").status == 200, "an answer over TLS")
    told = ask(f"https://{NAME}/headers", "-H", "X-Forwarded-For: 203.0.113.9").headers
    assert told["x-forwarded-proto"] == "https" and told["host"] == NAME
    # the SLB adds whom it has seen to what the client says of itself
    assert [part.strip() for part in told["x-forwarded-for"].split(",")][1] == "192.0.2.31"
    redirect = ask(f"http://{NAME}/page")
    assert redirect.status in (301, 302) and redirect.location.startswith(f"https://{NAME}")
    assert ask("https://nobody.example.com/").status == 404
    assert deployed(**LAYER_7).changed == 0


def test_lists_and_limits_are_of_clients() -> None:
    assert ask("https://private.example.com/").body in APPLICATIONS
    assert ask("https://private.example.com/", source="app-1").status == 403
    assert ask("https://private.example.com/", "-H", "X-Forwarded-For: 192.0.2.31", source="app-1").status == 403
    passed, seconds = let_pass("limited.example.com")
    assert 10 <= passed <= 12 + 2 * seconds
    assert ask("https://limited.example.com/", source="app-1").status == 200


@pytest.mark.thorough
def test_a_node_is_drained_under_load() -> None:
    load = traffic(600)
    deployed(**LAYER_7, ingress_frontend_drained=["ingress-2"])
    deployed(**LAYER_7)
    requests = load.stop()
    assert len(requests) > 100 and not failures(requests), failures(requests)[:5]


def test_removal_leaves_nothing_on_the_cloud() -> None:
    done = run("remove_frontend")
    assert done.code == 0, done.output
    assert "ingress-1" not in str(control("GET", "health"))
    assert run("remove_frontend").changed == 0
