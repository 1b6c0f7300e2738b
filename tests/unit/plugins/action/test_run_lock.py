# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lock of a run, on real files and with real processes."""

from __future__ import annotations

import json
import multiprocessing
import os
import socket
import subprocess
import sys

import pytest
from ansible.errors import AnsibleActionFail

from ansible_collections.clusterfront.ha.plugins.action import run_lock


def mine(pid=None):
    pid = pid or os.getpid()
    return {"host": socket.gethostname(), "pid": pid, "started": run_lock.started(pid)}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "below" / "prod.lock"


@pytest.fixture
def other():
    """A process of this machine that is alive."""
    process = subprocess.Popen(["sleep", "60"])
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_taken_and_given_back(path):
    run_lock.take(path, mine())
    assert json.loads(path.read_text()) == mine()
    run_lock.take(path, mine())
    run_lock.free(path, mine())
    assert list(path.parent.iterdir()) == []
    run_lock.free(path, mine())


def test_a_lock_of_a_run_that_goes_on(path, other):
    run_lock.take(path, mine(other.pid))
    with pytest.raises(
        AnsibleActionFail, match=rf"Another run \(process {other.pid} on .*\) is changing this front end"
    ):
        run_lock.take(path, mine())
    run_lock.free(path, mine())
    assert json.loads(path.read_text())["pid"] == other.pid


def test_a_lock_of_another_machine_counts_as_alive(path):
    run_lock.take(path, {**mine(), "host": "another.example.com", "started": None})
    with pytest.raises(AnsibleActionFail, match="on another.example.com"):
        run_lock.take(path, mine())


def test_a_lock_whose_run_was_killed_is_taken_over(path, other):
    run_lock.take(path, mine(other.pid))
    other.kill()
    other.wait()
    run_lock.take(path, mine())
    assert json.loads(path.read_text()) == mine()


def test_the_time_zone_of_who_asks_is_no_matter(path, other, monkeypatch):
    run_lock.take(path, mine(other.pid))
    for zone in ("Asia/Shanghai", "America/New_York"):
        monkeypatch.setenv("TZ", zone)
        with pytest.raises(AnsibleActionFail, match="is changing this front end"):
            run_lock.take(path, mine())


def test_without_proc_ps_tells_the_same_in_any_zone(other, monkeypatch):
    told = set()
    for zone in ("UTC", "Asia/Shanghai"):
        monkeypatch.setenv("TZ", zone)
        told.add(run_lock._by_ps(other.pid))
    assert len(told) == 1 and None not in told
    monkeypatch.setattr(run_lock, "pathlib", NoProc)
    assert run_lock.started(other.pid) in told
    other.kill()
    other.wait()
    assert run_lock.started(other.pid) is None


class NoProc:
    """A controller without /proc."""

    @staticmethod
    def Path(*parts):
        raise OSError(parts)


def test_a_process_number_that_is_used_again(path, other):
    run_lock.take(path, {**mine(other.pid), "started": "Thu Jan  1 00:00:00 1970"})
    run_lock.take(path, mine())


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"host": "a"}'])
def test_a_file_that_is_no_lock(path, text):
    path.parent.mkdir()
    path.write_text(text)
    run_lock.take(path, mine())
    assert json.loads(path.read_text()) == mine()


def contend(path, runs, results):
    try:
        run_lock.take(path, runs)
        results.put(runs["pid"])
    except AnsibleActionFail:
        results.put(None)


@pytest.mark.parametrize("stale", [False, True])
def test_of_many_takers_one_wins(path, stale):
    context = multiprocessing.get_context("fork")
    takers = [subprocess.Popen(["sleep", "60"]) for dummy in range(4)]
    try:
        for dummy in range(10):
            path.unlink(missing_ok=True)
            if stale:
                path.parent.mkdir(exist_ok=True)
                path.write_text(json.dumps({**mine(), "started": "long ago"}))
            results = context.Queue()
            processes = [context.Process(target=contend, args=(path, mine(taker.pid), results)) for taker in takers]
            for process in processes:
                process.start()
            won = [results.get(timeout=20) for process in processes]
            for process in processes:
                process.join(20)
            assert len([pid for pid in won if pid]) == 1
            assert json.loads(path.read_text())["pid"] in won
    finally:
        for taker in takers:
            taker.kill()
            taker.wait()


HERE = {
    "ALIBABA_CLOUD_REGION": "cn-hangzhou",
    "ALIBABA_CLOUD_ACCESS_KEY_ID": "one",
    "SLB_ENDPOINT": "http://127.0.0.1:1",
}


