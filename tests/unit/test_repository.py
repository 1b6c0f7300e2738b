# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The boundaries of the house: what may import what, and what all files have in common."""

from __future__ import annotations

import ast
import ipaddress
import os
import pathlib
import re
import subprocess
import sys

import pytest
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
UTILS = ROOT / "plugins" / "module_utils"
MODULES = sorted((ROOT / "plugins" / "modules").glob("*.py"))
EMULATOR = ROOT / "roles" / "slb_emulator" / "files" / "slb_emulator"
SDK = ("alibabacloud", "Tea", "darabonba", "jmespath", "requests", "aiohttp")
ROLES = sorted(path.parent for path in ROOT.glob("roles/*/meta"))


def repository() -> list[pathlib.Path]:
    """All files of the repository: those that git knows or would add, or all that there are where git is not."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode == 0:
        found = [ROOT / name for name in listed.stdout.split("\0") if name]
    else:
        found = [path for path in ROOT.rglob("*") if "__pycache__" not in path.parts and "output" not in path.parts]
    return sorted(path for path in found if path.is_file() and not path.is_symlink())


FILES = repository()


def text_of(path: pathlib.Path) -> str | None:
    """The text of a file; None for what is none."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return None


def name_of(path: pathlib.Path) -> str:
    return str(path.relative_to(ROOT))


class Imports(ast.NodeVisitor):
    """The modules that a file imports: (name, level of a relative import, whether inside a function)."""

    def __init__(self, path: pathlib.Path) -> None:
        self.found: list[tuple[str, int, bool]] = []
        self.inside = 0
        self.visit(ast.parse(path.read_text(encoding="utf-8")))

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self.inside += 1
        self.generic_visit(node)
        self.inside -= 1

    visit_AsyncFunctionDef = visit_FunctionDef  # type: ignore[assignment]

    def visit_Import(self, node: ast.Import) -> None:
        self.found += [(alias.name, 0, bool(self.inside)) for alias in node.names]

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        self.found.append((node.module or "", node.level, bool(self.inside)))

    def absolute(self) -> set[str]:
        return {name.partition(".")[0] for name, level, dummy in self.found if not level}


PLAIN = sorted(
    path
    for package in (
        "_slb",
        "_endpoint",
        "_haproxy",
        "_ingress",
        "_frontend",
        "_kubeadm",
        "_listens",
        "_nginx",
        "_proxy",
        "_registrar",
    )
    for path in UTILS.glob(f"{package}/**/*.py")
)


@pytest.mark.parametrize("path", PLAIN, ids=name_of)
def test_the_engine_knows_nothing_of_ansible(path):
    third_party = {"waiters.py": {"jmespath"}, "pem.py": {"cryptography"}}.get(path.name, set())
    if path == UTILS / "_slb" / "client.py":
        third_party = {name for name in Imports(path).absolute() if name.startswith(SDK)}
    assert Imports(path).absolute() <= set(sys.stdlib_module_names) | third_party


@pytest.mark.parametrize("path", PLAIN, ids=name_of)
def test_the_engine_imports_nothing_above_itself(path):
    depth = len(path.relative_to(UTILS).parts) - 1
    # what is true of every program that is brought live, the programs build on; the registrar builds on the engine; what a front end must not
    # do to kubeadm, kubeadm's causes know
    base = {"_haproxy": "_proxy", "_nginx": "_proxy", "_registrar": "_slb", "_frontend": "_kubeadm"}.get(
        path.parent.name
    )
    found = [(name.partition(".")[0], level) for name, level, dummy in Imports(path).found]
    assert all(level <= depth or (level == depth + 1 and name == base) for name, level in found)


@pytest.mark.parametrize(
    "path",
    [path for path in FILES if path.suffix == ".py" and "plugins" == path.relative_to(ROOT).parts[0]],
    ids=name_of,
)
def test_only_the_client_imports_the_sdk_and_only_when_it_connects(path):
    third_party = [(name, inside) for name, level, inside in Imports(path).found if not level and name.startswith(SDK)]
    if path == UTILS / "_slb" / "client.py":
        assert third_party and all(inside for name, inside in third_party)
    elif path == UTILS / "_slb" / "waiters.py":
        assert third_party == [("jmespath", True)]
    else:
        assert third_party == []


