"""MAGDA ZoekEigendomstoestanden 02.00 → perceel.v1: the parcel of one state of ownership, without its owners.

The answer writes a CaPaKey in parts. Deliberately not mapped: owners, their rights and shares, cadastral income,
buildings, addresses (they have no IRI here), and patrimonial parcels that are a part of a parcel (an apartment): their
nature and surface are not the parcel's. Of one parcel in several states the last one counts.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any
from xml.etree.ElementTree import Element

from adapters import magda_xml as xml
from broker.errors import Invalid, PoisonRecord
from broker.model.identifiers import parse_capakey

Value = dict[str, Any]

_IRI = "https://data.vlaanderen.be/id/perceel/"
_WHOLE = "P0000"
_LONGEST = 9


def perceel(_answer: Element, parcel: Element, head: Mapping[str, Any]) -> list[Value]:
    """The value of perceel.v1 for one `Perceel`, none for a part of a parcel; `head` holds the first five fields.

    Raises `PoisonRecord` (FIELD_MISSING, CAPAKEY_INVALID, NUMBER_INVALID) with a schema path.
    """
    if not _whole(parcel):
        return []
    capakey = _capakey(parcel.find("Identificatie"))
    value = {
        **head,
        "identificator": f"{_IRI}{capakey.replace('/', '-')}",
        "capakey": capakey,
        "versie": None,
        "status": "gehistoreerd" if _ended(parcel) else "gerealiseerd",
        "adressen": [],
        "gemeente": _municipality(parcel),
        "aard": _nature(parcel),
        "oppervlakte": _surface(parcel),
    }
    return [value]


def superseded(parcels: Sequence[Element]) -> set[int]:
    """Places of those `Perceel` elements that another state of the same parcel follows: one that lasts, else one that
    began later, else one that the answer has later.
    """  # noqa: D205 - the first sentence needs two lines
    states: dict[str, list[int]] = {}
    for place, parcel in enumerate(parcels):
        with suppress(PoisonRecord):  # reading it tells why
            capakey = _capakey(parcel.find("Identificatie"))
            if _whole(parcel):
                states.setdefault(capakey, []).append(place)
    last = {max(places, key=lambda place: (_standing(parcels[place]), place)) for places in states.values()}
    return {place for places in states.values() for place in places} - last


def _whole(parcel: Element) -> bool:
    return (xml.text(parcel, "Identificatie/Partitie") or _WHOLE) == _WHOLE


def _ended(parcel: Element) -> bool:
    return any(xml.text(parcel, f"PeriodeGeldigheidPerceel/{name}") for name in ("Einde", "JaarEinde"))


def _standing(parcel: Element) -> tuple[bool, str]:
    began = (xml.text(parcel, f"PeriodeGeldigheidPerceel/{name}") for name in ("Begin", "JaarBegin"))
    return not _ended(parcel), next(filter(None, began), "")


def _capakey(named: Element | None) -> str:
    division = xml.required(named, "KadastraleAfdeling/Code", "capakey")
    section, number = (xml.required(named, part, "capakey") for part in ("Sectie", "Grondnummer"))
    bis, power = (xml.text(named, part) or "0" for part in ("Bisnummer", "Cijferexponent"))
    letter = xml.text(named, "Letterexponent") or "_"
    try:
        return parse_capakey(f"{division:0>5}{section}{number:0>4}/{bis:0>2}{letter}{power:0>3}")
    except Invalid:
        raise PoisonRecord("CAPAKEY_INVALID", "capakey") from None


def _municipality(parcel: Element) -> Value | None:
    for part in parcel.findall("AlgemeneInformaties/AlgemeneInformatie/Gemeente"):
        return {"nis": xml.text(part, "NISCode"), "naam": xml.text(part, "Naam")}
    return None


def _nature(parcel: Element) -> Value | None:
    code = xml.text(parcel, "AardKadastraalPerceel/Code")
    label = xml.text(parcel, "AardKadastraalPerceel/Omschrijving")
    return None if code is None else {"code": code, "omschrijving": label}


def _surface(parcel: Element) -> int | None:
    """Taxed and untaxed surface of all its parts; None where none states any."""
    stated = [
        number
        for part in parcel.findall("AlgemeneInformaties/AlgemeneInformatie/Oppervlakte")
        for number in (each.text.strip() for each in part if each.text and each.text.strip())
    ]
    if not all(number.isascii() and number.isdecimal() and len(number) <= _LONGEST for number in stated):
        raise PoisonRecord("NUMBER_INVALID", "oppervlakte")
    return sum(map(int, stated)) if stated else None
