# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Verification of signatures: ACS3-HMAC-SHA256 in headers, and the older RPC signature in parameters."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone
from urllib.parse import quote

from .config import AccessKey
from .errors import ApiError, missing
from .role_keys import RoleKeys

WINDOW = 15 * 60
_ACS3 = re.compile(r"ACS3-HMAC-SHA256 +Credential=([^,]+), *SignedHeaders=([^,]+), *Signature=([0-9a-f]+)")
# What an ACS3 signature has to cover, or a part of the request could be exchanged under it.
_MUST_SIGN = ("host", "x-acs-action", "x-acs-content-sha256", "x-acs-date", "x-acs-signature-nonce", "x-acs-version")


def _encode(text: str) -> str:
    return quote(text, safe="~")


def canonical_query(pairs: Iterable[tuple[str, str]]) -> str:
    """The wire writes a blank as '+' while the canonical form has %20, so it is always decoded and encoded again."""
    return "&".join(f"{_encode(key)}={_encode(value)}" for key, value in sorted(pairs))


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())


class Verifier:
    """Knows the access keys and remembers the nonces of the last minutes."""

    def __init__(self, keys: Sequence[AccessKey], role_keys: RoleKeys) -> None:
        self._keys = {key.access_key_id: key for key in keys}
        self._role_keys = role_keys
        self._nonces: dict[tuple[str, str], float] = {}

    def verify(
        self,
        method: str,
        path: str,
        query: Sequence[tuple[str, str]],
        form: Sequence[tuple[str, str]],
        headers: Mapping[str, str],
        body: bytes,
        now: float,
    ) -> None:
        if headers.get("authorization"):
            self._acs3(method, path, query, headers, body, now)
        else:
            self._rpc(method, dict([*query, *form]), now)

    def _acs3(
        self,
        method: str,
        path: str,
        query: Sequence[tuple[str, str]],
        headers: Mapping[str, str],
        body: bytes,
        now: float,
    ) -> None:
        found = _ACS3.fullmatch(headers["authorization"].strip())
        if found is None:
            raise ApiError("IncompleteSignature", "The Authorization header is not an ACS3-HMAC-SHA256 one.")
        key = self._key(found[1], headers.get("x-acs-security-token", ""), now)
        signed = found[2].split(";")
        unsigned = [name for name in _MUST_SIGN if name not in signed]
        if unsigned:
            raise ApiError("IncompleteSignature", f"The signature must cover the headers {', '.join(unsigned)}.")
        digest = headers.get("x-acs-content-sha256", "")
        if not _same(digest, hashlib.sha256(body).hexdigest()):
            raise ApiError("SignatureDoesNotMatch", "The x-acs-content-sha256 header is not the hash of the body.")
        lines = "".join(f"{name}:{headers.get(name, '').strip()}\n" for name in signed)
        request = "\n".join([method, path, canonical_query(query), lines, found[2], digest])
        text = "ACS3-HMAC-SHA256\n" + hashlib.sha256(request.encode()).hexdigest()
        wanted = hmac.new(key.access_key_secret.encode(), text.encode(), hashlib.sha256).hexdigest()
        self._compare(found[3], wanted, text)
        self._fresh(headers.get("x-acs-date", ""), now)
        self._once(key, headers.get("x-acs-signature-nonce", ""), now)

    def _rpc(self, method: str, parameters: dict[str, str], now: float) -> None:
        given = parameters.pop("Signature", "")
        if not parameters.get("AccessKeyId"):
            raise ApiError("MissingAccessKeyId")
        if not given:
            raise missing("Signature")
        key = self._key(parameters["AccessKeyId"], parameters.get("SecurityToken", ""), now)
        if parameters.get("SignatureMethod") != "HMAC-SHA1" or parameters.get("SignatureVersion") != "1.0":
            raise ApiError("IncompleteSignature", "Only HMAC-SHA1 signatures of version 1.0 are known.")
        text = "&".join([method, _encode("/"), _encode(canonical_query(parameters.items()))])
        digest = hmac.new(f"{key.access_key_secret}&".encode(), text.encode(), hashlib.sha1).digest()
        self._compare(given, base64.b64encode(digest).decode(), text)
        self._fresh(parameters.get("Timestamp", ""), now)
        self._once(key, parameters.get("SignatureNonce", ""), now)

    def _key(self, access_key_id: str, token: str, now: float) -> AccessKey:
        key = self._keys.get(access_key_id) or self._role_keys.find(access_key_id, now)
        if key is None:
            raise ApiError("InvalidAccessKeyId.NotFound")
        if not key.active:
            raise ApiError("InvalidAccessKeyId.Inactive")
        if not _same(key.security_token, token):
            raise ApiError("InvalidSecurityToken.MismatchWithAccessKey")
        return key

    @staticmethod
    def _compare(given: str, wanted: str, text: str) -> None:
        if not _same(given, wanted):
            raise ApiError(
                "SignatureDoesNotMatch",
                f"Specified signature is not matched with our calculation. server string to sign is:{text}",
            )

    @staticmethod
    def _fresh(date: str, now: float) -> None:
        try:
            sent = datetime.strptime(date, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc).timestamp()
        except ValueError:
            raise ApiError("InvalidTimeStamp.Format") from None
        if abs(now - sent) > WINDOW:
            raise ApiError("InvalidTimeStamp.Expired")

    def _once(self, key: AccessKey, nonce: str, now: float) -> None:
        if not nonce:
            raise missing("SignatureNonce")
        if (key.access_key_id, nonce) in self._nonces:
            raise ApiError("SignatureNonceUsed")
        # A nonce has to be remembered for as long as its date can pass: the window reaches both ways.
        oldest = now - 2 * WINDOW
        while self._nonces and next(iter(self._nonces.values())) < oldest:
            del self._nonces[next(iter(self._nonces))]
        self._nonces[key.access_key_id, nonce] = now
