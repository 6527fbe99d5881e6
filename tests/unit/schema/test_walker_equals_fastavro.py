"""Over generated schemas and records: the guard accepts what fastavro writes, cuts it at its leaves, and nothing else.

One example is a schema with a batch of records. At the default profile the three tests see 8,000 records, 8,000
projections of records and 20,000 mutated values; `--hypothesis-profile=thorough` multiplies each by 20.
"""

import json
from array import array
from collections.abc import Callable
from functools import partial
from itertools import accumulate, pairwise
from typing import Any, NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from broker.errors import PoisonRecord
from broker.model.agreement import ReleasedField, Transform
from broker.model.keyed import lane_key
from broker.native.admission import Verdict, admit, door
from broker.native.library import core
from broker.native.unpacking import Columns
from broker.schema.avro import Schema
from broker.schema.guard import Walker, compile_select, compile_walk
from broker.schema.inspection import inspect
from broker.schema.projection import compile_projection
from broker.schema.reference import decode, encode, project, value_at
from broker.schema.types import Array, Enumeration, Fixed, Nullable, Primitive, SlotKind, Type

FRAME = b"\x00\x00\x00\x00\xff"
KEY = bytes(range(32))
RECORDS, MUTATIONS = 40, 100


class Refusal(NamedTuple):
    reason: str
    path: str


REASONS = {
    "FRAME_MALFORMED",
    "TRUNCATED",
    "TRAILING_BYTES",
    "VARINT_MALFORMED",
    "NUMBER_RANGE",
    "NUMBER_NOT_FINITE",
    "BOOLEAN_RANGE",
    "UNION_RANGE",
    "ENUM_RANGE",
    "LENGTH_RANGE",
    "UTF8_INVALID",
    "ARRAY_COUNT",
    "ARRAY_BLOCKS",
}


def generated(test: Callable[..., None]) -> Callable[..., None]:
    """Twice the profile's examples, 200 by default: a schema and its records are one example."""
    cases = given(seed=st.integers(0, 2**64 - 1), size=st.integers(1, 9))
    return settings(deadline=None, max_examples=2 * settings.default.max_examples)(cases(test))


def as_json(type_: Type, written: set[str]) -> Any:  # noqa: PLR0911 - one per type
    match type_:
        case Nullable(inner=inner):
            return ["null", as_json(inner, written)]
        case Array(items=items):
            return {"type": "array", "items": as_json(items, written)}
        case Primitive(name=name, logical=logical):
            return {"type": name, **({"logicalType": logical} if logical else {})}
    if type_.fullname in written:
        return type_.fullname
    written.add(type_.fullname)
    match type_:
        case Enumeration(fullname=name, symbols=symbols):
            return {"type": "enum", "name": name, "symbols": list(symbols)}
        case Fixed(fullname=name, size=size):
            return {"type": "fixed", "name": name, "size": size}
        case record:
            members = [{"name": m.name, "type": as_json(m.type, written)} for m in record.fields]
            return {"type": "record", "name": record.fullname, "fields": members}


def expected_spans(walker: Walker, record: Any) -> list[bytes]:
    """What fastavro writes for each slot alone."""
    found = []
    for slot in walker.slots:
        parents = slot.path.split(".")[:-1]
        above = value_at(record, ".".join(parents)) if parents else record
        value = value_at(record, slot.path)
        if above is None:
            found.append(b"")
        elif slot.kind is SlotKind.BRANCH:
            found.append(b"\x00" if value is None else b"\x02")
        else:
            found.append(_alone(slot.type, value))
    return found


def _alone(type_: Type, value: Any) -> bytes:
    members = [{"name": "value", "type": as_json(type_, set())}]
    return encode(json.dumps({"type": "record", "name": "Alone", "fields": members}), {"value": value})


@generated
def test_the_guard_accepts_what_fastavro_writes_and_cuts_it_at_its_leaves(dice: Any, seed: int, size: int) -> None:
    drawn = dice(seed, size)
    schema: Schema = drawn.schema()
    walker = compile_walk(schema)
    single = [leaf.path for leaf in schema.fields.values() if not leaf.repeated]
    select = compile_select(walker, single)
    for number in range(RECORDS):
        record = drawn.record(json.loads(schema.text))
        value = FRAME + encode(schema.text, record)
        offsets = walker.walk(value)
        assert offsets == inspect(schema.root, value)
        assert walker.text(value, offsets, "insz") == record["insz"].encode()
        if number < 5:  # one leaf at a time is slow
            cut = [value[start:end] for start, end in pairwise(offsets)]
            assert cut == expected_spans(walker, record)
            by_path = dict(zip((slot.path for slot in walker.slots), cut, strict=True))
            assert select(value, offsets) == tuple(by_path[path] for path in single)


