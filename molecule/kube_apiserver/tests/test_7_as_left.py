# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run that has nothing to do ends early, and what somebody did by hand makes it a whole one."""

from __future__ import annotations

import pytest
from lab import deployed, on

#: What a run says that had nothing to do.
AS_LEFT = "prod-api is as the last run left it, on the cloud and on 6 machines, so nothing was done"
#: A machine, what somebody did there, how that is called, what shows that it is mended, and what that says.
BY_HAND = [
    ("client-1", "grep -v api.example.com /etc/hosts >/tmp/hosts; cat /tmp/hosts >/etc/hosts", "/etc/hosts",
     "grep -c api.example.com /etc/hosts", "1"),
    ("haproxy-1", "systemctl stop haproxy", "haproxy.service", "systemctl is-active haproxy", "active"),
    ("haproxy-2", "sysctl -qw net.ipv4.conf.all.rp_filter=1", "net/ipv4/conf/all/rp_filter",
     "cat /proc/sys/net/ipv4/conf/all/rp_filter", "0"),
]  # fmt: skip


def test_a_run_with_nothing_to_do_ends_early() -> None:
    # the tests before this one have tried other front ends on the same machines
    deployed()
    run = deployed()
    assert AS_LEFT in run.output and run.changed == 0


def test_what_was_done_by_hand_is_named_and_mended() -> None:
    for name, command, *dummy in BY_HAND:
        on(name, command)
    run = deployed()
    for name, command, called, look, right in BY_HAND:
        said = next(
            part for part in run.output.split("TASK [Say what is different]")[1].split("ok: [") if part.startswith(name)
        )
        assert called in said, said
        assert on(name, look) == right, name
    assert run.changed >= len(BY_HAND)
    assert AS_LEFT in deployed().output


@pytest.mark.thorough
def test_check_mode_says_it_too() -> None:
    run = deployed("--check")
    assert AS_LEFT in run.output and run.changed == 0


@pytest.mark.thorough
def test_another_input_is_a_difference() -> None:
    run = deployed("--check", "-e", "haproxy_timeout_connect=7s")
    assert "Different since the last whole run: the inputs." in run.output and run.changed > 0
