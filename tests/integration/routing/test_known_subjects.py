"""Registering over HTTP: whom the source has a record of is known to the last record, and nobody else is registered."""

import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import httpx
import pytest

from broker.api.app import create_app
from broker.errors import NotYetKnown
from broker.routing.known_subjects import KnownSubjects
from broker.testing import wait_until
from tests.integration.routing.conftest import LANES, World

PARKING = "parkeerboetes-gent"


@pytest.fixture
async def parking(world: World) -> str:
    """A parking company's agreement on dossiers."""
    return await world.agree(PARKING)


@pytest.fixture
async def http(world: World, parking: str) -> AsyncIterator[httpx.AsyncClient]:
    """The HTTP interface with the agency's credential, below its agreement."""
    credential = await world.installation.credential(world.agency(parking), ("agency",))
    transport = httpx.ASGITransport(create_app(world.services))
    base = f"http://broker.test/v1/agreements/{parking}"
    headers = {"Authorization": f"Bearer {credential.token}"}
    async with httpx.AsyncClient(transport=transport, base_url=base, headers=headers, timeout=60) as client:
        yield client


async def load(http: httpx.AsyncClient, rows: Sequence[tuple[str, str]], query: str = "") -> list[dict[str, Any]]:
    """Outcomes of a bulk file of (INSZ, reference)."""
    file = "insz;referentie\n" + "".join(f"{insz};{reference}\n" for insz, reference in rows)
    answer = await http.post(f"/dossiers/bulk{query}", content=file, headers={"Content-Type": "text/csv"})
    assert answer.status_code == 200, answer.text
    assert not any(insz in answer.text for insz, _ in rows)
    return [json.loads(line) for line in answer.text.splitlines()]


async def test_a_file_is_answered_by_whom_the_source_has_now(world: World, http: httpx.AsyncClient) -> None:
    here, later = world.people(), world.people()
    await world.publish(*here)
    rows = [(here[0]["insz"], "P-1"), (here[0]["insz"], "P-1"), (later[0]["insz"], "P-2"), ("12345678901", "P-3")]

    async def outcomes(query: str = "") -> list[tuple[str, str | None]]:
        return [(line["status"], line.get("code")) for line in await load(http, rows, query)]

    again, invalid = ("already", "40143"), ("invalid", "20002")
    assert await outcomes() == [("registered", None), again, ("unknown", "30001"), invalid]
    single = {"subject": later[0]["insz"], "reference": "P-2"}
    answer = await http.post("/dossiers", json=single)
    assert (answer.status_code, answer.json()["code"]) == (404, "UNKNOWN_SUBJECT")
    assert (await http.get("/dossiers/count")).json() == {"total": 1, "open": 1}

    await world.publish(*later)
    assert await outcomes() == [again, again, ("registered", None), invalid]
    assert (await http.post("/dossiers", json=single)).json()["status"] == "already"

    await world.delete(*here)
    assert await outcomes() == [("unknown", "30001")] * 2 + [again, invalid]
    assert (await http.get("/dossiers/count")).json() == {"total": 2, "open": 2}, "a file that is there stays"
    assert await outcomes("?unknown=register") == [again, again, again, invalid]


async def test_an_agency_that_comes_before_the_source_says_so_and_is_told_when_the_record_comes(
    world: World, http: httpx.AsyncClient, parking: str
) -> None:
    (person,) = world.people()
    form = {"subject": person["insz"], "reference": "P-1"}
    assert (await http.post("/dossiers", json=form)).status_code == 404
    assert (await http.post("/dossiers?unknown=register", json=form)).json()["status"] == "registered"
    router = await world.router()
    await router.route(world.topic, await world.publish(person))
    assert await world.kinds(parking) == ["initial"]


async def test_a_long_topic_is_read_to_its_end_once_and_on_from_there_by_the_next_process(
    world: World, tmp_path: Any
) -> None:
    persons = world.people(400)
    await world.publish(*persons, *persons[:100])
    await world.delete(*persons[300:])
    keys = [world.key(person) for person in persons]

    def process(patience_s: float) -> KnownSubjects:
        return KnownSubjects(world.site.clients.consumer, LANES, tmp_path / "known", patience_s=patience_s)

    hasty = process(0)
    with pytest.raises(NotYetKnown, match="ask again"):
        await hasty.among(world.topic, keys)

    async def found() -> frozenset[bytes]:
        try:
            return await hasty.among(world.topic, keys)
        except NotYetKnown:
            hasty._patience_s = 0.2
            return frozenset()

    assert await wait_until(found, timeout=30) == set(keys[:300])
    await hasty.close()
    (stranger,) = world.people()
    await world.publish(stranger)
    await world.delete(persons[0])
    patient = process(30)
    assert await patient.among(world.topic, [*keys, world.key(stranger)]) == {*keys[1:300], world.key(stranger)}
    await patient.close()
