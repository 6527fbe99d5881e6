"""An agency pulls its stream: in order, resumable at every item, and nothing after a revocation."""

import base64
import json
from io import BytesIO
from typing import Any

import fastavro
import pytest

from broker.model.agreement import State
from broker.model.facts import FactType
from tests.unit.api.conftest import World, bearer


async def pull(world: World, query: str = "", who: str = "agency", expect: int = 200) -> dict[str, Any]:
    answer = await world.http.get(f"/v1/deliveries/parkeren{query}", headers=bearer(who))
    assert answer.status_code == expect, answer.text
    return answer.json()


async def test_an_item_holds_the_decoded_value_and_its_envelope(world: World) -> None:
    world.deliver("Peeters")
    (item,) = (await pull(world))["items"]
    assert item["data"] == {"achternaam": "Peeters"}
    assert (item["kind"], item["time"], item["agreementVersion"]) == ("changed", "2026-11-24T12:00:00Z", 1)
    assert item["type"] == "be.vlaanderen.datanuts.persoon.v1"
    assert len(item["id"]) == len(item["key"]) == 32


async def test_pages_follow_each_other_without_gap_or_overlap(world: World) -> None:
    world.deliver(*"abcdefg")
    seen, query = [], "?limit=3"
    while page := (answer := await pull(world, query))["items"]:
        seen += [item["data"]["achternaam"] for item in page]
        query = f"?limit=3&after={answer['next']}"
    assert seen == list("abcdefg")


async def test_reading_resumes_after_any_single_item(world: World) -> None:
    world.deliver(*"abc")
    items = (await pull(world))["items"]
    for index, item in enumerate(items):
        rest = (await pull(world, f"?after={item['cursor']}"))["items"]
        assert [later["id"] for later in rest] == [later["id"] for later in items[index + 1 :]]


async def test_the_cursor_advances_over_offsets_that_hold_no_record(world: World) -> None:
    world.deliver("a")
    after = (await pull(world))["next"]
    world.deliveries.first = 2  # retention removed the record and its transaction marker
    assert (await pull(world, f"?after={after}"))["items"] == []


async def test_a_cursor_below_the_retained_log_is_gone(world: World) -> None:
    world.deliver(*"abc")
    after = (await pull(world, "?limit=1"))["next"]
    world.deliveries.first = 4
    refused = await pull(world, f"?after={after}", expect=410)
    assert refused["code"] == "POSITION_EXPIRED"


def encoded(*parts: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "after",
    [
        "", "x", "0", "?", "é", "AAAA", encoded(1, "jeugd", 0), encoded(2, "parkeren", 0), encoded(1, "parkeren", -1),
        encoded(1, "parkeren", None), encoded(1, "parkeren", "0"), encoded(1, "parkeren", 1 << 70), encoded(1, 2),
        base64.urlsafe_b64encode(b"[" * 120).decode(), encoded(1, "parkeren", 1.5),
    ],
)  # fmt: skip
async def test_any_other_text_is_no_cursor(world: World, after: str) -> None:
    answer = await world.http.get("/v1/deliveries/parkeren", params={"after": after}, headers=bearer("agency"))
    assert (answer.status_code, answer.json()["code"]) == (400, "INVALID")
    assert world.deliveries.reads == []


@pytest.mark.parametrize("query", ["?limit=0", "?limit=1001", "?wait=31", "?wait=-1", "?wait=nan", "?limit=x"])
async def test_bounds_of_a_page_and_of_a_wait(world: World, query: str) -> None:
    await pull(world, query, expect=400)


async def test_an_agreement_that_is_not_active_yet_has_no_stream(world: World) -> None:
    answer = await world.http.get("/v1/deliveries/wachtend", headers=bearer("agency"))
    assert (answer.status_code, answer.json()["code"]) == (409, "CONFLICT")


async def test_a_departure_has_a_reason_and_no_data(world: World) -> None:
    world.deliver("a")
    message = world.deliveries.messages.pop()
    kept = tuple(header for header in message.headers if header[0] != "ce_kind")
    headers = (*kept, ("ce_kind", b"left-population"), ("ce_reason", b"RECORD_CHANGED"))
    world.deliveries.messages.append(type(message)(0, message.key, None, headers))
    (item,) = (await pull(world))["items"]
    assert (item["kind"], item["reason"], item["data"]) == ("left-population", "RECORD_CHANGED", None)


