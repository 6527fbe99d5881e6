"""One address as the Flemish address register describes it → a value of adres.v1."""

import re
from datetime import datetime
from typing import Any

from adapters.sources import whole_seconds
from broker.errors import PoisonRecord

PRODUCT = "adres.v1"
SPACE = "https://data.vlaanderen.be/id/adres"
STATUSES = ("voorgesteld", "inGebruik", "gehistoreerd", "afgekeurd")
_THINGS, _CONCEPTS = "https://data.vlaanderen.be/id", "https://data.vlaanderen.be/id/concept"
# No XML parser: a point is two numbers, and whatever else is in the text is not looked at.
_POINT = re.compile(r"<gml:pos[^>]{0,100}>\s{0,9}(-?[0-9.]{1,20})[ ,](-?[0-9.]{1,20})", re.ASCII)
_LAMBERT_72 = "31370"


def address(state: Any, object_id: str, kind: str) -> dict[str, Any]:
    """The value for the register's answer about `object_id`.

    Raises `PoisonRecord`: OBJECT_DIFFERS, FIELD_MISSING, TIME_INVALID, CODE_UNKNOWN, GEOMETRY_UNKNOWN.
    """
    identity = _part(state, "identificator", "identificator")
    iri, version = _text(identity, "id", "identificator"), _text(identity, "versieId", "versie")
    if iri != f"{SPACE}/{object_id}":
        raise PoisonRecord("OBJECT_DIFFERS", "identificator")
    street, town = _part(state, "straatnaam", "straat"), _part(state, "gemeente", "gemeente")
    post = state.get("postinfo")
    postcode = _text(post, "objectId", "postinfo.postcode") if isinstance(post, dict) else None
    nis, street_id = _text(town, "objectId", "gemeente.nis"), _text(street, "objectId", "straat.iri")
    assigned, box = state.get("officieelToegekend"), state.get("busnummer")
    if not isinstance(assigned, bool):
        raise PoisonRecord("FIELD_MISSING", "officieelToegekend")
    return {
        "kind": kind,
        "validFrom": None,
        "validTo": None,
        "recordedAt": whole_seconds(instant(version, "versie")),
        "corrects": None,
        "identificator": iri,
        "objectId": object_id,
        "versie": version,
        "status": _status(state),
        "officieelToegekend": assigned,
        "huisnummer": _text(state, "huisnummer", "huisnummer"),
        "busnummer": box if isinstance(box, str) and box else None,
        "straat": {
            "iri": f"{_THINGS}/straatnaam/{street_id}",
            "naam": _name(street, "straatnaam", "straat.naam"),
            "homoniemToevoeging": _spelling(state.get("homoniemToevoeging")),
        },
        "gemeente": {
            "iri": f"{_THINGS}/gemeente/{nis}",
            "nis": nis,
            "naam": _name(town, "gemeentenaam", "gemeente.naam"),
        },
        "postinfo": {"iri": postcode and f"{_THINGS}/postinfo/{postcode}", "postcode": postcode},
        "positie": _position(state.get("adresPositie")),
        "toegekendAan": [],
    }


def instant(text: str, path: str) -> datetime:
    """An instant with offset, as the register writes versions."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise PoisonRecord("TIME_INVALID", path)
    return found


def concept(scheme: str, code: Any) -> str | None:
    """IRI of a code that is written as its last part, or whole."""
    if not isinstance(code, str) or not code:
        return None
    return code if "://" in code else f"{_CONCEPTS}/{scheme}/{code}"


def _status(state: Any) -> str:
    found = str(state.get("adresStatus") or state.get("status") or "").rpartition("/")[2]
    if found not in STATUSES:
        raise PoisonRecord("CODE_UNKNOWN", "status")
    return found


def _position(stated: Any) -> dict[str, Any] | None:
    if not isinstance(stated, dict):
        return None
    shapes = stated.get("geometrie")
    for shape in shapes if isinstance(shapes, list) else [shapes]:
        gml = shape.get("gml") if isinstance(shape, dict) else None
        point = _POINT.search(gml) if isinstance(gml, str) and _LAMBERT_72 in gml else None
        if point is not None:
            return {
                "geometrie": f"POINT ({point[1]} {point[2]})",
                "methode": concept("geometriemethode", stated.get("positieGeometrieMethode")),
                "specificatie": concept("geometriespecificatie", stated.get("positieSpecificatie")),
            }
    raise PoisonRecord("GEOMETRY_UNKNOWN", "positie.geometrie")


def _name(inside: Any, name: str, path: str) -> str:
    found = _spelling(inside.get(name))
    if found is None:
        raise PoisonRecord("FIELD_MISSING", path)
    return found


def _spelling(name: Any) -> str | None:
    inner = name.get("geografischeNaam") if isinstance(name, dict) else None
    found = inner.get("spelling") if isinstance(inner, dict) else None
    return found if isinstance(found, str) and found else None


def _part(inside: Any, name: str, path: str) -> dict[str, Any]:
    found = inside.get(name) if isinstance(inside, dict) else None
    if not isinstance(found, dict):
        raise PoisonRecord("FIELD_MISSING", path)
    return found


def _text(inside: dict[str, Any], name: str, path: str) -> str:
    found = inside.get(name)
    if not isinstance(found, str) or not found:
        raise PoisonRecord("FIELD_MISSING", path)
    return found
