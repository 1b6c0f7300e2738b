# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The parts of quickstart.py that need neither root nor a network."""

from __future__ import annotations

import errno
import importlib.util
import io
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]


def load():
    spec = importlib.util.spec_from_file_location("clusterfront_quickstart", ROOT / "quickstart.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


qs = load()


@pytest.fixture
def checkout(tmp_path):
    """A checkout without tools."""
    root = tmp_path / "some where" / "ha"
    root.mkdir(parents=True)
    (root / "requirements.txt").write_text("one\n")
    (root / "test-requirements.txt").write_text("two\n")
    return qs.Checkout(root, tmp_path / "cache")


@pytest.fixture
def sandbox(tmp_path):
    return qs.Sandbox("cfha-u", tmp_path)


# --- The checkout and its place ---


def test_every_checkout_has_a_place_of_its_own():
    first, second = (qs.place_name(pathlib.Path(path)) for path in ("/a/ha", "/b/ha"))
    assert first != second and first.startswith("ha-") and len(first) == len("ha-") + 8
    assert qs.place_name(pathlib.Path("/a/h a:ä")).startswith("h_a__-")


def test_tools_count_as_made_when_their_mark_says_so(checkout):
    checkout.venv.mkdir(parents=True)
    mark = checkout.venv / "made-of"
    assert not checkout.has_tools("run")
    mark.write_text(checkout.key("run"))
    assert checkout.has_tools("run") and not checkout.has_tools("all")
    mark.write_text(checkout.key("all"))
    assert checkout.has_tools("run") and checkout.has_tools("all")
    (checkout.root / "requirements.txt").write_text("three\n")
    assert not checkout.has_tools("run") and not checkout.has_tools("all")


def test_tools_are_made_anew_for_another_python():
    keys = {qs.tools_key(version, ["a", "b"], "all") for version in ("3.11.1", "3.11.2")}
    assert len(keys | {qs.tools_key("3.11.1", ["ab", ""], "all")}) == 3


@pytest.mark.parametrize("laid_out", [False, True])
def test_where_ansible_finds_the_collection(tmp_path, laid_out):
    root = tmp_path / "ansible_collections/clusterfront/ha" if laid_out else tmp_path / "ha"
    checkout = qs.Checkout(root, tmp_path / "cache")
    checkout.packages.mkdir(parents=True)
    qs.lead_to_collection(checkout)
    assert checkout.collections == (tmp_path if laid_out else checkout.packages)
    link = checkout.packages / "ansible_collections/clusterfront/ha"
    assert link.is_symlink() is not laid_out
    if not laid_out:
        link.unlink()
        link.symlink_to("/elsewhere")
        qs.lead_to_collection(checkout)
        assert os.readlink(link) == str(root)


def test_the_cache_is_where_the_environment_says(tmp_path):
    assert qs.cache_directory({"XDG_CACHE_HOME": "/c"}) == pathlib.Path("/c/cfha")
    assert qs.cache_directory({"XDG_CACHE_HOME": ""}) == pathlib.Path.home() / ".cache/cfha"


# --- The sandbox ---


def test_a_sandbox_has_a_mark_from_its_first_moment(sandbox):
    assert sandbox.mark() is None
    mark = qs.Mark("/a/ha", 8140)
    sandbox.claim(mark)
    assert sandbox.mark() == mark and sandbox.logs.is_dir() and not sandbox.used
    sandbox.claim(qs.Mark("/a/ha", 8141, qs.PLAIN))
    assert sandbox.mark() == qs.Mark("/a/ha", 8141, qs.PLAIN)
    assert [path.name for path in sandbox.states.iterdir()] == ["cfha-u"]
    (sandbox.state / "emulator").mkdir()
    assert sandbox.used


def test_a_claim_that_was_killed_is_repeated(sandbox):
    (sandbox.states / ".cfha-u.new").mkdir()
    (sandbox.states / ".cfha-u.new/sandbox.json.new").write_text("{")
    sandbox.claim(qs.Mark("/a/ha", 8140))
    assert sandbox.mark() == qs.Mark("/a/ha", 8140)


def test_an_access_key_is_made_once_and_kept_from_others(sandbox):
    sandbox.claim(qs.Mark("/a/ha", 8140))
    key = sandbox.access_key()
    assert sandbox.access_key() == key and key[0].startswith("sandbox-")
    assert (sandbox.state / "access-key").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "text", [None, "", "{}", "[]", '{"sandbox": "another", "checkout": "/a", "port": 1, "mode": ""}']
)
def test_a_directory_without_a_mark_of_its_name_is_nobodys(sandbox, text):
    sandbox.state.mkdir()
    if text is not None:
        (sandbox.state / qs.MARK).write_text(text)
    with pytest.raises(qs.Failed, match="is no sandbox of ./quickstart .* choose another name: CFHA_SANDBOX="):
        qs.checked_owner(sandbox, pathlib.Path("/a"))


