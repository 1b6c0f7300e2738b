# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Another release, no key on the host, and the end."""

from __future__ import annotations

import time

import containers_lab as lab
from lab import control, failures, until


def test_a_role_of_the_instance_instead_of_a_key() -> None:
    inventory = control("GET", "inventory")
    with_role = [
        {**one, "ram_role": "registrar"} if one["name"] == "container-1" else one for one in inventory["machines"]
    ]
    try:
        control("PUT", "inventory", {**inventory, "machines": with_role})
        run = lab.role("container-1", registrar_ecs_ram_role="registrar")
        assert run.code == 0, run.output
        assert not lab.file("container-1", "/etc/clusterfront-registrar/credentials.json").exists
        lab.run("container-1", "web", "8888:80", lab.ENDPOINT)
        lab.registered("container-1")
    finally:
        lab.remove_all("container-1")
        lab.registered()
        control("PUT", "inventory", inventory)
        assert lab.role("container-1").code == 0


def test_the_role_takes_everything_away_and_clients_notice_nothing() -> None:
    for host in lab.HOSTS:
        lab.run(host, "web", "8888:80", lab.ENDPOINT)
    lab.registered(*lab.HOSTS)
    requests = lab.traffic(120)
    try:
        run = lab.role("container-2", registrar_state="absent")
        assert run.code == 0, run.output
        time.sleep(1)
        done = requests.stop()
        print(f"registrar of one host removed: {len(failures(done))} of {len(done)} requests failed")
        assert not failures(done) and lab.weights() == {"container-1": 100}
        for path in (
            "/opt/clusterfront-registrar",
            "/etc/clusterfront-registrar",
            "/var/lib/clusterfront-registrar",
            "/usr/local/sbin/registrar",
        ):
            assert not lab.file("container-2", path).exists
        again = lab.role("container-2", registrar_state="absent")
        assert again.code == 0 and again.changed == 0
        assert lab.role("container-2").code == 0
        lab.registered(*lab.HOSTS)
    finally:
        for host in lab.HOSTS:
            lab.remove_all(host)
    until(lambda: lab.weights() == {}, "nothing left")
