# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Render the roles' templates with Ansible itself, on this machine, in one run per role."""

from __future__ import annotations

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
