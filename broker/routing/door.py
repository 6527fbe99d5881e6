"""The router's door: a source record is admitted with its cut points, or refused with a stable code.

Nothing behind the door sees bytes that did not pass: wire frame, lane, key, canonical Avro, the wall between
synthetic and real persons.
"""

from typing import Any

from broker.errors import PoisonRecord
from broker.model.keyed import lane_key, lane_of
from broker.model.record import WIRE_HEADER_BYTES
from broker.routing.plans import TopicPlan
from broker.schema.guard import Offsets

_KEY_CHARACTERS = 32
_HEX = frozenset(b"0123456789abcdef")


def admit(record: Any, plan: TopicPlan, *, lanes: int, k_lane: bytes) -> Offsets | None:
    """Cut points of an admitted record, None for an admitted deletion; raises `PoisonRecord`.

    Codes: KEY_MALFORMED, WRONG_LANE, WRONG_KEY, FRAME_MALFORMED, UNKNOWN_SCHEMA, REAL_SUBJECT, TEST_SUBJECT and those of
    `schema.guard`.
    """
    key, value = record.key, record.value
    if key is None or len(key) != _KEY_CHARACTERS or not _HEX.issuperset(key):
        raise PoisonRecord("KEY_MALFORMED")
    if lane_of(key, lanes) != record.partition:
        raise PoisonRecord("WRONG_LANE")
    if value is None:
        return None
    if value[:WIRE_HEADER_BYTES] != plan.frame:
        raise PoisonRecord(
            "UNKNOWN_SCHEMA" if value[:1] == b"\x00" and len(value) > WIRE_HEADER_BYTES else "FRAME_MALFORMED"
        )
    offsets = plan.walk(value)
    subject = plan.principal(value, offsets)
    if lane_key(k_lane, subject) != key:
        raise PoisonRecord("WRONG_KEY", plan.schema.principal)
    if plan.wall is not None and (verdict := plan.wall.verdict(subject.decode())) is not None:
        raise PoisonRecord(verdict, plan.schema.principal)
    return offsets
