"""Messages of pgoutput, byte for byte as PostgreSQL's manual lays them out (§55.9)."""

import struct
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.postgres_messages import (
    UNCHANGED,
    Begin,
    Column,
    Commit,
    Delete,
    Insert,
    Relation,
    Truncate,
    Update,
    message,
)
from broker.errors import Fatal

ROW = struct.pack("!hcicc", 3, b"t", 1, b"7", b"n") + b"u"
KEY = struct.pack("!hcicc", 3, b"t", 1, b"6", b"n") + b"n"
CELLS, OLD = (b"7", None, UNCHANGED), (b"6", None, None)
RELATION = b"".join(
    [
        b"R" + struct.pack("!I", 16_400) + b"public\0werken\0d" + struct.pack("!h", 2),
        struct.pack("!b", 1) + b"nummer\0" + struct.pack("!Ii", 23, -1),
        struct.pack("!b", 0) + b"tekst\0" + struct.pack("!Ii", 25, -1),
    ]
)
ON = struct.pack("!I", 16_400)


@pytest.mark.parametrize(
    ("data", "made"),
    [
        (
            b"B" + struct.pack("!qqi", 0x16B37, 820_540_800_000_000, 740),
            Begin(0x16B37, datetime(2026, 1, 1, tzinfo=UTC)),
        ),
        (b"C" + struct.pack("!bqqq", 0, 0x16B37, 0x16B68, 820_540_800_000_000), Commit(0x16B68)),
        (RELATION, Relation(16_400, "public", "werken", (Column(True, "nummer", 23), Column(False, "tekst", 25)))),  # noqa: FBT003 - as the message has it
        (b"I" + ON + b"N" + ROW, Insert(16_400, CELLS)),
        (b"U" + ON + b"N" + ROW, Update(16_400, CELLS, None, whole=False)),
        (b"U" + ON + b"K" + KEY + b"N" + ROW, Update(16_400, CELLS, OLD, whole=False)),
        (b"U" + ON + b"O" + KEY + b"N" + ROW, Update(16_400, CELLS, OLD, whole=True)),
        (b"D" + ON + b"K" + KEY, Delete(16_400, OLD, whole=False)),
        (b"D" + ON + b"O" + KEY, Delete(16_400, OLD, whole=True)),
        (b"T" + struct.pack("!ib2I", 2, 0, 16_400, 16_401), Truncate((16_400, 16_401))),
        (b"O" + struct.pack("!q", 1) + b"elders\0", None),
        (b"Y" + struct.pack("!I", 16_402) + b"public\0maat\0", None),
    ],
)
def test_each_message(data: bytes, made: object) -> None:
    assert message(data) == made
    if made is not None:
        with pytest.raises(Fatal):
            message(data[:-1])


def test_no_value_is_in_a_representation() -> None:
    assert "b'7'" not in repr(message(b"I" + ON + b"N" + ROW))


@given(st.binary(max_size=80))
def test_any_other_bytes_are_refused(data: bytes) -> None:
    try:
        message(data)
    except Fatal as refused:
        assert "pgoutput" in str(refused)  # noqa: PT017 - or it was a message
