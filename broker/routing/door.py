"""The router's door: a source record is admitted with its cut points, or refused with a stable code.

Nothing behind the door sees bytes that did not pass: wire frame, lane, key, canonical Avro, the wall between
synthetic and real persons.
"""

from collections.abc import Callable
from typing import Any

from broker.errors import PoisonRecord
from broker.model.keyed import lane_keys, lane_of
from broker.model.record import WIRE_HEADER_BYTES
from broker.routing.plans import TopicPlan
from broker.schema.guard import Offsets

_KEY_CHARACTERS = 32
_HEX = b"0123456789abcdef"

Door = Callable[[Any], Offsets | None]
"""Cut points of an admitted record, None for an admitted deletion; raises `PoisonRecord`."""


def door(plan: TopicPlan, *, lanes: int, k_lane: bytes) -> Door:
    """The door of one source topic.

    Codes: KEY_MALFORMED, WRONG_LANE, WRONG_KEY, FRAME_MALFORMED, UNKNOWN_SCHEMA, REAL_SUBJECT, TEST_SUBJECT and those of
    `schema.guard`.
    """
    frame, walk, principal, wall, path = plan.frame, plan.walk, plan.principal, plan.wall, plan.schema.principal
    lane_key = lane_keys(k_lane)

    def admit(record: Any) -> Offsets | None:
        key, value = record.key, record.value
        if key is None or len(key) != _KEY_CHARACTERS or key.translate(None, _HEX):
            raise PoisonRecord("KEY_MALFORMED")
        if lane_of(key, lanes) != record.partition:
            raise PoisonRecord("WRONG_LANE")
        if value is None:
            return None
        if value[:WIRE_HEADER_BYTES] != frame:
            framed = value[:1] == b"\x00" and len(value) > WIRE_HEADER_BYTES
            raise PoisonRecord("UNKNOWN_SCHEMA" if framed else "FRAME_MALFORMED")
        offsets = walk(value)
        subject = principal(value, offsets)
        if lane_key(subject) != key:
            raise PoisonRecord("WRONG_KEY", path)
        if wall is not None and (verdict := wall.verdict(subject.decode())) is not None:
            raise PoisonRecord(verdict, path)
        return offsets

    return admit