@pytest.mark.parametrize(
    "path",
    [
        "_slb/document.py",
        "_slb/plan.py",
        "_slb/protocols.py",
        "_slb/security_groups.py",
        "_slb/state.py",
        "_slb/view.py",
        "_slb/export.py",
        "_slb/limits.py",
        "_slb/adoption.py",
        "_slb/errors.py",
        "_endpoint/control_plane.py",
        "_endpoint/diagnosis.py",
        "_endpoint/preflight.py",
        "_endpoint/report.py",
        "_haproxy/parse.py",
        "_haproxy/plan.py",
        "_haproxy/states.py",
        "_ingress/convert.py",
        "_ingress/sites.py",
        "_kubeadm/cause.py",
        "_kubeadm/config.py",
        "_kubeadm/health.py",
        "_kubeadm/state.py",
        "_kubeadm/versions.py",
        "_kubeadm/yamltext.py",
        "_nginx/config.py",
        "_nginx/parse.py",
        "_nginx/unit.py",
        "_proxy/container.py",
        "_proxy/parse.py",
        "_proxy/plan.py",
        "_proxy/states.py",
        "_listens/edge.py",
        "_listens/labels.py",
        "_listens/listens.py",
        "_listens/nginx.py",
        "_listens/presets.py",
        "_listens/problems.py",
        "_registrar/containers.py",
        "_registrar/labels.py",
        "_registrar/plan.py",
        "_registrar/status.py",
    ],
)
def test_what_is_pure_has_no_clock_no_network_and_no_files(path):
    assert not Imports(UTILS / path).absolute() & {
        "os",
        "time",
        "datetime",
        "random",
        "socket",
        "subprocess",
        "threading",
        "pathlib",
        "urllib",
        "http",
        "ssl",
    }


GUARD = """
import importlib.abc, sys
class Guard(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.startswith({names!r}):
            raise ImportError(name + " was imported")
sys.meta_path.insert(0, Guard())
import importlib
for name in sys.argv[1:]:
    importlib.import_module("ansible_collections.clusterfront.ha.plugins.modules." + name)
"""


