# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that CI runs, in stages; ./quickstart test sets up what they need and calls this.

  tests/run.py                           all stages
  tests/run.py unit engine               only these
  tests/run.py molecule -s haproxy       one scenario
  tests/run.py engine -- -k acl          the words behind -- go to the program that runs the tests
  tests/run.py integration -- slb_acl    one target
  tests/run.py --list                    the names of the stages

The collection is built once, installed from its tarball, and the tests are laid over it; every stage runs there. Each stage
writes its output to a log and counts its tests. The end is a table of the stages; the last line is the sum of all tests.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import contextlib
import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import typing as t

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests/tools"))

import tarball  # noqa: E402
from stage import BIN, Count, Stage, behind, busy_seconds, end_all, tool  # noqa: E402

CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "cfha"
#: The part of the cache that belongs to this checkout.
PLACE = pathlib.Path(os.environ.get("CFHA_PLACE", ""))
EMULATOR = "roles/slb_emulator/files"

#: ansible-core to check against, with the Pythons that can run it as a controller. The first is the one of all other stages.
CORES = {
    "2.19.14": ("3.11", "3.12", "3.13"),
    "2.18.19": ("3.11", "3.12", "3.13"),
    "2.20.10": ("3.12", "3.13", "3.14"),
    "2.21.5": ("3.12", "3.13", "3.14"),
    "2.22.0rc1": ("3.13", "3.14", "3.15"),
}
OLDEST, NEWEST = "2.18.19", "2.22.0rc1"


def lint(stage: Stage) -> None:
    """Style, types, documentation and changelog."""
    stage.check(tool("yamllint"), "--strict", ".")
    stage.check(tool("ansible-lint"), "--offline", "--strict", "-q", "--nocolor")
    stage.check("shellcheck", "quickstart", ".ci/run")
    stage.check(tool("black"), "--check", "--quiet", "plugins", "roles", "tests", "molecule", "quickstart.py")
    mypy = (tool("mypy"), "--config-file", stage.tree / "pyproject.toml", "--cache-dir", PLACE / "mypy")
    # below the directory of all collections the package has its real name
    collections = stage.tree.parents[2]
    package = "ansible_collections.clusterfront.ha.plugins.module_utils"
    stage.check(*mypy, "-p", package, cwd=collections, env={"MYPYPATH": str(collections)})
    stage.check(*mypy, "-p", "slb_emulator", cwd=stage.tree / EMULATOR)
    stage.check(*mypy, "quickstart.py", "tests/run.py", env={"MYPYPATH": "tests/tools"})
    docs = ("lint-collection-docs", "--plugin-docs", "--validate-collection-refs", "self", "--skip-rstcheck")
    stage.check(tool("antsibull-docs"), *docs, stage.tree)
    stage.check(tool("antsibull-changelog"), "lint")


def unit(stage: Stage) -> None:
    """Unit tests of pure code, to its last line, and the rules of the repository."""
    # some of the tests alone don't reach the last line of all code
    measured = () if stage.arguments else ("--cov", "--cov-config=pyproject.toml")
    stage.pytest_on_all_cores("tests/unit", *measured, env={"COVERAGE_FILE": str(stage.log.with_suffix(".coverage"))})


def engine(stage: Stage) -> None:
    """The engine against the emulated cloud, killed at every call."""
    stage.pytest_on_all_cores("tests/engine")


def modules(stage: Stage) -> None:
    """Modules as users run them: any arguments, every example of the documentation, secrets kept."""
    stage.pytest_on_all_cores(
        "tests/modules", env={"CFHA_FUZZ": os.environ.get("CFHA_FUZZ", "2" if stage.thorough else "")}
    )


def emulator(stage: Stage) -> None:
    """The emulated cloud: API by the real SDK, data plane in namespaces."""
    stage.pytest("tests/emulator")


def lab(stage: Stage) -> None:
    """The hosts in containers, and the stand-in apiserver."""
    stage.pytest("tests/lab")


def galaxy(stage: Stage) -> None:
    """The tarball: all files, all documents, and Galaxy's own importer."""
    stage.pytest("tests/galaxy")


#: Tests of sanity that find the same on every ansible-core; each takes as long as all others together, or needs no core at all.
SAME_ON_ALL_CORES = ("pylint", "pep8", "yamllint", "shellcheck", "pslint")


