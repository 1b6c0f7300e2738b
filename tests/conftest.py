# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Make ``ansible_collections.clusterfront.ha`` importable, wherever the checkout is."""

from __future__ import annotations

import atexit
import pathlib
import shutil
import sys
import tempfile

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]


def _tree() -> pathlib.Path:
    """The directory above ansible_collections: the checkout's own, else a temporary one that links to it."""
    if ROOT.parts[-3:] == ("ansible_collections", "clusterfront", "ha"):
        return ROOT.parents[2]
    tree = pathlib.Path(tempfile.mkdtemp(prefix="clusterfront-tests-"))
    atexit.register(shutil.rmtree, tree, ignore_errors=True)
    namespace = tree / "ansible_collections" / "clusterfront"
    namespace.mkdir(parents=True)
    (namespace / "ha").symlink_to(ROOT)
    return tree


TREE = _tree()
sys.path.insert(0, str(TREE))


@pytest.fixture(scope="session")
def root() -> pathlib.Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def collections_path() -> pathlib.Path:
    """What belongs into ANSIBLE_COLLECTIONS_PATH and PYTHONPATH of a process that a test starts."""
    return TREE
