"""One organisation's haste is its own: it is told to wait, the others are answered."""

from dataclasses import fields
from typing import Any

import httpx

from broker.api.app import create_app
from broker.api.limits import Paces
from broker.api.services import Services
from tests.unit.api.office import ROLES, Office, bearer


def test_who_asks_faster_than_its_pace_waits_and_nobody_else_does() -> None:
    now = [100.0]
    paces = Paces(2, clock=lambda: now[0])
    assert [paces.take("stad-gent") for _ in range(7)] == [True] * 6 + [False]
    assert paces.take("stad-leuven")
    now[0] += 1
    assert [paces.take("stad-gent") for _ in range(3)] == [True, True, False]


def test_without_a_rate_there_is_no_bound() -> None:
    paces = Paces()
    assert all(paces.take("stad-gent") for _ in range(10_000))


async def test_the_refusal_says_when_to_come_back() -> None:
    office = Office()
    await office.open(ROLES)
    services: dict[str, Any] = dict.fromkeys(each.name for each in fields(Services)) | {"control": office.log}
    transport = httpx.ASGITransport(create_app(Services(**services), requests_per_second=1))
    async with httpx.AsyncClient(transport=transport, base_url="http://broker.test") as http:
        hasty = [await http.get("/v1/organisations", headers=bearer("stad-gent")) for _ in range(8)]
        assert {answer.status_code for answer in hasty[:3]} == {200}
        assert hasty[-1].status_code == 429
        assert hasty[-1].json()["code"] == "TOO_MANY_REQUESTS"
        assert int(hasty[-1].headers["retry-after"]) >= 1
        assert (await http.get("/v1/organisations", headers=bearer("kbo"))).status_code == 200
