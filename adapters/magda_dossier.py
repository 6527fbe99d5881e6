"""MAGDA GeefDossiers 02.00 (the file system of the Flemish administration, DOSIS) → dossier.v1, all files of a person.

Each `DossierMutatie` is the state of one file at one moment; of a file the latest one counts. A file about several
people is in the record of each. Enterprises that a file is about are not published: dossier.v1 is about persons.
Deliberately not mapped: earlier states of a file, and the office address of who handles it, which organisatie.v1 has.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree.ElementTree import Element

from adapters import magda_xml as xml
from adapters.magda_per_person import per_person
from broker.errors import PoisonRecord

Value = dict[str, Any]

_PERSON = "PERS"
_TRUTH = {"0": False, "1": True, "false": False, "true": True}
_CONTACT = ("Naam", "Email", "Telefoon", "Website")


def dossiers(mutations: Sequence[Element], head: Mapping[str, Any]) -> list[Value | PoisonRecord]:
    """A value of dossier.v1 for each person whom the files of an answer's `DossierMutatie` elements are about; `head`
    holds the first five fields.

    In the place of a value, why there is none: FIELD_MISSING, INSZ_INVALID, DATE_INVALID, CODE_UNKNOWN with a schema
    path.
    """  # noqa: D205 - the first sentence needs two lines
    return per_person(_latest(mutations), _people, _file, "dossiers", head)


def _latest(mutations: Sequence[Element]) -> list[Element]:
    """The latest state of each file, in the order of the files; of two of one moment the later in the answer.

    Moments are compared as text: one source writes them in one form.
    """
    files: dict[tuple[str, ...], Element] = {}
    for place, mutation in enumerate(mutations):
        named = [xml.text(mutation, f"Identificatie/{part}") for part in ("Bron", "Dossiernummer")]
        # What is not wholly named is no state of another's file; reading it tells what it lacks.
        file = tuple(part for part in named if part is not None)
        if len(file) < len(named):
            file = (str(place),)
        if file not in files or _moment_of(mutation) >= _moment_of(files[file]):
            files[file] = mutation
    return list(files.values())


def _moment_of(mutation: Element) -> str:
    return xml.text(mutation, "Status/DatumModificatie") or xml.text(mutation, "DatumModificatie") or ""


def _people(mutation: Element) -> list[str]:
    return list(dict.fromkeys(_number(subject) for subject in _persons(mutation)))


def _persons(mutation: Element) -> list[Element]:
    return [each for each in mutation.findall("Subjecten/Subject") if xml.text(each, "Type") == _PERSON]


def _file(mutation: Element, insz: str) -> Value:
    people = [{"insz": _number(subject), "rol": xml.text(subject, "Rol")} for subject in _persons(mutation)]
    roles = [person["rol"] for person in people if person["insz"] == insz]
    return {
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
        "rol": roles[-1],
        "andereBetrokkenen": [other for other in people if other["insz"] != insz],
    }


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
