# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Render the roles' templates with Ansible itself, on this machine, in one run per role."""

from __future__ import annotations

import certificates
import pytest
from templates import render_cases


@pytest.fixture
def render():
    """The function itself, for texts that are no template of the role."""
    return render_cases


@pytest.fixture(scope="module")
def rendered(request, root, collections_path, tmp_path_factory):
    """All CASES of the test module."""
    module = request.module
    directory = tmp_path_factory.mktemp(module.ROLE)
    return render_cases(root, collections_path, directory, module.ROLE, module.TEMPLATE, module.CASES)


@pytest.fixture(scope="module")
def pem(request, tmp_path_factory):
    """A certificate, its key, or both, in each of the FILES of the test module."""
    made = certificates.pair("test.example.com")
    directory = tmp_path_factory.mktemp("pem")
    for name, parts in request.module.FILES.items():
        (directory / name).write_text("".join(made[part] for part in parts))
    return directory