def sanity(stage: Stage) -> None:
    """ansible-test sanity on every supported ansible-core."""
    for version in CORES:
        venv = core_venv(stage, version)
        if venv is None:
            continue
        # those of the oldest and the newest core stand for the ones between, which run them by --all
        between = version not in (OLDEST, NEWEST) and not stage.thorough and not stage.arguments
        skipped = [word for name in SAME_ON_ALL_CORES for word in ("--skip-test", name)] if between else []
        # ansible-test fetches get-pip from a place of its own; the seed takes pip from the package index
        well = stage.run(venv / "bin/python", stage.tree / "tests/tools/seed_ansible_test_pip.py")
        well = well and stage.run(
            venv / "bin/ansible-test",
            "sanity",
            "--local",
            "--color",
            "no",
            "--python",
            python_version(venv / "bin/python"),
            *skipped,
            *stage.arguments,
            env={"PATH": f"{venv / 'bin'}:{os.environ['PATH']}"},
        )
        stage.add(Count(passed=int(well), failed=int(not well)))


def find_python(version: str) -> str | None:
    """A Python that an ansible-core supports as a controller, with venv, wherever it is installed."""
    for name in CORES[version]:
        candidates = [
            shutil.which(f"python{name}"),
            *map(str, sorted(pathlib.Path.home().glob(f".pyenv/versions/{name}.*/bin/python{name}"))),
        ]
        for candidate in filter(None, candidates):
            # a shim that leads nowhere ends with an error
            command = [candidate, "-c", "import ensurepip, venv"]
            if subprocess.run(command, capture_output=True, check=False).returncode == 0:
                return candidate
    return None


def python_version(python: str | pathlib.Path) -> str:
    """The version of a Python as ansible-test names it, such as 3.11."""
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def core_venv(stage: Stage, version: str) -> pathlib.Path | None:
    """A virtual environment with an ansible-core, kept between runs; None where no Python can run it."""
    python = find_python(version)
    if python is None:
        stage.skip(
            f"ansible-core {version} needs Python {' or '.join(CORES[version])}, and this machine has none of them"
        )
        return None
    venv = PLACE / f"core-{version}-{python_version(python)}"
    if not (venv / "complete").exists():
        shutil.rmtree(venv, ignore_errors=True)
        if stage.run(python, "-m", "venv", venv) and stage.run(
            venv / "bin/pip", "install", "--quiet", f"ansible-core=={version}"
        ):
            (venv / "complete").touch()
    return venv


def sandbox(suffix: str, ports: int) -> dict[str, str]:
    """The environment of a sandbox of its own, beside the one of these tests: another name, a port so many numbers further on."""
    port = str(int(os.environ["CFHA_PORT"]) + ports)
    endpoints = {name: f"http://127.0.0.1:{port}" for name in ("SLB_ENDPOINT", "ECS_ENDPOINT")}
    return {"CFHA_SANDBOX": os.environ["CFHA_SANDBOX"] + suffix, "CFHA_PORT": port, **endpoints}


def as_lab(environment: t.Mapping[str, str]) -> dict[str, str]:
    """The sandbox of an environment, as Molecule's configuration reads it."""
    return {f"CFHA_TEST_{name}": environment[f"CFHA_{name}"] for name in ("SANDBOX", "PORT")}


def readme(stage: Stage) -> None:
    """README's commands, line by line, on the oldest and the newest ansible-core."""
    pythons = {version: find_python(version) for version in (OLDEST, NEWEST)}
    for version in [version for version, python in pythons.items() if python is None]:
        stage.skip(
            f"README on ansible-core {version} needs Python {' or '.join(CORES[version])}, and this machine has none of them"
        )
        del pythons[version]
    cores = " ".join(f"{version}={python}" for version, python in pythons.items())
    stage.pytest("tests/readme", env={**sandbox("r", 60), "CFHA_README_CORES": cores})


