"""Every identifier in the collected samples of public sources is taken as what it is; what is not valid there is known.

The samples are no part of the repository: where they are absent, this says so and checks nothing.
"""

import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from broker.errors import Invalid
from broker.model.identifiers import (
    Insz,
    parse_capakey,
    parse_establishment,
    parse_insz,
    parse_kbo,
    parse_nis,
    parse_ovo,
    read_insz,
)

DATA = Path(__file__).parents[3] / "shared" / "data"
pytestmark = pytest.mark.skipif(
    not DATA.is_dir(), reason=f"{DATA} is absent: NO identifier of a public source was checked"
)


@cache
def texts() -> tuple[str, ...]:
    return tuple(
        path.read_text(errors="replace")
        for path in sorted(DATA.rglob("*"))
        if path.is_file() and path.suffix in {".xml", ".json", ".ttl", ".jsonld", ".csv"}
    )


def found(*patterns: str) -> set[str]:
    return {match for pattern in patterns for text in texts() for match in re.findall(pattern, text)}


def refused(candidates: set[str], parse: Callable[[str], str]) -> set[str]:
    def ill() -> Iterator[str]:
        for candidate in candidates:
            try:
                parse(candidate)
            except Invalid:
                yield candidate

    return set(ill())


INSZ = (r"<INSZ[^>/]*>\s*([0-9]{11})\s*<", r'"nationalNr"\s*:\s*"([0-9]{11})"')
KBO = (r"<Ondernemingsnummer[^>/]*>\s*([0-9]{10})\s*<", r'ext:kbonummer "([0-9]{10})"')


def test_national_numbers_of_every_kind_are_taken() -> None:
    numbers = found(*INSZ)
    assert len(numbers) > 350
    # Made up by the sources without check digits; MAGDA answers 20002 for some of them.
    assert len(refused(numbers, parse_insz)) == 11
    facts = [read_insz(Insz(number)) for number in numbers - refused(numbers, parse_insz)]
    assert sum(fact.bis for fact in facts) >= 5
    assert sum(fact.birth >= "2000" for fact in facts) >= 40
    assert sum(fact.test for fact in facts) >= 300


def test_enterprise_and_establishment_numbers_are_told_apart() -> None:
    enterprises = found(*KBO)
    assert len(enterprises) > 600
    # Six districts of Antwerp, whose establishment number stands where a KBO number does, and a typing error.
    wrong = refused(enterprises, parse_kbo)
    assert len(wrong) == 7
    assert len(refused(wrong, parse_establishment)) == 1
    establishments = found(r"<Vestigingsnummer[^>/]*>\s*([0-9]{10})\s*<")
    assert len(establishments) >= 10
    assert not refused(establishments, parse_establishment)
    assert refused(establishments, parse_kbo) == establishments


def test_codes_of_municipalities_bodies_and_parcels_are_taken() -> None:
    municipalities = found(r"<NISCodeGemeente[^>/]*>\s*([0-9]+)\s*<", r"\bBE[0-9]{3}([0-9]{5})\b")
    assert len(municipalities) > 300
    assert not refused(municipalities, parse_nis)
    bodies = found(r"\b(OVO[0-9]+)\b")
    assert len(bodies) > 500
    assert len(refused(bodies, parse_ovo)) == 1  # one that lacks a digit
    parcels = found(r"\b([0-9]{5}[A-Z][0-9]{4}[/-][0-9]{2}[A-Z_0-9][0-9]{3})\b")
    assert len(parcels) >= 5
    assert not refused(parcels, parse_capakey)
