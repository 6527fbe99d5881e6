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


class Batch:
    """The library's batch, whose records are read again tolerantly where that fails; the fetcher skips those it had."""

    def __init__(self, batch: Any, answer: bytes, start: int) -> None:
        self._batch, self._answer, self._start = batch, answer, start

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __next__(self) -> Any:
        return next(self._batch)

    @property
    def raw(self) -> memoryview:
        """Its bytes, where they were fetched."""
        return memoryview(self._answer)[self._start : _end_of_batch(self._answer, self._start)]

    def __iter__(self) -> Iterator[Any]:
        try:
            yield from self._batch
        except UnicodeDecodeError:
            yield from self._tolerant()

    def _tolerant(self) -> Any:
        batch = _DefaultRecordBatchPy(bytes(self.raw))
        batch._maybe_uncompress()  # noqa: SLF001 - the buffer it reads from is only made here
        batch._buffer = _Buffer(batch._buffer)  # noqa: SLF001
        return batch


def _end_of_batch(raw: bytes, start: int) -> int:
    """After its first offset (8 bytes) a batch states how many bytes follow (4)."""
    return start + 12 + int.from_bytes(raw[start + 8 : start + 12])


class TolerantRecords:
    """What the fetcher takes a response's batches from, in place of the library's `MemoryRecords`."""

    batch_type: type[Batch] = Batch

    def __init__(self, answer: bytes) -> None:
        self._answer, self._records, self._start = answer, MemoryRecords(answer), 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._records, name)

    def next_batch(self) -> Batch | None:
        """The next batch; None after the last."""
        batch, start = self._records.next_batch(), self._start
        if batch is None:
            return None
        self._start = _end_of_batch(self._answer, start)
        return self.batch_type(batch, self._answer, start)


def tolerate() -> None:
    """From now on every consumer of this process reads them."""
    fetcher.MemoryRecords = TolerantRecords
