"""How identifiers look in records, by the name of their field: a name holds the same kind of identifier in every type.

The patterns say how many digits and where letters stand. Check digits are `broker.model.identifiers`' to hold: no
regular expression can.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from broker.model.agreement import FieldClass

_INSZ = "^[0-9]{11}$"

PATTERNS: Mapping[str, str] = MappingProxyType(
    {
        "insz": _INSZ,
        "kbonummer": "^[01][0-9]{9}$",
        "vestigingsnummer": "^[2-8][0-9]{9}$",
        "ovocode": "^OVO[0-9]{6}$",
        "nis": "^[0-9]{3}([0-9]{2})?$",
        "capakey": "^[0-9]{5}[A-Z][0-9]{4}/[0-9]{2}[A-Z_0][0-9]{3}$",
    }
)
"""Regular expression (XPath) by name of the field; `nis` is of a country (three digits) or of a municipality (five)."""


def pattern_of(name: str, attributes: Mapping[str, Any]) -> str | None:
    """Pattern that every text of a field keeps to; None where it holds no identifier of a known form."""
    return _INSZ if attributes.get("class") == FieldClass.NATIONAL_NUMBER else PATTERNS.get(name)
