# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The examples of every plugin work as they stand, and the snippets of every page fit their modules."""

from __future__ import annotations

import json
import typing as t

import catalogue
import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from example_cloud import IDS, World

#: They work on a host with a proxy or kubeadm under systemd: their arguments are checked, the rest is the roles' tests.
ON_HOSTS = {
    "apiserver_stand_in",
    "haproxy_release",
    "haproxy_server",
    "host_baseline",
    "kubeadm_config",
    "kubeadm_node",
    "kubeadm_node_info",
    "kubeadm_ticket",
    "nginx_release",
    "nginx_server",
}
#: A listen, and what it gets where it says nothing else, as the role haproxy hands them to the filters.
LISTEN = {"name": "web", "bind": [{"port": 80}], "group": "web", "backend_port": 8080}
DEFAULTS = {
    "balance": "leastconn",
    "slowstart": "30s",
    "shutdown_on_down": False,
    "max_connections": 4000,
    "ca_bundle": "/bundle.pem",
    "health_check": {"interval": "2s", "fast_interval": "1s", "down_interval": "2s", "fall": 2, "rise": 2},
    "timeouts": {"connect": "1s", "idle": "1h", "tunnel": "1h", "queue": "10s", "request": "10s"},
    "client_keepalive": {},
    "server_keepalive": {},
}
MEMBER = {"server_id": "i-example1", "eni_id": None, "port": 80, "weight": 100, "owner": "prod-web"}
#: What the variables in examples of filters are.
VARIABLES: dict[str, t.Any] = {
    "nodes": [
        {"name": "master-1", "address": "192.0.2.11", "roles": ["master"], "backend": False, "probes": []},
        {"name": "haproxy-1", "address": "192.0.2.21", "roles": ["load_balancer"], "backend": True, "probes": None},
    ],
    "cloud": {"load_balancer": {"id": "lb-example", "address": "192.0.2.100", "status": "active"}},
    "listens": [LISTEN],
    "defaults": DEFAULTS,
    "resolved": "{{ listens | clusterfront.ha.resolve_listens(groups, hostvars, 'private_ip', defaults) }}",
    "labels": {"stdout": "http_port_t                    tcp      80, 443, 8008, 9000"},
    "web_port": 8080,
    "masters": [{"name": "master-1", "role": "control_plane", "ready": True}, {"name": "master-2", "role": "fresh"}],
    "failed": {"msg": "kubeadm init failed", "lines": [], "kubelet": [], "apiserver_ready": True},
    "met": {"result": "timed_out"},
    "found": {"server_groups": [{"name": "web", "backends": [MEMBER]}]},
    "predicted": {"front_end": {"server_groups": [{"name": "web", "backends": []}]}},
    "sites": [{"name": "echo", "hosts": ["echo.example.com"], "backends": [{"name": "a", "address": "192.0.2.1", "port": 80}]}],
    "front_end": {
        "layer": 4, "http_port": 80, "https_port": 443, "certificate": "/c.pem", "key": "/k.pem", "min_version": "TLSv1.2",
        "status": 404, "body": "nobody", "trusted_proxies": [],
    },
    "configuration": {
        "owner": "registrar/web-1", "server": {"private_ip": "192.0.2.11"}, "region": "cn-hangzhou",
        "engines": {"podman": "/run/podman/podman.sock"}, "directory": "/var/lib/clusterfront-registrar", "interval": 60,
    },
}  # fmt: skip
#: The variables of the play that examples of a module presuppose.
OF_PLAYS: dict[str, t.Any] = {
    "front_end": {
        "kube_apiserver_name": "prod-api",
        "kube_apiserver_topology": "existing",
        "kube_apiserver_endpoint_name": "api.example.com",
        "kube_apiserver_masters_group": "web",
        "kube_apiserver_gone": ["web-2"],
    }
}
#: The inventory that examples presuppose: the servers of a group, with the number of their CPUs.
HOSTS: list[catalogue.Task] = [
    {
        "ansible.builtin.add_host": {
            "name": f"web-{number}",
            "groups": "web",
            "ansible_host": f"192.0.2.{10 + number}",
            "private_ip": f"192.0.2.{10 + number}",
            "ansible_processor_vcpus": 2 * number,
            "web_cpus": 2 * number,
        },
        "changed_when": False,
    }
    for number in (1, 2)
]


