# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The tarball has all files of the checkout but those of development, Galaxy takes it, and each of its plugins has a document."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import subprocess
import sys

import pytest
import tarball
import yaml

COLLECTION = "clusterfront.ha"
BIN = pathlib.Path(sys.executable).parent


def command(*words: str | pathlib.Path, cwd: pathlib.Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a program of the virtual environment where nothing but the installed collection is found."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    path = f"{BIN}:{clean['PATH']}"
    return subprocess.run(
        [str(BIN / words[0]), *map(str, words[1:])],
        cwd=cwd,
        env={**clean, "PATH": path, "ANSIBLE_NOCOLOR": "true", **environment},
        text=True,
        capture_output=True,
        check=False,
    )


def test_the_tarball_has_the_files_of_the_checkout(checkout: pathlib.Path, installed: pathlib.Path) -> None:
    assert tarball.differences(checkout, installed) == []


def test_a_file_that_is_missing_or_changed_is_named(checkout: pathlib.Path, installed: pathlib.Path, tmp_path) -> None:
    copied = tmp_path / "ha"
    shutil.copytree(installed, copied)
    listed = json.loads((copied / "FILES.json").read_text())
    listed["files"] = [entry for entry in listed["files"] if entry["name"] != "playbooks/templates/frontend.yml.j2"]
    (copied / "FILES.json").write_text(json.dumps(listed))
    (copied / "README.md").write_text("another one")
    assert tarball.differences(checkout, copied) == [
        "playbooks/templates/frontend.yml.j2 is missing in the tarball",
        "README.md is another file in the tarball",
    ]


@pytest.mark.parametrize("name", tarball.LEFT_OUT)
def test_each_entry_of_the_files_left_out_stands_for_a_file(checkout: pathlib.Path, name: str) -> None:
    assert (checkout / name).exists()


def test_ansible_finds_the_installed_files_unchanged(installed: pathlib.Path) -> None:
    collections = installed.parents[2]
    words = ("collection", "verify", "--offline", COLLECTION, "-p", collections)
    run = command("ansible-galaxy", *words, cwd=collections, ANSIBLE_COLLECTIONS_PATH=str(collections))
    assert run.returncode == 0, run.stdout + run.stderr


FILTERS = f"""
import importlib, json, pathlib, sys
files = pathlib.Path(sys.argv[1], "plugins/filter").glob("*.py")
modules = [importlib.import_module("ansible_collections.{COLLECTION}.plugins.filter." + file.stem) for file in files]
print(json.dumps([name for module in modules for name in module.FilterModule().filters()]))
"""


def plugins_of(installed: pathlib.Path, kind: str) -> set[str]:
    """The names of all plugins of a kind, as the code defines them."""
    if kind == "filter":
        run = command("python", "-B", "-c", FILTERS, installed, cwd=installed, PYTHONPATH=str(installed.parents[2]))
        return {f"{COLLECTION}.{name}" for name in json.loads(run.stdout)}
    return {f"{COLLECTION}.{path.stem}" for path in (installed / "plugins/modules").glob("*.py")}


@pytest.mark.parametrize("kind", ["module", "filter"])
def test_each_plugin_has_a_document(installed: pathlib.Path, kind: str) -> None:
    collections = installed.parents[2]
    environment = {"ANSIBLE_COLLECTIONS_PATH": str(collections)}
    listed = command("ansible-doc", "-t", kind, "--list", "--json", COLLECTION, cwd=collections, **environment)
    assert listed.returncode == 0 and "WARNING" not in listed.stderr, listed.stderr
    names = json.loads(listed.stdout)
    assert set(names) == plugins_of(installed, kind)
    assert [name for name, short in names.items() if not short or short == "UNDOCUMENTED"] == []
    shown = command("ansible-doc", "-t", kind, "--json", *names, cwd=collections, **environment)
    assert shown.returncode == 0 and "WARNING" not in shown.stderr, shown.stderr
    documents = json.loads(shown.stdout)
    assert [name for name in names if not documents[name]["doc"]["description"]] == []
    assert [name for name in names if not documents[name]["examples"]] == []


def test_each_role_has_a_document(installed: pathlib.Path) -> None:
    collections = installed.parents[2]
    words = ("-t", "role", "--list", "--json", COLLECTION)
    shown = command("ansible-doc", *words, cwd=collections, ANSIBLE_COLLECTIONS_PATH=str(collections))
    assert shown.returncode == 0 and "WARNING" not in shown.stderr, shown.stderr
    documented = {name for name, role in json.loads(shown.stdout).items() if role["entry_points"]}
    assert documented == {f"{COLLECTION}.{path.name}" for path in (installed / "roles").iterdir() if path.is_dir()}


def test_every_playbook_passes_the_syntax_check(installed: pathlib.Path) -> None:
    collections = installed.parents[2]
    books = sorted(path.stem for path in (installed / "playbooks").glob("*.yml"))
    words = ("-i", installed / "examples/kube_apiserver/inventory.yml", "--syntax-check")
    run = command(
        "ansible-playbook",
        *words,
        *(f"{COLLECTION}.{name}" for name in books),
        cwd=collections,
        ANSIBLE_COLLECTIONS_PATH=str(collections),
    )
    assert run.returncode == 0, run.stdout + run.stderr


def test_galaxy_imports_it_without_a_warning(built: pathlib.Path, tmp_path: pathlib.Path) -> None:
    # the stage lint runs ansible-lint with a stricter profile over the same files
    run = command("python", "-m", "galaxy_importer.main", built, cwd=tmp_path, GALAXY_IMPORTER_RUN_ANSIBLE_LINT="false")
    said = run.stdout + run.stderr
    assert run.returncode == 0 and "Importer processing completed successfully" in said, said
    assert [line for line in said.splitlines() if "WARNING" in line or "ERROR" in line] == []
    result = json.loads((tmp_path / "importer_result.json").read_text())
    contents = {(entry["content_type"], entry["name"]) for entry in result["contents"]}
    assert ("role", "haproxy") in contents and ("module", "slb_frontend") in contents


def test_a_version_of_the_metadata_is_that_of_the_tarball(checkout: pathlib.Path, built: pathlib.Path) -> None:
    version = yaml.safe_load((checkout / "galaxy.yml").read_text())["version"]
    assert built.name == f"clusterfront-ha-{version}.tar.gz"
