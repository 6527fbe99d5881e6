"""Requests that name hundreds of partitions: written from where their records lie, their answers read in one pass.

The library copies all records of such a request eight times, once per level of its schema and twice more, and makes some
ten calls per partition of an answer. What is sent, and what an answer says, stays the same.
"""

import struct
from collections.abc import Awaitable, Sequence
from io import BytesIO
from typing import Any, Self

from aiokafka import conn
from aiokafka.protocol.produce import ProduceRequest, ProduceRequest_v7, ProduceResponse_v7
from aiokafka.protocol.transaction import (
    AddPartitionsToTxnRequest,
    AddPartitionsToTxnRequest_v0,
    AddPartitionsToTxnResponse_v0,
)
from aiokafka.protocol.types import Int16, Int32, String

Bytes = bytes | bytearray | memoryview

_LENGTH, _NUMBER = struct.Struct(">h"), struct.Struct(">i")
_RECORDS = struct.Struct(">ii")
"""Partition, and number of bytes that follow."""
_PRODUCED = struct.Struct(">ihqqq")
"""Partition, error code, offset, timestamp, start of its log."""
_WRITER = struct.Struct(">qh")
"""Producer id and epoch."""
_ADDED = struct.Struct(">ih")
"""Partition, error code."""


def take_over() -> None:
    """From now on connections of this process write and read so."""
    conn.AIOKafkaConnection = _Connection
    for request, wide in ((ProduceRequest, Produce), (AddPartitionsToTxnRequest, AddPartitions)):
        request._CLASSES = tuple(wide if issubclass(wide, each) else each for each in request._CLASSES)  # noqa: SLF001


class Produced(ProduceResponse_v7):  # type: ignore[misc]  # aiokafka is untyped
    """What became of the records of each partition."""

    @classmethod
    def decode(cls, data: BytesIO | bytes) -> Self:
        """As the library's."""
        raw = data if isinstance(data, bytes) else data.read()
        topics, end = _by_topic(raw, 0, _PRODUCED)
        return cls(topics, *_NUMBER.unpack_from(raw, end))


class Produce(ProduceRequest_v7):  # type: ignore[misc]  # aiokafka is untyped
    """Records of many partitions."""

    RESPONSE_TYPE = Produced

    def buffers(self) -> Sequence[Bytes]:
        """What `encode` joins."""
        begin = String().encode(self.transactional_id) + Int16.encode(self.required_acks) + Int32.encode(self.timeout)
        found: list[Bytes] = [begin + _NUMBER.pack(len(self.topics))]
        for topic, partitions in self.topics:
            before = _named(topic) + _NUMBER.pack(len(partitions))
            for partition, records in partitions:
                found += (before + _RECORDS.pack(partition, len(records)), records)
                before = b""
            found.append(before)
        return found

    def encode(self) -> bytes:
        """As the library's."""
        return b"".join(self.buffers())


class Added(AddPartitionsToTxnResponse_v0):  # type: ignore[misc]  # aiokafka is untyped
    """Which partitions are in the transaction."""

    @classmethod
    def decode(cls, data: BytesIO | bytes) -> Self:
        """As the library's."""
        raw = data if isinstance(data, bytes) else data.read()
        topics, _ = _by_topic(raw, _NUMBER.size, _ADDED)
        return cls(*_NUMBER.unpack_from(raw), topics)


class AddPartitions(AddPartitionsToTxnRequest_v0):  # type: ignore[misc]  # aiokafka is untyped
    """Partitions that a transaction is going to write."""

    RESPONSE_TYPE = Added

    def encode(self) -> bytes:
        """As the library's."""
        found = [String().encode(self.transactional_id), _WRITER.pack(self.producer_id, self.producer_epoch)]
        found.append(_NUMBER.pack(len(self.topics)))
        for topic, partitions in self.topics:
            found += (_named(topic), struct.pack(f">i{len(partitions)}i", len(partitions), *partitions))
        return b"".join(found)


class _Connection(conn.AIOKafkaConnection):  # type: ignore[misc]  # aiokafka is untyped
    """The library's, which does not put records together that it writes."""

    def send(self, request: Any, expect_response: bool = True) -> Awaitable[Any]:  # noqa: FBT001, FBT002 - the library's
        """Send, and wait for the answer."""
        wide = self._writer is not None and isinstance(request, ProduceRequest) and expect_response
        prepared = request.prepare(self._versions) if wide else None
        if not isinstance(prepared, Produce):
            sent: Awaitable[Any] = super().send(request, expect_response)
            return sent
        number = self._next_correlation_id()
        header = prepared.build_request_header(correlation_id=number, client_id=self._client_id).encode()
        body = prepared.buffers()
        self._writer.writelines([_NUMBER.pack(len(header) + sum(map(len, body))), header, *body])
        answer = self._loop.create_future()
        self._requests.append((number, prepared, answer))
        waiting: Awaitable[Any] = conn.wait_for(answer, self._request_timeout)
        return waiting


def _named(topic: str) -> bytes:
    raw = topic.encode()
    return _LENGTH.pack(len(raw)) + raw


def _by_topic(raw: bytes, at: int, partition: struct.Struct) -> tuple[list[tuple[str, list[tuple[int, ...]]]], int]:
    """An array of topics, each with an array of such partitions; and where it ends."""
    found = []
    (topics,), at = _NUMBER.unpack_from(raw, at), at + _NUMBER.size
    for _ in range(topics):
        (length,), name = _LENGTH.unpack_from(raw, at), at + _LENGTH.size
        (partitions,), begin = _NUMBER.unpack_from(raw, name + length), name + length + _NUMBER.size
        at = begin + partitions * partition.size
        if at > len(raw):
            raise ValueError("an answer that is cut short")
        found.append((raw[name : name + length].decode(), list(partition.iter_unpack(raw[begin:at]))))
    return found, at
