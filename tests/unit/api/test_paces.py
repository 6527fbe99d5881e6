"""One organisation's haste is its own: it is told to wait, the others are answered."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import fields
from typing import Any

import httpx

from broker.api.app import create_app
from broker.api.limits import Paces
from broker.api.services import Services
from broker.testing import wait_until
from tests.unit.api.office import ROLES, Office, bearer

_PATH = "/v1/organisations"


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
    async with _served(late_s=0) as http:
        hasty = [await http.get(_PATH, headers=bearer("stad-gent")) for _ in range(8)]
        assert {answer.status_code for answer in hasty[:3]} == {200}
        assert hasty[-1].status_code == 429
        assert hasty[-1].json()["code"] == "TOO_MANY_REQUESTS"
        assert int(hasty[-1].headers["retry-after"]) >= 1
        assert (await http.get(_PATH, headers=bearer("kbo"))).status_code == 200


async def test_a_refusal_comes_late_so_that_asking_without_a_pause_costs_the_others_little() -> None:
    async with _served(late_s=3600) as http:
        hasty = [asyncio.create_task(http.get(_PATH, headers=bearer("stad-gent"))) for _ in range(20)]
        await wait_until(lambda: sum(task.done() for task in hasty) >= 3)
        for _ in range(3):
            assert (await http.get(_PATH, headers=bearer("kbo"))).status_code == 200
        assert {task.result().status_code for task in hasty if task.done()} == {200}
        assert sum(task.done() for task in hasty) < 10
        for task in hasty:
            task.cancel()
        await asyncio.gather(*hasty, return_exceptions=True)


@asynccontextmanager
async def _served(*, late_s: float) -> AsyncIterator[httpx.AsyncClient]:
    """One request a second for every organisation."""
    office = Office()
    await office.open(ROLES)
    services: dict[str, Any] = dict.fromkeys(each.name for each in fields(Services)) | {"control": office.log}
    app = create_app(Services(**services), requests_per_second=1)
    app.state.paces.late_s = late_s
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://broker.test") as http:
        yield http
