"""Attested answers: the same as what is delivered, constant until the day that changes them, and changed on it."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.errors import Invalid
from broker.model.agreement import ReleasedField, Transform
from broker.policy.attest import ATTESTED, TIMED, Answer, answer, next_change
from broker.schema.reference import transformed

ADULT = ReleasedField("geboorte.datum", Transform.ADULT, "", "x")
BAND = ReleasedField("geboorte.datum", Transform.BAND, "", "x", ("18", "25", "65"))
CHANGES = [1, 27, 28, 29, 30, 31]


def age(years: int) -> ReleasedField:
    return ReleasedField("geboorte.datum", Transform.AGE, "", "x", (str(years),))


@st.composite
def questions(draw: st.DrawFn) -> ReleasedField:
    bounds = sorted(draw(st.sets(st.integers(0, 120), min_size=1, max_size=4)))
    close = tuple(str(bounds[0] + step) for step in range(draw(st.integers(1, 3))))
    banded = draw(st.sampled_from((tuple(map(str, bounds)), close)))
    return draw(
        st.sampled_from((ADULT, age(bounds[0]), ReleasedField("geboorte.datum", Transform.BAND, "", "x", banded)))
    )


@st.composite
def partial_dates(draw: st.DrawFn) -> str:
    month, day = draw(st.integers(0, 12)), draw(st.sampled_from((0, *CHANGES)) | st.integers(0, 31))
    return f"{draw(st.integers(1900, 2030)):04}-{month:02}-{day:02}"


DAYS = st.dates(date(2000, 1, 1), date(2060, 12, 31))


@given(questions(), partial_dates(), DAYS, st.floats(0, 1))
def test_an_answer_holds_until_the_day_of_its_next_change(
    released: ReleasedField, text: str, on: date, share: float
) -> None:
    now, change = answer(released, text, on), next_change(released, text, on)
    until = date(2200, 1, 1) if change is None else change
    assert until > on
    for days in (1, int(share * (until - on).days), (until - on).days - 1):
        between = min(on + timedelta(days=days), until - timedelta(days=1))
        assert answer(released, text, between) == now
        assert next_change(released, text, between) == change
    if change is not None:
        assert answer(released, text, change) != now


@given(questions(), partial_dates(), DAYS)
def test_no_change_is_passed_over(released: ReleasedField, text: str, on: date) -> None:
    """A thousand days around a change, one by one: each answers what the chain of changes tells."""
    due = next_change(released, text, on)
    on = on if due is None else due - timedelta(days=3)
    told, due = answer(released, text, on), next_change(released, text, on)
    for days in range(1, 1000):
        day = on + timedelta(days=days)
        if day == due:
            told, due = answer(released, text, day), next_change(released, text, day)
        assert answer(released, text, day) == told


@given(questions(), partial_dates() | st.sampled_from(("", "2008-5-7", "onbekend")), DAYS)
def test_what_is_compared_is_what_is_delivered(released: ReleasedField, text: str, on: date) -> None:
    assert answer(released, text, on) == transformed(released, text, on.isoformat(), None, b"")


@pytest.mark.parametrize(
    ("released", "born", "on", "expected"),
    [
        (ADULT, "2008-05-17", "2026-05-16", "2026-05-17"),
        (ADULT, "2008-05-17", "2026-05-17", None),
        (ADULT, "2008-02-29", "2026-01-01", "2026-03-01"),
        (age(20), "2008-02-29", "2026-01-01", "2028-02-29"),
        (ADULT, "2008-05-00", "2026-01-01", "2026-05-01"),
        (ADULT, "2008-05-00", "2026-05-01", "2026-05-31"),
        (ADULT, "2008-02-00", "2026-02-01", "2026-03-01"),
        (ADULT, "2008-00-00", "2020-01-01", "2026-01-01"),
        (ADULT, "2008-00-00", "2026-01-01", "2026-12-31"),
        (ADULT, "0000-00-00", "2026-01-01", None),
        (ADULT, "onbekend", "2026-01-01", None),
        (age(0), "2026-06-01", "2026-01-01", "2026-06-01"),
        (age(150), "9990-01-01", "2026-01-01", None),
        (BAND, "2008-05-17", "2026-05-17", "2033-05-17"),
        (BAND, "1950-00-00", "2026-05-17", None),
        (BAND, "17", "2026-05-17", None),
    ],
)
def test_days_on_which_time_alone_changes_an_answer(
    released: ReleasedField, born: str, on: str, expected: str | None
) -> None:
    found = next_change(released, born, date.fromisoformat(on))
    assert (found and found.isoformat()) == expected


@pytest.mark.parametrize(
    ("born", "expected"),
    [
        ("2008-06-01", True),
        ("2008-06-02", False),
        ("2008-06-00", None),
        ("2008-05-00", True),
        ("2008-07-00", False),
        ("2008-00-00", None),
        ("2007-00-00", True),
        ("2009-00-00", False),
        ("0000-00-00", None),
        ("", None),
        ("2008-6-1", None),
        ("2008/06/01", None),
        ("２００８-06-01", None),  # noqa: RUF001 - digits, but not those of a date
        (None, None),
    ],
)
def test_a_partial_date_answers_only_what_is_sure(*, born: str | None, expected: bool | None) -> None:
    assert answer(ADULT, born, date(2026, 6, 1)) is expected


@pytest.mark.parametrize(("text", "expected"), [("44021", True), ("24062", False), ("", False), (None, None)])
def test_where_someone_lives_does_not_depend_on_the_day(text: str | None, *, expected: bool | None) -> None:
    released = ReleasedField("verblijfplaats.nis", Transform.LIVES_IN, "", "x", ("44021", "44083"))
    assert answer(released, text, date(2026, 5, 17)) is expected
    assert next_change(released, text, date(2026, 5, 17)) is None


def test_the_band_of_a_number_is_never_that_of_an_age() -> None:
    """Text that is no date where one is due delivers nothing; the date that replaces it must be told."""
    on = date(2026, 5, 17)
    ages: set[Answer] = {answer(BAND, born, on) for born in ("2020-01-01", "2005-01-01", "1990-01-01", "1950-01-01")}
    numbers: set[Answer] = {answer(BAND, number, on) for number in ("5", "20", "30", "70", "-1")}
    assert ages == {"<18", "18-24", "25-64", "65+"}
    assert numbers == {0, 1, 2, 3}


@pytest.mark.parametrize("transform", sorted(set(Transform) - ATTESTED))
def test_other_transforms_attest_nothing(transform: Transform) -> None:
    released = ReleasedField("geboorte.datum", transform, "", "x")
    assert transform not in TIMED
    assert next_change(released, "2008-05-17", date(2026, 1, 1)) is None
    with pytest.raises(Invalid):
        answer(released, "2008-05-17", date(2026, 1, 1))
