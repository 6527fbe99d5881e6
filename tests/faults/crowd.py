"""Load: synthetic people nobody published before, some of whom move house, in pieces."""

import asyncio
import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date, timedelta
from itertools import count, islice
from typing import Any

from adapters.synthetic import MUNICIPALITIES, Municipality, move, people
from broker.model.identifiers import make_test_insz
from tests.stage import Stage

Value = Mapping[str, Any]
SOURCE, PRODUCT, TOPIC = "rijksregister", "persoon.v1", "source.rijksregister.persoon.v1"
_TODAY = date(2026, 1, 1)
_MOVING = 0.3


class Crowd:
    """Hands out people whose numbers never occur twice in a session."""

    def __init__(self) -> None:
        self._numbers = (
            make_test_insz(date(1930, 1, 2) + timedelta(days=day), serial)  # the day before is the published example's
            for day in count()
            for serial in range(1, 998)
        )
        self._models = list(people(random.Random(1), 200, on=_TODAY))

    def people(self, number: int) -> list[Value]:
        """So many new people."""
        return [{**self._models[at % 200], "insz": number} for at, number in enumerate(islice(self._numbers, number))]

    def changes(self, number: int, seed: int) -> Iterator[Value]:
        """So many new people, each stated once, some moving once or twice while the others are stated."""
        rng, known = random.Random(seed), []
        for person in self.people(number):
            yield person
            known.append(person)
            if rng.random() < _MOVING:
                at = rng.randrange(len(known))
                known[at] = move(known[at], rng.choice(MUNICIPALITIES), rng, on=_TODAY)
                yield known[at]


def living_in(place: Municipality, people: Iterable[Value], **changes: Any) -> list[Value]:
    """The same people, resident there."""
    at = {"nis": place.nis, "naam": place.name}
    return [{**one, **changes, "verblijfplaats": {**one["verblijfplaats"], "gemeente": at}} for one in people]


async def feed(
    stage: Stage, values: Iterator[Value], *, until: Callable[[], bool], piece: int, pause_s: float = 0.1
) -> int:
    """Publish `values` in pieces, with pauses, until they end or `until` holds; returns how many."""
    written = 0
    while not until() and (lines := list(islice(values, piece))):
        written += await stage.publish(SOURCE, PRODUCT, lines)
        await asyncio.sleep(pause_s)
    return written