def test_a_link_to_a_sandbox_is_no_sandbox(sandbox):
    sandbox.claim(qs.Mark("/a/ha", 8140))
    sandbox.state.rename(sandbox.states / "elsewhere")
    sandbox.state.symlink_to(sandbox.states / "elsewhere")
    with pytest.raises(qs.Failed, match="is no sandbox"):
        qs.checked_owner(sandbox, pathlib.Path("/a/ha"))


def test_a_sandbox_of_an_earlier_version_is_told_of(sandbox):
    (sandbox.state / "log").mkdir(parents=True)
    (sandbox.state / "access-key").write_text("a b\n")
    with pytest.raises(qs.Failed, match=f"one of an earlier version, remove it by .* rm -r {sandbox.state}"):
        qs.checked_owner(sandbox, pathlib.Path("/a"))


def test_a_sandbox_is_of_the_checkout_that_made_it(sandbox, checkout, tmp_path):
    assert qs.checked_owner(sandbox, checkout.root) is None
    sandbox.claim(qs.Mark(str(checkout.root), 8140))
    assert qs.checked_owner(sandbox, checkout.root) == qs.Mark(str(checkout.root), 8140)
    with pytest.raises(qs.Failed, match=f"belongs to the checkout {checkout.root}; CFHA_SANDBOX="):
        qs.checked_owner(sandbox, tmp_path)
    # of one that is gone it can be taken over
    checkout.root.rename(tmp_path / "away")
    assert qs.checked_owner(sandbox, tmp_path) == qs.Mark(str(checkout.root), 8140)


@pytest.mark.parametrize("name", ["", "..", "a/b", "a b", "-a", "A", "a" * 40])
def test_names_that_are_none(name):
    with pytest.raises(qs.Failed, match=f"CFHA_SANDBOX is '{name}'"):
        qs.checked_name(name)


@pytest.mark.parametrize("port", ["", "0", "65536", "8140x", "-1"])
def test_ports_that_are_none(port):
    with pytest.raises(qs.Failed, match=f"CFHA_PORT is '{port}'"):
        qs.checked_port(port)


def test_names_and_ports_that_are_right():
    assert qs.checked_name("cfha-test2") == "cfha-test2" and qs.checked_port("8140") == 8140


@pytest.mark.parametrize(
    ("found", "asked", "mode", "told"),
    [
        ("", False, qs.PLAIN, ""),
        ("", True, qs.KUBERNETES, ""),
        (qs.PLAIN, False, qs.PLAIN, ""),
        (qs.KUBERNETES, True, qs.KUBERNETES, ""),
        (qs.KUBERNETES, False, qs.KUBERNETES, "The sandbox cfha runs a real Kubernetes and keeps it"),
    ],
)
def test_a_run_keeps_the_mode_of_its_sandbox(found, asked, mode, told):
    chosen, sentence = qs.chosen_mode(found, asked, "cfha")
    assert chosen == mode and sentence.startswith(told) and bool(sentence) == bool(told)


