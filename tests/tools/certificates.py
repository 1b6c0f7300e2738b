# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Certificates for tests: an authority, and pairs of certificate and key that it signed. Made once in a process."""

from __future__ import annotations

import datetime
import functools
import typing as t

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

Pair = t.Dict[str, str]


@functools.cache
def _key(number: object) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])


@functools.cache
def _signed(name: str, key: object, issuer: str, issuer_key: object, days: int, ca: bool) -> x509.Certificate:
    now = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
    start = now - datetime.timedelta(days=400)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(_name(issuer))
        .public_key(_key(key).public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )
    if not ca:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    return builder.sign(_key(issuer_key), hashes.SHA256())


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def private_key(number: object, password: bytes | None = None) -> str:
    encryption = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return (
        _key(number).private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption).decode()
    )


def authority(name: str = "Example CA") -> str:
    """A CA of its own."""
    return _pem(_signed(name, name, name, name, 3650, True))


def leaf(name: str, key: object = 0, days: int = 365, issuer: str = "Example CA") -> str:
    """A server's certificate, without its chain. One of a negative number of days has ended."""
    return _pem(_signed(name, key, issuer, issuer, days, False))


def pair(name: str, key: object = 0, days: int = 365) -> Pair:
    """Certificate, with its chain, and key, by the options of a document."""
    return {"certificate": leaf(name, key, days) + authority(), "private_key": private_key(key)}
