"""Spans: found again by the trace of a record, bounded, shared by processes, absent while tracing is off."""

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from broker import telemetry
from broker.model.record import traceparent
from broker.telemetry import batch_span, record_spans, sampled, span_store, spans
from broker.telemetry.store import SpanStore, StoredSpan
from tests.unit.telemetry.conftest import Process


def parent(number: int) -> bytes:
    return traceparent(number.to_bytes(16), number.to_bytes(8))


def trace(number: int) -> str:
    return f"{number:032x}"


def span(number: int, name: str = "router.route") -> StoredSpan:
    return StoredSpan(trace(number), name, "router", number, number + 2_000_000)


def test_a_records_steps_are_found_by_its_trace_in_order(process: Process) -> None:
    record_spans("router.route", [parent(7)], start_ns=5_000_000, end_ns=9_500_000, attributes={"lane": 1})
    record_spans("adapter.publish", [parent(7)], start_ns=1_000_000, end_ns=2_000_000, attributes={})
    spans.flush()
    found = span_store().find(trace(7))
    assert [(step.name, step.service, step.start_ms, step.duration_ms) for step in found] == [
        ("adapter.publish", "router", 1.0, 1.0),
        ("router.route", "router", 5.0, 4.5),
    ]
    assert span_store().find(trace(8)) == ()
    assert process.lines == []


def test_only_the_first_few_records_of_a_batch_get_a_span_and_the_rest_is_not_even_read(process: Process) -> None:
    def records() -> Iterator[bytes]:
        yield from map(parent, range(1, 4))
        raise AssertionError("read beyond the sample")

    assert process.settings.span_sample == 3
    record_spans("router.route", records(), start_ns=1, end_ns=2, attributes={})
    assert len(sampled(records())) == 3
    spans.flush()
    assert all(span_store().find(trace(number)) for number in (1, 2, 3))


def test_a_batch_is_one_span_linked_to_its_first_records(process: Process) -> None:
    collector = process.export()
    batch_span(
        "router.batch", start_ns=10, end_ns=20, attributes={"lane": 2, "records": 9}, links=map(parent, range(1, 9))
    )
    record_spans("router.route", [parent(1)], start_ns=10, end_ns=20, attributes={"lane": 2})
    spans.flush()
    batch, record = collector.get_finished_spans()
    assert [f"{link.context.trace_id:032x}" for link in batch.links] == [trace(1), trace(2), trace(3)]
    assert (batch.attributes, batch.start_time, batch.end_time) == ({"lane": 2, "records": 9}, 10, 20)
    assert batch.context is not None
    assert batch.context.trace_id not in {1, 2, 3}
    assert record.parent is not None
    assert (record.context.trace_id, record.parent.span_id, record.parent.is_remote) == (1, 1, True)
    assert record.resource.attributes["service.name"] == "router"


@pytest.mark.parametrize(
    "damaged",
    [None, b"", b"00-" + b"0" * 32 + b"-" + b"1" * 16 + b"-01", b"00-" + b"1" * 32 + b"-" + b"0" * 16 + b"-01",
     b"00-" + b"1" * 32 + b"-" + b"x" * 16 + b"-01", b"00-" + b"1" * 32 + b"-" + b"\xff" * 16 + b"-01", b"x" * 55],
)  # fmt: skip
def test_a_damaged_trace_context_gets_no_span(process: Process, damaged: bytes | None) -> None:
    record_spans("router.route", [damaged, parent(5)], start_ns=1, end_ns=2, attributes={})
    spans.flush()
    assert len(span_store().find(trace(5))) == 1
    assert sampled([damaged]) == []
    assert process.lines == []


def test_while_tracing_is_off_nothing_is_read(process: Process) -> None:
    telemetry.shutdown()

    def records() -> Iterator[bytes]:
        raise AssertionError("read")
        yield b""

    record_spans("router.route", records(), start_ns=1, end_ns=2, attributes={})
    batch_span("router.batch", start_ns=1, end_ns=2, attributes={}, links=records())
    assert sampled(records()) == ()
    assert span_store().find(trace(1)) == ()
    assert not process.settings.data_dir.exists()


def test_what_was_finished_is_there_after_shutdown(process: Process) -> None:
    record_spans("router.route", [parent(1)], start_ns=1, end_ns=2, attributes={})
    telemetry.shutdown()
    assert len(SpanStore(process.settings.data_dir / "spans.db").find(trace(1))) == 1


def test_the_store_keeps_the_newest_and_is_bounded(tmp_path: Path) -> None:
    one, other = SpanStore(tmp_path / "spans.db", 10), SpanStore(tmp_path / "spans.db", 10)
    for number in range(1, 41, 4):
        one.add(span(number + step) for step in range(2))
        other.add(span(number + step) for step in range(2, 4))
    assert [number for number in range(1, 41) if one.find(trace(number))] == list(range(31, 41))


def test_the_store_is_its_owners_only(tmp_path: Path) -> None:
    store = SpanStore(tmp_path / "data" / "spans.db")
    assert store.find(trace(1)) == ()
    assert not store.path.parent.exists()  # looking makes nothing
    store.add([span(1)])
    modes = {stat.S_IMODE(file.stat().st_mode) for file in store.path.parent.iterdir()}
    assert modes == {0o600}


def test_a_store_that_cannot_be_written_is_told_once(process: Process) -> None:
    process.settings.data_dir.write_text("not a folder")
    for number in range(1, 4):
        record_spans("router.route", [parent(number)], start_ns=1, end_ns=2, attributes={})
        spans.flush()
    assert [line["event"] for line in process.lines if line["event"] != "foreign"] == ["traces.lost"]
