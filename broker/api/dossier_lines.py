"""Bulk files of dossiers, line by line: CSV as spreadsheets here write it, or NDJSON; a bad line is a value, a bad file an error.

Days are days in Belgium; the day of an end is the last day of the file, as in MAGDA's Periode.
"""

import csv
import json
import re
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from broker.control.registrations import FORM_INVALID
from broker.control.subjects import INSZ_INVALID, Refusal
from broker.errors import Invalid, TooLarge
from broker.policy.calendar import belgian_day, milliseconds

LONGEST_LINE = 2_000
LARGEST_FILE = 256 << 20
"""Bytes."""

MOST_LINES = 1_000_000

Form = TypeVar("Form", bound=BaseModel)

_BOM = b"\xef\xbb\xbf"
_COLUMNS: Mapping[str, str] = {
    "insz": "subject",
    "kbo": "subject",
    "betrokkene": "subject",
    "referentie": "reference",
    "hoedanigheid": "capacity",
    "begin": "begin",
    "einde": "end",
}
_SEPARATOR_LINE = re.compile(rb"\"?sep=(.)\"?", re.IGNORECASE)
_FORMULA = re.compile(r'="(.*)"')
_ROUNDED = re.compile(r"[0-9]+([.,][0-9]+)?E\+?[0-9]+|[0-9]+[.,]0+", re.IGNORECASE)
_SHORT_INSZ = re.compile(r"[0-9]{8,10}")
_ISO_DAY, _BELGIAN_DAY = re.compile(r"\d{4}-\d{2}-\d{2}"), re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4})")
_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)

_TOO_LONG = Refusal(FORM_INVALID, f"a line has at most {LONGEST_LINE} bytes")
_NOT_UTF8 = Refusal(FORM_INVALID, "the line is not UTF-8: save the file as `CSV UTF-8`")
_NOT_CSV = Refusal(FORM_INVALID, "the quotes of the line do not close")
_NOT_JSON = Refusal(FORM_INVALID, "the line is not one JSON object")
_AS_TEXT = Refusal(
    INSZ_INVALID, "a spreadsheet rounded the number or dropped its leading zeros: format that column as text"
)


async def split(
    chunks: AsyncIterator[bytes],
    *,
    longest: int = LONGEST_LINE,
    advice: str = "send it in parts; the same lines again are safe",
) -> AsyncIterator[Sequence[bytes]]:
    """The lines of a body as they come in, without their ends; one of more than `longest` bytes is cut but still overlong.

    Holds one chunk and one line at a time. Raises `TooLarge`, with `advice`, once the file is.
    """
    size, count, rest = 0, 0, b""
    async for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        rest = rest[: longest + 2]
        size, count = size + len(chunk), count + len(lines)
        if size > LARGEST_FILE or count > MOST_LINES:
            wanted = f"a file has at most {MOST_LINES} lines and {LARGEST_FILE >> 20} MiB"
            raise TooLarge(f"{wanted}: {advice}")
        yield [line.removesuffix(b"\r") for line in lines]
    if rest:
        yield [rest.removesuffix(b"\r")]


class Lines(Generic[Form]):
    """Reads the lines of one file, in order, as `form`."""

    def __init__(self, form: type[Form]) -> None:
        self._form = form
        self._begun = False

    def read(self, line: bytes) -> Form | Refusal | None:
        """What the line states; None for a blank line or a heading. Raises `Invalid` if this cannot be such a file."""
        if not self._begun:
            line = line.removeprefix(_BOM)
        if not line.strip():
            return None
        if len(line) > LONGEST_LINE:
            return _TOO_LONG
        stated = self._stated(line)
        self._begun = True
        if stated is None or isinstance(stated, Refusal):
            return stated
        try:
            return self._form.model_validate(stated)
        except ValidationError as error:
            wrong = error.errors(include_input=False, include_url=False)[0]
            place = wrong["loc"][0] if wrong["type"] != "extra_forbidden" else "a field that is not asked for"
            return Refusal(FORM_INVALID, f"{self._shown(place)}: {wrong['msg'].removeprefix('Value error, ')}")

    def _stated(self, line: bytes) -> Mapping[str, Any] | Refusal | None:
        raise NotImplementedError

    def _shown(self, place: int | str) -> str:
        return str(place)


