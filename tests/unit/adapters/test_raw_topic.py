"""Raw topics through a mapping: Debezium's changes as its documentation has them, plain JSON, and what is neither."""

import json
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from adapters.change_row import ChangeRow
from adapters.mapped import build, load_mapping
from adapters.mapping_errors import MappingRefused
from adapters.raw_cursor import Cursor
from adapters.raw_topic import RawTopic
from adapters.raw_values import UNAVAILABLE, Unreadable, decoded
from adapters.sdk import Broken, Change, Ignored
from broker.errors import Invalid, PoisonRecord
from broker.model.raw_messages import RawGap, RawMessage
from tests.unit.adapters.wiring import schema

MAPPING = """\
adapter: given
product: hinder.v1
organisation: gipod
source: {kind: raw, name: werken, form: %s%s}
id: nummer
recordedAt: "%s"
%s
fields:
  identificator: {template: "https://gent.example/id/{nummer}"}
  versie: {template: "https://gent.example/id/{nummer}/1"}
  omschrijving: tekst
  contactorganisaties: {const: []}
  perioden: {const: []}
  zones: {const: []}
  oorzaken: {const: []}
"""
AT_MS = 1_767_225_600_000
"""2026-01-01T00:00:00Z."""


@dataclass
class Log:
    """A topic in memory; what lies before `first` is gone."""

    values: Sequence[Any]
    first: int = 0

    async def read(self, start: int | None) -> AsyncGenerator[RawMessage | RawGap, None]:
        position = self.first if start is None else start
        if not self.first <= position <= len(self.values):
            position = self.first
            yield RawGap(position)
        for number in range(position, len(self.values)):
            value = self.values[number]
            told = value if value is None or isinstance(value, bytes) else json.dumps(value).encode()
            yield RawMessage(number, told, AT_MS, number + 1)


Over = Callable[..., RawTopic]


@pytest.fixture
def over(tmp_path: Path) -> Over:
    def made(log: Log, form: str = "debezium", words: str = "", beside: str = "") -> RawTopic:
        at = "@committed" if form == "debezium" else "@received"
        file = tmp_path / "mapping.yaml"
        file.write_text(MAPPING % (form, f", {words}" if words else "", at, beside))
        adapter = build(load_mapping(file, schema), None)
        assert isinstance(adapter, RawTopic)
        return adapter.over(log)

    return made


def change(op: str, row: Any, lsn: int = 100, commit: int | None = 90, **source: Any) -> dict[str, Any]:
    """A change as Debezium's connector for PostgreSQL writes it, without a schema."""
    place = {
        "version": "3.3.1.Final",
        "connector": "postgresql",
        "name": "gipod.werken",
        "ts_ms": AT_MS,
        "snapshot": "false",
        "db": "werken",
        "sequence": json.dumps([None if commit is None else str(commit), str(lsn)]),
        "schema": "public",
        "table": "werken",
        "txId": 555,
        "lsn": lsn,
        "xmin": None,
    }
    told = {"before": row, "after": None} if op == "d" else {"before": None, "after": row}
    return {**told, "source": place | source, "transaction": None, "op": op, "ts_ms": AT_MS + 50}


def row(number: int = 1, text: Any = "werken") -> dict[str, Any]:
    return {"nummer": number, "tekst": text}


def told(found: list[tuple[Any, str]]) -> list[tuple[str, str]]:
    """What became of each message: the number of a row and its text, or a code and a path."""

    def one(item: Any) -> tuple[str, str]:
        match item:
            case Change(value=None):
                return item.source_id, "-"
            case Change():
                return item.source_id, item.value["omschrijving"]
            case Ignored():
                return item.reason, "ignored"
            case _:
                return item.reason, item.path

    return [one(item) for item, _ in found]


