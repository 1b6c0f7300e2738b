# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is read of a certificate's bytes, beside what the library for certificates reads of the same."""

from __future__ import annotations

import datetime
import ipaddress

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ansible_collections.clusterfront.ha.plugins.module_utils._endpoint.certificate import days_left, facts, first_of

KEY = ec.generate_private_key(ec.SECP256R1())
NAME = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "www.example.com")])
UTC = datetime.timezone.utc


def made(start, end, *names):
    builder = x509.CertificateBuilder().subject_name(NAME).issuer_name(NAME).public_key(KEY.public_key())
    builder = builder.serial_number(5).not_valid_before(start).not_valid_after(end)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(KEY, hashes.SHA256())


@pytest.mark.parametrize("year", [2026, 2049, 2050, 2126])
def test_it_says_what_the_library_says(year):
    names = [x509.DNSName("www.example.com"), x509.DNSName("*.example.com"), x509.RFC822Name("a@example.com")]
    addresses = [x509.IPAddress(ipaddress.ip_address(text)) for text in ("192.0.2.1", "2001:db8::1")]
    start, end = datetime.datetime(1999, 1, 31, 12, tzinfo=UTC), datetime.datetime(year, 12, 31, 23, 59, 58, tzinfo=UTC)
    certificate = made(start, end, *names, *addresses)
    found = facts(certificate.public_bytes(serialization.Encoding.DER))
    assert found == {
        "fingerprint": certificate.fingerprint(hashes.SHA1()).hex(":"),
        "fingerprint_sha256": certificate.fingerprint(hashes.SHA256()).hex(":"),
        "not_before": "1999-01-31T12:00:00Z",
        "not_after": f"{year}-12-31T23:59:58Z",
        "subject_alt_names": ["www.example.com", "*.example.com", "192.0.2.1", "2001:db8::1"],
    }


def test_one_without_names_and_what_is_none():
    start, end = datetime.datetime(2026, 1, 1), datetime.datetime(2027, 1, 1)
    whole = made(start, end).public_bytes(serialization.Encoding.DER)
    assert facts(whole)["subject_alt_names"] == [] and facts(whole)["not_after"] == "2027-01-01T00:00:00Z"
    for wrong in (b"", b"\x30", b"\x30\x03\x02\x01\x05", whole[:200]):
        assert facts(wrong)["not_after"] is None and facts(wrong)["subject_alt_names"] == []
    assert facts(b"")["fingerprint"] is None


def test_the_first_of_a_file():
    start, end = datetime.datetime(2026, 1, 1), datetime.datetime(2027, 1, 1)
    first, second = made(start, end), made(start, end, x509.DNSName("b.example.com"))
    pem = b"bag attributes\n" + b"".join(one.public_bytes(serialization.Encoding.PEM) for one in (first, second))
    assert first_of(pem.decode()) == first.public_bytes(serialization.Encoding.DER)
    for wrong in ("", "no certificate", "-----BEGIN CERTIFICATE-----\nA\n-----END CERTIFICATE-----\n"):
        assert first_of(wrong) == b""


@pytest.mark.parametrize(
    ("end", "days"),
    [
        ("2027-01-15T08:00:00Z", 0),
        ("2027-01-16T07:59:59Z", 0),
        ("2027-01-16T08:00:00Z", 1),
        ("2027-01-15T07:59:59Z", -1),
        (None, None),
        ("", None),
    ],
)
def test_days_that_are_left(end, days):
    now = datetime.datetime(2027, 1, 15, 8, tzinfo=UTC).timestamp()
    assert days_left(end, now) == days
