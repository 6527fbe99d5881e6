"""Who plays in the demo: fictional people and the files on them, the same for the same seed. Pure.

The lead is an eighteen-year-old of Gent who moves to Leuven: Gent loses sight of her, Leuven meets her, and the parking
company and the youth service keep their file on her. Nobody exists: see `adapters.synthetic`.
"""

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from adapters.synthetic import GENT, LEUVEN, OOSTENDE, Municipality, SyntheticAdapter, move, people
from adapters.synthetic_names import address

Value = Mapping[str, Any]

ON = date(2026, 1, 1)
"""Day on which the population stands; ages count from it."""

SEED = 2024
PEOPLE, ENTERPRISES, ROADWORKS = 1000, 50, 30
PARKING_FILES, YOUTH_FILES = 20, 12
HOME, ELSEWHERE, THIRD = GENT, LEUVEN, OOSTENDE

_EIGHTEEN = "2008-01-"
_ADULT, _YOUNG = range(19, 120), range(14, 26)


@dataclass(frozen=True, slots=True)
class File:
    """One dossier to register: the agency's own reference and the subject."""

    reference: str
    subject: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Cast:
    """The population and the parts in it; none of it shows in a representation."""

    people: tuple[Value, ...] = field(repr=False)
    lead: Value = field(repr=False)
    parking: tuple[File, ...]
    youth: tuple[File, ...]

    def sources(self, recorded: str) -> SyntheticAdapter:
        """The whole snapshot as the sources state it at `recorded` (RFC 3339, UTC): a new statement each time."""
        return SyntheticAdapter(SEED, ON, len(self.people), ENTERPRISES, ROADWORKS, recorded)

    def moved(self, recorded: str) -> Value:
        """The lead after her move to another municipality."""
        return move(self.lead, ELSEWHERE, _rng(SEED), on=_day(recorded), recorded=recorded)

    def changes(self, count: int, recorded: str, *, within: Municipality | None = None) -> Iterator[Value]:
        """`count` people, never the lead, after moving house within their municipality (or within this one only)."""
        rng = _rng(recorded)
        able = [person for person in self.people if person is not self.lead and within in {None, _place(person)}]
        for person in rng.sample(able, count):
            yield move(person, _place(person), rng, on=_day(recorded), recorded=recorded)

    def corrected(self, value: Value, recorded: str) -> Value:
        """`value` as a correction: the same person at another house number of the same street."""
        residence = value["verblijfplaats"]
        number = address(_rng(recorded), _place(value), None)["huisnummer"]
        residence = {**residence, "huisnummer": number}
        return {**value, "kind": "corrected", "recordedAt": recorded, "verblijfplaats": residence}


def cast(count: int = PEOPLE) -> Cast:
    """The cast of a population of `count`, which must be large enough to hold its parts."""
    everyone = tuple(people(_rng(SEED), count, on=ON))
    lead = next(
        person
        for person in everyone
        if _place(person) == HOME and person["ouders"] and person["geboorte"]["datum"].startswith(_EIGHTEEN)
    )
    drivers = [person for person in everyone if _is(person, HOME, _ADULT)]
    young = [person for person in everyone if _is(person, ELSEWHERE, _YOUNG)]
    return Cast(
        people=everyone,
        lead=lead,
        parking=_files("P-2026", [lead, *drivers[: PARKING_FILES - 1]]),
        youth=_files("JD-2026", [lead, *young[: YOUTH_FILES - 1]]),
    )


def _files(prefix: str, subjects: list[Value]) -> tuple[File, ...]:
    return tuple(File(f"{prefix}-{number:04}", subject["insz"]) for number, subject in enumerate(subjects, 1))


def _is(person: Value, place: Municipality, ages: range) -> bool:
    return _place(person) == place and ON.year - int(person["geboorte"]["datum"][:4]) in ages


def _place(person: Value) -> Municipality:
    nis = person["verblijfplaats"]["gemeente"]["nis"]
    return next(place for place in (HOME, ELSEWHERE, THIRD) if place.nis == nis)


def _day(recorded: str) -> date:
    return date.fromisoformat(recorded[:10])


def _rng(seed: int | str) -> random.Random:
    return random.Random(seed)  # noqa: S311 - reproducible data, not a secret
