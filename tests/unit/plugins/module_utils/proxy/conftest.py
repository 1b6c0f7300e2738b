# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.clusterfront.ha.plugins.module_utils._haproxy.proxy import HAProxy


@pytest.fixture
def settings(tmp_path):
    """A host without systemd: everything below one directory, and a binary that takes everything. HAProxy stands for all programs."""
    directory = tmp_path / "haproxy"
    (directory / "releases").mkdir(parents=True)
    binary = tmp_path / "binary"
    binary.write_text("#!/bin/sh\nexit 0\n")
    binary.chmod(0o755)
    return HAProxy(
        str(directory), str(binary), "none.service", str(tmp_path / "units"), "/p", "/s", "/m", 1
    )  # fmt: skip
