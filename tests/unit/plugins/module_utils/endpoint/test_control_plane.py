# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The rules on certificates, names, versions and etcd of a control plane."""

from __future__ import annotations

import pytest

from ansible_collections.clusterfront.ha.plugins.module_utils._endpoint.control_plane import (
    Master,
    findings,
    has_name,
    line,
)

HOST = "k8s-api.example.com"
NAMES = ("master-1", "master-2", "master-3")
MEMBERS = [
    {"id": str(number), "name": name, "peer_urls": [f"https://192.0.2.1{number}:2380"]}
    for number, name in enumerate(NAMES, 1)
]


def certificate(name="apiserver.crt", days=364):
    return {"name": name, "not_after": f"in {days} days", "days_left": days}


def etcd(number, **changes):
    return {
        "member_id": str(number),
        "leader_id": "1",
        "healthy": True,
        "version": "3.5.24",
        "db_size": 5 * 2**20,
        "alarms": [],
        "members": MEMBERS,
        "error": "",
        **changes,
    }


def node(name, version="v1.33.13"):
    return {"name": name, "ready": True, "control_plane": True, "version": version}


def facts(number, **changes):
    return {
        "apiserver": {"livez": 200, "readyz": 200, "failed_checks": [], "version": "v1.33.13", "error": ""},
        "certificates": [certificate("admin.conf"), certificate()],
        "etcd": etcd(number),
        "nodes": [node(name) for name in NAMES],
        **changes,
    }


def served(days=364, names=(HOST, "192.0.2.100")):
    return {**certificate(days=days), "subject_alt_names": list(names)}


def masters(**changes):
    """Three that are well, but for the facts of those that are named: m1, m2, m3."""
    return [
        Master(name, f"192.0.2.1{number}", facts(number, **changes.get(f"m{number}", {})), served())
        for number, name in enumerate(NAMES, 1)
    ]


def told(found, days=30):
    return [(finding.code, finding.severity, finding.message) for finding in findings(found, HOST, days)]


def only(found, code, severity="problem"):
    """The message of the one finding that there is."""
    ((is_code, is_severity, message),) = told(found)
    assert (is_code, is_severity) == (code, severity) and message.endswith(".") and message.count(". ") == 0
    return message


def test_nothing_is_said_of_what_is_well_or_not_known():
    assert told(masters()) == []
    assert told([Master(name, "192.0.2.11") for name in NAMES]) == []
    # a stand-in answers, and has no files and no etcd
    stand_in = facts(1, certificates=[], etcd=None, nodes=[])
    assert told([Master("master-1", "192.0.2.11", stand_in, served())]) == []
    assert told([]) == []


def test_certificates_that_end_soon_are_named_with_their_days():
    names = ("apiserver.crt", "admin.conf", "etcd/server.crt", "scheduler.conf", "etcd/peer.crt")
    found = masters(m2={"certificates": [certificate(name, 12 + index) for index, name in enumerate(names)]})
    message = only(found, "certificate_ends", "expected")
    assert message.startswith(
        "Certificates of master-2 end within 13 days: apiserver.crt, admin.conf, etcd/server.crt and 2 more;"
    )
    assert "kubeadm certs renew all" in message
    assert told(found, days=12) == []


def test_certificates_that_have_ended_are_a_problem():
    found = masters(m1={"certificates": [certificate("admin.conf", -2), certificate(days=3)]})
    assert only(found, "certificate_ended").startswith("Certificates of master-1 have ended: admin.conf;")


def test_a_ca_is_not_renewed_by_kubeadm():
    found = masters(m1={"certificates": [certificate("etcd/ca.crt", 5), certificate(days=5)]})
    assert "etcd/ca.crt has to be replaced by hand" in only(found, "certificate_ends", "expected")


def test_a_certificate_that_cannot_be_read_is_not_known():
    assert told(masters(m1={"certificates": [{"name": "a.crt", "not_after": None, "days_left": None}]})) == []


