# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that CI runs, in stages; ./quickstart test sets up what they need and calls this.

  tests/run.py                 all stages
  tests/run.py unit engine     only these
  tests/run.py --list          their names and what they do

Each stage writes its output to a log and counts its tests; the last line is the sum of all.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import contextlib
import dataclasses
import functools
import os
import pathlib
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import typing as t
import xml.etree.ElementTree

ROOT = pathlib.Path(__file__).resolve().parent.parent
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "cfha"
BIN = pathlib.Path(sys.executable).parent
COLLECTIONS = CACHE / "collections"
EMULATOR = "roles/slb_emulator/files"

#: ansible-core to check against, with the Pythons that can run it as a controller. The first is the one of all other stages.
CORES = (
    ("2.19.14", ("3.11", "3.12", "3.13")),
    ("2.18.19", ("3.11", "3.12", "3.13")),
    ("2.21.5", ("3.12", "3.13", "3.14")),
)


@dataclasses.dataclass
class Count:
    """How many tests of a stage passed, failed, and were skipped."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def __add__(self, other: Count) -> Count:
        return Count(self.passed + other.passed, self.failed + other.failed, self.skipped + other.skipped)

    def __str__(self) -> str:
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


class Stage:
    """Runs commands with their output in one log."""

    def __init__(self, name: str, log: pathlib.Path, tree: pathlib.Path, thorough: bool = False) -> None:
        self.name = name
        self.log = log
        self.tree = tree
        self.thorough = thorough
        #: Whether others come first where the machine has no time for all.
        self.behind = False
        self.count = Count()

    @property
    def marks(self) -> tuple[str, ...]:
        """How pytest is told which tests to leave out."""
        return () if self.thorough else ("-m", "not thorough")

    def run(
        self, *command: str | pathlib.Path, cwd: pathlib.Path | None = None, env: t.Mapping[str, str] | None = None
    ) -> bool:
        """Run a command and tell whether it went well."""
        with self.log.open("a", encoding="utf-8") as log:
            log.write(f"\n$ {' '.join(map(str, command))}\n")
            log.flush()
            done = subprocess.run(
                [*(("nice", "-n", "10") if self.behind else ()), *map(str, command)],
                cwd=cwd or ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(env or {})},
                check=False,
            )
        return done.returncode == 0

    def check(
        self, *command: str | pathlib.Path, cwd: pathlib.Path | None = None, env: t.Mapping[str, str] | None = None
    ) -> bool:
        """A command that is one test."""
        well = self.run(*command, cwd=cwd, env=env)
        self.count += Count(passed=int(well), failed=int(not well))
        return well

    def skip(self, why: str) -> None:
        """A test that cannot run here, and why."""
        print(f"    skipped: {why}")
        self.count += Count(skipped=1)

    def pytest(self, *arguments: str, env: t.Mapping[str, str] | None = None) -> None:
        """Run pytest and take over its counts."""
        report = self.log.with_suffix(".xml")
        report.unlink(missing_ok=True)
        command = (sys.executable, "-B", "-m", "pytest", f"--junitxml={report}", "-p", "no:cacheprovider", *self.marks)
        well = self.run(*command, *arguments, env=env)
        self.add_junit(report, well)

    def pytest_on_all_cores(self, *arguments: str, env: t.Mapping[str, str] | None = None) -> None:
        """The same with one process for each core; for tests that share neither a machine's name nor its time."""
        # what the tests of a file learn from each other stays together
        self.pytest("-n", str(os.cpu_count()), "--dist", "loadfile", *arguments, env=env)

    def add_junit(self, report: pathlib.Path, well: bool) -> None:
        """Add the counts of a report. A run that ended badly without a failed test counts as one."""
        count = Count()
        if report.exists():
            for suite in xml.etree.ElementTree.parse(report).getroot().iter("testsuite"):
                tests, skipped = int(suite.get("tests", 0)), int(suite.get("skipped", 0))
                failed = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
                count += Count(tests - failed - skipped, failed, skipped)
        self.count += count if well or count.failed else count + Count(failed=1)


def tool(name: str) -> pathlib.Path:
    """A program of the virtual environment."""
    return BIN / name


