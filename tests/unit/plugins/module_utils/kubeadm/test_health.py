# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the answers of an apiserver and of etcd are read as."""

from __future__ import annotations

from ansible_collections.clusterfront.ha.plugins.module_utils._kubeadm import health
from ansible_collections.clusterfront.ha.plugins.module_utils._kubeadm.state import Member

LIVEZ = "[+]ping ok\n[-]etcd failed: reason withheld\nlivez check failed\n"
READYZ = "[+]ping ok\n[-]etcd failed: reason withheld\n[-]poststarthook/start-informers failed: reason withheld\nreadyz check failed\n"


def test_failed_checks_are_read():
    assert health.failed_checks(LIVEZ, READYZ) == ["etcd", "poststarthook/start-informers"]
    assert health.failed_checks("[+]ping ok\nreadyz check passed\n", "ok", "") == []


def test_the_version_is_read():
    assert health.git_version({"major": "1", "gitVersion": "v1.33.13"}) == "v1.33.13"
    assert health.git_version("forbidden") == ""


#: As the gateway of etcd 3.5 writes it.
STATUS = {
    "header": {"cluster_id": "7", "member_id": "11", "revision": "5", "raft_term": "2"},
    "version": "3.5.24",
    "dbSize": "20480",
    "leader": "12",
    "raftIndex": "9",
    "raftTerm": "2",
}
MEMBERS = [Member("11", "master-1", ("https://192.0.2.11:2380",)), Member("12", "", ("https://192.0.2.12:2380",))]


def test_etcd_is_read():
    alarms = [{"memberID": "11", "alarm": "NOSPACE"}, {"memberID": "12", "alarm": "CORRUPT"}, {"memberID": "13"}]
    assert health.etcd_facts(STATUS, MEMBERS, alarms, True) == {
        "member_id": "11",
        "leader_id": "12",
        "healthy": True,
        "version": "3.5.24",
        "db_size": 20480,
        "alarms": [
            {"member": "master-1", "alarm": "NOSPACE"},
            {"member": "12", "alarm": "CORRUPT"},
            {"member": "13", "alarm": "None"},
        ],
        "members": [
            {"id": "11", "name": "master-1", "peer_urls": ["https://192.0.2.11:2380"]},
            {"id": "12", "name": "", "peer_urls": ["https://192.0.2.12:2380"]},
        ],
        "error": "",
    }


def test_an_etcd_without_a_leader_or_an_answer():
    for status in ({**STATUS, "leader": "0"}, {key: value for key, value in STATUS.items() if key != "leader"}):
        assert health.etcd_facts(status, MEMBERS, [], False)["leader_id"] == ""
    silent = health.silent_etcd("it is away")
    assert silent["error"] == "it is away" and not silent["healthy"] and silent["members"] == []