@generated
def test_a_projection_is_what_decoding_pruning_and_encoding_gives(dice: Any, seed: int, size: int) -> None:
    drawn = dice(seed, size)
    schema: Schema = drawn.schema()
    walker = compile_walk(schema)
    values = []
    for _ in range(RECORDS // 5):
        value = FRAME + encode(schema.text, drawn.record(json.loads(schema.text)))
        values.append((value, walker.walk(value)))
    for _ in range(5):
        fields = released(drawn.random, schema)
        projection = compile_projection(schema, fields, pseudonym_key=KEY)
        for value, offsets in values:
            reference = drawn.random.choice((None, "", "DOS-1", "é" * 70))
            on = drawn.random.choice(("2026-05-17", "2026-05-16", "2009-01-01"))
            expected = project(
                schema, projection.egress, fields, value[5:], on=on, reference=reference, pseudonym_key=KEY
            )
            assert projection.cut(value, offsets, on, reference) == expected


ARGUMENTS = {
    Transform.BAND: (("0",), ("18",), ("1", "2", "64"), ("17", "18", "19", "25")),
    Transform.AGE: (("0",), ("18",), ("150",)),
    Transform.LIVES_IN: (("44021",), ("44021", "90000")),
}


def released(random: Any, schema: Schema) -> list[ReleasedField]:
    leaves = list(schema.fields.values())
    share = random.choice((0.0, 0.1, 0.5, 0.9, 1.0))
    fields = [ReleasedField(leaf.path, Transform.KEEP, "") for leaf in leaves if random.random() < share]
    single = [leaf for leaf in leaves if not leaf.repeated and not leaf.logical]
    texts = [leaf.path for leaf in single if leaf.type == "string"]
    numbers = [leaf.path for leaf in single if leaf.type in {"int", "long"}] or texts
    own = ReleasedField(schema.principal, Transform.OWN_REFERENCE, "", "own")
    if not fields and random.random() < 0.5:
        notification = ReleasedField(schema.principal, Transform.NOTIFY_ONLY, "")
        return random.choice(([notification], [own, notification]))
    names = [transform for transform in Transform if transform not in {Transform.KEEP, Transform.NOTIFY_ONLY}]
    for number, transform in enumerate(random.sample(names, random.randint(0 if fields else 1, 5))):
        path = random.choice(numbers if transform is Transform.BAND and random.random() < 0.5 else texts)
        arguments = random.choice(ARGUMENTS.get(transform, ((),)))
        fields.append(ReleasedField(path, transform, "", f"derived{number}", arguments))
    random.shuffle(fields)
    return fields


@generated
def test_the_native_core_takes_what_the_guard_takes_at_the_same_cut_points(dice: Any, seed: int, size: int) -> None:
    drawn = dice(seed, size)
    schema: Schema = drawn.schema()
    walker = compile_walk(schema)
    values = [FRAME + encode(schema.text, drawn.record(json.loads(schema.text))) for _ in range(RECORDS)]
    values += [mutate(drawn.random, value) for value in values]
    found = [outcome(walker.walk, value) for value in values]
    surely = [None if isinstance(each, Refusal) else each for each in found]
    assert natively(schema, walker, values, surely) == surely


def natively(schema: Schema, walker: Walker, values: list[bytes], right: list[Any]) -> list[Any]:
    """Cut points by the native core of what it is sure of, with the keys that those which are `right` need."""
    native = core()
    assert native is not None
    texts = [
        b"" if each is None else walker.text(value, each, "insz") for value, each in zip(values, right, strict=True)
    ]
    keys = bytearray(b"".join(lane_key(KEY, text) for text in texts))
    number, ends = len(values), list(accumulate(map(len, values)))
    begins, data = array("Q", [0, *ends[:-1]]), b"".join(values)
    columns = Columns(
        data=data,
        keys=keys,
        begins=bytearray(begins.tobytes()),
        ends=bytearray(array("Q", ends).tobytes()),
        verdicts=bytearray(number),
        traces=bytearray(),
        offsets=bytearray(8 * number),
        records=number,
    )
    through = door(schema, walker, FRAME, None, (), (), lane=0, lanes=1, k_lane=KEY)
    admitted = admit(native, through, columns)
    said = [Verdict(each) for each in columns.verdicts]
    return [admitted.offsets(each) if said[each] is Verdict.VALUE else None for each in range(number)]


@generated
def test_mutated_bytes_are_refused_or_are_canonical(dice: Any, seed: int, size: int) -> None:
    drawn = dice(seed, size)
    schema: Schema = drawn.schema()
    walker = compile_walk(schema)
    names = [path.split(".") for path in schema.fields]
    paths = {".".join(parts[:length]) for parts in names for length in range(len(parts) + 1)}
    for number in range(MUTATIONS):
        if number % 20 == 0:
            value = FRAME + encode(schema.text, drawn.record(json.loads(schema.text)))
        mutated = mutate(drawn.random, value)
        found = outcome(walker.walk, mutated)
        assert found == outcome(partial(inspect, schema.root), mutated)
        if isinstance(found, Refusal):
            assert found.reason in REASONS
            assert found.path in paths
        else:
            assert encode(schema.text, decode(schema.text, mutated[5:])) == mutated[5:]


def outcome(walk: Callable[[bytes], Any], value: bytes) -> Any:
    try:
        return walk(value)
    except PoisonRecord as poison:
        return Refusal(poison.reason, poison.path)


def mutate(random: Any, value: bytes) -> bytes:
    mutated = bytearray(value)
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        at = random.randrange(5, len(mutated) + 1) if len(mutated) > 5 else 5
        match random.randrange(6):
            case 0:
                del mutated[at:]
            case 1:
                mutated[at:at] = random.randbytes(random.choice((1, 1, 2, 9)))
            case 2:
                del mutated[at : at + random.choice((1, 1, 2, 9))]
            case 3:
                mutated[at : at + 1] = bytes([random.choice((0, 1, 2, 3, 7, 0x7F, 0x80, 0xC3, 0xFF))])
            case 4:
                mutated[at : at + 1] = bytes([mutated[at] ^ 1 << random.randrange(8)]) if at < len(mutated) else b""
            case _:
                mutated[at : at + 1] = random.choice((b"\x80\x00", b"\xff" * 9 + b"\x01", b"\x80" * 10 + b"\x01"))
    return bytes(mutated)
