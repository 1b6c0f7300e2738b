# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Any value of any option of any module: no traceback, and one sentence that names the option before anything is written.

The options come from the modules' own argument specs, what is right beside them from their examples. CFHA_FUZZ=5 looks
five times as long, at other values in each run.
"""

from __future__ import annotations

import copy
import functools
import http.server
import math
import os
import re
import threading
import typing as t
from collections.abc import Iterator

import bad_arguments
import catalogue
import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from example_cloud import World, call
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from ansible_collections.clusterfront.ha.plugins.module_utils import _argspec, _module
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.client import Client
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.permissions import MODULES

LONGER = int(os.environ.get("CFHA_FUZZ") or 0)
FUZZ = settings(
    derandomize=not LONGER,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate],
)
#: Whether something of that id, or a free address, is there is known only by the call that needs it.
CLOUD_KNOWS = re.compile(r".*_id|address")
#: With these something else is meant, which may not be there, or lack what it needs to be made.
MEANING = ("id", "name", "state")
MISSING = re.compile(r"does not exist; to create it|neither this document nor")
#: A wait that takes more pauses than this never ends.
PAUSES = 500


class Time:
    """A clock that only pauses move: the longer something waits, the further, so that no timeout takes long to be over."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pauses = 0

    def sleep(self, seconds: float) -> None:
        self.pauses += 1
        assert self.pauses < PAUSES, "it waits for ever"
        self.now += seconds * 2**self.pauses


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Engines get a clock of their own, and no way to ask for credentials outside of this machine."""

    def client(settings: t.Any) -> Client:
        time = Time()
        return Client(settings, clock=lambda: time.now, sleep=time.sleep)

    monkeypatch.setattr(_module, "Client", client)
    monkeypatch.setenv("ALIBABA_CLOUD_ECS_METADATA_DISABLED", "true")
    for name in list(os.environ):
        if name.startswith(("ALIBABA_CLOUD_ACCESS", "ALICLOUD_", "SLB_", "ECS_")):
            monkeypatch.delenv(name)


@functools.lru_cache(maxsize=None)
def arguments(name: str) -> dict[str, t.Any]:
    given = catalogue.arguments(name)
    return {key: value for key, value in given.items() if key != "supports_check_mode"}


def refused(name: str, options: dict[str, t.Any]) -> list[str] | None:
    """What Ansible itself says of options; None where ansible-core breaks down before any module of it could say a word."""
    try:
        return list(ArgumentSpecValidator(**arguments(name)).validate(copy.deepcopy(options)).error_messages)
    except TypeError:
        # it goes on to look into the numbers of a list that it refused as a dictionary a moment ago
        return None


def names_one_of(message: str, paths: t.Iterable[bad_arguments.Path]) -> bool:
    return any(re.search(rf"(?<![a-z]){re.escape(part)}(?![a-z])", message) for path in paths for part in path[-1:])


def check_failure(message: str, by_ansible: bool) -> None:
    """A failure's message is one sentence in one line, and not longer than anybody reads."""
    assert "Traceback" not in message
    if not by_ansible:
        assert message.isprintable(), "a control character or a second line"
        assert re.findall(r"(?<!\.\.)[.!?](?=\s|$)", message) == ["."] and message.endswith("."), "not one sentence"
        assert len(message) < 2000


class Try:
    """One module in one cloud, tried with many options. The cloud is made anew only when something was written."""

    def __init__(self, world: World, name: str, prepared: str) -> None:
        self.world, self.name, self.prepared = world, name, prepared
        self.spec: catalogue.Spec = arguments(name)["argument_spec"]
        self.world.prepare(prepared)
        given = [{**options, **world.connection} for options in catalogue.module_options(name)]
        self.bases = [
            options
            for options, real in zip(given, world.with_ids(given))
            if not world.call(name, real, check_mode=True).get("failed")
        ]
        assert self.bases, f"no example of {name} works"

    def run(self, options: dict[str, t.Any], changed: list[bad_arguments.Path]) -> None:
        """Check mode and run end alike; a failure names what was changed, and nothing was written."""
        options = self.world.with_ids([options])[0]
        errors = refused(self.name, options)
        if errors is None:
            return
        by_ansible = bool(errors)
        self.world.forget()
        predicted = self.world.call(self.name, options, check_mode=True)
        assert not self.world.writes and "exception" not in predicted
        done = self.world.call(self.name, options)
        if done.get("failed"):
            message = done["msg"]
            assert "exception" not in done
            if message.startswith("The cloud refused") and any(CLOUD_KNOWS.fullmatch(path[-1]) for path in changed):
                return self.world.prepare(self.prepared)
            assert predicted.get("msg") == message, f"check mode did not say: {message}"
            assert not self.world.writes, f"written before the failure: {message}"
            check_failure(message, by_ansible)
            if by_ansible and "could not parse" in message:
                # the one sentence of Ansible that names nothing
                return None
            meant = any(path[-1] in MEANING for path in changed)
            if not names_one_of(message, changed) and not (meant and MISSING.search(message)):
                # a part that was made for the sake of an option in it may lack another one, whatever that option is
                bare = functools.reduce(bad_arguments.without, changed, options)
                lacks = names_one_of(message, [path[:depth] for path in changed for depth in range(1, len(path))])
                assert lacks and self.world.call(self.name, bare, check_mode=True).get(
                    "failed"
                ), f"{message!r}: {changed}"
        else:
            assert not by_ansible and not predicted.get("failed")
            assert predicted["changed"] == done["changed"]
        if self.world.writes:
            self.world.prepare(self.prepared)


