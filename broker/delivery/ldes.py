"""Reads a delivery topic page by page for its Linked Data Event Stream (`broker.delivery.tree`), without a store of its own."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from broker.delivery import linked
from broker.delivery.linked import Iris
from broker.delivery.pull import Slice
from broker.delivery.streams import Egress, Message, Stream, item
from broker.delivery.tree import OFFSETS, first_offset
from broker.errors import Invalid, KafkaUnavailable, NotFound, PositionExpired
from broker.model.control_state import ControlState
from broker.model.lifecycle import AgreementEntry
from broker.model.record import schema_id_of
from broker.schema.avro import load_schema
from broker.schema.linked_terms import Json, NodeType, node_type

_AT_ONCE = 1000
_SCAN_S = 20.0


class Reader(Protocol):
    """Reader of delivery topics."""

    async def read(self, topic: str, position: int | None, *, limit: int, wait_s: float) -> Slice:
        """Committed records from `position` on (None: the oldest retained); raises `PositionExpired` or `Invalid`."""

    async def head(self, topic: str) -> int:
        """Position after the last committed record."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """The records of a page that are retained. `closed`: nothing will be added; `whole`: nothing has expired."""

    messages: tuple[Message, ...]
    closed: bool
    whole: bool


async def stretch(reader: Reader, topic: str, page: int) -> Stretch:
    """The page's records; raises `PositionExpired` where none is retained, `NotFound` for a page that has not begun."""
    position, end, whole = first_offset(page), first_offset(page + 1), True
    found: list[Message] = []
    while position < end:
        try:
            read = await reader.read(topic, position, limit=OFFSETS, wait_s=0)
        except Invalid:
            raise _not_begun() from None
        except PositionExpired:
            position, whole = await first_retained(reader, topic), False
            if position >= end:
                raise expired("the members of this page") from None
            continue
        found += (message for message in read.messages if message.offset < end)
        if read.position == position:
            break
        position = read.position
    if not found and position == first_offset(page) > await reader.head(topic):
        raise _not_begun()  # Kafka's own refusal can come later than we wait for it
    return Stretch(tuple(found), closed=position >= end, whole=whole)


async def first_retained(reader: Reader, topic: str) -> int:
    """Offset of the oldest record that is retained, or of the next one where there is none."""
    read = await reader.read(topic, None, limit=1, wait_s=0)
    return read.messages[0].offset if read.messages else read.position


async def find(reader: Reader, topic: str, delivery: str, page: int | None) -> Message:
    """The delivery with this id, on one page if that is known; raises `PositionExpired` where it is not retained.

    Raises `KafkaUnavailable` where the stream cannot be looked through within 20 s.
    """
    try:
        async with asyncio.timeout(_SCAN_S):
            if page is not None:
                found = _with_id((await stretch(reader, topic, page)).messages, delivery)
            else:
                found = await _anywhere(reader, topic, delivery)
    except TimeoutError:
        raise KafkaUnavailable("the stream is too long to look through: name the page") from None
    if found is None:
        raise expired("this member, unless it never was one,")
    return found


def expired(what: str) -> PositionExpired:
    """What a follower is told who asks for what is gone; a page that is gone counts as empty (LDES 1.0 §3.3)."""
    return PositionExpired(
        f"{what} are no longer retained: start again at the root of this stream for what is, and ask for a "
        "replay of what was missed"
    )


def is_open(state: ControlState, agreement: str) -> bool:
    """Whether anyone may keep what this stream ever showed: public fields as they are, of things, of no agency's choice."""
    ever = [entry for entry in state.versions_of(agreement).values() if entry.activated_at is not None]
    return bool(ever) and all(_is_open(state, entry) for entry in ever)


def type_in_force(state: ControlState, agreement: str, base: str) -> NodeType | None:
    """What the version in force delivers."""
    known = state.schemas.get(state.agreements[agreement].egress_schema_id or 0)
    return None if known is None else node_type(known.text, base)


def members(
    messages: tuple[Message, ...], stream: Stream, state: ControlState, egress: Egress, base: str
) -> Iterator[tuple[NodeType | None, Json]]:
    """Each record about a subject as a member, a delivery that was repeated once; raises `NotYetKnown`."""
    iris, seen = Iris(base, stream.agreement), set[str]()
    for message in messages:
        delivery = message.text("ce_id")
        if message.is_life_cycle or delivery in seen:
            continue
        seen.add(delivery)
        data = egress.decode(message.value, state.schemas) if message.value else None
        type_ = node_type(state.schemas[schema_id_of(message.value) or 0].text, base) if message.value else None
        shown = item(stream, message, data) | {"sequence": message.offset}
        del shown["cursor"]
        yield type_, linked.member(shown, iris, type_)


def _not_begun() -> NotFound:
    return NotFound("the stream has no such page yet")


async def _anywhere(reader: Reader, topic: str, delivery: str) -> Message | None:
    position: int | None = None
    while True:
        read = await reader.read(topic, position, limit=_AT_ONCE, wait_s=0)
        if (found := _with_id(read.messages, delivery)) is not None or read.position == position:
            return found
        position = read.position


def _with_id(messages: tuple[Message, ...], delivery: str) -> Message | None:
    return next((message for message in messages if message.text("ce_id") == delivery), None)


def _is_open(state: ControlState, entry: AgreementEntry) -> bool:
    egress = state.schemas.get(entry.egress_schema_id or 0)
    product = state.products.get((entry.source, entry.document["product"]))
    if egress is None or product is None:
        return False
    population = entry.document["population"]
    chosen = population.get("dossiers") or population.get("consent")
    about_person = load_schema(state.schemas[product.schema_id].text).about_person
    return node_type(egress.text, "urn:").open and not chosen and not about_person
