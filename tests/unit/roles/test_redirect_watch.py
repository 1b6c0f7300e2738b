# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The table of the watcher that leads masters home."""

from __future__ import annotations

import importlib.util

import pytest


@pytest.fixture(scope="module")
def watch(root):
    spec = importlib.util.spec_from_file_location(
        "redirect_watch", root / "roles/kubeadm_endpoint/files/redirect_watch.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_only_the_address_and_its_port_are_led_home(watch):
    text = watch.ruleset("192.0.2.100", 6443, 6443)
    assert text.startswith("table ip clusterfront_redirect {\nchain output {")
    assert text.count("ip daddr 192.0.2.100 tcp dport 6443 redirect to :6443") == 2
    # nft takes a second chain on a line of its own only
    assert "}\nchain prerouting" in text


def test_an_address_of_six_has_a_table_of_its_family(watch):
    assert watch.ruleset("2001:db8::1", 6443, 6443).startswith("table ip6 ")


def test_nobody_is_ready_where_nothing_listens(watch):
    assert watch.ready(1) is False
