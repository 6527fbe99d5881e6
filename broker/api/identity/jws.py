"""A signed token before anything in it is believed: one strict reading of RFC 7515, then the signature.

PyJWT checks the signature. Everything else is read here, once: what a lenient reader passes over (a member twice, another
alphabet, a key in the header) is where forgeries live.
"""

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

import jwt
from jwt.api_jws import PyJWS

from broker.errors import Unauthenticated

LARGEST_TOKEN = 8192
"""Characters; a token with every claim of ACM/IDM has about 2,000."""

ALGORITHMS = ("EdDSA", "ES256", "PS256", "RS256")
"""Asymmetric only: whoever can check a token cannot make one."""

_FORM = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")
_HEADER = frozenset({"alg", "kid", "typ", "x5t", "x5t#S256"})
_TYPES = frozenset({"at+jwt", "application/at+jwt", "jwt"})


@dataclass(frozen=True, slots=True)
class Unverified:
    """A well-formed token that may be anyone's."""

    text: str = field(repr=False)
    algorithm: str
    kid: str
    claims: Mapping[str, Any] = field(repr=False)


def refuse() -> NoReturn:
    """Refuse a credential; the answer is the same whatever was wrong."""
    raise Unauthenticated("a valid credential is needed") from None


def read(text: str) -> Unverified:
    """The parts of a compact JWS; raises `Unauthenticated` for any other form.

    The header may name algorithm, key and type (`at+jwt` of RFC 9068, or `JWT`), and hashes of a certificate, which are
    not used. A key, an address of one, `crit` or anything else in it is refused, as are members stated twice.
    """
    parts = _FORM.fullmatch(text) if len(text) <= LARGEST_TOKEN else None
    if parts is None:
        refuse()
    header, claims = _object(_decoded(parts[1])), _object(_decoded(parts[2]))
    _decoded(parts[3])
    algorithm, kid, kind = (header.get(name) for name in ("alg", "kid", "typ"))
    if not header.keys() <= _HEADER or not isinstance(kind, str) or kind.lower() not in _TYPES:
        refuse()
    if not isinstance(algorithm, str) or not isinstance(kid, str):
        refuse()
    return Unverified(text, algorithm, kid, claims)


def check_signature(token: Unverified, key: Any, algorithm: str) -> None:
    """Raise `Unauthenticated` unless the token says `algorithm`, one of `ALGORITHMS`, and `key` signed it so."""
    if token.algorithm != algorithm or algorithm not in ALGORITHMS:
        refuse()
    try:
        PyJWS(algorithms=[algorithm]).decode_complete(token.text, key, algorithms=[algorithm])
    except (jwt.PyJWTError, ValueError, TypeError):
        refuse()


def strict_json(text: str) -> Any:
    """A JSON value (RFC 8259) with every member once; raises `ValueError`."""
    try:
        return json.loads(text, object_pairs_hook=_once, parse_constant=_not_json)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _object(raw: bytes) -> dict[str, Any]:
    try:
        value = strict_json(raw.decode())
    except ValueError:
        refuse()
    return value if isinstance(value, dict) else refuse()


def _once(members: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(members)
    if len(value) != len(members):
        raise ValueError("a member is stated twice")
    return value


def _not_json(text: str) -> NoReturn:
    raise ValueError(f"{text} is not JSON")


def _decoded(part: str) -> bytes:
    """Bytes of one part; of several spellings of the same bytes only the canonical one counts."""
    try:
        raw = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except (binascii.Error, ValueError):
        refuse()
    if base64.urlsafe_b64encode(raw).decode().rstrip("=") != part:
        refuse()
    return raw
