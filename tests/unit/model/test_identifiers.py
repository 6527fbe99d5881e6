import string
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.errors import Invalid
from broker.model.identifiers import (
    is_test_insz,
    make_test_insz,
    parse_capakey,
    parse_establishment,
    parse_insz,
    parse_kbo,
    parse_nis,
    parse_ovo,
    parse_puri,
    read_insz,
)

BIRTHS = st.dates(date(1900, 1, 1), date(2099, 12, 31))
SERIALS = st.integers(1, 997)


def insz(first_nine: str, *, since_2000: bool = False) -> str:
    base = int(("2" if since_2000 else "") + first_nine)
    return f"{first_nine}{97 - base % 97:02}"


@given(BIRTHS, SERIALS)
def test_a_made_number_is_a_valid_test_number_of_that_birth_and_sex(birth: date, serial: int) -> None:
    number = make_test_insz(birth, serial)
    assert parse_insz(number) == number
    assert is_test_insz(number)
    facts = read_insz(number)
    assert facts.birth == birth.isoformat()
    assert facts.sex == ("male" if serial % 2 else "female")
    assert facts.test
    assert not facts.bis


@given(BIRTHS, SERIALS, st.integers(0, 10), st.integers(1, 9))
def test_one_wrong_digit_is_always_found(birth: date, serial: int, place: int, shift: int) -> None:
    number = make_test_insz(birth, serial)
    wrong = f"{number[:place]}{(int(number[place]) + shift) % 10}{number[place + 1 :]}"
    try:
        accepted = read_insz(parse_insz(wrong))
    except Invalid:
        return
    # The only way out: the wrong digit makes the check digits fit the other century.
    assert accepted.birth[:2] != birth.isoformat()[:2]


@pytest.mark.parametrize(
    ("first_nine", "since_2000", "birth", "sex", "bis", "test"),
    [
        ("856130001", False, "1985-01-30", "male", False, True),
        ("000000997", False, "1900-00-00", "male", False, False),
        ("006000998", True, "2000-00-00", "female", False, True),
        ("672666666", False, "1967-00-00", None, True, False),
        ("673666666", False, "1967-00-00", None, True, False),
        ("856166001", False, None, None, None, None),
        ("672631002", False, "1967-06-31", None, True, False),
        ("674631002", False, "1967-06-31", "female", True, False),
        ("678631003", False, "1967-06-31", None, True, True),
        ("671331003", False, None, None, None, None),
        ("677431003", False, None, None, None, None),
    ],
)
def test_forms_of_the_number(first_nine, since_2000, birth, sex, bis, test) -> None:
    number = insz(first_nine, since_2000=since_2000)
    if test is None:
        with pytest.raises(Invalid):
            parse_insz(number)
        return
    facts = read_insz(parse_insz(number))
    assert (facts.birth, facts.sex, facts.bis, facts.test) == (birth, sex, bis, test)


def test_separators_are_dropped() -> None:
    number = make_test_insz("1985-07-30", 33)
    written = f"{number[:2]}.{number[2:4]}.{number[4:6]}-{number[6:9]}.{number[9:]}"
    assert parse_insz(written) == number


def test_a_partial_birth_date_makes_a_number() -> None:
    assert read_insz(make_test_insz("2000-00-00", 12)).birth == "2000-00-00"


@pytest.mark.parametrize(
    ("birth", "serial"), [("1899-01-01", 1), ("2100-01-01", 1), ("2000-01-01", 0), ("2000-01-01", 998)]
)
def test_no_number_outside_the_range(birth: str, serial: int) -> None:
    with pytest.raises(Invalid):
        make_test_insz(birth, serial)


@pytest.mark.parametrize(
    ("given", "canonical"),
    [("0566.988.259", "0566988259"), ("566988259", "0566988259"), ("0566 988 259", "0566988259")],
)
def test_kbo_numbers_are_normalised(given: str, canonical: str) -> None:
    assert parse_kbo(given) == canonical


@pytest.mark.parametrize("text", ["0566988258", "2566988259", "66988259", "", "٠٥٦٦٩٨٨٢٥٩"])
def test_other_texts_are_no_kbo_number(text: str) -> None:
    with pytest.raises(Invalid):
        parse_kbo(text)


def test_remainder_zero_is_written_as_97() -> None:
    eight = "01000000"
    eight = next(f"{n:08}" for n in range(int(eight), int(eight) + 97) if n % 97 == 0)
    assert parse_kbo(eight + "97") == eight + "97"


def test_establishments_are_no_enterprises() -> None:
    eight = "23781237"
    number = f"{eight}{97 - int(eight) % 97:02}"
    assert parse_establishment(number) == number
    with pytest.raises(Invalid):
        parse_establishment("0566988259")
    with pytest.raises(Invalid):
        parse_kbo(number)


def test_codes_and_uris() -> None:
    assert parse_nis("44021") == "44021"
    assert parse_ovo("OVO001835") == "OVO001835"
    uri = "https://data.vlaanderen.be/id/gemeente/44021"
    assert parse_puri(uri) == uri
    for parse, wrong in (
        (parse_nis, "4402"),
        (parse_nis, "44O21"),
        (parse_ovo, "ovo001835"),
        (parse_ovo, "OVO00183"),
        (parse_puri, "https://data.vlaanderen.be/doc/gemeente/44021"),
        (parse_puri, "https://data.vlaanderen.be/id/gemeente/44021 x"),
        (parse_puri, "ftp://data.vlaanderen.be/id/gemeente/44021"),
    ):
        with pytest.raises(Invalid):
            parse(wrong)


@given(
    st.text(alphabet=string.printable, min_size=3),
    st.sampled_from([parse_insz, parse_kbo, parse_nis, parse_ovo, parse_puri, parse_establishment]),
)
def test_a_refusal_never_repeats_what_was_given(text: str, parse) -> None:
    marked = f"KANARIE{text}"
    with pytest.raises(Invalid) as refused:
        parse(marked)
    assert "KANARIE" not in str(refused.value)


@pytest.mark.parametrize("text", ["44802A0123/00B000", "44802A0123-00B000"])
def test_a_parcel_has_one_key_however_it_is_written(text: str) -> None:
    assert parse_capakey(text) == "44802A0123/00B000"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "44802A0123",
        "44802a0123/00B000",
        "4480A0123/00B000",
        "44802A0123/00B00",
        "44802A0123 00B000",
        "44802A0123/00B000\n",
    ],
)
def test_what_is_no_key_of_a_parcel_is_refused_without_being_repeated(text: str) -> None:
    with pytest.raises(Invalid) as refused:
        parse_capakey(text)
    assert not text or text not in str(refused.value)
