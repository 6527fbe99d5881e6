"""What is there in a record is counted by path, the same as a naive reading of its value would."""

from collections.abc import Iterator, Mapping
from random import Random
from typing import Any

import pytest

from adapters.presence import MOST_RECORDS, Masks, Presence, compile_mask, optional_paths
from broker.schema.samples import drawn
from tests.unit.adapters.conftest import PRODUCTS
from tests.unit.adapters.wiring import schema, works


def there(value: Any, path: str = "") -> Iterator[str]:
    """Paths of the scalars and lists of scalars in a value, read without a schema."""
    for name, member in value.items():
        below = f"{path}.{name}" if path else name
        if isinstance(member, Mapping):
            yield from there(member, below)
        elif isinstance(member, list | tuple) and any(isinstance(item, Mapping) for item in member):
            for item in member:
                yield from there(item, below)
        elif member is not None and member not in ([], ()):
            yield below


def told(product: str, value: Mapping[str, Any]) -> set[str]:
    root = schema(product).root
    mask = compile_mask(root)(value)
    return {path for number, path in enumerate(optional_paths(root)) if mask >> number & 1}


def test_what_is_there_in_a_record() -> None:
    hinder = schema("hinder.v1").root
    paths = optional_paths(hinder)
    assert len(paths) == len(set(paths))
    assert not {"kind", "recordedAt", "identificator"} & set(paths), "what every record has tells nothing"
    assert told("hinder.v1", works(1).value) == {"omschrijving"}
    value = works(1, perioden=[{"begin": None, "einde": None}, {"begin": "2026", "einde": None}]).value
    assert told("hinder.v1", value) == {"omschrijving", "perioden.begin"}


@pytest.mark.parametrize("product", PRODUCTS)
def test_the_mask_of_any_record_is_what_its_value_shows(product: str) -> None:
    draw, optional = Random(product), set(optional_paths(schema(product).root))
    for _ in range(25):
        value = drawn(schema(product), draw)
        assert told(product, value) == optional & set(there(value))


def test_shares_and_how_long_ago() -> None:
    some, none = Masks(), Masks()
    for mask in (0b01, 0b11, 0b01, 0b00):
        some.add(mask)
    for _ in range(3):
        none.add(0b10)
    first = Presence.none(2).plus(some)
    assert (first.records, first.present, first.absent) == (4, (3, 1), (1, 2))
    second = first.plus(none)
    assert (second.records, second.present, second.absent) == (7, (3, 4), (4, 0))
    assert second.share(0) == pytest.approx(3 / 7)
    assert Presence.none(1).share(0) == 0


def test_however_records_are_divided_over_transactions_the_counts_are_the_same() -> None:
    draw = Random(5)
    masks = [draw.getrandbits(6) & draw.getrandbits(6) for _ in range(500)]
    found = Presence.none(6)
    start = 0
    while start < len(masks):
        end = start + draw.randrange(1, 60)
        part = Masks()
        for mask in masks[start:end]:
            part.add(mask)
        found, start = found.plus(part), end
    assert found.records == 500
    for number in range(6):
        has = [mask >> number & 1 for mask in masks]
        assert found.present[number] == sum(has)
        assert found.absent[number] == (has[::-1].index(1) if 1 in has else 500)


def test_a_long_history_is_forgotten_by_halves() -> None:
    many = Masks()
    for _ in range(MOST_RECORDS):
        many.add(1)
    other = Masks()
    other.add(0)
    found = Presence.none(1).plus(many).plus(other)
    assert found.records <= MOST_RECORDS // 2 + 1
    assert found.share(0) == pytest.approx(1, abs=0.01)
