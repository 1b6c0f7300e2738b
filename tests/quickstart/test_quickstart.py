# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The user's own commands on this machine: up, up again, env, a failure, down; and nothing is left of it."""

from __future__ import annotations

import contextlib
import os
import pathlib
import signal
import statistics
import subprocess
import tempfile
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
QUICKSTART = ROOT / "quickstart"
#: Beside the sandbox of the tests that this is one of, so that two checkouts can be tested side by side.
SANDBOX = f"{os.environ.get('CFHA_SANDBOX', 'cfha-test')}q"
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
#: The tree that these tests run from is gone when they end, and so are the tools that are made for it.
SCRATCH = tempfile.TemporaryDirectory(prefix="cfha-quickstart-")
ENVIRONMENT = {
    **{
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("ALIBABA_CLOUD_", "ANSIBLE_", "SLB_", "ECS_", "CFHA_"))
    },
    "XDG_CACHE_HOME": SCRATCH.name,
    "PIP_CACHE_DIR": os.environ.get("PIP_CACHE_DIR") or str(CACHE / "pip"),
    "CFHA_SANDBOX": SANDBOX,
    "CFHA_PORT": str(int(os.environ.get("CFHA_PORT", "8141")) + 1),
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


def ours(text: str) -> str:
    """The lines about this sandbox."""
    return "\n".join(sorted(line for line in text.splitlines() if line.startswith(f"{SANDBOX}-")))


def processes() -> str:
    """The processes that work in the sandbox's directory, or that have it in their commands."""
    found = []
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if f"/var/lib/{SANDBOX}/" in f"{words} {os.readlink(process / 'cwd')}/":
                found.append(words)
    return "\n".join(sorted(found))


def machine() -> dict[str, str]:
    """The parts of this machine that the sandbox could have changed; other tests have hosts and processes meanwhile."""
    port = f":{ENVIRONMENT['CFHA_PORT']}"
    links = [line.split()[0] for line in shown("ip", "-brief", "link").splitlines()]
    return {
        "namespaces": ours(shown("ip", "netns")),
        "containers": ours(shown("podman", "ps", "--all", "--format", "{{.Names}}")),
        "rules": shown("nft", "list", "ruleset"),
        # an end of a pair that is on its way into a namespace
        "links": "\n".join(link for link in links if not link.startswith("veth")),
        "processes": processes(),
        "listening": "\n".join(line for line in shown("ss", "-Hlnt").splitlines() if line.split()[3].endswith(port)),
    }


@pytest.fixture(scope="module")
def before() -> dict[str, str]:
    quickstart("down")
    return machine()


@pytest.fixture(scope="module", autouse=True)
def cleaned(before):
    yield
    quickstart("down")
    SCRATCH.cleanup()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_run_that_ends_while_machines_start(before, number) -> None:
    """The first run of the next test repairs what it leaves."""
    process = subprocess.Popen(
        [QUICKSTART], env=ENVIRONMENT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 200
    while not (is_starting(process.pid) and f"{SANDBOX}-master-1" in shown("ip", "netns")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.2)
    plays = [pid for pid in children(process.pid) if pid != process.pid]
    process.send_signal(number)
    process.communicate(timeout=60)
    deadline = time.monotonic() + 10
    while any(map(alive, plays)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert [pid for pid in plays if alive(pid)] == []


def is_starting(pid: int) -> bool:
    """Tell if a run has come to the step that starts the machines."""
    with contextlib.suppress(OSError):
        return any(b"start_sandbox" in pathlib.Path(f"/proc/{child}/cmdline").read_bytes() for child in children(pid))
    return False


def children(pid: int) -> list[int]:
    """A process and all that it started."""
    family = [pid]
    for parent in family:
        for task in pathlib.Path(f"/proc/{parent}/task").glob("*/children"):
            family += [int(child) for child in task.read_text().split()]
    return family


def alive(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


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


def test_a_real_kubernetes_does_not_replace_the_machines() -> None:
    containers = ("podman", "ps", "--format", "{{.Names}} {{.ID}}")
    before_it = ours(shown(*containers))
    run = quickstart("--kubernetes")
    assert run.returncode == 1 and "run ./quickstart down first" in run.stdout
    assert ours(shown(*containers)) == before_it


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
        last.startswith("quickstart: the step '") and "failed:" in last and f"read /var/lib/{SANDBOX}/log/" in last
    ), run.stdout


def test_down_leaves_nothing(before) -> None:
    # a sandbox that is up is seen by the same look
    assert processes()
    run = quickstart("down")
    assert run.returncode == 0, run.stdout
    assert machine() == before
    assert not pathlib.Path("/var/lib", SANDBOX).exists()
    again = quickstart("down")
    assert again.returncode == 0 and "nothing to remove" in again.stdout
