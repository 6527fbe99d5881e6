"""What a source sees of its quarantine over HTTP: counts for the operator, items for itself, bytes only with a reason."""

import base64
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from broker.control.quarantine import Quarantine
from broker.errors import PoisonRecord
from broker.model.control_state import ControlState
from broker.model.facts import FactType
from broker.model.quarantine_book import Outcome, Place, Retry
from broker.routing.quarantine import closed, passed_over, quarantined
from tests.unit.api.office import Office, bearer

TOPIC, QUARANTINE = "source.rijksregister.persoon.v1", "quarantine.rijksregister.persoon.v1"
PATH = "/v1/quarantine/rijksregister/persoon.v1"
WHY = {"why": "Herstel van de bron, ticket 12"}
TRACE = b"00-" + b"ab" * 16 + b"-" + b"cd" * 8 + b"-01"


@dataclass
class Past:
    """Topics in memory."""

    rows: dict[str, list[Any]] = field(default_factory=lambda: {QUARANTINE: [], TOPIC: []})

    @asynccontextmanager
    async def partition(self, topic: str, _number: int) -> AsyncIterator[Any]:
        rows = self.rows[topic]

        async def records(start: int = 0, end: int | None = None) -> AsyncIterator[Sequence[Any]]:
            yield [row for row in rows if row.offset >= start and (end is None or row.offset < end)]

        yield SimpleNamespace(first=0, end=len(rows), records=records)

    async def record_at(self, topic: str, lane: int, offset: int) -> Any | None:
        found = (row for row in self.rows[topic] if (row.partition, row.offset) == (lane, offset))
        return next(found, None)

    def source(self, lane: int, offset: int, value: bytes | None) -> Any:
        record = SimpleNamespace(
            topic=TOPIC, partition=lane, offset=offset, key=b"k", value=value, headers=[("traceparent", TRACE)]
        )
        self.rows[TOPIC].append(record)
        return record

    def note(self, row: tuple[Any, bytes, Any]) -> None:
        self.rows[QUARANTINE].append(
            SimpleNamespace(offset=len(self.rows[QUARANTINE]), value=row[1], headers=row[2], partition=0)
        )

    def set_aside(self, lane: int, offset: int, code: str, at: str, run: int = 0) -> None:
        record = self.source(lane, offset, b"bytes of %d" % offset)
        self.note(quarantined(record, PoisonRecord(code, "insz"), k_ledger=b"k" * 32, at=at, run=run))


@pytest.fixture
def past() -> Past:
    """Three records of two codes, and an item that an adapter set aside."""
    made = Past()
    made.set_aside(0, 7, "TRUNCATED", "2026-11-26T08:00:00Z")
    made.set_aside(3, 4, "WRONG_KEY", "2026-11-26T09:00:00Z")
    made.set_aside(1, 9, "TRUNCATED", "2026-11-26T10:00:00Z")
    note = {"adapter": "csv", "code": "FIELD_MISSING", "path": "x", "digest": "ab", "at": "2026-11-26T11:00:00Z"}
    made.note((None, json.dumps(note).encode(), []))
    made.note((None, b"not a note", []))
    return made


@pytest.fixture
async def office() -> Office:
    made = Office()
    await made.open()
    return made


@pytest.fixture
async def http(office: Office, past: Past) -> AsyncIterator[httpx.AsyncClient]:
    async with office.http(quarantine=Quarantine(office.log, past)) as client:
        yield client


async def listed(http: httpx.AsyncClient, who: str = "rijksregister", **query: Any) -> Mapping[str, Any]:
    answer = await http.get(PATH, params=query, headers=bearer(who))
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_the_source_sees_counts_and_items(http: httpx.AsyncClient) -> None:
    body = await listed(http)
    assert body["codes"][0] == {
        "code": "TRUNCATED",
        "count": 2,
        "first": "2026-11-26T08:00:00Z",
        "last": "2026-11-26T10:00:00Z",
    }
    assert [(item["partition"], item["offset"], item["adapter"]) for item in body["items"]] == [
        (0, 7, None), (3, 4, None), (1, 9, None), (None, None, "csv"),
    ]  # fmt: skip
    assert body["items"][0]["trace"] == "ab" * 16
    assert (body["whole"], body["next"]) == (True, None)


async def test_the_operator_sees_counts_only_and_others_nothing(http: httpx.AsyncClient) -> None:
    body = await listed(http, "operator")
    assert {each["code"] for each in body["codes"]} == {"TRUNCATED", "WRONG_KEY", "FIELD_MISSING"}
    assert (body["items"], body["next"]) == ([], None)
    for path in ("", "/0/7"):
        for who in ("kbo", "stad-gent", "statistiek-vlaanderen"):
            assert (await http.get(f"{PATH}{path}", headers=bearer(who))).status_code == 403
    assert (await http.get(f"{PATH}/0/7", headers=bearer("operator"))).status_code == 403
    opened = await http.post(f"{PATH}/0/7/open", json=WHY, headers=bearer("operator"))
    assert opened.status_code == 403


