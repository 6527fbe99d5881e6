"""Public keys of a source over HTTP: enough to check a seal that somebody was given."""

import json
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from broker.control.source_seals import SealKeys, SealSigner
from broker.model.source_seal import SourceSeal, record_leaf
from tests.unit.api.conftest import NOW, Keys, World, bearer

PATH = "/v1/products/rijksregister/persoon.v1/seal-keys"
SEAL = SourceSeal.over(
    [record_leaf("source.rijksregister.persoon.v1", b"%032x" % 1, b"k", b"v")],
    adapter="register",
    organisation="rijksregister",
    product="persoon.v1",
    at=NOW.isoformat(),
    series="00112233aabbccdd",
    number=1,
)


async def listed(world: World, who: str) -> list[dict[str, Any]]:
    answer = await world.http.get(PATH, headers=bearer(who))
    assert answer.status_code == 200, answer.text
    return list(answer.json()["items"])


@pytest.mark.parametrize("who", ["agency", "source", "operator"])
async def test_whoever_is_given_a_seal_can_check_it_with_what_the_list_says(world: World, who: str) -> None:
    assert await listed(world, who) == []
    await SealKeys(world.control, Keys()).ensure("rijksregister", by="rijksregister")
    signed = SealSigner(world.control, Keys()).signed(SEAL)
    [key] = await listed(world, who)
    assert key == {"key": signed.key, "publicKey": key["publicKey"], "since": NOW.isoformat(), "distrusted": None}
    public = Ed25519PublicKey.from_public_bytes(bytes.fromhex(key["publicKey"]))
    public.verify(signed.signature, signed.signed_bytes())


async def test_from_when_a_key_is_distrusted_is_told_and_not_why(world: World) -> None:
    keys = SealKeys(world.control, Keys(), now=lambda: NOW)
    await keys.ensure("rijksregister", by="rijksregister")
    since = NOW - timedelta(hours=1)
    await keys.distrust("rijksregister", 1, since=since, by="operator", why="gestolen laptop")
    first, second = await listed(world, "agency")
    assert (first["key"], first["distrusted"]) == ("rijksregister/1", since.isoformat())
    assert (second["key"], second["distrusted"]) == ("rijksregister/2", None)
    assert first["publicKey"] != second["publicKey"]
    assert "laptop" not in json.dumps([first, second])


async def test_of_a_product_that_nobody_declared_there_are_none(world: World) -> None:
    answer = await world.http.get("/v1/products/rijksregister/persoon.v9/seal-keys", headers=bearer("agency"))
    assert answer.status_code == 404
