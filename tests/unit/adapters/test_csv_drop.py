"""Files of rows: every way a file can be wrong is a stable reason, and nothing new is left out, whatever the file became."""

import io
import os
import zipfile
from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from adapters import csv_rows
from adapters.file_drop import FileDrop
from adapters.mapped import build, load_mapping
from adapters.sdk import Broken, Change, Ignored, SnapshotBegins, SnapshotEnds
from broker.errors import Invalid, MappingRefused, Retriable
from tests.unit.adapters.wiring import schema

MAPPING = """\
adapter: werken
product: hinder.v1
organisation: stad-gent
source: {kind: csv, path: bron%s}
id: nummer
recordedAt: {const: "2026-01-01T00:00:00Z"}
%s
fields:
  identificator: {template: "https://gent.example/id/{nummer}"}
  versie: {template: "https://gent.example/id/{nummer}/1"}
  omschrijving: {from: omschrijving, trim: false}
  contactorganisaties: {const: []}
  perioden: {const: []}
  zones: {const: []}
  oorzaken: {const: []}
"""
HEAD = "nummer;omschrijving\n"
Make = Callable[..., FileDrop]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "bron").mkdir()
    return tmp_path / "bron"


@pytest.fixture
def adapter(folder: Path) -> Make:
    tmp_path = folder.parent

    def make(words: str = "", more: str = "") -> FileDrop:
        (tmp_path / "mapping.yaml").write_text(MAPPING % (words, more))
        made = build(load_mapping(tmp_path, schema), None)
        assert isinstance(made, FileDrop)
        return made

    return make


def told(items: list[tuple[Any, str]]) -> list[Any]:
    """Of every change its text, of what is broken or ignored the reason."""
    return [
        item.value["omschrijving"] if isinstance(item, Change) else getattr(item, "reason", type(item).__name__)
        for item, _ in items
    ]


def written(folder: Path, name: str, text: str | bytes) -> None:
    """A file whose time differs from any before."""
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    number = next(_TIMES)
    os.utime(path, ns=(number, number))


_TIMES = iter(range(1_700_000_000_000_000_000, 1_800_000_000_000_000_000, 1_000_000_000))


def workbook(*rows: list[Any], sheet: str = "Blad1") -> bytes:
    book = openpyxl.Workbook()
    assert book.active is not None
    book.active.title = sheet
    for row in rows:
        book.active.append(row)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


LONG = "x" * (1 << 20)
FILES = [
    ("comma", "nummer,omschrijving\n1,a\n", "", ["a"]),
    ("tab", "nummer\tomschrijving\n1\ta;b\n", "", ["a;b"]),
    ("pipe", "nummer|omschrijving\n1|a\n", "", ["a"]),
    ("stated-separator", "nummer~omschrijving\n1~a\n", ', separator: "~"', ["a"]),
    ("stated-tab", "nummer\tomschrijving\n1\ta\n", ", separator: tab", ["a"]),
    ("separator-in-quotes", '"nummer";"omschrijving";"a,b,c,d"\n1;"a;b";x\n', "", ["a;b"]),
    ("stated-quote", "nummer;omschrijving\n1;'a;b'\n", ''', quote: "'"''', ["a;b"]),
    ("no-quotes", 'nummer;omschrijving\n1;"a\n', ", quote: none", ['"a']),
    ("line-break-in-quotes", HEAD + '1;"a\nb"\n2;c\n', "", ["a\nb", "c"]),
    ("bom", b"\xef\xbb\xbf" + (HEAD + "1;\u00e9\n").encode(), "", ["\u00e9"]),
    ("windows", (HEAD + "1;\u00e9\u20ac\n").encode("cp1252"), "", ["\u00e9\u20ac"]),
    ("windows-line-ends", b"nummer;omschrijving\r\n1;a\r\n", "", ["a"]),
    ("old-line-ends", b"nummer;omschrijving\r1;a\r2;b\r", "", ["a", "b"]),
    ("no-last-line-end", HEAD + "1;a", "", ["a"]),
    ("no-header", "1;a\n2;b\n", ", columns: [nummer, omschrijving]", ["a", "b"]),
    ("hundred-columns", ";".join(["nummer", "omschrijving", *map(str, range(98))]) + "\n" + "1;a" + ";" * 98 + "\n", "", ["a"]),
    ("field-of-1-MB", f'{HEAD}1;"{LONG}"\n2;b\n', "", [LONG, "b"]),
    ("blank-lines", f"\n{HEAD}\n;\n1;a\n\n", "", ["a"]),
    ("only-a-header", HEAD, "", []),
    ("empty", "", "", ["EMPTY_FILE"]),
    ("only-blank-lines", "\n\n", "", ["EMPTY_FILE"]),
    ("ragged", HEAD + "1\n2;b;c\n3;d\n", "", ["ROW_RAGGED", "ROW_RAGGED", "d"]),
    ("nul", HEAD + "1;a\0b\n2;c\n", "", ["NUL_BYTE", "c"]),
    ("quotes-inside", HEAD + '1;"a"b\n2;c\n', "", ["CSV_MALFORMED", "c"]),
    ("quote-never-closed", HEAD + '1;"a\n2;b\n', "", ["CSV_MALFORMED"]),
    ("not-utf-8-as-stated", (HEAD + "1;\u00e9\n").encode("cp1252"), ", encoding: utf-8", ["ENCODING_WRONG"]),
    ("not-windows-as-stated", HEAD.encode() + b"1;\x81\n", ", encoding: cp1252", ["ENCODING_WRONG"]),
    ("utf-16", (HEAD + "1;a\n").encode("utf-16"), "", ["ENCODING_WRONG"]),
    ("same-column-twice", "nummer;omschrijving;nummer\n1;a;2\n", "", ["HEADER_INVALID"]),
    ("column-without-name", "nummer;;omschrijving\n1;a;2\n", "", ["HEADER_INVALID"]),
    ("column-missing", "nummer;omschr\n1;a\n", "", ["COLUMN_MISSING"]),
    ("no-id", HEAD + ";a\n2;b\n", "", ["ID_MISSING", "b"]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "words", "expected"), [pytest.param(*case[1:], id=case[0]) for case in FILES])