async def test_a_row_is_what_it_is_after_its_change_and_gone_after_its_deletion(drain, over) -> None:
    steps = [change("c", row(1, "a"), 1), change("u", row(1, "b"), 2), change("d", row(1, "b"), 3)]
    found = await drain(over(Log([change("r", row(2), snapshot="last"), *steps])))
    assert told(found) == [("2", "werken"), ("1", "a"), ("1", "b"), ("1", "-")]
    assert [item.subject for item, _ in found[3:]] == ["https://gent.example/id/1"]
    assert found[0][0].value["recordedAt"] == "2026-01-01T00:00:00Z"


async def test_a_mapping_may_look_at_what_was_done(drain, over) -> None:
    kind = 'kind: {from: "@op", codes: {c: added, u: changed, r: snapshot}}'
    found = await drain(
        over(Log([change("r", row(), snapshot="last"), change("u", row(), 2), change("c", row(2), 3)]), beside=kind)
    )
    assert [item.value["kind"] for item, _ in found] == ["snapshot", "changed", "added"]


@pytest.mark.parametrize(
    ("value", "becomes"),
    [
        (None, ("TOMBSTONE", "ignored")),
        ({"ts_ms": AT_MS}, ("HEARTBEAT", "ignored")),
        (change("m", None), ("NOT_A_ROW", "ignored")),
        (change("t", None), ("TABLE_TRUNCATED", "")),
        (change("d", None), ("BEFORE_MISSING", "")),
        (change("u", None), ("ENVELOPE_INVALID", "")),
        (change("x", row()), ("ENVELOPE_INVALID", "")),
        (change("c", [1]), ("ENVELOPE_INVALID", "")),
        ({"schema": None, "payload": None}, ("ENVELOPE_INVALID", "")),
        ({"nummer": 1, "tekst": "a"}, ("ENVELOPE_INVALID", "")),
        ([1], ("ENVELOPE_INVALID", "")),
        (change("c", row(), name=None, ts_ms=None), ("FIELD_MISSING", "recordedAt")),
        (change("c", {"tekst": "a"}), ("ID_MISSING", "id")),
        (change("d", {"nummer": None, "tekst": ""}), ("ID_MISSING", "id")),
        (b"{", ("JSON_MALFORMED", "")),
        (b'{"op": NaN}', ("JSON_MALFORMED", "")),
        (b"\xff", ("ENCODING_WRONG", "")),
        (b"[" * 4_000, ("JSON_TOO_DEEP", "")),
        ([[[[[[[1]]]]]]], ("JSON_TOO_DEEP", "")),
        (b" " * 5_001, ("DOCUMENT_TOO_LARGE", "")),
    ],
)
async def test_what_is_no_row_is_ignored_or_broken_with_a_code(drain, over, value, becomes) -> None:
    reader = over(Log([value, change("c", row(9))]), words="most_bytes: 5000, most_depth: 4")
    assert told(await drain(reader)) == [becomes, ("9", "werken")]


@pytest.mark.parametrize("word", [UNAVAILABLE, [UNAVAILABLE], list(UNAVAILABLE.encode()), {UNAVAILABLE: UNAVAILABLE}])
async def test_a_column_that_is_not_told_is_never_taken_for_a_value(drain, over, word) -> None:
    unread = row() | {"plan": word}
    update = change("u", row(1, word))
    known = {**change("u", row(1, word), 101), "before": row(1, "oud")}
    assert told(await drain(over(Log([change("c", unread), update, known])))) == [
        ("1", "werken"),  # nobody asks for the column
        ("COLUMN_UNCHANGED", "tekst"),
        ("1", "oud"),
    ]


def typed(kind: str, name: str | None = None, **more: Any) -> dict[str, Any]:
    return {"type": kind, "name": name, **more} if name else {"type": kind, **more}


DAY, MICROS = 20_454, 1_767_254_399_123_456
STRUCT = typed("struct", fields=[{"field": "dag", **typed("int32", "io.debezium.time.Date")}])


