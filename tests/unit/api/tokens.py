"""Makes access tokens, good and forged: every byte is the test's own, whatever a library would refuse to write."""

import base64
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

NOW = 1_795_000_000
AUDIENCE = "https://datanuts.example"
_SHA256 = hashes.SHA256()


def base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def compact(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def signature(algorithm: str, key: Any, signed: bytes) -> bytes:
    """Signature bytes (RFC 7518 §3, RFC 8037)."""
    if algorithm == "ES256":
        r, s = decode_dss_signature(key.sign(signed, ec.ECDSA(_SHA256)))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")
    if algorithm == "RS256":
        return bytes(key.sign(signed, padding.PKCS1v15(), _SHA256))
    if algorithm == "PS256":
        return bytes(key.sign(signed, padding.PSS(padding.MGF1(_SHA256), 32), _SHA256))
    if algorithm == "EdDSA":
        return bytes(key.sign(signed))
    return hmac.digest(key, signed, "sha256")


def token(header: Any, claims: Any, key: Any, algorithm: str) -> str:
    """A compact JWS over exactly these members, or over exactly this text."""
    signed = ".".join(base64url(compact(part).encode("utf-8", "surrogatepass")) for part in (header, claims))
    return f"{signed}.{base64url(signature(algorithm, key, signed.encode()))}"


@dataclass(frozen=True)
class Idp:
    """An issuer in memory: what a test signs with, and what the door knows of it."""

    url: str
    algorithm: str
    private: Any = field(repr=False)
    kid: str = "k1"
    lookups: list[str] = field(default_factory=list)

    @property
    def header(self) -> dict[str, Any]:
        return {"alg": self.algorithm, "kid": self.kid, "typ": "at+jwt"}

    @property
    def claims(self) -> dict[str, Any]:
        return {
            "iss": self.url, "aud": AUDIENCE, "sub": "gent", "client_id": "gent-toepassing",
            "iat": NOW, "exp": NOW + 300, "jti": "t-1",
        }  # fmt: skip

    def token(self, header: Mapping[str, Any] | None = None, without: str = "", **claims: Any) -> str:
        """A good token but for these header members and claims, and `without` one of them."""
        head, said = {**self.header, **(header or {})}, {**self.claims, **claims}
        for members in (head, said):
            members.pop(without, None)
        return token(head, said, self.private, self.algorithm)

    async def key(self, kid: str) -> Any:
        """As the door asks for it."""
        self.lookups.append(kid)
        return self.private.public_key() if kid == self.kid else None


@cache
def idp(algorithm: str, url: str = "") -> Idp:
    """One issuer per algorithm; its key is made once."""
    made: Any
    if algorithm == "ES256":
        made = ec.generate_private_key(ec.SECP256R1())
    elif algorithm == "EdDSA":
        made = ed25519.Ed25519PrivateKey.generate()
    else:
        made = rsa.generate_private_key(65537, 2048)
    return Idp(url or f"https://idp.example/{algorithm.lower()}", algorithm, made)


def public_pem(one: Idp) -> bytes:
    """What an HS256 forger takes for a secret."""
    return bytes(one.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


def public_der(one: Idp) -> bytes:
    """Likewise, without its armour."""
    return bytes(one.private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
