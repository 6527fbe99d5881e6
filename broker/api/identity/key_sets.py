"""Public keys of an outside issuer: found by discovery, kept for a while, followed when they rotate.

A key that is no longer published counts no longer, from the next fetch on. Who presents unknown key ids causes one fetch
per pause, whoever and however many they are. Where fetching fails the last set serves for a bounded time, then nothing does.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from broker.api.identity.jws import strict_json
from broker.errors import IssuerUnavailable
from broker.telemetry import Event, log

REFRESHED_S = 300.0
"""A set this old is fetched again at the next request."""

LONGEST_S = 3600.0
"""A set this old is not used any more."""

PAUSE_S = 10.0
"""Between two fetches at least, however they end."""

_TIMEOUT_S = 5.0
_LARGEST = 256 * 1024
_FEWEST_RSA_BITS = 2048

Fetch = Callable[[str], Awaitable[bytes]]
"""Bytes of the document at a URL; raises `IssuerUnavailable`."""


def keys_in(document: Any, algorithm: str) -> dict[str, Any]:
    """Keys of a JWK set (RFC 7517) that sign with `algorithm`, by id; raises `ValueError` for another form.

    Left out: keys for another algorithm or use, too short, published with their private part, or under one id twice.
    """
    listed = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(listed, list):
        raise ValueError("not a key set")  # noqa: TRY004 - one refusal for whatever was fetched
    stated = [each for each in listed if isinstance(each, dict) and isinstance(each.get("kid"), str)]
    times = Counter(each["kid"] for each in stated)
    found = {each["kid"]: _key(each, algorithm) for each in stated if times[each["kid"]] == 1}
    return {kid: key for kid, key in found.items() if key is not None}


def _key(stated: Mapping[str, Any], algorithm: str) -> Any:
    if stated.get("alg", algorithm) != algorithm or stated.get("use", "sig") != "sig":
        return None
    try:
        if "verify" not in stated.get("key_ops", ("verify",)):
            return None
        key = jwt.PyJWK(dict(stated), algorithm).key
    except (jwt.PyJWTError, ValueError, TypeError, KeyError):
        return None
    fits = {
        "EdDSA": isinstance(key, Ed25519PublicKey),
        "ES256": isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1),
    }
    return key if fits.get(algorithm, isinstance(key, RSAPublicKey) and key.key_size >= _FEWEST_RSA_BITS) else None


class PublishedKeys:
    """The keys of one issuer, as it publishes them."""

    def __init__(
        self, name: str, url: str, algorithm: str, fetch: Fetch, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._name, self._url, self._algorithm = name, url, algorithm
        self._fetch, self._clock = fetch, clock
        self._keys: Mapping[str, Any] = {}
        self._fetched_at = self._tried_at = float("-inf")
        self._turn = asyncio.Lock()

    async def key(self, kid: str) -> Any:
        """The key of this id, None where the issuer has none; raises `IssuerUnavailable` while that cannot be known."""
        waits = kid not in self._keys or self._older_than(LONGEST_S)
        if waits or (self._older_than(REFRESHED_S) and not self._turn.locked()):
            async with self._turn:
                if self._clock() - self._tried_at >= PAUSE_S:
                    await self._renew()
        if self._older_than(LONGEST_S):
            raise IssuerUnavailable("the issuer of this token does not publish its keys now: try again later")
        return self._keys.get(kid)

    def _older_than(self, seconds: float) -> bool:
        return self._clock() - self._fetched_at > seconds

    async def _renew(self) -> None:
        self._tried_at = self._clock()
        try:
            discovery = await self._fetch(f"{self._url.rstrip('/')}/.well-known/openid-configuration")
            where = _place_of_keys(strict_json(discovery.decode()), self._url)
            keys = keys_in(strict_json((await self._fetch(where)).decode()), self._algorithm)
        except (IssuerUnavailable, ValueError) as error:
            log(Event.ISSUER_UNAVAILABLE, issuer=self._name, error=error)
            return
        if keys.keys() != self._keys.keys():
            log(Event.ISSUER_KEYS, issuer=self._name, records=len(keys))
        self._keys, self._fetched_at = keys, self._clock()


def over_http(client: httpx.AsyncClient) -> Fetch:
    """Fetch with `client`: no redirects, no large answers, no long waits."""

    async def fetch(url: str) -> bytes:
        try:
            async with asyncio.timeout(_TIMEOUT_S), client.stream("GET", url, follow_redirects=False) as answer:
                held = bytearray()
                async for piece in answer.aiter_bytes():
                    held += piece
                    if len(held) > _LARGEST:
                        raise IssuerUnavailable("the issuer's document is too large")
                if answer.status_code != httpx.codes.OK:
                    raise IssuerUnavailable("the issuer does not answer as it should")
                return bytes(held)
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            raise IssuerUnavailable("the issuer cannot be reached") from error

    return fetch


def _place_of_keys(discovery: Any, issuer: str) -> str:
    """The URL of the key set; raises `ValueError` unless this issuer says so itself (OpenID Connect Discovery §4.3)."""
    stated = discovery if isinstance(discovery, dict) else {}
    where = stated.get("jwks_uri")
    if stated.get("issuer") != issuer or not isinstance(where, str):
        raise ValueError("discovery of another issuer")
    if not where.startswith(("https://", f"{_origin(issuer)}/")):
        raise ValueError("no safe place of keys")
    return where


def _origin(url: str) -> str:
    return "/".join(url.split("/", 3)[:3])
