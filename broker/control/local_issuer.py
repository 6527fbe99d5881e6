"""The installation's own OAuth issuer: short-lived access tokens (RFC 9068) for who holds a credential of ours.

Keys are Ed25519 (RFC 8037), by number in the key store. After a rotation the key before stays in the published set as long
as a token that it signed can live; tokens name their key by its thumbprint (RFC 7638).
"""

import base64
import hashlib
import json
import secrets
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from broker.control import keys
from broker.control.keys import KeyStore
from broker.control.views import Control
from broker.model.credentials import Credential
from broker.model.facts import FactType

ALGORITHM = "EdDSA"
LIFETIME_S = 600
_LEEWAY = timedelta(seconds=60)


class LocalIssuer:
    """Issues under its `url`, which is also the audience: the tokens are for this installation only."""

    def __init__(
        self,
        control: Control,
        key_store: KeyStore,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        random: Callable[[int], str] = secrets.token_hex,
    ) -> None:
        self.url: str | None = None
        """None until `reached_at`: whoever issues must know what the tokens are to name."""
        self._control = control
        self._keys = key_store
        self._now = now
        self._random = random

    def reached_at(self, url: str) -> None:
        """Issue from now on, under the URL at which others reach the installation."""
        self.url = url

    def issue(self, credential: Credential) -> str:
        """A token for the holder of `credential`; what it may do is looked up by the credential's id at each use."""
        now = int(self._now().timestamp())
        claims = {
            "iss": self.url,
            "aud": self.url,
            "sub": credential.organisation,
            "client_id": credential.organisation,
            "credential": credential.id,
            "iat": now,
            "exp": now + LIFETIME_S,
            "jti": self._random(16),
        }
        key = self._private(self._epoch)
        return jwt.encode(claims, key, ALGORITHM, {"typ": "at+jwt", "kid": thumbprint(key.public_key())})

    async def key(self, kid: str) -> Ed25519PublicKey | None:
        """The key of this thumbprint while it is trusted."""
        return self.public_keys().get(kid)

    def public_keys(self) -> Mapping[str, Ed25519PublicKey]:
        """Keys by thumbprint, the present one first."""
        found = (self._private(epoch).public_key() for epoch in self._trusted())
        return {thumbprint(key): key for key in found}

    def key_set(self) -> dict[str, Any]:
        """The published set (RFC 7517 §5)."""
        held = self.public_keys().items()
        return {"keys": [_jwk(key) | {"kid": kid, "use": "sig", "alg": ALGORITHM} for kid, key in held]}

    async def rotate(self, *, keep: bool, by: str) -> int:
        """Sign with a new key from now on; returns its number. Without `keep`, tokens of all keys before end at once.

        Raises `Conflict` if somebody else rotated meanwhile.
        """
        await self._control.read_to_head()
        epoch = self._epoch + 1
        self._private(epoch)  # in the store before any process signs with it
        await self._control.append(FactType.ISSUER_ROTATED, "issuer", {"epoch": epoch, "keep": keep}, by=by)
        return epoch

    @property
    def _epoch(self) -> int:
        return len(self._control.state.signing_epochs) + 1

    def _trusted(self) -> Iterator[int]:
        yield self._epoch
        longest = timedelta(seconds=LIFETIME_S) + _LEEWAY
        for before in reversed(self._control.state.signing_epochs):
            if before.trusted and self._now() < before.until + longest:
                yield before.epoch

    def _private(self, epoch: int) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self._keys.ensure(keys.issuer_key(epoch)))


def thumbprint(key: Ed25519PublicKey) -> str:
    """RFC 7638 thumbprint of a key: SHA-256 over its required members, as base64url."""
    canonical = json.dumps(_jwk(key), sort_keys=True, separators=(",", ":"))
    return _base64url(hashlib.sha256(canonical.encode()).digest())


def _jwk(key: Ed25519PublicKey) -> dict[str, str]:
    return {"crv": "Ed25519", "kty": "OKP", "x": _base64url(key.public_bytes_raw())}


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
