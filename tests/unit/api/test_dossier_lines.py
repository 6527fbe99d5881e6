"""Bulk files as they are found: what spreadsheets and their keyboards do to them, and what is told of each line."""

import itertools
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.api.dossier_forms import ClosingForm, DossierForm
from broker.api.dossier_lines import LONGEST_LINE, CsvLines, JsonLines, Lines, split
from broker.control.subjects import Refusal
from broker.errors import Invalid, TooLarge

INSZ = "84621512345"
HEADING = b"insz;referentie;hoedanigheid;begin;einde\r\n"


def read(lines: Lines, file: bytes) -> list[DossierForm | Refusal]:
    found = [lines.read(line.removesuffix(b"\r")) for line in file.split(b"\n")]
    return [stated for stated in found if stated is not None]


def csv(file: bytes) -> list[DossierForm | Refusal]:
    return read(CsvLines(DossierForm), file)


def only(file: bytes) -> DossierForm:
    (stated,) = csv(file)
    assert isinstance(stated, DossierForm), stated
    return stated


def refusal(cells: str) -> Refusal:
    (stated,) = csv(HEADING + cells.encode())
    assert isinstance(stated, Refusal), stated
    assert INSZ not in stated.problem
    return stated


async def chunks(file: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(file), size):
        yield file[start : start + size]


async def lines_of(file: bytes, size: int = 1 << 16) -> list[bytes]:
    return [line async for part in split(chunks(file, size)) for line in part]


@pytest.mark.parametrize(
    "file",
    [
        b"insz;referentie;hoedanigheid;begin;einde\n84621512345;P-1;schuldeiser;;\n",
        b"\xef\xbb\xbf" + HEADING + b"84621512345;P-1;schuldeiser;;\r\n",
        b"insz,referentie,hoedanigheid\n84621512345,P-1,schuldeiser\n",
        b"insz\treferentie\thoedanigheid\n84621512345\tP-1\tschuldeiser",
        b'"INSZ";"Referentie";"Hoedanigheid"\r\n"84621512345";"P-1";"schuldeiser"\r\n',
        b'sep=;\r\ninsz;referentie;hoedanigheid\r\n="84621512345";P-1;schuldeiser\r\n',
        b"\xef\xbb\xbfsep=|\r\ninsz|referentie|hoedanigheid\r\n84621512345|P-1|schuldeiser\r\n",
        b"hoedanigheid;referentie;insz;;\n\n schuldeiser ; P-1 ; 84621512345 ;;\n;;;;\n"[:-6],
    ],
    ids=["plain", "Excel in Belgium", "commas", "tabs", "quotes", "text by formula", "separator line", "loose"],
)
def test_one_file_in_every_hand(file: bytes) -> None:
    assert only(file) == DossierForm(subject=INSZ, reference="P-1", capacity="schuldeiser")


@pytest.mark.parametrize("column", ["kbo", "betrokkene"])
def test_bodies_and_things_have_columns_of_their_own(column: str) -> None:
    assert only(f"{column};referentie\n244142664;P-1".encode()).subject == "244142664"


@pytest.mark.parametrize(
    ("begin", "end", "instants"),
    [
        ("2026-01-01", "2026-01-31", ("2025-12-31T23:00:00+00:00", "2026-01-31T23:00:00+00:00")),
        ("1/7/2026", "31/07/2026", ("2026-06-30T22:00:00+00:00", "2026-07-31T22:00:00+00:00")),
        ("2026-03-29", "2026-10-25", ("2026-03-28T23:00:00+00:00", "2026-10-25T23:00:00+00:00")),
        (
            "2026-01-01T00:00:00Z",
            "2026-01-01T12:00:00+01:00",
            ("2026-01-01T00:00:00+00:00", "2026-01-01T11:00:00+00:00"),
        ),
        ("2026-01-01", "2026-01-01", ("2025-12-31T23:00:00+00:00", "2026-01-01T23:00:00+00:00")),
    ],
)
def test_a_day_is_a_day_in_belgium_and_the_end_is_the_last_one(begin: str, end: str, instants: tuple[str, str]) -> None:
    stated = only(HEADING + f"{INSZ};P-1;;{begin};{end}".encode())
    assert (stated.begin, stated.end) == tuple(map(datetime.fromisoformat, instants))
    line = json.dumps({"subject": INSZ, "reference": "P-1", "begin": begin, "end": end}).encode()
    (same,) = read(JsonLines(DossierForm), line)
    assert same == stated


