"""Synthetic people, enterprises and roadworks of Gent, Leuven and Oostende: the same for the same seed.

Nobody exists: INSZ are test numbers (month + 60), KBO numbers come from 19…, which are not handed out, IRIs are under
`example`, and family and street names are invented. Randomness, the day and the instant are arguments.
"""

import random
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from types import MappingProxyType
from urllib.parse import parse_qsl

from adapters.sdk import Change, Item
from adapters.synthetic_names import GENT, LEUVEN, MUNICIPALITIES, OOSTENDE, Municipality
from adapters.synthetic_people import Value, move, people
from adapters.synthetic_things import enterprises, roadworks
from broker.errors import Invalid

__all__ = [
    "GENT",
    "LEUVEN",
    "MUNICIPALITIES",
    "OOSTENDE",
    "Municipality",
    "SyntheticAdapter",
    "build",
    "enterprises",
    "move",
    "people",
    "roadworks",
]

_SOURCES = MappingProxyType({"persoon.v1": "rijksregister", "organisatie.v1": "kbo", "hinder.v1": "gipod"})


@dataclass(frozen=True, slots=True)
class SyntheticAdapter:
    """Yields people, then enterprises, then roadworks, made from `seed` as of the day `on`.

    `recorded` is when the sources state it, RFC 3339 in UTC; default: midnight of `on`.
    """

    seed: int
    on: date
    people: int
    enterprises: int
    roadworks: int
    recorded: str | None = None
    name: str = "synthetic"
    sources: Mapping[str, str] = field(default_factory=lambda: _SOURCES)

    async def changes(self, cursor: str | None) -> AsyncIterator[tuple[Item, str]]:
        """Items after `cursor`, which is their number; after the last one the next run starts over."""
        done = int(cursor) if cursor and cursor.isdecimal() else 0
        total = self.people + self.enterprises + self.roadworks
        for number, (source_id, product, value) in enumerate(self._all(), 1):
            if number > done:
                yield Change(source_id, product, value), str(number) if number < total else ""

    def _all(self) -> Iterator[tuple[str, str, Value]]:
        rng = random.Random(self.seed)  # noqa: S311 - reproducible data, not a secret
        for person in people(rng, self.people, on=self.on, recorded=self.recorded):
            yield f"persoon/{person['insz']}", "persoon.v1", person
        for enterprise in enterprises(rng, self.enterprises, on=self.on, recorded=self.recorded):
            yield f"organisatie/{enterprise['identificator']}", "organisatie.v1", enterprise
        for works in roadworks(rng, self.roadworks, on=self.on, recorded=self.recorded):
            yield str(works["versie"]), "hinder.v1", works


def build(source: str) -> SyntheticAdapter:
    """The adapter for `source`, such as `seed=7&people=1000&enterprises=50&roadworks=30&on=2026-01-01`."""
    asked = {"seed": "1", "people": "1000", "enterprises": "50", "roadworks": "30", "on": "2026-01-01"}
    given = dict(parse_qsl(source.removeprefix("synthetic:")))
    if unknown := sorted(given.keys() - asked.keys()):
        raise Invalid(f"the synthetic source knows {', '.join(asked)}, not {', '.join(unknown)}")
    asked |= given
    try:
        seed, some_people, some_enterprises, some_works = (
            int(asked[key]) for key in ("seed", "people", "enterprises", "roadworks")
        )
        return SyntheticAdapter(seed, date.fromisoformat(asked["on"]), some_people, some_enterprises, some_works)
    except ValueError:
        raise Invalid("the synthetic source takes whole numbers and a day as YYYY-MM-DD") from None
