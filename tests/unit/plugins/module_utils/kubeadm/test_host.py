# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a machine keeps of a run, and the way home that its hosts file gives while kubeadm runs."""

from __future__ import annotations

import pytest
from ansible_collections.clusterfront.ha.plugins.module_utils._kubeadm import host

NAME, OWN = "api.example.com", "192.0.2.11"
FOREIGN = "127.0.0.1 localhost\n192.0.2.100 api.example.com # by hand\n"


@pytest.fixture
def files(tmp_path, monkeypatch):
    """The files of a machine, elsewhere."""
    monkeypatch.setattr(host, "MARK", str(tmp_path / "lib/kubeadm.json"))
    monkeypatch.setattr(host, "HOSTS", str(tmp_path / "hosts"))
    monkeypatch.setattr(host, "KUBERNETES", str(tmp_path / "kubernetes"))
    monkeypatch.setattr(host, "RUN", str(tmp_path / "run"))
    (tmp_path / "hosts").write_text(FOREIGN)
    return tmp_path


def kubeadm(directory, script):
    """A program in the place of kubeadm."""
    path = directory / "kubeadm"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def test_what_has_begun_is_kept(files):
    assert host.mark() == {}
    host.set_mark(doing="init")
    assert host.mark() == {"doing": "init"}
    (files / "lib/kubeadm.json").write_text("[")
    assert host.mark() == {}


def test_the_first_line_leads_home_and_goes_again(files):
    detour = host.Detour(NAME, OWN)
    detour.begin()
    detour.begin()
    lines = (files / "hosts").read_text().splitlines()
    assert lines[0].startswith(f"{OWN} {NAME}") and sum(line.startswith(OWN) for line in lines) == 1
    detour.end()
    assert (files / "hosts").read_text() == FOREIGN
    assert NAME not in detour.clean_up and host.HOSTS in detour.clean_up


@pytest.mark.parametrize(("address", "bits"), [("192.0.2.100", 32), ("2001:db8::1", 128)])
def test_an_address_is_taken_to_the_loopback(address, bits):
    detour = host.Detour(address, OWN)
    assert detour.by_address and f"address delete {address}/{bits} dev lo" in detour.clean_up


def test_a_machine_tells_what_lies_on_it(files):
    assert host.found(1).role == "fresh"
    (files / "kubernetes/manifests").mkdir(parents=True)
    (files / "kubernetes/kubelet.conf").touch()
    assert host.found(1).role == "worker"
    (files / "kubernetes/manifests/kube-apiserver.yaml").touch()
    found = host.found(1)
    assert found.role == "control_plane" and not found.ready
    host.set_mark(doing="join")
    assert host.found(1).role == "interrupted"


def test_secrets_are_in_a_file_for_as_long_as_needed(files):
    path = files / "run/kubeadm.yaml"
    with host.private_file(str(path), "secret"):
        assert path.read_text() == "secret" and path.stat().st_mode & 0o777 == 0o600
    assert not path.exists()


def test_kubeadm_is_asked_in_its_own_words(tmp_path):
    program = kubeadm(tmp_path, 'echo "strict decoding error in $4" >&2; exit 1')
    well, words = host.validate(program, "kind: nothing")
    assert not well and words == "strict decoding error in the configuration"
    assert host.version_of(kubeadm(tmp_path, "echo v1.33.13")) == (1, 33, 13)
    assert host.version_of("") is None
    assert host.version_of(str(tmp_path / "missing")) is None


def test_a_program_that_hangs_is_an_answer(tmp_path):
    done = host.run(kubeadm(tmp_path, "exec sleep 5"), timeout=0.1)
    assert done.returncode == 124 and "more than 0.1 seconds" in done.stderr


def test_a_reset_that_fails_says_why(tmp_path):
    with pytest.raises(host.HostError, match="kubeadm reset failed: no permission"):
        host.reset(kubeadm(tmp_path, "echo no permission >&2; exit 1"), "", "join")


def test_fingerprints_tell_authorities_apart(tmp_path):
    assert host.fingerprint(str(tmp_path / "missing")) == ""
    (tmp_path / "a").write_text("one")
    (tmp_path / "b").write_text("two")
    assert host.fingerprint(str(tmp_path / "a")) != host.fingerprint(str(tmp_path / "b"))
