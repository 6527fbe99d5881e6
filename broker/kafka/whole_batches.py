"""Record batches as they were fetched, for who decodes many records at once: the library hands out decoded ones only.

What the library does before it decodes stays its own: checksums, batches of aborted transactions, markers, positions.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from aiokafka.consumer import fetcher
from aiokafka.record.default_records import _DefaultRecordBatchPy

from broker.kafka.header_names import Batch, TolerantRecords

_COMPRESSION, _ATTRIBUTES_AT = 0x07, 22
_MAGIC, _MAGIC_AT = 2, 16
_RECORDS_AT, _RECORDS_END = 57, 61


def undecoded(key: bytes | None) -> bytes | None:
    """As `key_deserializer` it makes a consumer hand out every batch as one `RecordBatch`, in the place of its records."""
    return key


class RecordBatch:
    """A fetched batch, of which records before offset `first` were not asked for; `next` is the offset behind it."""

    def __init__(self, batch: Batch, first: int, decoded: Callable[[Any], Any]) -> None:
        self.base_offset: int = batch.base_offset
        self.first = first
        self.next: int = batch.next_offset
        self._raw = batch.raw
        self._batch = batch
        self._decoded = decoded

    def __len__(self) -> int:
        """Number of records, those that were not asked for included."""
        return int.from_bytes(self._raw[_RECORDS_AT:_RECORDS_END])

    def records(self) -> Iterator[Any]:
        """Its records as the library hands them out, once."""
        next_ = self.first
        for record in self._batch.records():
            if record.offset >= next_:  # read again for a header's name, it begins anew
                next_ = record.offset + 1
                yield self._decoded(record)

    def plain(self) -> bytes | memoryview | None:
        """Its bytes with the records uncompressed, in format v2; None where it is in another format."""
        raw = self._raw
        if raw[_MAGIC_AT] != _MAGIC:
            return None
        if not raw[_ATTRIBUTES_AT] & _COMPRESSION:
            return raw
        batch = _DefaultRecordBatchPy(bytes(raw))
        batch._maybe_uncompress()  # noqa: SLF001 - the library's own, for every compression it knows
        return bytes(batch._buffer)  # noqa: SLF001


class _WholeBatch(Batch):
    """A batch that passes for the last of its records, where the fetcher looks for records."""

    @property
    def offset(self) -> int:
        return int(self.next_offset) - 1

    def __iter__(self) -> Iterator[Any]:
        yield self

    def records(self) -> Iterator[Any]:
        return super().__iter__()


class _PartitionRecords(fetcher.PartitionRecords):  # type: ignore[misc]  # aiokafka is untyped
    """The library's, which for some consumers is told of batches only."""

    def __init__(
        self, target: Any, records: TolerantRecords, aborted: Any, first: int, decode_key: Any, *more: Any
    ) -> None:
        if decode_key is undecoded:
            records.batch_type = _WholeBatch
        super().__init__(target, records, aborted, first, decode_key, *more)

    def _consumer_record(self, target: Any, record: Any) -> Any:
        if isinstance(record, _WholeBatch):
            return RecordBatch(record, self.next_fetch_offset, partial(super()._consumer_record, target))
        return super()._consumer_record(target, record)


def hand_out() -> None:
    """From now on consumers of this process whose `key_deserializer` is `undecoded` hand out whole batches."""
    fetcher.PartitionRecords = _PartitionRecords
