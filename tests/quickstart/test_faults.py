# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every fault that a first run can meet, made for real: one sentence, nothing foreign touched, and a state that the next run repairs."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import typing as t

import pytest
import tarball

ROOT = pathlib.Path(__file__).resolve().parents[2]
BASE = os.environ.get("CFHA_SANDBOX", "cfha-test")
SANDBOX = f"{BASE}f"
STATE = pathlib.Path("/var/lib", SANDBOX)
PORT = int(os.environ.get("CFHA_PORT", "8141")) + 2
#: Downloads are kept as everywhere; what is tried is how they fail.
PIP_CACHE = (
    os.environ.get("PIP_CACHE_DIR") or f"{os.environ.get('XDG_CACHE_HOME') or pathlib.Path.home() / '.cache'}/pip"
)
#: A package index where nobody is.
DEAD = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_FIND_LINKS": "", "PIP_NO_INDEX": "0", "PIP_RETRIES": "0"}
OURS = ("ALIBABA_CLOUD_", "ANSIBLE_", "SLB_", "ECS_", "CFHA_")


@pytest.fixture(scope="module")
def place() -> t.Iterator[pathlib.Path]:
    """A directory that every user may read."""
    with tempfile.TemporaryDirectory(prefix="cfha-faults-") as made:
        path = pathlib.Path(made)
        path.chmod(0o755)
        yield path


@pytest.fixture(scope="module")
def repository(place: pathlib.Path) -> pathlib.Path:
    """The files of this checkout as a repository, with tools that are quickly made: ansible-core alone."""
    repository = place / "origin"
    names = tarball.files_of(ROOT)
    assert "quickstart.py" in names
    tarball.copy(names, ROOT, repository)
    pinned = re.search(r"^ansible-core==.*$", (ROOT / "test-requirements.txt").read_text(), re.MULTILINE)
    assert pinned
    (repository / "requirements.txt").write_text("# nothing\n")
    (repository / "test-requirements.txt").write_text(f"{pinned[0]}\n")
    git(repository, "init", "--quiet")
    commit(repository, "first")
    return repository


