"""The address register's own events in a file (`position;type;jsondata`) → adres.v1.

The state of every address is kept while the file is read: an event changes some of it, and the whole is published. The
events name a street by its number only, so names are looked up in `straatnamen.csv` beside the file (columns objectId,
naam, nis, gemeente): an address in a street that is not there is FIELD_MISSING.

Mapped are AddressWasMigratedToStreetName, AddressWasProposedBecauseOfReaddress and AddressHouseNumberWasReaddressed
(the address that takes over); others are ignored (EVENT_NOT_MAPPED). A state needs all that came before it, so a file
is always read whole; the runner recognises what it knows, by the event's position.
"""

import struct
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from adapters.address_state import PRODUCT, SPACE
from adapters.delimited import rows_of
from adapters.json_body import parsed
from adapters.register_parts import THINGS, concept, instant
from adapters.sdk import Broken, Change, Ignored, Item
from adapters.sources import MAX_DOCUMENT, from_cursor, local_path, whole_seconds
from broker.errors import Invalid, PoisonRecord

NAMES = "straatnamen.csv"
"""File beside the events that names the streets."""

_COLUMNS = ("objectId", "naam", "nis", "gemeente")
_HEAD = "position;type;jsondata"
_DEEPEST = 16
_SOURCES = MappingProxyType({PRODUCT: "digitaal-vlaanderen"})
_POINT, _LAMBERT_72 = struct.Struct("<BIIdd"), 31370
_WKB_POINT_WITH_CRS = 0x20000001
_STATUSES = {"proposed": "voorgesteld", "current": "inGebruik", "retired": "gehistoreerd", "rejected": "afgekeurd"}
_METHODS = {
    "appointedByAdministrator": "aangeduidDoorBeheerder",
    "derivedFromObject": "afgeleidVanObject",
    "interpolated": "geinterpoleerd",
}
_STANDS_FOR = {
    "municipality": "gemeente",
    "street": "straat",
    "parcel": "perceel",
    "lot": "lot",
    "stand": "standplaats",
    "berth": "ligplaats",
    "building": "gebouw",
    "buildingUnit": "gebouweenheid",
    "entry": "ingang",
    "roadSegment": "wegsegment",
}


@dataclass(frozen=True, slots=True)
class AddressEvents:
    """Reads the file at `source`, or the files of that folder in the order of their names."""

    source: str
    name: str = "basisregisters"
    sources: Mapping[str, str] = field(default_factory=lambda: _SOURCES)

    async def changes(self, cursor: str | None) -> AsyncIterator[tuple[Item, str]]:
        """Events in the order of the file."""
        path = local_path(self.source)
        files = sorted(file for file in path.glob("*.csv") if file.name != NAMES) if path.is_dir() else [path]
        folder = path if path.is_dir() else path.parent
        fold = _Fold(_streets(folder / NAMES))
        items = [fold.item(place, line) for file in files for place, line in _lines(file)]
        async for item_and_cursor in from_cursor(items, cursor):
            yield item_and_cursor


