"""Receipts: one message on `receipts` per source record that had at least one receipted decision.

The bytes are Avro (schemas/receipt.v1.avsc, Confluent-framed), written here by hand because the router makes one per
record; a contract test holds this writer equal to fastavro on that schema. Key = the subject reference (32 hex).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from broker.model.decision import Kind, Reason


class Outcome(StrEnum):
    """Outcome of a receipted decision; the order is the order of the Avro enum."""

    RELEASE = "release"
    WITHHOLD = "withhold"


_KINDS = {kind: index for index, kind in enumerate(Kind)}
_REASONS = {reason: index for index, reason in enumerate(reason for reason in Reason if reason.receipted)}


@dataclass(frozen=True, slots=True)
class Coordinates:
    """Where and under which knowledge a lane decided: constant for one batch of one source topic."""

    topic: str
    lane: int
    epoch: int
    subjects_offset: int
    decided_at_ms: int
    run: int = 0


_LAST = tuple(bytes([bits]) for bits in range(0x80))
_CONTINUED = tuple(bytes([bits | 0x80]) for bits in range(0x80))


def zigzag(number: int) -> bytes:
    """Avro long (zig-zag, variable length; Avro 1.12 specification, "Binary Encoding")."""
    value = (number << 1) ^ (number >> 63)
    out = b""
    while value > 0x7F:  # noqa: PLR2004 - seven payload bits per byte
        out += _CONTINUED[value & 0x7F]
        value >>= 7
    return out + _LAST[value]


def text(value: str) -> bytes:
    """Avro string."""
    raw = value.encode()
    return zigzag(len(raw)) + raw


def released(agreement: str, version: int, kind: Kind) -> bytes:
    """All of one release's leaf but the delivery id, which follows it; constant per (agreement version, kind)."""
    return text(agreement) + zigzag(version) + b"\x00" + zigzag(_KINDS[kind]) + b"\x00\x02"


def withheld(agreement: str, version: int, reason: Reason, kind: Kind) -> bytes:
    """One withhold's whole leaf; constant per (agreement version, reason, kind)."""
    return (
        text(agreement)
        + zigzag(version)
        + b"\x02"
        + zigzag(_KINDS[kind])
        + b"\x02"
        + zigzag(_REASONS[reason])
        + b"\x00"
    )


def prefix(frame: bytes, at: Coordinates) -> bytes:
    """Bytes shared by all receipts of one batch and source topic."""
    shared = (zigzag(at.lane), zigzag(at.epoch), zigzag(at.subjects_offset), zigzag(at.decided_at_ms), zigzag(at.run))
    return frame + text(at.topic) + b"".join(shared)


def receipt(head: bytes, offset: int, subject: bytes, trace_id: bytes, leaves: Sequence[bytes]) -> bytes:
    """One receipt: `head` from `prefix`, the record's offset, 16-byte subject reference and trace id, its leaves."""
    return head + zigzag(offset) + subject + trace_id + zigzag(len(leaves)) + b"".join(leaves) + b"\x00"
