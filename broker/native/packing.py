"""Deliveries and receipts of a batch, written at once; what does not depend on a record is written once per policy."""

from array import array
from collections.abc import Hashable, Sequence
from mmap import mmap
from typing import Any, NamedTuple

from broker.native.admission import Admitted
from broker.native.following import Followed
from broker.native.library import (
    NONE,
    Chunk,
    Constant,
    Core,
    Packing,
    Pseudonym,
    Recipe,
    filled,
    frame_of,
    key_of,
    place_of,
)
from broker.native.records import header_bytes, header_start
from broker.native.unpacking import TRACE_CHARACTERS, Columns
from broker.schema.avro import varint
from broker.schema.projection import Plain

MOST_PSEUDONYMS = 16
"""Of one agreement, at most, in a cut that is packed here."""

_HEX_CHARACTERS = 32
_VARYING = 3
"""Headers of a delivery that differ: its id, its time and its trace."""

Header = tuple[str, bytes]


class Cut(NamedTuple):
    """What a delivery's value is made of, and where it goes."""

    topic: str
    frame: bytes
    plain: Plain
    pseudonym_key: bytes | None


class Told(NamedTuple):
    """What one decision makes of a record under an agreement version with this key.

    `leaf` of the receipt: whole or, where it is `released`, all but the delivery id. `cut` None: nothing is packed of it.
    """

    key: bytes
    leaf: bytes
    released: bool
    cut: Cut | None = None
    first: bytes = b""
    """Headers before those that differ by delivery, behind the number of all."""
    last: bytes = b""
    valueless: bool = False


def headers(first: Sequence[Header], last: Sequence[Header]) -> tuple[bytes, bytes]:
    """Headers of a delivery as `Told` has them."""
    number = varint(len(first) + _VARYING + len(last))
    return number + b"".join(header_bytes(*each) for each in first), b"".join(header_bytes(*each) for each in last)


class Frame(NamedTuple):
    """What deliveries and receipts of one batch share."""

    topic: str
    lane: int
    run: int
    time: Header
    receipt_head: bytes
    k_ledger: bytes


class Packed(NamedTuple):
    """Records of one topic (None: receipts), behind room for a batch's header."""

    topic: str | None
    records: int
    room: memoryview


class Recipes:
    """What decisions make of records, numbered and written in the core's form; kept for as long as the policy is."""

    def __init__(self) -> None:
        self._numbers: dict[Hashable, int] = {}
        self._recipes: list[Recipe] = []
        self._spans = array("I")
        self._pseudonyms: list[Pseudonym] = []
        self._constants = bytearray()
        self._topics: dict[str, int] = {}
        self._written: tuple[Any, Any, bytes] = (None, None, b"")

    def known(self, name: Hashable) -> int | None:
        """Number under which a decision was added."""
        return self._numbers.get(name)

    def add(self, name: Hashable, told: Told) -> int:
        """Add what a decision makes; returns its number."""
        number = self._numbers[name] = len(self._recipes)
        recipe = Recipe(key=key_of(told.key), output=NONE, released=told.released, leaf=self._constant(told.leaf))
        if told.cut is not None:
            self._add_cut(recipe, told, told.cut)
        self._recipes.append(recipe)
        return number

    @property
    def outputs(self) -> Sequence[str | None]:
        """Topics by output; the first is that of receipts (None)."""
        return [None, *self._topics]

    def _add_cut(self, recipe: Recipe, told: Told, cut: Cut) -> None:
        recipe.frame = frame_of(cut.frame)
        recipe.output = self._topics.setdefault(cut.topic, len(self._topics) + 1)
        recipe.valueless = told.valueless
        recipe.spans, recipe.spans_count = len(self._spans) // 2, len(cut.plain.spans)
        self._spans.extend(point for span in cut.plain.spans for point in span)
        recipe.pseudonyms, recipe.pseudonyms_count = len(self._pseudonyms), len(cut.plain.pseudonyms)
        for slot, leaf in cut.plain.pseudonyms:
            key = key_of(cut.pseudonym_key or bytes(32))
            self._pseudonyms.append(Pseudonym(slot=slot, nullable=leaf.nullable, optional=leaf.optional, key=key))
        recipe.head, recipe.tail = self._constant(told.first), self._constant(told.last)

    def _constant(self, value: bytes) -> Constant:
        at = len(self._constants)
        self._constants += value
        return Constant(at, len(value))

    def written(self) -> tuple[Any, Any, bytes]:
        """Recipes, pseudonyms and constants, each in one piece."""
        if len(self._constants) != len(self._written[2]) or self._written[0] is None:
            recipes, derived = self._recipes, self._pseudonyms
            self._written = (
                (Recipe * len(recipes))(*recipes),
                (Pseudonym * len(derived))(*derived),
                bytes(self._constants),
            )
        return self._written

    @property
    def spans(self) -> "array[int]":
        """First and last cut point of every stretch."""
        return self._spans


def pack(
    core: Core,
    batch: Columns,
    admitted: Admitted,
    followed: Followed,
    recipes: Recipes,
    of_groups: Sequence[Sequence[int]],
    frame: Frame,
    most_batch: int,
) -> Sequence[Packed]:
    """Deliveries and receipts of every record by its group's recipes, in batches of `most_batch` bytes at most."""
    ends, numbers = array("I"), array("I")
    for each in of_groups:
        numbers.extend(each)
        ends.append(len(numbers))
    written, derived, constants = recipes.written()
    shared = bytearray()

    def constant(value: bytes) -> Constant:
        at = len(shared)
        shared.extend(value)
        return Constant(at, len(value))

    packing = filled(
        Packing,
        admission=admitted.structure,
        offsets=batch.offsets,
        traces=batch.traces,
        groups=followed.of,
        recipe_ends=ends,
        recipe_of=numbers,
        recipes=written,
        recipes_count=len(written),
        spans=recipes.spans,
        pseudonyms=derived,
        pseudonyms_count=len(derived),
        constants=constants,
        id_header=constant(header_start("ce_id", _HEX_CHARACTERS)),
        time_header=constant(header_bytes(*frame.time)),
        trace_header=constant(header_start("traceparent", TRACE_CHARACTERS)),
        place_head=constant(b"%d/" % frame.lane),
        place_tail=constant(b"/%d/%b" % (frame.run, frame.topic.encode())),
        receipt_head=constant(frame.receipt_head),
        batch=shared,
        k_ledger=key_of(frame.k_ledger),
        outputs_count=len(recipes.outputs),
        most_batch=most_batch,
    )
    room = mmap(-1, max(1, core.bound(packing)))  # no page of it is touched before it is written
    chunks = (Chunk * packing.chunks_count)()
    packing.room, packing.room_bytes, packing.chunks = place_of(room), len(room), place_of(chunks)
    outputs, whole = recipes.outputs, memoryview(room)
    found = core.pack(packing)
    return [Packed(outputs[each.output], each.records, whole[each.begin : each.end]) for each in chunks[:found]]