async def test_a_file_is_read_as_it_is_or_refused_with_a_reason(folder, adapter, drain, text, words, expected) -> None:
    written(folder, "a.csv", text)
    items = await drain(adapter(words))
    assert told(items) == expected
    broken = [item for item, _ in items if isinstance(item, Broken)]
    assert all(item.product == "hinder.v1" and "a" not in item.path[:1] for item in broken)


async def test_a_row_that_never_ends_is_bounded(folder, adapter, drain, monkeypatch) -> None:
    monkeypatch.setattr(csv_rows, "LARGEST_ROW", 1000)
    written(folder, "a.csv", HEAD + "1;a\n" + '2;"' + "x\n" * 5000)
    written(folder, "b.csv", HEAD + "x" * 5000)
    assert told(await drain(adapter())) == ["a", "ROW_TOO_LARGE", "ROW_TOO_LARGE"]


WORKBOOKS = [  # a workbook knows no time zones
    (workbook(["nummer", "omschrijving"], [1, "a"], [2.0, 3.5], [3, True], [4, None]), "", ["a", "3.5", "true", None]),
    (workbook(["nummer", "omschrijving"], [1, datetime(2026, 3, 1, tzinfo=UTC).replace(tzinfo=None)], [2, date(2026, 3, 2)]), "", ["2026-03-01", "2026-03-02"]),
    (workbook(["nummer", "omschrijving"], [1, datetime(2026, 3, 1, 8, 30, tzinfo=UTC).replace(tzinfo=None)]), "", ["2026-03-01T08:30:00"]),
    (workbook(["nummer", "omschrijving", None], [1, "a"], [None, None], [2, "b", None, "x"]), "", ["a", "ROW_RAGGED"]),
    (workbook(["nummer", "omschrijving"], [1, "#REF!"], [2, "b"]), "", ["CELL_ERROR", "b"]),
    (workbook(["nummer", "omschrijving"], [1, "a"], sheet="Werken"), ", sheet: Werken", ["a"]),
    (workbook(["nummer", "omschrijving"], [1, "a"]), ", sheet: Werken", ["SHEET_UNKNOWN"]),
    (workbook(), "", ["EMPTY_FILE"]),
    (b"PK\x03\x04 no workbook", "", ["XLSX_MALFORMED"]),
    (b"", "", ["XLSX_MALFORMED"]),
]  # fmt: skip


@pytest.mark.parametrize(("body", "words", "expected"), WORKBOOKS)
async def test_a_workbook_is_read_as_its_cells_show(folder, adapter, drain, body, words, expected) -> None:
    written(folder, "a.xlsx", body)
    assert told(await drain(adapter(words))) == expected


