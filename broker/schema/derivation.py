"""Derived values: from the encoded bytes of one leaf to the encoded bytes of what stands for it.

`broker.schema.reference.transformed` is the specification; a property test holds the two equal.
"""

from bisect import bisect_right
from collections.abc import Callable, Mapping
from typing import NoReturn

from broker.errors import Invalid, NotYetKnown
from broker.model.agreement import ReleasedField, Transform
from broker.model.keyed import pseudonyms
from broker.schema import dates
from broker.schema.avro import Field, varint
from broker.schema.fit import NUMBERS
from broker.schema.leaf_values import number_of, text_of

_NULL, _FALSE, _TRUE = b"\x00", b"\x02\x00", b"\x02\x01"
_ANSWERS = {None: _NULL, False: _FALSE, True: _TRUE}
_PSEUDONYM_LENGTH = varint(32)

Derive = Callable[[bytes, str, str | None], bytes]
"""Encoded source leaf, day (ISO), own reference → encoded derived value."""

Maker = Callable[[ReleasedField, Field], Derive]


def derivation(released: ReleasedField, leaf: Field, pseudonym_key: bytes | None) -> Derive:
    """The function behind one derived field, whose transform and arguments fit the leaf (`broker.schema.fit`).

    Raises `Invalid` for a band of a leaf that is neither text nor a plain number.
    """
    maker = _MAKERS.get(released.transform)
    return _pseudonym(leaf, pseudonym_key) if maker is None else maker(released, leaf)


def _own_reference(_released: ReleasedField, _leaf: Field) -> Derive:
    def derive(_raw: bytes, _on: str, reference: str | None) -> bytes:
        return _NULL if reference is None else b"\x02" + _string(reference)

    return derive


def _string(text: str) -> bytes:
    raw = text.encode()
    return varint(len(raw)) + raw


def _number(find: Callable[[str], int | None]) -> Maker:
    def make(_released: ReleasedField, leaf: Field) -> Derive:
        text = text_of(leaf)

        def derive(raw: bytes, _on: str, _reference: str | None) -> bytes:
            written = text(raw)
            found = None if written is None else find(written.decode())
            return _NULL if found is None else b"\x02" + varint(found)

        return derive

    return make


def _aged(released: ReleasedField, leaf: Field) -> Derive:
    text, years = text_of(leaf), int(released.arguments[0]) if released.arguments else dates.MAJORITY_YEARS

    def derive(raw: bytes, on: str, _reference: str | None) -> bytes:
        born = text(raw)
        return _NULL if born is None else _ANSWERS[dates.aged(born.decode(), years, on)]

    return derive


def _lives_in(released: ReleasedField, leaf: Field) -> Derive:
    text, wanted = text_of(leaf), frozenset(code.encode() for code in released.arguments)

    def derive(raw: bytes, _on: str, _reference: str | None) -> bytes:
        code = text(raw)
        return _NULL if code is None else _ANSWERS[code in wanted]

    return derive


def _band(released: ReleasedField, leaf: Field) -> Derive:
    bounds = tuple(map(int, released.arguments))
    if leaf.logical:
        raise Invalid(f"{leaf.path}: band needs a date of birth as text, or a whole number, not a {leaf.logical}")
    return _number_band(leaf, bounds) if leaf.type in NUMBERS else _age_band(leaf, bounds)


def _age_band(leaf: Field, bounds: tuple[int, ...]) -> Derive:
    text = text_of(leaf)
    encoded = {None: _NULL} | {label: b"\x02" + _string(label) for label in dates.band_labels(bounds)}

    def derive(raw: bytes, on: str, _reference: str | None) -> bytes:
        born = text(raw)
        return _NULL if born is None else encoded[dates.age_band(born.decode(), bounds, on)]

    return derive


def _number_band(leaf: Field, bounds: tuple[int, ...]) -> Derive:
    number, encoded = number_of(leaf), [b"\x02" + _string(label) for label in dates.band_labels(bounds)]

    def derive(raw: bytes, _on: str, _reference: str | None) -> bytes:
        found = number(raw)
        return _NULL if found is None else encoded[bisect_right(bounds, found)]

    return derive


def _pseudonym(leaf: Field, key: bytes | None) -> Derive:
    text = text_of(leaf)
    head = b"\x02" + _PSEUDONYM_LENGTH if leaf.optional else _PSEUDONYM_LENGTH
    pseudonym = _no_key if key is None else pseudonyms(key)

    def derive(raw: bytes, _on: str, _reference: str | None) -> bytes:
        identifier = text(raw)
        return _NULL if identifier is None else head + pseudonym(identifier)

    return derive


def _no_key(_identifier: bytes) -> NoReturn:
    raise NotYetKnown("no pseudonym key for this agency and purpose")


_MAKERS: Mapping[Transform, Maker] = {
    Transform.OWN_REFERENCE: _own_reference,
    Transform.YEAR: _number(dates.year),
    Transform.DECADE: _number(dates.decade),
    Transform.ADULT: _aged,
    Transform.AGE: _aged,
    Transform.LIVES_IN: _lives_in,
    Transform.BAND: _band,
}