def lint(stage: Stage) -> None:
    """Style, types, documentation and changelog."""
    stage.check(tool("yamllint"), "--strict", ".")
    stage.check(tool("ansible-lint"), "--offline", "--strict", "-q", "--nocolor")
    stage.check("shellcheck", "quickstart", ".ci/run")
    stage.check(tool("black"), "--check", "--quiet", "plugins", "roles", "tests", "molecule")
    package = "ansible_collections.clusterfront.ha.plugins.module_utils"
    # below the collections' directory the package has its real name
    stage.check(
        tool("mypy"),
        "--config-file",
        ROOT / "pyproject.toml",
        "-p",
        package,
        cwd=COLLECTIONS,
        env={"MYPYPATH": str(COLLECTIONS)},
    )
    stage.check(tool("mypy"), "--config-file", ROOT / "pyproject.toml", "-p", "slb_emulator", cwd=ROOT / EMULATOR)
    stage.check(
        tool("antsibull-docs"),
        "lint-collection-docs",
        "--plugin-docs",
        "--validate-collection-refs",
        "self",
        "--skip-rstcheck",
        stage.tree,
    )
    stage.check(tool("antsibull-changelog"), "lint", cwd=stage.tree)


def unit(stage: Stage) -> None:
    """Unit tests of pure code, to its last line, and the rules of the repository."""
    coverage = {"COVERAGE_FILE": str(stage.log.with_suffix(".coverage"))}
    stage.pytest_on_all_cores("tests/unit", "--cov", "--cov-config=pyproject.toml", env=coverage)


def engine(stage: Stage) -> None:
    """The engine against the emulated cloud, killed at every call."""
    stage.pytest_on_all_cores("tests/engine")


def modules(stage: Stage) -> None:
    """Modules as users run them: any arguments, every example of the documentation, secrets kept."""
    stage.pytest_on_all_cores("tests/modules")


def emulator(stage: Stage) -> None:
    """The emulated cloud: API by the real SDK, data plane in namespaces."""
    stage.pytest("tests/emulator")


def lab(stage: Stage) -> None:
    """The hosts in containers, and the stand-in apiserver."""
    stage.pytest("tests/lab")


def sanity(stage: Stage) -> None:
    """ansible-test sanity on every supported ansible-core."""
    for version, pythons in CORES:
        python = next((found for name in pythons if (found := find_python(name))), None)
        if python is None:
            stage.skip(
                f"sanity on ansible-core {version} needs Python {' or '.join(pythons)}, which this machine has not"
            )
            continue
        venv = core_venv(stage, version, python)
        # ansible-test fetches get-pip from a place of its own; the seed takes pip from the package index
        environment = {"PATH": f"{venv / 'bin'}:{os.environ['PATH']}"}
        name = python_version(python)
        well = venv.exists() and stage.run(venv / "bin/python", ROOT / "tests/tools/seed_ansible_test_pip.py")
        well = well and stage.run(
            venv / "bin/ansible-test",
            "sanity",
            "--local",
            "--color",
            "no",
            "--python",
            name,
            cwd=stage.tree,
            env=environment,
        )
        stage.count += Count(passed=int(well), failed=int(not well))


def find_python(name: str) -> str | None:
    """A Python of a version with venv, wherever it is installed."""
    candidates = [
        shutil.which(f"python{name}"),
        *map(str, sorted(pathlib.Path.home().glob(f".pyenv/versions/{name}.*/bin/python{name}"))),
    ]
    for candidate in candidates:
        # a shim that leads nowhere ends with an error
        if (
            candidate
            and subprocess.run([candidate, "-c", "import ensurepip, venv"], capture_output=True, check=False).returncode
            == 0
        ):
            return candidate
    return None


