"""MAGDA GeefStatusRechtOndersteuningen 02.00 → steunmaatregel.v1, all rights of a person."""

from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree.ElementTree import Element

from adapters import magda_xml as xml
from adapters.magda_per_person import only_person, per_person
from broker.errors import PoisonRecord

Value = dict[str, Any]


def steunmaatregelen(rights: Sequence[Element], head: Mapping[str, Any]) -> list[Value | PoisonRecord]:
    """A value of steunmaatregel.v1 for each person of an answer's `StatusRechtOndersteuning` elements; `head` holds the
    first five fields.

    In the place of a value, why there is none: FIELD_MISSING, INSZ_INVALID, DATE_INVALID with a schema path.
    """  # noqa: D205 - the first sentence needs two lines
    return per_person(rights, only_person("INSZ"), _right, "maatregelen", head)


def _right(right: Element, _insz: str) -> Value:
    period = right.find("Periode")
    return {
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


def _coded(right: Element, name: str, field: str) -> Value:
    return {
        "code": xml.required(right, f"{name}/Code", f"{field}.code"),
        "omschrijving": xml.text(right, f"{name}/Omschrijving"),
    }
