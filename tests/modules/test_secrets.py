# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Secret and token, wherever they come from and whatever goes wrong, are in no output, no log and no traceback."""

from __future__ import annotations

import collections.abc
import json
import pathlib
import typing as t

import catalogue
import pytest
from example_cloud import REGION, Emulator, World

KEY_ID = "ut-secrets-key"
SECRET, WRONG, TOKEN = "SecretThatNobodySees0", "SecretThatIsWrong0", "TokenThatNobodySees0"
SECRETS = (SECRET, WRONG, TOKEN)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> collections.abc.Iterator[Emulator]:
    """A cloud that knows one key, with a token that belongs to it."""
    key = {"access_key_id": KEY_ID, "access_key_secret": SECRET, "security_token": TOKEN}
    process = Emulator(tmp_path_factory.mktemp("guarded"), sandbox="cfha-secrets", access_keys=[key])
    try:
        process.start()
        yield process
    finally:
        process.remove()


def options(secret: str) -> dict[str, str]:
    return {"access_key_id": KEY_ID, "access_key_secret": secret, "security_token": TOKEN}


def by_options(secret: str, home: pathlib.Path) -> tuple[dict[str, str], dict[str, str]]:
    return options(secret), {}


def by_environment(secret: str, home: pathlib.Path) -> tuple[dict[str, str], dict[str, str]]:
    return {}, {f"ALIBABA_CLOUD_{name.upper()}": value for name, value in options(secret).items()}


def by_profile(secret: str, home: pathlib.Path) -> tuple[dict[str, str], dict[str, str]]:
    profile = {
        "name": "guarded",
        "mode": "StsToken",
        "access_key_id": KEY_ID,
        "access_key_secret": secret,
        "sts_token": TOKEN,
    }
    file = home / ".aliyun" / "config.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps({"current": "guarded", "profiles": [profile]}))
    return {"profile": "guarded"}, {"ALIBABA_CLOUD_ECS_METADATA_DISABLED": "true"}


Source = t.Callable[[str, pathlib.Path], t.Tuple[t.Dict[str, str], t.Dict[str, str]]]


def written_by(emulator: Emulator) -> str:
    """All that an emulator wrote down, but for the configuration that it was given."""
    files = [path for path in emulator.directory.rglob("*") if path.is_file() and path != emulator.config_file]
    assert any(path.name == "emulator.log" for path in files)
    told = emulator.control("GET", "requests")
    assert told["log"]
    return json.dumps(told) + "\n".join(path.read_text(errors="replace") for path in files)


#: What happens to every module in one play: the secret, the end of the endpoint's way, and what each failure has to say.
WELL = (SECRET, "http://{address}", None)
WRONG_SECRET = (WRONG, "http://{address}", "SignatureDoesNotMatch")
NO_HOST = (SECRET, "http://127.0.0.1:9", "gave no usable answer")
NO_PROTOCOL = (SECRET, "ftp://{address}", "only http:// and https:// are possible")
Case = t.Tuple[str, str, t.Optional[str]]


@pytest.mark.parametrize(
    ("source", "cases"),
    [
        pytest.param(by_options, [WELL, WRONG_SECRET, NO_HOST, NO_PROTOCOL], id="options"),
        # all plays of a run have one environment
        pytest.param(by_environment, [WRONG_SECRET], id="environment"),
        pytest.param(by_profile, [WRONG_SECRET], id="profile"),
    ],
)
def test_no_secret_is_shown(
    source: Source, cases: list[Case], guarded: Emulator, play: t.Any, tmp_path: pathlib.Path
) -> None:
    world = World(guarded)
    world.connection |= options(SECRET)
    world.prepare("")
    names = catalogue.CLOUD_MODULES
    tasks = [{**task, "ignore_errors": True} for task in (catalogue.module_examples(name)[0] for name in names)]
    plays, environ = [], {"ANSIBLE_DISPLAY_TRACEBACK": "always"}
    for secret, where, dummy in cases:
        connection, more = source(secret, tmp_path)
        # as users keep them: beside the playbook, lines of which Ansible shows where a task fails
        (tmp_path / f"vars_{len(plays)}.yml").write_text(json.dumps({"given": connection}))
        endpoint = where.format(address=guarded.address)
        defaults = {"region": REGION, "slb_endpoint": endpoint, "ecs_endpoint": endpoint, "timeout": 0.5}
        defaults |= {name: f"{{{{ given.{name} }}}}" for name in connection}
        plays.append(
            {
                "hosts": "localhost",
                "gather_facts": False,
                "vars_files": [f"vars_{len(plays)}.yml"],
                "module_defaults": {"group/clusterfront.ha.slb": defaults},
                "tasks": world.with_ids(tasks),
            }
        )
        environ |= more
    done = play(plays, "-vvv", "--diff", environ=environ)
    shown = done.stdout + done.stderr
    sentences = [sentence for dummy, where, sentence in cases if sentence]
    assert done.returncode == 0 and '"invocation"' in shown, shown
    assert shown.count("...ignoring") == len(names) * len(sentences), shown
    for sentence in sentences:
        assert shown.count(sentence) >= len(names), shown
    assert "Traceback (most recent call last)" in shown, "tracebacks were asked for"
    kept = written_by(guarded)
    for value in SECRETS:
        assert value not in shown, f"{value} is shown"
        assert value not in kept, f"the emulator wrote down {value}"