def test_an_apiserver_that_still_serves_the_old_certificate_is_found():
    found = [Master("master-1", "192.0.2.11", facts(1, etcd=None), served(days=2))]
    assert "within 3 days: the one that it serves;" in only(found, "certificate_ends", "expected")
    # one whose master cannot be asked too
    found = [Master("master-1", "192.0.2.11", {}, served(days=-1))]
    assert "the one that it serves" in only(found, "certificate_ended")


@pytest.mark.parametrize(
    ("names", "host", "there"),
    [
        (["kubernetes", HOST], HOST, True),
        (["K8S-API.example.com"], f"{HOST}.", True),
        (["*.example.com"], HOST, True),
        (["*.com"], HOST, False),
        (["*.example.com"], "example.com", False),
        (["192.0.2.100"], "192.0.2.100", True),
        (["2001:db8::1"], "2001:0db8:0::1", True),
        (["192.0.2.1"], "192.0.2.100", False),
        ([], HOST, False),
    ],
)
def test_names_of_a_certificate(names, host, there):
    assert has_name(names, host) is there


def test_a_certificate_without_the_endpoint_names_the_options():
    found = masters()
    found[1] = Master("master-2", "192.0.2.12", facts(2), served(names=["kubernetes"]))
    message = only(found, "certificate_lacks_name")
    assert message.startswith(f"What master-2 serves as certificate does not have the name {HOST}")
    assert "kubeadm_endpoint_name" in message and "kubeadm_endpoint_extra_sans" in message
    found[2] = Master("master-3", "192.0.2.13", facts(3), served(names=["kubernetes"]))
    assert "What master-2, master-3 serve as certificate" in only(found, "certificate_lacks_name")


def apiserver(**changes):
    return {"apiserver": {**facts(1)["apiserver"], **changes}}


def test_failed_checks_are_named():
    found = masters(m3=apiserver(readyz=500, failed_checks=["etcd", "informer-sync"]))
    assert (
        only(found, "apiserver_checks_fail") == "The apiserver of master-3 fails its own checks: etcd, informer-sync."
    )
    found = masters(m3=apiserver(livez=500, readyz=500))
    assert only(found, "apiserver_not_live") == (
        "The apiserver of master-3 fails its own checks of being alive: it answers 500."
    )


@pytest.mark.parametrize("livez", [None, 401, 403])
def test_checks_that_nobody_tells_are_not_known(livez):
    assert told(masters(m3=apiserver(livez=livez, readyz=livez, version=""))) == []


def test_apiservers_are_one_minor_apart_at_most():
    assert told(masters(m2=apiserver(version="v1.34.0"))) == []
    message = only(masters(m2=apiserver(version="v1.35.1")), "apiserver_versions_differ")
    assert "master-2 is v1.35.1 and that of master-1 v1.33.13" in message


@pytest.mark.parametrize(
    ("apiservers", "kubelet", "words"),
    [
        (("v1.33.13", "v1.34.0"), "v1.34.0", "newer than the apiserver of master-1 (v1.33.13)"),
        (("v1.33.13", "v1.33.13"), "v1.30.0", None),
        (("v1.33.13", "v1.33.13"), "v1.29.14", "too old for the apiserver of master-2 (v1.33.13)"),
        (("v1.33.13", "v1.34.0"), "v1.30.0", "too old for the apiserver of master-2 (v1.34.0)"),
        (("v1.27.0", "v1.27.0"), "v1.24.1", "too old"),
        (("v1.27.0", "v1.27.0"), "v1.25.0", None),
        (("v1.33.13", "v1.33.13"), "v1.33.4", None),
        (("v1.33.13", "v1.33.13"), "nonsense", None),
        (("", ""), "v1.10.0", None),
    ],
)
def test_kubelets_are_never_newer_and_three_minors_older_at_most(apiservers, kubelet, words):
    first, second = apiservers
    nodes = {"nodes": [node("worker-1", kubelet)]}
    found = [
        Master("master-1", "192.0.2.11", facts(1, **apiserver(version=first), **nodes, etcd=None)),
        Master("master-2", "192.0.2.12", facts(2, **apiserver(version=second), **nodes, etcd=None)),
    ]
    if words is None:
        assert told(found) == []
    else:
        message = only(found, "kubelet_version")
        assert message.startswith(f"The kubelet of worker-1 is {kubelet}, ") and words in message