@pytest.mark.parametrize(
    ("value", "type_", "read"),
    [
        (DAY, typed("int32", "io.debezium.time.Date"), "2026-01-01"),
        (-719_162, typed("int32", "io.debezium.time.Date"), "0001-01-01"),
        (DAY, typed("int32", "org.apache.kafka.connect.data.Date"), "2026-01-01"),
        (MICROS, typed("int64", "io.debezium.time.MicroTimestamp"), "2026-01-01T07:59:59.123456"),
        (MICROS * 1000 + 999, typed("int64", "io.debezium.time.NanoTimestamp"), "2026-01-01T07:59:59.123456"),
        (MICROS // 1000, typed("int64", "io.debezium.time.Timestamp"), "2026-01-01T07:59:59.123000"),
        (-1, typed("int64", "org.apache.kafka.connect.data.Timestamp"), "1969-12-31T23:59:59.999000"),
        (8 * 3_600_000_000, typed("int64", "io.debezium.time.MicroTime"), "08:00:00"),
        ("2026-01-01T08:00:00Z", typed("string", "io.debezium.time.IsoTimestamp"), "2026-01-01T08:00:00"),
        ("2026-01-01T08:00:00Z", typed("string", "io.debezium.time.ZonedTimestamp"), "2026-01-01T08:00:00Z"),
        ("MDk=", typed("bytes", "org.apache.kafka.connect.data.Decimal", parameters={"scale": "2"}), "123.45"),
        ("/w==", typed("bytes", "org.apache.kafka.connect.data.Decimal", parameters={"scale": "0"}), "-1"),
        ({"scale": 3, "value": "MDk="}, typed("struct", "io.debezium.data.VariableScaleDecimal"), "12.345"),
        ({"scale": -2, "value": "AQ=="}, typed("struct", "io.debezium.data.VariableScaleDecimal"), "100"),
        ('{"a": [1]}', typed("string", "io.debezium.data.Json"), {"a": [1]}),
        ([DAY], typed("array", items=typed("int32", "io.debezium.time.Date")), ["2026-01-01"]),
        ({"dag": DAY}, STRUCT, {"dag": "2026-01-01"}),
        (None, typed("int32", "io.debezium.time.Date"), None),
        ("12.50", typed("string"), "12.50"),
        (DAY, None, DAY),
    ],
)
def test_a_value_is_what_its_schema_says(value, type_, read) -> None:
    assert decoded(value, type_) == read


@pytest.mark.parametrize(
    ("value", "type_", "reason"),
    [
        (2**31, typed("int32", "io.debezium.time.Date"), "DATE_INVALID"),
        (2**63 - 1, typed("int64", "io.debezium.time.MicroTimestamp"), "DATE_INVALID"),
        ("morgen", typed("int32", "io.debezium.time.Date"), "VALUE_INVALID"),
        ("??", typed("bytes", "org.apache.kafka.connect.data.Decimal", parameters={"scale": "2"}), "VALUE_INVALID"),
        ("MDk=", typed("bytes", "org.apache.kafka.connect.data.Decimal"), "VALUE_INVALID"),
        ({"scale": 10**9, "value": "AQ=="}, typed("struct", "io.debezium.data.VariableScaleDecimal"), "NUMBER_INVALID"),
        ("{", typed("string", "io.debezium.data.Json"), "JSON_MALFORMED"),
        ([UNAVAILABLE, 1], None, "COLUMN_UNCHANGED"),
    ],
)
def test_a_value_that_its_schema_does_not_explain_has_a_reason(value, type_, reason) -> None:
    with pytest.raises(Unreadable) as refused:
        decoded(value, type_)
    assert refused.value.reason == reason


async def test_the_schema_around_a_change_explains_its_columns(drain, over) -> None:
    columns = [
        {"field": "nummer", **typed("int32")},
        {"field": "tekst", **typed("int32", "io.debezium.time.Date")},
    ]
    described = typed(
        "struct", fields=[{"field": each, **typed("struct", fields=columns)} for each in ("before", "after")]
    )
    messages = [{"schema": described, "payload": change("c", row(1, days), days)} for days in (DAY, 2**31)]
    assert told(await drain(over(Log(messages)))) == [("1", "2026-01-01"), ("DATE_INVALID", "tekst")]


async def test_what_a_connector_writes_again_is_told_by_the_databases_positions(drain, over) -> None:
    first = [change("c", row(1), 10, None), change("u", row(1, "b"), 21, 15), change("u", row(1, "c"), 22, 15)]
    # Another transaction's changes have lower places of their own, and were committed later.
    later = [change("u", row(1, "d"), 12, 30), change("u", row(1, "e"), 40, 35)]
    again = [*first, *later, *first[1:], *later, change("u", row(1, "f"), 50, 45)]
    found = told(await drain(over(Log(again))))
    assert [text for number, text in found if number == "1"] == ["werken", "b", "c", "d", "e", "e", "f"]
    assert found.count(("RAW_REPEATED", "ignored")) == 3


async def test_a_new_snapshot_begins_anew_wherever_the_databases_log_is(drain, over) -> None:
    moved = [change("r", row(1, "s"), 5, None, snapshot=word) for word in ("first", "last")]
    log = Log([change("c", row(), 900, 800), *moved, change("u", row(1, "t"), 7, None)])
    rows = [each for each in told(await drain(over(log))) if each[0] == "1"]
    assert [text for _, text in rows] == ["werken", "s", "s", "t"]
    beside = Log([change("c", row(), 900, 800), change("c", row(2), 5, 4, name="elders")])
    assert [number for number, _ in told(await drain(over(beside)))] == ["1", "2"]
    partly = Log([change("c", row(), 900, 800), change("r", row(2), 5, 4, snapshot="incremental")])
    assert [number for number, _ in told(await drain(over(partly)))] == ["1", "2"]


async def test_a_second_snapshot_is_told_once_because_deletions_before_it_are_not(drain, over) -> None:
    snapshot = [change("r", row(number), 5, None, snapshot=word) for number, word in ((1, "first"), (2, "last"))]
    first = [*snapshot, change("c", row(3), 7, None), change("d", row(3), 9, 8)]
    found = told(await drain(over(Log([*first, *snapshot, change("u", row(2, "b"), 20, None)]))))
    assert found[len(first) :] == [("SNAPSHOT_AGAIN", ""), ("1", "werken"), ("2", "werken"), ("2", "b")]
    assert ("SNAPSHOT_AGAIN", "") not in found[: len(first)]
    beside = [change("r", row(4), 5, None, snapshot="last", name="elders")]
    assert ("SNAPSHOT_AGAIN", "") not in told(await drain(over(Log([*first, *beside]))))


async def test_a_reading_goes_on_behind_any_message_and_repeats_none(drain, over) -> None:
    steps = [change("c", row(number), number + 1, number) for number in range(5)]
    again = [change("r", row(5), 45, None, snapshot="last")]
    log = Log([*steps, *steps, *again, None, change("c", row(9), 50, 40)])
    whole = await drain(over(log))
    for number, (_, cursor) in enumerate(whole):
        assert told(await drain(over(log), cursor)) == told(whole[number + 1 :])


async def test_a_cursor_of_something_else_begins_at_the_oldest_message(drain, over) -> None:
    log = Log([change("c", row())])
    other = Cursor.of(None, "raw.gipod.elders").behind(1).text()
    for text in (None, "", "werken", "[]", '["a",1,{"b":1}]', '{"a":1}', other):
        assert len(await drain(over(log), text)) == 1


async def test_messages_that_retention_took_are_missed_aloud(drain, over) -> None:
    steps = [change("c", row(number), number + 1, number) for number in range(5)]
    reader = over(Log(steps))
    _, cursor = (await drain(reader))[1]
    assert told(await drain(over(Log(steps, first=2)), cursor)) == [("2", "werken"), ("3", "werken"), ("4", "werken")]
    assert told(await drain(over(Log(steps, first=4)), cursor)) == [("RAW_EXPIRED", ""), ("4", "werken")]
    assert told(await drain(over(Log(steps[:1])), cursor)) == [("RAW_EXPIRED", ""), ("RAW_REPEATED", "ignored")]
    assert told(await drain(over(Log(steps, first=4)))) == [("4", "werken")]


async def test_a_cursor_holds_nothing_of_a_message(drain, over) -> None:
    log = Log([change("c", row(84_621_512_345, "KANARIE"), 7, 6, name="KANARIE")])
    ((_, cursor),) = await drain(over(log))
    assert "KANARIE" not in cursor
    assert "84621512345" not in cursor


async def test_plain_json_is_a_row(drain, over) -> None:
    values = [row(), [row()], "werken", None, {"nummer": 2, "tekst": {"diep": 1}}]
    found = await drain(over(Log(values), "json", beside="delete_when: {weg: true}"))
    assert told(found) == [
        ("1", "werken"),
        ("VALUE_NOT_OBJECT", ""),
        ("VALUE_NOT_OBJECT", ""),
        ("TOMBSTONE", "ignored"),
        ("VALUE_NOT_TEXT", "omschrijving"),
    ]
    assert found[0][0].value["recordedAt"] == "2026-01-01T00:00:00Z"
    gone = await drain(over(Log([row() | {"weg": True}]), "json", beside="delete_when: {weg: true}"))
    assert told(gone) == [("1", "-")]


async def test_a_file_of_messages_stands_in_for_the_topic(drain, over, tmp_path) -> None:
    file = tmp_path / "messages.ndjson"
    file.write_text("\n".join(json.dumps(change("c", row(number), number)) for number in (1, 2)) + "\n\n{\n")
    over(Log([]))
    reader = build(load_mapping(tmp_path / "mapping.yaml", schema), str(file))
    found = await drain(reader)
    assert told(found) == [("1", "werken"), ("2", "werken"), ("JSON_MALFORMED", "")]
    assert told(await drain(reader, found[0][1])) == told(found)
    assert await drain(reader, found[-1][1]) == []
    assert [each["nummer"] async for each in reader.rows()] == [1, 2]


async def test_without_kafka_it_says_how_to_try_a_mapping(drain, over, tmp_path) -> None:
    over(Log([]))
    with pytest.raises(Invalid, match="--source FILE"):
        await drain(build(load_mapping(tmp_path / "mapping.yaml", schema), None))


@pytest.mark.parametrize(
    ("words", "beside", "place"),
    [
        ("", "snapshot: true", "snapshot"),
        ("name: Personen", "", "name"),
        ("form: avro", "", "form"),
        ("password: geheim", "", "password"),
    ],
)
def test_words_that_do_not_fit_are_refused_with_their_line(tmp_path, words, beside, place) -> None:
    stated = {"kind": "raw", "name": "werken", "form": "json"} | dict(filter(all, [words.partition(": ")[::2]]))
    source = ", ".join(f"{name}: {value}" for name, value in stated.items())
    file = tmp_path / "mapping.yaml"
    text = MAPPING.replace("{kind: raw, name: werken, form: %s%s}", f"{{{source}}}") % ("gewijzigd", beside)
    file.write_text(text)
    with pytest.raises(MappingRefused) as refused:
        build(load_mapping(file, schema), None)
    assert place in str(refused.value)


def test_a_row_of_changes_is_a_row_but_for_what_is_not_told() -> None:
    made = ChangeRow({"a": 1}, unreadable={"b": "COLUMN_UNCHANGED"})
    assert (made["a"], made.get("a"), made.get("c", 3), dict(made)) == (1, 1, 3, {"a": 1})
    for ask in (made.get, made.__getitem__):
        with pytest.raises(PoisonRecord) as refused:
            ask("b")
        assert (refused.value.reason, refused.value.path) == ("COLUMN_UNCHANGED", "b")


def test_broken_messages_are_told_by_their_place_alone() -> None:
    assert "KANARIE" not in repr(RawMessage(1, b"KANARIE", 2, 3))
    assert Broken("0@1", "JSON_MALFORMED", "", "hinder.v1").path == ""
