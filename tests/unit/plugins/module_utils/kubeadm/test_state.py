# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a kubeadm can do, what a machine is to its cluster, what has to be done next, and why it failed."""

from __future__ import annotations

import pytest
from ansible_collections.clusterfront.ha.plugins.module_utils._kubeadm import cause, state, versions
from ansible_collections.clusterfront.ha.plugins.module_utils._kubeadm.state import Found, Master, Member


@pytest.mark.parametrize(
    ("text", "version"),
    [("v1.33.13", (1, 33, 13)), ("1.30.4\n", (1, 30, 4)), ("v1.34.0-rc.1", (1, 34, 0)), ("1.33", None), ("", None)],
)
def test_versions_are_read(text, version):
    assert versions.parse(text) == version


def test_versions_are_shown():
    assert versions.shown((1, 33, 13)) == "v1.33.13"


@pytest.mark.parametrize(
    ("version", "api"), [((1, 30, 14), "v1beta3"), ((1, 31, 0), "v1beta4"), ((1, 36, 0), "v1beta4")]
)
def test_format_follows_the_version(version, api):
    assert versions.api_version(version) == api


@pytest.mark.parametrize(
    ("text", "phase"),
    [
        ("1.30.4", versions.WAITS),
        ("1.32.0", versions.WAITS),
        ("1.33.4", versions.WAITS),
        ("1.33.6", versions.UPLOADS),
        ("1.33.13", versions.NOTHING),
        ("1.34.0", versions.WAITS),
        ("1.35.4", versions.UPLOADS),
        ("1.36.0", versions.UPLOADS),
        ("1.36.3", versions.NOTHING),
        ("1.37.0", versions.NOTHING),
    ],
)
def test_what_init_needs_the_endpoint_for_is_a_matter_of_the_patch_level(text, phase):
    assert versions.init_needs_endpoint(versions.parse(text)) == phase


@pytest.mark.parametrize(
    ("found", "role"),
    [
        (Found(), "fresh"),
        (Found(doing="init"), "fresh"),
        (Found(doing="init", manifests=True), "interrupted"),
        (Found(doing="join", kubelet_conf=True, apiserver_manifest=True), "interrupted"),
        (Found(kubelet_conf=True), "worker"),
        (Found(kubelet_conf=True, apiserver_manifest=True, manifests=True), "control_plane"),
        (Found(manifests=True), "foreign"),
        (Found(admin_conf=True), "foreign"),
    ],
)
def test_what_a_machine_is(found, role):
    assert found.role == role


def masters(*roles, **more):
    return [Master(f"m{number}", role, **more) for number, role in enumerate(roles, 1)]


def steps(found):
    return [state.step(master, found) for master in found]


def test_one_master_inits_and_the_others_join():
    assert steps(masters("fresh", "fresh", "fresh")) == ["init", "join", "join"]
    assert steps(masters("control_plane", "fresh", "fresh")) == ["done", "join", "join"]


def test_no_master_is_special_afterwards():
    found = masters("fresh", "control_plane", "control_plane")
    assert steps(found) == ["join", "done", "done"]
    assert state.first(found) is None
    assert state.first([]) is None


def test_those_that_are_ready_are_asked_first():
    found = [Master("m1", "control_plane"), Master("m2", "control_plane", ready=True), Master("m3", "fresh")]
    assert state.members(found) == ["m2", "m1"]


def test_an_interrupted_init_goes_on_where_it_was():
    found = [Master("m1", "fresh"), Master("m2", "interrupted", doing="init", ready=True)]
    assert steps(found) == ["join", "resume_init"]
    found = [Master("m1", "fresh"), Master("m2", "interrupted", doing="init")]
    assert steps(found) == ["join", "reset_and_init"]


def test_an_interrupted_join_begins_again():
    found = [Master("m1", "control_plane"), Master("m2", "interrupted", doing="join", ready=True)]
    assert steps(found) == ["done", "reset_and_join"]
    # an init that was interrupted while another master has a cluster is no init any more
    found = [Master("m1", "control_plane"), Master("m2", "interrupted", doing="init", ready=True)]
    assert steps(found) == ["done", "reset_and_join"]
    assert steps([Master("m1", "interrupted", doing="join", ready=True)]) == ["reset_and_init"]


def test_what_no_step_can_mend_is_refused():
    state.checked(
        [Master("m1", "control_plane", ca="a"), Master("m2", "control_plane", ca="a"), Master("m3", "fresh", ca="b")]
    )
    with pytest.raises(state.StateError, match="m1 and m2 belong to different clusters"):
        state.checked([Master("m1", "control_plane", ca="a"), Master("m2", "control_plane", ca="b")])
    with pytest.raises(state.StateError, match="m1 has files of a control plane that is not whole"):
        state.checked(masters("foreign"))
    with pytest.raises(state.StateError, match="m1 is a worker"):
        state.checked(masters("worker"))


