"""The push API over a raw topic in memory: what is taken, what is refused and how, and that nothing of a body is told."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from broker.api.limits import LARGEST_BODY
from broker.api.raw_lines import LINES_AT_ONCE
from broker.control.intake_keys import Pushed
from broker.errors import KafkaUnavailable, KeyReused
from tests.unit.api import stand_ins
from tests.unit.api.conftest import World, bearer, opened

PATH = "/v1/sources/rijksregister/raw/personen"
BULK = f"{PATH}/bulk"
CANARY = "84621512345"
UUID = "8e03978e-40d5-43dd-bc93-6894a57f9324"


class Source:
    """The source's program, and what lies on its raw topic."""

    def __init__(self, world: World, topic: stand_ins.RawIntake) -> None:
        self.world, self.topic = world, topic

    async def push(
        self, body: Any, path: str = PATH, *, key: str | None = None, kind: str = "", who: str = "source", **more: str
    ) -> httpx.Response:
        kind = kind or ("application/json" if path == PATH else "application/x-ndjson")
        headers = bearer(who) | {"Content-Type": kind} | more | ({} if key is None else {"Idempotency-Key": key})
        return await self.world.http.post(path, content=body, headers=headers)

    @property
    def lines(self) -> list[bytes]:
        return [line for _, piece in self.topic.written for line in piece.taken]


@pytest.fixture
async def source() -> AsyncIterator[Source]:
    topic = stand_ins.RawIntake()
    async with opened(raw_intake=topic) as world:
        yield Source(world, topic)


def told(answer: httpx.Response) -> list[dict[str, Any]]:
    assert answer.status_code == 202, answer.text
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert answer.headers["cache-control"] == "no-store"
    return [json.loads(line) for line in answer.text.splitlines()]


async def test_an_object_is_taken_as_its_bytes_are(source: Source) -> None:
    body = b'{ "insz": "%s",\n "naam": "Zo\xc3\xab" }' % CANARY.encode()
    answer = await source.push(body, kind="application/json; charset=utf-8")
    assert (answer.status_code, answer.json()) == (
        202,
        {"organisation": "rijksregister", "name": "personen", "accepted": 1},
    )
    assert source.lines == [body]
    ((pushed, piece),) = source.topic.written
    assert (pushed, piece.last) == (Pushed("rijksregister", "personen", "object"), True)


async def test_every_line_of_a_file_is_answered_under_its_number(source: Source) -> None:
    answer = await source.push(f'{{"a": 1}}\r\n\n{CANARY}\n{{"a": 2}}\n{{"a": "{CANARY}"\n', BULK)
    assert told(answer) == [
        {"line": 1, "status": "accepted"},
        {"line": 3, "status": "invalid", "code": "VALUE_NOT_OBJECT", "problem": "this is JSON, but not one object"},
        {"line": 4, "status": "accepted"},
        {"line": 5, "status": "invalid", "code": "JSON_MALFORMED", "problem": "this is not JSON (RFC 8259)"},
    ]
    assert CANARY not in answer.text
    assert source.lines == [b'{"a": 1}', b'{"a": 2}']


async def test_a_file_is_written_in_pieces_in_its_order(source: Source) -> None:
    lines = [b'{"n": %d}' % number for number in range(2 * LINES_AT_ONCE + 500)]

    async def sent() -> AsyncIterator[bytes]:
        body = b"\n".join(lines)
        for start in range(0, len(body), 7_777):
            yield body[start : start + 7_777]

    assert len(told(await source.push(sent(), BULK, key=UUID))) == len(lines)
    assert source.lines == lines
    assert [(piece.number, piece.last) for _, piece in source.topic.written] == [(0, False), (1, False), (2, True)]


async def test_an_empty_file_has_no_outcomes(source: Source) -> None:
    assert told(await source.push(b"", BULK)) == []
    assert source.lines == []