@pytest.mark.parametrize(
    ("front_end", "other"),
    [
        ("b", {}),
        ("a", {"ALIBABA_CLOUD_REGION": "cn-beijing"}),
        ("a", {"ALIBABA_CLOUD_ACCESS_KEY_ID": "two"}),
        ("a", {"ALIBABA_CLOUD_ACCESS_KEY_ID": "", "ALICLOUD_ACCESS_KEY": "two"}),
        ("a", {"ALIBABA_CLOUD_ACCESS_KEY_ID": "", "ALIBABA_CLOUD_PROFILE": "two"}),
        ("a", {"SLB_ENDPOINT": "http://127.0.0.1:2"}),
        ("a", {"SLB_ENDPOINT": ""}),
    ],
)
def test_front_ends_that_are_two_have_two_locks(front_end, other):
    assert run_lock.lock_path("/d", front_end, {**HERE, **other}) != run_lock.lock_path("/d", "a", HERE)


@pytest.mark.parametrize(
    "same",
    [
        {"ALIBABA_CLOUD_REGION": "", "ALICLOUD_REGION_ID": "cn-hangzhou"},
        {"ALIBABA_CLOUD_ACCESS_KEY_ID": "", "ALICLOUD_ACCESS_KEY_ID": "one"},
        {"SLB_ENDPOINT": "HTTP://127.0.0.1:1/"},
        {"ECS_ENDPOINT": "192.0.2.1", "HOME": "/elsewhere"},
    ],
)
def test_one_front_end_has_one_lock_however_it_is_told(same):
    assert run_lock.lock_path("/d", "a", {**HERE, **same}) == run_lock.lock_path("/d", "a", HERE)


def test_temporary_keys_share_a_lock():
    first, second = ({**HERE, "ALIBABA_CLOUD_ACCESS_KEY_ID": f"STS.{number}"} for number in (1, 2))
    assert run_lock.lock_path("/d", "a", first) == run_lock.lock_path("/d", "a", second)


def test_a_lock_lies_in_its_directory():
    slash, underscore = (run_lock.lock_path("/d", name, HERE) for name in ("kube/prod", "kube_prod"))
    assert slash.parent == underscore.parent and slash.name.startswith("kube_prod-") and slash != underscore


BOTH = """
- hosts: localhost
  gather_facts: false
  tasks:
    - clusterfront.ha.run_lock: {{front_end: prod, directory: "{directory}"}}
    - ansible.builtin.command: "{again}"
      environment: {{ALIBABA_CLOUD_REGION: "{region}"}}
"""
ONE = """
- hosts: localhost
  gather_facts: false
  tasks:
    - clusterfront.ha.run_lock: {{front_end: prod, directory: "{directory}"}}
"""


@pytest.mark.parametrize("region", ["cn-hangzhou", "cn-beijing"])
def test_a_run_in_another_region_does_not_wait(region, tmp_path, collections_path):
    """A run that holds the lock of its front end starts another run for a front end of that name."""
    inner = tmp_path / "inner.yml"
    inner.write_text(ONE.format(directory=tmp_path))
    again = f"{sys.executable} -m ansible playbook -i localhost, -c local {inner}"
    outer = tmp_path / "outer.yml"
    outer.write_text(BOTH.format(directory=tmp_path, again=again, region=region))
    run = playbook(outer, collections_path, ALIBABA_CLOUD_REGION="cn-hangzhou")
    if region == "cn-hangzhou":
        assert run.returncode != 0 and "is changing this front end and holds" in run.stdout
    else:
        assert run.returncode == 0, run.stdout + run.stderr
        assert len(list(tmp_path.glob("prod-*.lock"))) == 2


PLAY = """
- hosts: localhost
  gather_facts: false
  tasks:
    - clusterfront.ha.run_lock: {{path: "{path}"}}
    - ansible.builtin.command: cat "{path}"
      register: during
    - ansible.builtin.assert: {{that: "(during.stdout | from_json).host | length > 0"}}
    - clusterfront.ha.run_lock: {{path: "{path}", state: free}}
    - ansible.builtin.stat: {{path: "{path}"}}
      register: after
    - ansible.builtin.assert: {{that: not after.stat.exists}}
"""


def playbook(play, collections_path, **environment):
    """A run of ansible-playbook on this machine."""
    interpreter = "ansible_python_interpreter={{ ansible_playbook_python }}"
    return subprocess.run(
        [sys.executable, "-m", "ansible", "playbook", "-i", "localhost,", "-c", "local", "-e", interpreter, play],
        env={
            **os.environ,
            "ANSIBLE_COLLECTIONS_PATH": str(collections_path),
            "ANSIBLE_LOCALHOST_WARNING": "false",
            **environment,
        },
        capture_output=True,
        text=True,
        check=False,
    )


def test_in_a_playbook(path, tmp_path, collections_path):
    play = tmp_path / "play.yml"
    play.write_text(PLAY.format(path=path))
    run = playbook(play, collections_path)
    assert run.returncode == 0, run.stdout + run.stderr