def steps(world: World, example: catalogue.Task, number: int) -> list[catalogue.Task]:
    """An example in check mode and for real, with its ids led to what they mean."""
    text = world.with_files(yaml.safe_dump(example))
    found: list[catalogue.Task] = []
    for written in (identifier for identifier in IDS if identifier in text):
        module, options, listed = IDS[written]
        variable = written.replace("-", "_")
        found.append({f"clusterfront.ha.{module}": options, "register": variable})
        text = text.replace(written, f"'{{{{ {variable}.{listed}[0].id }}}}'")
    task = yaml.safe_load(text)
    # what a later example reads keeps its name
    kept = {task["register"]: f"{{{{ done_{number} }}}}"} if "register" in task else {}
    return [
        *found,
        {**task, "name": f"{task['name']} (predicted)", "check_mode": True, "register": f"predicted_{number}"},
        {**task, "diff": True, "register": f"done_{number}"},
        *([{"ansible.builtin.set_fact": kept}] if kept else []),
    ]


def as_predicted(examples: t.Sequence[catalogue.Task]) -> catalogue.Task:
    """Check mode said of every example what a run then did. What modules of others show beside them is theirs."""
    that = [
        f"predicted_{number}.{key} | default(none) == done_{number}.{key} | default(none)"
        for number, example in enumerate(examples)
        if catalogue.module_of(example) in catalogue.MODULES
        for key in ("changed", "steps", "diff")
    ]
    return {"name": "Every run was predicted", "ansible.builtin.assert": {"that": that, "quiet": True}}


@pytest.mark.parametrize("name", [name for name in catalogue.MODULES if name not in ON_HOSTS])
def test_examples_of_a_module_work(name: str, world: World, play: t.Any) -> None:
    examples = catalogue.module_examples(name)
    assert examples, f"{name} has no examples"
    assert catalogue.module_of(examples[0]) == name
    defaults = {}
    if name in catalogue.CLOUD_MODULES:
        world.prepare(name)
        defaults = {"group/clusterfront.ha.slb": world.connection}
    done = play(
        [
            {
                "hosts": "localhost",
                "gather_facts": False,
                "module_defaults": defaults,
                "vars": OF_PLAYS.get(name, {}),
                "tasks": [
                    *HOSTS,
                    *(task for number, example in enumerate(examples) for task in steps(world, example, number)),
                    as_predicted(examples),
                ],
            }
        ]
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert "[ERROR]" not in done.stderr and "[DEPRECATION" not in done.stderr, done.stderr


def test_examples_of_filters_work(world: World, play: t.Any) -> None:
    files = catalogue.filter_files()
    # what one filter makes, the other one shows
    tasks = [task for path in files for task in catalogue.examples(path)]
    for path in files:
        assert f"clusterfront.ha.{path.stem}" in json.dumps(catalogue.examples(path)), f"no example shows {path.stem}"
    world.prepare("")
    defaults = {"group/clusterfront.ha.slb": world.connection}
    head = {"hosts": "localhost", "gather_facts": False, "module_defaults": defaults, "vars": VARIABLES}
    done = play([{**head, "tasks": [*HOSTS, *tasks]}])
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


def without_templates(value: t.Any) -> t.Any:
    """Arguments without what only Ansible can fill in."""
    if isinstance(value, dict):
        return {key: without_templates(entry) for key, entry in value.items() if "{{" not in str(entry)}
    if isinstance(value, list):
        return [without_templates(entry) for entry in value]
    return value


SNIPPETS = [
    (where, task)
    for where, task in (
        *((f"{name}.py", task) for name in sorted(ON_HOSTS) for task in catalogue.module_examples(name)),
        *((path.name, task) for path in catalogue.MARKDOWN for task in catalogue.snippets(path)),
    )
    # what is in a whole document that was read before is not to be seen in the page
    if not catalogue.by_template(task, str(catalogue.module_of(task)))
]


@pytest.mark.parametrize(
    ("where", "task"), [pytest.param(*case, id=f"{case[0]}: {case[1].get('name')}") for case in SNIPPETS]
)
def test_snippets_fit_their_modules(where: str, task: catalogue.Task) -> None:
    name = catalogue.module_of(task)
    assert name is not None
    given = task[f"{catalogue.PREFIX}{name}"]
    arguments = catalogue.arguments(name)
    arguments.pop("supports_check_mode", None)
    found = ArgumentSpecValidator(**arguments).validate(without_templates(given))
    missing = {key for key in given if "{{" in str(given[key])} | {"region"}
    errors = [text for text in found.error_messages if not any(key in text for key in missing)]
    assert not errors, f"{where}: {errors}"
