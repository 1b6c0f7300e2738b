# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Between AnsibleModule and kubeadm: settings from options, and the document that they make."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ._argspec import Spec
from ._kubeadm import host
from ._kubeadm.config import Cluster, ConfigError, Discovery, Document, Node, init_documents, join_documents, merged
from ._kubeadm.versions import OLDEST, Version, api_version, parse, shown

SETTINGS: Spec = {
    "cluster": {"type": "dict", "default": {}},
    "node": {"type": "dict", "default": {}},
    "extra": {"type": "dict", "default": {}},
    "kubeadm": {"type": "str", "default": "kubeadm"},
}

T = t.TypeVar("T", Cluster, Node)


def settings(kind: t.Type[T], given: t.Mapping[str, t.Any], option: str) -> T:
    """An option as what it means, or a sentence on what in it can't be."""
    empty = {field.name: default(field) for field in dataclasses.fields(kind)}
    found: t.Dict[str, t.Any] = {}
    for name, value in given.items():
        if name not in empty:
            raise ConfigError(f"{option} has '{name}', which is none of {', '.join(empty)}.")
        found[name] = fitting(value, empty[name], f"{option}.{name}")
    missing = [name for name, value in empty.items() if value is dataclasses.MISSING and not found.get(name)]
    if missing:
        raise ConfigError(f"{option}.{missing[0]} is empty; it has to be given.")
    return kind(**found)


def default(field: "dataclasses.Field[t.Any]") -> t.Any:
    return field.default if field.default_factory is dataclasses.MISSING else field.default_factory()


def fitting(value: t.Any, like: t.Any, name: str) -> t.Any:
    """A value of the kind that the default has; text and numbers stand for each other, as in YAML."""
    if like is None:
        return value
    if isinstance(like, bool):
        if isinstance(value, bool):
            return value
        raise ConfigError(f"{name} is {value!r}; true or false are possible.")
    if isinstance(like, int):
        if isinstance(value, (int, str)) and not isinstance(value, bool) and str(value).isdecimal():
            return int(value)
        raise ConfigError(f"{name} is {value!r}; it has to be a number.")
    if isinstance(like, dict):
        if isinstance(value, dict):
            return value
        raise ConfigError(f"{name} is {value!r}; it has to be a mapping of names to values.")
    if isinstance(like, tuple):
        if isinstance(value, (list, tuple)) and not any(isinstance(one, (dict, list)) for one in value):
            return [str(one) for one in value]
        raise ConfigError(f"{name} is {value!r}; it has to be a list of words.")
    if isinstance(value, (str, int, float)) and not isinstance(value, bool):
        return str(value)
    raise ConfigError(f"{name} is {value!r}; it has to be text.")


class Kubeadm:
    """The kubeadm of the host, or the version that stands for it where there is none yet."""

    def __init__(self, module: AnsibleModule) -> None:
        self.path = host.program(module.params["kubeadm"])
        self.version = host.version_of(self.path)

    def version_or(self, wanted: str) -> Version:
        version = self.version or parse(wanted)
        if version is None or version < OLDEST:
            raise ConfigError(
                f"cluster.version is '{wanted}'; it has to be a whole version from {shown(OLDEST)[1:]} on, such as 1.33.13."
            )
        return version

    @property
    def required(self) -> t.Tuple[str, Version]:
        """Its path and version, where a step needs them."""
        if not self.version:
            raise ConfigError("There is no kubeadm on this host; install it first, as the README shows.")
        return self.path, self.version


def normal_version(text: str) -> str:
    version = parse(text)
    return shown(version) if version else text


def documents(
    params: t.Mapping[str, t.Any], version: Version, join: t.Optional[Discovery] = None, control_plane: bool = False
) -> t.List[Document]:
    """What the options mean to a kubeadm of a version: the file for init, or for join."""
    api = api_version(version)
    node = settings(Node, params["node"], "node")
    if join:
        return merged(join_documents(node, join, control_plane, api), params["extra"])
    cluster = settings(Cluster, params["cluster"], "cluster")
    cluster = dataclasses.replace(cluster, version=normal_version(cluster.version))
    return merged(init_documents(cluster, node, api), params["extra"])


def validated(path: str, text: str) -> str:
    """Refuse what the real kubeadm refuses, in its words; what it warns of comes back."""
    well, words = host.validate(path, text)
    if not well:
        # its last line is advice on how to run kubeadm by hand
        words = "\n".join(line for line in words.splitlines() if "stack trace" not in line)
        raise ConfigError(
            f"kubeadm refuses the configuration: {words.splitlines()[-1] if words else 'it said nothing'}"
        )
    return words
