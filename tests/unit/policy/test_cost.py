"""What a decision costs does not grow with agreements that do not match, counted in calls, not in seconds."""

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from broker.model.agreement import (
    EVERYONE,
    Agreement,
    AllOf,
    AnyOf,
    Constraint,
    Dossier,
    Equals,
    Population,
    Range,
    ReleasedField,
    State,
    Term,
    Transform,
)
from broker.model.decision import Kind
from broker.policy.calendar import milliseconds
from broker.policy.compiler import compile_engine
from broker.policy.engine import Engine, Previous
from broker.policy.papers import Papers
from broker.policy.standing import Standing

START = datetime(2026, 1, 1, tzinfo=UTC)
NOW = milliseconds(datetime(2026, 6, 1, tzinfo=UTC))
NIS, POSTCODE, BORN, SEX = "adres.gemeente.nis", "adres.postcode", "geboorte.datum", "geslacht"


def standing(number: int, where: Constraint, *, dossiers: bool = False) -> Standing:
    agreement = Agreement(
        f"a-{number:05}",
        1,
        "",
        "rijksregister",
        "persoon.v1",
        "stad",
        "doel",
        (),
        (ReleasedField(NIS, Transform.KEEP, ""),),
        Population(where, dossiers),
        Term(START, None),
    )
    return Standing(agreement, State.ACTIVE, START)


SHAPES: dict[str, Callable[[int], Constraint]] = {
    "one municipality each": lambda number: Equals(NIS, (f"{10000 + number}",)),
    "with a value that all share": lambda number: AllOf((Equals(SEX, ("man",)), Equals(NIS, (f"{10000 + number}",)))),
    "with a range": lambda number: AllOf((Range(BORN, "1950-01-01", None), Equals(NIS, (f"{10000 + number}",)))),
    "one of two paths": lambda number: AnyOf(
        (Equals(POSTCODE, (f"P{number}",)), AllOf((Equals(NIS, (f"{10000 + number}",)), Equals(SEX, ("man",)))))
    ),
}


def values(engine: Engine, encode: Any, nis: str) -> tuple[bytes, ...]:
    texts = {NIS: nis, POSTCODE: "9000", BORN: "1980-01-01", SEX: "man"}
    return tuple(encode(path, texts[path]) for path in engine.paths)


def calls(work: Callable[[], object]) -> int:
    """Function calls that `work` makes, after one run that fills what is kept between records."""
    work()
    made = 0

    def count(_frame: Any, event: str, _argument: Any) -> None:
        nonlocal made
        made += event in {"call", "c_call"}

    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(None)
    return made


@pytest.mark.parametrize("shape", SHAPES)
def test_the_same_calls_for_10_and_3000_agreements(shape: str, schema: Any, encode: Any) -> None:
    counted = []
    for size in (10, 3000):
        engine = compile_engine([standing(number, SHAPES[shape](number)) for number in range(size)], schema, encode)
        here, there = values(engine, encode, "10003"), values(engine, encode, "10004")
        batch = engine.batch(NOW)
        at = NOW - 1000
        assert [index for index, _ in batch.decide(Previous(here, at), here, Kind.CHANGED)] == [3]
        assert [index for index, _ in batch.decide(Previous(here, at), there, Kind.CHANGED)] == [3, 4]
        stay = calls(lambda: batch.decide(Previous(here, at), here, Kind.CHANGED))  # noqa: B023 - called at once
        move = calls(lambda: batch.decide(Previous(here, at), there, Kind.CHANGED))  # noqa: B023
        counted.append((stay, move))
    assert counted[0] == counted[1]


def test_the_same_calls_for_10_and_3000_agencies_with_dossiers(schema: Any, encode: Any) -> None:
    counted = []
    for size in (10, 3000):
        engine = compile_engine([standing(number, EVERYONE, dossiers=True) for number in range(size)], schema, encode)
        batch = engine.batch(NOW)
        on_file = Papers((Dossier("a-00003", b"", "801", "R-3", START, None, START),))
        answer = batch.decide(Previous((), NOW - 1000), (), Kind.CHANGED, on_file)
        assert [(index, decision.agreement) for index, decision in answer] == [(3, "a-00003")]
        assert batch.counts().no_dossier == {number: 1 for number in range(size) if number != 3}
        without = calls(lambda: batch.decide(Previous((), NOW - 1000), (), Kind.CHANGED))  # noqa: B023
        having = calls(lambda: batch.decide(Previous((), NOW - 1000), (), Kind.CHANGED, on_file))  # noqa: B023
        counted.append((without, having))
    assert counted[0] == counted[1]
