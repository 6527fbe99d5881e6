"""Packed records on their way to the client library, and the parts of records that do not depend on a source record."""

import struct

from aiokafka.record.util import calc_crc32c

from broker.schema.avro import varint

_HEADER = struct.Struct(">qiibIhiqqqhii")
"""Kafka's batch header, format v2 (KIP-98): base offset, length, leader epoch, magic, CRC, attributes, last offset delta,
first and last timestamp, producer id, epoch, first sequence, records."""

_AFTER_LENGTH, _CRC_AT, _CHECKED = 12, 17, 21
_MAGIC, _TRANSACTIONAL = 2, 0x10


class PackedBatch:
    """A transactional batch in a stretch of `room`: its records, behind space for the header, which is written here.

    It has what aiokafka asks of a batch that it is handed (its `BatchBuilder`), and takes no more records.
    """

    def __init__(self, room: memoryview, records: int, *, timestamp_ms: int) -> None:
        self._room = room
        self._records = records
        self._timestamp_ms = timestamp_ms
        self._producer = (-1, -1, 0)
        self._built = False

    def record_count(self) -> int:
        """Number of records."""
        return self._records

    def size(self) -> int:
        """Number of bytes."""
        return len(self._room)

    def closed(self) -> bool:
        """It takes no more."""
        return True

    def close(self) -> None:
        """It is closed."""

    def append(self, **_record: object) -> None:
        """It takes no more."""

    def _set_producer_state(self, producer_id: int, producer_epoch: int, base_sequence: int) -> None:
        self._producer = producer_id, producer_epoch, base_sequence

    def _build(self) -> memoryview:
        room, last, at = self._room, self._records - 1, self._timestamp_ms
        if not self._built:
            length, fixed = len(room) - _AFTER_LENGTH, (_MAGIC, 0, _TRANSACTIONAL)
            _HEADER.pack_into(room, 0, 0, length, -1, *fixed, last, at, at, *self._producer, self._records)
            struct.pack_into(">I", room, _CRC_AT, calc_crc32c(room[_CHECKED:]))
            self._built = True
        return room


def header_start(name: str, value_bytes: int) -> bytes:
    """All of a record's header but its value."""
    raw = name.encode()
    return varint(len(raw)) + raw + varint(value_bytes)


def header_bytes(name: str, value: bytes) -> bytes:
    """A record's header."""
    return header_start(name, len(value)) + value
