# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a certificate says, read from its bytes: Python tells it only of one that was verified.

X.509 in DER, RFC 5280 4.1: nothing but the few fields that are asked for. Standard library only, Python 3.8 or newer.
"""

from __future__ import annotations

import base64
import calendar
import hashlib
import ipaddress
import re
import time
import typing as t

SEQUENCE, INTEGER, BIT_STRING, OCTET_STRING, OBJECT = 0x30, 0x02, 0x03, 0x04, 0x06
UTC_TIME, VERSION, EXTENSIONS = 0x17, 0xA0, 0xA3
DNS_NAME, IP_ADDRESS = 0x82, 0x87
#: The object identifier of subjectAltName.
ALTERNATIVE_NAMES = b"\x55\x1d\x11"


def facts(der: bytes) -> dict[str, t.Any]:
    """Fingerprints, the time of which it is valid, and its names; null where it is no certificate that can be read."""
    found: dict[str, t.Any] = {
        "fingerprint": _fingerprint("sha1", der) if der else None,
        "fingerprint_sha256": _fingerprint("sha256", der) if der else None,
        "not_before": None,
        "not_after": None,
        "subject_alt_names": [],
    }
    try:
        found.update(_read(der))
    except (IndexError, ValueError):
        pass
    return found


PEM = re.compile(r"-----BEGIN CERTIFICATE-----(.+?)-----END CERTIFICATE-----", re.DOTALL)
DAY = 24 * 60 * 60
TIME_FORMAT = "%Y-%m-%dT%H:%M:%SZ"


def first_of(pem: str) -> bytes:
    """The first certificate of a file, in DER; nothing where there is none."""
    found = PEM.search(pem)
    try:
        return base64.b64decode(found[1]) if found else b""
    except ValueError:
        return b""


def days_left(not_after: str | None, now: float) -> int | None:
    """Whole days from now (seconds since 1970) to the end of a certificate, below zero once it is over; None where that is not known."""
    if not not_after:
        return None
    return int((calendar.timegm(time.strptime(not_after, TIME_FORMAT)) - now) // DAY)


def _fingerprint(kind: str, der: bytes) -> str:
    digest = hashlib.new(kind, der).hexdigest()
    return ":".join(digest[index : index + 2] for index in range(0, len(digest), 2))


def _read(der: bytes) -> dict[str, t.Any]:
    ((dummy, certificate),) = list(_elements(der))[:1]
    body = list(_elements(_first(certificate)))
    # the version is left out where it is the first
    fields = body[1:] if body[0][0] == VERSION else body
    # serial number, algorithm, issuer, validity, subject, key
    validity = list(_elements(fields[3][1]))
    extensions = [content for tag, content in fields[6:] if tag == EXTENSIONS]
    return {
        "not_before": _time(*validity[0]),
        "not_after": _time(*validity[1]),
        "subject_alt_names": list(_names(extensions[0])) if extensions else [],
    }


def _elements(der: bytes) -> t.Iterator[tuple[int, bytes]]:
    """(tag, content) of each element in a row."""
    start = 0
    while start < len(der):
        tag, length, begin = der[start], der[start + 1], start + 2
        if length & 0x80:
            begin += length & 0x7F
            length = int.from_bytes(der[start + 2 : begin], "big")
        if begin + length > len(der):
            raise ValueError("an element is cut off")
        yield tag, der[begin : begin + length]
        start = begin + length


def _first(der: bytes) -> bytes:
    """The content of the first element."""
    return list(_elements(der))[0][1]


def _time(tag: int, content: bytes) -> str:
    """As the engine shows times. Two digits of a year are of 1950 to 2049, RFC 5280 4.1.2.5.1."""
    text = content.decode("ascii")
    if tag == UTC_TIME:
        text = ("19" if text[:2] >= "50" else "20") + text
    return time.strftime(TIME_FORMAT, time.strptime(text, "%Y%m%d%H%M%SZ"))


def _names(extensions: bytes) -> t.Iterator[str]:
    for dummy, extension in _elements(_first(extensions)):
        parts = list(_elements(extension))
        if parts[0] != (OBJECT, ALTERNATIVE_NAMES):
            continue
        for tag, content in _elements(_first(parts[-1][1])):
            if tag == DNS_NAME:
                yield content.decode("ascii", "replace")
            elif tag == IP_ADDRESS:
                yield str(ipaddress.ip_address(content))