@pytest.mark.parametrize("stated", [UUID, f'"{UUID}"', "x", '"een sleutel"', "k" * 255])
async def test_a_key_is_the_same_in_quotes_or_not(source: Source, stated: str) -> None:
    await source.push(b"{}", key=stated)
    ((pushed, _),) = source.topic.written
    assert pushed.key == stated.strip('"')


@pytest.mark.parametrize(
    "stated", ["", "een sleutel", '"', '""', 'a"b', "a\\b", "k" * 256, '"' + "k" * 256 + '"', "\xe9"]
)
async def test_what_is_no_key_is_refused_without_repeating_it(source: Source, stated: str) -> None:
    headers = bearer("source") | {"Content-Type": "application/json"}
    sent = [*headers.items(), ("Idempotency-Key", stated.encode("latin-1"))]
    answer = await source.world.http.post(PATH, content=b"{}", headers=sent)
    assert (answer.status_code, answer.json()["code"]) == (400, "INVALID")
    assert not stated or stated.strip('"') == "" or stated not in answer.text
    assert source.topic.written == []


async def test_two_keys_are_none(source: Source) -> None:
    headers = [*bearer("source").items(), ("Content-Type", "application/json")]
    twice = [*headers, ("Idempotency-Key", UUID), ("Idempotency-Key", UUID)]
    assert (await source.world.http.post(PATH, content=b"{}", headers=twice)).status_code == 400


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{", CANARY.encode(), b'{"insz": ' + CANARY.encode(), b'"' + CANARY.encode() + b'"', b"\xff"]
)
async def test_what_is_no_object_is_refused_without_repeating_it(source: Source, body: bytes) -> None:
    answer = await source.push(body)
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")
    assert answer.json()["code"] == "INVALID"
    assert CANARY not in answer.text
    assert source.topic.written == []


@pytest.mark.parametrize("path", [PATH, BULK])
@pytest.mark.parametrize("kind", ["text/csv", "application/xml", "text/json"])
async def test_another_content_type_is_refused_before_the_body_is_looked_at(
    source: Source, path: str, kind: str
) -> None:
    answer = await source.push(b"{}", path, kind=kind)
    assert (answer.status_code, answer.json()["code"]) == (400, "INVALID")
    assert source.topic.written == []


async def test_what_is_too_large_is_413(source: Source) -> None:
    large = b'{"a": "%s"}' % (b"x" * LARGEST_BODY)
    assert (await source.push(large)).status_code == 413
    assert (await source.push(b"{}", BULK, **{"Content-Length": str(1 << 40)})).status_code == 413
    (line,) = told(await source.push(large, BULK))
    assert (line["status"], line["code"]) == ("invalid", "DOCUMENT_TOO_LARGE")
    assert source.lines == []


@pytest.mark.parametrize("path", [PATH, BULK])
async def test_only_the_owner_pushes_and_only_to_what_is_declared(source: Source, path: str) -> None:
    for who in ("other-source", "agency", "operator"):
        assert (await source.push(b"{}", path, who=who, kind="application/x-ndjson")).status_code == 403
    elsewhere = path.replace("personen", "onbekend")
    answer = await source.push(b"{}", elsewhere, kind="application/x-ndjson")
    assert (answer.status_code, answer.json()["code"]) == (404, "NOT_FOUND")
    assert "datanuts raw declare" in answer.json()["detail"]
    assert source.topic.written == []


@pytest.mark.parametrize("path", [PATH, BULK])
async def test_trouble_is_a_problem_that_says_what_to_do(source: Source, path: str) -> None:
    source.topic.trouble = KafkaUnavailable("send it again with the same Idempotency-Key")
    answer = await source.push(b"{}", path, key=UUID)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    source.topic.trouble = KeyReused("take a new key")
    answer = await source.push(b"{}", path, key=UUID)
    assert (answer.status_code, answer.json()["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")
    assert UUID not in answer.text
