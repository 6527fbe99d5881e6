"""`policies/authorities.csv`: the Flemish municipalities and OCMWs, by period (a merger ends some and renames others).

One line is one body during one period: `id,kind,name,nis,kbo,ovo,from,to,successor`. `from` (inclusive) and `to` (exclusive)
are dates, empty where the period is open; `successor` says who takes over at `to`, and may be the body itself where it
goes on under another NIS code. A municipality and its OCMW are different controllers, so they are different lines. An
unknown KBO number or OVO code is empty, never guessed.
"""

import csv
import io
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from functools import cached_property
from itertools import pairwise

from broker.errors import Invalid
from broker.model import topics
from broker.model.identifiers import parse_kbo, parse_nis, parse_ovo
from broker.model.registered import Organisation

_COLUMNS = ("id", "kind", "name", "nis", "kbo", "ovo", "from", "to", "successor")
_NAME = re.compile(r"[^\W\d_][\w' .()-]{0,79}")
_LONGEST_SLUG = 50
"""Leaves room for the template's own slug in the id of an agreement."""


class Kind(StrEnum):
    """What a local authority is."""

    GEMEENTE = "gemeente"
    OCMW = "ocmw"


@dataclass(frozen=True, slots=True)
class Authority:
    """One body during one period `[begin, end)`; None is an open side. `id` is its organisation's slug."""

    id: str
    kind: Kind
    name: str
    nis: str
    kbo: str | None = None
    ovo: str | None = None
    begin: date | None = None
    end: date | None = None
    successor: str | None = None

    def holds(self, on: date) -> bool:
        """Whether the body exists in this form on a day."""
        return (self.begin is None or self.begin <= on) and (self.end is None or on < self.end)

    @property
    def organisation(self) -> Organisation:
        """The body as the broker registers it."""
        title = "OCMW" if self.kind is Kind.OCMW else "Gemeente"
        return Organisation(self.id, f"{title} {self.name}", self.ovo, self.kbo)


class Authorities:
    """The table, checked as a whole."""

    def __init__(self, rows: Iterable[Authority]) -> None:
        """Raises `Invalid` where lines contradict each other."""
        self.rows = tuple(rows)
        _check(self.rows, self._by_id)

    @cached_property
    def _by_id(self) -> Mapping[str, tuple[Authority, ...]]:
        found: dict[str, tuple[Authority, ...]] = {}
        for row in self.rows:
            found[row.id] = (*found.get(row.id, ()), row)
        return found

    def on(self, day: date, kind: Kind | None = None) -> tuple[Authority, ...]:
        """Bodies that exist on a day, of one kind if given, in the table's order."""
        return tuple(row for row in self.rows if row.holds(day) and kind in {None, row.kind})

    def find(self, identifier: str, day: date) -> Authority:
        """The body as it is on a day; raises `Invalid` naming who took over if it is gone, or that nobody knows it."""
        periods = self._by_id.get(identifier, ())
        for row in periods:
            if row.holds(day):
                return row
        heirs = [row.successor for row in periods if row.successor and row.end and row.end <= day]
        if heirs:
            raise Invalid(f"{identifier} does not exist on {day}: {heirs[-1]} took over")
        raise Invalid(f"authorities: nobody is called {identifier} on {day}")

    def merged_into(self, successor: str, day: date) -> tuple[Authority, ...]:
        """Bodies, in their last form, whose successor on or before a day is `successor`; it may be among them."""
        return tuple(row for row in self.rows if row.successor == successor and row.end is not None and row.end <= day)


def authorities(text: str) -> Authorities:
    """The table of a CSV text; raises `Invalid` naming line and column, never more than one place at a time."""
    lines = csv.DictReader(text.splitlines())
    if tuple(lines.fieldnames or ()) != _COLUMNS:
        raise Invalid(f"authorities: the columns are {','.join(_COLUMNS)}")
    return Authorities(_row(number, line) for number, line in enumerate(lines, start=2))


