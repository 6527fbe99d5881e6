"""MAGDA GeefPersoon 02.02 → persoon.v1: the state of one person as the answer gives it.

Deliberately not mapped (docs/adapters.md says why): Identiteitsbewijzen, WettigeVerblijven, TypeVluchteling,
Arbeidskaarten, Begraving, LijkbezorgingEnRitueel; addresses that are declared or for contact only (AangifteAdres*,
PostadresBuitenland, ContactAdres, OpgegevenAdres, ReferentieAdres); StraatCode, Woonvorm, Bewijsstuk, Fusie,
Taalregime, DiplomatiekePost; place and number of the deeds of marriage, cohabitation and descent; everything with an
end date, which is history.
"""

from collections.abc import Mapping
from typing import Any
from xml.etree.ElementTree import Element

from adapters import magda_xml as xml
from broker.errors import PoisonRecord

Value = dict[str, Any]

_SEX = {"0": "onbekend", "1": "mannelijk", "2": "vrouwelijk"}


def persoon(answer: Element, person: Element, head: Mapping[str, Any]) -> Value:
    """Value of persoon.v1 for the `Persoon` of one `Antwoord`; `head` holds the first five fields.

    Raises `PoisonRecord` (FIELD_MISSING, INSZ_INVALID, DATE_INVALID, CODE_UNKNOWN) with a schema path.
    """
    insz = xml.insz(person, "INSZ", "insz")
    if insz is None:
        raise PoisonRecord("FIELD_MISSING", "insz")
    return {
        **head,
        "insz": insz,
        "vervangenDoor": _replaced_by(answer),
        "naam": {
            "achternaam": " ".join(xml.texts(person, "Naam/Achternamen/Achternaam")),
            "voornamen": xml.texts(person, "Naam/Voornamen/Voornaam"),
            "gebruikteVoornaam": xml.text(person, "Naam/Voornamen/Voornaam[@GebruikelijkeVoornaam='1']"),
            "adellijkeTitel": xml.text(person, "AdellijkeTitel/AdellijkeTitel/Omschrijving"),
            "begin": xml.partial_date(person, "Naam/@DatumBegin", "naam.begin"),
        },
        "geslacht": _sex(person, "geslacht") or "onbekend",
        "geboorte": _event(person.find("Geboorte"), "geboorte") or _unknown_birth(),
        "overlijden": _event(person.find("Overlijden"), "overlijden"),
        "nationaliteiten": _coded_list(person, "Nationaliteiten/Nationaliteit", "nationaliteiten"),
        "burgerlijkeStaat": _civil_status(person),
        "wettelijkeSamenwoning": _cohabitation(person.find("WettelijkeSamenwoning")),
        "verblijfplaats": residence(xml.latest(person.findall("Adressen/Hoofdverblijfplaats"))),
        "verblijfplaatsBuitenland": _abroad(xml.latest(person.findall("Adressen/VerblijfplaatsBuitenland"))),
        "beheerder": _keeper(person.find("Beheerder")),
        "register": _coded(person.find("Register"), "register"),
        "statussen": _coded_list(person, "Statussen/Status", "statussen"),
        "referentiepersoon": _reference_person(xml.latest(person.findall("Referentiepersoon"))),
        "gezinsleden": [
            _household(member, "gezinsleden") for member in xml.running(person.findall("Gezinsleden/Gezinslid"))
        ],
        **_descent(person),
    }


def _replaced_by(answer: Element) -> str | None:
    """New number in warning 30004 (the asked number was replaced)."""
    for annotation in answer.findall("Uitzonderingen/Uitzondering[Identificatie='30004']/Annotaties/Annotatie"):
        if xml.text(annotation, "Naam") == "Nieuw INSZ":
            return xml.insz(annotation, "Waarde", "vervangenDoor")
    return None


def _sex(element: Element, field: str) -> str | None:
    code = xml.text(element, "Geslacht/Code")
    if code is not None and code not in _SEX:
        raise PoisonRecord("CODE_UNKNOWN", field)
    return None if code is None else _SEX[code]


def _event(element: Element | None, field: str) -> Value | None:
    if element is None:
        return None
    return {
        "datum": xml.partial_date(element, "Datum", f"{field}.datum") or "0000-00-00",
        "plaats": {
            "nis": xml.text(element, "Plaats/Gemeente/NISCode"),
            "naam": xml.text(element, "Plaats/Gemeente/Naam"),
        },
        "land": _country(element),
        "aktenummer": xml.text(element, "Aktenummer"),
    }


def _unknown_birth() -> Value:
    nowhere = {"nis": None, "iso": None, "naam": None}
    return {"datum": "0000-00-00", "plaats": {"nis": None, "naam": None}, "land": nowhere, "aktenummer": None}


def _country(element: Element | None, path: str = "Plaats/Land") -> Value:
    return {
        "nis": xml.text(element, f"{path}/NISCode"),
        "iso": xml.text(element, f"{path}/ISOCode"),
        "naam": xml.text(element, f"{path}/Naam"),
    }


