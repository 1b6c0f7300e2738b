# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Real runs of ansible-playbook: killed at every writing call, and two at the same time."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import json
import os
import pathlib
import random
import re
import signal
import subprocess
import sys
import threading
import time

import pytest

from documents import LAB, access_list, group, listener, server
from emulator_harness import KEY, REGION

MADE = {
    "name": "prod-api",
    "load_balancer": LAB,
    "server_groups": [group("haproxy", server(1), server(2))],
    "listeners": [
        listener(6443, "haproxy", access_list={"lists": ["office"], "type": "white"}),
        listener(80, "haproxy", enabled=False),
    ],
    "access_lists": [access_list("office", {1: "first"})],
}
WRITES = [
    "CreateLoadBalancer",
    "CreateVServerGroup",
    "CreateAccessControlList",
    "AddAccessControlListEntry",
    "CreateLoadBalancerTCPListener",
    "StartLoadBalancerListener",
    "CreateLoadBalancerTCPListener",
]
CHANGED = {
    "name": "prod-api",
    "load_balancer": {**LAB, "tags": {"stage": "live"}},
    "server_groups": [group("haproxy", server(1, weight=30), server(3)), group("web", server(3))],
    "listeners": [listener(6443, "web", access_list={"lists": []}), listener(80, "haproxy"), listener(443, "web")],
    "access_lists": [access_list("office", {}, state="absent")],
}
RECAP = re.compile(r"ok=(\d+) +changed=(\d+) +unreachable=0 +failed=(\d+)")


