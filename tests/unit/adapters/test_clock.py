"""What a source recorded in the future is set aside, and how far its clock is off is told where its answers say so."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from adapters.clock import HEARD, Clock, Skew
from adapters.web import get
from broker.errors import PoisonRecord
from tests.unit.adapters.wiring import NOW, Given, MemoryJournal, runner, works

AHEAD = {"CLOCK_AHEAD": 1}


def recorded(number: int, at: datetime) -> Any:
    return works(number, recordedAt=at.strftime("%Y-%m-%dT%H:%M:%SZ"))


async def run(items: list[Any], journal: MemoryJournal, **more: Any) -> tuple[int, dict[str, int]]:
    summary = await runner(Given(items), journal, **more).run(once=True)
    return summary.published, dict(summary.quarantined)


async def test_what_was_recorded_later_than_now_is_quarantined_with_its_path() -> None:
    journal = MemoryJournal()
    items = [recorded(1, NOW + timedelta(seconds=299)), recorded(2, NOW + timedelta(seconds=302)), recorded(3, NOW)]
    assert await run(items, journal) == (2, AHEAD)
    [(_, _, (_, note, _))] = journal.rows("quarantine.")
    assert b'"code":"CLOCK_AHEAD","path":"recordedAt"' in note


async def test_the_tolerance_is_a_setting() -> None:
    assert await run([recorded(1, NOW + timedelta(hours=1))], MemoryJournal(), clock_tolerance_s=7200) == (1, {})
    assert await run([recorded(1, NOW + timedelta(seconds=2))], MemoryJournal(), clock_tolerance_s=0) == (0, AHEAD)


async def test_it_is_published_once_its_time_has_come() -> None:
    journal, item = MemoryJournal(), recorded(1, NOW + timedelta(days=1))
    assert await run([item], journal) == (0, AHEAD)
    assert await run([item], journal, now=lambda: NOW + timedelta(days=1)) == (1, {})


async def test_only_the_time_of_recording_is_held_against_the_clock() -> None:
    assert await run([works(1, validFrom="2999-01-01")], MemoryJournal()) == (1, {})


FORMS = [
    ("2026-07-01T12:00:00Z", True),
    ("2026-07-01T12:10:00Z", False),
    ("2026-07-01T14:00:00+02:00", True),
    ("2026-07-01T13:10:00+01:00", False),
    ("2026-07-01T12:00:00.5Z", True),
    ("2026-07-01T12:00:00", True),
    ("2999-01-01", False),
    ("20990101T000000Z", False),
    ("gisteren", True),
    ("", True),
]


@pytest.mark.parametrize("before", ["2026-07-01T12:04:00Z", "2020-01-01T00:00:00Z"])
@pytest.mark.parametrize(("stated", "admitted"), FORMS)
def test_whatever_its_form_an_instant_is_compared_as_one(stated: str, before: str, *, admitted: bool) -> None:
    clock = Clock(lambda: datetime(2026, 7, 1, 12, tzinfo=UTC))
    clock.admit(before)
    if admitted:
        clock.admit(stated)
        return
    with pytest.raises(PoisonRecord, match="CLOCK_AHEAD"):
        clock.admit(stated)


@pytest.mark.parametrize(
    ("headers", "skew"),
    [
        ({"date": "Wed, 01 Jul 2026 12:00:42 GMT"}, 42),
        ({"date": "Wed, 01 Jul 2026 11:00:00 GMT"}, -3600),
        ({"date": "Wed, 01 Jul 2026 11:00:00 GMT", "age": "3600"}, None),
        ({"date": "gisteren"}, None),
        ({}, None),
    ],
)
def test_a_skew_is_heard_in_the_date_of_an_answer(headers: dict[str, str], skew: int | None) -> None:
    heard = Skew()
    heard.hear(headers, datetime(2026, 7, 1, 12, tzinfo=UTC))
    assert heard.seconds == skew


async def test_a_run_tells_the_skew_of_a_source_over_http() -> None:
    ahead = (datetime.now(UTC) + timedelta(seconds=90)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    transport = httpx.MockTransport(lambda _request: httpx.Response(200, headers={"date": ahead}))

    class Polled(Given):
        async def changes(self, cursor: str | None) -> Any:
            async with httpx.AsyncClient(transport=transport) as client:
                await get(client, "https://gipod.example/")
            async for pair in super().changes(cursor):
                yield pair

    polled = runner(Polled([works(1)]), MemoryJournal())
    await polled.run(once=True)
    assert polled.skew_s is not None
    assert 85 <= polled.skew_s <= 91
    assert HEARD.get() is None, "nothing of one run is heard by another"
    quiet = runner(Given([works(1)]), MemoryJournal())
    await quiet.run(once=True)
    assert quiet.skew_s is None
