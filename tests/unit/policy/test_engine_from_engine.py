"""An engine made from a former one is the engine of its standings, whatever changed since, and the former stays what it was."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from broker.model.agreement import Equals, ReleasedField, State, Transform
from broker.policy.buckets import Bucket
from broker.policy.compiler import Compiled, compile_engine, compiled
from broker.policy.engine import Engine
from broker.policy.standing import Former, Standing
from tests.unit.policy.test_engine_equals_reference import VALUES, Dice, assert_equal

Standings = dict[str, Standing]


def activated(dice: Dice, held: Standings) -> Standings:
    standing = dice.standing(dice.random.randrange(100))
    return held | {standing.agreement.id: standing}


def moved(dice: Dice, held: Standings) -> Standings:
    """Suspended, resumed, revoked, ended."""
    name = dice.random.choice(sorted(held))
    return held | {name: replace(held[name], state=dice.random.choice(tuple(State)))}


def amended(dice: Dice, held: Standings) -> Standings:
    name = dice.random.choice(sorted(held))
    before, standing = held[name].agreement, dice.standing(int(name.rpartition("-")[2]))
    earlier = replace(standing.agreement, population=before.population, fields=before.fields)
    at = dice.instant()
    return held | {name: replace(standing, amended_at=at, formers=(Former(earlier, at),))}


def gone(dice: Dice, held: Standings) -> Standings:
    """Its next version was requested and is not in force."""
    left = set(held) - {dice.random.choice(sorted(held))}
    return {name: held[name] for name in held if name in left} or held


def limited(dice: Dice, held: Standings) -> Standings:
    dice.limits = dice.ceilings()
    return {
        name: replace(standing, above_ceiling=not dice.limits.allow(standing.agreement))
        for name, standing in held.items()
    }


CHANGES: Sequence[Callable[[Dice, Standings], Standings]] = (activated, activated, moved, moved, amended, gone, limited)


def filled(bucket: Bucket | None) -> Any:
    """What is in a bucket, by agreement and place."""
    if bucket is None:
        return None
    shelves = (bucket.plain, bucket.settled, bucket.rest, bucket.changing, bucket.filed_rest)
    return bucket.filed, *([(plan.agreement.id, plan.index) for plan in shelf] for shelf in shelves)


def built(engine: Engine) -> Any:
    tables = {(place, value): filled(bucket) for place, table in engine._tables for value, bucket in table.items()}
    return engine.paths, [(plan.agreement.id, plan.index) for plan in engine.plans], tables, filled(engine._everyone)


def decides(made: Compiled, held: Mapping[str, Standing], dice: Dice, encode: Any) -> None:
    standings = tuple(held.values())
    assert_equal(made.engine, [dice.case(standings) for _ in range(2)], encode, dice)


@settings(max_examples=100, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**63))
def test_whatever_changes_the_next_engine_decides_as_specified_and_is_built_as_anew(
    seed: int, schema: Any, encode: Any
) -> None:
    dice = Dice(random.Random(seed))
    held: Standings = {}
    for number in range(dice.random.choice((1, 3, 10))):
        held |= {(standing := dice.standing(number)).agreement.id: standing}
    paths = dice.random.choice((tuple(VALUES), tuple(VALUES), ()))
    made = compiled(held.values(), schema, encode, paths=paths)
    for _ in range(6):
        former, before = made, held
        for change in dice.random.choices(CHANGES, k=dice.random.choice((1, 1, 3))):
            held = change(dice, held)
        made = compiled(held.values(), schema, encode, paths=paths, former=former)
        assert built(made.engine) == built(compile_engine(held.values(), schema, encode, paths=paths))
        decides(made, held, dice, encode)
        decides(former, before, dice, encode)


def test_what_an_earlier_version_asked_is_compared_though_nothing_asks_it_now(schema: Any, encode: Any) -> None:
    dice = Dice(random.Random(7))
    now = replace(dice.standing(0).agreement, fields=(ReleasedField("geslacht", Transform.KEEP, ""),))
    asked = replace(now, fields=(ReleasedField("geboorte.datum", Transform.ADULT, "", "meerderjarig"),))
    at = dice.instant()
    standing = Standing(now, State.ACTIVE, at, amended_at=at, formers=(Former(asked, at),))
    assert "geboorte.datum" in compile_engine([standing], schema, encode).paths


def many(number: int) -> Standings:
    """Agreements on one municipality each."""
    dice, began = Dice(random.Random(7)), datetime(2026, 1, 1, tzinfo=UTC)
    (agreement,) = {dice.standing(0).agreement}
    held = {}
    for each in range(number):
        population = replace(agreement.population, where=Equals("adres.gemeente.nis", (f"{10000 + each}",)))
        own = replace(agreement, id=f"a-{each:04}", population=replace(population, dossiers=False, consent=False))
        held[own.id] = Standing(own, State.ACTIVE, began + timedelta(minutes=each))
    return held


@pytest.mark.parametrize("number", [10, 500])
def test_a_revocation_compiles_one_agreement_whatever_their_number(number: int, schema: Any, encode: Any) -> None:
    asked: list[str] = []

    def counted(path: str, text: str) -> bytes:
        asked.append(text)
        return bytes(encode(path, text))

    held = many(number)
    before = compiled(held.values(), schema, counted)
    asked.clear()
    held["a-0003"] = replace(held["a-0003"], state=State.REVOKED)
    after = compiled(held.values(), schema, counted, former=before)
    assert set(asked) == {"10003"}
    kept = [one for one, other in zip(before.engine.plans, after.engine.plans, strict=True) if one is other]
    assert len(kept) == number - 1
    others = [key for key, bucket in after.index.buckets.items() if bucket is before.index.buckets[key]]
    assert len(others) == number - 1
