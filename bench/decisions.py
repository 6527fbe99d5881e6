"""What one decision costs under 10, 300 and 10,000 agreements, in one run: the engine alone, on encoded values.

CPU time, the best of several turns in which the sizes take theirs one after the other. Two spreads of the same number of
records tell the work from the memory it touches: over the municipalities of all agreements, equally many in each, and
over ten of them at every size.
"""

import random
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import pairwise
from typing import Any

from bench.population import document, nis_of
from broker.model.agreement import State
from broker.model.decision import Kind
from broker.policy import documents
from broker.policy.buckets import Values
from broker.policy.calendar import milliseconds
from broker.policy.compiler import compile_engine
from broker.policy.engine import Engine, Previous
from broker.policy.standing import Standing
from broker.schema.avro import Schema, encode_literal

SIZES = (10, 300, 10_000)
START = datetime(2026, 1, 1, tzinfo=UTC)
NOW = milliseconds(datetime(2026, 11, 26, tzinfo=UTC))
_HOT, _TURNS = 10, 5
ALL, TEN = "all", "ten"
"""The spreads: records over the municipalities of all agreements, or over ten of them."""
_SUFFIX = {ALL: "", TEN: "_ten"}


@dataclass(frozen=True, slots=True)
class Cost:
    """Under `agreements`: seconds to compile, and µs of CPU per record by spread, where the subject stays and moves."""

    agreements: int
    compile_s: float
    stay_us: Mapping[str, float]
    move_us: Mapping[str, float]
    decisions: float

    def as_json(self) -> Mapping[str, Any]:
        """Rounded."""
        return {
            "agreements": self.agreements,
            "compile_s": round(self.compile_s, 3),
            **{f"stay_us{_SUFFIX[spread]}": round(us, 3) for spread, us in self.stay_us.items()},
            **{f"move_us{_SUFFIX[spread]}": round(us, 3) for spread, us in self.move_us.items()},
            "decisions_per_record": round(self.decisions, 2),
        }


def growth(costs: Sequence[Cost]) -> Mapping[str, float]:
    """Each cost per record under the most agreements, by that under the fewest."""
    few, many = costs[0].as_json(), costs[-1].as_json()
    return {name: round(many[name] / few[name], 2) for name in few if name.startswith(("stay", "move"))}


def measure(schema: Schema, *, records: int, sizes: Sequence[int] = SIZES) -> Sequence[Cost]:
    """Each size over equally many records, every one of which lies in one agreement's municipality."""
    encode = partial(encode_literal, schema)
    engines, compiled = [], []
    for size in sizes:
        standings = [Standing(documents.agreement(document(number)), State.ACTIVE, START) for number in range(size)]
        began = time.process_time()
        engines.append(compile_engine(standings, schema, encode))
        compiled.append(time.process_time() - began)
    (path,) = engines[0].paths  # the same in every engine
    places = {
        (size, spread): [(encode(path, nis_of(number)),) for number in _spread(among, records + 1)]
        for size in sizes
        for spread, among in ((ALL, range(size)), (TEN, range(0, size, max(1, size // _HOT))))
    }
    stay: dict[tuple[int, str], float] = {}
    move: dict[tuple[int, str], float] = {}
    decided = {}
    for _ in range(_TURNS):
        for size, engine in zip(sizes, engines, strict=True):
            _run(engine, ((place, place) for place in set(places[size, ALL])))  # a first record makes the answers
            for spread in (ALL, TEN):
                at = places[size, spread]
                spent, decided[size] = _run(engine, [(place, place) for place in at[1:]])
                stay[size, spread] = min(spent, stay.get((size, spread), spent))
                spent, _ = _run(engine, list(pairwise(at)))
                move[size, spread] = min(spent, move.get((size, spread), spent))
    return [
        Cost(
            size,
            seconds,
            {spread: 1e6 * stay[size, spread] / records for spread in (ALL, TEN)},
            {spread: 1e6 * move[size, spread] / records for spread in (ALL, TEN)},
            decided[size] / records,
        )
        for size, seconds in zip(sizes, compiled, strict=True)
    ]


def _spread(among: Sequence[int], number: int) -> Sequence[int]:
    """`number` of these, each as often as any other, in no order."""
    chosen = [among[index % len(among)] for index in range(number)]
    random.Random(7).shuffle(chosen)  # noqa: S311 - the same records in every run
    return chosen


def _run(engine: Engine, pairs: Iterable[tuple[Values, Values]]) -> tuple[float, int]:
    decide, decided = engine.batch(NOW).decide, 0
    began = time.process_time()
    for before, after in pairs:
        decided += len(decide(Previous(before, NOW - 1000), after, Kind.CHANGED))
    return time.process_time() - began, decided
