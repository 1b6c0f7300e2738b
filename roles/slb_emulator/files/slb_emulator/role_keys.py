# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the metadata service gives out for a time: keys of RAM roles, and its own tokens.

Nothing is stored. The id of a key says for whom and until when it is; secret and token follow from the id and from
something that only this sandbox knows. So they go on over a restart, and nobody can make up a key that lives longer.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass

from .config import AccessKey
from .errors import ApiError

LIFETIME = 6 * 3600.0  # seconds, as keys of instance roles have
_RENEWED_BEFORE = 1800.0  # seconds before its end at which a key is followed by the next
_PREFIX = "STS"


@dataclass(frozen=True)
class RoleKey:
    key: AccessKey
    issued_at: int  # seconds since the epoch, also of the next
    expires_at: int


class RoleKeys:
    def __init__(self, sandbox: str, keys: Sequence[AccessKey]) -> None:
        known = [sandbox, *(key.access_key_secret for key in keys)]
        self._seed = hashlib.sha256("\n".join(known).encode()).digest()

    def _sealed(self, purpose: str, text: str) -> str:
        return hmac.new(self._seed, f"{purpose} {text}".encode(), hashlib.sha256).hexdigest()

    def _key(self, access_key_id: str) -> AccessKey:
        secret, token = (self._sealed(purpose, access_key_id) for purpose in ("secret", "token"))
        return AccessKey(access_key_id, secret[:30], token)

    def issue(self, role: str, instance_id: str, lifetime: float, now: float) -> RoleKey:
        """The key of a role on an instance: the same until it is renewed, which is well before its end."""
        step = lifetime - min(_RENEWED_BEFORE, lifetime / 2)
        issued_at = now // step * step
        expires_at = int(issued_at + lifetime)
        key = self._key(f"{_PREFIX}.{expires_at}.{instance_id}.{role}")
        return RoleKey(key, int(issued_at), expires_at)

    def find(self, access_key_id: str, now: float) -> AccessKey | None:
        """The key of this id; None where it is no such id. Raises ApiError for one that has expired."""
        prefix, dummy, rest = access_key_id.partition(".")
        expires_at = rest.partition(".")[0]
        if prefix != _PREFIX or not expires_at.isdecimal():
            return None
        if now >= int(expires_at):
            raise ApiError("InvalidSecurityToken.Expired")
        return self._key(access_key_id)

    def metadata_token(self, instance_id: str, seconds: int, now: float) -> str:
        expires_at = int(now) + seconds
        return f"{expires_at}.{self._sealed('metadata', f'{expires_at} {instance_id}')}"

    def is_metadata_token(self, token: str, instance_id: str, now: float) -> bool:
        expires_at = token.partition(".")[0]
        if not expires_at.isdecimal() or now >= int(expires_at):
            return False
        return hmac.compare_digest(token, self.metadata_token(instance_id, 0, int(expires_at)))
