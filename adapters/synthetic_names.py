"""Words for synthetic data: three real municipalities, invented names of people and streets, days and addresses.

Given names are ordinary; family and street names are compounds that nobody bears and no town has.
"""

import random
from dataclasses import dataclass
from datetime import date, timedelta
from types import MappingProxyType
from typing import Any


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


@dataclass(frozen=True, slots=True)
class Municipality:
    """A real municipality: NIS code, name, its postal codes."""

    nis: str
    name: str
    postcodes: tuple[str, ...]


GENT = Municipality("44021", "Gent", ("9000", "9030", "9031", "9032", "9040", "9041", "9050", "9051", "9052"))
LEUVEN = Municipality("24062", "Leuven", ("3000", "3001", "3010", "3012", "3018"))
OOSTENDE = Municipality("35013", "Oostende", ("8400",))
MUNICIPALITIES = (GENT, LEUVEN, OOSTENDE)

MEN = _words(
    "Arthur Bram Cas Daan Dries Emiel Finn Gust Hannes Ibrahim Jasper Jef Karel Kobe Lars Lowie Mathis Milan Mohamed "
    "Nand Niels Noah Omar Pieter Quinten Robbe Ruben Sander Seppe Stijn Thibo Tuur Vic Warre Wout Xander Yassin Ziggy"
)
WOMEN = _words(
    "Alix Amber Anouk Axelle Babette Bo Celine Ella Elise Emma Fatima Febe Fien Fleur Hanne Imane Ines Janne Julie "
    "Kaat Lana Laure Lena Lotte Louise Malika Marie Merel Nina Noor Olivia Paulien Roos Sara Sien Tess Yasmine Zita"
)

_FAMILY_HEADS = _words(
    "Maan Zilver Wolk Ster Kristal Nevel Amber Koraal Parel Schemer Regen Distel Kobalt Kwarts Linde Mist Opaal Saffier "
    "Vlier Zefier Donder Fluister Honing IJzel"
)
_FAMILY_TAILS = _words(
    "donkers waelen beemden vliet hoevers maker sluis winden poorters ghemsen kapers duinen voorters laeckers meersen zande"
)
FAMILY_NAMES = tuple(f"{head}{tail}" for head in _FAMILY_HEADS for tail in _FAMILY_TAILS)

_STREET_HEADS = _words(
    "Zilverdraken Maanvossen Wolkenwevers Kristaluilen Nevelherten Sterrenkrabben Amberslakken Dondermuizen Regenotters "
    "Schemerkatten Koraalbijen Parelwolven Kobaltkevers Mistkraanvogel Honingbeer Vlierkabouter"
)
_STREET_TAILS = ("straat", "laan", "steeg", "hof", "pad", "plein", "dreef", "kaai")
STREETS = tuple(f"{head}{tail}" for head in _STREET_HEADS for tail in _STREET_TAILS)

TRADES = ("Bakkerij", "Drukkerij", "Fietsatelier", "Studio", "Brouwerij", "Schrijnwerkerij", "Boekhandel", "Advies")
WORKS = (
    "vernieuwing van het voetpad",
    "aanleg van glasvezel",
    "werken aan de riolering",
    "plaatsen van een kraan",
    "verhuiswagen op de rijbaan",
    "vervangen van een waterleiding",
)
EFFECTS = (
    ("geen-doorgang-auto", "Geen doorgang voor gemotoriseerd verkeer"),
    ("geen-doorgang-fiets", "Geen doorgang voor fietsers"),
    ("beperkte-doorgang-voet", "Beperkte doorgang voor voetgangers"),
    ("snelheidsbeperking", "Snelheidsbeperking"),
)
BELGIUM = MappingProxyType({"nis": "150", "iso": "BEL", "naam": "België"})
YEAR = 365
_BOX = 0.2


def day_before(rng: random.Random, on: date, nearest: int, farthest: int) -> str:
    """A day between `nearest` and `farthest` days before `on`."""
    return (on - timedelta(days=rng.randrange(nearest, farthest))).isoformat()


def address(rng: random.Random, place: Municipality, begin: str | None) -> dict[str, Any]:
    """An invented address in `place`, as schemas write addresses."""
    return {
        "straatnaam": rng.choice(STREETS),
        "huisnummer": str(rng.randrange(1, 240)),
        "busnummer": f"{rng.randrange(1, 40):04}" if rng.random() < _BOX else None,
        "postcode": rng.choice(place.postcodes),
        "gemeente": {"nis": place.nis, "naam": place.name},
        "land": dict(BELGIUM),
        "begin": begin,
    }
