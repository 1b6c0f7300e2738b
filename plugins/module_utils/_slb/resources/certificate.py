# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Certificates of servers and of CAs. They belong to the region; listeners and further domains refer to them.

What is uploaded never changes and cannot be read again, so a certificate is known by its fingerprint. Another one under
the same name is its successor: uploaded beside it, taken by the listeners, and the old one goes later.
"""

from __future__ import annotations

import dataclasses
import time
import typing as t

from .. import pem
from ..client import Client
from ..document import OWNER_TAG, Certificate, FrontEnd, Listener, LoadBalancer
from ..errors import DocumentError, Immutable, LookupFailed, quoted
from ..state import CloudState, Observed, Step
from . import uses
from .references import WORDS, choose, labels
from .tags import parted, predicted_tags, refuse, tag_steps, wrapped, written

#: A certificate that ends within so many seconds is warned of.
SOON = 30 * 86_400


@dataclasses.dataclass(frozen=True)
class Kind:
    """How the API calls one of the two kinds."""

    option: str
    symbol: str
    read: str
    #: The list in an answer, and its elements.
    path: tuple[str, str]
    upload: str
    rename: str
    delete: str
    id: str
    name: str
    #: The parameter with the PEM.
    content: str
    has_key: bool


KINDS = {
    "certificates": Kind(
        "certificates",
        "certificate",
        "DescribeServerCertificates",
        ("ServerCertificates", "ServerCertificate"),
        "UploadServerCertificate",
        "SetServerCertificateName",
        "DeleteServerCertificate",
        "ServerCertificateId",
        "ServerCertificateName",
        "ServerCertificate",
        has_key=True,
    ),
    "ca_certificates": Kind(
        "ca_certificates",
        "ca_certificate",
        "DescribeCACertificates",
        ("CACertificates", "CACertificate"),
        "UploadCACertificate",
        "SetCACertificateName",
        "DeleteCACertificate",
        "CACertificateId",
        "CACertificateName",
        "CACertificate",
        has_key=False,
    ),
}


def every(client: Client, option: str) -> tuple[Observed[Certificate], ...]:
    """All certificates of the region, the oldest first. The API neither pages nor filters by name."""
    kind = KINDS[option]
    answer = client.slb(kind.read, {})
    entries = (answer.get(kind.path[0]) or {}).get(kind.path[1]) or ()
    return tuple(sorted((_observe(kind, entry) for entry in entries), key=lambda has: (has.created, has.id or "")))


def _observe(kind: Kind, entry: t.Mapping[str, t.Any]) -> Observed[Certificate]:
    owner, tags = parted(wrapped(entry))
    made = int(entry.get("CreateTimeStamp") or 0) // 1000
    return Observed(
        Certificate(
            id=entry[kind.id],
            name=entry.get(kind.name) or "",
            fingerprint=pem.fingerprint(entry.get("Fingerprint") or ""),
            common_name=entry.get("CommonName") or "",
            subject_alt_names=tuple((entry.get("SubjectAlternativeNames") or {}).get("SubjectAlternativeName") or ()),
            expires=int(entry.get("ExpireTimeStamp") or 0) // 1000 or None,
            tags=tags,
        ),
        id=entry[kind.id],
        owner=owner,
        created=f"{made:012d}",
        facts={"created": made},
    )


def search(
    found: t.Iterable[Observed[Certificate]],
    *,
    id: str | None = None,
    name: str | None = None,
    fingerprint: str | None = None,
    ends_by: float | None = None,
) -> list[Observed[Certificate]]:
    """Those certificates that have all that is given."""
    wanted = None if fingerprint is None else pem.fingerprint(fingerprint)
    return [
        has
        for has in found
        if id in (None, has.id)
        and name in (None, has.config.name)
        and wanted in (None, has.config.fingerprint)
        and (ends_by is None or (has.config.expires is not None and has.config.expires <= ends_by))
    ]


def plan(option: str, document: FrontEnd, current: CloudState) -> tuple[list[Step], tuple[Observed[Certificate], ...]]:
    """Steps that upload what is missing, and all certificates that there are then; what goes, goes at the end of the work."""
    kind = KINDS[option]
    steps: list[Step] = []
    found = list(getattr(current, option))
    for desired in getattr(document, option):
        if desired.state == "absent":
            continue
        has = choose(document, option, desired, found)
        more, made = _upload(kind, document, desired, current) if has is None else _update(kind, document, desired, has)
        steps.extend(more)
        found = [made if other is has else other for other in found] if has else [*found, made]
    return steps, tuple(found)


def symbol(kind: Kind, desired: Certificate) -> str:
    return f"{kind.symbol}:{desired.label}"


def _upload(
    kind: Kind, document: FrontEnd, desired: Certificate, current: CloudState
) -> tuple[list[Step], Observed[Certificate]]:
    where = f"{kind.option}[{desired.label}]"
    if desired.id is not None:
        raise LookupFailed(
            f"{kind.option}: the id '{desired.id}' does not exist in this region; certificates of one region only are looked at"
        )
    if desired.certificate is None or (kind.has_key and desired.private_key is None):
        lacks = "certificate" if desired.certificate is None else "private_key"
        raise DocumentError(
            f"{where} is not on the cloud, and {lacks} is missing; an upload needs"
            f" {'certificate and private_key' if kind.has_key else 'certificate'}, as PEM or as a path"
        )
    if desired.chain_expires is not None and desired.chain_expires <= current.now:
        raise DocumentError(
            f"{where}.certificate ended on {day(desired.chain_expires)}, itself or one of its chain; give one that is valid"
        )
    tags = dict(desired.tags or {})
    refuse(f"{where}.tags", tags, {}, tags)
    step = Step(
        symbol(kind, desired),
        "create",
        kind.upload,
        {
            kind.name: desired.name,
            kind.content: desired.certificate,
            **({"PrivateKey": desired.private_key} if kind.has_key else {}),
            "Tag": written({**tags, OWNER_TAG: document.owner}),
        },
        f"upload the {WORDS[kind.option]} {desired.name}, {desired.fingerprint}",
        yields=kind.id,
    )
    config = _bare(desired, tags)
    return [step], Observed(config, owner=document.owner)


def _bare(desired: Certificate, tags: t.Mapping[str, str] | None) -> Certificate:
    """A certificate as the cloud shows it."""
    names = desired.subject_alt_names or ()
    return Certificate(
        name=desired.name,
        fingerprint=desired.fingerprint,
        common_name=desired.common_name,
        subject_alt_names=names,
        expires=desired.expires,
        tags=tags,
    )


def _update(
    kind: Kind, document: FrontEnd, desired: Certificate, has: Observed[Certificate]
) -> tuple[list[Step], Observed[Certificate]]:
    config, where = has.config, f"{kind.option}[{desired.label}]"
    if desired.fingerprint not in (None, config.fingerprint):
        raise Immutable(
            f"{where}.certificate is {desired.fingerprint}, but {has.id} is {config.fingerprint} and cannot become another one;"
            " leave the id out, so that it is uploaded beside it"
        )
    steps: list[Step] = []
    # of a certificate of somebody else the name is theirs
    if desired.name not in (None, config.name) and has.owner == document.owner:
        steps.append(
            Step(
                symbol(kind, desired),
                "update",
                kind.rename,
                {kind.id: has.id, kind.name: desired.name},
                f"change name from {config.name} to {desired.name}",
            )
        )
        config = dataclasses.replace(config, name=desired.name)
    tags = predicted_tags(desired.tags, config.tags)
    refuse(f"{where}.tags", desired.tags, config.tags or {}, tags)
    steps.extend(tag_steps(symbol(kind, desired), "certificate", has.id, config.tags, tags))
    return steps, dataclasses.replace(has, config=dataclasses.replace(config, tags=tags))


def day(seconds: float) -> str:
    """A time as sentences and results show it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


