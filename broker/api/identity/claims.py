"""Registered claims of an access token (RFC 7519, RFC 9068), checked against what is expected of one issuer."""

from collections.abc import Mapping
from typing import Any

from broker.api.identity.jws import refuse

LEEWAY_S = 60
"""How far the issuer's clock and ours may be apart."""

_LONGEST = 255
_NOT_AN_ACCESS_TOKEN = frozenset({"nonce", "at_hash", "c_hash", "s_hash", "events"})
"""Claims of ID and logout tokens (OpenID Connect): issued under the same keys, meant for somebody else."""

_NOT_FOLLOWED = frozenset({"cnf", "act"})
"""A key that the bearer must prove (RFC 7800), an actor behind the subject (RFC 8693): to pass over it would widen it."""

_PURPOSES = frozenset({"purpose", "doel", "doeleinde", "verwerkingsdoeleinde", "purpose_of_use"})


def check(claims: Mapping[str, Any], *, issuer: str, audience: str, longest_s: int, now: float) -> str:
    """The client of a token that counts at `now` (seconds since 1970); raises `Unauthenticated` for any other.

    `iss` and `aud` are compared character by character. A list of audiences may hold ours only: with a token for several,
    each of them could come here in the caller's name. `exp` and `iat` are needed, `longest_s` apart at most.
    """
    if claims.get("iss") != issuer or claims.get("aud") not in (audience, [audience]):
        refuse()
    if claims.keys() & (_NOT_AN_ACCESS_TOKEN | _NOT_FOLLOWED) or claims.get("typ", "Bearer") != "Bearer":
        refuse()
    issued, expires = _instant(claims, "iat"), _instant(claims, "exp")
    begins = _instant(claims, "nbf") if "nbf" in claims else issued
    if not issued < expires <= issued + longest_s:
        refuse()
    if max(issued, begins) > now + LEEWAY_S or expires <= now - LEEWAY_S:
        refuse()
    _named(claims, "sub")
    named = {_named(claims, name) for name in ("azp", "client_id") if name in claims}
    if len(named) != 1:
        refuse()
    return named.pop()


def claims_purpose(claims: Mapping[str, Any]) -> bool:
    """Whether the token states a purpose. It counts for nothing: a purpose is bound to an agreement (docs/identity.md)."""
    return not _PURPOSES.isdisjoint(name.lower() for name in claims)


def _instant(claims: Mapping[str, Any], name: str) -> float:
    """A NumericDate (RFC 7519 §2)."""
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        refuse()
    return value


def _named(claims: Mapping[str, Any], name: str) -> str:
    value = claims.get(name)
    return value if isinstance(value, str) and 0 < len(value) <= _LONGEST else refuse()