def _coded(element: Element | None, field: str) -> Value | None:
    if element is None:
        return None
    return {
        "code": xml.required(element, "Code", f"{field}.code"),
        "omschrijving": xml.text(element, "Omschrijving"),
        "begin": xml.partial_date(element, "@DatumBegin", f"{field}.begin"),
    }


def _coded_list(person: Element, path: str, field: str) -> list[Value | None]:
    return [_coded(element, field) for element in xml.running(person.findall(path))]


def mentioned(element: Element, field: str) -> Value:
    """Whom another record mentions; `field` is where. Raises as `persoon` does."""
    return {
        "insz": xml.insz(element, "INSZ", f"{field}.insz"),
        "achternaam": " ".join(xml.texts(element, "Naam/Achternamen/Achternaam")) or None,
        "voornamen": xml.texts(element, "Naam/Voornamen/Voornaam"),
        "geslacht": _sex(element, f"{field}.geslacht"),
        "geboortedatum": xml.partial_date(element, "Geboortedatum", f"{field}.geboortedatum"),
    }


def _partner(element: Element, field: str) -> Value | None:
    partner = element.find("Partner")
    return None if partner is None else mentioned(partner, f"{field}.partner")


def _civil_status(person: Element) -> Value | None:
    current = xml.latest(person.findall("BurgerlijkeStaten/BurgerlijkeStaat"))
    status = _coded(current, "burgerlijkeStaat")
    if current is None or status is None:
        return None
    return {**status, "partner": _partner(current, "burgerlijkeStaat")}


def _cohabitation(element: Element | None) -> Value | None:
    if element is None:
        return None
    return {
        "begin": xml.partial_date(element, "@DatumBegin", "wettelijkeSamenwoning.begin"),
        "beeindigd": xml.text(element, "Beeindiging/Reden/Omschrijving"),
        "partner": _partner(element, "wettelijkeSamenwoning"),
    }


def residence(element: Element | None, field: str = "verblijfplaats") -> Value | None:
    """The address of a `Hoofdverblijfplaats`; `field` is where. Raises as `persoon` does."""
    if element is None:
        return None

    def standardised(name: str) -> str | None:
        return xml.text(element, f"{name}/String") or xml.text(element, f"NietGestandaardiseerde{name}/String")

    return {
        "straatnaam": standardised("Straatnaam"),
        "huisnummer": xml.text(element, "Huisnummer"),
        "busnummer": xml.text(element, "Busnummer"),
        "postcode": xml.text(element, "Postcode"),
        "gemeente": {"nis": xml.text(element, "NISCodeGemeente"), "naam": standardised("Gemeentenaam")},
        "land": {
            "nis": xml.text(element, "NISCodeLand"),
            "iso": xml.text(element, "ISOCodeLand"),
            "naam": xml.text(element, "Land/String"),
        },
        "begin": xml.partial_date(element, "@DatumBegin", f"{field}.begin"),
    }


def _abroad(element: Element | None) -> Value | None:
    if element is None:
        return None
    return {
        "adreslijnen": xml.texts(element, "Teksten/Tekst"),
        "land": _country(element, "Land"),
        "begin": xml.partial_date(element, "@DatumBegin", "verblijfplaatsBuitenland.begin"),
    }


def _keeper(element: Element | None) -> Value | None:
    if element is None:
        return None
    return {
        "gemeente": {
            "nis": xml.text(element, "Plaats/Gemeente/NISCode"),
            "naam": xml.text(element, "Plaats/Gemeente/Naam"),
        },
        "land": _country(element),
        "begin": xml.partial_date(element, "@DatumBegin", "beheerder.begin"),
    }


def _reference_person(element: Element | None) -> Value | None:
    return None if element is None else _household(element, "referentiepersoon")


def _household(element: Element, field: str) -> Value:
    return {
        **mentioned(element, field),
        "positie": xml.required(element, "Positie/Code", f"{field}.positie"),
        "positieOmschrijving": xml.text(element, "Positie/Omschrijving"),
        "begin": xml.partial_date(element, "@DatumBegin", f"{field}.begin"),
    }


def _descent(person: Element) -> Value:
    descent = xml.latest(person.findall("Afstammingen/Afstamming"))
    kind = None
    if descent is not None:
        kind = {
            "code": xml.required(descent, "Type/Code", "afstamming.code"),
            "omschrijving": xml.text(descent, "Type/Omschrijving"),
            "begin": xml.partial_date(descent, "@DatumBegin", "afstamming.begin"),
        }
    children = xml.running(person.findall("AfstammingenDalendeLijn/AfstammingDalendeLijn[Kind]"))
    return {
        "afstamming": kind,
        "ouders": []
        if descent is None
        else [mentioned(parent, "ouders") for parent in descent.findall("Ouders/Ouder")],
        "kinderen": [_child(link) for link in children],
    }


def _child(link: Element) -> Value:
    child = link.find("Kind")
    if child is None:
        raise PoisonRecord("FIELD_MISSING", "kinderen")
    return {
        **mentioned(child, "kinderen"),
        "afstammingstype": xml.text(link, "Type/Code"),
        "begin": xml.partial_date(link, "@DatumBegin", "kinderen.begin"),
    }
