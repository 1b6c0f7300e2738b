# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an uploaded certificate says, and what of it is refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from .errors import ApiError, invalid


@dataclass(frozen=True)
class Read:
    fingerprint: str
    common_name: str
    names: list[str]
    expires: float


def read(pem: str, parameter: str) -> Read:
    """The first certificate of a PEM text; every further one has to have signed the one before."""
    try:
        chain = x509.load_pem_x509_certificates(pem.encode())
        for lower, upper in zip(chain, chain[1:]):
            lower.verify_directly_issued_by(upper)
    except Exception:
        raise invalid(f"The specified {parameter} format is error.") from None
    first = chain[0]
    subject = first.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    try:
        names: Any = first.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        alternatives = [
            str(name) for kind in (x509.DNSName, x509.IPAddress) for name in names.get_values_for_type(kind)
        ]
    except x509.ExtensionNotFound:
        alternatives = []
    digest = first.fingerprint(hashes.SHA1()).hex()
    return Read(
        ":".join(digest[index : index + 2] for index in range(0, 40, 2)),
        str(subject[0].value) if subject else "",
        alternatives,
        first.not_valid_after_utc.timestamp(),
    )


def check_key(pem: str, key: str) -> None:
    """Refuse a key that is none, is encrypted, or belongs to another certificate."""
    try:
        private = serialization.load_pem_private_key(key.encode(), password=None)
    except TypeError:
        raise ApiError("PrivateKeyEncryption") from None
    except Exception:
        raise ApiError("KeyFormatError") from None
    form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    first: Any = x509.load_pem_x509_certificates(pem.encode())[0].public_key()
    if private.public_key().public_bytes(*form) != first.public_bytes(*form):
        raise ApiError("CertificateNotMatchPrivateKey")