@dataclasses.dataclass(frozen=True)
class _Leaving:
    """A certificate that is to go: on the user's word, which is refused while it is used, or as one that was succeeded."""

    has: Observed[Certificate]
    on_word: bool


def leaving(option: str, document: FrontEnd, current: CloudState) -> list[_Leaving]:
    """What a document wants to be gone, in whatever use it is."""
    found: tuple[Observed[Certificate], ...] = getattr(current, option)
    gone: list[_Leaving] = []
    if document.state == "absent":
        if document.keeps_region:
            return []
        return [_Leaving(has, on_word=False) for has in found if has.owner == document.owner]
    for desired in getattr(document, option):
        if desired.state == "absent":
            gone += [_Leaving(has, on_word=True) for has in _meant(document, option, desired, found)]
            continue
        has = choose(document, option, desired, found)
        if desired.fingerprint is None:
            continue
        same = [other for other in found if other is not has and other.owner == document.owner]
        twins = [other for other in same if other.config.fingerprint == desired.fingerprint]
        # two runs at once uploaded it twice
        gone += [_Leaving(other, on_word=False) for other in twins if other.config.name == desired.name]
        if desired.keep_old is None:
            continue
        age = current.now - float(has.facts.get("created") or 0) if has is not None else 0.0
        if desired.keep_old == 0 or (has is not None and age >= desired.keep_old):
            old = [other for other in same if other not in twins and other.config.name == desired.name]
            gone += [_Leaving(other, on_word=False) for other in old if has is None or other.created <= has.created]
    return gone


