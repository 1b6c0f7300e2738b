# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The registrar's configuration and its files on the host."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import stat
import tempfile
import typing as t

from .._slb.client import Settings, split_endpoint
from .._slb.document import NAMINGS, check_owner, check_seconds
from .._slb.errors import DocumentError
from .service import Rules

CONFIG = "/etc/clusterfront-registrar/registrar.json"
SERVER_KEYS = (*(name for name in NAMINGS if name != "server_tags"), "eip")
KEY_FIELDS = ("access_key_id", "access_key_secret", "security_token")


@dataclasses.dataclass(frozen=True)
class Config:
    """All that the registrar is told, but for the access key."""

    rules: Rules
    #: engine -> its socket
    engines: t.Mapping[str, str]
    settings: Settings
    #: What is kept while the service is down: the status, and which containers were taken out by hand.
    directory: pathlib.Path
    metrics: pathlib.Path | None = None

    @property
    def status(self) -> pathlib.Path:
        return self.directory / "status.json"

    @property
    def drained(self) -> pathlib.Path:
        return self.directory / "drained"


def parse(told: t.Mapping[str, t.Any], key: t.Mapping[str, str]) -> Config:
    """The configuration from its file and the access key's. Raises DocumentError with one sentence."""
    rules = Rules(
        **{field.name: told[field.name] for field in dataclasses.fields(Rules) if told.get(field.name) is not None}
    )
    check(rules)
    cloud: dict[str, t.Any] = {
        name: told.get(name) for name in ("region", "ecs_ram_role", "slb_endpoint", "ecs_endpoint", "timeout")
    }
    return Config(
        rules,
        told["engines"],
        Settings(**{name: value for name, value in {**cloud, **key}.items() if value is not None}),
        pathlib.Path(told["directory"]),
        pathlib.Path(told["metrics_file"]) if told.get("metrics_file") else None,
    )


def check(rules: Rules) -> None:
    """Refuse what can never work, with one sentence that says what would."""
    check_owner(rules.owner, {"marked_by": "owner"})
    if len(rules.server) != 1 or not set(rules.server) <= set(SERVER_KEYS) or not all(rules.server.values()):
        raise DocumentError(f"server is {dict(rules.server)}; exactly one of {', '.join(SERVER_KEYS)} is needed")
    for name, least in (("interval", 1), ("drain_time", 0), ("grace_time", 1)):
        value = getattr(rules, name)
        if value < least:
            raise DocumentError(f"{name} is {value:g} seconds; {least} or more are possible")
        check_seconds(name, value)
    if not 0 <= rules.weight <= 100:
        raise DocumentError(f"weight is {rules.weight}; 0 to 100 are possible")
    if rules.take_over_gone and "/" not in rules.owner:
        raise DocumentError(
            f"owner is '{rules.owner}', which does not tell who the other registrars are; with take_over_gone it has to be"
            " <family>/<host>, the family the same on all hosts"
        )


def problems(told: t.Mapping[str, t.Any]) -> list[str]:
    """What can't work in a configuration, in sentences that name the variables of the role."""
    found = []
    if not told["region"]:
        found.append("registrar_region is empty; give the region of the SLB instances, as cn-hangzhou.")
    if not told["engines"]:
        found.append(
            "No container engine is installed; install podman or Docker, or give registrar_engines with the path of a socket."
        )
    try:
        parse(told, {})
        for name in ("slb_endpoint", "ecs_endpoint"):
            if told.get(name):
                split_endpoint(told[name], f"registrar_{name}")
    except DocumentError as error:
        found.append(f"registrar_{str(error).removeprefix('registrar_')}.")
    return found


def read(path: str) -> Config:
    """The configuration of a file. Raises DocumentError."""
    told = _json(path)
    return parse(told, key_of(told["credentials_file"]) if told.get("credentials_file") else {})


def key_of(path: str) -> dict[str, str]:
    """The access key of a file that nobody else may read. Raises DocumentError."""
    mode = stat.S_IMODE(os.stat(path).st_mode) if os.path.exists(path) else 0
    if mode & 0o077:
        raise DocumentError(f"{path} has the mode {mode:04o}, so others may read the access key; set it to 0600")
    told = _json(path)
    return {name: told[name] for name in KEY_FIELDS if told.get(name)}


def _json(path: str) -> t.Any:
    try:
        return json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        # the text of a file with a key is nobody's business
        why = getattr(error, "strerror", None) or "it is no JSON"
        raise DocumentError(f"{path} cannot be read: {why}") from None


def write(path: pathlib.Path, text: str) -> None:
    """Exchange a file as a whole: who reads it meets the old or the new one."""
    handle, scratch = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with open(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(scratch, 0o644)
        os.replace(scratch, path)
    except BaseException:
        os.unlink(scratch)
        raise
