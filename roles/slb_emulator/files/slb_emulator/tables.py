# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables of parameters and answers, taken from the SDK's request and response models by introspection."""

from __future__ import annotations

import functools
import importlib
import inspect
import re
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

SLB = "2014-05-15"
ECS = "2014-05-26"


@dataclass(frozen=True)
class Field:
    """One parameter or element of an answer: its kind and, for a list or an object, what is in it."""

    kind: str  # str, int, bool, list, object or any
    item: Field | None = None
    fields: Mapping[str, Field] = field(default_factory=dict)
    required: bool = False


Table = Mapping[str, Field]

_TEXT = Field("str")
_TEXTS = Field("list", _TEXT)

# The SDK of ECS is not a dependency of this collection: its operations are written down here.
_ECS_REQUESTS: dict[str, Table] = {
    "DescribeInstances": {
        "InstanceIds": _TEXT,
        "InstanceName": _TEXT,
        "InstanceNetworkType": _TEXT,
        "MaxResults": Field("int"),
        "NextToken": _TEXT,
        "PageNumber": Field("int"),
        "PageSize": Field("int"),
        "EipAddresses": _TEXT,
        "PrivateIpAddresses": _TEXT,
        "RegionId": _TEXT,
        "Status": _TEXT,
        "VSwitchId": _TEXT,
        "VpcId": _TEXT,
        "ZoneId": _TEXT,
        "AdditionalAttributes": _TEXTS,
        "Tag": Field("list", Field("object", fields={"Key": _TEXT, "Value": _TEXT})),
    },
    "DescribeNetworkInterfaces": {
        "InstanceId": _TEXT,
        "MaxResults": Field("int"),
        "NextToken": _TEXT,
        "PrimaryIpAddress": _TEXT,
        "RegionId": _TEXT,
        "Status": _TEXT,
        "Type": _TEXT,
        "VSwitchId": _TEXT,
        "VpcId": _TEXT,
        "NetworkInterfaceId": _TEXTS,
        "PrivateIpAddress": _TEXTS,
    },
    "DescribeSecurityGroupAttribute": {
        "Direction": _TEXT,
        "MaxResults": Field("int"),
        "NextToken": _TEXT,
        "NicType": _TEXT,
        "RegionId": _TEXT,
        "SecurityGroupId": _TEXT,
    },
}


def _models() -> Any:
    return importlib.import_module("alibabacloud_slb20140515.models")


def _sample(hint: Any) -> Any:
    """A value of the type: enough for to_map() to show under which name it goes over the wire."""
    if typing.get_origin(hint) is list:
        return [_sample(typing.get_args(hint)[0])]
    return hint() if hasattr(hint, "to_map") else "x"


def _wire_name(model: Any, attribute: str, hint: Any) -> str:
    empty = model().to_map()
    filled = model(**{attribute: _sample(hint)}).to_map()
    return next(str(name) for name in filled if name not in empty or filled[name] != empty[name])


def _field(hint: Any, required: bool = False) -> Field:
    if typing.get_origin(hint) is list:
        return Field("list", _field(typing.get_args(hint)[0]), required=required)
    if hasattr(hint, "to_map"):
        return Field("object", fields=_table(hint), required=required)
    kinds = {str: "str", int: "int", bool: "bool"}
    return Field(kinds.get(hint, "any"), required=required)


@functools.cache
def _table(model: Any) -> Table:
    hints = typing.get_type_hints(model.__init__, vars(inspect.getmodule(model)))
    # The models carry "required" only in the text of their comments.
    required = set(re.findall(r"# This parameter is required\.\s+self\.(\w+)", inspect.getsource(model.__init__)))
    return {
        _wire_name(model, attribute, hint): _field(hint, attribute in required)
        for attribute, hint in hints.items()
        if attribute != "return"
    }


def request_table(version: str, action: str) -> Table | None:
    """The parameters of an operation; None where the API has no such operation."""
    if version == ECS:
        return _ECS_REQUESTS.get(action)
    model = getattr(_models(), f"{action}Request", None)
    return None if model is None or version != SLB else _table(model)


def answer_table(version: str, action: str) -> Table | None:
    """The fields of an operation's answer; None where there is no table to check it against."""
    if version == ECS:
        return None
    model = getattr(_models(), f"{action}ResponseBody", None)
    return None if model is None else _table(model)


def _suits(value: Any, kind: Field) -> bool:
    types: dict[str, type] = {"str": str, "int": int, "bool": bool, "list": list, "object": dict, "any": object}
    return isinstance(value, types[kind.kind]) and (kind.kind != "int" or not isinstance(value, bool))


def _deviation(value: Any, kind: Field, path: str) -> list[str]:
    if not _suits(value, kind):
        return [f"{path} should be {kind.kind}, is {value!r}"]
    if kind.kind == "object":
        return deviations(value, kind.fields, f"{path}.")
    if kind.kind == "list" and kind.item is not None:
        item = kind.item
        return [found for index, element in enumerate(value) for found in _deviation(element, item, f"{path}[{index}]")]
    return []


def deviations(answer: Mapping[str, Any], table: Table, prefix: str = "") -> list[str]:
    """Where an answer is not what the SDK's model expects."""
    found = []
    for name, value in answer.items():
        if name in table:
            found += _deviation(value, table[name], prefix + name)
        else:
            found.append(f"{prefix}{name} is unknown to the SDK")
    return found