class Gate:
    """Leads calls on to the cloud, each after a while, and says of one write that it is there."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._order = threading.Lock()
        self.address = ""
        self.reset()

    def reset(self, stop_at: int = 0, applied: bool = False, slowest: float = 0.0, seed: int = 0) -> None:
        """stop_at: that write, counted from 1, is never answered, applied by the cloud or not. slowest is in seconds."""
        self.writes: list[str] = []
        self.reached = threading.Event()
        self._stop_at, self._applied = stop_at, applied
        self._slowest, self._chance = slowest, random.Random(seed)

    def passed_on(self, request: http.server.BaseHTTPRequestHandler) -> tuple[int, bytes] | None:
        action = request.headers["x-acs-action"]
        with self._order:
            pause = self._chance.uniform(0, self._slowest)
            writing = not action.startswith("Describe")
            self.writes += [action] if writing else []
            last = writing and len(self.writes) == self._stop_at
        time.sleep(pause)
        answer = None
        if self._applied or not last:
            with contextlib.closing(http.client.HTTPConnection(self._target, timeout=10)) as cloud:
                # the host that was signed is part of the headers
                cloud.putrequest("POST", request.path, skip_host=True, skip_accept_encoding=True)
                for name, value in request.headers.items():
                    cloud.putheader(name, value)
                cloud.endheaders()
                response = cloud.getresponse()
                answer = response.status, response.read()
        if last:
            self.reached.set()
            return None
        return answer


@pytest.fixture
def gate(emulator):
    made = Gate(emulator.address)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            answer = made.passed_on(self)
            if answer is None:
                time.sleep(30)  # longer than the run lives
                return
            status, content = answer
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *arguments):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server_of_gate:
        server_of_gate.daemon_threads = True
        server_of_gate.block_on_close = False
        made.address = f"127.0.0.1:{server_of_gate.server_port}"
        thread = threading.Thread(target=server_of_gate.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield made
        finally:
            server_of_gate.shutdown()
            thread.join(5)


class Playbook:
    """Runs of a document."""

    def __init__(self, directory: pathlib.Path, collections: pathlib.Path, address: str) -> None:
        self._directory = directory
        endpoint = f"http://{address}"
        self._connection = {**KEY, "region": REGION, "slb_endpoint": endpoint, "ecs_endpoint": endpoint}
        environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        self._environment = {
            **environment,
            "ANSIBLE_COLLECTIONS_PATH": str(collections),
            "ANSIBLE_LOCALHOST_WARNING": "false",
            "ANSIBLE_INVENTORY_UNPARSED_WARNING": "false",
            "ANSIBLE_INVENTORY": "",
            "ANSIBLE_NOCOLOR": "true",
            "ANSIBLE_PIPELINING": "true",
        }
        self.lock = directory / "run.lock"

    def start(self, document, *, times: int = 1, locked: bool = False) -> subprocess.Popen[str]:
        """The document so often, one after the other."""
        lock = [{"clusterfront.ha.run_lock": {"path": str(self.lock), "state": state}} for state in ("taken", "free")]
        tasks = [{"clusterfront.ha.slb_frontend": {**document, **self._connection}}] * times
        play = {"hosts": "localhost", "gather_facts": False, "tasks": [lock[0], *tasks, lock[1]] if locked else tasks}
        file = self._directory / "front-end.json"
        file.write_text(json.dumps([play]))
        return subprocess.Popen(
            [pathlib.Path(sys.executable).parent / "ansible-playbook", file],
            cwd=self._directory,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, document, **options) -> int:
        return changed(self.start(document, **options))


def changed(process: subprocess.Popen[str]) -> int:
    """How many tasks of a run changed something; fails for a run that failed."""
    output, dummy = process.communicate(timeout=120)
    found = RECAP.search(output)
    assert found is not None and found[3] == "0" and "Traceback" not in output, output
    return int(found[2])


def kill(process: subprocess.Popen[str]) -> None:
    """SIGKILL to the run and to all that it started: workers and modules have sessions of their own."""
    family = [process.pid]
    for parent in family:
        for task in pathlib.Path(f"/proc/{parent}/task").iterdir():
            family += [int(child) for child in (task / "children").read_text().split()]
    for pid in family:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.communicate(timeout=10)


@pytest.fixture
def playbook(tmp_path, collections_path, gate):
    return Playbook(tmp_path, collections_path, gate.address)


@pytest.fixture(scope="module")
def expected():
    """What each document makes when nothing goes wrong, as the first test finds it."""
    return {}


def test_an_undisturbed_run(cloud, gate, playbook, expected):
    assert playbook.run(MADE, times=2) == 1 and gate.writes == WRITES
    expected["made"] = cloud.picture()
    assert playbook.run(CHANGED) == 1
    expected["changed"] = cloud.picture()


def killed(gate, playbook, write: int, applied: bool, **options) -> int:
    """The process id of a run that was killed at a write."""
    gate.reset(stop_at=write, applied=applied)
    process = playbook.start(MADE, **options)
    assert gate.reached.wait(60)
    kill(process)
    assert gate.writes == WRITES[:write]
    gate.reset()
    return process.pid


@pytest.mark.parametrize(
    ("write", "applied"),
    # what a write left that was not applied is what the write before left; test_interruptions has every call without a process
    [
        (1, False),
        *(
            pytest.param(
                number, True, marks=() if number in (1, len(WRITES) // 2, len(WRITES)) else pytest.mark.thorough
            )
            for number in range(1, len(WRITES) + 1)
        ),
    ],
)
def test_a_run_that_was_killed_at_a_write_is_taken_up(cloud, gate, playbook, expected, write, applied):
    killed(gate, playbook, write, applied)
    left = write < len(WRITES)
    # the second of the two finds nothing to do
    assert playbook.run(MADE, times=2) == left and bool(gate.writes) == left
    assert cloud.picture() == expected["made"]


def test_the_lock_of_a_killed_run_keeps_nobody_out(cloud, gate, playbook, expected):
    pid = killed(gate, playbook, 3, True, locked=True)
    assert json.loads(playbook.lock.read_text())["pid"] == pid
    assert playbook.run(MADE, locked=True) == 1 and cloud.picture() == expected["made"]
    assert not playbook.lock.exists()


def test_a_refused_call_is_told_with_its_code_and_request(cloud, playbook):
    fault = {"action": "CreateVServerGroup", "code": "Forbidden.RAM", "status": 403, "message": "no"}
    cloud.emulator.control("PUT", "faults", {"faults": [fault]})
    output, dummy = playbook.start(MADE).communicate(timeout=120)
    told = json.loads(re.search(r"FAILED! => (\{.*\})", output)[1])
    assert "Traceback" not in output and told["msg"].startswith(
        "The cloud refused CreateVServerGroup (Forbidden.RAM): "
    )
    request = told["error"].pop("request_id")
    assert told["error"] == {"code": "Forbidden.RAM", "message": "no", "operation": "CreateVServerGroup"} and request
    # what was made before is taken up
    assert playbook.run(MADE) == 1


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.thorough)])
@pytest.mark.parametrize(("scene", "document"), [("made", MADE), ("changed", CHANGED)])
def test_two_runs_at_the_same_time(cloud, gate, playbook, expected, scene, document, seed):
    if scene == "changed":
        cloud.run(MADE)
    cloud.switch(transition_seconds=0.3)
    gate.reset(slowest=0.2, seed=seed)
    runs = [playbook.start(document) for dummy in range(2)]
    assert sorted(changed(run) for run in runs) in ([0, 1], [1, 1])
    assert cloud.picture() == expected[scene]
    cloud.switch(transition_seconds=0)
    assert not cloud.run(document).changed
