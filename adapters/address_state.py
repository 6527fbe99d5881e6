"""One address as the Flemish address register describes it → a value of adres.v1."""

from typing import Any

from adapters.register_parts import THINGS, code, concept, head, part, point, text
from broker.errors import PoisonRecord

PRODUCT = "adres.v1"
SPACE = f"{THINGS}/adres"
STATUSES = ("voorgesteld", "inGebruik", "gehistoreerd", "afgekeurd")


def address(state: Any, object_id: str, kind: str) -> dict[str, Any]:
    """The value for the register's answer about `object_id`.

    Raises `PoisonRecord`: OBJECT_DIFFERS, FIELD_MISSING, TIME_INVALID, CODE_UNKNOWN, GEOMETRY_UNKNOWN.
    """
    first = head(state, SPACE, object_id, kind)
    street, town = part(state, "straatnaam", "straat"), part(state, "gemeente", "gemeente")
    post = state.get("postinfo")
    postcode = text(post, "objectId", "postinfo.postcode") if isinstance(post, dict) else None
    nis, street_id = text(town, "objectId", "gemeente.nis"), text(street, "objectId", "straat.iri")
    assigned, box = state.get("officieelToegekend"), state.get("busnummer")
    if not isinstance(assigned, bool):
        raise PoisonRecord("FIELD_MISSING", "officieelToegekend")
    return {
        **first,
        "objectId": object_id,
        "status": code(state.get("adresStatus") or state.get("status"), STATUSES, "status"),
        "officieelToegekend": assigned,
        "huisnummer": text(state, "huisnummer", "huisnummer"),
        "busnummer": box if isinstance(box, str) and box else None,
        "straat": {
            "iri": f"{THINGS}/straatnaam/{street_id}",
            "naam": _name(street, "straatnaam", "straat.naam"),
            "homoniemToevoeging": _spelling(state.get("homoniemToevoeging")),
        },
        "gemeente": {
            "iri": f"{THINGS}/gemeente/{nis}",
            "nis": nis,
            "naam": _name(town, "gemeentenaam", "gemeente.naam"),
        },
        "postinfo": {"iri": postcode and f"{THINGS}/postinfo/{postcode}", "postcode": postcode},
        "positie": _position(state.get("adresPositie")),
        "toegekendAan": [],
    }


def _position(stated: Any) -> dict[str, Any] | None:
    if not isinstance(stated, dict):
        return None
    return {
        "geometrie": point(stated.get("geometrie"), "positie.geometrie"),
        "methode": concept("geometriemethode", stated.get("positieGeometrieMethode")),
        "specificatie": concept("geometriespecificatie", stated.get("positieSpecificatie")),
    }


def _name(inside: Any, name: str, path: str) -> str:
    found = _spelling(inside.get(name))
    if found is None:
        raise PoisonRecord("FIELD_MISSING", path)
    return found


def _spelling(name: Any) -> str | None:
    inner = name.get("geografischeNaam") if isinstance(name, dict) else None
    found = inner.get("spelling") if isinstance(inner, dict) else None
    return found if isinstance(found, str) and found else None
