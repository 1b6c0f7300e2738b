# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the programs of Kubernetes are built and kept; that they run, the Molecule scenario kubeadm shows."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


@pytest.fixture(scope="module")
def kubernetes(role: Path) -> ModuleType:
    sys.path.insert(0, str(role / "files"))
    import lab_kubernetes

    return lab_kubernetes


def test_go_is_known_by_its_version(kubernetes: ModuleType) -> None:
    assert kubernetes.go_version("go1.26.8") == (1, 26)
    assert kubernetes.go_version("devel") == (0, 0)


def test_a_machine_without_go_is_told_what_is_missing(kubernetes: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(kubernetes.LabError, match="there is no go on this machine; install Go 1.24 or newer"):
        kubernetes.checked_go()


def test_staging_modules_are_replaced_by_published_ones(kubernetes: ModuleType) -> None:
    read = {
        "Replace": [
            {"Old": {"Path": "k8s.io/api"}, "New": {"Path": "./staging/src/k8s.io/api"}},
            {"Old": {"Path": "example.com/a"}, "New": {"Path": "example.com/b"}},
        ]
    }
    replaced = kubernetes.staging(read, "1.33.13")
    assert replaced == {"k8s.io/api": "v0.33.13"}
    text = kubernetes.go_mod_text(kubernetes.PRODUCTS[0], replaced)
    assert "require k8s.io/kubernetes v1.33.13\nreplace k8s.io/api => k8s.io/api v0.33.13\n" in text


def test_products_are_kept_by_version_and_recipe(kubernetes: ModuleType) -> None:
    keys = [product.key for product in (*kubernetes.PRODUCTS, *kubernetes.EXTRAS)]
    assert len(set(keys)) == len(keys)
    assert [key.rpartition("-")[0] for key in keys if key.startswith("kubeadm-")] == [
        "kubeadm-1.33.4",
        "kubeadm-1.30.4",
    ]


def products_of(bundle: Any) -> None:
    """Put something in the place of what a build would make."""
    for product in bundle.missing:
        bundle.product(product).mkdir()
        for command in product.commands:
            (bundle.product(product) / command).write_text(f"{command} {product.version}")


def test_a_bundle_is_made_of_what_is_there(kubernetes: ModuleType, tmp_path: Path) -> None:
    bundle = kubernetes.Bundle(tmp_path)
    assert bundle.missing == list(kubernetes.PRODUCTS)
    products_of(bundle)
    assert bundle.missing == [] and not bundle.made
    kubernetes.Builder(bundle, lambda text: None).build()
    assert bundle.made
    assert (bundle.path / "kubeadm").read_text() == "kubeadm 1.33.13"
    assert (bundle.path / "real/kubelet").read_text() == "kubelet 1.33.13"
    assert (bundle.path / "kubelet").read_text() == "as-user 1"
    assert sorted(path.name for path in bundle.path.glob("kubeadm*")) == ["kubeadm"]


def test_a_cluster_needs_no_kubeadm_that_only_tests_want(kubernetes: ModuleType, tmp_path: Path) -> None:
    bundle, whole = kubernetes.Bundle(tmp_path), kubernetes.Bundle(tmp_path, extras=True)
    products_of(bundle)
    kubernetes.Builder(bundle, lambda text: None).build()
    assert bundle.path != whole.path and not whole.made
    # what is there is not built again
    assert whole.missing == list(kubernetes.EXTRAS)
    products_of(whole)
    kubernetes.Builder(whole, lambda text: None).build()
    assert (whole.path / "kubeadm-1.33.4").read_text() == "kubeadm 1.33.4"
    assert (whole.path / "kubeadm-1.30.4").read_text() == "kubeadm 1.30.4"
    assert (whole.path / "kubeadm").read_text() == "kubeadm 1.33.13"
    assert bundle.made and whole.made


@pytest.mark.parametrize("extras", [False, True])
def test_the_command_tells_what_is_missing(kubernetes: ModuleType, tmp_path: Path, extras: bool) -> None:
    command = [sys.executable, "-B", kubernetes.__file__, "missing", *(["--extras"] if extras else []), str(tmp_path)]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert told == [product.key for product in kubernetes.Bundle(tmp_path, extras).products]
    assert any(key.startswith("kubeadm-1.30.4") for key in told) == extras


def test_the_image_has_every_name_that_kubeadm_asks_for(kubernetes: ModuleType, tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("text")
    kubernetes.write_image(tmp_path / "images.tar", {"pause": program}, kubernetes.image_names())
    with tarfile.open(tmp_path / "images.tar") as archive:
        manifest = json.load(archive.extractfile("manifest.json"))  # type: ignore[arg-type]
        assert set(archive.getnames()) >= {manifest[0]["Config"], *manifest[0]["Layers"]}
    assert "local.test/k8s/kube-apiserver:v1.33.13" in manifest[0]["RepoTags"] and len(manifest[0]["RepoTags"]) == 8
