"""What the answers of the Flemish base registers have in common: identity, codes, instants, points and references."""

import re
from collections.abc import Collection
from datetime import datetime
from typing import Any

from adapters.sources import whole_seconds
from broker.errors import PoisonRecord

THINGS, CONCEPTS = "https://data.vlaanderen.be/id", "https://data.vlaanderen.be/id/concept"
# No XML parser: a point is two numbers, and whatever else is in the text is not looked at.
_POINT = re.compile(r"<gml:pos[^>]{0,100}>\s{0,9}(-?[0-9.]{1,20})[ ,](-?[0-9.]{1,20})", re.ASCII)
_LAMBERT_72 = "31370"


def head(state: Any, space: str, object_id: str, kind: str) -> dict[str, Any]:
    """The first fields of every record, from the state's `identificator`.

    Raises `PoisonRecord`: OBJECT_DIFFERS where the state is about something else, FIELD_MISSING, TIME_INVALID.
    """
    identity = part(state, "identificator", "identificator")
    iri, version = text(identity, "id", "identificator"), text(identity, "versieId", "versie")
    if iri != f"{space}/{object_id}":
        raise PoisonRecord("OBJECT_DIFFERS", "identificator")
    return {
        "kind": kind,
        "validFrom": None,
        "validTo": None,
        "recordedAt": whole_seconds(instant(version, "versie")),
        "corrects": None,
        "identificator": iri,
        "versie": version,
    }


def instant(stated: str, path: str) -> datetime:
    """An instant with offset, as the registers write versions."""
    try:
        found = datetime.fromisoformat(stated)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise PoisonRecord("TIME_INVALID", path)
    return found


def code(stated: Any, known: Collection[str], path: str) -> str:
    """A code that is written as its last part, or as the whole IRI; raises `PoisonRecord` (CODE_UNKNOWN)."""
    found = stated.rpartition("/")[2] if isinstance(stated, str) else ""
    if found not in known:
        raise PoisonRecord("CODE_UNKNOWN", path)
    return found


def concept(scheme: str, stated: Any) -> str | None:
    """IRI of a code that is written as its last part, or whole."""
    if not isinstance(stated, str) or not stated:
        return None
    return stated if "://" in stated else f"{CONCEPTS}/{scheme}/{stated}"


def point(geometry: Any, path: str) -> str:
    """WKT of the point in Belgian Lambert 72 among the geometries; raises `PoisonRecord` (GEOMETRY_UNKNOWN)."""
    for shape in geometry if isinstance(geometry, list) else [geometry]:
        gml = shape.get("gml") if isinstance(shape, dict) else None
        found = _POINT.search(gml) if isinstance(gml, str) and _LAMBERT_72 in gml else None
        if found is not None:
            return f"POINT ({found[1]} {found[2]})"
    raise PoisonRecord("GEOMETRY_UNKNOWN", path)


def addresses(stated: Any) -> list[str]:
    """IRIs of the addresses that something is assigned to, in the register's order."""
    if not isinstance(stated, list):
        raise PoisonRecord("FIELD_MISSING", "adressen")
    numbers = [text(each if isinstance(each, dict) else {}, "objectId", "adressen") for each in stated]
    return [f"{THINGS}/adres/{number}" for number in numbers]


def part(inside: Any, name: str, path: str) -> dict[str, Any]:
    """An object in an object; raises `PoisonRecord` (FIELD_MISSING)."""
    found = inside.get(name) if isinstance(inside, dict) else None
    if not isinstance(found, dict):
        raise PoisonRecord("FIELD_MISSING", path)
    return found


def text(inside: dict[str, Any], name: str, path: str) -> str:
    """A text that is not empty; raises `PoisonRecord` (FIELD_MISSING)."""
    found = inside.get(name)
    if not isinstance(found, str) or not found:
        raise PoisonRecord("FIELD_MISSING", path)
    return found
