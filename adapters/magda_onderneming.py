"""MAGDA GeefOnderneming 02.00 and GeefOndernemingVKBO 02.00 → organisatie.v1.

Deliberately not mapped (docs/adapters.md says why): Functies (they name persons by national number),
Bankrekeningen, Doorhalingen, AmbtshalveDoorhalingen, InstrumenterendeOverheid, Faxnummer, Aanvulling, Staat, street
codes, and texts in a second language beside the first.
"""

from collections.abc import Mapping
from typing import Any
from xml.etree.ElementTree import Element

from adapters import magda_xml as xml
from broker.errors import Invalid, PoisonRecord
from broker.model.identifiers import parse_establishment, parse_kbo

Value = dict[str, Any]

_NAMES = (
    ("maatschappelijk", "MaatschappelijkeNamen/MaatschappelijkeNaam"),
    ("afgekort", "AfgekorteNamen/AfgekorteNaam"),
    ("commercieel", "CommercieleNamen/CommercieleNaam"),
)
_SEAT = "001"
_OPEN_END = "9999"


def onderneming(enterprise: Element, head: Mapping[str, Any]) -> Value:
    """Value of organisatie.v1 for one `Onderneming`; `head` holds the first five fields.

    Raises `PoisonRecord` (FIELD_MISSING, KBO_INVALID, ESTABLISHMENT_INVALID, DATE_INVALID) with a schema path.
    """
    try:
        number = parse_kbo(xml.required(enterprise, "Ondernemingsnummer", "identificator"))
    except Invalid:
        raise PoisonRecord("KBO_INVALID", "identificator") from None
    names = _names(enterprise)
    seat = _seat(enterprise)
    return {
        **head,
        "identificator": number,
        "iri": None,
        "kbonummer": number,
        "ovocode": None,
        "vestigingsnummer": None,
        "naam": _shown(names),
        "namen": names,
        "soort": coded(enterprise.find("SoortOnderneming")),
        "status": coded(enterprise.find("StatusKBO")),
        "rechtsvorm": _legal_form(enterprise),
        "rechtstoestand": _with_begin(
            xml.latest(enterprise.findall("Rechtstoestanden/Rechtstoestand")), "rechtstoestand"
        ),
        "classificatie": None,
        "werkingsgebied": None,
        "provincie": None,
        "suborganisaties": [],
        "afgeleidVan": [],
        "start": _date(enterprise, "Start/Datum", "start") or _date(enterprise, "DatumStart", "start"),
        "inschrijving": _date(enterprise, "Inschrijving/Datum", "inschrijving")
        or _date(enterprise, "DatumInschrijving", "inschrijving"),
        "stopzetting": _end(enterprise),
        "zetel": None if seat is None else _seat_address(seat),
        "contact": None if seat is None else _contact(seat),
        "vestigingen": [_site(site) for site in enterprise.findall("Vestigingen/Vestiging")],
        "activiteiten": [_activity(activity) for activity in enterprise.findall("Activiteiten/Activiteit")],
    }


def _names(enterprise: Element) -> list[Value]:
    found = [
        _name(name, kind, xml.text(name, "Naam"), xml.text(name, "Taalcode"))
        for kind, path in _NAMES
        for name in enterprise.findall(f"Namen/{path}")
    ]
    # VKBO writes the name as text, its language as an attribute.
    direct = [
        _name(name, "maatschappelijk", xml.text(name, "."), xml.text(name, "@TaalCode"))
        for name in enterprise.findall("Namen/MaatschappelijkeNaam")
    ]
    return found + direct


def _name(element: Element, kind: str, name: str | None, language: str | None) -> Value:
    if name is None:
        raise PoisonRecord("FIELD_MISSING", "namen.naam")
    return {
        "naam": name,
        "taal": language,
        "soort": kind,
        "begin": _date(element, "@DatumBegin", "namen.begin"),
        "einde": _date(element, "@DatumEinde", "namen.einde"),
    }


def _shown(names: list[Value]) -> str:
    """The current legal name, in Dutch if there is one, else the first current name of any kind."""
    current = [name for name in names if name["einde"] is None] or names
    legal = [name for name in current if name["soort"] == "maatschappelijk"] or current
    if not legal:
        raise PoisonRecord("FIELD_MISSING", "naam")
    dutch = [name for name in legal if (name["taal"] or "").lower() == "nl"]
    shown: str = (dutch or legal)[0]["naam"]
    return shown


