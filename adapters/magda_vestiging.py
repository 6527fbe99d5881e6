"""MAGDA GeefOnderneming 02.00 → vestiging.v1: each place of business of an enterprise.

Deliberately not mapped: addresses that hold no more, street codes of the KBO, kinds of address, and the address again
as it was written.
"""

from collections.abc import Mapping
from typing import Any
from xml.etree.ElementTree import Element

from adapters import magda_xml as xml
from adapters.magda_onderneming import address_parts, coded, establishment
from broker.errors import Invalid, PoisonRecord
from broker.model.identifiers import parse_kbo

Value = dict[str, Any]

_NUMBER = "Inhoud/Onderneming/Ondernemingsnummer"


def vestiging(answer: Element, site: Element, head: Mapping[str, Any]) -> list[Value]:
    """The value of vestiging.v1 for one `Vestiging` of the enterprise in `answer`; `head` holds the first five fields.

    Raises `PoisonRecord` (FIELD_MISSING, KBO_INVALID, ESTABLISHMENT_INVALID, DATE_INVALID) with a schema path.
    """
    number = establishment(site, "vestigingsnummer")
    try:
        enterprise = parse_kbo(xml.required(answer, _NUMBER, "onderneming.kbonummer"))
    except Invalid:
        raise PoisonRecord("KBO_INVALID", "onderneming.kbonummer") from None
    period = {
        "begin": xml.partial_date(site, "@DatumBegin", "bestaansperiode.begin"),
        "einde": xml.partial_date(site, "@DatumEinde", "bestaansperiode.einde"),
    }
    value = {
        **head,
        "vestigingsnummer": number,
        "onderneming": {"kbonummer": enterprise},
        "naam": None,
        "status": coded(site.find("StatusKBO")),
        "bestaansperiode": period if any(period.values()) else None,
        "contact": _contact(xml.latest(site.findall("Adressen/Adres"))),
        "activiteiten": [],
    }
    return [value]


def _contact(address: Element | None) -> Value | None:
    if address is None:
        return None
    return {
        "telefoon": None,
        "email": None,
        "website": None,
        "adres": {
            **address_parts(address),
            "land": {
                "nis": xml.text(address, "Land/NISCode"),
                "iso": xml.text(address, "Land/ISOCode"),
                "naam": xml.text(address, "Land/Naam"),
            },
            "begin": xml.partial_date(address, "@DatumBegin", "contact.adres.begin"),
        },
    }
