"""One product as an adapter publishes it: a change becomes the bytes, key and lane that the router's door admits."""

from dataclasses import dataclass, field

from adapters.presence import compile_mask, optional_paths, paths_of
from adapters.sdk import Change
from broker.errors import PoisonRecord
from broker.model import topics
from broker.model.decision import RECORD_KINDS, Kind
from broker.model.keyed import lane_key, lane_of
from broker.model.record import WIRE_HEADER_BYTES, wire_header
from broker.schema.avro import Schema
from broker.schema.constraints import compile_check
from broker.schema.encoding import compile_encode
from broker.schema.guard import compile_walk
from broker.schema.inspection import MAX_RECORD

_LARGEST = MAX_RECORD - (8 << 10)
"""Room for key, headers and framing in a batch of Kafka's largest size: what passes here Kafka takes too."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One change, ready for its source topic but for its envelope. `content` is what makes it differ from another."""

    key: bytes
    lane: int
    value: bytes | None
    kind: str
    content: tuple[bytes, ...] = field(repr=False)


class Publication:
    """States the changes of one product of one organisation; `mask` tells which of the `optional` paths a value has."""

    def __init__(self, organisation: str, schema: Schema, schema_id: int, *, k_lane: bytes, lanes: int) -> None:
        self.product = schema.product
        self.organisation = organisation
        self.topic = topics.source(organisation, schema.product)
        self.quarantine = topics.quarantine(organisation, schema.product)
        self.source = f"/organisations/{organisation}"
        self._principal = schema.principal
        self._frame = wire_header(schema_id)
        self._encode = compile_encode(schema)
        self._check = compile_check(schema.root)
        self.paths = frozenset(paths_of(schema.root))
        self.optional = optional_paths(schema.root)
        self.mask = compile_mask(schema.root)
        self._walker = compile_walk(schema)
        self._recorded, self._after_recorded = self._walker.span("recordedAt")
        self._k_lane = k_lane
        self._lanes = lanes

    def state(self, change: Change) -> Statement:
        """The change as its topic carries it.

        Raises `PoisonRecord`: SCHEMA_MISMATCH, SUBJECT_MISSING, SUBJECT_INVALID, TOO_LARGE, and those of `schema.guard`
        and `schema.constraints`.
        """
        if change.value is None:
            return self._stated(_utf8(change.subject or "", self._principal), None, Kind.ENDED.value, ())
        value = self._frame + self._encode(change.value)
        self._check(change.value)
        if len(value) > _LARGEST:
            raise PoisonRecord("TOO_LARGE")
        offsets = self._walker.walk(value)
        kind = RECORD_KINDS[value[WIRE_HEADER_BYTES] >> 1]
        content: tuple[bytes, ...] = (value[WIRE_HEADER_BYTES:],)
        if kind is Kind.SNAPSHOT:
            # A situation that is stated again, at another instant, is the same situation.
            start, end = offsets[self._recorded], offsets[self._after_recorded]
            content = (value[WIRE_HEADER_BYTES:start], value[end:])
        return self._stated(self._walker.text(value, offsets, self._principal), value, kind.value, content)

    def departure(self, key: bytes) -> Statement:
        """The deletion of the subject with this Kafka key."""
        return Statement(key, lane_of(key, self._lanes), None, Kind.ENDED.value, ())

    def _stated(self, subject: bytes, value: bytes | None, kind: str, content: tuple[bytes, ...]) -> Statement:
        if not subject:
            raise PoisonRecord("SUBJECT_MISSING", self._principal)
        key = lane_key(self._k_lane, subject)
        return Statement(key, lane_of(key, self._lanes), value, kind, content)


def _utf8(subject: str, path: str) -> bytes:
    try:
        return subject.encode()
    except UnicodeEncodeError:
        pass
    raise PoisonRecord("SUBJECT_INVALID", path)