OWN = set(_argspec.CONNECTION)
CLOUDS = [(name, prepared) for name in catalogue.CLOUD_MODULES for prepared in (name, "")]


@pytest.mark.parametrize(("name", "prepared"), CLOUDS, ids=lambda value: value or "all is there")
def test_any_argument(name: str, prepared: str, world: World) -> None:
    tried = Try(world, name, prepared)
    paths = [path for path in bad_arguments.paths(tried.spec) if path[0] not in OWN]
    unknown = [("nonsense",)] + [
        (*path, "nonsense") for path in paths if bad_arguments.option_at(tried.spec, path).get("options")
    ]

    @settings(FUZZ, max_examples=max(LONGER, 1) * (10 + len(paths)) // 2)
    @given(st.data())
    def fuzz(data: st.DataObject) -> None:
        base = data.draw(st.sampled_from(tried.bases))
        changed = data.draw(st.lists(st.sampled_from([*paths, *unknown]), min_size=1, max_size=3, unique=True))
        options = base
        for path in changed:
            option = {} if path in unknown else bad_arguments.option_at(tried.spec, path)
            right = bad_arguments.of(option)
            # one wrong type says all that Ansible has to say
            value = data.draw(right if len(changed) > 1 else st.one_of(right, right, bad_arguments.anything))
            options = bad_arguments.put(options, tried.spec, path, value)
        tried.run(options, changed)

    fuzz()


def endpoint_of(name: str) -> str:
    """The option with the endpoint that a module asks: one that needs nothing of SLB but its regions asks ECS."""
    of_slb = {action for action in MODULES[name] if action.startswith("slb:")} - {"slb:DescribeRegions"}
    return "slb_endpoint" if of_slb else "ecs_endpoint"


@pytest.mark.parametrize("name", catalogue.CLOUD_MODULES)
def test_bad_ways_to_the_cloud(name: str, world: World) -> None:
    """Nothing is asked of a cloud by them; where they lead to is always this machine."""
    tried = Try(world, name, "")
    bad = {
        "timeout": [-1, math.nan, math.inf, 10**30, "soon", []],
        endpoint_of(name): [
            "ftp://127.0.0.1:9",
            "http://127.0.0.1:9",
            "127.0.0.1:9",
            ["a"],
            {"a": 1},
            "http://[::1",
            "http://a b",
        ],
        "access_key_id": ["", "ut-nobody", "a\nb", "\u540d", "x" * 5000],
        "access_key_secret": ["", "another-secret"],
        "security_token": ["another-token", "a\nb"],
    }
    for option, values in bad.items():
        for value in values:
            world.forget()
            done = world.call(name, {**world.with_ids([tried.bases[0]])[0], option: value})
            assert done.get("failed") and "exception" not in done, (option, value, done)
            by_ansible = bool(refused(name, {**tried.bases[0], option: value}))
            check_failure(done["msg"], by_ansible)
            assert not world.writes
            hint = {endpoint_of(name): "endpoint|127.0.0.1:9", "access_key_secret": "access key|access_key_secret"}
            assert re.search(hint.get(option, option.replace("_", ".?")), done["msg"], re.IGNORECASE), done["msg"]


@pytest.fixture
def web() -> Iterator[int]:
    """The port of a server that answers every path."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *arguments: t.Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join(5)


def test_any_argument_of_a_probe(web: int) -> None:
    spec = arguments("endpoint_probe")["argument_spec"]
    base = {"targets": [{"host": "127.0.0.1", "port": web}], "timeout": 0.3}
    # it connects to what host and port say: only to this server, then
    paths = [path for path in bad_arguments.paths(spec) if path[-1] not in ("targets", "host", "port")]

    @settings(FUZZ, max_examples=max(LONGER, 1) * 60)
    @given(st.data())
    def fuzz(data: st.DataObject) -> None:
        path = data.draw(st.sampled_from(paths))
        value = data.draw(st.one_of(bad_arguments.of(bad_arguments.option_at(spec, path)), bad_arguments.scalar))
        options = bad_arguments.put(base, spec, path, value)
        done = call("endpoint_probe", options)
        assert "exception" not in done
        if done.get("failed"):
            check_failure(done["msg"], bool(refused("endpoint_probe", options)))
            assert names_one_of(done["msg"], [path])
        else:
            assert [probe["address"] for probe in done["probes"]] == ["127.0.0.1"]

    fuzz()
