"""Pushes on a real Kafka: once each, whichever process is asked, however often, and whoever died meanwhile."""

import asyncio
import json
import random
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields
from typing import Any

import httpx
import pytest

from broker.api.app import create_app
from broker.api.raw_lines import LINES_AT_ONCE
from broker.api.services import Services
from broker.batches import send_rows
from broker.cli.processes import served
from broker.control.intake_keys import Piece, Pushed, request_of, slot_of
from broker.control.keys import INTAKE
from broker.control.raw_intake import RawIntake
from broker.errors import KeyReused
from broker.kafka.admin import KafkaAdmin
from broker.kafka.clients import TRANSACTION_TIMEOUT_MS, KafkaClients
from broker.model import topics, topology
from tests.reading import committed_records
from tests.unit.api.conftest import NOW, Control, Keys, bearer

pytestmark = pytest.mark.timeout(120)

CANARY = "84621512345"


@dataclass(frozen=True)
class Raw:
    """A raw source of its own, and what lies on its topic."""

    clients: KafkaClients
    admin: KafkaAdmin
    name: str
    organisation: str = "rijksregister"

    @property
    def path(self) -> str:
        return f"/v1/sources/{self.organisation}/raw/{self.name}"

    def pushed(self, key: str | None) -> Pushed:
        return Pushed(self.organisation, self.name, "bulk", key)

    @asynccontextmanager
    async def process(self) -> AsyncIterator[RawIntake]:
        """One process of the HTTP interface, as far as it writes pushes."""
        made = RawIntake(self.clients, Keys(), now_ms=lambda: time.time_ns() // 1_000_000, random=random.random)
        await made.start()
        try:
            yield made
        finally:
            await made.close()

    async def lines(self) -> list[bytes]:
        topic = topics.raw(self.organisation, self.name)
        records = await committed_records(self.clients, self.admin, topic)
        assert {(record.key, record.partition) for record in records} <= {(None, 0)}
        return [record.value for record in records]


@pytest.fixture
async def raw(kafka_clients: KafkaClients, kafka_admin: KafkaAdmin, unique: Callable[[str], str]) -> Raw:
    made = Raw(kafka_clients, kafka_admin, unique("personen"))
    (intake,) = (spec for spec in topology.installation(8) if spec.name == topics.INTAKE)
    await kafka_admin.ensure_topics([intake, topology.raw(made.organisation, made.name)])
    return made


def piece(*lines: bytes, number: int = 0, last: bool = True) -> Piece:
    return Piece(number, lines, lines, last)


def numbered(numbers: Iterable[int]) -> list[bytes]:
    return [b'{"n": %d}' % number for number in numbers]


async def test_a_request_lies_there_once_whichever_process_is_asked(raw: Raw) -> None:
    first, second = piece(b"{}", b'{"a": 1}', last=False), piece(b'{"a": 2}', number=1)
    pushed = raw.pushed(secrets.token_hex(8))
    async with raw.process() as one, raw.process() as other:
        await one.write(pushed, first)
        for process in (other, one):
            await process.write(pushed, first)
            await process.write(pushed, second)
        with pytest.raises(KeyReused):
            await one.write(pushed, piece(b"{}"))
    async with raw.process() as restarted:
        await restarted.write(pushed, second)
        with pytest.raises(KeyReused):
            await restarted.write(pushed, piece(b"{}", b'{"a": 3}', last=False))
    assert await raw.lines() == [b"{}", b'{"a": 1}', b'{"a": 2}']


async def test_without_a_key_every_request_is_another(raw: Raw) -> None:
    async with raw.process() as process:
        for _ in range(2):
            await process.write(raw.pushed(None), piece(*numbered(range(3))))
        await process.write(raw.pushed(None), piece())
    assert await raw.lines() == numbered(range(3)) * 2


async def test_processes_that_are_asked_the_same_at_one_time_write_it_once(raw: Raw) -> None:
    asked = [(raw.pushed(secrets.token_hex(8)), piece(line)) for line in numbered(range(12))]
    async with raw.process() as one, raw.process() as other:
        for few in (asked[:6], asked[6:]):
            await asyncio.gather(*(process.write(*each) for each in few for process in (one, other, one)))
    assert sorted(await raw.lines()) == sorted(numbered(range(12)))


async def test_what_a_process_left_open_when_it_died_neither_counts_nor_holds_up(raw: Raw) -> None:
    pushed = raw.pushed(secrets.token_hex(8))
    slot = slot_of(request_of(Keys().get(INTAKE), pushed, pushed.key or ""))
    dead = raw.clients.transactional_producer(topics.intake_transactional_id(slot))
    await dead.start()
    await dead.begin_transaction()
    topic = topics.raw(raw.organisation, raw.name)
    await asyncio.gather(*await send_rows(dead, topic, 0, [(None, b'{"half": 1}', [])], timestamp_ms=0))
    try:
        async with raw.process() as process:
            began = time.monotonic()
            await process.write(pushed, piece(b'{"whole": 1}'))
            assert await raw.lines() == [b'{"whole": 1}']
            assert time.monotonic() - began < TRANSACTION_TIMEOUT_MS / 1000, (
                "it waited for Kafka to give the dead one up"
            )
    finally:
        await dead.stop()


@asynccontextmanager
async def serving(raw: Raw) -> AsyncIterator[httpx.AsyncClient]:
    """The HTTP interface over the raw source."""
    control = Control()
    declared = {"organisation": raw.organisation, "name": raw.name}
    assert control.state.raw.declare(declared, NOW, control.state.organisations)
    nothing: dict[str, Any] = {each.name: None for each in fields(Services)}
    async with raw.process() as process:
        app = create_app(Services(**nothing | {"control": control, "raw_intake": process}))
        async with (
            served(app) as url,
            httpx.AsyncClient(base_url=url, headers=bearer("source"), timeout=60, trust_env=False) as http,
        ):
            yield http


def file_of(lines: Sequence[bytes]) -> dict[str, Any]:
    return {"content": b"\n".join(lines), "headers": {"Content-Type": "application/x-ndjson"}}


async def test_an_engineers_first_pushes(raw: Raw) -> None:
    key = {"Idempotency-Key": secrets.token_hex(16)}
    async with serving(raw) as http:
        one = await http.post(raw.path, json={"n": -1}, headers=key)
        again = await http.post(raw.path, json={"n": -1}, headers=key)
        other = await http.post(raw.path, json={"n": -2}, headers=key)
        assert (one.status_code, one.content) == (again.status_code, again.content)
        assert (one.status_code, other.status_code) == (202, 422)
        lines = numbered(range(2 * LINES_AT_ONCE + 10))
        lines[7], lines[LINES_AT_ONCE + 7] = CANARY.encode(), b'{"insz": "%s"' % CANARY.encode()
        sent = file_of(lines)
        sent["headers"] |= {"Idempotency-Key": secrets.token_hex(16)}
        answers = [await http.post(f"{raw.path}/bulk", **sent) for _ in range(2)]
        assert answers[0].status_code == 202
        assert answers[0].content == answers[1].content
        told = [json.loads(line) for line in answers[0].text.splitlines()]
        assert [line["line"] for line in told if line["status"] == "invalid"] == [8, LINES_AT_ONCE + 8]
        assert CANARY not in answers[0].text
        changed = await http.post(f"{raw.path}/bulk", **sent | {"content": sent["content"] + b"\n{}"})
        assert (changed.status_code, changed.json()["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")
    taken = [line for number, line in enumerate(lines) if number not in (7, LINES_AT_ONCE + 7)]
    assert await raw.lines() == [b'{"n":-1}', *taken]


@pytest.mark.parametrize("key", [{"Idempotency-Key": "sleutel"}, {}], ids=["with a key", "without"])
async def test_a_body_that_is_cut_short_is_gone_on_with(raw: Raw, key: dict[str, str]) -> None:
    lines = numbered(range(3 * LINES_AT_ONCE))
    sent = file_of(lines)
    sent["headers"] |= key

    class Gone(Exception):
        pass

    async def broken() -> AsyncIterator[bytes]:
        yield b"\n".join(lines[: 2 * LINES_AT_ONCE + 5])
        raise Gone

    async with serving(raw) as http:
        with pytest.raises(Gone):
            await http.post(f"{raw.path}/bulk", **sent | {"content": broken()})
        assert (await http.post(f"{raw.path}/bulk", **sent)).status_code == 202
    found = await raw.lines()
    # Without a key what was in hand of the first request may be written late, between the second one's.
    assert (found == lines) if key else (in_order(lines, found) and set(found) == set(lines))


def in_order(lines: list[bytes], found: list[bytes]) -> bool:
    """Whether all of `lines` are among `found` in their order, whatever is between them."""
    rest = iter(found)
    return all(line in rest for line in lines)
