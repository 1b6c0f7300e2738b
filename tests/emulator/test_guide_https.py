# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tasks of the guide to HTTPS, by the modules themselves: each changes what it says, and then nothing; traffic shows it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml
from emulator_harness import KEY, REGION, Network
from example_cloud import FILES, FILES_AT, call
from machines import Machine
from visitor import Visitor

GUIDE = Path(__file__).parents[2] / "docs" / "guide_https.md"
PREFIX = "clusterfront.ha."
#: The guide's machines as the lab has them, and a health check that does not keep a test waiting.
HERE = {
    "192.0.2.21": "192.0.2.12",
    "192.0.2.22": "192.0.2.13",
    "method: get}": "method: get, interval: 1, healthy_threshold: 2}",
}
TEMPLATES = jinja2.Environment(undefined=jinja2.StrictUndefined)

Options = dict[str, Any]


class Reader:
    """Follows the guide: section by section, task by task."""

    def __init__(self, network: Network, client: Machine, directory: Path) -> None:
        self.network, self._client = network, client
        endpoint = f"http://{network.emulator.address}"
        self._connection = {**KEY, "region": REGION, "slb_endpoint": endpoint, "ecs_endpoint": endpoint}
        self._known: Options = {"vpc_id": "vpc-ut-lab", "vswitch_id": "vsw-ut-lab"}
        for name, text in FILES.items():
            (directory / name).write_text(text)
        guide = GUIDE.read_text(encoding="utf-8").replace(FILES_AT, f"{directory}/")
        for old, new in HERE.items():
            guide = guide.replace(old, new)
        parts = re.split(r"^## (\d+)\. .*$", guide, flags=re.MULTILINE)
        self._sections = {int(number): self._tasks(text) for number, text in zip(parts[1::2], parts[2::2])}

    @staticmethod
    def _tasks(text: str) -> list[Options]:
        blocks = re.findall(r"^```yaml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
        return [task for block in blocks for task in yaml.safe_load(block)]

    def follow(self, section: int) -> None:
        """Do what a section says. What writes is foretold by check mode, and has nothing to do a second time."""
        for task in self._sections[section]:
            (module,) = (key for key in task if key.startswith(PREFIX))
            if module.endswith(("_info", "_probe")):
                self._ask(task, module)
                continue
            foretold = self.do(module, task[module], check_mode=True)
            done = self.do(module, task[module])
            assert done["changed"] and foretold["diff"] == done["diff"], task
            again = self.do(module, task[module])
            assert not again["changed"] and not again["api_calls"]["writes"], task
            self._known[task.get("register", "_")] = done
        self.network.emulator.wait()

    def _ask(self, task: Options, module: str) -> None:
        """A task that reads, until what it waits for is so."""
        wanted = TEMPLATES.compile_expression(task["until"]) if "until" in task else lambda **known: True

        def asked() -> bool:
            self._known[task["register"]] = self.do(module, task[module])
            return bool(wanted(**self._known))

        self.network.until(asked, 10)

    def do(self, module: str, options: Options, check_mode: bool = False) -> Options:
        """Run a module; what looks at the network does so from the client."""
        name, given = module.removeprefix(PREFIX), self._rendered(options)
        if name == "endpoint_probe":
            done = self._client.call(lambda: call(name, given))
        else:
            done = call(name, {**given, **self._connection}, check_mode)
        assert not done.get("failed"), done["msg"]
        return done

    def _rendered(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {key: self._rendered(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [self._rendered(inner) for inner in value]
        return TEMPLATES.from_string(value).render(self._known) if isinstance(value, str) else value

    def __getitem__(self, name: str) -> Any:
        """What a task registered."""
        return self._known[name]


@pytest.fixture
def reader(programs: None, network: Network, client: Machine, tmp_path: Path) -> Iterator[Reader]:
    for machine, port in (("web-2", 80), ("web-3", 80), ("web-1", 8080)):
        network.serve(machine, port, "web")
    yield Reader(network, client, tmp_path)


def names(certificates: list[Options]) -> list[str]:
    return sorted(entry["name"] for entry in certificates)


def test_the_guide(reader: Reader, tmp_path: Path) -> None:
    reader.follow(1)
    reader.follow(2)
    visitor = Visitor(reader.network, tmp_path, reader["shop"]["front_end"]["load_balancer"]["address"])

    def soon(seen: Callable[[], bool]) -> None:
        reader.network.until(seen, 10)

    soon(lambda: {visitor.name_of("https://www.example.com/") for dummy in range(4)} == {"web-2", "web-3"})
    code = ("--output", "body", "--write-out", "%{http_code} %{redirect_url}")
    assert visitor.curl("http://www.example.com/x", *code).stdout == "301 https://www.example.com/x"
    assert visitor.seen("https://www.example.com/")["headers"]["x-forwarded-proto"] == "https"

    reader.follow(3)
    # the name of the API is in no certificate yet
    soon(lambda: visitor.name_of("https://api.example.com/", "--insecure") == "web-1")
    soon(lambda: visitor.name_of("https://www.example.com/api/v1") == "web-1")
    assert visitor.name_of("https://a.shop.example.com/", "--insecure") in ("web-2", "web-3")

    reader.follow(4)
    assert (visitor.subject("api.example.com"), visitor.subject("www.example.com")) == (
        "api.example.com",
        "www.example.com",
    )
    assert visitor.name_of("https://api.example.com/") == "web-1"

    reader.follow(5)
    assert visitor.name_of("https://www.example.com/") == ""
    everybody = {"load_balancer": "shop", "port": 443, "protocol": "https", "ca_certificate": ""}
    assert reader.do("slb_listener", everybody)["changed"]
    reader.network.emulator.wait()
    assert visitor.name_of("https://www.example.com/") in ("web-2", "web-3")

    reader.follow(6)
    weak = ("-cipher", "ALL:@SECLEVEL=0")
    assert "Cipher is (NONE)" in visitor.openssl("-tls1_1", *weak).stdout
    assert "Cipher is TLS_AES_128_GCM_SHA256" in visitor.openssl("-tls1_3").stdout

    before = visitor.fingerprint()
    with visitor.load() as load:
        load.pause()
        reader.follow(7)
        load.pause()
    assert load.answers > 50 and not load.wrong, load.wrong[:5]
    served = reader["served"]["probes"][0]["tls"]
    assert before != visitor.fingerprint() == served["fingerprint"] == reader["new"]["certificate"]["fingerprint"]
    assert served["verified"] and served["subject_alt_names"] == ["www.example.com"] and served["not_after"]

    # the old one goes when it may, and nothing that is used goes with it
    listed = reader.do("slb_certificate_info", {})["certificates"]
    assert names(listed) == ["api", "www", "www"]
    last = {"name": "www", "owner": "shop", "keep_old": 0, "certificate_path": f"{tmp_path}/www-new-chain.pem"}
    assert reader.do("slb_certificate", last)["changed"]
    listed = reader.do("slb_certificate_info", {})["certificates"]
    assert names(listed) == ["api", "www"] and served["fingerprint"] in [entry["fingerprint"] for entry in listed]
