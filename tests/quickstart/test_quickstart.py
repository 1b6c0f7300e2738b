# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The user's own commands on this machine: up, up again, env, a failure, down; and nothing is left of it."""

from __future__ import annotations

import os
import pathlib
import statistics
import subprocess
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
QUICKSTART = ROOT / "quickstart"
ENVIRONMENT = {
    **{
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("ALIBABA_CLOUD_", "ANSIBLE_", "SLB_", "ECS_"))
    },
    "CFHA_SANDBOX": "cfha-qs",
    "CFHA_PORT": "8142",
}
#: A second run in runs that do nothing: about 42 on a quiet machine, up to 70 on one that others use. Twice the first is a defect.
EMPTY_RUNS = 85


def quickstart(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run it as a user does."""
    return subprocess.run(
        [QUICKSTART, *arguments],
        env={**ENVIRONMENT, **environment},
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        timeout=900,
    )


def shown(*command: str) -> str:
    """What a command of the system prints."""
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def machine() -> dict[str, str]:
    """What of this machine the sandbox could have changed."""
    return {
        "namespaces": shown("ip", "netns"),
        "containers": shown("podman", "ps", "--all", "--format", "{{.Names}}"),
        "rules": shown("nft", "list", "ruleset"),
        "links": shown("ip", "-brief", "link"),
        "listening": "\n".join(sorted(line.split()[3] for line in shown("ss", "-Hlntp").splitlines())),
    }


@pytest.fixture(scope="module")
def before() -> dict[str, str]:
    quickstart("down")
    return machine()


@pytest.fixture(scope="module", autouse=True)
def cleaned(before):
    yield
    quickstart("down")


def test_first_run_ends_with_a_healthy_report() -> None:
    begin = time.monotonic()
    run = quickstart()
    print(f"first run: {time.monotonic() - begin:.0f}s\n{run.stdout}")
    assert run.returncode == 0, run.stdout
    assert "Healthy: yes" in run.stdout
    assert "What to try next" in run.stdout
    assert time.monotonic() - begin <= 300


def empty_run() -> float:
    """The seconds of an ansible run that does nothing, in the sandbox's own environment."""
    begin = time.monotonic()
    script = f'eval "$({QUICKSTART} env)" && ansible localhost -m ansible.builtin.ping'
    subprocess.run(["sh", "-c", script], env=ENVIRONMENT, check=True, capture_output=True)
    return time.monotonic() - begin


def test_second_run_changes_nothing_and_says_so() -> None:
    begin = time.monotonic()
    run = quickstart()
    taken = time.monotonic() - begin
    assert run.returncode == 0, run.stdout
    assert "Nothing changed" in run.stdout, run.stdout
    # a machine that is shared is slower at times, and then an empty run is slower as well
    empty = statistics.median(empty_run() for dummy in range(5))
    print(f"second run: {taken:.0f}s, {taken / empty:.0f} empty runs of {empty:.2f}s")
    assert taken <= max(60, EMPTY_RUNS * empty)


def test_env_points_a_shell_at_the_sandbox() -> None:
    script = f'eval "$({QUICKSTART} env)" && ansible localhost -m clusterfront.ha.slb_instance_info -a name=prod-api && echo "region $ALIBABA_CLOUD_REGION"'
    run = subprocess.run(
        ["sh", "-c", script],
        env={**ENVIRONMENT, "HTTP_PROXY": "http://127.0.0.1:9"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert '"name": "prod-api"' in run.stdout
    assert "region cn-hangzhou" in run.stdout


def test_a_step_that_fails_says_which_and_where_to_read() -> None:
    run = quickstart(CFHA_EXAMPLE=str(ROOT / "missing"))
    assert run.returncode != 0
    last = run.stdout.strip().splitlines()[-1]
    assert (
        last.startswith("quickstart: the step '") and "failed:" in last and "read /var/lib/cfha-qs/log/" in last
    ), run.stdout


def test_down_leaves_nothing(before) -> None:
    run = quickstart("down")
    assert run.returncode == 0, run.stdout
    assert machine() == before
    assert not pathlib.Path("/var/lib/cfha-qs").exists()
    again = quickstart("down")
    assert again.returncode == 0 and "nothing to remove" in again.stdout
