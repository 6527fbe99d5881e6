"""Wide requests and their answers are byte by byte the library's own."""

import struct
from typing import Any

import pytest
from aiokafka.protocol.produce import ProduceRequest, ProduceRequest_v7, ProduceResponse_v7
from aiokafka.protocol.transaction import AddPartitionsToTxnRequest, AddPartitionsToTxnResponse_v0
from hypothesis import given
from hypothesis import strategies as st

from broker.kafka import clients
from broker.kafka.wide_requests import Added, AddPartitions, Produce, Produced

assert clients  # it has connections of this process write so

NAMES = st.text(min_size=1, max_size=12)
INT16, INT32, INT64 = (st.integers(-(1 << bits - 1), (1 << bits - 1) - 1) for bits in (16, 32, 64))


def by_topic(partition: st.SearchStrategy[Any]) -> st.SearchStrategy[list[tuple[str, list[Any]]]]:
    return st.lists(st.tuples(NAMES, st.lists(partition, max_size=3)), max_size=4)


@given(st.none() | NAMES, INT16, INT32, by_topic(st.tuples(INT32, st.binary(max_size=40))))
def test_what_is_written_is_what_the_library_writes(
    writer: str | None, acks: int, timeout: int, topics: list[tuple[str, list[tuple[int, bytes]]]]
) -> None:
    whole = ProduceRequest_v7(writer, acks, timeout, topics).encode()
    assert Produce(writer, acks, timeout, topics).encode() == whole
    views = [(name, [(number, memoryview(records)) for number, records in of]) for name, of in topics]
    assert b"".join(Produce(writer, acks, timeout, views).buffers()) == whole


@given(by_topic(st.tuples(INT32, INT16, INT64, INT64, INT64)), INT32)
def test_what_became_of_records_is_read_as_the_library_reads_it(topics: list[Any], throttled: int) -> None:
    raw = ProduceResponse_v7(topics, throttled).encode()
    assert (read := Produced.decode(raw)).topics == ProduceResponse_v7.decode(raw).topics
    assert read.throttle_time_ms == throttled


@given(by_topic(st.tuples(INT32, INT16)), INT32)
def test_which_partitions_were_added_is_read_as_the_library_reads_it(topics: list[Any], throttled: int) -> None:
    raw = AddPartitionsToTxnResponse_v0(throttled, topics).encode()
    assert (read := Added.decode(raw)).errors == AddPartitionsToTxnResponse_v0.decode(raw).errors
    assert read.throttle_time_ms == throttled


@given(by_topic(st.tuples(INT32, INT16)), st.data())
def test_an_answer_that_is_cut_short_is_refused(topics: list[Any], data: st.DataObject) -> None:
    raw = AddPartitionsToTxnResponse_v0(0, topics).encode()
    with pytest.raises((struct.error, ValueError)):
        Added.decode(raw[: data.draw(st.integers(0, len(raw) - 1))])


def test_nodes_of_this_version_are_asked_so() -> None:
    versions = {0: (3, 12), 24: (0, 5)}
    assert type(ProduceRequest("lane", -1, 1, []).prepare(versions)) is Produce
    assert type(AddPartitionsToTxnRequest("lane", 1, 0, []).prepare(versions)) is AddPartitions
    older = ProduceRequest("lane", -1, 1, []).prepare({0: (3, 5)})
    assert (type(older).__name__, older.API_VERSION) == ("ProduceRequest_v5", 5)
