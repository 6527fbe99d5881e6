"""MAGDA GeefBewijs 02.00 (the database of diplomas and certificates, LED) → diploma.v1, all proofs of a person.

Deliberately not mapped: references of the supplier, and free text that repeats the name.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree.ElementTree import Element

from adapters import magda_xml as xml
from adapters.magda_per_person import only_person, per_person
from broker.errors import PoisonRecord

Value = dict[str, Any]

_NAMES = ("Bewijsstaat", "Categorie", "Graad", "Onderwijsvorm", "Schooltype", "Instantie", "Authenticiteit")
_CODED = ("Onderwerp", "Studierichting", "Specialisatie")
_DERIVED = {
    "iscedNiveau": "ISCEDNiveau",
    "iscedStudiegebied": "ISCEDStudiegebied",
    "vksNiveauOnderwijskwalificatie": "VKSNiveauOnderwijskwalificatie",
    "vksNiveauBeroepskwalificatie": "VKSNiveauBeroepskwalificatie",
}
_BELGIAN_DAY = re.compile(r"([0-9]{2})\.([0-9]{2})\.([0-9]{4})")
_LARGEST_INT = 2**31 - 1


def bewijzen(proofs: Sequence[Element], head: Mapping[str, Any]) -> list[Value | PoisonRecord]:
    """A value of diploma.v1 for each person of an answer's `Bewijs` elements; `head` holds the first five fields.

    In the place of a value, why there is none: FIELD_MISSING, INSZ_INVALID, DATE_INVALID, NUMBER_INVALID with a schema
    path.
    """
    return per_person(proofs, only_person("PersoonUitgereikt/INSZ"), _proof, "bewijzen", head)


def _proof(proof: Element, _insz: str) -> Value:
    basis, derived = proof.find("Basis"), proof.find("Afgeleid")
    return {
        "referte": xml.required(proof, "BewijsrefertesLed/Bewijsreferte", "referte"),
        "naam": xml.required(basis, "VolledigeNaam", "naam"),
        "bewijstype": xml.required(basis, "Bewijstype/Naam", "bewijstype"),
        **{name.lower(): xml.text(basis, f"{name}/Naam") for name in _NAMES},
        **{name.lower(): _coded(basis, name) for name in _CODED},
        "instelling": _institution(basis),
        "uitreikingsdatum": _issued(basis),
        "taal": xml.text(basis, "Taal/Code"),
        "land": xml.text(basis, "Land/Code"),
        "urenVolwassenenonderwijs": _hours(basis),
        **{ours: _coded(derived, theirs) for ours, theirs in _DERIVED.items()},
        "leverancier": xml.text(proof, "Leverancier/Naam"),
        "status": xml.text(proof, "BewijsstatusLed/Code"),
        "gewijzigd": _changed(proof),
    }


def _coded(element: Element | None, name: str) -> Value | None:
    code, label = xml.text(element, f"{name}/Code"), xml.text(element, f"{name}/Naam")
    return None if code is None and label is None else {"code": code, "naam": label}


def _institution(basis: Element | None) -> Value | None:
    number, name = xml.text(basis, "Instelling/Nummer"), xml.text(basis, "Instelling/Naam")
    return None if number is None and name is None else {"nummer": number, "naam": name}


def _issued(basis: Element | None) -> str | None:
    year = xml.text(basis, "Uitreikingsdatum/Jaar")
    if year is None:
        return None
    month, day = (xml.text(basis, f"Uitreikingsdatum/{part}") or "00" for part in ("Maand", "Dag"))
    return xml.checked_date(f"{year}-{month:0>2}-{day:0>2}", "uitreikingsdatum")


def _hours(basis: Element | None) -> int | None:
    stated = xml.text(basis, "UrenVolwassenenonderwijs")
    if stated is None:
        return None
    if not (stated.isascii() and stated.isdecimal() and len(stated) <= len(str(_LARGEST_INT))):
        raise PoisonRecord("NUMBER_INVALID", "urenVolwassenenonderwijs")
    return int(stated)


def _changed(proof: Element) -> str | None:
    """Day and time of the last change of the status; the database writes the day as 31.12.2012."""
    stated, clock = (xml.text(proof, f"BewijsstatusLed/DatumModificatie/{part}") for part in ("Datum", "Tijd"))
    if stated is None:
        return None
    belgian = _BELGIAN_DAY.fullmatch(stated)
    day = xml.checked_date(f"{belgian[3]}-{belgian[2]}-{belgian[1]}" if belgian else stated, "gewijzigd")
    return day if clock is None else f"{day}T{clock}"