def _meant(
    document: FrontEnd, option: str, desired: Certificate, found: t.Sequence[Observed[Certificate]]
) -> list[Observed[Certificate]]:
    """What state 'absent' means: the one of the id or the fingerprint, else all of the name that are the owner's, or the only one."""
    if desired.id is not None or desired.fingerprint is not None:
        has = choose(document, option, desired, found)
        return [] if has is None else [has]
    same = [has for has in found if has.config.name == desired.name]
    if len(same) > 1 and any(has.owner != document.owner for has in same):
        raise LookupFailed(
            f"{option}: the name '{desired.name}' fits {len(same)} of this region, {quoted(str(has.id) for has in same)}; say"
            " which one is meant by its id"
        )
    return same


def plan_absent(
    option: str,
    document: FrontEnd,
    current: CloudState,
    after: tuple[Observed[Certificate], ...],
    instance: Observed[LoadBalancer] | None = None,
    listeners: t.Sequence[Observed[Listener]] = (),
) -> tuple[list[Step], tuple[Observed[Certificate], ...], list[str]]:
    """Delete what is to go. What is used is an error on the user's word, and else a sentence, and stays."""
    kind = KINDS[option]
    called = labels(document, option, after)
    steps: list[Step] = []
    kept: list[str] = []
    for gone in leaving(option, document, current):
        has = gone.has
        users = uses.users_of(has.id, called.get(has.id or "", has.id or ""), option, current, instance, listeners)
        what = f"{WORDS[option]} {has.config.name} ({has.id})"
        if users and gone.on_word:
            raise DocumentError(
                f"{option}[{has.config.name}].state is 'absent', but {what} cannot be deleted, because it is used by"
                f" {quoted(map(str, users))}; give them another one first"
            )
        if users:
            kept.append(f"{what} stays: it is used by {quoted(map(str, users))}")
            continue
        steps.append(away(kind, has))
        after = tuple(other for other in after if other.id != has.id)
    return steps, after, kept


def away(kind: Kind, has: Observed[Certificate]) -> Step:
    return Step(
        f"{kind.symbol}:{has.config.name}:{has.id}",
        "delete",
        kind.delete,
        {kind.id: has.id},
        f"delete the {WORDS[kind.option]} {has.config.name} ({has.id})",
    )


def warnings(option: str, document: FrontEnd, current: CloudState) -> t.Iterator[str]:
    """Certificates of the document that end soon, or have ended."""
    for desired in getattr(document, option):
        has = choose(document, option, desired, getattr(current, option)) if desired.state == "present" else None
        ends = desired.expires or (has.config.expires if has else None)
        if ends is not None and ends < current.now + SOON:
            days = int((ends - current.now) // 86_400)
            when = f"in {days} days" if days >= 0 else "which is over"
            yield f"{option}[{desired.label}] ends on {day(ends)}, {when}; upload its successor under the same name"