async def test_a_revoked_stream_shows_its_barriers_and_nothing_else(world: World) -> None:
    world.deliver("a", "b")
    world.barrier()
    world.move("parkeren", FactType.AGREEMENT_REVOKED)
    (item,) = (await pull(world))["items"]
    assert (item["kind"], item["reason"], item["epoch"]) == ("life-cycle", "REVOKED", 40)
    assert "data" not in item


async def test_a_revocation_while_a_reader_waits_shows_it_nothing_more(world: World) -> None:
    world.deliver("a")
    world.deliveries.meanwhile = lambda: world.move("parkeren", FactType.AGREEMENT_REVOKED)
    assert (await pull(world, "?wait=5"))["items"] == []


async def test_a_reader_of_a_revoked_and_emptied_stream_is_told_why_it_stopped(world: World) -> None:
    world.deliver("a", "b")
    after = (await pull(world, "?limit=1"))["next"]
    world.barrier()
    world.move("parkeren", FactType.AGREEMENT_REVOKED)
    world.deliveries.first = 4
    assert [item["kind"] for item in (await pull(world, f"?after={after}"))["items"]] == ["life-cycle"]


async def test_nothing_is_released_by_a_process_that_lost_the_control_log(world: World) -> None:
    world.deliver("a")
    world.control.is_fresh = False
    assert (await pull(world, expect=503))["code"] == "POLICY_STALE"


async def test_a_record_whose_schema_has_not_arrived_waits(world: World) -> None:
    world.deliver("a")
    message = world.deliveries.messages.pop()
    world.deliveries.messages.append(type(message)(0, message.key, b"\0\0\0\1\0" + b"\2a", message.headers))
    assert (await pull(world, expect=503))["code"] == "NOT_YET_KNOWN"


async def test_answers_are_never_cached(world: World) -> None:
    answer = await world.http.get("/v1/deliveries/parkeren", headers=bearer("agency"))
    assert answer.headers["cache-control"] == "no-store"


async def test_the_same_page_in_the_form_that_is_asked_for(world: World) -> None:
    world.deliver(*"abc")
    own = bearer("agency")
    as_json = await world.http.get("/v1/deliveries/parkeren?limit=2", headers=own)
    lines = await world.http.get(
        "/v1/deliveries/parkeren?limit=2", headers=own | {"Accept": "application/json;q=0.1, application/x-ndjson"}
    )
    file = await world.http.get("/v1/deliveries/parkeren?limit=2", headers=own | {"Accept": "avro/binary"})
    items = as_json.json()["items"]
    assert [json.loads(line) for line in lines.text.splitlines()] == items
    rows = list(fastavro.reader(BytesIO(file.content)))
    assert [row["data"] for row in rows] == [item["data"] for item in items]
    assert [answer.headers["content-type"] for answer in (as_json, lines, file)] == [
        "application/json", "application/x-ndjson", "avro/binary",
    ]  # fmt: skip
    for answer in (as_json, lines, file):
        assert answer.headers["vary"] == "Accept"
        following = await world.http.get(answer.links["next"]["url"], headers=own)
        assert [item["data"]["achternaam"] for item in following.json()["items"]] == ["c"]


async def test_another_form_is_refused_with_those_there_are(world: World) -> None:
    answer = await world.http.get("/v1/deliveries/parkeren", headers=bearer("agency") | {"Accept": "text/csv"})
    assert (answer.status_code, answer.json()["code"]) == (406, "NOT_ACCEPTABLE")
    assert "application/x-ndjson" in answer.json()["detail"]
    assert answer.headers["content-type"] == "application/problem+json"
    assert world.deliveries.reads == []


@pytest.mark.parametrize("exit_", ["", "/events", "/file"])
async def test_what_another_process_revoked_is_not_shown(world: World, exit_: str) -> None:
    world.deliver("a")
    world.barrier()
    read_to_head = world.control.read_to_head

    async def to_head() -> int:
        if world.entry("parkeren").state is not State.REVOKED:
            world.move("parkeren", FactType.AGREEMENT_REVOKED)
        return await read_to_head()

    world.control.read_to_head = to_head  # type: ignore[method-assign]
    answer = await world.http.get(f"/v1/deliveries/parkeren{exit_}", headers=bearer("agency"))
    assert answer.status_code == 200
    assert "REVOKED" in answer.text
    assert "achternaam" not in answer.text