async def test_a_workbook_that_unpacks_to_too_much_is_refused(folder, adapter, drain, monkeypatch) -> None:
    monkeypatch.setattr(csv_rows, "LARGEST_WORKBOOK", 1000)
    written(folder, "a.xlsx", workbook(["nummer", "omschrijving"], [1, "a"]))
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as made:
        made.writestr("geen.xml", "x")
    written(folder, "b.xlsx", packed.getvalue())
    assert told(await drain(adapter())) == ["FILE_TOO_LARGE", "XLSX_MALFORMED"]


async def test_files_come_in_the_order_of_their_names_and_others_are_left(folder, adapter, drain) -> None:
    for name in ("b.csv", "a.CSV", "d/c.txt", ".e.csv", "~$f.xlsx", "g.csv.part", "h.md"):
        (folder / name).parent.mkdir(exist_ok=True)
        written(folder, name, HEAD + f"1;{name}\n")
    (folder / "i.csv").symlink_to(folder / "b.csv")
    assert told(await drain(adapter())) == ["a.CSV", "b.csv", "d/c.txt"]


async def read(adapter: FileDrop, drain: Any, cursor: str | None) -> tuple[list[Any], str | None]:
    items = await drain(adapter, cursor)
    return told(items), items[-1][1] if items else cursor


async def test_what_was_read_is_not_read_again_and_what_is_new_is(folder, adapter, drain) -> None:
    source = adapter()
    written(folder, "b.csv", HEAD + "1;a\n2;b\n")
    found, cursor = await read(source, drain, None)
    assert found == ["a", "b"]
    assert (await read(source, drain, cursor))[0] == []
    written(folder, "b.csv", HEAD + "1;a\n2;b\n3;c\n4;d\n")
    found, cursor = await read(source, drain, cursor)
    assert found == ["c", "d"], "a file that grew is read on"
    written(folder, "c.csv", HEAD + "5;e\n")
    found, cursor = await read(source, drain, cursor)
    assert found == ["e"]
    written(folder, "a.csv", HEAD + "0;z\n")
    found, cursor = await read(source, drain, cursor)
    assert found == ["z", "a", "b", "c", "d", "e"], "late under an earlier name: the last word stays the last"
    written(folder, "c.csv", HEAD + "5;f\n")
    found, cursor = await read(source, drain, cursor)
    assert found == ["f"], "replaced by another content of the same size"
    written(folder, "c.csv", HEAD)
    assert (await read(source, drain, cursor))[0] == []
    (folder / "a.csv").unlink()
    (folder / "b.csv").unlink()
    written(folder, "c.csv", HEAD + "5;f\n6;g\n")
    assert (await read(source, drain, cursor))[0] == ["g"], "what was read may be moved away"


async def test_reading_goes_on_after_any_row(folder, adapter, drain) -> None:
    written(folder, "a.csv", HEAD + "1;a\n2;b\n")
    written(folder, "b.csv", HEAD + "3\n" + "4;d\n")
    written(folder, "c.csv", "")
    source = adapter()
    whole = await drain(source)
    assert told(whole) == ["a", "b", "ROW_RAGGED", "d", "EMPTY_FILE"]
    for number, (_, cursor) in enumerate(whole, 1):
        assert told(await drain(source, cursor)) == told(whole)[number:]


async def test_another_mapping_reads_everything_again(folder, adapter, drain) -> None:
    written(folder, "a.csv", HEAD + "1;a\n")
    _, cursor = await read(adapter(), drain, None)
    assert (await read(adapter(more="skip_when: {nummer: 2}"), drain, cursor))[0] == ["a"]
    assert (await read(adapter(), drain, "geen.cursor"))[0] == ["a"]


async def test_a_cursor_holds_nothing_of_the_source(folder, adapter, drain) -> None:
    written(folder, "janssens-84621512345.csv", HEAD + "84621512345;Janssens\n2;b\n")
    items = await drain(adapter())
    assert not [cursor for _, cursor in items if "anssens" in cursor or "84621512345" in cursor]
    again = await drain(adapter())
    assert {cursor for _, cursor in items}.isdisjoint(cursor for _, cursor in again), (
        "salted: nobody can guess names by it"
    )


async def test_a_snapshot_is_one_file_and_its_cursor_moves_at_its_end(folder, adapter, drain) -> None:
    written(folder, "a.csv", HEAD + "1;a\n2;b\n")
    written(folder, "b.csv", HEAD + "1;a\n")
    source = adapter(more="snapshot: true")
    items = await drain(source)
    kinds = ["SnapshotBegins", "a", "b", "SnapshotEnds", "SnapshotBegins", "a", "SnapshotEnds"]
    assert told(items) == kinds
    assert isinstance(items[0][0], SnapshotBegins)
    assert isinstance(items[3][0], SnapshotEnds)
    cursors = [cursor for _, cursor in items]
    assert len(set(cursors)) == 4
    assert told(await drain(source, cursors[2])) == kinds, "one that broke off is read again whole"
    assert told(await drain(source, cursors[3])) == kinds[4:]
    assert told(await drain(source, cursors[6])) == []