async def test_pages_and_codes(http: httpx.AsyncClient) -> None:
    first = await listed(http, limit=2)
    rest = await listed(http, limit=2, after=first["next"])
    assert [item["number"] for item in (*first["items"], *rest["items"])] == [0, 1, 2, 3]
    assert rest["next"] is None
    assert [item["offset"] for item in (await listed(http, code="WRONG_KEY"))["items"]] == [4]


async def test_opening_leaves_who_and_why_before_the_bytes(office: Office, http: httpx.AsyncClient) -> None:
    answer = await http.post(f"{PATH}/0/7/open", json=WHY, headers=bearer("rijksregister"))
    assert base64.b64decode(answer.json()["value"]) == b"bytes of 7"
    assert answer.headers["cache-control"] == "no-store"
    aggregate = "quarantine/rijksregister/persoon.v1/0/7"
    assert office.log.written == [(FactType.QUARANTINE_OPENED, aggregate, "rijksregister")]
    (opened,) = (await http.get(f"{PATH}/0/7", headers=bearer("rijksregister"))).json()["opened"]
    assert (opened["by"], opened["credential"], opened["why"]) == ("rijksregister", "c-rijksregister", WHY["why"])


async def test_a_log_that_does_not_take_the_fact_gives_no_bytes(
    http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ControlState, "apply", lambda *_: False)
    answer = await http.post(f"{PATH}/0/7/open", json=WHY, headers=bearer("rijksregister"))
    assert (answer.status_code, "value" in answer.json()) == (409, False)


@pytest.mark.parametrize("form", [{}, {"why": ""}, {"why": "kort"}, {"why": "x" * 301}, {"why": "regel\neen, twee"}])
async def test_no_reason_no_bytes(office: Office, http: httpx.AsyncClient, form: dict[str, str]) -> None:
    answer = await http.post(f"{PATH}/0/7/open", json=form, headers=bearer("rijksregister"))
    assert answer.status_code == 400
    assert office.log.written == []


async def test_only_what_is_quarantined_and_still_there_is_opened(
    office: Office, past: Past, http: httpx.AsyncClient
) -> None:
    past.source(2, 5, b"a record like any other")
    past.rows[TOPIC] = [row for row in past.rows[TOPIC] if row.offset != 7]
    for place in ("2/5", "0/7", "9/9"):
        answer = await http.post(f"{PATH}/{place}/open", json=WHY, headers=bearer("rijksregister"))
        assert answer.status_code == 404
    assert office.log.written == []


async def test_a_retry_is_asked_once_and_its_outcome_closes_the_item(
    office: Office, past: Past, http: httpx.AsyncClient
) -> None:
    async def asked() -> httpx.Response:
        return await http.post(f"{PATH}/0/7/retry", headers=bearer("rijksregister"))

    first = await asked()
    assert (first.status_code, first.json()["run"]) == (202, office.log.state.epoch)
    assert (await asked()).status_code == 409
    assert (await listed(http))["items"][0]["retrying"] is True
    past.set_aside(0, 7, "WRONG_KEY", "2026-11-26T12:00:00Z", run=first.json()["run"])
    item = (await listed(http))["items"][0]
    assert (item["code"], item["at"], item["retrying"]) == ("WRONG_KEY", "2026-11-26T08:00:00Z", False)
    second = await asked()
    place = Place("rijksregister", "persoon.v1", 0, 7)
    past.note(closed(Retry(place, second.json()["run"]), Outcome.ROUTED, at="2026-11-26T13:00:00Z"))
    item = (await listed(http))["items"][0]
    assert (item["code"], item["outcome"], item["run"]) == ("WRONG_KEY", "ROUTED", second.json()["run"])
    assert [each["count"] for each in (await listed(http, code="WRONG_KEY"))["codes"]] == [1]
    assert (await asked()).status_code == 409


def test_what_was_set_aside_and_not_routed_since_is_passed_over(past: Past) -> None:
    place = Place("rijksregister", "persoon.v1", 0, 8)
    past.set_aside(0, 8, "TRUNCATED", "2026-11-26T12:00:00Z")
    past.note(closed(Retry(place, 5), Outcome.ROUTED, at="2026-11-26T13:00:00Z"))
    past.note(closed(Retry(place._replace(offset=7), 6), Outcome.SUPERSEDED, at="2026-11-26T13:00:00Z"))
    values = [row.value for row in past.rows[QUARANTINE]]
    assert passed_over(values, 0) == {7}
    assert passed_over(values, 1) == {9}