def coded(element: Element | None) -> Value | None:
    """Code and label; some answers write the label as an attribute of the code."""
    code = xml.text(element, "Code")
    if code is None:
        return None
    return {"code": code, "omschrijving": xml.text(element, "Omschrijving") or xml.text(element, "Code/@Beschrijving")}


def _with_begin(element: Element | None, field: str) -> Value | None:
    stated = coded(element)
    return None if stated is None else {**stated, "begin": _date(element, "@DatumBegin", f"{field}.begin")}


def _legal_form(enterprise: Element) -> Value | None:
    current = xml.latest(enterprise.findall("Rechtsvormen/Rechtsvorm"))
    form = _with_begin(current, "rechtsvorm")
    return None if form is None else {**form, "afkorting": xml.text(current, "Afkorting")}


def _date(element: Element | None, path: str, field: str) -> str | None:
    return xml.partial_date(element, path, field)


def _end(enterprise: Element) -> Value | None:
    element = enterprise.find("Stopzetting")
    day = _date(element, "Datum", "stopzetting.datum")
    if element is None:
        closed = _date(enterprise, "DatumAfsluiting", "stopzetting.datum")
        if closed is None or closed.startswith(_OPEN_END):
            return None
        return {"datum": closed, "reden": None, "omschrijving": None}
    return {"datum": day, "reden": xml.text(element, "Code"), "omschrijving": xml.text(element, "Omschrijving")}


def _seat(enterprise: Element) -> Element | None:
    listed = enterprise.findall("Adressen/Adres")
    seats = [address for address in listed if xml.text(address, "Type/Code") == _SEAT]
    return xml.latest(seats) if listed else enterprise.find("Adres")


def address_parts(address: Element) -> Value:
    """The address; what the main part leaves out is taken from the Dutch description, else from the first."""
    described = address.findall("Descripties/Descriptie")
    dutch = [each for each in described if (xml.text(each, "Taalcode") or "nl").lower() == "nl"]
    other = next(iter(dutch or described), None)

    def either(path: str) -> str | None:
        return xml.text(address, path) or xml.text(other, f"Adres/{path}")

    return {
        "straatnaam": either("Straat/Naam"),
        "huisnummer": either("Huisnummer"),
        "busnummer": either("Busnummer"),
        "postcode": either("Gemeente/PostCode"),
        "gemeente": {"nis": either("Gemeente/NISCode"), "naam": either("Gemeente/Naam")},
    }


def _seat_address(seat: Element) -> Value:
    return {
        **address_parts(seat),
        "land": {
            "nis": xml.text(seat, "Land/NISCode"),
            "iso": xml.text(seat, "Land/ISOCode"),
            "naam": xml.text(seat, "Land/Naam"),
        },
        "begin": _date(seat, "@DatumBegin", "zetel.begin"),
    }


def _contact(seat: Element) -> Value | None:
    contact = seat.find("Descripties/Descriptie/Contact")
    if contact is None:
        return None
    return {
        "telefoon": xml.text(contact, "Telefoonnummer") or xml.text(contact, "GSM"),
        "email": xml.text(contact, "Email"),
        "website": xml.text(contact, "Website"),
    }


def establishment(site: Element, field: str) -> str:
    """Number of a `Vestiging`; raises `PoisonRecord` FIELD_MISSING or ESTABLISHMENT_INVALID at `field`."""
    try:
        return parse_establishment(xml.required(site, "Vestigingsnummer", field))
    except Invalid:
        raise PoisonRecord("ESTABLISHMENT_INVALID", field) from None


def _site(site: Element) -> Value:
    number = establishment(site, "vestigingen.vestigingsnummer")
    address = xml.latest(site.findall("Adressen/Adres"))
    if address is None:
        address = site.find("Adressen/Adres")
    return {
        "vestigingsnummer": number,
        "status": xml.text(site, "StatusKBO/Code"),
        "begin": _date(site, "@DatumBegin", "vestigingen.begin"),
        "einde": _date(site, "@DatumEinde", "vestigingen.einde"),
        **address_parts(Element("Adres") if address is None else address),
    }


def _activity(activity: Element) -> Value:
    return {
        "code": xml.required(activity, "Nace/Code", "activiteiten.code"),
        "versie": xml.text(activity, "Nace/Versie"),
        "soort": xml.text(activity, "Type/Code"),
        "begin": _date(activity, "@DatumBegin", "activiteiten.begin"),
        "einde": _date(activity, "@DatumEinde", "activiteiten.einde"),
    }