def python_version(python: str) -> str:
    shown = subprocess.run(
        [python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"], capture_output=True, text=True, check=True
    )
    return shown.stdout.strip()


def core_venv(stage: Stage, version: str, python: str) -> pathlib.Path:
    """A virtual environment with an ansible-core, kept between runs."""
    venv = CACHE / f"core-{version}-{python_version(python)}"
    if not (venv / "complete").exists():
        shutil.rmtree(venv, ignore_errors=True)
        made = stage.run(python, "-m", "venv", venv)
        if made and stage.run(venv / "bin/pip", "install", "--quiet", f"ansible-core=={version}"):
            (venv / "complete").touch()
    return venv


def integration(stage: Stage) -> None:
    """ansible-test integration: every module against the emulated cloud."""
    targets = sorted(path.parent.name for path in (ROOT / "tests/integration/targets").glob("*/aliases"))
    # ansible-test makes it where it is missing, and two at once would meet there
    key = pathlib.Path.home() / ".ansible/test/id_rsa"
    if not key.exists():
        key.parent.mkdir(parents=True, exist_ok=True)
        stage.run("ssh-keygen", "-m", "PEM", "-q", "-t", "rsa", "-N", "", "-f", key)
    # a target hardly uses more than one core
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        parts = pool.map(
            functools.partial(integrate, stage), [name for name in targets if not name.startswith("setup_")]
        )
        for part in parts:
            stage.count += part.count
            with stage.log.open("a", encoding="utf-8") as log:
                log.write(part.log.read_text(encoding="utf-8", errors="replace"))
            part.log.unlink()


def integrate(stage: Stage, target: str) -> Stage:
    """Run one integration target, with a log of its own."""
    part = Stage(target, stage.log.with_name(f"{stage.name}-{target}.log"), stage.tree)
    part.behind = stage.behind
    part.check(
        tool("ansible-test"),
        "integration",
        "--local",
        "--color",
        "no",
        "--python",
        python_version(sys.executable),
        target,
        cwd=part.tree,
        env={"PATH": f"{BIN}:{os.environ['PATH']}", "ANSIBLE_COLLECTIONS_PATH": ""},
    )
    return part


def galaxy(stage: Stage) -> None:
    """Build the collection, install it from the file, and use it by its name."""
    with tempfile.TemporaryDirectory() as scratch:
        stage.check(tool("ansible-galaxy"), "collection", "build", "--output-path", scratch, "--force", cwd=stage.tree)
        built = next(pathlib.Path(scratch).glob("*.tar.gz"), pathlib.Path("missing"))
        stage.check(tool("ansible-galaxy"), "collection", "install", built, "-p", scratch, "--offline", "--force")
        environment = {"ANSIBLE_COLLECTIONS_PATH": scratch}
        stage.check(
            tool("ansible-galaxy"),
            "collection",
            "verify",
            "--offline",
            "clusterfront.ha",
            "-p",
            scratch,
            env=environment,
        )
        stage.check(
            tool("ansible-doc"),
            "-t",
            "module",
            "clusterfront.ha.slb_frontend",
            cwd=pathlib.Path(scratch),
            env=environment,
        )
        stage.check(
            tool("ansible-playbook"),
            "-i",
            ROOT / "examples/kube_apiserver/inventory.yml",
            "--syntax-check",
            "clusterfront.ha.deploy_kube_apiserver",
            cwd=pathlib.Path(scratch),
            env={"ANSIBLE_COLLECTIONS_PATH": f"{scratch}:{COLLECTIONS}"},
        )


def molecule(stage: Stage) -> None:
    """Every Molecule scenario on the shared lab, with real traffic."""
    scenarios = sorted(
        path.parent.name
        for path in (ROOT / "molecule").glob("*/molecule.yml")
        if path.parent.name not in ("default", KUBEADM)
    )
    run_molecule(stage, scenarios, {})


def run_molecule(stage: Stage, scenarios: t.Sequence[str], lab: t.Mapping[str, str]) -> None:
    """Run scenarios, and take over the counts of each; lab has what points them at a lab of their own."""
    report = stage.log.with_suffix(".xml")
    environment = {
        **lab,
        "MOLECULE_GLOB": "molecule/*/molecule.yml",
        "NO_COLOR": "1",
        "PYTEST_ADDOPTS": shlex.join(["-s", "-p", "scenario_report", f"--junitxml={report}", *stage.marks]),
        "PYTHONPATH": str(ROOT / "tests/tools"),
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    arguments = [part for name in scenarios for part in ("-s", name)]
    # what a run that was killed left makes Molecule believe that its lab is there
    stage.run(tool("molecule"), "reset", *arguments, env=environment)
    try:
        well = stage.check(tool("molecule"), "test", *arguments, env=environment)
    finally:
        # Molecule leaves the lab where it is when it ends by an error of its own
        stage.run(tool("ansible-playbook"), "clusterfront.ha.stop_sandbox", env=environment)
    for name in scenarios:
        found = report.with_name(f"{report.stem}-{name}.xml")
        # where one fails, those after it do not run
        if found.exists() or well:
            stage.add_junit(found, found.exists())


#: A scenario with a sandbox, and a stage, of its own.
KUBEADM = "kubeadm"
BUILD_KUBERNETES = (
    sys.executable,
    "-B",
    str(ROOT / "roles/lab_hosts/files/lab_kubernetes.py"),
    "build",
    str(CACHE / "kubernetes"),
)


@contextlib.contextmanager
def kubernetes_in_the_meantime(log: pathlib.Path) -> t.Iterator[None]:
    """Build what the last stage needs in the time that the others leave; it takes two cores for some eight minutes."""
    with log.open("w", encoding="utf-8") as output:
        build = subprocess.Popen(
            ["chrt", "--idle", "0", *BUILD_KUBERNETES],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            yield
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(build.pid, signal.SIGTERM)
            build.wait()


def kubeadm(stage: Stage) -> None:
    """Real kubeadm and a real Kubernetes behind the front end."""
    begin = time.monotonic()
    # waits for a build that is under way
    if not stage.run(*BUILD_KUBERNETES):
        stage.count += Count(failed=1)
        return
    print(f"    Kubernetes was there after {time.monotonic() - begin:.0f}s", flush=True)
    stage.pytest("tests/kubernetes")
    port = str(int(os.environ["CFHA_PORT"]) + 50)
    lab = {"CFHA_SANDBOX": f"{os.environ['CFHA_SANDBOX']}k", "CFHA_PORT": port, "CFHA_KUBERNETES": "true"}
    run_molecule(
        stage, [KUBEADM], {**lab, **{name: f"http://127.0.0.1:{port}" for name in ("SLB_ENDPOINT", "ECS_ENDPOINT")}}
    )


def quickstart(stage: Stage) -> None:
    """The user's own commands: up, up again, down; and nothing of it is left."""
    stage.pytest("tests/quickstart", "-s")


def bench(stage: Stage) -> None:
    """Benchmarks that compare within one run."""
    stage.pytest("tests/bench", "-s")


STAGES: dict[str, t.Callable[[Stage], None]] = {
    function.__name__: function
    for function in (
        lint,
        unit,
        engine,
        modules,
        emulator,
        lab,
        sanity,
        integration,
        galaxy,
        quickstart,
        molecule,
        kubeadm,
        bench,
    )
}


#: Stages that need nothing of the machine but its time run beside Molecule, which waits a lot, one after another and behind it.
BESIDE = ("sanity", "integration", "modules")


def copy_tree(target: pathlib.Path) -> pathlib.Path:
    """The files of the work tree, where ansible-test wants them: .../ansible_collections/clusterfront/ha, and a repository of their own."""
    tree = target / "ansible_collections/clusterfront/ha"
    shown = subprocess.run(
        ["git", "ls-files", "-coz", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in filter(None, shown.stdout.split("\0")):
        if (ROOT / name).is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, tree / name)
    # without a repository ansible-test takes every file for a part of the collection
    subprocess.run(["git", "init", "--quiet"], cwd=tree, check=True)
    subprocess.run(["git", "add", "--all"], cwd=tree, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return tree


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stages", nargs="*", choices=[[], *STAGES], help="only these stages")
    parser.add_argument("--list", action="store_true", help="show the stages")
    parser.add_argument("--all", action="store_true", help="run the tests marked as thorough, too, which take long")
    options = parser.parse_args()
    if options.list:
        print("\n".join(f"{name:<12} {function.__doc__}" for name, function in STAGES.items()))
        return
    logs = pathlib.Path(os.environ.get("CFHA_TEST_LOGS") or CACHE / "test-logs")
    shutil.rmtree(logs, ignore_errors=True)
    logs.mkdir(parents=True)
    total = Count()
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="cfha-tree-") as scratch:
        tree = copy_tree(pathlib.Path(scratch))
        wanted = {name: Stage(name, logs / f"{name}.log", tree, options.all) for name in options.stages or STAGES}
        beside = [wanted.pop(name) for name in BESIDE if "molecule" in wanted and name in wanted]
        for stage in beside:
            stage.behind = True
        with contextlib.ExitStack() as stack:
            pool = stack.enter_context(concurrent.futures.ThreadPoolExecutor(1))
            if KUBEADM in wanted and len(wanted) > 1:
                stack.enter_context(kubernetes_in_the_meantime(logs / "kubernetes.log"))
            for name, stage in wanted.items():
                waiting = [pool.submit(run_stage, one) for one in beside] if name == "molecule" else []
                total += run_stage(stage)
                total = sum((one.result() for one in waiting), total)
    print(f"all stages took {time.monotonic() - begin:.0f}s; logs are in {logs}")
    print(total)
    sys.exit(1 if total.failed or not total.passed else 0)


def run_stage(stage: Stage) -> Count:
    """Run one stage, and show the end of its log if a test of it failed."""
    print(f"==> {stage.name}: {STAGES[stage.name].__doc__}", flush=True)
    begin = time.monotonic()
    STAGES[stage.name](stage)
    print(f"    {stage.count} in {time.monotonic() - begin:.0f}s ({stage.name})", flush=True)
    if stage.count.failed:
        print("\n".join(stage.log.read_text(encoding="utf-8", errors="replace").splitlines()[-120:]), flush=True)
    return stage.count


if __name__ == "__main__":
    main()
