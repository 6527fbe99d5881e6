"""Rows of a CSV file or a workbook, one at a time and with bounded memory; what cannot be read is a stable reason.

Of a file: EMPTY_FILE, ENCODING_WRONG, HEADER_INVALID, ROW_TOO_LARGE, FILE_TOO_LARGE, SHEET_UNKNOWN, XLSX_MALFORMED.
Of a row: ROW_RAGGED (more or fewer cells than columns), NUL_BYTE, CSV_MALFORMED (quotes), CELL_ERROR (a formula failed).
"""

import codecs
import csv
import io
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime, time
from pathlib import Path
from typing import Any, BinaryIO, TextIO

import openpyxl
from openpyxl.utils.exceptions import InvalidFileException

from adapters.csv_form import CsvSource
from adapters.file_rows import FileBroken, Table

# About styles and extensions, which are not read.
warnings.filterwarnings("ignore", category=UserWarning, module=r"openpyxl\.")

SUFFIXES = frozenset({".csv", ".tsv", ".txt", ".xlsx"})
LARGEST_ROW = 4 << 20
"""Characters of one row, its quoted line breaks included: a quote that is never closed must not take the whole file."""
LARGEST_WORKBOOK = 256 << 20
"""Bytes of a workbook once unpacked."""

_BLOCK = 1 << 20
_SEPARATORS = (";", ",", "\t", "|")
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_EXCEL_ERRORS = frozenset({"#REF!", "#N/A", "#VALUE!", "#DIV/0!", "#NAME?", "#NUM!", "#NULL!"})

Row = list[str] | str
"""The cells of a row, or the reason why it has none."""


@dataclass(frozen=True, slots=True)
class CsvFormat:
    """CSV files and workbooks as a mapping's words say; a row is its cells by the names of their columns."""

    form: CsvSource
    suffixes: frozenset[str] = SUFFIXES

    def table(self, file: BinaryIO, name: str) -> Table[list[str]]:
        """Its rows; raises `FileBroken`, also while they are read."""
        return table(file, name, self.form)

    def shown(self, columns: Sequence[str], row: list[str]) -> dict[str, Any]:
        """Cells by the names of their columns."""
        return dict(zip(columns, row, strict=True))


def table(file: BinaryIO, name: str, form: CsvSource) -> Table[list[str]]:
    """The table in `file`, read while its rows are; raises `FileBroken`, also then. Rows of empty cells are left out."""
    cells = _workbook(file, form) if Path(name).suffix.lower() == ".xlsx" else _text(file, form)
    numbered = enumerate(cells, 1)
    columns = form.names
    if columns is None:
        number, header = next(((number, row) for number, row in numbered if row != []), (0, "EMPTY_FILE"))
        if isinstance(header, str):
            raise FileBroken(header if not number else "HEADER_INVALID")
        columns = [cell.strip() for cell in header]
        while columns and not columns[-1]:
            columns.pop()
        if len(set(columns)) != len(columns) or not all(columns):
            raise FileBroken("HEADER_INVALID")
    return Table(columns, _rows(numbered, len(columns)))


def _rows(numbered: Iterator[tuple[int, Row]], width: int) -> Iterator[tuple[int, Row]]:
    for number, row in numbered:
        if isinstance(row, str):
            yield number, row
        elif any(row):
            extra = any(row[width:]) or len(row) < width
            yield number, "ROW_RAGGED" if extra else "NUL_BYTE" if any("\0" in cell for cell in row) else row[:width]


def _text(file: BinaryIO, form: CsvSource) -> Iterator[Row]:
    encoding = _encoding(file, form.encoding)
    file.seek(0)
    stream = io.TextIOWrapper(file, encoding, "strict", newline="")
    try:
        yield from _records(_Lines(stream), form)
    finally:
        with suppress(ValueError):  # closed already
            stream.detach()


def _records(lines: "_Lines", form: CsvSource) -> Iterator[Row]:
    separator = "\t" if form.separator == "tab" else form.separator or _separator(lines, form.quote)
    csv.field_size_limit(LARGEST_ROW)
    if form.quote == "none":
        reader = csv.reader(lines, delimiter=separator, quotechar=None, quoting=csv.QUOTE_NONE, strict=True)
    else:
        reader = csv.reader(lines, delimiter=separator, quotechar=form.quote, strict=True)
    while True:
        try:
            row: Row = next(reader)
        except StopIteration:
            return
        except csv.Error:
            row = "CSV_MALFORMED"
        lines.size = 0
        yield row


