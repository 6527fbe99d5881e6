"""Dossiers over a real Kafka: two processes on one register, and answers that wait for no fetch."""

import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from broker.control.dossier_book import DossierBook
from broker.control.dossiers import Dossiers
from broker.control.keys import LANE, FileKeyStore
from broker.control.registrations import Closing, Opening
from broker.control.tail import Tail
from broker.kafka.admin import KafkaAdmin, TopicSpec
from broker.kafka.clients import KafkaClients
from broker.model.control_state import ControlState
from broker.model.facts import Fact, FactType
from broker.model.identifiers import make_test_insz
from broker.model.keyed import lane_key
from broker.model.wall import SubjectWall

ROOT = Path(__file__).parents[3]
LANES = 4
PEOPLE = [str(make_test_insz("1985-07-30", serial)) for serial in range(1, 13)]
Open = Callable[[], Any]


@dataclass
class Control:
    state: ControlState


def state() -> ControlState:
    folded = ControlState()
    schema = (ROOT / "schemas" / "persoon.v1.avsc").read_text()
    document = {"id": "parkeren", "source": "rijksregister", "product": "persoon.v1", "agency": "gent-parkeren"}
    facts: list[tuple[FactType, str, Mapping[str, Any]]] = [
        (FactType.PRODUCT, "product/persoon.v1", {"id": "persoon.v1", "source": "rijksregister", "schema": schema}),
        (FactType.AGREEMENT_REQUESTED, "agreement/parkeren", {"document": document}),
    ]
    for offset, (kind, aggregate, data) in enumerate(facts):
        assert folded.apply(offset, Fact(f"f{offset}", kind, aggregate, 0, datetime.now(UTC), "test", data))
    return folded


@pytest.fixture
async def topic(kafka_admin: KafkaAdmin, unique: Callable[[str], str]) -> str:
    name = f"subjects.{unique('dossiers')}"
    await kafka_admin.ensure_topics([TopicSpec(name, LANES, {"cleanup.policy": "compact"})])
    return name


@pytest.fixture
async def open_dossiers(topic: str, kafka_clients: KafkaClients, tmp_path: Path) -> AsyncIterator[Open]:
    """Start one more process's use-case; all share the key store."""
    keys = FileKeyStore(tmp_path / "keys")
    keys.ensure(LANE)
    async with AsyncExitStack() as stack:

        async def opened() -> Dossiers:
            wall = SubjectWall("synthetic")
            made = Dossiers(kafka_clients, Control(state()), keys, wall, LANES, topic=topic)
            stack.push_async_callback(made.close)
            await made.start()
            return made

        yield opened


async def add(dossiers: Dossiers, person: str, reference: str) -> str:
    given = {"subject": person, "reference": reference, "capacity": "schuldeiser", "begin": None, "end": None}
    return await dossiers.add("parkeren", "gent-parkeren", **given)


async def end(dossiers: Dossiers, person: str, reference: str) -> str:
    return await dossiers.end("parkeren", "gent-parkeren", subject=person, reference=reference, end=None)


async def references(dossiers: Dossiers, *, opened: bool = False) -> list[str]:
    held = await dossiers.page("parkeren", "gent-parkeren")
    return sorted(file.reference for file in held.files if not opened or file.end is None)


async def lanes_book(clients: KafkaClients, topic: str) -> DossierBook:
    """What lanes that start now know."""
    book, consumer = DossierBook(), clients.consumer(None)
    tails = Tail(consumer, topic, range(LANES), lambda key, value, *_: book.apply(key, value))
    await tails.start()
    await tails.close()
    return book


async def test_two_processes_keep_one_register_that_lanes_read(
    open_dossiers: Open, kafka_clients: KafkaClients, topic: str, tmp_path: Path
) -> None:
    one, other = await open_dossiers(), await open_dossiers()
    for number, person in enumerate(PEOPLE):
        assert await add((one, other)[number % 2], person, f"P-{number:02}") == "registered"
    assert await add(one, PEOPLE[1], "P-01") == await add(other, PEOPLE[0], "P-00") == "already"
    assert await end(one, PEOPLE[1], "P-01") == "ended"
    assert await end(other, PEOPLE[1], "P-01") == "already"
    everyone = [f"P-{number:02}" for number in range(len(PEOPLE))]
    assert await references(one) == await references(other) == everyone
    assert await references(await open_dossiers(), opened=True) == [name for name in everyone if name != "P-01"]
    book = await lanes_book(kafka_clients, topic)
    k_lane = FileKeyStore(tmp_path / "keys").get(LANE)
    for number, person in enumerate(PEOPLE):
        (file,) = book.of(lane_key(k_lane, person.encode()))
        assert (file.reference, file.end is None) == (f"P-{number:02}", number != 1)


async def test_a_bulk_file_is_one_register_with_single_requests_and_forgotten_files_are_gone_for_lanes_too(
    open_dossiers: Open, kafka_clients: KafkaClients, topic: str
) -> None:
    one, other = await open_dossiers(), await open_dossiers()
    people = [str(make_test_insz("1985-07-30", serial)) for serial in range(1, 900)]
    long_ago = datetime.now(UTC) - timedelta(days=99)
    rows = [Opening(person, "B-1", "schuldeiser") for person in people]
    past = [Opening(person, "B-0", "schuldeiser", long_ago, long_ago + timedelta(days=1)) for person in people[:5]]
    await add(other, people[7], "B-1")
    outcomes = await one.add_many("parkeren", "gent-parkeren", [*rows, *past])
    expected = ["already" if number == 7 else "registered" for number in range(len(rows) + len(past))]
    assert [outcome.status for outcome in outcomes] == expected
    again = await other.add_many("parkeren", "gent-parkeren", [*rows, *past])
    assert {outcome.status for outcome in again} == {"already"}
    ended = await other.end_many("parkeren", "gent-parkeren", [Closing(person, "B-1") for person in people[:99]])
    assert {outcome.status for outcome in ended} == {"ended"}
    standing = await one.standing("parkeren", "gent-parkeren")
    assert (standing.total, standing.open) == (904, 800)
    assert await one.forget() == 0, "what was registered today is kept, however long ago it ended"
    one._now = lambda: datetime.now(UTC) + timedelta(days=31)
    assert await one.forget() == 104
    assert (await other.standing("parkeren", "gent-parkeren")).total == 800
    assert (await lanes_book(kafka_clients, topic)).count == 800


async def test_no_answer_waits_for_a_fetch_that_waits_for_records(open_dossiers: Open) -> None:
    dossiers = await open_dossiers()
    await add(dossiers, PEOPLE[0], "P-1")
    started = time.perf_counter()
    for _ in range(20):
        assert await references(dossiers) == ["P-1"]
    assert time.perf_counter() - started < 20 * 0.1  # a long poll would add 250 ms to each