def test_a_real_kubernetes_does_not_follow_stand_ins():
    with pytest.raises(qs.Failed, match="run ./quickstart down first"):
        qs.chosen_mode(qs.PLAIN, True, "cfha")


# --- Ports ---

TABLE = """  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1FCC 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 111 1 0 100 0 0 10 0
   1: 0100007F:1FCC 0100007F:9999 01 00000000:00000000 00:00000000 00000000     0        0 222 1 0 100 0 0 10 0
   2: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 333 1 0 100 0 0 10 0
"""


def test_who_listens_is_read_from_the_kernels_table():
    assert qs.listening(TABLE, 8140) == {"111"}
    assert qs.listening(TABLE, 8141) == set()


def test_a_taken_port_is_told_with_its_holder(sandbox):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert qs.holder_of(port)[0] == os.getpid()
        with pytest.raises(qs.Failed, match=rf"Port {port} is taken by process {os.getpid()} \(.*python.*CFHA_PORT"):
            qs.checked_port_free(sandbox, port)
    qs.checked_port_free(sandbox, port)


LISTEN = "import socket, sys, time; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True); time.sleep(60)"


@pytest.mark.parametrize("name", ["cfha-u", "cfha-v"])
def test_the_port_of_a_sandbox_is_told_by_the_sandboxs_name(sandbox, tmp_path, name):
    """A process with an emulator's command line: of this sandbox it may have the port."""
    command = [sys.executable, "-c", LISTEN, "--config", f"{tmp_path}/{name}/emulator/config.json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            port = int(process.stdout.readline())
            qs.Sandbox("cfha-v", tmp_path).claim(qs.Mark("/b/ha", port))
            if name == "cfha-u":
                qs.checked_port_free(sandbox, port)
            else:
                with pytest.raises(qs.Failed, match="taken by the sandbox cfha-v of the checkout /b/ha, process"):
                    qs.checked_port_free(sandbox, port)
        finally:
            process.kill()


# --- Space ---


def test_a_disk_that_is_too_full_is_told_with_what_is_needed(tmp_path):
    free = qs.free_megabytes(tmp_path)
    qs.checked_space([qs.Need(tmp_path, 1, "A")], "this")
    half = free * 2 // 3
    needs = [qs.Need(tmp_path / "a/b", half, "A"), qs.Need(tmp_path / "c", half, "B")]
    for need in needs:
        qs.checked_space([need], "this")
    told = f"The disk of {tmp_path}/a/b and {tmp_path}/c is too full: this needs {2 * half} MB, and .* lead it elsewhere by A or B"
    with pytest.raises(qs.Failed, match=told):
        qs.checked_space(needs, "this")


def test_a_disk_that_fills_up_is_named():
    with pytest.raises(OSError) as caught, open("/dev/full", "w", buffering=1, encoding="ascii") as full:
        full.write("text\n")
    assert caught.value.errno == errno.ENOSPC
    assert qs.out_of_space(caught.value).startswith("the disk of /")
    named = OSError(errno.ENOSPC, "No space left on device", "/var/lib/there/is/nothing")
    assert qs.out_of_space(named).startswith("the disk of /var/lib is full: ")


# --- Reasons ---


@pytest.mark.parametrize(
    ("log", "told"),
    [
        ('fatal: [a]: FAILED! => {"msg": "First"}\nfatal: [b]: FAILED! => {"changed": false, "msg": "Port \\"1\\" is"}', 'b: Port \\"1\\" is'),
        ("Reading package lists...\nE: Unable to locate package runc\n", "E: Unable to locate package runc"),
        (
            "W: Failed to fetch http://192.0.2.1/Release  Could not connect to 192.0.2.1\nE: Unable to locate package runc\n",
            "apt can't fetch http://192.0.2.1/Release: Could not connect to 192.0.2.1 (its sources and proxies are in /etc/apt)",
        ),
        (
            "WARNING: Retrying (...) after connection broken by '...: Connection refused': /simple/x/\n"
            "ERROR: Could not find a version that satisfies the requirement x\nERROR: No matching distribution found for x\n",
            "INDEX does not answer (Connection refused); PIP_INDEX_URL or pip's own configuration gives another",
        ),
        ("ERROR: No matching distribution found for x==9\n", "ERROR: No matching distribution found for x==9"),
        ("some\nwords\n\n", "words"),
        ("", "it said nothing"),
    ],
)  # fmt: skip
def test_why_a_step_failed(log, told):
    assert qs.reason(log, "", "INDEX") == told


def test_pip_gives_its_reasons_in_the_details_only():
    told = qs.reason("ERROR: ResolutionImpossible\n", "Could not fetch URL: Network is unreachable\n", "INDEX")
    assert told.startswith("INDEX does not answer (Network is unreachable)")
    assert qs.reason("ERROR: ResolutionImpossible\n", "Found link\n", "INDEX") == "ERROR: ResolutionImpossible"


def test_a_full_disk_comes_before_what_followed_from_it():
    told = qs.reason("OSError: [Errno 28] No space left on device\nERROR: Could not install packages")
    assert told.startswith("the disk of /") and "MB are free" in told


# --- Processes ---

TREE = "sleep 61 & setsid sh -c 'trap \"\" TERM; sleep 62 & wait; sleep 63' & wait"


def test_all_that_a_process_started_ends_with_it():
    child = subprocess.Popen(["sh", "-c", TREE])
    deadline = time.monotonic() + 10
    while len(qs.family(child.pid)) < 4 and time.monotonic() < deadline:
        time.sleep(0.05)
    members = qs.family(child.pid)
    assert len(members) == 4
    qs.end_family(child, 0.5)
    assert child.returncode == -signal.SIGTERM
    assert not members.keys() & qs.processes().keys()


def test_the_family_of_a_process_that_is_gone_is_empty():
    child = subprocess.Popen(["true"])
    child.wait()
    assert qs.family(child.pid) == {}


# --- Steps ---


@pytest.fixture
def run(checkout, tmp_path):
    return qs.Run(checkout, tmp_path / "log", io.StringIO())


def test_a_step_shows_how_long_it_took(run):
    with run.step("Do it", "one") as step:
        assert step.run("sh", "-c", "echo word; echo other >&2; cat")
    assert run.out.getvalue() == f"{'Do it ...':<52}    0s\n"
    assert (run.logs / "one.log").read_text() == "$ sh -c echo word; echo other >&2; cat\nword\nother\n"


def test_a_command_that_fails_fails_its_step(run):
    with pytest.raises(qs.Failed) as failed, run.step("Do it", "one") as step:
        assert not step.run("false", may_fail=True)
        step.run("sh", "-c", "echo E: because; exit 3")
        step.run("touch", run.logs / "after")
    assert str(failed.value) == f"the step 'Do it' failed: E: because -- read {run.logs}/one.log"
    assert run.out.getvalue().endswith(" failed\n") and not (run.logs / "after").exists()


def test_a_long_step_shows_that_it_goes_on(run, monkeypatch):
    monkeypatch.setattr(qs, "TICK", 1)
    with run.step("Wait", "one") as step:
        step.run("sleep", "2.5")
    assert run.out.getvalue() == f"{'Wait ...':<52} 1s 2s    2s\n"


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_on_a_terminal_the_seconds_count(checkout, tmp_path):
    run = qs.Run(checkout, tmp_path / "log", Terminal())
    with run.step("Wait", "one") as step:
        step.run("sleep", "1.5")
    assert run.out.getvalue().split("\r") == [
        f"{'Wait ...':<52} ",
        f"{'Wait ...':<52}    1s",
        f"{'Wait ...':<52}    1s\n",
    ]


# --- Locks ---

HOLD = """
import fcntl, sys, time
file = open(sys.argv[1], "w")
fcntl.flock(file, fcntl.LOCK_EX)
file.write('{"pid": 1, "checkout": "/a/ha", "command": "up"}')
file.flush()
print("has it", flush=True)
time.sleep(60)
"""


def test_one_run_at_a_time_for_a_sandbox(sandbox, tmp_path):
    path = tmp_path / "locks/cfha-u.lock"
    path.parent.mkdir()
    with subprocess.Popen([sys.executable, "-c", HOLD, path], stdout=subprocess.PIPE, text=True) as other:
        try:
            assert other.stdout.readline() == "has it\n"
            with pytest.raises(
                qs.Failed, match=r"Another run \(process 1, ./quickstart up of /a/ha\) works on the sandbox"
            ):
                qs.lock_sandbox(sandbox, pathlib.Path("/b"), "down", path.parent)
        finally:
            other.kill()
    # whoever was killed holds nothing
    with qs.lock_sandbox(sandbox, pathlib.Path("/b"), "down", path.parent) as lock:
        assert qs.signed(lock) == f"process {os.getpid()}, ./quickstart down of /b"


# --- Small things ---


def test_packages_are_missing_where_their_programs_are():
    assert qs.missing_packages("all", lambda name: True) == []
    assert qs.missing_packages("run", lambda name: name not in ("nft", "shellcheck")) == ["nftables"]
    assert qs.missing_packages("all", lambda name: name != "shellcheck") == ["shellcheck"]
    networks = ("/usr/lib/cni/", "/usr/lib/podman/netavark")
    assert qs.missing_packages("run", lambda name: name not in networks) == ["containernetworking-plugins"]
    assert qs.missing_packages("run", lambda name: name != networks[0]) == []


@pytest.mark.parametrize(("shown", "minor"), [("go1.26.8\n", 26), ("go1.19", 19), ("devel", 0), ("", 0)])
def test_go_is_known_by_its_version(shown, minor):
    assert qs.go_minor(shown) == minor


def test_paths_and_proxies_do_not_grow():
    venv = pathlib.Path("/v")
    once = qs.path_of(venv, "/usr/bin:/bin")
    assert once == "/v/bin:/usr/bin:/bin" == qs.path_of(venv, once)
    assert qs.whole_path("/usr/bin") == "/usr/bin:/usr/sbin:/sbin" == qs.whole_path(qs.whole_path("/usr/bin"))
    assert qs.no_proxy("example.com,") == "127.0.0.1,localhost,example.com" == qs.no_proxy(qs.no_proxy("example.com"))


def test_changes_are_counted_from_recaps():
    recap = "a : ok=3  changed=2  unreachable=0\nb : ok=1 changed=11 failed=0\n"
    assert qs.changes([recap, "nothing", recap]) == 26


@pytest.mark.parametrize("kubernetes", [False, True])
def test_a_shell_gets_what_points_it_at_the_sandbox(checkout, sandbox, kubernetes):
    sandbox.claim(qs.Mark(str(checkout.root), 8140))
    mode = qs.KUBERNETES if kubernetes else qs.PLAIN
    setup = qs.Setup(checkout, sandbox, 8140, mode, pathlib.Path("/it's/mine"))
    environment = setup.environment()
    assert environment["CFHA_KUBERNETES"] == ("true" if kubernetes else "")
    inventory = f"{checkout.root}/examples/kubernetes/inventory.yml" if kubernetes else "/it's/mine/inventory.yml"
    script = "\n".join(qs.exports(environment)) + '\nprintf %s "$ANSIBLE_INVENTORY"'
    assert subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout == inventory


@pytest.mark.parametrize(
    ("arguments", "code"), [(["help"], 0), (["--help"], 0), (["sideways"], 2), (["down", "now"], 2)]
)
def test_the_command_line(arguments, code):
    shown = subprocess.run([ROOT / "quickstart", *arguments], capture_output=True, text=True, check=False)
    assert shown.returncode == code and "./quickstart --kubernetes " in shown.stdout


def test_an_installed_collection_has_no_tests(checkout):
    with pytest.raises(qs.Failed, match="not part of an installed collection"):
        qs.test(checkout, [])
