"""One building unit as the Flemish building register describes it → a value of gebouweenheid.v1."""

from typing import Any

from adapters.register_parts import THINGS, addresses, code, head, part, point, text
from broker.errors import PoisonRecord

PRODUCT = "gebouweenheid.v1"
SPACE = f"{THINGS}/gebouweenheid"
STATUSES = ("gepland", "gerealiseerd", "gehistoreerd", "nietGerealiseerd")
_FUNCTIONS = ("gemeenschappelijkDeel", "nietGekend")
_METHODS = ("aangeduidDoorBeheerder", "afgeleidVanObject", "geinterpoleerd")


def building_unit(state: Any, object_id: str, kind: str) -> dict[str, Any]:
    """The value for the register's answer about `object_id`.

    Raises `PoisonRecord`: OBJECT_DIFFERS, FIELD_MISSING, TIME_INVALID, CODE_UNKNOWN, GEOMETRY_UNKNOWN.
    """
    first = head(state, SPACE, object_id, kind)
    position = part(state, "gebouweenheidPositie", "positie")
    function, method = state.get("functie"), position.get("positieGeometrieMethode")
    deviates = state.get("afwijkingVastgesteld")
    if not isinstance(deviates, bool | None):
        raise PoisonRecord("FIELD_MISSING", "afwijkingVastgesteld")
    return {
        **first,
        "objectId": object_id,
        "status": code(state.get("gebouweenheidStatus"), STATUSES, "status"),
        "functie": None if function is None else code(function, _FUNCTIONS, "functie"),
        "gebouw": f"{THINGS}/gebouw/{text(part(state, 'gebouw', 'gebouw'), 'objectId', 'gebouw')}",
        "positie": {
            "geometrie": point(position.get("geometrie"), "positie.geometrie"),
            "methode": None if method is None else code(method, _METHODS, "positie.methode"),
        },
        "adressen": addresses(state.get("adressen")),
        "afwijkingVastgesteld": deviates,
    }