SILENT = {"etcd": etcd(0, healthy=False, members=[], leader_id="", error="it is away")}
SICK = {"healthy": False, "leader_id": ""}


def test_a_sick_member_and_a_lost_majority():
    assert only(masters(m2=SILENT), "etcd_member_sick").startswith("Of etcd's 3 members master-2 is not well;")
    message = only(masters(m2={"etcd": etcd(2, **SICK)}, m3=SILENT), "etcd_no_quorum")
    assert "of 3 members master-2, master-3 are not well; nothing can be written until 2 are" in message
    assert "No etcd answers (master-1: it is away; " in only(masters(m1=SILENT, m2=SILENT, m3=SILENT), "etcd_silent")
    # one that answers and is not well still tells who belongs to it
    sick = {name: {"etcd": etcd(number, **SICK)} for number, name in enumerate(("m1", "m2", "m3"), 1)}
    assert "of 3 members master-1, master-2, master-3" in only(masters(**sick), "etcd_no_quorum")


def test_a_member_whose_master_cannot_be_asked_is_not_called_sick():
    found = masters()
    for number in (2, 3):
        found[number - 1] = Master(f"machine-{number}", f"192.0.2.1{number}")
    assert told(found) == []


def test_a_member_that_no_master_has():
    members = [*MEMBERS, {"id": "9", "name": "", "peer_urls": ["https://[2001:db8::9]:2380"]}]
    found = masters(**{f"m{number}": {"etcd": etcd(number, members=members)} for number in (1, 2, 3)})
    message = only(found, "etcd_member_sick")
    assert message.startswith("Of etcd's 4 members https://[2001:db8::9]:2380 (never started) is not well;")
    # unless it belongs to one that nobody could ask
    assert told([*found, Master("master-9", "2001:db8::9")]) == []


def test_two_clusters():
    alone = etcd(7, members=[{"id": "7", "name": "master-2", "peer_urls": []}], leader_id="7")
    codes = [code for code, dummy, message in told(masters(m2={"etcd": alone}))]
    assert codes == ["etcd_member_sick", "etcd_stranger", "etcd_leaders_differ"]


def test_members_that_disagree_on_their_leader():
    message = only(masters(m3={"etcd": etcd(3, leader_id="3")}), "etcd_leaders_differ")
    assert message == "etcd's members disagree on who leads: master-2 takes 1 and master-3 takes 3."


@pytest.mark.parametrize(("alarm", "words"), [("NOSPACE", "database is full"), ("CORRUPT", "differ"), ("NEW", "log")])
def test_alarms(alarm, words):
    told_by_all = [{"member": "master-2", "alarm": alarm}]
    found = masters(**{f"m{number}": {"etcd": etcd(number, alarms=told_by_all)} for number in (1, 2, 3)})
    assert only(found, "etcd_alarm").startswith(f"etcd has the alarm {alarm} of the member master-2: ")
    assert words in only(found, "etcd_alarm")


def test_a_line_for_each_master():
    first, second, dummy = masters(m2={"etcd": etcd(2, healthy=False)} | apiserver(failed_checks=["etcd"]))
    assert line(first) == "v1.33.13; certificates: 364 days (admin.conf); etcd: well, leads, 5.0 MiB"
    assert line(second) == ("v1.33.13; failed checks: etcd; certificates: 364 days (admin.conf); etcd: not well")
    assert line(Master("master-9", "192.0.2.19")) == "certificates: not known; etcd: not known"
