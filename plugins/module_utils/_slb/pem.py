# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a certificate in PEM says, and what the cloud would refuse about it.

cryptography, which ansible-core needs itself, is imported where a certificate is looked at, not when this file is.
"""

from __future__ import annotations

import dataclasses
import traceback
import typing as t

from .errors import DocumentError, SdkMissing


@dataclasses.dataclass(frozen=True)
class Facts:
    """What a certificate says of itself. The fingerprint is SHA-1, as the API tells it."""

    fingerprint: str
    common_name: str
    subject_alt_names: tuple[str, ...]
    #: In seconds since 1970: its own end, and that of the first in its chain to end.
    expires: int
    chain_expires: int


def fingerprint(text: str) -> str:
    """The one spelling of a fingerprint."""
    bare = text.replace(":", "").strip().lower()
    return ":".join(bare[index : index + 2] for index in range(0, len(bare), 2))


def _library() -> tuple[t.Any, t.Any, t.Any]:
    try:
        from cryptography import x509
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives import hashes, serialization
    except ImportError as error:
        raise SdkMissing("cryptography", traceback.format_exc()) from error
    return x509, (hashes, serialization), InvalidSignature


def chain(where: str, text: str, *, whole: bool) -> list[t.Any]:
    """The certificates of a PEM text, the server's own first, each followed by its issuer.

    whole: several may follow each other; else there has to be one. Raises DocumentError.
    """
    x509, dummy, wrong_signature = _library()
    try:
        found = list(x509.load_pem_x509_certificates(text.encode()))
    except ValueError as error:
        raise DocumentError(
            f"{where} is no certificate in PEM; it has to begin with -----BEGIN CERTIFICATE----- and be whole ({_short(error)})"
        ) from error
    if not whole and len(found) > 1:
        raise DocumentError(f"{where} has {len(found)} certificates; one CA is uploaded at a time")
    for place, (lower, upper) in enumerate(zip(found, found[1:]), 1):
        if not _issued(lower, upper, wrong_signature):
            turned = _issued(lower=upper, upper=lower, wrong_signature=wrong_signature)
            raise DocumentError(
                f"{where} has its chain in the wrong order: certificate {place + 1}, {_name(upper)}, did not sign certificate"
                f" {place}, {_name(lower)}{', but the other way round' if turned else ''}; put the server's own certificate"
                " first, then the one that signed it, and so on"
            )
    return found


def _short(error: Exception) -> str:
    return str(error).split(".", 1)[0][:120]


def _issued(lower: t.Any, upper: t.Any, wrong_signature: t.Any) -> bool:
    try:
        lower.verify_directly_issued_by(upper)
    except (ValueError, TypeError, wrong_signature):
        return False
    return True


def _name(certificate: t.Any) -> str:
    return str(certificate.subject.rfc4514_string() or "without a name")


def refuse_other_key(where: str, certificate: t.Any, private_key: str) -> None:
    """Refuse a key that the cloud would not take, or that belongs to another certificate. No word of it is shown."""
    dummy, (hashes, serialization), wrong_signature = _library()
    try:
        key = serialization.load_pem_private_key(private_key.encode(), password=None)
    except TypeError as error:
        raise DocumentError(
            f"{where}.private_key is encrypted; the cloud takes a key without a passphrase only, so decrypt it first"
        ) from error
    except Exception as error:
        # whatever is wrong with it, the library's words might show it
        raise DocumentError(
            f"{where}.private_key is no private key in PEM; it has to begin with -----BEGIN PRIVATE KEY----- or its kind's own words"
        ) from error
    form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    if key.public_key().public_bytes(*form) != certificate.public_key().public_bytes(*form):
        raise DocumentError(
            f"{where}.private_key is the key of another certificate, not of {_name(certificate)}; give the two that belong together"
        )


def facts(found: t.Sequence[t.Any]) -> Facts:
    """What the first of a chain says of itself, and when the first of them all ends."""
    x509, (hashes, serialization), dummy = _library()
    first = found[0]
    names = first.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    try:
        others = first.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        alternatives = tuple(str(entry) for entry in others.get_values_for_type(x509.DNSName)) + tuple(
            str(entry) for entry in others.get_values_for_type(x509.IPAddress)
        )
    except x509.ExtensionNotFound:
        alternatives = ()
    return Facts(
        fingerprint=fingerprint(first.fingerprint(hashes.SHA1()).hex()),
        common_name=str(names[0].value) if names else "",
        subject_alt_names=alternatives,
        expires=int(_ends(first)),
        chain_expires=min(int(_ends(certificate)) for certificate in found),
    )


def _ends(certificate: t.Any) -> float:
    try:
        return float(certificate.not_valid_after_utc.timestamp())
    except AttributeError:
        import datetime

        # before cryptography 42 the time of UTC has no zone
        return float(certificate.not_valid_after.replace(tzinfo=datetime.timezone.utc).timestamp())