def integration(stage: Stage) -> None:
    """ansible-test integration: every module against the emulated cloud."""
    targets = sorted(path.parent.name for path in (stage.tree / "tests/integration/targets").glob("*/aliases"))
    # ansible-test makes it where it is missing, and two at once would meet there
    key = pathlib.Path.home() / ".ansible/test/id_rsa"
    if not key.exists():
        key.parent.mkdir(parents=True, exist_ok=True)
        stage.run("ssh-keygen", "-m", "PEM", "-q", "-t", "rsa", "-N", "", "-f", key)
    wanted = stage.arguments or tuple(name for name in targets if not name.startswith("setup_"))
    # a target hardly uses more than one core, and ansible-test takes as long to begin as a target takes
    cores = os.cpu_count() or 1
    parts = [part for part in (wanted[number::cores] for number in range(cores)) if part]
    with concurrent.futures.ThreadPoolExecutor(cores) as pool:
        for part in pool.map(lambda named: integrate(stage, named), parts):
            stage.add(part.count)
            stage.cpu += part.cpu
            with stage.log.open("a", encoding="utf-8") as log:
                log.write(part.log.read_text(encoding="utf-8", errors="replace"))
            part.log.unlink()


def integrate(stage: Stage, targets: t.Sequence[str]) -> Stage:
    """Run integration targets one after the other, with a log of their own."""
    part = Stage(stage.name, stage.log.with_name(f"{stage.name}-{targets[0]}.log"), stage.tree, behind=stage.behind)
    command = (tool("ansible-test"), "integration", "--local", "--color", "no", "--continue-on-error")
    well = part.run(
        *command,
        "--python",
        python_version(sys.executable),
        *targets,
        env={"PATH": f"{BIN}:{os.environ['PATH']}", "ANSIBLE_COLLECTIONS_PATH": ""},
    )
    failed = 0 if well else failed_targets(part.log.read_text(encoding="utf-8", errors="replace"))
    part.add(Count(passed=max(0, len(targets) - failed), failed=failed))
    return part


def failed_targets(log: str) -> int:
    """The number of targets that ansible-test calls failed at its end; one where it came to no end."""
    told = re.findall(r"The (\d+) integration test\(s\) listed below", log)
    return int(told[-1]) if told else 1


def molecule(stage: Stage, chosen: t.Sequence[str] = ()) -> None:
    """The main job, ingress and Rancher on a shared lab, with real traffic; -s takes any scenario."""
    there = sorted(path.parent.name for path in (stage.tree / "molecule").glob("*/molecule.yml"))
    others = ("default", KUBEADM, REGISTRAR, *LAN)
    run_molecule(stage, chosen or [name for name in there if name not in others], as_lab(os.environ))


