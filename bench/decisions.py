"""What one decision costs under 10, 300 and 10,000 agreements, in one run: the engine alone, on encoded values."""

import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import pairwise
from typing import Any

from bench.population import document, nis_of
from broker.model.agreement import State
from broker.model.decision import Kind
from broker.policy import documents
from broker.policy.calendar import milliseconds
from broker.policy.compiler import compile_engine
from broker.policy.engine import Previous
from broker.policy.standing import Standing
from broker.schema.avro import Schema, encode_literal

SIZES = (10, 300, 10_000)
_START = datetime(2026, 1, 1, tzinfo=UTC)
_NOW = milliseconds(datetime(2026, 11, 26, tzinfo=UTC))


@dataclass(frozen=True, slots=True)
class Cost:
    """Under `agreements`: seconds to compile, and per record (µs) where the subject stays and where it moves."""

    agreements: int
    compile_s: float
    stay_us: float
    move_us: float
    decisions: int

    def as_json(self) -> Mapping[str, Any]:
        """Rounded."""
        return {
            "agreements": self.agreements,
            "compile_s": round(self.compile_s, 3),
            "stay_us": round(self.stay_us, 2),
            "move_us": round(self.move_us, 2),
            "decisions_per_record": round(self.decisions, 2),
        }


def measure(schema: Schema, *, records: int, sizes: Sequence[int] = SIZES) -> Sequence[Cost]:
    """Each size over equally many records, every one of which lies in one agreement's municipality."""
    encode = partial(encode_literal, schema)
    found = []
    for size in sizes:
        standings = [Standing(documents.agreement(document(number)), State.ACTIVE, _START) for number in range(size)]
        began = time.perf_counter()
        engine = compile_engine(standings, schema, encode)
        compiled = time.perf_counter() - began
        rng = random.Random(7)  # noqa: S311 - the same records in every run
        (path,) = engine.paths
        places = [(encode(path, nis_of(rng.randrange(size))),) for _ in range(records + 1)]
        warm = [
            (encode(path, nis_of(number)),) for number in range(size)
        ]  # an agreement's first record makes its answers
        _run(engine, [(place, place) for place in warm])
        stay, decided = _run(engine, [(place, place) for place in places[1:]])
        move, _ = _run(engine, list(pairwise(places)))
        found.append(Cost(size, compiled, 1e6 * stay / records, 1e6 * move / records, decided // records))
    return found


def _run(engine: Any, pairs: Sequence[tuple[tuple[bytes, ...], tuple[bytes, ...]]]) -> tuple[float, int]:
    decide, decided = engine.batch(_NOW).decide, 0
    began = time.perf_counter()
    for before, after in pairs:
        decided += len(decide(Previous(before, _NOW - 1000), after, Kind.CHANGED))
    return time.perf_counter() - began, decided
