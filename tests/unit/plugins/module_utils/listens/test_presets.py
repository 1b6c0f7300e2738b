# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the presets stand for. The roles' own tests render each of them."""

from __future__ import annotations

from ansible_collections.clusterfront.ha.plugins.module_utils._listens.presets import preset_listens

OPTIONS = {"bind_address": "", "bind_ipv6": True, "backends": [], "backend_group": "servers"}


def test_several_presets():
    found = preset_listens(["rke2", "rke2"], OPTIONS)
    assert [listen["name"] for listen in found] == ["rke2_supervisor", "rke2_apiserver"] * 2
    assert found[0]["bind"] == [{"address": "", "port": 9345}, {"address": "::", "port": 9345}]