def run_molecule(stage: Stage, scenarios: t.Sequence[str], lab: t.Mapping[str, str]) -> None:
    """Run scenarios, and take over the counts of each; lab has the sandbox's name and port, and more that its playbooks read."""
    report = stage.log.with_suffix(".xml")
    options = ["-s", "-p", "scenario_report", f"--junitxml={report}", *stage.marks, *stage.arguments]
    environment = {
        **lab,
        # Molecule keeps its state by the name of the project's directory, which all trees share, and trusts what a killed run left
        "MOLECULE_EPHEMERAL_DIRECTORY": str(stage.tree.parents[2] / f"molecule-{stage.name}"),
        "NO_COLOR": "1",
        "PYTEST_ADDOPTS": shlex.join(options),
        "PYTHONPATH": str(stage.tree / "tests/tools"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "CFHA_THOROUGH": "true" if stage.thorough else "",
    }
    left = list(scenarios)
    while left:
        arguments = [part for name in left for part in ("-s", name)]
        try:
            well = stage.check(tool("molecule"), "test", *arguments, env=environment)
        finally:
            # Molecule leaves the lab where it is when it ends by an error of its own
            stage.run(tool("ansible-playbook"), "molecule/default/destroy.yml", env={**environment, **own(lab)})
        left = after_failure(stage, left, report) if not well else []
    for name in scenarios:
        found = report.with_name(f"{report.stem}-{name}.xml")
        if found.exists():
            stage.add_junit(found, True)


def after_failure(stage: Stage, scenarios: t.Sequence[str], report: pathlib.Path) -> list[str]:
    """The scenarios that Molecule has not begun, because it stops at the first that fails."""
    tried = [name for name in scenarios if report.with_name(f"{report.stem}-{name}.xml").exists()]
    counted = Stage(stage.name, stage.log, stage.tree)
    for name in tried[-1:]:
        counted.add_junit(report.with_name(f"{report.stem}-{name}.xml"), True)
    # the last that was tested has failed, or the one after it before its tests
    return list(scenarios[len(tried) + (0 if counted.count.failed else 1) :])


def own(lab: t.Mapping[str, str]) -> dict[str, str]:
    """The sandbox of a lab as playbooks find it, which Molecule would tell them."""
    return {name: lab.get(name) or lab[name.replace("CFHA_", "CFHA_TEST_")] for name in ("CFHA_SANDBOX", "CFHA_PORT")}


#: Scenarios with a sandbox, and a stage, of their own; those of the LAN have no cloud.
KUBEADM, REGISTRAR = "kubeadm", "registrar"
LAN = ("haproxy", "nginx")


def balancers(stage: Stage) -> None:
    """HAProxy and nginx on a LAN of their own, under real traffic while things break."""
    run_molecule(stage, LAN, as_lab(sandbox("b", 70)))


def registrar(stage: Stage) -> None:
    """Containers that register themselves with SLB, while engines, hosts and the cloud break."""
    run_molecule(stage, [REGISTRAR], as_lab(sandbox("c", 40)))


def kubernetes_builder(thorough: bool) -> list[str]:
    """The command that builds the programs of Kubernetes; some thorough tests need further versions of kubeadm."""
    builder = str(ROOT / "roles/lab_hosts/files/lab_kubernetes.py")
    extras = ["--extras"] if thorough else []
    return [sys.executable, "-B", builder, "build", *extras, str(CACHE / "kubernetes")]


@contextlib.contextmanager
def kubernetes_in_the_meantime(log: pathlib.Path, thorough: bool) -> t.Iterator[None]:
    """Build what the last stage needs in the time that the others leave; it takes two cores for some five minutes."""
    with log.open("w", encoding="utf-8") as output:
        build = subprocess.Popen(
            behind(19, "chrt", "--idle", "0", *kubernetes_builder(thorough)),
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
    if not stage.run(*kubernetes_builder(stage.thorough)):
        stage.add(Count(failed=1))
        return
    print(f"    Kubernetes was there after {time.monotonic() - begin:.0f}s", flush=True)
    if not stage.arguments:
        stage.pytest("tests/kubernetes")
    lab = sandbox("k", 50)
    extras = {"CFHA_KUBERNETES_EXTRAS": "true"} if stage.thorough else {}
    run_molecule(stage, [KUBEADM], {**lab, **extras, "CFHA_TEST_KUBERNETES_PORT": lab["CFHA_PORT"]})


def quickstart(stage: Stage) -> None:
    """The user's own commands: up, up again, down, and every fault on the way; nothing of it is left."""
    stage.pytest("tests/quickstart", "-s")


def bench(stage: Stage) -> None:
    """Benchmarks that compare within one run."""
    stage.pytest("tests/bench", "-s")


#: Stages that need nothing of the machine but its time stand behind those that wait for timers, hosts and traffic.
COMPUTING = (lint, galaxy, unit, engine, modules, integration, sanity)
#: Two such lanes, and not three: the machine's watches of files are enough for the hosts of two.
WAITING = ((molecule, kubeadm), (balancers, quickstart, readme, registrar, emulator, lab))
#: Stages that measure have the machine for themselves.
ALONE = (bench,)
STAGES: dict[str, t.Callable[[Stage], None]] = {
    stage.__name__: stage for lane in (COMPUTING, *reversed(WAITING), ALONE) for stage in lane
}


def run_stage(stage: Stage, scenarios: t.Sequence[str]) -> Stage:
    """Run one stage, and show the end of its log if a test of it failed."""
    print(f"==> {stage.name}: {STAGES[stage.name].__doc__}", flush=True)
    begin = time.monotonic()
    if scenarios:
        molecule(stage, scenarios)
    else:
        STAGES[stage.name](stage)
    stage.wall = time.monotonic() - begin
    print(f"    {stage.count} in {stage.wall:.0f}s ({stage.name})", flush=True)
    if stage.count.failed:
        print(stage.end_of_log(), flush=True)
    return stage


def table(stages: t.Sequence[Stage], wall: float, busy: float) -> str:
    """Stages with their times; the processor's time that no stage has as its own is that of hosts, services and builds."""
    rows = [(stage.name, stage.wall, stage.cpu, str(stage.count)) for stage in stages]
    rows.append(("hosts, builds", 0.0, max(0.0, busy - sum(stage.cpu for stage in stages)), ""))
    rows.append(("all", wall, busy, f"{100 * busy / wall / (os.cpu_count() or 1):.0f} % of all cores"))
    lines = [f"{'stage':<14}{'wall s':>8}{'cpu s':>8}  tests"]
    return "\n".join(lines + [f"{name:<14}{spent:>8.0f}{cpu:>8.0f}  {count}" for name, spent, cpu, count in rows])


def parsed(arguments: t.Sequence[str]) -> argparse.Namespace:
    """The options of the command line; the words behind -- are kept as they are."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    own, further = arguments[:end], arguments[end + 1 :]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stages", nargs="*", help="only these stages", metavar="STAGE")
    parser.add_argument("-s", "--scenario", action="append", default=[], help="only this scenario of Molecule")
    parser.add_argument("--list", action="store_true", help="show the stages")
    parser.add_argument("--all", action="store_true", help="run the tests marked as thorough, too, which take long")
    options = parser.parse_args(own)
    options.further = further
    unknown = [name for name in options.stages if name not in STAGES]
    if unknown:
        parser.error(f"there is no stage {unknown[0]}; there are {', '.join(STAGES)}")
    if further and len(options.stages) != 1:
        parser.error("words behind -- go to one program, so name one stage")
    if options.scenario and options.stages != ["molecule"]:
        parser.error("-s chooses a scenario of the stage molecule, so name that stage")
    return options


def main() -> None:
    options = parsed(sys.argv[1:])
    if options.list:
        print("\n".join(f"{name:<12} {function.__doc__}" for name, function in STAGES.items()))
        return
    if not PLACE.is_absolute():
        sys.exit("run ./quickstart test: it sets up what the stages need")
    logs = pathlib.Path(os.environ.get("CFHA_TEST_LOGS") or PLACE / "test-logs")
    shutil.rmtree(logs, ignore_errors=True)
    logs.mkdir(parents=True)
    begin, busy = time.monotonic(), busy_seconds()
    with contextlib.ExitStack() as after:
        after.callback(release, pathlib.Path("/var/lib", os.environ["CFHA_SANDBOX"]))
        name = after.enter_context(tempfile.TemporaryDirectory(prefix="cfha-tree-"))
        scratch = pathlib.Path(name)
        built = tarball.build(ROOT, scratch)
        tree = tarball.install(built, scratch)
        tarball.lay_tests_over(ROOT, tree)
        os.environ.update(ANSIBLE_COLLECTIONS_PATH=str(scratch), CFHA_TARBALL=str(built), CFHA_CHECKOUT=str(ROOT))
        stages = [
            Stage(name, logs / f"{name}.log", tree, options.all, tuple(options.further))
            for name in options.stages or STAGES
        ]
        run_all(stages, options.scenario, logs)
    print(table(stages, time.monotonic() - begin, busy_seconds() - busy))
    print(f"logs are in {logs}")
    total = sum((stage.count for stage in stages), Count())
    print(total)
    sys.exit(1 if total.failed or not total.passed else 0)


def release(claimed: pathlib.Path) -> None:
    """Give back the sandbox's directory that ./quickstart has claimed, where no stage has made anything in it and taken it away again."""
    if claimed.is_dir() and {path.name for path in claimed.iterdir()} <= {"access-key", "log", "sandbox.json"}:
        shutil.rmtree(claimed)


def run_all(stages: t.Sequence[Stage], scenarios: t.Sequence[str], logs: pathlib.Path) -> None:
    """Run stages in lanes side by side, and after them those that measure."""
    names = {stage.name for stage in stages}

    def lane(functions: t.Sequence[t.Callable[[Stage], None]]) -> None:
        for function in functions:
            for stage in stages:
                if stage.name == function.__name__:
                    run_stage(stage, scenarios)

    if names - {function.__name__ for function in COMPUTING}:
        for stage in stages:
            stage.behind = stage.name in {function.__name__ for function in COMPUTING}
    with contextlib.ExitStack() as stack:
        if KUBEADM in names and len(stages) > 1:
            stack.enter_context(kubernetes_in_the_meantime(logs / "kubernetes.log", stages[0].thorough))
        pool = stack.enter_context(concurrent.futures.ThreadPoolExecutor(3))
        lanes = [pool.submit(lane, functions) for functions in (*WAITING, COMPUTING)]
        try:
            for one in lanes:
                one.result()
        except BaseException:
            end_all()
            raise
    lane(ALONE)


if __name__ == "__main__":
    main()
