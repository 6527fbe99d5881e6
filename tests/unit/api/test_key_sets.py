"""An issuer's keys: taken from what it publishes, followed when they rotate, bounded in how often and how long."""

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa

from broker.api.identity.key_sets import LONGEST_S, PAUSE_S, REFRESHED_S, PublishedKeys, keys_in, over_http
from broker.errors import IssuerUnavailable
from tests.unit.api.tokens import idp

URL = "https://idp.example/realms/broker"
WHERE = f"{URL}/certs"
NAMES = {
    "ES256": jwt.algorithms.ECAlgorithm,
    "RS256": jwt.algorithms.RSAAlgorithm,
    "EdDSA": jwt.algorithms.OKPAlgorithm,
}


def jwk(key: Any, algorithm: str = "ES256", **members: Any) -> dict[str, Any]:
    return {**json.loads(NAMES[algorithm].to_jwk(key)), "kid": "k1", **members}


PUBLIC = idp("ES256").private.public_key()


@dataclass
class Publisher:
    """An issuer that can rotate and fall silent, and a clock."""

    keys: list[dict[str, Any]] = field(default_factory=lambda: [jwk(PUBLIC)])
    discovery: dict[str, Any] = field(default_factory=lambda: {"issuer": URL, "jwks_uri": WHERE})
    now: float = 1000.0
    silent: bool = False
    asked: int = 0

    async def fetch(self, url: str) -> bytes:
        await asyncio.sleep(0)
        if self.silent:
            self.asked += 1
            raise IssuerUnavailable("silent")
        if url == WHERE:
            self.asked += 1
            return json.dumps({"keys": self.keys}).encode()
        assert url == f"{URL}/.well-known/openid-configuration"
        return json.dumps(self.discovery).encode()

    def known(self) -> PublishedKeys:
        return PublishedKeys("idp", URL, "ES256", self.fetch, clock=lambda: self.now)


async def test_keys_are_fetched_once_and_kept() -> None:
    idp_ = Publisher()
    known = idp_.known()
    for _ in range(5):
        assert await known.key("k1") is not None
    assert idp_.asked == 1


async def test_a_rotation_is_followed_by_the_unknown_id_and_the_key_that_vanished_counts_no_longer() -> None:
    idp_ = Publisher()
    known = idp_.known()
    await known.key("k1")
    idp_.keys = [jwk(PUBLIC, kid="k2")]
    idp_.now += PAUSE_S
    assert await known.key("k2") is not None
    assert await known.key("k1") is None


async def test_unknown_ids_cause_one_fetch_per_pause_however_many() -> None:
    idp_ = Publisher()
    known = idp_.known()
    await known.key("k1")
    for _ in range(3):
        idp_.now += PAUSE_S
        assert set(await asyncio.gather(*(known.key(f"x{number}") for number in range(50)))) == {None}
    assert idp_.asked == 1 + 3


async def test_a_vanished_key_is_noticed_without_any_unknown_id() -> None:
    idp_ = Publisher()
    known = idp_.known()
    await known.key("k1")
    idp_.keys, idp_.now = [jwk(PUBLIC, kid="k2")], idp_.now + REFRESHED_S + 1
    assert await known.key("k1") is None


async def test_silence_is_bridged_for_a_bounded_time_then_nothing_is_accepted() -> None:
    idp_ = Publisher()
    known = idp_.known()
    await known.key("k1")
    idp_.silent = True
    idp_.now += LONGEST_S - 1
    assert await known.key("k1") is not None
    idp_.now += 2
    with pytest.raises(IssuerUnavailable):
        await known.key("k1")
    idp_.silent = False
    idp_.now += PAUSE_S
    assert await known.key("k1") is not None


async def test_an_issuer_that_never_answered_is_unavailable_and_is_not_hammered() -> None:
    idp_ = Publisher(silent=True)
    known = idp_.known()
    for _ in range(5):
        with pytest.raises(IssuerUnavailable):
            await known.key("k1")
    assert idp_.asked == 1


