# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The configuration file."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class AccessKey:
    access_key_id: str
    access_key_secret: str
    security_token: str = ""
    active: bool = True


@dataclass(frozen=True)
class Config:
    directory: Path
    sandbox: str = "cfha"
    host: str = "127.0.0.1"
    port: int = 8140
    data_plane: str = "none"
    verify_signatures: bool = True
    access_keys: tuple[AccessKey, ...] = ()
    switches: dict[str, Any] = field(default_factory=dict)
    # Not used by the process; it is here so that another interpreter is another configuration.
    python: str = ""

    @property
    def prefix(self) -> str:
        return f"{self.sandbox}-"

    def space(self, machine: str) -> str:
        """The namespace that is a machine."""
        return f"{self.prefix}{machine}"


def load(path: Path) -> Config:
    values = json.loads(path.read_text(encoding="utf-8"))
    directory = Path(values.pop("directory", path.parent))
    try:
        keys = tuple(AccessKey(**key) for key in values.pop("access_keys", []))
        return Config(directory=directory, access_keys=keys, **values)
    except TypeError as error:
        raise ValueError(f"{path} does not have the keys that are expected: {error}") from None
