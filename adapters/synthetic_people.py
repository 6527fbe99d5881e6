"""Synthetic people: households whose members mention each other, the same for the same seed."""

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from adapters.synthetic_names import (
    BELGIUM,
    FAMILY_NAMES,
    MEN,
    MUNICIPALITIES,
    WOMEN,
    YEAR,
    Municipality,
    address,
    day_before,
)
from broker.model.identifiers import make_test_insz

Value = dict[str, Any]

_ADULT = 18
_SERIALS = 997
_COUPLE, _MARRIED, _MALE = 0.55, 0.7, 0.49
_YEAR_ONLY, _MONTH_ONLY = 0.01, 0.02
_ALMOST_ADULT_EVERY = 30


def people(rng: random.Random, count: int, *, on: date, recorded: str | None = None) -> Iterator[Value]:
    """`count` values of persoon.v1 as of the day `on`: households with partners, parents and children.

    No INSZ occurs twice. About one person in fifty has a partly unknown birth date, and in every thirtieth household
    a child turns 18 within a month after `on`. `recorded` is RFC 3339 in UTC (default: midnight of `on`).
    """
    register = _Register(rng, on, recorded or f"{on.isoformat()}T00:00:00Z")
    made = 0
    while made < count:
        for person in register.household():
            if made < count:
                made += 1
                yield person


def move(
    person: Mapping[str, Any], to: Municipality, rng: random.Random, *, on: date, recorded: str | None = None
) -> Value:
    """The same person after moving to an invented address in `to` on the day `on`; the given value is untouched."""
    day = on.isoformat()
    return {
        **person,
        "kind": "changed",
        "validFrom": day,
        "recordedAt": recorded or f"{day}T00:00:00Z",
        "verblijfplaats": address(rng, to, day),
        "beheerder": {"gemeente": {"nis": to.nis, "naam": to.name}, "land": dict(BELGIUM), "begin": day},
    }


@dataclass(slots=True)
class _Register:
    """Hands out numbers once, and makes the members of one household after another."""

    rng: random.Random
    on: date
    recorded: str
    _used: set[str] = field(default_factory=set)
    _households: int = 0

    def household(self) -> list[Value]:
        rng = self.rng
        self._households += 1
        place = rng.choice(MUNICIPALITIES)
        since = day_before(rng, self.on, 1, 15 * YEAR)
        residence = address(rng, place, since)
        adults = [self._member(18 * YEAR + 5, 92 * YEAR) for _ in range(1 + (rng.random() < _COUPLE))]
        children = [self._member(1, 17 * YEAR) for _ in range(rng.choice((0, 0, 0, 1, 1, 2, 3)))]
        if self._households % _ALMOST_ADULT_EVERY == 0:
            children.append(self._almost_adult())
        for child in children:
            child["naam"]["achternaam"] = adults[0]["naam"]["achternaam"]
        members = adults + children
        married = len(adults) > 1 and rng.random() < _MARRIED
        for member in members:
            member["verblijfplaats"] = residence
            member["beheerder"] = {
                "gemeente": {"nis": place.nis, "naam": place.name},
                "land": dict(BELGIUM),
                "begin": since,
            }
        for adult in adults:
            partner = next((_mention(other) for other in adults if other is not adult), None)
            status = ("20", "Gehuwd") if married else ("10", "Ongehuwd")
            adult["burgerlijkeStaat"] = {
                "code": status[0],
                "omschrijving": status[1],
                "begin": None,
                "partner": partner if married else None,
            }
            if partner and not married:
                adult["wettelijkeSamenwoning"] = {"begin": since, "beeindigd": None, "partner": partner}
            adult["kinderen"] = [{**_mention(child), "afstammingstype": "10", "begin": None} for child in children]
        for child in children:
            child["afstamming"] = {"code": "10", "omschrijving": "Kind", "begin": child["geboorte"]["datum"]}
            child["ouders"] = [_mention(adult) for adult in adults]
        return members

    def _member(self, youngest: int, oldest: int) -> Value:
        born = day_before(self.rng, self.on, youngest, oldest)
        draw = self.rng.random()
        if draw < _YEAR_ONLY:
            born = f"{born[:4]}-00-00"
        elif draw < _MONTH_ONLY:
            born = f"{born[:7]}-00"
        return self._person(born)

    def _almost_adult(self) -> Value:
        day = self.on + timedelta(days=self.rng.randrange(1, 29))
        return self._person(f"{day.year - _ADULT:04}-{day.month:02}-{min(day.day, 28):02}")

    def _person(self, born: str) -> Value:
        rng = self.rng
        male = rng.random() < _MALE
        first = rng.choice(MEN if male else WOMEN)
        others = rng.sample(MEN if male else WOMEN, rng.randrange(3))
        place = rng.choice(MUNICIPALITIES)
        return {
            "kind": "snapshot",
            "validFrom": None,
            "validTo": None,
            "recordedAt": self.recorded,
            "corrects": None,
            "insz": self._insz(born, male=male),
            "vervangenDoor": None,
            "naam": {
                "achternaam": rng.choice(FAMILY_NAMES),
                "voornamen": [first, *(name for name in others if name != first)],
                "gebruikteVoornaam": None,
                "adellijkeTitel": None,
                "begin": None,
            },
            "geslacht": "mannelijk" if male else "vrouwelijk",
            "geboorte": {
                "datum": born,
                "plaats": {"nis": place.nis, "naam": place.name},
                "land": dict(BELGIUM),
                "aktenummer": None,
            },
            "overlijden": None,
            "nationaliteiten": [{"code": "150", "omschrijving": "Belg", "begin": None}],
            "burgerlijkeStaat": None,
            "wettelijkeSamenwoning": None,
            "verblijfplaats": None,
            "verblijfplaatsBuitenland": None,
            "beheerder": None,
            "register": {"code": "RR", "omschrijving": "Rijksregister", "begin": None},
            "statussen": [],
            "referentiepersoon": None,
            "gezinsleden": [],
            "afstamming": None,
            "ouders": [],
            "kinderen": [],
        }

    def _insz(self, born: str, *, male: bool) -> str:
        while True:
            number = make_test_insz(born, self.rng.randrange(1 if male else 2, _SERIALS, 2))
            if number not in self._used:
                self._used.add(number)
                return number


def _mention(person: Value) -> Value:
    """What another person's record says about this one."""
    return {
        "insz": person["insz"],
        "achternaam": person["naam"]["achternaam"],
        "voornamen": person["naam"]["voornamen"],
        "geslacht": person["geslacht"],
        "geboortedatum": person["geboorte"]["datum"],
    }