def written(rows: Iterable[Authority]) -> str:
    """CSV text of some rows; `authorities` reads them back."""
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(_COLUMNS)
    for row in rows:
        cells = (row.id, row.kind.value, row.name, row.nis, row.kbo, row.ovo, row.begin, row.end, row.successor)
        lines.writerow("" if cell is None else cell for cell in cells)
    return text.getvalue()


def _row(number: int, line: Mapping[str | None, str | None]) -> Authority:
    cells = {name: (line.get(name) or "").strip() for name in _COLUMNS}
    if None in line or None in line.values():
        raise Invalid(f"authorities: line {number} has not {len(_COLUMNS)} cells")

    def read(column: str, parse: Callable[[str], str]) -> str | None:
        try:
            return parse(cells[column]) if cells[column] else None
        except ValueError:
            raise Invalid(f"authorities: line {number}, {column}: not a date such as 2025-01-01") from None
        except Invalid as error:
            raise Invalid(f"authorities: line {number}, {column}: {error}") from None

    def day(column: str) -> date | None:
        text = read(column, lambda cell: date.fromisoformat(cell).isoformat())
        return date.fromisoformat(text) if text else None

    if cells["kind"] not in list(Kind):
        raise Invalid(f"authorities: line {number}, kind: gemeente or ocmw")
    if not cells["id"] or not cells["nis"] or not _NAME.fullmatch(cells["name"]):
        raise Invalid(f"authorities: line {number} needs an id, a NIS code, and a name of letters, blanks and hyphens")
    return Authority(
        id=read("id", _slug) or "",
        kind=Kind(cells["kind"]),
        name=cells["name"],
        nis=read("nis", parse_nis) or "",
        kbo=read("kbo", parse_kbo),
        ovo=read("ovo", parse_ovo),
        begin=day("from"),
        end=day("to"),
        successor=read("successor", _slug),
    )


def _slug(text: str) -> str:
    if len(text) > _LONGEST_SLUG:
        raise Invalid(f"at most {_LONGEST_SLUG} characters")
    return topics.slug(text)


def _check(rows: tuple[Authority, ...], by_id: Mapping[str, tuple[Authority, ...]]) -> None:
    for row in rows:
        if row.begin is not None and row.end is not None and row.end <= row.begin:
            raise Invalid(f"authorities: {row.id} ends before it begins")
        if (row.successor is None) != (row.end is None):
            raise Invalid(f"authorities: {row.id}: who ends has a successor, and only who ends")
        if row.successor is not None and row.end is not None:
            heirs = [heir for heir in by_id.get(row.successor, ()) if heir.kind is row.kind and heir.holds(row.end)]
            if not heirs:
                raise Invalid(f"authorities: {row.id}: no {row.kind} {row.successor} exists when it takes over")
    for periods in by_id.values():
        ordered = sorted(periods, key=lambda period: period.begin or date.min)
        for earlier, later in pairwise(ordered):
            if earlier.end is None or later.begin is None or later.begin < earlier.end:
                raise Invalid(f"authorities: {later.id} is listed twice for the same time")
    for what in ("nis", "kbo", "ovo"):
        _never_shared(rows, what)


def _never_shared(rows: tuple[Authority, ...], what: str) -> None:
    """Two bodies that exist at the same time have codes of their own; the NIS code is of the place, so once per kind."""
    held: dict[tuple[str, str], list[Authority]] = {}
    for row in rows:
        code = getattr(row, what)
        if code is None:
            continue
        others = held.setdefault((row.kind if what == "nis" else "", code), [])
        if any(_together(row, other) for other in others):
            raise Invalid(f"authorities: {row.id} has the {what} of another one of its time")
        others.append(row)


def _together(one: Authority, other: Authority) -> bool:
    begin = max(one.begin or date.min, other.begin or date.min)
    return begin < min(one.end or date.max, other.end or date.max)
