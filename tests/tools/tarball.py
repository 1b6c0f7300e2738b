# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The collection as users get it: built, installed as Ansible installs it, and with the tests laid over it."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import subprocess
import sys

BIN = pathlib.Path(sys.executable).parent

#: The files that the tarball leaves out on purpose: files of development. A name that ends in / stands for all that lies below it.
LEFT_OUT = (
    ".ansible-lint",
    ".ci/",
    ".config/",
    ".gitignore",
    ".yamllint",
    "galaxy.yml",  # the build turns it into MANIFEST.json
    "molecule/",
    "pyproject.toml",
    "tests/",
)
#: The files that only the tarball has: they describe it.
MADE_BY_THE_BUILD = ("FILES.json", "MANIFEST.json")


def left_out(name: str) -> bool:
    """Whether a file of the checkout is no part of the tarball."""
    return any(name.startswith(entry) if entry.endswith("/") else name == entry for entry in LEFT_OUT)


def files_of(checkout: pathlib.Path) -> list[str]:
    """The files that git knows or would add."""
    listed = subprocess.run(
        ["git", "ls-files", "-coz", "--exclude-standard"], cwd=checkout, capture_output=True, text=True, check=True
    )
    return sorted(name for name in listed.stdout.split("\0") if name and (checkout / name).is_file())


def copy(names: list[str], source: pathlib.Path, target: pathlib.Path) -> None:
    """Copy files by their names, with the directories that they lie in."""
    for name in names:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source / name, target / name)


def build(checkout: pathlib.Path, scratch: pathlib.Path) -> pathlib.Path:
    """Build the tarball from the files of a checkout alone, whatever else lies in its directory. Returns its path."""
    source = scratch / "source"
    copy(files_of(checkout), checkout, source)
    _galaxy("build", "--output-path", scratch, "--force", cwd=source)
    shutil.rmtree(source)
    return next(scratch.glob("clusterfront-ha-*.tar.gz"))


def install(tarball: pathlib.Path, scratch: pathlib.Path) -> pathlib.Path:
    """Install the tarball below a directory. Returns the collection's own directory."""
    # without the path Ansible warns that it would not look there
    _galaxy("install", tarball, "-p", scratch, "--offline", "--force", cwd=scratch, path=scratch)
    return scratch / "ansible_collections/clusterfront/ha"


def lay_tests_over(checkout: pathlib.Path, installed: pathlib.Path) -> None:
    """Add the files of development to an installed collection, as a repository of its own.

    Only files that the tarball leaves out on purpose are added: what is missing in the tarball is missing for the tests.
    """
    copy([name for name in files_of(checkout) if left_out(name)], checkout, installed)
    # without a repository ansible-test takes every file for a part of the collection
    for command in (("init", "--quiet"), ("add", "--all")):
        subprocess.run(["git", *command], cwd=installed, check=True, capture_output=True)


def differences(checkout: pathlib.Path, installed: pathlib.Path) -> list[str]:
    """One line for each file that the tarball lacks, that it should not have, or that is another one in it."""
    wanted = {name for name in files_of(checkout) if not left_out(name)}
    listed = json.loads((installed / "FILES.json").read_text(encoding="utf-8"))["files"]
    packed = {entry["name"] for entry in listed if entry["ftype"] == "file"} | set(MADE_BY_THE_BUILD)
    found = [f"{name} is missing in the tarball" for name in sorted(wanted - packed)]
    found += [f"{name} is in the tarball only" for name in sorted(packed - wanted - set(MADE_BY_THE_BUILD))]
    return found + [
        f"{name} is another file in the tarball"
        for name in sorted(wanted & packed)
        if (checkout / name).read_bytes() != (installed / name).read_bytes()
    ]


def _galaxy(what: str, *arguments: str | pathlib.Path, cwd: pathlib.Path, path: pathlib.Path | None = None) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    if path is not None:
        environment["ANSIBLE_COLLECTIONS_PATH"] = str(path)
    subprocess.run(
        [BIN / "ansible-galaxy", "collection", what, *arguments],
        cwd=cwd,
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