def test_remnants_are_found_by_name_or_address():
    listed = [
        Member("1", "m1", ("https://192.0.2.11:2380",)),
        Member("2", "", ("https://192.0.2.12:2380",)),
        Member("3", "m3", ("https://192.0.2.13:2380",)),
        Member("4", "", ("https://[2001:db8::1]:2380",)),
    ]
    assert [member.id for member in state.remnants(listed, "m2", "192.0.2.12")] == ["2"]
    assert [member.id for member in state.remnants(listed, "m3", "192.0.2.99")] == ["3"]
    assert [member.id for member in state.remnants(listed, "", "2001:db8::1")] == ["4"]
    assert state.remnants(listed, "m9", "192.0.2.1") == []


KUBECONFIG = "clusters:\n- cluster:\n    server: https://api.example.com:6443\n  name: kubernetes\n"


def test_a_kubeconfig_is_led_elsewhere():
    assert (
        state.with_server(KUBECONFIG, "https://192.0.2.11:6443").splitlines()[2]
        == "    server: https://192.0.2.11:6443"
    )
    named = state.with_server(KUBECONFIG, "https://203.0.113.7:6443", "api.example.com")
    assert "    tls-server-name: api.example.com" in named.splitlines()


def test_a_join_command_is_read():
    shown = "kubeadm join a:6443 --token t --discovery-token-ca-cert-hash sha256:1 --discovery-token-ca-cert-hash sha256:2\n"
    assert state.join_command(shown) == ("t", ["sha256:1", "sha256:2"])
    with pytest.raises(state.StateError):
        state.join_command("nothing")


def test_the_hairpin_is_known_before_any_packet():
    said = cause.hairpin_rule("private_direct", "none", "v1.33.4", "api.example.com:6443")
    assert said.startswith("Hairpin: ") and "wait-control-plane" in said and "private_haproxy" in said
    for topology, cure, version in (
        ("private_direct", "hosts_init", "v1.33.4"),
        ("private_haproxy", "none", "v1.33.4"),
        ("private_direct", "none", "v1.33.13"),
        ("private_direct", "none", ""),
    ):
        assert cause.hairpin_rule(topology, cure, version, "a:1") == ""


#: The words of Go's crypto/x509, which name the time.
EXPIRED = "tls: failed to verify certificate: x509: certificate has expired or is not yet valid: current time"


def test_what_the_hairpin_stops_later_is_said():
    assert "kube-proxy" in cause.hairpin_later("private_direct", "hosts_init", "a:1")
    assert cause.hairpin_later("private_direct", "redirect_watch", "a:1") == ""
    assert cause.hairpin_later("public", "none", "a:1") == ""


@pytest.mark.parametrize(
    ("met", "ready", "backend", "lines", "words"),
    [
        ({"result": "timed_out"}, True, True, ["failed at https://192.0.2.11:6443/livez"], "hairpin"),
        ({"result": "timed_out"}, True, False, [], "look at the listener"),
        ({"result": "timed_out"}, False, True, [], "look at the listener"),
        ({"result": "unreachable", "error": "no name"}, True, False, [], "(no name); look at name resolution"),
        ({"result": "open", "http_status": 200}, True, False, [], "the front end is not the reason"),
        ({"result": "refused"}, True, False, [], "does not find it healthy yet"),
        ({"result": "refused"}, False, False, [], "never became ready"),
        ({"result": "refused"}, False, False, ["x: Running with swap on is not supported"], "swap is on"),
        (
            {},
            False,
            False,
            [f"{EXPIRED} 2026-11-30T10:00:00Z is after 2026-11-29T10:00:00Z"],
            "a certificate has expired",
        ),
        (
            {},
            False,
            False,
            [f"{EXPIRED} 2026-11-30T10:00:00Z is before 2026-12-01T10:00:00Z"],
            "the clocks of the machines differ",
        ),
        ({}, False, False, ["[ERROR Port-6443]: Port 6443 is in use"], "a foreign process holds a port"),
        ({}, False, False, ["[ERROR FileContent]: x"], "kubeadm's own checks refuse this machine"),
    ],
)
def test_why_init_failed(met, ready, backend, lines, words):
    assert words in cause.likely_cause("init", "api.example.com:6443", met, ready, backend, lines)


def test_a_join_behind_the_hairpin():
    assert "hairpin" in cause.likely_cause("join", "a:1", {"result": "timed_out"}, False, True, [])


def test_what_a_machine_lacks_is_told():
    assert state.remarks("Filename Type\n", "1\n", "1\n") == []
    swap, forward, bridge = state.remarks("Filename Type\n/dev/vdb partition 1024 0 -2\n", "0\n", "")
    assert "(/dev/vdb)" in swap and "ip_forward" in forward and "br_netfilter" in bridge


def test_a_master_that_nobody_asked_is_no_fresh_one():
    asked = [Master("m1", state.FRESH), Master("m2", state.UNKNOWN)]
    with pytest.raises(state.StateError, match="m2 was not asked, so kubeadm init might make a second cluster"):
        state.first(asked)
    member = [Master("m1", state.CONTROL_PLANE), *asked[1:]]
    assert state.first(member) is None and state.step(member[1], member) == state.DONE
