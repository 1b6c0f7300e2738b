# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The tarball of this test run, or one that is built here, and the collection as it is installed from it."""

from __future__ import annotations

import os
import pathlib

import pytest
import tarball

ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def checkout() -> pathlib.Path:
    """The checkout that the tarball was built from."""
    return pathlib.Path(os.environ.get("CFHA_CHECKOUT") or ROOT)


@pytest.fixture(scope="session")
def built(checkout: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The tarball."""
    given = os.environ.get("CFHA_TARBALL")
    return pathlib.Path(given) if given else tarball.build(checkout, tmp_path_factory.mktemp("build"))


@pytest.fixture(scope="session")
def installed(built: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The collection's directory, with nothing laid over it."""
    return tarball.install(built, tmp_path_factory.mktemp("installed"))
