# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The configuration and its files, and what the registrar tells of itself."""

from __future__ import annotations

import json
import os
import pathlib
import re

import pytest
import yaml
from ansible_collections.clusterfront.ha.plugins.filter.registrar_problems import FilterModule
from ansible_collections.clusterfront.ha.plugins.module_utils._registrar import config, status
from ansible_collections.clusterfront.ha.plugins.module_utils._registrar.labels import Problem
from ansible_collections.clusterfront.ha.plugins.module_utils._registrar.plan import Entry, Place
from ansible_collections.clusterfront.ha.plugins.module_utils._registrar.status import Status, Totals
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.errors import DocumentError
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.permissions import policy

TOLD = {
    "owner": "registrar/me", "server": {"private_ip": "192.0.2.1"}, "region": "cn-hangzhou",
    "engines": {"podman": "/run/podman.sock"}, "directory": "/var/lib/r", "interval": 5, "metrics_file": None,
    "slb_endpoint": "http://192.0.2.9",
}  # fmt: skip
SECRET = "nobody-sees-it"


def test_a_configuration():
    made = config.parse({**TOLD, "metrics_file": "/m/r.prom"}, {"access_key_id": "a", "access_key_secret": SECRET})
    assert made.rules.interval == 5 and made.rules.drain_time == 30 and made.settings.access_key_id == "a"
    assert made.settings.slb_endpoint == "http://192.0.2.9" and SECRET not in repr(made)
    assert (str(made.status), str(made.drained), str(made.metrics)) == (
        "/var/lib/r/status.json", "/var/lib/r/drained", "/m/r.prom",
    )  # fmt: skip
    assert config.parse(TOLD, {}).metrics is None


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"owner": "a b"}, "registrar_owner is 'a b', but it has to be 1 to 40 letters"),
        (
            {"server": {}},
            "registrar_server is {}; exactly one of server_id, server_name, private_ip, eni_id, eip is needed.",
        ),
        ({"server": {"private_ip": ""}}, "registrar_server is {'private_ip': ''}; exactly one of"),
        ({"server": {"server_tags": "a"}}, "registrar_server is {'server_tags': 'a'}; exactly one of"),
        ({"interval": 0}, "registrar_interval is 0 seconds; 1 or more are possible."),
        ({"drain_time": -1}, "registrar_drain_time is -1 seconds; 0 or more are possible."),
        ({"grace_time": 90000}, "registrar_grace_time is 90000"),
        ({"weight": 101}, "registrar_weight is 101; 0 to 100 are possible."),
        ({"owner": "me", "take_over_gone": True}, "with take_over_gone it has to be <family>/<host>"),
        ({"region": ""}, "registrar_region is empty; give the region"),
        ({"engines": {}}, "No container engine is installed"),
        (
            {"slb_endpoint": "ftp://a"},
            "registrar_slb_endpoint is 'ftp://a', but only http:// and https:// are possible.",
        ),
    ],
)
def test_what_can_not_work_has_one_sentence(changes, sentence):
    problems = FilterModule().filters()["registrar_problems"]
    assert problems(TOLD) == []
    (found,) = problems({**TOLD, **changes})
    assert sentence in found


@pytest.fixture
def files(tmp_path):
    key = tmp_path / "key.json"
    key.write_text(json.dumps({"access_key_id": "a", "access_key_secret": SECRET, "security_token": None, "other": 1}))
    key.chmod(0o600)
    path = tmp_path / "registrar.json"
    path.write_text(json.dumps({**TOLD, "credentials_file": str(key)}))
    return path, key


def test_the_key_has_a_file_of_its_own(files):
    path, key = files
    assert config.read(str(path)).settings.access_key_secret == SECRET
    assert config.key_of(str(key)) == {"access_key_id": "a", "access_key_secret": SECRET}
    path.write_text(json.dumps(TOLD))
    assert config.read(str(path)).settings.access_key_secret is None


def test_a_key_that_others_may_read_is_refused(files):
    path, key = files
    key.chmod(0o640)
    with pytest.raises(DocumentError, match="has the mode 0640, so others may read the access key; set it to 0600"):
        config.read(str(path))


def test_files_that_can_not_be_read(files):
    path, key = files
    key.write_text(f"{SECRET} is no JSON")
    with pytest.raises(DocumentError, match="key.json cannot be read: it is no JSON") as caught:
        config.read(str(path))
    assert (
        SECRET not in str(caught.value) and caught.value.__context__ is not None and caught.value.__suppress_context__
    )
    key.unlink()
    with pytest.raises(DocumentError, match="key.json cannot be read: No such file or directory"):
        config.read(str(path))


