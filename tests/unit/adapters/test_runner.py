"""What a runner publishes, counts and remembers; over Kafka the same is held by tests/integration/adapters."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from itertools import pairwise
from typing import Any, Never

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters import runner as running
from adapters.memory import Memory
from adapters.sdk import Broken, Change, Ignored
from broker.errors import Fatal, Fenced, Invalid, KafkaUnavailable, Retriable
from broker.model.intake import Offered
from broker.model.record import header, trace_id_of
from broker.schema.guard import compile_walk
from broker.schema.reference import decode
from tests.unit.adapters.wiring import (
    K_CONTENT,
    K_LANE,
    LANES,
    NOW,
    QUARANTINE,
    SCHEMA_IDS,
    SOURCE,
    STATE,
    Given,
    MemoryJournal,
    runner,
    schema,
    source_of,
    works,
)


@pytest.fixture
def journal() -> MemoryJournal:
    return MemoryJournal()


Counted = tuple[int, int, int, dict, dict]


def counted(summary) -> Counted:
    shown = summary.as_json()
    return tuple(shown[name] for name in ("read", "published", "duplicate", "ignored", "quarantined"))


async def run(adapter, journal: MemoryJournal, **more: Any) -> Counted:
    return counted(await runner(adapter, journal, **more).run(once=True))


async def test_a_change_is_published_as_the_routers_door_wants_it(journal: MemoryJournal) -> None:
    assert await run(Given([works(1)]), journal) == (1, 1, 0, {}, {})
    [(topic, lane, (key, value, headers))] = journal.rows("source.")
    assert (topic, (key, lane)) == (SOURCE, source_of(1))
    assert value[:5] == b"\x00" + SCHEMA_IDS["hinder.v1"].to_bytes(4, "big")
    compile_walk(schema("hinder.v1")).walk(value)
    assert decode(schema("hinder.v1").text, value[5:])["omschrijving"] == "werken"
    shown = {name: stated.decode() for name, stated in headers}
    assert len(shown.pop("ce_id")) == 32
    assert trace_id_of(header(headers, "traceparent")) is not None
    del shown["traceparent"]
    assert shown == {
        "ce_specversion": "1.0",
        "ce_source": "/organisations/gipod",
        "ce_type": "be.vlaanderen.datanuts.hinder.v1",
        "ce_time": "2026-07-01T12:00:00Z",
        "ce_kind": "changed",
        "content-type": "application/avro",
    }


async def test_every_record_has_a_trace_and_an_event_of_its_own(journal: MemoryJournal) -> None:
    await run(Given([works(number) for number in range(20)]), journal)
    for name in ("traceparent", "ce_id"):
        assert len({header(row[2], name) for _, _, row in journal.rows("source.")}) == 20


async def test_the_event_id_is_the_same_for_the_same_statement_only() -> None:
    found = []
    for description in ("a", "a", "b"):
        journal = MemoryJournal()
        await run(Given([works(1, description)]), journal)
        found.append(header(journal.rows("source.")[0][2][2], "ce_id"))
    assert found[0] == found[1] != found[2]


async def test_what_did_not_change_is_a_duplicate_in_this_run_and_the_next(journal: MemoryJournal) -> None:
    adapter = Given([works(1), works(2), works(1)])
    assert await run(adapter, journal) == (3, 2, 1, {}, {})
    assert await run(adapter, journal) == (3, 0, 3, {}, {})
    adapter.items = [works(1, "verlengd"), works(2)]
    assert await run(adapter, journal) == (2, 1, 1, {}, {})
    assert len(journal.rows("source.")) == 3


async def test_a_snapshot_that_was_only_taken_again_says_nothing_new(journal: MemoryJournal) -> None:
    later = {"recordedAt": "2026-02-02T00:00:00Z"}
    assert await run(Given([works(1, kind="snapshot")]), journal) == (1, 1, 0, {}, {})
    assert await run(Given([works(1, kind="snapshot", **later)]), journal) == (1, 0, 1, {}, {})
    assert await run(Given([works(1, kind="changed", **later)]), journal) == (1, 1, 0, {}, {})
    assert await run(Given([works(1, kind="changed")]), journal) == (1, 1, 0, {}, {}), "another instant of a change"


async def test_a_deletion_is_a_null_value_under_the_subjects_key(journal: MemoryJournal) -> None:
    gone = Change(works(1).source_id, "hinder.v1", None, works(1).value["identificator"])
    assert await run(Given([works(1), gone, gone, works(1)]), journal) == (4, 3, 1, {}, {})
    rows = journal.rows("source.")
    assert {(key, lane) for _, lane, (key, _, _) in rows} == {source_of(1)}
    assert [value is None for _, _, (_, value, _) in rows] == [False, True, False]
    assert header(rows[1][2][2], "ce_kind") == b"ended"


async def test_the_order_of_one_subject_is_kept(journal: MemoryJournal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "MOST_ITEMS", 7)
    items = [works(number % 5, str(number)) for number in range(100)]
    await run(Given(items), journal)
    assert len(journal.outputs) > 10
    by_key: dict = {}
    for _, _, (key, value, _) in journal.rows("source."):
        by_key.setdefault(key, []).append(int(decode(schema("hinder.v1").text, value[5:])["omschrijving"]))
    assert len(by_key) == 5
    assert all(a < b for told in by_key.values() for a, b in pairwise(told))


MISFITS = [
    (works(1, zones="zone"), "SCHEMA_MISMATCH", "zones"),
    (works(1, perioden=[{"begin": 1, "einde": None}]), "SCHEMA_MISMATCH", "perioden.begin"),
    (works(1, geheim="x"), "SCHEMA_MISMATCH", ""),
    (works(1, identificator=""), "SUBJECT_MISSING", "identificator"),
    (works(1, omschrijving="x" * (1 << 20)), "TOO_LARGE", ""),
    (Change("1", "hinder.v1", None), "SUBJECT_MISSING", "identificator"),
    (Change("1", "hinder.v1", None, "\ud800"), "SUBJECT_INVALID", "identificator"),
    (Broken("1", "XML_MALFORMED"), "XML_MALFORMED", ""),
    (Broken("1", "DATE_INVALID", "perioden.begin"), "DATE_INVALID", "perioden.begin"),
    (Broken("1", "Jan Janssens is geen datum", "a b"), "REASON_NOT_STABLE", ""),
]


@pytest.mark.parametrize(("item", "reason", "path"), MISFITS)
async def test_what_cannot_be_published_is_quarantined_with_its_place(journal, item, reason, path) -> None:
    assert await run(Given([item, works(2)]), journal) == (2, 1, 0, {}, {reason: 1})
    [(topic, _, (key, value, headers))] = journal.rows("quarantine.")
    note = json.loads(value)
    assert (topic, key, headers) == (QUARANTINE, None, [("content-type", b"application/json")])
    assert len(note.pop("digest")) == 32
    assert note == {"adapter": "given", "code": reason, "path": path, "at": "2026-07-01T12:00:00Z"}


async def test_a_complaint_is_written_once_and_counted_every_time(journal: MemoryJournal) -> None:
    adapter = Given([Broken("1", "XML_MALFORMED"), Broken("1", "XML_MALFORMED")])
    for _ in range(2):
        assert await run(adapter, journal) == (2, 0, 0, {}, {"XML_MALFORMED": 2})
    assert len(journal.rows("quarantine.")) == 1
    await run(Given([Broken("1", "DATE_INVALID", "a")]), journal)
    assert len(journal.rows("quarantine.")) == 2


async def test_what_was_published_is_remembered_through_a_complaint(journal: MemoryJournal) -> None:
    item = works(1)
    await run(Given([item]), journal)
    await run(Given([Broken(item.source_id, "XML_MALFORMED")]), journal)
    assert await run(Given([item]), journal) == (1, 0, 1, {}, {})
    await run(Given([Broken(item.source_id, "XML_MALFORMED")]), journal)
    assert len(journal.rows("quarantine.")) == 1


async def test_a_broken_item_goes_to_the_owner_of_its_product(journal: MemoryJournal) -> None:
    sources = {"persoon.v1": "rijksregister", "organisatie.v1": "kbo"}
    items = [Broken("1", "KBO_INVALID", "kbonummer", "organisatie.v1"), Broken("2", "XML_MALFORMED")]
    await run(Given(items, sources=sources), journal)
    assert sorted(topic for topic, _, _ in journal.rows("quarantine.")) == [
        "quarantine.kbo.organisatie.v1",
        "quarantine.rijksregister.persoon.v1",
    ]


async def test_ignored_items_are_counted_and_leave_nothing(journal: MemoryJournal) -> None:
    items = [Ignored("1", "NO_PERSON"), Ignored("2", "NO_PERSON"), Ignored("3", "geen persoon")]
    assert await run(Given(items), journal) == (3, 0, 0, {"NO_PERSON": 2, "REASON_NOT_STABLE": 1}, {})
    assert journal.outputs[0].keys() == {STATE}


async def test_every_transaction_holds_the_cursor_after_its_records(journal, monkeypatch) -> None:
    monkeypatch.setattr(running, "MOST_ITEMS", 3)
    await run(Given([works(number) for number in range(8)]), journal)
    cursors = [json.loads({key: value for key, value, _ in outputs[STATE]}[b"cursor"]) for outputs in journal.outputs]
    assert [noted["cursor"] for noted in cursors] == ["3", "6", "", ""]
    assert [noted["published"] for noted in cursors] == [3, 6, 8, 8]
    assert [noted["passed"] for noted in cursors] == [None, None, None, "2026-07-01T12:00:00Z"]
    for outputs in journal.outputs:
        published = sum(len(rows) for (topic, _), rows in outputs.items() if topic == SOURCE)
        assert published == len(outputs[STATE]) - 1, "one hash per record, and the cursor"


async def fail() -> None:
    raise Retriable("not now")


async def test_a_source_that_fails_is_tried_again_after_growing_pauses(journal: MemoryJournal) -> None:
    naps: list[float] = []
    adapter = Given([works(1), works(2), fail])
    with pytest.raises(Retriable):
        await run(adapter, journal, naps=naps)
    assert adapter.asked == [None, "2", "2", "2", "2"], "what came before the failure is committed"
    assert naps == [0.5, 1.0, 2.0, 4.0]
    assert len(journal.rows("source.")) == 2
    assert (journal.opened, journal.closed) == (1, 1)


async def test_progress_starts_the_attempts_afresh(journal: MemoryJournal) -> None:
    naps: list[float] = []
    items = [part for number in range(12) for part in (works(number), fail)]

    class Once(Given):
        async def changes(self, cursor) -> AsyncIterator:
            async for pair in super().changes(cursor):
                yield pair
            self.items = [item for item in self.items if item is not fail]

    adapter = Once(items)
    with pytest.raises(Retriable):
        await run(adapter, journal, naps=naps)
    assert len(journal.rows("source.")) == 1
    told: list = []
    adapter.items = [works(1), fail]
    with pytest.raises(Retriable):
        await run(adapter, journal, naps=naps, trouble=lambda error, pause: told.append((error.code, pause)))
    assert told == [("RETRY", pause) for pause in (0.5, 1.0, 2.0, 4.0)]


@pytest.mark.parametrize("befalls", ["lost", "won"])
async def test_after_a_doubt_the_committed_state_decides(journal: MemoryJournal, befalls: str, monkeypatch) -> None:
    monkeypatch.setattr(running, "MOST_ITEMS", 3)
    journal.trouble = [None, befalls]
    adapter = Given([works(number) for number in range(8)])
    assert await run(adapter, journal) == (8, 8, 0, {}, {})
    assert adapter.asked == [None, "3" if befalls == "lost" else "6"]
    assert journal.opened == 2
    assert len({row[0] for _, _, row in journal.rows("source.")}) == len(journal.rows("source.")) == 8


async def test_kafka_that_stays_away_ends_a_single_run(journal: MemoryJournal, monkeypatch) -> None:
    async def away() -> Never:
        raise KafkaUnavailable

    monkeypatch.setattr(journal, "open", away)
    naps: list[float] = []
    with pytest.raises(KafkaUnavailable):
        await run(Given([works(1)]), journal, naps=naps)
    assert len(naps) == 4


async def test_a_fenced_runner_stops(journal: MemoryJournal) -> None:
    journal.trouble = [Fenced()]
    with pytest.raises(Fenced):
        await run(Given([works(1)]), journal)
    assert (journal.opened, journal.closed) == (1, 1)


async def quote() -> None:
    raise ValueError("Jan Janssens, 84621512345")


async def refuse() -> None:
    raise Invalid("the source answered with status 404")


async def test_a_failure_of_an_adapter_never_quotes_its_source(journal: MemoryJournal) -> None:
    with pytest.raises(Fatal) as failed:
        await run(Given([works(1), quote]), journal)
    shown = repr(failed.value) + failed.value.operator
    assert "Jan" not in shown
    assert "ValueError at test_runner.py:" in failed.value.operator
    assert (failed.value.__context__, failed.value.__cause__) == (None, None)
    assert len(journal.rows("source.")) == 1, "what came before is committed"
    with pytest.raises(Invalid):
        await run(Given([refuse]), MemoryJournal())


async def test_an_adapter_publishes_only_what_it_declared(journal: MemoryJournal) -> None:
    for item in (Change("1", "persoon.v1", {}), "text"):
        with pytest.raises(Fatal):
            await run(Given([item]), journal)
    assert journal.outputs == []


async def test_a_source_is_polled_until_cancelled_and_a_commit_under_way_is_finished(journal: MemoryJournal) -> None:
    started, go_on = asyncio.Event(), asyncio.Event()
    commit = journal.commit

    async def slowly(outputs) -> None:
        started.set()
        await go_on.wait()
        await commit(outputs)

    journal.commit = slowly  # type: ignore[method-assign]
    under_test = runner(Given([works(1)]), journal)
    task = asyncio.create_task(under_test.run(once=False))
    await started.wait()
    task.cancel()
    await asyncio.sleep(0)
    assert not task.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert counted(under_test.summary) == (1, 1, 0, {}, {})
    assert journal.closed == 1


async def test_a_source_that_waits_does_not_hold_back_what_it_gave(journal: MemoryJournal) -> None:
    never = asyncio.Event()
    seen: list[int] = []
    reached = asyncio.Event()

    def progress(summary) -> None:
        seen.append(summary.published)
        reached.set()

    task = asyncio.create_task(
        runner(Given([works(1), works(2), never.wait]), journal, progress=progress).run(once=False)
    )
    await asyncio.wait_for(reached.wait(), 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert seen == [2]


async def test_polling_pauses_and_finds_what_is_new(journal: MemoryJournal) -> None:
    adapter, naps = Given([works(1)]), []

    async def nap(seconds: float) -> None:
        naps.append(seconds)
        if len(naps) == 3:
            raise asyncio.CancelledError
        adapter.items = [*adapter.items, works(len(naps) + 1)]

    under_test = runner(adapter, journal, sleep=nap, interval_s=60.0)
    with pytest.raises(asyncio.CancelledError):
        await under_test.run(once=False)
    assert naps == [60.0, 60.0, 60.0]
    assert counted(under_test.summary) == (6, 3, 3, {}, {})
    assert journal.opened == 1


async def test_a_commit_is_observed_with_the_traces_of_its_records(journal: MemoryJournal) -> None:
    seen: list = []
    adapter = Given([works(1), Broken("x", "XML_MALFORMED"), works(2)])
    await run(adapter, journal, observe=lambda traces, *more: seen.append((list(traces), *more)))
    [(traces, records, began, ended)] = seen
    published = [header(row[2], "traceparent") for _, _, row in journal.rows("source.")]
    assert ([trace for trace in traces if trace], records) == (published, 2)
    assert began == ended == NOW


async def test_nothing_of_a_source_shows_in_what_is_stored_beside_the_records(journal: MemoryJournal) -> None:
    secret = "KANARIE-84621512345"
    items = [
        Change(secret, "hinder.v1", works(1).value | {"identificator": secret, "omschrijving": secret}),
        Change(f"{secret}/2", "hinder.v1", None, secret),
        Change(f"{secret}/3", "hinder.v1", {"naam": secret}),
        Broken(f"{secret}/4", secret, secret),
        Ignored(f"{secret}/5", secret),
        Broken(f"{secret}\udc80", "NAME_NOT_UTF8"),
    ]
    told = []
    summary = await runner(Given(items), journal, progress=told.append).run(once=True)
    stored = [
        (topic, key, None if topic == SOURCE else value, headers)
        for outputs in journal.outputs
        for (topic, _), rows in outputs.items()
        for key, value, headers in rows
    ]
    assert "KANARIE" not in repr((stored, summary, told))
    for key in (K_CONTENT, K_LANE):
        assert key.decode() not in repr(runner(Given([]), MemoryJournal()))
    assert len(journal.rows("source.")) == 2


outcomes = st.one_of(
    st.builds(works, st.integers(0, 5), st.sampled_from("ab"), kind=st.sampled_from(["changed", "snapshot", "geen"])),
    st.builds(lambda n: Change(works(n).source_id, "hinder.v1", None, f"s{n}"), st.integers(0, 5)),
    st.builds(Ignored, st.text(max_size=3), st.sampled_from(["NO_PERSON", "EMPTY_DOCUMENT", "?"])),
    st.builds(
        Broken, st.text(max_size=3), st.sampled_from(["XML_MALFORMED", "DATE_INVALID"]), st.sampled_from(["", "a"])
    ),
)


@given(
    st.lists(st.lists(outcomes, max_size=12), max_size=4),
    # Fewer in a row than the runner takes before it gives up, which is a case of its own above.
    st.lists(st.sampled_from([None, "lost", "won"]), max_size=running.ATTEMPTS - 1),
)
def test_read_is_the_sum_of_all_outcomes_and_each_record_is_published_once(runs, trouble) -> None:
    journal, total = MemoryJournal(trouble=list(trouble)), 0
    for items in runs:
        read, published, duplicate, ignored, quarantined = asyncio.run(run(Given(items), journal))
        assert read == published + duplicate + sum(ignored.values()) + sum(quarantined.values())
        # A doubt about the last commit makes the runner read a snapshot once more.
        assert read >= len(items) if trouble else read == len(items)
        total += published
    assert len(journal.rows("source.")) == total
    assert all(0 <= lane < LANES for _, lane, _ in journal.rows("source."))


async def test_what_was_offered_of_each_product_is_kept_over_runs_and_by_hour(journal: MemoryJournal) -> None:
    sources = {"hinder.v1": "gipod", "organisatie.v1": "kbo"}
    items = [works(1), works(1), Ignored("2", "NO_PERSON"), Broken("3", "KBO_INVALID", "", "organisatie.v1")]
    await run(Given(items, sources=sources), journal)
    later = NOW + timedelta(hours=30)
    await run(Given([*items, works(4)], sources=sources), journal, now=lambda: later)
    kept = Memory.restored(journal.state, "another run")
    assert kept.passed == "2026-07-02T18:00:00Z"
    roads = kept.intake["hinder.v1"]
    assert (roads.source, roads.total, roads.lately(later)) == ("gipod", Offered(5, 0), Offered(3, 0))
    assert kept.intake["organisatie.v1"].total == Offered(2, 2)


async def test_an_end_that_was_reached_is_noted_now_and_then_also_where_nothing_is_new(journal: MemoryJournal) -> None:
    times = [NOW + timedelta(seconds=seconds) for seconds in (0, 30, 61)]
    for at in times:
        await run(Given([]), journal, now=lambda at=at: at)
    noted = [json.loads(row[1])["passed"] for _, _, row in journal.rows("cursors.")]
    assert noted == ["2026-07-01T12:00:00Z", "2026-07-01T12:01:01Z"]


async def test_an_end_that_was_not_reached_is_not_noted(journal: MemoryJournal) -> None:
    with pytest.raises(Retriable):
        await run(Given([works(1), fail]), journal)
    assert Memory.restored(journal.state, "another run").passed is None
