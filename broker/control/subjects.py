"""A subject as an agency states it, to the canonical identifier under which the agreement's product publishes it."""

from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from re import ASCII
from re import compile as pattern
from typing import Any, NamedTuple

from broker.errors import Invalid, NotYetKnown
from broker.model.control_state import ControlState
from broker.model.identifiers import parse_insz, parse_kbo, parse_ovo
from broker.model.wall import SubjectWall
from broker.schema.avro import load_schema

INSZ_INVALID, ENTERPRISE_INVALID = "20002", "20007"
"""MAGDA's codes for a subject that cannot be."""

_IRI = pattern(r"https?://[^\s<>\"{}|\\^`]+", ASCII)
_BEHIND_THE_WALL = {
    "INSZ_INVALID": "this is no INSZ [INSZ_INVALID]",
    "REAL_SUBJECT": "this installation holds synthetic persons only [REAL_SUBJECT]",
    "TEST_SUBJECT": "this installation holds real persons only [TEST_SUBJECT]",
}


class Refusal(NamedTuple):
    """Why a subject or a registration is not taken: a stable code (MAGDA's where it has one) and what to do."""

    code: str
    problem: str


def canonical_subject(state: ControlState, agreement: Mapping[str, Any], wall: SubjectWall, text: str) -> str:
    """Identifier of the subject that `text` names, by the principal of the product in this agreement's document.

    Raises `Invalid` for what the product cannot have or the wall keeps out, without repeating it, and `NotYetKnown`
    while the product is not declared.
    """
    read = read_subject(text, person=about_person(state, agreement), wall=wall)
    if isinstance(read, Refusal):
        raise Invalid(read.problem)
    return read


def about_person(state: ControlState, agreement: Mapping[str, Any]) -> bool:
    """Whether this agreement's product is about persons; raises `NotYetKnown` while the product is not declared."""
    product = state.products.get((agreement["source"], agreement["product"]))
    if product is None:
        raise NotYetKnown("the agreement's product is not declared yet")
    return _about_person(state.schemas[product.schema_id].text)


def read_subject(text: str, *, person: bool, wall: SubjectWall) -> str | Refusal:
    """Canonical identifier of the person, else of the body, place or thing, that `text` names."""
    if not person:
        return _thing(text)
    try:
        insz = parse_insz(text)
    except Invalid as error:
        return Refusal(INSZ_INVALID, str(error))
    verdict = wall.verdict(insz)
    return insz if verdict is None else Refusal(verdict, _BEHIND_THE_WALL[verdict])


@lru_cache(maxsize=64)
def _about_person(schema: str) -> bool:
    return load_schema(schema).about_person


def _thing(text: str) -> str | Refusal:
    """KBO number; for a body without one its OVO code; for anything else its IRI, as sources do."""
    for parse in (parse_kbo, parse_ovo):
        with suppress(Invalid):
            return parse(text)
    if not _IRI.fullmatch(text):
        wanted = "the subject is a KBO number, an OVO code or an IRI, as in the product's records"
        return Refusal(ENTERPRISE_INVALID, wanted)
    return text