@dataclass(slots=True)
class _Fold:
    """Addresses as the events so far left them, by number."""

    streets: Mapping[str, Mapping[str, str]]
    _states: dict[str, dict[str, Any]] = field(default_factory=dict)

    def item(self, place: str, line: str) -> Item:
        position, _, rest = line.partition(";")
        name, _, text = rest.partition(";")
        if not position.isdecimal():
            return Broken(place, "ROW_RAGGED", "", PRODUCT)
        try:
            event = parsed(text.encode("utf-8", "surrogatepass"), _DEEPEST)
            return self._event(position, name, event if isinstance(event, dict) else {})
        except PoisonRecord as poison:
            return Broken(position, poison.reason, poison.path, PRODUCT)

    def _event(self, position: str, name: str, event: Mapping[str, Any]) -> Item:
        match name:
            case "AddressWasMigratedToStreetName" | "AddressWasProposedBecauseOfReaddress":
                kind = "added" if name == "AddressWasProposedBecauseOfReaddress" else "snapshot"
                number = _number(event, "addressPersistentLocalId", "objectId")
                changed = dict(event) | ({"status": "proposed", "officiallyAssigned": True} if kind == "added" else {})
            case "AddressHouseNumberWasReaddressed":
                kind, move = "changed", event.get("readdressedHouseNumber")
                if not isinstance(move, dict):
                    raise PoisonRecord("FIELD_MISSING", "objectId")
                number = _number(move, "destinationAddressPersistentLocalId", "objectId")
                changed = {
                    "status": move.get("sourceStatus"),
                    "houseNumber": move.get("destinationHouseNumber"),
                    "boxNumber": move.get("sourceBoxNumber"),
                    "postalCode": move.get("sourcePostalCode"),
                    "geometryMethod": move.get("sourceGeometryMethod"),
                    "geometrySpecification": move.get("sourceGeometrySpecification"),
                    "extendedWkbGeometry": move.get("sourceExtendedWkbGeometry"),
                    "officiallyAssigned": move.get("sourceIsOfficiallyAssigned"),
                    "provenance": event.get("provenance"),
                }
            case _:
                return Ignored(position, "EVENT_NOT_MAPPED")
        state = self._states.setdefault(number, {})
        state |= changed
        if state.get("isRemoved") is True:
            return Change(position, PRODUCT, None, f"{SPACE}/{number}")
        return Change(position, PRODUCT, self._value(number, state, kind))

    def _value(self, number: str, state: Mapping[str, Any], kind: str) -> dict[str, Any]:
        street_id = _number(state, "streetNamePersistentLocalId", "straat.iri")
        street = self.streets.get(street_id)
        if street is None:
            raise PoisonRecord("FIELD_MISSING", "straat.naam")
        provenance = state.get("provenance")
        stated = provenance.get("timestamp") if isinstance(provenance, dict) else None
        at = whole_seconds(instant(stated if isinstance(stated, str) else "", "recordedAt"))
        postcode, assigned, house = state.get("postalCode"), state.get("officiallyAssigned"), state.get("houseNumber")
        if not isinstance(assigned, bool):
            raise PoisonRecord("FIELD_MISSING", "officieelToegekend")
        if not isinstance(house, str) or not house:
            raise PoisonRecord("FIELD_MISSING", "huisnummer")
        return {
            "kind": kind,
            "validFrom": None,
            "validTo": None,
            "recordedAt": at,
            "corrects": None,
            "identificator": f"{SPACE}/{number}",
            "objectId": number,
            "versie": at,
            "status": _code(_STATUSES, state.get("status"), "status"),
            "officieelToegekend": assigned,
            "huisnummer": house,
            "busnummer": state.get("boxNumber"),
            "straat": {"iri": f"{THINGS}/straatnaam/{street_id}", "naam": street["naam"], "homoniemToevoeging": None},
            "gemeente": {
                "iri": f"{THINGS}/gemeente/{street['nis']}",
                "nis": street["nis"],
                "naam": street["gemeente"],
            },
            "postinfo": {"iri": postcode and f"{THINGS}/postinfo/{postcode}", "postcode": postcode},
            "positie": _position(state),
            "toegekendAan": [],
        }


def _position(state: Mapping[str, Any]) -> dict[str, Any] | None:
    stated = state.get("extendedWkbGeometry")
    if stated is None:
        return None
    try:
        order, shape, system, x, y = _POINT.unpack(bytes.fromhex(stated))
    except (struct.error, ValueError, TypeError):
        order = shape = system = 0
        x = y = 0.0
    if (order, shape, system) != (1, _WKB_POINT_WITH_CRS, _LAMBERT_72):
        raise PoisonRecord("GEOMETRY_UNKNOWN", "positie.geometrie")
    method = _code(_METHODS, state.get("geometryMethod"), "positie.methode")
    stands_for = _code(_STANDS_FOR, state.get("geometrySpecification"), "positie.specificatie")
    return {
        "geometrie": f"POINT ({x:.2f} {y:.2f})",
        "methode": concept("geometriemethode", method),
        "specificatie": concept("geometriespecificatie", stands_for),
    }


def _number(event: Mapping[str, Any], name: str, path: str) -> str:
    found = event.get(name)
    if type(found) is not int or found <= 0:
        raise PoisonRecord("FIELD_MISSING", path)
    return str(found)


def _code(table: Mapping[str, str], stated: Any, path: str) -> str:
    found = table.get(stated) if isinstance(stated, str) else None
    if found is None:
        raise PoisonRecord("CODE_UNKNOWN", path)
    return found


def _streets(file: Path) -> dict[str, Mapping[str, str]]:
    return {row["objectId"]: row for row in rows_of(str(file), _COLUMNS)} if file.exists() else {}


def _lines(file: Path) -> list[tuple[str, str]]:
    """Lines of one file after its header, each with its place."""
    if file.stat().st_size > MAX_DOCUMENT:
        raise Invalid(f"a file of events has at most {MAX_DOCUMENT >> 20} MiB: split it")
    try:
        lines = file.read_bytes().decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        lines = []
    if not lines or lines[0] != _HEAD:
        raise Invalid(f"a file of events is UTF-8, and begins with the line {_HEAD}")
    return [(f"{file.name}#{number}", line) for number, line in enumerate(lines[1:], 1) if line.strip()]
