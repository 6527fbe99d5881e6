"""Records of fetched batches as columns, without an object per record."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from broker.native.library import Core, Section, Unpacking, filled

KEY_CHARACTERS, TRACE_CHARACTERS = 32, 55

_HEADER_BYTES = 61
_FEWEST_BYTES = 7
"""A record takes so many: no batch makes room for more records than it can have."""

_BASE, _RECORDS, _RECORDS_AT = struct.Struct(">q"), struct.Struct(">I"), 57


class Stretch(NamedTuple):
    """An uncompressed batch (format v2) as it was fetched; records before offset `first` are not asked for."""

    raw: bytes | memoryview
    first: int


@dataclass(frozen=True, slots=True)
class Columns:
    """Records of one lane and topic, in order: where in `data` their values lie, and what is in columns of their own.

    A record whose key is none has the verdict `ASK` and another key; a deletion has no value.
    """

    data: bytes
    keys: bytearray
    begins: bytearray
    ends: bytearray
    verdicts: bytearray
    traces: bytearray
    offsets: bytearray
    records: int = 0

    def offset(self, record: int) -> int:
        """Offset of a record."""
        return memoryview(self.offsets).cast("q")[record]

    def each_key(self) -> Sequence[bytes]:
        """All keys."""
        joined = bytes(self.keys)
        return [joined[at : at + KEY_CHARACTERS] for at in range(0, self.records * KEY_CHARACTERS, KEY_CHARACTERS)]

    def saying(self, verdict: int) -> Sequence[int]:
        """The records with this verdict."""
        verdicts = self.verdicts[: self.records]
        return [record for record, said in enumerate(verdicts) if said == verdict] if verdict in verdicts else ()

    def key(self, record: int) -> bytes:
        """Key of a record."""
        return bytes(self.keys[record * KEY_CHARACTERS : (record + 1) * KEY_CHARACTERS])

    def value(self, record: int) -> bytes:
        """Value of a record."""
        begin, end = (memoryview(column).cast("Q")[record] for column in (self.begins, self.ends))
        return self.data[begin:end]


def unpack(core: Core, stretches: Sequence[Stretch]) -> Columns | None:
    """The records asked for; None where they are not surely right, for the client library to say what is wrong."""
    sections, at, most = (Section * len(stretches))(), 0, 0
    for section, (raw, first) in zip(sections, stretches, strict=True):
        (section.base,), (section.records,) = _BASE.unpack_from(raw), _RECORDS.unpack_from(raw, _RECORDS_AT)
        if section.records * _FEWEST_BYTES > len(raw):
            return None
        section.begin, section.end, section.first = at + _HEADER_BYTES, at + len(raw), first
        at, most = section.end, most + section.records
    columns = Columns(
        data=b"".join([raw for raw, _ in stretches]),
        keys=bytearray(KEY_CHARACTERS * most),
        begins=bytearray(8 * most),
        ends=bytearray(8 * most),
        verdicts=bytearray(most),
        traces=bytearray(TRACE_CHARACTERS * most),
        offsets=bytearray(8 * most),
    )
    structure = filled(
        Unpacking,
        data=columns.data,
        sections=sections,
        sections_count=len(sections),
        keys=columns.keys,
        begins=columns.begins,
        ends=columns.ends,
        verdicts=columns.verdicts,
        offsets=columns.offsets,
        traces=columns.traces,
    )
    records = core.unpack(structure)
    return None if records is None else replace(columns, records=records)
