# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tags: as the API spells them, and the same rules for everything that has some."""

from __future__ import annotations

import typing as t

from ..document import KEPT_TAGS, OWNER_TAG, TAGS_LIMIT
from ..errors import DocumentError, quoted
from ..state import Observed, Step

Tags = t.Mapping[str, str]


def listed(tags: t.Iterable[t.Mapping[str, str]] | None) -> dict[str, str]:
    """Tags of an answer, given as a bare list."""
    return {tag["TagKey"]: tag["TagValue"] for tag in tags or ()}


def wrapped(entry: t.Mapping[str, t.Any]) -> dict[str, str]:
    """Tags of an object of an answer, in the wrapper that most operations put around the list."""
    return listed((entry.get("Tags") or {}).get("Tag"))


def parted(tags: dict[str, str]) -> tuple[str | None, dict[str, str]]:
    """The owner by the mark (None: nobody that we know), and the tags beside it."""
    return tags.get(OWNER_TAG), {key: value for key, value in tags.items() if key != OWNER_TAG}


def written(tags: Tags) -> list[dict[str, str]]:
    """Tags as a call takes them."""
    return [{"Key": key, "Value": value} for key, value in sorted(tags.items())]


def has_tags(entry: Observed[t.Any], tags: Tags | None) -> bool:
    """Whether an object has all these tags; the owner's mark is one of them."""
    mark = {OWNER_TAG: entry.owner} if entry.owner is not None else {}
    return (tags or {}).items() <= {**(entry.config.tags or {}), **mark}.items()


def predicted_tags(desired: Tags | None, has: Tags | None, purge: bool | None = False) -> dict[str, str]:
    """The tags after the work: those that are wanted over those that stay."""
    if desired is None:
        return dict(has or {})
    kept = {key: value for key, value in (has or {}).items() if not purge or key.startswith(KEPT_TAGS)}
    return {**kept, **desired}


def refuse(
    option: str, desired: t.Mapping[str, str] | None, has: t.Mapping[str, str], after: t.Mapping[str, str]
) -> None:
    """Refuse tags that an object cannot get. has are those that it has, after those that it is going to have."""
    # an exported document may name tags of the cloud that are there already
    reserved = [key for key, value in (desired or {}).items() if key.startswith(KEPT_TAGS) and has.get(key) != value]
    if reserved:
        raise DocumentError(
            f"{option} has {quoted(reserved)}, but keys that begin with {quoted(repr(key) for key in KEPT_TAGS)} are set by"
            " the cloud or by this collection only; take another key"
        )
    # the owner's mark is one; what is there already is no reason to refuse the rest
    if TAGS_LIMIT - 1 < len(after) > len(has):
        raise DocumentError(
            f"{option} would make {len(after)} tags; {TAGS_LIMIT - 1} are possible beside the owner's mark, so take some away"
        )


def tag_steps(symbol: str, kind: str, resource_id: str | None, has: Tags | None, after: Tags | None) -> list[Step]:
    """The calls that change the tags of an object. Some go first: there is room for 20."""
    before, wanted = has or {}, after or {}
    target: dict[str, t.Any] = {"ResourceType": kind, "ResourceId": [resource_id]}
    gone = sorted(set(before) - set(wanted))
    new = {key: value for key, value in wanted.items() if before.get(key) != value}
    found = []
    if gone:
        parameters = {**target, "TagKey": gone}
        found.append(Step(symbol, "untag", "UntagResources", parameters, f"remove the tags {quoted(gone)}"))
    if new:
        parameters = {**target, "Tag": written(new)}
        found.append(Step(symbol, "tag", "TagResources", parameters, f"set the tags {quoted(sorted(new))}"))
    return found