def test_no_module_costs_an_import_of_others(collections_path):
    run = subprocess.run(
        [sys.executable, "-B", "-c", GUARD.format(names=SDK), *[path.stem for path in MODULES]],
        env={**os.environ, "PYTHONPATH": str(collections_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr


HOSTS = [
    "plugins/modules/endpoint_probe.py",
    "plugins/module_utils/_endpoint/certificate.py",
    "plugins/module_utils/_endpoint/probe.py",
    "plugins/modules/haproxy_release.py",
    "plugins/modules/haproxy_server.py",
    "plugins/modules/nginx_release.py",
    "plugins/modules/nginx_server.py",
    "plugins/module_utils/_release_module.py",
    "plugins/modules/kubeadm_config.py",
    "plugins/modules/kubeadm_node.py",
    "plugins/modules/kubeadm_node_info.py",
    "plugins/modules/kubeadm_ticket.py",
    "plugins/module_utils/_kubeadm_module.py",
    "plugins/module_utils/_registrar/containers.py",
    "plugins/module_utils/_registrar/engines.py",
    "plugins/module_utils/_registrar/labels.py",
    *(
        name_of(path)
        for package in ("_haproxy", "_kubeadm", "_nginx", "_proxy")
        for path in sorted(UTILS.glob(f"{package}/*.py"))
    ),
]


@pytest.mark.parametrize("path", HOSTS)
def test_what_runs_on_hosts_runs_on_python_3_8(path):
    ast.parse((ROOT / path).read_text(encoding="utf-8"), feature_version=(3, 8))
    own = (
        {"ansible", "ansible_collections"} if "module" in pathlib.PurePath(path).stem or "/modules/" in path else set()
    )
    assert Imports(ROOT / path).absolute() <= set(sys.stdlib_module_names) - {"tomllib", "zoneinfo", "graphlib"} | own


@pytest.mark.parametrize(
    "path", sorted(path for package in ("_slb", "_registrar") for path in UTILS.glob(f"{package}/**/*.py")), ids=name_of
)
def test_what_the_registrar_takes_to_hosts_runs_on_python_3_9(path):
    ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 9))


def test_the_emulator_shares_no_code_with_the_plugins():
    for path in EMULATOR.rglob("*.py"):
        assert not Imports(path).absolute() & {"ansible", "ansible_collections", "plugins"}, name_of(path)


def test_the_action_group_has_all_modules_that_call_the_cloud():
    runtime = yaml.safe_load((ROOT / "meta" / "runtime.yml").read_text())
    members = runtime["action_groups"]["slb"]
    assert members == sorted(path.stem for path in MODULES if path.stem.startswith("slb_"))
    for path in MODULES:
        fragments = documentation(path).get("extends_documentation_fragment", [])
        assert ("clusterfront.ha._attributes.actiongroup_slb" in fragments) == (path.stem in members), path.stem
        assert ("clusterfront.ha.connection" in fragments) == (path.stem in members), path.stem


def documentation(path: pathlib.Path) -> dict:
    """What a module's DOCUMENTATION says."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "DOCUMENTATION":
            return yaml.safe_load(ast.literal_eval(node.value))
    raise AssertionError(f"{path.stem} has no DOCUMENTATION")


#: Options that no object has: they say what is to be done, and leaving one out has to mean something.
DEEDS = {
    "state",
    "purge",
    "purge_entries",
    "purge_tags",
    "purge_rules",
    "purge_domain_extensions",
    "allow_public",
    "adopt",
    "timeout",
    "enabled",
}


def with_defaults(options: dict, prefix: str = "") -> dict[str, object]:
    found = {}
    for name, option in options.items():
        if "default" in option:
            found[prefix + name] = option["default"]
        found.update(with_defaults(option.get("suboptions") or option.get("options") or {}, f"{prefix}{name}."))
    return found


@pytest.mark.parametrize("path", [path for path in MODULES if path.stem.startswith("slb_")], ids=lambda path: path.stem)
def test_nothing_that_can_be_updated_has_a_default(path):
    documented = with_defaults(documentation(path)["options"])
    assert {name.rpartition(".")[2] for name in documented} <= DEEDS | {"wait_timeout"}
    # a health check's own switch is not the listener's
    assert not [name for name in documented if name.endswith("health_check.enabled")]


def test_the_shared_specs_have_no_default_either():
    from ansible_collections.clusterfront.ha.plugins.module_utils import _argspec

    specs = {name: value for name, value in vars(_argspec).items() if name.isupper()}
    found = with_defaults(specs["FRONT_END"]) | with_defaults(specs["LISTENER"]) | with_defaults(specs["CONNECTION"])
    assert {name.rpartition(".")[2] for name in found} == DEEDS


@pytest.mark.parametrize(
    ("part", "module", "without"),
    [
        ("listeners", "slb_listener", {"load_balancer", "owner", "allow_public"}),
        ("server_groups", "slb_server_group", {"load_balancer", "owner"}),
        ("failover_groups", "slb_failover_group", {"load_balancer", "owner"}),
        ("load_balancer", "slb_instance", {"owner", "state"}),
        ("access_lists", "slb_acl", {"owner"}),
    ],
)
def test_a_part_of_a_document_is_documented_as_its_own_module(part, module, without):
    def words(value, prefix):
        """The same text, whichever way other options are named from there."""
        if isinstance(value, dict):
            return {key: words(entry, prefix) for key, entry in value.items()}
        if isinstance(value, list):
            return [words(entry, prefix) for entry in value]
        return re.sub(rf"O\({prefix}", "O(", value) if isinstance(value, str) else value

    whole = documentation(ROOT / "plugins" / "modules" / "slb_frontend.py")["options"][part]
    alone = documentation(ROOT / "plugins" / "modules" / f"{module}.py")["options"]
    prefix = re.escape(part + ("[]" if whole["type"] == "list" else "")) + r"\."
    inside = words(whole["suboptions"], prefix)
    outside = {name: option for name, option in alone.items() if name not in without}
    assert set(inside) == set(outside)
    for name, option in inside.items():
        there = words(outside[name], "nothing")
        # a default of a part may name the whole in its sentence; types, choices and the rest are the same
        assert {key: value for key, value in option.items() if key != "description"} == {
            key: value for key, value in there.items() if key != "description"
        } or strip(option) == strip(there), name


def strip(option: dict) -> dict:
    """An option without sentences, at every depth."""
    kept = {key: value for key, value in option.items() if key not in ("description", "suboptions")}
    if "suboptions" in option:
        kept["suboptions"] = {name: strip(entry) for name, entry in option["suboptions"].items()}
    return kept


HEADER = "SPDX-License-Identifier: GPL-3.0-or-later"
CODE = (".py", ".sh")
#: One command is nothing to license.
ONE_COMMAND = ".ci/run"


def is_code(path: pathlib.Path) -> bool:
    return path.suffix in CODE or (not path.suffix and (text_of(path) or "").startswith("#!"))


@pytest.mark.parametrize(
    "path",
    [path for path in FILES if is_code(path) and path.stat().st_size and name_of(path) != ONE_COMMAND],
    ids=name_of,
)
def test_code_says_its_license(path):
    assert HEADER in "\n".join(path.read_text(encoding="utf-8").splitlines()[:6])


def test_the_collection_needs_no_other():
    galaxy = yaml.safe_load((ROOT / "galaxy.yml").read_text())
    assert (galaxy["namespace"], galaxy["name"], galaxy["dependencies"]) == ("clusterfront", "ha", {})
    assert all((ROOT / galaxy[key]).is_file() for key in ("readme", "license_file"))


@pytest.mark.parametrize(
    "role", [role for role in ROLES if (role / "defaults/main.yml").exists()], ids=lambda role: role.name
)
def test_defaults_of_a_role_are_those_of_its_specification(role):
    defaults = yaml.safe_load((role / "defaults" / "main.yml").read_text()) or {}
    specs = yaml.safe_load((role / "meta" / "argument_specs.yml").read_text())["argument_specs"]
    options: dict[str, dict] = {}
    for spec in specs.values():
        options |= spec.get("options") or {}
    assert all(name.startswith(f"{role.name}_") for name in [*defaults, *options])
    specified = {name: option["default"] for name, option in options.items() if "default" in option}
    # what is computed has no value that a page could show; its description says what it is
    computed = {name for name, value in defaults.items() if "{{" in str(value)}
    assert computed - set(specified) <= set(options)
    assert {name: value for name, value in defaults.items() if name not in computed - set(specified)} == specified


UNITS = [path for path in sorted(ROOT.glob("roles/*/templates/*service.j2")) if "Restart=always" in path.read_text()]


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_a_service_comes_back_however_often_it_has_ended(path):
    assert len(UNITS) >= 4
    assert "\nStartLimitIntervalSec=0\n" in path.read_text().split("[Service]")[0], path


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_a_role_is_whole(role):
    for path in ("README.md", "meta/main.yml", "meta/argument_specs.yml", "tasks/main.yml"):
        assert (role / path).is_file(), f"{role.name} has no {path}"


NO_PLACES = re.compile(
    r"/work/|/root/|deb\.debian\.org|pypi\.org|proxy\.golang\.org|files\.pythonhosted\.org|docker\.io|registry\.k8s\.io"
)
#: Where a word of that list stands for a reason.
PLACES_ALLOWED = {
    "tests/unit/test_repository.py": "the list itself",
    "tests/lab/test_hosts.py": "a home directory on a host of the lab",
}


@pytest.mark.parametrize("path", [path for path in FILES if path.name != "LICENSE"], ids=name_of)
def test_no_text_names_a_place_of_its_makers(path):
    found = set(NO_PLACES.findall(text_of(path) or ""))
    assert not found or name_of(path) in PLACES_ALLOWED, f"{found} in {name_of(path)}"


def test_galaxy_is_only_a_link():
    for path in FILES:
        if "galaxy.ansible.com" in (text_of(path) or "") and path.resolve() != pathlib.Path(__file__).resolve():
            assert path.suffix == ".md", name_of(path)


ADDRESS = re.compile(r"(?<![\w.:-])(\d{1,3}(?:\.\d{1,3}){3})(?![\w.]*\.\d|[\w-])")
EXAMPLES = [
    ipaddress.ip_network(network)
    for network in (
        "192.0.2.0/24",
        "198.51.100.0/24",
        "203.0.113.0/24",  # RFC 5737
        "100.64.0.0/10",  # where the cloud's health checks come from
        "127.0.0.0/8",
        "0.0.0.0/32",
        "255.255.255.255/32",
        "169.254.0.0/16",
    )
]
#: Other addresses, each with the reason why it has to be that one.
ADDRESSES_ALLOWED = {
    "10.244.0.0": "kubeadm's and flannel's pod network",
    "10.96.0.0": "kubeadm's default service network",
    "10.96.0.1": "the first address of it, which every apiserver certificate has",
}


@pytest.mark.parametrize("path", [path for path in FILES if path.name != "LICENSE"], ids=name_of)
def test_addresses_are_examples(path):
    strange = set()
    for number in ADDRESS.findall(text_of(path) or ""):
        try:
            address = ipaddress.ip_address(number)
        except ValueError:
            continue
        if number not in ADDRESSES_ALLOWED and not any(address in network for network in EXAMPLES):
            strange.add(number)
    assert not strange, f"{name_of(path)} has {sorted(strange)}"


#: A template that makes one number, or nothing: ansible-core 2.18 makes a string of it, an empty one of nothing.
LONE = re.compile(r"\{\{[^=]*(\| *(int|float|length)|\belse none|\| *default\(none(, true)?\)) *\}\}", re.DOTALL)


def within(value, nested=False):
    """The texts in lists and mappings of a variable."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for entry in value:
            yield from within(entry, nested=True)
    elif isinstance(value, str) and nested:
        yield value.strip()


@pytest.mark.parametrize(
    "path", sorted([*ROOT.glob("roles/*/vars/*.yml"), *ROOT.glob("playbooks/vars/*.yml")]), ids=name_of
)
def test_numbers_in_mappings_stay_numbers_on_every_core(path):
    lone = [
        text
        for value in (yaml.safe_load(path.read_text(encoding="utf-8")) or {}).values()
        for text in within(value)
        if LONE.fullmatch(text)
    ]
    assert (
        not lone
    ), f"{name_of(path)}: write the mapping as one expression, for {lone} are strings on ansible-core 2.18"


@pytest.mark.parametrize("path", sorted(ROOT.glob("docs/guide_*.zh-CN.md")), ids=name_of)
def test_a_guide_has_the_same_tasks_in_both_languages(path):
    def blocks(page):
        return re.findall(r"^```.*?^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)

    assert blocks(path) == blocks(path.with_name(path.name.replace(".zh-CN", "")))
