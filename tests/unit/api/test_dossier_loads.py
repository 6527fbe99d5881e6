"""A bulk file over HTTP: every line answered by its number, in order, and nothing of its subject."""

import json
from typing import Any

import httpx
import pytest

from broker.api.limits import LARGEST_BODY
from broker.control.registrations import Closing, Opening, Outcome
from broker.errors import KafkaUnavailable, NotYetKnown
from tests.unit.api.conftest import World, bearer

INSZ, STRANGER = "84621512345", "85673003333"
BULK = "/v1/agreements/parkeren/dossiers/bulk"


async def send(world: World, file: Any, path: str = BULK, kind: str = "text/csv") -> httpx.Response:
    return await world.http.post(path, content=file, headers=bearer("agency") | {"Content-Type": kind})


def outcomes(answer: httpx.Response) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in answer.text.splitlines()]


async def test_every_line_is_answered_under_its_number_in_the_file(world: World) -> None:
    world.dossiers.outcomes = {"P-2": Outcome("already", "40143"), "P-3": Outcome("invalid", "20002", "no INSZ")}
    file = f"insz;referentie\r\n{INSZ};P-1\r\n\r\n{INSZ};P-2\r\n{INSZ};P-3\r\n{INSZ};?\r\n{INSZ};P-4\r\n"
    answer = await send(world, file, kind="text/csv; charset=utf-8")
    told = outcomes(answer)
    assert told[:3] == [
        {"line": 2, "reference": "P-1", "status": "registered"},
        {"line": 4, "reference": "P-2", "status": "already", "code": "40143"},
        {"line": 5, "status": "invalid", "code": "20002", "problem": "no INSZ"},
    ]
    assert [(line["line"], line["status"]) for line in told[3:]] == [(6, "invalid"), (7, "registered")]
    assert INSZ not in answer.text
    assert answer.headers["cache-control"] == "no-store"
    ((name, asked),) = world.dossiers.calls
    assert (name, asked["agreement"], asked["agency"]) == ("add_many", "parkeren", "gent-parkeren")
    assert asked["rows"][0] == Opening(INSZ, "P-1", "dossierbehandeling")
    assert [row.reference for row in asked["rows"]] == ["P-1", "P-2", "P-3", "P-4"]


async def test_a_file_far_beyond_other_bodies_is_taken_in_parts(world: World) -> None:
    rows = [json.dumps({"subject": INSZ, "reference": f"P-{number}"}) for number in range(5_500)]
    file = "\n".join(rows).encode()
    assert len(file) > LARGEST_BODY

    async def sent() -> Any:
        for start in range(0, len(file), 7_777):
            yield file[start : start + 7_777]

    for content in (file, sent()):
        world.dossiers.calls.clear()
        told = outcomes(await send(world, content, kind="application/x-ndjson"))
        assert [(line["line"], line["reference"]) for line in told] == [(n + 1, f"P-{n}") for n in range(5_500)]
        assert max(len(asked["rows"]) for _, asked in world.dossiers.calls) == 1_000


async def test_whom_the_source_does_not_have_is_unknown_unless_the_agency_wants_them_registered(world: World) -> None:
    world.known.strangers = {STRANGER.encode()}
    file = f"insz;referentie\n{INSZ};P-1\n{STRANGER};P-2\n"
    first, second = outcomes(await send(world, file))
    assert first["status"] == "registered"
    assert (second["line"], second["reference"], second["status"], second["code"]) == (3, "P-2", "unknown", "30001")
    assert STRANGER not in str(second)
    told = outcomes(await send(world, file, f"{BULK}?unknown=register"))
    assert [line["status"] for line in told] == ["registered", "registered"]
    assert (await send(world, file, f"{BULK}?unknown=perhaps")).status_code == 400


async def test_while_it_is_not_known_whom_the_source_has_the_answer_says_when_to_ask_again(world: World) -> None:
    world.known.trouble = NotYetKnown("still reading (40% done)", after_s=12.4)
    answer = await send(world, f"insz;referentie\n{INSZ};P-1\n")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "13")
    assert answer.json()["code"] == "NOT_YET_KNOWN"
    assert outcomes(await send(world, f"insz;referentie\n{INSZ};P-1\n", f"{BULK}?unknown=register"))


async def test_files_are_ended_in_bulk(world: World) -> None:
    world.dossiers.outcomes = {"P-2": Outcome("unknown", None, "no such file")}
    file = f"insz;referentie;einde\n{INSZ};P-1;2026-01-31T00:00:00Z\n{INSZ};P-2;\n"
    told = outcomes(await send(world, file, "/v1/agreements/parkeren/dossiers/end/bulk"))
    assert [line["status"] for line in told] == ["ended", "unknown"]
    ((name, asked),) = world.dossiers.calls
    assert name == "end_many"
    assert asked["rows"][1] == Closing(INSZ, "P-2")


async def test_a_subject_in_the_column_of_the_reference_is_not_repeated(world: World) -> None:
    world.dossiers.outcomes = {INSZ: Outcome("invalid", "20002", "no INSZ")}
    assert INSZ not in (await send(world, f"insz;referentie\nP-1;{INSZ}\n")).text


@pytest.mark.parametrize("kind", ["", "application/json", "application/vnd.ms-excel", "text/csvx"])
async def test_what_is_no_such_file_is_refused_before_it_is_read(world: World, kind: str) -> None:
    answer = await send(world, f"insz;referentie\n{INSZ};P-1\n", kind=kind)
    assert (answer.status_code, answer.json()["code"]) == (400, "INVALID")
    assert world.dossiers.calls == []


async def test_a_file_without_its_heading_is_a_problem_that_says_what_it_should_be(world: World) -> None:
    answer = await send(world, f"{INSZ};P-1\n")
    assert answer.status_code == 400
    assert "insz, kbo, betrokkene, referentie, hoedanigheid, begin, einde" in answer.json()["detail"]
    assert INSZ not in answer.text


async def test_a_file_that_states_to_be_too_large_is_not_read(world: World) -> None:
    headers = bearer("agency") | {"Content-Type": "text/csv", "Content-Length": str(1 << 40)}
    answer = await world.http.post(BULK, content=b"insz", headers=headers)
    assert answer.status_code == 413


async def test_trouble_halfway_is_a_problem_and_no_half_answer(world: World) -> None:
    world.dossiers.trouble = KafkaUnavailable("the registration was not confirmed")
    answer = await send(world, f"insz;referentie\n{INSZ};P-1\n")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")


async def test_an_empty_file_has_no_outcomes(world: World) -> None:
    assert outcomes(await send(world, b"")) == outcomes(await send(world, b"insz;referentie\n")) == []


async def test_a_list_goes_on_at_its_cursor(world: World) -> None:
    first = (await world.http.get("/v1/agreements/parkeren/dossiers?limit=2", headers=bearer("agency"))).json()
    assert [item["reference"] for item in first["items"]] == ["P-1", "P-2"]
    asked = f"/v1/agreements/parkeren/dossiers?after={first['next']}"
    last = (await world.http.get(asked, headers=bearer("agency"))).json()
    assert ([item["reference"] for item in last["items"]], last["next"]) == (["P-3"], None)
    assert [given["limit"] for _, given in world.dossiers.calls] == [2, 500]


async def test_files_are_counted(world: World) -> None:
    counted = await world.http.get("/v1/agreements/parkeren/dossiers/count", headers=bearer("agency"))
    assert counted.json() == {"total": 3, "open": 2}