def test_a_file_is_exchanged_as_a_whole(tmp_path):
    path = tmp_path / "status.json"
    path.write_text("old")
    config.write(path, "new")
    assert path.read_text() == "new" and path.stat().st_mode & 0o777 == 0o644
    with pytest.raises(OSError):
        config.write(tmp_path, "over a directory")
    assert (
        os.listdir(tmp_path) == ["status.json"]
        and list(pathlib.Path(tmp_path.parent).glob(f".{tmp_path.name}.*")) == []
    )


FOUND = Status(
    owner="registrar/me",
    time=1000.0,
    entries=(
        Entry("prod", Place("api", 80), "registered", 100, ("a", "b")),
        Entry("prod", Place(), "waiting", None, ("c",), "starting"),
        Entry("prod", Place(), "draining", 0),
    ),
    problems=(Problem("d", 'a "name"', "refresh failed"), Problem("", None, "no credentials")),
    engines={"docker": "", "podman": "gives no answer"},
    totals=Totals(3, 1, 20, 4),
    pid=7,
    load_balancers=("lb-1",),
)


def test_the_status_as_a_person_reads_it():
    plain = json.loads(json.dumps(FOUND.to_plain()))
    assert status.lines(plain, 1005.0) == [
        "registrar/me: looked 5 s ago, 3 times in all, 1 times with a problem, 20 calls that read and 4 that write",
        "engine docker: answers",
        "engine podman: gives no answer",
        "prod api:80: registered, weight 100 for a, b",
        "prod default pool: waiting for c (starting)",
        "prod default pool: draining, weight 0",
        'problem: d at a "name": refresh failed',
        "problem: no credentials",
    ]
    assert plain["load_balancers"] == ["lb-1"] and plain["well"] is None and plain["pid"] == 7


def test_the_status_as_node_exporter_reads_it():
    told = [line for line in status.metrics(FOUND.to_plain()).splitlines() if not line.startswith("#")]
    assert told == [
        'clusterfront_registrar_entries{load_balancer="prod",state="draining"} 1',
        'clusterfront_registrar_entries{load_balancer="prod",state="registered"} 1',
        'clusterfront_registrar_entries{load_balancer="prod",state="waiting"} 1',
        'clusterfront_registrar_problems{load_balancer=""} 1',
        'clusterfront_registrar_problems{load_balancer="a \\"name\\""} 1',
        'clusterfront_registrar_engine_up{engine="docker"} 1',
        'clusterfront_registrar_engine_up{engine="podman"} 0',
        "clusterfront_registrar_passes_total 3",
        "clusterfront_registrar_failures_total 1",
        'clusterfront_registrar_api_calls_total{kind="read"} 20',
        'clusterfront_registrar_api_calls_total{kind="write"} 4',
        "clusterfront_registrar_last_pass_timestamp_seconds 1000.0",
        "clusterfront_registrar_last_success_timestamp_seconds 0",
    ]
    well = status.metrics(Status("me", 2.0, well=1.0).to_plain())
    assert "clusterfront_registrar_problems 0\n" in well and "last_success_timestamp_seconds 1.0\n" in well


@pytest.mark.parametrize("page", ["guide_registrar.md", "guide_registrar.zh-CN.md"])
def test_the_policy_of_the_guide_is_what_is_called(root, page):
    (shown,) = re.findall(r"^```json\n(.*?)^```$", (root / "docs" / page).read_text(), re.MULTILINE | re.DOTALL)
    assert json.loads(shown) == policy(["slb_registration"])


@pytest.mark.parametrize("page", ["from_rancher_1_6.md", "from_rancher_1_6.zh-CN.md"])
def test_every_field_of_the_old_form_has_a_variable_that_there_is(root, page):
    specs = yaml.safe_load((root / "roles/registrar/meta/argument_specs.yml").read_text())["argument_specs"]
    text = (root / "docs" / page).read_text()
    for field in ("SLB Access Key ID", "SLB Secret Access Key", "SLB Region", "Aliyun VPC ID", "ECS Private IP Lookup"):
        (row,) = [line for line in text.splitlines() if line.startswith(f"| {field}")]
        assert set(re.findall(r"`(registrar_\w+)`", row)) & set(specs["main"]["options"]), row
