"""MAGDA GeefGezinssamenstelling 02.00 and 02.02 → gezin.v1: one household, stated once for each of its members.

Deliberately not mapped: what every member's own record, persoon.v1, has (nationalities, civil status, place of birth,
residence abroad, keeper), and street codes.
"""

from collections.abc import Mapping
from typing import Any
from xml.etree.ElementTree import Element

from adapters import magda_xml as xml
from adapters.magda_persoon import mentioned, residence
from broker.errors import PoisonRecord

Value = dict[str, Any]

_HEAD = "01"


def gezin(_answer: Element, household: Element, head: Mapping[str, Any]) -> list[Value]:
    """A value of gezin.v1 for every member of one `Gezinsleden` who has a national number; `head` holds the first five
    fields.

    Raises `PoisonRecord` (FIELD_MISSING, INSZ_INVALID, DATE_INVALID, CODE_UNKNOWN) with a schema path.
    """  # noqa: D205 - the first sentence needs two lines
    found = xml.running(household.findall("Gezinslid"))
    members = [_member(element) for element in found]
    people = [_person(element) for element in found]
    heads = [member["insz"] for member in members if member["positie"] == _HEAD]
    numbers = [member["insz"] for member in members if member["insz"] is not None]
    if members and not numbers:
        raise PoisonRecord("FIELD_MISSING", "insz")
    # The reference person's address first: where members are registered elsewhere it is the household's.
    people.sort(key=lambda person: xml.text(person, "Positie/Code") != _HEAD)
    shared = {
        "gezinshoofd": {"insz": heads[0]} if heads else None,
        "gezinsleden": members,
        "gezinsadres": next((address for person in people if (address := _address(person)) is not None), None),
    }
    return [{**head, "insz": number, **shared} for number in dict.fromkeys(numbers)]


def _person(element: Element) -> Element:
    """02.00 has a person inside the member, 02.02 has them as one."""
    inner = element.find("Persoon")
    return element if inner is None else inner


def _member(element: Element) -> Value:
    person = _person(element)
    known = mentioned(person, "gezinsleden")
    born = known["geboortedatum"] or xml.partial_date(person, "Geboorte/Datum", "gezinsleden.geboortedatum")
    return {
        **known,
        "geboortedatum": born,
        "positie": xml.required(element, "Positie/Code", "gezinsleden.positie"),
        "positieOmschrijving": xml.text(element, "Positie/Omschrijving"),
        "begin": xml.partial_date(element, "@DatumBegin", "gezinsleden.begin")
        or xml.partial_date(element, "@DatumCreatie", "gezinsleden.begin"),
        "bron": xml.text(element, "Bron/Code"),
    }


def _address(person: Element) -> Value | None:
    element = xml.latest(person.findall("Adressen/Hoofdverblijfplaats"))
    found = residence(element, "gezinsadres")
    if element is None or found is None or element.find("Gemeente") is None:
        return found
    return {
        **found,
        "straatnaam": xml.text(element, "Straat/Naam"),
        "postcode": xml.text(element, "Gemeente/PostCode"),
        "gemeente": {"nis": xml.text(element, "Gemeente/NISCode"), "naam": xml.text(element, "Gemeente/Naam")},
        "land": {
            "nis": xml.text(element, "Land/NISCode"),
            "iso": xml.text(element, "Land/ISOCode"),
            "naam": xml.text(element, "Land/Naam"),
        },
    }
