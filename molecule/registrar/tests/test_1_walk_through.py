# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The walk-through of Rancher's Aliyun-slb: a listener, a label on two hosts, pages that alternate."""

from __future__ import annotations

import itertools
import time

import containers_lab as lab
from lab import until


def test_both_hosts_appear_without_a_hand() -> None:
    assert lab.weights() == {}
    for host in lab.HOSTS:
        lab.run(host, "web", "8888:80", lab.ENDPOINT)
    began = time.monotonic()
    try:
        until(lambda: lab.weights() == dict.fromkeys(lab.HOSTS, 100), "registration", 15)
        took = time.monotonic() - began
        print(f"both registered {took:.1f} s after the second container had started")
        assert took < 5
        until(
            lambda: {request.get("body", "").strip() for request in lab.traffic(1, 10).requests()} == set(lab.HOSTS),
            "two pages",
        )
        pages = [
            request["body"].strip() for request in sorted(lab.traffic(2, 10).requests(), key=lambda one: one["start"])
        ]
        print(f"pages: {' '.join(pages)}")
        assert all(one != other for one, other in itertools.pairwise(pages))
        for host in lab.HOSTS:
            (entry,) = lab.status(host)["entries"]
            assert (entry["state"], entry["containers"], entry["server_group"]) == ("registered", ["web"], None)
    finally:
        for host in lab.HOSTS:
            lab.remove_all(host)
    lab.registered()


def test_a_container_comes_when_it_is_healthy() -> None:
    check = "--health-cmd 'test -e /tmp/well' --health-interval 1s --health-retries 1"
    lab.run(
        "container-1",
        "web",
        "8888:80",
        "clusterfront.slb.load_balancer=nginx",
        "clusterfront.slb.weight=40",
        options=check,
    )
    try:
        until(lambda: [entry["state"] for entry in lab.status("container-1")["entries"]] == ["waiting"], "waiting")
        time.sleep(3)
        assert lab.weights() == {}
        lab.on("container-1", "podman exec web touch /tmp/well")
        # the lab's podman has no timer for it
        until(lambda: lab.on("container-1", "podman healthcheck run web; echo $?").endswith("0"), "health")
        until(lambda: lab.weights() == {"container-1": 40}, "registration")
        lab.on("container-1", "podman exec web rm /tmp/well")
        lab.on("container-1", "podman healthcheck run web", check=False)
        until(lambda: lab.weights() == {"container-1": 0}, "no more clients")
    finally:
        lab.remove_all("container-1")
    lab.registered()


def test_a_port_of_the_hosts_own_network() -> None:
    lab.run(
        "container-2",
        "edge",
        "",
        lab.ENDPOINT.replace("io.rancher.service.external_lb.endpoint", "external_lb_endpoint"),
        port=8888,
    )
    try:
        # its image tells no port, so it has to be said
        until(lambda: "edge" in lab.problems("container-2"), "a problem")
        assert "say the port by label clusterfront.slb.port" in lab.problems("container-2")["edge"]
        lab.remove_all("container-2")
        lab.run(
            "container-2", "edge", "", "clusterfront.slb.load_balancer={id}", "clusterfront.slb.port=8888", port=8888
        )
        lab.registered("container-2")
        until(
            lambda: {request.get("body", "").strip() for request in lab.traffic(1, 5).requests()} == {"container-2"},
            "its page",
        )
    finally:
        lab.remove_all("container-2")
    lab.registered()