class _Lines:
    """Lines of a stream; `size` is what was read of them since somebody set it to 0."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.size = 0
        self.first: str | None = None

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        line, self.first = self.first if self.first is not None else self._read(), None
        if not line:
            raise StopIteration
        return line

    def _read(self) -> str:
        try:
            line: str | None = self._stream.readline(LARGEST_ROW + 1)
        except UnicodeDecodeError:
            line = None
        if line is None:  # outside the handler, whose text quotes the file
            raise FileBroken("ENCODING_WRONG")
        self.size += len(line)
        if self.size > LARGEST_ROW:
            raise FileBroken("ROW_TOO_LARGE")
        return line

    def peek(self) -> str:
        """The first line that is not blank, which is read again."""
        if self.first is None:
            line = self._read()
            while line and not line.strip():
                line = self._read()
            self.first = line
        return self.first


def _separator(lines: _Lines, quote: str) -> str:
    """Of the usual separators the one that the first line has most of, outside quotes."""
    outside = "".join(lines.peek().split(quote)[::2]) if quote != "none" else lines.peek()
    found = max(_SEPARATORS, key=outside.count)
    return found if found in outside else ","


def _encoding(file: BinaryIO, stated: str | None) -> str:
    """The stated encoding if all of the file is in it; else UTF-8 if it is, and Windows-1252 as what is left."""
    head = file.read(_BLOCK)
    if not head:
        raise FileBroken("EMPTY_FILE")
    if head.startswith(_UTF_16):
        raise FileBroken("ENCODING_WRONG")
    for encoding in [stated] if stated else ["utf-8", "cp1252"]:
        # A byte order mark is no text: utf-8-sig drops it where there is one.
        decoder = "utf-8-sig" if encoding.startswith("utf-8") else encoding
        file.seek(0)
        if _decodes(file, decoder):
            return decoder
    raise FileBroken("ENCODING_WRONG")


def _decodes(file: BinaryIO, encoding: str) -> bool:
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        while block := file.read(_BLOCK):
            decoder.decode(block)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _workbook(file: BinaryIO, form: CsvSource) -> Iterator[Row]:
    """Cells of one sheet as texts; dates in ISO form, whole numbers without a point."""
    problem = ""
    try:
        with zipfile.ZipFile(file) as packed:
            if sum(entry.file_size for entry in packed.infolist()) > LARGEST_WORKBOOK:
                problem = "FILE_TOO_LARGE"
        if not problem:
            book = openpyxl.load_workbook(file, read_only=True, data_only=True)
            names = book.sheetnames
            if form.sheet is not None and form.sheet not in names:
                problem = "SHEET_UNKNOWN"
            else:
                sheet = book[form.sheet or names[0]]
                sheet.reset_dimensions()  # what a program wrote there need not be true
                yield from _padded(sheet.iter_rows(values_only=True))
    except (
        zipfile.BadZipFile,
        InvalidFileException,
        KeyError,
        ValueError,
        SyntaxError,
        OSError,
        IndexError,
        TypeError,
    ):
        problem = "XLSX_MALFORMED"
    if problem:
        raise FileBroken(problem)


def _padded(rows: Iterator[Sequence[Any]]) -> Iterator[Row]:
    """Rows as wide as the first one, which is the header: a workbook leaves empty cells at the end out."""
    width = 0
    for row in rows:
        cells = [_cell(cell) for cell in row]
        if any(cell is None for cell in cells):
            yield "CELL_ERROR"
            continue
        shown = [cell or "" for cell in cells]
        width = width or len(shown)
        yield shown + [""] * (width - len(shown))


def _cell(value: Any) -> str | None:
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case float() if value.is_integer():
            return str(int(value))
        case datetime() if value.time() == time():
            return value.date().isoformat()
        case datetime() | date() | time():
            return value.isoformat()
    text = str(value)
    return None if text in _EXCEL_ERRORS else text
