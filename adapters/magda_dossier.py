"""MAGDA GeefDossiers 02.00 (the file system of the Flemish administration, DOSIS) → dossier.v1.

Each `DossierMutatie` is the state of one file at one moment, and is stated once for each person whom it is about.
Enterprises that a file is about are not published: dossier.v1 is about persons. Deliberately not mapped: the office
address of who handles the file, which organisatie.v1 has.
"""

from collections.abc import Mapping
from typing import Any
from xml.etree.ElementTree import Element

from adapters import magda_xml as xml
from broker.errors import PoisonRecord

Value = dict[str, Any]

_PERSON = "PERS"
_TRUTH = {"0": False, "1": True, "false": False, "true": True}
_CONTACT = ("Naam", "Email", "Telefoon", "Website")


def dossier(_answer: Element, mutation: Element, head: Mapping[str, Any]) -> list[Value]:
    """A value of dossier.v1 for each person whom one `DossierMutatie` is about; `head` holds the first five fields.

    Raises `PoisonRecord` (FIELD_MISSING, INSZ_INVALID, DATE_INVALID, CODE_UNKNOWN) with a schema path.
    """
    people = [
        {"insz": _number(subject), "rol": xml.text(subject, "Rol")}
        for subject in mutation.findall("Subjecten/Subject")
        if xml.text(subject, "Type") == _PERSON
    ]
    state = {
        "identificatie": {
            "bron": xml.required(mutation, "Identificatie/Bron", "identificatie.bron"),
            "dossiernummer": xml.required(mutation, "Identificatie/Dossiernummer", "identificatie.dossiernummer"),
        },
        "naam": xml.text(mutation, "Naam"),
        "soort": xml.text(mutation, "Type"),
        "producten": xml.texts(mutation, "Producten/Product"),
        "informatieclassificatie": None,
        "periode": _period(mutation),
        "status": _status(mutation.find("Status")),
        "gewijzigd": xml.text(mutation, "DatumModificatie"),
        "beheerder": _keeper(mutation.find("Beheerder/Contact")),
        "doorverwijzing": xml.text(mutation, "Doorverwijzing"),
        "vertrouwelijk": _truth(mutation, "Eigenschappen/Vertrouwelijk", "vertrouwelijk"),
        "publiek": _truth(mutation, "Eigenschappen/Publiek", "publiek"),
        "nietRaadpleegbaar": _truth(mutation, "Eigenschappen/IsNietRaadpleegbaar", "nietRaadpleegbaar"),
    }
    return [
        {**head, **state, **person, "andereBetrokkenen": [other for other in people if other["insz"] != person["insz"]]}
        for person in {person["insz"]: person for person in people}.values()
    ]


def _number(subject: Element) -> str:
    found = xml.insz(subject, "Sleutel", "insz")
    if found is None:
        raise PoisonRecord("FIELD_MISSING", "insz")
    return found


def _truth(element: Element, path: str, field: str) -> bool | None:
    stated = xml.text(element, path)
    if stated is not None and stated not in _TRUTH:
        raise PoisonRecord("CODE_UNKNOWN", field)
    return None if stated is None else _TRUTH[stated]


def _period(mutation: Element) -> Value | None:
    period = mutation.find("Periode")
    if period is None:
        return None
    return {"begin": _moment(period, "Begin", "periode.begin"), "einde": _moment(period, "Einde", "periode.einde")}


def _moment(period: Element, name: str, field: str) -> str | None:
    day, clock = xml.partial_date(period, f"{name}/Datum", field), xml.text(period, f"{name}/Tijd")
    return day if day is None or clock is None else f"{day}T{clock}"


def _status(status: Element | None) -> Value | None:
    if status is None:
        return None
    return {
        "code": xml.required(status, "Code", "status.code"),
        "fase": xml.required(status, "Fase", "status.fase"),
        "details": xml.texts(status, "Details/Detail"),
        "actieNodig": _truth(status, "Actie/ActieNodig", "status.actieNodig"),
        "actie": xml.text(status, "Actie/Omschrijving"),
        "gewijzigd": xml.text(status, "DatumModificatie"),
    }


def _keeper(contact: Element | None) -> Value | None:
    if contact is None:
        return None
    shown = {name.lower(): xml.text(contact, name) for name in _CONTACT}
    return {**shown, "dienst": xml.text(contact, "Dienst/Omschrijving")}
