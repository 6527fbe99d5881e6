"""Records and cursor are one transaction of one owner (R9), whatever happens to the one who writes it."""

import asyncio
import json
from contextlib import suppress
from typing import Any

import pytest
from aiokafka.errors import KafkaTimeoutError

from adapters import runner as running
from adapters.memory import Memory
from adapters.sdk import Broken, Change
from broker.errors import Fenced
from broker.model import topics
from broker.model.record import header
from broker.testing import wait_until
from tests.unit.adapters.wiring import works

pytestmark = pytest.mark.timeout(60)


async def test_a_second_run_publishes_nothing(bench, given) -> None:
    adapter = await given([works(number) for number in range(50)])
    first = await bench.runner(adapter).run(once=True)
    second = await bench.runner(adapter).run(once=True)
    assert (first.published, first.duplicate) == (50, 0)
    assert (second.published, second.duplicate) == (0, 50)
    published = await bench.published(adapter)
    assert len(published) == len({record.key for record in published}) == 50
    assert len({record.partition for record in published}) == 4


async def test_a_change_a_deletion_and_a_broken_item_reach_their_topics(bench, given) -> None:
    gone = Change(works(1).source_id, "hinder.v1", None, works(1).value["identificator"])
    adapter = await given([works(1), works(1, "verlengd"), gone, Broken("blad.csv", "FIELD_MISSING", "recordedAt")])
    summary = await bench.runner(adapter).run(once=True)
    assert (summary.published, summary.quarantined) == (3, {"FIELD_MISSING": 1})
    published = await bench.published(adapter)
    assert [record.value is None for record in published] == [False, False, True]
    assert len({(record.key, record.partition) for record in published}) == 1
    assert header(published[2].headers, "ce_kind") == b"ended"
    [row] = await bench.read(topics.quarantine(adapter.sources["hinder.v1"], "hinder.v1"))
    note = json.loads(row.value)
    assert (note["adapter"], note["code"], note["path"]) == (adapter.name, "FIELD_MISSING", "recordedAt")
    assert row.key is None


class Killed(BaseException):
    """Nobody handles this."""


class Saboteur:
    """Clients whose n-th transactional commit goes wrong: it is never sent, or sent while its answer is lost."""

    def __init__(self, clients: Any, nth: int, *, sent: bool, then: BaseException | None = None) -> None:
        self._clients = clients
        self._left, self._sent, self._then = nth, sent, then or KafkaTimeoutError()

    def consumer(self) -> Any:
        return self._clients.consumer()

    def transactional_producer(self, transactional_id: str) -> Any:
        made = self._clients.transactional_producer(transactional_id)
        commit = made.commit_transaction

        async def sabotaged() -> None:
            self._left -= 1
            if self._left == 0 and not self._sent:
                raise self._then
            await commit()
            if self._left == 0:
                raise self._then

        made.commit_transaction = sabotaged
        return made


@pytest.mark.parametrize("sent", [True, False])
async def test_a_commit_whose_answer_is_lost_publishes_each_record_once(bench, given, monkeypatch, sent) -> None:
    monkeypatch.setattr(running, "MOST_ITEMS", 10)
    adapter = await given([works(number) for number in range(35)])
    troubles: list[str] = []
    runner = bench.runner(
        adapter,
        Saboteur(bench.clients, 2, sent=sent),
        trouble=lambda error, _pause: troubles.append(error.code),
        sleep=lambda _seconds: asyncio.sleep(0),
    )
    summary = await runner.run(once=True)
    assert troubles == ["DOUBT"]
    assert (summary.read, summary.published, summary.duplicate) == (35, 35, 0)
    published = await bench.published(adapter)
    assert len(published) == len({record.key for record in published}) == 35


async def test_a_runner_that_dies_in_a_transaction_leaves_neither_records_nor_cursor(bench, given, monkeypatch) -> None:
    monkeypatch.setattr(running, "MOST_ITEMS", 10)
    adapter = await given([works(number) for number in range(25)])
    died = bench.runner(adapter, Saboteur(bench.clients, 2, sent=False, then=Killed()))
    with suppress(Killed):
        await died.run(once=True)  # its transaction stays open, until its successor fences it
    journal = bench.journal(adapter)
    memory = Memory.restored(await journal.open(), "another run")
    await journal.close()
    assert (memory.cursor, len(memory.items)) == ("10", 10)
    assert len(await bench.published(adapter)) == 10
    after = await bench.runner(adapter).run(once=True)
    assert (after.read, after.published) == (15, 15)
    published = await bench.published(adapter)
    assert len(published) == len({record.key for record in published}) == 25


async def test_a_second_instance_fences_the_first(bench, given) -> None:
    adapter = await given([works(number) for number in range(5)])
    first = bench.runner(adapter, interval_s=0.05)
    running_first = asyncio.create_task(first.run(once=False))
    await wait_until(lambda: first.summary.published == 5)
    second = await bench.runner(adapter).run(once=True)
    assert second.duplicate == 5
    with pytest.raises(Fenced):
        await asyncio.wait_for(running_first, 20)
    assert len(await bench.published(adapter)) == 5


async def test_a_cancelled_runner_finishes_its_commit_and_the_next_goes_on(bench, given, monkeypatch) -> None:
    monkeypatch.setattr(running, "MOST_ITEMS", 10)
    adapter = await given([works(number) for number in range(100)])
    runner = bench.runner(adapter)
    task = asyncio.create_task(runner.run(once=True))
    await wait_until(lambda: runner.summary.read, every=0.001)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert 0 < runner.summary.read < 100
    assert len(await bench.published(adapter)) == runner.summary.published
    after = await bench.runner(adapter).run(once=True)
    assert (after.read, after.duplicate) == (100 - runner.summary.read, 0)
    assert len(await bench.published(adapter)) == 100


async def test_nothing_of_a_source_lies_beside_its_records(bench, given, caplog, capfd) -> None:
    canary = "KANARIE-84621512345"
    items = [
        works(1, canary, identificator=canary),
        Change(f"{canary}/2", "hinder.v1", None, canary),
        Change(f"{canary}/3", "hinder.v1", {canary: canary}),
        Broken(f"{canary}/4", "XML_MALFORMED"),
        Broken(f"{canary}/5", canary, canary + " "),
    ]
    items[0] = Change(canary, "hinder.v1", items[0].value)
    adapter = await given(items)
    with caplog.at_level("DEBUG"):
        summary = await bench.runner(adapter).run(once=True)
    assert summary.published == 2
    published = await bench.published(adapter)
    assert canary.encode() in (published[0].value or b"")
    organisation = adapter.sources["hinder.v1"]
    beside = [(record.key, record.headers) for record in published]
    for topic in (topics.cursors(adapter.name), topics.quarantine(organisation, "hinder.v1")):
        beside += [(record.key, record.value, record.headers) for record in await bench.read(topic)]
    assert len(beside) == 2 + 5 + 2 + 3, "records, items, the cursor and that the end was reached, complaints"
    assert "KANARIE" not in repr(beside)
    assert "84621512345" not in repr(beside)
    assert "KANARIE" not in caplog.text + "".join(capfd.readouterr())
