"""MAGDA GeefStatusRechtOndersteuningen 02.00 → steunmaatregel.v1, one right each."""

from collections.abc import Mapping
from typing import Any
from xml.etree.ElementTree import Element

from adapters import magda_xml as xml
from broker.errors import PoisonRecord

Value = dict[str, Any]


def steunmaatregel(_answer: Element, right: Element, head: Mapping[str, Any]) -> list[Value]:
    """The value of steunmaatregel.v1 for one `StatusRechtOndersteuning`; `head` holds the first five fields.

    Raises `PoisonRecord` (FIELD_MISSING, INSZ_INVALID, DATE_INVALID) with a schema path.
    """
    insz = xml.insz(right, "INSZ", "insz")
    if insz is None:
        raise PoisonRecord("FIELD_MISSING", "insz")
    period = right.find("Periode")
    value = {
        **head,
        "insz": insz,
        "maatregel": _coded(right, "Maatregel", "maatregel"),
        "status": _coded(right, "Status", "status"),
        "datumBeslissing": xml.partial_date(right, "DatumBeslissing", "datumBeslissing"),
        "periode": None
        if period is None
        else {
            "begin": xml.partial_date(period, "Begin", "periode.begin"),
            "einde": xml.partial_date(period, "Einde", "periode.einde"),
        },
    }
    return [value]


def _coded(right: Element, name: str, field: str) -> Value:
    return {
        "code": xml.required(right, f"{name}/Code", f"{field}.code"),
        "omschrijving": xml.text(right, f"{name}/Omschrijving"),
    }