class JsonLines(Lines[Form]):
    """One object per line, with the fields of the form; a period may be given in days."""

    def _stated(self, line: bytes) -> Mapping[str, Any] | Refusal:
        try:
            held = json.loads(line)
        except UnicodeDecodeError:
            return _NOT_UTF8
        except (ValueError, RecursionError):
            return _NOT_JSON
        return dict(_instants(held)) if isinstance(held, dict) else _NOT_JSON


class CsvLines(Lines[Form]):
    """A heading that names the columns, then one file per line; separated by `;`, `,` or tabs, as the heading is."""

    def __init__(self, form: type[Form]) -> None:
        super().__init__(form)
        self._separator = ""
        self._columns: Sequence[str] = ()
        self._subject = ""

    def _stated(self, line: bytes) -> Mapping[str, Any] | Refusal | None:
        if not self._columns:
            self._head(line)
            return None
        try:
            cells = self._cells(line.decode())
        except UnicodeDecodeError:
            return _NOT_UTF8
        except csv.Error:
            return _NOT_CSV
        if len(cells) > len(self._columns) and not any(cells[len(self._columns) :]):
            del cells[len(self._columns) :]  # a spreadsheet writes empty ones as far as some row went
        if len(cells) != len(self._columns):
            return Refusal(FORM_INVALID, f"the line has {len(cells)} columns, its heading {len(self._columns)}")
        stated = {name: cell for name, cell in zip(self._columns, cells, strict=True) if cell}
        subject = stated.get("subject", "")
        if _ROUNDED.fullmatch(subject) or (self._subject == "insz" and _SHORT_INSZ.fullmatch(subject)):
            return _AS_TEXT
        return dict(_instants(stated))

    def _head(self, line: bytes) -> None:
        wanted = f"the first line names the columns, in UTF-8: {', '.join(self._known())}; insz, kbo or betrokkene, and referentie, must be there"
        if not self._separator and (named := _SEPARATOR_LINE.fullmatch(line)):
            self._separator = named[1].decode("latin-1")
            return
        try:
            text = line.decode()
            self._separator = self._separator or next((mark for mark in ";\t" if mark in text), ",")
            names = [name.lower() for name in self._cells(text)]
        except (UnicodeDecodeError, csv.Error, TypeError):
            raise Invalid(wanted) from None
        while names and not names[-1]:
            names.pop()
        columns = [_COLUMNS.get(name, "") for name in names]
        known = self._form.model_fields.keys() >= set(columns)
        if not known or len(set(columns)) != len(columns) or not {"subject", "reference"} <= set(columns):
            raise Invalid(wanted)
        self._columns = columns
        self._subject = names[columns.index("subject")]

    def _cells(self, text: str) -> list[str]:
        (row,) = csv.reader([text], delimiter=self._separator, strict=True)
        return [_FORMULA.sub(r"\1", cell.strip()) for cell in row]

    def _known(self) -> Iterator[str]:
        return (name for name, field in _COLUMNS.items() if field in self._form.model_fields)

    def _shown(self, place: int | str) -> str:
        return next((name for name, field in _COLUMNS.items() if field == place and field != "subject"), str(place))


def _instants(stated: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The fields, with days as instants: the begin of the first day, the end of the last."""
    for name, value in stated.items():
        day = _day(value) if name in {"begin", "end"} and isinstance(value, str) else None
        try:
            yield name, value if day is None else _midnight(day if name == "begin" else day + _DAY).isoformat()
        except OverflowError:
            yield name, value


def _day(text: str) -> date | None:
    """The day that `2026-01-31` or `31/01/2026` states."""
    try:
        if found := _BELGIAN_DAY.fullmatch(text):
            return date(int(found[3]), int(found[2]), int(found[1]))
        return date.fromisoformat(text) if _ISO_DAY.fullmatch(text) else None
    except ValueError:
        return None


def _midnight(day: date) -> datetime:
    """The instant at which a day begins in Belgium."""
    early = datetime(day.year, day.month, day.day, tzinfo=UTC) - 2 * _HOUR
    return early if belgian_day(milliseconds(early)) == day else early + _HOUR
