# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Between modules and the engine: options, environment, and the sentences of failures."""

from __future__ import annotations

import importlib
import json
import os
import pathlib
import subprocess
import sys

import pytest

from ansible_collections.clusterfront.ha.plugins.module_utils import _argspec

from ansible_collections.clusterfront.ha.plugins.module_utils import _module
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.errors import ApiError
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.state import CloudState

BASE = "ansible_collections.clusterfront.ha.plugins.modules"
NOBODY = {
    "access_key_id": "x",
    "access_key_secret": "y",
    "slb_endpoint": "http://127.0.0.1:9",
    "ecs_endpoint": "http://127.0.0.1:9",
}


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (
            ApiError(
                "string to sign is:\nGET", operation="DescribeInstances", code="SignatureDoesNotMatch", status=400
            ),
            "The cloud refused DescribeInstances (SignatureDoesNotMatch): the access key's secret is wrong; check"
            " access_key_secret or ALIBABA_CLOUD_ACCESS_KEY_SECRET.",
        ),
        (
            ApiError("The vpc Ip is exist.", operation="CreateLoadBalancer", code="InvalidParameter", status=400),
            "The cloud refused CreateLoadBalancer (InvalidParameter): The vpc Ip is exist.",
        ),
        (ApiError("x gave no usable answer", operation="DescribeRegions"), "x gave no usable answer."),
        (
            ApiError(
                "The vpc subnet is not exist.", operation="CreateLoadBalancer", code="ServiceUnavailable", status=400
            ),
            "The cloud refused CreateLoadBalancer (ServiceUnavailable): there is no such vSwitch in that VPC and region; check"
            " load_balancer.vswitch_id, load_balancer.vpc_id and region.",
        ),
        (
            ApiError("x", operation="CreateVServerGroup", code="InstanceBackendServerNumberOverLimit", status=400),
            "The cloud refused CreateVServerGroup (InstanceBackendServerNumberOverLimit): the account's quota is used up; take"
            " something away, or ask for a higher one in the Quota Center.",
        ),
    ],
)
def test_one_sentence_for_an_error(error, sentence):
    assert _module.sentence(error) == sentence


@pytest.mark.parametrize(
    ("params", "head"),
    [
        ({"load_balancer": "prod"}, {"name": "prod", "marked_by": None, "load_balancer": {"name": "prod"}}),
        (
            {"load_balancer": "prod", "quotas": {"access_lists": 300}},
            {"name": "prod", "marked_by": None, "load_balancer": {"name": "prod"}},
        ),
        (
            {"load_balancer": "lb-1", "owner": None},
            {"name": "lb-1", "marked_by": "load_balancer", "load_balancer": {"id": "lb-1"}},
        ),
        (
            {"load_balancer": "lb-1", "owner": "prod"},
            {"name": "prod", "marked_by": "owner", "load_balancer": {"id": "lb-1"}},
        ),
    ],
)
def test_the_head_of_a_part(params, head):
    assert _module.part_of_load_balancer(params) == {**head, "quotas": params.get("quotas")}


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ("name is '\u751f\u4ea7'.", "name is '\u751f\u4ea7'."),
        ("name is 'a\nb\x07'.", "name is 'a\\nb\\x07'."),
        (f"name is '{'x' * 500}', but not.", f"name is '{'x' * 79}...{'x' * 78}', but not."),
        ("a b " * 1000, f"{'a b ' * 125}...{'a b ' * 125}"),
    ],
)
def test_a_sentence_can_be_read_whatever_is_in_it(words, shown):
    assert _module.readable(words) == shown


@pytest.mark.parametrize(
    ("params", "mark"),
    [
        ({"owner": "me", "name": "prod", "id": None}, ("me", "owner")),
        ({"owner": "", "name": "prod", "id": None}, ("prod", "name")),
        ({"owner": None, "name": "", "id": None}, ("", "name")),
        ({"owner": None, "name": None, "id": None}, ("", "id")),
    ],
)
def test_the_mark_comes_of_the_first_option_that_is_given(params, mark):
    found = _module.marked_by(params, "owner", "name", "id")
    assert (found["name"], found["marked_by"]) == mark


def test_settings_take_what_they_know():
    settings = _module.settings({"region": "r", "access_key_id": None, "timeout": 5.0, "name": "prod"})
    assert (settings.region, settings.access_key_id, settings.timeout) == ("r", None, 5.0)


LISTENER = dict.fromkeys(_argspec.LISTENER)