@pytest.mark.parametrize(
    "discovery",
    [
        {"issuer": "https://elsewhere.example", "jwks_uri": WHERE},
        {"issuer": f"{URL}/", "jwks_uri": WHERE},
        {"issuer": URL},
        {"issuer": URL, "jwks_uri": "http://idp.example/certs"},
        {"issuer": URL, "jwks_uri": "file:///etc/passwd"},
        {"issuer": URL, "jwks_uri": ["https://idp.example"]},
    ],
)
async def test_discovery_that_is_not_this_issuers_gives_no_keys(discovery: dict[str, Any]) -> None:
    with pytest.raises(IssuerUnavailable):
        await Publisher(discovery=discovery).known().key("k1")


async def test_a_refresh_that_hangs_does_not_hold_up_who_has_a_usable_key() -> None:
    idp_, gate = Publisher(), asyncio.Event()
    known = idp_.known()
    await known.key("k1")
    idp_.now += REFRESHED_S + 1
    answering = known._fetch

    async def hanging(url: str) -> bytes:
        await gate.wait()
        return await answering(url)

    known._fetch = hanging
    held_up = asyncio.create_task(known.key("k1"))
    await asyncio.sleep(0)
    assert await known.key("k1") is not None
    gate.set()
    assert await held_up is not None


def curve(kind: Any) -> dict[str, Any]:
    return jwk(ec.generate_private_key(kind).public_key())


@pytest.mark.parametrize(
    ("algorithm", "key"),
    [
        ("ES256", {**jwk(PUBLIC), "use": "enc"}),
        ("ES256", {**jwk(PUBLIC), "alg": "ES384"}),
        ("ES256", {**jwk(PUBLIC), "key_ops": ["sign"]}),
        ("ES256", {**jwk(PUBLIC), "key_ops": 1}),
        ("ES256", jwk(idp("ES256").private)),
        ("ES256", {"kid": "k1", "kty": "oct", "k": "c2VjcmV0"}),
        ("ES256", {**jwk(PUBLIC), "x": "AAAA"}),
        ("ES256", {"kid": "k1", "kty": "EC"}),
        ("ES256", jwk(idp("RS256").private.public_key(), "RS256")),
        ("ES256", curve(ec.SECP384R1())),
        ("RS256", jwk(rsa.generate_private_key(65537, 1024).public_key(), "RS256")),  # noqa: S505 - refused for that
        ("RS256", jwk(PUBLIC)),
        ("EdDSA", jwk(ed448.Ed448PrivateKey.generate().public_key(), "EdDSA")),
        ("EdDSA", jwk(PUBLIC)),
    ],
)
def test_keys_that_do_not_fit_are_left_out(algorithm: str, key: dict[str, Any]) -> None:
    assert keys_in({"keys": [key]}, algorithm) == {}


def test_keys_that_fit_are_taken_beside_those_that_do_not() -> None:
    odd: list[Any] = [None, 1, {"kid": 1}, {"kty": "EC"}, {"kid": "x", "kty": "what"}]
    assert set(keys_in({"keys": [*odd, jwk(PUBLIC, use="sig", alg="ES256", key_ops=["verify"])]}, "ES256")) == {"k1"}
    assert set(keys_in({"keys": [jwk(idp("EdDSA").private.public_key(), "EdDSA")]}, "EdDSA")) == {"k1"}
    assert set(keys_in({"keys": [jwk(idp("RS256").private.public_key(), "RS256")]}, "PS256")) == {"k1"}


def test_one_id_for_two_keys_is_the_id_of_none() -> None:
    assert keys_in({"keys": [jwk(PUBLIC), jwk(PUBLIC), jwk(PUBLIC, kid="k2")]}, "ES256").keys() == {"k2"}


@pytest.mark.parametrize(
    "reply",
    [
        httpx.Response(302, headers={"Location": "http://127.0.0.1/"}),
        httpx.Response(500),
        httpx.Response(200, content=b"x" * 300_000),
    ],
)
async def test_only_a_plain_small_answer_is_read(reply: httpx.Response) -> None:
    seen = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(str(request.url))
        return reply

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        with pytest.raises(IssuerUnavailable):
            await over_http(client)(WHERE)
    assert seen == [WHERE]
