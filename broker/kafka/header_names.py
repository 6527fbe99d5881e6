"""Lets the client library read records whose header names are no UTF-8.

Kafka takes any bytes as a header's name; aiokafka decodes them and raises, at that record, for ever: one record of one
source would stop its lane for every product. Such a batch is read again by aiokafka's own reader in Python, with what is
no text in a name replaced. No header name of ours is touched, and no other batch is read twice.
"""

from collections.abc import Iterator
from typing import Any

from aiokafka.consumer import fetcher
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import MemoryRecords


class _Text(bytes):
    def decode(self, *_: Any) -> str:
        return super().decode("utf-8", "replace")


class _Buffer(bytearray):
    """Hands out slices whose text can always be read."""

    def __getitem__(self, at: Any) -> Any:
        found = super().__getitem__(at)
        return _Text(found) if isinstance(at, slice) else found


class _Batch:
    """The library's batch, whose records are read again tolerantly where that fails; the fetcher skips those it had."""

    def __init__(self, batch: Any, raw: bytes, number: int) -> None:
        self._batch, self._raw, self._number = batch, raw, number

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __next__(self) -> Any:
        return next(self._batch)

    def __iter__(self) -> Iterator[Any]:
        try:
            yield from self._batch
        except UnicodeDecodeError:
            yield from self._tolerant()

    def _tolerant(self) -> Any:
        start, end = 0, _end_of_batch(self._raw, 0)
        for _ in range(self._number):
            start, end = end, _end_of_batch(self._raw, end)
        batch = _DefaultRecordBatchPy(self._raw[start:end])
        batch._maybe_uncompress()  # noqa: SLF001 - the buffer it reads from is only made here
        batch._buffer = _Buffer(batch._buffer)  # noqa: SLF001
        return batch


def _end_of_batch(raw: bytes, start: int) -> int:
    """After its first offset (8 bytes) a batch states how many bytes follow (4)."""
    return start + 12 + int.from_bytes(raw[start + 8 : start + 12])


class TolerantRecords:
    """What the fetcher takes a response's batches from, in place of the library's `MemoryRecords`."""

    def __init__(self, raw: bytes) -> None:
        self._raw, self._records, self._number = raw, MemoryRecords(raw), 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._records, name)

    def next_batch(self) -> _Batch | None:
        """The next batch; None after the last."""
        batch, number = self._records.next_batch(), self._number
        self._number += 1
        return None if batch is None else _Batch(batch, self._raw, number)


def tolerate() -> None:
    """From now on every consumer of this process reads them."""
    fetcher.MemoryRecords = TolerantRecords