def test_documents_of_the_small_modules():
    instance = importlib.import_module(f"{BASE}.slb_instance")
    params = {key: None for key in instance.ARGUMENT_SPEC} | {"id": "lb-1", "state": "absent"}
    made = instance.document(params)
    assert (made.owner, made.load_balancer.id, made.state, made.load_balancer_exists) == (
        "lb-1",
        "lb-1",
        "absent",
        False,
    )
    listener = importlib.import_module(f"{BASE}.slb_listener")
    made = listener.document(
        {**LISTENER, "load_balancer": "prod", "owner": "me", "port": 80, "protocol": "tcp", "allow_public": True}
    )
    assert (made.owner, made.listeners[0].port, made.load_balancer_exists, made.allow_public) == ("me", 80, True, True)
    group = importlib.import_module(f"{BASE}.slb_server_group")
    made = group.document(
        {"load_balancer": "prod", "name": "haproxy", "backends": None, "purge": "all", "state": "present"}
    )
    assert (made.owner, made.server_groups[0].purge) == ("prod", "all")
    backend = importlib.import_module(f"{BASE}.slb_backend")
    params = {
        "load_balancer": "prod",
        "server_group": "web",
        "state": "absent",
        "backends": [{"server_id": "i-1", "port": 1}],
    }
    made = backend.document(params)
    (members,) = made.server_groups
    assert (members.name, members.purge, members.exists, members.backends[0].state) == ("web", "none", True, "absent")
    assert made.load_balancer_exists and backend.backends(made, CloudState()) == []
    made = backend.document({**params, "server_group": None, "backends": [{"server_id": "i-1"}]})
    assert (made.default_pool.purge, made.server_groups, backend.backends(made, CloudState())) == ("none", (), [])
    pair = importlib.import_module(f"{BASE}.slb_failover_group")
    made = pair.document({"load_balancer": "prod", "name": "p", "primary": None, "standby": None, "state": "absent"})
    assert made.failover_groups[0].state == "absent" and pair.failover_group(made, CloudState()) is None
    acl = importlib.import_module(f"{BASE}.slb_acl")
    params = {key: None for key in acl.ARGUMENT_SPEC} | {"id": "acl-1", "purge_entries": False}
    made = acl.document(params)
    assert (made.owner, made.access_lists[0].id, made.access_lists[0].purge_entries) == ("acl-1", "acl-1", False)
    assert made.without_load_balancer and acl.acl(made, CloudState()) is None


def call(module: str, root: pathlib.Path, collections_path: pathlib.Path, environ=None, **options):
    """Run a module as Ansible does on a host, and return its answer."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("ALI", "SLB_", "ECS_"))}
    run = subprocess.run(
        [sys.executable, root / "plugins" / "modules" / f"{module}.py", json.dumps({"ANSIBLE_MODULE_ARGS": options})],
        env={**clean, "PYTHONPATH": str(collections_path), "PYTHONDONTWRITEBYTECODE": "1", **(environ or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.stdout, run.stderr
    return json.loads(run.stdout)


@pytest.mark.parametrize(
    ("module", "options", "sentence"),
    [
        ("slb_frontend", {"name": "prod", "region": "r", "access_key_id": "x"}, "the option access_key_id is set, but"),
        (
            "slb_frontend",
            {"name": "prod", "region": "r", **NOBODY, "slb_endpoint": "ftp://x"},
            "slb_endpoint is 'ftp://x'",
        ),
        ("slb_frontend", {"name": "-", "region": "r", **NOBODY}, "name is '-', but it has to be"),
        ("slb_frontend", {"name": "prod", **NOBODY}, "missing required arguments: region"),
        ("slb_instance", {"region": "r", **NOBODY}, "one of the following is required: id, name"),
        (
            "slb_listener",
            {"load_balancer": "x", "port": 80, "protocol": "sctp", "region": "r"},
            "value of protocol must be one of: tcp, udp",
        ),
        ("slb_server_group", {"load_balancer": "x", "region": "r", **NOBODY}, "missing required arguments: name"),
        (
            "endpoint_probe",
            {"targets": [{"host": "127.0.0.1", "port": 70000}]},
            "targets has port 70000 of 127.0.0.1; 1 to 65535",
        ),
    ],
)
def test_a_module_that_fails_says_why_in_one_sentence(module, options, sentence, root, collections_path):
    answer = call(module, root, collections_path, **options)
    assert answer["failed"] and sentence in answer["msg"]
    assert "\n" not in answer["msg"] and "exception" not in answer


def test_region_and_endpoints_come_from_the_environment(root, collections_path):
    environ = {"ALIBABA_CLOUD_REGION": "r-env", "SLB_ENDPOINT": "ftp://from-environment"}
    answer = call("slb_instance_info", root, collections_path, environ, access_key_id="x", access_key_secret="y")
    assert "ftp://from-environment" in answer["msg"]
    assert answer["invocation"]["module_args"]["region"] == "r-env"
    assert answer["invocation"]["module_args"]["access_key_secret"] == "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER"


def test_endpoint_probe_answers_with_plain_data(root, collections_path):
    answer = call(
        "endpoint_probe",
        root,
        collections_path,
        targets=[{"host": "nowhere.invalid", "port": 80, "name": "x"}],
        timeout=1,
    )
    assert answer["changed"] is False
    assert {key: answer["probes"][0][key] for key in ("name", "result", "stage", "http_status")} == {
        "name": "x",
        "result": "unreachable",
        "stage": "resolve",
        "http_status": None,
    }


def test_true_is_the_number_that_it_stands_for():
    part = {"type": "list", "elements": "dict", "options": {"weight": {"type": "int"}, "on": {"type": "bool"}}}
    ports = {"type": "list", "elements": "int"}

    class Module:
        argument_spec = {"backends": part, "port": {"type": "int"}, "ports": ports, "tags": {"type": "dict"}}
        params = {
            "backends": [{"weight": True, "on": True}, {"weight": None}],
            "port": 80,
            "ports": [False],
            "tags": {"a": True},
        }

    assert json.dumps(_module.options(Module())) == json.dumps(
        {"backends": [{"weight": 1, "on": True}, {"weight": None}], "port": 80, "ports": [0], "tags": {"a": True}}
    )