def git(where: pathlib.Path, *arguments: str) -> None:
    identity = ("-c", "user.name=test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *identity, *arguments], cwd=where, check=True, capture_output=True)


def commit(where: pathlib.Path, word: str) -> None:
    """A commit whose code says a word of its own."""
    code = f"class FilterModule:\n    def filters(self):\n        return {{'word': lambda dummy: '{word}'}}\n"
    (where / "plugins/filter/word.py").write_text(code)
    git(where, "add", "--all")
    git(where, "commit", "--quiet", "--message", word)


@pytest.fixture(scope="module")
def checkout(repository: pathlib.Path, place: pathlib.Path) -> pathlib.Path:
    git(place, "clone", "--quiet", str(repository), "one")
    return place / "one"


def environment(place: pathlib.Path, **more: str) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    ours = {"XDG_CACHE_HOME": f"{place}/cache", "PIP_CACHE_DIR": PIP_CACHE}
    return {**inherited, **ours, "CFHA_SANDBOX": SANDBOX, "CFHA_PORT": str(PORT), **more}


Quickstart = t.Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def quickstart(checkout: pathlib.Path, place: pathlib.Path) -> Quickstart:
    """Run it as a user does; before is a command that runs it."""

    def run(*arguments: str, before: t.Sequence[str] = (), at: pathlib.Path = checkout, **more: str):
        return subprocess.run(
            [*before, at / "quickstart", *arguments],
            env=environment(place, **more),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )

    return run


def sentence(run: subprocess.CompletedProcess[str]) -> str:
    """The one line that a failed run says on standard error."""
    assert run.returncode not in (0, None), run.stdout + run.stderr
    lines = [line for line in run.stderr.splitlines() if line.startswith("quickstart: ")]
    assert len(lines) == 1 and run.stderr.rstrip().endswith(lines[0]) and "Traceback" not in run.stderr, run.stderr
    return lines[0]


def is_whole(quickstart: Quickstart) -> bool:
    """Tell if the next normal run has tools that work."""
    run = quickstart("tools")
    assert run.returncode == 0, run.stderr
    shown = subprocess.run(
        [
            "sh",
            "-c",
            f". {run.stdout.strip()} && ansible localhost -m ansible.builtin.debug -a 'msg={{{{ 1 | clusterfront.ha.word }}}}'",
        ],
        env={"PATH": os.environ["PATH"], "HOME": str(pathlib.Path.home()), "LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        check=False,
    )
    return '"msg": "first"' in shown.stdout


@pytest.fixture(autouse=True)
def cleaned() -> t.Iterator[None]:
    """No test of this file starts a machine, so what is left is a directory."""
    assert not STATE.exists()
    yield
    if (STATE / "sandbox.json").exists():
        shutil.rmtree(STATE)
    assert not os.path.lexists(STATE)


# --- A package index that gives nothing ---


@contextlib.contextmanager
def silent_index() -> t.Iterator[tuple[str, socket.socket]]:
    """A package index that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(120)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/simple", listener


@contextlib.contextmanager
def in_pip(checkout: pathlib.Path, place: pathlib.Path, *arguments: str) -> t.Iterator[subprocess.Popen[str]]:
    """A run that has come as far as pip, and waits there."""
    with silent_index() as (url, listener):
        process = subprocess.Popen(
            [checkout / "quickstart", *arguments],
            env=environment(place, **{**DEAD, "PIP_INDEX_URL": url}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            connection, dummy = listener.accept()
            with connection:
                yield process
        finally:
            if process.poll() is None:
                process.terminate()
                process.communicate(timeout=30)


def of_place(place: pathlib.Path) -> list[str]:
    """Command lines of processes that run a program below the place, or with it."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            text = path.read_text().replace("\0", " ")
            if f"{place}/" in text and int(path.parent.name) != os.getpid():
                found.append(text)
    return found


def test_a_dead_package_index(quickstart) -> None:
    told = sentence(quickstart("tools", **DEAD))
    assert (
        "the step 'Install the pinned tools' failed: the package index http://127.0.0.1:9/simple does not answer"
        in told
    )
    assert "(Connection refused); PIP_INDEX_URL or pip's own configuration gives another -- read /" in told


def test_no_network_at_all(quickstart) -> None:
    run = quickstart("tools", before=("unshare", "-n"), PIP_FIND_LINKS="", PIP_RETRIES="0", PIP_NO_CACHE_DIR="1")
    assert "the package index" in sentence(run) and "does not answer" in sentence(run)


def on_small_disk(quickstart: Quickstart, small: pathlib.Path, variable: str, *arguments: str):
    """A run in a mount namespace of its own, in which a directory is a disk of 40 MB."""
    small.mkdir(exist_ok=True)
    script = f'mount -t tmpfs -o size=40m cfha-small {small} && exec "$0" "$@"'
    return quickstart(*arguments, before=("unshare", "-m", "sh", "-c", script), **{variable: str(small)})


@pytest.mark.parametrize("variable", ["XDG_CACHE_HOME", "TMPDIR"])
def test_a_disk_that_is_full(quickstart, place, variable) -> None:
    small = place / "small"
    run = on_small_disk(quickstart, small, variable, "tools")
    told = sentence(run)
    assert re.search(
        rf"The disk of {small}\S* is too full: making the tools needs \d+ MB, and \d+ MB are free; make room", told
    )
    assert variable in told


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_run_that_is_interrupted(checkout, place, number) -> None:
    with in_pip(checkout, place, "tools") as process:
        assert any("pip install" in line for line in of_place(place))
        process.send_signal(number)
        dummy, told = process.communicate(timeout=30)
    if number == signal.SIGKILL:
        assert process.returncode == -number
    else:
        assert process.returncode == 128 + number
        assert told.endswith("quickstart: interrupted; the same command goes on from where it was\n")
    deadline = time.monotonic() + 5
    while of_place(place) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert of_place(place) == []


def test_the_next_run_repairs_what_the_faults_left(quickstart) -> None:
    assert is_whole(quickstart)


# --- A machine that is not as it should be ---


def test_another_user(quickstart, place) -> None:
    mine = place / "nobody"
    mine.mkdir()
    os.chown(mine, 65534, 65534)
    run = quickstart(before=("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"), XDG_CACHE_HOME=str(mine))
    assert "needs root; run it as root" in sentence(run)
    assert list(mine.iterdir()) == []


def test_a_taken_port(quickstart) -> None:
    with subprocess.Popen(
        ["python3", "-m", "http.server", str(PORT), "--bind", "127.0.0.1"], stderr=subprocess.DEVNULL
    ) as holder:
        try:
            deadline = time.monotonic() + 20
            while time.monotonic() < deadline:
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", PORT), 1):
                    break
                time.sleep(0.1)
            told = sentence(quickstart())
        finally:
            holder.kill()
    assert re.search(
        rf"Port {PORT} is taken by process {holder.pid} \(.*http\.server.*choose another by CFHA_PORT", told
    )


APT = """
Dir::State::lists "{here}/lists";
Dir::State::status "{here}/status";
Dir::Cache "{here}/cache";
Dir::Etc::sourcelist "{here}/sources.list";
Dir::Etc::sourceparts "-";
Acquire::Retries "0";
"""


def test_a_broken_apt(quickstart, place) -> None:
    """A machine that lacks a program, and whose apt knows a dead mirror only."""
    here = place / "apt"
    for name in ("lists/partial", "cache/archives/partial", "programs"):
        (here / name).mkdir(parents=True)
    (here / "status").write_text("")
    (here / "sources.list").write_text("deb http://127.0.0.1:9/debian bookworm main\n")
    (here / "apt.conf").write_text(APT.format(here=here))
    for directory in ("/usr/bin", "/usr/local/bin"):
        for program in pathlib.Path(directory).iterdir():
            if program.name != "mmdebstrap" and not os.path.lexists(here / "programs" / program.name):
                (here / "programs" / program.name).symlink_to(program)
    told = sentence(quickstart(APT_CONFIG=str(here / "apt.conf"), PATH=str(here / "programs")))
    assert "the step 'Install missing system packages' failed: apt can't fetch http://127.0.0.1:9/debian" in told
    assert f"-- read {STATE}/log/packages.log" in told
    # nothing was started, so nothing is needed to remove it
    down = quickstart("down", **DEAD)
    assert down.returncode == 0 and not STATE.exists(), down.stdout + down.stderr


# --- Directories and sandboxes of others ---


@pytest.mark.parametrize("kind", ["foreign", "earlier", "mark of another"])
@pytest.mark.parametrize("command", ["up", "down", "--kubernetes", "env"])
def test_a_directory_of_others(quickstart, kind, command) -> None:
    STATE.mkdir()
    try:
        (STATE / "precious").write_text("data")
        if kind == "earlier":
            (STATE / "access-key").write_text("a b\n")
            (STATE / "log").mkdir()
        if kind == "mark of another":
            (STATE / "sandbox.json").write_text(json.dumps({"sandbox": "cfha", "checkout": "/", "port": 1, "mode": ""}))
        before = {path: path.stat() for path in (STATE, *STATE.rglob("*"))}
        told = sentence(quickstart(command))
        assert f"{STATE} is no sandbox of ./quickstart" in told and "nothing of it was touched" in told
        assert (f"rm -r {STATE}" in told) == (kind == "earlier")
        now = {path: path.stat() for path in (STATE, *STATE.rglob("*"))}
        assert {path: status.st_mtime_ns for path, status in now.items()} == {
            path: status.st_mtime_ns for path, status in before.items()
        }
    finally:
        shutil.rmtree(STATE)


def test_a_second_run_and_a_second_checkout(quickstart, checkout, repository, place) -> None:
    """One sandbox is one run's at a time, and one checkout's at all."""
    (checkout / "requirements.txt").write_text("# anew\n")
    other = place / "two"
    git(place, "clone", "--quiet", str(repository), "two")
    with in_pip(checkout, place, "up") as first:
        told = sentence(quickstart("down"))
        assert (
            f"Another run (process {first.pid}, ./quickstart up of {checkout}) works on the sandbox {SANDBOX}" in told
        )
        assert json.loads((STATE / "sandbox.json").read_text())["checkout"] == str(checkout)
    git(checkout, "checkout", "--quiet", "--", "requirements.txt")
    for command in ("up", "down", "env"):
        told = sentence(quickstart(command, at=other))
        assert f"The sandbox {SANDBOX} belongs to the checkout {checkout}; CFHA_SANDBOX=" in told
    assert (STATE / "sandbox.json").exists()
    # a checkout that is gone can't be asked
    checkout.rename(place / "gone")
    try:
        assert quickstart("down", at=other).returncode == 0 and not STATE.exists()
    finally:
        (place / "gone").rename(checkout)


def test_a_shell_keeps_the_mode_and_the_port_of_the_sandbox(quickstart, checkout, place) -> None:
    STATE.mkdir()
    mark = {"sandbox": SANDBOX, "checkout": str(checkout), "port": PORT + 1, "mode": "kubernetes"}
    (STATE / "sandbox.json").write_text(json.dumps(mark))
    shown = quickstart("env").stdout
    assert "export CFHA_KUBERNETES='true'" in shown and "examples/kubernetes/inventory.yml" in shown
    assert f"export CFHA_PORT='{PORT + 1}'" in shown
    # and a plain run goes on with it, as far as it comes
    (checkout / "requirements.txt").write_text("# anew\n")
    run = on_small_disk(quickstart, place / "small", "TMPDIR")
    git(checkout, "checkout", "--quiet", "--", "requirements.txt")
    assert run.stdout.startswith(
        f"The sandbox {SANDBOX} runs a real Kubernetes and keeps it; ./quickstart down ends it.\n"
    )
    assert "too full" in sentence(run)
    assert json.loads((STATE / "sandbox.json").read_text())["mode"] == "kubernetes"


SAY = "ansible localhost -m ansible.builtin.debug -a 'msg={{ 1 | clusterfront.ha.word }}'"


def test_two_checkouts_of_two_commits_at_once(repository, place) -> None:
    """Their tools are made side by side, and each runs its own code in a fresh shell, also after the other was made."""
    words = ("first", "second")
    for word in words:
        git(place, "clone", "--quiet", str(repository), f"of-{word}")
    commit(place / "of-second", "second")
    script = f'. "$("$0" tools)" && cd / && for turn in 1 2; do {SAY}; done'
    running = {
        word: subprocess.Popen(
            ["sh", "-c", script, place / f"of-{word}/quickstart"],
            env=environment(place),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for word in words
    }
    shown = {word: process.communicate(timeout=300) for word, process in running.items()}
    for word in words:
        assert re.findall(r'"msg": "(\w+)"', shown[word][0]) == [word, word], shown
