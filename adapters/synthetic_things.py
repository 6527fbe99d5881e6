"""Synthetic enterprises and roadworks, the same for the same seed."""

import random
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

from adapters.synthetic_names import EFFECTS, FAMILY_NAMES, MUNICIPALITIES, TRADES, WORKS, YEAR, address, day_before

Value = dict[str, Any]

_IRI = "https://fictief.example/id"


def enterprises(rng: random.Random, count: int, *, on: date, recorded: str | None = None) -> Iterator[Value]:
    """`count` values of organisatie.v1 with distinct KBO numbers."""
    for number in rng.sample(range(19_000_000, 20_000_000), count):
        kbo = f"{number}{97 - number % 97:02}"
        place = rng.choice(MUNICIPALITIES)
        start = day_before(rng, on, 1, 40 * YEAR)
        name = f"{rng.choice(TRADES)} {rng.choice(FAMILY_NAMES)}"
        yield {
            "kind": "snapshot",
            "validFrom": start,
            "validTo": None,
            "recordedAt": recorded or f"{on.isoformat()}T00:00:00Z",
            "corrects": None,
            "identificator": kbo,
            "iri": None,
            "kbonummer": kbo,
            "ovocode": None,
            "vestigingsnummer": None,
            "naam": name,
            "namen": [{"naam": name, "taal": "nl", "soort": "maatschappelijk", "begin": start, "einde": None}],
            "soort": {"code": "2", "omschrijving": "Rechtspersoon"},
            "status": {"code": "AC", "omschrijving": "Actief"},
            "rechtsvorm": {"code": "610", "omschrijving": "Besloten vennootschap", "afkorting": "BV", "begin": start},
            "rechtstoestand": {"code": "000", "omschrijving": "Normale toestand", "begin": start},
            "classificatie": None,
            "werkingsgebied": None,
            "provincie": None,
            "suborganisaties": [],
            "afgeleidVan": [],
            "start": start,
            "inschrijving": start,
            "stopzetting": None,
            "zetel": address(rng, place, start),
            "contact": None,
            "vestigingen": [],
            "activiteiten": [],
        }


def roadworks(rng: random.Random, count: int, *, on: date, recorded: str | None = None) -> Iterator[Value]:
    """`count` values of hinder.v1 that start within two months after `on`."""
    for number in range(1, count + 1):
        place = rng.choice(MUNICIPALITIES)
        begin = on + timedelta(days=rng.randrange(60))
        stated = recorded or f"{on.isoformat()}T00:00:00Z"
        manager = {"iri": f"{_IRI}/organisatie/{place.nis}", "naam": f"Stad {place.name}"}
        where = address(rng, place, None)
        effect, label = rng.choice(EFFECTS)
        east, north = rng.randrange(40_000, 200_000), rng.randrange(160_000, 220_000)
        yield {
            "kind": "added",
            "validFrom": None,
            "validTo": None,
            "recordedAt": stated,
            "corrects": None,
            "identificator": f"{_IRI}/hinder/{number}",
            "versie": f"{_IRI}/hinder/{number}/1",
            "gipodId": None,
            "gebeurtenis": "MobilityHindranceWasRegistered",
            "omschrijving": f"{where['straatnaam']} {where['huisnummer']}: {rng.choice(WORKS)}",
            "status": {"iri": f"{_IRI}/status/vergund", "omschrijving": "Vergund"},
            "aangemaakt": stated,
            "gewijzigd": stated,
            "beheerder": manager,
            "aangemaaktDoor": manager,
            "gewijzigdDoor": manager,
            "contactorganisaties": [],
            "perioden": [
                {
                    "begin": f"{begin.isoformat()}T06:00:00Z",
                    "einde": f"{(begin + timedelta(days=rng.randrange(1, 30))).isoformat()}T18:00:00Z",
                }
            ],
            "locatie": {key: where[key] for key in ("straatnaam", "huisnummer", "busnummer", "postcode", "gemeente")},
            "zones": [
                {
                    "iri": f"{_IRI}/zone/{number}",
                    "type": f"{_IRI}/zonetype/hinderzone",
                    "geometrie": f"POLYGON (({east} {north}, {east + 9} {north}, {east + 9} {north + 4}, {east} {north}))",
                    "gevolgen": [{"iri": f"{_IRI}/gevolg/{effect}", "omschrijving": label}],
                }
            ],
            "oorzaken": [],
        }
