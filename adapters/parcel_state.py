"""One parcel as the Flemish parcel register describes it → a value of perceel.v1."""

from typing import Any

from adapters.register_parts import THINGS, addresses, code, head, text

PRODUCT = "perceel.v1"
SPACE = f"{THINGS}/perceel"
STATUSES = ("gerealiseerd", "gehistoreerd")


def parcel(state: Any, object_id: str, kind: str) -> dict[str, Any]:
    """The value for the register's answer about `object_id` (a CaPaKey with a dash); nature and surface are the cadastre's.

    Raises `PoisonRecord`: OBJECT_DIFFERS, FIELD_MISSING, TIME_INVALID, CODE_UNKNOWN.
    """
    first = head(state, SPACE, object_id, kind)
    return {
        **first,
        "capakey": text(state, "caPaKey", "capakey"),
        "status": code(state.get("perceelStatus"), STATUSES, "status"),
        "adressen": addresses(state.get("adressen")),
        "gemeente": None,
        "aard": None,
        "oppervlakte": None,
    }