@pytest.mark.parametrize(
    ("cells", "code", "told"),
    [
        (f"{INSZ};P-1;;;;;x", "50000", "7 columns, its heading 5"),
        (INSZ, "50000", "1 columns"),
        (f'{INSZ};"P-1;;;', "50000", "quotes"),
        (f"{INSZ};;;;", "50000", "referentie: Field required"),
        (f"{INSZ};P=1;;;", "50000", "referentie: "),
        (f"{INSZ};P-1;;31/02/2026;", "50000", "begin: must be an instant"),
        (f"{INSZ};P-1;;;2026-01-01T00:00:00", "50000", "einde: "),
        (f"{INSZ};P-1;;46023;", "50000", "begin: must be an instant"),
        (f"{INSZ};P-1;;;9999-12-31", "50000", "einde: "),
        (";P-1;;;", "50000", "subject: Field required"),
        ("8,46215E+10;P-1;;;", "20002", "format that column as text"),
        ("8.46215E+10;P-1;;;", "20002", "format that column as text"),
        (f"{INSZ},00;P-1;;;", "20002", "format that column as text"),
        (f"{INSZ}.0;P-1;;;", "20002", "format that column as text"),
        ("1020312345;P-1;;;", "20002", "leading zeros"),
    ],
)
def test_a_bad_line_is_told_where_and_what_to_do_and_never_what_it_holds(cells: str, code: str, told: str) -> None:
    found = refusal(cells)
    assert found.code == code
    assert told in found.problem


def test_a_line_in_the_code_page_of_windows_is_told_how_to_save_it() -> None:
    (stated, fine) = csv(HEADING + "84621512345;P-1;schuldeiser é;;\n".encode("cp1252") + b"84621512345;P-2;;;")
    assert isinstance(stated, Refusal)
    assert "CSV UTF-8" in stated.problem
    assert isinstance(fine, DossierForm)


@pytest.mark.parametrize(
    "file",
    [
        b"84621512345;P-1\n",
        b"insz;referentie;naam\n",
        b"insz;insz;referentie\n",
        b"insz;kbo;referentie\n",
        b"insz;hoedanigheid\n",
        b"referentie\n",
        b"insz;;referentie\n",
        "insz;referentie\n".encode("utf-16"),
        b'"insz;referentie\n',
        b"\xff\n",
    ],
)
def test_a_file_without_its_heading_is_refused_whole(file: bytes) -> None:
    with pytest.raises(Invalid, match="first line names the columns, in UTF-8: insz, kbo, betrokkene, referentie"):
        csv(file)


def test_an_ending_has_no_begin_nor_capacity() -> None:
    (stated,) = read(CsvLines(ClosingForm), b"insz;referentie;einde\n84621512345;P-1;2026-01-31")
    assert isinstance(stated, ClosingForm)
    with pytest.raises(Invalid, match="betrokkene, referentie, einde;"):
        read(CsvLines(ClosingForm), HEADING)


def test_lines_of_json_are_the_forms_of_single_requests() -> None:
    file = b'\xef\xbb\xbf{"subject": "84621512345", "reference": "P-1"}\r\n\r\n{"subject": "2", "reference": "P-2", "capacity": "x"}'
    assert [form.reference for form in read(JsonLines(DossierForm), file)] == ["P-1", "P-2"]


@pytest.mark.parametrize(
    "line", [b"x", b"[]", b"1", b"null", b"[" * 1999, b"9" * 1999, b'{"a', b"\xff", b'{"84621512345": 1}']
)
def test_what_is_no_object_of_ours_is_told_without_what_it_holds(line: bytes) -> None:
    (stated,) = read(JsonLines(DossierForm), line)
    assert isinstance(stated, Refusal)
    assert INSZ not in stated.problem


@given(file=st.binary(max_size=200), reader=st.sampled_from((CsvLines, JsonLines)))
def test_no_bytes_are_more_than_refused(file: bytes, reader: type[Lines]) -> None:
    with suppress(Invalid):
        read(reader(DossierForm), file)


@given(
    file=st.lists(st.sampled_from((b"\n", b"\r\n", b"ab", b"c" * 50)), max_size=20).map(b"".join),
    size=st.integers(1, 9),
)
async def test_lines_are_the_same_however_they_come_in(file: bytes, size: int) -> None:
    expected = [line.removesuffix(b"\r") for line in file.removesuffix(b"\n").split(b"\n")] if file else []
    assert await lines_of(file, size) == expected


async def test_a_line_without_end_is_not_kept_and_not_taken() -> None:
    file = b"a" * 1_000_000 + b"\n" + HEADING
    for size in (100, 5000):
        long, heading = await lines_of(file, size)
        assert LONGEST_LINE < len(long) <= LONGEST_LINE + 2 + size
        assert CsvLines(DossierForm).read(long) == Refusal("50000", f"a line has at most {LONGEST_LINE} bytes")
        assert heading == HEADING.rstrip()


async def test_a_file_without_end_is_refused() -> None:
    async def endless(chunk: bytes) -> AsyncIterator[bytes]:
        for _ in itertools.count():
            yield chunk

    for chunk in (b"\n" * 65536, b"a" * (1 << 22)):
        with pytest.raises(TooLarge, match="send it in parts"):
            async for _ in split(endless(chunk)):
                pass