@pytest.mark.parametrize(
    ("text", "reasons"),
    [
        (HEAD + "1;a\n2\n", ["ROW_RAGGED", "SNAPSHOT_INCOMPLETE"]),
        (HEAD + "1;a\n;b\n", ["ID_MISSING", "SNAPSHOT_INCOMPLETE"]),
        ("nummer\n1\n", ["COLUMN_MISSING", "SNAPSHOT_INCOMPLETE"]),
        ("", ["EMPTY_FILE", "SNAPSHOT_INCOMPLETE"]),
    ],
)
async def test_a_snapshot_in_which_somebody_cannot_be_told_has_no_end(folder, adapter, drain, text, reasons) -> None:
    written(folder, "a.csv", text)
    source = adapter(more="snapshot: true")
    items = await drain(source)
    assert [item.reason for item, _ in items if isinstance(item, Broken)] == reasons
    assert not [item for item, _ in items if isinstance(item, SnapshotEnds)]
    assert await drain(source, items[-1][1]) == [], "it is not read for ever"


async def test_a_snapshot_that_changes_while_it_is_read_is_tried_again(folder, adapter) -> None:
    written(folder, "a.csv", HEAD + "".join(f"{number};a\n" for number in range(2000)))
    seen: Counter[str] = Counter()

    async def read_on() -> None:
        async for item, _ in adapter(more="snapshot: true").changes(None):
            seen[type(item).__name__] += 1
            if seen.total() == 10:
                written(folder, "a.csv", HEAD + "1;a\n")

    with pytest.raises(Retriable):
        await read_on()
    assert seen["SnapshotEnds"] == 0


async def test_a_source_that_is_not_there(folder, adapter, drain, tmp_path) -> None:
    source = adapter()
    written(folder, "a.csv", HEAD)
    items = source.changes(None)
    (folder / "a.csv").unlink()
    assert [item async for item in items] == []
    with pytest.raises(Invalid, match="no folder, file or URL"):
        build(source.mapping, str(tmp_path / "nergens"))
    with pytest.raises(Invalid, match="no file that ends in"):
        source.findings()
    one = tmp_path / "een.csv"
    one.write_text(HEAD + "1;a\n")
    assert told(await drain(build(source.mapping, str(one)))) == ["a"]


def test_columns_that_the_file_lacks_are_told_with_their_line(folder, adapter) -> None:
    written(folder, "a.csv", "nummer;omschr\n")
    [finding] = adapter().findings()
    assert (finding.line, finding.path) == (11, "omschrijving")
    assert "it has nummer, omschr" in finding.text


@pytest.mark.parametrize(
    ("words", "told", "line"),
    [
        (", kind2: x", "`kind2` is no word here; known are kind, path, key, host_key", 4),
        (", encoding: latin1", "`encoding`", 4),
    ],
)
def test_words_of_the_source_are_checked(adapter, words, told, line) -> None:
    with pytest.raises(MappingRefused) as refused:
        adapter(words)
    assert [found for found in refused.value.findings if told in found[2] and found[0] == line]


async def test_the_time_of_the_file_is_a_column(folder, adapter, drain) -> None:
    source = adapter(more="snapshot: true")
    (source.mapping.file).write_text(
        source.mapping.file.read_text().replace('{const: "2026-01-01T00:00:00Z"}', '"@modified"')
    )
    (folder / "a.csv").write_text(HEAD + "1;a\n")
    os.utime(folder / "a.csv", (1_767_225_600, 1_767_225_600))
    items = await drain(build(load_mapping(source.mapping.file, schema), None))
    assert items[1][0].value["recordedAt"] == "2026-01-01T00:00:00Z"


async def test_memory_stays_bounded_over_a_large_file(folder, adapter) -> None:
    import tracemalloc  # noqa: PLC0415 - for this test only

    with (folder / "a.csv").open("w") as out:
        out.write(HEAD)
        out.writelines(f"{number};{'x' * 200}\n" for number in range(60_000))
    tracemalloc.start()
    read = 0
    async for item, _ in adapter().changes(None):
        read += isinstance(item, Change)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert read == 60_000
    assert most < 8 << 20, "the file has 13 MB"
    assert not isinstance(item, Ignored)
